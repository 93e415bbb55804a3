/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One snapshot on this node. It is cut once: a snapshot that was ready and is not there any more is lost and is told so; it is never cut again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/blocks.h"
#include "agent/lvm.h"
#include "agent/pool.h"
#include "agent/watch.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

#define AGAIN_MS   3000
#define GROUP_MAX  64
#define GROUP_SIZE "litepool.io/group-size" /* annotation: how many there are of a group */

struct cut {
	struct agent *a;
	const json_t *snapshot, *pool;
	const char *uid;
	const char *reason;
	struct err err;
};

static const char *label(const json_t *obj, const char *name)
{
	const char *text =
		json_string_value(json_object_get(kube_at(obj, "metadata.labels"), name));

	return text ? text : "";
}

/* The volume as an object that is on the same pool; new reference. */
static json_t *volume_of(struct cut *c, const json_t *snapshot)
{
	const char *name = kube_str(snapshot, "spec.volumeName");
	json_t *volume = informer_get(c->a->volumes, "", name);

	if (volume && !strcmp(kube_str(volume, "status.poolName"), kube_name(c->pool)) &&
	    kube_str(volume, "status.uuid")[0])
		return volume;
	c->reason = "VolumeNotReady";
	(void)err_set(&c->err, -EAGAIN, "StorageVolume %s %s", name,
		      volume ? "is not ready in the same pool" : "is not on this node");
	json_decref(volume);
	return NULL;
}

static int cut_one(struct cut *c)
{
	_cleanup_json_ json_t *volume = volume_of(c, c->snapshot);
	char name[ENGINE_NAME_SIZE];
	int rc;

	if (!volume)
		return c->err.code;
	c->reason = "CutFailed";
	engine_name(c->snapshot, name);
	for (unsigned i = 0; i < 2; i++) {
		rc = engine_do(c->a, "bdev_lvol_snapshot",
			       json_pack("{s:s, s:s, s:s}", "lvol_name", kube_uid(volume),
					 "snapshot_name", i ? c->uid : name, "volume_uuid", c->uid),
			       &c->err);
		if (rc != -EEXIST)
			return rc;
	}
	return rc;
}

/* ---- groups: one cut for all ---- */

static size_t group_size(const json_t *snapshot)
{
	const char *text = json_string_value(
		json_object_get(kube_at(snapshot, "metadata.annotations"), GROUP_SIZE));
	long n = text ? strtol(text, NULL, 10) : 0;

	return n > 0 && n <= GROUP_MAX ? (size_t)n : 0;
}

/* All of the group, as a new array. */
static json_t *group_members(struct cut *c, const char *group)
{
	_cleanup_json_ json_t *all = informer_list(c->a->snapshots);
	json_t *members = json_array(), *one;
	size_t i;

	json_array_foreach (all, i, one)
		if (!strcmp(label(one, AGENT_LABEL_GROUP), group) && !kube_deleting(one))
			(void)json_array_append(members, one);
	return members;
}

/* One member's part of the call; NULL with c->err. */
static json_t *member_params(struct cut *c, const json_t *snapshot)
{
	_cleanup_json_ json_t *volume = NULL, *there = NULL;
	char name[ENGINE_NAME_SIZE];

	if (json_is_true(kube_at(snapshot, "status.readyToUse")) ||
	    !engine_lvol(c->a, kube_uid(snapshot), &there, &c->err)) {
		c->reason = "GroupCutAlready";
		(void)err_set(&c->err, -EEXIST,
			      "the group was cut without this one: a snapshot that is added later "
			      "cannot have the same cut. Delete it, or the label " AGENT_LABEL_GROUP
			      " and make it anew");
		return NULL;
	}
	volume = volume_of(c, snapshot);
	if (!volume)
		return NULL;
	engine_name(snapshot, name);
	return json_pack("{s:s, s:s, s:s}", "lvol_name", kube_uid(volume), "snapshot_name", name,
			 "volume_uuid", kube_uid(snapshot));
}

