/* SPDX-License-Identifier: Apache-2.0 */
/* The pace of background work: sizes of slices and pauses as numbers, and a snapshot that is deleted with and without hosts, in simulated time. */
#include "unit/volume/volume_rig.h"
#include "volume/job.h"

#define MS       NSEC_PER_MSEC
#define CLUSTERS 96u

/* ---- the numbers ---- */

static void idle_work_never_pauses_and_moves_grow(void **state)
{
	unsigned slice = JOB_CLUSTERS;
	struct job_slice was = {.took_ns = MS};

	for (unsigned expected = 2 * JOB_CLUSTERS; expected <= JOB_CLUSTERS_MAX; expected *= 2) {
		was.clusters = slice;
		assert_int_equal(job_pace(&slice, &was), 0);
		assert_int_equal(slice, expected);
	}
	was.clusters = slice;
	assert_int_equal(job_pace(&slice, &was), 0);
	assert_int_equal(slice, JOB_CLUSTERS_MAX);
	was.clusters = 3; /* not all that it might have taken: says nothing */
	slice = 64;
	assert_int_equal(job_pace(&slice, &was), 0);
	assert_int_equal(slice, 64);
	was.took_ns = 31 * MS;
	assert_int_equal(job_pace(&slice, &was), 0);
	assert_int_equal(slice, 32);
	was.copied = true;
	assert_int_equal(job_pace(&slice, &was), 0);
	assert_int_equal(slice, JOB_CLUSTERS);
}

static void beside_hosts_moves_take_an_eighth_and_copies_a_quarter(void **state)
{
	unsigned slice = JOB_CLUSTERS_MAX;
	struct job_slice was = {.took_ns = 2 * MS, .clusters = JOB_CLUSTERS_MAX, .yields = true};

	assert_int_equal(job_pace(&slice, &was), 14 * MS);
	assert_int_equal(slice, JOB_CLUSTERS_MAX); /* smaller ones would cost more in all */
	was.copied = true;
	assert_int_equal(job_pace(&slice, &was), 6 * MS);
	was.took_ns = 3600 * NSEC_PER_SEC;
	assert_int_equal(job_pace(&slice, &was), NSEC_PER_SEC);
}

static void beside_hosts_slices_that_copy_are_short(void **state)
{
	unsigned slice = JOB_CLUSTERS;
	struct job_slice was = {.took_ns = 5 * MS, .copied = true, .yields = true};

	for (unsigned expected = JOB_CLUSTERS / 2; expected; expected /= 2) {
		was.clusters = slice;
		(void)job_pace(&slice, &was);
		assert_int_equal(slice, expected);
	}
	(void)job_pace(&slice, &was);
	assert_int_equal(slice, 1);
	was.took_ns = MS / 2;
	was.clusters = 1;
	(void)job_pace(&slice, &was);
	assert_int_equal(slice, 2);
	was.yields = false; /* alone again */
	(void)job_pace(&slice, &was);
	assert_int_equal(slice, JOB_CLUSTERS);
}

/* ---- a deletion ---- */

static void call_delete(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_delete(volume_find(rig->set, "s"), vrig_done, rig);
}

static bool work_is_over(void *ctx)
{
	const struct volume_rig *rig = ctx;

	return !rig->set->job && !rig->set->job_task.link.next;
}

/* Until the pool is above its first watermark. */
static void fill_up(struct volume_rig *rig)
{
	struct blk_dev *dev = vrig_dev(vrig_create(rig, "other", 256 * MIB, 4096, false));

	for (uint64_t c = 0; !pool_fills_up(rig->p.pool); c++)
		assert_int_equal(vrig_write(rig, dev, c * MIB, 4096, 1), 0);
	dev->ops->destroy(dev);
}

/* A snapshot with a block of each cluster; copies: the volume has another block of each. */
static struct blk_dev *begin(struct volume_rig *rig, bool full, bool copies)
{
	struct volume_rig_opts opts = {.seed = 7, .size = 256 * MIB, .block_size = 512};
	struct blk_dev *dev;

