/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At any time, looked at in the change itself (watch()) or after each step (check()):
 *   1. The hosts that an engine allows to a volume are such that users wanted together at some time: who is fenced is gone before another comes.
 *   2. A volume or snapshot is in one engine.
 *   3. No engine is asked to delete, to export no more or to close what is declared.
 *   4. Once a status says that it was made of the spec as it is (observedGeneration), the engine allows nobody whom this spec does not, whatever else fails: detach and
 *      CSI's unpublish build on it.
 *   5. A status that says that its volume is ready, and whom the engine lets in, is not early: so it is when it is first seen.
 *   6. A volume is gone from the API only when it is gone from the engine.
 *   7. A volume that was deleted while it was attached stays as it is until it is detached.
 *   And world.c's: no pool has promised more than it has, a volume stays where it is.
 * In the end (fleet_differs()): each object is as it says, or says why not; engines have nothing else.
 */
#include "fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define NQN_PREFIX "nqn.2026-11.io.litepool:volume:"
#define DEPTH_MAX  3

/* ---- whom users want ---- */

static bool lists(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (!strcmp(json_string_value(json_array_get(array, i)), text))
			return true;
	return false;
}

/* The hosts that the spec names and allows, as a new array. */
static json_t *hosts_of(struct fleet *f, const json_t *volume)
{
	const json_t *nodes = kube_at(volume, "spec.attachedNodes");
	const json_t *allowed = kube_at(volume, "spec.allowedNodes");
	json_t *hosts = json_array();

	for (unsigned i = 0; i < FLEET_NODES; i++)
		if (lists(nodes, f->nodes[i].name) &&
		    (!json_array_size(allowed) || lists(allowed, f->nodes[i].name)))
			(void)json_array_append_new(hosts, json_string(f->nodes[i].host_nqn));
	return hosts;
}

static json_t *names_of(unsigned bits)
{
	json_t *names = json_array();
	char name[8];

	for (unsigned i = 0; i < FLEET_NODES; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i + 1);
		if (bits & 1u << i)
			(void)json_array_append_new(names, json_string(name));
	}
	return names;
}

void fleet_attach(struct fleet *f, const char *volume, unsigned nodes, unsigned allowed)
{
	struct kube_ref ref = {.res = kube_resource_by_kind("StorageVolume"), .name = volume};
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *obj = NULL;
	_cleanup_json_ json_t *patch =
		json_pack("{s:{s:o, s:o}}", "spec", "attachedNodes", names_of(nodes),
			  "allowedNodes", names_of(allowed));
	json_t *history;

	if (kube_merge(f->w.client, &ref, patch, &obj, &error))
		fail_msg("%s", error.err.text);
	history = json_object_get(f->allowed, kube_uid(obj));
	if (!history) {
		history = json_array();
		(void)json_object_set_new(f->allowed, kube_uid(obj), history);
	}
	(void)json_array_append_new(history, hosts_of(f, obj));
	if (!json_array_size(kube_at(obj, "spec.attachedNodes")))
		(void)json_object_del(f->kept, kube_uid(obj));
}

void fleet_delete(struct fleet *f, const char *kind, const char *name)
{
	_cleanup_json_ json_t *obj = world_get(&f->w, kind, name);

	if (json_array_size(kube_at(obj, "spec.attachedNodes")))
		(void)json_object_set_new(f->kept, kube_uid(obj), json_true());
	world_delete(&f->w, kind, name);
}

/* Whether users wanted all these hosts together at some time. */
static bool wanted_once(struct fleet *f, const char *uid, const json_t *hosts)
{
	const json_t *history = json_object_get(f->allowed, uid);

	for (size_t i = 0; i < json_array_size(history); i++) {
		const json_t *set = json_array_get(history, i);
		size_t k = 0;

		while (k < json_array_size(hosts) &&
		       lists(set, kube_str(json_array_get(hosts, k), "nqn")))
			k++;
		if (k == json_array_size(hosts))
			return true;
	}
	return json_array_size(hosts) == 0;
}

