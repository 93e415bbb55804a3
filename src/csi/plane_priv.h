/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the backend on API objects; for src/csi/plane_*.c alone. Objects are jansson's: "ret" is a new reference. */
#ifndef LITEPOOL_CSI_PLANE_PRIV_H
#define LITEPOOL_CSI_PLANE_PRIV_H

#include <jansson.h>

#include "base/json.h"
#include "csi/plane.h"
#include "csi/plane_names.h"
#include "kube/client.h"
#include "rt/lock.h"

#define PLANE_SLOTS 256

/* What the driver writes down at objects. */
#define PLANE_NOTE_NAME   "csi.litepool.io/name"   /* the name that CSI's client chose */
#define PLANE_NOTE_SOURCE "csi.litepool.io/source" /* id of the snapshot or volume */
#define PLANE_NOTE_ACCESS "csi.litepool.io/access" /* "node": only from the node that has it */
#define PLANE_NOTE_MODES  "csi.litepool.io/modes"  /* JSON: node -> how it is attached there */
#define PLANE_NOTE_CLAIM  "csi.litepool.io/claim"  /* NAMESPACE/NAME of the PVC */
#define PLANE_NOTE_VOLUME "csi.litepool.io/volume" /* id of a snapshot's volume */
/* Of a group of snapshots: its name, and how many it has. None of it is cut before all are there. */
#define PLANE_LABEL_GROUP     "litepool.io/group"
#define PLANE_LABEL_LOCAL     "litepool.io/local-path" /* the agent's: docs/agent.md */
#define PLANE_NOTE_GROUP_SIZE "litepool.io/group-size"

struct informer;

struct csi_plane {
	struct csi_backend backend;
	struct kube_client *client;
	uint32_t wait_ms;
	const struct kube_resource *volume, *snapshot, *node, *pool; /* kinds */
	struct informer *volumes, *snapshots;
	struct lock *lock;          /* protects seen */
	uint64_t seen[PLANE_SLOTS]; /* changes of objects, by the hash of their names */
};

/* ---- plane_request.c: requests, made again while the server cannot answer them, and their failures ---- */

enum grpc_code plane_no_memory(struct csi_op *op);
/* GRPC_NOT_FOUND: there is none. */
enum grpc_code plane_get(struct csi_plane *plane, struct csi_op *op,
			 const struct kube_resource *res, const char *name, json_t **ret);
/* By an id; what is being deleted is there all the same. */
enum grpc_code plane_find(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const char *id, json_t **ret);
/* GRPC_ABORTED when patch has a resourceVersion that is old. */
enum grpc_code plane_patch(struct csi_plane *plane, struct csi_op *op,
			   const struct kube_resource *res, const char *name, const char *sub,
			   const json_t *patch, json_t **ret);
/* GRPC_ALREADY_EXISTS: one of that name is there, perhaps made by this very request, whose answer was lost: it is to be read and compared. object NULL: no memory. */
enum grpc_code plane_make(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const json_t *object, json_t **ret);
/* Of this UID, and version, unless NULL (GRPC_ABORTED: it is another); gone is GRPC_OK. */
enum grpc_code plane_delete(struct csi_plane *plane, struct csi_op *op,
			    const struct kube_resource *res, const json_t *object,
			    const char *version);
enum grpc_code plane_list(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const char *labels, json_t **ret);

/* ---- plane_object.c: what objects say, and waiting ---- */

/* "NAME:UID" in the arena; NULL without memory. */
const char *plane_id_of(struct csi_op *op, const json_t *object);
const char *plane_note(const json_t *object, const char *key); /* an annotation, or "" */
const char *plane_label(const json_t *object, const char *key);
uint64_t plane_size(const json_t *object, const char *path);
bool plane_lists(const json_t *object, const char *path, const char *text);
/* {"metadata": {"resourceVersion": that of object}}; NULL without memory. */
json_t *plane_patch_of(const json_t *object);
/* Why it is not as it should be, of its conditions and its reason; in words, never empty. */
const char *plane_trouble(const json_t *object);

/*
 * A wait: begin before the object is read, next after it was found not to be as wanted. False: not in time, or nobody waits for the answer.
 */
struct plane_wait {
	uint64_t end_ms, seen;
	unsigned slot;
};
void plane_wait_init(const struct csi_plane *plane, const struct csi_op *op,
		     struct plane_wait *wait, const char *name);
void plane_wait_look(struct csi_plane *plane, struct plane_wait *wait);
bool plane_wait_next(struct csi_plane *plane, const struct csi_op *op,
		     const struct plane_wait *wait);
/* For the informers. */
void plane_wake(struct csi_plane *plane, const char *name);
/* An object that is being deleted goes. FAILED_PRECONDITION, at once: it is in use; the agent ends it when it is not. */
enum grpc_code plane_wait_gone(struct csi_plane *plane, struct csi_op *op,
			       const struct kube_resource *res, const json_t *object);

/* ---- plane_params.c ---- */

