/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-overs: a second pool is opened on the disk as successor of the one that works, follows it, and takes over, or the first one goes on. Cuts are made at every event meanwhile, as
 * always; so what a cut leaves at every write of a hand-over is opened and compared.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "crash/crash.h"
#include "pool/handover.h"
#include "pool/sums.h"

struct hand { /* of the one under way */
	struct run *run;
	struct pool *pool;
	struct volumes *set;
	bool held, broken, ready, released;
	struct err why;
	uint8_t *saved; /* pool_save() */
};
static struct hand hand;

static bool chance(struct run *run, unsigned percent)
{
	return rng_below(&run->rng, 100) < percent;
}

/* ---- calls on the home reactor ---- */

static void on_held(void *ctx, int res, const struct err *err)
{
	hand.held = true;
	if (res) {
		hand.broken = true;
		hand.why = *err;
	}
}

static void on_broken(void *ctx, int res, const struct err *err)
{
	hand.broken = true;
	hand.why = *err;
}

static void call_hold(struct run *run)
{
	struct err err = {0};
	int res = pool_hold(run->pool, on_held, on_broken, NULL, &err);

	run_done(run, res, &err);
}

static void call_unhold(struct run *run)
{
	pool_unhold(run->pool);
	run_done(run, 0, NULL);
}

static void call_thaw(struct run *run)
{
	pool_thaw(run->pool);
	run_done(run, 0, NULL);
}

static void call_open(struct run *run)
{
	struct crash_disk *d = run->disk;

	pool_open(&run->env, run->dev == &d->dev ? &d->twin : &d->dev,
		  &(struct pool_open_opts){.successor = true, .memory = &run->memory.ops},
		  &hand.pool, run_done, run);
}

static void call_volumes(struct run *run)
{
	run_done(run, volumes_new(hand.pool, &hand.set, NULL), NULL);
}

static void call_follow(struct run *run)
{
	pool_follow(hand.pool, NULL, run_done, run);
}

static void call_follow_exact(struct run *run)
{
	struct pool_position at;
	int res;

	pool_position(run->pool, &at);
	free(hand.saved);
	res = pool_save(run->pool, &hand.saved, &at.saved_bytes);
	ASSERT(!res);
	at.saved = hand.saved;
	if (hand.saved && chance(run, 25)) { /* a successor that does not know of it */
		at.saved = NULL;
		at.saved_bytes = 0;
	}
	pool_follow(hand.pool, &at, run_done, run);
}

static void call_freeze(struct run *run)
{
	struct err err = {0};
	int res = pool_freeze(run->pool, run_done, run, &err);

	if (res)
		run_done(run, res, &err);
}

static void released(void *ctx)
{
	hand.released = true;
}

static void on_ready(void *ctx, int res, const struct err *err)
{
	hand.ready = true;
	if (volumes_release(hand.set, released, NULL))
		UNREACHABLE();
}

static void call_take_over(struct run *run)
{
	pool_take_over(hand.pool, on_ready, run_done, run);
}

static void next_stopped(void *ctx)
{
	volumes_free(hand.set);
	hand.set = NULL;
	pool_close(hand.pool, run_done, ctx);
}

static void call_close_next(struct run *run)
{
	if (hand.set)
		volumes_stop(hand.set, next_stopped, run);
	else
		pool_close(hand.pool, run_done, run);
}

/* ---- looking ---- */

/* What the maps and the segments have is what is not free. */
static bool space_is_right(const struct pool *pool)
{
	uint64_t used = checkpoint_segments(pool) + sums_homes(pool), total;

	for (struct pool_layer *l = NULL; (l = pool_layer_next(pool, l));)
		used += map_mapped(l->map);
	total = pool->rules.end_cluster - pool->rules.first_cluster;
	return pool->space.free == total - used &&
	       bitmap_count(&pool->space.used) == pool->rules.first_cluster + used;
}

static bool same_map(struct run *run, const struct pool_layer *a, const struct pool_layer *b)
{
	uint64_t end = MAX(map_clusters(a->map), map_clusters(b->map));

	for (uint64_t c = 0; c < end; c++) {
		struct block_mask x = {{0}}, y = {{0}};
		uint64_t in_a = c < map_clusters(a->map) ? map_get(a->map, (uint32_t)c, &x) : 0;
		uint64_t in_b = c < map_clusters(b->map) ? map_get(b->map, (uint32_t)c, &y) : 0;

		if (in_a == in_b && (!(in_a & MAP_PARTIAL) || !memcmp(&x, &y, sizeof(x))))
			continue;
		/*
		 * A cluster of which nothing is valid yet: its place is in RAM alone, and reads are the same without it, whether the parent is hidden or not. (One that was
		 * cleared came by a record: both have it, at the same place.)
		 */
		if (in_b == (in_a & MAP_HIDE) && in_a & MAP_PARTIAL &&
		    layout_is_zero(&x, sizeof(x)))
			continue;
		run_fail(run,
			 "cluster %" PRIu64 " of layer %" PRIu64 " is %" PRIx64
			 " in the old pool and %" PRIx64 " in its successor",
			 c, a->disk.id, in_a, in_b);
		return false;
	}
	return true;
}

static void layer_text(const struct pool_layer *l, char *text, size_t size)
{
	snprintf(text, size, "not there");
	if (l)
		snprintf(text, size,
			 "%" PRIu64 " (parent %" PRIu64 "/%" PRIu64 " object %" PRIu64 "/%" PRIu64
			 " size %" PRIu64 " flags %x cursor %" PRIu64 " peer %" PRIu64 ")",
			 l->disk.id, l->disk.parent, l->parent ? l->parent->disk.id : 0,
			 l->disk.object, l->object ? l->object->id : 0, l->disk.size_bytes,
			 l->disk.flags, l->disk.cursor, l->disk.peer);
}

