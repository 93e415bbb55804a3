/* SPDX-License-Identifier: Apache-2.0 */
/* Methods on pools: SPDK's bdev_lvol_*_lvstore, and ours where SPDK has none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "disk/disk.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "rt/foreign.h"
#include "rt/worker.h"

struct lvstore_params {
	const char *bdev_name, *lvs_name, *uuid, *old_name, *new_name, *force, *name;
	uint64_t cluster_sz, reserved_bytes;
	uint32_t commit_percent;
	json_t *watermarks;
	bool readonly, checksums;
	const char *clear_method;
	uint32_t num_md_pages_per_cluster_ratio, md_page_size;
};
#define AT(member)  offsetof(struct lvstore_params, member)
#define PERCENT_MAX 100000u
#define UNSET32     UINT32_MAX

static int watermarks_get(const json_t *json, uint8_t ret[3], struct err *err)
{
	int last = 0;

	if (!json)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		const json_t *one = json_array_get(json, i);
		json_int_t n = json_integer_value(one);

		if (json_array_size(json) != 3 || !json_is_integer(one) || n <= last || n > 100)
			return err_set(
				err, -EINVAL,
				"watermarks: expected three ascending percents, such as [80, "
				"90, 95]");
		ret[i] = (uint8_t)n;
		last = (int)n;
	}
	return 0;
}

/* ---- create: look (on a worker) -> CREATE (on the pool reactor) -> open -> answer ---- */

struct create_job {
	struct store_job job;
	struct work look;
	int fd; /* the disk's; -1: it has none */
	int looked;
	bool foreign;
	char words[FOREIGN_WORDS];
	struct bdev *bdev;
	struct pool_create_opts opts; /* its name lives in params */
	const struct pool_env *env;
};

static void create_run(struct store_job *job)
{
	struct create_job *c = (struct create_job *)job;

	pool_create(c->env, c->bdev->dev, &c->opts, store_pool_done, job);
}

struct created {
	struct engine *e;
	struct rpc_call *call;
	bool by_uuid; /* only the pool of that UUID was wanted */
	char bdev[BLK_NAME_MAX];
};

static void created_done(void *ctx, int res, const struct err *err)
{
	struct created *c = ctx;

	if (res < 0)
		rpc_fail(c->call, res, "the pool was created but could not be opened: %s",
			 err->text);
	else
		list_for_each (it, &c->e->store.pools) {
			struct store_pool *sp = list_entry(it, struct store_pool, link);

			if (strcmp(sp->base_name, c->bdev) == 0)
				rpc_reply_json(c->call, json_string(sp->uuid_text));
		}
	free(c);
}

static void create_finish(struct store_job *job)
{
	struct create_job *c = (struct create_job *)job;
	struct bdev *bdev = c->bdev;
	struct created *created;

	store_making_end(job->e, bdev);
	if (!job->err.code && job->e->store.closing)
		(void)err_set(&job->err, -ECANCELED,
			      "the pool was created, but the engine stops before it is opened");
	created = job->err.code ? NULL : calloc(1, sizeof(*created));
	if (!created) {
		if (!job->err.code)
			(void)err_set(&job->err, -ENOMEM, "out of memory");
		store_job_answer(job);
		return;
	}
	created->e = job->e;
	created->call = job->call;
	snprintf(created->bdev, sizeof(created->bdev), "%s", bdev->dev->name);
	log_info("engine.pool.created", "pool=%s bdev=%s", c->opts.name, created->bdev);
	store_open(job->e, bdev, &(struct store_open_opts){0}, created_done, created);
}

/* Worker thread. What stands on a layer stands on its disk. */
static void look_run(struct work *work)
{
	struct create_job *c = container_of(work, struct create_job, look);

	if (c->fd >= 0)
		c->looked = foreign_find(c->fd, &c->foreign, c->words);
}

static void look_done(struct work *work)
{
	struct create_job *c = container_of(work, struct create_job, look);

	if (c->looked < 0 && !c->opts.force) {
		(void)err_set(&c->job.err, c->looked,
			      "what %s holds cannot be read: %s; a pool is not made on it",
			      c->bdev->dev->name, strerror(-c->looked));
		store_job_drop(&c->job);
		return;
	}
	c->opts.foreign = c->foreign ? c->words : NULL;
	store_job_start(&c->job);
}

static void look_start(struct engine *e, struct create_job *c)
{
	const struct bdev *disk = c->bdev;

	while (disk->base)
		disk = disk->base;
	c->fd = disk_export(disk->dev);
	c->look.run = look_run;
	c->look.done = look_done;
	worker_submit(e->workers, &c->look);
}

