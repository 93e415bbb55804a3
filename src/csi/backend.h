/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver needs of the system behind it, as a table. The RPC layer has checked the form of everything (fields that must be there, sizes,
 * capability combinations, numbers that are not negative); a backend decides on what exists and what is possible.
 *
 * Rules for every function:
 *  - Threads: any number of worker threads at once, for different objects. The RPC layer lets one operation at a time in for a volume id, a volume
 *    name, a snapshot id, a snapshot name; it answers ABORTED to a second one.
 *  - It may block for seconds; it looks at csi_cancelled() and can be called again with the same arguments, after any interruption, and goes on.
 *  - Repeated with the same arguments it gives the same answer. What is gone already is removed with success. What exists with other properties under
 *    the same name is GRPC_ALREADY_EXISTS.
 *  - Strings in arguments live as long as the call; strings in results come out of op->arena or live longer.
 *  - An id that is not ours, or badly formed, is one that does not exist.
 *  - An error is made by csi_fail(): what failed, why, and what to do; no secrets in it.
 * A function that is NULL is a capability that is not claimed; its method answers UNIMPLEMENTED.
 */
#ifndef LITEPOOL_CSI_BACKEND_H
#define LITEPOOL_CSI_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grpc/arena.h"
#include "grpc/status.h"

struct csi_op {
	struct arena *arena;
	const void *call; /* the RPC layer's; NULL in tests */
	char why[512];
};

__attribute__((format(printf, 3, 4))) enum grpc_code
csi_fail(struct csi_op *op, enum grpc_code code, const char *fmt, ...);
/* Nobody waits for the answer any more. */
bool csi_cancelled(const struct csi_op *op);
/* Until the client's deadline; -1: it has none. */
int64_t csi_remaining_ms(const struct csi_op *op);

struct csi_pair {
	const char *key, *value;
};

struct csi_map {
	struct csi_pair *items;
	size_t n;
};

/* NULL when there is none. */
const char *csi_map_get(const struct csi_map *map, const char *key);

struct csi_strings {
	const char **items;
	size_t n;
};

/* The numbers are CSI's. */
enum csi_mode {
	CSI_SINGLE_NODE_WRITER = 1,
	CSI_SINGLE_NODE_READER_ONLY = 2,
	CSI_MULTI_NODE_READER_ONLY = 3,
	CSI_MULTI_NODE_SINGLE_WRITER = 4,
	CSI_MULTI_NODE_MULTI_WRITER = 5,
	CSI_SINGLE_NODE_SINGLE_WRITER = 6,
	CSI_SINGLE_NODE_MULTI_WRITER = 7,
};

struct csi_capability {
	bool block;          /* else mounted, and what follows means something */
	const char *fs_type; /* "" or a name */
	struct csi_strings mount_flags;
	const char *mount_group; /* "" or a group id */
	enum csi_mode mode;
};

struct csi_capabilities {
	struct csi_capability *items;
	size_t n;
};

struct csi_topology {
	struct csi_map *items; /* each a set of segments */
	size_t n;
};

/* Bytes; 0: open. */
struct csi_range {
	uint64_t required, limit;
};

enum csi_source_kind { CSI_SOURCE_NONE, CSI_SOURCE_SNAPSHOT, CSI_SOURCE_VOLUME };

struct csi_source {
	enum csi_source_kind kind;
	const char *id;
};

struct csi_volume {
	const char *id;
	uint64_t capacity; /* bytes, exact */
	struct csi_map context;
	struct csi_source source;
	struct csi_topology topology;
	struct csi_strings nodes; /* where it is published */
	bool abnormal;
	const char *condition; /* for people; NULL: "healthy" */
};

struct csi_snapshot {
	const char *id, *volume_id, *group_id; /* group_id NULL or "": none */
	uint64_t size;                         /* bytes that a volume of it needs at least */
	uint64_t created_ns; /* since the epoch; of the cut, the same at every call */
	bool ready;
};

struct csi_group {
	const char *id;
	struct csi_snapshot *snapshots;
	size_t n;
	uint64_t created_ns;
	bool ready;
};

struct csi_page {
	uint32_t max; /* 0: no limit */
	const char *token;
};

struct csi_volumes {
	struct csi_volume *items;
	size_t n;
	const char *next_token; /* NULL: the end */
};

struct csi_snapshots {
	struct csi_snapshot *items;
	size_t n;
	const char *next_token;
};

struct csi_create_volume {
	const char *name;
	struct csi_range range;
	struct csi_capabilities capabilities;
	struct csi_map parameters, mutable_parameters;
	struct csi_source source;
	struct csi_topology requisite, preferred; /* requisite.n == 0: anywhere */
};

/* In the context of a volume that was published read-only; the node mounts it so, and locks a raw device against writing. */
#define CSI_CONTEXT_READONLY "readonly"

struct csi_publish {
	const char *volume_id, *node_id;
	struct csi_capability capability;
	bool readonly;
	struct csi_map volume_context;
};

