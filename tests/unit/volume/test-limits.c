/* SPDX-License-Identifier: Apache-2.0 */
/* What happens at limits: a journal that fills up while a checkpoint is slow, transactions that do not fit into a round, the largest volumes, promises of thick ones. */
#include "base/json.h"
#include "unit/volume/volume_rig.h"

#define SLOW_NS NSEC_PER_SEC

/* A pool on a disk whose reads can be made slow: of what a pool does while nobody reads only the checkpoint reads (what it wrote, back). */
struct slow_rig {
	struct volume_rig v;
	struct blk_dev *base;
};

static void slow_init(struct slow_rig *rig, const struct volume_rig_opts *opts)
{
	struct disk_fault_opts fault = {.name = "slow0", .seed = 1};

	memset(rig, 0, sizeof(*rig));
	blk_world_init(&rig->v.p.w, opts->seed);
	vrig_disk(&rig->v, opts);
	rig->base = fault.base = rig->v.p.dev;
	assert_int_equal(disk_fault_new(&fault, &rig->v.p.dev, NULL), 0);
	rig->v.p.env = (struct pool_env){rig->v.p.w.r[0], &rig->v.p.w.r[1], WORLD_REACTORS - 1};
	assert_int_equal(rig_create(&rig->v.p), 0);
	assert_int_equal(rig_open(&rig->v.p), 0);
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_new), 0);
}

static void slow_fini(struct slow_rig *rig)
{
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&rig->v.p), 0);
	rig->v.p.dev->ops->destroy(rig->v.p.dev);
	rig->base->ops->destroy(rig->base);
	blk_world_fini(&rig->v.p.w);
}

static void slow_reads(struct slow_rig *rig, bool slow)
{
	struct disk_fault_rule rule = {.kind = DISK_FAULT_DELAY,
				       .ops = 1u << BLK_READ,
				       .probability = 1,
				       .delay_ns = SLOW_NS};
	uint32_t id;

	if (slow)
		assert_int_equal(disk_fault_add(rig->v.p.dev, &rule, &id, NULL), 0);
	else
		assert_int_equal(disk_fault_remove(rig->v.p.dev, 0, NULL), 0);
}

/*
 * While the checkpoint reads back, rounds fill the journal up to where ordinary ones stop. Its last look finds nothing to announce then, and the round that it is in has nothing else to
 * write either: it must end all the same, for everybody waits for the tail to move.
 */
static void a_journal_that_is_full_when_the_checkpoint_ends_goes_on(void **state)
{
	enum { WRITES = 2500 };
	struct volume_rig_opts opts = {.seed = 1, .size = 64 * MIB, .block_size = 512};
	struct slow_rig rig;
	struct blk_dev *dev;
	uint32_t fullest = 0;

	slow_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig.v, "v", 40 * MIB, 4096, false));
	slow_reads(&rig, true);
	memset(rig.v.p.w.buf, 7, 4096);
	for (uint64_t i = 0; i < WRITES; i++) {
		assert_int_equal(vrig_io(&rig.v, dev, BLK_WRITE, BLK_FUA, i * 4096, 4096), 0);
		fullest = MAX(fullest, log_blocks_used(rig.v.p.pool));
	}
	/* It was as full as rounds make it: else nothing was shown. */
	assert_true(fullest + 16 > rig.v.p.pool->rules.journal_blocks / 4 * 3);
	slow_reads(&rig, false);
	for (uint64_t i = 0; i < WRITES; i++)
		assert_true(vrig_reads(&rig.v, dev, i * 4096, 4096, 7));
	dev->ops->destroy(dev);
	slow_fini(&rig);
}

/* ---- rounds ---- */

#define BIG_TXNS 3u

struct big_txn {
	struct pool_txn txn;
	struct pool_rig *rig;
	unsigned *left;
};

static void big_txn_done(struct pool_txn *txn, int res)
{
	struct big_txn *big = container_of(txn, struct big_txn, txn);

	if (res)
		big->rig->res = res;
	if (--*big->left == 0)
		rig_done(big->rig, big->rig->res, NULL);
}

