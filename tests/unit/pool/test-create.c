/* SPDX-License-Identifier: Apache-2.0 */
/* Creating pools: what is on the device is found and named, and what was there does not shine through. */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SIZE (32 * MIB)

static const struct {
	const char *what;
	uint64_t offset;
	const char *bytes;
	size_t len;
} found[] = {
	{"GPT", 512, "EFI PART", 8},
	{"GPT", SIZE - 512, "EFI PART", 8},
	{"MBR", 446, "\x80\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16}, /* with the mark below */
	{"XFS", 0, "XFSB", 4},
	{"ext2/3/4", 1080, "\x53\xef", 2},
	{"btrfs", 65536 + 64, "_BHRfS_M", 8},
	{"LVM2", 512 + 24, "LVM2 001", 8},
	{"LUKS", 0, "LUKS\xba\xbe", 6},
	{"swap", 4086, "SWAPSPACE2", 10},
	{"software RAID", 4096, "\xfc\x4e\x2b\xa9", 4},
	{"software RAID", SIZE - 65536, "\xfc\x4e\x2b\xa9", 4},
	{"software RAID", SIZE - 8192, "\xfc\x4e\x2b\xa9", 4},
	{"ZFS", 128 * KIB + 3 * KIB, "\x0c\xb1\xba\0\0\0\0\0", 8},
	{"ZFS", SIZE - 384 * KIB, "\x0c\xb1\xba\0\0\0\0\0", 8},
	{"ZFS", SIZE - 128 * KIB, "\0\0\0\0\0\xba\xb1\x0c", 8},
	{"NTFS", 3, "NTFS    ", 8},
	{"FAT", 0x52, "FAT32   ", 8},
	{"DRBD", SIZE - 4096 + 60, "\x83\x74\x02\x6d", 4},
	{"SPDK", 0, "SPDKBLOB", 8},
	{"LitePool", 3 * MIB, "LITEPOOL", 8},
};

static void put(struct pool_rig *rig, uint64_t offset, const void *bytes, size_t len)
{
	static uint8_t block[8192];
	uint64_t at = align_down(offset, 4096);

	memset(block, 0, sizeof(block));
	if (at + sizeof(block) > SIZE)
		at = SIZE - sizeof(block);
	memcpy(block + (offset - at), bytes, len);
	if (at == 0 && offset == 446)
		memcpy(block + 510, "\x55\xaa", 2);
	rig_write(rig, at, block, sizeof(block));
}

static void a_signature_is_named_and_needs_force(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(found); i++) {
		struct pool_create_opts opts = {.name = "p0"};
		struct pool_rig rig;
		uint8_t before[512], after[512];

		rig_init(&rig, i + 1, SIZE);
		put(&rig, found[i].offset, found[i].bytes, found[i].len);
		rig_read(&rig, found[i].offset / 512 * 512, before, sizeof(before));
		assert_int_equal(rig_create_opts(&rig, &opts), -EEXIST);
		if (!strstr(rig.err.text, found[i].what) || !strstr(rig.err.text, "force"))
			fail_msg("%s: %s", found[i].what, rig.err.text);
		rig_read(&rig, found[i].offset / 512 * 512, after, sizeof(after));
		assert_memory_equal(before, after, sizeof(before));

		opts.force = true;
		assert_int_equal(rig_create_opts(&rig, &opts), 0);
		rig_read(&rig, found[i].offset / 512 * 512, after, sizeof(after));
		if (found[i].offset) /* where the superblock is now */
			assert_memory_not_equal(before, after, sizeof(before));
		assert_int_equal(rig_open(&rig), 0);
		rig_fini(&rig);
	}
}

