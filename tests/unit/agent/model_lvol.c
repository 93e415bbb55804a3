/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and snapshots of the model; the rules are those of src/engine/rpc_lvol.c, rpc_volume.c and src/volume/ops_*.c. */
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

#define NAME_LEN_MAX 63

struct store {
	const char *name, *uuid, *lvs_uuid, *lvol, *snapshot, *clone, *volume_uuid;
	uint64_t size, iops, rw, r, w;
	bool thin;
	json_t *labels, *volumes;
};
#define AT(member) offsetof(struct store, member)
#define DECODE(fields)                                                                             \
	struct store p = {0};                                                                      \
	if (json_decode(params, fields, ARRAY_LEN(fields), &p, err) < 0)                           \
	return -EINVAL

static const struct json_field name_fields[] = {{"name", JSON_KIND_STRING, AT(name), true}};

/* ---- looking up ---- */

/* By UUID, or "POOL/NAME". */
json_t *model_lvol(const struct model *m, const char *name, json_t **ret_pool)
{
	const char *uuid, *id;
	json_t *pool, *lvol;

	json_object_foreach (m->pools, uuid, pool)
		json_object_foreach (json_object_get(pool, "lvols"), id, lvol) {
			char alias[160];

			(void)snprintf(alias, sizeof(alias), "%s/%s", model_text(pool, "name"),
				       model_text(lvol, "name"));
			if (strcmp(id, name) != 0 && strcmp(alias, name) != 0)
				continue;
			if (ret_pool)
				*ret_pool = pool;
			return lvol;
		}
	return NULL;
}

static json_t *lvol_or_error(struct model *m, const char *name, json_t **ret_pool, struct err *err)
{
	json_t *lvol = model_lvol(m, name, ret_pool);

	if (!lvol)
		(void)err_set(err, -ENODEV, "no volume or snapshot is named '%s'", name);
	return lvol;
}

bool model_claimed(const struct model *m, const char *bdev)
{
	json_t *subsystem, *ns;
	const char *nqn;
	size_t i;

	json_object_foreach (m->subsystems, nqn, subsystem)
		json_array_foreach (json_object_get(subsystem, "namespaces"), i, ns)
			if (!strcmp(model_text(ns, "bdev_name"), bdev))
				return true;
	return false;
}

static unsigned children_of(const json_t *pool, const char *uuid, json_t **ret_one)
{
	unsigned n = 0;
	const char *id;
	json_t *lvol;

	json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
		if (!strcmp(model_text(lvol, "parent"), uuid)) {
			*ret_one = lvol;
			n++;
		}
	return n;
}

/* ---- space ---- */

uint64_t model_volume_bytes(const json_t *pool)
{
	uint64_t sum = 0;
	const char *id;
	json_t *lvol;

	json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
		if (!json_is_true(json_object_get(lvol, "is_snapshot")))
			sum += model_number(lvol, "size_bytes");
	return sum;
}

static bool fits(const json_t *pool, uint64_t more, struct err *err)
{
	uint64_t limit = model_number(pool, "size_bytes") / MODEL_CLUSTER *
			 model_number(pool, "commit_percent") / 100;

	if ((model_volume_bytes(pool) + more) / MODEL_CLUSTER <= limit)
		return true;
	(void)err_set(err, -ENOSPC, "pool %s has no %" PRIu64 " bytes left to promise",
		      model_text(pool, "name"), more);
	return false;
}

/* ---- volumes ---- */

static json_t *lvol_json(const json_t *pool, const char *uuid, const json_t *lvol)
{
	return json_pack(
		"{s:s, s:O, s:O, s:O, s:O, s:I, s:O, s:{s:O, s:O}}", "uuid", uuid, "name",
		json_object_get(lvol, "name"), "size_bytes", json_object_get(lvol, "size_bytes"),
		"is_snapshot", json_object_get(lvol, "is_snapshot"), "labels",
		json_object_get(lvol, "labels"), "allocated_bytes", (json_int_t)MODEL_CLUSTER,
		"created_s", json_object_get(lvol, "created_s"), "lvs", "name",
		json_object_get(pool, "name"), "uuid", json_object_get(pool, "uuid"));
}

static int get_lvols(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"lvs_uuid", JSON_KIND_STRING, AT(lvs_uuid)},
		{"name", JSON_KIND_STRING, AT(name)},
	};
	json_t *pool, *lvol, *one = NULL;
	const char *uuid, *id;
	DECODE(fields);
	if (p.lvs_uuid && !model_pool(m, p.lvs_uuid, err))
		return err->code;
	if (p.name) {
		one = lvol_or_error(m, p.name, &pool, err);
		if (!one)
			return err->code;
	}
	*ret = json_array();
	json_object_foreach (m->pools, uuid, pool)
		json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
			if ((!one || one == lvol) && (!p.lvs_uuid || !strcmp(p.lvs_uuid, uuid)))
				(void)json_array_append_new(*ret, lvol_json(pool, id, lvol));
	return 0;
}

