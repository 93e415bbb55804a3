/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed, for the journal and the checkpoint: the pool's thread takes the stack of changed maps, of each the stack of changed leaves, and copies out of each leaf,
 * under its lock, what changed since the last time.
 *
 * A leaf is on its map's stack once: its `queued` is set under its lock by whoever puts it there and cleared by the collection, in the same moment in which it
 * copies. So a change is either in the copy or puts the leaf on the stack again. A map is on the shared stack once: its `queued` is set after the leaf was pushed and
 * cleared before the leaves are taken (both by an exchange, so that one sees the other). So a leaf is either among those taken or its map comes again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pool/map_priv.h"

bool map_clean(const struct map *map)
{
	/* durable first: it never overtakes begun, and what is begun after we looked need not be covered. */
	uint64_t durable = atomic_load_explicit(&map->durable, memory_order_acquire);

	return atomic_load_explicit(&map->begun, memory_order_acquire) == durable;
}

bool map_settled(const struct map *map)
{
	uint64_t durable = atomic_load_explicit(&map->exposed_durable, memory_order_acquire);

	return atomic_load_explicit(&map->exposed_begun, memory_order_acquire) == durable;
}

void map_set_durable(struct map *map)
{
	atomic_store_explicit(&map->durable, map->taken, memory_order_release);
	atomic_store_explicit(&map->exposed_durable, map->exposed_taken, memory_order_release);
}

void map_touch(struct map *map, uint32_t cluster)
{
	struct map_leaf *leaf = leaf_find(map, cluster);
	unsigned i = cluster % MAP_LEAF_CLUSTERS;
	struct block_mask mask = {{0}};
	struct map_noted change;
	uint64_t entry;

	if (!leaf)
		return;
	leaf_lock(leaf);
	entry = entry_get(leaf, i);
	if (entry & MAP_PARTIAL)
		mask = mask_get(leaf, i);
	change = map_change_begin(leaf, i, entry, &mask);
	map_change_end(leaf, i, change);
	leaf_unlock(leaf);
	map_change_told(leaf, change);
}

void map_push(struct map *map)
{
	struct map *_Atomic *dirty = &map->shared->dirty;
	struct map *top = atomic_load_explicit(dirty, memory_order_relaxed);

	do {
		map->next = top;
	} while (!atomic_compare_exchange_weak_explicit(dirty, &top, map, memory_order_release,
							memory_order_relaxed));
}

static void leaf_push(struct map_leaf *leaf)
{
	struct map_leaf *_Atomic *leaves = &leaf->map->leaves;
	struct map_leaf *top = atomic_load_explicit(leaves, memory_order_relaxed);

	do {
		leaf->next = top;
	} while (!atomic_compare_exchange_weak_explicit(leaves, &top, leaf, memory_order_release,
							memory_order_relaxed));
}

/*
 * Under the lock. The note comes before anybody can see the change: else what is written into a block that has just become valid could be answered, and the block not be
 * valid any more in the next process.
 */
struct map_noted map_change_begin(struct map_leaf *leaf, unsigned i, uint64_t entry,
				  const struct block_mask *mask)
{
	struct map *map = leaf->map;
	struct notes *notes = map->shared->notes;
	struct map_noted change = {NULL};
	struct note note = {
		.layer = map->layer,
		.entry = entry,
		.seq = atomic_fetch_add_explicit(&map->begun, 1, memory_order_acq_rel) + 1,
		.cluster = leaf->index * MAP_LEAF_CLUSTERS + i,
	};

	if (!atomic_load_explicit(&map->held, memory_order_acquire))
		change.region = notes_enter(notes);
	if (!change.region) {
		atomic_fetch_add_explicit(&map->exposed_begun, 1, memory_order_acq_rel);
		return change;
	}
	if (entry & MAP_PARTIAL)
		note.mask = *mask;
	notes_append(notes, change.region, &note);
	return change;
}

