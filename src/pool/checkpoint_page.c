/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint writes: takes changed leaves, layers, properties and segment table pages, and makes images of them in the moment when a round begins.
 *
 * Invariant: an image holds only what is durable or in the round that announces it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "pool/checkpoint.h"

/* Memory of masks that no cluster needs any more: clusters that were written block by block are full in the end. Readers may still look at it until a turn of the gate has ended. */
struct masks_gone {
	struct gate_turn turn;
	struct map_shared *maps;
	unsigned n;
	void *mask[CHECKPOINT_PAGES * MAP_MASK_PAGES]; /* a leaf takes a page of a batch at least */
};

/* A page for the batch; the image is to be filled by the caller. NULL: no room in the batch, or no pair (then there will be one in the next batch). */
static uint8_t *add_page(struct pool_checkpoint *c, enum page_kind kind, uint64_t owner,
			 uint64_t index, uint64_t *pair)
{
	struct checkpoint_page *page = &c->page[c->n];

	if (c->n == CHECKPOINT_PAGES)
		return NULL;
	if (!*pair)
		*pair = pair_take(&c->segments);
	if (!*pair)
		return NULL;
	*page = (struct checkpoint_page){
		.id = {kind, owner, index},
		.pair = *pair,
		.place = pair_place(&c->segments, *pair),
	};
	page_clear(c->image[c->n]);
	return c->image[c->n++];
}

/* Pairs for the MAP page and for the masks in use. False: some are missing. */
static bool leaf_pairs(struct pool_checkpoint *c, struct map_leaf_pages *pages, unsigned masks)
{
	for (unsigned i = 0; i <= MAP_MASK_PAGES; i++) {
		if (pages->pair[i] || (i > 0 && !(masks >> (i - 1) & 1)))
			continue;
		pages->pair[i] = pair_take(&c->segments);
		if (!pages->pair[i])
			return false;
	}
	return true;
}

static void add_image(struct pool_checkpoint *c, struct map_leaf_pages *pages, unsigned i,
		      const uint8_t image[LAYOUT_PAGE])
{
	const struct map_leaf *leaf = map_leaf_of_pages(pages);
	uint64_t layer = map_layer(map_leaf_map(leaf));
	uint64_t index = map_leaf_index(leaf);
	uint8_t *dst = add_page(c, i ? PAGE_MASK : PAGE_MAP, layer,
				i ? index * MAP_MASK_PAGES + i - 1 : index, &pages->pair[i]);

	ASSERT(dst);
	memcpy(dst, image, LAYOUT_PAGE);
}

/* Without its mask page a PARTIAL entry would be damage, or get a mask that an earlier cluster had there. */
static unsigned masks_needed(const uint8_t map[LAYOUT_PAGE])
{
	unsigned masks = 0;

	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++)
		if (page_entry(map, i) & MAP_PARTIAL)
			masks |= 1u << i / MAP_MASK_CLUSTERS;
	return masks;
}

/* False: it has to wait for the next batch. */
static bool capture_leaf(struct pool *pool, struct map_leaf_pages *pages)
{
	struct pool_checkpoint *c = pool->checkpoint;
	struct map_leaf *leaf = map_leaf_of_pages(pages);
	static _Thread_local uint8_t image[1 + MAP_MASK_PAGES][LAYOUT_PAGE];
	unsigned masks;

	if (c->n + 1 + MAP_MASK_PAGES > CHECKPOINT_PAGES ||
	    !leaf_pairs(c, pages, map_leaf_masks(leaf)))
		return false;
	memset(image, 0, sizeof(image));
	if (!log_collect_leaf(pool, leaf, image))
		return false;
	masks = masks_needed(image[0]);
	if (!leaf_pairs(
		    c, pages,
		    masks)) { /* became partial since; its changes are journaled, it comes again */
		return false;
	}
	list_remove(&pages->link);
	for (unsigned i = 0; i <= MAP_MASK_PAGES; i++)
		if (!i || masks >> (i - 1) & 1)
			add_image(c, pages, i, image[i]);
	return true;
}

static void masks_drained(struct gate_turn *turn)
{
	struct masks_gone *gone = container_of(turn, struct masks_gone, turn);

	map_masks_free(gone->maps, gone->mask, gone->n);
	free(gone);
}

static void trim_leaf(struct masks_gone *gone, struct map_leaf *leaf)
{
	if (gone)
		gone->n += map_leaf_trim(leaf, gone->mask + gone->n);
}

/*
 * A leaf that is captured may have become full since the last time: so all that can be given back is found, without looking at leaves that nobody changes. Without memory to remember it
 * it stays until the leaf changes again.
 */
static bool capture_leaves(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;
	struct masks_gone *gone = list_empty(&c->todo_leaves) ? NULL : calloc(1, sizeof(*gone));
	bool all = true;

	while (all && !list_empty(&c->todo_leaves)) {
		struct map_leaf_pages *pages =
			list_first(&c->todo_leaves, struct map_leaf_pages, link);

		all = capture_leaf(pool, pages);
		if (all)
			trim_leaf(gone, map_leaf_of_pages(pages));
	}
	if (gone && gone->n) {
		gone->maps = &pool->maps;
		gone->turn.drained = masks_drained;
		gate_turn(pool, &gone->turn);
	} else {
		free(gone);
	}
	return all;
}