static int cut_group(struct cut *c, const char *group)
{
	_cleanup_json_ json_t *members = group_members(c, group);
	_cleanup_json_ json_t *list = json_array();
	size_t wanted = group_size(c->snapshot), i;
	json_t *one;

	c->reason = "GroupIncomplete";
	if (!wanted)
		return err_set(&c->err, -EINVAL,
			       "a group needs the annotation " GROUP_SIZE
			       " (1 to %d) on each of its snapshots, so that none is cut too early",
			       GROUP_MAX);
	if (json_array_size(members) < wanted)
		return err_set(&c->err, -EAGAIN, "%zu of the %zu snapshots of group %s are there",
			       json_array_size(members), wanted, group);
	json_array_foreach (members, i, one) {
		const char *pool = kube_str(one, "status.poolName");
		json_t *params;

		c->reason = "GroupAcrossPools";
		if (pool[0] && strcmp(pool, kube_name(c->pool)) != 0)
			return err_set(&c->err, -EXDEV,
				       "%s of the group is on pool %s: one cut is possible within "
				       "one pool only",
				       kube_name(one), pool);
		params = member_params(c, one);
		if (!params)
			return c->err.code;
		(void)json_array_append_new(list, params);
	}
	c->reason = "CutFailed";
	return engine_do(c->a, "litepool_volume_snapshot_group",
			 json_pack("{s:O}", "volumes", list), &c->err);
}

/* ---- status ---- */

static int tell_failed(struct cut *c, bool lost)
{
	_cleanup_status_ struct status s = {0};
	int rc;

	log_warn("agent.snapshot.failed", "snapshot=%s step=%s reason=\"%s\"",
		 kube_name(c->snapshot), c->reason, c->err.text);
	if (status_begin(c->a, "StorageSnapshot", c->snapshot, &s))
		return -ENOMEM;
	status_set(&s, "readyToUse", json_false());
	status_set_text(&s, "reason", c->err.text);
	status_condition(&s, "Ready", false, c->reason, "%s", c->err.text);
	rc = status_commit(&s);
	return rc ? rc : lost ? 0 : -EIO;
}

static int tell_ready(struct cut *c, const json_t *lvol)
{
	_cleanup_status_ struct status s = {0};
	json_int_t created = json_integer_value(json_object_get(lvol, "created_s"));
	char text[KUBE_TIME_SIZE];

	if (status_begin(c->a, "StorageSnapshot", c->snapshot, &s))
		return -ENOMEM;
	status_set(&s, "readyToUse", json_true());
	status_set_text(&s, "reason", NULL);
	status_set_text(&s, "uuid", c->uid);
	status_set_text(&s, "poolName", kube_name(c->pool));
	status_set(&s, "size", json_incref(json_object_get(lvol, "size_bytes")));
	status_set(&s, "allocated", json_incref(json_object_get(lvol, "allocated_bytes")));
	if (!kube_str(c->snapshot, "status.creationTime")[0])
		status_set_text(&s, "creationTime",
				kube_time_format((uint64_t)created * NSEC_PER_SEC, false, text,
						 sizeof(text)));
	status_set(&s, "blocks", blocks_answer(c->a, c->snapshot, c->pool));
	status_condition(&s, "Ready", true, "Cut", "it is in pool %s of node %s",
			 kube_name(c->pool), c->a->node);
	return status_commit(&s);
}

/* The mark by which the sweep knows its own. */
static int set_label(struct cut *c, const json_t *lvol)
{
	const json_t *labels = json_object_get(lvol, "labels");
	const char *name = json_string_value(json_object_get(labels, AGENT_LABEL_SNAPSHOT));
	const char *uid = json_string_value(json_object_get(labels, AGENT_LABEL_UID));

	if (name && uid && !strcmp(name, kube_name(c->snapshot)) && !strcmp(uid, c->uid))
		return 0;
	c->reason = "LabelFailed";
	return engine_do(c->a, "litepool_volume_set_props",
			 json_pack("{s:s, s:{s:s, s:s, s:n}}", "name", c->uid, "labels",
				   AGENT_LABEL_SNAPSHOT, kube_name(c->snapshot), AGENT_LABEL_UID,
				   c->uid, AGENT_LABEL_VOLUME),
			 &c->err);
}

static int look(struct cut *c, json_t **ret)
{
	return pool_is_lvm(c->pool) ? lvm_snapshot_look(c->a, c->pool, c->uid, ret, &c->err)
				    : engine_lvol(c->a, c->uid, ret, &c->err);
}

