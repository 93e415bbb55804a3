/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's side of a volume: device, file system, mounts. Linux only, root only.
 *
 *   stage     ATTACH -> [IDENTIFY -> FORMAT -> MOUNT -> GROW]       (in brackets: not for raw block, whose use is only noted)
 *   publish   CHECK -> TARGET -> BIND
 *   unpublish UNMOUNT -> REMOVE
 *   unstage   [GIVE UP ->] UNMOUNT -> DETACH                        (of a volume without a live path)
 *
 * This process keeps nothing of its own: each step looks at what is there (mount table, device, the volume's record) and does only what is missing, so that a call that was cut off at any point is
 * finished by its repetition.
 *
 * Whether a device may be formatted is decided by the volume's record (struct csi_format), never by what a probe does not find.
 */
#ifndef LITEPOOL_CSI_NODE_H
#define LITEPOOL_CSI_NODE_H

#include "base/err.h"
#include "csi/backend.h"

#define CSI_PATH_MAX   4096
#define CSI_DEVICE_MAX 128
#define CSI_TARGET_MAX 96
#define CSI_TARGETS    64 /* more are not told of */
#define CSI_FS_MAX     16
#define CSI_FS_RAW     "raw" /* in a record: was handed out as a raw block device, for writing */

/* What the volume's record says of its content. A clone or a restored volume inherits the record of its source. */
enum csi_format_state {
	CSI_FORMAT_NEVER, /* nothing was ever written by us: may be formatted */
	CSI_FORMAT_BEGUN, /* mkfs was started and never mounted: may be formatted again */
	CSI_FORMAT_DONE, /* holds a file system, or what a user of the raw device wrote: must never be formatted */
};

struct csi_format {
	enum csi_format_state state;
	char fs[CSI_FS_MAX]; /* of BEGUN and DONE; "": something, nobody knows what */
	bool clone; /* the file system's identity may be on this node already (xfs: nouuid) */
};

/* An address that this node has connections to, for volumes: those that work, and those that are lost and tried again. */
struct csi_target {
	char address[CSI_TARGET_MAX];
	unsigned n_live, n_lost;
};

/* How devices come and go, and where the record is kept. All may block; all are idempotent. */
struct csi_host {
	void *ctx;
	/* The block device of the volume, found by its identity and not by its name. publish_context is ControllerPublishVolume's. */
	enum grpc_code (*attach)(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_map *publish_context,
				 const struct csi_map *volume_context, char device[CSI_DEVICE_MAX]);
	/* As attach, for a volume that is attached: NOT_FOUND when it is not. */
	enum grpc_code (*find)(void *ctx, struct csi_op *op, const char *volume_id,
			       char device[CSI_DEVICE_MAX]);
	/*
	 * The volume has been expanded: returns when device has at least that many bytes, or when that has lasted too long (DEADLINE_EXCEEDED). NULL: it has them at once.
	 */
	enum grpc_code (*grown)(void *ctx, struct csi_op *op, const char *volume_id,
				const char *device, uint64_t bytes);
	/* Not attached is OK. Returns when the device is gone. */
	enum grpc_code (*detach)(void *ctx, struct csi_op *op, const char *volume_id);
	/*
	 * No path to the volume is live, and it is to be unmounted here: what is still to be written to it waits in the kernel. OK: this node was fenced, and has given the device up
	 * in such a way that nothing of it can land any more, also not when the node is let in again. UNAVAILABLE: it waits for the paths. NULL: as if OK.
	 */
	enum grpc_code (*give_up)(void *ctx, struct csi_op *op, const char *volume_id);
	/* Of the volume (NULL: of all on this node), at most max; how many. A member that is NULL: not known. */
	size_t (*targets)(void *ctx, const char *volume_id, struct csi_target *ret, size_t max);
	/* The volume's record; of the same life as the volume, not as the node. */
	enum grpc_code (*format_get)(void *ctx, struct csi_op *op, const char *volume_id,
				     const struct csi_map *volume_context, struct csi_format *ret);
	enum grpc_code (*format_set)(void *ctx, struct csi_op *op, const char *volume_id,
				     const struct csi_format *format);
};

struct csi_node_config {
	const char *node_id;  /* <= 256 bytes */
	uint32_t max_volumes; /* 0: not told */
	struct csi_map topology;
	const struct csi_host *host; /* borrowed */
};

struct csi_node;

int csi_node_new(const struct csi_node_config *config, struct csi_node **ret, struct err *err);
void csi_node_free(struct csi_node *node);
const struct csi_node_config *csi_node_config(const struct csi_node *node);

struct csi_stage {
	const char *volume_id, *path;
	struct csi_capability capability;
	bool readonly; /* by the access mode, or because it was published so */
	struct csi_map publish_context, volume_context;
};

struct csi_node_publish {
	const char *volume_id, *staging_path, *path;
	struct csi_capability capability;
	bool readonly;
	struct csi_map publish_context;
};

struct csi_usage {
	bool block; /* only bytes_total means something */
	uint64_t bytes_total, bytes_used, bytes_available;
	uint64_t inodes_total, inodes_used, inodes_available;
	bool abnormal;
	const char *condition; /* NULL: healthy */
};

enum grpc_code csi_node_stage(struct csi_node *node, struct csi_op *op,
			      const struct csi_stage *req);
enum grpc_code csi_node_unstage(struct csi_node *node, struct csi_op *op, const char *volume_id,
				const char *path);
enum grpc_code csi_node_publish(struct csi_node *node, struct csi_op *op,
				const struct csi_node_publish *req);
enum grpc_code csi_node_unpublish(struct csi_node *node, struct csi_op *op, const char *volume_id,
				  const char *path);
/* NOT_FOUND: the volume is not at that path. */
enum grpc_code csi_node_stats(struct csi_node *node, struct csi_op *op, const char *volume_id,
			      const char *path, struct csi_usage *ret);
/* The same; path "": only whether it is attached. */
enum grpc_code csi_node_health(struct csi_node *node, struct csi_op *op, const char *volume_id,
			       const char *path, struct csi_usage *ret);
/* Those of all volumes of this node. */
size_t csi_node_targets(struct csi_node *node, struct csi_target *ret, size_t max);
enum grpc_code csi_node_expand(struct csi_node *node, struct csi_op *op, const char *volume_id,
			       const char *path, struct csi_range range, uint64_t *ret_capacity);

#endif
