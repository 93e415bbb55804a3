/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that make and unmake block devices. A UUID is chosen once, here, and written into the configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/disk.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/store_handover.h"

#define BLOCKS_MAX (UINT64_MAX >> 13)

/* What every create method has; the decoders fill it, bdev_create() does the common part. */
struct create {
	const char *name, *uuid_text;
	uint64_t num_blocks;
	uint32_t block_size;
	const char *filename; /* aio */
	bool readonly, fallocate, buffered;
	bool no_examine;            /* what stands on it looks itself */
	const char *pool_uuid_text; /* aio: which pool is opened, if it holds that one */
	const char *base;           /* fault */
	uint64_t seed;
	struct uuid uuid, pool_uuid;
};
#define CREATE_AT(member) offsetof(struct create, member)

enum create_kind { CREATE_NULL, CREATE_MALLOC, CREATE_AIO, CREATE_FAULT };

static const struct {
	const char *method, *prefix;
} kinds[] = {
	[CREATE_NULL] = {"bdev_null_create", "Null"},
	[CREATE_MALLOC] = {"bdev_malloc_create", "Malloc"},
	[CREATE_AIO] = {"bdev_aio_create", "AIO"},
	[CREATE_FAULT] = {"litepool_fault_create", "Fault"},
};

static void bdev_create(struct engine *e, struct rpc_call *call, enum create_kind kind,
			struct create *c);

static const struct json_field null_fields[] = {
	{"name", JSON_KIND_STRING, CREATE_AT(name), true},
	{"num_blocks", JSON_KIND_U64, CREATE_AT(num_blocks), true, 1, BLOCKS_MAX},
	{"block_size", JSON_KIND_U32, CREATE_AT(block_size), true},
	{"uuid", JSON_KIND_STRING, CREATE_AT(uuid_text)},
};

void rpc_bdev_null_create(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct create c = {0};

	if (RPC_PARAMS(call, params, null_fields, &c))
		bdev_create(ctx, call, CREATE_NULL, &c);
}

static const struct json_field malloc_fields[] = {
	{"name", JSON_KIND_STRING, CREATE_AT(name)},
	{"num_blocks", JSON_KIND_U64, CREATE_AT(num_blocks), true, 1, BLOCKS_MAX},
	{"block_size", JSON_KIND_U32, CREATE_AT(block_size), true},
	{"uuid", JSON_KIND_STRING, CREATE_AT(uuid_text)},
};

void rpc_bdev_malloc_create(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct create c = {0};

	if (RPC_PARAMS(call, params, malloc_fields, &c))
		bdev_create(ctx, call, CREATE_MALLOC, &c);
}

static const struct json_field aio_fields[] = {
	{"name", JSON_KIND_STRING, CREATE_AT(name), true},
	{"filename", JSON_KIND_STRING, CREATE_AT(filename), true},
	{"block_size", JSON_KIND_U32, CREATE_AT(block_size)},
	{"readonly", JSON_KIND_BOOL, CREATE_AT(readonly)},
	{"fallocate", JSON_KIND_BOOL, CREATE_AT(fallocate)},
	{"buffered", JSON_KIND_BOOL, CREATE_AT(buffered)},
	{"litepool_no_examine", JSON_KIND_BOOL, CREATE_AT(no_examine)},
	{"litepool_pool_uuid", JSON_KIND_STRING, CREATE_AT(pool_uuid_text)},
	{"uuid", JSON_KIND_STRING, CREATE_AT(uuid_text)},
};

void rpc_bdev_aio_create(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct create c = {0};

	if (RPC_PARAMS(call, params, aio_fields, &c))
		bdev_create(ctx, call, CREATE_AIO, &c);
}

static const struct json_field fault_fields[] = {
	{"name", JSON_KIND_STRING, CREATE_AT(name), true},
	{"base", JSON_KIND_STRING, CREATE_AT(base), true},
	{"seed", JSON_KIND_U64, CREATE_AT(seed), false, 0, INT64_MAX},
	{"uuid", JSON_KIND_STRING, CREATE_AT(uuid_text)},
};

