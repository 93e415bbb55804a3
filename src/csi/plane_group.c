/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group snapshots: StorageSnapshots with one label. The agent cuts all of a group at once when as many are there as PLANE_NOTE_GROUP_SIZE says; so a
 * group that was made by half is not cut by half.
 */
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/meta.h"
#include "kube/text.h"

/* New reference: array, empty for none. */
static enum grpc_code members(struct csi_plane *plane, struct csi_op *op, const char *group,
			      json_t **ret)
{
	const char *labels;

	if (!kube_label_valid(group)) {
		*ret = json_array();
		return *ret ? GRPC_OK : plane_no_memory(op);
	}
	labels = arena_printf(op->arena, PLANE_LABEL_GROUP "=%s", group);
	return labels ? plane_list(plane, op, plane->snapshot, labels, ret) : plane_no_memory(op);
}

static enum grpc_code show(struct csi_op *op, const char *group, const json_t *snapshots,
			   struct csi_group *ret)
{
	const json_t *snapshot;
	size_t i;

	*ret = (struct csi_group){.id = arena_strdup(op->arena, group), .ready = true};
	ret->snapshots =
		arena_zalloc(op->arena, (json_array_size(snapshots) + 1) * sizeof(*ret->snapshots));
	if (!ret->id || !ret->snapshots)
		return plane_no_memory(op);
	json_array_foreach (snapshots, i, snapshot) {
		struct csi_snapshot *one = &ret->snapshots[ret->n++];
		enum grpc_code code = plane_show_snapshot(op, snapshot, one);

		if (code != GRPC_OK)
			return code;
		ret->ready = ret->ready && one->ready;
		if (one->created_ns > ret->created_ns)
			ret->created_ns = one->created_ns;
	}
	return GRPC_OK;
}

/* All volumes, which must be where one cut can go through all of them. */
static enum grpc_code find_volumes(struct csi_plane *plane, struct csi_op *op,
				   const struct csi_strings *ids, json_t *ret)
{
	const char *pool = NULL, *first = "";

	for (size_t i = 0; i < ids->n; i++) {
		json_t *volume = NULL;
		enum grpc_code code = plane_find(plane, op, plane->volume, ids->items[i], &volume);

		if (code != GRPC_OK)
			return code;
		(void)json_array_append_new(ret, volume);
		if (pool && strcmp(pool, kube_str(volume, "status.poolName")) != 0)
			return csi_fail(op, GRPC_FAILED_PRECONDITION,
					"volumes %s and %s are on different pools (%s, %s): one "
					"snapshot of a group can only be cut on one pool",
					first, kube_name(volume), pool,
					kube_str(volume, "status.poolName"));
		if (!pool) {
			pool = kube_str(volume, "status.poolName");
			first = kube_name(volume);
		}
	}
	return GRPC_OK;
}

/* What is there of the group must be of these volumes. */
static enum grpc_code check_members(struct csi_op *op, const char *group, const json_t *there,
				    const struct csi_strings *ids)
{
	const json_t *snapshot;
	size_t i;

	json_array_foreach (there, i, snapshot) {
		const char *of = plane_note(snapshot, PLANE_NOTE_VOLUME);
		bool known = false;

		for (size_t j = 0; j < ids->n; j++)
			known = known || strcmp(ids->items[j], of) == 0;
		if (!known)
			return csi_fail(op, GRPC_ALREADY_EXISTS,
					"the group %s exists with other volumes", group);
	}
	return GRPC_OK;
}

static enum grpc_code cut(struct csi_plane *plane, struct csi_op *op, const char *name,
			  const char *group, const json_t *volumes, json_t *ret)
{
	json_t *volume, *snapshot;
	enum grpc_code code = GRPC_OK;
	size_t i;

	json_array_foreach (volumes, i, volume) {
		const char *own = arena_printf(op->arena, "%s/%s", name, kube_name(volume));

		snapshot = NULL;
		code = own ? plane_snapshot_make(plane, op, own, volume, group,
						 json_array_size(volumes), &snapshot)
			   : plane_no_memory(op);
		if (code != GRPC_OK)
			return code;
		(void)json_array_append_new(ret, snapshot);
	}
	for (i = 0; i < json_array_size(ret) && code == GRPC_OK; i++) {
		snapshot = json_incref(json_array_get(ret, i));
		code = plane_snapshot_wait(plane, op, &snapshot);
		(void)json_array_set_new(ret, i, snapshot);
	}
	return code;
}

enum grpc_code plane_create_group(void *ctx, struct csi_op *op, const char *name,
				  const struct csi_strings *volume_ids,
				  const struct csi_map *parameters, struct csi_group *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *there = NULL, *volumes = json_array(), *snapshots = json_array();
	char group[PLANE_NAME_SIZE];
	enum grpc_code code = plane_no_parameters(op, parameters);

	plane_object_name(name, group);
	if (code == GRPC_OK)
		code = members(plane, op, group, &there);
	if (code == GRPC_OK)
		code = check_members(op, group, there, volume_ids);
	if (code == GRPC_OK)
		code = find_volumes(plane, op, volume_ids, volumes);
	if (code == GRPC_OK)
		code = cut(plane, op, name, group, volumes, snapshots);
	return code == GRPC_OK ? show(op, group, snapshots, ret) : code;
}

static enum grpc_code check_ids(struct csi_op *op, const char *group, const json_t *there,
				const struct csi_strings *ids)
{
	const json_t *snapshot;
	size_t i;

	for (size_t j = 0; j < ids->n; j++) {
		bool known = false;

		json_array_foreach (there, i, snapshot) {
			const char *id = plane_id_of(op, snapshot);

			known = known || (id && strcmp(id, ids->items[j]) == 0);
		}
		if (!known)
			return csi_fail(op, GRPC_INVALID_ARGUMENT,
					"the snapshot %s is not one of the group %s", ids->items[j],
					group);
	}
	return GRPC_OK;
}

enum grpc_code plane_delete_group(void *ctx, struct csi_op *op, const char *id,
				  const struct csi_strings *snapshot_ids)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *there = NULL;
	const json_t *snapshot;
	size_t i;
	enum grpc_code code = members(plane, op, id, &there);

	/* Some of them may have gone in an earlier try: what is named and is not there at all is no contradiction then. */
	if (code == GRPC_OK && json_array_size(there) >= snapshot_ids->n)
		code = check_ids(op, id, there, snapshot_ids);
	json_array_foreach (there, i, snapshot)
		if (code == GRPC_OK)
			code = plane_delete(plane, op, plane->snapshot, snapshot, NULL);
	json_array_foreach (there, i, snapshot)
		if (code == GRPC_OK)
			code = plane_wait_gone(plane, op, plane->snapshot, snapshot);
	return code;
}

enum grpc_code plane_get_group(void *ctx, struct csi_op *op, const char *id,
			       const struct csi_strings *snapshot_ids, struct csi_group *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *there = NULL;
	enum grpc_code code = members(plane, op, id, &there);

	if (code == GRPC_OK && !json_array_size(there))
		return csi_fail(op, GRPC_NOT_FOUND, "there is no group of snapshots %s", id);
	if (code == GRPC_OK)
		code = check_ids(op, id, there, snapshot_ids);
	return code == GRPC_OK ? show(op, id, there, ret) : code;
}
