/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock: what is written is read, any damage is seen, and which of four copies counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "samples.h"

static uint8_t copy[SUPERBLOCK_COPIES][LAYOUT_PAGE];
static const uint8_t *const copies[SUPERBLOCK_COPIES] = {copy[0], copy[1], copy[2], copy[3]};
static struct superblock sb, got;
static struct superblock_pick pick;
static struct err err;

static int setup(void **state)
{
	sample_superblock(&sb);
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(&sb, i, copy[i]);
	return 0;
}

static void reseal(unsigned i)
{
	put_le32(copy[i] + 8, layout_page_crc(copy[i], 8));
}

static void what_is_written_is_read(void **state)
{
	uint8_t again[LAYOUT_PAGE];

	assert_int_equal(superblock_decode(copy[2], 2, &got, &err), SUPERBLOCK_GOOD);
	superblock_encode(&got, 2, again);
	assert_memory_equal(again, copy[2], LAYOUT_PAGE);
	assert_string_equal(got.name, "golden");
	assert_int_equal(got.tail_lsn, 100);
	assert_int_equal(got.watermark[1], 90);
}

static void every_flipped_bit_is_seen(void **state)
{
	for (unsigned bit = 0; bit < 8 * LAYOUT_PAGE; bit++) {
		copy[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(superblock_decode(copy[0], 0, &got, NULL), SUPERBLOCK_GOOD);
		copy[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(superblock_decode(copy[0], 0, &got, NULL), SUPERBLOCK_GOOD);
}

static void a_copy_torn_between_sectors_is_old_new_or_refused(void **state)
{
	uint8_t old[LAYOUT_PAGE], new[LAYOUT_PAGE], torn[LAYOUT_PAGE];

	memcpy(old, copy[0], sizeof(old));
	sb.generation++;
	superblock_encode(&sb, 0, new);
	new[4000] = 1;         /* a byte of the last sector differs, under a right checksum */
	put_le64(new + 16, 2); /* an unknown compat feature, which may */
	put_le32(new + 8, layout_page_crc(new, 8));
	for (unsigned mask = 1; mask < 255; mask++) {
		for (unsigned s = 0; s < 8; s++)
			memcpy(torn + s * 512, (mask >> s & 1 ? new : old) + s * 512, 512);
		if (memcmp(torn, old, LAYOUT_PAGE) && memcmp(torn, new, LAYOUT_PAGE))
			assert_int_equal(superblock_decode(torn, 0, &got, NULL), SUPERBLOCK_TORN);
	}
	assert_int_equal(superblock_decode(new, 0, &got, NULL), SUPERBLOCK_GOOD);
}

static void a_copy_at_anothers_place_is_refused(void **state)
{
	assert_int_equal(superblock_decode(copy[1], 0, &got, &err), SUPERBLOCK_BAD);
}

static void a_newer_version_is_named(void **state)
{
	put_le32(copy[0] + 12, 2);
	reseal(0);
	assert_int_equal(superblock_decode(copy[0], 0, &got, &err), SUPERBLOCK_UNSUPPORTED);
	assert_non_null(strstr(err.text, "version 2"));
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), -EOPNOTSUPP);
}

static void impossible_fields_are_refused(void **state)
{
	static const struct {
		unsigned at;
		uint64_t value;
	} rows[] = {
		{40, 0} /* half a UUID is still one */,
		{72, 0},
		{80, 0},
		{88, 1},
		{88, UINT64_MAX},
		{96, 1},
		{104, 4096},
		{104, UINT64_MAX},
		{112, 3},
		{112, UINT32_MAX},
		{120, 0},
		{120, UINT64_MAX},
		{128, 8},
		{136, UINT64_MAX},
		{144, 0},
		{144, 100000},
		{152, 0},
		{152, 9},
		{160, 0},
		{160, UINT64_MAX},
		{168, 0},
		{176, UINT64_MAX},
		{192, UINT64_MAX},
		{200, 0},
		{208, 0x5a3c},
		{208, 0x01000000},
		{216, 0},
		{216, 0x2f},
		{280, UINT64_MAX},
		{288, 1},
		{4088, 1},
	};

	for (unsigned i = 1; i < ARRAY_LEN(rows); i++) {
		setup(NULL);
		put_le64(copy[0] + rows[i].at, rows[i].value);
		reseal(0);
		if (superblock_decode(copy[0], 0, &got, NULL) != SUPERBLOCK_BAD)
			fail_msg("row %u at %u was taken", i, rows[i].at);
	}
}

static void the_newest_copy_wins_even_alone(void **state)
{
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		setup(NULL);
		sb.generation++;
		sb.tail_lsn = 200;
		superblock_encode(&sb, i, copy[i]);
		assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), 0);
		assert_int_equal(pick.winner, i);
		assert_true(pick.repair);
		assert_int_equal(got.tail_lsn, 200);
	}
}

static void a_higher_epoch_beats_a_higher_generation(void **state)
{
	sb.epoch++;
	sb.generation = 1;
	superblock_encode(&sb, 3, copy[3]);
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), 0);
	assert_int_equal(pick.winner, 3);
}

