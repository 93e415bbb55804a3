/* SPDX-License-Identifier: Apache-2.0 */
/* Controller service: volumes and where they are published. */
#include <string.h>

#include "csi/capability.h"
#include "csi/dispatch.h"

static enum grpc_code source_from(struct csi_request *req, const Csi__V1__VolumeContentSource *from,
				  struct csi_source *ret)
{
	*ret = (struct csi_source){.kind = CSI_SOURCE_NONE};
	if (!from)
		return GRPC_OK;
	if (from->type_case == CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT)
		*ret = (struct csi_source){CSI_SOURCE_SNAPSHOT, from->snapshot->snapshot_id};
	else if (from->type_case == CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_VOLUME)
		*ret = (struct csi_source){CSI_SOURCE_VOLUME, from->volume->volume_id};
	else
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT,
				"volume_content_source says neither snapshot nor volume");
	if (ret->id[0] == '\0')
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT, "volume_content_source has no id");
	return GRPC_OK;
}

static enum grpc_code check_capabilities(struct csi_request *req,
					 const struct csi_capabilities *caps)
{
	for (size_t i = 0; i < caps->n; i++) {
		const char *trouble = csi_capability_trouble(&caps->items[i]);

		if (trouble)
			return csi_fail(&req->op, GRPC_INVALID_ARGUMENT, "%s", trouble);
	}
	return GRPC_OK;
}

static bool create_from(struct arena *arena, const Csi__V1__CreateVolumeRequest *m,
			struct csi_create_volume *ret)
{
	const Csi__V1__TopologyRequirement *where = m->accessibility_requirements;

	*ret = (struct csi_create_volume){.name = m->name,
					  .range = csi_range_from(m->capacity_range)};
	if (where &&
	    (!csi_topology_from(arena, where->n_requisite, where->requisite, &ret->requisite) ||
	     !csi_topology_from(arena, where->n_preferred, where->preferred, &ret->preferred)))
		return false;
	return csi_capabilities_from(arena, m->n_volume_capabilities, m->volume_capabilities,
				     &ret->capabilities) &&
	       csi_map_from(arena, m->n_parameters, m->parameters, &ret->parameters) &&
	       csi_map_from(arena, m->n_mutable_parameters, m->mutable_parameters,
			    &ret->mutable_parameters);
}

enum grpc_code csi_create_volume(struct csi_request *req)
{
	const Csi__V1__CreateVolumeRequest *m = req->message;
	Csi__V1__CreateVolumeResponse rsp = CSI__V1__CREATE_VOLUME_RESPONSE__INIT;
	struct csi_create_volume create;
	struct csi_volume volume = {0};
	enum grpc_code code;

	if (!create_from(req->arena, m, &create))
		return csi_no_memory(req);
	code = source_from(req, m->volume_content_source, &create.source);
	if (code == GRPC_OK)
		code = check_capabilities(req, &create.capabilities);
	if (code == GRPC_OK)
		code = req->backend->create_volume(req->backend->ctx, &req->op, &create, &volume);
	if (code != GRPC_OK)
		return code;
	rsp.volume = csi_volume_to(req->arena, &volume);
	return rsp.volume ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_delete_volume(struct csi_request *req)
{
	const Csi__V1__DeleteVolumeRequest *m = req->message;
	Csi__V1__DeleteVolumeResponse rsp = CSI__V1__DELETE_VOLUME_RESPONSE__INIT;
	enum grpc_code code =
		req->backend->delete_volume(req->backend->ctx, &req->op, m->volume_id);

	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_validate_capabilities(struct csi_request *req)
{
	const Csi__V1__ValidateVolumeCapabilitiesRequest *m = req->message;
	Csi__V1__ValidateVolumeCapabilitiesResponse rsp =
		CSI__V1__VALIDATE_VOLUME_CAPABILITIES_RESPONSE__INIT;
	Csi__V1__ValidateVolumeCapabilitiesResponse__Confirmed confirmed =
		CSI__V1__VALIDATE_VOLUME_CAPABILITIES_RESPONSE__CONFIRMED__INIT;
	struct csi_capabilities caps;
	struct csi_volume volume = {0};
	enum grpc_code code =
		req->backend->get_volume(req->backend->ctx, &req->op, m->volume_id, &volume);

	if (code != GRPC_OK)
		return code;
	if (!csi_capabilities_from(req->arena, m->n_volume_capabilities, m->volume_capabilities,
				   &caps))
		return csi_no_memory(req);
	if (check_capabilities(req, &caps) != GRPC_OK) {
		rsp.message = req->op.why;
		return csi_reply(req, &rsp);
	}
	confirmed.n_volume_capabilities = m->n_volume_capabilities;
	confirmed.volume_capabilities = m->volume_capabilities;
	rsp.confirmed = &confirmed;
	return csi_reply(req, &rsp);
}

/* The node enforces it, and hears of it by the context. */
static bool note_readonly(struct csi_request *req, struct csi_map *context)
{
	struct csi_pair *pairs = arena_zalloc(req->arena, (context->n + 1) * sizeof(*pairs));

	if (!pairs)
		return false;
	if (context->n)
		memcpy(pairs, context->items, context->n * sizeof(*pairs));
	pairs[context->n] = (struct csi_pair){CSI_CONTEXT_READONLY, "true"};
	*context = (struct csi_map){pairs, context->n + 1};
	return true;
}

enum grpc_code csi_publish_volume(struct csi_request *req)
{
	const Csi__V1__ControllerPublishVolumeRequest *m = req->message;
	Csi__V1__ControllerPublishVolumeResponse rsp =
		CSI__V1__CONTROLLER_PUBLISH_VOLUME_RESPONSE__INIT;
	struct csi_publish publish = {
		.volume_id = m->volume_id, .node_id = m->node_id, .readonly = m->readonly};
	struct csi_map context = {0};
	const char *trouble;
	enum grpc_code code;

	csi_capability_from(m->volume_capability, &publish.capability);
	trouble = csi_capability_trouble(&publish.capability);
	if (trouble)
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT, "%s", trouble);
	if (!csi_map_from(req->arena, m->n_volume_context, m->volume_context,
			  &publish.volume_context))
		return csi_no_memory(req);
	code = req->backend->publish(req->backend->ctx, &req->op, &publish, &context);
	if (code != GRPC_OK)
		return code;
	if (publish.readonly && !note_readonly(req, &context))
		return csi_no_memory(req);
	if (!csi_map_to(
		    req->arena, &context,
		    &csi__v1__controller_publish_volume_response__publish_context_entry__descriptor,
		    &rsp.n_publish_context, &rsp.publish_context))
		return csi_no_memory(req);
	return csi_reply(req, &rsp);
}

enum grpc_code csi_unpublish_volume(struct csi_request *req)
{
	const Csi__V1__ControllerUnpublishVolumeRequest *m = req->message;
	Csi__V1__ControllerUnpublishVolumeResponse rsp =
		CSI__V1__CONTROLLER_UNPUBLISH_VOLUME_RESPONSE__INIT;
	enum grpc_code code =
		req->backend->unpublish(req->backend->ctx, &req->op, m->volume_id, m->node_id);

