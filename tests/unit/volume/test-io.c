/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random reads, writes, discards and zeroes, several under way on two reactors, against plain bytes; over chains of snapshots, with blocks of 512
 * and 4096 bytes, on disks that lend their memory and on disks that do not.
 */
#include "unit/volume/volume_rig.h"

#define SIZE   (6 * MIB + 512 * 9) /* ends within a cluster and within a block */
#define DEPTH  8u
#define IO_MAX (1 * MIB)

struct image { /* a volume or a snapshot, and what it must read as */
	struct blk_dev *dev;
	uint8_t *bytes;
};

struct load_io {
	struct world_io wio;
	struct load *load;
	uint8_t *buf;
	uint64_t offset; /* of the request under way */
	bool busy;
};

struct load {
	struct volume_rig rig;
	struct image image[24]; /* [0]: the volume that is written */
	unsigned n;
	uint64_t size;
	uint32_t block;
	struct rng rng;
	struct load_io io[DEPTH];
};

/* Inside done(): what is lent is good until the pass ends. */
static void load_done(struct blk_io *io, int res)
{
	struct load_io *lio = container_of(io, struct load_io, wio.io);
	const uint8_t *got = io->loan ? io->loan : io->buf;

	assert_false(lio->wio.submitting);
	assert_int_equal(res, 0);
	if (io->op == BLK_READ)
		assert_memory_equal(got, lio->load->image[0].bytes + io->offset, io->length);
	lio->busy = false;
}

static bool overlaps(const struct load *load, uint64_t offset, uint64_t length)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		const struct load_io *lio = &load->io[i];

		if (lio->busy && lio->offset < offset + length &&
		    offset < lio->offset + lio->wio.io.length)
			return true;
	}
	return false;
}

static void choose_range(struct load *load, uint64_t *offset, uint64_t *length)
{
	uint64_t blocks = load->size / load->block, page = LAYOUT_PAGE / load->block, n;
	uint64_t max = rng_chance(&load->rng, 0.15) ? IO_MAX : 32 * KIB;

	do {
		*offset = rng_below(&load->rng, blocks);
		n = 1 + rng_below(&load->rng, max / load->block);
		if (rng_chance(&load->rng, 0.5)) { /* aligned, as most of them are */
			*offset -= *offset % page;
			n = (n + page - 1) / page * page;
		}
		n = MIN(n, blocks - *offset);
		*offset *= load->block;
		*length = n * load->block;
	} while (overlaps(load, *offset, *length));
}

static void choose_read(struct load *load, struct blk_io *io)
{
	memset(io->buf, 0xee, io->length);
	if (!(io->dev->caps & BLK_CAP_LOAN) || rng_chance(&load->rng, 0.5))
		return;
	io->flags = BLK_LOAN_OK;
	if (rng_chance(&load->rng, 0.7))
		io->buf = NULL;
}

static void choose_io(struct load *load, struct load_io *lio)
{
	static const enum blk_op ops[] = {BLK_READ,  BLK_READ,  BLK_READ,         BLK_WRITE,
					  BLK_WRITE, BLK_WRITE, BLK_WRITE_ZEROES, BLK_DISCARD};
	struct blk_io *io = &lio->wio.io;
	uint8_t *model;

	choose_range(load, &io->offset, &io->length);
	model = load->image[0].bytes + io->offset;
	io->op = ops[rng_below(&load->rng, ARRAY_LEN(ops))];
	if (io->op == BLK_READ || io->op == BLK_WRITE)
		io->buf = lio->buf;
	if (io->op == BLK_READ) {
		choose_read(load, io);
		return;
	}
	if (io->op != BLK_DISCARD && rng_chance(&load->rng, 0.1))
		io->flags |= BLK_FUA;
	if (io->op == BLK_WRITE_ZEROES && rng_chance(&load->rng, 0.3))
		io->flags |= BLK_KEEP_ALLOC;
	memset(model, 0, io->length);
	if (io->op == BLK_WRITE) {
		rng_fill(&load->rng, lio->buf, io->length);
		memcpy(model, lio->buf, io->length);
	}
}

static void load_start(struct load *load, struct load_io *lio)
{
	lio->wio = (struct world_io){.dev = load->image[0].dev,
				     .r = load->rig.p.w.r[1 + rng_below(&load->rng, 2)]};
	lio->wio.io.dev = lio->wio.dev;
	choose_io(load, lio);
	lio->offset = lio->wio.io.offset;
	lio->busy = true;
	lio->wio.io.done = load_done;
	lio->wio.msg.run = world_io_submit;
	reactor_post(lio->wio.r, &lio->wio.msg);
}

static bool one_free(void *arg)
{
	const struct load *load = arg;

	for (unsigned i = 0; i < DEPTH; i++)
		if (!load->io[i].busy)
			return true;
	return false;
}

static bool all_free(void *arg)
{
	const struct load *load = arg;

	for (unsigned i = 0; i < DEPTH; i++)
		if (load->io[i].busy)
			return false;
	return true;
}