/* Records of a layer that is not there: nobody is changed by them. */
static void call_big_txns(struct pool_rig *rig)
{
	static struct big_txn big[BIG_TXNS];
	static unsigned left;
	struct record r = {.type = RECORD_MAP_RUN, .map_run = {.layer = 999, .count = 1}};

	left = BIG_TXNS;
	rig->res = 0;
	for (unsigned i = 0; i < BIG_TXNS; i++) {
		big[i].rig = rig;
		big[i].left = &left;
		pool_txn_init(&big[i].txn, big_txn_done);
		while (big[i].txn.size < 512 * KIB)
			pool_txn_add(&big[i].txn, &r);
		assert_int_equal(big[i].txn.error, 0);
	}
	for (unsigned i = 0; i < BIG_TXNS; i++)
		pool_txn_commit(rig->pool, &big[i].txn);
}

/* What does not fit into a round comes with the next one, also when nobody else asks for a round and the journal has too little for a checkpoint. */
static void a_transaction_that_does_not_fit_into_a_round_comes_with_the_next(void **state)
{
	struct volume_rig_opts opts = {.seed = 2, .size = 8 * GIB, .block_size = 512};
	struct volume_rig rig;

	vrig_init(&rig, &opts);
	assert_int_equal(rig_run(&rig.p, call_big_txns), 0);
	vrig_fini(&rig);
}

/* ---- sizes ---- */

static void call_resize(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_resize(volume_find(rig->set, rig->name), rig->opts.size_bytes, true, vrig_done, rig);
}

static int resize(struct volume_rig *rig, const char *name, uint64_t size)
{
	rig->name = name;
	rig->opts.size_bytes = size;
	return rig_run(&rig->p, call_resize);
}

static void call_revert(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_revert(volume_find(rig->set, rig->name), volume_find(rig->set, rig->other),
		      vrig_done, rig);
}

static int revert(struct volume_rig *rig, const char *name, const char *snapshot)
{
	rig->name = name;
	rig->other = snapshot;
	return rig_run(&rig->p, call_revert);
}

static void reopen(struct volume_rig *rig)
{
	assert_int_equal(rig_run(&rig->p, vrig_volumes_free), 0);
	rig_crash(&rig->p, true);
	assert_int_equal(rig_open(&rig->p), 0);
	assert_int_equal(rig_run(&rig->p, vrig_volumes_new), 0);
}

/* FORMAT.md §4: a run that maps has 2^24 clusters at most; what is longer is several. The last cluster of the largest volume has the highest number of 32 bits. */
static void runs_are_as_long_as_the_format_allows(void **state)
{
	const struct layout_rules rules = {.first_cluster = 8, .end_cluster = 64};
	const uint64_t entries[] = {0, MAP_HIDE};

	for (unsigned e = 0; e < ARRAY_LEN(entries); e++) {
		const uint64_t first = 10, end = (uint64_t)1 << 32;
		uint64_t next = first;
		struct pool_txn txn;

		pool_txn_init(&txn, NULL);
		volume_txn_run(&txn, 5, first, end, entries[e]);
		assert_int_equal(txn.error, 0);
		for (uint32_t at = 0, size; at < txn.size; at += size) {
			struct record r;

			assert_int_equal(record_decode(txn.records + at, txn.size - at, &rules, &r,
						       &size, NULL),
					 0);
			assert_int_equal(r.type, RECORD_MAP_RUN);
			assert_int_equal(r.map_run.entry, entries[e]);
			assert_int_equal(r.map_run.cluster, next);
			assert_true(r.map_run.count <= 1u << 24);
			next += r.map_run.count;
		}
		assert_int_equal(next, end);
		pool_txn_fini(&txn);
	}
}

/* ---- promises ---- */

