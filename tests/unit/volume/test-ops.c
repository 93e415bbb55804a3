/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on volumes against what they promise, each checked before and after the pool is closed and opened again. Every block is one byte value, so a picture of a
 * volume is an array of bytes.
 */
#include "unit/volume/volume_rig.h"

#define CLUSTERS 5u
#define SIZE     (CLUSTERS * MIB)
#define BLOCKS   (CLUSTERS * LAYOUT_CLUSTER_BLOCKS)

struct bench {
	struct volume_rig rig;
	uint64_t size;
	bool force, decouple;
	struct volume_snapshot_spec specs[2];
	unsigned n_work;
	struct volume_usage usage;
	struct rng rng;
	uint8_t next;
};

static const struct volume_rig_opts disk = {.seed = 7, .size = 96 * MIB, .block_size = 512};

static void bench_init(struct bench *b, uint64_t seed)
{
	struct volume_rig_opts opts = disk;

	memset(b, 0, sizeof(*b));
	opts.seed = seed;
	vrig_init(&b->rig, &opts);
	rng_seed(&b->rng, seed);
	b->next = 1;
}

static struct bench *bench_of(struct pool_rig *p)
{
	return container_of(container_of(p, struct volume_rig, p), struct bench, rig);
}

static struct volume *named(struct bench *b)
{
	struct volume *v = volume_find(b->rig.set, b->rig.name);

	assert_non_null(v);
	return v;
}

/* ---- operations as calls ---- */

static void call_delete(struct pool_rig *p)
{
	volume_delete(named(bench_of(p)), vrig_done, &bench_of(p)->rig);
}

static int op_delete(struct bench *b, const char *name)
{
	b->rig.name = name;
	return rig_run(&b->rig.p, call_delete);
}

static void call_clone(struct pool_rig *p)
{
	volume_clone(named(bench_of(p)), &bench_of(p)->rig.opts, vrig_done, &bench_of(p)->rig);
}

static int op_clone(struct bench *b, const char *snapshot, const char *name)
{
	b->rig.name = snapshot;
	b->rig.opts = (struct volume_create_opts){.name = name};
	return rig_run(&b->rig.p, call_clone);
}

static void call_revert(struct pool_rig *p)
{
	struct bench *b = bench_of(p);

	volume_revert(named(b), volume_find(b->rig.set, b->rig.other), vrig_done, &b->rig);
}

static int op_revert(struct bench *b, const char *name, const char *snapshot)
{
	b->rig.name = name;
	b->rig.other = snapshot;
	return rig_run(&b->rig.p, call_revert);
}

static void call_resize(struct pool_rig *p)
{
	struct bench *b = bench_of(p);

	volume_resize(named(b), b->size, b->force, vrig_done, &b->rig);
}

static int op_resize(struct bench *b, const char *name, uint64_t size, bool force)
{
	b->rig.name = name;
	b->size = size;
	b->force = force;
	return rig_run(&b->rig.p, call_resize);
}

static void call_inflate(struct pool_rig *p)
{
	volume_inflate(named(bench_of(p)), bench_of(p)->decouple, vrig_done, &bench_of(p)->rig);
}

static int op_inflate(struct bench *b, const char *name, bool decouple)
{
	b->rig.name = name;
	b->decouple = decouple;
	return rig_run(&b->rig.p, call_inflate);
}

static void call_promote(struct pool_rig *p)
{
	volume_promote(named(bench_of(p)), vrig_done, &bench_of(p)->rig);
}

static int op_promote(struct bench *b, const char *name)
{
	b->rig.name = name;
	return rig_run(&b->rig.p, call_promote);
}

static void call_group(struct pool_rig *p)
{
	volume_snapshot(bench_of(p)->rig.set, bench_of(p)->specs, 2, vrig_done, &bench_of(p)->rig);
}

static void call_work(struct pool_rig *p)
{
	struct volume_work work[8];

	bench_of(p)->n_work = volume_work_list(bench_of(p)->rig.set, work, 8);
	rig_done(p, 0, NULL);
}

static void call_usage(struct pool_rig *p)
{
	volume_usage(named(bench_of(p)), &bench_of(p)->usage);
	rig_done(p, 0, NULL);
}

static struct volume_usage usage(struct bench *b, const char *name)
{
	b->rig.name = name;
	assert_int_equal(rig_run(&b->rig.p, call_usage), 0);
	return b->usage;
}

