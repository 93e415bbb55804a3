/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion in every state, of volumes, snapshots and pools; and data that are declared lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "kube/text.h"
#include "world.h"

static void open_one(struct world *w)
{
	world_open(w, 21);
	world_start(w, 0);
	world_node(w, "a", 10);
	world_run(w, 1000);
}

static void a_volume_that_waits_goes_at_once(void **state)
{
	struct world w;

	open_one(&w);
	world_volume(&w, "big", 50);
	world_run(&w, 1000);
	assert_string_equal(world_phase(&w, "StorageVolume", "big"), "Pending");
	world_delete(&w, "StorageVolume", "big");
	world_settle(&w);
	assert_true(world_gone(&w, "StorageVolume", "big"));
	world_close(&w);
}

/* Deleted after each number of the controller's and the agent's steps. */
static void no_moment_is_wrong_to_delete(void **state)
{
	for (unsigned k = 0; k < 14; k++) {
		struct world w;

		open_one(&w);
		world_volume(&w, "v", 2);
		world_make(&w, "StorageSnapshot",
			   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'v'}}");
		for (unsigned i = 0; i < k; i++) {
			(void)chaos_pump(w.controllers[0].client);
			(void)control_turn(w.controllers[0].control, 1);
			if (i >= 7)
				world_run(&w, 200);
		}
		world_delete(&w, "StorageVolume", "v");
		world_delete(&w, "StorageSnapshot", "s");
		world_run(&w, 5000);
		assert_true(world_gone(&w, "StorageVolume", "v"));
		assert_true(world_gone(&w, "StorageSnapshot", "s"));
		assert_int_equal(json_object_size(w.agents[0].disks[0].lvols), 0);
		assert_int_equal(json_object_size(w.agents[0].disks[0].snaps), 0);
		world_close(&w);
	}
}

static void an_attached_volume_is_not_removed(void **state)
{
	struct world w;

	open_one(&w);
	world_volume(&w, "v", 2);
	world_run(&w, 1000);
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'attachedNodes': ['a']}}");
	world_run(&w, 1000);
	world_delete(&w, "StorageVolume", "v");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Deletable"),
			    "False/Attached");
	assert_true(world_event(&w, "v", "DeletionRefused"));
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'attachedNodes': []}}");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StorageVolume", "v"));
	world_check_end(&w);
	world_close(&w);
}

static void a_pool_in_use_is_not_removed(void **state)
{
	struct world w;

	open_one(&w);
	world_volume(&w, "v", 2);
	world_run(&w, 1000);
	world_make(&w, "StorageSnapshot",
		   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'v'}}");
	world_run(&w, 1000);
	world_delete(&w, "StoragePool", "a-p");
	world_volume(&w, "u", 1);
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "Deletable"), "False/InUse");
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Pending");
	/* Consent with another name is none. */
	world_patch(&w, "StoragePool", "a-p", NULL,
		    "{'metadata': {'annotations': {'litepool.io/accept-data-loss': 'yes'}}}");
	world_delete(&w, "StorageVolume", "v");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StorageVolume", "v"));
	assert_false(world_gone(&w, "StoragePool", "a-p"));
	world_delete(&w, "StorageSnapshot", "s");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StoragePool", "a-p"));
	world_close(&w);
}

