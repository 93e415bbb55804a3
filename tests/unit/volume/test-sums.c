/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of data: rot, lost and misdirected writes are errors with their place, in what is open and in what was closed, over closing and opening again; what a crash leaves is not
 * taken for damage. (The other tests of volumes run with sums too; power cuts are in tests/crash.)
 */
#include "pool/scrub.h"
#include "pool/sums_priv.h"
#include "unit/volume/volume_rig.h"

#define SIZE (64 * MIB)

struct lab {
	struct volume_rig v;
	struct blk_dev *dev;
};

static void attach(struct lab *lab)
{
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_new), 0);
	lab->dev = vrig_dev(volume_find(lab->v.set, "a"));
}

static void lab_init(struct lab *lab, uint32_t block_size)
{
	memset(lab, 0, sizeof(*lab));
	vrig_init(&lab->v, &(struct volume_rig_opts){3, SIZE, 512, false});
	assert_non_null(lab->v.p.pool->sums);
	vrig_create(&lab->v, "a", 16 * MIB, block_size, false);
	lab->dev = vrig_dev(volume_find(lab->v.set, "a"));
}

static void lab_fini(struct lab *lab)
{
	lab->dev->ops->destroy(lab->dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
	vrig_fini(&lab->v);
}

static void detach(struct lab *lab)
{
	lab->dev->ops->destroy(lab->dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_free), 0);
}

static void again(struct lab *lab)
{
	detach(lab);
	assert_int_equal(rig_close(&lab->v.p), 0);
	assert_int_equal(rig_open(&lab->v.p), 0);
	attach(lab);
}

static uint64_t offset_of(struct lab *lab, uint64_t offset)
{
	struct map_run run;

	map_find(volume_find(lab->v.set, "a")->view->chain[0], offset / LAYOUT_PAGE, 1, &run);
	assert_int_equal(run.found, MAP_HERE);
	return run.place * LAYOUT_PAGE;
}

static void put(struct lab *lab, uint64_t offset, uint64_t length, uint8_t value)
{
	assert_int_equal(vrig_write(&lab->v, lab->dev, offset, length, value), 0);
}

static int get(struct lab *lab, uint64_t offset, uint64_t length)
{
	return vrig_io(&lab->v, lab->dev, BLK_READ, 0, offset, length);
}

static bool has(struct lab *lab, uint64_t offset, uint64_t length, uint8_t value)
{
	return vrig_reads(&lab->v, lab->dev, offset, length, value);
}

static json_int_t stat_of(struct lab *lab, const char *name)
{
	json_t *json = sums_stats_json(lab->v.p.pool);
	json_int_t n = json_integer_value(json_object_get(json, name));

	assert_non_null(json_object_get(json, name));
	json_decref(json);
	return n;
}

static void flip(struct lab *lab, uint64_t at)
{
	uint8_t sector[512];

	rig_read(&lab->v.p, at / 512 * 512, sector, sizeof(sector));
	sector[at % 512] ^= 4;
	rig_write(&lab->v.p, at / 512 * 512, sector, sizeof(sector));
}

static void one_bad_block(struct lab *lab)
{
	json_int_t wrong = stat_of(lab, "wrong_blocks");

	assert_int_equal(get(lab, 8192, 4096), -EILSEQ);
	assert_int_equal(get(lab, 0, 65536), -EILSEQ);
	assert_int_equal(stat_of(lab, "wrong_blocks"), wrong + 2);
	assert_true(has(lab, 0, 8192, 1));
	assert_true(has(lab, 12288, 65536 - 12288, 1));
}

static void rot_is_an_error(void **state)
{
	struct lab lab;

	lab_init(&lab, 4096);
	put(&lab, 0, 65536, 1);
	flip(&lab, offset_of(&lab, 8192) + 4095);
	one_bad_block(&lab); /* its cluster is open */
	again(&lab);
	assert_int_equal(stat_of(&lab, "open_clusters"), 0);
	one_bad_block(&lab); /* closed, out of the table */
	put(&lab, 8192, 4096, 1);
	assert_true(has(&lab, 0, 65536, 1));
	again(&lab);
	assert_true(has(&lab, 0, 65536, 1));
	lab_fini(&lab);
}

