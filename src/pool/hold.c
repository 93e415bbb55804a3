/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The old process's side of a hand-over:
 *
 *   NONE -> SCRUB -> CHECKPOINT -> SUPER -> HELD -> FREEZING -> FROZEN (and retired: pool_writable() is -ESTALE for good)
 *     ^                                      |  ^       |          |
 *     \------- pool_unhold(), hold_break() --/  \-- pool_thaw() ---/
 *
 * Every step looks at what there is, so a callback that comes late does no harm. Freezing waits for no I/O of hosts: the caller has ended that.
 */
#include "pool/hold.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"
#include "pool/scrub.h"
#include "pool/sums.h"

#define LOOK_AGAIN_NS (NSEC_PER_MSEC / 4)

static struct pool *pool_of(struct pool_hold *hold)
{
	return container_of(hold, struct pool, hold);
}

static bool retired(const struct pool *pool)
{
	return pool_writable(pool) == -ESTALE;
}

/* ---- answers ---- */

static void answer_run(struct task *task)
{
	struct hold_answer *a = container_of(task, struct hold_answer, task);
	pool_done_fn done = a->done;
	struct err err = a->err;

	a->done = NULL;
	done(a->ctx, err.code, err.code ? &err : NULL);
}

static void answer_soon(struct pool *pool, struct hold_answer *a)
{
	a->task.run = answer_run;
	reactor_defer(pool->home, &a->task);
}

static void answer_cancel(struct hold_answer *a)
{
	task_cancel(&a->task);
	a->done = NULL;
}

/* ---- the end of a hold ---- */

static void hold_end(struct pool *pool)
{
	struct pool_hold *hold = &pool->hold;

	timer_stop(&hold->timer);
	task_cancel(&hold->look);
	answer_cancel(&hold->answer);
	hold->step = HOLD_NONE;
}

static void scrub_goes_on(struct pool *pool)
{
	struct pool_scrub_opts opts = {.bytes_per_s = pool->hold.scrub_bytes_per_s};
	struct err err = {0};

	pool->hold.scrub_bytes_per_s = 0;
	if (opts.bytes_per_s && pool->state == POOL_OPEN && pool_scrub_start(pool, &opts, &err))
		log_warn("pool.scrub", "pool=%s effect=\"it does not go on\" reason=\"%s\"",
			 pool->super.now.name, err.text);
}

void hold_resume(struct pool *pool)
{
	pool->hold.step = HOLD_NONE;
	space_resume(pool);
	reactor_defer(pool->home, &pool->op_task);
	if (pool->log.wanted)
		log_kick(pool);
	checkpoint_resume(pool);
	sums_resume(pool);
	scrub_goes_on(pool);
}

void pool_unhold(struct pool *pool)
{
	if (pool->hold.step == HOLD_NONE || pool->follow || retired(pool))
		return;
	answer_cancel(&pool->hold.broken);
	hold_end(pool);
	hold_resume(pool);
}

void hold_drop(struct pool *pool)
{
	bool held = pool->hold.step != HOLD_NONE;

	answer_cancel(&pool->hold.broken);
	hold_end(pool);
	pool->hold.scrub_bytes_per_s = 0;
	if (held)
		hold_resume(pool);
}

void hold_break(struct pool *pool, int res, const char *why)
{
	struct pool_hold *hold = &pool->hold;

	if (hold->step == HOLD_NONE || pool->follow || retired(pool))
		return;
	(void)err_set(&hold->broken.err, res, "pool %s: %s", pool->super.now.name, why);
	log_warn("pool.hold", "pool=%s ended=\"%s\"", pool->super.now.name, why);
	if (hold->step < HOLD_HELD) { /* it had not begun: that is the answer */
		hold->answer.err = hold->broken.err;
		hold->step = HOLD_NONE;
		answer_soon(pool, &hold->answer);
	} else {
		hold_end(pool);
		answer_soon(pool, &hold->broken);
	}
	timer_stop(&hold->timer);
	hold_resume(pool);
}