/* Name and UUID are free in the pool. */
static int free_in(const json_t *pool, const char *name, const char *uuid, struct err *err)
{
	const char *id;
	json_t *lvol;

	if (!name[0] || strlen(name) > NAME_LEN_MAX || strchr(name, '/'))
		return err_set(err, -EINVAL, "name '%s'", name);
	json_object_foreach (json_object_get(pool, "lvols"), id, lvol)
		if (!strcmp(model_text(lvol, "name"), name) || !strcmp(id, uuid))
			return err_set(err, -EEXIST, "pool %s has %s already",
				       model_text(pool, "name"), name);
	return 0;
}

static void lvol_add(json_t *pool, const char *uuid, const char *name, uint64_t size, bool snapshot,
		     const char *parent)
{
	json_t *lvol = json_pack("{s:s, s:s, s:I, s:b, s:s, s:{}, s:I}", "uuid", uuid, "name", name,
				 "size_bytes", (json_int_t)size, "is_snapshot", snapshot, "parent",
				 parent, "labels", "created_s", (json_int_t)1800000000);

	(void)json_object_set_new(json_object_get(pool, "lvols"), uuid, lvol);
}

static int lvol_create(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"uuid", JSON_KIND_STRING, AT(uuid), true},
		{"lvol_name", JSON_KIND_STRING, AT(lvol), true},
		{"size", JSON_KIND_U64, AT(size), true, 1, INT64_MAX},
		{"thin_provision", JSON_KIND_BOOL, AT(thin)},
		{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid), true},
	};
	json_t *pool;
	int rc;
	DECODE(fields);
	pool = model_pool(m, p.uuid, err);
	if (!pool)
		return err->code;
	rc = free_in(pool, p.lvol, p.volume_uuid, err);
	if (rc || !fits(pool, p.size, err))
		return rc ? rc : err->code;
	lvol_add(pool, p.volume_uuid, p.lvol, p.size, false, "");
	return 0;
}

/* uuid NULL: any. */
static int snapshot_one(struct model *m, const char *volume, const char *name, const char *uuid,
			struct err *err)
{
	char text[UUID_TEXT_SIZE];
	json_t *pool, *lvol = lvol_or_error(m, volume, &pool, err);
	int rc;

	if (!lvol)
		return err->code;
	if (json_is_true(json_object_get(lvol, "is_snapshot")))
		return err_set(err, -EINVAL, "%s is a snapshot", volume);
	if (!uuid) {
		uint8_t bytes[16];
		struct uuid made;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rng_below(&m->rng, 256);
		made = uuid_from_random(bytes);
		uuid = uuid_format(&made, text);
	}
	rc = free_in(pool, name, uuid, err);
	if (rc)
		return rc;
	lvol_add(pool, uuid, name, model_number(lvol, "size_bytes"), true,
		 model_text(lvol, "parent"));
	(void)json_object_set_new(lvol, "parent", json_string(uuid));
	return 0;
}

static const struct json_field snapshot_fields[] = {
	{"lvol_name", JSON_KIND_STRING, AT(lvol), true},
	{"snapshot_name", JSON_KIND_STRING, AT(snapshot), true},
	{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid)},
};

static int lvol_snapshot(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	DECODE(snapshot_fields);
	return snapshot_one(m, p.lvol, p.snapshot, p.volume_uuid, err);
}

/* All or none: what can fail is looked at first. */
static int snapshot_group(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {{"volumes", JSON_KIND_ARRAY, AT(volumes), true}};
	json_t *one, *pool, *lvol;
	size_t i;
	DECODE(fields);
	json_array_foreach (p.volumes, i, one) {
		struct store member = {0};
		int rc;

		if (json_decode(one, snapshot_fields, ARRAY_LEN(snapshot_fields), &member, err) < 0)
			return -EINVAL;
		lvol = lvol_or_error(m, member.lvol, &pool, err);
		if (!lvol)
			return err->code;
		rc = free_in(pool, member.snapshot, member.volume_uuid, err);
		if (rc)
			return rc;
	}
	json_array_foreach (p.volumes, i, one)
		if (snapshot_one(m, model_text(one, "lvol_name"), model_text(one, "snapshot_name"),
				 model_text(one, "volume_uuid"), err))
			fail_msg("half a group was cut: %s", err->text);
	return 0;
}

