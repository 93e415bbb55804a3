/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object as the API has it now goes into the objects and into the inventory, and those are enqueued whom it concerns: itself, what depends on it by
 * name, and, when something may have been gained by it, all that waits.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/meta.h"
#include "kube/text.h"

static bool same(const json_t *a, const json_t *b, const char *path)
{
	const json_t *x = kube_at(a, path), *y = kube_at(b, path);

	return x == y || (x && y && json_equal(x, y));
}

static bool same_condition(const json_t *a, const json_t *b, const char *type)
{
	return !strcmp(kube_str(kube_condition_get(a, type), "status"),
		       kube_str(kube_condition_get(b, type), "status"));
}

/* Whether what waits could now have what it waits for. Reports of how full a pool is come often and matter only when they fall. */
static bool gains(enum object_kind kind, const json_t *old, const json_t *obj)
{
	static const char *const paths[OBJECT_KINDS][8] = {
		[OBJECT_NODE] = {"metadata.labels", "spec.topology"},
		[OBJECT_POOL] = {"metadata.labels", "spec", "status.capacity", "status.health"},
		[OBJECT_VOLUME] = {"status.poolName", "status.size", "status.promised",
				   "status.uuid", "spec.attachedNodes", "spec.nodeName"},
		[OBJECT_SNAPSHOT] = {"status.poolName", "status.readyToUse"},
		[OBJECT_RESERVATION] = {"status.poolName", "status.phase", "status.reserved"},
	};

	if (!old || !obj || kube_deleting(old) != kube_deleting(obj))
		return true;
	for (size_t i = 0; i < 8 && paths[kind][i]; i++)
		if (!same(old, obj, paths[kind][i]))
			return true;
	return !same_condition(old, obj, "Ready") ||
	       object_size(obj, "status.allocated") < object_size(old, "status.allocated") ||
	       object_size(obj, "status.committed") < object_size(old, "status.committed");
}

/* Those that have to look at it, whatever has changed. */
static void tell_dependents(struct control *c, enum object_kind kind, const json_t *obj)
{
	const char *name;

	if (kind != OBJECT_VOLUME)
		return;
	name = kube_str(obj, "spec.reservationName");
	if (name[0])
		control_enqueue(c, OBJECT_RESERVATION, name);
}

/* A pool has gone, or to another node: volumes and snapshots on it look again. */
static void tell_what_was_on(struct control *c, const char *pool)
{
	for (int kind = OBJECT_VOLUME; kind <= OBJECT_SNAPSHOT; kind++) {
		struct strmap_iter it = {0};

		while (strmap_next(&c->objects.by_name[kind], &it))
			if (!strcmp(kube_str(it.value, "status.poolName"), pool))
				control_enqueue(c, (enum object_kind)kind, it.key);
	}
}

static void count(struct control *c, enum object_kind kind)
{
	c->stats.objects[kind] = c->objects.by_name[kind].count;
}

void control_learn(struct control *c, enum object_kind kind, json_t *obj, bool own)
{
	_cleanup_json_ json_t *old = NULL;
	struct err err = {0};
	int rc = objects_put(&c->objects, kind, obj, &old);

	if (rc)
		return;
	count(c, kind);
	if (place_inventory_apply_object(c->inv, obj, &err) < 0)
		log_limited(LOG_LEVEL_WARN, "controller.object.bad", "reason=\"%s\"", err.text);
	if (c->state != CONTROL_ACTING)
		return;
	/* What a reconciler does after its own write it knows itself. */
	if (!own)
		control_enqueue(c, kind, kube_name(obj));
	tell_dependents(c, kind, obj);
	if (gains(kind, old, obj))
		control_wake_waiting(c);
	/* Pools state what is on them. */
	if (kind == OBJECT_VOLUME && !same(old, obj, "status.poolName"))
		control_enqueue(c, OBJECT_POOL, kube_str(obj, "status.poolName"));
	/* Its disk is in another node now: volumes follow. */
	if (kind == OBJECT_POOL && old && !same(old, obj, "spec.nodeName"))
		tell_what_was_on(c, kube_name(obj));
}

void control_learn_gone(struct control *c, enum object_kind kind, const char *name, const char *uid)
{
	_cleanup_json_ json_t *old = objects_take(&c->objects, kind, name, uid);
	char key[CONTROL_KEY_SIZE];

	if (!old)
		return;
	count(c, kind);
	(void)place_inventory_remove_object(c->inv, old);
	/* Also what was only assumed: nobody can take it any more. */
	if (kind == OBJECT_VOLUME)
		(void)place_forget_volume(c->inv, name);
	if (kind == OBJECT_RESERVATION)
		(void)place_forget_reservation(c->inv, name);
	(void)strmap_remove(&c->unsure, control_key(kind, name, key));
	(void)strmap_remove(&c->waiting, key);
	if (kind == OBJECT_NODE)
		heartbeat_drop(&c->heartbeats, name);
	if (c->state != CONTROL_ACTING)
		return;
	tell_dependents(c, kind, old);
	if (kind == OBJECT_POOL)
		tell_what_was_on(c, name);
	if (kind == OBJECT_VOLUME || kind == OBJECT_SNAPSHOT)
		control_enqueue(c, OBJECT_POOL, kube_str(old, "status.poolName"));
	control_wake_waiting(c);
}

void control_learn_lease(struct control *c, const json_t *lease)
{
	uint64_t now_ms = control_now_ms(c);
	struct heartbeat *beat = heartbeat_of(&c->heartbeats, kube_name(lease), now_ms);
	bool was_lost = beat && beat->lost;

	if (!beat || !heartbeat_see(beat, lease, now_ms))
		return;
	if (was_lost)
		control_enqueue(c, OBJECT_NODE, kube_name(lease));
}
