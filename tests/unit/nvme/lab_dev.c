/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's disk: keeps nothing, and holds its I/O while it is told to. */
#include <stdlib.h>
#include <string.h>

#include "lab.h"

static void dev_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct lab_dev *d = container_of(dev, struct lab_dev, dev);

	d->n_flushes += io->op == BLK_FLUSH;
	if (!d->hold) {
		blk_complete(io, 0);
		return;
	}
	assert_true(d->n_held < 64);
	d->held[d->n_held++] = io;
}

static void dev_destroy(struct blk_dev *dev)
{
	blk_dev_fini(dev);
	free(container_of(dev, struct lab_dev, dev));
}

static const struct blk_ops lab_dev_ops = {
	.product = "Lab disk",
	.submit = dev_submit,
	.destroy = dev_destroy,
};

struct lab_dev *lab_dev_new(const char *name, uint32_t block_size, uint64_t size)
{
	struct lab_dev *d = calloc(1, sizeof(*d));
	struct uuid uuid = {{0xa0, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14}};
	struct err err;

	assert_non_null(d);
	uuid.b[15] = (uint8_t)(name[strlen(name) - 1]);
	assert_int_equal(blk_dev_init(&d->dev, &lab_dev_ops, name, &uuid, size, block_size,
				      BLK_CAP_VOLATILE_CACHE | BLK_CAP_WRITE_ZEROES, &err),
			 0);
	return d;
}

struct io_release {
	struct msg msg;
	struct blk_io *io;
};

static void io_release_run(struct msg *msg)
{
	struct io_release *rel = container_of(msg, struct io_release, msg);

	blk_complete(rel->io, 0);
	free(rel);
}

void lab_dev_release(struct lab_dev *d)
{
	d->hold = false;
	while (d->n_held) {
		struct io_release *rel = calloc(1, sizeof(*rel));

		assert_non_null(rel);
		rel->io = d->held[--d->n_held];
		rel->msg.run = io_release_run;
		reactor_post(rel->io->reactor, &rel->msg);
	}
}
