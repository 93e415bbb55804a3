/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: round trips, any damage is seen, which slot wins, and where slots are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/bitmap.h"
#include "samples.h"

static struct layout_rules rules;
static uint8_t page[2][LAYOUT_PAGE];
static struct page_slot slot[2];
static struct err err;

static int setup(void **state)
{
	sample_rules(&rules);
	return 0;
}

static enum page_found look(unsigned i, uint64_t place)
{
	slot[i].page = page[i];
	slot[i].found = page_open(page[i], &rules, place, &slot[i].info, &err);
	return slot[i].found;
}

static void reseal(uint8_t *p)
{
	put_le32(p + 4, layout_page_crc(p, 4));
}

static void every_kind_is_read_as_written(void **state)
{
	struct props_chunk chunk;
	struct layer layer;

	for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
		enum page_kind kind = sample_pages[i];

		uint64_t place = sample_page(kind, 90, page[0]);

		assert_int_equal(look(0, place), PAGE_GOOD);
		assert_int_equal(slot[0].info.id.kind, kind);
		assert_int_equal(slot[0].info.lsn, 90);
	}
	(void)sample_page(PAGE_MAP, 90, page[0]);
	assert_int_equal(page_entry(page[0], PAGE_ENTRIES - 1), 0x61 | MAP_PARTIAL);
	(void)sample_page(PAGE_MASK, 90, page[0]);
	assert_int_equal(page_mask(page[0], PAGE_MASKS - 1).word[2], 3);
	(void)sample_page(PAGE_LAYER, 90, page[0]);
	assert_false(page_layer(page[0], 0, &layer));
	assert_true(page_layer(page[0], 2, &layer));
	assert_int_equal(layer.peer, 0x53);
	assert_int_equal(layer.size_bytes, 100 * MIB);
	page_set_layer(page[0], 2, NULL);
	assert_false(page_layer(page[0], 2, &layer));
	(void)sample_page(PAGE_PROPS, 90, page[0]);
	page_props(page[0], &chunk);
	assert_int_equal(chunk.len, 1001);
	assert_int_equal(chunk.data[2], 3);
}

