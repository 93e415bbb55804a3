/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of what a volume is called, of its properties, and of its size. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "volume/priv.h"

struct edit_op {
	struct volume_op base;
	uint64_t object;
	volume_edit_fn edit; /* NULL: rename */
	void *edit_ctx;
	char name[LAYOUT_NAME_MAX + 2]; /* one more, so that a name that is too long is seen */
	uint64_t size_bytes;
	bool force;
	struct view_publish publish;
	uint64_t promised;
	uint64_t *phys; /* clusters that are cut off */
	uint64_t n_phys;
};

static void edit_end(struct edit_op *op, int res, const char *what)
{
	if (op->promised)
		thick_unpromise(op->base.set, op->promised);
	free(op->phys);
	if (res)
		volume_op_fail(&op->base, res, what);
	else
		volume_op_end(&op->base);
}

static void edit_durable(struct pool_txn *txn, int res)
{
	edit_end(container_of(txn, struct edit_op, base.txn), res, "changing properties");
}

/* The object, which may have gone while the operation waited in line. */
static struct pool_object *find_object(struct edit_op *op)
{
	struct pool_object *object = pool_object_find(op->base.set->pool, op->object);

	if (!object)
		(void)err_set(&op->base.err, -ENOENT, "the volume is gone");
	else if (object->unusable)
		(void)err_set(&op->base.err, -EOPNOTSUPP,
			      "%s has properties that this version does not know; use a newer one",
			      object->name);
	return op->base.err.code ? NULL : object;
}

static int change_props(struct edit_op *op, const struct pool_object *object, struct props *props)
{
	struct err *err = &op->base.err;
	int rc;

	if (!op->edit) {
		rc = strcmp(op->name, object->name) != 0
			     ? volume_name_check(op->base.set, op->name, NULL, err)
			     : 0;
		if (!rc)
			memcpy(props->name, op->name,
			       sizeof(props->name)); /* fits: it was checked */
		return rc;
	}
	rc = op->edit(op->edit_ctx, props, err);
	if (!rc && strcmp(props->name, object->name) != 0)
		rc = volume_name_check(op->base.set, props->name, NULL, err);
	if (!rc && !uuid_equal(&props->uuid, &object->uuid))
		rc = err_set(err, -EINVAL, "the UUID of a volume does not change");
	return rc ? rc : props_check(props, err);
}

static void edit_run(struct pool_op *pool_op)
{
	struct edit_op *op = container_of(pool_op, struct edit_op, base.op);
	struct pool *pool = op->base.set->pool;
	struct pool_object *object = find_object(op);
	struct props *props = object ? volume_props(object, &op->base.err) : NULL;
	int rc = pool_writable(pool);

	if (props && !rc)
		rc = change_props(op, object, props);
	if (!props || rc) {
		free(props);
		edit_end(op, op->base.err.code ? op->base.err.code : rc, "changing properties");
		return;
	}
	pool_txn_init(&op->base.txn, edit_durable);
	pool_txn_add_props(&op->base.txn, object->id, object->revision + 1, props);
	free(props);
	pool_txn_commit(pool, &op->base.txn);
}

