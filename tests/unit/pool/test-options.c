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

static unsigned told;

static void ignore(void *ctx, int res, const struct err *err)
{
	told++;
}

static void call_hold(struct pool_rig *rig)
{
	rig_done(rig, pool_hold(rig->pool, ignore, ignore, NULL, NULL), NULL);
}

/* A change of the superblock is under way when the pool is to be frozen, which waits for it; then it is thawed. */
static void call_freeze_and_thaw(struct pool_rig *rig)
{
	pool_set_options(rig->pool, rig->arg, ignore, NULL);
	assert_int_equal(pool_freeze(rig->pool, ignore, NULL, NULL), 0);
}

static bool looks_again(void *ctx)
{
	return ((struct pool_rig *)ctx)->pool->hold.timer.heap_index != 0;
}

static void call_thaw(struct pool_rig *rig)
{
	pool_thaw(rig->pool);
	rig_done(rig, 0, NULL);
}

static void a_change_under_way_is_waited_for_by_a_freeze_that_is_given_up(void **state)
{
	const struct pool_options name = {.name = "x", .commit_percent = -1, .reserved_bytes = -1};
	struct pool_rig rig;

	begin(&rig);
	told = 0;
	assert_int_equal(rig_run(&rig, call_hold), 0);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
	assert_int_equal(told, 1);
	assert_int_equal(rig.pool->hold.step, HOLD_HELD);
	rig.arg = &name;
	rig.call = call_freeze_and_thaw;
	rig.msg.run = rig_arrives;
	reactor_post(rig.env.home, &rig.msg);
	assert_true(sim_run_until(rig.w.sim, looks_again, &rig, WORLD_DEADLINE));
	assert_int_equal(rig.pool->hold.step, HOLD_FREEZING);
	assert_int_equal(rig_run(&rig, call_thaw), 0);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
	assert_int_equal(told, 2); /* the change; nobody hears of the freeze */
	assert_int_equal(rig.pool->hold.step, HOLD_HELD);
	assert_string_equal(pool_superblock(rig.pool)->name, "x");
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_durable_when_answered),
		cmocka_unit_test(bad_options_change_nothing),
		cmocka_unit_test(a_failed_write_ends_all_writing),
		cmocka_unit_test(a_pool_grows_with_its_device),
		cmocka_unit_test(a_change_under_way_is_waited_for_by_a_freeze_that_is_given_up),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
