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
	uint64_t slowest = 0;

	slow_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig.v, "v", 40 * MIB, 4096, false));
	slow_reads(&rig, true);
	memset(rig.v.p.w.buf, 7, 4096);
	for (uint64_t i = 0; i < WRITES; i++) {
		assert_int_equal(vrig_io(&rig.v, dev, BLK_WRITE, BLK_FUA, i * 4096, 4096), 0);
		slowest = MAX(slowest, (uint64_t)log_blocks_used(rig.v.p.pool));
	}
	/* It was as full as rounds make it: else nothing was shown. */
	assert_true(slowest + 16 > rig.v.p.pool->rules.journal_blocks / 4 * 3);
	slow_reads(&rig, false);
	for (uint64_t i = 0; i < WRITES; i++)
		assert_true(vrig_reads(&rig.v, dev, i * 4096, 4096, 7));
	dev->ops->destroy(dev);
	slow_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_journal_that_is_full_when_the_checkpoint_ends_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