/* Under the lock. */
void map_change_end(struct map_leaf *leaf, unsigned i, struct map_noted change)
{
	struct map *map = leaf->map;

	leaf->changed[i / 64] |= (uint64_t)1 << (i % 64);
	if (!leaf->queued) {
		leaf->queued = true;
		leaf_push(leaf);
	}
	/* Also when the leaf was taken and is not collected yet: the count of this change is not in what that round calls durable. */
	if (!atomic_exchange_explicit(&map->queued, true, memory_order_acq_rel))
		map_push(map);
	if (!change.region)
		atomic_fetch_add_explicit(&map->exposed_ended, 1, memory_order_release);
	atomic_fetch_add_explicit(&map->ended, 1, memory_order_release);
	if (change.region)
		notes_leave(change.region);
}

struct map *map_take_dirty(struct map_shared *shared)
{
	return atomic_exchange_explicit(&shared->dirty, NULL, memory_order_acquire);
}

struct map *map_dirty_next(const struct map *map)
{
	return map->next;
}

void map_redirty(struct map *map)
{
	map_push(map);
}

void map_collect_begin(struct map *map)
{
	(void)atomic_exchange_explicit(&map->queued, false, memory_order_acq_rel);
	map->taken = atomic_load_explicit(&map->ended, memory_order_acquire);
	map->exposed_taken = atomic_load_explicit(&map->exposed_ended, memory_order_acquire);
}

void map_round_join(struct map *map, struct list *round)
{
	if (!map->marked)
		list_push_back(round, &map->round);
	map->marked = true;
}

struct map *map_round_pop(struct list *round)
{
	struct list *link = list_pop_front(round);
	struct map *map = link ? list_entry(link, struct map, round) : NULL;

	if (map)
		map->marked = false;
	return map;
}

void map_round_leave(struct map *map)
{
	if (map->marked)
		list_remove(&map->round);
	map->marked = false;
}

struct map_leaf *map_take_leaves(struct map *map)
{
	return atomic_exchange_explicit(&map->leaves, NULL, memory_order_acquire);
}

struct map_leaf *map_leaf_next(const struct map_leaf *leaf)
{
	return leaf->next;
}

void map_leaf_set_next(struct map_leaf *leaf, struct map_leaf *next)
{
	leaf->next = next;
}

struct map_leaf *map_leaf_at(const struct map *map, uint32_t index)
{
	return leaf_find(map, (uint64_t)index * MAP_LEAF_CLUSTERS);
}

struct map *map_leaf_map(const struct map_leaf *leaf)
{
	return leaf->map;
}

uint32_t map_leaf_index(const struct map_leaf *leaf)
{
	return leaf->index;
}

struct map_leaf_pages *map_leaf_pages(struct map_leaf *leaf)
{
	return &leaf->pages;
}

struct map_leaf *map_leaf_of_pages(struct map_leaf_pages *pages)
{
	return container_of(pages, struct map_leaf, pages);
}

/* A leaf as of one moment. */
struct picture {
	uint64_t changed[CHANGE_WORDS];
	uint64_t entry[MAP_LEAF_CLUSTERS];
	struct block_mask mask[MAP_LEAF_CLUSTERS]; /* of PARTIAL ones that are wanted */
};

static bool bit(const uint64_t *words, unsigned i)
{
	return words[i / 64] >> (i % 64) & 1;
}

/* all: every mask, else those of what changed. */
static void take_picture(struct map_leaf *leaf, bool all, struct picture *pic)
{
	leaf_lock(leaf);
	memcpy(pic->changed, leaf->changed, sizeof(pic->changed));
	memset(leaf->changed, 0, sizeof(leaf->changed));
	if (!all) /* the checkpoint collects out of turn: the leaf is still on a stack or in a taker's list */
		leaf->queued = false;
	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++) {
		pic->entry[i] = atomic_load_explicit(&leaf->entry[i], memory_order_relaxed);
		if (pic->entry[i] & MAP_PARTIAL && (all || bit(pic->changed, i)))
			for (unsigned w = 0; w < MASK_WORDS; w++)
				pic->mask[i].word[w] = mask_word(mask_of(leaf, i), w);
	}
	leaf_unlock(leaf);
}

