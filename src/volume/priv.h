/* SPDX-License-Identifier: Apache-2.0 */
/* For src/volume alone. Pool's thread, but for the data path. */
#ifndef LITEPOOL_VOLUME_PRIV_H
#define LITEPOOL_VOLUME_PRIV_H

#include "pool/handover.h"
#include "volume/volume.h"

struct lock;
struct volume_job;
struct volume_lane;

struct volumes {
	struct pool *pool;
	struct list list; /* struct volume.link, in order of creation */
	/*
	 * Clusters promised to thick volumes as the pool knows it, and what operations under way have promised beyond the volumes that exist.
	 */
	int64_t thick_told, thick_pending;
	struct volume_job *job; /* background work under way */
	bool job_wanted;
	struct task job_task;
	bool closing;
	bool held;               /* of a successor, until volumes_release() */
	bool stale;              /* chains may have changed since views were made; a successor's */
	uint64_t changes;        /* of layers and objects */
	struct pool_slot *slots; /* the pool's, by index of its users */
	unsigned n_slots;
	struct volume_lane
		*lane[REACTORS_MAX + 1]; /* by id of the reactor, which makes it at its first I/O */
	struct lock *lock;               /* of struct volume's info */
};

struct volume_dev {
	struct blk_dev dev;
	struct volume *v;
};

/* ---- io.c: the data path ---- */

void volume_submit(struct blk_dev *dev, struct blk_io *io);
void volume_forwarded(struct blk_dev *dev, struct blk_io *io); /* forward.c */
void volume_lane_free(struct volume_lane *lane);

/* ---- info.c: what describe() says; kept by the pool's thread for the control thread ---- */

/* After v's layer, name or place in a chain has changed: its own, and that of those it is base or clone of. */
void info_update(struct volume *v);
void info_drop(struct volume *v);
json_t *volume_describe(const struct blk_dev *dev);

/* A port that was held goes on with what waits. On its reactor, after port->view is the new one. */
void volume_port_release(struct volume_port *port);

/* ---- thick.c ---- */

/* Clusters of the volume's size. */
uint64_t volume_clusters(uint64_t size_bytes);
/* Tells the pool what is promised now: by all thick volumes, and thick_pending. Marks the maps of heads as thick or not. */
void thick_update(struct volumes *set);
/* Promises clusters more, for an operation that may still fail: -ENOSPC. Given back by thick_unpromise(). */
int thick_promise(struct volumes *set, uint64_t clusters, struct err *err);
void thick_unpromise(struct volumes *set, uint64_t clusters);

/* ---- ops.c: what operations share ---- */

struct volume_op { /* embedded first in the struct of each operation; free() ends it */
	struct pool_op op;
	struct pool_txn txn;
	struct volumes *set;
	struct volume *volume; /* for done */
	volume_done_fn done;
	void *ctx;
	struct err err;
};
/* size bytes, zeroed, embedding a volume_op. NULL: done was called with -ENOMEM, the only answer that comes inside a call. run is called when no other operation is under way. */
void *volume_op_new(struct volumes *set, size_t size, void (*run)(struct pool_op *op),
		    volume_done_fn done, void *ctx);
void volume_op_start(struct volume_op *op);
static inline struct volume_op *volume_op_of(struct pool_op *op)
{
	return container_of(op, struct volume_op, op);
}
/* Answers, ends the pool's operation, frees. res and err of a failure: err.code != 0. */
void volume_op_end(struct volume_op *op);
/* Same with a failure; the text stays when op->err has one. */
void volume_op_fail(struct volume_op *op, int res, const char *what);
/* A decoded copy of an object's properties; free(). NULL with err. */
struct props *volume_props(const struct pool_object *object, struct err *err);
/* The name is well formed and free; the UUID is free. */
int volume_name_check(struct volumes *set, const char *name, const struct uuid *uuid,
		      struct err *err);
/* A random UUID when *uuid is null. */
void volume_uuid(struct volumes *set, const struct uuid *wanted, struct uuid *ret);
uint64_t volume_now_s(struct volumes *set); /* wall clock */
/* Records that say the same (0 or MAP_HIDE) of clusters first .. end - 1 of a layer; none if there are none. */
void volume_txn_run(struct pool_txn *txn, uint64_t layer, uint64_t first, uint64_t end,
		    uint64_t entry);
/*
 * A layer that stands on below reaches to to_bytes, what it stood for until now only to from_bytes. Layers further below may be larger, because a volume was made smaller once: what they
 * have there must not come back. Behind the record that sets the layer's size.
 */
void volume_txn_hide(struct pool_txn *txn, uint64_t layer, const struct pool_layer *below,
		     uint64_t from_bytes, uint64_t to_bytes);
/* Are there pages for what volume_txn_hide() makes? 0 or -ENOSPC. */
int volume_hide_check(const struct volumes *set, const struct pool_layer *below,
		      uint64_t from_bytes, uint64_t to_bytes, struct err *err);

/* ---- view.c ---- */

/* Whether layer (not NULL) is head or stands below it. */
bool layer_in_chain(const struct pool_layer *head, const struct pool_layer *layer);

/* ---- successor.c ---- */

/* If the pool is one: its volumes are held. */
void successor_init(struct volumes *set);

/* ---- usage.c ---- */
uint64_t volume_hidden(const struct pool_layer *layer, const struct pool_layer *child);

/* ---- job.c: background work on layers ---- */

/* Something may have become possible: looks for layers with work. */
void jobs_kick(struct volumes *set);
void jobs_stop(struct volumes *set, void (*done)(void *ctx), void *ctx);

#endif
