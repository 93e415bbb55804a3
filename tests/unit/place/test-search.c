/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search by index finds what the scan of all pools finds, for random clusters, configurations and requests, while objects come, change and go in any
 * order; and an inventory that was changed for long is like one that was built of the last objects. A failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/rng.h"
#include "world.h"

#define SEEDS   60
#define STEPS   300
#define NODES   12
#define POOLS   24
#define VOLUMES 60

struct last {
	json_t *node[NODES], *pool[POOLS], *volume[VOLUMES], *reservation[4];
};

static const char *pick(struct rng *rng, const char *const *texts, size_t n)
{
	return texts[rng_below(rng, n)];
}
#define PICK(rng, ...)                                                                             \
	pick(rng, (const char *const[]){__VA_ARGS__},                                              \
	     ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static int below(struct rng *rng, uint64_t n)
{
	return (int)rng_below(rng, n);
}

static void change(struct place_inventory *inv, json_t **last, json_t *object)
{
	struct err err = {0};

	if (object) {
		if (place_inventory_apply_object(inv, object, &err) != 0)
			fail_msg("%s", err.text);
	} else if (*last) {
		assert_true(place_inventory_remove_object(inv, *last));
	}
	json_decref(*last);
	*last = object;
}

static json_t *random_node(struct rng *rng, int i)
{
	return world_json(
		"{'kind': 'StorageNode', 'metadata': {'name': 'n%d', 'labels': {'l': '%s'}},"
		"'spec': {'topology': {'rack': '%s', 'accessPoint': '%s', 'zone': '%s'}},"
		"'status': {'conditions': [{'type': 'Ready', 'status': '%s'}]}}",
		i, PICK(rng, "a", "b"), PICK(rng, "", "r1", "r2", "r3"), PICK(rng, "", "p1", "p2"),
		PICK(rng, "z1", "z2"), PICK(rng, "True", "True", "True", "False"));
}

static json_t *random_pool(struct rng *rng, int i)
{
	return world_json(
		"{'kind': 'StoragePool', 'metadata': {'name': 'p%d', 'labels': {'m': '%s'}},"
		"'spec': {'nodeName': 'n%d', 'engine': '%s', 'maintenance': '%s', "
		"'commitLimitPercent': %d}, 'status': {'health': '%s', 'capacity': '%dGi', "
		"'allocated': '%dGi', 'committed': '%dGi'}}",
		i, PICK(rng, "x", "y"), below(rng, NODES), PICK(rng, "native", "native", "lvm"),
		PICK(rng, "Schedulable", "Schedulable", "Schedulable", "Cordoned"),
		100 + 50 * below(rng, 3), PICK(rng, "Healthy", "Healthy", "Degraded"),
		100 * (1 + below(rng, 3)), below(rng, 40), below(rng, 40));
}

static json_t *random_volume(struct rng *rng, int i)
{
	char pool[16] = "", node[16] = "";

	if (rng_chance(rng, 0.8))
		(void)snprintf(pool, sizeof(pool), "p%d", below(rng, POOLS));
	if (rng_chance(rng, 0.7))
		(void)snprintf(node, sizeof(node), "n%d", below(rng, NODES + 2));
	return world_json(
		"{'kind': 'StorageVolume', 'metadata': {'name': 'v%d'}, 'spec': {'size': "
		"'%dGi', 'provisioning': '%s', 'nodeName': '%s', 'antiAffinityGroup': '%s', "
		"'reservationName': '%s'}, 'status': {'poolName': '%s', 'allocated': '%dGi'}}",
		i, 1 + below(rng, 40), PICK(rng, "Thin", "Thick"), node,
		PICK(rng, "", "", "g1", "g2"), PICK(rng, "", "", "", "s0", "s1"), pool,
		below(rng, 10));
}

static json_t *random_reservation(struct rng *rng, int i)
{
	return world_json("{'kind': 'StorageReservation', 'metadata': {'name': 's%d'}, 'spec': "
			  "{'size': '%dGi'}, 'status': {'phase': '%s', 'poolName': 'p%d'}}",
			  i, 1 + below(rng, 50), PICK(rng, "Reserved", "Reserved", "Expired"),
			  below(rng, POOLS));
}

static void random_change(struct rng *rng, struct place_inventory *inv, struct last *last)
{
	bool gone = rng_chance(rng, 0.15);
	int i;

	switch (below(rng, 10)) {
	case 0:
		i = below(rng, NODES);
		change(inv, &last->node[i], gone ? NULL : random_node(rng, i));
		break;
	case 1:
	case 2:
		i = below(rng, POOLS);
		change(inv, &last->pool[i], gone ? NULL : random_pool(rng, i));
		break;
	case 3:
		i = below(rng, ARRAY_LEN(last->reservation));
		change(inv, &last->reservation[i], gone ? NULL : random_reservation(rng, i));
		break;
	default:
		i = below(rng, VOLUMES);
		change(inv, &last->volume[i], gone ? NULL : random_volume(rng, i));
		break;
	}
}

static void random_config(struct rng *rng, struct place_config *config)
{
	place_config_default(config);
	config->weights.least_allocated = (uint32_t)below(rng, 3);
	config->weights.bin_pack = (uint32_t)below(rng, 3);
	config->weights.locality = (uint32_t)below(rng, 4);
	config->weights.spread = (uint32_t)below(rng, 4);
	config->group_max.node = (uint32_t)below(rng, 3);
	config->group_max.rack = (uint32_t)below(rng, 4);
	config->group_max.zone = rng_chance(rng, 0.2) ? 4 : 0;
	config->remote_volumes_max = rng_chance(rng, 0.3) ? 4 : 0;
	config->local_reserve_percent = rng_chance(rng, 0.3) ? 50 : 0;
	config->allow_degraded = rng_chance(rng, 0.3);
}

static struct place_request random_request(struct rng *rng, char node[16], char pool[16],
					   const json_t *nodes, const json_t *pools)
{
	struct place_request request = world_request("new", 1 + rng_below(rng, 60));

	(void)snprintf(node, 16, "n%d", below(rng, NODES + 2));
	(void)snprintf(pool, 16, "p%d", below(rng, POOLS));
	request.thick = rng_chance(rng, 0.4);
	request.engine = rng_chance(rng, 0.2) ? PLACE_ENGINE_LVM : PLACE_ENGINE_NATIVE;
	request.any_engine = rng_chance(rng, 0.1);
	request.position = (enum place_position)below(rng, 5);
	request.node = request.position >= PLACE_MUST_LOCAL || rng_chance(rng, 0.7) ? node : "";
	request.group = PICK(rng, "", "", "g1", "g2", "g3");
	request.reservation = PICK(rng, "", "", "", "", "", "s0", "s1", "s9");
	request.node_selector = rng_chance(rng, 0.15) ? nodes : NULL;
	request.pool_selector = rng_chance(rng, 0.15) ? pools : NULL;
	request.only_pool = rng_chance(rng, 0.05) ? pool : "";
	request.not_pool = rng_chance(rng, 0.05) ? pool : "";
	request.only_node = rng_chance(rng, 0.05) ? node : "";
	request.name = rng_chance(rng, 0.2) ? "v1" : "new";
	return request;
}

static void both_ways(struct placer *placer, const struct place_inventory *inv,
		      const struct place_config *config, const struct place_request *request)
{
	struct place_decision search, scan;
	struct err err = {0};
	int a = place_decide(placer, inv, config, request, 0, &search, &err);
	int b = place_decide(placer, inv, config, request, PLACE_EXPLAIN, &scan, &err);

	if (a < 0)
		fail_msg("%s", err.text);
	assert_int_equal(a, b);
	if (a == 0) {
		assert_string_equal(search.pool, scan.pool);
		assert_int_equal(search.score, scan.score);
	} else {
		assert_string_equal(search.summary, scan.summary);
	}
	for (size_t i = 0; i < scan.n_candidates; i++)
		assert_true((scan.candidates[i].filter == PLACE_PASSED) !=
			    (scan.candidates[i].why != NULL));
	place_decision_fini(&search);
	place_decision_fini(&scan);
}

static struct place_inventory *rebuilt(const struct last *last, struct rng *rng)
{
	struct place_inventory *inv = place_inventory_new(7);
	size_t n = sizeof(*last) / sizeof(json_t *), start = rng_below(rng, n);
	json_t *const *all = (json_t *const *)last;

	for (size_t i = 0; i < n; i++)
		if (all[(start + i) % n])
			assert_int_equal(
				place_inventory_apply_object(inv, all[(start + i) % n], NULL), 0);
	return inv;
}

static void same_space(const struct place_inventory *a, const struct place_inventory *b)
{
	struct place_inventory_count ca, cb;
	struct place_space sa, sb;
	char name[16];

	place_inventory_count(a, &ca);
	place_inventory_count(b, &cb);
	assert_memory_equal(&ca, &cb, sizeof(ca));
	for (int i = 0; i < POOLS; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		memset(&sa, 0, sizeof(sa));
		memset(&sb, 0, sizeof(sb));
		assert_int_equal(place_inventory_space(a, name, &sa),
				 place_inventory_space(b, name, &sb));
		assert_memory_equal(&sa, &sb, sizeof(sa));
	}
}

static void one_seed(uint64_t seed)
{
	struct place_inventory *inv = place_inventory_new(7), *again;
	struct placer *placer = placer_new();
	json_t *nodes = world_json("{'l': 'a'}"), *pools = world_json("{'m': 'x'}");
	struct last last = {0};
	json_t **all = (json_t **)&last;
	struct place_config config;
	char node[16], pool[16];
	struct rng rng;

	rng_seed(&rng, seed);
	for (int step = 0; step < STEPS; step++) {
		struct place_request request = random_request(&rng, node, pool, nodes, pools);

		random_change(&rng, inv, &last);
		random_config(&rng, &config);
		both_ways(placer, inv, &config, &request);
		/* The decision is kept now and then, and taken back or shown by the API. */
		if (rng_chance(&rng, 0.3) && place_assume_volume(inv, &request, pool, NULL) == 0 &&
		    !strcmp(request.name, "new"))
			(void)place_forget_volume(inv, "new");
	}
	(void)place_forget_volume(inv, "v1");
	again = rebuilt(&last, &rng);
	same_space(inv, again);
	both_ways(placer, again, &config,
		  &(struct place_request){.name = "w",
					  .size = TEST_GIB,
					  .node = "",
					  .group = "",
					  .reservation = "",
					  .only_pool = "",
					  .only_node = "",
					  .not_pool = ""});
	for (size_t i = 0; i < sizeof(last) / sizeof(json_t *); i++)
		json_decref(all[i]);
	place_inventory_free(again);
	place_inventory_free(inv);
	placer_free(placer);
	json_decref(nodes);
	json_decref(pools);
}

static void search_and_scan_agree(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("# seed %d\n", (int)seed);
		one_seed(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(search_and_scan_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
