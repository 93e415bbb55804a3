/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two volumes of a pool under load from real threads: reads, writes and discards of the same clusters, while snapshots are taken. Every block that was ever
 * written says whose it is: no other content may ever be read.
 */
#include <sched.h>
#include <stdio.h>

#include "disk/disk.h"
#include "layout/note.h"
#include "rt/uring.h"
#include "unit/disk/blk_world.h"
#include "volume/priv.h"

#define USERS    2
#define VOLUMES  2
#define QD       6u
#define IOS      4000u /* of each reactor */
#define SIZE     (6 * MIB)
#define IO_BYTES (64 * KIB)
#define SNAPS    4

struct stamp {
	uint64_t volume, block, nonce;
};

struct world {
	struct reactor *home, *user[USERS];
	struct pool_env env;
	struct blk_dev *disk, *dev[VOLUMES];
	struct pool *pool;
	struct volumes *set;
	struct msg msg;
	void (*call)(struct world *w);
	int res;
	_Atomic bool done;
	char name[16], other[16];
};

struct load;
struct load_io {
	struct blk_io io;
	struct load *load;
	unsigned volume;
	uint8_t *buf;
};
struct load {
	struct world *w;
	struct reactor *r;
	struct msg msg;
	struct rng rng;
	struct load_io io[QD];
	unsigned started;
	_Atomic unsigned ended, wrong, errors, seen;
};

/* Reads and writes of the same block at the same time race in the disk's memory, as on every disk (disk/ram.c); nothing else may. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:ram_submit\nrace:ram_release\n";
}

/* ---- calls on the pool's reactor ---- */

static void arrives(struct msg *msg)
{
	struct world *w = container_of(msg, struct world, msg);

	w->call(w);
}

static int run(struct world *w, void (*call)(struct world *w))
{
	atomic_store(&w->done, false);
	w->call = call;
	w->msg.run = arrives;
	reactor_post(w->home, &w->msg);
	while (!atomic_load(&w->done))
		(void)sched_yield();
	return w->res;
}

static void called(void *ctx, int res, const struct err *err)
{
	struct world *w = ctx;

	w->res = res;
	atomic_store(&w->done, true);
}

static void called_volume(void *ctx, int res, struct volume *v, const struct err *err)
{
	called(ctx, res, err);
}

static void call_create(struct world *w)
{
	static const struct pool_create_opts opts = {.name = "p0"};

	pool_create(&w->env, w->disk, &opts, called, w);
}

/* A few notes only: regions run full and generations flip all the time. */
static uint8_t notes[NOTE_HEAD + 8192 * sizeof(struct note)] __attribute__((aligned(64)));

static int notes_memory(void *ctx, const struct uuid *pool, size_t bytes, void **ret,
			size_t *ret_size, struct err *err)
{
	*ret = notes;
	*ret_size = sizeof(notes);
	return 0;
}

static void notes_back(void *ctx, const struct uuid *pool, void *memory, size_t size, bool gone)
{
	assert_ptr_equal(memory, notes);
}

static void call_open(struct world *w)
{
	static const struct pool_memory memory = {
		.boot = {{1}}, .get = notes_memory, .put = notes_back};
	static const struct pool_open_opts opts = {.memory = &memory};

	pool_open(&w->env, w->disk, &opts, &w->pool, called, w);
}

static void call_volumes(struct world *w)
{
	called(w, volumes_new(w->pool, &w->set, NULL), NULL);
}

static void call_volume(struct world *w)
{
	struct volume_create_opts opts = {.name = w->name, .size_bytes = SIZE, .block_size = 512};

	volume_create(w->set, &opts, called_volume, w);
}

static void call_snapshot(struct world *w)
{
	struct volume_snapshot_spec spec = {.volume = volume_find(w->set, w->name),
					    .name = w->other};

	volume_snapshot(w->set, &spec, 1, called_volume, w);
}

static void jobs_stopped(void *ctx)
{
	struct world *w = ctx;

	volumes_free(w->set);
	called(w, 0, NULL);
}

static void call_volumes_free(struct world *w)
{
	jobs_stop(w->set, jobs_stopped, w);
}

static void call_close(struct world *w)
{
	pool_close(w->pool, called, w);
}

/* ---- load ---- */

static void load_next(struct load_io *lio);

/* Zeros, or what somebody wrote to this block of this volume. */
static void check(struct load_io *lio)
{
	for (uint64_t at = 0; at < lio->io.length; at += LAYOUT_PAGE) {
		struct stamp stamp;

		memcpy(&stamp, lio->buf + at, sizeof(stamp));
		uint64_t block = (lio->io.offset + at) / LAYOUT_PAGE;

		if (stamp.volume)
			atomic_fetch_add(&lio->load->seen, 1);
		/* Each word alone: somebody may be writing this very block. */
		if ((stamp.volume && stamp.volume != lio->volume + 1) ||
		    (stamp.block && stamp.block != block))
			atomic_fetch_add(&lio->load->wrong, 1);
	}
}

static void load_done(struct blk_io *io, int res)
{
	struct load_io *lio = container_of(io, struct load_io, io);
	struct load *load = lio->load;

	if (res)
		atomic_fetch_add(&load->errors, 1);
	else if (io->op == BLK_READ)
		check(lio);
	load_next(lio);
	atomic_fetch_add(&load->ended, 1);
}

static void stamp_all(struct load_io *lio)
{
	for (uint64_t at = 0; at < lio->io.length; at += LAYOUT_PAGE) {
		struct stamp stamp = {lio->volume + 1, (lio->io.offset + at) / LAYOUT_PAGE,
				      rng_next(&lio->load->rng) | 1};

		memset(lio->buf + at, (int)(lio->volume + 1), LAYOUT_PAGE);
		memcpy(lio->buf + at, &stamp, sizeof(stamp));
	}
}