static void load_run(struct load *load, unsigned ios)
{
	for (unsigned n = 0; n < ios; n++) {
		unsigned i = 0;

		assert_true(sim_run_until(load->rig.p.w.sim, one_free, load, WORLD_DEADLINE));
		while (load->io[i].busy)
			i++;
		load_start(load, &load->io[i]);
		if (n % 64 == 63)
			assert_int_equal(
				vrig_io(&load->rig, load->image[0].dev, BLK_FLUSH, 0, 0, 0), 0);
	}
	assert_true(sim_run_until(load->rig.p.w.sim, all_free, load, WORLD_DEADLINE));
}

static void check_image(struct load *load, const struct image *image)
{
	for (uint64_t at = 0; at < load->size; at += WORLD_BUF) {
		uint64_t n = MIN(WORLD_BUF, load->size - at);

		assert_int_equal(vrig_io(&load->rig, image->dev, BLK_READ, 0, at, n), 0);
		assert_memory_equal(load->rig.p.w.buf, image->bytes + at, n);
	}
}

static void load_init(struct load *load, const struct volume_rig_opts *opts, uint32_t block)
{
	memset(load, 0, sizeof(*load));
	vrig_init(&load->rig, opts);
	rng_seed(&load->rng, opts->seed);
	load->block = block;
	load->size = align_down(SIZE, block);
	load->image[0].dev = vrig_dev(vrig_create(&load->rig, "v0", load->size, block, false));
	load->image[0].bytes = calloc(1, load->size);
	load->n = 1;
	for (unsigned i = 0; i < DEPTH; i++) {
		load->io[i].load = load;
		load->io[i].buf = aligned_alloc(4096, IO_MAX + 4096);
	}
}

static void load_fini(struct load *load)
{
	for (unsigned i = 0; i < load->n; i++) {
		load->image[i].dev->ops->destroy(load->image[i].dev);
		free(load->image[i].bytes);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		free(load->io[i].buf);
	vrig_fini(&load->rig);
}

/* The volume as it is now, as a snapshot. */
static void add_snapshot(struct load *load)
{
	struct image *image = &load->image[load->n];
	char name[16];

	snprintf(name, sizeof(name), "s%u", load->n++);
	image->dev = vrig_dev(vrig_snapshot(&load->rig, "v0", name));
	image->bytes = malloc(load->size);
	memcpy(image->bytes, load->image[0].bytes, load->size);
	assert_true(image->dev->caps & BLK_CAP_READ_ONLY);
}

static void run_load(uint64_t seed, bool ram, uint32_t dev_block, uint32_t block,
		     unsigned snapshots)
{
	struct volume_rig_opts opts = {
		.seed = seed, .size = 256 * MIB, .block_size = dev_block, .ram = ram};
	struct load *load = calloc(1, sizeof(*load));

	load_init(load, &opts, block);
	for (unsigned i = 0; i <= snapshots; i++) {
		load_run(load, snapshots ? 60 : 400);
		if (i < snapshots)
			add_snapshot(load);
	}
	for (unsigned i = 0; i < load->n; i++)
		check_image(load, &load->image[i]);
	load_fini(load);
	free(load);
}

/* The same without waiting for anything: the volume must not lose a byte, whatever the cuts come across. */
static void run_cuts(uint64_t seed, bool ram)
{
	struct volume_rig_opts opts = {
		.seed = seed, .size = 256 * MIB, .block_size = 512, .ram = ram};
	struct load *load = calloc(1, sizeof(*load));
	char name[16];

	load_init(load, &opts, 512);
	load->rig.p.done = true;
	for (unsigned cut = 0; cut < 40; cut++) {
		for (unsigned i = 0; i < DEPTH; i++) {
			assert_true(
				sim_run_until(load->rig.p.w.sim, one_free, load, WORLD_DEADLINE));
			for (unsigned k = 0; k < DEPTH; k++)
				if (!load->io[k].busy)
					load_start(load, &load->io[k]);
		}
		if (!load->rig.p.done)
			continue;
		assert_int_equal(load->rig.p.res, 0);
		snprintf(name, sizeof(name), "s%u", cut);
		vrig_snapshot_begin(&load->rig, "v0", name);
	}
	assert_true(sim_run_until(load->rig.p.w.sim, all_free, load, WORLD_DEADLINE));
	assert_true(sim_run_until(load->rig.p.w.sim, rig_is_done, &load->rig.p, WORLD_DEADLINE));
	check_image(load, &load->image[0]);
	load_fini(load);
	free(load);
}

static void cuts_under_load_lose_nothing(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		run_cuts(seed, false);
		run_cuts(seed, true);
	}
}

static void one_volume_is_what_was_written(void **state)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		run_load(seed, false, 512, 512, 0);
		run_load(seed, false, 512, 4096, 0);
		run_load(seed, false, 4096, 4096, 0);
		run_load(seed, true, 512, 512, 0);
		run_load(seed, true, 4096, 4096, 0);
	}
}

static void chains_of_snapshots_keep_each_moment(void **state)
{
	for (unsigned depth = 1; depth <= 19; depth += 6) {
		run_load(100 + depth, false, 512, 512, depth);
		run_load(200 + depth, false, 4096, 4096, depth);
		run_load(300 + depth, true, 512, 512, depth);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_volume_is_what_was_written),
		cmocka_unit_test(chains_of_snapshots_keep_each_moment),
		cmocka_unit_test(cuts_under_load_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
