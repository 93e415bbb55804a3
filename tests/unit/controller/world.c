/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At any time:
 *   1. What is promised on a pool (volumes, and what reservations have left) is not more than the pool may promise.
 *   2. A volume is on one pool, and stays there; its data are on one disk.
 *   3. No disk holds more than it has, and nothing that was made is missing.
 * In the end: each volume that is not deleted has its data on the disk where it is placed, in the size that was promised, or a reason why not; no disk
 * holds anything else; nothing that was deleted is left.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define SETTLE_MAX 2000
#define STEP_MS    200

static uint64_t now_ms;

static uint64_t mono(void *ctx)
{
	return now_ms;
}

static uint64_t wall(void *ctx)
{
	return fixture_now_ns;
}

static const struct kube_clock world_clock = {.mono_ms = mono, .wall_ns = wall};

uint64_t world_now_ms(void)
{
	return now_ms;
}

static struct rng world_rng;

/* UIDs come from the seed, too: what a seed shows, it shows again. */
static void seeded_bytes(void *buf, size_t len)
{
	uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rng_below(&world_rng, 256);
}

void world_open(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .places = json_object()};
	now_ms = 1000;
	fixture_now_ns = (uint64_t)1800000000 * NSEC_PER_SEC;
	rng_seed(&world_rng, seed);
	fixture_random = seeded_bytes;
	/* What is on the disk is the API server's own tests' business. */
	fixture_open(&w->fx, 0, 0);
	fixture_shut(&w->fx);
	w->fx.config.path = ":memory:";
	fixture_reopen(&w->fx);
	assert_int_equal(client_local_new(w->fx.api, &w->client), 0);
}

void world_close(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CONTROLLERS; i++)
		world_kill(w, i);
	for (unsigned i = 0; i < w->n_agents; i++)
		agent_close(&w->agents[i]);
	kube_client_free(w->client);
	json_decref(w->places);
	fixture_close(&w->fx);
}

void world_start(struct world *w, unsigned i)
{
	struct world_controller *c = &w->controllers[i];
	struct control_config config = {.clock = &world_clock,
					.identity = c->identity,
					.placement_path = w->placement_path,
					.seed = w->seed + 1};
	struct err err = {0};

	(void)snprintf(c->identity, sizeof(c->identity), "controller-%u-%u", i, w->births++);
	assert_int_equal(chaos_new(w->fx.api, w->seed + w->births, &c->client, &c->chaos), 0);
	config.client = c->client;
	if (control_new(&config, &c->control, &err))
		fail_msg("%s", err.text);
	c->stopped = false;
}

void world_kill(struct world *w, unsigned i)
{
	struct world_controller *c = &w->controllers[i];

	control_free(c->control);
	kube_client_free(c->client);
	*c = (struct world_controller){0};
}

/* ---- objects ---- */

__attribute__((format(printf, 1, 0))) static json_t *parse(const char *fmt, va_list ap)
{
	char text[4096];
	json_error_t where;
	json_t *json;

	assert_true(vsnprintf(text, sizeof(text), fmt, ap) < (int)sizeof(text));
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json = json_loads(text, 0, &where);
	if (!json)
		fail_msg("%s in %s", where.text, text);
	return json;
}

static struct kube_ref ref_of(const char *kind, const char *name, const char *sub)
{
	return (struct kube_ref){.res = kube_resource_by_kind(kind), .name = name, .sub = sub};
}

void world_make(struct world *w, const char *kind, const char *fmt, ...)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_ref ref = ref_of(kind, NULL, NULL);
	_cleanup_json_ json_t *obj = NULL;
	va_list ap;

	va_start(ap, fmt);
	obj = parse(fmt, ap);
	va_end(ap);
	if (kube_create(w->client, &ref, obj, NULL, &error))
		fail_msg("%s", error.err.text);
}

void world_volume(struct world *w, const char *name, uint64_t gib)
{
	world_make(w, "StorageVolume", "{'metadata': {'name': '%s'}, 'spec': {'size': '%uGi'}}",
		   name, (unsigned)gib);
}

void world_patch(struct world *w, const char *kind, const char *name, const char *sub,
		 const char *fmt, ...)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_ref ref = ref_of(kind, name, sub);
	_cleanup_json_ json_t *patch = NULL;
	va_list ap;

	va_start(ap, fmt);
	patch = parse(fmt, ap);
	va_end(ap);
	if (kube_merge(w->client, &ref, patch, NULL, &error))
		fail_msg("%s", error.err.text);
}

void world_delete(struct world *w, const char *kind, const char *name)
{
	struct kube_ref ref = ref_of(kind, name, NULL);
	int rc = kube_delete(w->client, &ref, NULL, NULL, NULL);

	assert_true(!rc || rc == -ENOENT);
}

json_t *world_get(struct world *w, const char *kind, const char *name)
{
	struct kube_ref ref = ref_of(kind, name, NULL);
	json_t *obj = NULL;
	int rc = kube_get(w->client, &ref, &obj, NULL);

	assert_true(!rc || rc == -ENOENT);
	return obj;
}

