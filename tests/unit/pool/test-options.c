/* SPDX-License-Identifier: Apache-2.0 */
/* Options and growth of an open pool: durable when answered, refused with a reason. */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SIZE (32 * MIB)

static void call_set(struct pool_rig *rig)
{
	pool_set_options(rig->pool, rig->arg, rig_done, rig);
}

static int set(struct pool_rig *rig, const struct pool_options *opts)
{
	rig->arg = opts;
	return rig_run(rig, call_set);
}

static void call_grow(struct pool_rig *rig)
{
	pool_grow(rig->pool, rig_done, rig);
}

static void begin(struct pool_rig *rig)
{
	rig_init(rig, 1, SIZE);
	assert_int_equal(rig_create(rig), 0);
	assert_int_equal(rig_open(rig), 0);
}

static void options_are_durable_when_answered(void **state)
{
	struct pool_options all = {"other", 150, 3 * MIB, {10, 20, 30}};
	struct pool_options name = {.name = "third", .commit_percent = -1, .reserved_bytes = -1};
	const struct superblock *sb;
	struct pool_rig rig;

	begin(&rig);
	assert_int_equal(set(&rig, &all), 0);
	assert_int_equal(set(&rig, &name), 0);
	rig_crash(&rig, true);
	assert_int_equal(rig_open(&rig), 0);
	sb = pool_superblock(rig.pool);
	assert_string_equal(sb->name, "third");
	assert_int_equal(sb->commit_percent, 150);
	assert_int_equal(sb->reserved_clusters, 3);
	assert_int_equal(sb->watermark[2], 30);
	rig_fini(&rig);
}

static void bad_options_change_nothing(void **state)
{
	const struct pool_options bad[] = {
		{.name = "a b", .commit_percent = -1, .reserved_bytes = -1},
		{.name = "", .commit_percent = -1, .reserved_bytes = -1},
		{.commit_percent = (int64_t)1 << 32, .reserved_bytes = -1},
		{.commit_percent = -1, .reserved_bytes = INT64_MAX},
		{.commit_percent = -1, .reserved_bytes = -1, .watermark = {3, 2, 1}},
	};
	struct superblock before;
	struct pool_rig rig;

	begin(&rig);
	before = *pool_superblock(rig.pool);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(set(&rig, &bad[i]), -EINVAL);
		assert_string_not_equal(rig.err.text, "");
	}
	assert_memory_equal(&before, pool_superblock(rig.pool), sizeof(before));
	assert_int_equal(rig_close(&rig), 0);
	rig.open.read_only = true;
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(set(&rig, &(struct pool_options){.name = "x"}), -EROFS);
	rig_fini(&rig);
}

static void a_failed_write_ends_all_writing(void **state)
{
	struct pool_options name = {.name = "x", .commit_percent = -1, .reserved_bytes = -1};
	struct pool_rig rig;

	begin(&rig);
	sim_file_fail(rig.w.sim, RIG_PATH, 1u << FILE_WRITE, 1, -EIO);
	assert_int_equal(set(&rig, &name), -EIO);
	assert_int_equal(pool_state(rig.pool), POOL_FAILED);
	sim_file_fail(rig.w.sim, RIG_PATH, 0, 0, 0);
	assert_int_equal(set(&rig, &name), -EIO);
	assert_int_equal(rig_close(&rig), -EIO);
	assert_int_equal(rig_open(&rig), 0);
	rig_fini(&rig);
}

static void a_pool_grows_with_its_device(void **state)
{
	struct pool_space_info info;
	struct pool_rig rig;
	uint64_t size, layer, phys;

	begin(&rig);
	layer = rig_add_volume(&rig, "v0", GIB);
	assert_int_equal(rig_run(&rig, call_grow), 0); /* nothing to do */
	sim_file_resize(rig.w.sim, RIG_PATH, 2 * SIZE);
	assert_int_equal(rig.dev->ops->rescan(rig.dev, &size, NULL), 0);
	assert_int_equal(rig_run(&rig, call_grow), 0);
	pool_space_info(rig.pool, &info);
	assert_int_equal(info.total, 2 * SIZE / MIB - 8);
	assert_int_equal(info.free, info.total);
	phys = 2 * SIZE / MIB - 1;
	rig_map(&rig, layer, 3, phys, NULL);
	rig_crash(&rig, true);
	assert_int_equal(rig_open(&rig), 0);
	pool_space_info(rig.pool, &info);
	assert_int_equal(info.total, 2 * SIZE / MIB - 8);
	assert_int_equal(map_get(pool_layer_find(rig.pool, layer)->map, 3, NULL), phys);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_durable_when_answered),
		cmocka_unit_test(bad_options_change_nothing),
		cmocka_unit_test(a_failed_write_ends_all_writing),
		cmocka_unit_test(a_pool_grows_with_its_device),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
