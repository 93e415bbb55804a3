/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal blocks of any bytes behind the sample superblock. Byte 0: 1: checksums and the chain are made right first. Every record
 * of a block that is taken decodes, and encoding it gives the same bytes again.
 */
#include "base/check.h"
#include "layout/journal.h"
#include "samples.h"

#include "fuzz.h"

#define BLOCKS 15

static uint8_t block[BLOCKS][LAYOUT_PAGE];

static void repair(uint8_t *p, const struct layout_rules *rules, const struct journal_link *link)
{
	struct journal_format *f = (struct journal_format *)p;

	put_le32(&f->magic, JOURNAL_MAGIC);
	memcpy(f->pool, rules->pool.b, sizeof(f->pool));
	put_le64(&f->lsn, link->lsn);
	put_le64(&f->prev_epoch, link->prev_epoch);
	put_le32(&f->prev_crc, link->prev_crc);
	put_le32(&f->crc, layout_page_crc(p, offsetof(struct journal_format, crc)));
}

static void check_records(const uint8_t *p, const struct layout_rules *rules)
{
	const struct journal_format *f = (const struct journal_format *)p;
	uint32_t used = get_le16(&f->used), size;
	struct record r;

	for (uint32_t at = 0; at < used; at += size) {
		uint8_t again[RECORD_SIZE_MAX];

		ASSERT(record_decode(f->records + at, used - at, rules, &r, &size, NULL) == 0);
		if (r.type >= RECORD_TYPES)
			continue;
		ASSERT(record_size(&r) == size);
		record_encode(&r, again);
		ASSERT(memcmp(again, f->records + at, size) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct layout_rules rules;
	struct journal_scan scan;
	struct journal_cursor c;
	struct record r;
	struct err err = {0};
	unsigned taken = 0;
	int rc;

	if (size < 1)
		return 0;
	sample_rules(&rules);
	memset(block, 0, sizeof(block));
	memcpy(block, data + 1, MIN(size - 1, sizeof(block)));
	journal_scan_init(&scan, &rules);
	for (unsigned i = 0; i < BLOCKS && !scan.ended; i++) {
		if (data[0] & 1)
			repair(block[i], &rules, &scan.link);
		taken += journal_scan_block(&scan, block[i]) <= JOURNAL_COMMIT;
	}
	while (!scan.ended) {
		static const uint8_t zero[LAYOUT_PAGE];

		(void)journal_scan_block(&scan, zero);
	}
	ASSERT(scan.commit.lsn <= rules.tail_lsn + taken);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (i < taken)
			check_records(block[i], &rules);
		journal_scan_behind(&scan, rules.tail_lsn + i, block[i]);
		journal_cursor_init(&c, block[i]);
		while (journal_cursor_next(&c, &rules, &r))
			ASSERT(r.type < RECORD_TYPES);
	}
	rc = journal_scan_verdict(&scan, &err);
	ASSERT(rc == err.code);
	return 0;
}
