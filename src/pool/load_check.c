/* SPDX-License-Identifier: Apache-2.0 */
/* After replay: what no single page or record can show. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pool/load.h"

#define SLICE_LEAVES  64u /* of 504 entries that are looked at in a pass */
#define SLICE_OBJECTS 64u /* whose properties are decoded in a pass */
#define NO_PLACE      UINT64_MAX

/* The next layer at or behind slot, NULL: none. */
static struct pool_layer *layer_from(const struct pool *pool, uint32_t *slot)
{
	while (*slot < pool->tables.n_slots)
		if (pool->tables.by_slot[(*slot)++])
			return pool->tables.by_slot[*slot - 1];
	return NULL;
}

/* ---- objects ---- */

static int match_object(struct pool_opening *o, struct pool_layer *layer)
{
	struct pool_object *object;

	if (!layer->disk.object)
		return 0;
	object = pool_object_find(o->pool, layer->disk.object);
	if (!object)
		return load_problem(o, POOL_DAMAGE, "object", NO_PLACE,
				    "object %" PRIu64 " of layer %" PRIu64
				    " has no (or not all of its) properties",
				    layer->disk.object, layer->disk.id);
	if (object->layer)
		return load_problem(o, POOL_DAMAGE, "object", NO_PLACE,
				    "object %" PRIu64 " has two layers: %" PRIu64 " and %" PRIu64,
				    object->id, object->layer->disk.id, layer->disk.id);
	object->layer = layer;
	return 0;
}

/*
 * An object that no layer names is gone: pages of what was deleted stay where they were until their pair is used again. In the journal such a thing
 * cannot be, but that an object without blocks is forgotten harms nobody.
 */
static int settle_object(struct pool_opening *o, struct pool_object *object)
{
	struct err why = {0};
	int rc;

	if (!object->layer) {
		checkpoint_object_gone(o->pool, object);
		table_object_remove(o->pool, object);
		return 0;
	}
	rc = table_settle_object(o->pool, object, &why);
	if (!rc)
		return 0;
	if (rc != -EUCLEAN) {
		o->err = why;
		return rc;
	}
	return load_problem(o, POOL_DAMAGE, "object", NO_PLACE, "%s", why.text);
}

int load_match(struct pool_opening *o)
{
	struct pool_layer *layer;
	int rc = 0;

	for (uint32_t slot = 0; !rc && (layer = layer_from(o->pool, &slot));)
		rc = match_object(o, layer);
	o->next_object = o->pool->tables.objects.next;
	return rc ? rc : LOAD_NEXT;
}

int load_objects(struct pool_opening *o)
{
	for (unsigned left = SLICE_OBJECTS; left; left--) {
		struct list *it = o->next_object;
		int rc;

		if (it == &o->pool->tables.objects)
			return LOAD_NEXT;
		o->next_object = it->next;
		rc = settle_object(o, list_entry(it, struct pool_object, link));
		if (rc)
			return rc;
	}
	return LOAD_AGAIN;
}

/* ---- layers ---- */

static int check_size(struct pool_opening *o, struct pool_layer *layer)
{
	uint64_t clusters = layer_clusters(&layer->disk);
	uint64_t behind = map_next(layer->map, clusters);
	int rc = 0;

	if (behind != UINT64_MAX)
		rc = load_problem(o, POOL_DAMAGE, "layer", NO_PLACE,
				  "layer %" PRIu64 " has %" PRIu64
				  " clusters and maps cluster %" PRIu64,
				  layer->disk.id, clusters, behind);
	if (rc)
		return rc;
	for (; behind != UINT64_MAX; behind = map_next(layer->map, behind + 1))
		(void)map_put(layer->map, (uint32_t)behind, 0, NULL); /* clearing needs no memory */
	return map_resize(layer->map, clusters, NULL)
		       ? err_set(&o->err, -ENOMEM, "no memory for the maps of the pool")
		       : 0;
}

/* Links are made one after the other, so a cycle shows when it would be closed. */
static int check_parent(struct pool_opening *o, struct pool_layer *layer)
{
	struct err why = {0};
	int rc;

	rc = table_link(o->pool, layer, &why);
	return rc ? load_problem(o, POOL_DAMAGE, "layer", NO_PLACE, "%s", why.text) : 0;
}

static bool stands_on(struct pool_opening *o, uint64_t id, const struct pool_layer *layer)
{
	const struct pool_layer *child = pool_layer_find(o->pool, id);

	return child && child->parent == layer;
}

