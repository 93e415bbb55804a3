/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps: memory, lookups without a lock, and what the pool's thread does with single clusters.
 *
 * Why map_find() may do without a lock. It reads an entry, if need be the mask, and then the entry again; it believes the mask only if the entry is the
 * same. All loads acquire, all stores release, so whoever has seen a store has seen what its thread did before.
 *
 *  - Entry not PARTIAL: it says everything, in one word.
 *  - Entry PARTIAL with phys A, before and after: every change of what the mask belongs to changes the entry first. Detaching A stores an entry without A before
 *    anybody prepares the mask for another cluster, and A does not come back while this reader is in the gate (map.h, 3). So a bit that was read belongs
 *    to A: had it been B's, the entry's change to something without A would be visible and the second look would differ.
 *  - A became full and PARTIAL again in between: a bit is from before or after, both were true since the lookup began.
 *  - HIDE is set before bits are cleared under it: whoever sees the cleared bit sees HIDE at the second look.
 *  - No mask page: it was taken out after the entry had stopped being PARTIAL, so the second look sees that too. The memory stays for a turn of the gate.
 */
#include "pool/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pool/map_priv.h"

static void bytes_add(struct map_shared *shared, int64_t n)
{
	atomic_fetch_add_explicit(&shared->bytes, (uint64_t)n, memory_order_relaxed);
}

static uint32_t leaves_for(uint64_t clusters)
{
	return (uint32_t)((clusters + MAP_LEAF_CLUSTERS - 1) / MAP_LEAF_CLUSTERS);
}

static size_t table_bytes(uint32_t n)
{
	return sizeof(struct map_table) + n * sizeof(struct map_leaf *);
}

static struct map_table *table_new(uint32_t n)
{
	struct map_table *table = calloc(1, table_bytes(n));

	if (table)
		table->n = n;
	return table;
}

struct map *map_new(struct map_shared *shared, uint64_t layer, uint64_t clusters)
{
	struct map *map = calloc(1, sizeof(*map));
	struct map_table *table = table_new(leaves_for(clusters));

	if (!map || !table) {
		free(map);
		free(table);
		return NULL;
	}
	atomic_init(&map->table, table);
	map->shared = shared;
	map->layer = layer;
	map->clusters = clusters;
	bytes_add(shared, (int64_t)(sizeof(*map) + table_bytes(table->n)));
	return map;
}

static void leaf_free(struct map_leaf *leaf)
{
	for (unsigned i = 0; i < MAP_CLAIM_BUCKETS; i++)
		ASSERT(list_empty(&leaf->bucket[i]));
	for (unsigned i = 0; i < MAP_MASK_PAGES; i++) {
		struct mask_page *page = atomic_load(&leaf->mask[i]);

		if (page)
			bytes_add(leaf->map->shared, -(int64_t)sizeof(*page));
		free(page);
	}
	bytes_add(leaf->map->shared, -(int64_t)sizeof(*leaf));
	atomic_fetch_sub_explicit(&leaf->map->shared->leaves, 1, memory_order_relaxed);
	free(leaf);
}

/* It leaves the shared stack. Others push meanwhile: who is not it goes back. */
static void undirty(struct map *map)
{
	struct map *it = atomic_load(&map->queued) ? map_take_dirty(map->shared) : NULL;

	while (it) {
		struct map *next = map_dirty_next(it);

		if (it != map)
			map_push(it);
		it = next;
	}
}

void map_free(struct map *map)
{
	struct map_table *table;

	if (!map)
		return;
	map_set_thick(map, false);
	undirty(map);
	table = atomic_load(&map->table);
	for (uint32_t i = 0; i < table->n; i++) {
		struct map_leaf *leaf = atomic_load(&table->leaf[i]);

		if (leaf)
			leaf_free(leaf);
	}
	bytes_add(map->shared, -(int64_t)(sizeof(*map) + table_bytes(table->n)));
	free(table);
	free(map);
}

uint64_t map_layer(const struct map *map)
{
	return map->layer;
}

uint64_t map_clusters(const struct map *map)
{
	return map->clusters;
}

uint64_t map_mapped(const struct map *map)
{
	return atomic_load_explicit(&map->mapped, memory_order_relaxed) / 2;
}