/* ---- what an engine is asked for ---- */

/* deleted: also one that is on its way out. */
static bool declares(struct fleet *f, const char *kind, const char *uid, bool deleted)
{
	_cleanup_json_ json_t *all = world_list(&f->w, kind);

	for (size_t i = 0; i < json_array_size(all); i++)
		if (!strcmp(kube_uid(json_array_get(all, i)), uid) &&
		    (deleted || !kube_deleting(json_array_get(all, i))))
			return true;
	return false;
}

static void watch(void *ctx, struct model *m, const char *what, const char *id, const char *host)
{
	const char *uid =
		!strncmp(id, NQN_PREFIX, strlen(NQN_PREFIX)) ? id + strlen(NQN_PREFIX) : id;
	struct fleet *f = ctx;

	if (!strcmp(what, "allow")) {
		const json_t *subsystem = json_object_get(m->subsystems, id);

		if (!wanted_once(f, uid, json_object_get(subsystem, "hosts")))
			fail_msg("%s is allowed on %s beside others that nobody wanted with it",
				 host, id);
		return;
	}
	if (declares(f, "StorageVolume", uid, false) ||
	    declares(f, "StorageSnapshot", uid, false) || declares(f, "StoragePool", uid, false))
		fail_msg("engine %s: %s of %s, which is declared", m->name, what, id);
	if (json_object_get(f->kept, uid))
		fail_msg("engine %s: %s of %s, which is attached", m->name, what, id);
}

/* ---- who acts while an engine is asked ---- */

static void fleet_between(void *ctx, struct node *node)
{
	struct fleet *f = ctx;
	unsigned i = (unsigned)rng_below(&f->rng, WORLD_CONTROLLERS + FLEET_NODES);
	struct world_controller *c;

	if (f->inside >= DEPTH_MAX || rng_below(&f->rng, 100) >= f->between_percent)
		return;
	f->inside++;
	if (i >= WORLD_CONTROLLERS) {
		(void)node_turn(&f->nodes[i - WORLD_CONTROLLERS], 1);
	} else {
		c = &f->w.controllers[i];
		if (c->control && !c->stopped) {
			(void)chaos_pump(c->client);
			(void)control_turn(c->control, 4);
		}
	}
	f->inside--;
}

static bool more(void *ctx)
{
	struct fleet *f = ctx;
	bool any = false;

	for (unsigned i = 0; i < FLEET_NODES; i++)
		any |= node_turn(&f->nodes[i], 8);
	return any;
}

/* ---- what has to hold at any time ---- */

static void check_once(struct fleet *f)
{
	_cleanup_json_ json_t *seen = json_object();
	const char *file, *uid;
	json_t *disk, *lvol;

	for (unsigned i = 0; i < FLEET_NODES; i++)
		json_object_foreach (f->nodes[i].model.disks, file, disk)
			json_object_foreach (json_object_get(disk, "lvols"), uid, lvol) {
				if (json_object_get(seen, uid))
					fail_msg("%s is in two engines", uid);
				(void)json_object_set(seen, uid, lvol);
			}
}

static const json_t *export_of(struct fleet *f, const json_t *volume, struct node **ret)
{
	char nqn[160];

	(void)snprintf(nqn, sizeof(nqn), NQN_PREFIX "%s", kube_uid(volume));
	for (unsigned i = 0; i < FLEET_NODES; i++) {
		const json_t *subsystem = json_object_get(f->nodes[i].model.subsystems, nqn);

		if (subsystem) {
			*ret = &f->nodes[i];
			return subsystem;
		}
	}
	return NULL;
}

static void check_hosts(struct fleet *f, const json_t *volume)
{
	struct node *node;
	const json_t *hosts = json_object_get(export_of(f, volume, &node), "hosts");
	_cleanup_json_ json_t *wanted = hosts_of(f, volume);

	for (size_t i = 0; kube_carried_out(volume) && i < json_array_size(hosts); i++)
		if (!lists(wanted, kube_str(json_array_get(hosts, i), "nqn")))
			fail_msg("volume %s says that it is as declared, and %s is allowed",
				 kube_name(volume), kube_str(json_array_get(hosts, i), "nqn"));
}

