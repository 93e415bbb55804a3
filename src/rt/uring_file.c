/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File I/O through the ring.
 *
 * An I/O goes round: queue_io() puts its next piece into the ring, the completion goes to advance(), which either ends it or
 * sends it round again for what is left: the rest of a short transfer, the next way to zero a range, the flush of FUA.
 *
 *   FILE_ZERO:  punch a hole -> ZERO_RANGE -> write zeroes: each is tried only while the file is not known to lack it.
 *               FILE_KEEP_ALLOC leaves out the first. With FILE_FUA, a data sync follows (progress == length).
 *   FILE_DISCARD: punch a hole -> BLKDISCARD on a thread (block devices).
 *
 * Invariants:
 *  1. An io is in exactly one place: the ring (counted in files_live), parked, settled, or with the discard thread.
 *  2. done() runs from poll() alone.
 *  3. While an io is ours the way it took is kept in its flags (METHOD_MASK): another reactor may learn meanwhile
 *     that the file lacks it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "base/bytes.h"
#include "base/check.h"
#include "rt/uring_priv.h"

#define METHOD_SHIFT 24
#define METHOD_MASK  (3u << METHOD_SHIFT)
enum method { METHOD_PUNCH, METHOD_ZERO_RANGE, METHOD_WRITE, METHOD_IOCTL };

/* A transfer is asked for in pieces of at most this many bytes. */
#define PIECE_MAX   GIB
#define ZEROES_SIZE (128 * KIB)

/* Registered buffers have this size, see uring_setup.c. */
#define FIXED_BUF_SHIFT 30

static _Alignas(4096) char zeroes[ZEROES_SIZE];

static enum method method_get(const struct file_io *io)
{
	return (enum method)((io->flags & METHOD_MASK) >> METHOD_SHIFT);
}

static void method_choose(struct ufile *f, struct file_io *io)
{
	unsigned lacks = atomic_load_explicit(&f->lacks, memory_order_relaxed);
	enum method method = METHOD_PUNCH;

	if (io->op == FILE_DISCARD && (lacks & UFILE_LACKS_PUNCH) && f->has_discard_thread)
		method = METHOD_IOCTL;
	if (io->op == FILE_ZERO && ((lacks & UFILE_LACKS_PUNCH) || (io->flags & FILE_KEEP_ALLOC)))
		method = lacks & UFILE_LACKS_ZERO_RANGE ? METHOD_WRITE : METHOD_ZERO_RANGE;
	io->flags = (io->flags & ~METHOD_MASK) | (unsigned)method << METHOD_SHIFT;
}

/* Index of the registered buffer that holds all of [p, p + len), or -1. */
static int fixed_index(const struct uenv *u, const char *p, size_t len)
{
	size_t first, last;

	if (!u->arena_fixed || p < u->arena ||
	    !range_within((size_t)(p - u->arena), len, u->arena_size))
		return -1;
	first = (size_t)(p - u->arena) >> FIXED_BUF_SHIFT;
	last = (size_t)(p - u->arena + len - 1) >> FIXED_BUF_SHIFT;
	return first == last ? (int)first : -1;
}

static void prep_read(struct uenv *u, struct io_uring_sqe *sqe, int fd, struct file_io *io)
{
	unsigned len = (unsigned)MIN(io->length - io->progress, PIECE_MAX);
	char *at = (char *)io->buf + io->progress;
	int fixed = fixed_index(u, at, len);

	if (fixed >= 0)
		io_uring_prep_read_fixed(sqe, fd, at, len, io->offset + io->progress, fixed);
	else
		io_uring_prep_read(sqe, fd, at, len, io->offset + io->progress);
}

static void prep_write(struct uenv *u, struct io_uring_sqe *sqe, int fd, struct file_io *io)
{
	unsigned len = (unsigned)MIN(io->length - io->progress, PIECE_MAX);
	char *at = (char *)io->buf + io->progress;
	int fixed = fixed_index(u, at, len);

	if (fixed >= 0)
		io_uring_prep_write_fixed(sqe, fd, at, len, io->offset + io->progress, fixed);
	else
		io_uring_prep_write(sqe, fd, at, len, io->offset + io->progress);
	if (io->flags & FILE_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void prep_zero(struct io_uring_sqe *sqe, int fd, struct file_io *io)
{
	uint64_t left = io->length - io->progress;

	if (!left)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else if (method_get(io) == METHOD_WRITE)
		io_uring_prep_write(sqe, fd, zeroes, (unsigned)MIN(left, ZEROES_SIZE),
				    io->offset + io->progress);
	else
		io_uring_prep_fallocate(sqe, fd,
					FALLOC_FL_KEEP_SIZE | (method_get(io) == METHOD_PUNCH
								       ? FALLOC_FL_PUNCH_HOLE
								       : FALLOC_FL_ZERO_RANGE),
					(off_t)io->offset, (off_t)io->length);
}

static void prep(struct uenv *u, struct io_uring_sqe *sqe, int fd, struct file_io *io)
{
	switch (io->op) {
	case FILE_READ:
		prep_read(u, sqe, fd, io);
		return;
	case FILE_WRITE:
		prep_write(u, sqe, fd, io);
		return;
	case FILE_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		return;
	case FILE_DISCARD:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)io->offset, (off_t)io->length);
		return;
	case FILE_ZERO:
		prep_zero(sqe, fd, io);
		return;
	default:
		UNREACHABLE();
	}
}

