/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that are mounted: growing them, and giving them to a group. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "csi/node_priv.h"
#include "rt/command.h"

#define GROW_LIMIT_MS 600000

enum grpc_code node_fs_grow(struct csi_op *op, const char *fs, const char *device, const char *path)
{
	const char *const ext4[] = {"resize2fs", device, NULL};
	const char *const xfs[] = {"xfs_growfs", "-d", path, NULL};
	const char *const btrfs[] = {"btrfs", "filesystem", "resize", "max", path, NULL};
	const char *const *argv = strcmp(fs, "xfs") == 0     ? xfs
				  : strcmp(fs, "btrfs") == 0 ? btrfs
							     : ext4;
	struct command_result result;
	struct err err = {0};

	if (command_run(argv, GROW_LIMIT_MS, &result, &err) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot grow the file system at %s: %s", path,
				err.text);
	if (result.status)
		return csi_fail(op, GRPC_INTERNAL,
				"cannot grow the file system at %s: %s ended with status %d: %s",
				path, argv[0], result.status, result.output);
	return GRPC_OK;
}

/* Group, and what the owner may the group may too; folders give their group to what is made in them. */
static int give(const char *path, const struct stat *st, gid_t gid)
{
	mode_t mode = st->st_mode & 07777;

	if (lchown(path, (uid_t)-1, gid) < 0)
		return -errno;
	if (S_ISLNK(st->st_mode))
		return 0;
	mode |= S_ISDIR(st->st_mode) ? S_ISGID | 0070 : 0060 | ((mode & 0100) >> 3);
	return chmod(path, mode) < 0 ? -errno : 0;
}

/* Folders after what is in them, the root last: the root says that all is done. */
static int give_all(const struct csi_op *op, FTS *fts, gid_t gid)
{
	FTSENT *entry;

	while ((entry = fts_read(fts))) {
		int rc = 0;

		if (csi_cancelled(op))
			return -ECANCELED;
		if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
		    entry->fts_info == FTS_NS)
			return -entry->fts_errno;
		if (entry->fts_info != FTS_D)
			rc = give(entry->fts_accpath, entry->fts_statp, gid);
		if (rc && rc != -ENOENT)
			return rc;
	}
	return errno ? -errno : 0;
}

enum grpc_code node_fs_group(struct csi_op *op, const char *path, const char *group)
{
	char root[CSI_PATH_MAX], *paths[] = {root, NULL};
	uint64_t gid;
	struct stat st;
	FTS *fts;
	int rc;

	if (group[0] == '\0')
		return GRPC_OK;
	if (!str_to_u64(group, 0, UINT32_MAX - 1, &gid))
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"volume_mount_group is not the number of a group");
	if (!str_copy(root, sizeof(root), path) || stat(path, &st) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot look at %s: %s", path, strerror(errno));
	if (st.st_gid == gid && (st.st_mode & (S_ISGID | 0070)) == (S_ISGID | 0070))
		return GRPC_OK;
	fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	if (!fts)
		return csi_fail(op, GRPC_INTERNAL, "cannot walk %s: %s", path, strerror(errno));
	errno = 0;
	rc = give_all(op, fts, (gid_t)gid);
	(void)fts_close(fts);
	if (rc == -ECANCELED)
		return csi_fail(op, GRPC_CANCELLED, "cancelled while giving files to the group");
	return rc ? csi_fail(op, GRPC_INTERNAL, "cannot give the files at %s to group %s: %s", path,
			     group, strerror(-rc))
		  : GRPC_OK;
}

enum grpc_code node_device_size(struct csi_op *op, const char *device, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, ret_bytes) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot ask %s for its size: %s", device,
				strerror(errno));
	return GRPC_OK;
}

enum grpc_code node_device_lock(struct csi_op *op, const char *device, bool readonly)
{
	_cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int value = readonly;

	if (fd < 0 || ioctl(fd, BLKROSET, &value) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot make %s %s: %s", device,
				readonly ? "read-only" : "writable", strerror(errno));
	return GRPC_OK;
}

enum grpc_code node_device_number(struct csi_op *op, const char *device, dev_t *ret)
{
	struct stat st;

	if (stat(device, &st) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot look at %s: %s", device,
				strerror(errno));
	if (!S_ISBLK(st.st_mode))
		return csi_fail(op, GRPC_INTERNAL, "%s is not a block device", device);
	*ret = st.st_rdev;
	return GRPC_OK;
}
