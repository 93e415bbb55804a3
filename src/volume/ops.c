/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations of ops_*.c share: an operation of the pool that ends with one transaction and one answer. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "volume/priv.h"

static struct reactor *home(const struct volumes *set)
{
	return pool_home(set->pool);
}

void *volume_op_new(struct volumes *set, size_t size, void (*run)(struct pool_op *op),
		    volume_done_fn done, void *ctx)
{
	struct volume_op *op = calloc(1, size);
	struct err err = {0};

	if (!op) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		done(ctx, err.code, NULL, &err);
		return NULL;
	}
	op->op.run = run;
	op->set = set;
	op->done = done;
	op->ctx = ctx;
	return op;
}

void volume_op_start(struct volume_op *op)
{
	pool_op_start(op->set->pool, &op->op);
}

void volume_op_end(struct volume_op *op)
{
	struct volumes *set = op->set;

	thick_update(set);
	op->done(op->ctx, op->err.code, op->err.code ? NULL : op->volume, &op->err);
	pool_txn_fini(&op->txn);
	pool_op_end(set->pool, &op->op);
	jobs_kick(set);
	free(op);
}

void volume_op_fail(struct volume_op *op, int res, const char *what)
{
	if (!op->err.code)
		(void)err_set(&op->err, res, "%s: %s", what,
			      res == -EIO      ? "the pool has failed; the engine's log says why"
			      : res == -ENOMEM ? "out of memory"
			      : res == -EROFS  ? "the pool is read-only"
					       : strerror(-res));
	volume_op_end(op);
}

struct props *volume_props(const struct pool_object *object, struct err *err)
{
	struct props *props = malloc(sizeof(*props));
	int rc;

	if (!props) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	rc = props_decode(object->blob, object->blob_len, props, err);
	if (!rc)
		return props;
	(void)err_prefix(err, "properties of %s", object->name);
	free(props);
	return NULL;
}

int volume_name_check(struct volumes *set, const char *name, const struct uuid *uuid,
		      struct err *err)
{
	const char *pool = pool_superblock(set->pool)->name;

	if (!name || !*name || strlen(name) > LAYOUT_NAME_MAX)
		return err_set(err, -EINVAL, "a name has 1 to %u characters", LAYOUT_NAME_MAX);
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '/')
			return err_set(err, -EINVAL,
				       "name \"%s\": only printable ASCII without blank and slash",
				       name);
	if (pool_object_by_name(set->pool, name))
		return err_set(err, -EEXIST, "pool %s has a volume or snapshot %s already", pool,
			       name);
	if (uuid && pool_object_by_uuid(set->pool, uuid))
		return err_set(err, -EEXIST, "pool %s has an object with that UUID already: %s",
			       pool, pool_object_by_uuid(set->pool, uuid)->name);
	return 0;
}

void volume_uuid(struct volumes *set, const struct uuid *wanted, struct uuid *ret)
{
	uint8_t random[16];

	*ret = *wanted;
	if (!uuid_is_null(wanted))
		return;
	reactor_random(home(set), random, sizeof(random));
	*ret = uuid_from_random(random);
}

uint64_t volume_now_s(struct volumes *set)
{
	return reactor_wall_ns(home(set)) / 1000000000u;
}

void volume_txn_run(struct pool_txn *txn, uint64_t layer, uint64_t first, uint64_t end,
		    uint64_t entry)
{
	for (uint64_t n; first < end; first += n) {
		struct record r = {
			.type = RECORD_MAP_RUN,
			.map_run = {.layer = layer, .entry = entry, .cluster = (uint32_t)first}};

		n = MIN(end - first, MAP_RUN_MAX);
		r.map_run.count = (uint32_t)n;
		pool_txn_add(txn, &r);
	}
}

/* Where the clusters end that are to be hidden: nothing below has more, or the layer ends. */
static uint64_t hide_end(const struct pool_layer *below, uint64_t to_bytes)
{
	uint64_t end = 0;

	for (const struct pool_layer *l = below; l; l = l->parent)
		end = MAX(end, volume_clusters(l->disk.size_bytes));
	return MIN(end, volume_clusters(to_bytes));
}

void volume_txn_hide(struct pool_txn *txn, uint64_t layer, const struct pool_layer *below,
		     uint64_t from_bytes, uint64_t to_bytes)
{
	volume_txn_run(txn, layer, volume_clusters(from_bytes), hide_end(below, to_bytes),
		       MAP_HIDE);
}

int volume_hide_check(const struct volumes *set, const struct pool_layer *below,
		      uint64_t from_bytes, uint64_t to_bytes, struct err *err)
{
	uint64_t first = volume_clusters(from_bytes), end = hide_end(below, to_bytes);

	return end > first ? pool_pages_check(set->pool, end - first, err) : 0;
}
