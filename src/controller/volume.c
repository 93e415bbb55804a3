/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's states, read off its object; each pass makes one step, that is at most one write:
 *
 *   NEW -finalizer-> UNPLACED -space set aside and written (volume_place.c)-> SETTLED <-> GROWING
 *   SETTLED -its pool's object is gone-> STRANDED -never made-> UNPLACED
 *   any -deleted-> FREE when it is on no pool: finalizer off; ENDING when its agent has to remove it first
 *   UNSURE: the answer to a write was lost -touched and read-> what it is now
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

enum volume_state {
	VOLUME_LEAVING, /* deleted; others hold it */
	VOLUME_FREE,
	VOLUME_ENDING,
	VOLUME_LOST, /* its data are gone: it waits to be deleted */
	VOLUME_NEW,
	VOLUME_UNSURE,
	VOLUME_UNPLACED,
	VOLUME_STRANDED,
	VOLUME_GROWING,
	VOLUME_SETTLED,
};

static bool is_unsure(const struct control *c, const json_t *obj)
{
	char key[CONTROL_KEY_SIZE];

	return strmap_get(&c->unsure, control_key(OBJECT_VOLUME, kube_name(obj), key)) != NULL;
}

static bool pool_is_here(const struct control *c, const json_t *obj)
{
	return objects_get(&c->objects, OBJECT_POOL, kube_str(obj, "status.poolName")) != NULL;
}

static enum volume_state deleted_state_of(struct control *c, const json_t *obj)
{
	const char *pool = kube_str(obj, "status.poolName");

	if (!kube_finalizer_has(obj, FINALIZER_VOLUME))
		return VOLUME_LEAVING;
	if (!pool[0] || object_lost(obj))
		return VOLUME_FREE;
	if (pool_is_here(c, obj))
		return VOLUME_ENDING;
	/* The API itself says that the pool is gone, not only a copy of ours. */
	return control_read(c, OBJECT_POOL, pool) == -ENOENT ? VOLUME_FREE : VOLUME_ENDING;
}

static enum volume_state state_of(struct control *c, const json_t *obj)
{
	if (is_unsure(c, obj))
		return VOLUME_UNSURE;
	if (kube_deleting(obj))
		return deleted_state_of(c, obj);
	if (!kube_finalizer_has(obj, FINALIZER_VOLUME))
		return VOLUME_NEW;
	if (object_lost(obj))
		return VOLUME_LOST;
	if (!kube_str(obj, "status.poolName")[0])
		return VOLUME_UNPLACED;
	if (!pool_is_here(c, obj))
		return VOLUME_STRANDED;
	if (object_size(obj, "spec.size") > object_size(obj, "status.promised"))
		return VOLUME_GROWING;
	return VOLUME_SETTLED;
}

/* What is only assumed of it now was not made: its version has moved. */
static enum verdict resolve(struct control *c, const json_t *obj)
{
	enum write_result result = write_touch(c, OBJECT_VOLUME, kube_name(obj));

	if (result == WRITE_DONE)
		(void)place_forget_volume(c->inv, kube_name(obj));
	return write_verdict(result);
}

enum write_result write_unplaced(struct control *c, const json_t *obj, const char *why)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;

	(void)edit_text(copy, "phase", "Pending");
	(void)edit_text(copy, "poolName", "");
	(void)edit_text(copy, "nodeName", "");
	(void)json_object_del(kube_at(copy, "status"), "promised");
	(void)kube_condition_remove(copy, "DataLost");
	(void)edit_condition(c, copy, "Scheduled", "False", "PoolGone", why);
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result == WRITE_DONE)
		control_enqueue(c, OBJECT_VOLUME, kube_name(obj));
	return result;
}

static enum verdict strand(struct control *c, const json_t *obj)
{
	const char *pool = kube_str(obj, "status.poolName");
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[2 * KUBE_NAME_MAX + 256];
	int rc = control_read(c, OBJECT_POOL, pool);
	enum write_result result;

	if (rc != -ENOENT)
		return rc ? VERDICT_RETRY : VERDICT_AGAIN;
	if (!kube_str(obj, "status.uuid")[0] && !json_array_size(kube_at(obj, "status.targets")))
		return write_verdict(write_unplaced(
			c, obj, "its pool went before it was made: it is placed anew"));
	(void)snprintf(text, sizeof(text),
		       "there is no StoragePool %s any more: declare it again with the same device "
		       "and its "
		       "data are found there, or delete the volume",
		       pool);
	if (!edit_condition(c, copy, "DataLost", "Unknown", "PoolMissing", text))
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "PoolMissing", "%s", text);
	return VERDICT_WAIT;
}