	/* CSI allows NOT_FOUND here, but the kubelet's side would repeat the call for ever. */
	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_expand_volume(struct csi_request *req)
{
	const Csi__V1__ControllerExpandVolumeRequest *m = req->message;
	Csi__V1__ControllerExpandVolumeResponse rsp =
		CSI__V1__CONTROLLER_EXPAND_VOLUME_RESPONSE__INIT;
	struct csi_range range = csi_range_from(m->capacity_range);
	uint64_t capacity = 0;
	bool on_node = true;
	enum grpc_code code;

	if (!range.required && !range.limit)
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT,
				"capacity_range says no size; give required_bytes");
	code = req->backend->expand_volume(req->backend->ctx, &req->op, m->volume_id, range,
					   &capacity, &on_node);
	if (code != GRPC_OK)
		return code;
	rsp.capacity_bytes = (int64_t)capacity;
	/* A raw block device grows by itself. */
	rsp.node_expansion_required =
		on_node &&
		!(m->volume_capability && m->volume_capability->access_type_case ==
						  CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK);
	return csi_reply(req, &rsp);
}

enum grpc_code csi_modify_volume(struct csi_request *req)
{
	const Csi__V1__ControllerModifyVolumeRequest *m = req->message;
	Csi__V1__ControllerModifyVolumeResponse rsp =
		CSI__V1__CONTROLLER_MODIFY_VOLUME_RESPONSE__INIT;
	struct csi_map parameters;
	enum grpc_code code;

	if (!csi_map_from(req->arena, m->n_mutable_parameters, m->mutable_parameters, &parameters))
		return csi_no_memory(req);
	code = req->backend->modify_volume(req->backend->ctx, &req->op, m->volume_id, &parameters);
	return code == GRPC_OK ? csi_reply(req, &rsp) : code;
}

static enum grpc_code capacity_reply(struct csi_request *req, const struct csi_capacity *capacity)
{
	Csi__V1__GetCapacityResponse rsp = CSI__V1__GET_CAPACITY_RESPONSE__INIT;
	Google__Protobuf__Int64Value maximum = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
	Google__Protobuf__Int64Value minimum = GOOGLE__PROTOBUF__INT64_VALUE__INIT;

	rsp.available_capacity = (int64_t)capacity->available;
	maximum.value = (int64_t)capacity->maximum;
	minimum.value = (int64_t)capacity->minimum;
	rsp.maximum_volume_size = capacity->maximum ? &maximum : NULL;
	rsp.minimum_volume_size = capacity->minimum ? &minimum : NULL;
	return csi_reply(req, &rsp);
}

enum grpc_code csi_get_capacity(struct csi_request *req)
{
	const Csi__V1__GetCapacityRequest *m = req->message;
	struct csi_capabilities caps;
	struct csi_map parameters, segments = {0};
	struct csi_capacity capacity = {0};
	enum grpc_code code;

	if (!csi_capabilities_from(req->arena, m->n_volume_capabilities, m->volume_capabilities,
				   &caps) ||
	    !csi_map_from(req->arena, m->n_parameters, m->parameters, &parameters) ||
	    (m->accessible_topology && !csi_map_from(req->arena, m->accessible_topology->n_segments,
						     m->accessible_topology->segments, &segments)))
		return csi_no_memory(req);
	/* Nothing of what cannot be made is available. */
	if (check_capabilities(req, &caps) != GRPC_OK)
		return capacity_reply(req, &capacity);
	code = req->backend->get_capacity(req->backend->ctx, &req->op, &caps, &parameters,
					  m->accessible_topology ? &segments : NULL, &capacity);
	return code == GRPC_OK ? capacity_reply(req, &capacity) : code;
}