static bool is_settled_clone(const json_t *lvol)
{
	return json_object_get(json_object_get(lvol, "labels"), "litepool.io/internal") != NULL;
}

/* Snapshots are left to the sweep: their agent may cut one of which the controller knows no place yet, and lets go. */
static void check_left(struct fleet *f, const json_t *volumes)
{
	_cleanup_json_ json_t *uids = json_object();
	const char *file, *uid;
	json_t *disk, *lvol;

	for (size_t i = 0; i < json_array_size(volumes); i++)
		(void)json_object_set_new(uids, kube_uid(json_array_get(volumes, i)), json_true());
	for (unsigned i = 0; i < FLEET_NODES; i++)
		json_object_foreach (f->nodes[i].model.disks, file, disk)
			json_object_foreach (json_object_get(disk, "lvols"), uid, lvol)
				if (!json_object_get(uids, uid) &&
				    !json_is_true(json_object_get(lvol, "is_snapshot")))
					fail_msg("engine %s has %s (%s), whose object is gone",
						 f->nodes[i].name, uid, kube_str(lvol, "name"));
}

/* Those of the node with the volume's engine; NULL when its process is not the one of the last look: it may have lost what it had. */
static const json_t *exports_of(struct fleet *f, const json_t *volume)
{
	for (unsigned i = 0; i < FLEET_NODES; i++)
		if (!strcmp(f->nodes[i].name, kube_str(volume, "status.nodeName")))
			return f->nodes[i].model.up && f->nodes[i].model.births == f->births[i]
				       ? f->nodes[i].model.subsystems
				       : NULL;
	return NULL;
}

static void check_ready(struct fleet *f, const json_t *volume)
{
	const json_t *version = kube_at(volume, "metadata.resourceVersion");
	const json_t *exports = exports_of(f, volume), *names, *subsystem;
	char nqn[160];

	if (json_equal(json_object_get(f->told, kube_uid(volume)), version))
		return;
	(void)json_object_set(f->told, kube_uid(volume), (json_t *)(uintptr_t)version);
	if (!exports || !kube_carried_out(volume) || !kube_condition_is(volume, "Ready", "True"))
		return;
	(void)snprintf(nqn, sizeof(nqn), NQN_PREFIX "%s", kube_uid(volume));
	subsystem = json_object_get(exports, nqn);
	if (!subsystem)
		fail_msg("volume %s says that it is ready, and is not exported", kube_name(volume));
	names = kube_at(volume, "status.attachedNodes");
	for (unsigned i = 0; i < FLEET_NODES; i++) {
		const json_t *hosts = json_object_get(subsystem, "hosts");
		bool in = false;

		for (size_t k = 0; k < json_array_size(hosts); k++)
			in |= !strcmp(kube_str(json_array_get(hosts, k), "nqn"),
				      f->nodes[i].host_nqn);
		if (in != lists(names, f->nodes[i].name))
			fail_msg("volume %s: %s is%s in, and its status says otherwise",
				 kube_name(volume), f->nodes[i].name, in ? "" : " not");
	}
}

static void check(struct fleet *f)
{
	_cleanup_json_ json_t *volumes = world_list(&f->w, "StorageVolume");

	check_once(f);
	for (size_t i = 0; i < json_array_size(volumes); i++)
		check_hosts(f, json_array_get(volumes, i));
	for (size_t i = 0; i < json_array_size(volumes); i++)
		check_ready(f, json_array_get(volumes, i));
	check_left(f, volumes);
	for (unsigned i = 0; i < FLEET_NODES; i++)
		f->births[i] = f->nodes[i].model.births;
}

void fleet_run(struct fleet *f, uint64_t ms)
{
	for (uint64_t end = world_now_ms() + ms; world_now_ms() < end;) {
		world_run(&f->w, 200);
		check(f);
	}
}

