/* SPDX-License-Identifier: Apache-2.0 */
/* I/O on volumes and snapshots, on both data reactors. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "crash/crash.h"

static uint64_t below(struct run *run, uint64_t n)
{
	return rng_below(&run->rng, n);
}

/* ---- devices ---- */

void work_devices(struct run *run)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		struct object *o = &run->m.object[i];
		struct volume *v;
		char name[32];

		if (o->state != OBJECT_LIVE || o->dev || o->quiet || !run->set)
			continue;
		v = volume_find_uuid(run->set, &o->uuid);
		if (!v) {
			run_fail(run, "%s has no struct volume", o->now.name);
			run->broken = true;
			return;
		}
		snprintf(name, sizeof(name), "p/%s", o->now.name);
		if (volume_dev_new(v, name, &o->dev, NULL))
			UNREACHABLE();
	}
}

void work_close_device(struct object *o)
{
	if (o->dev)
		o->dev->ops->destroy(o->dev);
	o->dev = NULL;
}

/* ---- the end of an I/O ---- */

static void trace(const struct run *run, const struct run_io *x, const char *what, int res)
{
	if (run->opts.trace)
		fprintf(stderr,
			"%10" PRIu64 " %-6s %s %s sectors %" PRIu64 "..%" PRIu64
			" value %u fua %u res %d\n",
			sim_now(run->sim), what, blk_op_name[x->io.op], x->object->now.name,
			x->first, x->end, x->value, x->io.flags, res);
}

static bool expected(const struct run *run, int res)
{
	return res == 0 || res == -ENOSPC || run->dead || run->faulty;
}

static void io_done(struct blk_io *io, int res)
{
	struct run_io *x = container_of(io, struct run_io, io);
	struct run *run = x->run;
	struct object *o = x->object;
	const char *wrong = NULL;

	trace(run, x, "end", res);
	x->busy = false;
	run->busy--;
	o->inflight--;
	if (!expected(run, res)) {
		run_fail(run, "%s of %s failed: %d", blk_op_name[io->op], o->now.name, res);
		run->broken = true;
	}
	if (io->op == BLK_READ && !res && !run->disk->flush_lost)
		wrong = model_check_read(&run->m, o, x->first, x->end, x->buf, x->covered);
	if (wrong) {
		run_fail(run, "a read of %s (sectors %" PRIu64 "..%" PRIu64 ") gave %s",
			 o->now.name, x->first, x->end, wrong);
		run->broken = true;
	}
	if (run->dead && !res) /* the disk had done it, and nobody is there to answer */
		res = -EIO;
	if (io->op == BLK_FLUSH && !res)
		model_flush_end(o, x->covered);
	if (io->op != BLK_READ && io->op != BLK_FLUSH)
		model_write_end(&run->m, o, x->first, x->end, x->value, !res, io->flags & BLK_FUA);
	cut_answer(run);
}

/* ---- the beginning ---- */

static void io_arrives(struct msg *msg)
{
	struct run_io *x = container_of(msg, struct run_io, msg);

	blk_submit(x->dev, &x->io);
}

static void io_go(struct run *run, struct run_io *x, struct object *o)
{
	bool moves = x->io.op == BLK_READ || x->io.op == BLK_WRITE;

	x->run = run;
	x->object = o;
	x->dev = o->dev;
	x->busy = true;
	x->io.buf = moves ? x->buf : NULL;
	x->io.offset = x->first * DISK_SECTOR;
	x->io.length = (x->end - x->first) * DISK_SECTOR;
	x->io.done = io_done;
	x->msg.run = io_arrives;
	run->busy++;
	run->ios++;
	o->inflight++;
	trace(run, x, "begin", 0);
	reactor_post(run->r[1 + below(run, 2)], &x->msg);
}

static void go_flush(struct run *run, struct run_io *x, struct object *o)
{
	x->io.op = BLK_FLUSH;
	x->io.flags = 0;
	x->first = x->end = 0;
	model_flush_begin(o, x->covered);
	io_go(run, x, o);
}

/* Somewhere in a window, within the volume. False: too small. */
static bool choose_range(struct run *run, struct run_io *x, const struct object *o)
{
	unsigned grain = o->dev->block_size / DISK_SECTOR;
	uint64_t size = o->now.size / DISK_SECTOR;
	uint64_t window = cell_sector((unsigned)below(run, WINDOWS) * WIN_SECTORS);
	unsigned blocks = WIN_SECTORS / grain, at, n;

	if (window >= size)
		window = 0;
	at = (unsigned)below(run, blocks);
	n = below(run, 8) ? 1 + (unsigned)below(run, below(run, 3) ? 8 : 64) : blocks;
	x->first = window + (uint64_t)at * grain;
	x->end = MIN(x->first + (uint64_t)n * grain, window + WIN_SECTORS);
	x->end = MIN(x->end, size / grain * grain);
	return x->first < x->end;
}

/* Zeros reach beyond the windows: whole clusters too. */
static void widen(struct run *run, struct run_io *x, const struct object *o)
{
	uint64_t cluster = LAYOUT_CLUSTER / DISK_SECTOR;
	uint64_t size = o->now.size / o->dev->block_size * o->dev->block_size / DISK_SECTOR;

	if (below(run, 2))
		return;
	x->first = x->first / cluster * cluster;
	x->end = MIN((x->end + cluster - 1) / cluster * cluster, size);
}

static enum blk_op choose_op(struct run *run, const struct object *o)
{
	uint64_t n = below(run, 100);

	if (!o->snapshot && below(run, 100) < run->weights.clusters)
		return BLK_DISCARD;
	if (o->snapshot || n < (run->weights.clusters ? 30 : 15))
		return BLK_READ;
	return n < 38 ? BLK_WRITE_ZEROES : n < 46 ? BLK_DISCARD : n < 58 ? BLK_FLUSH : BLK_WRITE;
}

static void go(struct run *run, struct run_io *x, struct object *o)
{
	x->value = 0;
	x->io.flags = 0;
	x->io.op = choose_op(run, o);
	if (x->io.op == BLK_FLUSH || !choose_range(run, x, o)) {
		go_flush(run, x, o);
		return;
	}
	if (x->io.op == BLK_READ) {
		run->reads++;
		model_flush_begin(o, x->covered);
		io_go(run, x, o);
		return;
	}
	if (x->io.op != BLK_WRITE)
		widen(run, x, o);
	if (!model_may_write(&run->m, o, x->first, x->end)) {
		go_flush(run, x, o);
		return;
	}
	if (x->io.op != BLK_DISCARD && !below(run, 6))
		x->io.flags |= BLK_FUA;
	if (x->io.op == BLK_WRITE_ZEROES && !below(run, 3))
		x->io.flags |= BLK_KEEP_ALLOC;
	x->value = model_write_begin(&run->m, o, x->first, x->end, x->io.op != BLK_WRITE);
	if (x->io.op == BLK_WRITE)
		model_fill(o, x->first, x->end, x->value, x->buf);
	io_go(run, x, o);
}

void work_io(struct run *run)
{
	struct object *o = &run->m.object[below(run, OBJECTS_MAX)];
	struct run_io *x = run->io;

	if (!o->dev || o->quiet || o->state != OBJECT_LIVE)
		return;
	while (x < run->io + RUN_IOS && x->busy)
		x++;
	if (x == run->io + RUN_IOS)
		return;
	if (!x->buf)
		x->buf = aligned_alloc(DISK_PAGE, IO_BYTES);
	ASSERT(x->buf);
	go(run, x, o);
}
