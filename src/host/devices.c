/* SPDX-License-Identifier: Apache-2.0 */
/* Each verdict begins with what is cheapest and most certain; a disk in use is not read at all. */
#include "host/devices.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "host/hold.h"
#include "host/signature.h"
#include "host/sys.h"

/* Kinds that are no disks. A zram or brd disk loses everything with the power; an optical drive cannot be written like a disk. */
static bool is_disk(const struct host_env *env, const char *name)
{
	static const char *const no_disks[] = {"ram", "zram", "sr", "fd", "nbd", "mtdblock"};

	for (size_t i = 0; i < sizeof(no_disks) / sizeof(no_disks[0]); i++) {
		size_t len = strlen(no_disks[i]);

		if (strncmp(name, no_disks[i], len) == 0 && isdigit((unsigned char)name[len]))
			return false;
	}
	return sys_number(env, 0, "/sys/block/%s/hidden", name) == 0 &&
	       sys_number(env, 0, "/sys/block/%s/size", name) > 0;
}

/* udev's links, by what they begin with: the name of the world first, then model and serial. */
static unsigned link_rank(const char *name)
{
	static const char *const order[] = {"nvme-uuid.", "nvme-eui.", "wwn-",
					    "scsi-3",     "nvme-",     "ata-",
					    "scsi-",      "virtio-",   "dm-uuid-"};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (strncmp(name, order[i], strlen(order[i])) == 0)
			return i;
	return UINT_MAX - 1;
}

static void by_id_find(const struct host_env *env, struct disk *d)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, "/dev/disk/by-id");
	unsigned best = UINT_MAX;
	const char *name;

	while ((name = sys_next(dir))) {
		char path[SYS_PATH], target[256];
		ssize_t n = readlink(sys_path(env, path, "/dev/disk/by-id/%s", name), target,
				     sizeof(target) - 1);
		const char *slash;

		if (n <= 0)
			continue;
		target[n] = '\0';
		slash = strrchr(target, '/');
		if (strcmp(slash ? slash + 1 : target, d->name) != 0 || link_rank(name) >= best)
			continue;
		best = link_rank(name);
		(void)snprintf(d->by_id, sizeof(d->by_id), "/dev/disk/by-id/%.140s", name);
	}
}

static bool identity_read(const struct host_env *env, const char *name, struct disk *d)
{
	char text[8];

	*d = (struct disk){0};
	if (!str_copy(d->name, sizeof(d->name), name) || !is_disk(env, name))
		return false;
	(void)snprintf(d->path, sizeof(d->path), "/dev/%s", d->name);
	if (!sys_read(env, d->wwid, sizeof(d->wwid), "/sys/block/%s/wwid", name))
		(void)sys_read(env, d->wwid, sizeof(d->wwid), "/sys/block/%s/device/wwid", name);
	if (!sys_read(env, d->serial, sizeof(d->serial), "/sys/block/%s/serial", name))
		(void)sys_read(env, d->serial, sizeof(d->serial), "/sys/block/%s/device/serial",
			       name);
	(void)sys_read(env, d->model, sizeof(d->model), "/sys/block/%s/device/model", name);
	d->size_bytes = sys_number(env, 0, "/sys/block/%s/size", name) * 512;
	d->logical_block =
		(uint32_t)sys_number(env, 512, "/sys/block/%s/queue/logical_block_size", name);
	d->physical_block = (uint32_t)sys_number(env, d->logical_block,
						 "/sys/block/%s/queue/physical_block_size", name);
	d->rotational = sys_read(env, text, sizeof(text), "/sys/block/%s/queue/rotational", name) &&
			text[0] == '1';
	d->removable = sys_number(env, 0, "/sys/block/%s/removable", name) != 0;
	d->read_only = sys_number(env, 0, "/sys/block/%s/ro", name) != 0;
	by_id_find(env, d);
	return true;
}

__attribute__((format(printf, 3, 4))) static void judge(struct disk *d, enum disk_verdict verdict,
							const char *fmt, ...)
{
	va_list ap;

	d->verdict = verdict;
	va_start(ap, fmt);
	(void)vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
}