/* The successor has in RAM exactly what the old pool has. */
static bool same_tables(struct run *run)
{
	for (struct pool_layer *l = NULL; (l = pool_layer_next(run->pool, l));) {
		const struct pool_layer *other = pool_layer_find(hand.pool, l->disk.id);
		char a[200], b[200];

		layer_text(l, a, sizeof(a));
		layer_text(other, b, sizeof(b));
		if (strcmp(a, b) != 0) {
			run_fail(run, "a layer is %s in the old pool and %s in its successor", a,
				 b);
			return false;
		}
		if (!same_map(run, l, other))
			return false;
	}
	if (run->pool->tables.n_layers != hand.pool->tables.n_layers ||
	    run->pool->tables.n_objects != hand.pool->tables.n_objects) {
		run_fail(run, "the successor has layers or objects that the old pool has not");
		return false;
	}
	return true;
}

static bool look(struct run *run)
{
	struct seen s = {.pool = hand.pool, .disk = run->disk, .page = disk_live, .counts = -1};

	if (!same_tables(run))
		return false;

	if (model_check(&run->m, &s)) {
		run_fail(run, "the successor: %s", s.text);
		return false;
	}
	if (!space_is_right(hand.pool)) {
		run_fail(run, "the successor's space is not what its maps have");
		return false;
	}
	return true;
}

/* ---- the ways ---- */

static void work_a_while(struct run *run)
{
	run_work_for(run, (unsigned)rng_below(&run->rng, 40));
}

static bool is_held(void *ctx)
{
	return hand.held;
}

/* False: nothing is held. */
static bool hold(struct run *run)
{
	hand = (struct hand){.run = run};
	if (run_call(run, call_hold)) {
		run_fail(run, "holding: %s", run->err.text);
		return false;
	}
	while (!hand.held && !run->broken && !run->failures)
		run_work_for(run, 1);
	(void)sim_run_until(run->sim, is_held, run, DEADLINE);
	return !hand.broken;
}

static bool open_next(struct run *run)
{
	if (run_call(run, call_open)) {
		if (!hand.broken)
			run_fail(run, "a successor: %s", run->err.text);
		hand.pool = NULL;
		return false;
	}
	return run_call(run, call_volumes) == 0;
}

/* False: it has fallen behind, which is a failure only while the hold stands. */
static bool follow(struct run *run)
{
	for (unsigned n = (unsigned)rng_below(&run->rng, 4); n; n--) {
		work_a_while(run);
		if (!run_call(run, call_follow))
			continue;
		if (!hand.broken)
			run_fail(run, "following: %s", run->err.text);
		return false;
	}
	work_a_while(run);
	return !hand.broken && !run->broken;
}

static bool freeze(struct run *run)
{
	run_quiesce(run);
	while (chance(run, 30)) { /* too late, and again */
		(void)run_call(run, call_freeze);
		(void)run_call(run, call_thaw);
		work_a_while(run);
		run_quiesce(run);
	}
	if (run_call(run, call_freeze)) {
		if (!hand.broken)
			run_fail(run, "freezing: %s", run->err.text);
		return false;
	}
	if (run_call(run, call_follow_exact)) {
		run_fail(run, "following to the end: %s", run->err.text);
		return false;
	}
	return look(run);
}

static bool is_released(void *ctx)
{
	return hand.released;
}

static bool call_is_done(void *ctx)
{
	return ((struct run *)ctx)->done;
}

static void call_checkpoint(struct run *run)
{
	checkpoint_start(hand.pool, run_done, run);
}

/* The old one is asked for all sorts of things, and is closed, and writes nothing. */
static void bury(struct run *run, struct pool *pool, struct volumes *set)
{
	hand.pool = pool;
	hand.set = set;
	if (!run_call(run, call_checkpoint))
		run_fail(run, "a retired pool made a checkpoint");
	(void)run_call(run, call_close_next);
	hand.pool = NULL;
	if (run->disk->late)
		run_fail(run, "a retired pool wrote %u times", run->disk->late);
}

static void take_over(struct run *run)
{
	struct pool *old = run->pool;
	struct volumes *old_set = run->set;

	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		work_close_device(&run->m.object[i]);
	pool_retire(old);
	run->disk->shut = run->dev;
	run->dev = pool_dev(hand.pool);
	run->call = call_take_over;
	run->pool = hand.pool;
	run->set = hand.set;
	run_post(run);
	if (chance(run, 50)) /* I/O that comes before it may */
		run_work_for(run, 3);
	(void)sim_run_until(run->sim, is_released, run, DEADLINE);
	run_work_for(run, 10);
	(void)sim_run_until(run->sim, call_is_done, run, DEADLINE);
	if (run->res)
		run_fail(run, "taking over: %s", run->err.text);
	bury(run, old, old_set);
	sums_squeeze(run);
}

void run_hand_over(struct run *run)
{
	struct weights weights = run->weights;

	/* They write the superblock: the engine holds such calls back. */
	run_quiesce(run);
	run->weights.change[CHANGE_OPTIONS] = run->weights.change[CHANGE_GROW_POOL] = 0;
	run->weights.checkpoint = 0; /* it would wait for the end of the hold */
	run->disk->shut = NULL;
	if (hold(run) && open_next(run) && follow(run) && !run->failures && freeze(run) &&
	    !chance(run, 25)) {
		take_over(run);
		run->handovers++;
	} else {
		(void)run_call(run, call_unhold);
		if (hand.pool)
			(void)run_call(run, call_close_next);
	}
	free(TAKE_PTR(hand.saved));
	run->weights = weights;
}
