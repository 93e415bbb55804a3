/* SPDX-License-Identifier: Apache-2.0 */
/* Scrubbing an open pool: rot in each metadata page and superblock copy is found and mended from RAM, what cannot be read is named, and it goes on where it stopped. */
#include "pool/check.h"
#include "pool/scrub_priv.h"
#include "unit/volume/volume_rig.h"

#define SIZE    (24 * MIB)
#define BLOCKS  (SIZE / LAYOUT_PAGE)
#define CLUSTER ((uint64_t)LAYOUT_CLUSTER)

struct lab {
	struct volume_rig v;
	struct pool_scrub_opts opts;
	uint8_t *disk;
};

static void call_start(struct pool_rig *p)
{
	struct lab *lab = container_of(p, struct lab, v.p);

	rig_done(p, pool_scrub_start(p->pool, &lab->opts, NULL), NULL);
}

static void stopped(void *ctx)
{
	rig_done(ctx, 0, NULL);
}

static void call_stop(struct pool_rig *p)
{
	pool_scrub_stop(p->pool, stopped, p);
}

static bool is_stopped(void *ctx)
{
	return !scrub_running(((struct lab *)ctx)->v.p.pool);
}

static json_int_t number(struct lab *lab, const char *name)
{
	json_t *json = pool_scrub_json(lab->v.p.pool);
	json_int_t n = json_integer_value(json_object_get(json, name));

	assert_non_null(json_object_get(json, name));
	json_decref(json);
	return n;
}

static void scrub(struct lab *lab)
{
	lab->opts = (struct pool_scrub_opts){.bytes_per_s = UINT64_MAX, .restart = true};
	assert_int_equal(rig_run(&lab->v.p, call_start), 0);
	assert_true(sim_run_until(lab->v.p.w.sim, is_stopped, lab, WORLD_DEADLINE));
}

static void fill(struct lab *lab, const char *name, uint8_t value)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab->v.set, name));

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			vrig_write(&lab->v, dev, i * CLUSTER, i == 1 ? 8192 : CLUSTER, value), 0);
	assert_int_equal(vrig_io(&lab->v, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
}

static void lab_init(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	vrig_init(&lab->v, &(struct volume_rig_opts){7, SIZE, 512, false});
	lab->disk = malloc(SIZE);
	assert_non_null(lab->disk);
	vrig_create(&lab->v, "a", 8 * MIB, 4096, false);
	fill(lab, "a", 1);
	assert_int_equal(rig_checkpoint(&lab->v.p), 0);
	vrig_snapshot(&lab->v, "a", "s");
	fill(lab, "a", 2);
	assert_int_equal(rig_checkpoint(&lab->v.p), 0);
	assert_int_equal(rig_checkpoint(&lab->v.p), 0);
	sim_file_peek(lab->v.p.w.sim, RIG_PATH, 0, lab->disk, SIZE);
}

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	if (f->severity != CHECK_NOTE)
		fail_msg("%s", f->text);
}

static struct check_result result;

static void call_check(struct pool_rig *p)
{
	struct check_opts opts = {.finding = finding};

	pool_check(&p->env, p->dev, &opts, &result, rig_done, p);
}

static void lab_fini(struct lab *lab)
{
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab->v.p), 0);
	assert_int_equal(rig_run(&lab->v.p, call_check), 0);
	free(lab->disk);
	rig_fini(&lab->v.p);
}

static void a_sound_pool_is_sound(void **state)
{
	struct lab lab;

	lab_init(&lab);
	scrub(&lab);
	assert_int_equal(number(&lab, "problems_found"), 0);
	assert_int_equal(number(&lab, "clusters_read"),
			 4 + 1 + 6 + (json_int_t)sums_homes(lab.v.p.pool));
	assert_true(number(&lab, "pages_checked") > 256);
	assert_int_equal(number(&lab, "passes"), 1);
	assert_int_equal(pool_superblock(lab.v.p.pool)->scrub_cluster, 0);
	lab_fini(&lab);
}

static bool is_metadata(const uint8_t *block)
{
	return !memcmp(block, SUPERBLOCK_MAGIC, 8) || get_le32(block) == PAGE_MAGIC;
}