void rpc_litepool_fault_create(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct create c = {.seed = 1};

	if (RPC_PARAMS(call, params, fault_fields, &c))
		bdev_create(ctx, call, CREATE_FAULT, &c);
}

static int create_identity(struct engine *e, enum create_kind kind, struct create *c, char *name,
			   size_t name_size, struct err *err)
{
	if (!c->name) {
		for (unsigned i = 0; !c->name && i <= e->bdevs.count; i++) {
			snprintf(name, name_size, "%s%u", kinds[kind].prefix, i);
			if (!bdev_find(&e->bdevs, name))
				c->name = name;
		}
	}
	if (!c->uuid_text) {
		uint8_t random[16];

		reactor_random(e->control, random, sizeof(random));
		c->uuid = uuid_from_random(random);
	} else if (!uuid_parse(c->uuid_text, &c->uuid) || uuid_is_null(&c->uuid)) {
		return err_set(err, -EINVAL,
			       "uuid '%.64s' is not of the form "
			       "01234567-89ab-cdef-0123-456789abcdef, or is null",
			       c->uuid_text);
	}
	if (c->pool_uuid_text && !uuid_parse(c->pool_uuid_text, &c->pool_uuid))
		return err_set(err, -EINVAL, "litepool_pool_uuid '%.64s' is no UUID",
			       c->pool_uuid_text);
	return bdev_check_free(&e->bdevs, c->name, &c->uuid, err);
}

static int create_aio(struct engine *e, const struct create *c, struct blk_dev **ret,
		      struct err *err)
{
	struct disk_file_opts opts = {.name = c->name,
				      .uuid = c->uuid,
				      .path = c->filename,
				      .block_size = c->block_size,
				      .buffered = c->buffered,
				      .read_only = c->readonly};
	struct stat st;

	opts.fd = store_disk_take(e, c->name);
	opts.adopt = opts.fd >= 0; /* it is open, whatever the path names by now */
	if (opts.adopt)
		return disk_file_new(reactor_env(e->control), &opts, ret, err);
	if (c->filename[0] != '/')
		return err_set(
			err, -EINVAL,
			"filename '%.256s' must be an absolute path: the engine may be started "
			"from anywhere",
			c->filename);
	if (stat(c->filename, &st) < 0 && errno == ENOENT)
		return err_set(err, -ENOENT,
			       "%.256s does not exist; make a file of the size you want with: "
			       "truncate -s 10G %.100s",
			       c->filename, c->filename);
	return disk_file_new(reactor_env(e->control), &opts, ret, err);
}

static int create_fault(struct engine *e, const struct create *c, struct blk_dev **ret,
			struct err *err)
{
	struct bdev *base = bdev_find(&e->bdevs, c->base);
	struct disk_fault_opts opts = {.name = c->name, .uuid = c->uuid, .seed = c->seed};
	int res;

	if (!base)
		return err_set(err, -ENODEV, "base '%.128s': no such block device", c->base);
	if (base->dev->claims > 0)
		return err_set(err, -EBUSY,
			       "%s is in use already (%s); put the fault layer on it before that",
			       base->dev->name, base->dev->claimed_by);
	opts.base = base->dev;
	res = disk_fault_new(&opts, ret, err);
	if (res < 0)
		return res;
	res = store_disk_restore(e, *ret, err);
	if (res < 0)
		(*ret)->ops->destroy(*ret);
	return res;
}

static int create_device(struct engine *e, enum create_kind kind, const struct create *c,
			 struct blk_dev **ret, struct err *err)
{
	uint64_t size = c->num_blocks * c->block_size;
	struct disk_null_opts null_opts = {c->name, c->uuid, size, c->block_size};
	struct disk_ram_opts ram_opts = {c->name, c->uuid, size, c->block_size,
					 .workers = e->workers};

	switch (kind) {
	case CREATE_NULL:
		return disk_null_new(&null_opts, ret, err);
	case CREATE_MALLOC:
		ram_opts.fd = store_disk_take(e, c->name);
		ram_opts.adopt = ram_opts.fd >= 0;
		return disk_ram_new(&ram_opts, ret, err);
	case CREATE_AIO:
		return create_aio(e, c, ret, err);
	case CREATE_FAULT:
		return create_fault(e, c, ret, err);
	default:
		return err_set(err, -EINVAL, "unknown kind of device");
	}
}

