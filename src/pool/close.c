/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing:
 *
 *   (the scrub has stopped) -> OPS (those that were asked for have ended) -> SUMS (clusters are closed) -> COMMIT -> CHECKPOINT (until there is nothing left) -> SUPER (clean: the journal is empty) -> GATE (turns that were asked for have ended) -> free
 *
 * A pool that takes no writes goes from OPS to GATE. A failure on the way only means that the next opening replays the journal. Transfers of metadata that were under way when the pool failed
 * are waited for: they use its memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"
#include "pool/scrub.h"
#include "pool/sums.h"

#define LOOK_AGAIN_NS 1000000u /* for the end of transfers */

struct pool_closing {
	enum {
		CLOSE_OPS,
		CLOSE_SUMS,
		CLOSE_COMMIT,
		CLOSE_CHECKPOINT,
		CLOSE_SUPER,
		CLOSE_GATE
	} step;
	struct pool *pool;
	struct pool_op op;
	struct pool_commit commit;
	struct super_change super;
	struct gate_turn turn;
	struct msg msg;
	struct timer timer;
	int res;
	pool_done_fn done;
	void *ctx;
};

static void close_next(struct pool_closing *c, int res);

static void leave(struct pool *pool);

static bool io_under_way(const struct pool *pool)
{
	return pool->log.batch.pending || checkpoint_io(pool) || sums_io_under_way(pool) ||
	       pool->super.step != SUPER_IDLE || !list_empty(&pool->super.changes);
}

static void look_again(struct timer *timer)
{
	leave(container_of(timer, struct pool_closing, timer)->pool);
}

/* In a pass of its own: whoever called us last may still look at the pool. */
static void free_all(struct msg *msg)
{
	struct pool_closing *c = container_of(msg, struct pool_closing, msg);
	struct pool *pool = c->pool;
	pool_done_fn done = c->done;
	void *ctx = c->ctx;
	struct err err = pool->fail_err;
	int res = c->res && err.code ? err.code : c->res;

	if (res && !err.code)
		(void)err_set(&err, res, "pool %s was not closed cleanly: %s", pool->super.now.name,
			      strerror(-res));
	log_info("pool.closed", "pool=%s clean=%d", pool->super.now.name,
		 pool->super.now.state == SUPERBLOCK_CLEAN);
	pool_set_state(pool, POOL_CLOSED);
	pool_free(pool);
	free(c);
	done(ctx, res, res ? &err : NULL);
}

static void leave_later(struct msg *msg)
{
	leave(container_of(msg, struct pool_closing, msg)->pool);
}

static void leave(struct pool *pool)
{
	struct pool_closing *c = pool->closing;

	pool->space.when_idle = NULL;
	c->timer.run = look_again;
	if (io_under_way(pool) &&
	    !timer_start(pool->home, &c->timer, reactor_now(pool->home) + LOOK_AGAIN_NS))
		return;
	c->msg.run = io_under_way(pool) ? leave_later : free_all;
	reactor_post(pool->home, &c->msg);
}

static void gate_done(struct gate_turn *turn)
{
	struct pool *pool = container_of(turn, struct pool_closing, turn)->pool;

	if (pool->space.turning) /* freed clusters are being discarded on the device */
		pool->space.when_idle = leave;
	else
		leave(pool);
}

static void super_done(struct super_change *change, int res)
{
	close_next(container_of(change, struct pool_closing, super), res);
}

/* Everything that the journal has is in pages, which the checkpoint has read back; nothing was changed since. */
static void mark_clean(struct super_change *change, struct superblock *next)
{
	struct pool *pool = container_of(change, struct pool_closing, super)->pool;
	const struct journal_link *end = &pool->log.durable;

	if (!sums_all_closed(pool))
		return; /* the journal has to say which are open */
	next->tail_lsn = end->lsn;
	next->tail_prev_epoch = end->prev_epoch;
	next->tail_prev_crc = end->prev_crc;
	next->next_id = pool->next_id;
	next->state = SUPERBLOCK_CLEAN;
}

/* A checkpoint that made a segment leaves the segment table to the next one. */
static void checkpoint_done(void *ctx, int res, const struct err *err)
{
	struct pool_closing *c = ctx;

	if (!res && !checkpoint_clean(c->pool))
		checkpoint_start(c->pool, checkpoint_done, c);
	else
		close_next(c, res);
}

static void sums_closed(struct pool *pool)
{
	close_next(pool->closing, 0);
}

static void commit_done(struct pool_commit *commit, int res)
{
	close_next(container_of(commit, struct pool_closing, commit), res);
}

static void close_next(struct pool_closing *c, int res)
{
	struct pool *pool = c->pool;

	if (res && !c->res)
		c->res = res;
	if (pool_writable(pool) == -EIO && !c->res) /* it has failed on the way */
		c->res = -EIO;
	if (pool_writable(pool))
		c->step = CLOSE_SUPER;
	c->step = res ? CLOSE_GATE : c->step + 1;
	switch (c->step) {
	case CLOSE_SUMS:
		if (pool->sums)
			sums_close(pool, sums_closed);
		else
			close_next(c, 0);
		return;
	case CLOSE_COMMIT:
		c->commit.done = commit_done;
		pool_commit(pool, &c->commit);
		return;
	case CLOSE_CHECKPOINT:
		checkpoint_start(pool, checkpoint_done, c);
		return;
	case CLOSE_SUPER:
		c->super = (struct super_change){.edit = mark_clean, .done = super_done};
		super_change(&pool->super, &c->super);
		return;
	case CLOSE_GATE:
		if (!c->res && !pool_writable(pool))
			notes_end(pool);
		sums_stop(pool);
		c->turn = (struct gate_turn){.drained = gate_done};
		gate_turn(pool, &c->turn);
		return;
	case CLOSE_OPS:
	default:
		UNREACHABLE();
	}
}

static void op_run(struct pool_op *op)
{
	struct pool_closing *c = container_of(op, struct pool_closing, op);

	pool_op_end(c->pool, op);
	close_next(c, 0);
}

static void scrub_stopped(void *ctx)
{
	struct pool_closing *c = ctx;

	pool_op_start(c->pool, &c->op);
}

void pool_close(struct pool *pool, pool_done_fn done, void *ctx)
{
	struct pool_closing *c = calloc(1, sizeof(*c));

	ASSERT(c && !pool->closing && !pool->opening);
	hold_drop(pool);
	pool->closing = c;
	c->pool = pool;
	c->done = done;
	c->ctx = ctx;
	if (pool->state == POOL_FAILED)
		c->res = -EIO;
	pool_set_state(pool, POOL_CLOSING);
	c->op = (struct pool_op){.run = op_run, .background = true};
	if (scrub_running(pool))
		pool_scrub_stop(pool, scrub_stopped, c);
	else
		pool_op_start(pool, &c->op);
}
