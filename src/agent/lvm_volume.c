/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume of an lvm pool. Thin ones are made by one command; a thick one is made beside, wiped or copied into, and then gets its name, so that what was cut is begun again:
 *
 *   new-UID --wipe or copy--> vol-UID;     to grow:  grow-UID --wipe--> its place on the disk is given to vol-UID
 *
 * A copy of a thick volume is one of a moment: from-UID, a snapshot of the source as large as that, so that it cannot run full, is copied and goes when vol-UID is there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

#define LOCAL_PATH "litepool.io/local-path"
#define FROM       "from-"
#define RANGES_MAX 12 /* pieces of free space that one growth is put together of */

struct lvm_volume {
	struct volume_work *w;
	struct lvm l;
	char name[LVM_NAME_SIZE]; /* vol-UID */
	char full[LVM_PATH_SIZE]; /* VG/vol-UID */
	char tag[KUBE_NAME_MAX + 32];
	uint64_t want; /* bytes, whole extents */
	json_t *rows;  /* owned; as of the last look */
};

static void lv_fini(struct lvm_volume *v)
{
	json_decref(v->rows);
}
#define _cleanup_lv_ __attribute__((cleanup(lv_fini)))

void lvm_device_path(const struct lvm *l, const char *lv, char path[LVM_PATH_SIZE])
{
	(void)snprintf(path, LVM_PATH_SIZE, "/dev/%s/%s", l->vg, lv);
}

static int look(struct lvm_volume *v)
{
	json_decref(v->rows);
	v->rows = NULL;
	return lvm_lvs(&v->l, &v->rows, &v->w->err);
}

static const json_t *row_of(const struct lvm_volume *v, const char *prefix)
{
	char name[LVM_NAME_SIZE];

	(void)snprintf(name, sizeof(name), "%s%.40s", prefix, v->w->uid);
	return lvm_row(v->rows, name);
}

static int open_volume(struct volume_work *w, struct lvm_volume *v)
{
	int rc = lvm_open(w->a, w->pool, &v->l, NULL, &w->err);

	v->w = w;
	(void)snprintf(v->name, sizeof(v->name), "vol-%.40s", w->uid);
	(void)snprintf(v->full, sizeof(v->full), "%s/%s", v->l.vg, v->name);
	(void)snprintf(v->tag, sizeof(v->tag), LVM_TAG_NAME "%s", kube_name(w->volume));
	if (!rc)
		v->want = (w->size_bytes + v->l.extent - 1) / v->l.extent * v->l.extent;
	return rc;
}

/* ---- thin ---- */

static int make_thin(struct lvm_volume *v)
{
	char size[32];
	const char *const args[] = {"lvcreate", "-y",    "-V",       size,   "--thinpool", LVM_THIN,
				    "-n",       v->name, "--addtag", v->tag, v->l.vg,      NULL};
	int rc;

	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", v->want);
	rc = lvm_thin_reserve(&v->l, v->rows, v->want, &v->w->err);
	return rc ? rc : lvm_do(&v->l, args, &v->w->err);
}

/* A thin snapshot or volume as it is now; it does not need its origin any more. */
static int clone_thin(struct lvm_volume *v, const json_t *origin)
{
	char from[LVM_PATH_SIZE];
	const char *const args[] = {"lvcreate", "-y",       "-s",   "-kn", "-prw", "-n",
				    v->name,    "--addtag", v->tag, from,  NULL};
	int rc;

	(void)snprintf(from, sizeof(from), "%s/%s", v->l.vg, kube_str(origin, "lv_name"));
	rc = lvm_thin_reserve(&v->l, v->rows, MAX(v->want, lvm_number(origin, "lv_size")),
			      &v->w->err);
	return rc ? rc : lvm_do(&v->l, args, &v->w->err);
}

/* ---- thick ---- */

