/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RAM disk: memory as a disk, for tests and for measuring everything but the
 * disk.
 *
 * Invariants:
 *   1. What was never written, and what was discarded, reads as zeroes.
 *   2. Memory is taken page by page as it is used (small pages, and huge ones where much of them is used: ram_memory.h) and given back by discard and (without
 *      BLK_KEEP_ALLOC) write zeroes.
 *   3. Any reactor reads and writes at any time without a lock. Writers of the same blocks at the
 *      same time are the hosts' own race, as on every disk: each byte is of one of them.
 *   4. A pass of a reactor is not long because of us: discard and write zeroes, which may be of any length, are done in pieces, one a pass
 *      for all of them on this disk, by turns (struct ram_lane).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "disk/copy_cold.h"
#include "disk/disk.h"
#include "disk/pass.h"
#include "disk/ram_memory.h"

/* Zeroing memory that has no pages yet: about 0.1 ms. */
#define RAM_PIECE_ZERO (256 * KIB)
/* Giving back: never a part of a huge page, unless the request ends there. */
#define RAM_PIECE_RELEASE RAM_REGION

/* What a reactor has under way here. */
struct ram_lane {
	struct disk_ram *disk;
	struct task written; /* ends the copies of writes, before any of them is answered */
	struct list
		waiting; /* blk_io.file.link; what is left of one: its file.offset and file.length */
	struct msg msg;  /* under way while waiting is not empty */
};

struct disk_ram {
	struct blk_dev dev;
	struct ram_memory *memory;
	uint8_t *mem;        /* memory->mem */
	uint64_t page_bytes; /* the kernel's */
	struct ram_lane lanes[REACTORS_MAX + 1];
};

/* Zeroes [offset, offset + length); whole pages go back to the kernel. */
static void ram_release(struct disk_ram *disk, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	uint64_t first = align_up(offset, disk->page_bytes);
	uint64_t last = align_down(end, disk->page_bytes);

	if (first >= last || madvise(disk->mem + first, last - first, MADV_REMOVE)) {
		memset(disk->mem + offset, 0, length);
		return;
	}
	ram_memory_released(disk->memory, first, last - first);
	memset(disk->mem + offset, 0, first - offset);
	memset(disk->mem + last, 0, end - last);
}

static void ram_read(struct disk_ram *disk, struct blk_io *io)
{
	if (io->flags & BLK_LOAN_OK)
		io->loan = disk->mem + io->offset;
	else
		memcpy(io->buf, disk->mem + io->offset, io->length);
}

static bool keeps_memory(const struct blk_io *io)
{
	return io->op == BLK_WRITE_ZEROES && io->flags & BLK_KEEP_ALLOC;
}

static void ram_clear(struct disk_ram *disk, const struct blk_io *io, uint64_t offset,
		      uint64_t length)
{
	if (keeps_memory(io))
		memset(disk->mem + offset, 0, length);
	else
		ram_release(disk, offset, length);
}

/* One piece of the first in line, which then stands at its end. */
static void lane_run(struct msg *msg)
{
	struct ram_lane *lane = container_of(msg, struct ram_lane, msg);
	struct file_io *rest = list_first(&lane->waiting, struct file_io, link);
	struct blk_io *io = container_of(rest, struct blk_io, file);
	const uint64_t piece = keeps_memory(io) ? RAM_PIECE_ZERO : RAM_PIECE_RELEASE;
	const uint64_t length = MIN(rest->length, piece - rest->offset % piece);

	ram_clear(lane->disk, io, rest->offset, length);
	rest->offset += length;
	rest->length -= length;
	list_remove(&rest->link);
	if (rest->length)
		list_push_back(&lane->waiting, &rest->link);
	if (!list_empty(&lane->waiting))
		reactor_post(reactor_current(), &lane->msg);
	if (!rest->length)
		blk_complete(io, 0); /* io may be in line again when it returns */
}

static void lane_wait(struct disk_ram *disk, struct blk_io *io)
{
	struct ram_lane *lane = &disk->lanes[reactor_id(io->reactor)];
	const bool idle = list_empty(&lane->waiting);

	io->file = (struct file_io){.offset = io->offset, .length = io->length};
	list_push_back(&lane->waiting, &io->file.link);
	if (idle)
		reactor_post(io->reactor, &lane->msg);
}

static void lane_written(struct task *task)
{
	copy_cold_end();
}

