/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/nvme_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/str.h"
#include "csi/local.h"
#include "csi/plane_names.h"
#include "host/attach.h"
#include "rt/lock.h"

#define ATTACH_MS 120000
#define DETACH_MS 60000
#define GROW_MS   30000
#define LOOK_MS   200
/* How long a lost target is tried again before its device goes, s: upgrades and reboots of its node pass. */
#define LOSS_S 3600
/* How soon it is tried again, s: I/O of an engine that is restarted pauses for about as long. The kernel's default is 10. */
#define RECONNECT_S 2

struct nvme_host {
	struct csi_host table;
	struct nvme_host_config config;
	struct lock *lock; /* protects calls */
	struct list calls; /* nvme_call.link */
	struct background *looker;
};

/* A call that src/host works on: its cancellation as a descriptor. */
struct nvme_call {
	struct list link;
	const struct csi_op *op;
	int fds[2];
};

/* Looks whether somebody still waits for each call. */
static int look(void *ctx)
{
	struct nvme_host *host = ctx;
	bool any = false;

	lock_take(host->lock);
	list_for_each (it, &host->calls) {
		const struct nvme_call *call = list_entry(it, struct nvme_call, link);

		any = true;
		/* The pipe is never read: once is enough, and a full one says the same. */
		if (csi_cancelled(call->op) && write(call->fds[1], "", 1) < 0)
			continue;
	}
	lock_drop(host->lock);
	return any ? LOOK_MS : -1;
}

static bool call_begin(struct nvme_host *host, struct csi_op *op, struct nvme_call *call)
{
	call->op = op;
	if (pipe2(call->fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	lock_take(host->lock);
	list_push_back(&host->calls, &call->link);
	lock_drop(host->lock);
	background_kick(host->looker);
	return true;
}

static void call_end(struct nvme_host *host, struct nvme_call *call)
{
	lock_take(host->lock);
	list_remove(&call->link);
	lock_drop(host->lock);
	(void)close(call->fds[0]);
	(void)close(call->fds[1]);
}

static struct host_env env_of(const struct nvme_host *host, const struct nvme_call *call)
{
	return (struct host_env){.root = host->config.root, .cancel_fd = call ? call->fds[0] : -1};
}

static enum grpc_code code_of(int rc)
{
	switch (-rc) {
	case ETIMEDOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case ECANCELED:
		return GRPC_CANCELLED;
	case EBUSY:
	case EOPNOTSUPP:
	case EEXIST:
		return GRPC_FAILED_PRECONDITION;
	case EINVAL:
		return GRPC_INVALID_ARGUMENT;
	case ECONNREFUSED:
	case EACCES:
	case ENOENT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_INTERNAL;
	}
}

/* "192.0.2.1:4420" or "[2001:db8::1]:4420", len bytes of it. */
static bool read_target(const char *text, size_t len, struct host_path *ret)
{
	char copy[HOST_ADDR_SIZE + 16], *colon;
	size_t alen;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	colon = strrchr(copy, ':');
	if (!colon || colon == copy)
		return false;
	*colon = '\0';
	alen = strlen(copy);
	if (copy[0] == '[' && copy[alen - 1] == ']') {
		copy[alen - 1] = '\0';
		return str_copy(ret->traddr, sizeof(ret->traddr), copy + 1) &&
		       str_copy(ret->trsvcid, sizeof(ret->trsvcid), colon + 1);
	}
	return str_copy(ret->traddr, sizeof(ret->traddr), copy) &&
	       str_copy(ret->trsvcid, sizeof(ret->trsvcid), colon + 1);
}

static unsigned read_targets(const char *text, struct host_path paths[HOST_PATHS_MAX])
{
	unsigned n = 0;

	while (*text && n < HOST_PATHS_MAX) {
		size_t len = strcspn(text, ",");

		if (read_target(text, len, &paths[n]))
			n++;
		text += len + (text[len] == ',');
	}
	return n;
}

static enum grpc_code read_context(struct csi_op *op, const char *volume_id,
				   const struct csi_map *context, char nqn[PLANE_NQN_SIZE],
				   struct host_path paths[HOST_PATHS_MAX],
				   struct host_attach_req *req)
{
	const char *told = csi_map_get(context, PLANE_CONTEXT_NQN);
	const char *nguid = csi_map_get(context, PLANE_CONTEXT_NGUID);
	const char *targets = csi_map_get(context, PLANE_CONTEXT_TARGETS);
	struct plane_id id;

	if (!plane_id_parse(volume_id, &id))
		return csi_fail(op, GRPC_NOT_FOUND, "there is no volume %s", volume_id);
	(void)plane_volume_nqn(&id.uid, nqn);
	if (!told || !nguid || !targets)
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"publish_context does not say where volume %s is (nqn, nguid, "
				"targets): it must be that of ControllerPublishVolume",
				volume_id);
	req->nqn = nqn;
	req->paths = paths;
	req->n_paths = read_targets(targets, paths);
	if (strcmp(told, nqn) != 0 || !host_id_parse(HOST_ID_NGUID, nguid, &req->id) ||
	    !req->n_paths)
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"publish_context is not of volume %s, or not of this driver's "
				"version (nqn %s, nguid %s, targets %s)",
				volume_id, told, nguid, targets);
	return GRPC_OK;
}

