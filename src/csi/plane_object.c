/* SPDX-License-Identifier: Apache-2.0 */
/* What objects say, and waiting for them to change. */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "csi/plane_priv.h"
#include "csi/tries.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/process.h"

/* Between two looks, when nothing was heard of a change: the watch may be down. */
#define LOOK_MS 1000
/* How soon a call notices that nobody waits for it any more. */
#define CANCEL_MS 200

const char *plane_id_of(struct csi_op *op, const json_t *object)
{
	return arena_printf(op->arena, "%s:%s", kube_name(object), kube_uid(object));
}

static const char *member(const json_t *object, const char *path, const char *key)
{
	const char *text = json_string_value(json_object_get(kube_at(object, path), key));

	return text ? text : "";
}

const char *plane_note(const json_t *object, const char *key)
{
	return member(object, "metadata.annotations", key);
}

const char *plane_label(const json_t *object, const char *key)
{
	return member(object, "metadata.labels", key);
}

uint64_t plane_size(const json_t *object, const char *path)
{
	const json_t *value = kube_at(object, path);
	uint64_t bytes = 0;
	const char *why;

	return value && kube_size_parse(value, &bytes, &why) ? bytes : 0;
}

bool plane_lists(const json_t *object, const char *path, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach (kube_at(object, path), i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return true;
	return false;
}

json_t *plane_patch_of(const json_t *object)
{
	return json_pack("{s:{s:s}}", "metadata", "resourceVersion",
			 kube_str(object, "metadata.resourceVersion"));
}

const char *plane_trouble(const json_t *object)
{
	static const char *const types[] = {"Ready", "Scheduled", NULL};
	const json_t *condition = kube_condition_get(object, "DataLost");
	const char *text = kube_str(condition, "message");
	size_t i;

	if (text[0] && strcmp(kube_str(condition, "status"), "False") != 0)
		return text;
	for (i = 0; types[i]; i++) {
		condition = kube_condition_get(object, types[i]);
		text = kube_str(condition, "message");
		if (strcmp(kube_str(condition, "status"), "True") != 0 && text[0])
			return text;
	}
	json_array_foreach (kube_at(object, "status.conditions"), i, condition)
		if (strcmp(kube_str(condition, "status"), "False") == 0 &&
		    kube_str(condition, "message")[0])
			return kube_str(condition, "message");
	text = kube_str(object, "status.reason");
	return text[0] ? text
		       : "no reason was told; see whether litepool-controller and the agent of "
			 "its node run";
}

/* ---- waiting ---- */

static unsigned slot_of(const char *name)
{
	unsigned h = 0;

	for (; *name; name++)
		h = h * 31 + (uint8_t)*name;
	return h % PLANE_SLOTS;
}

void plane_wake(struct csi_plane *plane, const char *name)
{
	lock_take(plane->lock);
	plane->seen[slot_of(name)]++;
	lock_wake(plane->lock);
	lock_drop(plane->lock);
}

void plane_wait_init(const struct csi_plane *plane, const struct csi_op *op,
		     struct plane_wait *wait, const char *name)
{
	*wait = (struct plane_wait){.end_ms = csi_end_ms(op, plane->wait_ms),
				    .slot = slot_of(name)};
}

void plane_wait_look(struct csi_plane *plane, struct plane_wait *wait)
{
	lock_take(plane->lock);
	wait->seen = plane->seen[wait->slot];
	lock_drop(plane->lock);
}

bool plane_wait_next(struct csi_plane *plane, const struct csi_op *op,
		     const struct plane_wait *wait)
{
	uint64_t look_ms = process_boot_ms() + LOOK_MS;
	bool changed = false;

	while (!changed && process_boot_ms() < look_ms) {
		if (csi_cancelled(op) || process_boot_ms() >= wait->end_ms)
			return false;
		lock_take(plane->lock);
		if (plane->seen[wait->slot] == wait->seen)
			lock_wait(plane->lock, CANCEL_MS);
		changed = plane->seen[wait->slot] != wait->seen;
		lock_drop(plane->lock);
	}
	return true;
}

/* What only others can end: to wait for it would hold one of the caller's few workers. */
static bool kept_in_use(const json_t *object)
{
	const json_t *deleted = kube_condition_get(object, "Deleted");

	return strcmp(kube_str(deleted, "status"), "False") == 0 &&
	       strcmp(kube_str(deleted, "reason"), "InUse") == 0;
}

enum grpc_code plane_wait_gone(struct csi_plane *plane, struct csi_op *op,
			       const struct kube_resource *res, const json_t *object)
{
	const char *name = kube_name(object), *uid = kube_uid(object);
	struct plane_wait wait;

	plane_wait_init(plane, op, &wait, name);
	for (;;) {
		_cleanup_json_ json_t *now = NULL;
		enum grpc_code code;

		plane_wait_look(plane, &wait);
		code = plane_get(plane, op, res, name, &now);
		if (code == GRPC_NOT_FOUND || (now && strcmp(kube_uid(now), uid) != 0))
			return GRPC_OK;
		if (code != GRPC_OK)
			return code;
		if (kept_in_use(now))
			return csi_fail(op, GRPC_FAILED_PRECONDITION,
					"%s %s is in use and goes when it is not: %s",
					res->singular, name, plane_trouble(now));
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(op, GRPC_DEADLINE_EXCEEDED,
					"%s %s is being deleted and not gone yet: %s",
					res->singular, name, plane_trouble(now));
	}
}