/* The call that makes the same device again. */
static json_t *create_params(enum create_kind kind, const struct create *c,
			     const struct blk_dev *dev)
{
	char uuid[UUID_TEXT_SIZE];

	uuid_format(&dev->uuid, uuid);
	switch (kind) {
	case CREATE_NULL:
	case CREATE_MALLOC:
		return json_pack("{s:s, s:I, s:I, s:s}", "name", dev->name, "num_blocks",
				 (json_int_t)c->num_blocks, "block_size",
				 (json_int_t)dev->block_size, "uuid", uuid);
	case CREATE_AIO:
		return json_pack("{s:s, s:s, s:I, s:b, s:b, s:b, s:s}", "name", dev->name,
				 "filename", c->filename, "block_size", (json_int_t)dev->block_size,
				 "readonly", c->readonly, "fallocate", c->fallocate, "buffered",
				 c->buffered, "uuid", uuid);
	case CREATE_FAULT:
		return json_pack("{s:s, s:s, s:I, s:s}", "name", dev->name, "base", c->base, "seed",
				 (json_int_t)c->seed, "uuid", uuid);
	default:
		return NULL;
	}
}

static int create_register(struct engine *e, enum create_kind kind, const struct create *c,
			   struct bdev **ret, struct err *err)
{
	struct blk_dev *dev;
	struct bdev *bdev = NULL;
	json_t *params;
	int res = create_device(e, kind, c, &dev, err);

	if (res < 0)
		return res;
	params = create_params(kind, c, dev);
	res = params ? bdev_add(&e->bdevs, dev, kinds[kind].method, params, &bdev, err)
		     : err_set(err, -ENOMEM, "out of memory");
	if (res < 0) {
		json_decref(params);
		dev->ops->destroy(dev);
		return res;
	}
	bdev->base = kind == CREATE_FAULT ? bdev_find(&e->bdevs, c->base) : NULL;
	/* At the next start the base would be examined before the fault layer is there. */
	if (bdev->base && strcmp(bdev->base->create_method, kinds[CREATE_AIO].method) == 0)
		(void)json_object_set_new(bdev->base->create_params, "litepool_no_examine",
					  json_true());
	*ret = bdev;
	return 0;
}

struct examine {
	struct change *change;
	json_t *name;
};

static void exports_restored(struct engine *e, void *ctx)
{
	struct examine *x = ctx;

	change_commit(x->change, x->name);
	free(x);
}

/* What the device holds has been looked at; a pool that could not be opened is a problem of its own. */
static void create_examined(void *ctx, int res, const struct err *err)
{
	struct examine *x = ctx;

	if (res == 0 && !x->change->from_replay)
		store_restore_exports(x->change->e, exports_restored, x);
	else
		exports_restored(x->change->e, x);
}

static void examine(struct engine *e, struct change *change, struct bdev *bdev,
		    const struct create *c)
{
	struct store_open_opts opts = {.uuid = c->pool_uuid_text ? &c->pool_uuid : NULL};
	struct examine *x = calloc(1, sizeof(*x));

	if (!x) {
		change_commit(change, json_string(bdev->dev->name));
		return;
	}
	x->change = change;
	x->name = json_string(bdev->dev->name);
	store_open(e, bdev, &opts, create_examined, x);
}

static void bdev_create(struct engine *e, struct rpc_call *call, enum create_kind kind,
			struct create *c)
{
	struct change *change = change_begin(e, call);
	struct bdev *bdev;
	char name[32];
	struct err err = {0};

