/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers that die at any write, leaders that wake up too late, answers that are lost, writers that get in between. */
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

#define LEASE_OVER_MS 20000 /* leader.h's 15 s and tries */

/* ---- death at every write ---- */

/* More is asked for than fits, and one of everything. */
static void ask(struct world *w)
{
	char name[16];

	world_make(w, "StorageReservation", "{'metadata': {'name': 'r'}, 'spec': {'size': '3Gi'}}");
	for (unsigned i = 0; i < 7; i++) {
		(void)snprintf(name, sizeof(name), "v%u", i);
		world_volume(w, name, 3);
	}
	world_make(w, "StorageVolume",
		   "{'metadata': {'name': 'rv'}, 'spec': {'size': '2Gi', 'reservationName': 'r'}}");
	world_make(w, "StorageSnapshot",
		   "{'metadata': {'name': 's'}, 'spec': {'volumeName': 'v0'}}");
	world_make(w, "StorageVolume",
		   "{'metadata': {'name': 'c'}, 'spec': {'size': '3Gi', 'source': {'snapshotName': "
		   "'s'}}}");
}

static void change(struct world *w)
{
	world_patch(w, "StorageVolume", "v1", NULL, "{'spec': {'size': '4Gi'}}");
	world_delete(w, "StorageVolume", "v2");
	world_delete(w, "StorageVolume", "v6");
	world_delete(w, "StorageSnapshot", "s");
}

/* False: it had no more than k writes to make. */
static bool die_at(int64_t k)
{
	struct world w;
	bool died;

	world_open(&w, (uint64_t)k + 1);
	world_node(&w, "a", 10);
	world_node(&w, "b", 10);
	world_start(&w, 0);
	w.controllers[0].chaos->writes_left = k;
	world_run(&w, 600);
	ask(&w);
	world_run(&w, 1400);
	change(&w);
	world_run(&w, 1000);
	died = w.controllers[0].chaos->writes_left == 0;
	world_kill(&w, 0);
	world_start(&w, 1);
	world_run(&w, LEASE_OVER_MS);
	world_check_end(&w);
	assert_true(world_gone(&w, "StorageVolume", "v2"));
	assert_true(world_gone(&w, "StorageSnapshot", "s"));
	assert_string_equal(world_phase(&w, "StorageReservation", "r"), "Reserved");
	world_close(&w);
	return died;
}

static void no_write_is_one_too_many_to_die_at(void **state)
{
	int64_t k = 0;

	while (die_at(k))
		k++;
	assert_true(k > 30);
}

/* ---- leaders that wake up too late ---- */

static void stop_with_a_promise_on_its_way(struct world *w)
{
	world_open(w, 5);
	world_node(w, "a", 10);
	world_start(w, 0);
	world_run(w, 1000);
	w->controllers[0].chaos->hold_kind = "storagevolumes/v/status";
	w->controllers[0].chaos->hold_next = true;
	world_volume(w, "v", 8);
	/* Finalizer, then the promise, which is held back; the process stops there. */
	for (unsigned i = 0; i < 20 && w->controllers[0].chaos->hold_next; i++) {
		(void)chaos_pump(w->controllers[0].client);
		(void)control_turn(w->controllers[0].control, 1);
	}
	assert_false(w->controllers[0].chaos->hold_next);
	w->controllers[0].stopped = true;
}

/* The space that it promised is given to another before its write arrives: it must miss. */
static void what_a_stopped_leader_had_on_its_way_misses(void **state)
{
	struct world w;

	stop_with_a_promise_on_its_way(&w);
	world_patch(&w, "StorageVolume", "v", NULL, "{'spec': {'poolSelector': {'no': 'such'}}}");
	world_volume(&w, "u", 8);
	world_start(&w, 1);
	world_run(&w, LEASE_OVER_MS);
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Ready");
	assert_int_equal(chaos_release(w.controllers[0].client), 409);
	world_run(&w, 1000);
	world_check_end(&w);
	world_close(&w);
}

/* The same when nobody has changed the volume: only the touch of the new leader moves its version. */
static void the_touch_of_the_new_leader_is_what_makes_it_miss(void **state)
{
	struct world w;

	stop_with_a_promise_on_its_way(&w);
	world_start(&w, 1);
	w.controllers[1].chaos->hold_kind = "storagevolumes/v/status";
	w.controllers[1].chaos->hold_next = true; /* it has touched, and is about to promise */
	for (unsigned i = 0; i < 400 && w.controllers[1].chaos->hold_next; i++)
		world_run(&w, 200);
	assert_int_equal(chaos_release(w.controllers[0].client), 409);
	world_run(&w, 2000);
	assert_int_equal(chaos_release(w.controllers[1].client), 409);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	world_check_end(&w);
	world_close(&w);
}

