/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that are durably gone. A layer may have had millions of clusters: they are freed a slice per pass, so that whoever flushes meanwhile waits for a slice at most. What is
 * left when the pool closes is free at the next opening anyway.
 */
#include "base/check.h"
#include "pool/priv.h"

#define SLICE_CLUSTERS 4096u

static void layer_drained(struct gate_turn *turn)
{
	struct pool_layer *layer = container_of(turn, struct pool_layer, reap);

	/* It was a head once: who waited for a claim on it then, outside of the gate, gives it up when it is granted. One after the other; each turn lets them go on. */
	if (map_claimed(layer->map))
		gate_turn(layer->reaper, turn);
	else
		table_layer_free(layer);
}

static void reap_end(struct pool *pool, struct pool_layer *layer)
{
	list_remove(&layer->sibling);
	layer->reaper = pool;
	layer->reap = (struct gate_turn){.drained = layer_drained};
	gate_turn(pool, &layer->reap);
}

/* False: nothing is left. */
static bool reap_slice(struct pool *pool, struct pool_layer *layer)
{
	uint64_t c = map_next(layer->map, layer->reap_at);

	for (unsigned n = 0; n < SLICE_CLUSTERS && c != UINT64_MAX; n++) {
		uint64_t phys = map_phys(map_get(layer->map, (uint32_t)c, NULL));

		if (phys)
			pool_free_cluster(pool, phys);
		layer->reap_at = c + 1;
		c = map_next(layer->map, c + 1);
	}
	return c != UINT64_MAX;
}

static void reap_next(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, reap_timer);

	while (!list_empty(&pool->reaps)) {
		struct pool_layer *layer = list_first(&pool->reaps, struct pool_layer, sibling);

		if (!reap_slice(pool, layer))
			reap_end(pool, layer);
		/* The next pass; without memory for a timer at once. */
		if (timer_start(pool->home, timer, reactor_now(pool->home)) == 0)
			return;
	}
}

void reap_layer(struct pool *pool, struct pool_layer *layer)
{
	layer->reap_at = 0;
	list_push_back(&pool->reaps, &layer->sibling);
	if (!pool->reap_timer.heap_index)
		reap_next(&pool->reap_timer);
}

void reap_init(struct pool *pool)
{
	list_init(&pool->reaps);
	pool->reap_timer.run = reap_next;
}

void reap_fini(struct pool *pool)
{
	timer_stop(&pool->reap_timer);
	for (struct list *link; (link = list_pop_front(&pool->reaps));)
		table_layer_free(list_entry(link, struct pool_layer, sibling));
}
