/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How pools come and go. A block device that is made is examined: what it holds is opened, and what is there but cannot be opened is a problem that stays until it can, or the device
 * goes.
 *
 *   OPENING --opened--> OPEN --store_close()--> CLOSING --> gone (the base is free)
 *      \--not opened--> gone
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/store_handover.h"
#include "layout/superblock.h"

/* ---- a pool's struct ---- */

static struct store_pool *sp_new(struct engine *e, struct bdev *base)
{
	struct store_pool *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return NULL;
	sp->e = e;
	sp->base = base;
	sp->state = STORE_OPENING;
	list_init(&sp->line);
	snprintf(sp->claim, sizeof(sp->claim), "a pool");
	snprintf(sp->base_name, sizeof(sp->base_name), "%s", base->dev->name);
	base->dev->claims++;
	base->dev->claimed_by = sp->claim;
	list_push_back(&e->store.pools, &sp->link);
	return sp;
}

static void sp_free(struct store_pool *sp)
{
	struct list *link;

	sp->state = STORE_CLOSING;
	sp->base->dev->claims--;
	sp->base->dev->claimed_by = NULL;
	list_remove(&sp->link);
	while ((link = list_pop_front(&sp->line))) {
		struct store_job *job = list_entry(link, struct store_job, link);

		(void)err_set(&job->err, -ENODEV, "the pool was closed");
		store_job_drop(job);
	}
	free(sp->saved);
	free(sp);
}

const struct pool_env *store_env(struct engine *e)
{
	struct store *store = &e->store;
	unsigned n = 0;

	for (unsigned i = 0; i < e->n_data; i++)
		store->users[n++] = e->data[i];
	store->users[n++] = e->control; /* admin queues flush */
	store->users[n++] = e->pools;
	store->env = (struct pool_env){e->pools, store->users, n};
	return &store->env;
}

/* ---- events of an open pool: pool reactor ---- */

struct pool_event {
	struct msg msg;
	struct engine *e;
	char type[32];
	char ctx[200];
};

static void event_arrived(struct msg *msg)
{
	struct pool_event *event = container_of(msg, struct pool_event, msg);

	notify_add(&event->e->notify, event->type, event->ctx);
	free(event);
}

__attribute__((format(printf, 3, 4))) static void event_send(struct store_pool *sp,
							     const char *type, const char *fmt, ...)
{
	struct pool_event *event = calloc(1, sizeof(*event));
	va_list args;

	if (!event)
		return; /* the log has it */
	event->msg.run = event_arrived;
	event->e = sp->e;
	snprintf(event->type, sizeof(event->type), "%s", type);
	va_start(args, fmt);
	(void)vsnprintf(event->ctx, sizeof(event->ctx), fmt, args);
	va_end(args);
	reactor_post(sp->e->control, &event->msg);
}

static void on_space(void *ctx, unsigned percent, bool above)
{
	struct store_pool *sp = ctx;

	event_send(sp, above ? "pool_space_above" : "pool_space_below", "%s %u",
		   pool_superblock(sp->pool)->name, percent);
}

static void on_state(void *ctx, enum pool_state state)
{
	struct store_pool *sp = ctx;

	if (state == POOL_FAILED)
		event_send(sp, "pool_failed", "%s", pool_superblock(sp->pool)->name);
}

/* ---- opening ---- */

struct open_job {
	struct store_job job;
	struct store_open_opts opts;
	struct uuid uuid;
	struct blk_dev *dev;
	const struct pool_env *env;
	store_opened_fn done;
	void *ctx;
};

static void opened(void *ctx, int res, const struct err *err)
{
	struct open_job *open = ctx;
	struct store_pool *sp = open->job.sp;

	if (res) {
		sp->pool = NULL; /* freed */
		store_job_done(&open->job, res, err);
		return;
	}
	res = volumes_new(sp->pool, &sp->set, &open->job.err);
	if (res) {
		sp->set = NULL;
		open->job.err.code = res;
		pool_close(sp->pool, store_pool_done, &open->job);
		return;
	}
	pool_listen(sp->pool,
		    &(struct pool_listener){.space = on_space, .state = on_state, .ctx = sp});
	store_job_done(&open->job, 0, NULL);
}

