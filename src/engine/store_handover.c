/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The old engine's pools in a hot upgrade.
 *
 *   FREE -> HOLDING -> HELD -> FREEZING -> FROZEN -> RETIRED
 *    ^---------------- store_unhold() --------/
 *
 * Each step is a job in the line of every pool, so that what was begun before has ended. turn counts how often we went back: what was begun before that is late, and only ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/tlv.h"
#include "engine/store_handover_priv.h"

struct store_handover *store_handover_get(struct engine *e)
{
	if (!e->store.handover) {
		e->store.handover = calloc(1, sizeof(*e->store.handover));
		if (e->store.handover)
			list_init(&e->store.handover->disks);
	}
	return e->store.handover;
}

void store_handover_fini(struct engine *e)
{
	struct store_handover *h = e->store.handover;

	if (!h)
		return;
	(void)store_disks_left(e);
	json_decref(h->plan);
	free(h);
	e->store.handover = NULL;
}

/* ---- rounds ---- */

struct store_round *store_round_new(struct engine *e, store_handover_fn done, void *ctx)
{
	struct store_round *round = calloc(1, sizeof(*round));

	ASSERT(round); /* a few bytes, in a process that has just been built or works for years */
	round->e = e;
	round->done = done;
	round->ctx = ctx;
	round->left = 1;
	return round;
}

void store_round_error(struct store_round *round, const struct err *err)
{
	if (!round->err.code)
		round->err = *err;
}

static void round_over(struct msg *msg)
{
	struct store_round *round = container_of(msg, struct store_round, msg);

	if (round->over)
		round->over(round);
	if (round->done)
		round->done(round->ctx, round->err.code, round->err.code ? NULL : round->result,
			    round->err.code ? &round->err : NULL);
	json_decref(round->result);
	free(round);
}

void store_round_leave(struct store_round *round)
{
	if (--round->left)
		return;
	round->msg.run = round_over;
	reactor_post(round->e->control, &round->msg);
}

/* ---- hold and freeze: a job a pool ---- */

struct hand_job {
	struct store_job job;
	struct store_round *round;
	struct list waiting; /* pool reactor: in e->store.hand_jobs until the pool has answered */
	uint64_t turn;
	struct pool_position at;
	uint8_t *saved; /* of a freeze: pool_save() */
	size_t saved_bytes;
};

static bool is_late(const struct store_round *round)
{
	return round->turn != round->e->store.handover->turn;
}

static struct hand_job *hand_job_new(struct store_round *round, struct store_pool *sp,
				     void (*run)(struct store_job *job),
				     void (*finish)(struct store_job *job))
{
	struct hand_job *j = store_job_new(round->e, sizeof(*j), sp, NULL, NULL);

	if (!j) {
		store_round_error(round, &(struct err){-ENOMEM, "out of memory"});
		return NULL;
	}
	j->round = round;
	j->turn = round->turn;
	j->job.run = run;
	j->job.finish = finish;
	j->job.no_catalog = true;
	round->left++;
	return j;
}

/* Pool reactor. The pool has answered, or never will. */
static void hand_job_done(struct hand_job *j, int res, const struct err *err)
{
	list_remove(&j->waiting);
	store_job_done(&j->job, res, err);
}

static const struct err given_up = {-ECANCELED, "the hand-over was given up"};

/* Pool reactor. True: it was given up before its turn came. */
static bool begin_late(struct hand_job *j)
{
	struct store *store = &j->job.e->store;

	list_push_back(&store->hand_jobs, &j->waiting);
	if (j->turn == store->hand_turn)
		return false;
	hand_job_done(j, given_up.code, &given_up);
	return true;
}

/* Pool reactor. A freeze or hold that is given up. */
static void end_waiting(struct engine *e)
{
	list_for_each_safe (it, &e->store.hand_jobs)
		hand_job_done(list_entry(it, struct hand_job, waiting), given_up.code, &given_up);
}

/* ---- a hold that ends by itself ---- */

struct break_note {
	struct msg msg;
	struct engine *e;
	uint64_t hold;
	struct err err;
};

static void broken_arrives(struct msg *msg)
{
	struct break_note *note = container_of(msg, struct break_note, msg);
	struct store_handover *h = note->e->store.handover;
	store_handover_fn broken = h->broken;

	if (note->hold == h->hold && broken && h->step != STORE_RETIRED) {
		h->broken = NULL;
		broken(h->broken_ctx, note->err.code, NULL, &note->err);
	}
	free(note);
}

