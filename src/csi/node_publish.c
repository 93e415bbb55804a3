/* SPDX-License-Identifier: Apache-2.0 */
/* Publish and unpublish: a pod's view of a staged volume, a bind mount of its folder or of its device node. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/capability.h"
#include "csi/node_priv.h"

struct publish {
	const char *source; /* what is bound: the staging path, or the device node */
	dev_t device;
	bool readonly;
};

static bool needs_one_target(enum csi_mode mode)
{
	return mode != CSI_SINGLE_NODE_MULTI_WRITER && mode != CSI_MULTI_NODE_READER_ONLY &&
	       mode != CSI_MULTI_NODE_SINGLE_WRITER && mode != CSI_MULTI_NODE_MULTI_WRITER &&
	       /* Its meaning is not one for all container orchestrators: several pods on a node have always been let in. */
	       mode != CSI_SINGLE_NODE_WRITER && mode != CSI_SINGLE_NODE_READER_ONLY;
}

/* CHECK: it is staged, and as what. */
static enum grpc_code find_source(struct csi_node *node, struct csi_op *op,
				  const struct csi_node_publish *req, char device[CSI_DEVICE_MAX],
				  struct publish *ret)
{
	const struct csi_host *host = node->config.host;
	struct node_mount mount;
	enum grpc_code code = host->find(host->ctx, op, req->volume_id, device);

	ret->readonly = req->readonly || csi_reads_only(&req->capability);
	if (code == GRPC_NOT_FOUND)
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"volume %s is not attached to this node: it must be staged first",
				req->volume_id);
	if (code != GRPC_OK)
		return code;
	if (req->capability.block) {
		ret->source = device;
		return node_device_number(op, device, &ret->device);
	}
	code = node_mount_at(op, req->staging_path, &mount);
	if (code == GRPC_OK && !mount.mounted)
		return csi_fail(
			op, GRPC_FAILED_PRECONDITION,
			"nothing is mounted at the staging path %s: the volume must be staged "
			"first",
			req->staging_path);
	ret->source = req->staging_path;
	ret->device = mount.device;
	return code;
}

/* *ret_done: the target is just what is asked for. */
static enum grpc_code check_target(struct csi_op *op, const struct csi_node_publish *req,
				   const struct publish *publish, bool *ret_done)
{
	char other[CSI_PATH_MAX];
	struct node_mount mount;
	size_t n = 0;
	enum grpc_code code = node_mount_at(op, req->path, &mount);

	*ret_done = code == GRPC_OK && mount.mounted;
	if (code != GRPC_OK)
		return code;
	if (mount.mounted && mount.device != publish->device)
		return csi_fail(op, GRPC_ALREADY_EXISTS, "another volume is published at %s",
				req->path);
	if (mount.mounted && mount.readonly && !publish->readonly)
		return csi_fail(op, GRPC_ALREADY_EXISTS, "the volume is published at %s read-only",
				req->path);
	/* A bind mount is made read-only in a second step (before libmount 2.39), which a driver that was killed has not done. */
	if (mount.mounted && !mount.readonly && publish->readonly)
		return node_mount_lock(op, req->path);
	if (mount.mounted || !needs_one_target(req->capability.mode))
		return GRPC_OK;
	code = node_mount_others(op, publish->device, req->staging_path, req->path, &n, other);
	if (code == GRPC_OK && n)
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"the volume is published at %s, and its access mode allows one "
				"place only",
				other);
	return code;
}

/* TARGET: a folder, or a file for a device node. Its parent is the caller's. */
static enum grpc_code make_target(struct csi_op *op, const char *path, bool block)
{
	int fd, rc = 0;

	if (!block) {
		if (mkdir(path, 0750) < 0 && errno != EEXIST)
			rc = errno;
		else if (!node_is_folder(path))
			rc = ENOTDIR;
	} else {
		fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (fd < 0)
			rc = errno;
		else
			(void)close(fd);
	}
	return rc ? csi_fail(op, GRPC_INTERNAL, "cannot create the target %s: %s", path,
			     strerror(rc))
		  : GRPC_OK;
}

enum grpc_code csi_node_publish(struct csi_node *node, struct csi_op *op,
				const struct csi_node_publish *req)
{
	char device[CSI_DEVICE_MAX];
	struct publish publish;
	bool done = false;
	enum grpc_code code = find_source(node, op, req, device, &publish);

	if (code == GRPC_OK)
		code = check_target(op, req, &publish, &done);
	if (code != GRPC_OK || done)
		return code;
	code = make_target(op, req->path, req->capability.block);
	if (code == GRPC_OK)
		code = node_mount_bind(op, publish.source, req->path, publish.readonly);
	return code;
}

enum grpc_code csi_node_unpublish(struct csi_node *node, struct csi_op *op, const char *volume_id,
				  const char *path)
{
	struct stat st;
	enum grpc_code code;
	int rc;

	if (path[0] != '/')
		return GRPC_OK; /* nothing was ever published there */
	code = node_unmount(op, path);
	if (code != GRPC_OK)
		return code;
	/* What cannot be there is not there. */
	if (lstat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG
			       ? GRPC_OK
			       : csi_fail(op, GRPC_INTERNAL, "cannot look at %s: %s", path,
					  strerror(errno));
	/* rmdir and not a recursive removal: what is in a folder that is no mount is not ours. */
	rc = S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path);
	return rc < 0 && errno != ENOENT
		       ? csi_fail(op, GRPC_INTERNAL, "cannot remove %s: %s", path, strerror(errno))
		       : GRPC_OK;
}