static enum grpc_code attach_nvme(struct nvme_host *host, struct csi_op *op, const char *volume_id,
				  const struct csi_map *publish_context,
				  char device[CSI_DEVICE_MAX])
{
	struct host_path paths[HOST_PATHS_MAX] = {0};
	struct host_attach_req req = {
		.hostnqn = host->config.hostnqn[0] ? host->config.hostnqn : NULL,
		.hostid = host->config.hostid[0] ? host->config.hostid : NULL,
		.opts = {.ctrl_loss_tmo = LOSS_S, .reconnect_delay = RECONNECT_S},
		.timeout_ms = ATTACH_MS};
	struct host_attach_result result;
	char nqn[PLANE_NQN_SIZE];
	struct nvme_call call;
	struct host_env env;
	struct err err = {0};
	enum grpc_code code = read_context(op, volume_id, publish_context, nqn, paths, &req);
	int rc;

	if (code != GRPC_OK)
		return code;
	if (!call_begin(host, op, &call))
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "cannot begin to attach: %s",
				strerror(errno));
	env = env_of(host, &call);
	rc = host_attach(&env, &req, &result, &err);
	call_end(host, &call);
	if (rc < 0)
		return csi_fail(op, code_of(rc), "cannot attach volume %s: %s", volume_id,
				err.text);
	(void)str_copy(device, CSI_DEVICE_MAX, result.device.path);
	return GRPC_OK;
}

/* A subsystem has the one volume, at the one NSID that the agent gives it. */
static bool names_of(const char *volume_id, char nqn[PLANE_NQN_SIZE], struct host_id *ret)
{
	struct plane_id id;

	if (!plane_id_parse(volume_id, &id))
		return false;
	(void)plane_volume_nqn(&id.uid, nqn);
	*ret = (struct host_id){.kind = HOST_ID_NSID, .nsid = 1};
	return true;
}

/* The volume's namespace, if it is attached here by NVMe. */
static bool find_namespace(struct nvme_host *host, const char *volume_id, struct host_device *ret)
{
	struct host_env env = env_of(host, NULL);
	char nqn[PLANE_NQN_SIZE];
	struct host_id id;

	return names_of(volume_id, nqn, &id) && host_device_find(&env, nqn, &id, ret);
}

static enum grpc_code find(void *ctx, struct csi_op *op, const char *volume_id,
			   char device[CSI_DEVICE_MAX])
{
	struct nvme_host *host = ctx;
	struct host_device found;
	struct plane_id volume;

	if (find_namespace(host, volume_id, &found)) {
		(void)str_copy(device, CSI_DEVICE_MAX, found.path);
		return GRPC_OK;
	}
	if (plane_id_parse(volume_id, &volume) &&
	    local_find(host->config.root, &volume.uid, device))
		return GRPC_OK;
	return csi_fail(op, GRPC_NOT_FOUND, "volume %s is not attached to this node", volume_id);
}

