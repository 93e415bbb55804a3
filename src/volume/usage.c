/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and listings: what a volume has, and what differs between it and one of its snapshots. */
#include <errno.h>
#include <string.h>

#include "volume/priv.h"

void volume_usage(const struct volume *v, struct volume_usage *ret)
{
	const struct pool_layer *layer = v->object->layer;

	memset(ret, 0, sizeof(*ret));
	if (!layer)
		return;
	ret->allocated = map_mapped(layer->map) * LAYOUT_CLUSTER;
	for (const struct pool_layer *l = layer->parent; l; l = l->parent)
		ret->chain += map_mapped(l->map) * LAYOUT_CLUSTER;
	if (list_empty(&layer->children))
		ret->exclusive = ret->allocated;
	else if (layer->children.next->next == &layer->children)
		ret->exclusive = volume_hidden(layer, list_first(&layer->children,
								 struct pool_layer, sibling)) *
				 LAYOUT_CLUSTER;
}

/* Clusters of layer of which child needs nothing: they come back when the layer is merged into it. */
uint64_t volume_hidden(const struct pool_layer *layer, const struct pool_layer *child)
{
	uint64_t n = 0;

	for (uint64_t c = map_next(layer->map, 0); c != UINT64_MAX;
	     c = map_next(layer->map, c + 1)) {
		uint64_t below = map_get(layer->map, (uint32_t)c, NULL), above = 0;

		if (c < map_clusters(child->map))
			above = map_get(child->map, (uint32_t)c, NULL);
		n += map_phys(below) && (above || c >= map_clusters(child->map));
	}
	return n;
}

/* Blocks from block on that v has differently from base: ABSENT is the same. Walks the chain down to base's layer. */
static void find_change(const struct pool_layer *layer, const struct pool_layer *end,
			uint64_t block, uint32_t max, struct map_run *ret)
{
	struct map_run run = {.found = MAP_ABSENT, .blocks = max};

	for (; layer != end; layer = layer->parent) {
		map_find(layer->map, block, run.blocks, &run);
		if (run.found != MAP_ABSENT)
			break;
	}
	*ret = run;
}

/* Clusters that no layer of the chain has are passed over. */
static uint64_t next_mapped(const struct pool_layer *layer, const struct pool_layer *end,
			    uint64_t block)
{
	uint64_t cluster = block / LAYOUT_CLUSTER_BLOCKS, first = UINT64_MAX;

	for (; layer != end; layer = layer->parent) {
		uint64_t c = map_next(layer->map, cluster);

		first = c < first ? c : first;
	}
	if (first == UINT64_MAX)
		return UINT64_MAX;
	return first == cluster ? block : first * LAYOUT_CLUSTER_BLOCKS;
}

static bool joins(const struct volume_extent *last, uint64_t offset, bool zero)
{
	return last->offset + last->length == offset && last->zero == zero;
}

int volume_extents(const struct volume *v, const struct volume *base, uint64_t offset,
		   struct volume_extent *ret, unsigned max, uint64_t *ret_next, struct err *err)
{
	const struct pool_layer *layer = v->object->layer, *end = base ? base->object->layer : NULL;
	uint64_t size = layer ? layer->disk.size_bytes : 0;
	uint64_t blocks = (size + LAYOUT_PAGE - 1) / LAYOUT_PAGE;
	uint64_t block = offset / LAYOUT_PAGE;
	unsigned n = 0;

	if (base && (!end || !layer_in_chain(layer, end)))
		return err_set(err, -EINVAL,
			       "%s does not stand on %s: there is no list of what changed",
			       v->object->name, base->object->name);
	for (block = next_mapped(layer, end, block); block < blocks;
	     block = next_mapped(layer, end, block)) {
		uint64_t left = blocks - block;
		struct map_run run;

		find_change(layer, end, block,
			    left < LAYOUT_CLUSTER_BLOCKS ? (uint32_t)left : LAYOUT_CLUSTER_BLOCKS,
			    &run);
		if (run.found != MAP_ABSENT && n &&
		    joins(&ret[n - 1], block * LAYOUT_PAGE, run.found == MAP_ZERO)) {
			ret[n - 1].length += (uint64_t)run.blocks * LAYOUT_PAGE;
		} else if (run.found != MAP_ABSENT) {
			if (n == max)
				break;
			ret[n++] = (struct volume_extent){block * LAYOUT_PAGE,
							  (uint64_t)run.blocks * LAYOUT_PAGE,
							  run.found == MAP_ZERO};
		}
		block += run.blocks;
	}
	if (n && ret[n - 1].offset + ret[n - 1].length > size)
		ret[n - 1].length = size - ret[n - 1].offset;
	*ret_next = block < blocks ? block * LAYOUT_PAGE : size;
	return (int)n;
}
