/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers and agents as they are, in one process, and everything happens: users make, grow, attach, snapshot and delete; paths to the API and to engines are cut or lose calls
 * and answers; agents, engines and controllers die in any call; clocks are wrong. While an engine is asked, others act. What has to hold at any time is looked at all the
 * time (fleet.c); when the faults stop, desired is actual within 30 seconds.
 *
 * LITEPOOL_SEED=N [LITEPOOL_SEEDS=COUNT] test-agent-storm runs others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "fleet.h"
#include "kube/meta.h"
#include "kube/text.h"

#define ROUNDS     70
#define HEALING_MS 30000
#define SWEEPS_MS  35000

struct storm {
	struct fleet f;
	struct rng rng;
	unsigned names;
};

static unsigned pick(struct storm *s, unsigned n)
{
	return (unsigned)rng_below(&s->rng, n);
}

/* ---- users ---- */

static void make_something(struct storm *s)
{
	unsigned number = s->names++, mib = 1 + pick(s, 4);
	char source[64];

	switch (pick(s, 6)) {
	case 0:
		if (world_any(&s->f.w, &s->rng, "StorageVolume", source))
			world_make(&s->f.w, "StorageSnapshot",
				   "{'metadata': {'name': 's%u'}, 'spec': {'volumeName': '%s'}}",
				   number, source);
		break;
	case 1:
		if (world_any(&s->f.w, &s->rng, "StorageSnapshot", source))
			world_make(&s->f.w, "StorageVolume",
				   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uMi', "
				   "'source': {'snapshotName': '%s'}}}",
				   number, mib, source);
		break;
	case 2:
		if (world_any(&s->f.w, &s->rng, "StorageVolume", source))
			world_make(&s->f.w, "StorageVolume",
				   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uMi', "
				   "'source': {'volumeName': '%s'}}}",
				   number, mib, source);
		break;
	default:
		world_make(&s->f.w, "StorageVolume",
			   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uMi', 'provisioning': "
			   "'%s', 'qos': {'iops': %u}}}",
			   number, mib, pick(s, 4) ? "Thin" : "Thick", pick(s, 2) * 1000);
		break;
	}
}

static void grow_something(struct storm *s)
{
	_cleanup_json_ json_t *obj = NULL;
	const char *why;
	char name[64];
	uint64_t size;

	if (!world_any(&s->f.w, &s->rng, "StorageVolume", name))
		return;
	obj = world_get(&s->f.w, "StorageVolume", name);
	if (kube_deleting(obj) || !kube_size_parse(kube_at(obj, "spec.size"), &size, &why))
		return;
	world_patch(&s->f.w, "StorageVolume", name, NULL, "{'spec': {'size': '%uMi'}}",
		    (unsigned)(size >> 20) + 1 + pick(s, 2));
}

/* Attached volumes are deleted, too: they go when they are detached. */
static void change_something(struct storm *s)
{
	char name[64];

	switch (pick(s, 6)) {
	case 0:
		if (world_any(&s->f.w, &s->rng, "StorageVolume", name))
			fleet_delete(&s->f, "StorageVolume", name);
		break;
	case 1:
		if (world_any(&s->f.w, &s->rng, "StorageSnapshot", name))
			world_delete(&s->f.w, "StorageSnapshot", name);
		break;
	case 2:
		grow_something(s);
		break;
	default:
		if (world_any(&s->f.w, &s->rng, "StorageVolume", name))
			fleet_attach(&s->f, name, pick(s, 8), pick(s, 4) ? 0 : 1 + pick(s, 7));
		break;
	}
}

/* ---- faults ---- */

static void disturb_controller(struct storm *s)
{
	unsigned i = pick(s, WORLD_CONTROLLERS);
	struct world_controller *c = &s->f.w.controllers[i];

	if (!c->control) {
		world_start(&s->f.w, i);
		return;
	}
	switch (pick(s, 4)) {
	case 0:
		world_kill(&s->f.w, i);
		break;
	case 1:
		c->stopped = !c->stopped;
		break;
	case 2:
		c->chaos->cut_off = !c->chaos->cut_off;
		break;
	default:
		c->chaos->lost_percent = pick(s, 30);
		break;
	}
}

static void disturb_agent(struct storm *s, struct node *n)
{
	if (!n->agent) {
		node_start(n);
		return;
	}
	switch (pick(s, 6)) {
	case 0:
		node_kill(n);
		break;
	case 1:
		n->calls_left = pick(s, 40);
		break;
	case 2:
		n->chaos->writes_left = 1 + pick(s, 12);
		break;
	case 3:
		n->chaos->cut_off = !n->chaos->cut_off;
		break;
	case 4:
		n->lease_chaos->cut_off = !n->lease_chaos->cut_off;
		break;
	default:
		n->chaos->lost_percent = pick(s, 30);
		break;
	}
}