/* What the caller knows of the device counts like what is found, and is overwritten at both ends, too. */
static void what_the_caller_found_needs_force(void **state)
{
	struct pool_create_opts opts = {.name = "p0", .foreign = "isw_raid_member (raid)"};
	uint8_t before[512], after[512];
	struct pool_rig rig;

	rig_init(&rig, 7, SIZE);
	memset(before, 'x', sizeof(before));
	rig_write(&rig, SIZE - 1024, before, sizeof(before));
	assert_int_equal(rig_create_opts(&rig, &opts), -EEXIST);
	assert_non_null(strstr(rig.err.text, "holds isw_raid_member (raid)"));
	rig_read(&rig, SIZE - 1024, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	opts.force = true;
	assert_int_equal(rig_create_opts(&rig, &opts), 0);
	rig_read(&rig, SIZE - 1024, after, sizeof(after));
	assert_memory_not_equal(before, after, sizeof(before));
	assert_int_equal(rig_open(&rig), 0);
	rig_fini(&rig);
}

/* A copy at the end that is left would be found by the next who looks. */
static void forced_is_forced_at_both_ends(void **state)
{
	static const struct {
		uint64_t at[2];
		const char *bytes;
	} both[] = {
		{{512, SIZE - 512}, "EFI PART"},
		{{128 * KIB, SIZE - 384 * KIB}, "\x0c\xb1\xba\0\0\0\0\0"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(both); i++) {
		struct pool_create_opts opts = {.name = "p0", .force = true};
		struct pool_rig rig;
		uint8_t zero[4096] = {0};

		rig_init(&rig, i + 1, SIZE);
		put(&rig, both[i].at[0], both[i].bytes, 8);
		put(&rig, both[i].at[1], both[i].bytes, 8);
		assert_int_equal(rig_create_opts(&rig, &opts), 0);
		for (unsigned copy = 0; copy < SUPERBLOCK_COPIES; copy++)
			rig_write(&rig, SUPERBLOCK_COPY_OFFSET(copy), zero, sizeof(zero));
		opts.force = false;
		assert_int_equal(rig_create_opts(&rig, &opts), 0);
		rig_fini(&rig);
	}
}

static void a_boot_mark_without_partitions_is_nothing(void **state)
{
	struct pool_rig rig;

	rig_init(&rig, 1, SIZE);
	put(&rig, 510, "\x55\xaa", 2);
	assert_int_equal(rig_create(&rig), 0);
	rig_fini(&rig);
}

static void bad_options_are_refused(void **state)
{
	const struct pool_create_opts bad[] = {
		{.name = NULL},
		{.name = ""},
		{.name = "a b"},
		{.name = "a/b"},
		{.name = "0123456789012345678901234567890123456789012345678901234567890123"},
		{.name = "p", .watermark = {90, 80, 95}},
		{.name = "p", .watermark = {80, 90, 101}},
		{.name = "p", .reserved_bytes = SIZE},
		{.name = "p", .reserved_bytes = 24 * MIB + 1},
	};
	struct pool_rig rig;

	rig_init(&rig, 1, SIZE);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(rig_create_opts(&rig, &bad[i]), -EINVAL);
		assert_string_not_equal(rig.err.text, "");
	}
	rig_fini(&rig);
	rig_init(&rig, 1, 9 * MIB);
	assert_int_equal(rig_create(&rig), -EINVAL);
	rig_fini(&rig);
}

static void options_are_kept(void **state)
{
	struct pool_create_opts opts = {.name = "big",
					.uuid = {{1, 2, 3}},
					.commit_percent = 300,
					.watermark = {50, 60, 70},
					.reserved_bytes = MIB + 1};
	const struct superblock *sb;
	struct pool_rig rig;

	rig_init(&rig, 1, SIZE);
	assert_int_equal(rig_create_opts(&rig, &opts), 0);
	rig.open.uuid = &opts.uuid;
	assert_int_equal(rig_open(&rig), 0);
	sb = pool_superblock(rig.pool);
	assert_string_equal(sb->name, "big");
	assert_int_equal(sb->commit_percent, 300);
	assert_int_equal(sb->watermark[1], 60);
	assert_int_equal(sb->reserved_clusters, 2);
	assert_true(sb->created_s > 0);
	rig_fini(&rig);
}

/* The same UUID again: nothing of the old journal, pages or names may count. */
static void a_new_pool_is_empty_even_with_the_old_uuid(void **state)
{
	struct pool_create_opts opts = {.name = "p0", .uuid = {{9}}, .force = true};
	struct pool_rig rig;

	rig_init(&rig, 1, SIZE);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_create_opts(&rig, &opts), 0);
		assert_int_equal(rig_open(&rig), 0);
		assert_int_equal(pool_object_count(rig.pool), 0);
		(void)rig_add_volume(&rig, "old", GIB);
		assert_int_equal(rig_checkpoint(&rig), 0);
		(void)rig_add_volume(&rig, "newer", GIB);
		rig_crash(&rig, false);
	}
	assert_int_equal(rig_create_opts(&rig, &opts), 0);
	assert_int_equal(rig_open(&rig), 0);
	rig_crash(&rig, false);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(pool_object_count(rig.pool), 0);
	rig_fini(&rig);
}

static bool some_writes(void *ctx)
{
	return ((struct pool_rig *)ctx)->done;
}

static void a_cut_leaves_no_pool_or_a_whole_one(void **state)
{
	unsigned opened = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct pool_create_opts opts = {.name = "p0"};
		struct pool_rig rig;
		int res;

		rig_init(&rig, seed, SIZE);
		rig.arg = &opts;
		rig.call = rig_call_create;
		rig.msg.run = rig_arrives;
		reactor_post(rig.env.home, &rig.msg);
		(void)sim_run_until(rig.w.sim, some_writes, &rig,
				    rng_below(sim_rng(rig.w.sim), 3 * NSEC_PER_MSEC));
		sim_file_power_cut(rig.w.sim, RIG_PATH);
		assert_true(sim_run_until(rig.w.sim, rig_is_done, &rig, WORLD_DEADLINE));
		res = rig_open(&rig);
		opened += res == 0;
		if (res && res != -ENOENT && res != -EUCLEAN)
			fail_msg("seed %llu: %d %s", (unsigned long long)seed, res, rig.err.text);
		if (res) { /* and it can be made */
			opts.force = true;
			assert_int_equal(rig_create_opts(&rig, &opts), 0);
			assert_int_equal(rig_open(&rig), 0);
		}
		assert_int_equal(pool_object_count(rig.pool), 0);
		rig_fini(&rig);
	}
	assert_in_range(opened, 1, 59);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_is_named_and_needs_force),
		cmocka_unit_test(what_the_caller_found_needs_force),
		cmocka_unit_test(forced_is_forced_at_both_ends),
		cmocka_unit_test(a_boot_mark_without_partitions_is_nothing),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(options_are_kept),
		cmocka_unit_test(a_new_pool_is_empty_even_with_the_old_uuid),
		cmocka_unit_test(a_cut_leaves_no_pool_or_a_whole_one),
	};

	log_set_level(LOG_LEVEL_WARN);
	return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
