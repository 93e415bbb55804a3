/* SPDX-License-Identifier: Apache-2.0 */
/* New volumes: empty ones, and clones, which stand on the layer of a snapshot. One transaction: the layer and the properties. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "volume/priv.h"

struct create_op {
	struct volume_op base;
	char name[LAYOUT_NAME_MAX + 1];
	uint64_t source; /* object cloned, 0: none */
	uint64_t object;
	uint64_t promised; /* clusters of a thick volume */
	uint64_t size_bytes;
	bool thick;
	struct props *props;
};

static void create_end(struct create_op *op)
{
	if (op->promised)
		thick_unpromise(op->base.set, op->promised);
	free(op->props);
	volume_op_end(&op->base);
}

static void create_fail(struct create_op *op, int res)
{
	if (!op->base.err.code)
		(void)err_set(&op->base.err, res, "creating %s: %s", op->name, strerror(-res));
	create_end(op);
}

static void create_durable(struct pool_txn *txn, int res)
{
	struct create_op *op = container_of(txn, struct create_op, base.txn);

	if (res) {
		create_fail(op, res);
		return;
	}
	op->base.volume = volume_find(op->base.set, op->name);
	create_end(op);
}

/* The layer that the new one stands on; NULL with 0: none. */
static int find_parent(struct create_op *op, struct pool_layer **ret)
{
	struct pool_object *source;

	*ret = NULL;
	if (!op->source)
		return 0;
	source = pool_object_find(op->base.set->pool, op->source);
	if (!source || !source->layer)
		return err_set(&op->base.err, -ENOENT, "the snapshot to clone is gone");
	if (!pool_object_is_snapshot(source))
		return err_set(&op->base.err, -EINVAL,
			       "%s is a volume: make a snapshot of it and clone that",
			       source->name);
	if (op->props->block_size != source->block_size)
		return err_set(&op->base.err, -EINVAL,
			       "a clone of %s has its block size, %" PRIu32 " bytes", source->name,
			       source->block_size);
	if (!op->size_bytes)
		op->size_bytes = source->layer->disk.size_bytes;
	if (op->size_bytes < source->layer->disk.size_bytes)
		return err_set(&op->base.err, -EINVAL,
			       "a clone cannot be smaller than its snapshot %s (%" PRIu64 " bytes)",
			       source->name, source->layer->disk.size_bytes);
	if (source->flags & PROPS_F_FORMATTED)
		op->props->flags |= PROPS_F_FORMATTED;
	*ret = source->layer;
	return 0;
}

static int check(struct create_op *op, struct pool_layer **ret_parent)
{
	struct volumes *set = op->base.set;
	uint32_t device = pool_superblock(set->pool)->block_bytes;
	struct err *err = &op->base.err;
	int rc = pool_writable(set->pool);

	if (rc)
		return err_set(err, rc, "pool %s takes no writes: %s",
			       pool_superblock(set->pool)->name,
			       pool_state_name[pool_state(set->pool)]);
	rc = volume_name_check(set, op->name, &op->props->uuid, err);
	if (!rc && op->props->block_size < device)
		rc = err_set(err, -EINVAL,
			     "blocks of %" PRIu32
			     " bytes: the device of pool %s has blocks of %" PRIu32,
			     op->props->block_size, pool_superblock(set->pool)->name, device);
	if (!rc)
		rc = find_parent(op, ret_parent);
	if (!rc && (!op->size_bytes || op->size_bytes > LAYER_BYTES_MAX))
		rc = err_set(err, -EINVAL, "the size is 1 byte to %" PRIu64 " bytes",
			     LAYER_BYTES_MAX);
	if (!rc)
		rc = props_check(op->props, err);
	if (!rc)
		rc = pool_space_check(set->pool, op->size_bytes, err);
	if (!rc && *ret_parent)
		rc = volume_hide_check(set, *ret_parent, (*ret_parent)->disk.size_bytes,
				       op->size_bytes, err);
	if (!rc && op->thick) {
		rc = thick_promise(set, volume_clusters(op->size_bytes), err);
		op->promised = rc ? 0 : volume_clusters(op->size_bytes);
	}
	return rc;
}

static void create_run(struct pool_op *pool_op)
{
	struct create_op *op = container_of(pool_op, struct create_op, base.op);
	struct pool *pool = op->base.set->pool;
	struct pool_layer *parent = NULL;
	struct record r = {.type = RECORD_LAYER_SET};
	uint32_t block = op->props->block_size;
	int rc;

	if (op->size_bytes <=
	    LAYER_BYTES_MAX) /* else it is refused; it might wrap to 0, which has a meaning */
		op->size_bytes = (op->size_bytes + block - 1) / block * block;
	rc = check(op, &parent);
	if (rc) {
		create_fail(op, rc);
		return;
	}
	op->object = pool_new_id(pool);
	r.layer_set = (struct layer){
		.id = pool_new_id(pool),
		.parent = parent ? parent->disk.id : 0,
		.object = op->object,
		.size_bytes = op->size_bytes,
		.created_s = op->props->created_s,
	};
	pool_txn_init(&op->base.txn, create_durable);
	pool_txn_add(&op->base.txn, &r);
	if (parent)
		volume_txn_hide(&op->base.txn, r.layer_set.id, parent, parent->disk.size_bytes,
				op->size_bytes);
	pool_txn_add_props(&op->base.txn, op->object, 1, op->props);
	pool_txn_commit(pool, &op->base.txn);
}

static void create(struct volumes *set, uint64_t source, const struct volume_create_opts *opts,
		   uint32_t block_size, volume_done_fn done, void *ctx)
{
	struct create_op *op = volume_op_new(set, sizeof(*op), create_run, done, ctx);
	struct props *p;

	if (!op)
		return;
	p = op->props = calloc(1, sizeof(*p));
	if (!p) {
		free(op);
		done(ctx, -ENOMEM, NULL, &(struct err){-ENOMEM, "out of memory"});
		return;
	}
	if (opts->props)
		*p = *opts->props;
	(void)snprintf(op->name, sizeof(op->name), "%s", opts->name ? opts->name : "");
	memset(p->name, 0, sizeof(p->name)); /* nothing of a longer one may stay */
	(void)snprintf(p->name, sizeof(p->name), "%s", op->name);
	if (opts->name && strlen(opts->name) > LAYOUT_NAME_MAX)
		op->name[0] = '\0'; /* refused as no name */
	volume_uuid(set, &opts->uuid, &p->uuid);
	p->block_size = opts->block_size ? opts->block_size : block_size;
	p->flags = (p->flags & PROPS_F_FORMATTED) | (opts->thick ? PROPS_F_THICK : 0);
	p->created_s = volume_now_s(set);
	op->source = source;
	op->size_bytes = opts->size_bytes;
	op->thick = opts->thick;
	volume_op_start(&op->base);
}

void volume_create(struct volumes *set, const struct volume_create_opts *opts, volume_done_fn done,
		   void *ctx)
{
	create(set, 0, opts, LAYOUT_PAGE, done, ctx);
}

void volume_clone(struct volume *snapshot, const struct volume_create_opts *opts,
		  volume_done_fn done, void *ctx)
{
	create(snapshot->set, snapshot->object->id, opts, snapshot->object->block_size, done, ctx);
}
