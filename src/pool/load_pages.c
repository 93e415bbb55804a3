/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pages of all segments: read a segment at a time, several under way, and of each pair the page that counts is kept until maps are built.
 *
 * Rules (FORMAT.md §5): of a pair, and over pairs, the higher LSN wins. A slot with a wrong checksum is an interrupted write if a PAGES record since the tail names
 * its place, and damage otherwise; so is everything else that is neither good nor blank.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pool/load.h"

#define SLICE_HOMES 2048u

/* ---- what was found ---- */

static size_t bucket_of(const struct load_pages *pages, const struct page_id *id)
{
	uint64_t v = (id->owner * 8 + id->kind) * 0x9e3779b97f4a7c15u + id->index;

	return (size_t)(v * 0xd6e8feb86659fd93u >> 24) & (pages->buckets - 1);
}

/* The bucket of the page with that id, or the empty one where it belongs. */
static uint32_t *bucket_find(const struct load_pages *pages, const struct page_id *id)
{
	size_t i = bucket_of(pages, id);

	while (pages->bucket[i] && !page_id_equal(&pages->page[pages->bucket[i] - 1].info.id, id))
		i = (i + 1) & (pages->buckets - 1);
	return &pages->bucket[i];
}

static int pages_grow(struct load_pages *pages)
{
	size_t capacity = pages->capacity ? pages->capacity * 2 : 1024;
	struct load_page *page = reallocarray(pages->page, capacity, sizeof(*page));
	uint32_t *bucket = calloc(capacity * 2, sizeof(*bucket));

	if (page)
		pages->page = page;
	if (!page || !bucket) {
		free(bucket);
		return -ENOMEM;
	}
	free(pages->bucket);
	pages->bucket = bucket;
	pages->buckets = capacity * 2;
	pages->capacity = capacity;
	for (size_t i = 0; i < pages->n; i++)
		if (page[i].counts)
			*bucket_find(pages, &page[i].info.id) = (uint32_t)i + 1;
	return 0;
}

struct load_page *load_page_find(struct pool_opening *o, enum page_kind kind, uint64_t owner,
				 uint64_t index)
{
	struct page_id id = {kind, owner, index};
	uint32_t found = o->pages.buckets ? *bucket_find(&o->pages, &id) : 0;

	return found ? &o->pages.page[found - 1] : NULL;
}

static void page_drop(struct load_page *page)
{
	free(page->page);
	page->page = NULL;
}

void load_pages_fini(struct load_pages *pages)
{
	for (size_t i = 0; i < pages->n; i++)
		page_drop(&pages->page[i]);
	free(pages->page);
	free(pages->bucket);
}

/* ---- one pair ---- */

static int torn_slot(struct pool_opening *o, uint64_t place)
{
	int rc;

	if (!load_set_has(&o->announced, place))
		return load_problem(o, POOL_DAMAGE, "page", place,
				    "the page at %" PRIu64
				    " has a wrong checksum, and no checkpoint was writing it",
				    place);
	rc = load_problem(o, POOL_NOTE, "page", place,
			  "the page at %" PRIu64 " was being written when the engine stopped",
			  place);
	if (!rc && o->n_torn == o->torn_capacity) {
		size_t capacity = o->torn_capacity ? o->torn_capacity * 2 : 64;
		struct batch_xfer *torn = reallocarray(o->torn, capacity, sizeof(*torn));

		if (!torn)
			return err_set(&o->err, -ENOMEM, "no memory to open a pool");
		o->torn = torn;
		o->torn_capacity = capacity;
	}
	if (!rc)
		o->torn[o->n_torn++] =
			(struct batch_xfer){place * LAYOUT_PAGE, LAYOUT_PAGE, o->zeros};
	return rc;
}

