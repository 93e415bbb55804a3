/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool has on every reactor that may use its volumes: the gate, and a stock of free clusters. A slot is touched by its reactor alone,
 * except for what is atomic.
 *
 * The gate. Every I/O on a volume runs between gate_enter() and gate_leave(). A turn (gate_turn()) visits all reactors:
 *
 *   pool's thread --hold--> each reactor: hold()      I/O of the volumes concerned waits (optional)
 *                 <--all---
 *                 --turn--> each reactor: turn()      new view; what waited goes on; I/O from now on counts for the new phase
 *                 <--all--- turned()                  on the pool's thread
 *                 <--all--- drained()                 every I/O that began before its reactor turned has ended
 *
 * With hold there is one moment for all reactors at which the old state ends and the new one begins: nothing is started between the last hold
 * and the first turn. That moment is the cut of a snapshot. Without, turn() is still the way to publish a view, and drained() the way to know that an old one is
 * out of use.
 */
#ifndef LITEPOOL_POOL_SLOT_H
#define LITEPOOL_POOL_SLOT_H

#include "base/counter.h"
#include "pool/map.h"

struct pool;

#define POOL_STOCK 64u /* clusters a reactor holds at most, of each kind */

enum pool_space {
	POOL_THIN,  /* may be refused when the pool is full */
	POOL_THICK, /* was reserved before */
	POOL_SPACES,
};

struct pool_slot {
	struct reactor *reactor;
	struct pool *pool;
	unsigned phase; /* 0 or 1 */
	uint64_t inflight[2];
	counter entered; /* times anybody came into the gate; read by the pool's thread */
	bool draining;   /* the other phase's end is awaited */
	_Atomic uint32_t stocked[POOL_SPACES]; /* read by the pool's thread */
	_Atomic uint32_t coming[POOL_SPACES];  /* granted and on the way here */
	uint64_t stock[POOL_SPACES][POOL_STOCK];
};

/* The calling reactor's slot. The pool was opened with this reactor. */
struct pool_slot *pool_slot(struct pool *pool);
/* All of them, by index of the pool's users. */
struct pool_slot *pool_slots(struct pool *pool, unsigned *ret_n);
/* Pool's thread: how often anybody has come into the gate of any slot so far: it stays the same while hosts do nothing. */
uint64_t pool_entered(const struct pool *pool);
/* 0 .. number of users - 1. */
unsigned pool_slot_index(const struct pool_slot *slot);

static inline unsigned gate_enter(struct pool_slot *slot)
{
	slot->inflight[slot->phase]++;
	counter_add(&slot->entered, 1);
	return slot->phase;
}
void gate_drained(struct pool_slot *slot); /* gate_leave()'s slow part */
static inline void gate_leave(struct pool_slot *slot, unsigned phase)
{
	if (--slot->inflight[phase] == 0 && slot->draining && phase != slot->phase)
		gate_drained(slot);
}

/* Pool's thread. Turns run one after the other, in order. The callbacks but turned and drained run on the slot's reactor; any may be NULL. */
struct gate_turn {
	void (*hold)(struct gate_turn *turn, struct pool_slot *slot);
	void (*turn)(struct gate_turn *turn, struct pool_slot *slot);
	void (*turned)(struct gate_turn *turn);
	void (*drained)(struct gate_turn *turn); /* the turn is the caller's again */
	struct list link;
};
void gate_turn(struct pool *pool, struct gate_turn *turn);

/* ---- Space, on a reactor ---- */

/* A free cluster out of the slot's stock (POOL_THICK falls back on nothing: each kind has its own), 0: pool_want() first. */
uint64_t pool_take_cluster(struct pool_slot *slot, enum pool_space space);
/* Was taken and not attached. */
void pool_return_cluster(struct pool_slot *slot, enum pool_space space, uint64_t phys);

/*
 * Asks the pool's thread to prepare the map for that cluster and to refill the stock of this reactor. done on the asking reactor: 0: try again (somebody
 * else on this reactor may be faster: ask again then); -ENOSPC: the pool is full; -ENOMEM; -EROFS, -EIO: the pool takes no writes.
 *
 * Without space_wanted the answer comes at once, and the asker may stay in the gate. With it the answer may have to wait for a turn of the gate that sets clusters free, so the
 * asker must be outside, and as the map may go meanwhile, map is NULL: only space.
 */
struct pool_want {
	struct map *map; /* NULL: only space */
	uint32_t cluster;
	enum pool_space space;
	bool space_wanted; /* else only the map is prepared */
	void (*done)(struct pool_want *want, int res);

	struct pool *pool;
	struct reactor *reactor;
	struct msg msg;
	struct list link;
	uint32_t n;
	uint64_t granted[POOL_STOCK];
	int res;
};
void pool_want(struct pool *pool, struct pool_want *want);

/*
 * Clusters that were detached from a map (map_clear) go back: free once that is durable and nobody reads them any more. The pool's thread takes
 * the list and answers at once; the caller's claim may be dropped before.
 */
#define POOL_FREE_MAX 64u
struct pool_free {
	uint32_t n;
	uint64_t phys[POOL_FREE_MAX];
	void (*done)(struct pool_free *req);

	struct pool *pool;
	struct reactor *reactor;
	struct msg msg;
};
void pool_free_clusters(struct pool *pool, struct pool_free *req);

/*
 * Makes all map changes durable that were made before the call (map_set_valid and map_clear have returned), and with them everything that was written
 * to the device before: data first, then the journal. done on the asking reactor: 0, or -EIO: the pool has failed.
 */
struct pool_commit {
	void (*done)(struct pool_commit *commit, int res);

	struct pool *pool;
	struct reactor *reactor;
	struct msg msg;
	struct list link;
	int res;
};
void pool_commit(struct pool *pool, struct pool_commit *commit);

#endif
