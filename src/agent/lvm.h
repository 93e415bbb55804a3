/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools with engine lvm: a volume group on one disk, driven by the program lvm with JSON reports and time limits.
 *
 *   /dev/litepool-POOL/   POOL: the pool's UUID (pool_uuid())
 *     vol-UID             a StorageVolume: thin, or linear when it is thick
 *     snap-UID            a StorageSnapshot: thin, or a copy-on-write snapshot as large as its thick origin, so that it cannot run full
 *     new-UID, grow-UID   space of a thick volume that is being wiped or copied into; becomes vol-UID, or part of it, after that
 *     from-UID            a snapshot of a thick volume that new-UID is copied from
 *     thin                the thin pool: as large as all thin volumes and snapshots together, as far as there is space. It goes with the last of them
 *
 * 1. Names come from UIDs, so nothing is taken for something else; the object's name is in a tag (LVM_TAG_NAME).
 * 2. Sizes are absolute, and rounded up to LVM's extents at every comparison: a command that is repeated changes nothing.
 * 3. Every command is told the one disk (--devices), and so neither sees nor touches other volume groups, such as those inside volumes.
 * 4. A thick volume shows nobody what its space held before: it is wiped before it gets its name.
 */
#ifndef LITEPOOL_AGENT_LVM_H
#define LITEPOOL_AGENT_LVM_H

#include "agent/volume.h"

#define LVM_VG_PREFIX "litepool-"
#define LVM_TAG_NAME  "litepool.name="
#define LVM_TAG_SIZE                                                                               \
	"litepool.size=" /* of a snapshot: what its volume was declared with, without the rounding */
#define LVM_THIN       "thin"
#define LVM_NAME_SIZE  64
#define LVM_PATH_SIZE  160
#define LVM_REPORT_MAX ((size_t)64 << 20)
#define LVM_LIMIT_MS   60000

/* Where a pool is. */
struct lvm {
	struct agent *a;
	const json_t *pool; /* the object; borrowed */
	char device[4096];  /* the disk */
	char vg[LVM_NAME_SIZE];
	uint64_t extent; /* bytes; with lvm_open() */
};

/* ---- lvm_report.c: the program and its answers. Nothing here is kept; any worker thread ---- */

/*
 * The rows of a report ({"report": [{"lv": [{...}, ...]}]}; what: "lv", "pv") as a new array of objects. Any text; -EPROTO with what is wrong.
 */
int lvm_rows_parse(const char *text, const char *what, json_t **ret, struct err *err);
/* A field of a row as a number of bytes (or anything that counts); 0 when it is none. */
uint64_t lvm_number(const json_t *row, const char *field);
/* "12.34" (percent) as hundredths of a percent; 0 when it is none. */
unsigned lvm_percent(const json_t *row, const char *field);
/* The row of that LV; NULL. Borrowed. */
const json_t *lvm_row(const json_t *rows, const char *lv);
bool lvm_is_thin(const json_t *row);
bool lvm_is_active(const json_t *row);
bool lvm_is_open(const json_t *row);
/* Bytes that it takes of the disk. */
uint64_t lvm_allocated(const json_t *row);
/* What follows LVM_TAG_NAME in its tags; "" without. */
const char *lvm_tag_name(const json_t *row, char *buf, size_t size);
/* Bytes that can be read: lv_size of a thick snapshot is the space for what changes, and larger. */
uint64_t lvm_size(const json_t *row);
/* Bytes as they were declared: LVM_TAG_SIZE, or lvm_size(). */
uint64_t lvm_declared(const json_t *row);

/* Runs lvm ARGS... with --devices. args end with NULL. What lvm says against it is the error, -EIO. */
int lvm_do(const struct lvm *l, const char *const args[], struct err *err);
/* All LVs of the volume group. */
int lvm_lvs(const struct lvm *l, json_t **ret_rows, struct err *err);
/* Where an LV is on the disk: a row with "seg_pe_ranges" ("/dev/sdb:0-15") for each of its segments. */
int lvm_ranges(const struct lvm *l, const char *lv, json_t **ret_rows, struct err *err);
/* The physical volume on the disk; *ret NULL: there is none. */
int lvm_pv(const struct lvm *l, json_t **ret_row, struct err *err);

/* ---- lvm_pool.c ---- */

/*
 * From looking at a volume group to changing it accordingly, one worker at a time: LVM locks single commands only, and removing a thin pool removes what another worker put into it
 * meanwhile. Not held while space is wiped. A hash of the group's name chooses the lock, so two groups may share one.
 */
void lvm_take(const struct lvm *l);
void lvm_drop(const struct lvm *l);

/* The disk and the names; reason as in struct pool_device. */
int lvm_find(struct agent *a, const json_t *pool, struct lvm *ret, const char **ret_reason,
	     struct err *err);
/* With the volume group looked at. -ENODEV: not there. *ret_pv (may be NULL): its row, new reference. */
int lvm_open(struct agent *a, const json_t *pool, struct lvm *ret, json_t **ret_pv,
	     struct err *err);
/* As engine_pool(): what the engine would say of it. */
int lvm_pool_look(struct agent *a, const json_t *pool, json_t **ret, struct err *err);
int lvm_pool_reconcile(struct agent *a, const json_t *pool);
bool pool_is_lvm(const json_t *pool);

/* ---- lvm_thin.c: under lvm_take(), with rows read under it ---- */

/* The thin pool is made, or made larger, so that so many more bytes of thin volumes have their place; as far as there is space. -ENOSPC: not even a beginning. */
int lvm_thin_reserve(const struct lvm *l, const json_t *rows, uint64_t more_bytes, struct err *err);
/* Removes a thin pool that nothing uses; makes its metadata larger in time, and its writes fail at once when it is full. */
int lvm_thin_tend(const struct lvm *l, const json_t *rows, struct err *err);
/* What the thin pool's metadata, its spare and their growth take of so large a group. */
uint64_t lvm_thin_keep(uint64_t vg_bytes, uint64_t extent);

/* ---- lvm_fill.c ---- */

/* Zeroes the device's first size bytes, or copies from another (not NULL), durably. Blocks; -ECANCELED when the agent ends. */
int lvm_fill(const struct agent *a, const char *to, const char *from, uint64_t size,
	     struct err *err);

/* ---- lvm_volume.c: as volume_lvol() and volume_export() ---- */

int lvm_volume(struct volume_work *w);
int lvm_volume_remove(struct agent *a, const json_t *pool, const char *uid, struct err *err);
/* The volume's block device in the engine, of its size. */
int lvm_volume_bdev(struct volume_work *w);
/* Whether it shall be used on this node as a device, without the engine (label litepool.io/local-path=true). */
bool lvm_volume_is_local(const struct volume_work *w);
int lvm_volume_local(struct volume_work *w);
void lvm_device_path(const struct lvm *l, const char *lv, char path[LVM_PATH_SIZE]);

/* ---- lvm_snapshot.c ---- */

/* As engine_lvol(): size_bytes, allocated_bytes, created_s. -ENODEV. */
int lvm_snapshot_look(struct agent *a, const json_t *pool, const char *uid, json_t **ret,
		      struct err *err);
int lvm_snapshot_cut(struct agent *a, const json_t *pool, const json_t *snapshot,
		     const json_t *volume, struct err *err);
int lvm_snapshot_remove(struct agent *a, const json_t *pool, const char *uid, struct err *err);

/* ---- lvm_sweep.c ---- */

/* certain: as of sweep.c. */
void lvm_sweep(struct agent *a, bool (*certain)(struct agent *, const char *, bool));

#endif
