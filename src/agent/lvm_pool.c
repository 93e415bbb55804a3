/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool with engine lvm: its volume group is opened, or made on a disk that is provably empty. As with native pools nothing is ever made in the place of what is gone.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/lock.h"

#define AGAIN_MS    10000
#define EXTENT_TEXT "4m"

bool pool_is_lvm(const json_t *pool)
{
	return !strcmp(kube_str(pool, "spec.engine"), "lvm");
}

static struct lock *lock_of(const struct lvm *l)
{
	unsigned sum = 0;

	for (const char *c = l->vg; *c; c++)
		sum = sum * 31 + (unsigned char)*c;
	return l->a->lvm_lock[sum % AGENT_LVM_LOCKS];
}

void lvm_take(const struct lvm *l)
{
	lock_take(lock_of(l));
}

void lvm_drop(const struct lvm *l)
{
	lock_drop(lock_of(l));
}

static int find(struct agent *a, const json_t *pool, struct lvm *ret, struct pool_device *device,
		struct err *err)
{
	char real[PATH_MAX];
	struct stat st;

	*ret = (struct lvm){.a = a, .pool = pool};
	*device = (struct pool_device){.reason = "DeviceUnusable"};
	if (kube_str(pool, "spec.device.file")[0])
		return err_set(err, -EINVAL,
			       "a pool with engine lvm needs a disk: declare it by spec.device.id");
	device->reason = "DeviceMissing";
	(void)snprintf(device->path, sizeof(device->path), "/dev/disk/by-id/%s",
		       kube_str(pool, "spec.device.id"));
	/* What is on it LVM says. */
	if (!realpath(device->path, real) || stat(real, &st) < 0)
		return err_set(err, -errno, "%s: %s", device->path, strerror(errno));
	if (!S_ISBLK(st.st_mode) || !str_copy(ret->device, sizeof(ret->device), real))
		return err_set(err, -ENOTBLK, "%s is no disk", device->path);
	(void)snprintf(ret->vg, sizeof(ret->vg), LVM_VG_PREFIX "%.40s", pool_uuid(pool));
	return 0;
}

int lvm_find(struct agent *a, const json_t *pool, struct lvm *ret, const char **ret_reason,
	     struct err *err)
{
	struct pool_device device;
	int rc = find(a, pool, ret, &device, err);

	*ret_reason = device.reason;
	return rc;
}

int lvm_open(struct agent *a, const json_t *pool, struct lvm *ret, json_t **ret_pv, struct err *err)
{
	_cleanup_json_ json_t *pv = NULL;
	const char *reason;
	int rc = lvm_find(a, pool, ret, &reason, err);

	if (!rc)
		rc = lvm_pv(ret, &pv, err);
	if (rc)
		return rc;
	if (!pv || strcmp(kube_str(pv, "vg_name"), ret->vg) != 0)
		return err_set(err, -ENODEV, "%s holds no volume group %s", ret->device, ret->vg);
	ret->extent = lvm_number(pv, "vg_extent_size");
	if (!ret->extent)
		return err_set(err, -EPROTO, "lvm tells no size of extents of %s", ret->vg);
	if (ret_pv)
		*ret_pv = json_incref(pv);
	return 0;
}

/* ---- making it ---- */

static int make(const struct lvm *l, struct pool_device *device, struct err *err)
{
	const char *const args[] = {"vgcreate", "-y", "-s", EXTENT_TEXT, l->vg, l->device, NULL};
	const json_t *pool = l->pool;
	int rc;

	device->reason = "PoolMissing";
	if (kube_str(pool, "status.uuid")[0] || strcmp(pool_uuid(pool), kube_uid(pool)) != 0)
		return err_set(err, -ENOENT,
			       "%s holds no volume group, and %s is expected there: it is not made "
			       "anew. Bring the right disk, or delete the StoragePool",
			       l->device, l->vg);
	/* Looked at once more, now for whether it may be written over. */
	rc = pool_device_find(l->a, pool, false, device, err);
	if (rc)
		return rc;
	device->reason = "DeviceUnsafe";
	if (device->found != POOL_FOUND_EMPTY)
		return err_set(err, -EEXIST, "%s is not made into a pool: %s", device->path,
			       device->why);
	device->reason = "OpenFailed";
	rc = lvm_do(l, args, err);
	if (!rc) {
		log_info("agent.pool.made", "pool=%s device=%s vg=%s", kube_name(pool), l->device,
			 l->vg);
		events_record(l->a->events, pool, "Normal", "PoolMade",
			      "volume group %s was made on %s", l->vg, l->device);
	}
	return rc;
}

static int refuse(const struct lvm *l, const char *vg, struct pool_device *device, struct err *err)
{
	if (!strncmp(vg, LVM_VG_PREFIX, sizeof(LVM_VG_PREFIX) - 1)) {
		device->reason = "ForeignPool";
		return err_set(err, -EEXIST,
			       "%s holds pool %s, which is not this one. To take it over, annotate "
			       "the StoragePool with litepool.io/adopt=%s; if nobody needs it, "
			       "erase it there",
			       l->device, vg + sizeof(LVM_VG_PREFIX) - 1,
			       vg + sizeof(LVM_VG_PREFIX) - 1);
	}
	device->reason = "DeviceUnsafe";
	return err_set(err, -EEXIST, "%s belongs to LVM (%s%s); if nobody needs it: pvremove %s",
		       l->device, vg[0] ? "volume group " : "no volume group", vg, l->device);
}

/* ---- what it is ---- */

