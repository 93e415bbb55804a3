/* SPDX-License-Identifier: Apache-2.0 */
/* Whole pages into maps and out of them while a pool is opened: nobody else sees the map yet, so stores need no order and no lock. */
#include <errno.h>

#include "base/check.h"
#include "pool/map_priv.h"

int map_load_page(struct map *map, uint32_t index, const uint8_t page[LAYOUT_PAGE])
{
	uint64_t first = (uint64_t)index * MAP_LEAF_CLUSTERS;
	struct map_leaf *leaf = map_leaf_at(map, index);
	int n = 0;

	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++) {
		uint64_t entry = page_entry(page, i);

		if (!entry || entry & MAP_PARTIAL)
			continue;
		if (first + i >= map_clusters(map))
			return -ERANGE;
		if (!leaf) { /* makes it */
			int rc = map_put(map, (uint32_t)(first + i), entry, NULL);

			if (rc)
				return rc;
			leaf = map_leaf_at(map, index);
			continue;
		}
		ASSERT(!atomic_load_explicit(&leaf->entry[i], memory_order_relaxed));
		atomic_store_explicit(&leaf->entry[i], entry, memory_order_relaxed);
		n += map_phys(entry) != 0;
	}
	mapped_add(map, n);
	return 0;
}

uint32_t map_leaf_count(const struct map *map)
{
	return atomic_load_explicit(&map->table, memory_order_acquire)->n;
}

uint64_t map_leaf_entry(const struct map_leaf *leaf, unsigned i)
{
	return atomic_load_explicit(&leaf->entry[i], memory_order_relaxed);
}
