/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null disk: reads zeroes, forgets writes. It shows what the engine costs without a disk under
 * it.
 *
 * Invariant: a read gives zeroes, never what the buffer held before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "disk/disk.h"
#include "rt/iobuf.h"

struct disk_null {
	struct blk_dev dev;
	void *zeroes; /* IOBUF_MAX_SIZE bytes that cannot be written, for readers that take a loan
		       */
};

static void null_read(struct disk_null *disk, struct blk_io *io)
{
	if (io->flags & BLK_LOAN_OK && io->length <= IOBUF_MAX_SIZE) {
		io->loan = disk->zeroes;
		blk_complete(io, 0);
		return;
	}
	if (!io->buf) { /* a loan longer than any command is */
		blk_complete(io, -EINVAL);
		return;
	}
	memset(io->buf, 0, io->length);
	blk_complete(io, 0);
}

static void null_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct disk_null *disk = container_of(dev, struct disk_null, dev);

	switch (io->op) {
	case BLK_READ:
		null_read(disk, io);
		return;
	case BLK_WRITE:
	case BLK_FLUSH:
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		blk_complete(io, 0);
		return;
	case BLK_OPS:
		break;
	}
	UNREACHABLE();
}

static json_t *null_describe(const struct blk_dev *dev)
{
	return json_object();
}

static void null_destroy(struct blk_dev *dev)
{
	struct disk_null *disk = container_of(dev, struct disk_null, dev);

	blk_dev_fini(dev);
	(void)munmap(disk->zeroes, IOBUF_MAX_SIZE); /* fails only for a range that is not ours */
	free(disk);
}

static const struct blk_ops null_ops = {
	.product = "Null disk",
	.submit = null_submit,
	.describe = null_describe,
	.destroy = null_destroy,
};

int disk_null_new(const struct disk_null_opts *opts, struct blk_dev **ret, struct err *err)
{
	_cleanup_free_ struct disk_null *disk = calloc(1, sizeof(*disk));
	int rc;

	if (!disk)
		return err_set(err, -ENOMEM, "no memory for a null disk");
	rc = blk_dev_init(
		&disk->dev, &null_ops, opts->name, &opts->uuid, opts->size_bytes, opts->block_size,
		BLK_CAP_DISCARD | BLK_CAP_WRITE_ZEROES | BLK_CAP_LOAN | BLK_CAP_TAKES, err);
	if (rc)
		return rc;
	disk->zeroes = mmap(NULL, IOBUF_MAX_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (disk->zeroes == MAP_FAILED)
		return err_set(err, -ENOMEM, "no memory for a null disk");
	*ret = &TAKE_PTR(disk)->dev;
	return 0;
}
