/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims, and what their holders change.
 *
 * Each leaf has a few lines of claims by cluster, under the leaf's lock, in the order of their coming. A claim is held when no earlier one in its line overlaps
 * it. So it is first come, first served among those that overlap, across reactors, and nobody is passed over.
 */
#include <errno.h>

#include "base/bytes.h"
#include "pool/map_priv.h"

static struct list *bucket_of(struct map_leaf *leaf, uint32_t cluster)
{
	return &leaf->bucket[cluster % MAP_CLAIM_BUCKETS];
}

static bool overlap(const struct map_claim *a, const struct map_claim *b)
{
	return a->cluster == b->cluster && a->first < b->first + b->count &&
	       b->first < a->first + a->count;
}

static void granted(struct msg *msg)
{
	struct map_claim *claim = container_of(msg, struct map_claim, msg);

	claim->granted(claim);
}

enum map_claim_result map_claim_take(struct map *map, struct map_claim *claim)
{
	struct map_leaf *leaf = leaf_find(map, claim->cluster);
	struct list *bucket;

	ASSERT(claim->count && claim->first + claim->count <= LAYOUT_CLUSTER_BLOCKS);
	if (!leaf)
		return MAP_CLAIM_UNPREPARED;
	claim->leaf = leaf;
	claim->msg.run = granted;
	bucket = bucket_of(leaf, claim->cluster);
	leaf_lock(leaf);
	if (!claim->no_mask && !mask_of(leaf, claim->cluster % MAP_LEAF_CLUSTERS)) {
		leaf_unlock(leaf);
		return MAP_CLAIM_UNPREPARED;
	}
	claim->held = true;
	list_for_each (node, bucket) {
		if (overlap(list_entry(node, struct map_claim, link), claim)) {
			claim->held = false;
			break;
		}
	}
	list_push_back(bucket, &claim->link);
	/* Once the lock is gone a claim that waits belongs to others. */
	bool held = claim->held;

	leaf_unlock(leaf);
	return held ? MAP_CLAIM_HELD : MAP_CLAIM_WAITS;
}

static bool mask_meets(const struct block_mask *a, const struct block_mask *b)
{
	for (unsigned w = 0; w < MASK_WORDS; w++)
		if (a->word[w] & b->word[w])
			return true;
	return false;
}

/* Marks as held who overlaps nobody in front of him, and links their messages. */
static struct msg *grant(struct list *bucket, uint32_t cluster)
{
	struct block_mask taken = {{0}};
	struct msg *head = NULL, **tail = &head;

	list_for_each (node, bucket) {
		struct map_claim *claim = list_entry(node, struct map_claim, link);
		struct block_mask range;

		if (claim->cluster != cluster)
			continue;
		range = mask_range(claim->first, claim->count);
		if (!claim->held && !mask_meets(&taken, &range)) {
			claim->held = true;
			claim->msg.next = NULL;
			*tail = &claim->msg;
			tail = &claim->msg.next;
		}
		for (unsigned w = 0; w < MASK_WORDS; w++)
			taken.word[w] |= range.word[w];
	}
	return head;
}

void map_claim_drop(struct map_claim *claim)
{
	struct map_leaf *leaf = claim->leaf;
	struct list *bucket = bucket_of(leaf, claim->cluster);
	struct msg *msg;

	ASSERT(claim->held);
	leaf_lock(leaf);
	list_remove(&claim->link);
	claim->held = false;
	msg = list_empty(bucket) ? NULL : grant(bucket, claim->cluster);
	leaf_unlock(leaf);
	while (msg) { /* outside of the lock: waking a reactor may be a system call */
		struct map_claim *next = container_of(msg, struct map_claim, msg);

		msg = msg->next;
		reactor_post(next->reactor, &next->msg);
	}
}

static bool leaf_claimed(struct map_leaf *leaf)
{
	bool claimed = false;

	leaf_lock(leaf);
	for (unsigned b = 0; b < MAP_CLAIM_BUCKETS && !claimed; b++)
		claimed = !list_empty(&leaf->bucket[b]);
	leaf_unlock(leaf);
	return claimed;
}

bool map_claimed(const struct map *map)
{
	const struct map_table *table = atomic_load_explicit(&map->table, memory_order_acquire);

	for (uint32_t i = 0; i < table->n; i++) {
		struct map_leaf *leaf = atomic_load_explicit(&table->leaf[i], memory_order_acquire);

		if (leaf && leaf_claimed(leaf))
			return true;
	}
	return false;
}

static unsigned entry_index(const struct map_claim *claim)
{
	ASSERT(claim->held);
	return claim->cluster % MAP_LEAF_CLUSTERS;
}

uint64_t map_claim_phys(const struct map_claim *claim)
{
	return map_phys(entry_get(claim->leaf, entry_index(claim)));
}

/* The claim keeps everybody else from changing this block, though not the rest of the cluster; so entry and bit may be read one after the other. */
enum map_found map_claim_block(const struct map_claim *claim, unsigned block)
{
	unsigned i = entry_index(claim);
	uint64_t entry = entry_get(claim->leaf, i);

	ASSERT(block >= claim->first && block < claim->first + (unsigned)claim->count);
	if (entry & MAP_PARTIAL) {
		if (mask_word(mask_of(claim->leaf, i), block / 64) >> (block % 64) & 1)
			return MAP_HERE;
	} else if (map_phys(entry)) {
		return MAP_HERE;
	}
	return entry & MAP_HIDE ? MAP_ZERO : MAP_ABSENT;
}

