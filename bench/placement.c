/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-placement: how many placement decisions one core makes in a cluster of 10,000 nodes and 100,000 volumes, kept in memory. Each step is what the
 * controller does: a volume goes, a new one is decided and assumed. Prints one JSON object.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hist.h"
#include "base/rng.h"
#include "base/str.h"
#include "place/assume.h"
#include "place/place.h"
#include "raw.h"

#define NODES_PER_RACK 40
#define RACKS_PER_ZONE 50

struct bench {
	struct place_inventory *inv;
	struct placer *placer;
	struct place_config config;
	struct rng rng;
	uint64_t nodes, volumes, decisions;
	struct hist latency;
	uint64_t looked_at, refused, busy_ns;
	char (*names)[24];
};

static void add_node(struct bench *b, uint64_t i)
{
	char node[32], pool[32], rack[32], zone[32];
	struct place_node_info n = {.name = node, .rack = rack, .zone = zone, .ready = true};
	struct place_pool_info p = {.name = pool,
				    .node = node,
				    .ready = true,
				    .commit_limit_percent = 100,
				    .full_percent = 95};

	(void)snprintf(node, sizeof(node), "node-%" PRIu64, i);
	(void)snprintf(pool, sizeof(pool), "pool-%" PRIu64, i);
	(void)snprintf(rack, sizeof(rack), "rack-%" PRIu64, i / NODES_PER_RACK);
	(void)snprintf(zone, sizeof(zone), "zone-%" PRIu64, i / NODES_PER_RACK / RACKS_PER_ZONE);
	p.capacity = i % 2 ? 4 * TIB : 20 * TIB;
	ASSERT(place_inventory_put_node(b->inv, &n) == 0);
	ASSERT(place_inventory_put_pool(b->inv, &p) == 0);
}

/* Half the volumes prefer the node of their user, a fifth belongs to groups of five, a tenth is thick. */
static struct place_request request_of(struct bench *b, const char *name, char node[32],
				       char group[32])
{
	struct place_request r = {.name = name,
				  .node = node,
				  .group = "",
				  .reservation = "",
				  .only_pool = "",
				  .only_node = "",
				  .not_pool = ""};

	(void)snprintf(node, 32, "node-%" PRIu64, rng_below(&b->rng, b->nodes));
	r.size = (1 + rng_below(&b->rng, 200)) * GIB;
	r.thick = rng_chance(&b->rng, 0.1);
	r.position = rng_chance(&b->rng, 0.5) ? PLACE_PREFER_LOCAL : PLACE_ANY;
	if (rng_chance(&b->rng, 0.2)) {
		(void)snprintf(group, 32, "group-%" PRIu64,
			       rng_below(&b->rng, b->volumes / 25 + 1));
		r.group = group;
	}
	return r;
}

static void place_one(struct bench *b, uint64_t i, bool measured)
{
	char node[32], group[32];
	struct place_decision decision;
	struct place_request r;
	struct err err = {0};
	uint64_t from, took;
	int res;

	from = raw_now_ns();
	if (b->names[i][0])
		(void)place_inventory_remove_volume(b->inv, b->names[i]);
	took = raw_now_ns() - from;
	(void)snprintf(b->names[i], sizeof(b->names[i]), "v-%" PRIx64, rng_next(&b->rng));
	r = request_of(b, b->names[i], node, group);
	from = raw_now_ns();
	res = place_decide(b->placer, b->inv, &b->config, &r, 0, &decision, &err);
	ASSERT(res >= 0);
	if (res == 0) {
		ASSERT(place_assume_volume(b->inv, &r, decision.pool, &err) == 0);
		ASSERT(place_confirm_volume(b->inv, r.name));
	}
	took += raw_now_ns() - from;
	if (measured) {
		hist_add(&b->latency, took);
		b->busy_ns += took;
		b->looked_at += decision.looked_at;
		b->refused += res == 1;
	}
	if (res == 1)
		b->names[i][0] = '\0';
	place_decision_fini(&decision);
}

static void run(struct bench *b)
{
	for (uint64_t i = 0; i < b->nodes; i++)
		add_node(b, i);
	for (uint64_t i = 0; i < b->volumes; i++)
		place_one(b, i, false);
	for (uint64_t i = 0; i < b->decisions; i++)
		place_one(b, rng_below(&b->rng, b->volumes), true);
}

static uint64_t number(const char *text)
{
	uint64_t n;

	if (!str_to_u64(text, 1, 100000000, &n)) {
		fprintf(stderr, "lp-placement: '%s' is no number from 1\n", text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static struct bench b = {.nodes = 10000, .volumes = 100000, .decisions = 100000};

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--nodes") == 0)
			b.nodes = number(argv[i + 1]);
		else if (strcmp(argv[i], "--volumes") == 0)
			b.volumes = number(argv[i + 1]);
		else if (strcmp(argv[i], "--decisions") == 0)
			b.decisions = number(argv[i + 1]);
	}
	rng_seed(&b.rng, 1);
	place_config_default(&b.config);
	b.inv = place_inventory_new(1);
	b.placer = placer_new();
	b.names = calloc(b.volumes, sizeof(*b.names));
	ASSERT(b.inv && b.placer && b.names);
	run(&b);
	printf("{\"decisions\": %" PRIu64
	       ", \"decisions_per_s\": %.0f, \"p50_us\": %.2f, \"p99_us\": "
	       "%.2f, \"looked_at\": %.1f, \"refused\": %" PRIu64 "}\n",
	       b.decisions, (double)b.decisions * 1e9 / (double)b.busy_ns,
	       (double)hist_quantile(&b.latency, 0.5) / 1000,
	       (double)hist_quantile(&b.latency, 0.99) / 1000,
	       (double)b.looked_at / (double)b.decisions, b.refused);
	place_inventory_free(b.inv);
	placer_free(b.placer);
	free(b.names);
	return 0;
}
