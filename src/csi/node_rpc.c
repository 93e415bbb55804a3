/* SPDX-License-Identifier: Apache-2.0 */
/* Node service: checks and conversion; the work is in node_*.c. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "csi/capability.h"
#include "csi/dispatch.h"

#define RPC_CAP(name) CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__##name

enum grpc_code csi_node_get_info(struct csi_request *req)
{
	Csi__V1__NodeGetInfoResponse rsp = CSI__V1__NODE_GET_INFO_RESPONSE__INIT;
	const struct csi_node_config *config = csi_node_config(req->service->node);

	rsp.node_id = csi_text(config->node_id);
	rsp.max_volumes_per_node = config->max_volumes;
	if (config->topology.n &&
	    !csi_topology_to(req->arena, &config->topology, &rsp.accessible_topology))
		return csi_no_memory(req);
	return csi_reply(req, &rsp);
}

enum grpc_code csi_node_get_capabilities(struct csi_request *req)
{
	static const Csi__V1__NodeServiceCapability__RPC__Type types[] = {
		RPC_CAP(STAGE_UNSTAGE_VOLUME), RPC_CAP(GET_VOLUME_STATS),
		RPC_CAP(EXPAND_VOLUME),        RPC_CAP(SINGLE_NODE_MULTI_WRITER),
		RPC_CAP(VOLUME_MOUNT_GROUP),   RPC_CAP(VOLUME_CONDITION),
		RPC_CAP(GET_VOLUME_HEALTH),    RPC_CAP(GET_STORAGE_HEALTH),
	};
	Csi__V1__NodeGetCapabilitiesResponse rsp = CSI__V1__NODE_GET_CAPABILITIES_RESPONSE__INIT;
	Csi__V1__NodeServiceCapability caps[ARRAY_LEN(types)], *list[ARRAY_LEN(types)];
	Csi__V1__NodeServiceCapability__RPC rpcs[ARRAY_LEN(types)];

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		csi__v1__node_service_capability__init(&caps[i]);
		csi__v1__node_service_capability__rpc__init(&rpcs[i]);
		rpcs[i].type = types[i];
		caps[i].type_case = CSI__V1__NODE_SERVICE_CAPABILITY__TYPE_RPC;
		caps[i].rpc = &rpcs[i];
		list[i] = &caps[i];
	}
	rsp.capabilities = list;
	rsp.n_capabilities = ARRAY_LEN(types);
	return csi_reply(req, &rsp);
}

/*
 * A path as the mount table has it: no slashes at its end, the symbolic links of its parents followed (/var/lib/kubelet may be one). Its last part is as it was given; where a parent is not there, nothing
 * is mounted, and the path stays. Paths that are not absolute stay, too: *ret is then what was given.
 */
