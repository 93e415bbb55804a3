/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters on their way back:
 *
 *   detached --collected by a round--> in_round --durable--> durable --turn of the gate--> in_turn --discarded on the device--> free
 *
 * Invariant: a cluster is free only when the record that freed it is durable and no reactor can still be reading or overwriting it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"

#define TRIM_CLUSTERS_MAX 1024u /* of one discard */

static int vec_push(struct cluster_vec *vec, uint64_t phys)
{
	if (vec->n == vec->capacity) {
		size_t capacity = vec->capacity ? vec->capacity * 2 : 256;
		uint64_t *p = reallocarray(vec->phys, capacity, sizeof(*p));

		if (!p)
			return -ENOMEM;
		vec->phys = p;
		vec->capacity = capacity;
	}
	vec->phys[vec->n++] = phys;
	return 0;
}

/* dst is empty; keeps both arrays in use. */
static void vec_move(struct cluster_vec *dst, struct cluster_vec *src)
{
	struct cluster_vec empty = *dst;

	ASSERT(!dst->n);
	*dst = *src;
	*src = empty;
}

void pool_free_cluster(struct pool *pool, uint64_t phys)
{
	ASSERT(bitmap_test(&pool->space.used, phys));
	if (vec_push(&pool->space.freed, phys))
		log_warn("pool.free",
			 "pool=%s cluster=%" PRIu64
			 " reason=\"out of memory\" effect=\"free after the next opening\"",
			 pool->super.now.name, phys);
	log_kick_later(pool);
}

static void free_returns(struct msg *msg)
{
	struct pool_free *req = container_of(msg, struct pool_free, msg);

	req->done(req);
}

static void free_arrives(struct msg *msg)
{
	struct pool_free *req = container_of(msg, struct pool_free, msg);

	for (uint32_t i = 0; i < req->n; i++)
		pool_free_cluster(req->pool, req->phys[i]);
	if (!list_empty(&req->pool->space.wants))
		log_kick(req->pool);
	req->msg.run = free_returns;
	reactor_post(req->reactor, &req->msg);
}

void pool_free_clusters(struct pool *pool, struct pool_free *req)
{
	req->pool = pool;
	req->reactor = reactor_current();
	req->msg.run = free_arrives;
	reactor_post(pool->home, &req->msg);
}

void space_round_begins(struct pool *pool)
{
	vec_move(&pool->space.in_round, &pool->space.freed);
}

static void turn_if_needed(struct pool *pool);

/* ---- the end: told to the device, then free ---- */

static void trim_next(struct pool *pool);

static void turn_over(struct pool *pool)
{
	struct pool_room *space = &pool->space;

	space->in_turn.n = 0;
	space->turning = false;
	space_watch(pool);
	turn_if_needed(pool);
	space_serve(pool);
	if (!space->turning && space->when_idle)
		space->when_idle(pool);
}

static void trim_done(struct batch *batch, int res)
{
	struct pool *pool = container_of(batch, struct pool, space.trim);
	struct pool_room *space = &pool->space;

	if (res && res != -EOPNOTSUPP)
		counter_add(&space->trim_errors, 1); /* costs space on the device, nothing else */
	while (space->trim_at < space->trim_end)
		space_put(pool, space->in_turn.phys[space->trim_at++]);
	if (space->trim_at < space->in_turn.n)
		trim_next(pool);
	else
		turn_over(pool);
	hold_poke(pool);
}

/* The next runs of those that are about to be free; ends at trim_end. */
static unsigned trim_runs(struct pool_room *space)
{
	const uint64_t *phys = space->in_turn.phys;
	size_t i = space->trim_at, end;
	unsigned n = 0;

	for (; i < space->in_turn.n && n < SPACE_TRIMS; i = end) {
		for (end = i + 1; end < space->in_turn.n && end - i < TRIM_CLUSTERS_MAX; end++)
			if (phys[end] != phys[i] + (end - i))
				break;
		space->trim_xfer[n++] = (struct batch_xfer){
			phys[i] * LAYOUT_CLUSTER, (uint32_t)((end - i) * LAYOUT_CLUSTER), NULL};
	}
	space->trim_end = i;
	return n;
}

/* Nobody has them any more. The device may have them back, unless somebody waits for space. */
static void trim_next(struct pool *pool)
{
	struct pool_room *space = &pool->space;
	bool hurry = !list_empty(&space->wants) || pool_writable(pool) || pool->closing ||
		     !(pool->dev->caps & BLK_CAP_DISCARD);
	unsigned n;

	if (hold_is_ending(&pool->hold)) {
		pool->hold.trims_wait = true;
		hold_poke(pool);
		return;
	}
	n = hurry ? 0 : trim_runs(space);
	if (hurry)
		space->trim_end = space->in_turn.n;
	batch_run(&space->trim, pool->dev, BLK_DISCARD, 0, space->trim_xfer, n, trim_done);
}

void space_resume(struct pool *pool)
{
	if (!pool->hold.trims_wait || hold_is_ending(&pool->hold))
		return;
	pool->hold.trims_wait = false;
	trim_next(pool);
}

static void free_drained(struct gate_turn *turn)
{
	struct pool *pool = container_of(turn, struct pool, space.turn);

	pool->space.trim_at = 0;
	trim_next(pool);
}

static void turn_if_needed(struct pool *pool)
{
	struct pool_room *space = &pool->space;

	if (space->turning || !space->durable.n)
		return;
	space->turning = true;
	vec_move(&space->in_turn, &space->durable);
	space->turn = (struct gate_turn){.drained = free_drained};
	gate_turn(pool, &space->turn);
}

void space_round_durable(struct pool *pool)
{
	struct pool_room *space = &pool->space;

	if (!space->durable.n) {
		vec_move(&space->durable, &space->in_round);
	} else {
		for (size_t i = 0; i < space->in_round.n;
		     i++) /* lost ones come back at the next opening */
			(void)vec_push(&space->durable, space->in_round.phys[i]);
		space->in_round.n = 0;
	}
	turn_if_needed(pool);
}
