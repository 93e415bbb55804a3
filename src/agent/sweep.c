/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole engine against all objects: every object is looked at again, and what the engine has of ours that no object declares is removed.
 *
 * Ours is only what carries our marks: a volume or snapshot whose label AGENT_LABEL_UID is its own UUID (labels alone may have been inherited), a subsystem of our
 * name, a pool on a block device of our name. It goes when the API itself says twice, ORPHAN_MS apart, that there is no such object: no answer, another error or our own copy never count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "agent/volume.h"
#include "agent/watch.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

#define ORPHAN_MS  3000u
#define FORGET_MS  600000u
#define RESWEEP_MS 3500u

struct orphan {
	uint64_t seen_ms; /* when the API said first that it is declared no more */
};

void sweep_fini(struct agent *a)
{
	struct strmap_iter it = {0};

	while (strmap_next(&a->orphans, &it))
		free(it.value);
	strmap_fini(&a->orphans);
}

static void forget(struct agent *a, const char *key)
{
	free(strmap_remove(&a->orphans, key));
}

/* Whether the API has now said it twice. gone: what it says this time. */
static bool certain(struct agent *a, const char *key, bool gone)
{
	struct orphan *orphan = strmap_get(&a->orphans, key);
	uint64_t now = kube_mono_ms(a->env.clock);

	if (!gone) {
		forget(a, key);
		return false;
	}
	if (orphan && now - orphan->seen_ms >= ORPHAN_MS) {
		bool fresh = now - orphan->seen_ms < FORGET_MS;

		forget(a, key);
		return fresh; /* what was seen long ago counts as not seen */
	}
	if (!orphan) {
		orphan = calloc(1, sizeof(*orphan));
		if (orphan && strmap_set(&a->orphans, key, orphan, NULL) < 0) {
			free(orphan);
			return false;
		}
		if (orphan)
			orphan->seen_ms = now;
	}
	agent_enqueue_after(a, "sweep", "all", RESWEEP_MS);
	return false;
}

/* ---- objects ---- */

static void enqueue_all(struct agent *a, const char *kind, struct informer *inf)
{
	_cleanup_json_ json_t *list = informer_list(inf);
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		agent_enqueue(a, kind, kube_name(one));
}

static bool has_uid(struct informer *inf, const char *name, const char *uid)
{
	_cleanup_json_ json_t *obj = informer_get(inf, "", name);

	return obj && !strcmp(kube_uid(obj), uid);
}

/* ---- volumes and snapshots ---- */

static const char *label_of(const json_t *lvol, const char *label)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(lvol, "labels"), label));

	return text ? text : "";
}

static void lvol_look(struct agent *a, const json_t *lvol)
{
	const char *uid = kube_str(lvol, "uuid");
	bool snapshot = json_is_true(json_object_get(lvol, "is_snapshot"));
	const char *name = label_of(lvol, snapshot ? AGENT_LABEL_SNAPSHOT : AGENT_LABEL_VOLUME);
	const char *kind = snapshot ? "StorageSnapshot" : "StorageVolume";
	struct err err = {0};
	int rc;

	if (!name[0] || strcmp(label_of(lvol, AGENT_LABEL_UID), uid) != 0 ||
	    has_uid(snapshot ? a->snapshots : a->volumes, name, uid))
		return;
	if (!certain(a, uid, object_exists(a, kind, name, uid) == 0))
		return;
	rc = snapshot ? engine_lvol_delete(a, uid, &err)
		      : volume_remove(a, kube_str(lvol, "lvs.name"), uid, &err);
	if (rc)
		log_warn("agent.orphan.stays", "kind=%s name=%s uid=%s reason=\"%s\"", kind, name,
			 uid, err.text);
	else
		log_info("agent.orphan.removed", "kind=%s name=%s uid=%s", kind, name, uid);
}

/* Snapshots that a clone of a volume began with: they go when at most one child is left. The clone must be there, or never come. */
static void internal_look(struct agent *a, const json_t *lvol)
{
	const char *name = kube_str(lvol, "name");
	_cleanup_json_ json_t *clone = NULL, *all = NULL;
	json_t *one;
	struct err err = {0};
	size_t i;

	if (!json_is_true(json_object_get(lvol, "is_snapshot")) ||
	    strcmp(label_of(lvol, AGENT_LABEL_INTERNAL), "clone") != 0 ||
	    strncmp(name, "clone-", 6) != 0 || label_of(lvol, AGENT_LABEL_UID)[0])
		return;
	if (engine_lvol(a, name + 6, &clone, &err) == -ENODEV) {
		all = informer_list(a->volumes);
		json_array_foreach (all, i, one)
			if (!strcmp(kube_uid(one), name + 6))
				return; /* it is being made */
	} else if (!clone) {
		return;
	}
	if (!engine_lvol_delete(a, kube_str(lvol, "uuid"), &err))
		log_info("agent.clone.settled", "snapshot=%s", name);
}

/* ---- exports without a volume ---- */

