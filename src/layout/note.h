/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes: map changes that were answered before a round of the journal has them, in memory that outlives the process and not the machine (FORMAT.md §8). They
 * never go to a disk and never to another machine, so numbers are in native order.
 *
 *   head (4096) | region 0: generation 0, generation 1 | region 1: ... | each generation: `records` notes
 */
#ifndef LITEPOOL_LAYOUT_NOTE_H
#define LITEPOOL_LAYOUT_NOTE_H

#include <stdatomic.h>

#include "layout/layout.h"

#define NOTE_MAGIC       0x3145544f4e4b504cu /* "LPKNOTE1" */
#define NOTE_HEAD        LAYOUT_PAGE
#define NOTE_REGIONS_MAX 128u
#define NOTE_RECORDS_MAX (1u << 20)
#define NOTE_UNCOVERED   UINT64_MAX

/* What is true of one cluster of a layer after one change of its map. */
struct note {
	uint64_t layer, entry;
	uint64_t
		seq; /* counts the changes of the layer's map: of one cluster the highest is the newest */
	uint32_t cluster;
	uint32_t crc; /* crc32c of the generation's number (8 bytes) and the note with crc 0 */
	struct block_mask mask; /* zero without MAP_PARTIAL */
};
static_assert(sizeof(struct note) == 64, "a cache line");

/* Who may use the notes: the opening that made them, and those that have read them (claim). */
struct note_owner {
	struct uuid writer;
	uint64_t epoch;
	uint32_t crc; /* of the above */
	uint32_t zero;
};

struct note_generation {
	_Atomic uint64_t number; /* changes with each use; its parity is the index */
	_Atomic uint64_t
		cover; /* what is in it is durable when the journal has every block before this LSN */
};

struct note_head {
	uint64_t magic;
	uint32_t crc; /* of the bytes up to generation, with crc 0 and without the claims */
	uint32_t zero;
	struct uuid boot; /* of the kernel: notes end with it */
	struct uuid pool;
	struct note_owner owner;
	uint32_t regions, records;
	struct note_owner claim[2];
	struct note_generation generation[2];
};
static_assert(sizeof(struct note_head) <= NOTE_HEAD, "the head");
static_assert(offsetof(struct note_head, claim) == 88, "what the head's crc is of");

/* Bytes of memory for so many; records: of a region and generation. */
static inline size_t note_bytes(uint32_t regions, uint32_t records)
{
	return NOTE_HEAD + (size_t)regions * 2 * records * sizeof(struct note);
}
/* generation: 0 or 1. */
static inline struct note *note_at(const struct note_head *head, uint32_t region,
				   unsigned generation, uint32_t i)
{
	struct note *first = (struct note *)((uintptr_t)head + NOTE_HEAD);

	return first + ((size_t)region * 2 + generation) * head->records + i;
}

/* Fills in crc. */
void note_seal(struct note *note, uint64_t number);
/* Whole, of that generation, and possible. */
bool note_good(const struct note *note, uint64_t number, const struct layout_rules *rules);

struct note_identity { /* of a pool as its superblock says */
	struct uuid boot, pool, writer;
	uint64_t epoch;
};
/* Makes the memory (size bytes) new: no notes. Whatever was in it is gone, also when this is interrupted. */
void note_head_init(struct note_head *head, const struct note_identity *id, uint32_t regions,
		    uint32_t records);
/* Nobody shall read these notes again. */
void note_head_end(struct note_head *head);
/* Whether the memory (size bytes, anything) begins with a head that is whole and fits into it, whosever it is. */
bool note_head_whole(const struct note_head *head, size_t size);
/* Whether the memory (size bytes, anything) holds notes that belong to the pool as it is. */
bool note_head_counts(const struct note_head *head, size_t size, const struct note_identity *id);
/* now, for whom the notes count, is about to become next: they count for both from here on. */
void note_head_claim(struct note_head *head, const struct note_identity *now,
		     const struct note_identity *next);

#endif