/* The checkpoint needs room too, and the last quarter is not enough for everything. */
void hold_check_journal(struct pool *pool)
{
	if (hold_is_held(&pool->hold) && log_blocks_used(pool) > pool->rules.journal_blocks / 8 * 5)
		hold_break(pool, -ENOSPC,
			   "its journal became too full to go on without a checkpoint; try again, "
			   "or when less is written");
}

/* ---- up to HELD ---- */

static void hold_next(struct pool *pool);

static void look_timer(struct timer *timer)
{
	hold_next(container_of(timer, struct pool, hold.timer));
}

static void look_again(struct pool *pool)
{
	struct timer *timer = &pool->hold.timer;

	timer->run = look_timer;
	if (!timer->heap_index &&
	    timer_start(pool->home, timer, reactor_now(pool->home) + LOOK_AGAIN_NS))
		hold_break(pool, -ENOMEM, "out of memory");
}

static void checkpoint_done(void *ctx, int res, const struct err *err)
{
	struct pool *pool = ctx;

	pool->hold.checkpointed = true;
	if (res)
		hold_break(pool, res, "the checkpoint before the hand-over failed");
}

/* Whether the step has what it waits for; asks for it the first time. */
static bool step_is_over(struct pool *pool)
{
	struct pool_hold *hold = &pool->hold;

	switch (hold->step) {
	case HOLD_SCRUB:
		return !scrub_running(pool);
	case HOLD_CHECKPOINT:
		if (!hold->checkpoint_asked) {
			hold->checkpoint_asked = true;
			checkpoint_start(pool, checkpoint_done, pool);
		}
		return hold->checkpointed && checkpoint_is_idle(pool);
	case HOLD_SUPER:
		return pool->super.step == SUPER_IDLE && list_empty(&pool->super.changes);
	case HOLD_NONE:
	case HOLD_HELD:
	case HOLD_FREEZING:
	case HOLD_FROZEN:
		break;
	}
	return false;
}

static void hold_next(struct pool *pool)
{
	struct pool_hold *hold = &pool->hold;

	while (hold->step < HOLD_HELD && step_is_over(pool))
		hold->step++;
	if (hold->step == HOLD_NONE)
		return;
	if (hold->step < HOLD_HELD) {
		look_again(pool);
		return;
	}
	if (hold->step == HOLD_HELD)
		answer_soon(pool, &hold->answer);
	else if (hold->step == HOLD_FREEZING)
		hold_poke(pool);
}

static int hold_refused(const struct pool *pool, struct err *err)
{
	int res = pool_writable(pool);

	if (pool->hold.step != HOLD_NONE || pool->closing)
		return err_set(err, -EBUSY, "pool %s is %s", pool->super.now.name,
			       pool->closing ? "being closed" : "being handed over already");
	if (res || pool->state != POOL_OPEN)
		return err_set(err, res ? res : -EIO, "pool %s is %s: it cannot be handed over",
			       pool->super.now.name, pool_state_name[pool->state]);
	return 0;
}

int pool_hold(struct pool *pool, pool_done_fn done, pool_done_fn broken, void *ctx, struct err *err)
{
	struct pool_hold *hold = &pool->hold;
	int res = hold_refused(pool, err);

	if (res)
		return res;
	hold->checkpoint_asked = hold->checkpointed = false;
	hold->answer = (struct hold_answer){.done = done, .ctx = ctx};
	hold->broken = (struct hold_answer){.done = broken, .ctx = ctx};
	hold->scrub_bytes_per_s = scrub_pause(pool);
	hold->step = HOLD_SCRUB;
	look_again(pool);
	return 0;
}

/* ---- freezing ---- */

static void committed(struct pool_commit *commit, int res)
{
	struct pool *pool = container_of(commit, struct pool, hold.commit);

	pool->hold.committing = false;
	pool->hold.committed = !pool->hold.stale;
	pool->hold.stale = false;
	if (res)
		hold_break(pool, res, "it has failed");
	else
		hold_poke(pool);
}

/*
 * Once a round has begun after the last operation had ended, the maps have nothing new, whatever is on their stack: maps of layers that are on their way out stay there.
 */