void volume_edit(struct volume *v, volume_edit_fn edit, void *edit_ctx, volume_done_fn done,
		 void *ctx)
{
	struct edit_op *op = volume_op_new(v->set, sizeof(*op), edit_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	op->edit = edit;
	op->edit_ctx = edit_ctx;
	volume_op_start(&op->base);
}

void volume_rename(struct volume *v, const char *name, volume_done_fn done, void *ctx)
{
	struct edit_op *op = volume_op_new(v->set, sizeof(*op), edit_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	(void)snprintf(op->name, sizeof(op->name), "%s", name);
	volume_op_start(&op->base);
}

/* ---- size ---- */

static void resize_published(struct view_publish *publish, int res)
{
	edit_end(container_of(publish, struct edit_op, publish), res, "resizing");
}

static void resize_durable(struct pool_txn *txn, int res)
{
	struct edit_op *op = container_of(txn, struct edit_op, base.txn);

	for (uint64_t i = 0; !res && i < op->n_phys; i++)
		pool_free_cluster(op->base.set->pool, op->phys[i]);
	op->publish.done = resize_published;
	if (res)
		edit_end(op, res, "resizing");
	else
		volume_views_publish(op->base.set, NULL, op->base.volume, &op->publish);
}

static int check_shrink(struct edit_op *op, const struct pool_object *object)
{
	if (!op->force)
		return err_set(&op->base.err, -EINVAL,
			       "%s has %" PRIu64 " bytes; making it smaller loses what is behind "
			       "the new end: ask with force",
			       object->name, object->layer->disk.size_bytes);
	if (op->base.volume->dev)
		return err_set(&op->base.err, -EBUSY,
			       "%s is in use; take it off its subsystems before it is made smaller",
			       object->name);
	if (op->size_bytes % LAYOUT_CLUSTER)
		return err_set(&op->base.err, -EINVAL,
			       "a volume is made smaller in whole MiB only; %" PRIu64
			       " bytes is the next one",
			       volume_clusters(op->size_bytes) * LAYOUT_CLUSTER);
	return 0;
}

static int check_grow(struct edit_op *op, const struct pool_object *object)
{
	uint64_t old = object->layer->disk.size_bytes;
	int rc = pool_space_check(op->base.set->pool, op->size_bytes - old, &op->base.err);

	if (!rc)
		rc = volume_hide_check(op->base.set, object->layer->parent, old, op->size_bytes,
				       &op->base.err);
	if (rc || !(object->flags & PROPS_F_THICK))
		return rc;
	rc = thick_promise(op->base.set, volume_clusters(op->size_bytes) - volume_clusters(old),
			   &op->base.err);
	if (!rc)
		op->promised = volume_clusters(op->size_bytes) - volume_clusters(old);
	return rc;
}

static int check_resize(struct edit_op *op, const struct pool_object *object)
{
	struct err *err = &op->base.err;
	int rc = pool_writable(op->base.set->pool);

	if (rc)
		return rc;
	if (pool_object_is_snapshot(object))
		return err_set(err, -EROFS, "%s is a snapshot; its size does not change",
			       object->name);
	if (!op->size_bytes || op->size_bytes > LAYER_BYTES_MAX)
		return err_set(err, -EINVAL, "the size is 1 byte to %" PRIu64 " bytes",
			       LAYER_BYTES_MAX);
	if (op->size_bytes < object->layer->disk.size_bytes)
		return check_shrink(op, object);
	return check_grow(op, object);
}

/* Remembers what the head has behind the new end; it goes back to the pool once the transaction counts. */
static int gather_behind(struct edit_op *op, const struct pool_layer *layer, uint64_t first)
{
	uint64_t n = 0;

	for (uint64_t c = map_next(layer->map, first); c != UINT64_MAX;
	     c = map_next(layer->map, c + 1))
		n += map_phys(map_get(layer->map, (uint32_t)c, NULL)) != 0;
	op->phys = calloc(n ? n : 1, sizeof(*op->phys));
	if (!op->phys)
		return -ENOMEM;
	for (uint64_t c = map_next(layer->map, first); c != UINT64_MAX;
	     c = map_next(layer->map, c + 1)) {
		uint64_t phys = map_phys(map_get(layer->map, (uint32_t)c, NULL));

		if (phys)
			op->phys[op->n_phys++] = phys;
	}
	return 0;
}

static void resize_run(struct pool_op *pool_op)
{
	struct edit_op *op = container_of(pool_op, struct edit_op, base.op);
	struct pool_object *object = find_object(op);
	struct record r = {.type = RECORD_LAYER_SET};
	uint64_t old;
	int rc;

	if (!object) {
		edit_end(op, op->base.err.code, "resizing");
		return;
	}
	old = object->layer->disk.size_bytes;
	if (op->size_bytes <= LAYER_BYTES_MAX) /* else it is refused, as what it is */
		op->size_bytes = (op->size_bytes + object->block_size - 1) / object->block_size *
				 object->block_size;
	rc = op->size_bytes == old ? 0 : check_resize(op, object);
	if (!rc && op->size_bytes < old)
		rc = gather_behind(op, object->layer, volume_clusters(op->size_bytes));
	if (rc || op->size_bytes == old) {
		edit_end(op, rc, "resizing");
		return;
	}
	r.layer_set = object->layer->disk;
	r.layer_set.size_bytes = op->size_bytes;
	pool_txn_init(&op->base.txn, resize_durable);
	if (op->size_bytes < old) {
		uint64_t end = volume_clusters(op->size_bytes);

		volume_txn_run(&op->base.txn, object->layer->disk.id, end, volume_clusters(old), 0);
		pool_txn_add(&op->base.txn, &r);
	} else {
		pool_txn_add(&op->base.txn, &r);
		volume_txn_hide(&op->base.txn, object->layer->disk.id, object->layer->parent, old,
				op->size_bytes);
	}
	pool_txn_commit(op->base.set->pool, &op->base.txn);
}

void volume_resize(struct volume *v, uint64_t size_bytes, bool force, volume_done_fn done,
		   void *ctx)
{
	struct edit_op *op = volume_op_new(v->set, sizeof(*op), resize_run, done, ctx);

	if (!op)
		return;
	op->base.volume = v;
	op->object = v->object->id;
	op->size_bytes = size_bytes;
	op->force = force;
	volume_op_start(&op->base);
}
