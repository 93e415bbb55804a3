/* SPDX-License-Identifier: Apache-2.0 */
/* The data of a volume: a logical volume whose UUID is the object's UID. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/pool.h"
#include "agent/volume.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

#define MEGABYTE UINT64_C(1048576)

/* Makes it by method under the object's name, or under its UID when the name is taken (by a snapshot, or what an administrator made). params is taken. */
static int make(struct volume_work *w, const char *method, const char *name_member, json_t *params)
{
	char name[ENGINE_NAME_SIZE];
	int rc;

	engine_name(w->volume, name);
	(void)json_object_set_new(params, "volume_uuid", json_string(w->uid));
	(void)json_object_set_new(params, name_member, json_string(name));
	rc = engine_do(w->a, method, json_deep_copy(params), &w->err);
	if (rc == -EEXIST) {
		(void)json_object_set_new(params, name_member, json_string(w->uid));
		rc = engine_do(w->a, method, json_incref(params), &w->err);
	}
	json_decref(params);
	if (!rc)
		log_info("agent.volume.made", "volume=%s uid=%s by=%s", kube_name(w->volume),
			 w->uid, method);
	return rc;
}

static int make_empty(struct volume_work *w)
{
	bool thin = strcmp(kube_str(w->volume, "spec.provisioning"), "Thick") != 0;

	return make(w, "bdev_lvol_create", "lvol_name",
		    json_pack("{s:s, s:I, s:b}", "uuid", pool_uuid(w->pool), "size",
			      (json_int_t)w->size_bytes, "thin_provision", thin));
}

/* From a snapshot or volume with that UUID or alias. */
static int make_clone(struct volume_work *w, const char *snapshot)
{
	_cleanup_json_ json_t *source = NULL;
	uint64_t needs;
	int rc = engine_lvol(w->a, snapshot, &source, &w->err);

	w->reason = "SourceMissing";
	if (rc)
		return err_set(&w->err, rc,
			       "the source is not in pool %s; copying between pools is not built: "
			       "a clone is made where its source is",
			       kube_name(w->pool));
	needs = (uint64_t)json_integer_value(json_object_get(source, "size_bytes"));
	w->reason = "SourceLarger";
	if (needs > w->size_bytes)
		return err_set(&w->err, -EINVAL,
			       "the source has %" PRIu64
			       " bytes; set spec.size to that or more (it is %" PRIu64 ")",
			       needs, w->size_bytes);
	w->reason = "CloneFailed";
	return make(w, "bdev_lvol_clone", "clone_name",
		    json_pack("{s:s}", "snapshot_name", snapshot));
}

json_t *volume_source_snapshot(struct volume_work *w, const char *name)
{
	_cleanup_json_ json_t *snapshot = informer_get(w->a->snapshots, "", name);

	w->reason = "SourceMissing";
	if (!snapshot) {
		(void)err_set(&w->err, -ENOENT, "there is no StorageSnapshot %s", name);
		return NULL;
	}
	w->reason = "SourceNotReady";
	if (!json_is_true(kube_at(snapshot, "status.readyToUse"))) {
		(void)err_set(&w->err, -EAGAIN, "StorageSnapshot %s is not ready", name);
		return NULL;
	}
	return json_incref(snapshot);
}

static int clone_snapshot(struct volume_work *w)
{
	const char *name = kube_str(w->volume, "spec.source.snapshotName");
	_cleanup_json_ json_t *snapshot = volume_source_snapshot(w, name);

	if (!snapshot)
		return w->err.code;
	return make_clone(w, kube_uid(snapshot));
}

void volume_clone_name(const char *uid, char name[ENGINE_NAME_SIZE])
{
	(void)snprintf(name, ENGINE_NAME_SIZE, "clone-%.40s", uid);
}

static bool is_internal(const json_t *lvol)
{
	return json_object_get(json_object_get(lvol, "labels"), AGENT_LABEL_INTERNAL) != NULL;
}