/* ---- what has to hold in the end ---- */

static char why[600];

#define DIFFERS(...) ((void)snprintf(why, sizeof(why), __VA_ARGS__), (const char *)why)

static bool same_set(const json_t *names, const json_t *objs, const char *member)
{
	if (json_array_size(names) != json_array_size(objs))
		return false;
	for (size_t i = 0; i < json_array_size(objs); i++)
		if (!lists(names, kube_str(json_array_get(objs, i), member)))
			return false;
	return true;
}

static uint64_t bytes_at(const json_t *obj, const char *path)
{
	const char *bad;
	uint64_t n = 0;

	return kube_at(obj, path) && kube_size_parse(kube_at(obj, path), &n, &bad) ? n : 0;
}

static const char *volume_differs(struct fleet *f, const json_t *v)
{
	_cleanup_json_ json_t *wanted = hosts_of(f, v);
	struct node *node = NULL;
	const json_t *subsystem = export_of(f, v, &node), *lvol, *condition;
	const char *pool = kube_str(v, "status.poolName");

	if (kube_deleting(v))
		return DIFFERS("volume %s is deleted and still there", kube_name(v));
	if (!pool[0])
		return kube_condition_is(v, "Scheduled", "False")
			       ? NULL
			       : DIFFERS("volume %s is nowhere", kube_name(v));
	if (!kube_condition_is(v, "Ready", "True")) {
		condition = kube_condition_get(v, "Ready");
		/* Made of what is not there or is larger: for its users to mend. */
		return !strncmp(kube_str(condition, "reason"), "Source", 6)
			       ? NULL
			       : DIFFERS("volume %s: %s: %s", kube_name(v),
					 kube_str(condition, "reason"),
					 kube_str(condition, "message"));
	}
	if (!subsystem || strcmp(node->name, kube_str(v, "status.nodeName")) != 0)
		return DIFFERS("volume %s is not exported on its node", kube_name(v));
	lvol = model_lvol(&node->model, kube_uid(v), NULL);
	if (!lvol || (uint64_t)json_integer_value(json_object_get(lvol, "size_bytes")) !=
			     bytes_at(v, "status.promised"))
		return DIFFERS("volume %s is not as large as promised", kube_name(v));
	if (json_integer_value(kube_at(lvol, "limits.rw_ios_per_sec")) !=
	    json_integer_value(kube_at(v, "spec.qos.iops")))
		return DIFFERS("volume %s: its limits", kube_name(v));
	if (!same_set(wanted, json_object_get(subsystem, "hosts"), "nqn"))
		return DIFFERS("volume %s: its hosts", kube_name(v));
	if (json_array_size(kube_at(v, "status.attachedNodes")) != json_array_size(wanted))
		return DIFFERS("volume %s: status.attachedNodes", kube_name(v));
	return NULL;
}

static const char *snapshot_differs(struct fleet *f, const json_t *s)
{
	/* Clones stand on it, and it says so. */
	if (kube_deleting(s) &&
	    !strcmp(kube_str(kube_condition_get(s, "Deleted"), "reason"), "InUse"))
		return NULL;
	if (kube_deleting(s))
		return DIFFERS("snapshot %s is deleted and still there", kube_name(s));
	if (json_is_true(kube_at(s, "status.readyToUse"))) {
		for (unsigned i = 0; i < FLEET_NODES; i++)
			if (model_lvol(&f->nodes[i].model, kube_uid(s), NULL))
				return NULL;
		return DIFFERS("snapshot %s is nowhere", kube_name(s));
	}
	/* Its volume went, or is not there: it says so, or was never placed. */
	return kube_condition_is(s, "Ready", "False") || kube_condition_is(s, "Scheduled", "False")
		       ? NULL
		       : DIFFERS("snapshot %s is not ready and does not say why", kube_name(s));
}