/* What hides the parents behind an end that was once nearer takes pages, a page for half a GiB: they are there, or it is refused. */
static void growing_over_a_larger_snapshot_is_refused_where_its_pages_do_not_fit(void **state)
{
	struct volume_rig_opts opts = {.seed = 4, .size = 64 * MIB, .block_size = 512};
	struct volume_rig rig;
	const uint64_t size = 10 * TIB;

	vrig_init(&rig, &opts);
	(void)vrig_create(&rig, "v", size, 4096, false);
	(void)vrig_snapshot(&rig, "v", "s");
	assert_int_equal(resize(&rig, "v", MIB), 0);
	(void)vrig_snapshot(&rig, "v", "t");
	assert_int_equal(resize(&rig, "v", size), -ENOSPC);
	assert_non_null(strstr(rig.p.err.text, "metadata"));
	rig.name = "t";
	rig.opts = (struct volume_create_opts){.name = "c", .size_bytes = size};
	assert_int_equal(rig_run(&rig.p, vrig_call_clone), -ENOSPC);
	assert_int_equal(resize(&rig, "v", 100 * GIB), 0);
	assert_int_equal(rig_checkpoint(&rig.p), 0);
	assert_int_equal(pool_state(rig.p.pool), POOL_OPEN);
	reopen(&rig);
	vrig_fini(&rig);
}

/* A snapshot may be larger than its volume is by now. */
static void going_back_to_a_larger_snapshot_keeps_promises(void **state)
{
	struct volume_rig_opts opts = {.seed = 5, .size = 64 * MIB, .block_size = 512};
	struct pool_space_info info;
	struct volume_rig rig;

	vrig_init(&rig, &opts);
	(void)vrig_create(&rig, "v", 20 * MIB, 4096, true);
	(void)vrig_snapshot(&rig, "v", "s");
	assert_int_equal(resize(&rig, "v", 2 * MIB), 0);
	(void)vrig_create(&rig, "w", 44 * MIB, 4096, true);
	assert_int_equal(revert(&rig, "v", "s"), -ENOSPC);
	assert_int_equal(volume_find(rig.set, "v")->size_bytes, 2 * MIB);
	assert_int_equal(resize(&rig, "w", 20 * MIB), 0);
	assert_int_equal(revert(&rig, "v", "s"), 0);
	assert_int_equal(volume_find(rig.set, "v")->size_bytes, 20 * MIB);
	pool_space_info(rig.p.pool, &info);
	assert_int_equal(info.thick_reserved, 40);
	vrig_fini(&rig);
}

static void a_promise_is_as_large_after_opening_again(void **state)
{
	struct volume_rig_opts opts = {.seed = 8, .size = 64 * MIB, .block_size = 512};
	struct pool_space_info info;
	struct volume_rig rig;
	struct blk_dev *dev;

	vrig_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig, "v", 20 * MIB, 4096, true));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, MIB, 1), 0);
	(void)vrig_snapshot(&rig, "v", "s");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, MIB, 1), 0);
	assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
	for (unsigned i = 0; i < 3; i++) {
		reopen(&rig);
		pool_space_info(rig.p.pool, &info);
		assert_int_equal(info.thick_reserved, 18);
		assert_int_equal(rig.p.pool->space.level, 0); /* no watermark is crossed */
	}
	assert_int_equal(resize(&rig, "v", 10 * MIB), 0);
	pool_space_info(rig.p.pool, &info);
	assert_int_equal(info.thick_reserved, 8);
	vrig_fini(&rig);
}