static int check_layer(struct pool_opening *o, struct pool_layer *layer)
{
	const struct layer *disk = &layer->disk;

	/* One whose child has been deleted or decoupled meanwhile has nobody to merge into: it only goes. */
	if (disk->peer && !list_empty(&layer->children) && !stands_on(o, disk->peer, layer))
		return load_problem(o, POOL_DAMAGE, "layer", NO_PLACE,
				    "layer %" PRIu64 " is being merged into layer %" PRIu64
				    ", which does not stand on it",
				    disk->id, disk->peer);
	if (layer->parent && !(layer->parent->disk.flags & LAYER_READ_ONLY))
		return load_problem(o, POOL_DAMAGE, "layer", NO_PLACE,
				    "layer %" PRIu64 " stands on layer %" PRIu64
				    ", which can be written",
				    disk->id, disk->parent);
	return check_size(o, layer);
}

static int each_layer(struct pool_opening *o,
		      int (*check)(struct pool_opening *o, struct pool_layer *layer))
{
	struct pool_layer *layer;
	int rc = 0;

	for (uint32_t slot = 0; !rc && (layer = layer_from(o->pool, &slot));)
		rc = check(o, layer);
	return rc;
}

/* ---- the rest ---- */

/* Entries whose mask was not in the pages: has the journal brought it? */
static int check_masks(struct pool_opening *o)
{
	int rc = 0;

	for (size_t i = 0; i < o->n_maskless && !rc; i++) {
		const struct load_maskless *m = &o->maskless[i];
		struct pool_layer *layer = pool_layer_find(o->pool, m->layer);
		struct block_mask mask;

		if (!layer || m->cluster >= map_clusters(layer->map) ||
		    !(map_get(layer->map, m->cluster, &mask) & MAP_PARTIAL) ||
		    memcmp(&mask, &o->sentinel, sizeof(mask)) != 0)
			continue;
		o->problem_page = (struct page_id){PAGE_MASK, m->layer, m->cluster / PAGE_MASKS};
		rc = load_problem(o, POOL_DAMAGE, "page", NO_PLACE,
				  "the mask of cluster %" PRIu32 " of layer %" PRIu64
				  " is missing: page MASK %" PRIu64 "/%" PRIu32,
				  m->cluster, m->layer, m->layer, m->cluster / PAGE_MASKS);
		o->problem_page = (struct page_id){0};
	}
	return rc;
}

static int check_ids(struct pool_opening *o)
{
	uint64_t next = o->pool->next_id;

	return next <= LAYOUT_COUNT_MAX
		       ? 0
		       : load_problem(o, POOL_DAMAGE, "layer", NO_PLACE,
				      "ids of layers and objects are used up to %" PRIu64
				      ": nobody can have made so many",
				      next - 1);
}

static void bind_all(struct pool *pool)
{
	struct pool_layer *layer;

	for (uint32_t slot = 0; (layer = layer_from(pool, &slot));)
		table_bind(pool, layer);
}

int load_check(struct pool_opening *o)
{
	int rc;

	o->pool->tables.loading = false;
	rc = check_ids(o);
	if (!rc)
		rc = each_layer(o, check_parent);
	if (!rc)
		rc = each_layer(o, check_layer);
	if (!rc)
		rc = check_masks(o);
	if (rc)
		return rc;
	bind_all(o->pool);
	return LOAD_NEXT;
}

/* ---- one owner per cluster ---- */

static int own_leaf(struct pool_opening *o, const struct pool_layer *layer,
		    const struct map_leaf *leaf)
{
	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++) {
		uint64_t phys = map_phys(map_leaf_entry(leaf, i));
		int rc;

		if (!phys || !space_own(o->pool, phys))
			continue;
		rc = load_problem(o, POOL_DAMAGE, "cluster", phys * LAYOUT_CLUSTER_BLOCKS,
				  "cluster %" PRIu64 " is cluster %" PRIu64 " of layer %" PRIu64
				  ", and has another owner too",
				  phys, (uint64_t)map_leaf_index(leaf) * MAP_LEAF_CLUSTERS + i,
				  layer->disk.id);
		if (rc)
			return rc;
	}
	return 0;
}

int load_owners(struct pool_opening *o)
{
	unsigned left = SLICE_LEAVES;

	for (; o->next_slot < o->pool->tables.n_slots; o->next_slot++) {
		const struct pool_layer *layer = o->pool->tables.by_slot[o->next_slot];
		uint64_t clusters = layer ? layer_clusters(&layer->disk) : 0;
		uint64_t leaves = (clusters + MAP_LEAF_CLUSTERS - 1) / MAP_LEAF_CLUSTERS;

		for (; o->next_leaf < leaves; o->next_leaf++) {
			const struct map_leaf *leaf =
				map_leaf_at(layer->map, (uint32_t)o->next_leaf);
			int rc = leaf ? own_leaf(o, layer, leaf) : 0;

			if (rc)
				return rc;
			if (leaf && !--left) {
				o->next_leaf++;
				return LOAD_AGAIN;
			}
		}
		o->next_leaf = 0;
	}
	return LOAD_NEXT;
}
