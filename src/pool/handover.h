/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that goes from one process to the next without being closed (hot upgrade).
 *
 *   old process                                        new process
 *   pool_hold()    scrub stops, a checkpoint makes
 *                  room, no further one begins    ->   pool_open(successor): all that costs the pool's size
 *     journal grows                                    pool_follow(NULL): what has come since, as often as wished
 *   pool_freeze()  operations end, a last round,
 *                  nothing is under way           ->   pool_follow(position): exactly up to there, or an error
 *   pool_retire()  this process writes no more    ->   pool_take_over(): epoch + 1, writable
 *   or pool_thaw() as if nothing had been asked
 *
 * Invariants:
 *  1. While a pool is held nothing but the journal's ring, data and the table of their sums change on the device: no page, no superblock. So what the successor has read stays true, and the tail
 *     of the journal is all that it lacks. Whatever would break this (a journal that becomes too full) ends the hold, and a pool without hold cannot be frozen.
 *  2. A frozen pool writes nothing: no round, page, superblock, discard or background copy. All that it has in RAM and that counts is in the journal before the position.
 *  3. The old process decides (pool_retire()) before the new one writes its first byte; the caller carries that word. The epoch then tells who wrote what.
 *
 * Threads: the pool's reactor, as everything in pool.h. Callbacks never run inside the call.
 */
#ifndef LITEPOOL_POOL_HANDOVER_H
#define LITEPOOL_POOL_HANDOVER_H

#include "pool/pool.h"

/* Where a pool stands. */
struct pool_position {
	struct uuid pool, writer;
	uint64_t epoch, generation; /* of the superblock */
	uint64_t lsn; /* of the next journal block: every one before it is durable and counts */
	uint64_t scrub_bytes_per_s; /* 0: no scrub is to go on */
	const uint8_t *
		saved; /* what pool_save() gave, for pool_follow(): borrowed until it is done. NULL: nothing */
	size_t saved_bytes;
};

/* ---- The old process ---- */

/*
 * Holds the pool for a successor. Negative: refused, err says why (-EBUSY: held already or closing; -EROFS, -EIO: it takes no writes), no callback comes. Else done: 0; or -EIO.
 * broken (later, at most once per hold): the hold has ended by itself, because the journal became too full or the pool failed: the hand-over is to be given up.
 */
int pool_hold(struct pool *pool, pool_done_fn done, pool_done_fn broken, void *ctx,
	      struct err *err);
/* Ends hold and freeze, whatever of them there is; what waited goes on. No callback of theirs comes any more. */
void pool_unhold(struct pool *pool);
/*
 * A held pool: ends what is under way and makes durable what is not. The caller has seen to it that no I/O on the pool's volumes is under way or begins. Negative: it is not held
 * any more, no callback comes. Else done(0): frozen, pool_position() is final. When the hold breaks meanwhile only broken comes.
 */
int pool_freeze(struct pool *pool, pool_done_fn done, void *ctx, struct err *err);
/* Frozen, or about to be: held again; done of pool_freeze() does not come any more. */
void pool_thaw(struct pool *pool);
/* Frozen: this process never writes the pool again, whatever is asked of it: -ESTALE. There is no way back but opening it anew. Any thread. */
void pool_retire(struct pool *pool);
/* saved is empty. */
void pool_position(const struct pool *pool, struct pool_position *ret);
/*
 * Frozen: what RAM alone has and is worth carrying: the sums of clusters that are open (about 1 KiB each, 4096 of them at most). malloc'ed; NULL and 0: nothing. A successor without
 * it sums those clusters anew. -ENOMEM.
 */
int pool_save(struct pool *pool, uint8_t **ret, size_t *ret_len);

/* ---- The new process: a pool opened with pool_open_opts.successor ---- */

/* Whether pool_take_over() is still to come. Until then I/O on its volumes waits, and what changes the pool is refused. */
bool pool_is_successor(const struct pool *pool);
/*
 * Reads the journal's tail and applies it. target NULL: as far as it goes now. Else exactly to there: -ESTALE: the pool is not what this successor was opened on (a checkpoint,
 * another epoch), or went on behind the target; -EUCLEAN: the journal does not reach it, or saved does not fit it; -EBADMSG: saved is not what pool_save() gives. After an error this successor can only be closed. One at a time. The cost is that of the
 * tail: all that costs the pool's size was done by pool_open().
 */
void pool_follow(struct pool *pool, const struct pool_position *target, pool_done_fn done,
		 void *ctx);
/*
 * Followed to a target, and the old process has retired. The pool is POOL_OPEN at once, its volumes take I/O when ready comes: blocks that are there already are read and overwritten,
 * what needs the journal waits. Meanwhile the superblock with the next epoch is written and read back; done: 0, and rounds, operations and the checkpoint go on. -ESTALE:
 * somebody else has the pool; an error is as any failed write of metadata: reads only.
 */
void pool_take_over(struct pool *pool, pool_done_fn ready, pool_done_fn done, void *ctx);

#endif
