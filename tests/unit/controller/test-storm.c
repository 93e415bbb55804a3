/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seeded world in which everything happens: users make, grow, delete; controllers die and stop; controllers and agents are cut off, lose requests and
 * answers. What has to hold at any time is looked at all the time (world_check()); when the faults stop, desired is actual within a minute.
 *
 * LITEPOOL_SEED=N [LITEPOOL_SEEDS=COUNT] test-controller-storm runs others.
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
#include "kube/meta.h"
#include "kube/text.h"
#include "world.h"

#define ROUNDS 150

struct storm {
	struct world w;
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
	char source[64];
	unsigned number = s->names++, gib = 1 + pick(s, 4);

	switch (pick(s, 8)) {
	case 0:
		world_make(&s->w, "StorageReservation",
			   "{'metadata': {'name': 'r%u'}, 'spec': {'size': '%uGi'}}", number, gib);
		break;
	case 1:
		if (world_any(&s->w, &s->rng, "StorageVolume", source))
			world_make(&s->w, "StorageSnapshot",
				   "{'metadata': {'name': 's%u'}, 'spec': {'volumeName': '%s'}}",
				   number, source);
		break;
	case 2:
		if (world_any(&s->w, &s->rng, "StorageSnapshot", source))
			world_make(&s->w, "StorageVolume",
				   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uGi', "
				   "'source': {'snapshotName': '%s'}}}",
				   number, gib, source);
		break;
	case 3:
		if (world_any(&s->w, &s->rng, "StorageReservation", source))
			world_make(&s->w, "StorageVolume",
				   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uGi', "
				   "'reservationName': '%s'}}",
				   number, gib, source);
		break;
	case 4:
		world_make(&s->w, "StorageVolume",
			   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uGi', 'provisioning': "
			   "'Thick', 'nodeName': 'n%u', 'position': 'MustLocal'}}",
			   number, gib, pick(s, 3));
		break;
	default:
		world_make(&s->w, "StorageVolume",
			   "{'metadata': {'name': 'v%u'}, 'spec': {'size': '%uGi'}}", number, gib);
		break;
	}
}

static void change_something(struct storm *s)
{
	static const char *const kinds[] = {"StorageVolume", "StorageVolume", "StorageVolume",
					    "StorageSnapshot", "StorageReservation"};
	const char *kind = kinds[pick(s, 5)];
	char name[64];
	_cleanup_json_ json_t *obj = NULL;
	const char *why;
	uint64_t size;

	if (!world_any(&s->w, &s->rng, kind, name))
		return;
	if (pick(s, 2)) {
		world_delete(&s->w, kind, name);
		return;
	}
	obj = world_get(&s->w, kind, name);
	if (!kube_size_parse(kube_at(obj, "spec.size"), &size, &why) || kube_deleting(obj))
		return;
	world_patch(&s->w, kind, name, NULL, "{'spec': {'size': %llu}}",
		    (unsigned long long)(size + (1 + pick(s, 2)) * TEST_GIB));
}

/* ---- faults ---- */

static void disturb_controller(struct storm *s)
{
	struct world_controller *c;
	unsigned i = pick(s, WORLD_CONTROLLERS);

	c = &s->w.controllers[i];
	if (!c->control) {
		world_start(&s->w, i);
		return;
	}
	switch (pick(s, 5)) {
	case 0:
		world_kill(&s->w, i);
		break;
	case 1:
		c->stopped = !c->stopped;
		break;
	case 2:
		c->chaos->cut_off = !c->chaos->cut_off;
		break;
	case 3:
		c->chaos->hold_kind = "/status";
		c->chaos->hold_next = true;
		break;
	default:
		c->chaos->lost_percent = pick(s, 30);
		break;
	}
}

static void release_something(struct storm *s)
{
	const struct world_controller *c = &s->w.controllers[pick(s, WORLD_CONTROLLERS)];

	if (c->client)
		(void)chaos_release(c->client);
}

static void disturb_agent(struct storm *s)
{
	struct agent *a = &s->w.agents[pick(s, s->w.n_agents)];

	switch (pick(s, 4)) {
	case 0:
		a->dead = !a->dead;
		break;
	case 1:
		a->chaos->cut_off = !a->chaos->cut_off;
		break;
	case 2:
		a->clock_off_ms = ((int64_t)pick(s, 7200) - 3600) * 1000;
		break;
	default:
		a->chaos->lost_percent = pick(s, 30);
		break;
	}
}

static void calm(struct storm *s)
{
	world_calm(&s->w);
	for (unsigned i = 0; i < WORLD_CONTROLLERS; i++) {
		s->w.controllers[i].chaos->hold_next = false;
		(void)chaos_release(s->w.controllers[i].client);
	}
	for (unsigned i = 0; i < s->w.n_agents; i++) {
		s->w.agents[i].dead = false;
		s->w.agents[i].chaos->cut_off = false;
		s->w.agents[i].chaos->lost_percent = 0;
	}
}

static void round_of(struct storm *s)
{
	switch (pick(s, 6)) {
	case 0:
	case 1:
		make_something(s);
		break;
	case 2:
		change_something(s);
		break;
	case 3:
		disturb_controller(s);
		break;
	case 4:
		disturb_agent(s);
		break;
	default:
		release_something(s);
		break;
	}
	world_run(&s->w, 200 * (1 + pick(s, 5)));
}

static void storm(uint64_t seed)
{
	struct storm s = {0};
	char name[16];

	print_message("# seed %llu\n", (unsigned long long)seed);
	world_open(&s.w, seed);
	rng_seed(&s.rng, seed);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		world_node(&s.w, name, 12);
		world_start(&s.w, i);
	}
	world_run(&s.w, 1000);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(&s);
	calm(&s);
	world_run(&s.w, 60000);
	world_check_end(&s.w);
	world_close(&s.w);
}

static void desired_is_actual_when_faults_stop(void **state)
{
	uint64_t seed = world_number("LITEPOOL_SEED", 1), n = world_number("LITEPOOL_SEEDS", 3);

	for (uint64_t i = 0; i < n; i++)
		storm(seed + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(desired_is_actual_when_faults_stop),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
