/* SPDX-License-Identifier: Apache-2.0 */
/* Methods on volumes and snapshots by SPDK's names. Each is one job in the line of its pool (store.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

struct lvol_params {
	const char *uuid, *lvs_name, *lvs_uuid, *lvol_name, *name, *new_name, *old_name;
	const char *snapshot_name, *clone_name, *clear_method, *bdev, *volume_uuid;
	uint64_t size, size_in_mib;
	uint32_t block_size;
	bool thin_provision, force;
};
#define AT(member) offsetof(struct lvol_params, member)
#define MEGABYTE   (UINT64_C(1) << 20)

struct lvol_job {
	struct store_job job;
	struct lvol_params p; /* texts live in job.params */
	uint64_t size_bytes;
	struct uuid uuid;
	void (*start)(struct lvol_job *j); /* pool reactor */
	const char *volume_name;           /* what prepare looks for; NULL: nothing */
	bool detach;                       /* its device must go first */
	bool shrink_only;                  /* detach only when it gets smaller */
};

/* Pool reactor: the answer is the UUID of the new volume or snapshot. */
static void made(void *ctx, int res, struct volume *v, const struct err *err)
{
	struct lvol_job *j = ctx;
	char text[UUID_TEXT_SIZE];

	if (res == 0 && v)
		j->job.result = json_string(uuid_format(&v->object->uuid, text));
	store_job_done(&j->job, res, err);
}

static void run(struct store_job *job)
{
	struct lvol_job *j = (struct lvol_job *)job;

	j->start(j);
}

static int prepare(struct store_job *job)
{
	struct lvol_job *j = (struct lvol_job *)job;
	struct bdev *bdev;

	if (!j->volume_name)
		return 0;
	bdev = store_volume(job->e, j->volume_name, &job->err);
	if (!bdev)
		return job->err.code;
	if (bdev->pool != job->sp)
		return err_set(&job->err, -ENODEV, "%s is in another pool now", bdev->alias);
	if (j->detach && (!j->shrink_only || atomic_load(&bdev->dev->size_bytes) > j->size_bytes))
		return store_detach(job, bdev);
	job->volume = bdev->volume;
	return 0;
}

static void start(struct engine *e, struct rpc_call *call, const json_t *params,
		  struct store_pool *sp, const struct lvol_job *template)
{
	struct lvol_job *j = store_job_new(e, sizeof(*j), sp, call, params);
	struct store_job job;

	if (!j)
		return;
	job = j->job;
	*j = *template;
	j->job = job;
	j->job.prepare = prepare;
	j->job.run = run;
	store_job_start(&j->job);
}

/* A job on the volume of that name; answered if there is none. */
static void start_on(struct engine *e, struct rpc_call *call, const json_t *params,
		     const char *name, struct lvol_job *template)
{
	struct err err = {0};
	struct bdev *bdev = store_volume(e, name, &err);

	if (!bdev) {
		rpc_fail_err(call, &err);
		return;
	}
	template->volume_name = name;
	start(e, call, params, bdev->pool, template);
}

/* size_in_mib, or size in bytes; 0: neither, or both. */
static uint64_t size_of(const struct lvol_params *p)
{
	if (p->size && p->size_in_mib)
		return 0;
	return p->size ? p->size : p->size_in_mib * MEGABYTE;
}

#define SIZE_FIELDS                                                                                \
	{"size", JSON_KIND_U64, AT(size), false, 1, LAYER_BYTES_MAX},                              \
	{                                                                                          \
		"size_in_mib", JSON_KIND_U64, AT(size_in_mib), false, 1,                           \
			LAYER_BYTES_MAX / MEGABYTE                                                 \
	}

/* ---- create ---- */

static const struct json_field create_fields[] = {
	{"uuid", JSON_KIND_STRING, AT(uuid)},
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name)},
	{"lvol_name", JSON_KIND_STRING, AT(lvol_name), true},
	SIZE_FIELDS,
	{"thin_provision", JSON_KIND_BOOL, AT(thin_provision)},
	{"clear_method", JSON_KIND_STRING, AT(clear_method)},
	{"block_size", JSON_KIND_U32, AT(block_size)},
	{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid)},
};

static void create_start(struct lvol_job *j)
{
	struct volume_create_opts opts = {.name = j->p.lvol_name,
					  .uuid = j->uuid,
					  .size_bytes = j->size_bytes,
					  .block_size = j->p.block_size,
					  .thick = !j->p.thin_provision};

	volume_create(j->job.sp->set, &opts, made, j);
}

