/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata that was read, against what RAM knows of it. What RAM has is right: it is what the volumes work with; so a bad slot is cured by writing the page anew. */
#include <inttypes.h>
#include <stdio.h>

#include "pool/scrub_priv.h"

uint32_t scrub_segment_at(const struct pool *pool, uint64_t cluster)
{
	const struct segments *s = &pool->checkpoint->segments;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->cluster[i] == cluster)
			return i;
	return UINT32_MAX;
}

/* No checkpoint was writing between then and now. */
static bool undisturbed(const struct pool_scrub *s)
{
	const struct pool_checkpoint *c = s->pool->checkpoint;

	return c->step == CHECKPOINT_IDLE && counter_get(&c->checkpoints) == s->checkpoints;
}

/* ---- whose is it? Rarely asked, so all are looked at. ---- */

static bool mark_leaf(struct pool *pool, struct map_leaf *leaf, uint64_t pair)
{
	const struct map_leaf_pages *pages = map_leaf_pages(leaf);

	for (unsigned i = 0; i <= MAP_MASK_PAGES; i++)
		if (pages->pair[i] == pair) {
			checkpoint_leaf_changed(pool, leaf);
			return true;
		}
	return false;
}

static bool mark_in_layer(struct pool *pool, struct pool_layer *layer, uint64_t pair)
{
	uint32_t n = map_leaf_count(layer->map);

	for (uint32_t i = 0; i < n; i++) {
		struct map_leaf *leaf = map_leaf_at(layer->map, i);

		if (leaf && mark_leaf(pool, leaf, pair))
			return true;
	}
	return false;
}

static bool mark_object(struct pool *pool, struct pool_object *object, uint64_t pair)
{
	for (unsigned i = 0; i < PROPS_CHUNKS; i++)
		if (object->pair[i] == pair) {
			checkpoint_object_changed(pool, object);
			return true;
		}
	return false;
}

/* The next checkpoint writes it. False: nobody has the pair. */
static bool mark_owner(struct pool *pool, uint64_t pair)
{
	struct pool_checkpoint *c = pool->checkpoint;

	for (uint32_t i = 0; i < c->n_layer_pages; i++)
		if (c->layer_pair[i] == pair) {
			bitmap_set(&c->layers, i);
			return true;
		}
	list_for_each (it, pool_objects(pool)) {
		if (mark_object(pool, list_entry(it, struct pool_object, link), pair))
			return true;
	}
	for (struct pool_layer *l = pool_layer_next(pool, NULL); l; l = pool_layer_next(pool, l))
		if (mark_in_layer(pool, l, pair))
			return true;
	return false;
}

/* ---- segments ---- */

/*
 * True: the slot is as it should be. The one that counts holds a page, unless its owner has the pair since a moment ago and none was written yet. other: NULL: the slot is not of a pair that waits for
 * its first page.
 */
static bool slot_is_right(struct pool_scrub *s, const uint8_t *page, const uint8_t *other,
			  uint64_t place, bool counts)
{
	struct page_info info;
	enum page_found found = page_open(page, &s->pool->rules, place, &info, NULL);

	s->pages_checked++;
	return found == PAGE_GOOD ||
	       (found == PAGE_BLANK && (!counts || (other && layout_is_zero(other, LAYOUT_PAGE))));
}

static void tell_slot(struct pool_scrub *s, const uint8_t *page, uint64_t place, bool counts)
{
	struct page_info info;
	enum page_found found = page_open(page, &s->pool->rules, place, &info, NULL);

	if (!s->tries) /* the second look at it is no news */
		scrub_tell(s, place * LAYOUT_PAGE,
			   "the metadata page at %" PRIu64 ", which %s, is bad: %s", place,
			   counts ? "counts" : "does not count", page_found_name(found));
}

static enum scrub_verdict bad_slot(struct pool_scrub *s, uint64_t pair, uint64_t place)
{
	struct segments *seg = &s->pool->checkpoint->segments;

	if (pool_writable(s->pool))
		return SCRUB_GOOD; /* told; nothing can be done */
	if (bitmap_test(&seg->used, pair - 1))
		return mark_owner(s->pool, pair) ? SCRUB_DIRTIED : SCRUB_GOOD;
	bitmap_set(&seg->used, pair - 1); /* kept from the checkpoint until it is written */
	seg->free_pairs--;
	s->zero_pair = pair;
	s->xfer.offset = place * LAYOUT_PAGE;
	return SCRUB_ZERO_ONE;
}

enum scrub_verdict scrub_segment(struct pool_scrub *s, uint32_t index)
{
	const struct segments *seg = &s->pool->checkpoint->segments;
	enum scrub_verdict verdict = SCRUB_GOOD;

	if (!undisturbed(s))
		return SCRUB_AGAIN;
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++) {
		unsigned slot = i / SEGMENT_PAIRS;
		uint64_t pair = pair_id(index, i % SEGMENT_PAIRS);
		uint64_t place = segment_place(s->cluster, i % SEGMENT_PAIRS, slot);
		const uint8_t *page = s->buf + (size_t)i * LAYOUT_PAGE;
		const uint8_t *other = s->buf + (size_t)(i ^ SEGMENT_PAIRS) * LAYOUT_PAGE;
		bool counts = bitmap_test(&seg->used, pair - 1) &&
			      bitmap_test(&seg->winner, pair - 1) == (slot == 1);
		enum scrub_verdict one;

		if (slot_is_right(s, page, other, place, counts))
			continue;
		tell_slot(s, page, place, counts);
		one = bad_slot(s, pair, place);
		if (one == SCRUB_ZERO_ONE)
			return one; /* the rest when it is looked at again */
		if (one == SCRUB_DIRTIED)
			verdict = one;
	}
	return verdict;
}

