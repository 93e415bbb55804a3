/* SPDX-License-Identifier: Apache-2.0 */
/* Stage and unstage: the device and its one mount on this node. The steps are in node.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "csi/capability.h"
#include "csi/node_priv.h"
#include "rt/fs.h"

#define OPTIONS_MAX 4608

int csi_node_new(const struct csi_node_config *config, struct csi_node **ret, struct err *err)
{
	struct csi_node *node = calloc(1, sizeof(*node));

	if (!node)
		return err_set(err, -ENOMEM, "no memory for the node service");
	node->config = *config;
	*ret = node;
	return 0;
}

void csi_node_free(struct csi_node *node)
{
	free(node);
}

const struct csi_node_config *csi_node_config(const struct csi_node *node)
{
	return &node->config;
}

/* The options that were asked for, and those that we must add. False: too long. */
static bool options_join(const struct csi_stage *req, const struct csi_format *record,
			 const char *fs, char *text, size_t size)
{
	int used = snprintf(text, size, "%s", req->readonly ? "ro" : "rw");

	for (size_t i = 0; i < req->capability.mount_flags.n; i++) {
		used += snprintf(text + used, size - (size_t)used, ",%s",
				 req->capability.mount_flags.items[i]);
		if ((size_t)used >= size)
			return false;
	}
	/* A clone has its source's UUID, and xfs refuses to mount the same twice on a host. Never for others: it would hide a real mistake. */
	if (strcmp(fs, "xfs") == 0 && record->clone)
		used += snprintf(text + used, size - (size_t)used, ",nouuid");
	return (size_t)used < size;
}

/* What is at the staging path already. *ret_done: just what is asked for. */
static enum grpc_code check_staged(struct csi_op *op, const struct csi_stage *req,
				   const char *device, const char *fs, bool *ret_done)
{
	struct node_mount mount;
	dev_t number;
	enum grpc_code code = node_mount_at(op, req->path, &mount);

	*ret_done = false;
	if (code != GRPC_OK || !mount.mounted)
		return code;
	code = node_device_number(op, device, &number);
	if (code != GRPC_OK)
		return code;
	if (mount.device != number)
		return csi_fail(op, GRPC_ALREADY_EXISTS,
				"another file system is mounted at the staging path %s", req->path);
	if (strcmp(mount.fs, fs) != 0)
		return csi_fail(op, GRPC_ALREADY_EXISTS,
				"the volume is staged as %s already, and asked for as %s", mount.fs,
				fs);
	if ((mount.readonly || mount.fs_readonly) != req->readonly)
		return csi_fail(op, GRPC_ALREADY_EXISTS, "the volume is staged %s already",
				mount.readonly ? "read-only" : "for writing");
	*ret_done = true;
	return GRPC_OK;
}

static enum grpc_code stage_mount(struct csi_node *node, struct csi_op *op,
				  const struct csi_stage *req, const char *device, const char *fs,
				  struct csi_format *record)
{
	char options[OPTIONS_MAX];
	struct err err = {0};
	enum grpc_code code;

	/* Neither a probe nor a mount can be broken off. */
	if (node_is_cut_off(node, req->volume_id))
		return csi_fail(op, GRPC_UNAVAILABLE,
				"no connection to volume %s is live: see its node, the network, "
				"and litepool-engine there",
				req->volume_id);
	code = node_format(node, op, req->volume_id, device, fs, req->readonly, record);
	if (code != GRPC_OK)
		return code;
	if (!options_join(req, record, fs, options, sizeof(options)))
		return csi_fail(op, GRPC_INVALID_ARGUMENT, "the mount options are too long");
	if (fs_make_dir(req->path, 0750, &err) < 0)
		return csi_fail(op, GRPC_INTERNAL, "%s", err.text);
	if (!node_is_folder(req->path))
		return csi_fail(op, GRPC_INTERNAL, "the staging path %s is no folder", req->path);
	return node_mount_fs(op, device, req->path, fs, options);
}

/* Each step is one that may have been the last of an earlier call. */
static enum grpc_code stage_fs(struct csi_node *node, struct csi_op *op,
			       const struct csi_stage *req, const char *device)
{
	const char *fs = csi_fs_name(req->capability.fs_type);
	const struct csi_host *host = node->config.host;
	struct csi_format record = {0};
	bool done;
	enum grpc_code code = check_staged(op, req, device, fs, &done);

	if (code == GRPC_OK)
		code = host->format_get(host->ctx, op, req->volume_id, &req->volume_context,
					&record);
	if (code == GRPC_OK && !done)
		code = stage_mount(node, op, req, device, fs, &record);
	if (code != GRPC_OK || req->readonly)
		return code;
	/* Restored or cloned into a larger volume: the file system is still as large as its source. */
	if (record.clone)
		code = node_fs_grow(op, fs, device, req->path);
	return code == GRPC_OK ? node_fs_group(op, req->path, req->capability.mount_group) : code;
}

/* A read-only mount of a device node does not keep anybody from writing to the device: the kernel has to. */
static enum grpc_code stage_block(struct csi_node *node, struct csi_op *op,
				  const struct csi_stage *req, const char *device)
{
	enum grpc_code code = GRPC_OK;

	if (!req->readonly)
		code = node_note_raw(node, op, req->volume_id, &req->volume_context);
	return code == GRPC_OK ? node_device_lock(op, device, req->readonly) : code;
}

enum grpc_code csi_node_stage(struct csi_node *node, struct csi_op *op, const struct csi_stage *req)
{
	const struct csi_host *host = node->config.host;
	char device[CSI_DEVICE_MAX];
	enum grpc_code code = host->attach(host->ctx, op, req->volume_id, &req->publish_context,
					   &req->volume_context, device);

	if (code != GRPC_OK)
		return code;
	return req->capability.block ? stage_block(node, op, req, device)
				     : stage_fs(node, op, req, device);
}

/* An unmount of what cannot be reached waits in the kernel, and this thread with it. */
static enum grpc_code unstage_mount(struct csi_node *node, struct csi_op *op, const char *volume_id,
				    const char *path)
{
	const struct csi_host *host = node->config.host;
	struct node_mount mount;
	enum grpc_code code = node_mount_at(op, path, &mount);

	if (code == GRPC_OK && mount.mounted && host->give_up && node_is_cut_off(node, volume_id))
		code = host->give_up(host->ctx, op, volume_id);
	return code == GRPC_OK ? node_unmount(op, path) : code;
}

enum grpc_code csi_node_unstage(struct csi_node *node, struct csi_op *op, const char *volume_id,
				const char *path)
{
	const struct csi_host *host = node->config.host;
	char device[CSI_DEVICE_MAX], other[CSI_PATH_MAX];
	size_t n = 0;
	dev_t number;
	enum grpc_code code = GRPC_OK;

	if (path[0] == '/')
		code = unstage_mount(node, op, volume_id, path);
	if (code != GRPC_OK)
		return code;
	code = host->find(host->ctx, op, volume_id, device);
	if (code == GRPC_NOT_FOUND)
		return GRPC_OK;
	if (code == GRPC_OK)
		code = node_device_number(op, device, &number);
	if (code == GRPC_OK)
		code = node_mount_others(op, number, path, path, &n, other);
	if (code == GRPC_OK && n)
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"the volume is still mounted at %s: it must be unpublished first",
				other);
	return code == GRPC_OK ? host->detach(host->ctx, op, volume_id) : code;
}
