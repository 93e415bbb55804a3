/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting. A layer on which nothing stands goes with one record. A snapshot on which one layer stands loses its name now, and what the child needs moves into it in the
 * background (job.c). A snapshot on which several stand is refused: its blocks would have to be owned twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "volume/priv.h"

struct delete_op {
	struct volume_op base;
	uint64_t object;
};

static void delete_durable(struct pool_txn *txn, int res)
{
	struct delete_op *op = container_of(txn, struct delete_op, base.txn);

	if (res)
		volume_op_fail(&op->base, res, "deleting");
	else
		volume_op_end(&op->base);
}

/* The object nearest above a layer whose own is gone. */
static const char *name_above(const struct pool_layer *layer)
{
	while (!layer->object && !list_empty(&layer->children))
		layer = list_first(&layer->children, struct pool_layer, sibling);
	return layer->object ? layer->object->name : "a layer that is being deleted";
}

static int refuse_cloned(const struct pool_object *object, struct err *err)
{
	char names[256] = "";
	unsigned n = 0;

	list_for_each (it, &object->layer->children) {
		size_t len = strlen(names);

		(void)snprintf(names + len, sizeof(names) - len, "%s%s", n++ ? ", " : "",
			       name_above(list_entry(it, struct pool_layer, sibling)));
	}
	return err_set(
		err, -EBUSY,
		"%u volumes or snapshots stand on %s: %s; delete or decouple all but one of them",
		n, object->name, names);
}

static unsigned count_children(const struct pool_layer *layer)
{
	unsigned n = 0;

	list_for_each (it, &layer->children)
		n++;
	return n;
}

static int check(struct delete_op *op, const struct pool_object *object)
{
	if (op->base.volume->dev)
		return err_set(&op->base.err, -EBUSY,
			       "%s is in use; take it off its subsystems first", object->name);
	if (object->layer && count_children(object->layer) > 1)
		return refuse_cloned(object, &op->base.err);
	return 0;
}

static void delete_run(struct pool_op *pool_op)
{
	struct delete_op *op = container_of(pool_op, struct delete_op, base.op);
	struct pool *pool = op->base.set->pool;
	struct pool_object *object = pool_object_find(pool, op->object);
	struct record r = {.type = RECORD_LAYER_DELETE};
	struct pool_layer *layer = object ? object->layer : NULL;
	int rc = pool_writable(pool);

	if (!rc && object)
		rc = check(op, object);
	if (rc || !object) { /* gone already is what was wanted */
		if (rc)
			volume_op_fail(&op->base, rc, "deleting");
		else
			volume_op_end(&op->base);
		return;
	}
	pool_txn_init(&op->base.txn, delete_durable);
	if (layer && list_empty(&layer->children)) {
		r.layer_delete.layer = layer->disk.id;
		pool_txn_add(&op->base.txn, &r);
	} else if (layer) {
		r.type = RECORD_LAYER_SET;
		r.layer_set = layer->disk;
		r.layer_set.object = 0;
		r.layer_set.flags = (layer->disk.flags & ~LAYER_WORK) | LAYER_MERGING;
		r.layer_set.cursor = 0;
		r.layer_set.peer =
			list_first(&layer->children, struct pool_layer, sibling)->disk.id;
		pool_txn_add(&op->base.txn, &r);
	}
	r = (struct record){.type = RECORD_PROPS_DELETE, .props_delete.object = object->id};
	pool_txn_add(&op->base.txn, &r);
	op->base.volume = NULL;
	pool_txn_commit(pool, &op->base.txn);
}

void volume_delete(struct volume *v, volume_done_fn done, void *ctx)
{
	struct delete_op *op = volume_op_new(v->set, sizeof(*op), delete_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	volume_op_start(&op->base);
}