/* An LV of our own to be filled: of that many bytes, active, as it is when it was there. */
static int make_space(struct lvm_volume *v, const char *prefix, uint64_t bytes,
		      char name[LVM_NAME_SIZE])
{
	const json_t *row = row_of(v, prefix);
	char size[32], full[LVM_PATH_SIZE];
	const char *const make[] = {"lvcreate", "-y", "-Wn",      "-Zn",  "-L",    size,
				    "-n",       name, "--addtag", v->tag, v->l.vg, NULL};
	const char *const activate[] = {"lvchange", "-ay", full, NULL};
	const char *const remove[] = {"lvremove", "-f", full, NULL};
	int rc = 0;

	(void)snprintf(name, LVM_NAME_SIZE, "%s%.40s", prefix, v->w->uid);
	(void)snprintf(full, sizeof(full), "%s/%s", v->l.vg, name);
	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", bytes);
	if (row && lvm_number(row, "lv_size") == bytes)
		return lvm_is_active(row) ? 0 : lvm_do(&v->l, activate, &v->w->err);
	if (row)
		rc = lvm_do(&v->l, remove, &v->w->err);
	return rc ? rc : lvm_do(&v->l, make, &v->w->err);
}

/* Gives the lock up while it fills; after that v->rows is as of now. from: a row, or NULL for zeroes. */
static int fill(struct lvm_volume *v, const char *lv, const json_t *from, uint64_t bytes)
{
	char to_path[LVM_PATH_SIZE], from_path[LVM_PATH_SIZE];
	int rc;

	lvm_device_path(&v->l, lv, to_path);
	if (from)
		lvm_device_path(&v->l, kube_str(from, "lv_name"), from_path);
	lvm_drop(&v->l);
	rc = lvm_fill(v->w->a, to_path, from ? from_path : NULL, bytes, &v->w->err);
	lvm_take(&v->l);
	return rc ? rc : look(v);
}

/* from: the row of a thick snapshot, or NULL. */
static int make_thick(struct lvm_volume *v, const json_t *from)
{
	uint64_t bytes = from ? lvm_size(from) : v->want;
	char name[LVM_NAME_SIZE];
	const char *const rename[] = {"lvrename", v->l.vg, name, v->name, NULL};
	int rc = make_space(v, "new-", bytes, name);

	if (!rc)
		rc = fill(v, name, from, bytes);
	return rc ? rc : lvm_do(&v->l, rename, &v->w->err);
}

/* from: the row of a thick volume, which goes on meanwhile. What was cut by an agent that died is copied again as it is. */
static int clone_thick(struct lvm_volume *v, const json_t *from)
{
	char name[LVM_NAME_SIZE], full[LVM_PATH_SIZE];
	const char *const cut[] = {"lvcreate", "-y", "-s",       "-pr",  "-l", "100%ORIGIN",
				   "-n",       name, "--addtag", v->tag, full, NULL};
	int rc = 0;

	(void)snprintf(name, sizeof(name), FROM "%.40s", v->w->uid);
	(void)snprintf(full, sizeof(full), "%s/%s", v->l.vg, kube_str(from, "lv_name"));
	if (!row_of(v, FROM)) {
		rc = lvm_do(&v->l, cut, &v->w->err);
		if (!rc)
			rc = look(v);
	}
	if (!rc && !row_of(v, FROM))
		rc = err_set(&v->w->err, -EIO, "%s/%s was made and is not there", v->l.vg, name);
	return rc ? rc : make_thick(v, row_of(v, FROM));
}

/* The volume is there: what it was copied from is not wanted any more. */
static int clone_tidy(struct lvm_volume *v)
{
	char full[LVM_PATH_SIZE];
	const char *const remove[] = {"lvremove", "-f", full, NULL};
	int rc;

	if (!row_of(v, FROM))
		return 0;
	(void)snprintf(full, sizeof(full), "%s/" FROM "%.40s", v->l.vg, v->w->uid);
	rc = lvm_do(&v->l, remove, &v->w->err);
	return rc ? rc : look(v);
}

/* Wiped space becomes the volume's: its place on the disk is freed and given in one breath, under the lock. */
static int give_space(struct lvm_volume *v, const char *name)
{
	char full[LVM_PATH_SIZE];
	const char *const remove[] = {"lvremove", "-f", full, NULL};
	char size[32];
	const char *args[RANGES_MAX + 6] = {"lvextend", "-y", "-L", size, v->full};
	_cleanup_json_ json_t *ranges = NULL;
	const json_t *one;
	size_t i, n = 5;
	int rc = lvm_ranges(&v->l, name, &ranges, &v->w->err);

	if (rc)
		return rc;
	(void)snprintf(full, sizeof(full), "%s/%s", v->l.vg, name);
	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", v->want);
	if (json_array_size(ranges) > RANGES_MAX)
		return err_set(&v->w->err, -ENOSPC,
			       "the free space of %s is in more than %d pieces; grow it in smaller "
			       "steps",
			       v->l.vg, RANGES_MAX);
	json_array_foreach (ranges, i, one)
		args[n++] = kube_str(one, "seg_pe_ranges");
	args[n] = NULL;
	rc = lvm_do(&v->l, remove, &v->w->err);
	return rc ? rc : lvm_do(&v->l, args, &v->w->err);
}

