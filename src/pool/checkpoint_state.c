/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checkpoint knows between two runs: what changed, whose page is in which pair, and how much room its pages may need.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "pool/checkpoint.h"

void checkpoint_leaf_changed(struct pool *pool, struct map_leaf *leaf)
{
	struct map_leaf_pages *pages = map_leaf_pages(leaf);

	if (!list_linked(&pages->link))
		list_push_back(&pool->checkpoint->leaves, &pages->link);
}

void checkpoint_object_changed(struct pool *pool, struct pool_object *object)
{
	if (!list_linked(&object->changed))
		list_push_back(&pool->checkpoint->objects, &object->changed);
}

/* LAYER pages by number, with room for more. */
int checkpoint_layer_room(struct pool_checkpoint *c, uint32_t page)
{
	uint32_t n = c->n_layer_pages ? c->n_layer_pages * 2 : 16;
	uint64_t *pair;

	if (page < c->n_layer_pages)
		return 0;
	while (n <= page)
		n *= 2;
	pair = reallocarray(c->layer_pair, n, sizeof(*pair));
	if (!pair)
		return -ENOMEM;
	memset(pair + c->n_layer_pages, 0, (n - c->n_layer_pages) * sizeof(*pair));
	c->layer_pair = pair;
	if (bitmap_resize(&c->layers, n) || bitmap_resize(&c->todo_layers, n))
		return -ENOMEM;
	c->n_layer_pages = n;
	return 0;
}

int checkpoint_layer_changed(struct pool *pool, uint32_t slot)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (checkpoint_layer_room(c, slot / PAGE_LAYERS))
		return -ENOMEM;
	bitmap_set(&c->layers, slot / PAGE_LAYERS);
	return 0;
}

static void free_pairs(struct pool_checkpoint *c, uint64_t *pair, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (pair[i])
			pair_free(&c->segments, pair[i]);
		pair[i] = 0;
	}
}

void checkpoint_layer_gone(struct pool *pool, struct pool_layer *layer)
{
	uint32_t leaves = map_leaf_count(layer->map);

	for (uint32_t i = 0; i < leaves; i++) {
		struct map_leaf *leaf = map_leaf_at(layer->map, i);

		if (!leaf)
			continue;
		list_remove(&map_leaf_pages(leaf)->link);
		free_pairs(pool->checkpoint, map_leaf_pages(leaf)->pair, 1 + MAP_MASK_PAGES);
	}
	map_set_held(layer->map, true); /* its changes interest nobody any more */
	log_forget_map(pool, layer->map);
}

void checkpoint_object_gone(struct pool *pool, struct pool_object *object)
{
	list_remove(&object->changed);
	free_pairs(pool->checkpoint, object->pair, PROPS_CHUNKS);
}

int checkpoint_found_segment(struct pool *pool, uint32_t index, uint64_t phys)
{
	struct segments *s = &pool->checkpoint->segments;

	if (index < s->n && s->cluster[index] && phys)
		return s->cluster[index] == phys ? 0 : -EEXIST;
	if (!phys && (index >= s->n || !s->cluster[index]))
		return 0;
	return segments_set(s, index, phys);
}

void checkpoint_found_segtab(struct pool *pool, unsigned pair, unsigned winner)
{
	struct segments *s = &pool->checkpoint->segments;
	uint64_t bit = (uint64_t)1 << (pair % 64);

	s->tab_winner[pair / 64] =
		winner ? s->tab_winner[pair / 64] | bit : s->tab_winner[pair / 64] & ~bit;
}

/* Where the owner of a page keeps its pair; NULL: it has no such owner. */
static uint64_t *owner_pair(struct pool *pool, const struct page_id *id)
{
	struct pool_layer *layer;
	struct pool_object *object;
	struct map_leaf *leaf;

	switch (id->kind) {
	case PAGE_MAP:
	case PAGE_MASK:
		layer = pool_layer_find(pool, id->owner);
		leaf = layer ? map_leaf_at(layer->map,
					   (uint32_t)(id->kind == PAGE_MAP
							      ? id->index
							      : id->index / MAP_MASK_PAGES))
			     : NULL;
		if (!leaf)
			return NULL;
		return &map_leaf_pages(leaf)
				->pair[id->kind == PAGE_MAP ? 0 : 1 + id->index % MAP_MASK_PAGES];
	case PAGE_PROPS:
		object = pool_object_find(pool, id->owner);
		return object && id->index < PROPS_CHUNKS ? &object->pair[id->index] : NULL;
	case PAGE_LAYER:
		if (id->index >= POOL_LAYER_PAGES ||
		    checkpoint_layer_room(pool->checkpoint, (uint32_t)id->index))
			return NULL;
		return &pool->checkpoint->layer_pair[id->index];
	case PAGE_SEGMENTS:
	case PAGE_KINDS:
		break;
	}
	return NULL;
}

int checkpoint_found_page(struct pool *pool, const struct page_info *info, uint64_t pair,
			  unsigned winner)
{
	uint64_t *owner = info ? owner_pair(pool, &info->id) : NULL;

	if (owner && *owner)
		return -EEXIST;
	if (owner)
		*owner = pair;
	pair_found(&pool->checkpoint->segments, pair, owner != NULL, winner);
	return 0;
}

uint64_t checkpoint_segments(const struct pool *pool)
{
	return pool->checkpoint->segments.in_use;
}

uint64_t checkpoint_reserve(const struct pool *pool)
{
	const struct segments *s = &pool->checkpoint->segments;
	uint64_t pages = atomic_load(&pool->maps.leaves) * (1 + MAP_MASK_PAGES) +
			 pool->tables.n_slots / PAGE_LAYERS + (uint64_t)2 * pool->tables.n_objects;
	uint64_t segments = (pages + SEGMENT_PAIRS - 1) / SEGMENT_PAIRS + 2;

	return segments > s->in_use ? segments - s->in_use : 0;
}

void checkpoint_fini(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (!c)
		return;
	segments_fini(&c->segments);
	bitmap_fini(&c->layers);
	bitmap_fini(&c->todo_layers);
	free(c->layer_pair);
	free(c->image);
	free(c->back);
	free(c->xfer);
	free(c->zeros);
	free(c);
	pool->checkpoint = NULL;
}
