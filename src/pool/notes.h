/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes of map changes in memory that outlives the process (layout/note.h): what is noted was not lost when the engine dies, so a first write is answered without a round of the
 * journal. Not what a power cut takes: flush and FUA still wait for a round.
 *
 *   reactor: leaf locked, notes_enter() -> notes_append() -> the change becomes visible, is queued for a round -> notes_leave() -> unlocked, notes_wake()
 *   round:   notes_flip() -> maps are collected -> notes_cover() -> blocks are written -> notes_covered()
 *
 * Invariants:
 *  1. A change is noted before anybody can see it. So nothing that rests on it can be answered before it is noted.
 *  2. What is noted in a generation is collected by the round that flips it: notes_flip() waits for those that are between enter and leave, who have queued their change then.
 *  3. So a generation is not needed once the blocks with what that round has collected are durable (its cover), and a cluster that was detached before the round began, which is free again only
 *     after the round, is named by no note that counts.
 *  4. Who cannot note (no memory, no room, a map that is held for a cut) makes a change that is exposed: map_settled() is false until a round has it.
 *
 * Threads: a region belongs to its reactor, everything else to the pool's; what both touch is atomic.
 */
#ifndef LITEPOOL_POOL_NOTES_H
#define LITEPOOL_POOL_NOTES_H

#include "base/counter.h"
#include "layout/note.h"
#include "rt/reactor.h"

struct pool;

#define NOTES_RECORDS 8192u /* of a region and generation at most: half a MiB */

struct notes_region {
	_Alignas(64) _Atomic bool busy; /* between enter and leave */
	uint32_t index;
	uint32_t used;   /* of the generation below */
	uint64_t number; /* the generation that it was in last */
	counter noted, refused;
	struct pool *pool;
	_Atomic bool posted, urgent;
	struct msg msg;
};

struct notes { /* of a pool; zeroed: none */
	_Atomic bool on;
	_Atomic uint64_t number; /* of the generation that takes notes */
	void *memory;            /* from pool_memory.get(); NULL: none */
	size_t size;
	struct note_head *head; /* the same, while noting */
	bool free;              /* the other generation is */
	bool ended;
	struct timer timer; /* until the memory can be had */
	unsigned tries;
	uint32_t records, n_regions;
	struct notes_region *region;
	uint8_t of[REACTORS_MAX]; /* reactor id -> region + 1 */
};

/* Any reactor. NULL: the change cannot be noted; else the region until notes_leave(). */
struct notes_region *notes_enter(struct notes *notes);
/* note without crc. */
void notes_append(struct notes *notes, struct notes_region *region, const struct note *note);
void notes_leave(struct notes_region *region);
/* Outside of locks: sees to it that a round comes. */
void notes_wake(const struct notes *notes, struct notes_region *region);

/* Pool's thread. Bytes that the pool's reactors can use. */
size_t notes_bytes(const struct pool *pool);
/* Gets the memory. 0 or a negative errno; -EBUSY is logged only if that is the last try. */
int notes_get(struct pool *pool, bool last);
/* The memory is made new, for the superblock as it is, and noting begins, or the log says why not. What was in the memory is durable, or does not count. */
void notes_start(struct pool *pool);
/* A pool that was taken over from another process: as above, once that has given the memory back. */
void notes_start_later(struct pool *pool);
/* This process never writes the pool again: the memory is the next one's. No I/O is under way. */
void notes_retire(struct pool *pool);
/* Nothing in the notes is to count again: all is durable, or the device may have lost what they rest on. */
void notes_end(struct pool *pool);
/* The memory is put back. Notes that were not ended stay in it. */
void notes_fini(struct pool *pool);
/* A round begins, and all that earlier ones have taken is durable. Before anything is collected. */
void notes_flip(struct pool *pool);
/* What was noted before the flip is in blocks before lsn. Before these are submitted. */
void notes_cover(struct pool *pool, uint64_t lsn);
/* They are durable. */
void notes_covered(struct pool *pool);

#endif