/* Also in a slot that nobody uses: all of them are looked at by the next opening. */
static void rot_is_mended(void **state)
{
	struct lab lab;
	unsigned n = 0, fresh = 0;

	lab_init(&lab);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint8_t block[LAYOUT_PAGE];
		bool blank = false;

		sim_file_peek(lab.v.p.w.sim, RIG_PATH, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		if (!is_metadata(block)) {
			uint32_t segment =
				scrub_segment_at(lab.v.p.pool, i / LAYOUT_CLUSTER_BLOCKS);

			blank = segment != UINT32_MAX && fresh < 3;
			fresh += blank;
			if (!blank)
				continue;
		}
		memset(block + 100, 0x77, 700);
		rig_write(&lab.v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		scrub(&lab);
		assert_int_equal(number(&lab, "problems_found"), 1);
		assert_true(number(&lab, "mended") > 0);
		scrub(&lab);
		assert_int_equal(number(&lab, "problems_found"), 0);
		n++;
	}
	assert_true(n > 10);
	lab_fini(&lab);
}

/* A page of the segment table that reads as zeros, as a disk that has forgotten it would say, and which counts. */
static void a_segment_table_that_is_gone_is_mended(void **state)
{
	static const uint8_t zeros[LAYOUT_PAGE];
	struct lab lab;
	unsigned n = 0;

	lab_init(&lab);
	for (unsigned slot = 0; slot < 2; slot++) {
		uint64_t place = segtab_place(0, slot);

		rig_write(&lab.v.p, place * LAYOUT_PAGE, zeros, LAYOUT_PAGE);
		scrub(&lab);
		n += (unsigned)number(&lab, "problems_found");
		scrub(&lab);
		assert_int_equal(number(&lab, "problems_found"), 0);
	}
	assert_in_range(n, 1, 2); /* of the two slots one counts, or each in its turn */
	lab_fini(&lab);
}

static bool is_zeroing(void *ctx)
{
	const struct lab *lab = ctx;

	return lab->v.p.pool->scrub->step == SCRUB_ZERO;
}

/* Whatever asks for it: after a flush that failed the next one may say that all is well, so the pool takes no more writes. */
static void a_flush_of_the_scrub_that_fails_ends_all_writing(void **state)
{
	struct lab lab;
	uint64_t place = 0;
	uint8_t block[LAYOUT_PAGE];

	lab_init(&lab);
	for (uint64_t i = LAYOUT_HEAD / LAYOUT_PAGE; i < BLOCKS && !place; i++) {
		uint32_t segment = scrub_segment_at(lab.v.p.pool, i / LAYOUT_CLUSTER_BLOCKS);

		if (segment != UINT32_MAX && !bitmap_test(&lab.v.p.pool->checkpoint->segments.used,
							  pair_id(segment, i % SEGMENT_PAIRS) - 1))
			place = i;
	}
	assert_true(place);
	memset(block, 0x77, sizeof(block));
	rig_write(&lab.v.p, place * LAYOUT_PAGE, block, LAYOUT_PAGE);
	lab.opts = (struct pool_scrub_opts){.bytes_per_s = UINT64_MAX, .restart = true};
	assert_int_equal(rig_run(&lab.v.p, call_start), 0);
	assert_true(sim_run_until(lab.v.p.w.sim, is_zeroing, &lab, WORLD_DEADLINE));
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 1u << FILE_SYNC, 1, -EIO);
	assert_true(sim_run_until(lab.v.p.w.sim, is_stopped, &lab, WORLD_DEADLINE));
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_int_equal(pool_state(lab.v.p.pool), POOL_FAILED);
	assert_int_equal(pool_writable(lab.v.p.pool), -EIO);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab.v.p), -EIO);
	free(lab.disk);
	rig_fini(&lab.v.p);
}

static bool has_suspects(void *ctx)
{
	const struct pool_scrub *s = ((const struct lab *)ctx)->v.p.pool->scrub;

	return !layout_is_zero(&s->suspect, sizeof(s->suspect));
}

/* A block that is being written for the first time while it is looked at is no rotten one: it looks wrong, and is read once more. */
static void a_block_counts_as_wrong_when_it_is_so_twice(void **state)
{
	uint8_t right[LAYOUT_PAGE], wrong[LAYOUT_PAGE] = {9};
	struct lab lab;
	uint64_t at;

	lab_init(&lab);
	if (!lab.v.p.pool->sums) {
		lab_fini(&lab);
		return;
	}
	at = map_phys(map_get(volume_find(lab.v.set, "a")->object->layer->map, 2, NULL)) * CLUSTER +
	     5 * LAYOUT_PAGE;
	rig_read(&lab.v.p, at, right, sizeof(right));
	for (unsigned i = 0; i < 2; i++) {
		rig_write(&lab.v.p, at, wrong, sizeof(wrong));
		lab.opts = (struct pool_scrub_opts){.bytes_per_s = UINT64_MAX, .restart = true};
		assert_int_equal(rig_run(&lab.v.p, call_start), 0);
		assert_true(sim_run_until(lab.v.p.w.sim, has_suspects, &lab, WORLD_DEADLINE));
		if (i)
			rig_write(&lab.v.p, at, right, sizeof(right));
		assert_true(sim_run_until(lab.v.p.w.sim, is_stopped, &lab, WORLD_DEADLINE));
		assert_int_equal(number(&lab, "wrong_blocks"), !i);
		assert_int_equal(number(&lab, "problems_found"), !i);
	}
	lab_fini(&lab);
}

