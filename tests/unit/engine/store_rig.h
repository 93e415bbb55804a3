/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines in one simulated world, of which the next takes over the pools and disks of the old: for test-store-handover.c alone. */
#ifndef LITEPOOL_TESTS_STORE_RIG_H
#define LITEPOOL_TESTS_STORE_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/disk.h"
#include "engine/engine.h"
#include "engine/store_handover.h"
#include "unit/disk/blk_world.h"

#define ENGINE_REACTORS 3 /* control, pools, one of data */
#define DISK_BYTES      (64 * MIB)
#define FILE_DISK       "file0"
#define RAM_DISK        "ram0"

struct side { /* an engine */
	struct engine *e;
	struct reactor *r[ENGINE_REACTORS];
	struct msg msg;
	void (*call)(struct side *s);
	const void *arg;
	bool done, ready, broken, closed;
	int res, broken_res;
	json_t *state;
	struct err err, broken_err;
	struct pool_env env;
};

static struct sim_world *sim;
static struct side old, next;
static uint8_t *buf;
static bool make_sums; /* pools are made with sums of their data */

/* ---- calls ---- */

static void arrives(struct msg *msg)
{
	struct side *s = container_of(msg, struct side, msg);

	s->call(s);
}

static bool is_done(void *ctx)
{
	return ((struct side *)ctx)->done;
}

static void call_begin(struct side *s, unsigned reactor, void (*call)(struct side *s))
{
	s->done = false;
	s->err = (struct err){0};
	s->call = call;
	s->msg.run = arrives;
	reactor_post(s->r[reactor], &s->msg);
}

static int call_end(struct side *s)
{
	assert_true(sim_run_until(sim, is_done, s, WORLD_DEADLINE));
	return s->res;
}

/* On the control reactor, 0, or that of pools, 1. */
static int call_on(struct side *s, unsigned reactor, void (*call)(struct side *s))
{
	call_begin(s, reactor, call);
	return call_end(s);
}

static void on_done(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct side *s = ctx;

	assert_false(s->done);
	s->done = true;
	s->res = res;
	if (err)
		s->err = *err;
	json_decref(s->state);
	s->state = json_deep_copy(state);
}

static void on_ready(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct side *s = ctx;

	assert_false(s->ready);
	assert_int_equal(res, 0);
	s->ready = true;
}

static void on_broken(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct side *s = ctx;

	assert_false(s->broken);
	s->broken = true;
	s->broken_err = *err;
}

static void on_pool(void *ctx, int res, const struct err *err)
{
	on_done(ctx, res, NULL, err);
}

static void do_hold(struct side *s)
{
	store_hold(s->e, on_done, on_broken, s);
}

static void do_freeze(struct side *s)
{
	store_freeze(s->e, on_done, s);
}

static void do_follow(struct side *s)
{
	store_follow(s->e, s->arg, on_done, s);
}

static void do_take_over(struct side *s)
{
	store_take_over(s->e, on_ready, on_done, s);
}

static void now(struct side *s, int res)
{
	on_done(s, res, NULL, res ? &s->err : NULL);
}

static void too_late(void *ctx, int res, const json_t *state, const struct err *err)
{
}

static void do_freeze_and_forget(struct side *s)
{
	store_freeze(s->e, too_late, s);
	now(s, 0);
}

static void do_unhold(struct side *s)
{
	store_unhold(s->e);
	now(s, 0);
}

static void do_thaw(struct side *s)
{
	store_thaw(s->e);
	now(s, 0);
}

static void do_retire(struct side *s)
{
	store_retire(s->e);
	now(s, 0);
}

/* ---- engines ---- */

static void side_init(struct side *s, unsigned first)
{
	memset(s, 0, sizeof(*s));
	s->e = calloc(1, sizeof(*s->e));
	assert_non_null(s->e);
	for (unsigned i = 0; i < ENGINE_REACTORS; i++)
		s->r[i] = sim_reactor_new(sim, first + i, "engine");
	s->e->control = s->r[0];
	s->e->pools = s->r[1];
	s->e->data[0] = s->r[2];
	s->e->n_data = 1;
	bdev_registry_init(&s->e->bdevs);
	config_problems_init(&s->e->problems);
	store_init(s->e);
	memset(&s->e->store.memory.boot, 0,
	       sizeof(struct uuid)); /* without notes: tests/crash has them */
}

