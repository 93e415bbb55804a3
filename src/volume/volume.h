/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes and snapshots of a pool as block devices.
 *
 *   struct volumes      all of a pool; pool's thread
 *     struct volume     an object of the pool: a volume (writable head) or a snapshot; pool's thread
 *       volume_port     one per reactor: the view that this reactor works with, and I/O that is held by a cut
 *         volume_view   immutable: the chain of maps from the head down, and the size
 *     blk_dev           volume_dev_new(): what namespaces submit to; made and destroyed by the control thread
 *
 * A read walks the chain; a write of blocks that are valid in the head goes in place, any other takes a claim, a cluster and a validity bit (pool/map.h).
 * Views are published by a turn of the gate (pool/slot.h); the cut of a snapshot is such a turn with hold.
 *
 * Threads: pool's thread unless the prototype says otherwise.
 */
#ifndef LITEPOOL_VOLUME_VOLUME_H
#define LITEPOOL_VOLUME_VOLUME_H

#include "pool/pool.h"

struct volumes;
struct volume;

struct volume_view {
	uint64_t size_bytes;
	uint64_t blocks; /* of 4 KiB, rounded up */
	bool writable;
	unsigned depth;
	struct map *chain[]; /* [0]: the head */
};

struct volume_port {
	const struct volume_view *view; /* the reactor's own pointer */
	bool held;
	struct list waiting; /* struct volume_io held by a cut */
};

struct volume {
	struct list link; /* in struct volumes */
	struct volumes *set;
	struct pool *pool;
	struct pool_object *object;
	struct volume_port *port; /* by index of the pool's users */
	struct volume_view *view; /* the newest; published or about to be */
	struct blk_dev *dev;      /* NULL: none; the control thread's */
	_Atomic bool thick;
	_Atomic bool
		cut_pending; /* the SNAPSHOT record of the last cut is not durable: flushes go to the pool */
	_Atomic uint64_t size_bytes;
	uint32_t block_size;
	void *user; /* the engine's */
	/* What describe() says, under the set's lock: the control thread reads it. */
	json_t *info;
	const struct map *info_map;
};

/* Makes a struct volume for every object of an open pool and follows its changes. */
int volumes_new(struct pool *pool, struct volumes **ret, struct err *err);
/* Ends background work at its next slice; it goes on after the next opening. Then no operation may begin. */
void volumes_stop(struct volumes *set, void (*done)(void *ctx), void *ctx);
/* No blk_dev is left, and work has been stopped. */
void volumes_free(struct volumes *set);
/*
 * Of a successor (pool/handover.h), whose pool has been taken over: I/O, which waits until then, goes on. done when it does on every reactor; never inside. -ENOMEM: nothing has happened.
 */
int volumes_release(struct volumes *set, void (*done)(void *ctx), void *ctx);
/* Counts what was set or went, of layers and objects, since the pool was opened. */
uint64_t volumes_changes(const struct volumes *set);
struct volume *volume_find(struct volumes *set, const char *name);
struct volume *volume_find_uuid(struct volumes *set, const struct uuid *uuid);
struct list *volumes_list(struct volumes *set);
struct pool *volumes_pool(struct volumes *set);

/*
 * The block device of a volume (or, read-only, of a snapshot). Control thread; the volume stays while the device is there. ops->destroy gives it
 * back. name: "pool/volume".
 */
int volume_dev_new(struct volume *v, const char *name, struct blk_dev **ret, struct err *err);
struct volume *volume_of_dev(const struct blk_dev *dev); /* NULL: no volume's device */

/* ---- view.c ---- */

/* Builds the view of v's chain as it is now. NULL: no memory. */
struct volume_view *view_new(struct volume *v);
/*
 * Publishes new views of all volumes whose chain contains layer (NULL: only v's). publish->done is set by the caller, the rest zeroed: called after all reactors have turned and old I/O has
 * ended (the old views are freed then), or with -ENOMEM and nothing changed; never inside.
 */
struct view_change {
	struct volume *v;
	struct volume_view *now, *old;
};
struct view_publish {
	void (*done)(struct view_publish *publish, int res);
	struct gate_turn turn;
	struct volumes *set;
	struct view_change *change;
	unsigned n;
	int res;
	struct task task;
};
void volume_views_publish(struct volumes *set, struct pool_layer *layer, struct volume *v,
			  struct view_publish *publish);

