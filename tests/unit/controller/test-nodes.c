/* SPDX-License-Identifier: Apache-2.0 */
/* Silent nodes: told by the controller's own clock and by nothing else, and nothing is destroyed by silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "kube/text.h"
#include "world.h"

static bool health_is(struct world *w, const char *pool, const char *health)
{
	_cleanup_json_ json_t *obj = world_get(w, "StoragePool", pool);

	return !strcmp(kube_str(obj, "status.health"), health);
}

static void open_two(struct world *w)
{
	world_open(w, 3);
	world_start(w, 0);
	world_node(w, "a", 10);
	world_node(w, "b", 10);
	world_run(w, 1000);
}

static void a_silent_node_is_lost_and_comes_back(void **state)
{
	struct world w;

	open_two(&w);
	world_make(
		&w, "StorageVolume",
		"{'metadata': {'name': 'v'}, 'spec': {'size': '4Gi', 'nodeName': 'a', 'position': "
		"'MustLocal'}}");
	world_run(&w, 1000);
	w.agents[0].dead = true;
	world_run(&w, 8000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "True/Serves");
	world_run(&w, 4000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "Unknown/NodeLost");
	assert_string_equal(world_condition(&w, "StorageNode", "b", "Ready"), "True/Serves");
	assert_true(health_is(&w, "a-p", "Unknown"));
	assert_true(health_is(&w, "b-p", "Healthy"));
	assert_true(world_event(&w, "a", "NodeLost"));
	/* Nothing new goes there; what is there stays. */
	world_volume(&w, "big", 8);
	world_volume(&w, "big2", 8);
	world_run(&w, 60000);
	assert_string_equal(world_phase(&w, "StorageVolume", "v"), "Ready");
	assert_int_equal(json_object_size(w.agents[0].disks[0].lvols), 1);
	w.agents[0].dead = false;
	world_run(&w, 3000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "True/Serves");
	assert_true(health_is(&w, "a-p", "Healthy"));
	world_check_end(&w);
	world_close(&w);
}

/* Hours ahead, hours behind, and standing in the past: what it renews counts, not what it writes. */
static void an_agents_wall_clock_does_not_matter(void **state)
{
	struct world w;

	open_two(&w);
	w.agents[0].clock_off_ms = 5 * 3600 * 1000;
	w.agents[1].clock_off_ms = -5 * 3600 * 1000;
	world_run(&w, 60000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "True/Serves");
	assert_string_equal(world_condition(&w, "StorageNode", "b", "Ready"), "True/Serves");
	w.agents[0].dead = true;
	world_run(&w, 13000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "Unknown/NodeLost");
	world_close(&w);
}

/* A controller that was stopped, or whose watch is dead, asks the API before it calls anybody lost. */
static void a_late_controller_accuses_nobody(void **state)
{
	struct world w;

	open_two(&w);
	w.controllers[0].stopped = true;
	world_run(&w, 120000);
	w.controllers[0].stopped = false;
	world_run(&w, 20000);
	assert_false(world_event(&w, "a", "NodeLost"));
	w.controllers[0].chaos->cut_off = true;
	world_run(&w, 60000);
	w.controllers[0].chaos->cut_off = false;
	world_run(&w, 40000);
	assert_false(world_event(&w, "a", "NodeLost"));
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "True/Serves");
	world_close(&w);
}

static void a_new_controller_gives_a_silent_node_its_whole_lease(void **state)
{
	struct world w;

	open_two(&w);
	w.agents[0].dead = true;
	world_run(&w, 6000);
	world_kill(&w, 0);
	world_start(&w, 1);
	world_run(&w, 20000); /* the former one's Lease runs out, 15 s */
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "True/Serves");
	world_run(&w, 12000);
	assert_string_equal(world_condition(&w, "StorageNode", "a", "Ready"), "Unknown/NodeLost");
	world_close(&w);
}

/* An agent whose Lease is stuck while it says that it is ready is contradicted, but not in a race. */
static void a_node_without_a_lease_is_contradicted_slowly(void **state)
{
	struct world w;
	uint64_t before;

	open_two(&w);
	w.agents[0].beat_ms = UINT64_MAX; /* no more renewals, the rest goes on */
	world_run(&w, 12000);
	before = w.controllers[0].chaos->writes;
	world_run(&w, 60000);
	/* Its own Lease every two seconds is 30 writes; the rest is few. */
	assert_true(w.controllers[0].chaos->writes - before < 80);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_node_is_lost_and_comes_back),
		cmocka_unit_test(an_agents_wall_clock_does_not_matter),
		cmocka_unit_test(a_late_controller_accuses_nobody),
		cmocka_unit_test(a_new_controller_gives_a_silent_node_its_whole_lease),
		cmocka_unit_test(a_node_without_a_lease_is_contradicted_slowly),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
