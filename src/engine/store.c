/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on pools: one line per pool, two hops each (store.h). And how pools and volumes are found. */
#include "engine/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/store_handover.h"

static void job_begin(struct store_job *job);

void store_init(struct engine *e)
{
	list_init(&e->store.pools);
	list_init(&e->store.problems);
	list_init(&e->store.examined);
	list_init(&e->store.syncs);
	list_init(&e->store.syncing);
	list_init(&e->store.hand_jobs);
	store_notes_init(e);
}

void store_fini(struct engine *e)
{
	list_for_each_safe (it, &e->store.problems)
		store_problem_drop(e, list_entry(it, struct store_problem, link)->bdev);
	store_handover_fini(e);
}

void *store_job_new(struct engine *e, size_t size, struct store_pool *sp, struct rpc_call *call,
		    const json_t *params)
{
	struct store_job *job = calloc(1, size);

	if (!job) {
		if (call)
			rpc_fail(call, -ENOMEM, "out of memory; nothing was changed");
		return NULL;
	}
	job->e = e;
	job->sp = sp;
	job->call = call;
	job->params = json_incref((json_t *)(uintptr_t)params); /* only its count changes */
	return job;
}

void store_job_answer(struct store_job *job)
{
	if (!job->call)
		return;
	if (job->err.code) {
		rpc_fail_err(job->call, &job->err);
		return;
	}
	if (!job->reads)
		log_info("engine.changed", "method=%s", rpc_call_method(job->call));
	rpc_reply(job->call, json_incref(job->result));
}

/* The job has left its line. */
static void job_finish(struct store_job *job)
{
	if (job->finish)
		job->finish(job);
	else
		store_job_answer(job);
	json_decref(job->params);
	json_decref(job->result);
	free(job->pools);
	free(job->sets);
	free(job);
}

void store_line_next(struct store_pool *sp)
{
	struct store_job *job;

	if (list_empty(&sp->line))
		return;
	job = list_first(&sp->line, struct store_job, link);
	/* What the finish of the last one has started found an empty line, and has begun. */
	if (!job->begun)
		job_begin(job);
}

static void job_back(struct msg *msg)
{
	struct store_job *job = container_of(msg, struct store_job, msg);
	struct store_pool *sp = job->sp;
	bool owns_line = job->owns_line;

	if (job->has_catalog && sp->state != STORE_CLOSING)
		store_catalog_apply(job);
	store_catalog_drop(job);
	if (job->reads) {
		job_finish(job);
		return;
	}
	list_remove(&job->link);
	job_finish(job); /* one that owns the line may free sp */
	if (!owns_line)
		store_line_next(sp);
}

void store_job_drop(struct store_job *job)
{
	job->dropped = true;
	job_finish(job);
}

void store_job_next(struct store_job *job)
{
	list_push_front(&job->sp->line, &job->link);
	job_begin(job);
}

static void job_run(struct msg *msg)
{
	struct store_job *job = container_of(msg, struct store_job, msg);

	if (job->detached && job->volume)
		job->volume->user = NULL; /* the catalog has its properties again */
	job->run(job);
}

static int pools_of_all(struct store_job *job)
{
	struct engine *e = job->e;
	unsigned n = 0;

	list_for_each (it, &e->store.pools)
		n++;
	job->pools = calloc(n + 1, sizeof(*job->pools));
	job->sets = calloc(n + 1, sizeof(*job->sets));
	if (!job->pools || !job->sets)
		return err_set(&job->err, -ENOMEM, "out of memory");
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (sp->state != STORE_OPEN)
			continue;
		job->pools[job->n_pools] = sp->pool;
		job->sets[job->n_pools++] = sp->set;
	}
	return 0;
}

static void job_begin(struct store_job *job)
{
	int res = 0;

	job->begun = true;
	if (!job->sp)
		res = pools_of_all(job);
	if (res == 0 && job->prepare)
		res = job->prepare(job);
	if (res < 0) {
		if (!job->err.code)
			(void)err_set(&job->err, res, "%s", strerror(-res));
		job->msg.run = job_back;
		reactor_post(job->e->control, &job->msg);
		return;
	}
	job->msg.run = job_run;
	reactor_post(job->e->pools, &job->msg);
}

