/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file or a block device as a disk, by rt/file.h: direct I/O unless the page cache is asked for.
 *
 * Invariants:
 *   1. Flush ends only after the file's data is durable (fdatasync, which also flushes the device's
 *      own cache).
 *   2. No read-modify-write: the block size is never smaller than what the file takes in one
 *      aligned I/O.
 *   3. The size only grows. A file that shrank under us keeps its size here and gives errors beyond
 *      its end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "disk/disk.h"
#include "disk/pass.h"

struct disk_file {
	struct blk_dev dev;
	struct file *file;
	char *path;
	bool block_size_given;
	bool read_only;
};

static void file_io_done(struct file_io *fio, int res)
{
	blk_complete(container_of(fio, struct blk_io, file), res);
}

static enum file_op file_op_of(enum blk_op op)
{
	switch (op) {
	case BLK_READ:
		return FILE_READ;
	case BLK_WRITE:
		return FILE_WRITE;
	case BLK_FLUSH:
		return FILE_SYNC;
	case BLK_DISCARD:
		return FILE_DISCARD;
	case BLK_WRITE_ZEROES:
		return FILE_ZERO;
	case BLK_OPS:
		break;
	}
	UNREACHABLE();
}

static void disk_file_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct disk_file *disk = container_of(dev, struct disk_file, dev);

	io->file = (struct file_io){
		.op = file_op_of(io->op),
		.flags = (io->flags & BLK_FUA ? FILE_FUA : 0) |
			 (io->flags & BLK_KEEP_ALLOC ? FILE_KEEP_ALLOC : 0),
		.offset = io->offset,
		.length = io->length,
		.buf = io->buf,
		.done = file_io_done,
	};
	file_submit(io->reactor, disk->file, &io->file);
}

static int disk_file_rescan(struct blk_dev *dev, uint64_t *ret_size_bytes, struct err *err)
{
	struct disk_file *disk = container_of(dev, struct disk_file, dev);
	uint64_t old = atomic_load(&dev->size_bytes), now;
	int rc = file_rescan(disk->file, &now);

	if (rc)
		return err_set(err, rc, "%s: the size of %s cannot be read: %s", dev->name,
			       disk->path, strerror(-rc));
	if (now % dev->block_size)
		return err_set(err, -EINVAL,
			       "%s: %s has %" PRIu64
			       " bytes now, which is not a multiple of the block "
			       "size of %u; truncate it to one that is",
			       dev->name, disk->path, now, dev->block_size);
	if (now < old)
		return err_set(err, -EINVAL,
			       "%s: %s shrank from %" PRIu64 " to %" PRIu64
			       " bytes; a disk in use cannot "
			       "shrink: make it as large as it was",
			       dev->name, disk->path, old, now);
	atomic_store_explicit(&dev->size_bytes, now, memory_order_release);
	*ret_size_bytes = now;
	return 0;
}

static json_t *disk_file_describe(const struct blk_dev *dev)
{
	const struct disk_file *disk = (const void *)dev; /* dev is its first member */

	return json_pack("{s:{s:s, s:b, s:b, s:b}}", "aio", "filename", disk->path,
			 "block_size_override", disk->block_size_given, "readonly", disk->read_only,
			 "fallocate", (dev->caps & BLK_CAP_DISCARD) != 0);
}

static void disk_file_free(struct disk_file *disk)
{
	if (!disk)
		return;
	if (disk->file)
		file_close(disk->file);
	free(disk->path);
	free(disk);
}

static void disk_file_freep(struct disk_file **disk)
{
	disk_file_free(*disk);
}

static void disk_file_destroy(struct blk_dev *dev)
{
	blk_dev_fini(dev);
	disk_file_free(container_of(dev, struct disk_file, dev));
}

static const struct blk_ops disk_file_ops = {
	.product = "AIO disk",
	.submit = disk_file_submit,
	.rescan = disk_file_rescan,
	.describe = disk_file_describe,
	.destroy = disk_file_destroy,
};