static const struct json_field create_fields[] = {
	{"bdev_name", JSON_KIND_STRING, AT(bdev_name), true},
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name), true},
	{"cluster_sz", JSON_KIND_U64, AT(cluster_sz)},
	{"clear_method", JSON_KIND_STRING, AT(clear_method)},
	{"num_md_pages_per_cluster_ratio", JSON_KIND_U32, AT(num_md_pages_per_cluster_ratio)},
	{"md_page_size", JSON_KIND_U32, AT(md_page_size)},
	{"uuid", JSON_KIND_STRING, AT(uuid)},
	{"commit_percent", JSON_KIND_U32, AT(commit_percent), false, 0, PERCENT_MAX},
	{"reserved_bytes", JSON_KIND_U64, AT(reserved_bytes)},
	{"watermarks", JSON_KIND_ARRAY, AT(watermarks)},
	{"force", JSON_KIND_STRING, AT(force)},
	{"checksums", JSON_KIND_BOOL, AT(checksums)},
};

static int create_check(struct engine *e, const struct lvstore_params *p, struct bdev **ret,
			struct pool_create_opts *opts, struct err *err)
{
	struct bdev *bdev = bdev_find(&e->bdevs, p->bdev_name);

	if (!bdev)
		return err_set(err, -ENODEV, "no block device is named '%.128s'", p->bdev_name);
	if (bdev->dev->claims > 0)
		return err_set(err, -EPERM, "%s is in use already (%s)", bdev->dev->name,
			       bdev->dev->claimed_by ? bdev->dev->claimed_by : "?");
	if (bdev->pool)
		return err_set(err, -EINVAL, "%s is a volume; a pool stands on a disk",
			       bdev->alias);
	if (p->cluster_sz && p->cluster_sz != LAYOUT_CLUSTER)
		return err_set(err, -EINVAL, "cluster_sz: clusters are always %u bytes",
			       LAYOUT_CLUSTER);
	if (!layout_name_valid(p->lvs_name, strlen(p->lvs_name) + 1, LAYOUT_NAME_MAX))
		return err_set(err, -EINVAL,
			       "lvs_name '%.80s': 1 to %u printable ASCII characters without blank "
			       "and slash",
			       p->lvs_name, LAYOUT_NAME_MAX);
	list_for_each (it, &e->store.pools)
		if (strcmp(list_entry(it, struct store_pool, link)->name, p->lvs_name) == 0)
			return err_set(err, -EEXIST, "a pool named %s is open already",
				       p->lvs_name);
	if (p->uuid && (!uuid_parse(p->uuid, &opts->uuid) || uuid_is_null(&opts->uuid)))
		return err_set(err, -EINVAL, "uuid '%.64s' is no UUID, or null", p->uuid);
	if (p->force && strcmp(p->force, bdev->dev->name) != 0)
		return err_set(err, -EINVAL,
			       "force must be the exact name of the block device to be "
			       "overwritten, %s",
			       bdev->dev->name);
	opts->name = p->lvs_name;
	opts->commit_percent = p->commit_percent;
	opts->reserved_bytes = p->reserved_bytes;
	opts->force = p->force != NULL;
	opts->sums = p->checksums;
	*ret = bdev;
	return watermarks_get(p->watermarks, opts->watermark, err);
}

void rpc_bdev_lvol_create_lvstore(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct lvstore_params p = {0};
	struct pool_create_opts opts = {0};
	struct create_job *c;
	struct bdev *bdev = NULL;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, create_fields, &p))
		return;
	if (create_check(e, &p, &bdev, &opts, &err) < 0) {
		rpc_fail_err(call, &err);
		return;
	}
	c = store_job_new(e, sizeof(*c), NULL, call, params);
	if (!c)
		return;
	store_making_begin(e, bdev);
	c->bdev = bdev;
	c->opts = opts;
	c->env = store_env(e);
	c->job.reads = true; /* in no pool's line */
	c->job.run = create_run;
	c->job.finish = create_finish;
	look_start(e, c);
}

/* ---- options ---- */

struct options_job {
	struct store_job job;
	struct pool_options opts;
};

static void options_run(struct store_job *job)
{
	pool_set_options(job->sp->pool, &((struct options_job *)job)->opts, store_pool_done, job);
}

static void options_start(struct engine *e, struct rpc_call *call, const json_t *params,
			  struct store_pool *sp, const struct pool_options *opts)
{
	struct options_job *o = store_job_new(e, sizeof(*o), sp, call, params);

	if (!o)
		return;
	o->opts = *opts;
	o->job.run = options_run;
	store_job_start(&o->job);
}

static const struct json_field rename_fields[] = {
	{"old_name", JSON_KIND_STRING, AT(old_name), true},
	{"new_name", JSON_KIND_STRING, AT(new_name), true},
};