struct csi_capacity {
	uint64_t available, maximum, minimum; /* bytes; maximum and minimum 0: not told */
};

struct csi_extent {
	uint64_t offset, len; /* bytes */
};

/* Of a snapshot, ascending and without overlap. */
struct csi_extents {
	struct csi_extent *items; /* room for as many as are asked for; the caller's */
	size_t n;
	uint64_t capacity; /* of the volume when it was cut */
	uint64_t next;     /* offset to go on at; meaningless with end */
	bool end;
};

struct csi_backend {
	void *ctx; /* first argument of all */
	/* OK: works; FAILED_PRECONDITION: cannot; *ret_ready false: starts. NULL: always ready. */
	enum grpc_code (*probe)(void *ctx, struct csi_op *op, bool *ret_ready);

	/* ALREADY_EXISTS, NOT_FOUND (source), RESOURCE_EXHAUSTED (no room there), OUT_OF_RANGE, INVALID_ARGUMENT (parameters). */
	enum grpc_code (*create_volume)(void *ctx, struct csi_op *op,
					const struct csi_create_volume *req,
					struct csi_volume *ret);
	/* FAILED_PRECONDITION: in use. */
	enum grpc_code (*delete_volume)(void *ctx, struct csi_op *op, const char *id);
	enum grpc_code (*get_volume)(void *ctx, struct csi_op *op, const char *id,
				     struct csi_volume *ret);
	/* ABORTED: the token is none. */
	enum grpc_code (*list_volumes)(void *ctx, struct csi_op *op, const struct csi_page *page,
				       struct csi_volumes *ret);
	/* NOT_FOUND (volume, node), FAILED_PRECONDITION (attached elsewhere: names the node), ALREADY_EXISTS (attached otherwise). */
	enum grpc_code (*publish)(void *ctx, struct csi_op *op, const struct csi_publish *req,
				  struct csi_map *ret_context);
	/* node_id "": from all. Returns when the node can write no more. */
	enum grpc_code (*unpublish)(void *ctx, struct csi_op *op, const char *volume_id,
				    const char *node_id);
	/* capabilities.n == 0: any. */
	enum grpc_code (*get_capacity)(void *ctx, struct csi_op *op,
				       const struct csi_capabilities *capabilities,
				       const struct csi_map *parameters,
				       const struct csi_map *segments, struct csi_capacity *ret);
	/* To at least range.required: already as large is OK. *ret_node: the file system is to be grown on the node. OUT_OF_RANGE. */
	enum grpc_code (*expand_volume)(void *ctx, struct csi_op *op, const char *id,
					struct csi_range range, uint64_t *ret_capacity,
					bool *ret_node);
	/* All or nothing. INVALID_ARGUMENT: an unknown or bad parameter. */
	enum grpc_code (*modify_volume)(void *ctx, struct csi_op *op, const char *id,
					const struct csi_map *parameters);

	/* Returns when it is cut. ALREADY_EXISTS: of another volume. */
	enum grpc_code (*create_snapshot)(void *ctx, struct csi_op *op, const char *name,
					  const char *volume_id, const struct csi_map *parameters,
					  struct csi_snapshot *ret);
	/* FAILED_PRECONDITION: in use; INVALID_ARGUMENT: one of a group. */
	enum grpc_code (*delete_snapshot)(void *ctx, struct csi_op *op, const char *id);
	enum grpc_code (*get_snapshot)(void *ctx, struct csi_op *op, const char *id,
				       struct csi_snapshot *ret);
	/* volume_id and id "": any; unknown ones give an empty list. */
	enum grpc_code (*list_snapshots)(void *ctx, struct csi_op *op, const struct csi_page *page,
					 const char *volume_id, const char *id,
					 struct csi_snapshots *ret);

	/* One cut through all volumes. */
	enum grpc_code (*create_group)(void *ctx, struct csi_op *op, const char *name,
				       const struct csi_strings *volume_ids,
				       const struct csi_map *parameters, struct csi_group *ret);
	/* snapshot_ids: what the caller believes is in it; INVALID_ARGUMENT when it is not. */
	enum grpc_code (*delete_group)(void *ctx, struct csi_op *op, const char *id,
				       const struct csi_strings *snapshot_ids);
	enum grpc_code (*get_group)(void *ctx, struct csi_op *op, const char *id,
				    const struct csi_strings *snapshot_ids, struct csi_group *ret);

	/*
	 * What the snapshot holds (base_id NULL), or where it differs from an earlier one of the same volume, from offset on: at most max extents.
	 * NOT_FOUND, OUT_OF_RANGE (offset), INVALID_ARGUMENT (not of the same volume).
	 */
	enum grpc_code (*extents)(void *ctx, struct csi_op *op, const char *base_id, const char *id,
				  uint64_t offset, uint32_t max, struct csi_extents *ret);
};

#endif
