/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: the steps of enum open_step (load.h) from top to bottom, each as often as it asks for. A step works in slices, so that one pool that is being opened does
 * not hold up what else lives on its reactor.
 *
 * Invariants:
 *  1. Nothing is written before OPEN_EPOCH, and nothing but the superblock before all four copies were read back as ours (FORMAT.md §2, opening for writing).
 *  2. Read-only, nothing is written at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "pool/follow.h"
#include "pool/load.h"
#include "pool/scrub.h"
#include "pool/sums.h"

static void open_run(struct pool_opening *o);

int load_problem(struct pool_opening *o, enum pool_severity severity, const char *kind,
		 uint64_t place, const char *fmt, ...)
{
	char text[sizeof(o->err.text) / 2];
	struct pool_problem problem = {severity, kind, place, text, o->problem_page};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o->opts.problem) {
		o->opts.problem(o->opts.problem_ctx, &problem);
		return 0;
	}
	if (severity == POOL_NOTE)
		return 0;
	return err_set(&o->err, -EUCLEAN, "pool %s on %s is damaged: %s; see 'litepool pool check'",
		       o->pool->super.now.name, o->pool->dev->name, text);
}

/* ---- memory ---- */

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	timer_stop(&pool->log.timer);
	task_cancel(&pool->op_task);
	hold_fini(pool);
	follow_free(pool);
	scrub_fini(pool);
	sums_fini(pool);
	reap_fini(pool);
	table_fini(pool);
	checkpoint_fini(pool);
	log_fini(pool);
	notes_fini(pool);
	space_fini(pool);
	gate_fini(pool);
	super_fini(&pool->super);
	free(pool->slots);
	free(pool);
}

static void opening_free(struct pool_opening *o)
{
	for (unsigned i = 0; i < LOAD_READS; i++)
		free(o->read[i].buf);
	load_pages_fini(&o->pages);
	load_set_fini(&o->announced);
	free(o->xfer);
	free(o->head);
	free(o->ring);
	free(o->segment);
	free(o->torn);
	free(o->zeros);
	free(o->maskless);
	free(o);
}

static void slots_init(struct pool *pool, const struct pool_env *env)
{
	for (unsigned i = 0; i < env->n_users; i++) {
		pool->slots[i].reactor = env->users[i];
		pool->slots[i].pool = pool;
		pool->slot_of[reactor_id(env->users[i])] = (uint8_t)(i + 1);
	}
}

static struct pool *pool_new(const struct pool_env *env, struct blk_dev *dev)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->dev = dev;
	pool->home = env->home;
	pool->state = POOL_OPENING;
	pool->n_slots = env->n_users;
	pool->tables.loading = true;
	pool->slots = calloc(env->n_users ? env->n_users : 1, sizeof(*pool->slots));
	op_init(pool);
	reap_init(pool);
	if (!pool->slots)
		goto fail;
	slots_init(pool, env);
	if (super_init(&pool->super, dev) || gate_init(pool) || table_init(pool))
		goto fail;
	return pool;
fail:
	pool_free(pool);
	return NULL;
}

/* ---- the end ---- */

static void open_end(struct pool_opening *o, int res)
{
	struct pool *pool = o->pool;
	pool_done_fn done = o->done;
	void *ctx = o->ctx;
	struct err err = o->err;

	if (res && !err.code)
		(void)err_set(&err, res, "%s: opening a pool failed: %s", pool->dev->name,
			      strerror(-res));
	opening_free(o);
	pool->opening = NULL;
	if (res)
		pool_free(pool);
	done(ctx, res, &err);
}

static void open_fail(struct pool_opening *o, int res)
{
	o->step = OPEN_DONE;
	if (!o->err.code)
		(void)err_set(&o->err, res, "%s: opening a pool failed: %s", o->pool->dev->name,
			      strerror(-res));
	if (!o->reading) /* else the last one that comes back ends it */
		open_end(o, o->err.code);
}

/* ---- the steps that write ---- */

static int flush(struct pool_opening *o)
{
	batch_flush(&o->batch, o->pool->dev, open_batch_done);
	return LOAD_WAIT;
}

