/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of this machine: what stays the same of each over reboots, and whether one may be made into a pool without losing anything. */
#ifndef LITEPOOL_HOST_DEVICES_H
#define LITEPOOL_HOST_DEVICES_H

#include <jansson.h>

#include "host/host.h"

#define DISK_MIN_BYTES_DEFAULT ((uint64_t)1 << 30)

enum disk_verdict {
	DISK_SAFE, /* empty, unused, large enough */
	DISK_POOL, /* holds a LitePool pool: to be opened, not to be made anew */
	DISK_IN_USE,
	DISK_HAS_DATA,
	DISK_UNFIT, /* read-only, too small, removable, a volume of LitePool itself, ... */
};

struct disk {
	char name[64]; /* "sda": the kernel's, of this boot */
	char path[80]; /* "/dev/sda" */
	char by_id
		[160]; /* "/dev/disk/by-id/...": what to write into a configuration; "" without udev or an identity */
	char wwid[160], serial[64], model[64];
	uint64_t size_bytes;
	uint32_t logical_block, physical_block;
	bool rotational, removable, read_only;
	enum disk_verdict verdict;
	char why[320]; /* of any other verdict than safe, with what to do */
};

/*
 * Looks at every whole disk (not at partitions, RAM, floppy and optical drives, nor at unbound loop devices); reads the first MiB of those that nobody uses, for
 * signatures. Until fn returns false. Blocks for as long as the disks do. Any thread.
 */
void host_disks_each(const struct host_env *env, uint64_t min_bytes,
		     bool (*fn)(void *ctx, const struct disk *disk), void *ctx);
/* By the kernel's name or any path below /dev; -ENOENT with err. */
int host_disk_find(const struct host_env *env, const char *path, uint64_t min_bytes,
		   struct disk *ret, struct err *err);
/* "safe", "pool", "in use", "has data", "unfit" */
const char *disk_verdict_name(enum disk_verdict verdict);
/* A new object. */
json_t *disk_json(const struct disk *disk);

#endif