void store_job_start(struct store_job *job)
{
	struct store_pool *sp = job->sp;
	bool first;

	if (job->reads) {
		job_begin(job);
		return;
	}
	first = list_empty(&sp->line);
	list_push_back(&sp->line, &job->link);
	if (first)
		job_begin(job);
}

void store_job_done(struct store_job *job, int res, const struct err *err)
{
	if (res && err && err->code)
		job->err = *err;
	else if (res)
		(void)err_set(&job->err, res, "%s", strerror(-res));
	if (!job->reads && !job->no_catalog && job->sp->set)
		store_catalog_take(job);
	job->msg.run = job_back;
	reactor_post(job->e->control, &job->msg);
}

void store_volume_done(void *ctx, int res, struct volume *v, const struct err *err)
{
	store_job_done(ctx, res, err);
}

void store_pool_done(void *ctx, int res, const struct err *err)
{
	store_job_done(ctx, res, err);
}

/* ---- finding ---- */

static bool sp_is(const struct store_pool *sp, const char *name, const char *uuid)
{
	if (uuid)
		return strcasecmp(sp->uuid_text, uuid) == 0;
	return strcmp(sp->name, name) == 0 || strcasecmp(sp->uuid_text, name) == 0;
}

struct store_pool *store_find(struct engine *e, const char *name, const char *uuid, struct err *err)
{
	struct store_pool *found = NULL;

	if (!name == !uuid) {
		(void)err_set(err, -EINVAL, "give the pool by lvs_name or by uuid, one of them");
		return NULL;
	}
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (sp->state == STORE_OPEN && sp_is(sp, name, uuid))
			found = sp;
	}
	if (!found)
		(void)err_set(err, -ENODEV,
			      "no open pool is %s '%.64s'; bdev_lvol_get_lvstores lists them",
			      uuid ? "of UUID" : "named", uuid ? uuid : name);
	return found;
}

bool store_stands_on(struct engine *e, const struct bdev *bdev)
{
	list_for_each (it, &e->store.pools)
		if (list_entry(it, struct store_pool, link)->base == bdev)
			return true;
	return false;
}

struct bdev *store_volume(struct engine *e, const char *name, struct err *err)
{
	struct bdev *bdev = bdev_find(&e->bdevs, name);

	if (bdev && bdev->pool)
		return bdev;
	(void)err_set(err, -ENODEV,
		      bdev ? "%.128s is a block device but no volume or snapshot of a pool"
			   : "no volume or snapshot is named '%.128s'; use pool/volume or its UUID "
			     "(bdev_lvol_get_lvols lists them)",
		      name);
	return NULL;
}

int store_detach(struct store_job *job, struct bdev *bdev)
{
	char user[400];

	if (bdev->dev->claims > 0) {
		rpc_bdev_user_text(job->e, bdev, user, sizeof(user));
		return err_set(&job->err, -EBUSY, "%s is in use by %s", bdev->alias, user);
	}
	job->volume = bdev->volume;
	job->detached = true;
	notify_add(&job->e->notify, "bdev_unregister", bdev->uuid_text);
	bdev_remove(&job->e->bdevs, bdev);
	return 0;
}

/* ---- problems ---- */

void store_problem_drop(struct engine *e, const char *bdev)
{
	list_for_each_safe (it, &e->store.problems) {
		struct store_problem *p = list_entry(it, struct store_problem, link);

		if (strcmp(p->bdev, bdev) != 0)
			continue;
		list_remove(&p->link);
		free(p->text);
		free(p);
	}
}

json_t *store_problems_json(struct engine *e)
{
	json_t *array = json_array();

	list_for_each (it, &e->store.problems) {
		const struct store_problem *p = list_entry(it, struct store_problem, link);

		(void)json_array_append_new(array, json_pack("{s:s, s:i, s:s}", "bdev", p->bdev,
							     "code", p->code, "error", p->text));
	}
	return array;
}