/* A thick volume is written by two reactors in a pool that is full otherwise, and cut meanwhile if so asked. */
static bool thick_under_writes(uint64_t seed, bool snapshot)
{
	enum { SIZE = 20, ROOM = 8 };
	struct volume_rig_opts opts = {.seed = seed, .size = 64 * MIB, .block_size = 512};
	static struct world_io io[SIZE];
	struct blk_dev *dev, *other;
	struct volume_rig rig;
	uint64_t n = 0;
	bool cut;

	vrig_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig, "v", SIZE * MIB, 4096, true));
	other = vrig_dev(vrig_create(&rig, "o", 64 * MIB, 4096, false));
	while (vrig_write(&rig, other, n * MIB, MIB, 1) == 0)
		n++;
	assert_int_equal(vrig_io(&rig, other, BLK_DISCARD, 0, 0, ROOM * MIB), 0);
	assert_int_equal(vrig_io(&rig, other, BLK_FLUSH, 0, 0, 0), 0);
	sim_run_for(rig.p.w.sim, NSEC_PER_SEC);
	memset(io, 0, sizeof(io));
	memset(rig.p.w.buf, 2, MIB);
	for (unsigned i = 0; i < SIZE; i++) {
		io[i].io = (struct blk_io){
			.op = BLK_WRITE, .offset = i * MIB, .length = 4096, .buf = rig.p.w.buf};
		world_io_start(&io[i], rig.p.w.r[1 + i % 2], dev);
		if (snapshot && i == seed % SIZE)
			vrig_snapshot_begin(&rig, "v", "s");
		if (i % 4 == seed % 4)
			sim_run_for(rig.p.w.sim, seed % 7 * NSEC_PER_USEC);
	}
	sim_run_for(rig.p.w.sim, NSEC_PER_SEC);
	assert_true(rig_is_done(&rig.p));
	cut = snapshot && rig.p.res == 0;
	for (unsigned i = 0; i < SIZE; i++) {
		assert_true(io[i].done);
		assert_int_equal(io[i].result, 0);
	}
	n = 0;
	while (vrig_write(&rig, other, n * MIB, MIB, 1) == 0)
		n++;
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, MIB, 3), 0);
	dev->ops->destroy(dev);
	other->ops->destroy(other);
	vrig_fini(&rig);
	return cut;
}

/* What one reactor has in stock may be the last of what was promised. */
static void a_thick_volume_has_its_space_on_each_reactor(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		(void)thick_under_writes(seed, false);
}

/* What the snapshot keeps is promised to the new head, too, whatever was written until the cut, or it is refused. */
static void a_snapshot_of_a_thick_volume_keeps_its_promise_under_writes(void **state)
{
	unsigned cut = 0;

	for (uint64_t seed = 1; seed <= 40; seed++)
		cut += thick_under_writes(seed, true);
	assert_in_range(cut, 1, 39);
}

static void sizes_near_64_bits_are_refused(void **state)
{
	struct volume_rig_opts opts = {.seed = 6, .size = 64 * MIB, .block_size = 512};
	struct pool_layer *a, *b;
	struct pool_space_info info;
	struct volume_rig rig;
	struct err err;
	uint64_t size;

	vrig_init(&rig, &opts);
	a = vrig_create(&rig, "v", 20 * MIB, 4096, false)->object->layer;
	(void)vrig_snapshot(&rig, "v", "s");
	a = volume_find(rig.set, "v")->object->layer;
	b = vrig_create(&rig, "w", 20 * MIB, 4096, false)->object->layer;
	for (uint64_t below = 0; below < 4096; below += 819) {
		rig.opts =
			(struct volume_create_opts){.name = "c", .size_bytes = UINT64_MAX - below};
		assert_int_equal(rig_run(&rig.p, vrig_call_create), -EINVAL);
		rig.name = "s";
		assert_int_equal(rig_run(&rig.p, vrig_call_clone), -EINVAL);
		assert_int_equal(resize(&rig, "v", UINT64_MAX - below), -EINVAL);
	}
	/* More than there is memory for maps of, as thousands of volumes would have it. */
	size = a->disk.size_bytes;
	a->disk.size_bytes = b->disk.size_bytes = (uint64_t)INT64_MAX - 1;
	rig.p.pool->super.now.commit_percent = 100000;
	pool_space_info(rig.p.pool, &info);
	assert_int_equal(info.volume_bytes, INT64_MAX);
	assert_int_equal(pool_space_check(rig.p.pool, LAYER_BYTES_MAX, &err), -ENOSPC);
	a->disk.size_bytes = b->disk.size_bytes = size;
	assert_int_equal(pool_space_check(rig.p.pool, MIB, &err), 0);
	vrig_fini(&rig);
}

