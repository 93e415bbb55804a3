/* SPDX-License-Identifier: Apache-2.0 */
/* Journal records: round trips, every cut, every impossible field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "samples.h"

static struct layout_rules rules;
static struct err err;

static int setup(void **state)
{
	sample_rules(&rules);
	return 0;
}

static void every_type_round_trips(void **state)
{
	uint8_t a[RECORD_SIZE_MAX], b[RECORD_SIZE_MAX];
	unsigned seen = 0;

	for (unsigned i = 0; i < SAMPLE_RECORDS; i++) {
		struct record in, out;
		uint32_t size;

		sample_record(i, &in);
		record_encode(&in, a);
		assert_int_equal(record_decode(a, sizeof(a), &rules, &out, &size, &err), 0);
		assert_int_equal(size, record_size(&in));
		assert_int_equal(size, record_size(&out));
		record_encode(&out, b);
		assert_memory_equal(a, b, size);
		seen |= 1u << in.type;
	}
	assert_int_equal(seen, (1u << RECORD_TYPES) - 2);
}

static void every_cut_is_refused(void **state)
{
	uint8_t buf[RECORD_SIZE_MAX];

	for (unsigned i = 0; i < SAMPLE_RECORDS; i++) {
		struct record r;
		uint32_t size, whole;

		sample_record(i, &r);
		whole = record_size(&r);
		record_encode(&r, buf);
		for (uint32_t len = 0; len < whole; len++)
			assert_int_equal(record_decode(buf, len, &rules, &r, &size, &err),
					 -EUCLEAN);
		for (uint32_t len = 0; len < whole; len += 8) { /* the record says it itself */
			put_le16(buf + 2, (uint16_t)len);
			assert_int_equal(record_decode(buf, sizeof(buf), &rules, &r, &size, NULL),
					 -EUCLEAN);
		}
		put_le16(buf + 2, (uint16_t)(whole + 8));
		if (whole + 8 <= sizeof(buf))
			assert_int_equal(record_decode(buf, sizeof(buf), &rules, &r, &size, NULL),
					 -EUCLEAN);
	}
}

static int decode_row(unsigned sample, unsigned at, unsigned width, uint64_t value)
{
	uint8_t buf[RECORD_SIZE_MAX], bytes[8];
	struct record r;
	uint32_t size;

	sample_record(sample, &r);
	record_encode(&r, buf);
	put_le64(bytes, value);
	memcpy(buf + at, bytes, width);
	return record_decode(buf, record_size(&r), &rules, &r, &size, NULL);
}

static void impossible_fields_are_refused(void **state)
{
	static const struct {
		unsigned sample, at, width;
		uint64_t value;
	} rows[] = {
		{0, 8, 8, 0},     /* MAP_SET: layer 0 */
		{1, 16, 8, 2},    /* phys in the head */
		{1, 16, 8, 2048}, /* phys behind the end */
		{1, 16, 8, (uint64_t)1 << 50},
		{1, 16, 8, 0x60 | MAP_HIDE},
		{1, 16, 8, 0x60 | MAP_PARTIAL}, /* without a mask */
		{2, 16, 8, 0x60},               /* with a mask too much */
		{3, 24, 4, 0},
		{3, 24, 4, 5000},
		{3, 24, 4, UINT32_MAX},
		{3, 28, 1, 1},
		{3, 16, 8, 0x60 | MAP_PARTIAL},
		{4, 4, 4, 1},
		{4, 8, 8, 0},
		{4, 8 + 32, 4, 0xff},
		{5, 8, 8, 0},
		{5, 4, 4, 1},
		{6, 8, 8, 0},
		{6, 16, 8, 0x52}, /* volume == snapshot */
		{6, 32, 8, 0x51}, /* old == new head */
		{6, 16, 8, 0x51}, /* snapshot == old head: layers and objects share their ids */
		{6, 24, 8, 0x52},
		{6, 32, 8, 0x52},
		{7, 8, 8, 0},
		{7, 16, 8, 0},
		{7, 16, 8, LAYOUT_COUNT_MAX + 1},
		{7, 24, 4, UINT32_MAX},
		{7, 24, 4, 1002},
		{7, 28, 2, 1},
		{7, 30, 1, 1},
		{7, 8 + 32 + 1001, 1, 1}, /* padding */
		{8, 8, 8, 0},
		{9, 4, 4, SEGMENTS_MAX},
		{9, 8, 8, 1},
		{10, 4, 4, 3},
		{10, 8, 8, UINT64_MAX},
		{11, 8, 8, 1},
		{12, 4, 4, 254},
		{12, 4, 4, UINT32_MAX},
		{12, 8, 8, 0},
		{12, 16, 2, 0},
		{12, 18, 1, 2},
		{12, 19, 1, 1},
		{12, 36, 1, 1}, /* padding */
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (decode_row(rows[i].sample, rows[i].at, rows[i].width, rows[i].value) !=
		    -EUCLEAN)
			fail_msg("row %u was taken", i);
	}
}

static void an_unknown_type_is_skipped_only_if_it_says_so(void **state)
{
	assert_int_equal(decode_row(0, 0, 2, 0), -EOPNOTSUPP);
	assert_int_equal(decode_row(0, 0, 2, RECORD_TYPES), -EOPNOTSUPP);
	assert_int_equal(decode_row(0, 0, 2, 0x7fff), -EOPNOTSUPP);
	assert_int_equal(decode_row(0, 0, 2, RECORD_IGNORABLE | 9), 0);
}

static void map_entries_have_five_states(void **state)
{
	assert_true(map_entry_valid(0, &rules));
	assert_true(map_entry_valid(MAP_HIDE, &rules));
	assert_true(map_entry_valid(2047, &rules));
	assert_true(map_entry_valid(2047 | MAP_PARTIAL, &rules));
	assert_true(map_entry_valid(2047 | MAP_PARTIAL | MAP_HIDE, &rules));
	assert_false(map_entry_valid(2047 | MAP_HIDE, &rules));
	assert_false(map_entry_valid(MAP_PARTIAL, &rules));
	assert_false(map_entry_valid(MAP_PARTIAL | MAP_HIDE, &rules));
	assert_false(map_entry_valid(2048, &rules));
	assert_false(map_entry_valid(rules.first_cluster - 1, &rules));
	for (unsigned bit = 42; bit < 64; bit++)
		assert_false(map_entry_valid(2047 | (uint64_t)1 << bit, &rules));
}

static void a_blocks_sum_depends_on_its_place(void **state)
{
	static uint8_t block[LAYOUT_PAGE];

	assert_int_not_equal(layout_block_sum(1, block), layout_block_sum(2, block));
	assert_int_equal(layout_block_sum(1, block), layout_block_sum(1, block));
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_type_round_trips),        T(every_cut_is_refused),
		T(impossible_fields_are_refused), T(an_unknown_type_is_skipped_only_if_it_says_so),
		T(map_entries_have_five_states),  T(a_blocks_sum_depends_on_its_place),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
