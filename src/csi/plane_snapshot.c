/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/meta.h"
#include "kube/text.h"

#define NO_UID "00000000-0000-0000-0000-000000000000"

/* The id of its volume: noted by us, or as good as can be told for one that others made. */
static const char *volume_id_of(struct csi_op *op, const json_t *snapshot)
{
	const char *id = plane_note(snapshot, PLANE_NOTE_VOLUME);

	return id[0] ? arena_strdup(op->arena, id)
		     : arena_printf(op->arena, "%s:" NO_UID, kube_str(snapshot, "spec.volumeName"));
}

static bool is_cut(const json_t *snapshot)
{
	return json_is_true(kube_at(snapshot, "status.readyToUse"));
}

enum grpc_code plane_show_snapshot(struct csi_op *op, const json_t *snapshot,
				   struct csi_snapshot *ret)
{
	uint64_t created = 0;

	(void)kube_time_parse(kube_str(snapshot, "status.creationTime"), &created);
	*ret = (struct csi_snapshot){
		.id = plane_id_of(op, snapshot),
		.volume_id = volume_id_of(op, snapshot),
		.group_id = arena_strdup(op->arena, plane_label(snapshot, PLANE_LABEL_GROUP)),
		.size = plane_size(snapshot, "status.size"),
		.created_ns = created,
		.ready = is_cut(snapshot) && !kube_deleting(snapshot)};
	return ret->id && ret->volume_id && ret->group_id ? GRPC_OK : plane_no_memory(op);
}

static json_t *object_of(const char *object_name, const char *name, const char *volume_id,
			 const char *volume_name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s}}, s:{s:s}}", "apiVersion",
			 KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageSnapshot", "metadata", "name",
			 object_name, "annotations", PLANE_NOTE_NAME, name, PLANE_NOTE_VOLUME,
			 volume_id, "spec", "volumeName", volume_name);
}

static bool put_in_group(json_t *object, const char *group, size_t size)
{
	json_t *meta = kube_meta(object);

	return !group[0] ||
	       (json_object_set_new(meta, "labels", json_pack("{s:s}", PLANE_LABEL_GROUP, group)) ==
			0 &&
		json_object_set_new(json_object_get(meta, "annotations"), PLANE_NOTE_GROUP_SIZE,
				    json_sprintf("%zu", size)) == 0);
}

/* What is wanted of a snapshot. */
struct wanted {
	const char *object_name, *name, *volume_id, *group;
};

/* The object, if it is there and is that one; GRPC_NOT_FOUND: it is not there, or not any more. */
static enum grpc_code find(struct csi_plane *plane, struct csi_op *op, const struct wanted *wanted,
			   json_t **ret)
{
	_cleanup_json_ json_t *there = NULL;
	enum grpc_code code = plane_get(plane, op, plane->snapshot, wanted->object_name, &there);

	if (code == GRPC_OK && kube_deleting(there)) {
		code = plane_wait_gone(plane, op, plane->snapshot, there);
		return code == GRPC_OK ? GRPC_NOT_FOUND : code;
	}
	if (code != GRPC_OK)
		return code;
	if (strcmp(plane_note(there, PLANE_NOTE_NAME), wanted->name) != 0 ||
	    strcmp(plane_note(there, PLANE_NOTE_VOLUME), wanted->volume_id) != 0 ||
	    strcmp(plane_label(there, PLANE_LABEL_GROUP), wanted->group) != 0)
		return csi_fail(op, GRPC_ALREADY_EXISTS,
				"storagesnapshot %s exists and is of another volume, or was not "
				"made by this driver",
				wanted->object_name);
	*ret = json_incref(there);
	return GRPC_OK;
}

enum grpc_code plane_snapshot_make(struct csi_plane *plane, struct csi_op *op, const char *name,
				   const json_t *volume, const char *group, size_t group_size,
				   json_t **ret)
{
	_cleanup_json_ json_t *object = NULL;
	char object_name[PLANE_NAME_SIZE];
	struct wanted wanted = {object_name, name, plane_id_of(op, volume), group};
	enum grpc_code code;

	if (!wanted.volume_id)
		return plane_no_memory(op);
	plane_object_name(name, object_name);
	code = find(plane, op, &wanted, ret);
	if (code != GRPC_NOT_FOUND)
		return code;
	object = object_of(object_name, name, wanted.volume_id, kube_name(volume));
	if (!object || !put_in_group(object, group, group_size))
		return plane_no_memory(op);
	code = plane_make(plane, op, plane->snapshot, object, ret);
	if (code != GRPC_ALREADY_EXISTS)
		return code;
	/* Another instance of the driver was faster, or the answer to this very request was lost. */
	code = find(plane, op, &wanted, ret);
	return code == GRPC_NOT_FOUND
		       ? csi_fail(op, GRPC_ABORTED, "snapshot %s was made and deleted meanwhile",
				  object_name)
		       : code;
}