static void pool_broke(void *ctx, int res, const struct err *err)
{
	struct store_pool *sp = ctx;
	struct break_note *note = calloc(1, sizeof(*note));

	ASSERT(note);
	note->e = sp->e;
	note->hold = sp->hold;
	note->err = *err;
	note->msg.run = broken_arrives;
	reactor_post(sp->e->control, &note->msg);
}

/* ---- hold ---- */

static void pool_held(void *ctx, int res, const struct err *err)
{
	struct store_pool *sp = ctx;

	hand_job_done(sp->hold_job, res, err);
}

static void hold_run(struct store_job *job)
{
	struct hand_job *j = (struct hand_job *)job;
	struct store_pool *sp = job->sp;
	struct err err = {0};
	int res;

	if (begin_late(j))
		return;
	sp->hold = j->round->hold;
	sp->hold_job = j;
	res = pool_hold(sp->pool, pool_held, pool_broke, sp, &err);
	if (res)
		hand_job_done(j, res, &err);
}

static void hold_finish(struct store_job *job)
{
	struct hand_job *j = (struct hand_job *)job;

	if (job->err.code)
		store_round_error(j->round, &job->err);
	store_round_leave(j->round);
}

static json_t *plan_of(struct engine *e)
{
	json_t *pools = json_array();

	list_for_each (it, &e->store.pools) {
		const struct store_pool *sp = list_entry(it, struct store_pool, link);

		(void)json_array_append_new(pools,
					    json_pack("{s:s, s:s, s:s, s:b}", "bdev", sp->base_name,
						      "name", sp->name, "uuid", sp->uuid_text,
						      "read_only", !sp->writable));
	}
	return json_pack("{s:o}", "pools", pools);
}

static void hold_over(struct store_round *round)
{
	struct engine *e = round->e;

	if (is_late(round)) {
		round->done = NULL;
		return;
	}
	if (round->err.code) {
		store_unhold(e);
		return;
	}
	e->store.handover->step = STORE_HELD;
	round->result = plan_of(e);
	if (!round->result)
		store_round_error(round, &(struct err){-ENOMEM, "out of memory"});
}

static int hold_refused(struct engine *e, struct err *err)
{
	const struct store_handover *h = store_handover_get(e);

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	if (h->step != STORE_FREE || h->successor)
		return err_set(err, -EBUSY, "the pools are being handed over already");
	if (e->store.opening || e->store.closing)
		return err_set(err, -EBUSY, "a pool is being opened or closed");
	list_for_each (it, &e->store.pools) {
		const struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (sp->state != STORE_OPEN)
			return err_set(err, -EBUSY, "the pool on %s is being opened or closed",
				       sp->base_name);
	}
	return 0;
}

/* A job in the line of every pool that takes writes. */
static void each_pool(struct store_round *round, void (*run)(struct store_job *job),
		      void (*finish)(struct store_job *job))
{
	list_for_each (it, &round->e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);
		struct hand_job *j = sp->writable ? hand_job_new(round, sp, run, finish) : NULL;

		if (j)
			store_job_start(&j->job);
	}
	store_round_leave(round);
}

void store_hold(struct engine *e, store_handover_fn done, store_handover_fn broken, void *ctx)
{
	struct store_round *round = store_round_new(e, done, ctx);
	struct store_handover *h;

	if (hold_refused(e, &round->err)) {
		store_round_leave(round);
		return;
	}
	h = e->store.handover;
	h->step = STORE_HOLDING;
	h->broken = broken;
	h->broken_ctx = ctx;
	round->turn = h->turn;
	round->hold = ++h->hold;
	round->over = hold_over;
	each_pool(round, hold_run, hold_finish);
}

/* ---- freeze ---- */

/* Pool reactor. */
static void pool_frozen(void *ctx, int res, const struct err *err)
{
	struct hand_job *j = ctx;
	struct err own = {0};

	if (!res && pool_save(j->job.sp->pool, &j->saved, &j->saved_bytes)) {
		res = err_set(&own, -ENOMEM, "pool %s: no memory for the sums of its data",
			      j->job.sp->name);
		err = &own;
	}
	hand_job_done(j, res, err);
}

static void freeze_run(struct store_job *job)
{
	struct hand_job *j = (struct hand_job *)job;
	struct err err = {0};
	int res;

	if (begin_late(j))
		return;
	res = pool_freeze(job->sp->pool, pool_frozen, j, &err);
	if (res)
		hand_job_done(j, res, &err);
}

