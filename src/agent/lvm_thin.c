/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thin pool has as much space as all that is thin in it could need, taken from the group when a volume is made or grows. So within the commit limit of 100 % no write ever waits
 * for space, nothing has to be watched between two writes, and what is not promised to thin volumes is left for thick ones. Beyond 100 % it ends at the size of the disk: then writes into
 * new places fail at once (errorwhenfull), as those of a full native pool do. device-mapper's own way is to let them wait for a minute: longer than a host waits for its I/O.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "base/bytes.h"
#include "base/json.h"
#include "kube/text.h"

#define METADATA_FULL 7000u /* hundredths of a percent, above which it is made larger */

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

uint64_t lvm_thin_keep(uint64_t vg_bytes, uint64_t extent)
{
	return round_up(vg_bytes / 64, extent) + 3 * extent;
}

static uint64_t thin_bytes(const json_t *rows)
{
	uint64_t sum = 0;
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		if (lvm_is_thin(row))
			sum += lvm_number(row, "lv_size");
	return sum;
}

/* The group's free bytes that may become data. */
static int spare(const struct lvm *l, const json_t *thin, uint64_t *ret, struct err *err)
{
	/* LVM keeps as much again for the metadata's repair. */
	uint64_t spent = 2 * lvm_number(thin, "lv_metadata_size"), keep, left;
	_cleanup_json_ json_t *pv = NULL;
	int rc = lvm_pv(l, &pv, err);

	if (rc)
		return rc;
	keep = lvm_thin_keep(lvm_number(pv, "vg_size"), l->extent);
	keep = keep > spent ? keep - spent : 0;
	left = lvm_number(pv, "vg_free");
	*ret = left > keep ? left - keep : 0;
	return 0;
}

/* lvcreate has the option and refuses it. */
static int let_fail_when_full(const struct lvm *l, struct err *err)
{
	char name[LVM_PATH_SIZE];
	const char *const args[] = {"lvchange", "--errorwhenfull", "y", name, NULL};

	(void)snprintf(name, sizeof(name), "%s/%s", l->vg, LVM_THIN);
	return lvm_do(l, args, err);
}

static int make(const struct lvm *l, uint64_t bytes, struct err *err)
{
	char size[32];
	const char *const args[] = {"lvcreate", "-y",     "--type",     "thin-pool", "-L",  size,
				    "-n",       LVM_THIN, "--discards", "passdown",  l->vg, NULL};
	int rc;

	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", bytes);
	rc = lvm_do(l, args, err);
	return rc ? rc : let_fail_when_full(l, err);
}

static int extend(const struct lvm *l, uint64_t bytes, struct err *err)
{
	char size[32], name[LVM_PATH_SIZE];
	const char *const args[] = {"lvextend", "-y", "-L", size, name, NULL};

	(void)snprintf(size, sizeof(size), "%" PRIu64 "b", bytes);
	(void)snprintf(name, sizeof(name), "%s/%s", l->vg, LVM_THIN);
	return lvm_do(l, args, err);
}

int lvm_thin_reserve(const struct lvm *l, const json_t *rows, uint64_t more_bytes, struct err *err)
{
	const json_t *thin = lvm_row(rows, LVM_THIN);
	uint64_t have = lvm_number(thin, "lv_size"), left = 0, want;
	int rc;

	want = round_up(thin_bytes(rows) + more_bytes, l->extent);
	if (have >= want)
		return 0;
	rc = spare(l, thin, &left, err);
	if (rc)
		return rc;
	want = MIN(want, (have + left) / l->extent * l->extent);
	if (want > have)
		return thin ? extend(l, want, err) : make(l, want, err);
	/* More is promised than there is, on purpose. */
	return thin ? 0
		    : err_set(err, -ENOSPC,
			      "volume group %s has no space left for a thin pool: it is taken by "
			      "thick volumes",
			      l->vg);
}

static int remove_unused(const struct lvm *l, struct err *err)
{
	char name[LVM_PATH_SIZE];
	const char *const args[] = {"lvremove", "-f", name, NULL};

	(void)snprintf(name, sizeof(name), "%s/%s", l->vg, LVM_THIN);
	return lvm_do(l, args, err);
}

int lvm_thin_tend(const struct lvm *l, const json_t *rows, struct err *err)
{
	const json_t *thin = lvm_row(rows, LVM_THIN);
	char name[LVM_PATH_SIZE], more[40];
	const char *const args[] = {"lvextend", "-y", "--poolmetadatasize", more, name, NULL};

	if (!thin)
		return 0;
	if (!thin_bytes(rows))
		return remove_unused(l, err);
	if (!strcmp(kube_str(thin, "lv_when_full"), "queue")) {
		int rc = let_fail_when_full(l, err);

		if (rc)
			return rc;
	}
	if (lvm_percent(thin, "metadata_percent") < METADATA_FULL)
		return 0;
	(void)snprintf(name, sizeof(name), "%s/%s", l->vg, LVM_THIN);
	(void)snprintf(more, sizeof(more), "+%" PRIu64 "b",
		       MAX(lvm_number(thin, "lv_metadata_size") / 4, l->extent));
	return lvm_do(l, args, err);
}
