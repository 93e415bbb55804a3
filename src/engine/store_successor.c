/* SPDX-License-Identifier: Apache-2.0 */
/* The new engine's pools in a hot upgrade: opened as successors by store_open(), then followed and taken over, each by a job in its line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/tlv.h"
#include "engine/store_handover_priv.h"

bool store_is_successor(const struct engine *e)
{
	return e->store.handover && e->store.handover->successor;
}

/* ---- the plan ---- */

static const json_t *plan_find(const struct engine *e, const char *member, const char *value)
{
	const json_t *pools = json_object_get(e->store.handover->plan, "pools");

	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *one = json_array_get(pools, i);
		const char *text = json_string_value(json_object_get(one, member));

		if (text && strcmp(text, value) == 0)
			return one;
	}
	return NULL;
}

int store_successor(struct engine *e, const json_t *plan, struct err *err)
{
	struct store_handover *h = store_handover_get(e);
	const json_t *pools = json_object_get(plan, "pools");

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *one = json_array_get(pools, i);

		if (!json_string_value(json_object_get(one, "bdev")) ||
		    !json_string_value(json_object_get(one, "uuid")))
			pools = NULL;
	}
	if (!json_is_array(pools))
		return err_set(err, -EBADMSG, "the plan of the pools is not well formed");
	h->plan = json_deep_copy(plan);
	h->successor = h->plan != NULL;
	return h->plan ? 0 : err_set(err, -ENOMEM, "out of memory");
}

bool store_planned(struct engine *e, const struct bdev *bdev, struct store_open_opts *ret,
		   struct err *err)
{
	const json_t *one = plan_find(e, "bdev", bdev->dev->name);
	bool read_only = json_is_true(json_object_get(one, "read_only"));

	if (!one) {
		(void)err_set(err, -ENOENT, "%s: the old engine has no pool open on it",
			      bdev->dev->name);
		return false;
	}
	*ret = (struct store_open_opts){.read_only = read_only, .successor = !read_only};
	return true;
}

/* ---- jobs ---- */

struct next_job {
	struct store_job job;
	struct store_round *round;
	struct pool_position target;
	bool exact;
	uint64_t changes; /* of the objects, before */
	/* Of taking over. */
	struct store_round *ready;
	unsigned parts; /* pool reactor: letting I/O go on, the epoch */
	struct err ready_err, over_err;
	struct msg ready_msg;
};

static struct next_job *next_job_new(struct store_round *round, struct store_pool *sp,
				     void (*run)(struct store_job *job),
				     void (*finish)(struct store_job *job))
{
	struct next_job *j = store_job_new(round->e, sizeof(*j), sp, NULL, NULL);

	if (!j) {
		store_round_error(round, &(struct err){-ENOMEM, "out of memory"});
		return NULL;
	}
	j->round = round;
	j->job.run = run;
	j->job.finish = finish;
	j->job.no_catalog = true;
	round->left++;
	return j;
}

static void next_finish(struct store_job *job)
{
	struct next_job *j = (struct next_job *)job;

	if (job->err.code)
		store_round_error(j->round, &job->err);
	store_round_leave(j->round);
}

/* The pool of that UUID that is to be taken over; NULL. */
static struct store_pool *successor_find(struct engine *e, const char *uuid)
{
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (sp->state == STORE_OPEN && sp->successor &&
		    strcasecmp(sp->uuid_text, uuid) == 0)
			return sp;
	}
	return NULL;
}

/* ---- what the plan has and no replay opens ---- */

static void planned_opened(void *ctx, int res, const struct err *err)
{
	struct store_round *round = ctx;

	if (res)
		store_round_error(round, err);
	store_round_leave(round);
}

/* Pools that were opened by a call of their own: the configuration does not name them. */
static void open_planned(struct store_round *round)
{
	struct engine *e = round->e;
	const json_t *pools = json_object_get(e->store.handover->plan, "pools");

	for (size_t i = 0; i < json_array_size(pools); i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(pools, i), "bdev"));
		struct bdev *bdev = bdev_find(&e->bdevs, name);
		struct err err = {0};

		if (bdev && store_stands_on(e, bdev))
			continue;
		if (!bdev) {
			(void)err_set(&err, -ENODEV,
				      "a pool is on %.64s, and there is no such disk", name);
			store_round_error(round, &err);
			continue;
		}
		round->left++;
		store_open(e, bdev, &(struct store_open_opts){0}, planned_opened, round);
	}
}

