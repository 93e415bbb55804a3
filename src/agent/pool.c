/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pool of this node: open it, or make it.
 *
 *   UUID known (status.uuid, or the annotation litepool.io/adopt): only that pool is opened; nothing is ever made in its place.
 *   else: made with the object's UID as its UUID, so that a pool that we made and could not tell about is known again.
 */
#include "agent/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/watch.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define ADOPT    "litepool.io/adopt"
#define AGAIN_MS 10000

static const char *adopted(const json_t *pool)
{
	const char *uuid =
		json_string_value(json_object_get(kube_at(pool, "metadata.annotations"), ADOPT));

	return uuid ? uuid : "";
}

const char *pool_uuid(const json_t *pool)
{
	const char *uuid = kube_str(pool, "status.uuid");

	if (!uuid[0])
		uuid = adopted(pool);
	return uuid[0] ? uuid : kube_uid(pool);
}

/* By UID: names of pools can be as long as those of devices. */
void pool_bdev_name(const json_t *pool, char name[ENGINE_NAME_SIZE])
{
	(void)snprintf(name, ENGINE_NAME_SIZE, POOL_BDEV_PREFIX "%.50s", kube_uid(pool));
}

int pool_is_open(struct agent *a, const json_t *pool, json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *lvstore = NULL;
	struct lvm lvm;
	int rc;

	if (!pool_is_lvm(pool))
		rc = engine_pool(a, pool_uuid(pool), &lvstore, err);
	else if (ret)
		rc = lvm_pool_look(a, pool, &lvstore, err);
	else
		rc = lvm_open(a, pool, &lvm, NULL, err);
	if (!rc && ret)
		*ret = json_incref(lvstore);
	return rc;
}

static int watermarks(const json_t *pool, int ret[3])
{
	int warn = (int)json_integer_value(kube_at(pool, "spec.watermarks.warnPercent"));
	int full = (int)json_integer_value(kube_at(pool, "spec.watermarks.fullPercent"));

	/* The engine has three; ours are its first and last. */
	if (warn < 1 || full <= warn + 1 || full > 100)
		return -1;
	ret[0] = warn;
	ret[1] = (warn + full) / 2;
	ret[2] = full;
	return 0;
}

/* What the object says of a pool's limits. */
static json_t *limits(const json_t *pool)
{
	json_int_t commit = json_integer_value(kube_at(pool, "spec.commitLimitPercent"));
	json_t *params = json_pack("{s:I}", "commit_percent", commit > 0 ? commit : 100);
	int marks[3];

	if (!watermarks(pool, marks))
		(void)json_object_set_new(params, "watermarks",
					  json_pack("[i, i, i]", marks[0], marks[1], marks[2]));
	return params;
}

static int pool_make(struct agent *a, const json_t *pool, const char *bdev,
		     const struct pool_device *device, struct err *err)
{
	json_t *params = limits(pool);
	char name[ENGINE_NAME_SIZE];
	int rc;

	if (kube_str(pool, "status.uuid")[0] || adopted(pool)[0]) {
		json_decref(params);
		return err_set(err, -ENOENT,
			       "%s holds no pool, and pool %s is expected there: it is not made "
			       "anew. Bring the right device, or delete the StoragePool",
			       device->path, pool_uuid(pool));
	}
	if (device->found != POOL_FOUND_EMPTY) {
		json_decref(params);
		return err_set(err, -EEXIST, "%s is not made into a pool: %s", device->path,
			       device->why);
	}
	engine_name(pool, name);
	(void)json_object_set_new(params, "bdev_name", json_string(bdev));
	(void)json_object_set_new(params, "lvs_name", json_string(name));
	(void)json_object_set_new(params, "uuid", json_string(kube_uid(pool)));
	rc = engine_do(a, "bdev_lvol_create_lvstore", params, err);
	if (!rc) {
		log_info("agent.pool.made", "pool=%s device=%s", kube_name(pool), device->path);
		events_record(a->events, pool, "Normal", "PoolMade", "a new pool was made on %s",
			      device->path);
	}
	return rc;
}

/* Another pool than ours that is open on our block device, as text; "": none. */
static void foreign(struct agent *a, const char *bdev, char *uuid, size_t size)
{
	_cleanup_json_ json_t *list = NULL;
	struct err err = {0};
	size_t i;
	json_t *one;

	uuid[0] = '\0';
	if (engine_call(a, "bdev_lvol_get_lvstores", NULL, &list, &err))
		return;
	json_array_foreach (list, i, one)
		if (!strcmp(kube_str(one, "base_bdev"), bdev))
			(void)str_copy(uuid, size, kube_str(one, "uuid"));
}

static int refuse_foreign(struct agent *a, const json_t *pool, const char *bdev, const char *uuid,
			  const struct pool_device *device, struct err *err)
{
	_cleanup_json_ json_t *lvstore = json_pack("{s:s, s:s}", "uuid", uuid, "base_bdev", bdev);
	struct err ignored = {0};

	(void)pool_leave(a, lvstore, &ignored); /* it is not ours to serve */
	return err_set(
		err, -EEXIST,
		"%s holds pool %s, which is not this one (%s). To take it over, annotate the "
		"StoragePool with " ADOPT "=%s; if nobody needs it, erase it there",
		device->path, uuid, pool_uuid(pool), uuid);
}

