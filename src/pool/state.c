/* SPDX-License-Identifier: Apache-2.0 */
/* What state a pool is in, who is told, and its numbers. */
#include <errno.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/checkpoint.h"
#include "pool/sums.h"

const char *const pool_state_name[] = {
	[POOL_OPENING] = "opening",     [POOL_OPEN] = "open",       [POOL_READ_ONLY] = "read-only",
	[POOL_FAILED] = "failed",       [POOL_CLOSING] = "closing", [POOL_CLOSED] = "closed",
	[POOL_SUCCESSOR] = "successor",
};

struct blk_dev *pool_dev(const struct pool *pool)
{
	return pool->dev;
}

struct reactor *pool_home(const struct pool *pool)
{
	return pool->home;
}

const struct superblock *pool_superblock(const struct pool *pool)
{
	return &pool->super.now;
}

struct map_shared *pool_map_shared(struct pool *pool)
{
	return &pool->maps;
}

enum pool_state pool_state(const struct pool *pool)
{
	return pool->state;
}

int pool_writable(const struct pool *pool)
{
	return atomic_load_explicit(&pool->write_error, memory_order_relaxed);
}

void pool_set_state(struct pool *pool, enum pool_state state)
{
	pool->state = state;
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].state)
			pool->listener[i].state(pool->listener[i].ctx, state);
}

void pool_fail(struct pool *pool, int res, const char *what)
{
	if (atomic_load(&pool->write_error))
		return;
	atomic_store(&pool->write_error, -EIO);
	(void)err_set(&pool->fail_err, res, "%s: error %d", what, -res);
	log_error("pool.failed",
		  "pool=%s dev=%s while=\"%s\" errno=%d effect=\"reads only\" remedy=\"look at the "
		  "device, then open the pool again\"",
		  pool->super.now.name, pool->dev->name, what, -res);
	if (pool->state == POOL_OPEN)
		pool_set_state(pool, POOL_FAILED);
	hold_break(pool, -EIO, "it has failed");
	log_kick(pool); /* whoever waits is answered */
}

void pool_flush_failed(struct pool *pool, int res, const char *what)
{
	notes_end(pool);
	pool_fail(pool, res, what);
}

void pool_listen(struct pool *pool, const struct pool_listener *listener)
{
	ASSERT(pool->n_listeners < sizeof(pool->listener) / sizeof(pool->listener[0]));
	pool->listener[pool->n_listeners++] = *listener;
}

void pool_unlisten(struct pool *pool, const void *ctx)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].ctx != ctx)
			pool->listener[kept++] = pool->listener[i];
	pool->n_listeners = kept;
}

json_t *pool_stats_json(const struct pool *pool)
{
	const struct pool_checkpoint *c = pool->checkpoint;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o*}", "rounds",
			 (json_int_t)counter_get(&pool->log.rounds), "journal_blocks",
			 (json_int_t)counter_get(&pool->log.blocks_written), "flushes",
			 (json_int_t)counter_get(&pool->log.flushes), "journal_blocks_used",
			 (json_int_t)log_blocks_used(pool), "checkpoints",
			 (json_int_t)counter_get(&c->checkpoints), "checkpoint_pages",
			 (json_int_t)counter_get(&c->pages), "space_requests",
			 (json_int_t)counter_get(&pool->space.want_count), "space_refused",
			 (json_int_t)counter_get(&pool->space.refused), "map_bytes",
			 (json_int_t)atomic_load(&pool->maps.bytes), "sums", sums_stats_json(pool));
}

struct pool_layer *pool_layer_next(const struct pool *pool, const struct pool_layer *layer)
{
	for (uint32_t i = layer ? layer->slot + 1 : 0; i < pool->tables.n_slots; i++)
		if (pool->tables.by_slot[i])
			return pool->tables.by_slot[i];
	return NULL;
}