static json_t *position_json(const struct store_pool *sp, const struct pool_position *at)
{
	char writer[UUID_TEXT_SIZE];

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "uuid", sp->uuid_text, "name",
			 sp->name, "writer", uuid_format(&at->writer, writer), "epoch",
			 (json_int_t)at->epoch, "generation", (json_int_t)at->generation, "lsn",
			 (json_int_t)at->lsn, "scrub_bytes_per_s",
			 (json_int_t)at->scrub_bytes_per_s);
}

static void freeze_finish(struct store_job *job)
{
	struct hand_job *j = (struct hand_job *)job;
	struct store_round *round = j->round;

	if (job->err.code) {
		free(j->saved);
		store_round_error(round, &job->err);
	} else {
		free(job->sp->saved);
		job->sp->saved = j->saved;
		job->sp->saved_bytes = j->saved_bytes;
		/* The pool's thread has nothing to do with a frozen pool. */
		pool_position(job->sp->pool, &j->at);
		(void)json_array_append_new(json_object_get(round->result, "pools"),
					    position_json(job->sp, &j->at));
	}
	store_round_leave(round);
}

static void freeze_over(struct store_round *round)
{
	if (is_late(round))
		round->done = NULL;
	else if (round->err.code)
		store_thaw(round->e);
	else
		round->e->store.handover->step = STORE_FROZEN;
}

void store_freeze(struct engine *e, store_handover_fn done, void *ctx)
{
	struct store_round *round = store_round_new(e, done, ctx);
	struct store_handover *h = e->store.handover;

	round->result = json_pack("{s:[]}", "pools");
	if (!round->result || !h || h->step != STORE_HELD) {
		(void)err_set(&round->err, round->result ? -EINVAL : -ENOMEM,
			      round->result ? "the pools are not held" : "out of memory");
		store_round_leave(round);
		return;
	}
	h->step = STORE_FREEZING;
	round->turn = h->turn;
	round->over = freeze_over;
	each_pool(round, freeze_run, freeze_finish);
}

void store_save(struct engine *e, struct tlv_writer *w)
{
	ASSERT(e->store.handover && e->store.handover->step == STORE_FROZEN);
	list_for_each (it, &e->store.pools) {
		const struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (!sp->saved)
			continue;
		tlv_begin(w, STORE_TLV_POOL, 0);
		tlv_put(w, STORE_TLV_POOL_UUID, 0, &sp->uuid, sizeof(sp->uuid));
		tlv_put(w, STORE_TLV_POOL_SUMS, 0, sp->saved, sp->saved_bytes);
		tlv_end(w);
	}
}

/* ---- going back ---- */

struct back {
	struct msg msg;
	struct engine *e;
	bool unhold;
	uint64_t turn;
	unsigned n;
	struct pool *pool[];
};

/* Pool reactor. */
static void go_back(struct msg *msg)
{
	struct back *back = container_of(msg, struct back, msg);

	for (unsigned i = 0; i < back->n; i++) {
		if (back->unhold)
			pool_unhold(back->pool[i]);
		else
			pool_thaw(back->pool[i]);
	}
	back->e->store.hand_turn = back->turn;
	end_waiting(back->e);
	free(back);
}

static void back_to(struct engine *e, bool unhold)
{
	struct back *back;
	unsigned n = 0;

	list_for_each (it, &e->store.pools)
		n++;
	back = calloc(1, sizeof(*back) + n * sizeof(struct pool *));
	ASSERT(back);
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);

		free(TAKE_PTR(sp->saved));
		if (sp->state == STORE_OPEN)
			back->pool[back->n++] = sp->pool;
	}
	back->e = e;
	back->unhold = unhold;
	back->turn = ++e->store.handover->turn;
	back->msg.run = go_back;
	reactor_post(e->pools, &back->msg);
}

void store_unhold(struct engine *e)
{
	struct store_handover *h = e->store.handover;

	if (!h || h->step == STORE_FREE || h->step == STORE_RETIRED)
		return;
	h->step = STORE_FREE;
	h->broken = NULL;
	back_to(e, true);
}

void store_thaw(struct engine *e)
{
	struct store_handover *h = e->store.handover;

	if (!h || (h->step != STORE_FREEZING && h->step != STORE_FROZEN))
		return;
	h->step = STORE_HELD;
	back_to(e, false);
}

void store_retire(struct engine *e)
{
	struct store_handover *h = e->store.handover;

	ASSERT(h && h->step == STORE_FROZEN);
	h->step = STORE_RETIRED;
	list_for_each (it, &e->store.pools) {
		struct store_pool *sp = list_entry(it, struct store_pool, link);

		if (sp->state == STORE_OPEN)
			pool_retire(sp->pool);
	}
}