/* ---- the head ---- */

static bool copy_is_right(const struct pool_scrub *s, unsigned copy)
{
	const struct superblock *now = &s->pool->super.now;
	struct superblock sb;

	return superblock_decode(s->buf, copy, &sb, NULL) == SUPERBLOCK_GOOD &&
	       superblock_is_mine(now, &sb) && sb.generation == now->generation;
}

enum scrub_verdict scrub_head(struct pool_scrub *s)
{
	struct segments *seg = &s->pool->checkpoint->segments;
	uint64_t first = (uint64_t)s->head_part * LAYOUT_CLUSTER_BLOCKS;
	enum scrub_verdict verdict = SCRUB_GOOD;

	if (!undisturbed(s) || s->pool->super.step != SUPER_IDLE ||
	    s->pool->super.now.generation != s->generation)
		return SCRUB_AGAIN;
	if (!copy_is_right(s, s->head_part)) {
		if (!s->tries)
			scrub_tell(s, SUPERBLOCK_COPY_OFFSET(s->head_part),
				   "superblock copy %u is bad or old", s->head_part);
		verdict = SCRUB_DIRTIED; /* a checkpoint writes all four */
	}
	for (unsigned i = 0; i < 2 * SEGTAB_PAIRS; i++) {
		unsigned pair = i / 2, slot = i % 2;
		uint64_t place = segtab_place(pair, slot);
		bool counts = pair * SEGTAB_SLOTS < seg->n &&
			      (seg->tab_winner[pair / 64] >> (pair % 64) & 1) == slot &&
			      !(seg->tab_changed[pair / 64] >> (pair % 64) & 1);

		if (place < first || place >= first + LAYOUT_CLUSTER_BLOCKS ||
		    slot_is_right(s, s->buf + (place - first) * LAYOUT_PAGE, NULL, place, counts))
			continue;
		tell_slot(s, s->buf + (place - first) * LAYOUT_PAGE, place, counts);
		seg->tab_changed[pair / 64] |= (uint64_t)1 << (pair % 64);
		verdict = SCRUB_DIRTIED;
	}
	return pool_writable(s->pool) ? SCRUB_GOOD : verdict;
}

/* ---- data ---- */

static bool find_in(const struct pool_layer *layer, uint64_t phys, uint64_t *ret)
{
	for (uint64_t i = map_next(layer->map, 0); i != UINT64_MAX; i = map_next(layer->map, i + 1))
		if (map_phys(map_get(layer->map, (uint32_t)i, NULL)) == phys) {
			*ret = i;
			return true;
		}
	return false;
}

static struct pool_layer *find_layer(const struct pool *pool, uint64_t phys, uint64_t *ret_cluster)
{
	struct pool_layer *l = pool_layer_next(pool, NULL);

	while (l && !find_in(l, phys, ret_cluster))
		l = pool_layer_next(pool, l);
	return l;
}

static bool is_valid(const struct pool_scrub *s, const struct pool_layer *l, uint64_t cluster,
		     unsigned block)
{
	struct map_run run;

	map_find(l->map, cluster * LAYOUT_CLUSTER_BLOCKS + block, 1, &run);
	return run.found == MAP_HERE && run.place == s->cluster * LAYOUT_CLUSTER_BLOCKS + block;
}

bool scrub_somebodys(const struct pool_scrub *s, struct block_mask *bad)
{
	const struct pool_layer *l = NULL;
	uint64_t cluster;
	bool any = false;

	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++) {
		if (!block_mask_has(bad, i))
			continue;
		if (!l)
			l = find_layer(s->pool, s->cluster, &cluster);
		if (!l)
			return false; /* nobody's any more: no block of it is */
		if (is_valid(s, l, cluster, i))
			any = true;
		else
			bad->word[i / 64] &= ~((uint64_t)1 << (i % 64));
	}
	return any;
}

void scrub_sums(struct pool_scrub *s, const struct block_mask *bad)
{
	char owner[128];

	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++) {
		uint64_t place = s->cluster * LAYOUT_CLUSTER_BLOCKS + i;

		if (!block_mask_has(bad, i))
			continue;
		s->wrong++;
		scrub_owner(s->pool, s->cluster, owner, sizeof(owner));
		scrub_tell(s, place * LAYOUT_PAGE,
			   "block %u of the device's cluster %" PRIu64
			   " does not match its sum; it is of %s",
			   i, s->cluster, owner);
	}
}

void scrub_owner(const struct pool *pool, uint64_t phys, char *text, size_t size)
{
	uint64_t cluster;
	const struct pool_layer *l = find_layer(pool, phys, &cluster);

	if (l)
		(void)snprintf(text, size, "cluster %" PRIu64 " of layer %" PRIu64 " (%s)", cluster,
			       l->disk.id, l->object ? l->object->name : "of a deleted snapshot");
	else
		(void)snprintf(text, size, "no volume's any more");
}
