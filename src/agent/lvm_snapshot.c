/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of volumes of an lvm pool. LVM suspends the volume while it cuts: what was answered before is in, and file systems that are mounted by path are frozen for the moment. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "base/json.h"
#include "kube/meta.h"
#include "kube/text.h"

static void name_of(const char *uid, char name[LVM_NAME_SIZE])
{
	(void)snprintf(name, LVM_NAME_SIZE, "snap-%.40s", uid);
}

int lvm_snapshot_look(struct agent *a, const json_t *pool, const char *uid, json_t **ret,
		      struct err *err)
{
	_cleanup_json_ json_t *rows = NULL;
	char name[LVM_NAME_SIZE];
	const json_t *row;
	struct lvm l;
	int rc = lvm_open(a, pool, &l, NULL, err);

	if (!rc)
		rc = lvm_lvs(&l, &rows, err);
	if (rc)
		return rc == -ENODEV ? -ENOTCONN
				     : rc; /* without its group nothing is known of it */
	name_of(uid, name);
	row = lvm_row(rows, name);
	if (!row)
		return err_set(err, -ENODEV, "%s/%s is not there", l.vg, name);
	*ret = json_pack("{s:I, s:I, s:I}", "size_bytes", (json_int_t)lvm_declared(row),
			 "allocated_bytes", (json_int_t)lvm_allocated(row), "created_s",
			 (json_int_t)lvm_number(row, "lv_time"));
	return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int cut(const struct lvm *l, const json_t *snapshot, const json_t *volume, struct err *err)
{
	_cleanup_json_ json_t *rows = NULL;
	char name[LVM_NAME_SIZE], origin[LVM_NAME_SIZE], full[LVM_PATH_SIZE];
	char tag[KUBE_NAME_MAX + 32], size[40];
	uint64_t bytes = 0;
	const char *why;
	const char *const thin[] = {"lvcreate", "-y", "-s",       "-pr", "-n", name,
				    "--addtag", tag,  "--addtag", size,  full, NULL};
	const char *const thick[] = {"lvcreate",   "-y", "-s", "-pr",      "-l",
				     "100%ORIGIN", "-n", name, "--addtag", tag,
				     "--addtag",   size, full, NULL};
	const json_t *row;
	int rc = lvm_lvs(l, &rows, err);

	if (rc)
		return rc;
	name_of(kube_uid(snapshot), name);
	(void)snprintf(origin, sizeof(origin), "vol-%.40s", kube_uid(volume));
	(void)snprintf(full, sizeof(full), "%s/%s", l->vg, origin);
	(void)snprintf(tag, sizeof(tag), LVM_TAG_NAME "%s", kube_name(snapshot));
	row = lvm_row(rows, origin);
	if (!row)
		return err_set(err, -ENOENT, "%s is not there", full);
	if (!kube_size_parse(kube_at(volume, "status.size"), &bytes, &why))
		bytes = lvm_number(row, "lv_size");
	(void)snprintf(size, sizeof(size), LVM_TAG_SIZE "%" PRIu64, bytes);
	if (!lvm_is_thin(row))
		return lvm_do(l, thick, err);
	rc = lvm_thin_reserve(l, rows, lvm_number(row, "lv_size"), err);
	return rc ? rc : lvm_do(l, thin, err);
}

int lvm_snapshot_cut(struct agent *a, const json_t *pool, const json_t *snapshot,
		     const json_t *volume, struct err *err)
{
	struct lvm l;
	int rc = lvm_open(a, pool, &l, NULL, err);

	if (rc)
		return rc;
	lvm_take(&l);
	rc = cut(&l, snapshot, volume, err);
	lvm_drop(&l);
	return rc;
}

int lvm_snapshot_remove(struct agent *a, const json_t *pool, const char *uid, struct err *err)
{
	_cleanup_json_ json_t *rows = NULL;
	char name[LVM_NAME_SIZE], full[LVM_PATH_SIZE];
	const char *const args[] = {"lvremove", "-f", full, NULL};
	const json_t *row;
	struct lvm l;
	int rc = lvm_open(a, pool, &l, NULL, err);

	if (rc)
		return rc;
	lvm_take(&l);
	rc = lvm_lvs(&l, &rows, err);
	name_of(uid, name);
	(void)snprintf(full, sizeof(full), "%s/%s", l.vg, name);
	row = rc ? NULL : lvm_row(rows, name);
	if (row && lvm_is_open(row))
		rc = err_set(err, -EBUSY, "/dev/%s is in use: it is being copied, or mounted",
			     full);
	else if (row)
		rc = lvm_do(&l, args, err);
	lvm_drop(&l);
	return rc;
}
