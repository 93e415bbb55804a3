/* SPDX-License-Identifier: Apache-2.0 */
/* Controller service: what there is, and how it is. */
#include "csi/dispatch.h"

enum grpc_code csi_list_volumes(struct csi_request *req)
{
	const Csi__V1__ListVolumesRequest *m = req->message;
	Csi__V1__ListVolumesResponse rsp = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	struct csi_page page = {(uint32_t)m->max_entries, m->starting_token};
	struct csi_volumes list = {0};
	enum grpc_code code = req->backend->list_volumes(req->backend->ctx, &req->op, &page, &list);

	if (code != GRPC_OK)
		return code;
	rsp.entries = arena_zalloc(req->arena, list.n * sizeof(*rsp.entries));
	if (!rsp.entries)
		return csi_no_memory(req);
	for (size_t i = 0; i < list.n; i++) {
		const struct csi_volume *volume = &list.items[i];
		Csi__V1__ListVolumesResponse__Entry *entry =
			CSI_NEW(req->arena, Csi__V1__ListVolumesResponse__Entry,
				csi__v1__list_volumes_response__entry);
		Csi__V1__ListVolumesResponse__VolumeStatus *status =
			CSI_NEW(req->arena, Csi__V1__ListVolumesResponse__VolumeStatus,
				csi__v1__list_volumes_response__volume_status);

		if (!entry || !status)
			return csi_no_memory(req);
		status->n_published_node_ids = volume->nodes.n;
		status->published_node_ids = csi_strings_to(&volume->nodes);
		status->volume_condition =
			csi_condition_to(req->arena, volume->abnormal, volume->condition);
		entry->status = status;
		entry->volume = csi_volume_to(req->arena, volume);
		if (!entry->volume || !status->volume_condition)
			return csi_no_memory(req);
		rsp.entries[i] = entry;
	}
	rsp.n_entries = list.n;
	rsp.next_token = csi_text(list.next_token);
	return csi_reply(req, &rsp);
}

enum grpc_code csi_get_volume(struct csi_request *req)
{
	const Csi__V1__ControllerGetVolumeRequest *m = req->message;
	Csi__V1__ControllerGetVolumeResponse rsp = CSI__V1__CONTROLLER_GET_VOLUME_RESPONSE__INIT;
	Csi__V1__ControllerGetVolumeResponse__VolumeStatus status =
		CSI__V1__CONTROLLER_GET_VOLUME_RESPONSE__VOLUME_STATUS__INIT;
	struct csi_volume volume = {0};
	enum grpc_code code =
		req->backend->get_volume(req->backend->ctx, &req->op, m->volume_id, &volume);

	if (code != GRPC_OK)
		return code;
	status.n_published_node_ids = volume.nodes.n;
	status.published_node_ids = csi_strings_to(&volume.nodes);
	status.volume_condition = csi_condition_to(req->arena, volume.abnormal, volume.condition);
	rsp.status = &status;
	rsp.volume = csi_volume_to(req->arena, &volume);
	return rsp.volume && status.volume_condition ? csi_reply(req, &rsp) : csi_no_memory(req);
}

/* A healthy volume has no entries. NULL: no memory. */
static Csi__V1__VolumeHealth *health_to(struct arena *arena, const struct csi_volume *volume)
{
	Csi__V1__VolumeHealth *health =
		CSI_NEW(arena, Csi__V1__VolumeHealth, csi__v1__volume_health);
	Csi__V1__VolumeHealth__VolumeHealthEntry *entry =
		CSI_NEW(arena, Csi__V1__VolumeHealth__VolumeHealthEntry,
			csi__v1__volume_health__volume_health_entry);

	if (!health || !entry)
		return NULL;
	health->volume_id = csi_text(volume->id);
	if (!volume->abnormal)
		return health;
	entry->status = CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED;
	entry->reason = csi_text("VolumeAbnormal");
	entry->message = csi_text(volume->condition);
	health->health_statuses =
		arena_zalloc(arena, sizeof(Csi__V1__VolumeHealth__VolumeHealthEntry *));
	if (!health->health_statuses)
		return NULL;
	health->health_statuses[0] = entry;
	health->n_health_statuses = 1;
	return health;
}

enum grpc_code csi_get_volume_health(struct csi_request *req)
{
	const Csi__V1__ControllerGetVolumeHealthRequest *m = req->message;
	Csi__V1__ControllerGetVolumeHealthResponse rsp =
		CSI__V1__CONTROLLER_GET_VOLUME_HEALTH_RESPONSE__INIT;
	struct csi_volume volume = {0};
	enum grpc_code code =
		req->backend->get_volume(req->backend->ctx, &req->op, m->volume_id, &volume);

	if (code != GRPC_OK)
		return code;
	rsp.volume_health = health_to(req->arena, &volume);
	return rsp.volume_health ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_list_volume_health(struct csi_request *req)
{
	const Csi__V1__ControllerListVolumeHealthRequest *m = req->message;
	Csi__V1__ControllerListVolumeHealthResponse rsp =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_RESPONSE__INIT;
	struct csi_page page = {(uint32_t)m->max_entries, m->starting_token};
	struct csi_volumes list = {0};
	enum grpc_code code = req->backend->list_volumes(req->backend->ctx, &req->op, &page, &list);

	if (code != GRPC_OK)
		return code;
	rsp.entries = arena_zalloc(req->arena, list.n * sizeof(*rsp.entries));
	if (!rsp.entries)
		return csi_no_memory(req);
	for (size_t i = 0; i < list.n; i++) {
		rsp.entries[i] = health_to(req->arena, &list.items[i]);
		if (!rsp.entries[i])
			return csi_no_memory(req);
	}
	rsp.n_entries = list.n;
	rsp.next_token = csi_text(list.next_token);
	return csi_reply(req, &rsp);
}