void map_set_thick(struct map *map, bool thick)
{
	uint64_t old = thick ? atomic_fetch_or(&map->mapped, 1)
			     : atomic_fetch_and(&map->mapped, ~(uint64_t)1);

	if (thick && !(old & 1))
		atomic_fetch_add(&map->shared->thick_mapped, old / 2);
	if (!thick && (old & 1))
		atomic_fetch_sub(&map->shared->thick_mapped, old / 2);
}

void map_set_held(struct map *map, bool held)
{
	atomic_store_explicit(&map->held, held, memory_order_release);
}

bool map_held(const struct map *map)
{
	return atomic_load_explicit(&map->held, memory_order_relaxed);
}

int map_resize(struct map *map, uint64_t clusters, void **ret_old)
{
	struct map_table *old = atomic_load_explicit(&map->table, memory_order_relaxed), *table;
	uint32_t n = leaves_for(clusters);

	if (ret_old)
		*ret_old = NULL;
	if (clusters < map->clusters)
		ASSERT(map_next(map, clusters) == UINT64_MAX);
	if (n > old->n) {
		table = table_new(n);
		if (!table)
			return -ENOMEM;
		for (uint32_t i = 0; i < old->n; i++)
			atomic_init(&table->leaf[i],
				    atomic_load_explicit(&old->leaf[i], memory_order_relaxed));
		bytes_add(map->shared, (int64_t)(table_bytes(n) - table_bytes(old->n)));
		atomic_store_explicit(&map->table, table, memory_order_release);
		if (ret_old)
			*ret_old = old;
		else
			free(old); /* nobody reads yet */
	}
	map->clusters = clusters; /* smaller: the table stays as it is, its end is empty */
	return 0;
}

static struct map_leaf *leaf_new(struct map *map, uint32_t index)
{
	struct map_leaf *leaf = calloc(1, sizeof(*leaf));

	if (!leaf)
		return NULL;
	leaf->map = map;
	leaf->index = index;
	for (unsigned i = 0; i < MAP_CLAIM_BUCKETS; i++)
		list_init(&leaf->bucket[i]);
	bytes_add(map->shared, (int64_t)sizeof(*leaf));
	atomic_fetch_add_explicit(&map->shared->leaves, 1, memory_order_relaxed);
	return leaf;
}

/* The leaf of the cluster, made if need be. NULL: no memory. */
static struct map_leaf *leaf_get(struct map *map, uint32_t cluster)
{
	struct map_table *table = atomic_load_explicit(&map->table, memory_order_relaxed);
	uint32_t index = cluster / MAP_LEAF_CLUSTERS;
	struct map_leaf *leaf = atomic_load_explicit(&table->leaf[index], memory_order_relaxed);

	if (!leaf) {
		leaf = leaf_new(map, index);
		if (leaf)
			atomic_store_explicit(&table->leaf[index], leaf, memory_order_release);
	}
	return leaf;
}

static int leaf_prepare_mask(struct map_leaf *leaf, unsigned i)
{
	struct mask_page *_Atomic *slot = &leaf->mask[i / MAP_MASK_CLUSTERS];
	struct mask_page *page;

	if (atomic_load_explicit(slot, memory_order_relaxed))
		return 0;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	bytes_add(leaf->map->shared, (int64_t)sizeof(*page));
	atomic_store_explicit(slot, page, memory_order_release);
	return 0;
}

int map_prepare(struct map *map, uint32_t cluster)
{
	struct map_leaf *leaf;

	if (cluster >= map->clusters)
		return -ERANGE;
	leaf = leaf_get(map, cluster);
	return leaf ? leaf_prepare_mask(leaf, cluster % MAP_LEAF_CLUSTERS) : -ENOMEM;
}

/* Bits equal to that of block first, at most max (> 0; within the cluster), and which they are. */
static uint32_t mask_run(const _Atomic uint64_t *mask, unsigned first, uint32_t max, bool *ret_set)
{
	uint64_t word = mask_word(mask, first / 64) >> (first % 64);
	bool set = word & 1;
	uint32_t n = 0;

	*ret_set = set;
	for (;;) {
		unsigned left = 64 - (first + n) % 64; /* bits of word that count */
		uint64_t other = set ? ~word : word;   /* lowest bit set: where the run ends */
		unsigned run = other ? (unsigned)__builtin_ctzll(other) : 64;

		if (run < left)
			return MIN(n + run, max);
		n += left;
		if (n >= max)
			return max;
		word = mask_word(mask, (first + n) / 64);
	}
}

