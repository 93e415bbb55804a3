/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: every slot of every pair is looked at; what to do about a bad one is decided when all are known. In this order:
 *
 *   one flipped bit                    turned back
 *   proven not to count                zeros: a newer page is in the other slot, or in another pair, or whose it is has gone
 *   whose it is can be told            a loss: what it had reads as zeros, but for what the journal still has
 *   else                               hopeless
 *
 * Proof is the ring (check_announced_lsn()), or the damaged page's own head: where magic, pool, place and kind are right, its LSN is too, since the head is within one sector and
 * rot changes few bits or whole sectors.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "pool/check_priv.h"

#define PLAN_ZERO "write zeros there"

/* ---- looking ---- */

static bool read_head(const struct check *c, const uint8_t *page, uint64_t place,
		      struct page_info *ret)
{
	const struct page_format *f = (const void *)page;

	*ret = (struct page_info){
		.id = {(enum page_kind)get_le16(&f->kind), get_le64(&f->owner),
		       get_le64(&f->index)},
		.lsn = get_le64(&f->lsn),
		.epoch = get_le64(&f->epoch),
	};
	return get_le32(&f->magic) == PAGE_MAGIC &&
	       !memcmp(f->pool, c->pool->rules.pool.b, sizeof(f->pool)) &&
	       get_le32(&f->place_low) == (uint32_t)place &&
	       get_le16(&f->place_high) == (uint16_t)(place >> 32) && ret->id.kind > 0 &&
	       ret->id.kind < PAGE_KINDS && ret->lsn && ret->lsn < c->scan.commit.lsn &&
	       ret->epoch && ret->epoch <= c->pool->rules.epoch;
}

/* Since the last checkpoint ended: a write that was interrupted is no damage (load_journal.c, gather_pages()). */
static bool excused(const struct check *c, uint64_t place)
{
	uint64_t lsn = check_announced_lsn(c, place);

	return lsn >= c->pool->rules.tail_lsn && lsn > c->pool->super.now.pages_lsn;
}

static enum page_found look_slot(struct check *c, const uint8_t *page, uint64_t place,
				 struct page_info *ret)
{
	enum page_found found = page_open(page, &c->pool->rules, place, ret, NULL);

	if (found == PAGE_GOOD && ret->lsn >= c->scan.commit.lsn)
		return PAGE_BAD;
	if (found == PAGE_TORN && excused(c, place)) {
		c->result->numbers.pages_torn++;
		check_tell(c, CHECK_NOTE, "page", place, NULL, NULL,
			   "the page at %" PRIu64
			   " was being written when the engine stopped; the next opening mends it",
			   place);
		return PAGE_BLANK;
	}
	return found;
}

/*
 * A write that was announced, made, read back, and is not there any more. Only the last engine's can be told: of an earlier one's nobody knows whether it came to be
 * written before the engine died. A blank slot says nothing: mending leaves such.
 */
static bool write_lost(const struct check *c, uint64_t place, enum page_found found,
		       const struct page_info *info)
{
	const struct check_announced *a = check_find_announced(c, place);
	const struct superblock *sb = &c->pool->super.now;

	return found == PAGE_GOOD && a && a->epoch == sb->epoch && a->lsn <= sb->pages_lsn &&
	       info->lsn < a->lsn;
}

static void keep_good(struct check *c, const struct page_info *info)
{
	if (check_room(c, &c->good, c->n_good, &c->good_room, sizeof(*c->good)))
		c->good[c->n_good++] = (struct check_good){info->id, info->lsn};
}

static void keep_bad(struct check *c, const struct check_bad *bad, const uint8_t *page)
{
	struct check_bad *b;

	c->result->numbers.pages_bad++;
	if (!check_room(c, &c->bad, c->n_bad, &c->bad_room, sizeof(*c->bad)))
		return;
	b = &c->bad[c->n_bad];
	*b = *bad;
	b->page = batch_alloc(LAYOUT_PAGE);
	if (!b->page) {
		c->no_memory = true;
		return;
	}
	memcpy(b->page, page, LAYOUT_PAGE);
	b->read_head = read_head(c, page, b->place, &b->info);
	c->n_bad++;
}