/* False: answered. */
static bool uuid_param(struct rpc_call *call, const char *text, struct uuid *ret)
{
	if (!text || (uuid_parse(text, ret) && !uuid_is_null(ret)))
		return true;
	rpc_fail(call, RPC_ERR_INVALID_PARAMS, "volume_uuid '%.64s' is no UUID, or null", text);
	return false;
}

void rpc_bdev_lvol_create(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = create_start};
	struct store_pool *sp;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, create_fields, &j.p) ||
	    !uuid_param(call, j.p.volume_uuid, &j.uuid))
		return;
	j.size_bytes = size_of(&j.p);
	if (!j.size_bytes) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "give the size by size_in_mib or by size (bytes), one of them");
		return;
	}
	sp = store_find(ctx, j.p.lvs_name, j.p.uuid, &err);
	if (sp)
		start(ctx, call, params, sp, &j);
	else
		rpc_fail_err(call, &err);
}

/* ---- snapshot, clone ---- */

static const struct json_field snapshot_fields[] = {
	{"lvol_name", JSON_KIND_STRING, AT(lvol_name), true},
	{"snapshot_name", JSON_KIND_STRING, AT(snapshot_name), true},
	{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid)},
};

static void snapshot_start(struct lvol_job *j)
{
	struct volume_snapshot_spec spec = {
		.volume = j->job.volume, .name = j->p.snapshot_name, .uuid = j->uuid};

	volume_snapshot(j->job.sp->set, &spec, 1, made, j);
}

void rpc_bdev_lvol_snapshot(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = snapshot_start};

	if (RPC_PARAMS(call, params, snapshot_fields, &j.p) &&
	    uuid_param(call, j.p.volume_uuid, &j.uuid))
		start_on(ctx, call, params, j.p.lvol_name, &j);
}

static const struct json_field clone_fields[] = {
	{"snapshot_name", JSON_KIND_STRING, AT(snapshot_name), true},
	{"clone_name", JSON_KIND_STRING, AT(clone_name), true},
	{"size", JSON_KIND_U64, AT(size), false, 1, LAYER_BYTES_MAX},
	{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid)},
};

static void clone_start(struct lvol_job *j)
{
	struct volume_create_opts opts = {.name = j->p.clone_name,
					  .uuid = j->uuid,
					  .size_bytes = j->p.size,
					  .block_size = j->job.volume->block_size};

	volume_clone(j->job.volume, &opts, made, j);
}

void rpc_bdev_lvol_clone(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = clone_start};

	if (!RPC_PARAMS(call, params, clone_fields, &j.p))
		return;
	if (strchr(j.p.clone_name, '/')) {
		rpc_fail(call, -EINVAL,
			 "clone_name '%.128s': a name without pool: a clone stands in the pool of "
			 "its snapshot; to have it in another one create a volume there and copy",
			 j.p.clone_name);
		return;
	}
	if (uuid_param(call, j.p.volume_uuid, &j.uuid))
		start_on(ctx, call, params, j.p.snapshot_name, &j);
}

static const struct json_field clone_bdev_fields[] = {
	{"bdev", JSON_KIND_STRING, AT(bdev), true},
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name), true},
	{"clone_name", JSON_KIND_STRING, AT(clone_name), true},
};

void rpc_bdev_lvol_clone_bdev(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_params p = {0};

	if (RPC_PARAMS(call, params, clone_bdev_fields, &p))
		rpc_fail(call, -EOPNOTSUPP,
			 "clones of a block device outside of the pool (%.128s) are not supported; "
			 "create a volume and copy into it",
			 p.bdev);
}

/* ---- rename, resize, read only ---- */

static const struct json_field rename_fields[] = {
	{"old_name", JSON_KIND_STRING, AT(old_name), true},
	{"new_name", JSON_KIND_STRING, AT(new_name), true},
};

static void rename_start(struct lvol_job *j)
{
	volume_rename(j->job.volume, j->p.new_name, store_volume_done, j);
}

void rpc_bdev_lvol_rename(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = rename_start};

	if (RPC_PARAMS(call, params, rename_fields, &j.p))
		start_on(ctx, call, params, j.p.old_name, &j);
}

static const struct json_field resize_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
	SIZE_FIELDS,
	{"force", JSON_KIND_BOOL, AT(force)},
};

static void resize_start(struct lvol_job *j)
{
	volume_resize(j->job.volume, j->size_bytes, j->p.force, store_volume_done, j);
}

void rpc_bdev_lvol_resize(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = resize_start};

	if (!RPC_PARAMS(call, params, resize_fields, &j.p))
		return;
	j.size_bytes = size_of(&j.p);
	j.detach = j.shrink_only = j.p.force;
	if (j.size_bytes)
		start_on(ctx, call, params, j.p.name, &j);
	else
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "give the size by size_in_mib or by size (bytes), one of them");
}