static void disturb_engine(struct storm *s, struct model *m)
{
	if (!m->up) {
		model_start(m, !pick(s, 4));
		return;
	}
	switch (pick(s, 4)) {
	case 0:
		model_kill(m);
		break;
	case 1:
		m->calls_left = pick(s, 40);
		break;
	case 2:
		m->cut_off = !m->cut_off;
		break;
	default:
		m->lost_percent = pick(s, 30);
		break;
	}
}

static void disturb_clock(struct storm *s, struct node *n)
{
	switch (pick(s, 3)) {
	case 0:
		n->wall_off_ms = ((int64_t)pick(s, 7200) - 3600) * 1000;
		break;
	case 1:
		node_clock_rate(n, 50 + pick(s, 150));
		break;
	default:
		node_clock_skip(n, UINT64_C(1000) * pick(s, 20));
		break;
	}
}

static void disturb_something(struct storm *s)
{
	struct node *n = &s->f.nodes[pick(s, FLEET_NODES)];

	switch (pick(s, 5)) {
	case 0:
		disturb_controller(s);
		break;
	case 1:
	case 2:
		disturb_agent(s, n);
		break;
	case 3:
		disturb_engine(s, &n->model);
		break;
	default:
		disturb_clock(s, n);
		break;
	}
}

static void calm_node(struct node *n)
{
	if (n->agent && n->chaos->writes_left == 0)
		node_kill(n);
	if (!n->agent)
		node_start(n);
	n->calls_left = n->chaos->writes_left = -1;
	n->chaos->cut_off = n->lease_chaos->cut_off = false;
	n->chaos->lost_percent = 0;
	if (!n->model.up)
		model_start(&n->model, false);
	n->model.cut_off = false;
	n->model.lost_percent = 0;
	n->model.calls_left = -1;
	node_clock_rate(n, 100); /* its wall clock stays as wrong as it is */
}

/* Who deletes what is attached detaches it. */
static void detach_deleted(struct storm *s)
{
	_cleanup_json_ json_t *all = world_list(&s->f.w, "StorageVolume");

	for (size_t i = 0; i < json_array_size(all); i++)
		if (kube_deleting(json_array_get(all, i)))
			fleet_attach(&s->f, kube_name(json_array_get(all, i)), 0, 0);
}

static void calm(struct storm *s)
{
	world_calm(&s->f.w);
	for (unsigned i = 0; i < FLEET_NODES; i++)
		calm_node(&s->f.nodes[i]);
	detach_deleted(s);
}

static void round_of(struct storm *s)
{
	switch (pick(s, 7)) {
	case 0:
	case 1:
		make_something(s);
		break;
	case 2:
	case 3:
		change_something(s);
		break;
	default:
		disturb_something(s);
		break;
	}
	fleet_run(&s->f, UINT64_C(200) * (1 + pick(s, 5)));
}

/* The digest of what engines were asked for. */
static uint64_t storm(uint64_t seed, unsigned rounds)
{
	struct storm *s = calloc(1, sizeof(*s));
	const char *bad;
	uint64_t trace = 0, end;

	assert_non_null(s);
	print_message("# seed %llu\n", (unsigned long long)seed);
	fleet_open(&s->f, seed);
	rng_seed(&s->rng, seed);
	s->f.between_percent = 20;
	fleet_run(&s->f, 2000);
	for (unsigned i = 0; i < rounds; i++)
		round_of(s);
	calm(s);
	end = world_now_ms() + HEALING_MS;
	do
		fleet_run(&s->f, 1000);
	while ((bad = fleet_differs(&s->f)) && world_now_ms() < end);
	if (bad)
		fail_msg("seed %llu, %d s after the last fault: %s", (unsigned long long)seed,
			 HEALING_MS / 1000, bad);
	/* It stays so, and what only a sweep clears away goes with the next ones. */
	fleet_run(&s->f, SWEEPS_MS);
	bad = fleet_differs(&s->f);
	bad = bad ? bad : fleet_leaks(&s->f);
	if (bad)
		fail_msg("seed %llu, after the next sweeps: %s", (unsigned long long)seed, bad);
	for (unsigned i = 0; i < FLEET_NODES; i++)
		trace = trace * 31 + s->f.nodes[i].trace;
	fleet_close(&s->f);
	free(s);
	return trace;
}

static void desired_is_actual_when_faults_stop(void **state)
{
	uint64_t seed = world_number("LITEPOOL_SEED", 1), n = world_number("LITEPOOL_SEEDS", 2);

	for (uint64_t i = 0; i < n; i++)
		(void)storm(seed + i, ROUNDS);
}

static void a_seed_shows_the_same_again(void **state)
{
	assert_int_equal(storm(77, 15), storm(77, 15));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_shows_the_same_again),
		cmocka_unit_test(desired_is_actual_when_faults_stop),
	};

	log_set_level(getenv("LITEPOOL_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
