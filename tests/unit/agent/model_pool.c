/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices and pools of the model; the rules are those of src/engine/rpc_bdev.c, rpc_lvstore.c and store_open.c. */
#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/uuid.h"

#define META (4 * MODEL_CLUSTER) /* of a pool, that volumes do not get */

struct store {
	const char *name, *file, *uuid, *lvs_name, *bdev;
	uint32_t percent;
	json_t *marks;
};
#define AT(member) offsetof(struct store, member)
#define DECODE(fields)                                                                             \
	struct store p = {0};                                                                      \
	if (json_decode(params, fields, ARRAY_LEN(fields), &p, err) < 0)                           \
	return -EINVAL

static const struct json_field name_fields[] = {{"name", JSON_KIND_STRING, AT(name), true}};

/* ---- looking up ---- */

json_t *model_pool(struct model *m, const char *uuid, struct err *err)
{
	json_t *pool = uuid ? json_object_get(m->pools, uuid) : NULL;

	if (!pool)
		(void)err_set(err, -ENODEV, "no open pool is of UUID '%s'", uuid ? uuid : "");
	return pool;
}

/* The block device on that file; "". */
static const char *bdev_on(const struct model *m, const char *file)
{
	const char *name;
	json_t *bdev;

	json_object_foreach (m->bdevs, name, bdev)
		if (!strcmp(model_text(bdev, "file"), file))
			return name;
	return "";
}

/* The open pool on that block device; NULL. */
static json_t *pool_on(const struct model *m, const char *bdev)
{
	const char *file = model_text(json_object_get(m->bdevs, bdev), "file"), *uuid;
	json_t *pool;

	json_object_foreach (m->pools, uuid, pool)
		if (!strcmp(model_text(pool, "file"), file))
			return pool;
	return NULL;
}

/* ---- block devices ---- */

static json_t *bdev_json(const char *name, uint64_t bytes, const json_t *limits)
{
	json_t *bdev = json_pack("{s:s, s:i, s:I}", "name", name, "block_size", 512, "num_blocks",
				 (json_int_t)(bytes / 512));

	(void)json_object_set_new(bdev, "assigned_rate_limits",
				  limits ? json_deep_copy(limits)
					 : json_pack("{s:i, s:i, s:i, s:i}", "rw_ios_per_sec", 0,
						     "rw_mbytes_per_sec", 0, "r_mbytes_per_sec", 0,
						     "w_mbytes_per_sec", 0));
	return bdev;
}

static int get_bdevs(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {{"name", JSON_KIND_STRING, AT(name)}};
	json_t *bdev, *pool, *lvol;
	const char *id, *uuid;
	DECODE(fields);
	*ret = json_array();
	json_object_foreach (m->bdevs, id, bdev)
		if (!p.name || !strcmp(p.name, id))
			(void)json_array_append_new(
				*ret, bdev_json(id, model_number(bdev, "size"), NULL));
	json_object_foreach (m->pools, uuid, pool)
		json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
			if (!p.name || !strcmp(p.name, id))
				(void)json_array_append_new(
					*ret, bdev_json(id, model_number(lvol, "size_bytes"),
							json_object_get(lvol, "limits")));
	return json_array_size(*ret) || !p.name
		       ? 0
		       : err_set(err, -ENODEV, "no block device is named '%s'", p.name);
}

static int aio_create(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"name", JSON_KIND_STRING, AT(name), true},
		{"filename", JSON_KIND_STRING, AT(file), true},
	};
	struct stat st;
	DECODE(fields);
	if (json_object_get(m->bdevs, p.name))
		return err_set(err, -EEXIST, "a block device named %s exists already", p.name);
	if (bdev_on(m, p.file)[0])
		return err_set(err, -EBUSY, "%s is locked", p.file);
	if (stat(p.file, &st) < 0)
		return err_set(err, -errno, "%s does not exist", p.file);
	(void)json_object_set_new(
		m->bdevs, p.name,
		json_pack("{s:s, s:I}", "file", p.file, "size", (json_int_t)st.st_size));
	model_examine(m, p.file);
	return 0;
}

static int aio_delete(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	DECODE(name_fields);
	if (!json_object_get(m->bdevs, p.name))
		return err_set(err, -ENODEV, "no block device is named '%s'", p.name);
	if (pool_on(m, p.name))
		return err_set(err, -EBUSY, "%s is in use", p.name);
	(void)json_object_del(m->bdevs, p.name);
	return 0;
}

static int wait_for_examine(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	return 0;
}

/* ---- pools ---- */

static json_t *pool_json(const struct model *m, const json_t *pool)
{
	uint64_t size = model_number(pool, "size_bytes"), used = size / 10;

	return json_pack("{s:O, s:O, s:s, s:I, s:I, s:I, s:I, s:s, s:O, s:O}", "uuid",
			 json_object_get(pool, "uuid"), "name", json_object_get(pool, "name"),
			 "base_bdev", bdev_on(m, model_text(pool, "file")), "size_bytes",
			 (json_int_t)size, "used_bytes", (json_int_t)used, "free_bytes",
			 (json_int_t)(size - used), "volume_bytes",
			 (json_int_t)model_volume_bytes(pool), "state", "open", "commit_percent",
			 json_object_get(pool, "commit_percent"), "watermarks",
			 json_object_get(pool, "watermarks"));
}

