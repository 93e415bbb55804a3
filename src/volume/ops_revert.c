/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to a snapshot: the volume gets a new empty head on the snapshot's layer, and the old head goes. One transaction. Snapshots that were made since stay; a layer
 * between that nobody names any more is merged like one of a deleted snapshot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "volume/priv.h"

struct revert_op {
	struct volume_op base;
	struct view_publish publish;
	uint64_t volume, snapshot; /* objects */
	uint64_t promised;
};

static void revert_end(struct revert_op *op, int res)
{
	if (op->promised)
		thick_unpromise(op->base.set, op->promised);
	if (res)
		volume_op_fail(&op->base, res, "reverting");
	else
		volume_op_end(&op->base);
}

static void revert_published(struct view_publish *publish, int res)
{
	revert_end(container_of(publish, struct revert_op, publish), res);
}

static void revert_durable(struct pool_txn *txn, int res)
{
	struct revert_op *op = container_of(txn, struct revert_op, base.txn);

	if (res)
		revert_end(op, res);
	else
		volume_views_publish(op->base.set, NULL, op->base.volume, &op->publish);
}

static int check(struct revert_op *op, const struct pool_object *v, const struct pool_object *s)
{
	struct err *err = &op->base.err;

	if (!v || !s)
		return err_set(err, -ENOENT, "the volume or the snapshot is gone");
	if (pool_object_is_snapshot(v) || !pool_object_is_snapshot(s))
		return err_set(err, -EINVAL, "a volume is reverted to a snapshot; %s is a %s",
			       pool_object_is_snapshot(v) ? v->name : s->name,
			       pool_object_is_snapshot(v) ? "snapshot" : "volume");
	if (op->base.volume->dev)
		return err_set(err, -EBUSY,
			       "%s is in use; take it off its subsystems first, a host would find "
			       "other data under its file system",
			       v->name);
	if (!layer_in_chain(v->layer, s->layer))
		return err_set(err, -EINVAL, "%s is not a snapshot that %s stands on; clone it",
			       s->name, v->name);
	return 0;
}

static uint64_t new_size(const struct pool_object *v, const struct pool_object *s)
{
	return MAX(v->layer->disk.size_bytes, s->layer->disk.size_bytes);
}

/* The snapshot may be larger than the volume, which was made smaller since; and a thick volume is promised again what its old head has. */
static int check_space(struct revert_op *op, const struct pool_object *v,
		       const struct pool_object *s)
{
	struct volumes *set = op->base.set;
	struct err *err = &op->base.err;
	uint64_t old = v->layer->disk.size_bytes, size = new_size(v, s);
	uint64_t more = volume_clusters(size) - volume_clusters(old) + map_mapped(v->layer->map);
	int rc = size > old ? pool_space_check(set->pool, size - old, err) : 0;

	if (!rc)
		rc = volume_hide_check(set, s->layer, s->layer->disk.size_bytes, size, err);
	if (rc || !(v->flags & PROPS_F_THICK))
		return rc;
	rc = thick_promise(set, more, err);
	op->promised = rc ? 0 : more;
	return rc;
}

static void build_txn(struct revert_op *op, const struct pool_object *v,
		      const struct pool_object *s)
{
	struct pool *pool = op->base.set->pool;
	const struct pool_layer *old = v->layer;
	struct record r = {.type = RECORD_LAYER_SET};

	r.layer_set = (struct layer){
		.id = pool_new_id(pool),
		.parent = s->layer->disk.id,
		.object = v->id,
		.size_bytes = new_size(v, s),
		.created_s = volume_now_s(op->base.set),
	};
	pool_txn_init(&op->base.txn, revert_durable);
	pool_txn_add(&op->base.txn, &r);
	volume_txn_hide(&op->base.txn, r.layer_set.id, s->layer, s->layer->disk.size_bytes,
			r.layer_set.size_bytes);
	r = (struct record){.type = RECORD_LAYER_DELETE, .layer_delete.layer = old->disk.id};
	pool_txn_add(&op->base.txn, &r);
}

static void revert_run(struct pool_op *pool_op)
{
	struct revert_op *op = container_of(pool_op, struct revert_op, base.op);
	struct pool *pool = op->base.set->pool;
	struct pool_object *v = pool_object_find(pool, op->volume);
	struct pool_object *s = pool_object_find(pool, op->snapshot);
	int rc = pool_writable(pool);

	if (!rc)
		rc = check(op, v, s);
	if (!rc)
		rc = check_space(op, v, s);
	if (rc) {
		revert_end(op, rc);
		return;
	}
	build_txn(op, v, s);
	pool_txn_commit(pool, &op->base.txn);
}

void volume_revert(struct volume *v, struct volume *snapshot, volume_done_fn done, void *ctx)
{
	struct revert_op *op = volume_op_new(v->set, sizeof(*op), revert_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->volume = v->object->id;
	op->snapshot = snapshot->object->id;
	op->publish.done = revert_published;
	volume_op_start(&op->base);
}