static void open_run(struct store_job *job)
{
	struct open_job *open = (struct open_job *)job;
	struct pool_open_opts opts = {
		.uuid = open->opts.uuid ? &open->uuid : NULL,
		.read_only = open->opts.read_only || (open->dev->caps & BLK_CAP_READ_ONLY),
		.successor = open->opts.successor,
		.memory = &job->e->store.memory,
	};

	pool_open(open->env, open->dev, &opts, &job->sp->pool, opened, open);
}

static void problem_add(struct engine *e, const char *bdev, const struct err *err)
{
	struct store_problem *p = calloc(1, sizeof(*p));
	char quoted[640];

	log_error("engine.pool.not_opened", "bdev=%s reason=%s", bdev,
		  log_quote(err->text, quoted, sizeof(quoted)));
	store_problem_drop(e, bdev);
	if (!p)
		return;
	snprintf(p->bdev, sizeof(p->bdev), "%s", bdev);
	p->code = err->code;
	p->text = strdup(err->text);
	if (p->text)
		list_push_back(&e->store.problems, &p->link);
	else
		free(p);
}

struct examine_waiter {
	struct list link;
	struct rpc_call *call;
};

static void examined(struct engine *e)
{
	struct list *link;

	if (--e->store.opening > 0)
		return;
	while ((link = list_pop_front(&e->store.examined))) {
		struct examine_waiter *waiter = list_entry(link, struct examine_waiter, link);

		rpc_reply(waiter->call, NULL);
		free(waiter);
	}
}

void store_wait_examined(struct engine *e, struct rpc_call *call)
{
	struct examine_waiter *waiter;

	if (e->store.opening == 0) {
		rpc_reply(call, NULL);
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter) {
		rpc_fail(call, -ENOMEM, "out of memory");
		return;
	}
	waiter->call = call;
	list_push_back(&e->store.examined, &waiter->link);
}

/* Two pools of one name or UUID: which one a name means would depend on the order of the disks. */
static int check_twin(struct store_pool *sp, struct err *err)
{
	list_for_each (it, &sp->e->store.pools) {
		const struct store_pool *other = list_entry(it, struct store_pool, link);

		if (other == sp || other->state != STORE_OPEN)
			continue;
		if (uuid_equal(&other->uuid, &sp->uuid))
			return err_set(err, -EEXIST,
				       "%s holds a copy of pool %s, which is open on %s already; "
				       "take one of them away",
				       sp->base_name, sp->name, other->base_name);
		if (strcmp(other->name, sp->name) == 0)
			return err_set(
				err, -EEXIST,
				"%s holds a pool %s (%s), and another pool of that name is "
				"open on %s; rename that one, then: litepool engine pool open %s",
				sp->base_name, sp->name, sp->uuid_text, other->base_name,
				sp->base_name);
	}
	return 0;
}

static void open_ended(struct open_job *open, int res)
{
	struct engine *e = open->job.e;

	open->done(open->ctx, res, &open->job.err);
	examined(e);
}

static void check_all_closed(struct engine *e);

static void open_undone(struct store_job *job)
{
	/* The pool was closed again: check_twin() did not want it. */
	struct engine *e = job->e;

	sp_free(job->sp);
	open_ended((struct open_job *)job, job->err.code);
	check_all_closed(e);
}