/* What is wrong with it, in words; NULL: nothing. */
static const char *trouble(const json_t *pv, const json_t *rows)
{
	const json_t *thin = lvm_row(rows, LVM_THIN);
	const char *attr = kube_str(thin, "lv_attr");
	char health = '-';

	if (strlen(attr) > 8)
		health = attr[8];
	if (lvm_number(pv, "vg_missing_pv_count"))
		return "LVM misses a disk of the volume group";
	if (health == 'D')
		return "the thin pool is out of space: writes into new places fail. Delete volumes "
		       "or snapshots, or make the disk larger";
	if (health == 'M' || health == 'F')
		return "the thin pool's metadata cannot be written; see lvs -a -o+lv_health_status "
		       "and lvconvert --repair";
	return NULL;
}

static bool begins(const json_t *row, const char *prefix)
{
	return !strncmp(kube_str(row, "lv_name"), prefix, strlen(prefix));
}

/* In the words of the engine's bdev_lvol_get_lvstores, which pool_status.c reads. */
static json_t *describe(const struct lvm *l, const json_t *pv, const json_t *rows)
{
	uint64_t group = lvm_number(pv, "vg_size"), used = 0, promised = 0;
	uint64_t keep = MIN(lvm_thin_keep(group, l->extent), group);
	const char *why = trouble(pv, rows);
	json_int_t volumes = 0, snapshots = 0;
	const json_t *row;
	json_t *look;
	size_t i;

	json_array_foreach (rows, i, row) {
		bool volume = begins(row, "vol-"), snapshot = begins(row, "snap-");

		volumes += volume;
		snapshots += snapshot;
		if (volume)
			promised += lvm_number(row, "lv_size");
		/* Thin ones are in the thin pool's sum. */
		if (!strcmp(kube_str(row, "lv_name"), LVM_THIN) ||
		    ((volume || snapshot || begins(row, "new-") || begins(row, "grow-")) &&
		     !lvm_is_thin(row)))
			used += lvm_allocated(row);
	}
	look = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "uuid", pool_uuid(l->pool),
			 "size_bytes", (json_int_t)(group - keep), "used_bytes", (json_int_t)used,
			 "free_bytes", (json_int_t)(group - keep > used ? group - keep - used : 0),
			 "volume_bytes", (json_int_t)promised, "volumes", volumes, "snapshots",
			 snapshots, "state", why ? "failed" : "open");
	if (look && why)
		(void)json_object_set_new(look, "reason", json_string(why));
	return look;
}

int lvm_pool_look(struct agent *a, const json_t *pool, json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *pv = NULL, *rows = NULL;
	struct lvm l;
	int rc = lvm_open(a, pool, &l, &pv, err);

	if (!rc)
		rc = lvm_lvs(&l, &rows, err);
	if (rc)
		return rc;
	*ret = describe(&l, pv, rows);
	return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* ---- keeping it ---- */

/* The disk may have become larger, and then a thin pool that was promised more than there was takes what it lacks. */
static int adjust(const struct lvm *l, const json_t *pv, struct err *err)
{
	const char *const args[] = {"pvresize", l->device, NULL};
	_cleanup_json_ json_t *rows = NULL;
	int rc = 0;

	lvm_take(l);
	if (lvm_number(pv, "dev_size") > lvm_number(pv, "pv_size") + 2 * l->extent)
		rc = lvm_do(l, args, err);
	if (!rc)
		rc = lvm_lvs(l, &rows, err);
	if (!rc && lvm_row(rows, LVM_THIN))
		rc = lvm_thin_reserve(l, rows, 0, err);
	if (!rc)
		rc = lvm_thin_tend(l, rows, err);
	lvm_drop(l);
	return rc;
}

static int keep(struct agent *a, const json_t *pool, struct pool_device *device, json_t **ret,
		struct err *err)
{
	_cleanup_json_ json_t *pv = NULL;
	struct err adjusting = {0};
	struct lvm l;
	int rc = find(a, pool, &l, device, err);

	if (!rc) {
		device->reason = "LvmFailed";
		rc = lvm_pv(&l, &pv, err);
	}
	if (!rc && pv && strcmp(kube_str(pv, "vg_name"), l.vg) != 0)
		rc = refuse(&l, kube_str(pv, "vg_name"), device, err);
	if (!rc && !pv) {
		rc = make(&l, device, err);
		if (!rc)
			agent_enqueue(a, "sweep", "all"); /* its volumes were waiting */
	}
	if (!rc) {
		device->reason = "LvmFailed";
		json_decref(pv);
		pv = NULL;
		rc = lvm_open(a, pool, &l, &pv, err);
	}
	if (!rc && adjust(&l, pv, &adjusting))
		log_warn("agent.pool.adjust_failed", "pool=%s reason=\"%s\"", kube_name(pool),
			 adjusting.text);
	return rc ? rc : lvm_pool_look(a, pool, ret, err);
}

int lvm_pool_reconcile(struct agent *a, const json_t *pool)
{
	struct pool_device device = {.reason = "LvmFailed"};
	_cleanup_json_ json_t *look = NULL;
	struct err err = {0};
	int rc = keep(a, pool, &device, &look, &err);

	if (rc) {
		rc = pool_status_failed(a, pool, "Failed", device.reason, "%s", err.text);
		return rc < 0 ? rc : AGAIN_MS;
	}
	rc = pool_status_open(a, pool, look);
	return rc < 0 ? rc : (int)(a->opts->poll_s * 1000);
}