/* A namespace's host hears of its growth by an event, after the call that made it grow has returned. An LVM volume's device has grown before. */
static enum grpc_code grown(void *ctx, struct csi_op *op, const char *volume_id, const char *device,
			    uint64_t bytes)
{
	struct nvme_host *host = ctx;
	struct host_device found;
	struct nvme_call call;
	struct host_env env;
	struct err err = {0};
	int rc;

	if (!find_namespace(host, volume_id, &found))
		return GRPC_OK;
	if (!call_begin(host, op, &call))
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "cannot wait for %s to grow: %s",
				device, strerror(errno));
	env = env_of(host, &call);
	rc = host_wait_size(&env, device, bytes, GROW_MS, &bytes, &err);
	call_end(host, &call);
	return rc == 0 ? GRPC_OK
		       : csi_fail(op, code_of(rc), "volume %s has not grown on this node: %s",
				  volume_id, err.text);
}

struct target_search {
	const char *nqn; /* NULL: of all volumes */
	struct csi_target *ret;
	size_t n, max;
};

static struct csi_target *target_at(struct target_search *search, const char *address)
{
	for (size_t i = 0; i < search->n; i++)
		if (strcmp(search->ret[i].address, address) == 0)
			return &search->ret[i];
	if (search->n == search->max)
		return NULL;
	search->ret[search->n] = (struct csi_target){.n_live = 0};
	(void)str_copy(search->ret[search->n].address, CSI_TARGET_MAX, address);
	return &search->ret[search->n++];
}

static bool target_count(void *ctx, const struct host_device *device)
{
	struct target_search *search = ctx;

	if (search->nqn ? strcmp(device->nqn, search->nqn) != 0
			: strncmp(device->nqn, PLANE_NQN_PREFIX, strlen(PLANE_NQN_PREFIX)) != 0)
		return true;
	for (unsigned i = 0; i < device->ctrls.n; i++) {
		const struct host_ctrl *ctrl = &device->ctrls.at[i];
		struct csi_target *target;
		char address[CSI_TARGET_MAX];

		(void)snprintf(address, sizeof(address), "%s:%s", ctrl->traddr, ctrl->trsvcid);
		target = target_at(search, address);
		if (!target)
			continue;
		if (strcmp(ctrl->state, "live") == 0)
			target->n_live++;
		else
			target->n_lost++;
	}
	return true;
}

static size_t targets(void *ctx, const char *volume_id, struct csi_target *ret, size_t max)
{
	const struct nvme_host *host = ctx;
	struct target_search search = {.ret = ret, .max = max};
	struct host_env env = env_of(host, NULL);
	char nqn[PLANE_NQN_SIZE];
	struct host_id id;

	if (volume_id && !names_of(volume_id, nqn, &id))
		return 0;
	search.nqn = volume_id ? nqn : NULL;
	host_device_each(&env, true, target_count, &search);
	return search.n;
}

static enum grpc_code detach_nvme(struct nvme_host *host, struct csi_op *op, const char *volume_id)
{
	struct host_detach_req req = {.timeout_ms = DETACH_MS};
	char nqn[PLANE_NQN_SIZE];
	struct nvme_call call;
	struct host_env env;
	struct err err = {0};
	int rc;

	if (!names_of(volume_id, nqn, &req.id))
		return GRPC_OK;
	req.nqn = nqn;
	if (!call_begin(host, op, &call))
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "cannot begin to detach: %s",
				strerror(errno));
	env = env_of(host, &call);
	rc = host_detach(&env, &req, &err);
	call_end(host, &call);
	/* 1: another namespace still needs the controllers; this volume is given up all the same. */
	return rc >= 0 ? GRPC_OK
		       : csi_fail(op, code_of(rc), "cannot detach volume %s: %s", volume_id,
				  err.text);
}

/*
 * The kernel goes on to knock at the target, for an hour if need be, with what it has to write. Should this node be let in again meanwhile, that would land upon what
 * others have written: so the controllers go first.
 */