json_t *world_list(struct world *w, const char *kind)
{
	struct kube_ref ref = ref_of(kind, NULL, NULL);
	struct kube_list list = {0};

	assert_int_equal(kube_list(w->client, &ref, NULL, &list, NULL), 0);
	free(list.token);
	return list.items;
}

bool world_any(struct world *w, struct rng *rng, const char *kind, char name[64])
{
	_cleanup_json_ json_t *all = world_list(w, kind);
	size_t n = json_array_size(all);

	return n && str_copy(name, 64, kube_name(json_array_get(all, rng_below(rng, n))));
}

void world_calm(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CONTROLLERS; i++) {
		struct world_controller *c = &w->controllers[i];

		if (!c->control)
			world_start(w, i);
		c->stopped = false;
		c->chaos->cut_off = false;
		c->chaos->lost_percent = 0;
	}
}

uint64_t world_number(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);
	uint64_t n;

	return text && str_to_u64(text, 0, UINT64_MAX, &n) ? n : otherwise;
}

const char *world_phase(struct world *w, const char *kind, const char *name)
{
	static char phase[64];
	_cleanup_json_ json_t *obj = world_get(w, kind, name);

	assert_true(str_copy(phase, sizeof(phase), kube_str(obj, "status.phase")));
	return phase;
}

const char *world_condition(struct world *w, const char *kind, const char *name, const char *type)
{
	static char text[128];
	_cleanup_json_ json_t *obj = world_get(w, kind, name);
	const json_t *condition = kube_condition_get(obj, type);

	text[0] = 0;
	if (condition)
		(void)snprintf(text, sizeof(text), "%s/%s", kube_str(condition, "status"),
			       kube_str(condition, "reason"));
	return text;
}

bool world_gone(struct world *w, const char *kind, const char *name)
{
	_cleanup_json_ json_t *obj = world_get(w, kind, name);

	return !obj;
}

bool world_event(struct world *w, const char *name, const char *reason)
{
	_cleanup_json_ json_t *all = world_list(w, "Event");

	for (size_t i = 0; i < json_array_size(all); i++)
		if (!strcmp(kube_str(json_array_get(all, i), "involvedObject.name"), name) &&
		    !strcmp(kube_str(json_array_get(all, i), "reason"), reason))
			return true;
	return false;
}

void world_pool(struct world *w, const char *name, const char *node)
{
	world_make(w, "StoragePool",
		   "{'metadata': {'name': '%s'}, 'spec': {'nodeName': '%s', 'device': {'file': "
		   "'/f'}}}",
		   name, node);
}

struct agent *world_node(struct world *w, const char *name, uint64_t gib)
{
	struct agent *a = &w->agents[w->n_agents++];
	char pool[64];

	assert_true(w->n_agents <= WORLD_AGENTS);
	(void)snprintf(pool, sizeof(pool), "%s-p", name);
	agent_open(a, w->fx.api, name, w->seed + 100 + w->n_agents);
	agent_disk_add(a, pool, gib * TEST_GIB);
	world_pool(w, pool, name);
	return a;
}

/* ---- time ---- */

bool world_step(struct world *w)
{
	bool any = false;

	for (unsigned i = 0; i < WORLD_CONTROLLERS; i++) {
		struct world_controller *c = &w->controllers[i];

		if (!c->control || c->stopped)
			continue;
		any |= chaos_pump(c->client);
		any |= control_turn(c->control, 16);
	}
	for (unsigned i = 0; i < w->n_agents; i++)
		any |= agent_step(&w->agents[i], now_ms, fixture_now_ns);
	if (w->more)
		any |= w->more(w->more_ctx);
	return any;
}

void world_settle(struct world *w)
{
	unsigned rounds = 0;

	while (world_step(w))
		assert_true(rounds++ < SETTLE_MAX);
	world_check(w);
}

void world_run(struct world *w, uint64_t ms)
{
	for (uint64_t end = now_ms + ms; now_ms < end;) {
		now_ms += STEP_MS;
		fixture_now_ns += STEP_MS * NSEC_PER_MSEC;
		for (unsigned i = 0; i < 8 && world_step(w); i++)
			;
		world_check(w);
	}
	world_settle(w);
}

/* ---- what has to hold ---- */

static uint64_t size_at(const json_t *obj, const char *path)
{
	const json_t *value = kube_at(obj, path);
	const char *why;
	uint64_t n;

	return value && kube_size_parse(value, &n, &why) ? n : 0;
}

static bool is_on(const json_t *obj, const char *pool)
{
	return !strcmp(kube_str(obj, "status.poolName"), pool);
}

/* Of the reservation, by volumes on the same pool. */
static uint64_t used_of(const json_t *volumes, const json_t *reservation)
{
	const char *pool = kube_str(reservation, "status.poolName");
	uint64_t used = 0;

	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const json_t *v = json_array_get(volumes, i);

		if (is_on(v, pool) &&
		    !strcmp(kube_str(v, "spec.reservationName"), kube_name(reservation)))
			used += size_at(v, "status.promised");
	}
	return used;
}

