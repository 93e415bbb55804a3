/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promoting a clone: the snapshots that it shares with the volume it was cloned from become its own. Layers know no origin, both heads stand on the shared ones alike; so what changes
 * is whose the snapshots are, in one transaction of properties: a cut finds all of them as before or all as after.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "volume/priv.h"

struct promote_op {
	struct volume_op base;
	uint64_t object;
	unsigned n; /* snapshots that change hands */
};

static void promote_end(struct promote_op *op, int res)
{
	if (res == -E2BIG)
		(void)err_set(&op->base.err, res,
			      "%u snapshots are more than one transaction can change; delete some "
			      "of them first",
			      op->n);
	if (res)
		volume_op_fail(&op->base, res, "promoting");
	else
		volume_op_end(&op->base);
}

static void promote_durable(struct pool_txn *txn, int res)
{
	promote_end(container_of(txn, struct promote_op, base.txn), res);
}

static int check(struct promote_op *op, const struct pool_object *v)
{
	struct err *err = &op->base.err;

	if (!v || !v->layer)
		return err_set(err, -ENOENT, "the volume is gone");
	if (pool_object_is_snapshot(v))
		return err_set(err, -EINVAL,
			       "%s is a snapshot; a volume is promoted that was cloned from one",
			       v->name);
	return 0;
}

/* The next snapshot below that is not v's own; NULL: none. */
static const struct pool_object *next_foreign(const struct pool_object *v,
					      const struct pool_layer *below)
{
	for (const struct pool_layer *l = below; l; l = l->parent)
		if (l->object && !uuid_equal(&l->object->snapshot_of, &v->uuid))
			return l->object;
	return NULL;
}

static int add_snapshot(struct promote_op *op, const struct pool_object *snapshot,
			const struct uuid *owner)
{
	struct props *props = volume_props(snapshot, &op->base.err);

	if (!props)
		return op->base.err.code;
	props->snapshot_of = *owner;
	pool_txn_add_props(&op->base.txn, snapshot->id, snapshot->revision + 1, props);
	op->n++;
	free(props);
	return 0;
}

/* All of the nearest other owner; what that one had from a third stays the third's. */
static int add_all(struct promote_op *op, const struct pool_object *v)
{
	const struct pool_object *s = next_foreign(v, v->layer->parent);
	struct uuid origin;
	int rc = 0;

	if (!s)
		return err_set(&op->base.err, -EINVAL,
			       "%s is not a clone: it stands on no snapshot of another volume",
			       v->name);
	origin = s->snapshot_of;
	for (; s && !rc; s = next_foreign(v, s->layer->parent))
		if (uuid_equal(&s->snapshot_of, &origin))
			rc = add_snapshot(op, s, &v->uuid);
	return rc;
}

static void promote_run(struct pool_op *pool_op)
{
	struct promote_op *op = container_of(pool_op, struct promote_op, base.op);
	struct pool *pool = op->base.set->pool;
	const struct pool_object *v = pool_object_find(pool, op->object);
	int rc = pool_writable(pool);

	pool_txn_init(&op->base.txn, promote_durable);
	if (!rc)
		rc = check(op, v);
	if (!rc)
		rc = add_all(op, v);
	if (rc)
		promote_end(op, rc);
	else
		pool_txn_commit(pool, &op->base.txn);
}

void volume_promote(struct volume *v, volume_done_fn done, void *ctx)
{
	struct promote_op *op = volume_op_new(v->set, sizeof(*op), promote_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	volume_op_start(&op->base);
}
