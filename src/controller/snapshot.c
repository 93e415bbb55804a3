/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot's states, read off its object:
 *
 *   NEW -finalizer-> UNPLACED -its volume has a pool-> SETTLED: the rest is its agent's
 *   any -deleted-> FREE when it is on no pool or that is gone: finalizer off; ENDING when its agent removes it
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "controller/control_priv.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

enum snapshot_state {
	SNAPSHOT_LEAVING,
	SNAPSHOT_FREE,
	SNAPSHOT_ENDING,
	SNAPSHOT_NEW,
	SNAPSHOT_UNSURE,
	SNAPSHOT_UNPLACED,
	SNAPSHOT_SETTLED,
};

static enum snapshot_state deleted_state_of(struct control *c, const json_t *obj)
{
	const char *pool = kube_str(obj, "status.poolName");

	if (!kube_finalizer_has(obj, FINALIZER_SNAPSHOT))
		return SNAPSHOT_LEAVING;
	if (!pool[0] || object_lost(obj))
		return SNAPSHOT_FREE;
	if (objects_get(&c->objects, OBJECT_POOL, pool))
		return SNAPSHOT_ENDING;
	return control_read(c, OBJECT_POOL, pool) == -ENOENT ? SNAPSHOT_FREE : SNAPSHOT_ENDING;
}

static enum snapshot_state state_of(struct control *c, const json_t *obj)
{
	char key[CONTROL_KEY_SIZE];

	if (strmap_get(&c->unsure, control_key(OBJECT_SNAPSHOT, kube_name(obj), key)))
		return SNAPSHOT_UNSURE;
	if (kube_deleting(obj))
		return deleted_state_of(c, obj);
	if (!kube_finalizer_has(obj, FINALIZER_SNAPSHOT))
		return SNAPSHOT_NEW;
	return kube_str(obj, "status.poolName")[0] || object_lost(obj) ? SNAPSHOT_SETTLED
								       : SNAPSHOT_UNPLACED;
}

static enum verdict pending(struct control *c, const json_t *obj, const char *reason,
			    const char *why)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;

	if (!edit_condition(c, copy, "Scheduled", "False", reason, why))
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_SNAPSHOT, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "NotScheduled", "%s", why);
	return VERDICT_WAIT;
}

static enum verdict place(struct control *c, const json_t *obj)
{
	const char *name = kube_str(obj, "spec.volumeName"), *reason = NULL, *problem = NULL;
	const json_t *volume = objects_get(&c->objects, OBJECT_VOLUME, name);
	_cleanup_json_ json_t *copy = NULL;
	char why[KUBE_NAME_MAX + 64];

	if (!volume)
		reason = "VolumeNotFound", problem = "does not exist";
	else if (object_lost(volume))
		reason = "VolumeLost", problem = "has lost its data";
	else if (kube_deleting(volume))
		reason = "VolumeDeleting", problem = "is being deleted";
	else if (!kube_str(volume, "status.poolName")[0])
		reason = "VolumeNotPlaced", problem = "is not on a pool yet";
	if (reason) {
		(void)snprintf(why, sizeof(why), "volume %s %s", name, problem);
		return pending(c, obj, reason, why);
	}
	copy = json_deep_copy(obj);
	(void)edit_text(copy, "poolName", kube_str(volume, "status.poolName"));
	(void)edit_condition(c, copy, "Scheduled", "True", "Placed", "on the pool of its volume");
	return write_verdict(write_status(c, OBJECT_SNAPSHOT, copy));
}

enum verdict reconcile_snapshot(struct control *c, const json_t *obj)
{
	switch (state_of(c, obj)) {
	case SNAPSHOT_LEAVING:
	case SNAPSHOT_SETTLED:
		return VERDICT_DONE;
	case SNAPSHOT_FREE:
		return remove_finalizer(c, OBJECT_SNAPSHOT, obj, FINALIZER_SNAPSHOT);
	case SNAPSHOT_ENDING:
		return VERDICT_WAIT;
	case SNAPSHOT_NEW:
		return add_finalizer(c, OBJECT_SNAPSHOT, obj, FINALIZER_SNAPSHOT);
	case SNAPSHOT_UNSURE:
		return write_verdict(write_touch(c, OBJECT_SNAPSHOT, kube_name(obj)));
	case SNAPSHOT_UNPLACED:
		return place(c, obj);
	}
	return VERDICT_DONE;
}
