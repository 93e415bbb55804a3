/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a pool: one for each object, following what the pool's tables say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "rt/lock.h"
#include "volume/priv.h"

static void volume_free(struct volume *v)
{
	ASSERT(!v->dev);
	info_drop(v);
	list_remove(&v->link);
	v->object->user = NULL;
	free(v->view);
	free(v->port);
	free(v);
}

/* What is the same in struct volume and in the tables. */
static void follow(struct volume *v)
{
	const struct pool_object *object = v->object;

	v->block_size = object->block_size;
	atomic_store(&v->thick, (object->flags & PROPS_F_THICK) != 0);
	if (object->layer)
		atomic_store(&v->size_bytes, object->layer->disk.size_bytes);
}

static int volume_new(struct volumes *set, struct pool_object *object)
{
	struct volume *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->set = set;
	v->pool = set->pool;
	v->object = object;
	v->port = calloc(set->n_slots, sizeof(*v->port));
	v->view = v->port ? view_new(v) : NULL;
	if (!v->view) {
		free(v->port);
		free(v);
		return -ENOMEM;
	}
	/* No reactor looks at them before there is a device, and that comes by a message. */
	for (unsigned i = 0; i < set->n_slots; i++) {
		v->port[i].view = v->view;
		v->port[i].held = set->held;
		list_init(&v->port[i].waiting);
	}
	follow(v);
	list_push_back(&set->list, &v->link);
	object->user = v;
	info_update(v);
	return 0;
}

/* ---- what the pool tells ---- */

static void object_changed(struct volumes *set, struct pool_object *object)
{
	struct volume *v = object->user;

	set->stale = true;
	set->changes++;
	if (v) {
		follow(v);
		info_update(v);
	} else if (object->layer && object->layer->map && volume_new(set, object)) {
		log_error("volume.new",
			  "name=%s reason=\"out of memory\" effect=\"it is not there until the "
			  "pool is opened again\"",
			  object->name);
	}
}

static void on_layer_set(void *ctx, struct pool_layer *layer, bool is_new)
{
	struct volumes *set = ctx;

	set->stale = true;
	set->changes++;
	if (layer->object)
		object_changed(ctx, layer->object);
}

static void on_object_set(void *ctx, struct pool_object *object, bool is_new)
{
	object_changed(ctx, object);
}

static void on_object_gone(void *ctx, struct pool_object *object)
{
	((struct volumes *)ctx)->changes++;
	if (object->user)
		volume_free(object->user);
}

/* ---- life ---- */

static void set_free(struct volumes *set)
{
	while (!list_empty(&set->list))
		volume_free(list_first(&set->list, struct volume, link));
	for (unsigned i = 0; i <= REACTORS_MAX; i++)
		volume_lane_free(set->lane[i]);
	if (set->lock)
		lock_free(set->lock);
	free(set);
}

int volumes_new(struct pool *pool, struct volumes **ret, struct err *err)
{
	struct volumes *set = calloc(1, sizeof(*set));
	int rc;

	if (!set)
		return err_set(err, -ENOMEM, "no memory for the volumes of a pool");
	set->pool = pool;
	list_init(&set->list);
	set->slots = pool_slots(pool, &set->n_slots);
	successor_init(set);
	rc = lock_new(&set->lock);
	list_for_each (node, pool_objects(pool))
		if (!rc)
			rc = volume_new(set, list_entry(node, struct pool_object, link));
	if (rc) {
		pool_unlisten(pool, set);
		set_free(set);
		return err_set(err, rc, "no memory for the volumes of pool %s",
			       pool_superblock(pool)->name);
	}
	pool_listen(pool, &(struct pool_listener){.layer_set = on_layer_set,
						  .object_set = on_object_set,
						  .object_gone = on_object_gone,
						  .ctx = set});
	thick_update(set);
	jobs_kick(set); /* what was under way when the pool was closed */
	*ret = set;
	return 0;
}

void volumes_stop(struct volumes *set, void (*done)(void *ctx), void *ctx)
{
	jobs_stop(set, done, ctx);
}

void volumes_free(struct volumes *set)
{
	ASSERT(!set->job);
	task_cancel(&set->job_task);
	pool_unlisten(set->pool, set);
	set_free(set);
}

uint64_t volumes_changes(const struct volumes *set)
{
	return set->changes;
}

struct list *volumes_list(struct volumes *set)
{
	return &set->list;
}

struct pool *volumes_pool(struct volumes *set)
{
	return set->pool;
}

struct volume *volume_find(struct volumes *set, const char *name)
{
	const struct pool_object *object = pool_object_by_name(set->pool, name);

	return object ? object->user : NULL;
}

struct volume *volume_find_uuid(struct volumes *set, const struct uuid *uuid)
{
	const struct pool_object *object = pool_object_by_uuid(set->pool, uuid);

	return object ? object->user : NULL;
}
