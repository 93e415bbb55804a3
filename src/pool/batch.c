/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void fill(struct batch *batch);

static void io_done(struct blk_io *io, int res)
{
	struct batch *batch = container_of(io, struct batch_io, io)->batch;

	if (res && !batch->res)
		batch->res = res;
	batch->pending--;
	io->done = NULL;
	fill(batch);
	if (!batch->pending)
		batch->done(batch, batch->res);
}

/* There is one: fewer than BATCH_DEPTH are under way. */
static struct blk_io *free_io(struct batch *batch)
{
	unsigned i = 0;

	while (batch->io[i].io.done)
		i++;
	ASSERT(i < BATCH_DEPTH);
	return &batch->io[i].io;
}

static void fill(struct batch *batch)
{
	while (!batch->res && batch->next < batch->n && batch->pending < BATCH_DEPTH) {
		const struct batch_xfer *x = &batch->xfer[batch->next++];
		struct blk_io *io = free_io(batch);

		io->op = batch->op;
		io->flags = batch->flags;
		io->offset = x->offset;
		io->length = x->length;
		io->buf = x->buf;
		io->loan = NULL;
		io->done = io_done;
		container_of(io, struct batch_io, io)->batch = batch;
		batch->pending++;
		blk_submit(batch->dev, io);
	}
}

static void nothing(struct task *task)
{
	struct batch *batch = container_of(task, struct batch, task);

	batch->done(batch, 0);
}

void batch_run(struct batch *batch, struct blk_dev *dev, enum blk_op op, unsigned flags,
	       const struct batch_xfer *xfer, unsigned n,
	       void (*done)(struct batch *batch, int res))
{
	memset(batch, 0, sizeof(*batch));
	batch->done = done;
	batch->dev = dev;
	batch->op = op;
	batch->flags = flags;
	batch->xfer = xfer;
	batch->n = n;
	if (n) {
		fill(batch);
	} else {
		batch->task.run = nothing;
		reactor_defer(reactor_current(), &batch->task);
	}
}

static const struct batch_xfer no_data;

void batch_flush(struct batch *batch, struct blk_dev *dev,
		 void (*done)(struct batch *batch, int res))
{
	batch_run(batch, dev, BLK_FLUSH, 0, &no_data, 1, done);
}

void *batch_buffer(size_t len)
{
	return aligned_alloc(4096, len);
}

void *batch_alloc(size_t len)
{
	void *p = batch_buffer(len);

	if (p)
		memset(p, 0, len);
	return p;
}