/* Thick snapshots live in their origin: LVM would remove them with it. */
static const json_t *snapshot_of(const json_t *rows, const char *lv)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		if (!strcmp(kube_str(row, "origin"), lv) && !lvm_is_thin(row))
			return row;
	return NULL;
}

/* What ends the snapshot of a thick volume. */
static const char *wait_for(const json_t *snapshot)
{
	return strncmp(kube_str(snapshot, "lv_name"), FROM, strlen(FROM)) == 0
		       ? "a volume is being made of it; wait until that is there"
		       : "delete its StorageSnapshots first";
}

static int grow_thick(struct lvm_volume *v, uint64_t have)
{
	uint64_t more = v->want - have;
	const json_t *snapshot = snapshot_of(v->rows, v->name);
	char name[LVM_NAME_SIZE];
	int rc;

	if (snapshot)
		return err_set(&v->w->err, -EBUSY,
			       "LVM cannot grow a thick volume that has a snapshot (%s); %s",
			       kube_str(snapshot, "lv_name"), wait_for(snapshot));
	rc = make_space(v, "grow-", more, name);
	if (!rc)
		rc = fill(v, name, NULL, more);
	return rc ? rc : give_space(v, name);
}

/* ---- which ---- */

/* The LV that the volume is made of; name: the object's. Each refusal has its reason. */
static int clone(struct lvm_volume *v, const json_t *row, const char *kind, const char *name)
{
	struct volume_work *w = v->w;

	w->reason = "SourceMissing";
	if (!row)
		return err_set(&w->err, -ENOENT,
			       "%s %s has no data in pool %s; copying between pools is not built",
			       kind, name, kube_name(w->pool));
	w->reason = "SourceLarger";
	if (lvm_size(row) > v->want)
		return err_set(&w->err, -EINVAL,
			       "the source has %" PRIu64 " bytes; set spec.size to that or more",
			       lvm_declared(row));
	w->reason = "CloneFailed";
	if (lvm_is_thin(row))
		return clone_thin(v, row);
	return kube_str(row, "origin")[0] ? make_thick(v, row) : clone_thick(v, row);
}

static int from_snapshot(struct lvm_volume *v, const char *name)
{
	_cleanup_json_ json_t *snapshot = volume_source_snapshot(v->w, name);
	char lv[LVM_NAME_SIZE];

	if (!snapshot)
		return v->w->err.code;
	(void)snprintf(lv, sizeof(lv), "snap-%.40s", kube_uid(snapshot));
	return clone(v, lvm_row(v->rows, lv), "StorageSnapshot", name);
}

static int from_volume(struct lvm_volume *v, const char *name)
{
	_cleanup_json_ json_t *source = informer_get(v->w->a->volumes, "", name);
	char lv[LVM_NAME_SIZE];

	(void)snprintf(lv, sizeof(lv), "vol-%.40s", kube_uid(source));
	return clone(v, source ? lvm_row(v->rows, lv) : NULL, "StorageVolume", name);
}

static int make(struct lvm_volume *v)
{
	struct volume_work *w = v->w;
	const char *snapshot = kube_str(w->volume, "spec.source.snapshotName");
	const char *volume = kube_str(w->volume, "spec.source.volumeName");
	int rc;

	w->reason = "DataMissing";
	if (kube_str(w->volume, "status.uuid")[0])
		return err_set(
			&w->err, -ENODATA,
			"volume group %s has no %s any more, and an empty one is not made in "
			"its place; bring the right disk, or delete the StorageVolume",
			v->l.vg, v->name);
	w->reason = "CreateFailed";
	if (snapshot[0])
		rc = from_snapshot(v, snapshot);
	else if (volume[0])
		rc = from_volume(v, volume);
	else if (!strcmp(kube_str(w->volume, "spec.provisioning"), "Thick"))
		rc = make_thick(v, NULL);
	else
		rc = make_thin(v);
	if (!rc) {
		log_info("agent.volume.made", "volume=%s uid=%s by=lvm", kube_name(w->volume),
			 w->uid);
		rc = look(v);
	}
	return rc;
}