static void all_closed(struct engine *e)
{
	struct side *s = e == old.e ? &old : &next;

	now(s, 0);
}

static void do_close(struct side *s)
{
	store_close_all(s->e, all_closed);
}

static void side_fini(struct side *s)
{
	(void)call_on(s, 0, do_close);
	sim_run_for(sim, NSEC_PER_MSEC);
	bdev_remove_all(&s->e->bdevs);
	store_fini(s->e);
	json_decref(s->state);
	free(s->e);
}

static void world_begin(void)
{
	struct sim_opts opts = sim_opts_default(1);

	sim = sim_world_new(&opts);
	buf = aligned_alloc(4096, MIB);
	sim_file_create(sim, "sim:/" FILE_DISK, DISK_BYTES, 512);
	side_init(&old, 0);
	side_init(&next, ENGINE_REACTORS);
}

static void world_end(void)
{
	side_fini(&next);
	side_fini(&old);
	sim_run_for(sim, NSEC_PER_MSEC);
	for (unsigned i = 0; i < ENGINE_REACTORS; i++) {
		sim_reactor_free(sim, old.r[i]);
		sim_reactor_free(sim, next.r[i]);
	}
	sim_world_free(sim);
	free(buf);
}

/* ---- disks and pools ---- */

static struct bdev *add_bdev(struct side *s, struct blk_dev *dev)
{
	struct bdev *bdev;

	assert_int_equal(bdev_add(&s->e->bdevs, dev, "bdev_aio_create", NULL, &bdev, NULL), 0);
	return bdev;
}

/* As the methods of the same name do. */
static struct bdev *add_file(struct side *s)
{
	struct disk_file_opts opts = {.name = FILE_DISK,
				      .path = "sim:/" FILE_DISK,
				      .fd = store_disk_take(s->e, FILE_DISK)};
	struct blk_dev *dev;

	opts.adopt = opts.fd >= 0;
	assert_int_equal(disk_file_new(reactor_env(s->r[0]), &opts, &dev, NULL), 0);
	return add_bdev(s, dev);
}

static struct bdev *add_ram(struct side *s)
{
	struct disk_ram_opts opts = {.name = RAM_DISK,
				     .uuid = {{1}},
				     .size_bytes = DISK_BYTES,
				     .block_size = 512,
				     .fd = store_disk_take(s->e, RAM_DISK)};
	struct blk_dev *dev;

	opts.adopt = opts.fd >= 0;
	assert_int_equal(disk_ram_new(&opts, &dev, NULL), 0);
	return add_bdev(s, dev);
}

static void do_create(struct side *s)
{
	const struct bdev *bdev = s->arg;
	struct pool_create_opts opts = {
		.name = strcmp(bdev->dev->name, RAM_DISK) == 0 ? "pr" : "pf", .sums = make_sums};

	pool_create(store_env(s->e), bdev->dev, &opts, on_pool, s);
}

static void do_open(struct side *s)
{
	struct bdev *bdev = bdev_find(&s->e->bdevs, s->arg);

	store_open(s->e, bdev, &(struct store_open_opts){0}, on_pool, s);
}

static int open_on(struct side *s, const char *name)
{
	s->arg = name;
	return call_on(s, 0, do_open);
}

static void make_pool(struct bdev *bdev)
{
	old.arg = bdev;
	assert_int_equal(call_on(&old, 1, do_create), 0);
	assert_int_equal(open_on(&old, bdev->dev->name), 0);
}

static void volume_run(struct store_job *job)
{
	struct volume_create_opts opts = {.name = "db", .size_bytes = 32 * MIB};

	volume_create(job->sp->set, &opts, store_volume_done, job);
}

static void volume_finish(struct store_job *job)
{
	struct side *s = job->e == old.e ? &old : &next;

	s->err = job->err;
	now(s, job->err.code);
}

static void do_volume(struct side *s)
{
	struct store_pool *sp = store_find(s->e, s->arg, NULL, NULL);
	struct store_job *job = store_job_new(s->e, sizeof(*job), sp, NULL, NULL);

	job->run = volume_run;
	job->finish = volume_finish;
	store_job_start(job);
}