/* Whether the API has no volume of this UID. Asked of all of them, since the name is not known. */
static bool nobody_declares(struct agent *a, const char *uid)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref = object_ref("StorageVolume", NULL, NULL);
	json_t *one;
	size_t i;

	if (kube_list(a->api, &ref, NULL, &list, &error))
		return false;
	json_array_foreach (list.items, i, one)
		if (!strcmp(kube_uid(one), uid))
			return false;
	return true;
}

static void subsystem_look(struct agent *a, const json_t *subsystem)
{
	const char *nqn = kube_str(subsystem, "nqn"), *uid;
	struct err err = {0};

	if (strncmp(nqn, AGENT_NQN_PREFIX, sizeof(AGENT_NQN_PREFIX) - 1) != 0 ||
	    json_array_size(json_object_get(subsystem, "namespaces")))
		return; /* with its data it is looked at as that */
	uid = nqn + sizeof(AGENT_NQN_PREFIX) - 1;
	if (!certain(a, nqn, nobody_declares(a, uid)))
		return;
	if (!engine_subsystem_delete(a, nqn, &err))
		log_info("agent.orphan.removed", "nqn=%s", nqn);
}

/* ---- pools ---- */

/* -1: nobody knows; 1: some object declares it here; 0: none. */
static int pool_declared(struct agent *a, const json_t *lvstore)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref = object_ref("StoragePool", NULL, NULL);
	json_t *one;
	size_t i;

	if (kube_list(a->api, &ref, NULL, &list, &error))
		return -1;
	json_array_foreach (list.items, i, one)
		if (!strcmp(pool_uuid(one), kube_str(lvstore, "uuid")) &&
		    !strcmp(kube_str(one, "spec.nodeName"), a->node))
			return 1;
	return 0;
}

static bool pool_known(struct agent *a, const char *uuid)
{
	_cleanup_json_ json_t *list = informer_list(a->pools);
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (!strcmp(pool_uuid(one), uuid))
			return true;
	return false;
}

/* Exports of ours that stand on the pool: without a pool here there is nothing to export. */
static int pool_unexport(struct agent *a, const char *uuid, struct err *err)
{
	_cleanup_json_ json_t *list = NULL;
	json_t *one;
	size_t i;
	int rc = engine_call(a, "bdev_lvol_get_lvols", json_pack("{s:s}", "lvs_uuid", uuid), &list,
			     err);

	if (rc)
		return rc;
	json_array_foreach (list, i, one) {
		const char *uid = kube_str(one, "uuid");
		char nqn[224];

		if (strcmp(label_of(one, AGENT_LABEL_UID), uid) != 0)
			continue;
		engine_nqn(uid, nqn);
		rc = engine_subsystem_delete(a, nqn, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* A pool whose object is gone, or is another node's now, is closed. Its data stays as it is. */
static void pool_look(struct agent *a, const json_t *lvstore)
{
	const char *uuid = kube_str(lvstore, "uuid");
	struct err err = {0};
	int rc;

	if (strncmp(kube_str(lvstore, "base_bdev"), POOL_BDEV_PREFIX,
		    sizeof(POOL_BDEV_PREFIX) - 1) != 0 ||
	    pool_known(a, uuid) || !certain(a, uuid, pool_declared(a, lvstore) == 0))
		return;
	rc = pool_unexport(a, uuid, &err);
	if (!rc)
		rc = pool_leave(a, lvstore, &err);
	if (rc)
		log_warn("agent.pool.stays", "uuid=%s reason=\"%s\"", uuid, err.text);
	else
		log_info("agent.pool.left", "uuid=%s name=%s", uuid, kube_str(lvstore, "name"));
}

/* ---- */

static int each(struct agent *a, const char *method, void (*look)(struct agent *, const json_t *))
{
	_cleanup_json_ json_t *list = NULL;
	struct err err = {0};
	json_t *one;
	size_t i;
	int rc = engine_call(a, method, NULL, &list, &err);

	if (rc) {
		log_warn("agent.sweep.failed", "method=%s reason=\"%s\"", method, err.text);
		return rc;
	}
	json_array_foreach (list, i, one)
		look(a, one);
	return 0;
}

static void lvol_look_all(struct agent *a, const json_t *lvol)
{
	lvol_look(a, lvol);
	internal_look(a, lvol);
}

int sweep_reconcile(struct agent *a, const char *name)
{
	enqueue_all(a, "pool", a->pools);
	enqueue_all(a, "volume", a->volumes);
	enqueue_all(a, "snapshot", a->snapshots);
	if (!watch_up(a->watch))
		return 0; /* its coming up begins another */
	/* What fails here the next sweep finds again. */
	(void)each(a, "bdev_lvol_get_lvols", lvol_look_all);
	(void)each(a, "nvmf_get_subsystems", subsystem_look);
	(void)each(a, "bdev_lvol_get_lvstores", pool_look);
	lvm_sweep(a, certain);
	return 0;
}
