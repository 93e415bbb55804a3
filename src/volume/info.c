/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume's device says of it, in the shape of SPDK's logical volumes. The facts are the pool's thread's, the question comes on the control thread: so the pool's thread
 * writes them down when they change, under a lock. The map is named under the same lock, for the number of its clusters.
 */
#include "rt/lock.h"
#include "volume/job.h"
#include "volume/priv.h"

/* The nearest snapshot below. */
static const struct pool_object *base_of(const struct pool_object *object)
{
	const struct pool_layer *l = object->layer ? object->layer->parent : NULL;

	while (l && !l->object)
		l = l->parent;
	return l ? l->object : NULL;
}

static void each_clone(const struct pool_layer *layer,
		       void (*fn)(void *ctx, struct pool_object *clone), void *ctx)
{
	list_for_each (node, &layer->children) {
		const struct pool_layer *child = list_entry(node, struct pool_layer, sibling);

		if (child->object)
			fn(ctx, child->object);
		else
			each_clone(child, fn, ctx);
	}
}

static void append_name(void *ctx, struct pool_object *clone)
{
	(void)json_array_append_new(ctx, json_string(clone->name)); /* only memory can be missing */
}

static json_t *info_new(const struct volume *v)
{
	const struct pool_object *object = v->object, *base = base_of(object);
	const struct superblock *sb = pool_superblock(v->pool);
	bool snapshot = pool_object_is_snapshot(object);
	char uuid[UUID_TEXT_SIZE];
	json_t *info = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "lvol_store_uuid",
				 uuid_format(&sb->pool, uuid), "lvol_store_name", sb->name,
				 "base_bdev", pool_dev(v->pool)->name, "thin_provision",
				 !(object->flags & PROPS_F_THICK), "snapshot", snapshot, "clone",
				 base != NULL && !snapshot);

	if (info && base)
		(void)json_object_set_new(info, "base_snapshot", json_string(base->name));
	if (info && snapshot) {
		json_t *clones = json_array();

		if (clones)
			each_clone(object->layer, append_name, clones);
		(void)json_object_set_new(info, "clones", clones);
	}
	return info;
}

static void update_one(struct volume *v)
{
	json_t *info = v->object->layer ? info_new(v) : NULL, *old;

	lock_take(v->set->lock);
	old = v->info;
	v->info = info;
	v->info_map = v->object->layer ? v->object->layer->map : NULL;
	lock_drop(v->set->lock);
	json_decref(old);
}

static void update_clone(void *ctx, struct pool_object *clone)
{
	if (clone->user)
		update_one(clone->user);
}

void info_update(struct volume *v)
{
	const struct pool_object *base = base_of(v->object);

	update_one(v);
	if (base && base->user)
		update_one(base->user);
	if (v->object->layer)
		each_clone(v->object->layer, update_clone, NULL);
}

void info_drop(struct volume *v)
{
	lock_take(v->set->lock);
	json_decref(v->info);
	v->info = NULL;
	v->info_map = NULL;
	lock_drop(v->set->lock);
}

json_t *volume_describe(const struct blk_dev *dev)
{
	struct volume *v = volume_of_dev(dev);
	json_t *lvol;

	lock_take(v->set->lock);
	lvol = v->info ? json_deep_copy(v->info) : json_object();
	if (lvol && v->info_map)
		(void)json_object_set_new(lvol, "num_allocated_clusters",
					  json_integer((json_int_t)map_mapped(v->info_map)));
	lock_drop(v->set->lock);
	return json_pack("{s:o}", "lvol", lvol);
}

unsigned volume_work_list(struct volumes *set, struct volume_work *ret, unsigned max)
{
	unsigned n = 0;

	for (struct pool_layer *l = pool_layer_next(set->pool, NULL); l && n < max;
	     l = pool_layer_next(set->pool, l)) {
		const struct volume_job *job =
			set->job && set->job->layer == l->disk.id ? set->job : NULL;

		if (!(l->disk.flags & LAYER_WORK))
			continue;
		ret[n++] = (struct volume_work){
			.layer = l->disk.id,
			.kind = l->disk.flags & LAYER_MERGING                   ? "merge"
				: l->object && l->object->flags & PROPS_F_THICK ? "inflate"
										: "decouple",
			.done_clusters = job ? job->cursor : l->disk.cursor,
			.total_clusters = map_clusters(l->map),
			.waits_for = job ? job->waits_for : "other work",
		};
	}
	return n;
}