static void a_part_is_not_written_over_rot(void **state)
{
	struct lab lab;

	lab_init(&lab, 512);
	put(&lab, 0, 8192, 1);
	flip(&lab, offset_of(&lab, 4096));
	assert_int_equal(vrig_write(&lab.v, lab.dev, 4608, 512, 2), -EILSEQ);
	assert_int_equal(get(&lab, 7680, 512), -EILSEQ);
	put(&lab, 512, 1024, 3);
	assert_true(has(&lab, 0, 512, 1) && has(&lab, 512, 1024, 3) && has(&lab, 1536, 2560, 1));
	put(&lab, 4096, 4096, 4);
	assert_true(has(&lab, 4096, 4096, 4));
	lab_fini(&lab);
}

static void lost_and_misdirected_writes_are_errors(void **state)
{
	static uint8_t a[4096], b[4096];
	struct lab lab;

	lab_init(&lab, 4096);
	put(&lab, 0, 65536, 1);
	rig_read(&lab.v.p, offset_of(&lab, 4096), a, sizeof(a));
	put(&lab, 4096, 4096, 2);
	rig_write(&lab.v.p, offset_of(&lab, 4096), a, sizeof(a)); /* as if it had not been */
	assert_int_equal(get(&lab, 4096, 4096), -EILSEQ);
	again(&lab);
	assert_int_equal(get(&lab, 4096, 4096), -EILSEQ);

	put(&lab, 1 * MIB, 4096, 7);
	rig_read(&lab.v.p, offset_of(&lab, 1 * MIB), b, sizeof(b));
	rig_write(&lab.v.p, offset_of(&lab, 8192), b, sizeof(b)); /* landed there too */
	assert_int_equal(get(&lab, 8192, 4096), -EILSEQ);
	assert_true(has(&lab, 1 * MIB, 4096, 7));
	lab_fini(&lab);
}

/* The table's own bytes: an error that need not be, never a wrong answer. */
static void a_bad_table_is_an_error(void **state)
{
	struct lab lab;
	uint64_t cluster, at;

	lab_init(&lab, 4096);
	put(&lab, 0, 1 * MIB, 1);
	cluster = offset_of(&lab, 0) / LAYOUT_CLUSTER;
	again(&lab);
	at = sums_place(cluster, lab.v.p.pool->rules.first_cluster) * LAYOUT_PAGE +
	     sums_offset(cluster);
	flip(&lab, at + 4 * 5);
	assert_int_equal(get(&lab, 5 * 4096, 4096), -EILSEQ);
	assert_true(has(&lab, 0, 5 * 4096, 1));
	assert_true(has(&lab, 6 * 4096, 250 * 4096, 1));
	lab_fini(&lab);
}

static void what_a_crash_left_open_is_taken_as_it_is(void **state)
{
	struct lab lab;

	lab_init(&lab, 4096);
	put(&lab, 0, 65536, 1);
	again(&lab);
	put(&lab, 4096, 4096, 2);
	assert_int_equal(vrig_io(&lab.v, lab.dev, BLK_FLUSH, 0, 0, 0), 0);
	put(&lab, 8192, 4096, 3); /* not flushed: old or new */
	detach(&lab);
	rig_crash(&lab.v.p, true);
	assert_int_equal(rig_open(&lab.v.p), 0);
	attach(&lab);
	assert_int_equal(stat_of(&lab, "open_clusters"), 1);
	assert_true(has(&lab, 0, 4096, 1) && has(&lab, 4096, 4096, 2));
	assert_int_equal(get(&lab, 8192, 4096), 0);
	assert_int_equal(stat_of(&lab, "summed_again"), 1);
	flip(&lab, offset_of(&lab, 0)); /* from then on it is known again */
	assert_int_equal(get(&lab, 0, 4096), -EILSEQ);
	again(&lab);
	assert_int_equal(get(&lab, 0, 4096), -EILSEQ);
	assert_true(has(&lab, 4096, 4096, 2));
	lab_fini(&lab);
}

