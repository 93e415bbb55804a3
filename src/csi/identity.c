/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and what we can: a capability is claimed when the backend has the functions for it. */
#include <string.h>

#include "base/bytes.h"
#include "config.h"
#include "csi/dispatch.h"

#define CAPS_MAX 24

enum grpc_code csi_get_plugin_info(struct csi_request *req)
{
	Csi__V1__GetPluginInfoResponse rsp = CSI__V1__GET_PLUGIN_INFO_RESPONSE__INIT;

	rsp.name = csi_text(req->service->driver_name);
	rsp.vendor_version = csi_text(LITEPOOL_VERSION);
	return csi_reply(req, &rsp);
}

static Csi__V1__PluginCapability *service_cap(struct arena *arena,
					      Csi__V1__PluginCapability__Service__Type type)
{
	Csi__V1__PluginCapability *cap =
		CSI_NEW(arena, Csi__V1__PluginCapability, csi__v1__plugin_capability);

	if (!cap)
		return NULL;
	cap->type_case = CSI__V1__PLUGIN_CAPABILITY__TYPE_SERVICE;
	cap->service = CSI_NEW(arena, Csi__V1__PluginCapability__Service,
			       csi__v1__plugin_capability__service);
	if (cap->service)
		cap->service->type = type;
	return cap->service ? cap : NULL;
}

static Csi__V1__PluginCapability *online_expansion(struct arena *arena)
{
	Csi__V1__PluginCapability *cap =
		CSI_NEW(arena, Csi__V1__PluginCapability, csi__v1__plugin_capability);

	if (!cap)
		return NULL;
	cap->type_case = CSI__V1__PLUGIN_CAPABILITY__TYPE_VOLUME_EXPANSION;
	cap->volume_expansion = CSI_NEW(arena, Csi__V1__PluginCapability__VolumeExpansion,
					csi__v1__plugin_capability__volume_expansion);
	if (cap->volume_expansion)
		cap->volume_expansion->type =
			CSI__V1__PLUGIN_CAPABILITY__VOLUME_EXPANSION__TYPE__ONLINE;
	return cap->volume_expansion ? cap : NULL;
}

/*
 * The same from the controller's and the node's process, as CSI demands of one version: what the driver can, not what this process serves. A driver
 * without a backend, on a node, claims what the one of csi/plane.h has.
 */
enum grpc_code csi_get_plugin_capabilities(struct csi_request *req)
{
	Csi__V1__GetPluginCapabilitiesResponse rsp =
		CSI__V1__GET_PLUGIN_CAPABILITIES_RESPONSE__INIT;
	Csi__V1__PluginCapability *caps[CAPS_MAX];
	const struct csi_backend *b = req->backend;
	size_t n = 0;

	caps[n++] = service_cap(req->arena,
				CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__CONTROLLER_SERVICE);
	caps[n++] = service_cap(
		req->arena,
		CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__VOLUME_ACCESSIBILITY_CONSTRAINTS);
	caps[n++] = online_expansion(req->arena);
	if (!b || b->create_group)
		caps[n++] = service_cap(
			req->arena,
			CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__GROUP_CONTROLLER_SERVICE);
	if (!b || b->extents)
		caps[n++] = service_cap(
			req->arena,
			CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__SNAPSHOT_METADATA_SERVICE);
	for (size_t i = 0; i < n; i++)
		if (!caps[i])
			return csi_no_memory(req);
	rsp.capabilities = caps;
	rsp.n_capabilities = n;
	return csi_reply(req, &rsp);
}

enum grpc_code csi_probe(struct csi_request *req)
{
	Csi__V1__ProbeResponse rsp = CSI__V1__PROBE_RESPONSE__INIT;
	Google__Protobuf__BoolValue ready = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
	bool is_ready = true;
	enum grpc_code code = GRPC_OK;

	if (req->backend && req->backend->probe)
		code = req->backend->probe(req->backend->ctx, &req->op, &is_ready);
	if (code != GRPC_OK)
		return code;
	ready.value = is_ready;
	rsp.ready = &ready;
	return csi_reply(req, &rsp);
}