static void super_done(struct pool_super *super, int res)
{
	struct pool *pool = container_of(super, struct pool, super);

	open_batch_done(&pool->opening->batch, res);
}

void open_next_epoch(struct pool *pool, uint64_t lsn)
{
	uint8_t random[16];
	struct uuid writer;

	reactor_random(pool->home, random, sizeof(random));
	writer = uuid_from_random(random);
	pool->super.next = pool->super.now;
	superblock_next_epoch(&pool->super.next, &writer, lsn);
}

static int next_epoch(struct pool_opening *o)
{
	open_next_epoch(o->pool, o->scan.commit.lsn);
	load_notes_claim(o, &o->pool->super.next);
	super_write(&o->pool->super, true, super_done);
	return LOAD_WAIT;
}

static int read_back(struct pool_opening *o)
{
	super_read(&o->pool->super, super_done);
	return LOAD_WAIT;
}

int open_fence(struct pool *pool, struct err *err)
{
	const struct pool_super *super = &pool->super;

	if (super->unread)
		return err_set(err, -EIO,
			       "pool %s on %s: %u of the superblock copies that were just written "
			       "cannot be read back: the device fails",
			       super->now.name, pool->dev->name, super->unread);
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock sb;

		if (superblock_decode(super->page[i], i, &sb, NULL) != SUPERBLOCK_GOOD ||
		    !superblock_is_mine(&super->now, &sb))
			return err_set(err, -ESTALE,
				       "pool %s on %s: superblock copy %u is not what was just "
				       "written: somebody else opens the pool, or the device loses "
				       "writes",
				       super->now.name, pool->dev->name, i);
	}
	superblock_rules(&super->now, &pool->rules);
	return 0;
}

static int fence(struct pool_opening *o)
{
	int rc = open_fence(o->pool, &o->err);

	return rc ? rc : LOAD_NEXT;
}

static int repair(struct pool_opening *o)
{
	batch_run(&o->batch, o->pool->dev, BLK_WRITE, 0, o->torn, (unsigned)o->n_torn,
		  open_batch_done);
	return LOAD_WAIT;
}

static int start(struct pool_opening *o)
{
	struct pool *pool = o->pool;

	if (log_init(pool, &o->scan.commit))
		return err_set(&o->err, -ENOMEM, "no memory for the journal of pool %s",
			       pool->super.now.name);
	if (o->opts.successor && follow_new(pool, &o->scan, o->n_torn, &o->err))
		return o->err.code;
	if (o->read_only && !o->opts.successor)
		atomic_store(&pool->write_error, -EROFS);
	pool_set_state(pool, o->opts.successor ? POOL_SUCCESSOR
			     : o->read_only    ? POOL_READ_ONLY
					       : POOL_OPEN);
	log_info("pool.open",
		 "pool=%s dev=%s epoch=%" PRIu64 " state=%s layers=%u objects=%u segments=%" PRIu64
		 " replayed_blocks=%" PRIu64 " torn_pages=%zu",
		 pool->super.now.name, pool->dev->name, pool->super.now.epoch,
		 pool_state_name[pool->state], pool->tables.n_layers, pool->tables.n_objects,
		 checkpoint_segments(pool), o->scan.commit.lsn - o->scan.rules->tail_lsn,
		 o->n_torn);
	if (!o->opts.successor) /* the old engine writes; pool_take_over() starts it */
		sums_start(pool);
	return LOAD_NEXT;
}

/* ---- the machine ---- */

/* A reader changes nothing: no epoch, no notes. */
static int flush_to_write(struct pool_opening *o)
{
	if (!o->read_only)
		return flush(o);
	o->step = OPEN_START;
	return start(o);
}