/* ---- following ---- */

static int saved_read(const struct tlv *rec, struct uuid *ret_uuid, struct tlv *ret_sums,
		      struct err *err)
{
	struct tlv_reader r;
	struct tlv one;
	int res;

	tlv_enter(rec, &r);
	while ((res = tlv_next(&r, &one)) > 0) {
		if (one.type == STORE_TLV_POOL_UUID)
			res = tlv_get_bytes(&one, ret_uuid, sizeof(*ret_uuid), err);
		else if (one.type == STORE_TLV_POOL_SUMS)
			*ret_sums = one;
		else
			res = tlv_unknown(&one, err);
		if (res < 0)
			return res;
	}
	return res < 0 ? err_set(err, res, "the record of a pool is torn") : 0;
}

int store_restore(struct engine *e, const struct tlv *rec, struct err *err)
{
	char text[UUID_TEXT_SIZE];
	struct uuid uuid = {0};
	struct tlv sums = {0};
	struct store_pool *sp;
	int res = saved_read(rec, &uuid, &sums, err);

	if (res < 0)
		return res;
	sp = successor_find(e, uuid_format(&uuid, text));
	if (!sp)
		return err_set(err, -ESTALE,
			       "the old engine hands over pool %s, which is not open here", text);
	free(sp->saved);
	sp->saved_bytes = sums.len;
	sp->saved = malloc(sums.len ? sums.len : 1);
	if (!sp->saved)
		return err_set(err, -ENOMEM, "no memory for %u bytes of pool %s", sums.len,
			       sp->name);
	if (sums.len)
		memcpy(sp->saved, sums.value, sums.len);
	return 0;
}

static void followed(void *ctx, int res, const struct err *err)
{
	struct next_job *j = ctx;

	j->job.no_catalog = !res && volumes_changes(j->job.sp->set) == j->changes;
	store_job_done(&j->job, res, err);
}

static void follow_finish(struct store_job *job)
{
	const struct next_job *j = (const struct next_job *)job;

	if (j->exact && job->sp)
		free(TAKE_PTR(job->sp->saved));
	next_finish(job);
}

static void follow_run(struct store_job *job)
{
	struct next_job *j = (struct next_job *)job;

	j->changes = volumes_changes(job->sp->set);
	pool_follow(job->sp->pool, j->exact ? &j->target : NULL, followed, j);
}

static void follow_one(struct store_round *round, struct store_pool *sp,
		       const struct pool_position *target)
{
	struct next_job *j = next_job_new(round, sp, follow_run, follow_finish);

	if (!j)
		return;
	j->exact = target != NULL;
	if (target) {
		j->target = *target;
		j->target.saved = sp->saved;
		j->target.saved_bytes = sp->saved ? sp->saved_bytes : 0;
	}
	store_job_start(&j->job);
}