/* An internal snapshot of the source first, found again by its name after a cut, also without its label. The sweep removes it when it can be. */
static int clone_volume(struct volume_work *w)
{
	const char *source = kube_str(w->volume, "spec.source.volumeName");
	_cleanup_json_ json_t *volume = informer_get(w->a->volumes, "", source);
	_cleanup_json_ json_t *there = NULL, *lvstore = NULL;
	char name[ENGINE_NAME_SIZE], alias[2 * ENGINE_NAME_SIZE + 2];
	int rc;

	w->reason = "SourceMissing";
	if (!volume)
		return err_set(
			&w->err, -ENOENT,
			"there is no StorageVolume %s on this node; copying between pools is "
			"not built",
			source);
	rc = pool_is_open(w->a, w->pool, &lvstore, &w->err);
	if (rc)
		return rc;
	volume_clone_name(w->uid, name);
	(void)snprintf(alias, sizeof(alias), "%s/%s", kube_str(lvstore, "name"), name);
	rc = engine_lvol(w->a, alias, &there, &w->err);
	if (rc == -ENODEV)
		rc = engine_do(w->a, "bdev_lvol_snapshot",
			       json_pack("{s:s, s:s}", "lvol_name", kube_uid(volume),
					 "snapshot_name", name),
			       &w->err);
	if (!rc && !is_internal(there))
		rc = engine_do(w->a, "litepool_volume_set_props",
			       json_pack("{s:s, s:{s:s}}", "name", alias, "labels",
					 AGENT_LABEL_INTERNAL, "clone"),
			       &w->err);
	return rc ? rc : make_clone(w, alias);
}

static int lvol_make(struct volume_work *w)
{
	w->reason = "DataMissing";
	if (kube_str(w->volume, "status.uuid")[0])
		return err_set(&w->err, -ENODATA,
			       "pool %s has no volume %s any more, and an empty one is not made in "
			       "its place. If the pool is an older copy of itself bring the right "
			       "one, else delete the StorageVolume",
			       kube_name(w->pool), w->uid);
	w->reason = "CreateFailed";
	if (kube_str(w->volume, "spec.source.snapshotName")[0])
		return clone_snapshot(w);
	if (kube_str(w->volume, "spec.source.volumeName")[0])
		return clone_volume(w);
	return make_empty(w);
}

static int lvol_look(struct volume_work *w)
{
	json_decref(w->lvol);
	w->lvol = NULL;
	return engine_lvol(w->a, w->uid, &w->lvol, &w->err);
}

static int lvol_grow(struct volume_work *w)
{
	uint64_t have = (uint64_t)json_integer_value(json_object_get(w->lvol, "size_bytes"));
	int rc;

	if (have >= w->size_bytes)
		return 0;
	w->reason = "ExpandFailed";
	rc = engine_do(w->a, "bdev_lvol_resize",
		       json_pack("{s:s, s:I}", "name", w->uid, "size", (json_int_t)w->size_bytes),
		       &w->err);
	return rc ? rc : lvol_look(w);
}

/* The mark by which the sweep knows its own: both must fit, since a snapshot or clone may have been given its origin's labels. */
static int lvol_label(struct volume_work *w)
{
	const json_t *labels = json_object_get(w->lvol, "labels");
	const char *name = json_string_value(json_object_get(labels, AGENT_LABEL_VOLUME));
	const char *uid = json_string_value(json_object_get(labels, AGENT_LABEL_UID));

	if (name && uid && !strcmp(name, kube_name(w->volume)) && !strcmp(uid, w->uid))
		return 0;
	w->reason = "LabelFailed";
	return engine_do(w->a, "litepool_volume_set_props",
			 json_pack("{s:s, s:{s:s, s:s}}", "name", w->uid, "labels",
				   AGENT_LABEL_VOLUME, kube_name(w->volume), AGENT_LABEL_UID,
				   w->uid),
			 &w->err);
}

