/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's builder and scan: packing, transactions, and each way in which a block does not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "samples.h"

#define BLOCKS 300

static uint8_t blocks[BLOCKS][LAYOUT_PAGE];
static struct layout_rules rules;
static struct journal_builder b;
static struct journal_scan s;
static struct err err;
static uint32_t n;

static int setup(void **state)
{
	sample_rules(&rules);
	n = sample_journal(blocks[0]);
	memset(blocks[n], 0, LAYOUT_PAGE);
	return 0;
}

static void start(uint32_t capacity)
{
	struct journal_link link = {rules.tail_lsn, rules.tail_prev_epoch, rules.tail_prev_crc};

	journal_builder_init(&b, &rules, &link, blocks, capacity);
}

static struct record id_record(uint64_t id)
{
	return (struct record){.type = RECORD_LAYER_DELETE, .layer_delete = {id}};
}

/* 251 of these fill a block: 16 bytes each. */
static int add(uint64_t id, unsigned times)
{
	struct record r = id_record(id);
	int rc = 0;

	while (times-- && rc == 0)
		rc = journal_add(&b, &r);
	return rc;
}

static void txn(uint64_t id, unsigned times)
{
	journal_txn_begin(&b);
	assert_int_equal(add(id, times), 0);
	journal_txn_end(&b);
}

static enum journal_found scan_all(void)
{
	journal_scan_init(&s, &rules);
	for (unsigned i = 0; i < BLOCKS && !s.ended; i++)
		(void)journal_scan_block(&s, blocks[i]);
	return s.end;
}

static void reseal(unsigned i)
{
	put_le32(blocks[i] + 4, layout_page_crc(blocks[i], 4));
}

static void records_come_out_as_they_went_in(void **state)
{
	struct journal_cursor c;
	struct record r;
	unsigned count = 0;

	assert_int_equal(scan_all(), JOURNAL_BLANK);
	assert_int_equal(journal_scan_verdict(&s, &err), 0);
	assert_int_equal(s.commit.lsn, rules.tail_lsn + n);
	for (unsigned i = 0; i < n; i++) {
		journal_cursor_init(&c, blocks[i]);
		assert_int_equal(c.lsn, rules.tail_lsn + i);
		while (journal_cursor_next(&c, &rules, &r))
			count++;
	}
	assert_int_equal(count, 4 + 3 + SAMPLE_RECORDS + 8 * (SAMPLE_RECORDS - 7) + 1);
}

