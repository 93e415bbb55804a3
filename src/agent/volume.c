/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One volume of this node:  data -> limits -> export -> hosts -> status
 *
 * It is revisited when its object, its pool or a node changes, and by each sweep.
 */
#include "agent/volume.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "agent/watch.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

#define AGAIN_MS 3000

static void work_fini(struct volume_work *w)
{
	json_decref(w->lvol);
	json_decref(w->subsystem);
	json_decref(w->targets);
	json_decref(w->attached);
}
#define _cleanup_work_ __attribute__((cleanup(work_fini)))

/* Small changes of a number that moves all the time wait for another reason to write. */
static bool allocated_moved(const json_t *volume, uint64_t now, uint64_t size)
{
	uint64_t old = 0;
	const char *why;

	if (!kube_size_parse(kube_at(volume, "status.allocated"), &old, &why))
		return true;
	return !now || !old || (old > now ? old - now : now - old) > size / 20;
}

/* Of a volume that its node uses as a device; "" else. */
static const char *device_path(struct volume_work *w, char path[LVM_PATH_SIZE])
{
	path[0] = '\0';
	if (lvm_volume_is_local(w))
		(void)snprintf(path, LVM_PATH_SIZE, "/dev/" LVM_VG_PREFIX "%.40s/vol-%.40s",
			       pool_uuid(w->pool), w->uid);
	return path;
}

/* The list, and the same for the column that people see. */
static void tell_attached(struct status *s, json_t *nodes)
{
	char text[4096] = "";
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const char *name = json_string_value(json_array_get(nodes, i));

		if (name && used + strlen(name) + 2 < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? "," : "", name);
	}
	status_set(s, "attachedNodes", json_incref(nodes));
	status_set_text(s, "attached", text);
}

static int tell_ready(struct volume_work *w)
{
	char path[LVM_PATH_SIZE];
	uint64_t size = (uint64_t)json_integer_value(json_object_get(w->lvol, "size_bytes"));
	uint64_t used = (uint64_t)json_integer_value(json_object_get(w->lvol, "allocated_bytes"));
	_cleanup_status_ struct status s = {0};

	if (status_begin(w->a, "StorageVolume", w->volume, &s))
		return -ENOMEM;
	status_set_text(&s, "phase", "Ready");
	status_set_text(&s, "reason", NULL);
	status_set_text(&s, "uuid", w->uid);
	status_set_bytes(&s, "size", size);
	if (allocated_moved(w->volume, used, size))
		status_set_bytes(&s, "allocated", used);
	status_set(&s, "targets", json_incref(w->targets));
	tell_attached(&s, w->attached);
	status_set_text(&s, "devicePath", device_path(w, path));
	status_condition(&s, "Ready", true, path[0] ? "Local" : "Exported",
			 "pool %s of node %s serves it", kube_name(w->pool), w->a->node);
	if (w->reason)
		status_condition(&s, "Attached", false, w->reason, "%s", w->err.text);
	else
		status_condition_remove(&s, "Attached");
	status_condition_remove(&s, "Deleted");
	return status_commit(&s);
}

/* Something does not go. What was true of it before stays in its status, but who is allowed is told in any case. */
static int tell_failed(struct volume_work *w)
{
	_cleanup_status_ struct status s = {0};
	int rc;

	log_warn("agent.volume.failed", "volume=%s step=%s reason=\"%s\"", kube_name(w->volume),
		 w->reason, w->err.text);
	if (status_begin(w->a, "StorageVolume", w->volume, &s))
		return -ENOMEM;
	status_set_text(&s, "reason", w->err.text);
	if (!strcmp(w->reason, "DataMissing"))
		status_set_text(&s, "phase", "Failed");
	volume_fence(w);
	if (w->attached)
		tell_attached(&s, w->attached);
	s.not_carried_out = !w->attached;
	status_condition(&s, "Ready", false, w->reason, "%s", w->err.text);
	rc = status_commit(&s);
	return rc ? rc : -EIO; /* later and later */
}