void rpc_bdev_lvol_rename_lvstore(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct lvstore_params p = {0};
	struct pool_options opts = {.commit_percent = -1, .reserved_bytes = -1};
	struct err err = {0};
	struct store_pool *sp;

	if (!RPC_PARAMS(call, params, rename_fields, &p))
		return;
	sp = store_find(e, p.old_name, NULL, &err);
	if (!sp) {
		rpc_fail_err(call, &err);
		return;
	}
	list_for_each (it, &e->store.pools) {
		const struct store_pool *other = list_entry(it, struct store_pool, link);

		if (other != sp && strcmp(other->name, p.new_name) == 0) {
			rpc_fail(call, -EEXIST, "a pool named %s is open already", p.new_name);
			return;
		}
	}
	opts.name = p.new_name;
	options_start(e, call, params, sp, &opts);
}

static const struct json_field set_fields[] = {
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name)},
	{"uuid", JSON_KIND_STRING, AT(uuid)},
	{"commit_percent", JSON_KIND_U32, AT(commit_percent), false, 0, PERCENT_MAX},
	{"reserved_bytes", JSON_KIND_U64, AT(reserved_bytes)},
	{"watermarks", JSON_KIND_ARRAY, AT(watermarks)},
};

void rpc_litepool_pool_set(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct lvstore_params p = {.commit_percent = UNSET32, .reserved_bytes = UINT64_MAX};
	struct pool_options opts = {.commit_percent = -1, .reserved_bytes = -1};
	struct err err = {0};
	struct store_pool *sp;

	if (!RPC_PARAMS(call, params, set_fields, &p))
		return;
	sp = store_find(e, p.lvs_name, p.uuid, &err);
	if (!sp || watermarks_get(p.watermarks, opts.watermark, &err) < 0) {
		rpc_fail_err(call, &err);
		return;
	}
	if (p.commit_percent != UNSET32)
		opts.commit_percent = p.commit_percent;
	if (p.reserved_bytes != UINT64_MAX)
		opts.reserved_bytes = (int64_t)p.reserved_bytes;
	options_start(e, call, params, sp, &opts);
}

/* ---- grow, delete, open, close ---- */

static const struct json_field which_fields[] = {
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name)},
	{"uuid", JSON_KIND_STRING, AT(uuid)},
};

/* NULL: answered. */
static struct store_pool *which(struct engine *e, struct rpc_call *call, const json_t *params)
{
	struct lvstore_params p = {0};
	struct err err = {0};
	struct store_pool *sp;

	if (!RPC_PARAMS(call, params, which_fields, &p))
		return NULL;
	sp = store_find(e, p.lvs_name, p.uuid, &err);
	if (!sp)
		rpc_fail_err(call, &err);
	return sp;
}

static void grow_run(struct store_job *job)
{
	pool_grow(job->sp->pool, store_pool_done, job);
}

/* A file that has grown is looked at again, so that one call is enough. */
static int grow_prepare(struct store_job *job)
{
	struct blk_dev *dev = job->sp->base->dev;
	uint64_t size;

	return dev->ops->rescan ? dev->ops->rescan(dev, &size, &job->err) : 0;
}

void rpc_bdev_lvol_grow_lvstore(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct store_pool *sp = which(ctx, call, params);
	struct store_job *job = sp ? store_job_new(ctx, sizeof(*job), sp, call, params) : NULL;

	if (!job)
		return;
	job->prepare = grow_prepare;
	job->run = grow_run;
	store_job_start(job);
}

void rpc_bdev_lvol_delete_lvstore(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct store_pool *sp = which(ctx, call, params);

	if (sp)
		store_close(sp, true, call);
}

void rpc_litepool_pool_close(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct store_pool *sp = which(ctx, call, params);

	if (sp)
		store_close(sp, false, call);
}

static const struct json_field open_fields[] = {
	{"bdev_name", JSON_KIND_STRING, AT(bdev_name), true},
	{"uuid", JSON_KIND_STRING, AT(uuid)},
	{"readonly", JSON_KIND_BOOL, AT(readonly)},
};

static void open_restored(struct engine *e, void *ctx)
{
	struct created *c = ctx;

	created_done(c, 0, NULL);
}

static void open_done(void *ctx, int res, const struct err *err)
{
	struct created *c = ctx;

	if (res == 0) {
		store_restore_exports(c->e, open_restored, c);
		return;
	}
	if (res == -ENOENT && !c->by_uuid)
		rpc_fail(c->call, -ENOENT, "%s holds no pool", c->bdev);
	else
		rpc_fail_err(c->call, err);
	free(c);
}

