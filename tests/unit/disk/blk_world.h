/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of block devices: a simulated world with a few reactors, and I/O on one of them as a plain call. */
#ifndef LITEPOOL_TESTS_UNIT_DISK_BLK_WORLD_H
#define LITEPOOL_TESTS_UNIT_DISK_BLK_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "blk/blk.h"
#include "sim/env_sim.h"

#define WORLD_REACTORS 3
#define WORLD_DEADLINE (60 * NSEC_PER_SEC)
#define WORLD_BUF      (1u << 20)

struct blk_world {
	struct sim_world *sim;
	struct reactor *r[WORLD_REACTORS];
	uint8_t *buf; /* WORLD_BUF bytes, aligned */
};

struct world_io { /* one request, submitted by a message */
	struct blk_io io;
	struct msg msg;
	struct blk_dev *dev;
	struct reactor *r;
	bool submitting, done;
	unsigned n_done;
	int result;
	uint64_t done_ns;
};

static inline void blk_world_init(struct blk_world *w, uint64_t seed)
{
	struct sim_opts opts = sim_opts_default(seed);

	w->sim = sim_world_new(&opts);
	for (unsigned i = 0; i < WORLD_REACTORS; i++)
		w->r[i] = sim_reactor_new(w->sim, i, "test");
	w->buf = aligned_alloc(4096, WORLD_BUF);
	memset(w->buf, 0xa5, WORLD_BUF);
}

static inline void blk_world_fini(struct blk_world *w)
{
	sim_run_for(w->sim, NSEC_PER_MSEC); /* messages that are still under way */
	for (unsigned i = 0; i < WORLD_REACTORS; i++)
		sim_reactor_free(w->sim, w->r[i]);
	sim_world_free(w->sim);
	free(w->buf);
}

static inline void world_io_done(struct blk_io *io, int res)
{
	struct world_io *wio = container_of(io, struct world_io, io);

	assert_false(wio->submitting);
	assert_ptr_equal(reactor_current(), wio->r);
	wio->n_done++;
	wio->result = res;
	wio->done = true;
	wio->done_ns = reactor_now_exact(wio->r);
}

static inline void world_io_submit(struct msg *msg)
{
	struct world_io *wio = container_of(msg, struct world_io, msg);

	wio->submitting = true;
	blk_submit(wio->dev, &wio->io);
	wio->submitting = false;
}

static inline void world_io_start(struct world_io *wio, struct reactor *r, struct blk_dev *dev)
{
	wio->dev = dev;
	wio->r = r;
	wio->done = false;
	wio->io.done = world_io_done;
	wio->msg.run = world_io_submit;
	reactor_post(r, &wio->msg);
}

static inline bool world_io_is_done(void *arg)
{
	return ((struct world_io *)arg)->done;
}

/* The result of one request on reactor i. */
static inline int world_io_run(struct blk_world *w, unsigned i, struct blk_dev *dev,
			       struct world_io *wio)
{
	world_io_start(wio, w->r[i], dev);
	assert_true(sim_run_until(w->sim, world_io_is_done, wio, WORLD_DEADLINE));
	assert_int_equal(wio->n_done, 1);
	return wio->result;
}

/* The same for one operation with w->buf. */
static inline int world_op(struct blk_world *w, struct blk_dev *dev, enum blk_op op, unsigned flags,
			   uint64_t offset, uint64_t length)
{
	struct world_io wio = {.io = {.op = op,
				      .flags = flags,
				      .offset = offset,
				      .length = length,
				      .buf = op == BLK_READ || op == BLK_WRITE ? w->buf : NULL}};

	return world_io_run(w, 0, dev, &wio);
}

/* Whether length bytes at offset all read as value. */
static inline bool world_reads(struct blk_world *w, struct blk_dev *dev, uint64_t offset,
			       uint64_t length, uint8_t value)
{
	memset(w->buf, ~value, length);
	assert_int_equal(world_op(w, dev, BLK_READ, 0, offset, length), 0);
	for (uint64_t i = 0; i < length; i++)
		if (w->buf[i] != value)
			return false;
	return true;
}

static inline void world_fill(struct blk_world *w, struct blk_dev *dev, uint64_t offset,
			      uint64_t length, uint8_t value)
{
	memset(w->buf, value, length);
	assert_int_equal(world_op(w, dev, BLK_WRITE, 0, offset, length), 0);
}

#endif