static enum grpc_code give_up(void *ctx, struct csi_op *op, const char *volume_id)
{
	struct nvme_host *host = ctx;
	struct host_env env = env_of(host, NULL);
	char nqn[PLANE_NQN_SIZE];
	struct host_id id;
	struct err err = {0};
	bool let_in;
	enum grpc_code code =
		record_lets_in(host->config.client, op, volume_id, host->config.node, &let_in);

	if (code == GRPC_OK && let_in)
		code = csi_fail(op, GRPC_UNAVAILABLE,
				"no connection to volume %s is live, and what is to be written to "
				"it waits: see its node, the network, and litepool-engine there",
				volume_id);
	if (code != GRPC_OK || !names_of(volume_id, nqn, &id))
		return code;
	return host_abandon(&env, nqn, DETACH_MS, &err) == 0
		       ? GRPC_OK
		       : csi_fail(op, code_of(err.code), "cannot give up volume %s: %s", volume_id,
				  err.text);
}

/* Either way to the device is given up before the other is taken: find has one answer. */
static enum grpc_code attach(void *ctx, struct csi_op *op, const char *volume_id,
			     const struct csi_map *publish_context,
			     const struct csi_map *volume_context, char device[CSI_DEVICE_MAX])
{
	struct nvme_host *host = ctx;
	const char *path = csi_map_get(publish_context, PLANE_CONTEXT_DEVICE), *root;
	enum grpc_code code = GRPC_OK;
	struct plane_id id;
	struct err err = {0};
	int rc;

	root = host->config.root;
	if (!plane_id_parse(volume_id, &id))
		return csi_fail(op, GRPC_NOT_FOUND, "there is no volume %s", volume_id);
	if (path)
		code = detach_nvme(host, op, volume_id);
	if (code != GRPC_OK)
		return code;
	rc = path ? local_attach(root, &id.uid, path, &err) : local_detach(root, &id.uid, &err);
	if (rc < 0)
		return csi_fail(op, code_of(rc), "cannot attach volume %s: %s", volume_id,
				err.text);
	if (!path)
		return attach_nvme(host, op, volume_id, publish_context, device);
	(void)str_copy(device, CSI_DEVICE_MAX, path);
	return GRPC_OK;
}

static enum grpc_code detach(void *ctx, struct csi_op *op, const char *volume_id)
{
	struct nvme_host *host = ctx;
	struct plane_id id;
	struct err err = {0};
	enum grpc_code code = detach_nvme(host, op, volume_id);

	if (code == GRPC_OK && plane_id_parse(volume_id, &id) &&
	    local_detach(host->config.root, &id.uid, &err) < 0)
		code = csi_fail(op, GRPC_INTERNAL, "cannot detach volume %s: %s", volume_id,
				err.text);
	return code;
}

static enum grpc_code format_get(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_map *volume_context, struct csi_format *ret)
{
	struct nvme_host *host = ctx;

	return record_get(host->config.client, op, volume_id, ret);
}

static enum grpc_code format_set(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_format *format)
{
	struct nvme_host *host = ctx;

	return record_set(host->config.client, op, volume_id, format);
}

int nvme_host_new(const struct nvme_host_config *config, struct nvme_host **ret, struct err *err)
{
	struct nvme_host *host = calloc(1, sizeof(*host));
	int rc = host ? lock_new(&host->lock) : -ENOMEM;

	if (rc) {
		free(host);
		return err_set(err, rc, "no memory for the node service");
	}
	host->config = *config;
	host->table = (struct csi_host){.ctx = host,
					.attach = attach,
					.find = find,
					.grown = grown,
					.detach = detach,
					.give_up = give_up,
					.targets = targets,
					.format_get = format_get,
					.format_set = format_set};
	list_init(&host->calls);
	rc = background_new(look, host, &host->looker, err);
	if (rc) {
		nvme_host_free(host);
		return rc;
	}
	*ret = host;
	return 0;
}

void nvme_host_free(struct nvme_host *host)
{
	if (!host)
		return;
	if (host->looker)
		background_free(host->looker);
	lock_free(host->lock);
	free(host);
}

const struct csi_host *nvme_host_table(const struct nvme_host *host)
{
	return &host->table;
}
