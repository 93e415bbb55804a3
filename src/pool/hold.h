/* SPDX-License-Identifier: Apache-2.0 */
/* A pool that is held for a successor: what the other parts of src/pool ask, and where they report. handover.h says what it is for. */
#ifndef LITEPOOL_POOL_HOLD_H
#define LITEPOOL_POOL_HOLD_H

#include "pool/handover.h"

struct hold_answer {
	struct task task;
	pool_done_fn done;
	void *ctx;
	struct err err;
};

struct pool_hold {
	enum hold_step {
		HOLD_NONE,
		HOLD_SCRUB,      /* it stops */
		HOLD_CHECKPOINT, /* makes room in the journal */
		HOLD_SUPER, /* changes of the superblock that were asked for before come to an end */
		HOLD_HELD,  /* the journal is all that is written */
		HOLD_FREEZING, /* operations end, then a round, then discards */
		HOLD_FROZEN, /* nothing is written. Also a successor until its epoch is on the device */
	} step;
	uint64_t scrub_bytes_per_s; /* goes on when the hold ends; 0: none */
	bool checkpoint_asked, checkpointed;
	bool committing, committed, stale; /* the round of a freeze; it does not have everything */
	bool trims_wait;                   /* the discards that a freeze has interrupted */
	struct pool_commit commit;
	struct hold_answer answer; /* to pool_hold(), then to pool_freeze() */
	struct hold_answer broken;
	struct msg retire;
	struct task look;
	struct timer timer;
};

void hold_fini(struct pool *pool);
/* No checkpoint begins, no background operation. */
static inline bool hold_is_held(const struct pool_hold *hold)
{
	return hold->step >= HOLD_HELD;
}
/* No discard begins. */
static inline bool hold_is_ending(const struct pool_hold *hold)
{
	return hold->step >= HOLD_FREEZING;
}
/* Nothing begins that writes. */
static inline bool hold_is_frozen(const struct pool_hold *hold)
{
	return hold->step == HOLD_FROZEN;
}
/* Something has ended that a freeze may wait for. */
void hold_poke(struct pool *pool);
/* The pool is being closed: whatever there is of hold and freeze ends, without a word. */
void hold_drop(struct pool *pool);
/* The hold ends by itself; nothing if there is none. */
void hold_break(struct pool *pool, int res, const char *why);
/* After a round: is there enough of the journal left for a pool without checkpoints? */
void hold_check_journal(struct pool *pool);
/* What waited for the end of a hold goes on. A successor's, when its epoch is on the device. */
void hold_resume(struct pool *pool);

#endif