static const char *engine_differs(struct fleet *f, const struct node *n)
{
	const char *file, *uid, *nqn;
	json_t *disk, *lvol, *subsystem;

	json_object_foreach (n->model.disks, file, disk)
		json_object_foreach (json_object_get(disk, "lvols"), uid, lvol)
			if (!declares(f, "StorageVolume", uid, true) &&
			    !declares(f, "StorageSnapshot", uid, true) && !is_settled_clone(lvol))
				return DIFFERS("engine %s has %s (%s), which nobody declares",
					       n->name, uid, kube_str(lvol, "name"));
	json_object_foreach (n->model.subsystems, nqn, subsystem)
		if (!declares(f, "StorageVolume", nqn + strlen(NQN_PREFIX), true))
			return DIFFERS("engine %s has %s, which nobody declares", n->name, nqn);
	return json_object_size(n->model.pools) == 1
		       ? NULL
		       : DIFFERS("engine %s has not its pool", n->name);
}

const char *fleet_differs(struct fleet *f)
{
	_cleanup_json_ json_t *volumes = world_list(&f->w, "StorageVolume");
	_cleanup_json_ json_t *snapshots = world_list(&f->w, "StorageSnapshot");
	const char *bad = NULL;

	for (size_t i = 0; !bad && i < json_array_size(volumes); i++)
		bad = volume_differs(f, json_array_get(volumes, i));
	for (size_t i = 0; !bad && i < json_array_size(snapshots); i++)
		bad = snapshot_differs(f, json_array_get(snapshots, i));
	for (unsigned i = 0; !bad && i < FLEET_NODES; i++)
		bad = engine_differs(f, &f->nodes[i]);
	return bad;
}

static unsigned children_of(const json_t *lvols, const char *uid)
{
	unsigned n = 0;
	const char *id;
	json_t *lvol;

	json_object_foreach ((json_t *)(uintptr_t)lvols, id, lvol)
		n += !strcmp(kube_str(lvol, "parent"), uid);
	return n;
}

const char *fleet_leaks(struct fleet *f)
{
	const char *file, *uid;
	json_t *disk, *lvol;

	for (unsigned i = 0; i < FLEET_NODES; i++)
		json_object_foreach (f->nodes[i].model.disks, file, disk) {
			json_t *lvols = json_object_get(disk, "lvols");

			json_object_foreach (lvols, uid, lvol)
				if (is_settled_clone(lvol) && children_of(lvols, uid) < 2 &&
				    !declares(f, "StorageVolume", kube_str(lvol, "name") + 6, true))
					return DIFFERS("engine %s has %s, which no clone needs",
						       f->nodes[i].name, kube_str(lvol, "name"));
		}
	return NULL;
}

/* ---- */

void fleet_open(struct fleet *f, uint64_t seed)
{
	*f = (struct fleet){.allowed = json_object(),
			    .kept = json_object(),
			    .told = json_object(),
			    .dir = "/tmp/litepool-fleet.XXXXXX"};
	assert_non_null(mkdtemp(f->dir));
	world_open(&f->w, seed);
	rng_seed(&f->rng, seed + 1000);
	f->w.more = more;
	f->w.more_ctx = f;
	for (unsigned i = 0; i < FLEET_NODES; i++) {
		struct node *n = &f->nodes[i];

		node_open(n, f->w.fx.api, f->dir, i + 1, seed * 1000 + UINT64_C(100) * i,
			  world_now_ms);
		n->between = fleet_between;
		n->model.watch = watch;
		n->ctx = n->model.ctx = f;
		world_make(
			&f->w, "StoragePool",
			"{'metadata': {'name': '%s-p'}, 'spec': {'nodeName': '%s', 'size': '36Mi', "
			"'device': {'file': '%s/disk'}}}",
			n->name, n->name, n->dir);
		world_start(&f->w, i);
		node_start(n);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fleet_close(struct fleet *f)
{
	for (unsigned i = 0; i < FLEET_NODES; i++)
		node_close(&f->nodes[i]);
	world_close(&f->w);
	json_decref(f->allowed);
	json_decref(f->kept);
	json_decref(f->told);
	assert_int_equal(nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
