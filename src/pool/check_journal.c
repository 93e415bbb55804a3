/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring as evidence. Its blocks go back a whole lap, far behind the tail, and their PAGES records say which slot was written last: so a damaged slot of which an
 * older one is announced than the good slot beside it is known to be the one that does not count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/check_priv.h"

const uint8_t *check_ring_block(const struct check *c, uint64_t lsn)
{
	return c->ring + lsn % c->pool->rules.journal_blocks * LAYOUT_PAGE;
}

static uint64_t place_of(const struct check *c, uint64_t lsn)
{
	return journal_offset(&c->pool->rules, lsn) / LAYOUT_PAGE;
}

/* Whole, of this pool, and the block of that LSN. Says nothing about its epoch: the chain of the scan does. */
static bool block_is(const struct check *c, uint64_t lsn)
{
	const uint8_t *block = check_ring_block(c, lsn);
	const struct journal_format *j = (const void *)block;

	return get_le32(&j->magic) == JOURNAL_MAGIC && get_le64(&j->lsn) == lsn &&
	       !memcmp(j->pool, c->pool->rules.pool.b, sizeof(j->pool)) &&
	       get_le32(&j->crc) == layout_page_crc(block, offsetof(struct journal_format, crc));
}

/* A chain backwards from the tail: each block names the epoch and checksum of the one before it. */
static void find_oldest(struct check *c)
{
	const struct layout_rules *rules = &c->pool->rules;
	uint64_t crc = rules->tail_prev_crc, end = c->scan.commit.lsn;
	uint64_t least = end > rules->journal_blocks ? end - rules->journal_blocks : 1;

	c->oldest = rules->tail_lsn;
	while (c->oldest > least) {
		const struct journal_format *j = (const void *)check_ring_block(c, c->oldest - 1);

		if (!block_is(c, c->oldest - 1) || get_le32(&j->crc) != crc)
			return;
		crc = get_le32(&j->prev_crc);
		c->oldest--;
	}
}

static void scan(struct check *c)
{
	const struct layout_rules *rules = &c->pool->rules;
	uint64_t end = rules->tail_lsn + rules->journal_blocks;

	journal_scan_init(&c->scan, rules);
	for (uint64_t lsn = rules->tail_lsn; lsn < end; lsn++) {
		if (c->scan.ended)
			journal_scan_behind(&c->scan, lsn, check_ring_block(c, lsn));
		else
			(void)journal_scan_block(&c->scan, check_ring_block(c, lsn));
	}
	if (!c->scan.ended)
		(void)journal_scan_block(&c->scan, check_ring_block(c, end));
}

static bool turn_back(struct check *c)
{
	uint8_t block[LAYOUT_PAGE];
	struct journal_scan again;
	unsigned bit;
	char plan[96];

	memcpy(block, check_ring_block(c, c->scan.end_lsn), sizeof(block));
	if (!fixbit_page(&c->fix_page, block, &bit)) /* the checksum is where pages have it */
		return false;
	journal_scan_init(&again, &c->pool->rules);
	again.link = c->scan.link;
	again.commit = c->scan.commit;
	again.group = c->scan.group;
	if (journal_scan_block(&again, block) > JOURNAL_COMMIT)
		return false;
	(void)snprintf(plan, sizeof(plan), "turn bit %u of byte %u back", bit % 8, bit / 8);
	check_tell(c, CHECK_MENDABLE, "journal", place_of(c, c->scan.end_lsn), plan, NULL,
		   "journal block %" PRIu64
		   " has one flipped bit; what is behind it cannot be judged before it is mended",
		   c->scan.end_lsn);
	check_add_write(c, place_of(c, c->scan.end_lsn), block);
	return true;
}

static_assert(offsetof(struct journal_format, crc) == offsetof(struct page_format, crc),
	      "one table for both");

/* ---- what the ring says of slots ---- */

static void announce(struct check *c, const struct record *r, uint64_t lsn, uint64_t epoch)
{
	for (uint32_t i = 0; i < r->pages.count; i++) {
		uint64_t place = get_le64(r->pages.place + 8 * (size_t)i);

		if (check_room(c, &c->announced, c->n_announced, &c->announced_room,
			       sizeof(*c->announced)))
			c->announced[c->n_announced++] =
				(struct check_announced){place, lsn, epoch};
	}
}

/* A cluster that becomes a segment is written with zeros: what was announced there before says nothing any more. */
static void forget_cluster(struct check *c, uint64_t cluster)
{
	for (size_t i = 0; i < c->n_announced; i++)
		if (c->announced[i].place / LAYOUT_CLUSTER_BLOCKS == cluster)
			c->announced[i].lsn = 0;
}

static void index_block(struct check *c, uint64_t lsn)
{
	const struct journal_format *j = (const void *)check_ring_block(c, lsn);
	struct journal_cursor cursor;
	struct record r;

	journal_cursor_init(&cursor, check_ring_block(c, lsn));
	while (journal_cursor_next(&cursor, &c->pool->rules, &r)) {
		if (r.type == RECORD_PAGES)
			announce(c, &r, lsn, get_le64(&j->epoch));
		else if (r.type == RECORD_SEGMENT_SET && r.segment_set.phys)
			forget_cluster(c, r.segment_set.phys);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct check_announced *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return (x->lsn < y->lsn) - (x->lsn > y->lsn); /* the newest first */
}

static void make_index(struct check *c)
{
	size_t n = 0;

	for (uint64_t lsn = c->oldest; lsn < c->scan.commit.lsn; lsn++)
		index_block(c, lsn);
	if (!c->n_announced)
		return;
	qsort(c->announced, c->n_announced, sizeof(*c->announced), by_place);
	for (size_t i = 0; i < c->n_announced; i++)
		if (c->announced[i].lsn &&
		    (!n || c->announced[n - 1].place != c->announced[i].place))
			c->announced[n++] = c->announced[i];
	c->n_announced = n;
}

const struct check_announced *check_find_announced(const struct check *c, uint64_t place)
{
	size_t low = 0, high = c->n_announced;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (c->announced[mid].place < place)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->n_announced && c->announced[low].place == place ? &c->announced[low] : NULL;
}

uint64_t check_announced_lsn(const struct check *c, uint64_t place)
{
	const struct check_announced *a = check_find_announced(c, place);

	return a ? a->lsn : 0;
}

/* ---- all of it ---- */

void check_journal(struct check *c)
{
	struct err why = {0};
	int rc;

	scan(c);
	find_oldest(c);
	make_index(c);
	c->result->numbers.journal_blocks = c->scan.commit.lsn - c->pool->rules.tail_lsn;
	rc = journal_scan_verdict(&c->scan, &why);
	/* An interrupted write is not one bit away from a block that fits: that one was whole. */
	c->journal_damaged = (rc || c->scan.end == JOURNAL_TORN) && turn_back(c);
	if (!rc || c->journal_damaged)
		return;
	c->journal_damaged = true;
	check_tell(c, CHECK_HOPELESS, "journal", place_of(c, c->scan.end_lsn), NULL, NULL,
		   "%s. What was written after it cannot be trusted: restore the volumes from a "
		   "replica or a backup, or copy off what can be read",
		   why.text);
}