static void every_flipped_bit_is_seen(void **state)
{
	uint64_t place = sample_page(PAGE_MAP, 90, page[0]);

	for (unsigned bit = 0; bit < 8 * LAYOUT_PAGE; bit++) {
		page[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(look(0, place), PAGE_TORN);
		page[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void a_page_torn_between_sectors_is_old_new_or_torn(void **state)
{
	uint8_t old[LAYOUT_PAGE], new[LAYOUT_PAGE];
	uint64_t place = sample_page(PAGE_MAP, 80, old);
	struct page_info info = {{PAGE_MAP, 0x52, 1}, 90, 7};

	page_clear(new);
	for (unsigned i = 0; i < PAGE_ENTRIES; i++)
		page_set_entry(new, i, 100 + i);
	page_seal(new, &rules, &info, place);
	for (unsigned mask = 1; mask < 255; mask++) {
		for (unsigned s = 0; s < 8; s++)
			memcpy(page[0] + s * 512, (mask >> s & 1 ? new : old) + s * 512, 512);
		assert_int_equal(look(0, place), PAGE_TORN);
		for (unsigned s = 0; s < 8; s++) { /* over a slot that was never written */
			if (!(mask >> s & 1))
				memset(page[0] + s * 512, 0, 512);
		}
		assert_int_equal(look(0, place), PAGE_TORN);
	}
}

static void blank_foreign_misplaced_and_fenced_are_told_apart(void **state)
{
	uint64_t place = sample_page(PAGE_MAP, 90, page[0]);

	assert_int_equal(look(0, place + 1), PAGE_MISPLACED);
	assert_int_equal(look(0, place + ((uint64_t)1 << 32)), PAGE_MISPLACED);
	rules.epoch = 8;
	assert_int_equal(look(0, place), PAGE_GOOD);
	rules.epoch_lsn = 90;
	assert_int_equal(look(0, place), PAGE_FENCED);
	rules.epoch = 6;
	assert_int_equal(look(0, place), PAGE_BAD);
	rules.pool.b[0] ^= 1;
	assert_int_equal(look(0, place), PAGE_FOREIGN);
	page_clear(page[0]);
	assert_int_equal(look(0, place), PAGE_BLANK);
}

static void impossible_content_is_refused(void **state)
{
	static const struct {
		enum page_kind kind;
		unsigned at, width;
		uint64_t value;
	} rows[] = {
		{PAGE_MAP, 24, 8, 0},
		{PAGE_MAP, 32, 8, UINT64_MAX},
		{PAGE_MAP, 40, 8, 0},
		{PAGE_MAP, 48, 8, 0},
		{PAGE_MAP, 62, 2, 0},
		{PAGE_MAP, 62, 2, 7},
		{PAGE_MAP, 62, 2, PAGE_SEGMENTS},
		{PAGE_MAP, 64, 8, 1},
		{PAGE_MASK, 24, 8, 0},
		{PAGE_LAYER, 24, 8, 5},
		{PAGE_LAYER, 72, 1, 5},
		{PAGE_LAYER, 64 + 2 * 64 + 36, 1, 1},
		{PAGE_PROPS, 32, 8, 1},
		{PAGE_PROPS, 32, 8, 16},
		{PAGE_PROPS, 64, 8, 0},
		{PAGE_PROPS, 64, 8, LAYOUT_COUNT_MAX + 1},
		{PAGE_PROPS, 72, 4, 0},
		{PAGE_PROPS, 76, 2, 5},
		{PAGE_PROPS, 4095, 1, 1},
		{PAGE_PROPS, 64 + 32 + 1001, 1, 1},
		{PAGE_LAYER, 62, 2, 5}, /* a kind that no version has written */
		{PAGE_LAYER, 62, 2, 7},
		{PAGE_SEGMENTS, 64, 8, 1},
		{PAGE_SEGMENTS, 64, 8, 1u << 20},
		{PAGE_SEGMENTS, 32, 8, 510},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t place = sample_page(rows[i].kind, 90, page[0]);
		uint8_t bytes[8];

		put_le64(bytes, rows[i].value);
		memcpy(page[0] + rows[i].at, bytes, rows[i].width);
		reseal(page[0]);
		err.text[0] = '\0';
		if (look(0, place) != PAGE_BAD || !err.text[0])
			fail_msg("row %u was taken", i);
	}
}

/* The last MAP page reaches over the end of the largest layer. */
static void clusters_that_no_layer_can_have_are_refused(void **state)
{
	uint64_t place = sample_page(PAGE_MAP, 90, page[0]);
	uint64_t last = LAYER_BYTES_MAX / LAYOUT_CLUSTER - 1;
	unsigned i = (unsigned)(last % PAGE_ENTRIES);

	put_le64(page[0] + 32, last / PAGE_ENTRIES);
	memset(page[0] + PAGE_HEAD, 0, PAGE_ROOM);
	page_set_entry(page[0], i, 0x61);
	reseal(page[0]);
	assert_int_equal(look(0, place), PAGE_GOOD);
	page_set_entry(page[0], i + 1, MAP_HIDE);
	reseal(page[0]);
	assert_int_equal(look(0, place), PAGE_BAD);
}

static void the_later_good_slot_wins(void **state)
{
	uint64_t place = sample_page(PAGE_MAP, 80, page[0]);

	(void)sample_page(PAGE_MAP, 90, page[1]);
	look(0, place);
	look(1, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_B);
	assert_int_equal(page_choose(&slot[1], &slot[0]), PAGE_WINNER_A);
	page[1][700] ^= 1;
	look(1, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_A);
	page[0][700] ^= 1;
	look(0, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_NONE);
	page[1][700] ^= 1;
	look(1, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_B);
}

static void one_lsn_with_two_contents_is_a_conflict(void **state)
{
	uint64_t place = sample_page(PAGE_MAP, 80, page[0]);

	(void)sample_page(PAGE_MAP, 80, page[1]);
	look(0, place);
	look(1, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_A);
	page_set_entry(page[1], 9, 0x99);
	reseal(page[1]);
	look(1, place);
	assert_int_equal(page_choose(&slot[0], &slot[1]), PAGE_WINNER_CONFLICT);
}

static void places_do_not_overlap(void **state)
{
	struct bitmap used;

	assert_int_equal(bitmap_init(&used, 5 * LAYOUT_CLUSTER_BLOCKS), 0);
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		bitmap_set(&used, SUPERBLOCK_COPY_OFFSET(i) / LAYOUT_PAGE);
	for (unsigned i = 0; i < 2 * SEGTAB_PAIRS; i++) {
		uint64_t place = segtab_place(i / 2, i % 2);

		assert_true(place < LAYOUT_HEAD / LAYOUT_PAGE);
		assert_false(bitmap_test(&used, place));
		bitmap_set(&used, place);
	}
	for (unsigned i = 0; i < 2 * SEGMENT_PAIRS; i++) {
		uint64_t place = segment_place(4, i / 2, i % 2);

		assert_false(bitmap_test(&used, place));
		bitmap_set(&used, place);
	}
	assert_int_equal(bitmap_next_clear(&used, 0), BITMAP_NONE);
	bitmap_fini(&used);
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_kind_is_read_as_written),
		T(every_flipped_bit_is_seen),
		T(a_page_torn_between_sectors_is_old_new_or_torn),
		T(blank_foreign_misplaced_and_fenced_are_told_apart),
		T(impossible_content_is_refused),
		T(clusters_that_no_layer_can_have_are_refused),
		T(the_later_good_slot_wins),
		T(one_lsn_with_two_contents_is_a_conflict),
		T(places_do_not_overlap),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