static enum grpc_code real_path(struct csi_request *req, const char *field, const char *path,
				const char **ret)
{
	size_t len = strlen(path);
	char parent[PATH_MAX], *slash, *copy;
	bool there;

	*ret = path;
	if (path[0] != '/')
		return GRPC_OK;
	while (len && path[len - 1] == '/')
		len--;
	copy = arena_printf(req->arena, "%.*s", (int)len, path);
	if (!copy)
		return csi_no_memory(req);
	slash = strrchr(copy, '/');
	if (!slash || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
		return csi_fail(&req->op, GRPC_INVALID_ARGUMENT,
				"%s is no place of a volume: it ends with \"/\", \".\" or \"..\"",
				field);
	*ret = copy;
	if (slash == copy)
		return GRPC_OK;
	*slash = '\0';
	there = realpath(copy, parent);
	*slash = '/';
	if (there)
		*ret = arena_printf(req->arena, "%s%s", strcmp(parent, "/") == 0 ? "" : parent,
				    slash);
	return *ret ? GRPC_OK : csi_no_memory(req);
}

static enum grpc_code absolute_path(struct csi_request *req, const char *field, const char *path,
				    const char **ret)
{
	return path[0] == '/' ? real_path(req, field, path, ret)
			      : csi_fail(&req->op, GRPC_INVALID_ARGUMENT,
					 "%s is not an absolute path", field);
}

static enum grpc_code check_capability(struct csi_request *req, const struct csi_capability *cap)
{
	const char *trouble = csi_capability_trouble(cap);

	return trouble ? csi_fail(&req->op, GRPC_INVALID_ARGUMENT, "%s", trouble) : GRPC_OK;
}

enum grpc_code csi_node_stage_volume(struct csi_request *req)
{
	const Csi__V1__NodeStageVolumeRequest *m = req->message;
	Csi__V1__NodeStageVolumeResponse rsp = CSI__V1__NODE_STAGE_VOLUME_RESPONSE__INIT;
	struct csi_stage stage = {.volume_id = m->volume_id};
	enum grpc_code code;

	csi_capability_from(m->volume_capability, &stage.capability);
	code = absolute_path(req, "staging_target_path", m->staging_target_path, &stage.path);
	if (code == GRPC_OK)
		code = check_capability(req, &stage.capability);
	if (code != GRPC_OK)
		return code;
	if (!csi_map_from(req->arena, m->n_publish_context, m->publish_context,
			  &stage.publish_context) ||
	    !csi_map_from(req->arena, m->n_volume_context, m->volume_context,
			  &stage.volume_context))
		return csi_no_memory(req);
	stage.readonly = csi_reads_only(&stage.capability) ||
			 csi_map_get(&stage.publish_context, CSI_CONTEXT_READONLY);
	code = csi_node_stage(req->service->node, &req->op, &stage);
	return code == GRPC_OK ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_node_unstage_volume(struct csi_request *req)
{
	const Csi__V1__NodeUnstageVolumeRequest *m = req->message;
	Csi__V1__NodeUnstageVolumeResponse rsp = CSI__V1__NODE_UNSTAGE_VOLUME_RESPONSE__INIT;
	const char *path;
	enum grpc_code code = real_path(req, "staging_target_path", m->staging_target_path, &path);

	if (code == GRPC_OK)
		code = csi_node_unstage(req->service->node, &req->op, m->volume_id, path);
	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_node_publish_volume(struct csi_request *req)
{
	const Csi__V1__NodePublishVolumeRequest *m = req->message;
	Csi__V1__NodePublishVolumeResponse rsp = CSI__V1__NODE_PUBLISH_VOLUME_RESPONSE__INIT;
	struct csi_node_publish publish = {.volume_id = m->volume_id, .readonly = m->readonly};
	enum grpc_code code;

	csi_capability_from(m->volume_capability, &publish.capability);
	code = absolute_path(req, "target_path", m->target_path, &publish.path);
	if (code == GRPC_OK)
		code = real_path(req, "staging_target_path", m->staging_target_path,
				 &publish.staging_path);
	if (code == GRPC_OK)
		code = check_capability(req, &publish.capability);
	if (code == GRPC_OK && publish.staging_path[0] == '\0')
		code = csi_fail(&req->op, GRPC_FAILED_PRECONDITION,
				"staging_target_path is missing: the volume must be staged first");
	if (code != GRPC_OK)
		return code;
	if (!csi_map_from(req->arena, m->n_publish_context, m->publish_context,
			  &publish.publish_context))
		return csi_no_memory(req);
	if (csi_map_get(&publish.publish_context, CSI_CONTEXT_READONLY))
		publish.readonly = true;
	code = csi_node_publish(req->service->node, &req->op, &publish);
	return code == GRPC_OK ? csi_reply(req, &rsp) : code;
}

enum grpc_code csi_node_unpublish_volume(struct csi_request *req)
{
	const Csi__V1__NodeUnpublishVolumeRequest *m = req->message;
	Csi__V1__NodeUnpublishVolumeResponse rsp = CSI__V1__NODE_UNPUBLISH_VOLUME_RESPONSE__INIT;
	const char *path;
	enum grpc_code code = real_path(req, "target_path", m->target_path, &path);

	if (code == GRPC_OK)
		code = csi_node_unpublish(req->service->node, &req->op, m->volume_id, path);
	return code == GRPC_OK || code == GRPC_NOT_FOUND ? csi_reply(req, &rsp) : code;
}

static Csi__V1__VolumeUsage usage_of(Csi__V1__VolumeUsage__Unit unit, uint64_t total, uint64_t used,
				     uint64_t available)
{
	Csi__V1__VolumeUsage usage = CSI__V1__VOLUME_USAGE__INIT;

	usage.unit = unit;
	usage.total = (int64_t)total;
	usage.used = (int64_t)used;
	usage.available = (int64_t)available;
	return usage;
}

enum grpc_code csi_node_get_stats(struct csi_request *req)
{
	const Csi__V1__NodeGetVolumeStatsRequest *m = req->message;
	Csi__V1__NodeGetVolumeStatsResponse rsp = CSI__V1__NODE_GET_VOLUME_STATS_RESPONSE__INIT;
	Csi__V1__VolumeUsage bytes, inodes, *list[] = {&bytes, &inodes};
	struct csi_usage u = {0};
	const char *path;
	enum grpc_code code = real_path(req, "volume_path", m->volume_path, &path);

	if (code == GRPC_OK)
		code = csi_node_stats(req->service->node, &req->op, m->volume_id, path, &u);
	if (code != GRPC_OK)
		return code;
	bytes = usage_of(CSI__V1__VOLUME_USAGE__UNIT__BYTES, u.bytes_total, u.bytes_used,
			 u.bytes_available);
	inodes = usage_of(CSI__V1__VOLUME_USAGE__UNIT__INODES, u.inodes_total, u.inodes_used,
			  u.inodes_available);
	rsp.usage = list;
	/* btrfs makes inodes as it needs them and counts none. */
	rsp.n_usage = u.block || !u.inodes_total ? 1 : 2;
	rsp.volume_condition = csi_condition_to(req->arena, u.abnormal, u.condition);
	return rsp.volume_condition ? csi_reply(req, &rsp) : csi_no_memory(req);
}

enum grpc_code csi_node_get_health(struct csi_request *req)
{
	const Csi__V1__NodeGetVolumeHealthRequest *m = req->message;
	Csi__V1__NodeGetVolumeHealthResponse rsp = CSI__V1__NODE_GET_VOLUME_HEALTH_RESPONSE__INIT;
	Csi__V1__VolumeHealth health = CSI__V1__VOLUME_HEALTH__INIT;
	Csi__V1__VolumeHealth__VolumeHealthEntry entry =
		CSI__V1__VOLUME_HEALTH__VOLUME_HEALTH_ENTRY__INIT;
	Csi__V1__VolumeHealth__VolumeHealthEntry *list[] = {&entry};
	struct csi_usage usage = {0};
	/* Both paths are optional; without one it is the attachment that is told about. */
	const char *path =
		m->volume_publish_path[0] ? m->volume_publish_path : m->staging_target_path;
	enum grpc_code code = real_path(req, "volume_publish_path", path, &path);

	if (code == GRPC_OK)
		code = csi_node_health(req->service->node, &req->op, m->volume_id, path, &usage);
	if (code != GRPC_OK)
		return code;
	health.volume_id = m->volume_id;
	entry.status = CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE;
	entry.reason = csi_text("VolumeAbnormal");
	entry.message = csi_text(usage.condition);
	health.health_statuses = list;
	health.n_health_statuses = usage.abnormal ? 1 : 0;
	rsp.volume_health = &health;
	return csi_reply(req, &rsp);
}

typedef Csi__V1__NodeGetStorageHealthResponse__StorageBackendHealth BackendHealth;

/* NULL: no memory. */
static BackendHealth *health_of(struct csi_request *req, const struct csi_target *target)
{
	BackendHealth *health =
		CSI_NEW(req->arena, BackendHealth,
			csi__v1__node_get_storage_health_response__storage_backend_health);
	const char *text = arena_printf(
		req->arena,
		"%u of %u connections to %s are lost and tried again: see the network, and "
		"litepool-engine there",
		target->n_lost, target->n_lost + target->n_live, target->address);

	if (!health || !text)
		return NULL;
	health->status = target->n_live ? CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_DEGRADED
					: CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_UNREACHABLE;
	health->reason = csi_text("ConnectionsLost");
	health->message = csi_text(text);
	return health;
}

/* A back end is a node that serves volumes; those that no volume here is attached from are not known to this node. */
enum grpc_code csi_node_get_storage_health(struct csi_request *req)
{
	Csi__V1__NodeGetStorageHealthResponse rsp = CSI__V1__NODE_GET_STORAGE_HEALTH_RESPONSE__INIT;
	struct csi_target targets[CSI_TARGETS];
	BackendHealth *list[CSI_TARGETS];
	size_t n = csi_node_targets(req->service->node, targets, CSI_TARGETS);

	rsp.backend_health = list;
	for (size_t i = 0; i < n; i++) {
		if (!targets[i].n_lost)
			continue;
		list[rsp.n_backend_health] = health_of(req, &targets[i]);
		if (!list[rsp.n_backend_health++])
			return csi_no_memory(req);
	}
	return csi_reply(req, &rsp);
}

enum grpc_code csi_node_expand_volume(struct csi_request *req)
{
	const Csi__V1__NodeExpandVolumeRequest *m = req->message;
	Csi__V1__NodeExpandVolumeResponse rsp = CSI__V1__NODE_EXPAND_VOLUME_RESPONSE__INIT;
	uint64_t capacity = 0;
	const char *path;
	enum grpc_code code = real_path(req, "volume_path", m->volume_path, &path);

	if (code == GRPC_OK)
		code = csi_node_expand(req->service->node, &req->op, m->volume_id, path,
				       csi_range_from(m->capacity_range), &capacity);
	if (code != GRPC_OK)
		return code;
	rsp.capacity_bytes = (int64_t)capacity;
	return csi_reply(req, &rsp);
}
