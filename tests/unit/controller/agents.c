/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define BEAT_MS 2000
#define LOOK_MS 400

void agent_open(struct agent *a, struct api *api, const char *name, uint64_t seed)
{
	*a = (struct agent){.suspects = json_object()};
	(void)snprintf(a->name, sizeof(a->name), "%s", name);
	assert_int_equal(chaos_new(api, seed, &a->client, &a->chaos), 0);
}

void agent_disk_add(struct agent *a, const char *pool, uint64_t capacity)
{
	struct agent_disk *disk = &a->disks[a->n_disks++];

	assert_true(a->n_disks <= AGENT_POOLS_MAX);
	(void)snprintf(disk->pool, sizeof(disk->pool), "%s", pool);
	disk->capacity = capacity;
	disk->lvols = json_object();
	disk->snaps = json_object();
}

void agent_close(struct agent *a)
{
	for (unsigned i = 0; i < a->n_disks; i++) {
		json_decref(a->disks[i].lvols);
		json_decref(a->disks[i].snaps);
	}
	json_decref(a->suspects);
	kube_client_free(a->client);
}

static struct kube_ref ref_of(const char *kind, const char *name, const char *sub)
{
	return (struct kube_ref){
		.res = kube_resource_by_kind(kind),
		.name = name,
		.sub = sub,
		.ns = !strcmp(kind, "Lease") ? KUBE_NS_NODES : NULL,
	};
}

static bool put_status(struct agent *a, const json_t *obj)
{
	struct kube_ref ref = ref_of(kube_str(obj, "kind"), kube_name(obj), "status");

	return !kube_update(a->client, &ref, obj, NULL, NULL);
}

static uint64_t size_at(const json_t *obj, const char *path)
{
	const json_t *value = kube_at(obj, path);
	const char *why;
	uint64_t n;

	return value && kube_size_parse(value, &n, &why) ? n : 0;
}

static bool set_status(json_t *obj, const char *name, json_t *value)
{
	json_t *status = json_object_get(obj, "status");

	if (!status) {
		status = json_object();
		json_object_set_new(obj, "status", status);
	}
	if (json_equal(json_object_get(status, name), value)) {
		json_decref(value);
		return false;
	}
	return !json_object_set_new(status, name, value);
}

static bool set_ready(json_t *obj, uint64_t wall_ns)
{
	struct kube_condition ready = {.type = "Ready", .status = "True", .reason = "Serves"};

	return kube_condition_set(obj, &ready, wall_ns);
}

/* ---- heartbeat ---- */

static void beat(struct agent *a, uint64_t wall_ns)
{
	struct kube_ref ref = ref_of("Lease", a->name, NULL);
	char now[KUBE_TIME_SIZE];
	_cleanup_json_ json_t *old = NULL;
	_cleanup_json_ json_t *lease = NULL;

	(void)kube_time_format(wall_ns, true, now, sizeof(now));
	lease = json_pack("{s:{s:s}, s:{s:s, s:i, s:s}}", "metadata", "name", a->name, "spec",
			  "holderIdentity", a->name, "leaseDurationSeconds", 10, "renewTime", now);
	if (kube_get(a->client, &ref, &old, NULL) == -ENOENT)
		(void)kube_create(a->client, &ref, lease, NULL, NULL);
	else
		(void)kube_merge(a->client, &ref, lease, NULL, NULL);
}

static bool look_at_node(struct agent *a, uint64_t wall_ns)
{
	struct kube_ref ref = ref_of("StorageNode", a->name, NULL);
	_cleanup_json_ json_t *obj = NULL;
	int rc = kube_get(a->client, &ref, &obj, NULL);

	if (rc == -ENOENT) {
		obj = json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", a->name, "spec",
				"hostNQN",
				"nqn.2014-08.org.nvmexpress:uuid:"
				"11111111-1111-1111-1111-111111111111");
		return !kube_create(a->client, &ref, obj, NULL, NULL);
	}
	return !rc && set_ready(obj, wall_ns) && put_status(a, obj);
}

/* ---- disks ---- */

static struct agent_disk *disk_of(struct agent *a, const char *pool)
{
	for (unsigned i = 0; i < a->n_disks; i++)
		if (!strcmp(a->disks[i].pool, pool))
			return &a->disks[i];
	return NULL;
}

static uint64_t disk_sum(const struct agent_disk *disk)
{
	uint64_t sum = 0;
	const char *uid;
	json_t *lvol;

	json_object_foreach (disk->lvols, uid, lvol)
		sum += (uint64_t)json_integer_value(json_object_get(lvol, "size"));
	return sum;
}

static bool look_at_pool(struct agent *a, json_t *obj, uint64_t wall_ns)
{
	const struct agent_disk *disk = disk_of(a, kube_name(obj));
	bool changed;

	if (!disk || strcmp(kube_str(obj, "spec.nodeName"), a->name) != 0)
		return false;
	changed = set_status(obj, "capacity", json_integer((json_int_t)disk->capacity));
	changed |= set_status(obj, "health", json_string("Healthy"));
	changed |= set_status(obj, "committed", json_integer((json_int_t)disk_sum(disk)));
	changed |= set_ready(obj, wall_ns);
	return changed && put_status(a, obj);
}

/* ---- volumes ---- */

static bool drop_finalizer(struct agent *a, json_t *obj, const char *finalizer)
{
	struct kube_ref ref = ref_of(kube_str(obj, "kind"), kube_name(obj), NULL);

	if (!kube_finalizer_has(obj, finalizer))
		return false;
	kube_finalizer_remove(obj, finalizer);
	return !kube_update(a->client, &ref, obj, NULL, NULL);
}

