/* SPDX-License-Identifier: Apache-2.0 */
/* Filters and priorities, one at a time, by the words that people read; and what LiteIO's scheduler gets wrong (the names say which). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "world.h"

struct fixture {
	struct place_inventory *inv;
	struct placer *placer;
	struct place_config config;
};

static int setup(void **state)
{
	static struct fixture f;

	f.inv = place_inventory_new(1);
	f.placer = placer_new();
	place_config_default(&f.config);
	world_node(f.inv, "n1", "r1", "z1");
	world_node(f.inv, "n2", "r1", "z1");
	world_node(f.inv, "n3", "r2", "z2");
	world_pool(f.inv, "p1", "n1", 100);
	world_pool(f.inv, "p2", "n2", 100);
	world_pool(f.inv, "p3", "n3", 100);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	place_inventory_free(f->inv);
	placer_free(f->placer);
	place_config_fini(&f->config);
	return 0;
}

static struct place_decision explain(struct fixture *f, const struct place_request *request)
{
	struct place_decision decision;
	struct err err = {0};
	int res = place_decide(f->placer, f->inv, &f->config, request, PLACE_EXPLAIN, &decision,
			       &err);

	if (res < 0)
		fail_msg("%s", err.text);
	return decision;
}

static void refused(struct fixture *f, const struct place_request *request, const char *pool,
		    enum place_filter filter, const char *why)
{
	struct place_decision decision = explain(f, request);
	bool found = false;

	for (size_t i = 0; i < decision.n_candidates; i++) {
		if (strcmp(decision.candidates[i].pool, pool) != 0)
			continue;
		found = true;
		assert_int_equal(decision.candidates[i].filter, filter);
		assert_string_equal(decision.candidates[i].why, why);
	}
	assert_true(found);
	place_decision_fini(&decision);
}

static void chosen(struct fixture *f, const struct place_request *request, const char *pool)
{
	struct place_decision decision = explain(f, request);

	assert_non_null(decision.pool);
	assert_string_equal(decision.pool, pool);
	place_decision_fini(&decision);
}

static void the_emptiest_pool_wins(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 10);

	world_volume(f->inv, "a", "p1", 30);
	world_volume(f->inv, "b", "p2", 10);
	world_volume(f->inv, "c", "p3", 20);
	chosen(f, &request, "p2");
	f->config.weights.least_allocated = 0;
	f->config.weights.bin_pack = 1;
	chosen(f, &request, "p1");
}

static void prefer_local_wins_over_any_emptier_pool(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);

	world_volume(f->inv, "a", "p1", 94);
	request.position = PLACE_PREFER_LOCAL;
	request.node = "n1";
	chosen(f, &request, "p1");
	/* Not local, but in the rack. */
	request.size = 20 * TEST_GIB;
	world_volume(f->inv, "b", "p2", 70);
	chosen(f, &request, "p2");
}

static void position_is_about_the_node_that_uses_it(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);
	struct place_decision decision;
	struct err err = {0};

	request.node = "n3";
	request.position = PLACE_MUST_LOCAL;
	refused(f, &request, "p1", PLACE_POSITION, "MustLocal: node n3 will use it");
	chosen(f, &request, "p3");
	request.position = PLACE_MUST_REMOTE;
	refused(f, &request, "p3", PLACE_POSITION, "MustRemote: node n3 will use it");
	/* A node without a pool, that nobody has heard of. */
	request.node = "compute-only";
	request.position = PLACE_PREFER_LOCAL;
	assert_string_not_equal(world_decide(f->inv, &request, NULL), "");
	request.node = "";
	request.position = PLACE_MUST_LOCAL;
	assert_int_equal(place_decide(f->placer, f->inv, &f->config, &request, 0, &decision, &err),
			 -EINVAL);
	assert_string_equal(err.text, "spec.nodeName: position MustLocal is relative to a node");
}