/* The volume's record as it is after the cut. A volume that is gone has left none. */
static enum grpc_code note_record(struct csi_plane *plane, struct csi_op *op,
				  const json_t *snapshot)
{
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code =
		plane_get(plane, op, plane->volume, kube_str(snapshot, "spec.volumeName"), &volume);

	if (code == GRPC_NOT_FOUND)
		return GRPC_OK;
	return code == GRPC_OK ? plane_format_snapshot(plane, op, snapshot, volume) : code;
}

enum grpc_code plane_snapshot_wait(struct csi_plane *plane, struct csi_op *op, json_t **snapshot)
{
	const char *name = kube_name(*snapshot);
	struct plane_wait wait;
	enum grpc_code code;

	plane_wait_init(plane, op, &wait, name);
	for (;;) {
		_cleanup_json_ json_t *now = NULL;

		plane_wait_look(plane, &wait);
		code = plane_get(plane, op, plane->snapshot, name, &now);
		if (code != GRPC_OK)
			return code;
		if (is_cut(now)) {
			code = note_record(plane, op, now);
			json_decref(*snapshot);
			*snapshot = TAKE_PTR(now);
			return code;
		}
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(op, GRPC_DEADLINE_EXCEEDED,
					"snapshot %s is not cut yet: %s", name, plane_trouble(now));
	}
}

enum grpc_code plane_create_snapshot(void *ctx, struct csi_op *op, const char *name,
				     const char *volume_id, const struct csi_map *parameters,
				     struct csi_snapshot *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *volume = NULL, *snapshot = NULL;
	enum grpc_code code = plane_no_parameters(op, parameters);

	if (code == GRPC_OK)
		code = plane_find(plane, op, plane->volume, volume_id, &volume);
	if (code == GRPC_OK)
		code = plane_snapshot_make(plane, op, name, volume, "", 0, &snapshot);
	if (code == GRPC_OK)
		code = plane_snapshot_wait(plane, op, &snapshot);
	return code == GRPC_OK ? plane_show_snapshot(op, snapshot, ret) : code;
}

enum grpc_code plane_delete_snapshot(void *ctx, struct csi_op *op, const char *id)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *snapshot = NULL;
	enum grpc_code code = plane_find(plane, op, plane->snapshot, id, &snapshot);

	if (code == GRPC_NOT_FOUND)
		return GRPC_OK;
	if (code != GRPC_OK)
		return code;
	if (plane_label(snapshot, PLANE_LABEL_GROUP)[0])
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"snapshot %s is one of the group %s; delete the group",
				kube_name(snapshot), plane_label(snapshot, PLANE_LABEL_GROUP));
	code = plane_delete(plane, op, plane->snapshot, snapshot, NULL);
	return code == GRPC_OK ? plane_wait_gone(plane, op, plane->snapshot, snapshot) : code;
}

enum grpc_code plane_get_snapshot(void *ctx, struct csi_op *op, const char *id,
				  struct csi_snapshot *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *snapshot = NULL;
	enum grpc_code code = plane_find(plane, op, plane->snapshot, id, &snapshot);

	return code == GRPC_OK ? plane_show_snapshot(op, snapshot, ret) : code;
}

/* What is not cut yet is not listed. */
static bool listed(struct csi_op *op, const json_t *snapshot, const char *volume_id, const char *id)
{
	const char *own = plane_id_of(op, snapshot), *of = volume_id_of(op, snapshot);

	return own && of && is_cut(snapshot) && !kube_deleting(snapshot) &&
	       (!id[0] || strcmp(id, own) == 0) && (!volume_id[0] || strcmp(volume_id, of) == 0);
}

enum grpc_code plane_list_snapshots(void *ctx, struct csi_op *op, const struct csi_page *page,
				    const char *volume_id, const char *id,
				    struct csi_snapshots *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *all = NULL, *chosen = json_array(), *items = NULL;
	json_t *snapshot;
	size_t i;
	enum grpc_code code = plane_list(plane, op, plane->snapshot, NULL, &all);

	if (code != GRPC_OK)
		return code;
	json_array_foreach (all, i, snapshot)
		if (listed(op, snapshot, volume_id, id))
			(void)json_array_append(chosen, snapshot);
	code = plane_page(op, page, chosen, &items, &ret->next_token);
	if (code != GRPC_OK)
		return code;
	ret->items = arena_zalloc(op->arena, (json_array_size(items) + 1) * sizeof(*ret->items));
	if (!ret->items)
		return plane_no_memory(op);
	json_array_foreach (items, i, snapshot) {
		code = plane_show_snapshot(op, snapshot, &ret->items[ret->n++]);
		if (code != GRPC_OK)
			return code;
	}
	return GRPC_OK;
}
