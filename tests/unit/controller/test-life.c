/* SPDX-License-Identifier: Apache-2.0 */
/* The life of volumes, snapshots and reservations, with every condition that the controller sets on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "world.h"

static void open_small(struct world *w)
{
	world_open(w, 1);
	world_start(w, 0);
	world_node(w, "a", 10);
	world_run(w, 1000);
}

static void a_volume_is_placed_made_grown_and_removed(void **state)
{
	struct world w;
	json_t *obj;

	open_small(&w);
	world_volume(&w, "v", 2);
	world_run(&w, 1000);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Scheduled"), "True/Placed");
	assert_true(world_event(&w, "v", "Scheduled"));
	obj = world_get(&w, "StorageVolume", "v");
	assert_true(kube_finalizer_has(obj, "litepool.io/volume"));
	assert_string_equal(kube_str(obj, "status.nodeName"), "a");
	json_decref(obj);
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'size': '4Gi'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Expanded"), "True/Granted");
	obj = world_get(&w, "StorageVolume", "v");
	assert_int_equal(json_integer_value(kube_at(obj, "status.size")), 4 * TEST_GIB);
	json_decref(obj);
	world_check_end(&w);
	world_delete(&w, "StorageVolume", "v");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StorageVolume", "v"));
	world_check_end(&w);
	world_close(&w);
}

/* What is not granted is not made, and is granted as soon as there is space. */
static void growing_waits_for_space(void **state)
{
	struct world w;

	open_small(&w);
	world_volume(&w, "v", 4);
	world_volume(&w, "u", 4);
	world_run(&w, 1000);
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'size': '7Gi'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Expanded"), "False/NoSpace");
	assert_true(world_event(&w, "v", "NotExpanded"));
	world_check_end(&w);
	/* Of two wishes the larger is what is left. */
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'size': '8Gi'}}");
	world_delete(&w, "StorageVolume", "u");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageVolume", "v", "Expanded"), "True/Granted");
	world_check_end(&w);
	world_close(&w);
}

/* Full, and healed: what waits is placed at once, not when its backoff is over. */
static void a_full_pool_makes_volumes_wait(void **state)
{
	struct world w;

	open_small(&w);
	world_volume(&w, "v", 8);
	world_volume(&w, "big", 6);
	world_run(&w, 60000);
	assert_string_equal(world_phase(&w, "StorageVolume", "big"), "Pending");
	assert_string_equal(world_condition(&w, "StorageVolume", "big", "Scheduled"),
			    "False/NoPoolFits");
	assert_true(world_event(&w, "big", "NotScheduled"));
	world_node(&w, "b", 6);
	world_run(&w, 1400); /* its agent reports the pool */
	assert_string_equal(world_phase(&w, "StorageVolume", "big"), "Ready");
	world_check_end(&w);
	world_close(&w);
}

static void snapshots_follow_their_volume(void **state)
{
	struct world w;
	json_t *obj;

	open_small(&w);
	world_make(&w, "StorageSnapshot",
		   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'v'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageSnapshot", "s", "Scheduled"),
			    "False/VolumeNotFound");
	world_volume(&w, "v", 2);
	world_run(&w, 1600);
	obj = world_get(&w, "StorageSnapshot", "s");
	assert_string_equal(kube_str(obj, "status.poolName"), "a-p");
	assert_true(json_is_true(kube_at(obj, "status.readyToUse")));
	json_decref(obj);
	world_make(&w, "StorageSnapshot",
		   "{'metadata': {'name': 'never'}, 'spec': {'volumeName': 'none'}}");
	world_run(&w, 400);
	world_delete(&w, "StorageSnapshot", "s");
	world_delete(&w, "StorageSnapshot", "never");
	world_run(&w, 1000);
	assert_true(world_gone(&w, "StorageSnapshot", "s"));
	assert_true(world_gone(&w, "StorageSnapshot", "never"));
	world_close(&w);
}

static const char *clone_condition(struct world *w, const char *name)
{
	return world_condition(w, "StorageVolume", name, "Scheduled");
}

static void clones_go_where_their_source_is(void **state)
{
	struct world w;
	json_t *obj;

	open_small(&w);
	world_node(&w, "b", 100);
	world_make(
		&w, "StorageVolume",
		"{'metadata': {'name': 'v'}, 'spec': {'size': '6Gi', 'nodeName': 'a', 'position': "
		"'MustLocal'}}");
	world_make(&w, "StorageVolume",
		   "{'metadata': {'name': 'early'}, 'spec': {'size': '1Gi', 'source': "
		   "{'snapshotName': 's'}}}");
	world_run(&w, 1000);
	assert_string_equal(clone_condition(&w, "early"), "False/SourceNotFound");
	world_make(&w, "StorageSnapshot",
		   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'v'}}");
	world_make(&w, "StorageVolume",
		   "{'metadata': {'name': 'c'}, 'spec': {'size': '6Gi', 'source': {'volumeName': "
		   "'v'}}}");
	world_make(&w, "StorageVolume",
		   "{'metadata': {'name': 'small'}, 'spec': {'size': '1Gi', 'source': "
		   "{'volumeName': 'v'}}}");
	world_run(&w, 2000);
	/* Pool a-p has 4 GiB left, b-p has plenty. */
	assert_string_equal(clone_condition(&w, "c"), "False/NoPoolFits");
	obj = world_get(&w, "StorageVolume", "c");
	assert_non_null(
		strstr(kube_str(json_array_get(kube_at(obj, "status.conditions"), 0), "message"),
		       "copying between pools is not built"));
	json_decref(obj);
	assert_string_equal(clone_condition(&w, "small"), "False/SourceLarger");
	assert_string_equal(clone_condition(&w, "early"), "True/Placed");
	obj = world_get(&w, "StorageVolume", "early");
	assert_string_equal(kube_str(obj, "status.poolName"), "a-p");
	json_decref(obj);
	world_close(&w);
}