/*
 * From blocks that are too large. A file's are those of direct I/O; what is smaller than a device's the page cache would read, change and write back, and a power cut
 * meanwhile loses what lies beside it: so buffered I/O is no way out there.
 */
static const char *way_out(const struct file_info *info)
{
	return info->is_block_device ? "put a file system on it and use a file"
				     : "ask for buffered I/O";
}

/* The block size to work with, or why it cannot be. */
static int block_size_choose(const struct disk_file_opts *opts, const struct file_info *info,
			     uint32_t *ret, struct err *err)
{
	uint32_t size = opts->block_size;

	if (size == 0)
		size = MAX(info->block_size, 512u);
	if (info->block_size > 4096)
		return err_set(err, -EINVAL,
			       "%s: %s works in blocks of %u bytes and NVMe volumes have 512 or "
			       "4096; %s",
			       opts->name, opts->path, info->block_size, way_out(info));
	if (size != 512 && size != 4096)
		return err_set(err, -EINVAL,
			       "%s: block_size %u is not one of NVMe volumes; use 512 or 4096",
			       opts->name, size);
	if (size < info->block_size)
		return err_set(err, -EINVAL,
			       "%s: block_size %u is smaller than the %u bytes that %s takes at "
			       "once; use block_size 4096%s",
			       opts->name, size, info->block_size, opts->path,
			       info->is_block_device ? "" : ", or ask for buffered I/O");
	if (info->size_bytes == 0 || info->size_bytes % size)
		return err_set(err, -EINVAL,
			       "%s: %s has %" PRIu64
			       " bytes, which is not a whole number (at least 1) of "
			       "%u-byte blocks; truncate it to a multiple of the block size",
			       opts->name, opts->path, info->size_bytes, size);
	*ret = size;
	return 0;
}

static unsigned caps_of(const struct disk_file_opts *opts, const struct file_info *info)
{
	if (opts->read_only)
		return BLK_CAP_READ_ONLY;
	return BLK_CAP_VOLATILE_CACHE | (info->can_discard ? BLK_CAP_DISCARD : 0) |
	       (info->can_zero ? BLK_CAP_WRITE_ZEROES : 0);
}

static int open_file(struct env *env, const struct disk_file_opts *opts, struct file **ret,
		     struct err *err)
{
	enum file_mode mode = opts->buffered ? FILE_BUFFERED : FILE_DIRECT;

	if (opts->adopt)
		return file_adopt(env, opts->fd, opts->path, mode, opts->read_only, ret, err);
	return file_open(env, opts->path, mode, opts->read_only, ret, err);
}

int disk_file_export(const struct blk_dev *dev)
{
	if (dev->ops != &disk_file_ops)
		return -1;
	return file_export(((const struct disk_file *)(const void *)dev)->file);
}

int disk_file_new(struct env *env, const struct disk_file_opts *opts, struct blk_dev **ret,
		  struct err *err)
{
	_cleanup_(disk_file_freep) struct disk_file *disk = calloc(1, sizeof(*disk));
	const struct file_info *info;
	uint32_t block_size = 0;
	int rc;

	if (disk)
		disk->path = strdup(opts->path);
	if (!disk || !disk->path) {
		if (opts->adopt)
			(void)close(opts->fd);
		return err_set(err, -ENOMEM, "no memory for a file disk");
	}
	disk->read_only = opts->read_only;
	disk->block_size_given = opts->block_size != 0;
	rc = open_file(env, opts, &disk->file, err);
	if (rc)
		return rc;
	info = file_info(disk->file);
	rc = block_size_choose(opts, info, &block_size, err);
	if (rc)
		return rc;
	rc = blk_dev_init(&disk->dev, &disk_file_ops, opts->name, &opts->uuid, info->size_bytes,
			  block_size, caps_of(opts, info), err);
	if (rc)
		return rc;
	disk->dev.phys_block_size = MAX(info->phys_block_size, block_size);
	*ret = &TAKE_PTR(disk)->dev;
	return 0;
}