	if (!change)
		return;
	if (create_identity(e, kind, c, name, sizeof(name), &err) < 0 ||
	    create_register(e, kind, c, &bdev, &err) < 0) {
		change_fail(change, &err);
		return;
	}
	if (!change->from_replay)
		(void)config_problems_drop_bdev(&e->problems, c->name);
	notify_add(&e->notify, "bdev_register", bdev->dev->name);
	if (c->no_examine) {
		(void)json_object_set_new(bdev->create_params, "litepool_no_examine", json_true());
		change_commit(change, json_string(c->name));
	} else if (kind == CREATE_NULL) {
		change_commit(change, json_string(c->name));
	} else {
		examine(e, change, bdev, c);
	}
}

void rpc_bdev_user_text(struct engine *e, const struct bdev *bdev, char *text, size_t size)
{
	json_t *subsystems = nvme_target_subsystems_json(e->target, NULL);

	snprintf(text, size, "%s%s", bdev->dev->claimed_by ? bdev->dev->claimed_by : "something",
		 store_stands_on(e, bdev) ? "; close it first (litepool_pool_close)" : "");
	list_for_each (it, &e->bdevs.list) {
		const struct bdev *user = list_entry(it, struct bdev, link);

		if (user->base == bdev)
			snprintf(text, size, "the fault layer %s; delete that first",
				 user->dev->name);
	}
	for (size_t i = 0; i < json_array_size(subsystems); i++) {
		const json_t *ss = json_array_get(subsystems, i);
		const json_t *spaces = json_object_get(ss, "namespaces");

		for (size_t k = 0; k < json_array_size(spaces); k++) {
			const json_t *ns = json_array_get(spaces, k);
			const char *name = json_string_value(json_object_get(ns, "bdev_name"));

			if (name && strcmp(name, bdev->dev->name) == 0)
				snprintf(text, size,
					 "namespace %lld of %s; remove it first "
					 "(nvmf_subsystem_remove_ns)",
					 (long long)json_integer_value(json_object_get(ns, "nsid")),
					 json_string_value(json_object_get(ss, "nqn")));
		}
	}
	json_decref(subsystems);
}

static int bdev_delete_named(struct engine *e, const char *name, enum create_kind kind,
			     struct err *err)
{
	struct bdev *bdev = bdev_find(&e->bdevs, name);
	char user[400];

	if (!bdev && config_problems_drop_bdev(&e->problems, name) > 0)
		return 0; /* it was only in the configuration: its disk is missing */
	if (!bdev)
		return err_set(err, -ENODEV, "no block device is named '%.128s'", name);
	if (strcmp(bdev->create_method, kinds[kind].method) != 0)
		return err_set(err, -ENODEV, "%s was made by %s; delete it with that method's pair",
			       bdev->dev->name, bdev->create_method);
	if (bdev->dev->claims > 0) {
		rpc_bdev_user_text(e, bdev, user, sizeof(user));
		return err_set(err, -EBUSY, "%s is in use by %s", bdev->dev->name, user);
	}
	notify_add(&e->notify, "bdev_unregister", bdev->dev->name);
	store_problem_drop(e, bdev->dev->name);
	bdev_remove(&e->bdevs, bdev);
	return 0;
}

static const struct json_field delete_fields[] = {
	{"name", JSON_KIND_STRING, CREATE_AT(name), true},
};

static void bdev_delete(struct engine *e, struct rpc_call *call, const json_t *params,
			enum create_kind kind)
{
	struct create c = {0};
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, delete_fields, &c))
		return;
	change = change_begin(e, call);
	if (!change)
		return;
	if (bdev_delete_named(e, c.name, kind, &err) < 0)
		change_fail(change, &err);
	else
		change_commit(change, NULL);
}

void rpc_bdev_null_delete(struct rpc_call *call, const json_t *params, void *ctx)
{
	bdev_delete(ctx, call, params, CREATE_NULL);
}

void rpc_bdev_malloc_delete(struct rpc_call *call, const json_t *params, void *ctx)
{
	bdev_delete(ctx, call, params, CREATE_MALLOC);
}

void rpc_bdev_aio_delete(struct rpc_call *call, const json_t *params, void *ctx)
{
	bdev_delete(ctx, call, params, CREATE_AIO);
}

void rpc_litepool_fault_delete(struct rpc_call *call, const json_t *params, void *ctx)
{
	bdev_delete(ctx, call, params, CREATE_FAULT);
}