void map_find(const struct map *map, uint64_t block, uint32_t max, struct map_run *ret)
{
	uint64_t cluster = block / LAYOUT_CLUSTER_BLOCKS, entry, again;
	unsigned first = block % LAYOUT_CLUSTER_BLOCKS, i = cluster % MAP_LEAF_CLUSTERS;
	const struct map_leaf *leaf = leaf_find(map, cluster);
	bool here;

	*ret = (struct map_run){MAP_ABSENT, MIN(max, LAYOUT_CLUSTER_BLOCKS - first), 0};
	if (!leaf)
		return;
	for (entry = entry_get(leaf, i);; entry = again) {
		const _Atomic uint64_t *mask;

		here = map_phys(entry) != 0;
		if (!(entry & MAP_PARTIAL))
			break;
		mask = mask_of(leaf, i);
		if (mask) {
			ret->blocks = MIN(max, LAYOUT_CLUSTER_BLOCKS - first);
			ret->blocks = mask_run(mask, first, ret->blocks, &here);
		}
		again = entry_get(leaf, i);
		if (mask && again == entry)
			goto found;
	}
	ret->blocks = MIN(max, LAYOUT_CLUSTER_BLOCKS - first);
found:
	if (here) {
		ret->found = MAP_HERE;
		ret->place = map_phys(entry) * LAYOUT_CLUSTER_BLOCKS + first;
	} else if (entry & MAP_HIDE) {
		ret->found = MAP_ZERO;
	}
}

uint64_t map_get(const struct map *map, uint32_t cluster, struct block_mask *ret_mask)
{
	struct map_leaf *leaf = leaf_find(map, cluster);
	unsigned i = cluster % MAP_LEAF_CLUSTERS;
	uint64_t entry;

	if (!leaf)
		return 0;
	leaf_lock(leaf);
	entry = entry_get(leaf, i);
	if (ret_mask && entry & MAP_PARTIAL) {
		const _Atomic uint64_t *mask = mask_of(leaf, i);

		for (unsigned w = 0; w < MASK_WORDS; w++)
			ret_mask->word[w] = mask_word(mask, w);
	}
	leaf_unlock(leaf);
	return entry;
}

/*
 * In steps that a reader at the same time understands: new bits, then the entry, then bits that go. With another cluster: nothing of the old one
 * is to be seen with the mask of the new one.
 */
static void put(struct map_leaf *leaf, unsigned i, uint64_t entry, const struct block_mask *mask)
{
	uint64_t old = entry_get(leaf, i);
	_Atomic uint64_t *word = mask_of(leaf, i);
	bool same = old & MAP_PARTIAL && map_phys(old) == map_phys(entry);

	if (map_phys(old) && map_phys(old) != map_phys(entry))
		entry_set(leaf, i, 0);
	if (entry & MAP_PARTIAL)
		for (unsigned w = 0; w < MASK_WORDS; w++)
			mask_word_set(word, w, (same ? mask_word(word, w) : 0) | mask->word[w]);
	entry_set(leaf, i, entry);
	if (entry & MAP_PARTIAL)
		for (unsigned w = 0; w < MASK_WORDS; w++)
			mask_word_set(word, w, mask->word[w]);
	mapped_add(leaf->map, (map_phys(entry) != 0) - (map_phys(old) != 0));
}

int map_put(struct map *map, uint32_t cluster, uint64_t entry, const struct block_mask *mask)
{
	unsigned i = cluster % MAP_LEAF_CLUSTERS;
	struct map_leaf *leaf;

	if (cluster >= map->clusters)
		return -ERANGE;
	if (entry == 0 && !leaf_find(map, cluster))
		return 0;
	leaf = leaf_get(map, cluster);
	if (!leaf || (entry & MAP_PARTIAL && leaf_prepare_mask(leaf, i)))
		return -ENOMEM;
	leaf_lock(leaf);
	put(leaf, i, entry, mask);
	leaf_unlock(leaf);
	return 0;
}

uint64_t map_next(const struct map *map, uint64_t from)
{
	while (from < map->clusters) {
		const struct map_leaf *leaf = leaf_find(map, from);
		uint64_t end = (from / MAP_LEAF_CLUSTERS + 1) * MAP_LEAF_CLUSTERS;

		for (end = MIN(end, map->clusters); leaf && from < end; from++)
			if (entry_get(leaf, from % MAP_LEAF_CLUSTERS))
				return from;
		from = end;
	}
	return UINT64_MAX;
}