/* ---- Operations: ops_*.c. Each is an op of the pool; done when durable. ---- */

typedef void (*volume_done_fn)(void *ctx, int res, struct volume *v, const struct err *err);

struct volume_create_opts {
	const char *name;
	struct uuid uuid;    /* null: random */
	uint64_t size_bytes; /* rounded up to a block */
	uint32_t block_size; /* 512 or 4096; 0: 4096; at least the device's */
	bool thick;
	const struct props *props; /* further properties (labels, QoS, ...), may be NULL */
};
/* -EEXIST, -EINVAL, -ENOSPC (commit limit, thick space) with err. */
void volume_create(struct volumes *set, const struct volume_create_opts *opts, volume_done_fn done,
		   void *ctx);
/*
 * A volume, or a snapshot with at most one child layer: what the child needs moves into it in the background. -EBUSY: exported (v->dev) or cloned; err names the clones. The
 * name is free when done; the space comes back in the background.
 */
void volume_delete(struct volume *v, volume_done_fn done, void *ctx);
void volume_rename(struct volume *v, const char *name, volume_done_fn done, void *ctx);
/* To an absolute size; the size it has already is success. Smaller only with force and without a device. */
void volume_resize(struct volume *v, uint64_t size_bytes, bool force, volume_done_fn done,
		   void *ctx);
/* Several volumes of the pool with one cut. done gets the first snapshot. */
struct volume_snapshot_spec {
	struct volume *volume;
	const char *name;
	struct uuid uuid; /* null: random */
};
void volume_snapshot(struct volumes *set, const struct volume_snapshot_spec *specs, unsigned n,
		     volume_done_fn done, void *ctx);
/* A new volume that starts as the snapshot. */
void volume_clone(struct volume *snapshot, const struct volume_create_opts *opts,
		  volume_done_fn done, void *ctx);
/* Back to a snapshot in its chain; without a device only. What came after in the head is freed; snapshots stay. */
void volume_revert(struct volume *v, struct volume *snapshot, volume_done_fn done, void *ctx);
/*
 * Snapshots in the chain of a clone that are the volume's it was cloned from become the clone's: from then on that volume, or what is left of it, stands on the clone's snapshots. A property of
 * snapshots (props.snapshot_of), so it takes the same time whatever they hold, no data moves, and hosts notice nothing. Those that the first volume had from another one stay that one's. -EINVAL: not a
 * clone; -E2BIG: more snapshots than go into one transaction; then nothing has changed.
 */
void volume_promote(struct volume *v, volume_done_fn done, void *ctx);
/*
 * Background copying into the head: inflate: all that the chain has, then no parent and thick; decouple: what the next snapshot below has, then its parent is the parent.
 * done when it has begun durably; progress by volume_work().
 */
void volume_inflate(struct volume *v, bool decouple_only, volume_done_fn done, void *ctx);
/* Changes properties: edit() alters a decoded copy; it is checked, made durable, applied. */
typedef int (*volume_edit_fn)(void *ctx, struct props *props, struct err *err);
void volume_edit(struct volume *v, volume_edit_fn edit, void *edit_ctx, volume_done_fn done,
		 void *ctx);

/* Background work on layers of the pool (delete, merge, inflate), goes on after a restart. */
struct volume_work {
	uint64_t layer;
	const char *kind; /* "delete", "merge", "inflate", "decouple" */
	uint64_t done_clusters, total_clusters;
	const char *waits_for; /* "space", ...; NULL: runs */
};
unsigned volume_work_list(struct volumes *set, struct volume_work *ret, unsigned max);

/* Numbers of a volume. Bytes. */
struct volume_usage {
	uint64_t allocated; /* clusters of its own layer */
	uint64_t chain;     /* clusters of the chain below, which others may share */
	uint64_t exclusive; /* would come back if it were deleted now */
};
void volume_usage(const struct volume *v, struct volume_usage *ret);

/*
 * Extents of 4 KiB blocks that a volume or snapshot has, or that differ between base (NULL: nothing) and v, where base is in v's chain (else -EINVAL): from byte offset on, at
 * most max of them; returns the number, *ret_next is where to go on, or the size.
 */
struct volume_extent {
	uint64_t offset, length;
	bool zero; /* reads as zeros */
};
int volume_extents(const struct volume *v, const struct volume *base, uint64_t offset,
		   struct volume_extent *ret, unsigned max, uint64_t *ret_next, struct err *err);

#endif