static uint64_t number_at(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static int position_of(const json_t *one, struct pool_position *ret, struct err *err)
{
	const char *uuid = json_string_value(json_object_get(one, "uuid"));
	const char *writer = json_string_value(json_object_get(one, "writer"));

	*ret = (struct pool_position){.epoch = number_at(one, "epoch"),
				      .generation = number_at(one, "generation"),
				      .lsn = number_at(one, "lsn"),
				      .scrub_bytes_per_s = number_at(one, "scrub_bytes_per_s")};
	if (!uuid || !writer || !uuid_parse(uuid, &ret->pool) ||
	    !uuid_parse(writer, &ret->writer) || !ret->epoch || !ret->lsn)
		return err_set(err, -EBADMSG, "the state of the pools is not well formed");
	return 0;
}

/* Then another pool would be taken over without a word about it. */
static bool told_before(const json_t *pools, size_t i)
{
	const char *uuid = json_string_value(json_object_get(json_array_get(pools, i), "uuid"));
	bool found = false;

	for (size_t k = 0; k < i && !found; k++)
		found = !strcasecmp(
			json_string_value(json_object_get(json_array_get(pools, k), "uuid")), uuid);
	return found;
}

static void follow_state(struct store_round *round, const json_t *state)
{
	const json_t *pools = json_object_get(state, "pools");
	size_t n = 0;

	list_for_each (it, &round->e->store.pools)
		n += list_entry(it, struct store_pool, link)->successor;
	if (!json_is_array(pools) || json_array_size(pools) != n)
		(void)err_set(&round->err, -ESTALE,
			      "the old engine hands over %zu pools, and %zu are open here",
			      json_array_size(pools), n);
	for (size_t i = 0; i < json_array_size(pools) && !round->err.code; i++) {
		const json_t *one = json_array_get(pools, i);
		struct pool_position at;
		struct store_pool *sp;

		if (position_of(one, &at, &round->err))
			return;
		sp = successor_find(round->e, json_string_value(json_object_get(one, "uuid")));
		if (sp && !told_before(pools, i))
			follow_one(round, sp, &at);
		else if (sp)
			(void)err_set(&round->err, -EBADMSG,
				      "the old engine hands over pool %s twice", sp->name);
		else
			(void)err_set(
				&round->err, -ESTALE,
				"the old engine hands over pool %.64s, which is not open here",
				json_string_value(json_object_get(one, "uuid")));
	}
}

void store_follow(struct engine *e, const json_t *state, store_handover_fn done, void *ctx)
{
	struct store_round *round = store_round_new(e, done, ctx);

	ASSERT(store_is_successor(e));
	if (state) {
		follow_state(round, state);
	} else {
		open_planned(round);
		list_for_each (it, &e->store.pools) {
			struct store_pool *sp = list_entry(it, struct store_pool, link);

			if (sp->state == STORE_OPEN && sp->successor)
				follow_one(round, sp, NULL);
		}
	}
	store_round_leave(round);
}

/* ---- taking over ---- */

/* Control: a pool's volumes take I/O. From here on it is as if this engine had always had it. */
static void ready_arrives(struct msg *msg)
{
	struct next_job *j = container_of(msg, struct next_job, ready_msg);
	struct store_pool *sp = j->job.sp;

	sp->successor = false;
	sp->writable = true;
	list_for_each (it, &sp->e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->pool == sp)
			bdev->exports_live = true;
	}
	if (j->ready_err.code)
		store_round_error(j->ready, &j->ready_err);
	store_round_leave(j->ready);
}

/* Pool reactor. Both parts are over: the job is. */
static void part_over(struct next_job *j)
{
	if (--j->parts == 0)
		store_job_done(&j->job, j->over_err.code, &j->over_err);
}

static void released(void *ctx)
{
	struct next_job *j = ctx;

	j->ready_msg.run = ready_arrives;
	reactor_post(j->job.e->control, &j->ready_msg);
	part_over(j);
}

static void pool_ready(void *ctx, int res, const struct err *err)
{
	struct next_job *j = ctx;

	if (volumes_release(j->job.sp->set, released, j) == 0)
		return;
	(void)err_set(&j->ready_err, -ENOMEM, "pool %s: no memory to let its I/O go on",
		      j->job.sp->name);
	released(j);
}

static void taken_over(void *ctx, int res, const struct err *err)
{
	struct next_job *j = ctx;

	if (res)
		j->over_err = *err;
	part_over(j);
}

static void take_over_run(struct store_job *job)
{
	struct next_job *j = (struct next_job *)job;

	j->parts = 2;
	pool_take_over(job->sp->pool, pool_ready, taken_over, j);
}

static void all_taken_over(struct store_round *round)
{
	struct store_handover *h = round->e->store.handover;

	h->successor = false;
	json_decref(h->plan);
	h->plan = NULL;
}

void store_take_over(struct engine *e, store_handover_fn ready, store_handover_fn done, void *ctx)
{
	struct store_round *all = store_round_new(e, done, ctx);
	struct store_round *first = store_round_new(e, ready, ctx);

	ASSERT(store_is_successor(e));
	all->over = all_taken_over;
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);
		struct next_job *j =
			sp->successor ? next_job_new(all, sp, take_over_run, next_finish) : NULL;

		if (!j)
			continue;
		j->ready = first;
		first->left++;
		store_job_start(&j->job);
	}
	store_round_leave(first);
	store_round_leave(all);
}
