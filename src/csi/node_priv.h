/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the node's side; for src/csi/node_*.c and their tests. */
#ifndef LITEPOOL_CSI_NODE_PRIV_H
#define LITEPOOL_CSI_NODE_PRIV_H

#include <sys/types.h>

#include "csi/node.h"

struct csi_node {
	struct csi_node_config config;
};

/* ---- node_stats.c ---- */

/* Nothing of the volume can be reached: its I/O waits. */
bool node_is_cut_off(struct csi_node *node, const char *volume_id);

/* ---- node_mount.c: the mount table and changes to it, by libmount ---- */

struct node_mount {
	bool mounted;
	dev_t device;        /* of the file system; for a bound device node, of the node itself */
	char fs[CSI_FS_MAX]; /* "devtmpfs" for a bound device node */
	bool readonly;       /* this mount */
	bool fs_readonly;    /* the file system under it */
};

/* Itself, and not by a symbolic link: nothing is mounted through one, because the mount table would have it elsewhere. */
bool node_is_folder(const char *path);
/* What is mounted at just that path, last on top. */
enum grpc_code node_mount_at(struct csi_op *op, const char *path, struct node_mount *ret);
/* Mounts of the device's root (or of its node) at other places than these two; the first of them into ret_path (CSI_PATH_MAX) when there are any. */
enum grpc_code node_mount_others(struct csi_op *op, dev_t device, const char *but1,
				 const char *but2, size_t *ret_n, char *ret_path);
enum grpc_code node_mount_fs(struct csi_op *op, const char *device, const char *path,
			     const char *fs, const char *options);
enum grpc_code node_mount_bind(struct csi_op *op, const char *from, const char *path,
			       bool readonly);
/* What is mounted there is read-only from now on; other mounts of it are not touched. */
enum grpc_code node_mount_lock(struct csi_op *op, const char *path);
/* All that is mounted at that path, one after the other. Nothing is OK. */
enum grpc_code node_unmount(struct csi_op *op, const char *path);

/* ---- node_format.c ---- */

enum node_probe {
	NODE_PROBE_EMPTY, /* nothing that is known was found; no proof that there is nothing */
	NODE_PROBE_FS,    /* one file system */
	NODE_PROBE_OTHER, /* a partition table, several signatures, a file system of another kind */
};

enum node_format_step {
	NODE_FORMAT_NONE, /* mount what is there */
	NODE_FORMAT_MAKE, /* note BEGUN, make, note DONE */
	NODE_FORMAT_STOP, /* refuse */
};

/* Pure. *ret_why for people when it is STOP. */
enum node_format_step node_format_decide(const struct csi_format *record, enum node_probe probe,
					 const char *probed, const char *wanted,
					 const char **ret_why);
/* Before the raw device is handed out for writing. */
enum grpc_code node_note_raw(struct csi_node *node, struct csi_op *op, const char *volume_id,
			     const struct csi_map *volume_context);
/* Makes sure that the device has the file system that the record promises. */
enum grpc_code node_format(struct csi_node *node, struct csi_op *op, const char *volume_id,
			   const char *device, const char *fs, bool readonly,
			   struct csi_format *record);

/* ---- node_fs.c ---- */

/* To the size of the device, mounted. Nothing to do is OK. */
enum grpc_code node_fs_grow(struct csi_op *op, const char *fs, const char *device,
			    const char *path);
/* The group owns all, and new files inherit it; at once when the root says so already. group: "" or a number. */
enum grpc_code node_fs_group(struct csi_op *op, const char *path, const char *group);
enum grpc_code node_device_size(struct csi_op *op, const char *device, uint64_t *ret_bytes);
/* Whether the kernel takes writes to it at all, from whomever. */
enum grpc_code node_device_lock(struct csi_op *op, const char *device, bool readonly);
enum grpc_code node_device_number(struct csi_op *op, const char *device, dev_t *ret);

#endif
