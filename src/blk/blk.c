/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checking dispatcher between those who want blocks and those who have them.
 *
 *   blk_submit() --> request_check() --refused--> task --> blk_finish() --> io->done()
 *                        |                         ^
 *                        v                         | inside a submit of this thread
 *                    ops->submit() ... blk_complete()
 *                                                  | outside: at once
 *                                                  v
 *                                              blk_finish() --> io->done()
 *
 * Invariants:
 *   1. A driver sees only requests that it can do: the range lies in the device, offset and length
 *      are whole blocks, the op is within its caps, and a read or write has memory.
 *   2. done() runs exactly once for each blk_submit(), on the submitting reactor, and never inside
 *      a blk_submit(): not the request's own, and not that of another request of the same thread.
 *   3. The statistics of a reactor are written by that reactor alone.
 */
#include "blk/blk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probes.h"
#include "base/str.h"
#include "blk/stats.h"

#define BUF_ALIGN 4096u

const char *const blk_op_name[BLK_OPS] = {
	[BLK_READ] = "read",
	[BLK_WRITE] = "write",
	[BLK_FLUSH] = "flush",
	[BLK_DISCARD] = "discard",
	[BLK_WRITE_ZEROES] = "write_zeroes",
};

/* How many ops->submit() of this thread are on the stack (layers nest). */
static _Thread_local unsigned submit_depth;

static int name_check(const char *name, struct err *err)
{
	size_t len = name ? strlen(name) : 0;

	if (len == 0 || len >= BLK_NAME_MAX)
		return err_set(err, -EINVAL,
			       "the name of a block device must have 1 to %d characters",
			       BLK_NAME_MAX - 1);
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return err_set(err, -EINVAL,
				       "the name of a block device must be printable ASCII without "
				       "blanks (character %zu is not)",
				       i + 1);
	return 0;
}

/* NOLINTNEXTLINE(readability-function-size): what every device has to say of itself */
int blk_dev_init(struct blk_dev *dev, const struct blk_ops *ops, const char *name,
		 const struct uuid *uuid, uint64_t size_bytes, uint32_t block_size, unsigned caps,
		 struct err *err)
{
	int rc = name_check(name, err);

	ASSERT(ops->submit && ops->destroy && ops->product);
	if (rc)
		return rc;
	if (block_size != 512 && block_size != 4096)
		return err_set(err, -EINVAL, "%s: block size %u is not supported; use 512 or 4096",
			       name, block_size);
	if (size_bytes == 0 || size_bytes % block_size || size_bytes > INT64_MAX)
		return err_set(err, -EINVAL,
			       "%s: the size of %" PRIu64
			       " bytes is not a whole number (at least 1) of "
			       "%u-byte blocks; give a multiple of the block size",
			       name, size_bytes, block_size);
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	(void)str_copy(dev->name, sizeof(dev->name), name); /* the length was checked */
	dev->uuid = *uuid;
	atomic_init(&dev->size_bytes, size_bytes);
	dev->block_size = block_size;
	dev->phys_block_size = block_size;
	dev->caps = caps;
	return 0;
}

void blk_dev_fini(struct blk_dev *dev)
{
	for (unsigned i = 0; i < ARRAY_LEN(dev->stats); i++) {
		struct blk_stats *stats = atomic_load(&dev->stats[i]);

		ASSERT(!stats || atomic_load(&stats->inflight) == 0);
		free(stats);
		atomic_store(&dev->stats[i], NULL);
	}
}

static struct blk_stats *stats_of(struct blk_dev *dev, struct reactor *r)
{
	struct blk_stats *stats =
		atomic_load_explicit(&dev->stats[reactor_id(r)], memory_order_relaxed);

	if (__builtin_expect(!stats, 0)) {
		stats = blk_stats_own(dev, r);
		/* Not to be able to count this little at first use is not a reason to fail an I/O,
		 * nor to lie in the numbers. */
		ASSERT(stats);
	}
	return stats;
}

static void inflight_add(struct blk_stats *stats, int64_t n)
{
	int64_t now = atomic_load_explicit(&stats->inflight, memory_order_relaxed) + n;

	ASSERT(now >= 0);
	atomic_store_explicit(&stats->inflight, now, memory_order_relaxed);
}

static int range_check(const struct blk_dev *dev, const struct blk_io *io)
{
	uint64_t size = atomic_load_explicit(&dev->size_bytes, memory_order_acquire);
	uint64_t mask = dev->block_size - 1;

	if (io->length == 0 || io->offset & mask || io->length & mask)
		return -EINVAL;
	return range_within(io->offset, io->length, size) ? 0 : -EINVAL;
}