static void pools_that_are_not_fit_are_refused_with_their_reason(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);

	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1'}, 'status': {'health': 'Failed', 'reason': 'the disk is gone', "
		    "'capacity': '100Gi'}}");
	refused(f, &request, "p1", PLACE_HEALTH, "the pool is failed: the disk is gone");
	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1', 'maintenance': 'Draining'}, 'status': {'health': 'Healthy', "
		    "'capacity': '100Gi'}}");
	refused(f, &request, "p1", PLACE_MAINTAINED, "the pool is draining");
	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1'}}");
	refused(f, &request, "p1", PLACE_POOL_READY, "the pool has not reported its capacity");
	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p2'}, 'spec': {'nodeName': "
		    "'gone'}, 'status': {'health': 'Healthy', 'capacity': '100Gi'}}");
	refused(f, &request, "p2", PLACE_NODE_READY, "there is no StorageNode gone");
	world_apply(f->inv,
		    "{'kind': 'StorageNode', 'metadata': {'name': 'n3'}, 'status': "
		    "{'conditions': [{'type': 'Ready', 'status': 'Unknown', 'message': 'its "
		    "Lease has run out'}]}}");
	refused(f, &request, "p3", PLACE_NODE_READY, "node n3 is not ready: its Lease has run out");
}

static void degraded_pools_are_taken_only_when_allowed(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);

	request.only_pool = "p1";
	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1'}, 'status': {'health': 'Degraded', 'capacity': '100Gi'}}");
	refused(f, &request, "p1", PLACE_HEALTH, "the pool is degraded");
	f->config.allow_degraded = true;
	chosen(f, &request, "p1");
}

static void thin_is_promised_thick_is_backed(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 120);

	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1', 'commitLimitPercent': 200}, 'status': {'health': 'Healthy', "
		    "'capacity': '100Gi', 'allocated': '30Gi'}}");
	request.only_pool = "p1";
	chosen(f, &request, "p1");
	request.thick = true;
	refused(f, &request, "p1", PLACE_REAL_SPACE,
		"120 GiB asked as thick, 70 GiB of 100 GiB is not in use");
	request.thick = false;
	request.size = 201 * TEST_GIB;
	refused(f, &request, "p1", PLACE_COMMIT,
		"201 GiB asked, 200 GiB of 200 GiB may still be promised");
	world_apply(f->inv,
		    "{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': "
		    "'n1', 'commitLimitPercent': 200}, 'status': {'health': 'Healthy', "
		    "'capacity': '100Gi', 'allocated': '96Gi'}}");
	request.size = TEST_GIB;
	refused(f, &request, "p1", PLACE_WATERMARK,
		"96 GiB of 100 GiB is in use, above its full watermark of 95 %");
}

static void selectors_that_nothing_has_refuse_and_are_not_ignored(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);
	_cleanup_json_ json_t *n2 = world_json("{'host': 'n2'}"), *none = world_json("{'no': 'x'}"),
			      *bad = world_json("{'host': 5}");
	struct place_decision decision;
	struct err err = {0};

	request.node_selector = n2;
	chosen(f, &request, "p2");
	refused(f, &request, "p1", PLACE_NODE_SELECTOR, "the node has no label host=n2");
	request.node_selector = NULL;
	request.pool_selector = none;
	refused(f, &request, "p1", PLACE_POOL_SELECTOR,
		"no pool has all labels that are asked for");
	request.pool_selector = bad;
	assert_int_equal(place_decide(f->placer, f->inv, &f->config, &request, 0, &decision, &err),
			 -EINVAL);
	assert_string_equal(err.text, "spec.poolSelector.host: expected a string");
}

