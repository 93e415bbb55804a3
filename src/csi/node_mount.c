/* SPDX-License-Identifier: Apache-2.0 */
/* The mount table of this process's namespace, which is the host's as far as the kubelet's folders go. */
#include <errno.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "csi/node_priv.h"

#define UNMOUNTS_MAX 16

static void free_table(struct libmnt_table **table)
{
	mnt_unref_table(*table);
}

static void free_context(struct libmnt_context **context)
{
	mnt_free_context(*context);
}

#define _cleanup_table_   __attribute__((cleanup(free_table)))
#define _cleanup_context_ __attribute__((cleanup(free_context)))

static enum grpc_code read_table(struct csi_op *op, struct libmnt_table **ret)
{
	*ret = mnt_new_table_from_file("/proc/self/mountinfo");
	return *ret ? GRPC_OK
		    : csi_fail(op, GRPC_INTERNAL, "cannot read /proc/self/mountinfo: %s",
			       strerror(errno));
}

static bool has_option(const char *options, const char *name)
{
	return options && mnt_optstr_get_option(options, name, NULL, NULL) == 0;
}

static bool is_block(const char *path, dev_t *ret)
{
	struct stat st;

	if (!path || path[0] != '/' || stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	*ret = st.st_rdev;
	return true;
}

/*
 * The block device that a mount is about. A device node that is bound over a file shows the file system the node is in; the node itself is what counts. A btrfs
 * shows a number of its own; its source is what counts.
 */
static dev_t device_of(struct libmnt_fs *fs)
{
	dev_t device;

	if (is_block(mnt_fs_get_target(fs), &device) || is_block(mnt_fs_get_source(fs), &device))
		return device;
	return mnt_fs_get_devno(fs);
}

bool node_is_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum grpc_code node_mount_at(struct csi_op *op, const char *path, struct node_mount *ret)
{
	_cleanup_table_ struct libmnt_table *table = NULL;
	struct libmnt_fs *fs;
	enum grpc_code code = read_table(op, &table);

	*ret = (struct node_mount){0};
	if (code != GRPC_OK)
		return code;
	fs = mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
	if (!fs)
		return GRPC_OK;
	ret->mounted = true;
	ret->device = device_of(fs);
	(void)str_copy(ret->fs, sizeof(ret->fs), mnt_fs_get_fstype(fs));
	ret->readonly = has_option(mnt_fs_get_vfs_options(fs), "ro");
	ret->fs_readonly = has_option(mnt_fs_get_fs_options(fs), "ro");
	return GRPC_OK;
}

enum grpc_code node_mount_others(struct csi_op *op, dev_t device, const char *but1,
				 const char *but2, size_t *ret_n, char *ret_path)
{
	_cleanup_table_ struct libmnt_table *table = NULL;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	enum grpc_code code = read_table(op, &table);

	*ret_n = 0;
	if (code != GRPC_OK)
		return code;
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	while (iter && mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs), *root = mnt_fs_get_root(fs);
		bool node = strcmp(mnt_fs_get_fstype(fs), "devtmpfs") == 0;

		/* Folders of the volume that are bound elsewhere (subPath) are parts of a publication, not others. */
		if ((!node && strcmp(root, "/") != 0) || device_of(fs) != device ||
		    strcmp(target, but1) == 0 || strcmp(target, but2) == 0)
			continue;
		if ((*ret_n)++ == 0)
			(void)snprintf(ret_path, CSI_PATH_MAX, "%s", target);
	}
	mnt_free_iter(iter);
	return GRPC_OK;
}

static enum grpc_code do_mount(struct csi_op *op, const char *source, const char *target,
			       const char *fs, const char *options)
{
	_cleanup_context_ struct libmnt_context *context = mnt_new_context();
	char text[256];
	int rc;

	if (!context)
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory to mount %s", target);
	rc = mnt_context_set_target(context, target);
	if (!rc && source)
		rc = mnt_context_set_source(context, source);
	if (!rc && fs)
		rc = mnt_context_set_fstype(context, fs);
	if (!rc)
		rc = mnt_context_set_options(context, options);
	if (!rc)
		rc = mnt_context_disable_helpers(context, 1);
	if (rc)
		return csi_fail(op, GRPC_INTERNAL, "cannot prepare the mount of %s: %s", target,
				strerror(-rc));
	rc = mnt_context_mount(context);
	if (rc == 0)
		return GRPC_OK;
	(void)mnt_context_get_excode(context, rc, text, sizeof(text));
	return csi_fail(op, GRPC_INTERNAL,
			"cannot mount %s at %s%s%s: %s; see the kernel's log for details",
			source ? source : "anew", target, fs ? " as " : "", fs ? fs : "", text);
}

enum grpc_code node_mount_fs(struct csi_op *op, const char *device, const char *path,
			     const char *fs, const char *options)
{
	return do_mount(op, device, path, fs, options);
}

enum grpc_code node_mount_bind(struct csi_op *op, const char *from, const char *path, bool readonly)
{
	return do_mount(op, from, path, NULL, readonly ? "bind,ro" : "bind");
}

enum grpc_code node_mount_lock(struct csi_op *op, const char *path)
{
	return do_mount(op, NULL, path, NULL, "remount,bind,ro");
}

static enum grpc_code unmount_one(struct csi_op *op, const char *path)
{
	_cleanup_context_ struct libmnt_context *context = mnt_new_context();
	char text[256];
	int rc;

	if (!context || mnt_context_set_target(context, path) ||
	    mnt_context_disable_helpers(context, 1))
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory to unmount %s", path);
	rc = mnt_context_umount(context);
	if (rc == 0)
		return GRPC_OK;
	(void)mnt_context_get_excode(context, rc, text, sizeof(text));
	return csi_fail(op, GRPC_INTERNAL, "cannot unmount %s: %s; see who uses it (fuser -vm %s)",
			path, text, path);
}

enum grpc_code node_unmount(struct csi_op *op, const char *path)
{
	for (unsigned i = 0; i < UNMOUNTS_MAX; i++) {
		struct node_mount mount;
		enum grpc_code code = node_mount_at(op, path, &mount);

		if (code == GRPC_OK && mount.mounted)
			code = unmount_one(op, path);
		else
			return code;
		if (code != GRPC_OK)
			return code;
	}
	return csi_fail(op, GRPC_INTERNAL, "%s is still mounted after %d unmounts", path,
			UNMOUNTS_MAX);
}