static void count_pair(struct check *c, uint64_t pair, const enum page_found found[2])
{
	struct check_numbers *n = &c->result->numbers;
	unsigned good = (found[0] == PAGE_GOOD) + (found[1] == PAGE_GOOD);
	bool used = !pair || bitmap_test(&c->pool->checkpoint->segments.used, pair - 1);

	n->pages_good += good;
	n->pages_old += good == 2;
	n->pairs_used += used && pair;
	n->pairs_left += !used && good;
}

static bool is_bad(enum page_found found)
{
	return found != PAGE_GOOD && found != PAGE_BLANK;
}

void check_pair(struct check *c, uint64_t pair, const uint8_t *const page[2],
		const uint64_t place[2])
{
	struct page_info info[2] = {0};
	enum page_found found[2];
	struct page_slot slot[2];

	for (unsigned i = 0; i < 2; i++)
		found[i] = look_slot(c, page[i], place[i], &info[i]);
	for (unsigned i = 0; i < 2; i++) {
		slot[i] = (struct page_slot){page[i], found[i], info[i]};
		if (found[i] == PAGE_GOOD)
			keep_good(c, &info[i]);
		if (is_bad(found[i]) || write_lost(c, place[i], found[i], &info[i]))
			keep_bad(c,
				 &(struct check_bad){place[i], place[!i], pair, found[i],
						     .other = found[!i], .other_info = info[!i]},
				 page[i]);
	}
	count_pair(c, pair, found);
	if (page_choose(&slot[0], &slot[1]) == PAGE_WINNER_CONFLICT)
		check_tell(c, CHECK_HOPELESS, "page", place[0], NULL, NULL,
			   "the pages at %" PRIu64 " and %" PRIu64 " have one LSN, %" PRIu64
			   ", and different content: two engines wrote at once",
			   place[0], place[1], info[0].lsn);
}

/* ---- judging ---- */

static void what_text(const struct check_bad *b, char *text, size_t size)
{
	static const char *const found[] = {
		[PAGE_TORN] = "has a wrong checksum, and no checkpoint was writing it",
		[PAGE_FOREIGN] = "is of another pool",
		[PAGE_MISPLACED] = "was written for another place",
		[PAGE_FENCED] = "was written by an engine that had lost the pool",
		[PAGE_BAD] = "is impossible",
	};
	char of[64] = "";

	if (b->read_head)
		(void)snprintf(of, sizeof(of), " (%s %" PRIu64 "/%" PRIu64 ")",
			       page_kind_name(b->info.id.kind), b->info.id.owner, b->info.id.index);
	(void)snprintf(text, size, "the page at %" PRIu64 "%s %s", b->place, of, found[b->found]);
}

static bool turn_back(struct check *c, const struct check_bad *b)
{
	uint8_t page[LAYOUT_PAGE];
	struct page_info info;
	unsigned bit;
	char plan[96];

	memcpy(page, b->page, sizeof(page));
	if (b->found != PAGE_TORN || !fixbit_page(&c->fix_page, page, &bit) ||
	    page_open(page, &c->pool->rules, b->place, &info, NULL) != PAGE_GOOD ||
	    info.lsn >= c->scan.commit.lsn)
		return false;
	(void)snprintf(plan, sizeof(plan), "turn bit %u of byte %u back", bit % 8, bit / 8);
	check_tell(c, CHECK_MENDABLE, "page", b->place, plan, NULL,
		   "the page at %" PRIu64 " (%s %" PRIu64 "/%" PRIu64 ") has one flipped bit",
		   b->place, page_kind_name(info.id.kind), info.id.owner, info.id.index);
	check_add_write(c, b->place, page);
	return true;
}

/* A page of the same thing that is newer counts, wherever it is. */
static bool superseded(const struct check *c, const struct check_bad *b)
{
	if (!b->read_head)
		return false;
	for (size_t i = 0; i < c->n_good; i++)
		if (page_id_equal(&c->good[i].id, &b->info.id) && c->good[i].lsn > b->info.lsn)
			return true;
	return false;
}

