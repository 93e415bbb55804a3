/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-mount: how long a pool with much mapped space takes to open. The file is made anew, sparse; nothing is written to the volumes, whose maps are as full as if everything had been.
 * Prints one JSON object: the time of opening a pool that was closed and of one whose engine died, per TiB, and the RAM of its maps. With --make the pool stays in the file,
 * for other benchmarks: it is called bench, its volumes v0, v1, ... With --hand-over: what a hot upgrade spends on the pool, before and within the stop, with so many rounds of the
 * journal to follow.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/str.h"
#include "disk/disk.h"
#include "pool/priv.h"
#include "rt/uring.h"

static struct reactor *home;
static struct pool *pool;
static struct blk_dev *dev;
static struct pool_env env;
static bool done;
static int result;

static void on_done(void *ctx, int res, const struct err *err)
{
	if (res)
		(void)fprintf(stderr, "lp-mount: %s\n", err ? err->text : "failed");
	result = res;
	done = true;
}

static void (*todo)(void);
static struct msg todo_msg;

static void run_todo(struct msg *msg)
{
	todo();
}

/* fn runs on the reactor and leads to on_done(). */
static void call(void (*fn)(void))
{
	todo = fn;
	todo_msg.run = run_todo;
	reactor_post(home, &todo_msg);
	while (!done)
		(void)reactor_pass(home, NSEC_PER_SEC);
	done = false;
	if (result)
		exit(1);
}

static struct pool_txn txn;
static struct pool_op op;

static void txn_done(struct pool_txn *t, int res)
{
	pool_op_end(pool, &op);
	on_done(NULL, res, NULL);
}

static void op_run(struct pool_op *o)
{
	pool_txn_commit(pool, &txn);
}

static void begin_op(void)
{
	op = (struct pool_op){.run = op_run};
	pool_op_start(pool, &op);
}

static void add_layer(uint64_t number, uint64_t bytes)
{
	struct props *props = calloc(1, sizeof(*props));
	struct record r = {.type = RECORD_LAYER_SET};
	uint64_t object = pool_new_id(pool), clusters = bytes / LAYOUT_CLUSTER;
	uint64_t first_phys = pool->rules.first_cluster + number * clusters;
	struct pool_layer *layer;

	ASSERT(props);
	(void)snprintf(props->name, sizeof(props->name), "v%" PRIu64, number);
	put_le64(props->uuid.b, object);
	props->block_size = 4096;
	r.layer_set =
		(struct layer){.id = pool_new_id(pool), .object = object, .size_bytes = bytes};
	pool_txn_init(&txn, txn_done);
	pool_txn_add(&txn, &r);
	pool_txn_add_props(&txn, object, 1, props);
	free(props);
	call(begin_op);
	pool_txn_fini(&txn);
	layer = pool_layer_find(pool, r.layer_set.id);
	for (uint32_t i = 0; i < clusters; i++) {
		uint64_t phys = first_phys + (uint64_t)i * 7919 % clusters; /* scattered */

		ASSERT(!space_own(pool, phys) && !map_put(layer->map, i, phys, NULL));
		checkpoint_leaf_changed(pool, map_leaf_at(layer->map, i / MAP_LEAF_CLUSTERS));
	}
}

static void begin_open(void)
{
	struct pool_open_opts opts = {0};

	pool_open(&env, dev, &opts, &pool, on_done, NULL);
}

static void begin_close(void)
{
	pool_close(pool, on_done, NULL);
}

static void begin_create(void)
{
	struct pool_create_opts opts = {.name = "bench"};

	pool_create(&env, dev, &opts, on_done, NULL);
}

static void begin_checkpoint(void)
{
	checkpoint_start(pool, on_done, NULL);
}

static double open_ms(void)
{
	uint64_t begin = reactor_now_exact(home);

	call(begin_open);
	return (double)(reactor_now_exact(home) - begin) / NSEC_PER_MSEC;
}

static void make_disk(const char *path, uint64_t bytes)
{
	struct disk_file_opts opts = {.name = "disk", .path = path};
	struct err err = {0};
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) || close(fd)) {
		perror(path);
		exit(1);
	}
	if (disk_file_new(reactor_env(home), &opts, &dev, &err)) {
		(void)fprintf(stderr, "lp-mount: %s\n", err.text);
		exit(1);
	}
}