/* A block that the device does not read is named with its volume; all else is read. */
static void what_cannot_be_read_is_named(void **state)
{
	struct disk_fault_rule rule = {
		.kind = DISK_FAULT_ERROR,
		.ops = 1u << BLK_READ,
		.error = -EIO,
		.probability = 1,
		.length = 4096,
	};
	struct disk_fault_opts opts = {.name = "fault"};
	struct lab lab;
	struct err err = {0};
	struct blk_dev *below;
	uint64_t phys;
	uint32_t id;
	json_t *json;
	char text[512];

	lab_init(&lab);
	phys = map_phys(map_get(volume_find(lab.v.set, "a")->object->layer->map, 2, NULL));
	below = lab.v.p.dev;
	opts.base = below;
	assert_int_equal(disk_fault_new(&opts, &lab.v.p.pool->dev, &err), 0);
	rule.offset = phys * CLUSTER + 5 * LAYOUT_PAGE;
	if (disk_fault_add(lab.v.p.pool->dev, &rule, &id, &err))
		fail_msg("%s", err.text);
	scrub(&lab);
	assert_int_equal(number(&lab, "problems_found"), 1);
	assert_int_equal(number(&lab, "unreadable_blocks"), 1);
	json = pool_scrub_json(lab.v.p.pool);
	snprintf(text, sizeof(text), "%s",
		 json_string_value(json_object_get(
			 json_array_get(json_object_get(json, "problems"), 0), "problem")));
	json_decref(json);
	assert_non_null(strstr(text, "block 5 of"));
	assert_non_null(strstr(text, "cluster 2 of layer"));
	assert_non_null(strstr(text, "(a)"));
	lab.v.p.pool->dev->ops->destroy(lab.v.p.pool->dev);
	lab.v.p.pool->dev = below;
	lab_fini(&lab);
}

/* Throttled, stopped, over a closing and an opening: each cluster of data is read once. */
static void it_goes_on_where_it_stopped(void **state)
{
	struct lab lab;
	json_int_t at;

	lab_init(&lab);
	lab.opts = (struct pool_scrub_opts){.bytes_per_s = MIB};
	assert_int_equal(rig_run(&lab.v.p, call_start), 0);
	sim_run_for(lab.v.p.w.sim, 6 * NSEC_PER_SEC + NSEC_PER_SEC / 2);
	assert_true(scrub_running(lab.v.p.pool));
	assert_in_range(number(&lab, "clusters_read"), 6, 7);
	assert_int_equal(rig_run(&lab.v.p, call_stop), 0);
	at = number(&lab, "cluster");
	assert_true(at > 8);
	assert_int_equal(pool_superblock(lab.v.p.pool)->scrub_cluster, at);
	assert_int_equal(rig_run(&lab.v.p, call_start), 0);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab.v.p), 0); /* while it runs */
	assert_int_equal(rig_open(&lab.v.p), 0);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_new), 0);
	assert_true(number(&lab, "cluster") >= at);
	lab.opts.bytes_per_s = UINT64_MAX;
	assert_int_equal(rig_run(&lab.v.p, call_start), 0);
	assert_true(sim_run_until(lab.v.p.w.sim, is_stopped, &lab, WORLD_DEADLINE));
	assert_int_equal(pool_superblock(lab.v.p.pool)->scrub_cluster, 0);
	assert_int_equal(number(&lab, "passes"), 1);
	assert_in_range(number(&lab, "clusters_read"), 4 + 1, 4 + 7);
	lab_fini(&lab);
}

/* Checkpoints and writes go on meanwhile: no false alarm. */
static void a_busy_pool_is_no_rotten_one(void **state)
{
	struct lab lab;

	lab_init(&lab);
	lab.opts = (struct pool_scrub_opts){.bytes_per_s = UINT64_MAX, .restart = true};
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(rig_run(&lab.v.p, call_start), 0);
		fill(&lab, "a", (uint8_t)i);
		assert_int_equal(rig_checkpoint(&lab.v.p), 0);
		assert_int_equal(number(&lab, "problems_found"), 0);
	}
	assert_true(sim_run_until(lab.v.p.w.sim, is_stopped, &lab, WORLD_DEADLINE));
	assert_int_equal(number(&lab, "problems_found"), 0);
	lab_fini(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_pool_is_sound),
		cmocka_unit_test(rot_is_mended),
		cmocka_unit_test(a_segment_table_that_is_gone_is_mended),
		cmocka_unit_test(a_flush_of_the_scrub_that_fails_ends_all_writing),
		cmocka_unit_test(a_block_counts_as_wrong_when_it_is_so_twice),
		cmocka_unit_test(what_cannot_be_read_is_named),
		cmocka_unit_test(it_goes_on_where_it_stopped),
		cmocka_unit_test(a_busy_pool_is_no_rotten_one),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