struct plane_class {
	json_t *spec;   /* members of a StorageVolume's spec; owned */
	json_t *labels; /* owned, or NULL; values are texts, or null to remove one */
	bool only_node; /* accessible from the node that has it alone */
};
void plane_class_fini(struct plane_class *klass);
#define _cleanup_class_ __attribute__((cleanup(plane_class_fini)))
/* mutable_only: others are refused. GRPC_INVALID_ARGUMENT names what is wrong and what is known. */
enum grpc_code plane_class_read(struct csi_op *op, const struct csi_map *parameters,
				bool mutable_only, struct plane_class *klass);
/* Only those that sidecars add. */
enum grpc_code plane_no_parameters(struct csi_op *op, const struct csi_map *parameters);

/* ---- plane_format.c: the record of the content, in status.format ---- */

/* The record of a volume (volume, a StorageVolume) to one made of source (a volume or snapshot), if it has none yet. */
enum grpc_code plane_format_inherit(struct csi_plane *plane, struct csi_op *op,
				    const json_t *volume, const json_t *source);
/* A new snapshot's: what its volume's is now, which is not older than the cut. */
enum grpc_code plane_format_snapshot(struct csi_plane *plane, struct csi_op *op,
				     const json_t *snapshot, const json_t *volume);

/* ---- the functions of the backend, by file ---- */

enum grpc_code plane_probe(void *ctx, struct csi_op *op, bool *ret_ready);
enum grpc_code plane_create_volume(void *ctx, struct csi_op *op,
				   const struct csi_create_volume *req, struct csi_volume *ret);
enum grpc_code plane_delete_volume(void *ctx, struct csi_op *op, const char *id);
enum grpc_code plane_get_volume(void *ctx, struct csi_op *op, const char *id,
				struct csi_volume *ret);
enum grpc_code plane_list_volumes(void *ctx, struct csi_op *op, const struct csi_page *page,
				  struct csi_volumes *ret);
enum grpc_code plane_show_volume(struct csi_op *op, const json_t *volume, struct csi_volume *ret);
/* Sorted by name, those behind the token; a page of them, or all. ret: array. */
enum grpc_code plane_page(struct csi_op *op, const struct csi_page *page, json_t *objects,
			  json_t **ret, const char **ret_next);
enum grpc_code plane_publish(void *ctx, struct csi_op *op, const struct csi_publish *req,
			     struct csi_map *ret_context);
enum grpc_code plane_unpublish(void *ctx, struct csi_op *op, const char *volume_id,
			       const char *node_id);
enum grpc_code plane_get_capacity(void *ctx, struct csi_op *op,
				  const struct csi_capabilities *capabilities,
				  const struct csi_map *parameters, const struct csi_map *segments,
				  struct csi_capacity *ret);
enum grpc_code plane_expand_volume(void *ctx, struct csi_op *op, const char *id,
				   struct csi_range range, uint64_t *ret_capacity, bool *ret_node);
enum grpc_code plane_modify_volume(void *ctx, struct csi_op *op, const char *id,
				   const struct csi_map *parameters);
enum grpc_code plane_create_snapshot(void *ctx, struct csi_op *op, const char *name,
				     const char *volume_id, const struct csi_map *parameters,
				     struct csi_snapshot *ret);
enum grpc_code plane_delete_snapshot(void *ctx, struct csi_op *op, const char *id);
enum grpc_code plane_get_snapshot(void *ctx, struct csi_op *op, const char *id,
				  struct csi_snapshot *ret);
enum grpc_code plane_list_snapshots(void *ctx, struct csi_op *op, const struct csi_page *page,
				    const char *volume_id, const char *id,
				    struct csi_snapshots *ret);
/* Makes the object, or finds it as it should be; it may not be cut yet. group "": none, else of that many. */
enum grpc_code plane_snapshot_make(struct csi_plane *plane, struct csi_op *op, const char *name,
				   const json_t *volume, const char *group, size_t group_size,
				   json_t **ret);
/* Waits for the cut; its record is then there, too. */
enum grpc_code plane_snapshot_wait(struct csi_plane *plane, struct csi_op *op, json_t **snapshot);
enum grpc_code plane_show_snapshot(struct csi_op *op, const json_t *snapshot,
				   struct csi_snapshot *ret);
enum grpc_code plane_create_group(void *ctx, struct csi_op *op, const char *name,
				  const struct csi_strings *volume_ids,
				  const struct csi_map *parameters, struct csi_group *ret);
enum grpc_code plane_delete_group(void *ctx, struct csi_op *op, const char *id,
				  const struct csi_strings *snapshot_ids);
enum grpc_code plane_get_group(void *ctx, struct csi_op *op, const char *id,
			       const struct csi_strings *snapshot_ids, struct csi_group *ret);
enum grpc_code plane_extents(void *ctx, struct csi_op *op, const char *base_id, const char *id,
			     uint64_t offset, uint32_t max, struct csi_extents *ret);
/* "OFFSET+LENGTH OFFSET+LENGTH", as an agent tells blocks: into ret->items, which has room for max. False: it is not that, or not ascending from from to size. */
bool plane_blocks_parse(const char *list, uint64_t from, uint64_t size, uint32_t max,
			struct csi_extents *ret);

#endif