/* False: judged. */
static bool fits(const struct host_env *env, struct disk *d, uint64_t min_bytes)
{
	char zoned[32], size[16], least[16];

	if (strncmp(d->model, "LitePool", 8) == 0)
		judge(d, DISK_UNFIT, "is itself a volume of LitePool");
	else if (d->read_only)
		judge(d, DISK_UNFIT, "is read-only");
	else if (d->removable)
		judge(d, DISK_UNFIT, "is removable");
	else if (sys_read(env, zoned, sizeof(zoned), "/sys/block/%s/queue/zoned", d->name) &&
		 strcmp(zoned, "host-managed") == 0)
		judge(d, DISK_UNFIT, "is a zoned disk, which can only be written in order");
	else if (d->logical_block != 512 && d->logical_block != 4096)
		judge(d, DISK_UNFIT, "has blocks of %u bytes; 512 and 4096 are supported",
		      d->logical_block);
	else if (d->size_bytes < min_bytes)
		judge(d, DISK_UNFIT, "has %s; at least %s are wanted",
		      str_size(d->size_bytes, size, sizeof(size)),
		      str_size(min_bytes, least, sizeof(least)));
	return !d->why[0];
}

static void judge_content(const struct host_env *env, struct disk *d)
{
	char path[SYS_PATH], words[128] = "";
	int res = signature_read(sys_path(env, path, "%s", d->path), words, sizeof(words));

	switch (res) {
	case SIGNATURE_NONE:
		d->verdict = DISK_SAFE;
		break;
	case SIGNATURE_POOL:
		judge(d, DISK_POOL,
		      "holds a LitePool pool; open it, or erase it with: wipefs -a %s && "
		      "blkdiscard -f %s",
		      d->path, d->path);
		break;
	case SIGNATURE_KNOWN:
		judge(d, DISK_HAS_DATA, "holds %s; if it is not needed, erase it: wipefs -a %s",
		      words, d->path);
		break;
	case SIGNATURE_UNKNOWN:
		judge(d, DISK_HAS_DATA,
		      "holds data of no known kind; if it is not needed, erase its begin: dd "
		      "if=/dev/zero of=%s bs=1M count=4",
		      d->path);
		break;
	default:
		judge(d, DISK_UNFIT, "cannot be read: %s", strerror(-res));
		break;
	}
}

static bool disk_read(const struct host_env *env, const char *name, uint64_t min_bytes,
		      struct disk *d)
{
	struct err err = {0};

	if (!identity_read(env, name, d))
		return false;
	if (!fits(env, d, min_bytes))
		return true;
	if (hold_check(env, name, NULL, &err) == -EBUSY)
		judge(d, DISK_IN_USE, "%.*s", (int)sizeof(d->why) - 1, err.text);
	else
		judge_content(env, d);
	return true;
}

void host_disks_each(const struct host_env *env, uint64_t min_bytes,
		     bool (*fn)(void *ctx, const struct disk *disk), void *ctx)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, "/sys/block");
	struct disk disk;
	const char *name;

	while ((name = sys_next(dir)))
		if (disk_read(env, name, min_bytes, &disk) && !fn(ctx, &disk))
			return;
}

int host_disk_find(const struct host_env *env, const char *path, uint64_t min_bytes,
		   struct disk *ret, struct err *err)
{
	char full[SYS_PATH], real[PATH_MAX];
	const char *name = path;

	if (path[0] == '/') {
		if (!realpath(sys_path(env, full, "%s", path), real))
			return err_set(err, -errno, "there is no device %s: %s", path,
				       strerror(errno));
		name = strrchr(real, '/') + 1;
	}
	if (disk_read(env, name, min_bytes, ret))
		return 0;
	return err_set(err, -ENOENT,
		       "%s is no disk (a partition, or a device that holds no data); see: litepool "
		       "preflight",
		       path);
}

const char *disk_verdict_name(enum disk_verdict verdict)
{
	static const char *const names[] = {[DISK_SAFE] = "safe",
					    [DISK_POOL] = "pool",
					    [DISK_IN_USE] = "in use",
					    [DISK_HAS_DATA] = "has data",
					    [DISK_UNFIT] = "unfit"};

	return names[verdict];
}

/* What a device says of itself may be any bytes. */
static json_t *words_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("?");
}

json_t *disk_json(const struct disk *d)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:i, s:b, s:b, s:b, s:s, s:b, s:o}",
			 "path", words_json(d->path), "by_id", words_json(d->by_id), "wwid",
			 words_json(d->wwid), "serial", words_json(d->serial), "model",
			 words_json(d->model), "size", (json_int_t)d->size_bytes, "logical_block",
			 (int)d->logical_block, "physical_block", (int)d->physical_block,
			 "rotational", d->rotational, "removable", d->removable, "read_only",
			 d->read_only, "verdict", disk_verdict_name(d->verdict), "safe",
			 d->verdict == DISK_SAFE, "why", words_json(d->why));
}
