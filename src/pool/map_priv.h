/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of maps, for map*.c alone. map.h says what they are for. */
#ifndef LITEPOOL_POOL_MAP_PRIV_H
#define LITEPOOL_POOL_MAP_PRIV_H

#include "base/check.h"
#include "base/spin.h"
#include "pool/map.h"
#include "pool/notes.h"

#define MASK_WORDS   (LAYOUT_CLUSTER_BLOCKS / 64)
#define CHANGE_WORDS ((MAP_LEAF_CLUSTERS + 63) / 64)

struct mask_page {
	_Atomic uint64_t word[MAP_MASK_CLUSTERS][MASK_WORDS];
};

/*
 * Readers (map_find) look at entry and mask without the lock. Everything else, and every change, is under it. It is held for a copy of the leaf at most: no
 * I/O, no allocation, no message.
 */
struct map_leaf {
	struct spin lock;
	bool queued; /* on its map's stack, or taken and not collected */
	uint32_t index;
	struct map *map;
	struct map_leaf *next; /* on that stack; the taker's until the leaf is collected */
	struct mask_page *_Atomic mask[MAP_MASK_PAGES];
	struct list bucket[MAP_CLAIM_BUCKETS]; /* struct map_claim, by cluster; FIFO */
	uint64_t changed[CHANGE_WORDS];        /* bit: cluster, since the last collection */
	struct map_leaf_pages pages;           /* the checkpoint's; not under the lock */
	_Atomic uint64_t entry[MAP_LEAF_CLUSTERS];
};

struct map_table {
	uint32_t n;
	struct map_leaf *_Atomic leaf[];
};

struct map {
	struct map_table *_Atomic table;
	struct map_shared *shared;
	uint64_t layer, clusters; /* pool's thread */
	_Atomic bool held;
	bool marked;                   /* linked by round */
	struct list round;             /* maps of which leaves are in the rounds under way */
	uint64_t taken, exposed_taken; /* what ended and exposed_ended were then */
	struct map_leaf
		*_Atomic leaves; /* stack of leaves with changes that are not collected yet */
	struct map *next;        /* on the shared stack; the taker's until map_collect_begin() */
	_Atomic bool queued;     /* on the shared stack, or taken and not begun */
	/* Mapped clusters * 2 + thick: one word, so that whoever attaches and whoever makes the map thick agree on who counts the cluster as thick. */
	_Atomic uint64_t mapped;
	/* Changes: begun is counted before anybody can see one, ended when it can be collected; durable is a value that ended had. */
	_Atomic uint64_t begun, ended, durable;
	/* Likewise of those that could not be noted. */
	_Atomic uint64_t exposed_begun, exposed_ended, exposed_durable;
};

static inline void leaf_lock(struct map_leaf *leaf)
{
	spin_lock(&leaf->lock);
}

static inline void leaf_unlock(struct map_leaf *leaf)
{
	spin_unlock(&leaf->lock);
}

static inline struct map_leaf *leaf_find(const struct map *map, uint64_t cluster)
{
	const struct map_table *table = atomic_load_explicit(&map->table, memory_order_acquire);
	uint64_t index = cluster / MAP_LEAF_CLUSTERS;

	return index < table->n ? atomic_load_explicit(&table->leaf[index], memory_order_acquire)
				: NULL;
}

static inline uint64_t entry_get(const struct map_leaf *leaf, unsigned i)
{
	return atomic_load_explicit(&leaf->entry[i], memory_order_acquire);
}

static inline void entry_set(struct map_leaf *leaf, unsigned i, uint64_t entry)
{
	atomic_store_explicit(&leaf->entry[i], entry, memory_order_release);
}

/* The mask of cluster i of the leaf; NULL: no memory for it is there. */
static inline _Atomic uint64_t *mask_of(const struct map_leaf *leaf, unsigned i)
{
	struct mask_page *page =
		atomic_load_explicit(&leaf->mask[i / MAP_MASK_CLUSTERS], memory_order_acquire);

	return page ? page->word[i % MAP_MASK_CLUSTERS] : NULL;
}

static inline uint64_t mask_word(const _Atomic uint64_t *mask, unsigned w)
{
	return atomic_load_explicit(&mask[w], memory_order_acquire);
}

static inline void mask_word_set(_Atomic uint64_t *mask, unsigned w, uint64_t bits)
{
	atomic_store_explicit(&mask[w], bits, memory_order_release);
}

/* Bits first .. first + count - 1. */
static inline struct block_mask mask_range(unsigned first, unsigned count)
{
	struct block_mask range = {{0}};

	for (unsigned w = 0; w < MASK_WORDS; w++) {
		unsigned from = first > w * 64 ? first - w * 64 : 0;
		unsigned to = first + count > w * 64 ? first + count - w * 64 : 0;

		if (from < 64 && to > from)
			range.word[w] = (to >= 64 ? UINT64_MAX : ((uint64_t)1 << to) - 1) &
					~(((uint64_t)1 << from) - 1);
	}
	return range;
}

/* Under the lock. Every change lies between these two (map_clean, map_settled). */
struct map_noted {
	struct notes_region *region; /* where it is noted; NULL: it is exposed */
};
/* entry and mask (with PARTIAL) are what cluster i of the leaf will have. */
struct map_noted map_change_begin(struct map_leaf *leaf, unsigned i, uint64_t entry,
				  const struct block_mask *mask);
void map_change_end(struct map_leaf *leaf, unsigned i, struct map_noted change);
/* After the lock. */
static inline void map_change_told(const struct map_leaf *leaf, struct map_noted change)
{
	if (change.region)
		notes_wake(leaf->map->shared->notes, change.region);
}
static inline struct block_mask mask_get(const struct map_leaf *leaf, unsigned i)
{
	const _Atomic uint64_t *from = mask_of(leaf, i);
	struct block_mask mask;

	for (unsigned w = 0; w < MASK_WORDS; w++)
		mask.word[w] = mask_word(from, w);
	return mask;
}
void map_push(struct map *map); /* on the shared stack: the caller set queued, or has taken it */

/* Counts clusters that were attached (1) or detached (-1). */
static inline void mapped_add(struct map *map, int n)
{
	uint64_t old = atomic_fetch_add_explicit(&map->mapped, (uint64_t)(2 * (int64_t)n),
						 memory_order_relaxed);

	if (old & 1)
		atomic_fetch_add_explicit(&map->shared->thick_mapped, (uint64_t)(int64_t)n,
					  memory_order_relaxed);
}

#endif