/* A slot on its own. 0: it may be used or ignored as found says. */
static int judge_slot(struct pool_opening *o, struct page_slot *slot, uint64_t place)
{
	struct err why = {0};

	slot->found = page_open(slot->page, &o->pool->rules, place, &slot->info, &why);
	switch (slot->found) {
	case PAGE_BLANK:
		return 0;
	case PAGE_GOOD:
		if (slot->info.lsn < o->scan.commit.lsn)
			return 0;
		slot->found = PAGE_BAD;
		return load_problem(o, POOL_DAMAGE, "journal", place,
				    "the page at %" PRIu64
				    " was written after journal block %" PRIu64
				    ", and the journal ends at %" PRIu64 ": its end is missing",
				    place, slot->info.lsn, o->scan.commit.lsn - 1);
	case PAGE_TORN:
		return torn_slot(o, place);
	case PAGE_BAD:
		return load_problem(o, POOL_DAMAGE, "page", place, "%s", why.text);
	case PAGE_FENCED:
		return load_problem(o, POOL_DAMAGE, "page", place,
				    "the page at %" PRIu64
				    " was written by an engine that had lost the pool",
				    place);
	case PAGE_FOREIGN:
	case PAGE_MISPLACED:
	default:
		return load_problem(o, POOL_DAMAGE, "page", place,
				    "the page at %" PRIu64 " is not what belongs there: %s", place,
				    page_found_name(slot->found));
	}
}

int load_pair(struct pool_opening *o, const uint8_t *const page[2], const uint64_t place[2],
	      struct page_info *ret_info)
{
	struct page_slot slot[2] = {{.page = page[0]}, {.page = page[1]}};
	enum page_winner winner;
	int rc = judge_slot(o, &slot[0], place[0]);

	if (!rc)
		rc = judge_slot(o, &slot[1], place[1]);
	if (rc)
		return rc;
	winner = page_choose(&slot[0], &slot[1]);
	if (winner == PAGE_WINNER_CONFLICT) {
		rc = load_problem(o, POOL_DAMAGE, "page", place[0],
				  "the pages at %" PRIu64 " and %" PRIu64 " have one LSN, %" PRIu64
				  ", and different content",
				  place[0], place[1], slot[0].info.lsn);
		return rc ? rc : 2;
	}
	if (winner == PAGE_WINNER_NONE)
		return 2;
	*ret_info = slot[winner].info;
	return (int)winner;
}

/* ---- one segment ---- */

static bool is_wanted(enum page_kind kind)
{
	return kind == PAGE_MAP || kind == PAGE_MASK || kind == PAGE_LAYER || kind == PAGE_PROPS;
}

/* Which of two pairs with the same page counts. True: the new one. */
static int settle_twice(struct pool_opening *o, struct load_page *have,
			const struct load_page *found)
{
	if (have->info.lsn == found->info.lsn) {
		int rc = load_problem(o, POOL_DAMAGE, "page", found->place,
				      "the pages at %" PRIu64 " and %" PRIu64
				      " are of one thing and have one LSN, %" PRIu64,
				      have->place, found->place, found->info.lsn);

		return rc;
	}
	if (have->info.lsn > found->info.lsn)
		return 0;
	have->counts = false;
	page_drop(have);
	return 1;
}

static int keep_page(struct pool_opening *o, struct load_page *found, const uint8_t *page)
{
	struct load_pages *pages = &o->pages;
	struct load_page *have;
	uint32_t *bucket;
	int rc;

	if (pages->n == pages->capacity && pages_grow(pages))
		return err_set(&o->err, -ENOMEM, "no memory to open a pool");
	if (found->counts) {
		bucket = bucket_find(pages, &found->info.id);
		have = *bucket ? &pages->page[*bucket - 1] : NULL;
		rc = have ? settle_twice(o, have, found) : 1;
		if (rc < 0)
			return rc;
		found->counts = rc;
		if (rc)
			*bucket = (uint32_t)pages->n + 1;
	}
	if (found->counts && is_wanted(found->info.id.kind)) {
		found->page = malloc(LAYOUT_PAGE);
		if (!found->page)
			return err_set(&o->err, -ENOMEM, "no memory to open a pool");
		memcpy(found->page, page, LAYOUT_PAGE);
	}
	pages->page[pages->n++] = *found;
	return 0;
}