/*
 * No change that anybody has to make durable: nothing reads differently. The record comes with the first valid block, and a cluster without one is free after a
 * crash.
 */
uint64_t map_attach(const struct map_claim *claim, uint64_t phys)
{
	struct map_leaf *leaf = claim->leaf;
	unsigned i = entry_index(claim);
	uint64_t entry;

	ASSERT(phys && !claim->no_mask);
	leaf_lock(leaf);
	entry = entry_get(leaf, i);
	if (map_phys(entry)) {
		phys = map_phys(entry);
	} else {
		for (unsigned w = 0; w < MASK_WORDS; w++)
			mask_word_set(mask_of(leaf, i), w, 0);
		entry_set(leaf, i, phys | MAP_PARTIAL | (entry & MAP_HIDE));
		mapped_add(leaf->map, 1);
	}
	leaf_unlock(leaf);
	return phys;
}

static bool mask_full(const struct block_mask *mask)
{
	for (unsigned w = 0; w < MASK_WORDS; w++)
		if (mask->word[w] != UINT64_MAX)
			return false;
	return true;
}

void map_set_valid(const struct map_claim *claim, unsigned first, unsigned count)
{
	struct block_mask range = mask_range(first, count);
	struct map_leaf *leaf = claim->leaf;
	unsigned i = entry_index(claim);
	struct map_noted change = {NULL};
	uint64_t entry;

	ASSERT(first >= claim->first && first + count <= claim->first + (unsigned)claim->count);
	leaf_lock(leaf);
	entry = entry_get(leaf, i);
	ASSERT(map_phys(entry));
	if (entry & MAP_PARTIAL) {
		_Atomic uint64_t *word = mask_of(leaf, i);
		struct block_mask mask = mask_get(leaf, i);

		for (unsigned w = 0; w < MASK_WORDS; w++)
			mask.word[w] |= range.word[w];
		if (mask_full(&mask))
			entry = map_phys(entry);
		change = map_change_begin(leaf, i, entry, &mask);
		for (unsigned w = 0; w < MASK_WORDS; w++)
			if (range.word[w])
				mask_word_set(word, w, mask.word[w]);
		entry_set(leaf, i, entry);
		map_change_end(leaf, i, change);
	}
	leaf_unlock(leaf);
	map_change_told(leaf, change);
}

/* What clearing is about to do to one cluster. */
struct clearing {
	uint64_t old, new;       /* entries */
	struct block_mask stays; /* blocks that are here and remain so */
	bool changes;
};

/* Entry and mask are looked at under the lock. */
static int clear_plan(const struct map_leaf *leaf, unsigned i, const struct block_mask *range,
		      bool over_parent, bool detach, struct clearing *c)
{
	const _Atomic uint64_t *mask = mask_of(leaf, i);
	bool hides, outside = true, left = false;

	c->old = entry_get(leaf, i);
	c->changes = false;
	for (unsigned w = 0; w < MASK_WORDS; w++) {
		uint64_t here = c->old & MAP_PARTIAL ? mask_word(mask, w)
				: map_phys(c->old)   ? UINT64_MAX
						     : 0;

		c->stays.word[w] = here & ~range->word[w];
		left |= c->stays.word[w] != 0;
		outside &= (here | range->word[w]) == UINT64_MAX;
		c->changes |= (here & range->word[w]) != 0;
	}
	/* The layer hides the parent's blocks by cluster. That fits if nobody is to see one outside of the range. */
	hides = over_parent || c->old & MAP_HIDE;
	if (over_parent && !(c->old & MAP_HIDE) && !outside)
		return -EOPNOTSUPP;
	c->new = hides ? MAP_HIDE : 0;
	if (map_phys(c->old) && (left || !detach))
		c->new |= map_phys(c->old) | MAP_PARTIAL;
	c->changes |= c->new != c->old;
	return 0;
}

uint64_t map_clear(const struct map_claim *claim, unsigned first, unsigned count, bool over_parent,
		   int *ret_res)
{
	struct block_mask range = mask_range(first, count);
	struct map_leaf *leaf = claim->leaf;
	unsigned i = entry_index(claim);
	struct map_noted change = {NULL};
	struct clearing c;
	uint64_t detached = 0;

	ASSERT(first >= claim->first && first + count <= claim->first + (unsigned)claim->count);
	ASSERT(!claim->no_mask || count == LAYOUT_CLUSTER_BLOCKS);
	leaf_lock(leaf);
	/* Somebody else with a claim on the rest of the cluster may be writing to it. */
	*ret_res =
		clear_plan(leaf, i, &range, over_parent, claim->count == LAYOUT_CLUSTER_BLOCKS, &c);
	if (*ret_res == 0 && c.changes) {
		change = map_change_begin(leaf, i, c.new, &c.stays);
		if (map_phys(c.new) && c.old & MAP_PARTIAL)
			entry_set(leaf, i, c.new); /* HIDE before bits go */
		if (map_phys(c.new))
			for (unsigned w = 0; w < MASK_WORDS; w++)
				mask_word_set(mask_of(leaf, i), w, c.stays.word[w]);
		entry_set(leaf, i, c.new); /* was full: the mask is ready before it counts */
		if (map_phys(c.old) && !map_phys(c.new)) {
			detached = map_phys(c.old);
			mapped_add(leaf->map, -1);
		}
		map_change_end(leaf, i, change);
	}
	leaf_unlock(leaf);
	map_change_told(leaf, change);
	return detached;
}