static void what_is_not_written_is_closed(void **state)
{
	struct lab lab;

	lab_init(&lab, 4096);
	for (unsigned i = 0; i < 8; i++)
		put(&lab, i * MIB, 4096, 1);
	assert_int_equal(stat_of(&lab, "open_clusters"), 8);
	sim_run_for(lab.v.p.w.sim, 5 * NSEC_PER_SEC);
	assert_int_equal(stat_of(&lab, "open_clusters"), 0);
	assert_int_equal(rig_checkpoint(&lab.v.p), 0);
	assert_int_equal(stat_of(&lab, "dirty_clusters"), 0);
	put(&lab, 0, 4096, 2);
	assert_int_equal(stat_of(&lab, "open_clusters"), 1);
	lab_fini(&lab);
}

/* Errors of the disk do not become errors of the data. */
static void a_disk_that_comes_to_its_senses(void **state)
{
	struct lab lab;

	lab_init(&lab, 4096);
	put(&lab, 0, 65536, 1);
	put(&lab, 2 * MIB, 65536, 2);
	again(&lab); /* the table is to be read */
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 1u << FILE_READ, 1, -EIO);
	assert_int_equal(get(&lab, 0, 4096), -EIO);
	assert_int_equal(vrig_write(&lab.v, lab.dev, 0, 4096, 3), -EIO);
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_true(has(&lab, 0, 65536, 1));
	put(&lab, 4096, 4096, 1);
	detach(&lab);
	rig_crash(&lab.v.p, false);
	assert_int_equal(rig_open(&lab.v.p), 0);
	attach(&lab);
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 1u << FILE_READ, 1, -EIO);
	assert_int_equal(get(&lab, 0, 4096), -EIO); /* to be summed anew, and cannot be read */
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_true(has(&lab, 0, 65536, 1));
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 1u << FILE_WRITE, 1, -EIO);
	assert_int_equal(vrig_write(&lab.v, lab.dev, 0, 4096, 3), -EIO);
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_int_equal(get(&lab, 0, 4096), 0); /* old or new */
	assert_true(has(&lab, 4096, 65536 - 4096, 1));
	lab_fini(&lab);
}

static int put_into_cluster(struct lab *lab, unsigned cluster)
{
	return vrig_write(&lab->v, lab->dev, cluster * MIB, 4096, 7);
}

/* Clusters whose blocks can neither be written nor read stay open, and there is a limit of those: others are refused then, and do not wait for ever. */
static void unreadable_clusters_do_not_stop_others_for_ever(void **state)
{
	const unsigned both = 1u << FILE_WRITE | 1u << FILE_READ;
	struct lab lab;

	lab_init(&lab, 4096);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put_into_cluster(&lab, i), 0);
	again(&lab);
	lab.v.p.pool->sums->open_max = 2;
	assert_int_equal(put_into_cluster(&lab, 0), 0);
	assert_int_equal(put_into_cluster(&lab, 1), 0);
	assert_true(has(&lab, 2 * MIB, 4096, 7)); /* its sums are in RAM now */
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, both, 1, -EIO);
	assert_int_equal(put_into_cluster(&lab, 0), -EIO);
	assert_int_equal(put_into_cluster(&lab, 1), -EIO);
	assert_int_equal(put_into_cluster(&lab, 2), -EIO); /* was the hang */
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	for (unsigned tries = 0; put_into_cluster(&lab, 2); tries++)
		assert_true(tries < 3); /* each has one of them read anew */
	assert_true(has(&lab, 0, 4096, 7) && has(&lab, 2 * MIB, 4096, 7));
	assert_int_equal(put_into_cluster(&lab, 3), 0);
	again(&lab);
	assert_true(has(&lab, MIB, 4096, 7) && has(&lab, 3 * MIB, 4096, 7));
	lab_fini(&lab);
}

static void call_scrub(struct pool_rig *p)
{
	struct pool_scrub_opts opts = {.bytes_per_s = UINT64_MAX, .restart = true};

	rig_done(p, pool_scrub_start(p->pool, &opts, NULL), NULL);
}

static bool scrubbed(void *ctx)
{
	return !scrub_running(((struct lab *)ctx)->v.p.pool);
}