static void load_next(struct load_io *lio)
{
	struct load *load = lio->load;
	uint64_t what = rng_below(&load->rng, 100);
	struct blk_io *io = &lio->io;

	if (load->started == IOS)
		return;
	load->started++;
	lio->volume = (unsigned)rng_below(&load->rng, VOLUMES);
	*io = (struct blk_io){.done = load_done};
	io->offset = rng_below(&load->rng, SIZE / LAYOUT_PAGE) * LAYOUT_PAGE;
	io->length = (1 + rng_below(&load->rng, IO_BYTES / LAYOUT_PAGE)) * LAYOUT_PAGE;
	io->length = MIN(io->length, SIZE - io->offset);
	if (what < 50) {
		io->op = BLK_READ;
		io->buf = lio->buf;
	} else if (what < 90) {
		io->op = BLK_WRITE;
		io->flags = what == 89 ? BLK_FUA : 0;
		io->buf = lio->buf;
		stamp_all(lio);
	} else if (what < 92) {
		io->op = BLK_FLUSH;
		io->offset = io->length = 0;
	} else {
		io->op = what % 2 ? BLK_DISCARD : BLK_WRITE_ZEROES;
		if (what > 97) { /* whole clusters */
			io->offset = align_down(io->offset, MIB);
			io->length = MIN(2 * MIB, SIZE - io->offset);
		}
	}
	blk_submit(load->w->dev[lio->volume], io);
}

static void load_begin(struct msg *msg)
{
	struct load *load = container_of(msg, struct load, msg);

	for (unsigned i = 0; i < QD; i++)
		load_next(&load->io[i]);
}

static void load_start(struct load *load, struct world *w, unsigned i)
{
	load->w = w;
	load->r = w->user[i];
	rng_seed(&load->rng, i + 1);
	for (unsigned k = 0; k < QD; k++) {
		load->io[k].load = load;
		load->io[k].buf = aligned_alloc(4096, IO_BYTES);
	}
	load->msg.run = load_begin;
	reactor_post(load->r, &load->msg);
}

/* ---- the world ---- */

static struct reactor *reactor_up(unsigned id)
{
	struct reactor_opts opts = {.id = id, .name = "test", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct reactor *r;
	struct env *env;

	assert_int_equal(uring_env_new(NULL, &env, NULL), 0);
	assert_int_equal(reactor_new(&opts, env, &r, NULL), 0);
	assert_int_equal(reactor_start(r, NULL), 0);
	return r;
}

static void world_up(struct world *w)
{
	struct disk_ram_opts ram = {.name = "disk0", .size_bytes = 128 * MIB, .block_size = 512};

	memset(w, 0, sizeof(*w));
	w->home = reactor_up(0);
	for (unsigned i = 0; i < USERS; i++)
		w->user[i] = reactor_up(i + 1);
	w->env = (struct pool_env){w->home, w->user, USERS};
	assert_int_equal(disk_ram_new(&ram, &w->disk, NULL), 0);
	assert_int_equal(run(w, call_create), 0);
	assert_int_equal(run(w, call_open), 0);
	assert_int_equal(run(w, call_volumes), 0);
	for (unsigned i = 0; i < VOLUMES; i++) {
		snprintf(w->name, sizeof(w->name), "v%u", i);
		assert_int_equal(run(w, call_volume), 0);
		assert_int_equal(
			volume_dev_new(volume_find(w->set, w->name), w->name, &w->dev[i], NULL), 0);
	}
}

static void world_down(struct world *w)
{
	for (unsigned i = 0; i < VOLUMES; i++)
		w->dev[i]->ops->destroy(w->dev[i]);
	assert_int_equal(run(w, call_volumes_free), 0);
	assert_int_equal(run(w, call_close), 0);
	reactor_stop(w->home);
	for (unsigned i = 0; i < USERS; i++)
		reactor_stop(w->user[i]);
	reactor_join(w->home);
	for (unsigned i = 0; i < USERS; i++)
		reactor_join(w->user[i]);
	reactor_free(w->home);
	for (unsigned i = 0; i < USERS; i++)
		reactor_free(w->user[i]);
	w->disk->ops->destroy(w->disk);
}

static void no_volume_ever_shows_what_another_wrote(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct load *load = calloc(USERS, sizeof(*load));

	world_up(w);
	for (unsigned i = 0; i < USERS; i++)
		load_start(&load[i], w, i);
	for (unsigned i = 0; i < SNAPS; i++) {
		snprintf(w->name, sizeof(w->name), "v%u", i % VOLUMES);
		snprintf(w->other, sizeof(w->other), "s%u", i);
		while (atomic_load(&load[0].ended) < IOS * (i + 1) / (SNAPS + 1))
			(void)sched_yield();
		assert_int_equal(run(w, call_snapshot), 0);
	}
	for (unsigned i = 0; i < USERS; i++) {
		while (atomic_load(&load[i].ended) < IOS)
			(void)sched_yield();
		assert_int_equal(atomic_load(&load[i].wrong), 0);
		assert_int_equal(atomic_load(&load[i].errors), 0);
		print_message("# %u blocks read that somebody had written\n",
			      atomic_load(&load[i].seen));
		assert_true(atomic_load(&load[i].seen) > IOS / 8);
	}
	world_down(w);
	for (unsigned i = 0; i < USERS; i++)
		for (unsigned k = 0; k < QD; k++)
			free(load[i].io[k].buf);
	free(load);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_volume_ever_shows_what_another_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