static int (*const open_steps[OPEN_DONE])(struct pool_opening *o) = {
	[OPEN_SUPER] = load_super,   [OPEN_CHOOSE] = load_choose,
	[OPEN_HEAD] = load_head,     [OPEN_JOURNAL] = load_journal,
	[OPEN_SCAN] = load_scan,     [OPEN_GATHER] = load_gather,
	[OPEN_SEGTAB] = load_segtab, [OPEN_SEGMENTS] = load_segments,
	[OPEN_LAYERS] = load_layers, [OPEN_MAPS] = load_maps,
	[OPEN_REPLAY] = load_replay, [OPEN_HOMES] = load_homes,
	[OPEN_MATCH] = load_match,   [OPEN_OBJECTS] = load_objects,
	[OPEN_CHECK] = load_check,   [OPEN_OWNERS] = load_owners,
	[OPEN_NOTES] = load_notes,   [OPEN_FLUSH] = flush_to_write,
	[OPEN_EPOCH] = next_epoch,   [OPEN_READ_BACK] = read_back,
	[OPEN_FENCE] = fence,        [OPEN_REPAIR] = repair,
	[OPEN_REPAIR_FLUSH] = flush, [OPEN_START] = start,
	[OPEN_SETTLE] = load_settle, [OPEN_NOTING] = load_noting,
};

static void open_run(struct pool_opening *o)
{
	for (;;) {
		int rc = open_steps[o->step](o);

		if (rc < 0) {
			open_fail(o, rc);
			return;
		}
		if (rc == LOAD_AGAIN)
			open_soon(o);
		if (rc != LOAD_NEXT)
			return;
		o->step++;
		if (o->step == OPEN_DONE) {
			open_end(o, 0);
			return;
		}
	}
}

static void next_slice(struct msg *msg)
{
	struct pool_opening *o = container_of(msg, struct pool_opening, msg);

	o->msg_posted = false;
	if (o->step != OPEN_DONE)
		open_run(o);
	else if (!o->reading) /* had failed */
		open_end(o, o->err.code);
}

void open_soon(struct pool_opening *o)
{
	if (o->msg_posted)
		return;
	o->msg_posted = true;
	o->msg.run = next_slice;
	reactor_post(o->pool->home, &o->msg);
}

/* The device may have lost what only notes know, and a second flush may say that all is well. */
static void forget_notes(struct pool_opening *o)
{
	struct pool *pool = o->pool;
	bool flush = o->step == OPEN_FLUSH || o->step == OPEN_REPAIR_FLUSH ||
		     (o->step == OPEN_EPOCH && pool->super.flush_failed);

	if (!flush || !o->notes_count)
		return;
	notes_end(pool);
	log_error("pool.notes",
		  "pool=%s reason=\"a flush failed while the pool was opened\" effect=\"what was "
		  "answered and not flushed before is lost\"",
		  pool->super.now.name);
}

void open_batch_done(struct batch *batch, int res)
{
	struct pool_opening *o = container_of(batch, struct pool_opening, batch);

	if (res) {
		forget_notes(o);
		open_fail(o, res);
		return;
	}
	o->step++;
	open_run(o);
}

static void begin(struct msg *msg)
{
	struct pool_opening *o = container_of(msg, struct pool_opening, msg);

	o->msg_posted = false;
	if (o->err.code)
		open_fail(o, o->err.code);
	else
		open_run(o);
}

void pool_open(const struct pool_env *env, struct blk_dev *dev, const struct pool_open_opts *opts,
	       struct pool **ret, pool_done_fn done, void *ctx)
{
	struct pool_opening *o = calloc(1, sizeof(*o));
	struct pool *pool = pool_new(env, dev);

	ASSERT(o && pool); /* a few KiB: without them nobody could be told either */
	o->pool = pool;
	o->opts = *opts;
	o->done = done;
	o->ctx = ctx;
	o->read_only = opts->read_only || opts->successor || (opts->problem && !opts->repair);
	if (opts->memory)
		pool->memory = *opts->memory;
	pool->maps.notes = &pool->notes;
	if (opts->uuid) {
		o->uuid = *opts->uuid;
		o->opts.uuid = &o->uuid;
	}
	o->zeros = batch_alloc(LAYOUT_PAGE);
	if (!o->zeros)
		(void)err_set(&o->err, -ENOMEM, "no memory to open a pool");
	else if ((!o->read_only || opts->successor) && dev->caps & BLK_CAP_READ_ONLY)
		(void)err_set(&o->err, -EROFS, "%s is read-only: open the pool read-only too",
			      dev->name);
	pool->opening = o;
	*ret = pool;
	o->msg_posted = true;
	o->msg.run = begin;
	reactor_post(env->home, &o->msg);
}
