/* SPDX-License-Identifier: Apache-2.0 */
/* Several transfers of metadata as one step of a state machine, on the reactor that runs it. */
#ifndef LITEPOOL_POOL_BATCH_H
#define LITEPOOL_POOL_BATCH_H

#include "blk/blk.h"

#define BATCH_DEPTH 16u /* transfers under way at once */

struct batch_xfer {
	uint64_t offset; /* bytes on the device */
	uint32_t length;
	void *buf; /* 4 KiB aligned; the caller's until done */
};
struct batch;
struct batch_io {
	struct blk_io io;
	struct batch *batch;
};
struct batch {
	void (*done)(struct batch *batch,
		     int res); /* 0 or the first error; never inside batch_run() */
	struct blk_dev *dev;
	enum blk_op op;
	unsigned flags;
	const struct batch_xfer *xfer; /* borrowed until done */
	unsigned n, next, pending;
	int res;
	struct task task;
	struct batch_io io[BATCH_DEPTH];
};

/* All n transfers with op (BLK_READ or BLK_WRITE); after an error none is begun any more. n 0 is fine. */
void batch_run(struct batch *batch, struct blk_dev *dev, enum blk_op op, unsigned flags,
	       const struct batch_xfer *xfer, unsigned n,
	       void (*done)(struct batch *batch, int res));
/* A flush. */
void batch_flush(struct batch *batch, struct blk_dev *dev,
		 void (*done)(struct batch *batch, int res));

/* Memory for transfers, zeroed, 4 KiB aligned; free(). NULL. */
void *batch_alloc(size_t len);
/* Not zeroed: for what a read fills. */
void *batch_buffer(size_t len);

#endif