static bool end_volume(struct agent *a, struct agent_disk *disk, json_t *obj)
{
	if (json_array_size(kube_at(obj, "spec.attachedNodes")))
		return false;
	(void)json_object_del(disk->lvols, kube_uid(obj));
	return drop_finalizer(a, obj, "litepool.io/volume");
}

static void make_lvol(struct agent *a, struct agent_disk *disk, const json_t *obj, uint64_t size)
{
	json_object_set_new(
		disk->lvols, kube_uid(obj),
		json_pack("{s:I, s:s}", "size", (json_int_t)size, "name", kube_name(obj)));
	a->too_full += disk_sum(disk) > disk->capacity;
}

static bool tell_volume(struct agent *a, json_t *obj, uint64_t size, uint64_t wall_ns)
{
	json_t *attached = kube_at(obj, "spec.attachedNodes");
	bool changed = set_status(obj, "uuid", json_string(kube_uid(obj)));

	changed |= set_status(obj, "size", json_integer((json_int_t)size));
	changed |= set_status(obj, "phase", json_string("Ready"));
	changed |= set_status(obj, "attachedNodes",
			      attached ? json_deep_copy(attached) : json_array());
	changed |= set_ready(obj, wall_ns);
	return changed && put_status(a, obj);
}

static bool look_at_volume(struct agent *a, json_t *obj, uint64_t wall_ns)
{
	struct agent_disk *disk = disk_of(a, kube_str(obj, "status.poolName"));
	uint64_t size = MIN(size_at(obj, "spec.size"), size_at(obj, "status.promised"));
	const json_t *lvol;

	if (!disk || strcmp(kube_str(obj, "status.nodeName"), a->name) != 0)
		return false;
	if (kube_deleting(obj))
		return end_volume(a, disk, obj);
	lvol = json_object_get(disk->lvols, kube_uid(obj));
	if (!lvol && kube_str(obj, "status.uuid")[0]) {
		a->vanished++;
		return false;
	}
	if (!lvol || json_integer_value(json_object_get(lvol, "size")) < (json_int_t)size)
		make_lvol(a, disk, obj, size);
	lvol = json_object_get(disk->lvols, kube_uid(obj));
	return tell_volume(a, obj, (uint64_t)json_integer_value(json_object_get(lvol, "size")),
			   wall_ns);
}

static bool look_at_snapshot(struct agent *a, json_t *obj)
{
	struct agent_disk *disk = disk_of(a, kube_str(obj, "status.poolName"));
	bool changed;

	if (!disk)
		return false;
	if (kube_deleting(obj)) {
		(void)json_object_del(disk->snaps, kube_uid(obj));
		return drop_finalizer(a, obj, "litepool.io/snapshot");
	}
	json_object_set_new(disk->snaps, kube_uid(obj), json_string(kube_name(obj)));
	changed = set_status(obj, "readyToUse", json_true());
	changed |= set_status(obj, "uuid", json_string(kube_uid(obj)));
	return changed && put_status(a, obj);
}

/* What is on a disk and has no object any more, asked twice, is removed. */
static void sweep(struct agent *a, struct agent_disk *disk)
{
	const char *uid;
	json_t *lvol;
	void *next;

	json_object_foreach_safe(disk->lvols, next, uid, lvol)
	{
		struct kube_ref ref = ref_of(
			"StorageVolume", json_string_value(json_object_get(lvol, "name")), NULL);
		_cleanup_json_ json_t *obj = NULL;
		int rc = kube_get(a->client, &ref, &obj, NULL);

		if (rc != -ENOENT && (rc || !strcmp(kube_uid(obj), uid)))
			continue;
		if (json_object_get(a->suspects, uid))
			(void)json_object_del(disk->lvols, uid);
		else
			json_object_set_new(a->suspects, uid, json_true());
	}
}

static bool look_at_all(struct agent *a, const char *kind, uint64_t wall_ns)
{
	struct kube_ref ref = ref_of(kind, NULL, NULL);
	_cleanup_kube_list_ struct kube_list list = {0};
	bool changed = false;

	if (kube_list(a->client, &ref, NULL, &list, NULL))
		return false;
	for (size_t i = 0; i < json_array_size(list.items); i++) {
		_cleanup_json_ json_t *obj = json_deep_copy(json_array_get(list.items, i));

		if (!strcmp(kind, "StoragePool"))
			changed |= look_at_pool(a, obj, wall_ns);
		else if (!strcmp(kind, "StorageVolume"))
			changed |= look_at_volume(a, obj, wall_ns);
		else
			changed |= look_at_snapshot(a, obj);
	}
	return changed;
}

bool agent_step(struct agent *a, uint64_t now_ms, uint64_t wall_ns)
{
	bool changed;

	if (a->dead)
		return false;
	wall_ns += (uint64_t)(a->clock_off_ms * 1000000);
	if (now_ms >= a->beat_ms) {
		beat(a, wall_ns);
		a->beat_ms = now_ms + BEAT_MS;
	}
	if (now_ms < a->look_ms)
		return false;
	a->look_ms = now_ms + LOOK_MS;
	changed = look_at_node(a, wall_ns);
	changed |= look_at_all(a, "StorageVolume", wall_ns);
	changed |= look_at_all(a, "StorageSnapshot", wall_ns);
	changed |= look_at_all(a, "StoragePool", wall_ns);
	for (unsigned i = 0; i < a->n_disks; i++)
		sweep(a, &a->disks[i]);
	return changed;
}