static int get_lvstores(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {{"uuid", JSON_KIND_STRING, AT(uuid)}};
	const char *uuid;
	json_t *pool;
	DECODE(fields);
	if (p.uuid && !model_pool(m, p.uuid, err))
		return err->code;
	*ret = json_array();
	json_object_foreach (m->pools, uuid, pool)
		if (!p.uuid || !strcmp(p.uuid, uuid))
			(void)json_array_append_new(*ret, pool_json(m, pool));
	return 0;
}

/* So that others see that there is something on it. */
static void write_superblock(const char *file)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "pool", 4, 0), 4);
}

static int create_lvstore(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"bdev_name", JSON_KIND_STRING, AT(bdev), true},
		{"lvs_name", JSON_KIND_STRING, AT(lvs_name), true},
		{"uuid", JSON_KIND_STRING, AT(uuid), true},
		{"commit_percent", JSON_KIND_U32, AT(percent)},
		{"watermarks", JSON_KIND_ARRAY, AT(marks)},
	};
	json_t *bdev, *pool;
	const char *uuid, *file;
	DECODE(fields);
	bdev = json_object_get(m->bdevs, p.bdev);
	if (!bdev)
		return err_set(err, -ENODEV, "no block device is named '%s'", p.bdev);
	if (pool_on(m, p.bdev))
		return err_set(err, -EPERM, "%s is in use already", p.bdev);
	json_object_foreach (m->pools, uuid, pool)
		if (!strcmp(model_text(pool, "name"), p.lvs_name))
			return err_set(err, -EEXIST, "a pool named %s is open", p.lvs_name);
	file = model_text(bdev, "file");
	if (json_object_get(m->disks, file))
		return err_set(err, -EEXIST, "%s holds a pool already", file);
	pool = json_pack("{s:s, s:s, s:s, s:I, s:i, s:O?, s:{}, s:{}}", "uuid", p.uuid, "name",
			 p.lvs_name, "file", file, "size_bytes",
			 (json_int_t)(model_number(bdev, "size") - META), "commit_percent",
			 (int)p.percent, "watermarks", p.marks, "lvols", "exports");
	(void)json_object_set_new(m->disks, file, pool);
	(void)json_object_set(m->pools, p.uuid, pool);
	write_superblock(file);
	*ret = json_string(p.uuid);
	return 0;
}

static int pool_open(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"bdev_name", JSON_KIND_STRING, AT(bdev), true},
		{"uuid", JSON_KIND_STRING, AT(uuid)},
	};
	json_t *bdev, *disk;
	DECODE(fields);
	bdev = json_object_get(m->bdevs, p.bdev);
	if (!bdev)
		return err_set(err, -ENODEV, "no block device is named '%s'", p.bdev);
	if (pool_on(m, p.bdev))
		return err_set(err, -EBUSY, "%s is in use already", p.bdev);
	disk = json_object_get(m->disks, model_text(bdev, "file"));
	if (!disk)
		return err_set(err, -ENOENT, "%s holds no pool", p.bdev);
	if (p.uuid && strcmp(p.uuid, model_text(disk, "uuid")) != 0)
		return err_set(err, -EINVAL, "%s holds another pool", p.bdev);
	model_examine(m, model_text(bdev, "file"));
	return 0;
}

static const struct json_field pool_fields[] = {{"uuid", JSON_KIND_STRING, AT(uuid), true}};

static int pool_close(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	const char *id;
	json_t *pool, *lvol;
	DECODE(pool_fields);
	pool = model_pool(m, p.uuid, err);
	if (!pool)
		return err->code;
	json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
		if (model_claimed(m, id))
			return err_set(err, -EBUSY, "%s is in use", id);
	model_tell(m, "close", p.uuid, NULL);
	(void)json_object_del(m->pools, p.uuid);
	return 0;
}

static int pool_set(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"uuid", JSON_KIND_STRING, AT(uuid), true},
		{"commit_percent", JSON_KIND_U32, AT(percent)},
		{"watermarks", JSON_KIND_ARRAY, AT(marks)},
	};
	json_t *pool;
	DECODE(fields);
	pool = model_pool(m, p.uuid, err);
	if (!pool)
		return err->code;
	if (p.percent)
		model_put(pool, "commit_percent", p.percent);
	if (p.marks)
		(void)json_object_set(pool, "watermarks", p.marks);
	return 0;
}

static int pool_grow(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	const char *file;
	json_t *pool;
	struct stat st;
	DECODE(pool_fields);
	pool = model_pool(m, p.uuid, err);
	if (!pool)
		return err->code;
	file = model_text(pool, "file");
	if (stat(file, &st) < 0)
		return err_set(err, -errno, "%s", file);
	model_put(json_object_get(m->bdevs, bdev_on(m, file)), "size", (uint64_t)st.st_size);
	model_put(pool, "size_bytes", (uint64_t)st.st_size - META);
	return 0;
}

const struct model_method model_store_methods[] = {
	{"bdev_get_bdevs", get_bdevs, false},
	{"bdev_aio_create", aio_create, true},
	{"bdev_aio_delete", aio_delete, true},
	{"bdev_wait_for_examine", wait_for_examine, false},
	{"bdev_lvol_get_lvstores", get_lvstores, false},
	{"bdev_lvol_create_lvstore", create_lvstore, true},
	{"litepool_pool_open", pool_open, true},
	{"litepool_pool_close", pool_close, true},
	{"litepool_pool_set", pool_set, true},
	{"bdev_lvol_grow_lvstore", pool_grow, true},
	{NULL, NULL, false},
};