static uint64_t reserved(struct world *w, const char *member)
{
	_cleanup_json_ json_t *obj = world_get(w, "StorageReservation", "r");

	return (uint64_t)json_integer_value(json_object_get(kube_at(obj, "status"), member)) /
	       TEST_GIB;
}

static void a_reservation_holds_is_used_resized_and_expires(void **state)
{
	char end[KUBE_TIME_SIZE];
	struct world w;

	open_small(&w);
	(void)kube_time_format(fixture_now_ns + 600000000000, false, end, sizeof(end));
	world_make(&w, "StorageReservation",
		   "{'metadata': {'name': 'r'}, 'spec': {'size': '6Gi', 'expirationTime': '%s'}}",
		   end);
	world_run(&w, 400);
	assert_string_equal(world_phase(&w, "StorageReservation", "r"), "Reserved");
	assert_int_equal(reserved(&w, "reserved"), 6);
	world_volume(&w, "other", 5);
	world_make(&w, "StorageVolume",
		   "{'metadata': {'name': 'v'}, 'spec': {'size': '4Gi', 'reservationName': 'r'}}");
	world_run(&w, 1000);
	assert_string_equal(world_phase(&w, "StorageVolume", "other"), "Pending");
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	assert_int_equal(reserved(&w, "used"), 4);
	world_patch(&w, "StorageReservation", "r", NULL, "{'spec': {'size': '20Gi'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageReservation", "r", "Resized"),
			    "False/NoSpace");
	world_patch(&w, "StorageReservation", "r", NULL, "{'spec': {'size': '2Gi'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StorageReservation", "r", "Resized"),
			    "False/InUse");
	world_patch(&w, "StorageReservation", "r", NULL, "{'spec': {'size': '8Gi'}}");
	world_run(&w, 1000);
	assert_int_equal(reserved(&w, "reserved"), 8);
	world_run(&w, 600000);
	assert_string_equal(world_phase(&w, "StorageReservation", "r"), "Expired");
	assert_true(world_event(&w, "r", "Expired"));
	/* What it did not use is free: 10 - 4 = 6. */
	assert_string_equal(world_phase(&w, "StorageVolume", "other"), "Ready");
	/* It is asked for once more, and there is no space. */
	world_patch(&w, "StorageReservation", "r", NULL, "{'spec': {'expirationTime': null}}");
	world_run(&w, 1000);
	assert_string_equal(world_phase(&w, "StorageReservation", "r"), "Pending");
	assert_string_equal(world_condition(&w, "StorageReservation", "r", "Scheduled"),
			    "False/NoPoolFits");
	world_check_end(&w);
	world_close(&w);
}

static void a_pool_tells_when_space_is_low(void **state)
{
	struct world w;

	open_small(&w);
	w.agents[0].dead = true;
	world_patch(&w, "StoragePool", "a-p", "status", "{'status': {'allocated': 9126805504}}");
	world_settle(&w);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "SpaceLow"),
			    "True/AboveWarn");
	world_patch(&w, "StoragePool", "a-p", "status", "{'status': {'allocated': 10307921510}}");
	world_settle(&w);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "SpaceLow"),
			    "True/AboveFull");
	assert_true(world_event(&w, "a-p", "AboveFull"));
	world_patch(&w, "StoragePool", "a-p", "status", "{'status': {'allocated': '1Gi'}}");
	world_settle(&w);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "SpaceLow"),
			    "False/BelowWatermarks");
	world_close(&w);
}

static void draining_says_what_is_not_built(void **state)
{
	struct world w;

	open_small(&w);
	world_volume(&w, "v", 1);
	world_run(&w, 1000);
	world_patch(&w, "StoragePool", "a-p", NULL, "{'spec': {'maintenance': 'Draining'}}");
	world_volume(&w, "u", 1);
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "Drained"),
			    "False/MovingNotBuilt");
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Pending");
	world_delete(&w, "StorageVolume", "v");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "Drained"), "True/Empty");
	world_patch(&w, "StoragePool", "a-p", NULL, "{'spec': {'maintenance': 'Schedulable'}}");
	world_run(&w, 1000);
	assert_string_equal(world_condition(&w, "StoragePool", "a-p", "Drained"), "");
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Ready");
	world_close(&w);
}

static void two_hundred_at_once(void **state)
{
	struct world w;
	char name[32];

	world_open(&w, 7);
	world_start(&w, 0);
	for (unsigned i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		world_node(&w, name, 50);
	}
	world_run(&w, 1000);
	for (unsigned i = 0; i < 210; i++) {
		(void)snprintf(name, sizeof(name), "v%u", i);
		world_volume(&w, name, 1);
	}
	world_run(&w, 4000);
	world_check_end(&w);
	assert_int_equal(control_stats(w.controllers[0].control)->placed, 200);
	assert_int_equal(control_stats(w.controllers[0].control)->waiting, 10);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_is_placed_made_grown_and_removed),
		cmocka_unit_test(growing_waits_for_space),
		cmocka_unit_test(a_full_pool_makes_volumes_wait),
		cmocka_unit_test(snapshots_follow_their_volume),
		cmocka_unit_test(clones_go_where_their_source_is),
		cmocka_unit_test(a_reservation_holds_is_used_resized_and_expires),
		cmocka_unit_test(a_pool_tells_when_space_is_low),
		cmocka_unit_test(draining_says_what_is_not_built),
		cmocka_unit_test(two_hundred_at_once),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
