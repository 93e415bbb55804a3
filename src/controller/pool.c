/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's states, read off its object:
 *
 *   NEW -finalizer-> KEPT
 *   KEPT -deleted-> HELD while volumes or snapshots are on it -they go, or their loss is accepted-> FREE -finalizer off-> gone
 *
 * That its node is lost is told by node.c (pool_silence()).
 *
 * Accepted loss (litepool.io/accept-data-loss with the pool's name): each volume and snapshot on it is told to be lost before the pool goes. A volume that
 * was never made there has lost nothing, and is placed anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "controller/control_priv.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

enum pool_state { POOL_LEAVING, POOL_NEW, POOL_KEPT, POOL_HELD, POOL_CONDEMNED, POOL_FREE };

struct on_pool {
	size_t volumes, snapshots;
	char first[KUBE_NAME_MAX + 1]; /* one of them, to name it */
};

static bool is_on(const json_t *obj, const char *pool)
{
	return !strcmp(kube_str(obj, "status.poolName"), pool) && !object_lost(obj);
}

static struct on_pool count_on(struct control *c, const char *pool)
{
	struct on_pool on = {0};

	for (int kind = OBJECT_VOLUME; kind <= OBJECT_SNAPSHOT; kind++) {
		struct strmap_iter it = {0};

		while (strmap_next(&c->objects.by_name[kind], &it)) {
			if (!is_on(it.value, pool))
				continue;
			if (kind == OBJECT_VOLUME)
				on.volumes++;
			else
				on.snapshots++;
			if (!on.first[0])
				(void)str_copy(on.first, sizeof(on.first), it.key);
		}
	}
	return on;
}

/* Nothing on it by the API, nothing of ours on its way to it. */
static bool is_empty(struct control *c, const char *pool, const struct on_pool *on)
{
	struct place_space space = {0};

	(void)place_inventory_space(c->inv, pool, &space); /* what is not there holds nothing */
	return !on->volumes && !on->snapshots && (space.volumes == 0 || !c->unsure.count);
}

static bool has_consent(const json_t *obj)
{
	const json_t *annotations = kube_at(obj, "metadata.annotations");
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_CONSENT));

	return text && !strcmp(text, kube_name(obj));
}

static enum pool_state state_of(struct control *c, const json_t *obj, const struct on_pool *on)
{
	if (kube_deleting(obj)) {
		if (!kube_finalizer_has(obj, FINALIZER_POOL))
			return POOL_LEAVING;
		if (is_empty(c, kube_name(obj), on))
			return POOL_FREE;
		return has_consent(obj) ? POOL_CONDEMNED : POOL_HELD;
	}
	if (!kube_finalizer_has(obj, FINALIZER_POOL))
		return POOL_NEW;
	return POOL_KEPT;
}

/* ---- conditions ---- */

static uint64_t percent_of(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((double)part * 100 / (double)whole) : 0;
}

static bool edit_space(const struct control *c, json_t *copy)
{
	uint64_t capacity = object_size(copy, "status.capacity");
	uint64_t used = object_size(copy, "status.allocated");
	json_int_t warn = json_integer_value(kube_at(copy, "spec.watermarks.warnPercent"));
	json_int_t full = json_integer_value(kube_at(copy, "spec.watermarks.fullPercent"));
	uint64_t percent = percent_of(used, capacity);
	char text[160];

	if (!capacity || !warn || !full)
		return false;
	if (percent >= (uint64_t)full) {
		(void)snprintf(
			text, sizeof(text),
			"it is above its full watermark of %" JSON_INTEGER_FORMAT
			" %%: no new volume is placed on it; delete or move data, or add a pool",
			full);
		return edit_condition(c, copy, "SpaceLow", "True", "AboveFull", text);
	}
	if (percent >= (uint64_t)warn) {
		(void)snprintf(text, sizeof(text),
			       "it is above its watermark of %" JSON_INTEGER_FORMAT
			       " %%: plan for space",
			       warn);
		return edit_condition(c, copy, "SpaceLow", "True", "AboveWarn", text);
	}
	if (!kube_condition_get(copy, "SpaceLow"))
		return false;
	return edit_condition(c, copy, "SpaceLow", "False", "BelowWatermarks", "");
}

static bool edit_drained(const struct control *c, json_t *copy, const struct on_pool *on)
{
	char text[KUBE_NAME_MAX + 256];

	if (strcmp(kube_str(copy, "spec.maintenance"), "Draining") != 0)
		return kube_condition_remove(copy, "Drained");
	if (!on->volumes && !on->snapshots)
		return edit_condition(c, copy, "Drained", "True", "Empty", "");
	(void)snprintf(
		text, sizeof(text),
		"%zu volumes and %zu snapshots are on it (%s, ...): this version does not move "
		"volumes between pools; delete them, or make them anew elsewhere",
		on->volumes, on->snapshots, on->first);
	return edit_condition(c, copy, "Drained", "False", "MovingNotBuilt", text);
}

enum write_result pool_silence(struct control *c, const json_t *obj)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[KUBE_NAME_MAX + 64];

	if (!edit_text(copy, "health", "Unknown"))
		return WRITE_DONE;
	(void)snprintf(text, sizeof(text), "node %s does not answer",
		       kube_str(copy, "spec.nodeName"));
	(void)edit_text(copy, "reason", text);
	return write_status(c, OBJECT_POOL, copy);
}