static int buf_check(const struct blk_dev *dev, const struct blk_io *io)
{
	if (io->buf && io->op == BLK_WRITE && dev->caps & BLK_CAP_TAKES)
		return 0;
	if (io->buf)
		return (uintptr_t)io->buf % BUF_ALIGN ? -EINVAL : 0;
	return io->op == BLK_READ && io->flags & BLK_LOAN_OK && dev->caps & BLK_CAP_LOAN ? 0
											 : -EINVAL;
}

/* 0 when the driver can be asked. */
static int request_check(const struct blk_dev *dev, const struct blk_io *io)
{
	static const struct {
		unsigned flags; /* that make sense */
		unsigned cap;   /* that the device needs */
		bool range, buf, changes;
	} rule[BLK_OPS] = {
		[BLK_READ] = {.flags = BLK_LOAN_OK, .range = true, .buf = true},
		[BLK_WRITE] = {.flags = BLK_FUA, .range = true, .buf = true, .changes = true},
		[BLK_FLUSH] = {.flags = 0},
		[BLK_DISCARD] = {.cap = BLK_CAP_DISCARD, .range = true, .changes = true},
		[BLK_WRITE_ZEROES] = {.flags = BLK_FUA | BLK_KEEP_ALLOC,
				      .cap = BLK_CAP_WRITE_ZEROES,
				      .range = true,
				      .changes = true},
	};
	int rc;

	if ((unsigned)io->op >= BLK_OPS || io->flags & ~rule[io->op].flags)
		return -EINVAL;
	if (rule[io->op].changes && dev->caps & BLK_CAP_READ_ONLY)
		return -EROFS;
	if ((dev->caps & rule[io->op].cap) != rule[io->op].cap)
		return -EOPNOTSUPP;
	if (!rule[io->op].range)
		return io->offset || io->length ? -EINVAL : 0;
	rc = range_check(dev, io);
	if (rc)
		return rc;
	return rule[io->op].buf ? buf_check(dev, io) : 0;
}

static void count_end(const struct blk_io *io, uint64_t took_ns)
{
	struct blk_stats *stats = stats_of(io->dev, io->reactor);

	inflight_add(stats, -1);
	if ((unsigned)io->op >= BLK_OPS)
		return;
	counter_add(&stats->ops[io->op], 1);
	if (io->result)
		counter_add(&stats->errors[io->op], 1);
	else
		counter_add(&stats->bytes[io->op], io->length);
	hist_add(&stats->latency[io->op], took_ns);
}

/* The last that blk does with io: from done() on it may be anything. */
static void blk_finish(struct blk_io *io)
{
	uint64_t now = reactor_now(io->reactor);
	uint64_t took_ns = now > io->start_ns ? now - io->start_ns : 0;

	probe_blk_complete(io, io->op, io->result);
	count_end(io, took_ns);
	if (io->layer) {
		io->dev = io->layer;
		io->offset = io->layer_offset;
		io->layer = NULL;
		io->dev->ops->forwarded(io->dev, io);
		count_end(io, took_ns);
	}
	io->done(io, io->result);
}

static void finish_task(struct task *task)
{
	blk_finish(container_of(task, struct blk_io, task));
}

void blk_complete(struct blk_io *io, int result)
{
	ASSERT(result <= 0);
	ASSERT(reactor_current() == io->reactor);
	io->result = result;
	if (submit_depth == 0) {
		blk_finish(io);
		return;
	}
	ASSERT(!list_linked(&io->task.link));
	reactor_defer(io->reactor, &io->task);
}

static void submit_to(struct blk_dev *dev, struct blk_io *io)
{
	int rc;

	inflight_add(stats_of(dev, io->reactor), 1);
	probe_blk_submit(io, io->op, io->offset, io->length);
	rc = request_check(dev, io);
	if (rc)
		blk_complete(io, rc);
	else
		dev->ops->submit(dev, io);
}

void blk_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct reactor *r = reactor_current();

	ASSERT(r);
	ASSERT(io->done);
	io->dev = dev;
	io->layer = NULL;
	io->reactor = r;
	io->start_ns = reactor_now(r);
	io->loan = NULL;
	io->drv = NULL;
	io->task = (struct task){.run = finish_task};
	submit_depth++;
	submit_to(dev, io);
	submit_depth--;
}

void blk_forward(struct blk_io *io, struct blk_dev *below, uint64_t offset)
{
	ASSERT(submit_depth > 0);
	ASSERT(!io->layer);
	ASSERT(io->dev->ops->forwarded);
	io->layer = io->dev;
	io->layer_offset = io->offset;
	io->dev = below;
	io->offset = offset;
	submit_to(below, io);
}

void blk_stats_sum(const struct blk_dev *dev, struct blk_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < ARRAY_LEN(dev->stats); i++) {
		const struct blk_stats *s =
			atomic_load_explicit(&dev->stats[i], memory_order_acquire);

		if (!s)
			continue;
		blk_stats_merge(out, s);
		inflight_add(out, atomic_load_explicit(&s->inflight, memory_order_relaxed));
	}
}