int volume_size(struct volume_work *w)
{
	uint64_t promised = 0;
	const char *why;

	w->reason = "SizeInvalid";
	if (!kube_size_parse(kube_at(w->volume, "spec.size"), &w->size_bytes, &why))
		return err_set(&w->err, -EINVAL, "spec.size: %s", why);
	/* More than the controller has set aside there is not taken. */
	if (kube_at(w->volume, "status.promised") &&
	    kube_size_parse(kube_at(w->volume, "status.promised"), &promised, &why))
		w->size_bytes = MIN(w->size_bytes, promised);
	return 0;
}

int volume_lvol(struct volume_work *w)
{
	int rc = volume_size(w);

	if (rc)
		return rc;
	w->reason = "EngineFailed";
	rc = lvol_look(w);
	if (rc == -ENODEV) {
		rc = lvol_make(w);
		if (!rc)
			rc = lvol_look(w);
	}
	if (rc)
		return rc;
	w->reason = "WrongPool";
	if (strcmp(kube_str(w->lvol, "lvs.uuid"), pool_uuid(w->pool)) != 0)
		return err_set(&w->err, -EXDEV, "its data is in pool %s, not in %s",
			       kube_str(w->lvol, "lvs.name"), kube_name(w->pool));
	rc = lvol_grow(w);
	return rc ? rc : lvol_label(w);
}

/* ---- QoS ---- */

/* The engine counts whole MiB: rounded down, at least one. */
static json_int_t megabytes(const json_t *volume, const char *path)
{
	uint64_t bytes = 0;
	const char *why;

	if (!kube_at(volume, path) || !kube_size_parse(kube_at(volume, path), &bytes, &why) ||
	    !bytes)
		return 0;
	return bytes < MEGABYTE ? 1 : (json_int_t)(bytes / MEGABYTE);
}

int volume_limits(struct volume_work *w)
{
	_cleanup_json_ json_t *want =
		json_pack("{s:I, s:I, s:I, s:I}", "rw_ios_per_sec",
			  json_integer_value(kube_at(w->volume, "spec.qos.iops")),
			  "rw_mbytes_per_sec", megabytes(w->volume, "spec.qos.bytesPerSecond"),
			  "r_mbytes_per_sec", megabytes(w->volume, "spec.qos.readBytesPerSecond"),
			  "w_mbytes_per_sec", megabytes(w->volume, "spec.qos.writeBytesPerSecond"));
	_cleanup_json_ json_t *bdev = NULL;
	int rc;

	w->reason = "EngineFailed";
	rc = engine_bdev(w->a, w->uid, &bdev, &w->err);
	if (rc || json_equal(want, json_object_get(bdev, "assigned_rate_limits")))
		return rc;
	w->reason = "LimitsFailed";
	(void)json_object_set_new(want, "name", json_string(w->uid));
	return engine_do(w->a, "bdev_set_qos_limit", json_incref(want), &w->err);
}

/* ---- the end ---- */

/* It is of no use without its clone. What keeps it (a second child) lets it go later: the sweep tries again. */
static void remove_clone_snapshot(struct agent *a, const char *lvs_name, const char *uid)
{
	char name[ENGINE_NAME_SIZE], alias[2 * ENGINE_NAME_SIZE + 2];
	_cleanup_json_ json_t *there = NULL;
	struct err err = {0};

	volume_clone_name(uid, name);
	(void)snprintf(alias, sizeof(alias), "%s/%s", lvs_name, name);
	if (!engine_lvol(a, alias, &there, &err))
		(void)engine_lvol_delete(a, kube_str(there, "uuid"), &err);
}

int volume_remove(struct agent *a, const char *lvs_name, const char *uid, struct err *err)
{
	char nqn[224];
	int rc;

	engine_nqn(uid, nqn);
	rc = engine_subsystem_delete(a, nqn, err);
	if (!rc)
		rc = engine_lvol_delete(a, uid, err);
	/* Also when the volume itself was never made. */
	if (!rc)
		remove_clone_snapshot(a, lvs_name, uid);
	return rc;
}