static void a_leader_that_wakes_up_does_nothing(void **state)
{
	uint64_t writes;
	struct world w;

	stop_with_a_promise_on_its_way(&w);
	world_start(&w, 1);
	world_run(&w, LEASE_OVER_MS);
	writes = w.controllers[0].chaos->writes;
	world_volume(&w, "u", 1);
	w.controllers[0].stopped = false;
	world_run(&w, 30000);
	/* Not one, not even of its own events. */
	assert_int_equal(control_stats(w.controllers[0].control)->state, CONTROL_FOLLOWING);
	assert_true(w.controllers[0].chaos->writes - writes <= 1);
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Ready");
	world_check_end(&w);
	world_close(&w);
}

static void of_three_one_acts(void **state)
{
	struct world w;
	uint64_t placed = 0;
	char name[16];

	world_open(&w, 9);
	world_node(&w, "a", 40);
	for (unsigned i = 0; i < 3; i++)
		world_start(&w, i);
	world_run(&w, 1000);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "v%u", i);
		world_volume(&w, name, 1);
		world_run(&w, 200);
	}
	world_run(&w, 1000);
	for (unsigned i = 0; i < 3; i++)
		placed += control_stats(w.controllers[i].control)->placed;
	assert_int_equal(placed, 30);
	assert_int_equal(control_stats(w.controllers[0].control)->conflicts +
				 control_stats(w.controllers[1].control)->conflicts +
				 control_stats(w.controllers[2].control)->conflicts,
			 0);
	world_check_end(&w);
	world_close(&w);
}

/* ---- lost answers ---- */

/* The same leader goes on: the space stays set aside until the volume was touched, and the late write misses. */
static void a_promise_without_an_answer_keeps_its_space(void **state)
{
	struct world w;

	world_open(&w, 11);
	world_node(&w, "a", 10);
	world_start(&w, 0);
	world_run(&w, 1000);
	w.controllers[0].chaos->hold_kind = "storagevolumes/v/status";
	w.controllers[0].chaos->hold_next = true;
	world_volume(&w, "v", 8);
	world_volume(&w, "u", 8);
	world_settle(&w);
	assert_false(w.controllers[0].chaos->hold_next);
	assert_int_equal(control_stats(w.controllers[0].control)->unknown, 1);
	world_run(&w, 3000);
	assert_int_equal(chaos_release(w.controllers[0].client), 409);
	world_check_end(&w);
	assert_int_equal(control_stats(w.controllers[0].control)->placed, 1);
	world_close(&w);
}

/* It arrives after all, when another has asked for the same space meanwhile. */
static void a_late_promise_finds_its_space_kept(void **state)
{
	struct world w;

	world_open(&w, 12);
	world_node(&w, "a", 10);
	world_start(&w, 0);
	world_run(&w, 1000);
	w.controllers[0].chaos->hold_kind = "storagevolumes/v/status";
	w.controllers[0].chaos->hold_next = true;
	world_volume(&w, "v", 8);
	world_settle(&w);
	world_volume(&w, "u", 8);
	world_settle(&w);
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Pending");
	assert_int_equal(chaos_release(w.controllers[0].client), 200);
	world_run(&w, 3000);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	assert_string_equal(world_phase(&w, "StorageVolume", "u"), "Pending");
	world_check_end(&w);
	world_close(&w);
}

/* ---- others that write ---- */

static void writers_in_between_cost_a_try(void **state)
{
	struct world w;
	char name[16];

	world_open(&w, 13);
	world_node(&w, "a", 20);
	world_start(&w, 0);
	world_run(&w, 1000);
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof(name), "v%u", i);
		world_volume(&w, name, 1);
	}
	/* No watch is delivered: the controller decides on what it saw first. */
	(void)chaos_pump(w.controllers[0].client);
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "v%u", i % 10);
		world_patch(&w, "StorageVolume", name, NULL,
			    "{'metadata': {'annotations': {'n': '%u'}}}", i);
		(void)control_turn(w.controllers[0].control, 1);
	}
	assert_true(control_stats(w.controllers[0].control)->conflicts > 0);
	world_run(&w, 10000);
	assert_int_equal(control_stats(w.controllers[0].control)->placed, 10);
	world_check_end(&w);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_write_is_one_too_many_to_die_at),
		cmocka_unit_test(what_a_stopped_leader_had_on_its_way_misses),
		cmocka_unit_test(the_touch_of_the_new_leader_is_what_makes_it_miss),
		cmocka_unit_test(a_leader_that_wakes_up_does_nothing),
		cmocka_unit_test(of_three_one_acts),
		cmocka_unit_test(a_promise_without_an_answer_keeps_its_space),
		cmocka_unit_test(a_late_promise_finds_its_space_kept),
		cmocka_unit_test(writers_in_between_cost_a_try),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