static int bdev_make(struct agent *a, const char *name, const char *path, struct err *err)
{
	int rc = engine_do(a, "bdev_aio_create",
			   json_pack("{s:s, s:s}", "name", name, "filename", path), err);

	return rc == -EEXIST ? 0 : rc;
}

static int pool_open(struct agent *a, const json_t *pool, struct pool_device *device,
		     struct err *err)
{
	char bdev[ENGINE_NAME_SIZE], other[64];
	_cleanup_json_ json_t *there = NULL;
	int rc;

	pool_bdev_name(pool, bdev);
	rc = engine_bdev(a, bdev, &there, err);
	if (rc && rc != -ENODEV)
		return rc;
	rc = pool_device_find(a, pool, there != NULL, device, err);
	if (!rc && !there)
		rc = bdev_make(a, bdev, device->path, err);
	if (rc)
		return rc;
	device->reason = "OpenFailed";
	(void)engine_do(a, "bdev_wait_for_examine", NULL, NULL); /* it may be opened by itself */
	if (!pool_is_open(a, pool, NULL, err))
		return 0;
	foreign(a, bdev, other, sizeof(other));
	if (other[0]) {
		device->reason = "ForeignPool";
		return refuse_foreign(a, pool, bdev, other, device, err);
	}
	rc = engine_do(a, "litepool_pool_open",
		       json_pack("{s:s, s:s}", "bdev_name", bdev, "uuid", pool_uuid(pool)), err);
	return rc == -ENOENT ? pool_make(a, pool, bdev, device, err) : rc;
}

int pool_leave(struct agent *a, const json_t *lvstore, struct err *err)
{
	const char *bdev = kube_str(lvstore, "base_bdev");
	int rc = engine_do(a, "litepool_pool_close",
			   json_pack("{s:s}", "uuid", kube_str(lvstore, "uuid")), err);

	if (rc && rc != -ENODEV && rc != -ENOENT)
		return rc;
	rc = engine_do(a, "bdev_aio_delete", json_pack("{s:s}", "name", bdev), err);
	return rc == -ENODEV ? 0 : rc;
}

/* Limits and size follow the object. */
static int pool_adjust(struct agent *a, const json_t *pool, const json_t *lvstore, struct err *err)
{
	_cleanup_json_ json_t *want = limits(pool), *bdev = NULL;
	json_int_t known = 0;
	const char *key;
	json_t *value;
	bool differs = false;
	int rc;

	json_object_foreach (want, key, value)
		differs |= !json_equal(value, json_object_get(lvstore, key));
	if (differs) {
		(void)json_object_set(want, "uuid", json_object_get(lvstore, "uuid"));
		rc = engine_do(a, "litepool_pool_set", json_incref(want), err);
		if (rc)
			return rc;
	}
	rc = engine_bdev(a, kube_str(lvstore, "base_bdev"), &bdev, err);
	if (rc)
		return rc;
	known = json_integer_value(json_object_get(bdev, "num_blocks")) *
		json_integer_value(json_object_get(bdev, "block_size"));
	rc = pool_device_grow(pool, (uint64_t)known, err);
	if (rc < 0)
		return rc;
	if (rc > 0)
		return engine_do(a, "bdev_lvol_grow_lvstore",
				 json_pack("{s:O}", "uuid", json_object_get(lvstore, "uuid")), err);
	return 0;
}

static int pool_keep(struct agent *a, const json_t *pool)
{
	_cleanup_json_ json_t *lvstore = NULL;
	struct pool_device device = {.reason = "EngineFailed"};
	struct err err = {0};
	int rc = pool_is_open(a, pool, &lvstore, &err);

	if (rc == -ENODEV) {
		rc = pool_open(a, pool, &device, &err);
		if (!rc)
			rc = pool_is_open(a, pool, &lvstore, &err);
		if (!rc)
			agent_enqueue(a, "sweep", "all"); /* its volumes were waiting */
	}
	if (!rc) {
		rc = pool_adjust(a, pool, lvstore, &err);
		if (rc)
			log_warn("agent.pool.adjust_failed", "pool=%s reason=\"%s\"",
				 kube_name(pool), err.text);
		json_decref(lvstore);
		lvstore = NULL;
		rc = pool_is_open(a, pool, &lvstore, &err);
	}
	if (rc) {
		rc = pool_status_failed(a, pool, "Failed", device.reason, "%s", err.text);
		return rc < 0 ? rc : AGAIN_MS;
	}
	rc = pool_status_open(a, pool, lvstore);
	return rc < 0 ? rc : (int)(a->opts->poll_s * 1000);
}

int pool_reconcile(struct agent *a, const char *name)
{
	_cleanup_json_ json_t *pool = informer_get(a->pools, "", name);

	if (!pool || strcmp(kube_str(pool, "spec.nodeName"), a->node) != 0)
		return 0; /* what we have of it the next sweep looks at */
	if (pool_is_lvm(pool))
		return lvm_pool_reconcile(a, pool);
	if (!watch_up(a->watch))
		return pool_status_failed(a, pool, "Unknown", "EngineDown",
					  "the engine of node %s does not answer", a->node);
	return pool_keep(a, pool);
}