/* A writer updates two copies, flushes, then the other two; the cut tears what is under way in any way. */
static void an_update_cut_anywhere_is_old_or_new(void **state)
{
	static uint8_t old[SUPERBLOCK_COPIES][LAYOUT_PAGE], new[SUPERBLOCK_COPIES][LAYOUT_PAGE];

	memcpy(old, copy, sizeof(old));
	sb.generation++;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(&sb, i, new[i]);
	for (unsigned step = 0; step < 2; step++) {
		for (unsigned cut = 0; cut < 16;
		     cut++) { /* per copy: 0 old, 1 new, 2 torn, 3 zeros */
			for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
				unsigned way = i % 2 != step ? (i % 2 < step) : cut >> (i & 2) & 3;

				memcpy(copy[i], way == 1 ? new[i] : old[i], LAYOUT_PAGE);
				if (way == 2)
					memset(copy[i] + 512, 0xff, 512);
				if (way == 3)
					memset(copy[i], 0, LAYOUT_PAGE);
			}
			assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), 0);
			assert_in_range(got.generation, 42, 43);
		}
	}
}

static void two_truths_under_one_generation_are_refused(void **state)
{
	sb.tail_lsn++;
	superblock_encode(&sb, 1, copy[1]);
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), -ESTALE);
	assert_non_null(strstr(err.text, "two engines"));
}

static void copies_of_two_pools_need_a_choice(void **state)
{
	struct uuid golden = sb.pool;

	sb.pool.b[3] ^= 1;
	sb.epoch = 1000;
	superblock_encode(&sb, 1, copy[1]);
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), -ESTALE);
	assert_int_equal(superblock_choose(copies, &golden, &got, &pick, &err), 0);
	assert_int_equal(got.epoch, 7);
	assert_int_equal(superblock_choose(copies, &sb.pool, &got, &pick, &err), 0);
	assert_int_equal(got.epoch, 1000);
}

static void no_pool_and_a_ruined_pool_are_told_apart(void **state)
{
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		copy[i][100]++;
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), -EUCLEAN);
	memset(copy, 0, sizeof(copy));
	assert_int_equal(superblock_choose(copies, NULL, &got, &pick, &err), -ENOENT);
}

static void features_decide_the_access(void **state)
{
	assert_int_equal(superblock_access(&sb, &err), SUPERBLOCK_READ_WRITE);
	sb.compat = 1;
	assert_int_equal(superblock_access(&sb, &err), SUPERBLOCK_READ_WRITE);
	sb.ro_compat = 4;
	assert_int_equal(superblock_access(&sb, &err), SUPERBLOCK_READ_ONLY);
	assert_int_equal(err.code, -EROFS);
	sb.incompat |= 0x8000;
	assert_int_equal(superblock_access(&sb, &err), SUPERBLOCK_REFUSED);
	assert_non_null(strstr(err.text, "0x8000"));
}

static void a_later_opening_fences_the_earlier_one(void **state)
{
	struct superblock mine = sb, other = sb;
	struct uuid writer = {{1}}, rival = {{2}};

	superblock_next_epoch(&mine, &writer, 150);
	assert_int_equal(mine.epoch, 8);
	assert_int_equal(mine.epoch_lsn, 150);
	assert_true(superblock_is_mine(&mine, &mine));
	assert_false(superblock_is_mine(&mine, &sb));
	superblock_next_epoch(&other, &rival, 150);
	assert_false(superblock_is_mine(&mine, &other));
	assert_false(superblock_is_mine(&other, &mine));
}

static void geometry_follows_the_device(void **state)
{
	assert_int_equal(superblock_geometry(9 * MIB, &sb, &err), -EINVAL);
	assert_int_equal(superblock_geometry(10 * MIB, &sb, &err), 0);
	assert_int_equal(sb.journal_blocks, 1024);
	assert_int_equal(sb.first_cluster, 8);
	assert_int_equal(superblock_geometry(5 * GIB + 12345, &sb, &err), 0);
	assert_int_equal(sb.journal_blocks, 20 * 256);
	assert_int_equal(sb.end_cluster, 5120);
	assert_int_equal(superblock_geometry(10 * TIB, &sb, &err), 0);
	assert_int_equal(sb.journal_blocks, 16384);
	assert_int_equal(superblock_geometry(UINT64_MAX, &sb, &err), -EINVAL);
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(every_flipped_bit_is_seen),
		T(a_copy_torn_between_sectors_is_old_new_or_refused),
		T(a_copy_at_anothers_place_is_refused),
		T(a_newer_version_is_named),
		T(impossible_fields_are_refused),
		T(the_newest_copy_wins_even_alone),
		T(a_higher_epoch_beats_a_higher_generation),
		T(an_update_cut_anywhere_is_old_or_new),
		T(two_truths_under_one_generation_are_refused),
		T(copies_of_two_pools_need_a_choice),
		T(no_pool_and_a_ruined_pool_are_told_apart),
		T(features_decide_the_access),
		T(a_later_opening_fences_the_earlier_one),
		T(geometry_follows_the_device),
	};

	return cmocka_run_group_tests_name("superblock", tests, NULL, NULL);
}