static int grow(struct lvm_volume *v, const json_t *row)
{
	uint64_t have = lvm_number(row, "lv_size");
	char size[32];
	const char *const args[] = {"lvextend", "-y", "-L", size, v->full, NULL};
	int rc;

	v->w->reason = "ExpandFailed";
	if (!lvm_is_thin(row)) {
		rc = grow_thick(v, have);
		return rc ? rc : look(v);
	}
	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", v->want);
	rc = lvm_thin_reserve(&v->l, v->rows, v->want - have, &v->w->err);
	if (!rc)
		rc = lvm_do(&v->l, args, &v->w->err);
	return rc ? rc : look(v);
}

static int bring(struct lvm_volume *v)
{
	const char *const activate[] = {"lvchange", "-ay", "-K", v->full, NULL};
	const json_t *row;
	int rc = look(v);

	if (!rc && !lvm_row(v->rows, v->name))
		rc = make(v);
	if (!rc)
		rc = clone_tidy(v);
	if (rc)
		return rc;
	row = lvm_row(v->rows, v->name);
	if (row && lvm_number(row, "lv_size") < v->want)
		rc = grow(v, row);
	row = rc ? NULL : lvm_row(v->rows, v->name);
	if (!rc && !row)
		rc = err_set(&v->w->err, -EIO, "%s was made and is not there", v->full);
	v->w->reason = rc ? v->w->reason : "ActivateFailed";
	if (!rc && !lvm_is_active(row))
		rc = lvm_do(&v->l, activate, &v->w->err);
	if (rc)
		return rc;
	json_decref(v->w->lvol);
	v->w->lvol = json_pack("{s:I, s:I}", "size_bytes",
			       (json_int_t)MIN(v->w->size_bytes, lvm_number(row, "lv_size")),
			       "allocated_bytes", (json_int_t)lvm_allocated(row));
	return v->w->lvol ? 0 : err_set(&v->w->err, -ENOMEM, "out of memory");
}

int lvm_volume(struct volume_work *w)
{
	_cleanup_lv_ struct lvm_volume v = {.w = w};
	int rc = volume_size(w);

	if (rc)
		return rc;
	w->reason = "LvmFailed";
	rc = open_volume(w, &v);
	if (rc)
		return rc;
	lvm_take(&v.l);
	rc = bring(&v);
	lvm_drop(&v.l);
	return rc;
}

/* ---- who uses it ---- */

bool lvm_volume_is_local(const struct volume_work *w)
{
	const json_t *nodes = kube_at(w->volume, "spec.attachedNodes"), *limit;
	const char *asked = json_string_value(
		json_object_get(kube_at(w->volume, "metadata.labels"), LOCAL_PATH));
	const char *name;

	if (!pool_is_lvm(w->pool) || !asked || strcmp(asked, "true") != 0 ||
	    json_array_size(nodes) != 1 || !json_lists(nodes, w->a->node))
		return false;
	/* In use over NVMe/TCP already, from before it was asked for: the export is not taken from under its host. */
	if (json_lists(kube_at(w->volume, "status.attachedNodes"), w->a->node) &&
	    !kube_str(w->volume, "status.devicePath")[0])
		return false;
	/* Limits are the engine's to keep. */
	json_object_foreach ((json_t *)(uintptr_t)kube_at(w->volume, "spec.qos"), name, limit)
		if (json_integer_value(limit) || json_is_string(limit))
			return false;
	return true;
}

static int bdev_delete(struct agent *a, const char *uid, struct err *err)
{
	int rc = engine_do(a, "bdev_aio_delete", json_pack("{s:s}", "name", uid), err);

	return rc == -ENODEV || rc == -ENOENT ? 0 : rc;
}

int lvm_volume_local(struct volume_work *w)
{
	int rc;

	w->reason = "FenceFailed";
	rc = engine_subsystem_delete(w->a, w->nqn, &w->err);
	if (!rc)
		rc = bdev_delete(w->a, w->uid, &w->err);
	if (rc)
		return rc;
	w->targets = json_array();
	w->attached = json_pack("[s]", w->a->node);
	w->reason = NULL;
	return 0;
}

