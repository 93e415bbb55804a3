/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What objects a pool has, carried from the pool reactor to the control thread at the end of every job, and the block devices that follow it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/store.h"

/* ---- pool reactor ---- */

static json_t *props_of(const struct volume *v)
{
	struct props *props = malloc(sizeof(*props));
	json_t *json = NULL;

	if (props && props_decode(v->object->blob, v->object->blob_len, props, NULL) == 0)
		json = store_props_json(props);
	free(props);
	return json;
}

static void item_take(struct store_item *item, struct volume *v)
{
	uintptr_t told = v->object->revision + 1; /* so that 0 is: nothing told */

	item->v = v;
	item->uuid = v->object->uuid;
	memcpy(item->name, v->object->name, sizeof(item->name));
	item->size_bytes = v->object->layer ? v->object->layer->disk.size_bytes : 0;
	item->unusable = v->object->unusable;
	if ((uintptr_t)v->user == told || item->unusable)
		return;
	item->props = props_of(v);
	if (item->props)
		v->user = (void *)told; /* NOLINT(performance-no-int-to-ptr): a number */
}

void store_catalog_take(struct store_job *job)
{
	struct store_pool *sp = job->sp;
	const struct superblock *sb = pool_superblock(sp->pool);
	size_t n = 0;

	list_for_each (it, volumes_list(sp->set))
		n++;
	job->items = calloc(n + 1, sizeof(*job->items));
	if (!job->items)
		return; /* the next job brings it */
	list_for_each (it, volumes_list(sp->set))
		item_take(&job->items[job->n_items++], list_entry(it, struct volume, link));
	job->pool_uuid = sb->pool;
	memcpy(job->pool_name, sb->name, sizeof(job->pool_name));
	/* A successor keeps nothing yet: the old engine has. */
	job->pool_writable =
		pool_state(sp->pool) != POOL_READ_ONLY && pool_state(sp->pool) != POOL_SUCCESSOR;
	job->has_catalog = true;
}

/* ---- control thread ---- */

static void sp_name(struct store_pool *sp, const struct store_job *job)
{
	sp->uuid = job->pool_uuid;
	uuid_format(&sp->uuid, sp->uuid_text);
	memcpy(sp->name, job->pool_name, sizeof(sp->name));
	sp->writable = job->pool_writable;
	snprintf(sp->claim, sizeof(sp->claim), "pool %s", sp->name);
}

static uint64_t u64_of(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void limits_apply(struct bdev *bdev)
{
	const json_t *qos = json_object_get(bdev->props, "qos");
	struct nvme_qos_limits limits = {
		.rw_ios_per_sec = u64_of(qos, "rw_ios_per_sec"),
		.r_ios_per_sec = u64_of(qos, "r_ios_per_sec"),
		.w_ios_per_sec = u64_of(qos, "w_ios_per_sec"),
		.rw_bytes_per_sec = u64_of(qos, "rw_bytes_per_sec"),
		.r_bytes_per_sec = u64_of(qos, "r_bytes_per_sec"),
		.w_bytes_per_sec = u64_of(qos, "w_bytes_per_sec"),
		.burst_ms = bdev->limits.burst_ms,
	};

	bdev_set_limits(bdev, &limits);
}

static struct bdev *bdev_make(struct store_pool *sp, const struct store_item *item)
{
	struct engine *e = sp->e;
	char uuid[UUID_TEXT_SIZE];
	struct bdev *bdev = NULL;
	struct blk_dev *dev;
	struct err err = {0};
	int res;

	uuid_format(&item->uuid, uuid);
	res = bdev_check_free(&e->bdevs, uuid, &item->uuid, &err);
	if (res == 0)
		res = volume_dev_new(item->v, uuid, &dev, &err);
	if (res == 0) {
		res = bdev_add(&e->bdevs, dev, "bdev_lvol_create", NULL, &bdev, &err);
		if (res < 0)
			dev->ops->destroy(dev);
	}
	if (res < 0) {
		log_error("engine.volume.not_there", "pool=%s volume=%s reason=\"%s\"", sp->name,
			  item->name, err.text);
		return NULL;
	}
	bdev->pool = sp;
	bdev->volume = item->v;
	/* Made by a call: there is nothing to be restored. An opening restores what the disk says. */
	bdev->exports_live = sp->state == STORE_OPEN;
	notify_add(&e->notify, "bdev_register", uuid);
	return bdev;
}

static void resized(struct engine *e, struct bdev *bdev)
{
	uint64_t size;

	if (bdev->dev->ops->rescan(bdev->dev, &size, NULL) == 0)
		nvme_target_dev_changed(e->target, bdev->dev);
}

static void item_apply(struct store_pool *sp, struct store_item *item, uint64_t mark)
{
	char uuid[UUID_TEXT_SIZE];
	struct bdev *bdev = bdev_find(&sp->e->bdevs, uuid_format(&item->uuid, uuid));
	bool is_new = !bdev;

	if (item->unusable)
		return;
	if (!bdev)
		bdev = bdev_make(sp, item);
	if (!bdev || bdev->pool != sp)
		return;
	bdev->seen = mark;
	snprintf(bdev->alias, sizeof(bdev->alias), "%s/%s", sp->name, item->name);
	if (item->props) {
		json_decref(bdev->props);
		bdev->props = json_incref(item->props);
	}
	if (is_new)
		limits_apply(bdev);
	else if (atomic_load(&bdev->dev->size_bytes) != item->size_bytes)
		resized(sp->e, bdev);
}

static void bdev_gone(struct engine *e, struct bdev *bdev)
{
	notify_add(&e->notify, "bdev_unregister", bdev->uuid_text);
	bdev_remove(&e->bdevs, bdev);
}

void store_catalog_apply(struct store_job *job)
{
	static uint64_t marks; /* control thread's */
	struct store_pool *sp = job->sp;
	uint64_t mark = ++marks;

	sp_name(sp, job);
	for (size_t i = 0; i < job->n_items; i++)
		item_apply(sp, &job->items[i], mark);
	list_for_each_safe (it, &job->e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->pool == sp && bdev->seen != mark)
			bdev_gone(job->e, bdev);
	}
}

void store_catalog_drop(struct store_job *job)
{
	for (size_t i = 0; i < job->n_items; i++)
		json_decref(job->items[i].props);
	free(job->items);
	job->items = NULL;
	job->n_items = 0;
}

void store_bdevs_remove(struct store_pool *sp)
{
	list_for_each_safe (it, &sp->e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->pool == sp)
			bdev_gone(sp->e, bdev);
	}
}

int store_bdevs_unused(struct store_pool *sp, struct err *err)
{
	char user[400];

	list_for_each (it, &sp->e->bdevs.list) {
		const struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->pool != sp || bdev->dev->claims == 0)
			continue;
		rpc_bdev_user_text(sp->e, bdev, user, sizeof(user));
		return err_set(err, -EBUSY, "%s is in use by %s", bdev->alias, user);
	}
	return 0;
}