static void wait_for_work(struct bench *b)
{
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(rig_run(&b->rig.p, call_work), 0);
		if (!b->n_work)
			return;
		sim_run_for(b->rig.p.w.sim, NSEC_PER_MSEC);
	}
	fail_msg("background work does not end");
}

/* ---- pictures ---- */

static void fill(struct bench *b, struct blk_dev *dev, uint8_t *picture, unsigned block, unsigned n)
{
	uint8_t value = b->next++ | 1;

	assert_int_equal(vrig_write(&b->rig, dev, (uint64_t)block * LAYOUT_PAGE,
				    (uint64_t)n * LAYOUT_PAGE, value),
			 0);
	memset(picture + block, value, n);
}

static void clear(struct bench *b, struct blk_dev *dev, uint8_t *picture, unsigned block,
		  unsigned n)
{
	assert_int_equal(vrig_io(&b->rig, dev, BLK_DISCARD, 0, (uint64_t)block * LAYOUT_PAGE,
				 (uint64_t)n * LAYOUT_PAGE),
			 0);
	memset(picture + block, 0, n);
}

static void scribble(struct bench *b, const char *name, uint8_t *picture, unsigned times)
{
	struct volume *v = volume_find(b->rig.set, name);
	struct blk_dev *dev = vrig_dev(v);

	for (unsigned i = 0; i < times; i++) {
		unsigned n = rng_chance(&b->rng, 0.2) ? LAYOUT_CLUSTER_BLOCKS
						      : 1 + (unsigned)rng_below(&b->rng, 40);
		unsigned block = (unsigned)rng_below(&b->rng, BLOCKS - n + 1);

		if (n == LAYOUT_CLUSTER_BLOCKS)
			block -= block % LAYOUT_CLUSTER_BLOCKS;
		if (rng_chance(&b->rng, 0.25))
			clear(b, dev, picture, block, n);
		else
			fill(b, dev, picture, block, n);
	}
	assert_int_equal(vrig_io(&b->rig, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
}

static void check(struct bench *b, const char *name, const uint8_t *picture)
{
	struct blk_dev *dev = vrig_dev(volume_find(b->rig.set, name));

	for (unsigned block = 0; block < BLOCKS; block++)
		if (!vrig_reads(&b->rig, dev, (uint64_t)block * LAYOUT_PAGE, LAYOUT_PAGE,
				picture[block]))
			fail_msg("%s: block %u is %u, not %u", name, block, b->rig.p.w.buf[0],
				 picture[block]);
	dev->ops->destroy(dev);
}

static void reopen(struct bench *b)
{
	assert_int_equal(rig_run(&b->rig.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&b->rig.p), 0);
	assert_int_equal(rig_open(&b->rig.p), 0);
	assert_int_equal(rig_run(&b->rig.p, vrig_volumes_new), 0);
}

/* ---- tests ---- */

/* v on s3 on s2 on s1; each picture is kept. */
static void make_chain(struct bench *b, uint8_t pic[4][BLOCKS])
{
	static const char *const snap[] = {"s1", "s2", "s3"};

	assert_non_null(vrig_create(&b->rig, "v", SIZE, 4096, false));
	memset(pic[0], 0, BLOCKS);
	for (unsigned i = 0; i < 3; i++) {
		scribble(b, "v", pic[0], 12);
		assert_non_null(vrig_snapshot(&b->rig, "v", snap[i]));
		memcpy(pic[1 + i], pic[0], BLOCKS);
	}
	scribble(b, "v", pic[0], 12);
}

static void snapshots_keep_their_moment(void **state)
{
	static uint8_t pic[4][BLOCKS];
	struct bench b;

	bench_init(&b, 1);
	make_chain(&b, pic);
	for (unsigned i = 0; i < 2; i++) {
		check(&b, "v", pic[0]);
		check(&b, "s1", pic[1]);
		check(&b, "s2", pic[2]);
		check(&b, "s3", pic[3]);
		reopen(&b);
	}
	vrig_fini(&b.rig);
}

static void a_middle_snapshot_goes_and_all_others_stay(void **state)
{
	static uint8_t pic[4][BLOCKS];

	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct bench b;

		bench_init(&b, seed);
		make_chain(&b, pic);
		assert_int_equal(op_delete(&b, "s2"), 0);
		assert_null(volume_find(b.rig.set, "s2"));
		if (seed % 3 == 0)
			reopen(&b); /* the work goes on */
		check(&b, "v", pic[0]);
		scribble(&b, "v", pic[0], 4);
		wait_for_work(&b);
		for (unsigned i = 0; i < 2; i++) {
			check(&b, "v", pic[0]);
			check(&b, "s1", pic[1]);
			check(&b, "s3", pic[3]);
			reopen(&b);
		}
		vrig_fini(&b.rig);
	}
}

static void all_snapshots_go_in_any_order(void **state)
{
	static uint8_t pic[4][BLOCKS];
	static const char *const order[][3] = {
		{"s1", "s2", "s3"}, {"s3", "s2", "s1"}, {"s2", "s1", "s3"}, {"s2", "s3", "s1"}};

	for (unsigned o = 0; o < 4; o++) {
		struct bench b;

		bench_init(&b, 100 + o);
		make_chain(&b, pic);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(op_delete(&b, order[o][i]), 0);
		scribble(&b, "v", pic[0], 6);
		wait_for_work(&b);
		check(&b, "v", pic[0]);
		assert_int_equal(usage(&b, "v").chain, 0);
		reopen(&b);
		check(&b, "v", pic[0]);
		vrig_fini(&b.rig);
	}
}

static void clones_live_on_their_own(void **state)
{
	static uint8_t pic[4][BLOCKS], clone[BLOCKS];
	struct bench b;

	bench_init(&b, 3);
	make_chain(&b, pic);
	assert_int_equal(op_clone(&b, "v", "c"), -EINVAL);
	assert_int_equal(op_clone(&b, "s2", "c"), 0);
	memcpy(clone, pic[2], BLOCKS);
	check(&b, "c", clone);
	scribble(&b, "c", clone, 12);
	assert_int_equal(op_delete(&b, "s2"), -EBUSY);
	assert_non_null(strstr(b.rig.p.err.text, "s3"));
	assert_non_null(strstr(b.rig.p.err.text, "c"));
	assert_int_equal(op_inflate(&b, "c", true), 0);
	wait_for_work(&b);
	check(&b, "c", clone);
	assert_int_equal(op_delete(&b, "s2"), 0);
	wait_for_work(&b);
	reopen(&b);
	check(&b, "c", clone);
	check(&b, "s1", pic[1]);
	check(&b, "s3", pic[3]);
	check(&b, "v", pic[0]);
	assert_int_equal(op_inflate(&b, "c", false), 0);
	wait_for_work(&b);
	assert_int_equal(usage(&b, "c").chain, 0);
	check(&b, "c", clone);
	reopen(&b);
	check(&b, "c", clone);
	vrig_fini(&b.rig);
}

static bool is_snapshot_of(struct bench *b, const char *snapshot, const char *volume)
{
	const struct pool_object *s = pool_object_by_name(b->rig.p.pool, snapshot);
	const struct pool_object *v = pool_object_by_name(b->rig.p.pool, volume);

	return uuid_equal(&s->snapshot_of, &v->uuid);
}

/* s1 <- s2 <- s3 <- v, and s2 <- c1 <- c: what c takes by being promoted, and what is left to v. */
static void a_clone_takes_the_snapshots_it_stands_on(void **state)
{
	static uint8_t pic[4][BLOCKS], clone[BLOCKS];
	struct bench b;

	bench_init(&b, 12);
	make_chain(&b, pic);
	assert_int_equal(op_promote(&b, "s2"), -EINVAL);
	assert_int_equal(op_promote(&b, "v"), -EINVAL);
	assert_non_null(strstr(b.rig.p.err.text, "not a clone"));
	assert_int_equal(op_clone(&b, "s2", "c"), 0);
	memcpy(clone, pic[2], BLOCKS);
	vrig_snapshot(&b.rig, "c", "c1");
	assert_true(is_snapshot_of(&b, "c1", "c"));
	assert_int_equal(op_promote(&b, "c"), 0);
	reopen(&b);
	assert_true(is_snapshot_of(&b, "s1", "c"));
	assert_true(is_snapshot_of(&b, "s2", "c"));
	assert_true(is_snapshot_of(&b, "c1", "c"));
	assert_true(is_snapshot_of(&b, "s3", "v"));
	assert_int_equal(op_promote(&b, "c"), -EINVAL);
	scribble(&b, "c", clone, 12);
	assert_int_equal(op_promote(&b, "v"), 0); /* now it is the one that is cloned */
	assert_true(is_snapshot_of(&b, "s1", "v"));
	assert_true(is_snapshot_of(&b, "s2", "v"));
	assert_true(is_snapshot_of(&b, "c1", "c"));
	assert_int_equal(op_promote(&b, "c"), 0);
	assert_int_equal(op_delete(&b, "v"), 0);
	assert_int_equal(op_delete(&b, "s3"), 0);
	wait_for_work(&b);
	check(&b, "c", clone);
	check(&b, "s1", pic[1]);
	check(&b, "s2", pic[2]);
	vrig_fini(&b.rig);
}

/* c is a clone of v, d one of c: d takes from c, and what c has from v stays v's. */
static void promoting_takes_from_one_volume(void **state)
{
	static uint8_t pic[4][BLOCKS];
	struct bench b;

	bench_init(&b, 13);
	make_chain(&b, pic);
	assert_int_equal(op_clone(&b, "s1", "c"), 0);
	vrig_snapshot(&b.rig, "c", "c1");
	assert_int_equal(op_clone(&b, "c1", "d"), 0);
	assert_int_equal(op_promote(&b, "d"), 0);
	assert_true(is_snapshot_of(&b, "c1", "d"));
	assert_true(is_snapshot_of(&b, "s1", "v"));
	assert_int_equal(op_promote(&b, "d"), 0);
	assert_true(is_snapshot_of(&b, "s1", "d"));
	assert_true(is_snapshot_of(&b, "s2", "v"));
	vrig_fini(&b.rig);
}

static void a_volume_goes_back_to_a_snapshot(void **state)
{
	static uint8_t pic[4][BLOCKS];
	struct bench b;

	bench_init(&b, 4);
	make_chain(&b, pic);
	assert_int_equal(op_revert(&b, "v", "s1"), 0);
	check(&b, "v", pic[1]);
	memcpy(pic[0], pic[1], BLOCKS);
	scribble(&b, "v", pic[0], 8);
	reopen(&b);
	check(&b, "v", pic[0]);
	check(&b, "s3", pic[3]);
	check(&b, "s1", pic[1]);
	vrig_fini(&b.rig);
}

static void what_was_cut_off_does_not_come_back(void **state)
{
	static uint8_t pic[4][BLOCKS];
	struct bench b;

	bench_init(&b, 5);
	make_chain(&b, pic);
	assert_int_equal(op_resize(&b, "v", 2 * MIB, false), -EINVAL);
	assert_int_equal(op_resize(&b, "v", 2 * MIB + 4096, true), -EINVAL);
	assert_int_equal(op_resize(&b, "v", 2 * MIB, true), 0);
	assert_int_equal(op_resize(&b, "v", 3 * MIB + 4096, true), 0);
	assert_int_equal(op_resize(&b, "v", SIZE, false), 0);
	assert_int_equal(op_resize(&b, "v", SIZE, false), 0);
	memset(pic[0] + 2 * LAYOUT_CLUSTER_BLOCKS, 0, BLOCKS - 2 * LAYOUT_CLUSTER_BLOCKS);
	check(&b, "v", pic[0]);
	reopen(&b);
	check(&b, "v", pic[0]);
	check(&b, "s3", pic[3]);
	vrig_fini(&b.rig);
}

static void thick_volumes_have_their_space(void **state)
{
	static uint8_t pic[BLOCKS];
	struct bench b;
	struct pool_space_info info;
	uint64_t avail;

	bench_init(&b, 6);
	pool_space_info(b.rig.p.pool, &info);
	avail = info.free;
	assert_non_null(vrig_create(&b.rig, "t", (avail - 12) * MIB, 4096, true));
	b.rig.opts =
		(struct volume_create_opts){.name = "u", .size_bytes = 20 * MIB, .thick = true};
	assert_int_equal(rig_run(&b.rig.p, vrig_call_create), -ENOSPC);
	assert_non_null(vrig_create(&b.rig, "thin", 64 * MIB, 4096, false));
	memset(pic, 0, BLOCKS);
	for (unsigned round = 0; round < 2;
	     round++) { /* the thin one cannot take what was promised */
		struct blk_dev *dev = vrig_dev(volume_find(b.rig.set, "thin"));
		unsigned refused = 0;

		for (uint64_t i = 0; i < 64; i++)
			refused += vrig_write(&b.rig, dev, i * MIB, 4096, 9) == -ENOSPC;
		assert_true(refused > 40);
		dev->ops->destroy(dev);
		dev = vrig_dev(volume_find(b.rig.set, "t"));
		for (uint64_t i = 0; i < avail - 12; i++)
			assert_int_equal(vrig_write(&b.rig, dev, i * MIB, 4096, 5), 0);
		dev->ops->destroy(dev);
		reopen(&b);
	}
	vrig_fini(&b.rig);
}

static void a_group_has_one_cut(void **state)
{
	static uint8_t pic[2][BLOCKS];
	struct bench b;

	bench_init(&b, 8);
	vrig_create(&b.rig, "a", SIZE, 4096, false);
	vrig_create(&b.rig, "b", SIZE, 512, false);
	memset(pic, 0, sizeof(pic));
	scribble(&b, "a", pic[0], 10);
	scribble(&b, "b", pic[1], 10);
	b.specs[0] =
		(struct volume_snapshot_spec){.volume = volume_find(b.rig.set, "a"), .name = "sa"};
	b.specs[1] =
		(struct volume_snapshot_spec){.volume = volume_find(b.rig.set, "b"), .name = "sa"};
	assert_int_equal(rig_run(&b.rig.p, call_group), -EINVAL);
	b.specs[1].name = "sb";
	assert_int_equal(rig_run(&b.rig.p, call_group), 0);
	check(&b, "sa", pic[0]);
	check(&b, "sb", pic[1]);
	reopen(&b);
	check(&b, "sb", pic[1]);
	check(&b, "a", pic[0]);
	vrig_fini(&b.rig);
}

static void on_level(void *ctx, unsigned percent, bool above)
{
	*(unsigned *)ctx = above ? percent : 0;
}

static void what_is_promised_to_thick_volumes_counts_as_used(void **state)
{
	struct pool_listener listener;
	struct pool_space_info info;
	struct bench b;
	unsigned level = 0;
	uint64_t size;

	bench_init(&b, 11);
	listener = (struct pool_listener){.space = on_level, .ctx = &level};
	pool_listen(b.rig.p.pool, &listener);
	pool_space_info(b.rig.p.pool, &info);
	size = info.total * 82 / 100 * LAYOUT_CLUSTER;
	vrig_create(&b.rig, "thick", size, 4096, true);
	assert_int_equal(level, 80);
	assert_int_equal(op_delete(&b, "thick"), 0);
	sim_run_for(b.rig.p.w.sim, NSEC_PER_SEC);
	assert_int_equal(level, 0);
	pool_unlisten(b.rig.p.pool, &level);
	vrig_fini(&b.rig);
}

static void space_comes_back(void **state)
{
	static uint8_t pic[4][BLOCKS];
	struct bench b;
	struct pool_space_info before, after;

	bench_init(&b, 9);
	pool_space_info(b.rig.p.pool, &before);
	make_chain(&b, pic);
	assert_int_equal(op_delete(&b, "v"), 0);
	assert_int_equal(op_delete(&b, "s3"), 0);
	assert_int_equal(op_delete(&b, "s1"), 0);
	wait_for_work(&b);
	assert_int_equal(op_delete(&b, "s2"), 0);
	sim_run_for(b.rig.p.w.sim, 5000 * NSEC_PER_MSEC);
	pool_space_info(b.rig.p.pool, &after);
	assert_int_equal(after.free + after.stocked + after.metadata,
			 before.free + before.stocked + before.metadata);
	vrig_fini(&b.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots_keep_their_moment),
		cmocka_unit_test(a_middle_snapshot_goes_and_all_others_stay),
		cmocka_unit_test(all_snapshots_go_in_any_order),
		cmocka_unit_test(clones_live_on_their_own),
		cmocka_unit_test(a_clone_takes_the_snapshots_it_stands_on),
		cmocka_unit_test(promoting_takes_from_one_volume),
		cmocka_unit_test(a_volume_goes_back_to_a_snapshot),
		cmocka_unit_test(what_was_cut_off_does_not_come_back),
		cmocka_unit_test(thick_volumes_have_their_space),
		cmocka_unit_test(what_is_promised_to_thick_volumes_counts_as_used),
		cmocka_unit_test(a_group_has_one_cut),
		cmocka_unit_test(space_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