static void check_pool(const json_t *pool, const json_t *volumes, const json_t *reservations)
{
	uint64_t limit = size_at(pool, "status.capacity") *
			 (uint64_t)json_integer_value(kube_at(pool, "spec.commitLimitPercent")) /
			 100;
	uint64_t sum = 0;

	for (size_t i = 0; i < json_array_size(volumes); i++)
		if (is_on(json_array_get(volumes, i), kube_name(pool)))
			sum += size_at(json_array_get(volumes, i), "status.promised");
	for (size_t i = 0; i < json_array_size(reservations); i++) {
		const json_t *r = json_array_get(reservations, i);
		uint64_t held = size_at(r, "status.reserved"), used = used_of(volumes, r);

		if (is_on(r, kube_name(pool)) && !strcmp(kube_str(r, "status.phase"), "Reserved"))
			sum += held > used ? held - used : 0;
	}
	if (limit && sum > limit)
		fail_msg("pool %s: %llu promised of %llu", kube_name(pool), (unsigned long long)sum,
			 (unsigned long long)limit);
}

static void check_place(struct world *w, const json_t *volume)
{
	const char *pool = kube_str(volume, "status.poolName");
	const char *was = json_string_value(json_object_get(w->places, kube_uid(volume)));

	if (!pool[0])
		return;
	/* Who was never made may be placed again when its pool went. */
	if (was && strcmp(was, pool) != 0 && kube_str(volume, "status.uuid")[0] &&
	    !world_gone(w, "StoragePool", was))
		fail_msg("volume %s went from %s to %s", kube_name(volume), was, pool);
	json_object_set_new(w->places, kube_uid(volume), json_string(pool));
}

static void check_disks(struct world *w)
{
	_cleanup_json_ json_t *seen = json_object();

	for (unsigned a = 0; a < w->n_agents; a++) {
		assert_int_equal(w->agents[a].too_full, 0);
		assert_int_equal(w->agents[a].vanished, 0);
		for (unsigned d = 0; d < w->agents[a].n_disks; d++) {
			const char *uid;
			json_t *lvol;

			json_object_foreach (w->agents[a].disks[d].lvols, uid, lvol) {
				assert_null(json_object_get(seen, uid));
				json_object_set(seen, uid, lvol);
			}
		}
	}
}

void world_check(struct world *w)
{
	_cleanup_json_ json_t *volumes = world_list(w, "StorageVolume");
	_cleanup_json_ json_t *reservations = world_list(w, "StorageReservation");
	_cleanup_json_ json_t *pools = world_list(w, "StoragePool");

	for (size_t i = 0; i < json_array_size(pools); i++)
		check_pool(json_array_get(pools, i), volumes, reservations);
	for (size_t i = 0; i < json_array_size(volumes); i++)
		check_place(w, json_array_get(volumes, i));
	check_disks(w);
}

static struct agent_disk *disk_of(struct world *w, const char *pool)
{
	for (unsigned a = 0; a < w->n_agents; a++)
		for (unsigned d = 0; d < w->agents[a].n_disks; d++)
			if (!strcmp(w->agents[a].disks[d].pool, pool))
				return &w->agents[a].disks[d];
	return NULL;
}

static void check_volume_end(struct world *w, const json_t *v)
{
	const char *pool = kube_str(v, "status.poolName");
	const struct agent_disk *disk = disk_of(w, pool);
	const json_t *lvol = disk ? json_object_get(disk->lvols, kube_uid(v)) : NULL;

	if (kube_deleting(v))
		fail_msg("volume %s is deleted and still there", kube_name(v));
	if (!pool[0]) {
		if (!kube_condition_is(v, "Scheduled", "False") &&
		    !kube_condition_is(v, "DataLost", "True"))
			fail_msg("volume %s is nowhere, and nobody says why", kube_name(v));
		return;
	}
	if (!lvol || strcmp(kube_str(v, "status.phase"), "Ready") != 0)
		fail_msg("volume %s on %s is %s", kube_name(v), pool, kube_str(v, "status.phase"));
	assert_int_equal(json_integer_value(json_object_get(lvol, "size")),
			 size_at(v, "status.promised"));
	if (size_at(v, "spec.size") > size_at(v, "status.promised"))
		assert_true(kube_condition_is(v, "Expanded", "False"));
}

void world_check_end(struct world *w)
{
	_cleanup_json_ json_t *volumes = world_list(w, "StorageVolume");
	size_t placed = 0, made = 0;

	world_check(w);
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		check_volume_end(w, json_array_get(volumes, i));
		placed += kube_str(json_array_get(volumes, i), "status.poolName")[0] != 0;
	}
	for (unsigned a = 0; a < w->n_agents; a++)
		for (unsigned d = 0; d < w->agents[a].n_disks; d++)
			made += json_object_size(w->agents[a].disks[d].lvols);
	assert_int_equal(placed, made);
}