/* LiteIO never finishes this: its dead-node cleanup waits for a finalizer that nobody removes. */
static void a_dead_node_ends_when_its_pool_is_declared_gone(void **state)
{
	struct world w;

	open_one(&w);
	world_volume(&w, "v", 2);
	world_volume(&w, "u", 2);
	world_run(&w, 1000);
	world_make(&w, "StorageSnapshot",
		   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'u'}}");
	world_run(&w, 1000);
	w.agents[0].dead = true;
	world_run(&w, 15000);
	world_delete(&w, "StorageVolume", "v");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Deletable"),
			    "False/NodeLost");
	world_volume(&w, "late", 2);
	world_delete(&w, "StoragePool", "a-p");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "Deletable"), "False/InUse");
	world_patch(&w, "StoragePool", "a-p", NULL,
		    "{'metadata': {'annotations': {'litepool.io/accept-data-loss': 'a-p'}}}");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StoragePool", "a-p"));
	assert_true(world_gone(&w, "StorageVolume", "v"));
	assert_string_equal(world_condition(&w, "StorageVolume", "u", "DataLost"),
			    "True/PoolDeclaredGone");
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Failed");
	assert_string_equal(world_condition(&w, "StorageSnapshot", "s", "DataLost"),
			    "True/PoolDeclaredGone");
	world_close(&w);
}

/* The node comes back with an empty disk and a pool of the old name: what was lost stays lost, and is no empty volume. */
static void lost_data_do_not_come_back_as_zeroes(void **state)
{
	struct world w;
	json_t *obj;

	open_one(&w);
	world_volume(&w, "u", 2);
	world_run(&w, 1000);
	w.agents[0].dead = true;
	world_patch(&w, "StoragePool", "a-p", NULL,
		    "{'metadata': {'annotations': {'litepool.io/accept-data-loss': 'a-p'}}}");
	world_delete(&w, "StoragePool", "a-p");
	world_run(&w, 1000);
	json_object_clear(w.agents[0].disks[0].lvols);
	world_pool(&w, "a-p", "a");
	w.agents[0].dead = false;
	world_run(&w, 5000);
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Failed");
	assert_int_equal(json_object_size(w.agents[0].disks[0].lvols), 0);
	obj = world_get(&w, "StorageVolume", "u");
	assert_string_equal(kube_str(obj, "status.poolName"), "");
	json_decref(obj);
	/* It takes no space there, and can be deleted. */
	world_volume(&w, "whole", 10);
	world_delete(&w, "StorageVolume", "u");
	world_run(&w, 2000);
	assert_true(world_gone(&w, "StorageVolume", "u"));
	assert_string_equal(world_phase(&w, "StorageVolume", "whole"), "Ready");
	world_check_end(&w);
	world_close(&w);
}

static void who_was_never_made_is_placed_anew(void **state)
{
	struct world w;

	open_one(&w);
	w.agents[0].dead = true;
	world_volume(&w, "v", 2);
	world_settle(&w);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Bound");
	world_patch(&w, "StoragePool", "a-p", NULL,
		    "{'metadata': {'annotations': {'litepool.io/accept-data-loss': 'a-p'}}}");
	world_delete(&w, "StoragePool", "a-p");
	world_settle(&w);
	assert_true(world_gone(&w, "StoragePool", "a-p"));
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Pending");
	world_node(&w, "b", 10);
	world_run(&w, 2000);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	world_close(&w);
}

static void a_pool_taken_by_force_is_missed(void **state)
{
	struct world w;

	open_one(&w);
	world_volume(&w, "v", 2);
	world_run(&w, 1000);
	world_delete(&w, "StoragePool", "a-p");
	world_patch(&w, "StoragePool", "a-p", NULL, "{'metadata': {'finalizers': null}}");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StoragePool", "a-p"));
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "DataLost"),
			    "Unknown/PoolMissing");
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	world_pool(&w, "a-p", "a");
	world_run(&w, 2000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "DataLost"), "");
	world_check_end(&w);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_that_waits_goes_at_once),
		cmocka_unit_test(no_moment_is_wrong_to_delete),
		cmocka_unit_test(an_attached_volume_is_not_removed),
		cmocka_unit_test(a_pool_in_use_is_not_removed),
		cmocka_unit_test(a_dead_node_ends_when_its_pool_is_declared_gone),
		cmocka_unit_test(lost_data_do_not_come_back_as_zeroes),
		cmocka_unit_test(who_was_never_made_is_placed_anew),
		cmocka_unit_test(a_pool_taken_by_force_is_missed),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