static int take_segment(struct pool_opening *o, uint32_t index, const uint8_t *buf)
{
	uint64_t phys = o->segment[index];

	for (unsigned pair = 0; pair < SEGMENT_PAIRS; pair++) {
		const uint64_t place[2] = {segment_place(phys, pair, 0),
					   segment_place(phys, pair, 1)};
		const uint8_t *const page[2] = {buf + (size_t)pair * LAYOUT_PAGE,
						buf + (size_t)(SEGMENT_PAIRS + pair) * LAYOUT_PAGE};
		struct load_page found = {.pair = pair_id(index, pair)};
		int winner = load_pair(o, page, place, &found.info);
		int rc;

		if (winner < 0)
			return winner;
		found.counts = winner < 2;
		found.winner = (uint8_t)winner;
		found.place = place[winner & 1];
		rc = keep_page(o, &found, page[winner & 1]);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- all of them ---- */

static void read_done(struct blk_io *io, int res)
{
	struct load_read *read = container_of(io, struct load_read, io);

	read->res = res;
	read->state = READ_READY;
	read->o->reading--;
	open_soon(read->o);
}

static int read_next(struct pool_opening *o, struct load_read *read)
{
	while (o->next_segment < o->n_segments && !o->segment[o->next_segment])
		o->next_segment++;
	if (o->next_segment == o->n_segments)
		return 0;
	if (!read->buf && !(read->buf = batch_buffer(LAYOUT_CLUSTER)))
		return err_set(&o->err, -ENOMEM, "no memory to open a pool");
	read->o = o;
	read->index = o->next_segment++;
	read->state = READ_BUSY;
	read->io = (struct blk_io){
		.op = BLK_READ,
		.offset = o->segment[read->index] * LAYOUT_CLUSTER,
		.length = LAYOUT_CLUSTER,
		.buf = read->buf,
		.done = read_done,
	};
	o->reading++;
	blk_submit(o->pool->dev, &read->io);
	return 0;
}

static int take_read(struct pool_opening *o, struct load_read *read)
{
	uint64_t phys = o->segment[read->index];

	read->state = READ_IDLE;
	if (!read->res)
		return take_segment(o, read->index, read->buf);
	return load_problem(o, POOL_DAMAGE, "segment", phys * LAYOUT_CLUSTER_BLOCKS,
			    "segment %" PRIu32 " at cluster %" PRIu64 " cannot be read: %s",
			    read->index, phys, strerror(-read->res));
}

/* A segment a pass. Those that are read meanwhile wait in their buffers. */
int load_segments(struct pool_opening *o)
{
	struct load_read *ready = NULL;
	bool more = false;
	int rc = 0;

	for (unsigned i = 0; i < LOAD_READS; i++) {
		struct load_read *read = &o->read[i];

		if (read->state == READ_READY) {
			more = more || ready;
			ready = ready ? ready : read;
		} else if (read->state == READ_IDLE) {
			rc = read_next(o, read);
			if (rc)
				return rc;
		}
	}
	if (ready)
		rc = take_read(o, ready);
	if (ready && !rc)
		rc = read_next(o, ready);
	if (rc)
		return rc;
	if (more)
		return LOAD_AGAIN;
	return o->reading ? LOAD_STAY : LOAD_NEXT;
}

int load_homes(struct pool_opening *o)
{
	size_t slice = MIN(o->next_page + SLICE_HOMES, o->pages.n);

	for (; o->next_page < slice; o->next_page++) {
		const struct load_page *page = &o->pages.page[o->next_page];
		int rc = checkpoint_found_page(o->pool, page->counts ? &page->info : NULL,
					       page->pair, page->winner & 1);

		if (rc)
			return err_set(&o->err, rc, "no memory to open a pool");
	}
	if (o->next_page < o->pages.n)
		return LOAD_AGAIN;
	return LOAD_NEXT;
}