/* ---- opening ---- */

#define DATA_CLUSTERS 6u

/* Where the disk has the data of a volume or snapshot: reads there fail. How many clusters. */
static unsigned forbid(struct volume_rig *rig, struct blk_dev *fault, const char *name)
{
	const struct map *map = volume_find(rig->set, name)->object->layer->map;
	unsigned n = 0;
	uint32_t id;

	for (uint32_t i = 0; i < DATA_CLUSTERS; i++) {
		uint64_t phys = map_phys(map_get(map, i, NULL));
		struct disk_fault_rule rule = {.kind = DISK_FAULT_ERROR,
					       .ops = 1u << BLK_READ,
					       .offset = phys * LAYOUT_CLUSTER,
					       .length = LAYOUT_CLUSTER,
					       .probability = 1,
					       .error = -EIO};

		if (!phys)
			continue;
		assert_int_equal(disk_fault_add(fault, &rule, &id, NULL), 0);
		n++;
	}
	return n;
}

static uint64_t acted(const struct blk_dev *fault)
{
	_cleanup_json_ json_t *rules = disk_fault_list(fault);
	uint64_t sum = 0;
	const json_t *rule;
	size_t i;

	json_array_foreach (rules, i, rule)
		sum += (uint64_t)json_integer_value(json_object_get(rule, "acted"));
	return sum;
}

/* Closed, and after a power cut: every block of data could be gone, and the pool would be opened. */
static void opening_reads_no_data(void **state)
{
	struct volume_rig_opts opts = {.seed = 7, .size = 64 * MIB, .block_size = 512};
	struct disk_fault_opts fault = {.name = "fault0", .seed = 1};
	struct volume_rig rig;
	struct blk_dev *dev;

	vrig_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig, "v", DATA_CLUSTERS * MIB, 4096, false));
	for (uint64_t i = 0; i < DATA_CLUSTERS; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, MIB, 1), 0);
	(void)vrig_snapshot(&rig, "v", "s");
	for (uint64_t i = 0; i < 2; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, MIB, 2), 0);
	assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
	for (unsigned crash = 0; crash < 2; crash++) {
		struct blk_dev *disk = fault.base = rig.p.dev, *layer;

		assert_int_equal(disk_fault_new(&fault, &layer, NULL), 0);
		assert_int_equal(forbid(&rig, layer, "s"), DATA_CLUSTERS);
		assert_int_equal(forbid(&rig, layer, "v"), 2);
		dev->ops->destroy(dev);
		assert_int_equal(rig_run(&rig.p, vrig_volumes_free), 0);
		if (crash)
			rig_crash(&rig.p, true);
		else
			assert_int_equal(rig_close(&rig.p), 0);
		rig.p.dev = layer;
		assert_int_equal(rig_open(&rig.p), 0);
		assert_int_equal(acted(layer), 0);
		assert_int_equal(rig_run(&rig.p, vrig_volumes_new), 0);
		dev = vrig_dev(volume_find(rig.set, "v"));
		assert_int_equal(vrig_io(&rig, dev, BLK_READ, 0, 0, 4096),
				 -EIO); /* the rules act */
		assert_int_equal(disk_fault_remove(layer, 0, NULL), 0);
		for (uint64_t i = 0; i < DATA_CLUSTERS; i++)
			assert_true(vrig_reads(&rig, dev, i * MIB, MIB, i < 2 ? 2 : 1));
		dev->ops->destroy(dev);
		assert_int_equal(rig_run(&rig.p, vrig_volumes_free), 0);
		assert_int_equal(rig_close(&rig.p), 0);
		layer->ops->destroy(layer);
		rig.p.dev = disk;
		assert_int_equal(rig_open(&rig.p), 0);
		assert_int_equal(rig_run(&rig.p, vrig_volumes_new), 0);
		dev = vrig_dev(volume_find(rig.set, "v"));
	}
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