static int keep(struct volume_work *w)
{
	bool lvm = pool_is_lvm(w->pool), local = lvm && lvm_volume_is_local(w);
	int rc = lvm ? lvm_volume(w) : volume_lvol(w);

	if (local) {
		if (!rc)
			rc = lvm_volume_local(w);
		return rc ? tell_failed(w) : tell_ready(w);
	}
	if (!rc && lvm)
		rc = lvm_volume_bdev(w);
	if (!rc)
		rc = volume_limits(w);
	if (!rc)
		rc = volume_export(w);
	if (!rc)
		rc = volume_hosts(w);
	if (rc)
		return tell_failed(w);
	rc = tell_ready(w);
	return rc ? rc : w->reason ? AGAIN_MS : 0;
}

static int tell_kept(struct volume_work *w, const char *reason, const char *text)
{
	_cleanup_status_ struct status s = {0};
	int rc;

	if (status_begin(w->a, "StorageVolume", w->volume, &s))
		return -ENOMEM;
	volume_fence(w);
	if (w->attached)
		tell_attached(&s, w->attached);
	s.not_carried_out = !w->attached;
	status_condition(&s, "Deleted", false, reason, "%s", text);
	rc = status_commit(&s);
	return rc ? rc : AGAIN_MS;
}

static int remove_data(struct volume_work *w)
{
	_cleanup_json_ json_t *lvstore = NULL;
	int rc;

	if (pool_is_lvm(w->pool))
		return lvm_volume_remove(w->a, w->pool, w->uid, &w->err);
	rc = pool_is_open(w->a, w->pool, &lvstore, &w->err);
	return rc ? rc : volume_remove(w->a, kube_str(lvstore, "name"), w->uid, &w->err);
}

static int end(struct volume_work *w)
{
	int rc;

	if (!kube_finalizer_has(w->volume, AGENT_FINALIZER_VOLUME))
		return 0; /* others' finalizers hold it; what we had is gone */
	if (json_array_size(kube_at(w->volume, "spec.attachedNodes")))
		return tell_kept(w, "Attached",
				 "nodes shall have it attached; detach it first "
				 "(spec.attachedNodes)");
	rc = remove_data(w);
	if (rc)
		return tell_kept(w, rc == -EBUSY ? "InUse" : "EngineFailed", w->err.text);
	log_info("agent.volume.removed", "volume=%s uid=%s", kube_name(w->volume), w->uid);
	return object_release(w->a, "StorageVolume", w->volume, AGENT_FINALIZER_VOLUME);
}

static int not_served(struct volume_work *w, const char *reason, int code, const char *text)
{
	_cleanup_status_ struct status s = {0};
	int rc;

	if (code == -EAGAIN && !kube_str(w->volume, "status.uuid")[0])
		return AGAIN_MS; /* nothing was promised yet */
	if (status_begin(w->a, "StorageVolume", w->volume, &s))
		return -ENOMEM;
	s.not_carried_out = true; /* the engine has whom it had */
	status_condition(&s, "Ready", false, reason, "%s", text);
	rc = status_commit(&s);
	return rc ? rc : AGAIN_MS;
}

int volume_reconcile(struct agent *a, const char *name)
{
	_cleanup_json_ json_t *volume = informer_get(a->volumes, "", name), *pool = NULL;
	_cleanup_work_ struct volume_work w = {.a = a, .volume = volume};
	int rc;

	if (!volume || strcmp(kube_str(volume, "status.nodeName"), a->node) != 0 ||
	    !kube_str(volume, "status.poolName")[0])
		return 0;
	pool = informer_get(a->pools, "", kube_str(volume, "status.poolName"));
	if (!pool)
		return 0; /* the controller knows what to do about it */
	w.pool = pool;
	w.uid = kube_uid(volume);
	engine_nqn(w.uid, w.nqn);
	if (!watch_up(a->watch))
		return not_served(&w, "EngineDown", -ENOTCONN,
				  "the node's engine does not answer; hosts reconnect when it is "
				  "back");
	rc = pool_is_open(a, pool, NULL, &w.err);
	if (rc)
		return not_served(&w, "PoolNotOpen", -EAGAIN, "its pool is not open on the node");
	return kube_deleting(volume) ? end(&w) : keep(&w);
}
