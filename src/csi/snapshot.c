/* SPDX-License-Identifier: Apache-2.0 */
/* Controller service: snapshots; GroupController; SnapshotMetadata. */
#include <stdlib.h>

#include "csi/dispatch.h"

#define EXTENTS_MAX 4096 /* of one message of a stream */

enum grpc_code csi_create_snapshot(struct csi_request *req)
{
	const Csi__V1__CreateSnapshotRequest *m = req->message;
	Csi__V1__CreateSnapshotResponse rsp = CSI__V1__CREATE_SNAPSHOT_RESPONSE__INIT;
	struct csi_snapshot snapshot = {0};
	struct csi_map parameters;
	enum grpc_code code;

	if (!csi_map_from(req->arena, m->n_parameters, m->parameters, &parameters))
		return csi_no_memory(req);
	code = req->backend->create_snapshot(req->backend->ctx, &req->op, m->name,
					     m->source_volume_id, &parameters, &snapshot);
	if (code != GRPC_OK)
		return code;
	rsp.snapshot = csi_snapshot_to(req->arena, &snapshot);
	return rsp.snapshot ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_delete_snapshot(struct csi_request *req)
{
	const Csi__V1__DeleteSnapshotRequest *m = req->message;
	Csi__V1__DeleteSnapshotResponse rsp = CSI__V1__DELETE_SNAPSHOT_RESPONSE__INIT;
	enum grpc_code code =
		req->backend->delete_snapshot(req->backend->ctx, &req->op, m->snapshot_id);

	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_get_snapshot(struct csi_request *req)
{
	const Csi__V1__GetSnapshotRequest *m = req->message;
	Csi__V1__GetSnapshotResponse rsp = CSI__V1__GET_SNAPSHOT_RESPONSE__INIT;
	struct csi_snapshot snapshot = {0};
	enum grpc_code code =
		req->backend->get_snapshot(req->backend->ctx, &req->op, m->snapshot_id, &snapshot);

	if (code != GRPC_OK)
		return code;
	rsp.snapshot = csi_snapshot_to(req->arena, &snapshot);
	return rsp.snapshot ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_list_snapshots(struct csi_request *req)
{
	const Csi__V1__ListSnapshotsRequest *m = req->message;
	Csi__V1__ListSnapshotsResponse rsp = CSI__V1__LIST_SNAPSHOTS_RESPONSE__INIT;
	struct csi_page page = {(uint32_t)m->max_entries, m->starting_token};
	struct csi_snapshots list = {0};
	enum grpc_code code = req->backend->list_snapshots(
		req->backend->ctx, &req->op, &page, m->source_volume_id, m->snapshot_id, &list);

	if (code != GRPC_OK)
		return code;
	rsp.entries = arena_zalloc(req->arena, list.n * sizeof(*rsp.entries));
	if (!rsp.entries)
		return csi_no_memory(req);
	for (size_t i = 0; i < list.n; i++) {
		rsp.entries[i] = CSI_NEW(req->arena, Csi__V1__ListSnapshotsResponse__Entry,
					 csi__v1__list_snapshots_response__entry);
		if (!rsp.entries[i])
			return csi_no_memory(req);
		rsp.entries[i]->snapshot = csi_snapshot_to(req->arena, &list.items[i]);
		if (!rsp.entries[i]->snapshot)
			return csi_no_memory(req);
	}
	rsp.n_entries = list.n;
	rsp.next_token = csi_text(list.next_token);
	return csi_reply(req, &rsp);
}

/* ---- groups ---- */

static enum grpc_code check_ids(struct csi_request *req, const struct csi_strings *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->items[i][0] == '\0')
			return csi_fail(&req->op, GRPC_INVALID_ARGUMENT,
					"an id in the list is empty");
	return GRPC_OK;
}

enum grpc_code csi_create_group(struct csi_request *req)
{
	const Csi__V1__CreateVolumeGroupSnapshotRequest *m = req->message;
	Csi__V1__CreateVolumeGroupSnapshotResponse rsp =
		CSI__V1__CREATE_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	struct csi_strings ids = csi_strings_from(m->n_source_volume_ids, m->source_volume_ids);
	struct csi_group group = {0};
	struct csi_map parameters;
	enum grpc_code code = check_ids(req, &ids);

	if (!csi_map_from(req->arena, m->n_parameters, m->parameters, &parameters))
		return csi_no_memory(req);
	if (code == GRPC_OK)
		code = req->backend->create_group(req->backend->ctx, &req->op, m->name, &ids,
						  &parameters, &group);
	if (code != GRPC_OK)
		return code;
	rsp.group_snapshot = csi_group_to(req->arena, &group);
	return rsp.group_snapshot ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_delete_group(struct csi_request *req)
{
	const Csi__V1__DeleteVolumeGroupSnapshotRequest *m = req->message;
	Csi__V1__DeleteVolumeGroupSnapshotResponse rsp =
		CSI__V1__DELETE_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	struct csi_strings ids = csi_strings_from(m->n_snapshot_ids, m->snapshot_ids);
	enum grpc_code code =
		req->backend->delete_group(req->backend->ctx, &req->op, m->group_snapshot_id, &ids);

	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_get_group(struct csi_request *req)
{
	const Csi__V1__GetVolumeGroupSnapshotRequest *m = req->message;
	Csi__V1__GetVolumeGroupSnapshotResponse rsp =
		CSI__V1__GET_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	struct csi_strings ids = csi_strings_from(m->n_snapshot_ids, m->snapshot_ids);
	struct csi_group group = {0};
	enum grpc_code code = req->backend->get_group(req->backend->ctx, &req->op,
						      m->group_snapshot_id, &ids, &group);

	if (code != GRPC_OK)
		return code;
	rsp.group_snapshot = csi_group_to(req->arena, &group);
	return rsp.group_snapshot ? csi_reply(req, &rsp) : csi_no_memory(req);
}

/* ---- changed blocks ---- */

static enum grpc_code send_extents(struct csi_request *req, const struct csi_extents *extents)
{
	Csi__V1__GetMetadataAllocatedResponse rsp = CSI__V1__GET_METADATA_ALLOCATED_RESPONSE__INIT;
	Csi__V1__BlockMetadata *blocks = malloc(extents->n * sizeof(*blocks) + 1);
	Csi__V1__BlockMetadata **list = malloc(extents->n * sizeof(*list) + 1);
	enum grpc_code code;

	for (size_t i = 0; blocks && list && i < extents->n; i++) {
		csi__v1__block_metadata__init(&blocks[i]);
		blocks[i].byte_offset = (int64_t)extents->items[i].offset;
		blocks[i].size_bytes = (int64_t)extents->items[i].len;
		list[i] = &blocks[i];
	}
	rsp.block_metadata_type = CSI__V1__BLOCK_METADATA_TYPE__VARIABLE_LENGTH;
	rsp.volume_capacity_bytes = (int64_t)extents->capacity;
	rsp.block_metadata = list;
	rsp.n_block_metadata = extents->n;
	code = blocks && list ? csi_reply(req, &rsp) : csi_no_memory(req);
	free(list);
	free(blocks);
	return code;
}

/* Both streams have messages of the same fields and numbers; a message a step until the end. */
static enum grpc_code stream_extents(struct csi_request *req, const char *base, const char *id,
				     int64_t start, int32_t max_results)
{
	uint32_t max =
		max_results > 0 && max_results < EXTENTS_MAX ? (uint32_t)max_results : EXTENTS_MAX;
	struct csi_extents extents = {
		.items = arena_zalloc(req->arena, max * sizeof(*extents.items))};
	uint64_t offset = (uint64_t)start;

	if (!extents.items)
		return csi_no_memory(req);
	if (start < 0)
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT, "starting_offset is negative");
	while (!extents.end) {
		enum grpc_code code;

		extents = (struct csi_extents){.items = extents.items};
		code = req->backend->extents(req->backend->ctx, &req->op, base, id, offset, max,
					     &extents);
		if (code == GRPC_OK && extents.n > max)
			code = csi_fail(&req->op, GRPC_INTERNAL,
					"the control plane gave more extents than asked for");
		if (code == GRPC_OK && !extents.end && extents.next <= offset)
			code = csi_fail(&req->op, GRPC_INTERNAL,
					"the control plane does not get on with the list");
		if (code == GRPC_OK && (extents.n || extents.end))
			code = send_extents(req, &extents);
		if (code != GRPC_OK)
			return code;
		offset = extents.next;
	}
	return GRPC_OK;
}

enum grpc_code csi_metadata_allocated(struct csi_request *req)
{
	const Csi__V1__GetMetadataAllocatedRequest *m = req->message;

	return stream_extents(req, NULL, m->snapshot_id, m->starting_offset, m->max_results);
}

enum grpc_code csi_metadata_delta(struct csi_request *req)
{
	const Csi__V1__GetMetadataDeltaRequest *m = req->message;

	return stream_extents(req, m->base_snapshot_id, m->target_snapshot_id, m->starting_offset,
			      m->max_results);
}
