/* SPDX-License-Identifier: Apache-2.0 */
/* How full and how well a volume is, and growing it. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "csi/node_priv.h"

/* The device of the volume and what is mounted at path; NOT_FOUND when these two have nothing to do with each other. */
static enum grpc_code locate(struct csi_node *node, struct csi_op *op, const char *volume_id,
			     const char *path, char device[CSI_DEVICE_MAX], struct node_mount *ret)
{
	const struct csi_host *host = node->config.host;
	dev_t number;
	enum grpc_code code = host->find(host->ctx, op, volume_id, device);

	if (code == GRPC_NOT_FOUND)
		return csi_fail(op, GRPC_NOT_FOUND, "volume %s is not attached to this node",
				volume_id);
	if (code != GRPC_OK)
		return code;
	if (path[0] == '/')
		code = node_mount_at(op, path, ret);
	else
		*ret = (struct node_mount){0};
	if (code == GRPC_OK)
		code = node_device_number(op, device, &number);
	if (code != GRPC_OK)
		return code;
	if (!ret->mounted || ret->device != number)
		return csi_fail(op, GRPC_NOT_FOUND, "volume %s is not at %s", volume_id, path);
	return GRPC_OK;
}

static bool is_node(const struct node_mount *mount)
{
	return strcmp(mount->fs, "devtmpfs") == 0;
}

size_t csi_node_targets(struct csi_node *node, struct csi_target *ret, size_t max)
{
	const struct csi_host *host = node->config.host;

	return host->targets ? host->targets(host->ctx, NULL, ret, max) : 0;
}

bool node_is_cut_off(struct csi_node *node, const char *volume_id)
{
	const struct csi_host *host = node->config.host;
	struct csi_target targets[CSI_TARGETS];
	size_t n = host->targets ? host->targets(host->ctx, volume_id, targets, CSI_TARGETS) : 0;
	unsigned live = 0;

	for (size_t i = 0; i < n; i++)
		live += targets[i].n_live;
	return n && !live;
}

static void judge(struct csi_node *node, const char *volume_id, const struct node_mount *mount,
		  struct csi_usage *ret)
{
	/* A file system whose mount is for writing and that is read-only itself was stopped by the kernel. */
	if (mount->fs_readonly && !mount->readonly)
		ret->condition =
			"the kernel has made the file system read-only after an error; see "
			"its log, then check the file system";
	else if (node_is_cut_off(node, volume_id))
		ret->condition = "no connection to the volume is live, and its I/O waits: see its "
				 "node, the network, and litepool-engine there";
	ret->abnormal = ret->condition;
}

enum grpc_code csi_node_stats(struct csi_node *node, struct csi_op *op, const char *volume_id,
			      const char *path, struct csi_usage *ret)
{
	char device[CSI_DEVICE_MAX];
	struct node_mount mount;
	struct statvfs st;
	enum grpc_code code = locate(node, op, volume_id, path, device, &mount);

	*ret = (struct csi_usage){0};
	if (code != GRPC_OK)
		return code;
	judge(node, volume_id, &mount, ret);
	if (is_node(&mount)) {
		ret->block = true;
		return node_device_size(op, device, &ret->bytes_total);
	}
	if (statvfs(path, &st) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot ask %s for its usage: %s", path,
				strerror(errno));
	ret->bytes_total = (uint64_t)st.f_blocks * st.f_frsize;
	ret->bytes_used = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
	ret->bytes_available = (uint64_t)st.f_bavail * st.f_frsize;
	ret->inodes_total = st.f_files;
	ret->inodes_used = st.f_files - st.f_ffree;
	ret->inodes_available = st.f_favail;
	return GRPC_OK;
}

enum grpc_code csi_node_health(struct csi_node *node, struct csi_op *op, const char *volume_id,
			       const char *path, struct csi_usage *ret)
{
	const struct csi_host *host = node->config.host;
	char device[CSI_DEVICE_MAX];
	enum grpc_code code;

	if (path[0])
		return csi_node_stats(node, op, volume_id, path, ret);
	*ret = (struct csi_usage){.block = true};
	code = host->find(host->ctx, op, volume_id, device);
	if (code == GRPC_NOT_FOUND)
		return csi_fail(op, GRPC_NOT_FOUND, "volume %s is not attached to this node",
				volume_id);
	judge(node, volume_id, &(struct node_mount){.mounted = false}, ret);
	return code == GRPC_OK ? node_device_size(op, device, &ret->bytes_total) : code;
}

/* The device as large as it is when this node has heard of its growth. */
static enum grpc_code grown_size(struct csi_node *node, struct csi_op *op, const char *volume_id,
				 const char *device, uint64_t required, uint64_t *ret)
{
	const struct csi_host *host = node->config.host;
	enum grpc_code code = node_device_size(op, device, ret);

	if (code != GRPC_OK || *ret >= required || !host->grown)
		return code;
	code = host->grown(host->ctx, op, volume_id, device, required);
	return code == GRPC_OK ? node_device_size(op, device, ret) : code;
}

enum grpc_code csi_node_expand(struct csi_node *node, struct csi_op *op, const char *volume_id,
			       const char *path, struct csi_range range, uint64_t *ret_capacity)
{
	char device[CSI_DEVICE_MAX];
	struct node_mount mount;
	uint64_t size;
	enum grpc_code code = locate(node, op, volume_id, path, device, &mount);

	if (code == GRPC_OK)
		code = grown_size(node, op, volume_id, device, range.required, &size);
	if (code != GRPC_OK)
		return code;
	if (size < range.required)
		return csi_fail(op, GRPC_OUT_OF_RANGE,
				"the device has %llu bytes, and %llu are asked for: the volume "
				"itself has not grown",
				(unsigned long long)size, (unsigned long long)range.required);
	if (!is_node(&mount) && !mount.fs_readonly)
		code = node_fs_grow(op, mount.fs, device, path);
	if (code == GRPC_OK)
		*ret_capacity = size;
	return code;
}
