/* SPDX-License-Identifier: Apache-2.0 */
/* Pools from creation to closing on a simulated disk: what is opened again is what was there. */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SEEDS 20

static void an_empty_pool_opens_and_closes(void **state)
{
	struct pool_rig rig;

	rig_init(&rig, 1, RIG_SIZE);
	assert_int_equal(rig_open(&rig), -ENOENT);
	assert_int_equal(rig_create(&rig), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct pool_space_info info;

		assert_int_equal(rig_open(&rig), 0);
		assert_int_equal(pool_state(rig.pool), POOL_OPEN);
		assert_int_equal(pool_superblock(rig.pool)->epoch, i + 2);
		assert_string_equal(pool_superblock(rig.pool)->name, "p0");
		pool_space_info(rig.pool, &info);
		assert_int_equal(info.total, 64 - 8);
		assert_int_equal(pool_object_count(rig.pool), 0);
		assert_int_equal(rig_close(&rig), 0);
	}
	rig_fini(&rig);
}

static void check_volume(struct pool_rig *rig, uint64_t layer)
{
	struct pool_object *object = pool_object_by_name(rig->pool, "v0");
	struct block_mask mask;

	assert_non_null(object);
	assert_int_equal(object->layer->disk.id, layer);
	assert_ptr_equal(object->layer->object, object);
	assert_int_equal(object->layer->disk.size_bytes, GIB);
	assert_int_equal(map_mapped(object->layer->map), 2);
	assert_int_equal(map_get(object->layer->map, 7, NULL), 20);
	assert_int_equal(map_get(object->layer->map, 700, &mask), 21 | MAP_PARTIAL);
	assert_int_equal(mask.word[1], 0xf0);
	assert_true(bitmap_test(&rig->pool->space.used, 20));
	assert_true(bitmap_test(&rig->pool->space.used, 21));
	assert_true(rig->pool->next_id > layer);
}

static uint64_t fill(struct pool_rig *rig)
{
	struct block_mask mask = {{0, 0xf0, 0, 0}};
	uint64_t layer;

	assert_int_equal(rig_create(rig), 0);
	assert_int_equal(rig_open(rig), 0);
	layer = rig_add_volume(rig, "v0", GIB);
	rig_map(rig, layer, 7, 20, NULL);
	rig_map(rig, layer, 700, 21 | MAP_PARTIAL, &mask);
	check_volume(rig, layer);
	return layer;
}

static void what_was_closed_is_there_again(void **state)
{
	struct pool_rig rig;
	uint64_t layer;

	rig_init(&rig, 2, RIG_SIZE);
	layer = fill(&rig);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_close(&rig), 0);
		assert_int_equal(rig_open(&rig), 0);
		check_volume(&rig, layer);
	}
	rig_fini(&rig);
}

static void what_was_committed_survives_a_power_cut(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct pool_rig rig;
		uint64_t layer;

		rig_init(&rig, seed, RIG_SIZE);
		layer = fill(&rig);
		for (unsigned i = 0; i < 4; i++) {
			if (i & 1)
				assert_int_equal(rig_checkpoint(&rig), 0);
			rig_crash(&rig, true);
			assert_int_equal(rig_open(&rig), 0);
			check_volume(&rig, layer);
		}
		rig_fini(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_pool_opens_and_closes),
		cmocka_unit_test(what_was_closed_is_there_again),
		cmocka_unit_test(what_was_committed_survives_a_power_cut),
	};

	log_set_level(LOG_LEVEL_WARN);
	return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
