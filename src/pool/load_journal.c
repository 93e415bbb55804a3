/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: read whole, judged (layout/journal.h), then walked twice: once for what must be known before pages are looked at, once to apply it.
 *
 * The whole ring is read, not only up to the end: blocks behind it may prove that the end was once durable, and so is damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pool/load.h"

#define SLICE_BLOCKS 256u /* that are checked in a pass; about 0.2 ms */
#define SLICE_REPLAY 32u  /* that are applied; each may hold 126 map entries */

int load_journal(struct pool_opening *o)
{
	uint64_t bytes = (uint64_t)o->pool->rules.journal_blocks * LAYOUT_PAGE;
	unsigned n = (unsigned)(bytes / LAYOUT_CLUSTER);

	o->ring = batch_buffer(bytes);
	if (!o->ring)
		return err_set(&o->err, -ENOMEM, "no memory to read the journal");
	for (unsigned i = 0; i < n; i++)
		o->xfer[i] =
			(struct batch_xfer){LAYOUT_HEAD + i * (uint64_t)LAYOUT_CLUSTER,
					    LAYOUT_CLUSTER, o->ring + (size_t)i * LAYOUT_CLUSTER};
	batch_run(&o->batch, o->pool->dev, BLK_READ, 0, o->xfer, n, open_batch_done);
	journal_scan_init(&o->scan, &o->pool->rules);
	o->lsn = o->pool->rules.tail_lsn;
	return LOAD_WAIT;
}

static const uint8_t *block_at(const struct pool_opening *o, uint64_t lsn)
{
	return o->ring + lsn % o->pool->rules.journal_blocks * LAYOUT_PAGE;
}

static uint64_t place_of(const struct pool_opening *o, uint64_t lsn)
{
	return journal_offset(&o->pool->rules, lsn) / LAYOUT_PAGE;
}

static int verdict(struct pool_opening *o)
{
	struct err why = {0};
	int rc = journal_scan_verdict(&o->scan, &why);

	if (!rc)
		return 0;
	if (rc == -EOPNOTSUPP) {
		o->err = why;
		return rc;
	}
	return load_problem(o, POOL_DAMAGE, "journal", place_of(o, o->scan.end_lsn), "%s",
			    why.text);
}

/* Whether there is a next epoch, and journal blocks for as long as anybody may have the pool open. */
static int check_counts(struct pool_opening *o)
{
	const struct superblock *sb = &o->pool->super.now;

	if ((o->read_only && !o->opts.successor) ||
	    (sb->epoch < LAYOUT_COUNT_MAX && o->scan.commit.lsn <= LAYOUT_COUNT_MAX / 2))
		return 0;
	return load_problem(
		o, POOL_DAMAGE, "superblock", UINT64_MAX,
		"epoch %" PRIu64 " and journal block %" PRIu64
		" leave nothing to count on with: open it read-only and copy its volumes",
		sb->epoch, o->scan.commit.lsn);
}

int load_scan(struct pool_opening *o)
{
	const struct layout_rules *rules = &o->pool->rules;
	uint64_t end = rules->tail_lsn + rules->journal_blocks;
	uint64_t slice = MIN(o->lsn + SLICE_BLOCKS, end);
	int rc;

	for (; o->lsn < slice; o->lsn++) {
		if (o->scan.ended &&
		    o->opts.successor) /* it grows while it is read: pool_follow() is told how far it goes */
			break;
		if (o->scan.ended)
			journal_scan_behind(&o->scan, o->lsn, block_at(o, o->lsn));
		else
			(void)journal_scan_block(&o->scan, block_at(o, o->lsn));
	}
	if (o->lsn < end && !(o->scan.ended && o->opts.successor))
		return LOAD_AGAIN;
	if (!o->scan.ended) /* every block counts */
		(void)journal_scan_block(&o->scan, block_at(o, end));
	rc = verdict(o);
	if (!rc)
		rc = check_counts(o);
	o->lsn = rules->tail_lsn;
	return rc ? rc : LOAD_NEXT;
}

static int gather_pages(struct pool_opening *o, const struct record *r)
{
	int rc = 0;

	if (o->lsn <= o->pool->super.now.pages_lsn) /* its checkpoint has ended */
		return 0;
	for (uint32_t i = 0; i < r->pages.count && !rc; i++) {
		uint64_t place = get_le64(r->pages.place + 8 * (size_t)i);

		if (place) /* there the superblock is: no page */
			rc = load_set_add(&o->announced, place);
	}
	return rc ? err_set(&o->err, rc, "no memory to open a pool") : 0;
}

static int gather(struct pool_opening *o, const struct record *r)
{
	switch (r->type) {
	case RECORD_PAGES:
		return gather_pages(o, r);
	case RECORD_SEGMENT_SET: /* what the table pages say of it does not count */
		o->segment[r->segment_set.index] =
			r->segment_set.phys ? r->segment_set.phys : UINT64_MAX;
		o->segment_end = MAX(o->segment_end, r->segment_set.index + 1);
		return 0;
	default:
		return 0;
	}
}

/* The records of at most n blocks. */
static int walk(struct pool_opening *o, unsigned n,
		int (*take)(struct pool_opening *o, const struct record *r))
{
	int rc = 0;

	for (; n && o->lsn < o->scan.commit.lsn && !rc; n--, o->lsn++) {
		struct journal_cursor c;
		struct record r;

		journal_cursor_init(&c, block_at(o, o->lsn));
		while (!rc && journal_cursor_next(&c, &o->pool->rules, &r))
			rc = take(o, &r);
	}
	if (rc)
		return rc;
	if (o->lsn < o->scan.commit.lsn)
		return LOAD_AGAIN;
	o->lsn = o->pool->rules.tail_lsn;
	return LOAD_NEXT;
}

int load_gather(struct pool_opening *o)
{
	if (!o->segment)
		o->segment = calloc((size_t)SEGMENTS_MAX, sizeof(uint64_t));
	if (!o->segment)
		return err_set(&o->err, -ENOMEM, "no memory to open a pool");
	return walk(o, SLICE_BLOCKS, gather);
}

static int replay(struct pool_opening *o, const struct record *r)
{
	struct err why = {0};
	int rc = pool_apply(o->pool, r, false, &why);

	if (!rc)
		return 0;
	if (rc != -EUCLEAN) {
		o->err = why;
		return rc;
	}
	return load_problem(o, POOL_DAMAGE, "journal", place_of(o, o->lsn),
			    "journal block %" PRIu64 ", a record %s: %s", o->lsn,
			    record_type_name(r->type), why.text);
}

int load_replay(struct pool_opening *o)
{
	return walk(o, SLICE_REPLAY, replay);
}
