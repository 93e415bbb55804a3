/* SPDX-License-Identifier: Apache-2.0 */
/* What happens at limits: a journal that fills up while a checkpoint is slow, transactions that do not fit into a round, the largest volumes, promises of thick ones. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_journal_that_is_full_when_the_checkpoint_ends_goes_on),
		cmocka_unit_test(a_transaction_that_does_not_fit_into_a_round_comes_with_the_next),
		cmocka_unit_test(runs_are_as_long_as_the_format_allows),
		cmocka_unit_test(
			growing_over_a_larger_snapshot_is_refused_where_its_pages_do_not_fit),
		cmocka_unit_test(going_back_to_a_larger_snapshot_keeps_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