static void every_flipped_bit_ends_the_scan(void **state)
{
	for (unsigned bit = 0; bit < 8 * LAYOUT_PAGE; bit++) {
		blocks[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
		scan_all();
		assert_int_equal(s.end_lsn, rules.tail_lsn);
		assert_int_equal(s.commit.lsn, rules.tail_lsn);
		blocks[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void a_block_torn_between_sectors_ends_the_scan(void **state)
{
	uint8_t new[LAYOUT_PAGE], old[LAYOUT_PAGE];

	memcpy(new, blocks[0], LAYOUT_PAGE);
	memset(old, 0x77, LAYOUT_PAGE);
	for (unsigned mask = 0; mask < 255; mask++) {
		for (unsigned i = 0; i < 8; i++)
			memcpy(blocks[0] + i * 512, (mask >> i & 1 ? new : old) + i * 512, 512);
		assert_in_range(scan_all(), JOURNAL_BLANK, JOURNAL_TORN);
		assert_int_equal(journal_scan_verdict(&s, &err), 0);
	}
}

static void small_transactions_share_a_block(void **state)
{
	start(8);
	for (unsigned i = 1; i <= 50; i++)
		txn(i, 5);
	assert_int_equal(journal_finish(&b, 0), 1);
	txn(51, 252);
	assert_int_equal(journal_finish(&b, 0), 2);
	assert_int_equal(b.link.lsn, rules.tail_lsn + 3);
}

static void a_transaction_that_outgrows_its_block_moves(void **state)
{
	start(8);
	txn(1, 200);
	txn(2, 100); /* 51 would fit behind the first */
	txn(3, 300); /* over two blocks, the first its own */
	assert_int_equal(journal_finish(&b, 0), 4);
	assert_int_equal(get_le16(blocks[0] + 66), 200);
	assert_int_equal(get_le32(blocks[0] + 68), JOURNAL_END);
	assert_int_equal(get_le16(blocks[1] + 66), 100);
	assert_int_equal(get_le32(blocks[1] + 68), JOURNAL_END);
	assert_int_equal(get_le32(blocks[2] + 68), 0);
	assert_int_equal(get_le32(blocks[3] + 60), 1);
	memset(blocks[4], 0, LAYOUT_PAGE);
	scan_all();
	assert_int_equal(s.commit.lsn, rules.tail_lsn + 4);
}

static void an_unfinished_group_does_not_count(void **state)
{
	start(8);
	txn(1, 10);
	txn(2, 700);
	assert_int_equal(journal_finish(&b, 0), 4);
	memset(blocks[3], 0, LAYOUT_PAGE);
	assert_int_equal(scan_all(), JOURNAL_BLANK);
	assert_int_equal(s.end_lsn, rules.tail_lsn + 3);
	assert_int_equal(s.commit.lsn, rules.tail_lsn + 1);
	assert_int_equal(journal_scan_verdict(&s, &err), 0);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
	start(8);
	txn(1, 10);
	journal_txn_begin(&b);
	assert_int_equal(add(2, 600), 0);
	journal_txn_abort(&b);
	txn(3, 10);
	n = journal_finish(&b, 0);
	memset(blocks[n], 0, LAYOUT_PAGE);
	scan_all();
	assert_int_equal(s.commit.lsn, rules.tail_lsn + n);
	for (unsigned i = 0; i < n; i++) {
		struct journal_cursor c;
		struct record r;

		journal_cursor_init(&c, blocks[i]);
		while (journal_cursor_next(&c, &rules, &r))
			assert_int_not_equal(r.layer_delete.layer, 2);
	}
	assert_int_equal(journal_finish(&b, 0), 0);
}

static void full_buffers_and_too_large_transactions_are_told(void **state)
{
	start(2);
	txn(1, 10);
	journal_txn_begin(&b);
	assert_int_equal(add(2, 1000), -ENOSPC);
	journal_txn_abort(&b);
	assert_int_equal(journal_finish(&b, 0), 1);
	journal_txn_begin(&b);
	assert_int_equal(add(2, 1000), -E2BIG);
	journal_txn_abort(&b);
	assert_int_equal(journal_finish(&b, 0), 0);
	start(BLOCKS);
	journal_txn_begin(&b);
	assert_int_equal(add(2, 251 * JOURNAL_GROUP_BLOCKS), 0);
	assert_int_equal(add(2, 1), -E2BIG);
	journal_txn_abort(&b);
	txn(3, 251 * JOURNAL_GROUP_BLOCKS);
	assert_int_equal(journal_finish(&b, 0), JOURNAL_GROUP_BLOCKS);
	memset(blocks[JOURNAL_GROUP_BLOCKS], 0, LAYOUT_PAGE);
	scan_all();
	assert_int_equal(s.commit.lsn, rules.tail_lsn + JOURNAL_GROUP_BLOCKS);
}

static void blocks_that_do_not_belong_end_the_scan(void **state)
{
	static const struct {
		unsigned at, width;
		uint64_t value;
		enum journal_found found;
	} rows[] = {
		{8, 1, 0xee, JOURNAL_FOREIGN}, {24, 8, 99, JOURNAL_STALE},
		{24, 8, 101, JOURNAL_AHEAD},   {32, 8, 6, JOURNAL_STALE},
		{32, 8, 8, JOURNAL_AHEAD},     {40, 8, 5, JOURNAL_CHAIN},
		{48, 8, 100, JOURNAL_BAD},     {56, 4, 5, JOURNAL_CHAIN},
		{60, 4, 1, JOURNAL_CHAIN},     {60, 4, 256, JOURNAL_BAD},
		{64, 2, 0, JOURNAL_BAD},       {64, 2, 4025, JOURNAL_BAD},
		{64, 2, 65535, JOURNAL_BAD},   {66, 2, 1, JOURNAL_BAD},
		{68, 4, 2, JOURNAL_BAD},       {4095, 1, 1, JOURNAL_BAD},
		{72, 2, 99, JOURNAL_BAD},
	};

	start(8);
	txn(1, 3);
	(void)journal_finish(&b, 0);
	memcpy(blocks[9], blocks[0], LAYOUT_PAGE);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[8];

		memcpy(blocks[0], blocks[9], LAYOUT_PAGE);
		put_le64(bytes, rows[i].value);
		memcpy(blocks[0] + rows[i].at, bytes, rows[i].width);
		reseal(0);
		if (scan_all() != rows[i].found)
			fail_msg("row %u: %s", i, journal_found_name(s.end));
		assert_int_equal(journal_scan_verdict(&s, &err) == 0,
				 rows[i].found <= JOURNAL_STALE);
	}
	assert_int_equal(journal_scan_verdict(&s, &err), -EOPNOTSUPP); /* the last row: a type */
}

static void a_damaged_block_that_was_durable_is_reported(void **state)
{
	start(8);
	txn(1, 3);
	(void)journal_finish(&b, 99);
	b.blocks = blocks[1]; /* the second round, written after the first was flushed */
	b.finished = true;
	txn(2, 3);
	(void)journal_finish(&b, 100);
	memset(blocks[2], 0, LAYOUT_PAGE);
	blocks[0][80] ^= 1;
	assert_int_equal(scan_all(), JOURNAL_TORN);
	assert_int_equal(journal_scan_verdict(&s, &err), 0);
	journal_scan_behind(&s, 101, blocks[1]);
	assert_int_equal(journal_scan_verdict(&s, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "journal block 100 is damaged"));
}

static void what_counted_at_an_opening_must_stay(void **state)
{
	rules.epoch = 8;
	rules.epoch_lsn = rules.tail_lsn + n;
	scan_all();
	assert_int_equal(journal_scan_verdict(&s, &err), 0);
	memset(blocks[n - 1], 0, LAYOUT_PAGE);
	scan_all();
	assert_int_equal(journal_scan_verdict(&s, &err), -EUCLEAN);
	rules.epoch_lsn = rules.tail_lsn + 1; /* and what did not count then never does */
	setup(NULL);
	rules.epoch = 8;
	rules.epoch_lsn = rules.tail_lsn + 1;
	assert_int_equal(scan_all(), JOURNAL_STALE);
	assert_int_equal(s.commit.lsn, rules.tail_lsn + 1);
}

static void a_ring_in_full_use_is_read_once(void **state)
{
	rules.journal_blocks = n;
	assert_int_equal(scan_all(), JOURNAL_FULL);
	assert_int_equal(s.commit.lsn, rules.tail_lsn + n);
	assert_int_equal(journal_scan_verdict(&s, &err), 0);
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(records_come_out_as_they_went_in),
		T(every_flipped_bit_ends_the_scan),
		T(a_block_torn_between_sectors_ends_the_scan),
		T(small_transactions_share_a_block),
		T(a_transaction_that_outgrows_its_block_moves),
		T(an_unfinished_group_does_not_count),
		T(an_aborted_transaction_leaves_nothing),
		T(full_buffers_and_too_large_transactions_are_told),
		T(blocks_that_do_not_belong_end_the_scan),
		T(a_damaged_block_that_was_durable_is_reported),
		T(what_counted_at_an_opening_must_stay),
		T(a_ring_in_full_use_is_read_once),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