static bool journal_lacks(const struct pool *pool)
{
	const struct pool_log *log = &pool->log;

	return log->step != LOG_IDLE || log->leaves || !list_empty(&log->txns) ||
	       !list_empty(&log->commits) ||
	       (!pool->hold.committed && atomic_load(&pool->maps.dirty));
}

/* Maps may change that the round under way does not have. */
static void commit_is_stale(struct pool_hold *hold)
{
	hold->committed = false;
	hold->stale = hold->committing;
}

static bool freeze_waits(struct pool *pool)
{
	struct pool_hold *hold = &pool->hold;

	if (pool->op || !list_empty(&pool->ops[0])) {
		commit_is_stale(hold);
		return true;
	}
	if (hold->committing)
		return true;
	if (journal_lacks(pool)) {
		hold->committing = true;
		hold->commit.done = committed;
		pool_commit(pool, &hold->commit);
		return true;
	}
	if (pool->super.step != SUPER_IDLE || !list_empty(&pool->super.changes)) {
		look_again(pool);
		return true;
	}
	return pool->space.trim.pending != 0 || sums_table_busy(pool);
}

static void freeze_look(struct task *task)
{
	struct pool_hold *hold = container_of(task, struct pool_hold, look);
	struct pool *pool = pool_of(hold);

	if (hold->step != HOLD_FREEZING || freeze_waits(pool))
		return;
	hold->step = HOLD_FROZEN;
	answer_soon(pool, &hold->answer);
}

void hold_poke(struct pool *pool)
{
	if (pool->hold.step != HOLD_FREEZING)
		return;
	pool->hold.look.run = freeze_look;
	reactor_defer(pool->home, &pool->hold.look);
}

int pool_freeze(struct pool *pool, pool_done_fn done, void *ctx, struct err *err)
{
	struct pool_hold *hold = &pool->hold;

	if (hold->step != HOLD_HELD)
		return err_set(err, -ECANCELED, "pool %s is not held for a successor%s%s",
			       pool->super.now.name, hold->broken.err.code ? ": " : "",
			       hold->broken.err.code ? hold->broken.err.text : "");
	hold->answer = (struct hold_answer){.done = done, .ctx = ctx};
	commit_is_stale(hold);
	hold->step = HOLD_FREEZING;
	hold_poke(pool);
	return 0;
}

void pool_thaw(struct pool *pool)
{
	struct pool_hold *hold = &pool->hold;

	if (!hold_is_ending(hold) || pool->follow || retired(pool))
		return;
	timer_stop(&hold->timer); /* it would answer for HOLD_HELD once more */
	task_cancel(&hold->look);
	answer_cancel(&hold->answer);
	hold->step = HOLD_HELD;
	space_resume(pool);
	reactor_defer(pool->home, &pool->op_task);
	if (pool->log.wanted)
		log_kick(pool);
	sums_resume(pool);
}

/* What waits is told that nothing is written any more. */
static void let_go(struct msg *msg)
{
	struct pool *pool = container_of(msg, struct pool, hold.retire);

	pool->super.failed = -ESTALE;
	notes_retire(pool);
	hold_drop(pool);
}

void pool_retire(struct pool *pool)
{
	atomic_store(&pool->write_error, -ESTALE); /* first of all: this is what counts */
	pool->hold.retire.run = let_go;
	reactor_post(pool->home, &pool->hold.retire);
}

void pool_position(const struct pool *pool, struct pool_position *ret)
{
	const struct superblock *sb = &pool->super.now;

	*ret = (struct pool_position){
		.pool = sb->pool,
		.writer = sb->writer,
		.epoch = sb->epoch,
		.generation = sb->generation,
		.lsn = pool->log.durable.lsn,
		.scrub_bytes_per_s = pool->hold.scrub_bytes_per_s,
	};
}

int pool_save(struct pool *pool, uint8_t **ret, size_t *ret_len)
{
	return sums_save(pool, ret, ret_len);
}

void hold_fini(struct pool *pool)
{
	hold_end(pool);
	answer_cancel(&pool->hold.broken);
}