/* Before the engine has it nobody else may: a mount, or a program of this node that was let in by its path. */
static int nobody_has_it(struct volume_work *w, const struct lvm *l, const char *name)
{
	_cleanup_json_ json_t *rows = NULL;
	int rc = lvm_lvs(l, &rows, &w->err);

	if (rc || !lvm_is_open(lvm_row(rows, name)))
		return rc;
	return err_set(&w->err, -EBUSY,
		       "/dev/%s/%s is in use on node %s (see lsof, findmnt): nobody else is let in "
		       "before that ends",
		       l->vg, name, w->a->node);
}

int lvm_volume_bdev(struct volume_work *w)
{
	uint64_t have, size = (uint64_t)json_integer_value(json_object_get(w->lvol, "size_bytes"));
	_cleanup_json_ json_t *bdev = NULL;
	char name[LVM_NAME_SIZE], path[LVM_PATH_SIZE];
	const char *reason;
	struct lvm l;
	int rc = lvm_find(w->a, w->pool, &l, &reason, &w->err);

	w->reason = rc ? reason : "EngineFailed";
	if (!rc)
		rc = engine_bdev(w->a, w->uid, &bdev, &w->err);
	if (rc && rc != -ENODEV)
		return rc;
	if (!bdev) {
		w->reason = "FenceFailed";
		(void)snprintf(name, sizeof(name), "vol-%.40s", w->uid);
		lvm_device_path(&l, name, path);
		rc = nobody_has_it(w, &l, name);
		if (rc)
			return rc;
		w->reason = "EngineFailed";
		/* What a host writes into it is never taken for a pool. */
		rc = engine_do(w->a, "bdev_aio_create",
			       json_pack("{s:s, s:s, s:s, s:b}", "name", w->uid, "filename", path,
					 "uuid", w->uid, "litepool_no_examine", true),
			       &w->err);
		return rc == -EEXIST ? 0 : rc;
	}
	have = (uint64_t)json_integer_value(json_object_get(bdev, "num_blocks")) *
	       (uint64_t)json_integer_value(json_object_get(bdev, "block_size"));
	if (have >= size)
		return 0;
	w->reason = "ExpandFailed";
	return engine_do(w->a, "bdev_aio_rescan", json_pack("{s:s}", "name", w->uid), &w->err);
}

/* ---- the end ---- */

static int remove_lv(const struct lvm *l, const json_t *rows, const char *prefix, const char *uid,
		     struct err *err)
{
	char name[LVM_NAME_SIZE], full[LVM_PATH_SIZE];
	const char *const args[] = {"lvremove", "-f", full, NULL};
	const json_t *row, *snapshot;

	(void)snprintf(name, sizeof(name), "%s%.40s", prefix, uid);
	(void)snprintf(full, sizeof(full), "%s/%s", l->vg, name);
	row = lvm_row(rows, name);
	if (!row)
		return 0;
	snapshot = snapshot_of(rows, name);
	if (snapshot)
		return err_set(err, -EBUSY,
			       "it is thick and has the snapshot %s, which would go with it; %s",
			       kube_str(snapshot, "lv_name"), wait_for(snapshot));
	if (lvm_is_open(row))
		return err_set(err, -EBUSY, "/dev/%s is in use on its node; see lsof and findmnt",
			       full);
	return lvm_do(l, args, err);
}

int lvm_volume_remove(struct agent *a, const json_t *pool, const char *uid, struct err *err)
{
	static const char *const prefixes[] = {"new-", "grow-", "vol-", FROM};
	_cleanup_json_ json_t *rows = NULL;
	struct lvm l;
	char nqn[224];
	int rc;

	engine_nqn(uid, nqn);
	rc = engine_subsystem_delete(a, nqn, err);
	if (!rc)
		rc = bdev_delete(a, uid, err);
	if (!rc)
		rc = lvm_open(a, pool, &l, NULL, err);
	if (rc)
		return rc;
	lvm_take(&l);
	rc = lvm_lvs(&l, &rows, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(prefixes); i++)
		rc = remove_lv(&l, rows, prefixes[i], uid, err);
	lvm_drop(&l);
	return rc;
}