void rpc_litepool_pool_open(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct lvstore_params p = {0};
	struct store_open_opts opts = {0};
	struct created *c;
	struct bdev *bdev;
	struct uuid uuid;

	if (!RPC_PARAMS(call, params, open_fields, &p))
		return;
	if (p.uuid && !uuid_parse(p.uuid, &uuid)) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS, "uuid '%.64s' is no UUID", p.uuid);
		return;
	}
	bdev = bdev_find(&e->bdevs, p.bdev_name);
	c = bdev ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		rpc_fail(call, bdev ? -ENOMEM : -ENODEV, "no block device is named '%.128s'",
			 p.bdev_name);
		return;
	}
	c->e = e;
	c->call = call;
	snprintf(c->bdev, sizeof(c->bdev), "%s", bdev->dev->name);
	c->by_uuid = p.uuid != NULL;
	opts.uuid = p.uuid ? &uuid : NULL;
	opts.read_only = p.readonly;
	store_open(e, bdev, &opts, open_done, c);
}

/* ---- what there is: pool reactor ---- */

static void put(json_t *object, const char *name, uint64_t value)
{
	(void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *lvstore_json(struct pool *pool)
{
	const struct superblock *sb = pool_superblock(pool);
	struct pool_space_info s;
	char uuid[UUID_TEXT_SIZE];
	json_t *json;

	pool_space_info(pool, &s);
	json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:[i, i, i]}", "uuid",
			 uuid_format(&sb->pool, uuid), "name", sb->name, "base_bdev",
			 pool_dev(pool)->name, "total_data_clusters", (json_int_t)s.total,
			 "free_clusters", (json_int_t)s.free + (json_int_t)s.stocked, "block_size",
			 (json_int_t)sb->block_bytes, "cluster_size", (json_int_t)LAYOUT_CLUSTER,
			 "state", pool_state_name[pool_state(pool)], "commit_percent",
			 (json_int_t)sb->commit_percent, "watermarks", (int)sb->watermark[0],
			 (int)sb->watermark[1], (int)sb->watermark[2]);
	put(json, "size_bytes", s.total * LAYOUT_CLUSTER);
	put(json, "free_bytes", (s.free + s.stocked) * LAYOUT_CLUSTER);
	put(json, "used_bytes", (s.total - s.free - s.stocked) * LAYOUT_CLUSTER);
	put(json, "freeing_bytes", s.freeing * LAYOUT_CLUSTER);
	put(json, "metadata_bytes", s.metadata * LAYOUT_CLUSTER);
	put(json, "thick_reserved_bytes", s.thick_reserved * LAYOUT_CLUSTER);
	put(json, "reserved_bytes", s.reserved * LAYOUT_CLUSTER);
	put(json, "volume_bytes", s.volume_bytes);
	put(json, "volumes", s.volumes);
	put(json, "snapshots", s.snapshots);
	put(json, "created_s", sb->created_s);
	put(json, "epoch", sb->epoch);
	(void)json_object_set_new(json, "checksums",
				  json_boolean(sb->incompat & LAYOUT_INCOMPAT_SUMS));
	return json;
}

static void lvstores_run(struct store_job *job)
{
	job->result = json_array();
	if (job->sp)
		(void)json_array_append_new(job->result, lvstore_json(job->sp->pool));
	for (unsigned i = 0; i < job->n_pools; i++)
		(void)json_array_append_new(job->result, lvstore_json(job->pools[i]));
	store_job_done(job, 0, NULL);
}

static void stats_run(struct store_job *job)
{
	job->result = json_array();
	for (unsigned i = 0; i < job->n_pools; i++) {
		json_t *one = json_pack("{s:s}", "name", pool_superblock(job->pools[i])->name);
		json_t *stats = pool_stats_json(job->pools[i]);

		(void)json_object_update(one, stats);
		json_decref(stats);
		(void)json_array_append_new(job->result, one);
	}
	store_job_done(job, 0, NULL);
}

static void read_start(struct engine *e, struct rpc_call *call, struct store_pool *sp,
		       void (*run)(struct store_job *job))
{
	struct store_job *job = store_job_new(e, sizeof(*job), sp, call, NULL);

	if (!job)
		return;
	job->reads = true;
	job->run = run;
	store_job_start(job);
}

void rpc_bdev_lvol_get_lvstores(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct lvstore_params p = {0};
	struct store_pool *sp = NULL;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, which_fields, &p))
		return;
	if (p.lvs_name || p.uuid) {
		sp = store_find(ctx, p.lvs_name, p.uuid, &err);
		if (!sp) {
			rpc_fail_err(call, &err);
			return;
		}
	}
	read_start(ctx, call, sp, lvstores_run);
}

void rpc_litepool_pool_stats(struct rpc_call *call, const json_t *params, void *ctx)
{
	if (rpc_no_params(call, params))
		read_start(ctx, call, NULL, stats_run);
}