static void fill(uint64_t bytes, uint64_t volumes)
{
	uint64_t each = bytes / volumes / LAYOUT_CLUSTER * LAYOUT_CLUSTER;

	call(begin_create);
	(void)open_ms();
	for (uint64_t i = 0; i < volumes; i++)
		add_layer(i, each);
	call(begin_checkpoint);
}

/* ---- a full journal ---- */

#define ROUND_LEAVES 128u /* about 400 blocks of 512 */

static struct pool_commit commit;
static struct pool_layer *touched;
static uint32_t touched_leaf;

/* It never ends, and so no checkpoint begins that would empty the journal again. */
static void op_stays(struct pool_op *o)
{
	on_done(NULL, 0, NULL);
}

static void begin_op_that_stays(void)
{
	op = (struct pool_op){.run = op_stays};
	pool_op_start(pool, &op);
}

static void committed(struct pool_commit *c, int res)
{
	on_done(NULL, res, NULL);
}

static void begin_round(void)
{
	for (uint32_t n = 0; n < ROUND_LEAVES; n++) {
		uint64_t first = (uint64_t)touched_leaf++ * MAP_LEAF_CLUSTERS;

		uint64_t end = map_clusters(touched->map);

		for (uint64_t c = first; c < first + MAP_LEAF_CLUSTERS && c < end; c++)
			map_touch(touched->map, (uint32_t)c);
		if (first < end)
			continue;
		touched = pool_layer_next(pool, touched);
		touched = touched ? touched : pool_layer_next(pool, NULL);
		touched_leaf = 0;
	}
	commit.done = committed;
	pool_commit(pool, &commit);
}

/* As full as rounds make it: three quarters, and a round less. */
static void fill_journal(void)
{
	uint32_t end = pool->rules.journal_blocks / 4 * 3 - LOG_ROUND_BLOCKS;

	call(begin_op_that_stays);
	touched = pool_layer_next(pool, NULL);
	while (log_blocks_used(pool) < end)
		call(begin_round);
}

/* ---- to a second pool on the same file, as in a hot upgrade ---- */

static struct pool *next;
static struct blk_dev *next_dev;
static struct pool_position frozen_at;

static double timed(void (*fn)(void))
{
	uint64_t begin = reactor_now_exact(home);

	call(fn);
	return (double)(reactor_now_exact(home) - begin) / NSEC_PER_MSEC;
}

static void begin_hold(void)
{
	if (pool_hold(pool, on_done, on_done, NULL, NULL))
		on_done(NULL, -EIO, NULL);
}

static void begin_successor(void)
{
	pool_open(&env, next_dev, &(struct pool_open_opts){.successor = true}, &next, on_done,
		  NULL);
}

static void begin_freeze(void)
{
	if (pool_freeze(pool, on_done, NULL, NULL))
		on_done(NULL, -EIO, NULL);
}

static void begin_follow(void)
{
	pool_position(pool, &frozen_at);
	pool_follow(next, &frozen_at, on_done, NULL);
}

static void on_taken_over(void *ctx, int res, const struct err *err)
{
	result = res;
}

static void begin_take_over(void)
{
	pool_take_over(next, on_done, on_taken_over, NULL);
}

/* As many rounds as a second of many small first writes leaves: a volume's first clusters, again and again. */
static void write_tail(unsigned rounds)
{
	const struct pool_layer *layer = pool_layer_next(pool, NULL);

	for (unsigned i = 0; i < rounds; i++) {
		struct record r = {.type = RECORD_MAP_SET};

		pool_txn_init(&txn, txn_done);
		r.map_set.layer = layer->disk.id;
		for (unsigned k = 0; k < 32; k++) {
			r.map_set.cluster = (i * 32 + k) % (uint32_t)map_clusters(layer->map);
			r.map_set.entry = map_get(layer->map, r.map_set.cluster, NULL);
			pool_txn_add(&txn, &r);
		}
		call(begin_op);
		pool_txn_fini(&txn);
	}
}