static bool older_by_ring(const struct check *c, const struct check_bad *b)
{
	uint64_t announced = check_announced_lsn(c, b->place);

	if (b->other ==
	    PAGE_BLANK) /* the whole life of the pool is in the ring, and it was never written */
		return !announced && c->oldest == 1;
	if (b->other != PAGE_GOOD)
		return false;
	return announced ? announced < b->other_info.lsn : b->other_info.lsn >= c->oldest;
}

/* The two slots of a pair were exchanged, or a write went to the wrong one of them: what is here belongs there. */
static bool put_back(struct check *c, const struct check_bad *b)
{
	struct page_info info;

	if (b->found != PAGE_MISPLACED ||
	    page_open(b->page, &c->pool->rules, b->other_place, &info, NULL) != PAGE_GOOD ||
	    info.lsn >= c->scan.commit.lsn ||
	    (b->other == PAGE_GOOD && b->other_info.lsn >= info.lsn))
		return false;
	check_tell(c, CHECK_MENDABLE, "page", b->place, "write it where it belongs", NULL,
		   "the page at %" PRIu64 " (%s %" PRIu64 "/%" PRIu64
		   ") is the one that belongs at %" PRIu64,
		   b->place, page_kind_name(info.id.kind), info.id.owner, info.id.index,
		   b->other_place);
	check_add_write(c, b->other_place, b->page);
	return true;
}

static const struct page_id *whose(const struct check_bad *b)
{
	if (b->read_head)
		return &b->info.id;
	return b->other == PAGE_GOOD ? &b->other_info.id : NULL;
}

static bool is_layer_page(const struct page_id *id)
{
	return id->kind == PAGE_MAP || id->kind == PAGE_MASK;
}

/* Masks count only where an entry says so. */
static bool masks_unused(const struct pool_layer *layer, uint64_t index)
{
	uint64_t first = index * PAGE_MASKS;
	uint64_t end = MIN(first + PAGE_MASKS, map_clusters(layer->map));

	for (uint64_t cluster = first; cluster < end; cluster++)
		if (map_get(layer->map, (uint32_t)cluster, NULL) & MAP_PARTIAL)
			return false;
	return true;
}

/* Nobody asks for what it had. Only its own head tells that, and only with all layers known. */
static bool is_nobodys(const struct check *c, const struct check_bad *b)
{
	const struct page_id *id = &b->info.id;
	const struct pool_layer *layer;

	if (c->layers_doubtful || !b->read_head || !is_layer_page(id))
		return false;
	layer = pool_layer_find(c->pool, id->owner);
	return !layer || (id->kind == PAGE_MASK && masks_unused(layer, id->index));
}

static bool accepted(const struct check *c, const char *volumes)
{
	for (const char *p = volumes; *p;) {
		size_t len = strcspn(p, " ");
		bool found = false;

		for (unsigned i = 0; i < c->opts.n_accept && !found; i++)
			found = strlen(c->opts.accept[i]) == len &&
				!memcmp(c->opts.accept[i], p, len);
		if (!found)
			return false;
		p += len + (p[len] == ' ');
	}
	return true;
}

static void add_lost(struct check *c, const struct page_id *id)
{
	for (size_t i = 0; i < c->n_lost; i++)
		if (page_id_equal(&c->lost[i], id))
			return;
	if (check_room(c, &c->lost, c->n_lost, &c->lost_room, sizeof(*c->lost)))
		c->lost[c->n_lost++] = *id;
}