/* Clusters from i on that one record can state. */
static unsigned run_length(const struct picture *pic, unsigned i)
{
	uint64_t entry = pic->entry[i];
	unsigned n = 1;

	if (entry & MAP_PARTIAL)
		return 1;
	while (i + n < MAP_LEAF_CLUSTERS && bit(pic->changed, i + n) &&
	       pic->entry[i + n] == (map_phys(entry) ? entry + n : entry))
		n++;
	return n;
}

/*
 * A cluster that was attached and whose first data is on its way is in no record yet. It is not in the page either: should the page with its mask be lost by a crash, no record would bring
 * the mask back, or the mask of an earlier cluster would count and show blocks that were never written.
 */
static uint64_t page_entry_of(const struct picture *pic, unsigned i)
{
	static const struct block_mask none;
	bool empty = pic->entry[i] & MAP_PARTIAL && !memcmp(&pic->mask[i], &none, sizeof(none));

	return empty ? pic->entry[i] & MAP_HIDE : pic->entry[i];
}

static void fill_images(const struct picture *pic, uint8_t (*image)[LAYOUT_PAGE])
{
	for (unsigned p = 0; p < 1 + MAP_MASK_PAGES; p++)
		page_clear(image[p]);
	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++) {
		uint64_t entry = page_entry_of(pic, i);

		page_set_entry(image[0], i, entry);
		if (entry & MAP_PARTIAL)
			page_set_mask(image[1 + i / MAP_MASK_CLUSTERS], i % MAP_MASK_CLUSTERS,
				      &pic->mask[i]);
	}
}

void map_leaf_collect(struct map_leaf *leaf, void (*fn)(void *ctx, const struct map_change *change),
		      void *ctx, uint8_t (*image)[LAYOUT_PAGE])
{
	uint32_t base = leaf->index * MAP_LEAF_CLUSTERS;
	static _Thread_local struct picture pic; /* 20 KiB: too much for a stack */

	take_picture(leaf, image != NULL, &pic);
	for (unsigned i = 0, n; i < MAP_LEAF_CLUSTERS; i += n) {
		struct map_change change = {.cluster = base + i, .entry = pic.entry[i]};

		n = 1;
		if (!bit(pic.changed, i))
			continue;
		n = run_length(&pic, i);
		change.count = n;
		if (change.entry & MAP_PARTIAL)
			change.mask = pic.mask[i];
		fn(ctx, &change);
	}
	if (image)
		fill_images(&pic, image);
}

/* Under the lock: somebody may still write into this mask page, or its masks count. */
static bool mask_page_needed(const struct map_leaf *leaf, unsigned page)
{
	unsigned first = page * MAP_MASK_CLUSTERS;

	for (unsigned i = first; i < first + MAP_MASK_CLUSTERS; i++)
		if (entry_get(leaf, i) & MAP_PARTIAL)
			return true;
	for (unsigned b = 0; b < MAP_CLAIM_BUCKETS; b++)
		list_for_each (node, &leaf->bucket[b]) {
			const struct map_claim *claim = list_entry(node, struct map_claim, link);
			unsigned i = claim->cluster % MAP_LEAF_CLUSTERS;

			if (i / MAP_MASK_CLUSTERS == page && !claim->no_mask)
				return true;
		}
	return false;
}

unsigned map_leaf_masks(const struct map_leaf *leaf)
{
	unsigned pages = 0;

	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++)
		if (entry_get(leaf, i) & MAP_PARTIAL)
			pages |= 1u << i / MAP_MASK_CLUSTERS;
	return pages;
}

unsigned map_leaf_trim(struct map_leaf *leaf, void *ret[MAP_MASK_PAGES])
{
	unsigned n = 0;

	leaf_lock(leaf);
	for (unsigned p = 0; p < MAP_MASK_PAGES; p++) {
		struct mask_page *page = atomic_load_explicit(&leaf->mask[p], memory_order_relaxed);

		if (!page || mask_page_needed(leaf, p))
			continue;
		atomic_store_explicit(&leaf->mask[p], NULL, memory_order_release);
		ret[n++] = page;
	}
	leaf_unlock(leaf);
	return n;
}

void map_masks_free(struct map_shared *shared, void *const *masks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(masks[i]);
	atomic_fetch_sub_explicit(&shared->bytes, n * sizeof(struct mask_page),
				  memory_order_relaxed);
}