/* Why its agent does not remove it yet. "" when it has no reason not to. */
static const char *ending_reason(struct control *c, const json_t *obj, char *text, size_t size)
{
	const char *node = kube_str(obj, "status.nodeName"),
		   *pool = kube_str(obj, "status.poolName");
	const json_t *attached = kube_at(obj, "spec.attachedNodes");

	if (json_array_size(attached)) {
		(void)snprintf(text, size, "node %s has it attached: litepool detach %s",
			       json_string_value(json_array_get(attached, 0)), kube_name(obj));
		return "Attached";
	}
	if (node_is_lost(c, node)) {
		(void)snprintf(
			text, size,
			"node %s, which has its data, does not answer; if it is gone for good, "
			"delete StoragePool %s with annotation %s=%s",
			node, pool, ANNOTATION_CONSENT, pool);
		return "NodeLost";
	}
	(void)snprintf(text, size, "the agent of node %s removes it", node);
	return "";
}

static enum verdict end(struct control *c, const json_t *obj)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[3 * KUBE_NAME_MAX + 256];
	const char *reason = ending_reason(c, obj, text, sizeof(text));
	enum write_result result;

	if (!reason[0] && !kube_condition_get(obj, "Deletable"))
		return VERDICT_WAIT;
	if (!edit_condition(c, copy, "Deletable", reason[0] ? "False" : "True",
			    reason[0] ? reason : "Removing", text))
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	if (reason[0])
		events_record(c->events, obj, "Warning", "DeletionRefused", "%s", text);
	return VERDICT_WAIT;
}

/* Its pool is here (again). */
static enum verdict settle(struct control *c, const json_t *obj)
{
	_cleanup_json_ json_t *copy = NULL;

	if (!kube_condition_get(obj, "DataLost"))
		return VERDICT_DONE;
	copy = json_deep_copy(obj);
	(void)kube_condition_remove(copy, "DataLost");
	return write_verdict(write_status(c, OBJECT_VOLUME, copy));
}

/* The node that its pool's disk is in now, when that is another one than it says. NULL: it is not. */
static const char *moved_to(const struct control *c, const json_t *obj)
{
	const json_t *pool =
		objects_get(&c->objects, OBJECT_POOL, kube_str(obj, "status.poolName"));
	const char *node = kube_str(pool, "spec.nodeName");

	return node[0] && strcmp(node, kube_str(obj, "status.nodeName")) != 0 ? node : NULL;
}

static enum verdict follow(struct control *c, const json_t *obj, const char *node)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;

	(void)edit_text(copy, "nodeName", node);
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result == WRITE_DONE)
		events_record(c->events, obj, "Normal", "Moved",
			      "the disk of its pool %s is in node %s now",
			      kube_str(obj, "status.poolName"), node);
	return result == WRITE_DONE ? VERDICT_AGAIN : write_verdict(result);
}

enum verdict reconcile_volume(struct control *c, const json_t *obj)
{
	enum volume_state state = state_of(c, obj);
	bool placed = state == VOLUME_ENDING || state == VOLUME_GROWING || state == VOLUME_SETTLED;
	const char *node = placed ? moved_to(c, obj) : NULL;

	if (node)
		return follow(c, obj, node);
	switch (state) {
	case VOLUME_LEAVING:
	case VOLUME_LOST:
		return VERDICT_DONE;
	case VOLUME_FREE:
		return remove_finalizer(c, OBJECT_VOLUME, obj, FINALIZER_VOLUME);
	case VOLUME_ENDING:
		return end(c, obj);
	case VOLUME_NEW:
		return add_finalizer(c, OBJECT_VOLUME, obj, FINALIZER_VOLUME);
	case VOLUME_UNSURE:
		return resolve(c, obj);
	case VOLUME_UNPLACED:
		return volume_place(c, obj);
	case VOLUME_STRANDED:
		return strand(c, obj);
	case VOLUME_GROWING:
		return volume_grow(c, obj);
	case VOLUME_SETTLED:
		return settle(c, obj);
	}
	return VERDICT_DONE;
}