#define RPC_CAP(name) CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__##name

static size_t controller_types(const struct csi_backend *b,
			       Csi__V1__ControllerServiceCapability__RPC__Type types[CAPS_MAX])
{
	const struct {
		bool have;
		Csi__V1__ControllerServiceCapability__RPC__Type type;
	} table[] = {
		{b->create_volume && b->delete_volume, RPC_CAP(CREATE_DELETE_VOLUME)},
		{b->publish && b->unpublish, RPC_CAP(PUBLISH_UNPUBLISH_VOLUME)},
		{b->publish && b->unpublish, RPC_CAP(PUBLISH_READONLY)},
		{b->list_volumes, RPC_CAP(LIST_VOLUMES)},
		{b->list_volumes && b->publish, RPC_CAP(LIST_VOLUMES_PUBLISHED_NODES)},
		{b->list_volumes, RPC_CAP(LIST_VOLUME_HEALTH)},
		{b->get_volume, RPC_CAP(GET_VOLUME)},
		{b->get_volume, RPC_CAP(VOLUME_CONDITION)},
		{b->get_volume, RPC_CAP(GET_VOLUME_HEALTH)},
		{b->get_capacity, RPC_CAP(GET_CAPACITY)},
		{b->create_snapshot && b->delete_snapshot, RPC_CAP(CREATE_DELETE_SNAPSHOT)},
		{b->list_snapshots, RPC_CAP(LIST_SNAPSHOTS)},
		{b->get_snapshot, RPC_CAP(GET_SNAPSHOT)},
		{b->create_volume, RPC_CAP(CLONE_VOLUME)},
		{b->expand_volume, RPC_CAP(EXPAND_VOLUME)},
		{b->modify_volume, RPC_CAP(MODIFY_VOLUME)},
		{true, RPC_CAP(SINGLE_NODE_MULTI_WRITER)},
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].have)
			types[n++] = table[i].type;
	return n;
}

enum grpc_code csi_controller_get_capabilities(struct csi_request *req)
{
	static const struct csi_backend none;
	Csi__V1__ControllerGetCapabilitiesResponse rsp =
		CSI__V1__CONTROLLER_GET_CAPABILITIES_RESPONSE__INIT;
	Csi__V1__ControllerServiceCapability caps[CAPS_MAX], *list[CAPS_MAX];
	Csi__V1__ControllerServiceCapability__RPC rpcs[CAPS_MAX];
	Csi__V1__ControllerServiceCapability__RPC__Type types[CAPS_MAX];
	size_t n = controller_types(req->backend ? req->backend : &none, types);

	for (size_t i = 0; i < n; i++) {
		csi__v1__controller_service_capability__init(&caps[i]);
		csi__v1__controller_service_capability__rpc__init(&rpcs[i]);
		rpcs[i].type = types[i];
		caps[i].type_case = CSI__V1__CONTROLLER_SERVICE_CAPABILITY__TYPE_RPC;
		caps[i].rpc = &rpcs[i];
		list[i] = &caps[i];
	}
	rsp.capabilities = list;
	rsp.n_capabilities = n;
	return csi_reply(req, &rsp);
}

enum grpc_code csi_group_get_capabilities(struct csi_request *req)
{
	Csi__V1__GroupControllerGetCapabilitiesResponse rsp =
		CSI__V1__GROUP_CONTROLLER_GET_CAPABILITIES_RESPONSE__INIT;
	Csi__V1__GroupControllerServiceCapability cap =
		CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__INIT;
	Csi__V1__GroupControllerServiceCapability__RPC rpc =
		CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__RPC__INIT;
	Csi__V1__GroupControllerServiceCapability *list[] = {&cap};

	rpc.type =
		CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT;
	cap.type_case = CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__TYPE_RPC;
	cap.rpc = &rpc;
	rsp.capabilities = list;
	rsp.n_capabilities = req->backend && req->backend->create_group ? 1 : 0;
	return csi_reply(req, &rsp);
}