static void unopen_run(struct store_job *job);
static void open_finish(struct store_job *job)
{
	struct open_job *open = (struct open_job *)job, *undo;
	struct store_pool *sp = job->sp;
	struct engine *e = job->e;
	struct err err = job->err;

	if (!err.code && check_twin(sp, &err) < 0) {
		problem_add(e, sp->base_name, &err);
		store_bdevs_remove(sp);
		undo = store_job_new(e, sizeof(*undo), sp, NULL, NULL);
		ASSERT(undo);
		*undo = *open; /* its answer */
		undo->job = (struct store_job){.e = e,
					       .sp = sp,
					       .owns_line = true,
					       .run = unopen_run,
					       .finish = open_undone,
					       .err = err};
		sp->state = STORE_CLOSING;
		store_job_next(&undo->job);
		return;
	}
	if (err.code) {
		if (err.code != -ENOENT)
			problem_add(e, sp->base_name, &err);
		sp_free(sp);
		open_ended(open, err.code);
		check_all_closed(e);
		return;
	}
	store_problem_drop(e, sp->base_name);
	sp->state = STORE_OPEN;
	log_info("engine.pool.open", "pool=%s uuid=%s bdev=%s", sp->name, sp->uuid_text,
		 sp->base_name);
	notify_add(&e->notify, "pool_open", sp->name);
	open_ended(open, 0);
	store_line_next(sp);
}

void store_open(struct engine *e, struct bdev *bdev, const struct store_open_opts *opts,
		store_opened_fn done, void *ctx)
{
	struct store_open_opts planned;
	struct err err = {0};
	struct store_pool *sp;
	struct open_job *open;

	if (bdev->dev->claims > 0) {
		(void)err_set(&err, -EBUSY, "%s is in use already (%s)", bdev->dev->name,
			      bdev->dev->claimed_by);
		done(ctx, err.code, &err);
		return;
	}
	if (store_is_successor(e) && !store_planned(e, bdev, &planned, &err)) {
		done(ctx, err.code, &err);
		return;
	}
	sp = sp_new(e, bdev);
	open = sp ? store_job_new(e, sizeof(*open), sp, NULL, NULL) : NULL;
	if (!open) {
		if (sp)
			sp_free(sp);
		(void)err_set(&err, -ENOMEM, "out of memory");
		done(ctx, err.code, &err);
		return;
	}
	open->opts = *opts;
	if (store_is_successor(e))
		open->opts = planned;
	if (opts->uuid)
		open->uuid = *opts->uuid;
	sp->successor = open->opts.successor;
	open->dev = bdev->dev;
	open->env = store_env(e);
	open->done = done;
	open->ctx = ctx;
	open->job.run = open_run;
	open->job.finish = open_finish;
	open->job.owns_line = true;
	e->store.opening++;
	store_job_start(&open->job);
}

/* ---- closing: pool reactor ---- */

struct close_job {
	struct store_job job;
	bool destroy;
	struct blk_dev *dev;
	struct blk_io io;
	void *zeros;
	unsigned copy;
};

static void wipe_next(struct blk_io *io, int res)
{
	struct close_job *c = container_of(io, struct close_job, io);

	if (res == 0 && c->copy < SUPERBLOCK_COPIES) {
		c->io = (struct blk_io){.op = BLK_WRITE,
					.offset = SUPERBLOCK_COPY_OFFSET(c->copy),
					.length = LAYOUT_PAGE,
					.buf = c->zeros,
					.done = wipe_next};
		c->copy++;
		blk_submit(c->dev, &c->io);
		return;
	}
	if (res == 0 && c->copy == SUPERBLOCK_COPIES) {
		c->io = (struct blk_io){.op = BLK_FLUSH, .done = wipe_next};
		c->copy++;
		blk_submit(c->dev, &c->io);
		return;
	}
	free(c->zeros);
	if (res)
		(void)err_set(&c->job.err, res, "overwriting the pool's superblock on %s: %s",
			      c->dev->name, strerror(-res));
	store_job_done(&c->job, res, &c->job.err);
}

static void pool_closed(void *ctx, int res, const struct err *err)
{
	struct close_job *c = ctx;

	c->job.sp->pool = NULL;
	if (!c->destroy) {
		/* What was answered is durable; not clean only means that the next opening replays more. */
		if (res)
			log_warn("engine.pool.close", "pool=%s reason=\"%s\"", c->job.sp->name,
				 err ? err->text : strerror(-res));
		store_job_done(&c->job, 0, NULL);
		return;
	}
	if (res == -ESTALE) { /* it is another engine's by now */
		store_job_done(&c->job, res, err);
		return;
	}
	c->zeros = aligned_alloc(LAYOUT_PAGE, LAYOUT_PAGE);
	if (!c->zeros) {
		store_job_done(&c->job, -ENOMEM, NULL);
		return;
	}
	memset(c->zeros, 0, LAYOUT_PAGE);
	wipe_next(&c->io, 0);
}