/* All that was copied when the first of them is answered, which is a task, too, and behind this one: blk_complete() runs inside a submit here. */
static void ram_write(struct disk_ram *disk, const struct blk_io *io)
{
	struct ram_lane *lane = &disk->lanes[reactor_id(io->reactor)];

	copy_cold(disk->mem + io->offset, io->buf, io->length);
	reactor_defer(io->reactor, &lane->written);
}

static void ram_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct disk_ram *disk = container_of(dev, struct disk_ram, dev);

	switch (io->op) {
	case BLK_READ:
		ram_read(disk, io);
		ram_memory_touch(disk->memory, io->offset, io->length);
		break;
	case BLK_WRITE:
		ram_write(disk, io);
		ram_memory_touch(disk->memory, io->offset, io->length);
		break;
	case BLK_FLUSH:
		break;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		if (io->length > RAM_PIECE_ZERO) {
			lane_wait(disk, io);
			return;
		}
		ram_clear(disk, io, io->offset, io->length);
		break;
	case BLK_OPS:
		UNREACHABLE();
	}
	blk_complete(io, 0);
}

static json_t *ram_describe(const struct blk_dev *dev)
{
	return json_object();
}

static void ram_destroy(struct blk_dev *dev)
{
	struct disk_ram *disk = container_of(dev, struct disk_ram, dev);

	blk_dev_fini(dev);
	ram_memory_put(disk->memory);
	free(disk);
}

static const struct blk_ops ram_ops = {
	.product = "Malloc disk",
	.submit = ram_submit,
	.describe = ram_describe,
	.destroy = ram_destroy,
};

/* More than the machine has would end with the kernel killing the engine, and with it every other
 * volume. */
static int ram_size_check(const struct disk_ram_opts *opts, uint64_t page_bytes, struct err *err)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	char want[32], have[32];

	if (pages <= 0 || opts->size_bytes / page_bytes < (uint64_t)pages)
		return 0;
	return err_set(
		err, -ENOMEM,
		"%s: a RAM disk of %s does not fit into the %s of memory of this machine; make it "
		"smaller, or use a file",
		opts->name, str_size(opts->size_bytes, want, sizeof(want)),
		str_size((uint64_t)pages * page_bytes, have, sizeof(have)));
}

int disk_ram_export(const struct blk_dev *dev)
{
	return dev->ops == &ram_ops ? ((const struct disk_ram *)(const void *)dev)->memory->fd : -1;
}

int disk_export(const struct blk_dev *dev)
{
	int fd = disk_file_export(dev);

	return fd < 0 ? disk_ram_export(dev) : fd;
}

static void ram_freep(struct disk_ram **disk)
{
	free(*disk);
}

/* Takes fd, also on errors. */
static int ram_new(const struct disk_ram_opts *opts, int fd, struct disk_ram *disk, struct err *err)
{
	int res = blk_dev_init(
		&disk->dev, &ram_ops, opts->name, &opts->uuid, opts->size_bytes, opts->block_size,
		BLK_CAP_DISCARD | BLK_CAP_WRITE_ZEROES | BLK_CAP_LOAN | BLK_CAP_TAKES, err);

	disk->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	if (!res && fd < 0)
		res = ram_size_check(opts, disk->page_bytes, err);
	if (res) {
		if (fd >= 0)
			(void)close(fd);
		return res;
	}
	res = ram_memory_new(opts->name, align_up(opts->size_bytes, disk->page_bytes), fd,
			     opts->workers, &disk->memory, err);
	if (res)
		return res;
	disk->mem = disk->memory->mem;
	for (unsigned i = 0; i < ARRAY_LEN(disk->lanes); i++) {
		disk->lanes[i].disk = disk;
		disk->lanes[i].written.run = lane_written;
		disk->lanes[i].msg.run = lane_run;
		list_init(&disk->lanes[i].waiting);
	}
	return 0;
}

int disk_ram_new(const struct disk_ram_opts *opts, struct blk_dev **ret, struct err *err)
{
	_cleanup_(ram_freep) struct disk_ram *disk = calloc(1, sizeof(*disk));
	int fd = opts->adopt ? opts->fd : -1;
	int res;

	if (!disk) {
		if (fd >= 0)
			(void)close(fd);
		return err_set(err, -ENOMEM, "no memory for a RAM disk");
	}
	res = ram_new(opts, fd, disk, err);
	if (res)
		return res;
	*ret = &TAKE_PTR(disk)->dev;
	return 0;
}
