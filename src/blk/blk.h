/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one block request and the one block device of the engine. NVMe namespaces submit to it;
 * disks, and later volumes, implement it; layers (fault) stand on another device. blk_submit()
 * checks every caller and blk_complete() every driver.
 *
 * Threads: created, resized and destroyed by the control thread; submit on any reactor, completion
 * on the same reactor.
 */
#ifndef LITEPOOL_BLK_BLK_H
#define LITEPOOL_BLK_BLK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/hist.h"
#include "base/uuid.h"
#include "rt/file.h"
#include "rt/reactor.h"

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES, BLK_OPS };
extern const char *const blk_op_name[BLK_OPS];

#define BLK_FUA        1u /* write, write zeroes: durable when done */
#define BLK_KEEP_ALLOC 2u /* write zeroes: keep the space allocated */
#define BLK_LOAN_OK    4u /* read: the caller can take the data where it lies, see loan */

struct blk_dev;

struct blk_io {
	enum blk_op op;
	unsigned flags;
	/* Bytes, multiples of the device's block size; flush: 0, 0. From submit to done the offset is the driver's: blk_forward() changes it meanwhile. */
	uint64_t offset, length;
	void *buf; /* read and write: length bytes, 4 KiB aligned (may be NULL for a read with
		      BLK_LOAN_OK on a device whose caps have BLK_CAP_LOAN; any for a write
		      to a device with BLK_CAP_TAKES) */
	/*
	 * With BLK_LOAN_OK a device with BLK_CAP_LOAN does not fill buf but says here where the
	 * data lies; it may be read until the caller's pass ends or until a later write to the same
	 * blocks. NULL: buf was filled.
	 */
	const void *loan;
	/*
	 * res: 0 or a negative errno: -EIO medium or device, -ENOSPC no space in a thin pool,
	 * -EROFS, -EILSEQ wrong checksum, -EOPNOTSUPP, -ETIMEDOUT, -ENODEV gone, -ECANCELED. Runs
	 * on the submitting reactor, never inside blk_submit().
	 */
	void (*done)(struct blk_io *io, int res);

	/* blk's and the driver's own from submit to done. */
	struct blk_dev *dev;
	/* While a layer has passed it on (blk_forward()): the layer, what offset was there, and what the layer wants to know at the end. */
	struct blk_dev *layer;
	uint64_t layer_offset;
	unsigned layer_tag;
	struct reactor *reactor;
	uint64_t start_ns;
	int result;
	struct task task;
	struct file_io file;
	void *drv;
};

enum {
	BLK_CAP_DISCARD = 1,
	BLK_CAP_WRITE_ZEROES = 2,
	BLK_CAP_LOAN = 4,
	BLK_CAP_READ_ONLY = 8,
	BLK_CAP_VOLATILE_CACHE = 16, /* a completed write is durable only after a flush */
	/* What is to be written may lie anywhere, and is the caller's again when blk_submit() returns. */
	BLK_CAP_TAKES = 32,
};

struct blk_ops {
	const char *product; /* "Malloc disk": SPDK's product_name */
	void (*submit)(struct blk_dev *dev, struct blk_io *io);
	/* What submit() passed on by blk_forward() has ended (io->result) and is about to be done. Only
	 * of layers that forward. */
	void (*forwarded)(struct blk_dev *dev, struct blk_io *io);
	/* Looks at the backing again and sets size_bytes. 0 with the new size, or negative errno.
	 * Optional. Blocking. */
	int (*rescan)(struct blk_dev *dev, uint64_t *ret_size_bytes, struct err *err);
	/* driver_specific of bdev_get_bdevs: a new object. Optional. */
	json_t *(*describe)(const struct blk_dev *dev);
	/* Frees dev. No I/O is under way. Blocking. */
	void (*destroy)(struct blk_dev *dev);
};

struct blk_stats { /* one writer: the reactor */
	counter ops[BLK_OPS], bytes[BLK_OPS], errors[BLK_OPS];
	struct hist latency[BLK_OPS];
	_Atomic int64_t inflight; /* submitted and not ended yet */
};

#define BLK_NAME_MAX 128

/* A driver embeds it first in its own struct and fills it by blk_dev_init(). */
struct blk_dev {
	const struct blk_ops *ops;
	char name[BLK_NAME_MAX];
	struct uuid uuid;
	_Atomic uint64_t size_bytes; /* grows live */
	uint32_t block_size;         /* 512 or 4096 */
	uint32_t phys_block_size;
	unsigned caps;
	unsigned claims; /* users (namespaces, layers); control thread; destroy is refused while > 0
			  */
	const char *claimed_by; /* for the message; literal of the last claimer */
	/* Made at first use by the reactor itself; NULL: none yet. Atomic: other threads sum them
	 * up. */
	struct blk_stats *_Atomic stats[REACTORS_MAX + 1];
};

/* name must be non-empty, short enough, and of printable ASCII without blanks. */
int blk_dev_init(struct blk_dev *dev, const struct blk_ops *ops, const char *name,
		 const struct uuid *uuid, uint64_t size_bytes, uint32_t block_size, unsigned caps,
		 struct err *err);
/* Frees what blk_dev_init() and the I/O made; called by the driver's destroy. No I/O is under way.
 */
void blk_dev_fini(struct blk_dev *dev);

/*
 * On the current reactor. Range, alignment and op are checked: what the device cannot do completes
 * with -EINVAL or -EOPNOTSUPP; an unset done is a bug (ASSERT).
 */
void blk_submit(struct blk_dev *dev, struct blk_io *io);
/* For drivers: ends io with result, as a task of its reactor unless already outside of submit. May
 * be called inside ops->submit(). */
void blk_complete(struct blk_io *io, int result);

/*
 * For layers, inside ops->submit(): all of io goes on to the device below, at that offset, as it is. Both devices count it; a second request, a second look at the
 * clock and a second completion are spared. At the end ops->forwarded(), then done(). One layer can do it for a request: what is below makes requests of its own.
 */
void blk_forward(struct blk_io *io, struct blk_dev *below, uint64_t offset);

/* Sums over the reactors; any thread. out holds one blk_stats. */
void blk_stats_sum(const struct blk_dev *dev, struct blk_stats *out);

#endif