/* By LVM: one volume at a time. */
static int cut_lvm(struct cut *c, const char *group)
{
	_cleanup_json_ json_t *volume = NULL;

	c->reason = "GroupNotSupported";
	if (group[0])
		return err_set(&c->err, -EOPNOTSUPP,
			       "LVM cannot cut several volumes at once: groups are for native "
			       "pools. Delete the label " AGENT_LABEL_GROUP);
	volume = volume_of(c, c->snapshot);
	if (!volume)
		return c->err.code;
	c->reason = "CutFailed";
	return lvm_snapshot_cut(c->a, c->pool, c->snapshot, volume, &c->err);
}

static int cut(struct cut *c, const char *group)
{
	if (pool_is_lvm(c->pool))
		return cut_lvm(c, group);
	return group[0] ? cut_group(c, group) : cut_one(c);
}

static int keep(struct cut *c)
{
	_cleanup_json_ json_t *lvol = NULL;
	const char *group = label(c->snapshot, AGENT_LABEL_GROUP);
	int rc;

	c->reason = "EngineFailed";
	rc = look(c, &lvol);
	if (rc == -ENODEV && kube_str(c->snapshot, "status.uuid")[0]) {
		c->reason = "DataMissing";
		(void)err_set(&c->err, rc,
			      "pool %s has it no more; it cannot be cut again. Delete the "
			      "StorageSnapshot",
			      kube_name(c->pool));
		return tell_failed(c, true);
	}
	if (rc == -ENODEV) {
		rc = cut(c, group);
		if (!rc) {
			log_info("agent.snapshot.cut", "snapshot=%s uid=%s group=%s",
				 kube_name(c->snapshot), c->uid, group[0] ? group : "none");
			rc = look(c, &lvol);
		}
	}
	if (!rc && !pool_is_lvm(c->pool))
		rc = set_label(c, lvol);
	return rc ? tell_failed(c, false) : tell_ready(c, lvol);
}

static int end(struct cut *c)
{
	_cleanup_status_ struct status s = {0};
	int rc;

	if (!kube_finalizer_has(c->snapshot, AGENT_FINALIZER_SNAPSHOT))
		return 0;
	rc = pool_is_lvm(c->pool) ? lvm_snapshot_remove(c->a, c->pool, c->uid, &c->err)
				  : engine_lvol_delete(c->a, c->uid, &c->err);
	if (!rc) {
		log_info("agent.snapshot.removed", "snapshot=%s uid=%s", kube_name(c->snapshot),
			 c->uid);
		return object_release(c->a, "StorageSnapshot", c->snapshot,
				      AGENT_FINALIZER_SNAPSHOT);
	}
	if (status_begin(c->a, "StorageSnapshot", c->snapshot, &s))
		return -ENOMEM;
	status_condition(&s, "Deleted", false, rc == -EBUSY ? "InUse" : "EngineFailed", "%s",
			 c->err.text);
	rc = status_commit(&s);
	return rc ? rc : AGAIN_MS;
}

int snapshot_reconcile(struct agent *a, const char *name)
{
	_cleanup_json_ json_t *snapshot = informer_get(a->snapshots, "", name);
	_cleanup_json_ json_t *volume = NULL, *pool = NULL;
	const char *pool_name;
	struct cut c = {.a = a, .snapshot = snapshot};

	if (!snapshot)
		return 0;
	pool_name = kube_str(snapshot, "status.poolName");
	if (!pool_name[0]) {
		volume = informer_get(a->volumes, "", kube_str(snapshot, "spec.volumeName"));
		pool_name = kube_str(volume, "status.poolName");
	}
	pool = pool_name[0] ? informer_get(a->pools, "", pool_name) : NULL;
	if (!pool || strcmp(kube_str(pool, "spec.nodeName"), a->node) != 0)
		return 0;
	c.pool = pool;
	c.uid = kube_uid(snapshot);
	if (!watch_up(a->watch) || pool_is_open(a, pool, NULL, &c.err))
		return AGAIN_MS; /* its pool tells why */
	return kube_deleting(snapshot) ? end(&c) : keep(&c);
}