	vrig_init(rig, &opts);
	dev = vrig_dev(vrig_create(rig, "v", CLUSTERS * MIB, 4096, false));
	for (uint64_t c = 0; c < CLUSTERS; c++)
		assert_int_equal(vrig_write(rig, dev, c * MIB, 4096, (uint8_t)c), 0);
	assert_non_null(vrig_snapshot(rig, "v", "s"));
	if (full)
		fill_up(rig);
	assert_int_equal(pool_fills_up(rig->p.pool), full);
	for (uint64_t c = 0; c < CLUSTERS && copies; c++)
		assert_int_equal(vrig_write(rig, dev, c * MIB + 4096, 4096, (uint8_t)c), 0);
	return dev;
}

static void end(struct volume_rig *rig, struct blk_dev *dev)
{
	for (uint64_t c = 0; c < CLUSTERS; c++)
		assert_true(vrig_reads(rig, dev, c * MIB, 4096, (uint8_t)c));
	dev->ops->destroy(dev);
	vrig_fini(rig);
}

/* How long the work took, of simulated time; with hosts: while a volume is read all the time. */
static uint64_t delete_takes(bool full, bool copies, bool hosts)
{
	struct volume_rig rig;
	struct blk_dev *dev = begin(&rig, full, copies);
	uint64_t from = sim_now(rig.p.w.sim), took;

	assert_int_equal(rig_run(&rig.p, call_delete), 0);
	while (hosts && rig.set->job)
		assert_int_equal(vrig_io(&rig, dev, BLK_READ, 0, 0, 4096), 0);
	assert_true(sim_run_until(rig.p.w.sim, work_is_over, &rig, (uint64_t)600 * NSEC_PER_SEC));
	took = sim_now(rig.p.w.sim) - from;
	end(&rig, dev);
	return took;
}

static void work_gives_way_to_hosts_and_ends(void **state)
{
	for (unsigned copies = 0; copies < 2; copies++) {
		uint64_t alone = delete_takes(false, copies, false),
			 beside = delete_takes(false, copies, true);

		assert_true(beside > 2 * alone);
		assert_true(beside < 50 * alone);
	}
}

static void it_does_not_where_space_is_short(void **state)
{
	assert_true(delete_takes(true, false, true) < 2 * delete_takes(true, false, false));
}

/* A pause needs nobody: closing ends it, and the work goes on when the pool is open again. */
static void a_pause_ends_with_the_volumes(void **state)
{
	struct volume_rig rig;
	struct blk_dev *dev = begin(&rig, false, true);

	assert_int_equal(rig_run(&rig.p, call_delete), 0);
	while (rig.set->job && rig.set->job->step != JOB_PAUSED)
		assert_int_equal(vrig_io(&rig, dev, BLK_READ, 0, 0, 4096), 0);
	assert_non_null(rig.set->job); /* it was seen in a pause */
	dev->ops->destroy(dev);
	assert_int_equal(rig_run(&rig.p, vrig_volumes_free), 0);
	assert_int_equal(rig_run(&rig.p, vrig_volumes_new), 0);
	dev = vrig_dev(volume_find(rig.set, "v"));
	assert_true(sim_run_until(rig.p.w.sim, work_is_over, &rig, (uint64_t)600 * NSEC_PER_SEC));
	end(&rig, dev);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_work_never_pauses_and_moves_grow),
		cmocka_unit_test(beside_hosts_moves_take_an_eighth_and_copies_a_quarter),
		cmocka_unit_test(beside_hosts_slices_that_copy_are_short),
		cmocka_unit_test(work_gives_way_to_hosts_and_ends),
		cmocka_unit_test(it_does_not_where_space_is_short),
		cmocka_unit_test(a_pause_ends_with_the_volumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