static void groups_are_kept_apart_and_spread(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 5);

	world_apply(f->inv, "{'kind': 'StorageVolume', 'metadata': {'name': 'a'}, 'spec': {'size': "
			    "'1Gi', 'antiAffinityGroup': 'g'}, 'status': {'poolName': 'p1'}}");
	request.group = "g";
	refused(f, &request, "p1", PLACE_GROUP_NODE, "group g has 1 on node n1, 1 at most");
	/* Another zone and rack is better than emptier. */
	world_volume(f->inv, "b", "p3", 60);
	chosen(f, &request, "p3");
	f->config.group_max.rack = 1;
	refused(f, &request, "p2", PLACE_GROUP_RACK, "group g has 1 on rack r1, 1 at most");
	/* It does not stand in its own way when it moves. */
	request.name = "a";
	request.only_pool = "p1";
	chosen(f, &request, "p1");
}

static void a_reservation_does_not_skip_other_filters(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 10);

	world_apply(f->inv,
		    "{'kind': 'StorageReservation', 'metadata': {'name': 'r'}, 'spec': {'size': "
		    "'90Gi'}, 'status': {'phase': 'Reserved', 'poolName': 'p1'}}");
	request.size = 20 * TEST_GIB;
	request.only_pool = "p1";
	refused(f, &request, "p1", PLACE_COMMIT,
		"20 GiB asked, 10 GiB of 100 GiB may still be promised");
	request.only_pool = "";
	request.reservation = "r";
	chosen(f, &request, "p1");
	refused(f, &request, "p2", PLACE_RESERVATION, "the reservation is on pool p1");
	request.size = 91 * TEST_GIB;
	refused(f, &request, "p1", PLACE_RESERVATION,
		"91 GiB asked, the reservation has 90 GiB left");
	request.size = 20 * TEST_GIB;
	request.node = "n2";
	request.position = PLACE_MUST_LOCAL;
	refused(f, &request, "p1", PLACE_POSITION, "MustLocal: node n2 will use it");
	request.reservation = "never-made";
	request.position = PLACE_ANY;
	refused(f, &request, "p1", PLACE_RESERVATION, "the reservation holds no space");
}

static void remote_volumes_have_limits(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 10);

	world_volume(f->inv, "a", "p1", 45);
	request.node = "n2";
	f->config.remote_volumes_max = 1;
	refused(f, &request, "p1", PLACE_REMOTE_LIMIT, "node n1 has 1 remote volumes, 1 at most");
	f->config.remote_volumes_max = 0;
	f->config.local_reserve_percent = 50;
	refused(f, &request, "p1", PLACE_LOCAL_RESERVE,
		"45 GiB on node n1 are of remote volumes; 50 % of 100 GiB are kept for local "
		"ones");
	request.node = "n1";
	request.position = PLACE_MUST_LOCAL;
	chosen(f, &request, "p1");
}

static void when_nothing_fits_the_summary_counts(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 500);
	struct place_inventory *empty = place_inventory_new(1);
	const char *summary;

	assert_string_equal(world_decide(f->inv, &request, &summary), "");
	assert_string_equal(summary, "0 of 3 pools fit: CommitLimit 3");
	assert_string_equal(world_decide(empty, &request, &summary), "");
	assert_string_equal(summary, "there are no pools yet: declare a StoragePool");
	place_inventory_free(empty);
}

static void equals_are_taken_in_a_fixed_order(void **state)
{
	struct fixture *f = *state;
	struct place_request request = world_request("v", 1);
	const char *first = world_decide(f->inv, &request, NULL);

	for (int i = 0; i < 5; i++)
		assert_string_equal(world_decide(f->inv, &request, NULL), first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_emptiest_pool_wins),
		TEST(prefer_local_wins_over_any_emptier_pool),
		TEST(position_is_about_the_node_that_uses_it),
		TEST(pools_that_are_not_fit_are_refused_with_their_reason),
		TEST(degraded_pools_are_taken_only_when_allowed),
		TEST(thin_is_promised_thick_is_backed),
		TEST(selectors_that_nothing_has_refuse_and_are_not_ignored),
		TEST(groups_are_kept_apart_and_spread),
		TEST(a_reservation_does_not_skip_other_filters),
		TEST(remote_volumes_have_limits),
		TEST(when_nothing_fits_the_summary_counts),
		TEST(equals_are_taken_in_a_fixed_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