void check_lose(struct check *c, uint64_t place, const struct page_id *id, const char *what)
{
	uint64_t per_page = id->kind == PAGE_MAP ? PAGE_ENTRIES : PAGE_MASKS;
	uint64_t first = id->index * per_page;
	char *volumes = check_affected(c, id->owner);
	char plan[256];

	if (!volumes) {
		c->no_memory = true;
		return;
	}
	if (accepted(c, volumes)) {
		(void)snprintf(plan, sizeof(plan),
			       "let what is lost read as zeros and write the page anew, if no loss "
			       "is left that was not accepted");
		add_lost(c, id);
	} else {
		c->n_refused++;
		(void)snprintf(plan, sizeof(plan),
			       "nothing, unless --accept-data-loss names each of: %s", volumes);
	}
	check_tell(c, CHECK_LOSS, "page", place, plan, volumes,
		   "%s: %s of layer %" PRIu64 " is lost, which %s bytes %" PRIu64 " to %" PRIu64
		   " of: %s",
		   what, id->kind == PAGE_MAP ? "a part of the map" : "masks", id->owner,
		   id->kind == PAGE_MAP ? "is" : "is for clusters that are partly written in",
		   first * LAYOUT_CLUSTER, (first + per_page) * LAYOUT_CLUSTER - 1,
		   volumes[0] ? volumes : "no volume (a deleted one's layer)");
	free(volumes);
}

static void judge_lost_write(struct check *c, const struct check_bad *b)
{
	uint64_t lsn = check_announced_lsn(c, b->place);
	const struct page_id *id = &b->info.id;
	char what[256];

	(void)snprintf(what, sizeof(what),
		       "the page at %" PRIu64 " (%s %" PRIu64 "/%" PRIu64
		       ") is an older one than was written and read back: the device lost a write",
		       b->place, page_kind_name(id->kind), id->owner, id->index);
	if (b->other == PAGE_GOOD && b->other_info.lsn > lsn)
		check_tell(c, CHECK_NOTE, "page", b->place, NULL, NULL,
			   "%s; a newer one has been written since, nothing is lost", what);
	else if (is_nobodys(c, b))
		check_tell(c, CHECK_NOTE, "page", b->place, NULL, NULL,
			   "%s; nobody needs it any more", what);
	else if (is_layer_page(id))
		check_lose(c, b->place, id, what);
	else
		check_tell(c, CHECK_HOPELESS, "page", b->place, NULL, NULL,
			   "%s; what it had is not in the journal", what);
}

static void judge(struct check *c, const struct check_bad *b)
{
	static const uint8_t zeros[LAYOUT_PAGE];
	const struct page_id *id = whose(b);
	char what[256];

	if (b->found == PAGE_GOOD) {
		judge_lost_write(c, b);
		return;
	}
	if (turn_back(c, b) || put_back(c, b))
		return;
	what_text(b, what, sizeof(what));
	if (older_by_ring(c, b) || superseded(c, b) || is_nobodys(c, b)) {
		check_tell(c, CHECK_MENDABLE, "page", b->place, PLAN_ZERO, NULL,
			   "%s; it does not count, nothing is lost with it", what);
		check_add_write(c, b->place, zeros);
	} else if (id && is_layer_page(id)) {
		check_lose(c, b->place, id, what);
	} else if (id) {
		check_tell(c, CHECK_HOPELESS, "page", b->place, NULL, NULL,
			   "%s; it may be the newest page %s %" PRIu64 "/%" PRIu64
			   ", which is not in the journal",
			   what, page_kind_name(id->kind), id->owner, id->index);
	} else {
		check_tell(c, CHECK_HOPELESS, "page", b->place, NULL, NULL,
			   "%s, and nothing tells whose page it was", what);
	}
}

void check_judge_pages(struct check *c)
{
	if (c->journal_damaged) { /* which page is newer than which is known when it is mended */
		if (c->n_bad)
			check_tell(c, CHECK_NOTE, "page", c->bad[0].place, NULL, NULL,
				   "%zu pages, the first at %" PRIu64
				   ", cannot be judged before the journal is mended",
				   c->n_bad, c->bad[0].place);
		return;
	}
	for (size_t i = 0; i < c->n_bad; i++) {
		const struct page_id *id = whose(&c->bad[i]);

		c->layers_doubtful |= !id || id->kind == PAGE_LAYER || id->kind == PAGE_SEGMENTS;
	}
	for (size_t i = 0; i < c->n_bad; i++)
		judge(c, &c->bad[i]);
}