static void jobs_stopped(void *ctx)
{
	struct close_job *c = ctx;
	struct store_pool *sp = c->job.sp;

	volumes_free(sp->set);
	sp->set = NULL;
	pool_unlisten(sp->pool, sp);
	pool_close(sp->pool, pool_closed, c);
}

static void close_run(struct store_job *job)
{
	volumes_stop(job->sp->set, jobs_stopped, job);
}

/* ---- a pool that is not wanted, right after it was opened ---- */

static void unopened(void *ctx, int res, const struct err *err)
{
	struct store_job *job = ctx;

	job->sp->pool = NULL;
	store_job_done(job, 0, NULL);
}

static void unopen_stopped(void *ctx)
{
	struct store_job *job = ctx;

	volumes_free(job->sp->set);
	job->sp->set = NULL;
	pool_unlisten(job->sp->pool, job->sp);
	pool_close(job->sp->pool, unopened, job);
}

static void unopen_run(struct store_job *job)
{
	volumes_stop(job->sp->set, unopen_stopped, job);
}

/* ---- closing: control thread ---- */

static void all_closed(struct task *task)
{
	struct store *store = container_of(task, struct store, closed_task);
	struct engine *e = container_of(store, struct engine, store);

	store->closed(e);
}

static void check_all_closed(struct engine *e)
{
	if (e->store.closing && list_empty(&e->store.pools) && e->store.making == 0) {
		e->store.closed_task.run = all_closed;
		reactor_defer(e->control, &e->store.closed_task);
	}
}

void store_making_begin(struct engine *e, struct bdev *bdev)
{
	bdev->dev->claims++;
	bdev->dev->claimed_by = "a pool that is being created";
	e->store.making++;
}

void store_making_end(struct engine *e, struct bdev *bdev)
{
	bdev->dev->claims--;
	bdev->dev->claimed_by = NULL;
	e->store.making--;
	check_all_closed(e);
}

static int close_prepare(struct store_job *job)
{
	struct close_job *c = (struct close_job *)job;
	struct store_pool *sp = job->sp;
	int res = store_bdevs_unused(sp, &job->err);

	if (res < 0)
		return res;
	if (c->destroy && !sp->writable)
		return err_set(&job->err, -EROFS,
			       "pool %s was opened read-only and is not destroyed; close it, and "
			       "open it to be written first",
			       sp->name);
	store_bdevs_remove(sp);
	sp->state = STORE_CLOSING;
	c->dev = sp->base->dev;
	return 0;
}

static void close_finish(struct store_job *job)
{
	struct close_job *c = (struct close_job *)job;
	struct store_pool *sp = job->sp;
	struct engine *e = job->e;

	store_job_answer(job);
	if (job->dropped)
		return;
	if (sp->state != STORE_CLOSING) {
		store_line_next(sp); /* prepare refused */
		return;
	}
	log_info("engine.pool.closed", "pool=%s destroyed=%d", sp->name, c->destroy);
	notify_add(&e->notify, c->destroy ? "pool_destroyed" : "pool_closed", sp->name);
	sp_free(sp);
	check_all_closed(e);
}

void store_close(struct store_pool *sp, bool destroy, struct rpc_call *call)
{
	struct close_job *c = store_job_new(sp->e, sizeof(*c), sp, call, NULL);

	if (!c)
		return;
	c->destroy = destroy;
	c->job.prepare = close_prepare;
	c->job.run = close_run;
	c->job.finish = close_finish;
	c->job.owns_line = true;
	store_job_start(&c->job);
}

void store_close_all(struct engine *e, void (*closed)(struct engine *e))
{
	e->store.closing = true;
	e->store.closed = closed;
	list_for_each_safe (it, &e->store.pools)
		store_close(list_entry(it, struct store_pool, link), false, NULL);
	check_all_closed(e);
}