static bool capture_layer_page(struct pool *pool, uint32_t page)
{
	struct pool_checkpoint *c = pool->checkpoint;
	uint8_t *image = add_page(c, PAGE_LAYER, 0, page, &c->layer_pair[page]);

	if (!image)
		return false;
	for (uint32_t i = 0; i < PAGE_LAYERS; i++) {
		uint32_t slot = page * PAGE_LAYERS + i;
		const struct pool_layer *layer =
			slot < pool->tables.n_slots ? pool->tables.by_slot[slot] : NULL;

		page_set_layer(image, i, layer ? &layer->disk : NULL);
	}
	bitmap_clear(&c->todo_layers, page);
	return true;
}

static bool capture_layers(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	for (size_t i = bitmap_next_set(&c->todo_layers, 0); i != BITMAP_NONE;
	     i = bitmap_next_set(&c->todo_layers, i))
		if (!capture_layer_page(pool, (uint32_t)i))
			return false;
	return true;
}

static unsigned chunks_of(const struct pool_object *object)
{
	return (object->blob_len + PROPS_CHUNK - 1) / PROPS_CHUNK;
}

static bool capture_object(struct pool_checkpoint *c, struct pool_object *object)
{
	if (c->n + chunks_of(object) > CHECKPOINT_PAGES)
		return false;
	for (unsigned i = 0; i < chunks_of(object); i++) {
		if (!object->pair[i])
			object->pair[i] = pair_take(&c->segments);
		if (!object->pair[i])
			return false;
	}
	for (unsigned i = 0; i < chunks_of(object); i++) {
		struct props_chunk chunk;
		uint8_t *image = add_page(c, PAGE_PROPS, object->id, i, &object->pair[i]);

		ASSERT(image &&
		       props_cut(object->blob, object->blob_len, object->revision, i, &chunk));
		page_set_props(image, &chunk);
	}
	list_remove(&object->changed);
	return true;
}

static bool capture_objects(struct pool_checkpoint *c)
{
	while (!list_empty(&c->todo_objects))
		if (!capture_object(c, list_first(&c->todo_objects, struct pool_object, changed)))
			return false;
	return true;
}

static bool capture_segtab(struct pool_checkpoint *c)
{
	struct segments *s = &c->segments;

	for (unsigned t = 0; t < SEGTAB_PAIRS; t++) {
		struct checkpoint_page *page = &c->page[c->n];

		if (!(c->todo_segtab[t / 64] >> (t % 64) & 1))
			continue;
		if (c->n == CHECKPOINT_PAGES)
			return false;
		*page = (struct checkpoint_page){
			.id = {PAGE_SEGMENTS, 0, t},
			.segtab = t,
			.place = segtab_place(t, !(s->tab_winner[t / 64] >> (t % 64) & 1)),
		};
		page_clear(c->image[c->n]);
		for (unsigned i = 0; i < SEGTAB_SLOTS && t * SEGTAB_SLOTS + i < s->n; i++)
			page_set_entry(c->image[c->n], i, s->cluster[t * SEGTAB_SLOTS + i]);
		c->todo_segtab[t / 64] &= ~((uint64_t)1 << (t % 64));
		c->n++;
	}
	return true;
}

void checkpoint_fill(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	c->n = 0;
	if (capture_segtab(c) && capture_layers(pool) && capture_objects(c))
		(void)capture_leaves(pool);
}

bool checkpoint_todo(const struct pool *pool)
{
	const struct pool_checkpoint *c = pool->checkpoint;

	for (unsigned i = 0; i < sizeof(c->todo_segtab) / sizeof(c->todo_segtab[0]); i++)
		if (c->todo_segtab[i])
			return true;
	return !list_empty(&c->todo_leaves) || !list_empty(&c->todo_objects) ||
	       bitmap_next_set(&c->todo_layers, 0) != BITMAP_NONE;
}

uint64_t checkpoint_missing(const struct pool *pool)
{
	const struct pool_checkpoint *c = pool->checkpoint;
	uint64_t needed = 0;
	unsigned looked = 0; /* a batch has no more than that many */

	list_for_each (it, &c->todo_leaves) {
		struct map_leaf_pages *pages = list_entry(it, struct map_leaf_pages, link);
		unsigned masks = map_leaf_masks(map_leaf_of_pages(pages));

		if (looked++ == CHECKPOINT_PAGES)
			break;
		for (unsigned i = 0; i <= MAP_MASK_PAGES; i++)
			needed += !pages->pair[i] && (!i || masks >> (i - 1) & 1);
	}
	list_for_each (it, &c->todo_objects) {
		const struct pool_object *object = list_entry(it, struct pool_object, changed);

		for (unsigned i = 0; i < chunks_of(object); i++)
			needed += !object->pair[i];
	}
	for (size_t i = bitmap_next_set(&c->todo_layers, 0); i != BITMAP_NONE;
	     i = bitmap_next_set(&c->todo_layers, i + 1))
		needed += !c->layer_pair[i];
	return needed > c->segments.free_pairs ? needed - c->segments.free_pairs : 0;
}