static bool queue_io(struct uenv *u, struct file_io *io)
{
	struct ufile *f = (struct ufile *)io->file;
	struct io_uring_sqe *sqe;
	int slot;

	if (io->progress == 0 && (io->op == FILE_DISCARD || io->op == FILE_ZERO))
		method_choose(f, io);
	if (method_get(io) == METHOD_IOCTL) {
		udiscard_submit(u, io);
		return true;
	}
	slot = ufile_slot(u, f);
	sqe = uring_sqe(u);
	if (!sqe)
		return false;
	prep(u, sqe, slot >= 0 ? slot : f->fd, io);
	if (slot >= 0)
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, user_data(io, TAG_FILE));
	u->files_live++;
	return true;
}

static void settle(struct uenv *u, struct file_io *io, int res)
{
	io->progress = (uint64_t)(int64_t)res;
	list_push_back(&u->settled, &io->link);
}

static int check_io(const struct ufile *f, const struct file_io *io)
{
	uint64_t size = atomic_load_explicit(&f->size_bytes, memory_order_relaxed);

	if (io->op == FILE_SYNC)
		return 0;
	if (io->op != FILE_READ && f->base.read_only)
		return -EROFS;
	return range_within(io->offset, io->length, size) ? 0 : -EIO;
}

void ufile_submit(struct env *env, struct file *base, struct file_io *io)
{
	struct ufile *f = (struct ufile *)base;
	struct uenv *u = uenv_of(env);
	int rc = check_io(f, io);

	ASSERT(!(io->flags & METHOD_MASK));
	if (rc < 0 || (!io->length && io->op != FILE_SYNC))
		settle(u, io, rc);
	else if (!u->up || u->files_live >= CQ_FILE_BUDGET || !list_empty(&u->parked) ||
		 !queue_io(u, io))
		list_push_back(&u->parked, &io->link);
}

bool ufile_queue_parked(struct uenv *u)
{
	while (!list_empty(&u->parked) && u->files_live < CQ_FILE_BUDGET) {
		struct file_io *io = list_first(&u->parked, struct file_io, link);

		list_remove(&io->link);
		if (queue_io(u, io))
			continue;
		list_push_front(&u->parked, &io->link);
		return false;
	}
	return true;
}

/* Counts a transfer of res bytes. True: the io ended, with *ret. */
static bool transferred(struct file_io *io, int res, int *ret)
{
	*ret = 0;
	if (res <= 0) {
		/* Nothing moved though there is more to do: the file ends here. */
		*ret = res < 0 ? res : -EIO;
		return true;
	}
	io->progress += (uint64_t)res;
	ASSERT(io->progress <= io->length);
	return io->progress == io->length;
}

/* Whether res says that the file lacks the way that io took, and another is left. */
static bool lacks_method(struct ufile *f, const struct file_io *io, int res)
{
	enum method method = method_get(io);

	if (res != -EOPNOTSUPP)
		return false;
	if (method == METHOD_PUNCH)
		atomic_fetch_or(&f->lacks, UFILE_LACKS_PUNCH);
	if (method == METHOD_ZERO_RANGE)
		atomic_fetch_or(&f->lacks, UFILE_LACKS_ZERO_RANGE);
	if (io->op == FILE_DISCARD)
		return method == METHOD_PUNCH && f->has_discard_thread;
	return method == METHOD_PUNCH || method == METHOD_ZERO_RANGE;
}

static bool zeroed(struct ufile *f, struct file_io *io, int res, int *ret)
{
	*ret = res;
	if (io->progress == io->length) /* that was the sync of FUA */
		return true;
	if (method_get(io) == METHOD_WRITE) {
		if (!transferred(io, res, ret))
			return false;
	} else {
		if (lacks_method(f, io, res))
			return false;
		if (res == 0)
			io->progress = io->length;
	}
	return *ret < 0 || !(io->flags & FILE_FUA);
}

/* The io after a completion. True: it ended, with *ret; false: it goes round again. */
static bool advance(struct ufile *f, struct file_io *io, int res, int *ret)
{
	if (res == -EINTR || res == -EAGAIN)
		return false;
	switch (io->op) {
	case FILE_READ:
	case FILE_WRITE:
		return transferred(io, res, ret);
	case FILE_SYNC:
		*ret = res;
		return true;
	case FILE_DISCARD:
		*ret = res;
		return !lacks_method(f, io, res);
	case FILE_ZERO:
		return zeroed(f, io, res, ret);
	default:
		UNREACHABLE();
	}
}

static void complete(struct file_io *io, int res)
{
	io->flags &= ~METHOD_MASK;
	file_done(io, res);
}

void ufile_cqe(struct uenv *u, struct file_io *io, int res)
{
	int ret;

	ASSERT(u->files_live > 0);
	u->files_live--;
	counter_add(&u->files_done, 1);
	if (advance((struct ufile *)io->file, io, res, &ret))
		complete(io, ret);
	else
		list_push_back(&u->parked, &io->link);
}

static void take_ioctls(struct uenv *u)
{
	if (!atomic_load_explicit(&u->ioctl_ready, memory_order_acquire))
		return;
	(void)pthread_mutex_lock(&u->ioctl_lock);
	atomic_store(&u->ioctl_ready, false);
	list_for_each (it, &u->ioctl_done)
		u->ioctls_live--;
	list_splice_back(&u->settled, &u->ioctl_done);
	(void)pthread_mutex_unlock(&u->ioctl_lock);
}

unsigned ufile_deliver(struct uenv *u)
{
	struct list batch, *node;
	unsigned n = 0;

	take_ioctls(u);
	list_init(&batch);
	list_splice_back(&batch, &u->settled);
	while ((node = list_pop_front(&batch))) {
		struct file_io *io = list_entry(node, struct file_io, link);

		complete(io, (int)(int64_t)io->progress);
		n++;
	}
	return n;
}