/* ---- memory ---- */

/* A cluster that was written in parts has a mask in memory; when it is full it needs none, whether or not the pool is opened again. */
static void memory_of_masks_is_given_back_when_clusters_are_full(void **state)
{
	struct volume_rig_opts opts = {.seed = 7, .size = 64 * MIB, .block_size = 512};
	const uint64_t page = MAP_MASK_CLUSTERS * sizeof(struct block_mask);
	struct volume_rig rig;
	struct blk_dev *dev;
	uint64_t bytes;

	vrig_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig, "v", GIB, 4096, false));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			vrig_write(&rig, dev, (uint64_t)i * MAP_MASK_CLUSTERS * MIB, 4096, 1), 0);
	assert_int_equal(rig_checkpoint(&rig.p), 0);
	sim_run_for(rig.p.w.sim, NSEC_PER_SEC);
	bytes = atomic_load(&rig.p.pool->maps.bytes);
	for (unsigned i = 0; i < 2; i++) /* all of two of them */
		assert_int_equal(vrig_write(&rig, dev, (uint64_t)i * MAP_MASK_CLUSTERS * MIB + 4096,
					    MIB - 4096, 2),
				 0);
	assert_int_equal(atomic_load(&rig.p.pool->maps.bytes), bytes);
	assert_int_equal(rig_checkpoint(&rig.p), 0);
	sim_run_for(rig.p.w.sim, NSEC_PER_SEC); /* a turn of the gate */
	assert_int_equal(atomic_load(&rig.p.pool->maps.bytes), bytes - 2 * page);
	/* And it is there again when it is needed. */
	assert_int_equal(vrig_io(&rig, dev, BLK_DISCARD, 0, 4096, 4096), 0);
	assert_int_equal(vrig_write(&rig, dev, MIB, 4096, 3), 0);
	assert_int_equal(atomic_load(&rig.p.pool->maps.bytes), bytes - page);
	assert_int_equal(rig_checkpoint(&rig.p), 0);
	for (unsigned crash = 0; crash < 2; crash++) {
		assert_true(vrig_reads(&rig, dev, 0, 4096, 1));
		assert_true(vrig_reads(&rig, dev, 4096, 4096, 0));
		assert_true(vrig_reads(&rig, dev, 8192, MIB - 8192, 2));
		assert_true(vrig_reads(&rig, dev, MIB, 4096, 3));
		assert_true(vrig_reads(&rig, dev, MAP_MASK_CLUSTERS * MIB + 4096, MIB - 4096, 2));
		assert_true(vrig_reads(&rig, dev, 2ull * MAP_MASK_CLUSTERS * MIB, 4096, 1));
		assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
		dev->ops->destroy(dev);
		reopen(&rig);
		dev = vrig_dev(volume_find(rig.set, "v"));
	}
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_journal_that_is_full_when_the_checkpoint_ends_goes_on),
		cmocka_unit_test(a_transaction_that_does_not_fit_into_a_round_comes_with_the_next),
		cmocka_unit_test(runs_are_as_long_as_the_format_allows),
		cmocka_unit_test(
			growing_over_a_larger_snapshot_is_refused_where_its_pages_do_not_fit),
		cmocka_unit_test(going_back_to_a_larger_snapshot_keeps_promises),
		cmocka_unit_test(a_promise_is_as_large_after_opening_again),
		cmocka_unit_test(a_thick_volume_has_its_space_on_each_reactor),
		cmocka_unit_test(a_snapshot_of_a_thick_volume_keeps_its_promise_under_writes),
		cmocka_unit_test(sizes_near_64_bits_are_refused),
		cmocka_unit_test(opening_reads_no_data),
		cmocka_unit_test(memory_of_masks_is_given_back_when_clusters_are_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
