/* SPDX-License-Identifier: Apache-2.0 */
/* Begins to make a volume independent of what it stands on; job.c does the copying. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "volume/priv.h"

struct inflate_op {
	struct volume_op base;
	uint64_t object;
	bool decouple_only;
	uint64_t promised;
};

static void inflate_end(struct inflate_op *op, int res)
{
	if (op->promised)
		thick_unpromise(op->base.set, op->promised);
	if (res)
		volume_op_fail(&op->base, res, "inflating");
	else
		volume_op_end(&op->base);
}

static void inflate_durable(struct pool_txn *txn, int res)
{
	inflate_end(container_of(txn, struct inflate_op, base.txn), res);
}

static int check(struct inflate_op *op, const struct pool_object *object)
{
	struct err *err = &op->base.err;

	if (!object || !object->layer)
		return err_set(err, -ENOENT, "the volume is gone");
	if (pool_object_is_snapshot(object))
		return err_set(err, -EINVAL, "%s is a snapshot; only volumes can be %s",
			       object->name, op->decouple_only ? "decoupled" : "inflated");
	if (op->decouple_only && object->flags & PROPS_F_THICK)
		return err_set(err, -EINVAL,
			       "%s is thick: it cannot keep a part of its chain; inflate it",
			       object->name);
	if (object->layer->disk.flags & LAYER_WORK)
		return err_set(err, -EALREADY, "%s is being inflated or decoupled already",
			       object->name);
	return 0;
}

/* An inflated volume is thick: its space is promised first. */
static int make_thick(struct inflate_op *op, const struct pool_object *object)
{
	uint64_t clusters = volume_clusters(object->layer->disk.size_bytes);
	uint64_t mapped = map_mapped(object->layer->map);
	struct props *props;
	int rc;

	if (op->decouple_only || object->flags & PROPS_F_THICK)
		return 0;
	rc = thick_promise(op->base.set, clusters > mapped ? clusters - mapped : 0, &op->base.err);
	if (rc)
		return rc;
	op->promised = clusters > mapped ? clusters - mapped : 0;
	props = volume_props(object, &op->base.err);
	if (!props)
		return op->base.err.code;
	props->flags |= PROPS_F_THICK;
	pool_txn_add_props(&op->base.txn, object->id, object->revision + 1, props);
	free(props);
	return 0;
}

static void inflate_run(struct pool_op *pool_op)
{
	struct inflate_op *op = container_of(pool_op, struct inflate_op, base.op);
	struct pool *pool = op->base.set->pool;
	struct pool_object *object = pool_object_find(pool, op->object);
	struct record r = {.type = RECORD_LAYER_SET};
	int rc = pool_writable(pool);

	pool_txn_init(&op->base.txn, inflate_durable);
	if (!rc)
		rc = check(op, object);
	if (!rc)
		rc = make_thick(op, object);
	if (rc || (!object->layer->parent && !op->base.txn.size)) {
		inflate_end(op, rc); /* standing alone already is what was wanted */
		return;
	}
	if (object->layer->parent) {
		r.layer_set = object->layer->disk;
		r.layer_set.flags |= LAYER_INFLATING;
		r.layer_set.cursor = 0;
		pool_txn_add(&op->base.txn, &r);
	}
	pool_txn_commit(pool, &op->base.txn);
}

void volume_inflate(struct volume *v, bool decouple_only, volume_done_fn done, void *ctx)
{
	struct inflate_op *op = volume_op_new(v->set, sizeof(*op), inflate_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	op->decouple_only = decouple_only;
	volume_op_start(&op->base);
}