static int lvol_clone(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"snapshot_name", JSON_KIND_STRING, AT(snapshot), true},
		{"clone_name", JSON_KIND_STRING, AT(clone), true},
		{"volume_uuid", JSON_KIND_STRING, AT(volume_uuid), true},
	};
	json_t *pool, *source;
	int rc;
	DECODE(fields);
	source = lvol_or_error(m, p.snapshot, &pool, err);
	if (!source)
		return err->code;
	if (!json_is_true(json_object_get(source, "is_snapshot")))
		return err_set(err, -EINVAL, "%s is a volume", p.snapshot);
	rc = free_in(pool, p.clone, p.volume_uuid, err);
	if (rc || !fits(pool, model_number(source, "size_bytes"), err))
		return rc ? rc : err->code;
	lvol_add(pool, p.volume_uuid, p.clone, model_number(source, "size_bytes"), false,
		 model_text(source, "uuid"));
	return 0;
}

static int lvol_resize(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"name", JSON_KIND_STRING, AT(name), true},
		{"size", JSON_KIND_U64, AT(size), true, 1, INT64_MAX},
	};
	json_t *pool, *lvol;
	uint64_t have;
	DECODE(fields);
	lvol = lvol_or_error(m, p.name, &pool, err);
	if (!lvol)
		return err->code;
	have = model_number(lvol, "size_bytes");
	if (json_is_true(json_object_get(lvol, "is_snapshot")))
		return err_set(err, -EROFS, "%s is a snapshot", p.name);
	if (p.size < have)
		return err_set(err, -EINVAL, "making it smaller needs force");
	if (!fits(pool, p.size - have, err))
		return err->code;
	model_put(lvol, "size_bytes", p.size);
	return 0;
}

static int lvol_delete(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	json_t *pool, *lvol, *child = NULL;
	char id[UUID_TEXT_SIZE];
	unsigned n;
	DECODE(name_fields);
	lvol = lvol_or_error(m, p.name, &pool, err);
	if (!lvol)
		return err->code;
	(void)snprintf(id, sizeof(id), "%s", model_text(lvol, "uuid"));
	if (model_claimed(m, id))
		return err_set(err, -EBUSY, "%s is in use by a namespace", p.name);
	n = children_of(pool, id, &child);
	if (n > 1)
		return err_set(err, -EBUSY, "%u volumes or snapshots stand on %s", n, p.name);
	model_tell(m, "delete", id, NULL);
	if (child)
		(void)json_object_set(child, "parent", json_object_get(lvol, "parent"));
	(void)json_object_del(json_object_get(pool, "lvols"), id);
	return 0;
}

static int set_props(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"name", JSON_KIND_STRING, AT(name), true},
		{"labels", JSON_KIND_OBJECT, AT(labels)},
	};
	json_t *pool, *lvol, *value;
	const char *key;
	DECODE(fields);
	lvol = lvol_or_error(m, p.name, &pool, err);
	if (!lvol)
		return err->code;
	json_object_foreach (p.labels, key, value)
		(void)(json_is_null(value)
			       ? json_object_del(json_object_get(lvol, "labels"), key)
			       : json_object_set(json_object_get(lvol, "labels"), key, value));
	return 0;
}

static int set_limit(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		{"name", JSON_KIND_STRING, AT(name), true},
		{"rw_ios_per_sec", JSON_KIND_U64, AT(iops)},
		{"rw_mbytes_per_sec", JSON_KIND_U64, AT(rw)},
		{"r_mbytes_per_sec", JSON_KIND_U64, AT(r)},
		{"w_mbytes_per_sec", JSON_KIND_U64, AT(w)},
	};
	json_t *lvol, *pool;
	DECODE(fields);
	lvol = lvol_or_error(m, p.name, &pool, err);
	if (!lvol)
		return err->code;
	(void)json_object_set_new(lvol, "limits",
				  json_pack("{s:I, s:I, s:I, s:I}", "rw_ios_per_sec",
					    (json_int_t)p.iops, "rw_mbytes_per_sec",
					    (json_int_t)p.rw, "r_mbytes_per_sec", (json_int_t)p.r,
					    "w_mbytes_per_sec", (json_int_t)p.w));
	return 0;
}

const struct model_method model_lvol_methods[] = {
	{"bdev_set_qos_limit", set_limit, true},
	{"bdev_lvol_get_lvols", get_lvols, false},
	{"bdev_lvol_create", lvol_create, true},
	{"bdev_lvol_snapshot", lvol_snapshot, true},
	{"litepool_volume_snapshot_group", snapshot_group, true},
	{"bdev_lvol_clone", lvol_clone, true},
	{"bdev_lvol_resize", lvol_resize, true},
	{"bdev_lvol_delete", lvol_delete, true},
	{"litepool_volume_set_props", set_props, true},
	{NULL, NULL, false},
};