static const struct json_field name_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
};

void rpc_bdev_lvol_set_read_only(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_params p = {0};

	if (RPC_PARAMS(call, params, name_fields, &p))
		rpc_fail(call, -EOPNOTSUPP,
			 "read-only volumes are not supported; make a snapshot of %.128s and "
			 "export that",
			 p.name);
}

/* ---- delete, inflate, decouple ---- */

static void delete_start(struct lvol_job *j)
{
	volume_delete(j->job.volume, store_volume_done, j);
}

void rpc_bdev_lvol_delete(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = delete_start, .detach = true};

	if (RPC_PARAMS(call, params, name_fields, &j.p))
		start_on(ctx, call, params, j.p.name, &j);
}

static void inflate_start(struct lvol_job *j)
{
	volume_inflate(j->job.volume, false, store_volume_done, j);
}

void rpc_bdev_lvol_inflate(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = inflate_start};

	if (RPC_PARAMS(call, params, name_fields, &j.p))
		start_on(ctx, call, params, j.p.name, &j);
}

static void decouple_start(struct lvol_job *j)
{
	volume_inflate(j->job.volume, true, store_volume_done, j);
}

void rpc_bdev_lvol_decouple_parent(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvol_job j = {.start = decouple_start};

	if (RPC_PARAMS(call, params, name_fields, &j.p))
		start_on(ctx, call, params, j.p.name, &j);
}

/* ---- what there is ---- */

static json_t *lvol_json(const struct bdev *bdev)
{
	const struct blk_dev *dev = bdev->dev;
	json_t *driver = dev->ops->describe(dev);
	json_t *lvol = json_incref(json_object_get(driver, "lvol"));
	const char *slash = strchr(bdev->alias, '/');
	json_t *json = json_pack(
		"{s:s, s:s, s:s, s:O, s:O, s:O, s:b, s:b, s:O*, s:{s:s, s:s}, s:O*, s:O*, s:I, "
		"s:i}",
		"alias", bdev->alias, "uuid", bdev->uuid_text, "name",
		slash ? slash + 1 : bdev->alias, "is_thin_provisioned",
		json_object_get(lvol, "thin_provision"), "is_snapshot",
		json_object_get(lvol, "snapshot"), "is_clone", json_object_get(lvol, "clone"),
		"is_esnap_clone", false, "is_degraded", false, "num_allocated_clusters",
		json_object_get(lvol, "num_allocated_clusters"), "lvs", "name", bdev->pool->name,
		"uuid", bdev->pool->uuid_text, "base_snapshot",
		json_object_get(lvol, "base_snapshot"), "clones", json_object_get(lvol, "clones"),
		"size_bytes", (json_int_t)atomic_load(&dev->size_bytes), "block_size",
		(int)dev->block_size);

	if (json) {
		(void)json_object_set_new(json, "allocated_bytes",
					  json_integer(json_integer_value(json_object_get(
							       lvol, "num_allocated_clusters")) *
						       LAYOUT_CLUSTER));
		(void)json_object_set_new(json, "in_use", json_boolean(dev->claims > 0));
		(void)json_object_set(json, "created_s", json_object_get(bdev->props, "created_s"));
		if (json_object_get(bdev->props, "snapshot_of"))
			(void)json_object_set(json, "snapshot_of",
					      json_object_get(bdev->props, "snapshot_of"));
		(void)json_object_set(json, "formatted", json_object_get(bdev->props, "formatted"));
		(void)json_object_set(json, "labels", json_object_get(bdev->props, "labels"));
	}
	json_decref(lvol);
	json_decref(driver);
	return json;
}

static const struct json_field get_fields[] = {
	{"lvs_uuid", JSON_KIND_STRING, AT(lvs_uuid)},
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name)},
	{"name", JSON_KIND_STRING, AT(name)},
};

void rpc_bdev_lvol_get_lvols(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct lvol_params p = {0};
	struct store_pool *sp = NULL;
	struct bdev *one = NULL;
	struct err err = {0};
	json_t *list;

	if (!RPC_PARAMS(call, params, get_fields, &p))
		return;
	if (p.lvs_name || p.lvs_uuid)
		sp = store_find(e, p.lvs_name, p.lvs_uuid, &err);
	if (!err.code && p.name)
		one = store_volume(e, p.name, &err);
	if (err.code) {
		rpc_fail_err(call, &err);
		return;
	}
	list = json_array();
	list_for_each (it, &e->bdevs.list) {
		const struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->pool && (!sp || bdev->pool == sp) && (!one || bdev == one))
			(void)json_array_append_new(list, lvol_json(bdev));
	}
	rpc_reply_json(call, list);
}