static void scrub_names_the_volume(void **state)
{
	struct lab lab;
	json_t *json;
	const char *text;

	lab_init(&lab, 4096);
	put(&lab, 0, 65536, 1); /* the rest of the cluster was never written: does not match */
	flip(&lab, offset_of(&lab, 8192));
	assert_int_equal(rig_run(&lab.v.p, call_scrub), 0);
	assert_true(sim_run_until(lab.v.p.w.sim, scrubbed, &lab, WORLD_DEADLINE));
	json = pool_scrub_json(lab.v.p.pool);
	assert_int_equal(json_integer_value(json_object_get(json, "wrong_blocks")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "problems_found")), 1);
	text = json_string_value(
		json_object_get(json_array_get(json_object_get(json, "problems"), 0), "problem"));
	assert_non_null(strstr(text, "block 2 "));
	assert_non_null(strstr(text, "(a)"));
	json_decref(json);
	lab_fini(&lab);
}

static void too_small_a_disk_is_refused(void **state)
{
	struct pool_rig rig;

	rig_init(&rig, 1, 10 * MIB);
	assert_int_equal(
		rig_create_opts(&rig, &(struct pool_create_opts){.name = "p", .sums = true}),
		-EINVAL);
	assert_int_equal(rig_create_opts(&rig, &(struct pool_create_opts){.name = "p"}), 0);
	rig_fini(&rig);
}

/* ---- notes ---- */

static uint8_t notes_memory[8 * NOTE_HEAD] __attribute__((aligned(NOTE_HEAD)));

static int notes_memory_get(void *ctx, const struct uuid *pool, size_t bytes, void **ret,
			    size_t *ret_size, struct err *err)
{
	*ret = notes_memory;
	*ret_size = sizeof(notes_memory);
	return 0;
}

static void notes_memory_put(void *ctx, const struct uuid *pool, void *memory, size_t size,
			     bool gone)
{
}

static bool table_is_written(void *ctx)
{
	return ((struct lab *)ctx)->v.p.pool->sums->table.step == TABLE_WRITE;
}

static void call_detached_close(struct pool_rig *p)
{
	pool_close(p->pool, rig_done, p);
}

/*
 * The table's flush is of the whole device, so when it fails data that only notes know may be lost, as with any other flush: they must not count at the next opening, or a block would show
 * what an earlier owner left there.
 */
static void a_flush_of_the_table_that_fails_ends_the_notes(void **state)
{
	static const struct pool_memory ops = {
		.boot = {{1}}, .get = notes_memory_get, .put = notes_memory_put};
	const struct note_head *head = (const void *)notes_memory;
	struct lab lab;

	lab_init(&lab, 4096);
	lab.v.p.open.memory = &ops;
	again(&lab);
	assert_int_equal(head->magic, NOTE_MAGIC);
	put(&lab, 0, 65536, 1);
	detach(&lab);
	lab.v.p.done = false;
	lab.v.p.call = call_detached_close; /* which brings the table up to date */
	lab.v.p.msg.run = rig_arrives;
	reactor_post(lab.v.p.env.home, &lab.v.p.msg);
	assert_true(sim_run_until(lab.v.p.w.sim, table_is_written, &lab, WORLD_DEADLINE));
	assert_int_equal(head->magic, NOTE_MAGIC);
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 1u << FILE_SYNC, 1, -EIO);
	assert_true(sim_run_until(lab.v.p.w.sim, rig_is_done, &lab.v.p, WORLD_DEADLINE));
	sim_file_fail(lab.v.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_true(lab.v.p.res < 0);
	assert_int_equal(head->magic, 0);
	assert_int_equal(rig_open(&lab.v.p), 0);
	attach(&lab);
	lab_fini(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rot_is_an_error),
		cmocka_unit_test(a_part_is_not_written_over_rot),
		cmocka_unit_test(lost_and_misdirected_writes_are_errors),
		cmocka_unit_test(a_bad_table_is_an_error),
		cmocka_unit_test(what_a_crash_left_open_is_taken_as_it_is),
		cmocka_unit_test(what_is_not_written_is_closed),
		cmocka_unit_test(a_disk_that_comes_to_its_senses),
		cmocka_unit_test(unreadable_clusters_do_not_stop_others_for_ever),
		cmocka_unit_test(scrub_names_the_volume),
		cmocka_unit_test(too_small_a_disk_is_refused),
		cmocka_unit_test(a_flush_of_the_table_that_fails_ends_the_notes),
	};

	(void)setenv("LITEPOOL_TEST_SUMS", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