static void make_volume(struct side *s, const char *pool)
{
	s->arg = pool;
	assert_int_equal(call_on(s, 0, do_volume), 0);
}

static int io(struct side *s, const char *name, enum blk_op op, uint64_t offset, uint64_t length)
{
	struct world_io wio = {.io = {.op = op, .offset = offset, .length = length, .buf = buf}};

	world_io_start(&wio, s->r[2], bdev_find(&s->e->bdevs, name)->dev);
	assert_true(sim_run_until(sim, world_io_is_done, &wio, WORLD_DEADLINE));
	return wio.result;
}

static void fill(struct side *s, const char *name, uint64_t offset, uint8_t value)
{
	memset(buf, value, 8192);
	assert_int_equal(io(s, name, BLK_WRITE, offset, 8192), 0);
}

static void reads(struct side *s, const char *name, uint64_t offset, uint8_t value)
{
	memset(buf, ~value, 8192);
	assert_int_equal(io(s, name, BLK_READ, offset, 8192), 0);
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(buf[i], value);
}

/* ---- steps of both ---- */

static void old_begin(void)
{
	world_begin();
	make_pool(add_file(&old));
	make_pool(add_ram(&old));
	make_volume(&old, "pf");
	make_volume(&old, "pr");
	fill(&old, "pf/db", 0, 1);
	fill(&old, "pr/db", MIB, 2);
}

/* The message between the processes: the kernel makes copies, numbers of the simulated world stay. */
static int copy_fd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? dup(fd) : fd;
}

static void pass_disks(void)
{
	int fds[8];
	unsigned n;
	json_t *disks;

	assert_int_equal(store_disks(old.e, fds, 1, &n, &disks, &old.err), -ENOSPC);
	assert_int_equal(store_disks(old.e, fds, 8, &n, &disks, &old.err), 0);
	assert_int_equal(n, 2);
	for (unsigned i = 0; i < n; i++)
		fds[i] = copy_fd(fds[i]);
	assert_int_equal(store_disks_adopt(next.e, disks, fds, n, &next.err), 0);
	json_decref(disks);
}

/* Held, and the next engine has everything but the end. */
static void warm(void)
{
	assert_int_equal(call_on(&old, 0, do_hold), 0);
	assert_int_equal(store_successor(next.e, old.state, &next.err), 0);
	pass_disks();
	(void)add_file(&next);
	(void)add_ram(&next);
	assert_int_equal(store_disks_left(next.e), 0);
	assert_int_equal(open_on(&next, FILE_DISK),
			 0); /* the other one is opened by store_follow() */
	assert_true(store_is_successor(next.e));
	next.arg = NULL;
	assert_int_equal(call_on(&next, 0, do_follow), 0);
	assert_non_null(bdev_find(&next.e->bdevs, "pr/db"));
}

/* The records of the state. cut: bytes that the last sums lack. How many records. */
static unsigned pass_saved(uint32_t cut)
{
	struct tlv_writer w;
	struct tlv_reader r;
	struct tlv rec;
	unsigned n = 0;

	tlv_writer_init(&w);
	store_save(old.e, &w);
	assert_int_equal(w.error, 0);
	tlv_reader_init(&r, w.buf, w.len);
	for (; tlv_next(&r, &rec) > 0; n++)
		assert_int_equal(store_restore(next.e, &rec, &next.err), 0);
	tlv_writer_fini(&w);
	list_for_each (it, &next.e->store.pools)
		list_entry(it, struct store_pool, link)->saved_bytes -= n ? cut : 0;
	return n;
}

static void hand_over(void)
{
	assert_int_equal(call_on(&old, 0, do_freeze), 0);
	assert_int_equal(pass_saved(0), make_sums ? 2 : 0);
	next.arg = old.state;
	if (call_on(&next, 0, do_follow))
		fail_msg("%s", next.err.text);
	assert_int_equal(call_on(&old, 0, do_retire), 0);
	assert_int_equal(call_on(&next, 0, do_take_over), 0);
	assert_true(next.ready);
	assert_false(store_is_successor(next.e));
}

#endif