static void measure_hand_over(double tib, unsigned rounds)
{
	struct disk_file_opts opts = {
		.name = "next", .path = "next", .adopt = true, .fd = dup(disk_export(dev))};
	double hold, warm, freeze, follow, ready;
	uint64_t begin;

	if (disk_file_new(reactor_env(home), &opts, &next_dev, NULL))
		exit(1);
	hold = timed(begin_hold);
	warm = timed(begin_successor);
	write_tail(rounds);
	freeze = timed(begin_freeze);
	follow = timed(begin_follow);
	pool_retire(pool);
	begin = reactor_now_exact(home);
	ready = timed(begin_take_over);
	while (pool_is_successor(next))
		(void)reactor_pass(home, NSEC_PER_SEC);
	printf("{\"hand_over_tib\": %.3f, \"tail_rounds\": %u, \"hold_ms\": %.1f, \"warm_ms\": "
	       "%.1f, \"freeze_ms\": %.3f, \"follow_ms\": %.3f, \"ready_ms\": %.3f, "
	       "\"epoch_ms\": %.3f}\n",
	       tib, rounds, hold, warm, freeze, follow, ready,
	       (double)(reactor_now_exact(home) - begin) / NSEC_PER_MSEC);
	todo = begin_close;
	todo_msg.run = run_todo;
	reactor_post(home, &todo_msg); /* it ends with -ESTALE, as it should */
	while (!done)
		(void)reactor_pass(home, NSEC_PER_SEC);
	done = false;
	dev->ops->destroy(dev);
	pool = next;
	dev = next_dev;
}

static void measure(uint64_t mapped)
{
	double tib = (double)mapped / (double)TIB, crashed, closed;
	uint64_t bytes, blocks;

	fill_journal();
	blocks = log_blocks_used(pool);
	pool_free(pool); /* as if the engine had died */
	crashed = open_ms();
	bytes = atomic_load(&pool->maps.bytes);
	call(begin_close);
	closed = open_ms();
	printf("{\"tib\": %.3f, \"crashed_ms\": %.1f, \"closed_ms\": %.1f, \"ms_per_tib\": %.2f, "
	       "\"ram_mib_per_tib\": %.2f, \"journal_mib\": %.1f}\n",
	       tib, crashed, closed, (crashed > closed ? crashed : closed) / tib,
	       (double)bytes / (double)MIB / tib, (double)blocks * LAYOUT_PAGE / (double)MIB);
}

static const char usage[] = "usage: lp-mount --file FILE [--mapped SIZE] [--volumes N] [--make | "
			    "--hand-over ROUNDS]\n";

struct args {
	const char *file;
	uint64_t mapped, volumes;
	bool make, hand_over;
	uint64_t rounds; /* of the journal, that a successor has to follow at the end */
};

static void take_args(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{"file", 1, NULL, 'f'}, {"mapped", 1, NULL, 'm'},    {"volumes", 1, NULL, 'v'},
		{"make", 0, NULL, 'k'}, {"hand-over", 1, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool ok = true;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'f')
			args->file = optarg;
		else if (opt == 'm')
			ok &= str_to_size(optarg, &args->mapped);
		else if (opt == 'v')
			ok &= str_to_u64(optarg, 1, 4096, &args->volumes);
		else if (opt == 'k')
			args->make = true;
		else if (opt == 'h')
			ok &= args->hand_over = str_to_u64(optarg, 0, 4096, &args->rounds);
		else
			ok = false;
	}
	if (!ok || !args->file || optind < argc || args->mapped / args->volumes < LAYOUT_CLUSTER) {
		(void)fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct reactor_opts ropts = {.id = 0, .name = "bench", .cpu = -1, .poll_us = 0};
	struct args args = {.mapped = TIB, .volumes = 1};
	struct env *kernel;
	struct err err = {0};

	take_args(argc, argv, &args);
	log_set_level(LOG_LEVEL_WARN);
	if (uring_env_new(NULL, &kernel, &err) || reactor_new(&ropts, kernel, &home, &err) ||
	    reactor_prepare(home, &err)) {
		(void)fprintf(stderr, "lp-mount: %s\n", err.text);
		return 1;
	}
	env = (struct pool_env){home, &home, 1};
	make_disk(args.file, args.mapped / 8 * 9 + 64 * GIB); /* room for snapshots and metadata */
	fill(args.mapped, args.volumes);
	if (args.hand_over)
		measure_hand_over((double)args.mapped / (double)TIB, (unsigned)args.rounds);
	else if (!args.make)
		measure(args.mapped);
	call(begin_close);
	dev->ops->destroy(dev);
	reactor_leave(home);
	reactor_free(home);
	return 0;
}