/* Events for what has changed between the two. */
static void tell_space(struct control *c, const json_t *obj, const json_t *copy)
{
	const json_t *old = kube_condition_get(obj, "SpaceLow");
	const json_t *now = kube_condition_get(copy, "SpaceLow");

	if (!now || !strcmp(kube_str(old, "reason"), kube_str(now, "reason")))
		return;
	if (!strcmp(kube_str(now, "status"), "True"))
		events_record(c->events, obj, "Warning", kube_str(now, "reason"), "%s",
			      kube_str(now, "message"));
	else
		events_record(c->events, obj, "Normal", "BelowWatermarks",
			      "it is below its watermarks again");
}

static enum verdict keep(struct control *c, const json_t *obj, const struct on_pool *on)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	bool changed = edit_space(c, copy);
	enum write_result result;

	changed |= edit_drained(c, copy, on);
	if (!changed)
		return VERDICT_DONE;
	result = write_status(c, OBJECT_POOL, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	tell_space(c, obj, copy);
	return VERDICT_DONE;
}

/* ---- the end ---- */

static enum verdict refuse(struct control *c, const json_t *obj, const struct on_pool *on)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[2 * KUBE_NAME_MAX + 512];
	enum write_result result;

	(void)snprintf(
		text, sizeof(text),
		"%zu volumes and %zu snapshots are on it (%s, ...): delete them first. If the disk "
		"is gone for good: kubectl annotate storagepool %s %s=%s declares their data "
		"lost",
		on->volumes, on->snapshots, on->first, kube_name(obj), ANNOTATION_CONSENT,
		kube_name(obj));
	if (!edit_condition(c, copy, "Deletable", "False", "InUse", text))
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_POOL, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "DeletionRefused", "%s", text);
	return VERDICT_WAIT;
}

/* A volume that nobody has made holds no data. */
static bool never_made(const json_t *volume)
{
	return !kube_str(volume, "status.uuid")[0] &&
	       !json_array_size(kube_at(volume, "status.targets"));
}

static enum write_result declare_lost(struct control *c, enum object_kind kind, const json_t *obj,
				      const char *pool)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[KUBE_NAME_MAX + 128];
	enum write_result result;

	if (kind == OBJECT_VOLUME && never_made(obj))
		return write_unplaced(c, obj,
				      "its pool went before it was made: it is placed anew");
	(void)snprintf(text, sizeof(text), "pool %s was deleted and the loss of its data accepted",
		       pool);
	(void)edit_condition(c, copy, "DataLost", "True", "PoolDeclaredGone", text);
	(void)edit_text(copy, "reason", text);
	/* On no pool, also on none that gets the same name: no agent makes an empty one of it. */
	(void)edit_text(copy, "poolName", "");
	if (kind == OBJECT_VOLUME) {
		(void)edit_text(copy, "phase", "Failed");
		(void)edit_text(copy, "nodeName", "");
		(void)json_object_del(kube_at(copy, "status"), "promised");
		(void)json_object_del(kube_at(copy, "status"), "targets");
		(void)json_object_del(kube_at(copy, "status"), "attachedNodes");
	} else {
		(void)json_object_set_new(kube_at(copy, "status"), "readyToUse", json_false());
	}
	result = write_status(c, kind, copy);
	if (result == WRITE_DONE) {
		events_record(c->events, obj, "Warning", "DataLost", "%s", text);
		control_enqueue(c, kind, kube_name(obj));
	}
	return result;
}

/* References of their own: writing changes the maps. */
static json_t *all_on(struct control *c, enum object_kind kind, const char *pool)
{
	struct strmap_iter it = {0};
	json_t *all = json_array();

	while (strmap_next(&c->objects.by_name[kind], &it))
		if (is_on(it.value, pool))
			(void)json_array_append(all, it.value);
	return all;
}

static enum verdict condemn(struct control *c, const json_t *obj)
{
	for (int kind = OBJECT_VOLUME; kind <= OBJECT_SNAPSHOT; kind++) {
		_cleanup_json_ json_t *all = all_on(c, (enum object_kind)kind, kube_name(obj));

		for (size_t i = 0; i < json_array_size(all); i++) {
			enum write_result result = declare_lost(
				c, (enum object_kind)kind, json_array_get(all, i), kube_name(obj));

			if (result != WRITE_DONE && result != WRITE_GONE)
				return VERDICT_RETRY;
		}
	}
	log_warn("controller.pool.condemned", "pool=%s", kube_name(obj));
	return VERDICT_AGAIN;
}

enum verdict reconcile_pool(struct control *c, const json_t *obj)
{
	struct on_pool on = {0};

	if (kube_deleting(obj) || !strcmp(kube_str(obj, "spec.maintenance"), "Draining"))
		on = count_on(c, kube_name(obj));
	switch (state_of(c, obj, &on)) {
	case POOL_LEAVING:
		return VERDICT_DONE;
	case POOL_NEW:
		return add_finalizer(c, OBJECT_POOL, obj, FINALIZER_POOL);
	case POOL_KEPT:
		return keep(c, obj, &on);
	case POOL_HELD:
		return refuse(c, obj, &on);
	case POOL_CONDEMNED:
		return condemn(c, obj);
	case POOL_FREE:
		return remove_finalizer(c, OBJECT_POOL, obj, FINALIZER_POOL);
	}
	return VERDICT_DONE;
}
