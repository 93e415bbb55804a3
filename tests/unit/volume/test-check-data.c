/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `litepool pool check` on what volumes hold: data and the table of sums against each other, on pools that were closed and pools whose engine died; nothing is written, each damage has its
 * place and its volumes, and what has no sum that counts is no damage.
 */
#include "disk/disk.h"
#include "layout/sums.h"
#include "pool/check.h"
#include "unit/volume/volume_rig.h"

#define SIZE    (64 * MIB)
#define CLUSTER ((uint64_t)LAYOUT_CLUSTER)

struct lab {
	struct volume_rig v;
	struct check_opts opts;
	struct check_result result;
	unsigned wrong, notes;
	uint64_t place; /* of the first that is wrong */
	char kind[16], volumes[64], text[512];
	uint64_t progress, of;
};

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	struct lab *lab = ctx;

	lab->notes += f->severity == CHECK_NOTE;
	if (f->severity != CHECK_WRONG || lab->wrong++)
		return;
	lab->place = f->place;
	snprintf(lab->kind, sizeof(lab->kind), "%s", f->kind);
	snprintf(lab->volumes, sizeof(lab->volumes), "%s", f->volumes ? f->volumes : "");
	snprintf(lab->text, sizeof(lab->text), "%s", f->text);
}

static void progress(void *ctx, uint64_t clusters, uint64_t of)
{
	struct lab *lab = ctx;

	assert_true(clusters > lab->progress && clusters <= of);
	lab->progress = clusters;
	lab->of = of;
}

static void call_check(struct pool_rig *p)
{
	struct lab *lab = container_of(p, struct lab, v.p);

	pool_check(&p->env, p->dev, &lab->opts, &lab->result, rig_done, p);
}

/* The exit status. The device is as it was. */
static int check(struct lab *lab, bool data)
{
	static uint8_t before[SIZE], after[SIZE];
	int res;

	lab->wrong = lab->notes = 0;
	lab->progress = lab->of = 0;
	lab->opts = (struct check_opts){
		.data = data, .finding = finding, .progress = progress, .ctx = lab};
	sim_file_peek(lab->v.p.w.sim, RIG_PATH, 0, before, SIZE);
	res = rig_run(&lab->v.p, call_check);
	sim_file_peek(lab->v.p.w.sim, RIG_PATH, 0, after, SIZE);
	assert_memory_equal(before, after, SIZE);
	return check_exit_code(res, &lab->result);
}

static void put(struct lab *lab, const char *name, uint64_t offset, uint64_t length, uint8_t value)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab->v.set, name));

	assert_int_equal(vrig_write(&lab->v, dev, offset, length, value), 0);
	assert_int_equal(vrig_io(&lab->v, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
}

/* Where a volume has a byte. */
static uint64_t offset_of(struct lab *lab, const char *name, uint64_t offset)
{
	struct map_run run;

	map_find(volume_find(lab->v.set, name)->view->chain[0], offset / LAYOUT_PAGE, 1, &run);
	assert_int_equal(run.found, MAP_HERE);
	return run.place * LAYOUT_PAGE;
}

/* Volume a: clusters 0 to 7 whole, and of cluster 9 two blocks; its snapshot s has these, and cluster 0 was written again. */
static void lab_init(struct lab *lab, bool sums)
{
	memset(lab, 0, sizeof(*lab));
	blk_world_init(&lab->v.p.w, 5);
	vrig_disk(&lab->v, &(struct volume_rig_opts){5, SIZE, 512, false});
	lab->v.p.env = (struct pool_env){lab->v.p.w.r[0], &lab->v.p.w.r[1], WORLD_REACTORS - 1};
	assert_int_equal(
		rig_create_opts(&lab->v.p, &(struct pool_create_opts){.name = "p0", .sums = sums}),
		0);
	assert_int_equal(rig_open(&lab->v.p), 0);
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_new), 0);
	vrig_create(&lab->v, "a", 16 * MIB, 4096, false);
	for (unsigned i = 0; i < 8; i++)
		put(lab, "a", i * CLUSTER, CLUSTER, (uint8_t)(i + 1));
	put(lab, "a", 9 * CLUSTER + 16384, 8192, 9);
	vrig_snapshot(&lab->v, "a", "s");
	put(lab, "a", 4096, 8192, 10);
}

static void leave(struct lab *lab, bool closed)
{
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_free), 0);
	if (closed)
		assert_int_equal(rig_close(&lab->v.p), 0);
	else
		rig_crash(&lab->v.p, false);
}

static void flip(struct lab *lab, uint64_t at)
{
	uint8_t sector[512];

	rig_read(&lab->v.p, at / 512 * 512, sector, sizeof(sector));
	sector[at % 512] ^= 0x20;
	rig_write(&lab->v.p, at / 512 * 512, sector, sizeof(sector));
}

static uint64_t table_of(struct lab *lab, uint64_t offset)
{
	return sums_place(offset / CLUSTER, lab->result.sb.first_cluster) * LAYOUT_PAGE;
}

#define BLOCKS (8 * 256 + 2 + 2) /* that somebody may read */

static void sound_pools_are_clean(void **state)
{
	for (unsigned how = 0; how < 4; how++) {
		bool sums = how & 1, closed = how & 2;
		struct lab lab;

		lab_init(&lab, sums);
		leave(&lab, closed);
		assert_int_equal(check(&lab, false), CHECK_EXIT_CLEAN);
		assert_int_equal(lab.result.numbers.clusters_open, sums && !closed ? 10 : 0);
		assert_int_equal(lab.result.numbers.blocks_compared != 0, sums && closed);
		assert_true(lab.result.numbers.blocks_read < 10);
		assert_int_equal(lab.progress, 0);
		assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
		assert_int_equal(lab.result.numbers.blocks_read, BLOCKS);
		assert_int_equal(lab.result.numbers.blocks_compared, sums && closed ? BLOCKS : 0);
		assert_int_equal(lab.progress, 10);
		assert_int_equal(lab.of, 10);
		rig_fini(&lab.v.p);
	}
}

/* In a block of each kind of cluster: whole, partly written, the snapshot's and what was written over it. */
static void rot_is_told_with_its_place_and_volumes(void **state)
{
	static const struct {
		const char *volume, *shown_by;
		uint64_t offset;
	} spots[] = {
		{"s", "s a", 3 * CLUSTER + 37 * 4096},
		{"s", "s a", 9 * CLUSTER + 16384 + 4096},
		{"s", "s a", 0},
		{"a", "a", 4096},
	};
	struct lab lab;
	uint64_t at[ARRAY_LEN(spots)];

	lab_init(&lab, true);
	for (unsigned i = 0; i < ARRAY_LEN(spots); i++)
		at[i] = offset_of(&lab, spots[i].volume, spots[i].offset);
	leave(&lab, true);
	for (unsigned i = 0; i < ARRAY_LEN(spots); i++) {
		flip(&lab, at[i] + 100 * i);
		assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab.wrong, 1);
		assert_int_equal(lab.place, at[i] / LAYOUT_PAGE);
		assert_string_equal(lab.kind, "data");
		assert_non_null(strstr(lab.volumes, spots[i].volume));
		assert_int_equal(strlen(lab.volumes), strlen(spots[i].shown_by));
		flip(&lab, at[i] + 100 * i);
	}
	flip(&lab, at[0] + LAYOUT_PAGE); /* two blocks of one cluster are one finding */
	flip(&lab, at[0]);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 1);
	assert_int_equal(lab.place, at[0] / LAYOUT_PAGE);
	assert_non_null(strstr(lab.text, "blocks of s that do not match their sums: 2;"));
	assert_int_equal(check(&lab, false), CHECK_EXIT_CLEAN); /* no sample is of these blocks */
	rig_fini(&lab.v.p);
}

/* A block that nobody may read says nothing: what an earlier owner left there, or what follows what was written. */
static void what_nobody_reads_is_no_damage(void **state)
{
	struct lab lab;
	uint64_t at;

	lab_init(&lab, true);
	at = offset_of(&lab, "s", 9 * CLUSTER + 16384);
	leave(&lab, true);
	flip(&lab, at - 4096);
	flip(&lab, at + 8192);
	assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.result.numbers.blocks_compared, BLOCKS);
	rig_fini(&lab.v.p);
}

/* Each block of the table with sums that count, as garbage, zeros, and in the place of its neighbour: found without reading all data. */
static void a_damaged_table_is_seen_without_reading_data(void **state)
{
	uint8_t table[2][LAYOUT_PAGE], other[LAYOUT_PAGE];
	uint64_t at[2], data;
	struct lab lab;

	lab_init(&lab, true);
	data = offset_of(&lab, "s", 0);
	leave(&lab, true);
	assert_int_equal(check(&lab, false), CHECK_EXIT_CLEAN);
	for (unsigned i = 0; i < 2; i++) {
		at[i] = table_of(&lab, data + i * 4 * CLUSTER);
		rig_read(&lab.v.p, at[i], table[i], LAYOUT_PAGE);
	}
	assert_int_equal(at[0] + LAYOUT_PAGE, at[1]);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned how = 0; how < 3; how++) {
			memset(other, how ? 0 : 0x5a, sizeof(other));
			rig_write(&lab.v.p, at[i], how == 2 ? table[!i] : other, LAYOUT_PAGE);
			assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
			assert_int_equal(lab.wrong, 1);
			assert_int_equal(table_of(&lab, lab.place * LAYOUT_PAGE), at[i]);
			rig_write(&lab.v.p, at[i], table[i], LAYOUT_PAGE);
		}
	for (unsigned i = 0; i < 2; i++)
		rig_write(&lab.v.p, at[i], table[!i], LAYOUT_PAGE);
	assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 2);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_true(lab.wrong > 2);
	rig_fini(&lab.v.p);
}

/* A flipped bit in the sum of one block: that block, and no other. */
static void a_flipped_sum_is_told(void **state)
{
	struct lab lab;
	uint64_t at;

	lab_init(&lab, true);
	at = offset_of(&lab, "s", 5 * CLUSTER);
	leave(&lab, true);
	assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
	flip(&lab, table_of(&lab, at) + sums_offset(at / CLUSTER) + 77 * 4 + 1);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 1);
	assert_int_equal(lab.place, at / LAYOUT_PAGE + 77);
	rig_fini(&lab.v.p);
}

/* What was being written has no sums that count; what the journal alone has of closed ones does. */
static void after_a_crash_only_what_was_closed_is_compared(void **state)
{
	struct lab lab;
	uint64_t open, closed;

	lab_init(&lab, true);
	sim_run_for(lab.v.p.w.sim, 30 * NSEC_PER_SEC); /* all are closed */
	put(&lab, "a", 12 * CLUSTER, 4096, 3);
	open = offset_of(&lab, "a", 12 * CLUSTER);
	closed = offset_of(&lab, "s", 2 * CLUSTER + 8192);
	leave(&lab, false);
	assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.result.numbers.clusters_open, 1);
	assert_int_equal(lab.result.numbers.blocks_compared, BLOCKS);
	flip(&lab, open);
	assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
	flip(&lab, closed);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 1);
	assert_int_equal(lab.place, closed / LAYOUT_PAGE);
	rig_fini(&lab.v.p);
}

/* Maps that may be wrong would accuse data that is right. */
static void a_damaged_pool_is_to_be_mended_first(void **state)
{
	struct lab lab;
	uint64_t at;

	lab_init(&lab, true);
	at = offset_of(&lab, "s", 0);
	leave(&lab, true);
	flip(&lab, at);
	flip(&lab, SUPERBLOCK_COPY_OFFSET(2) + 60);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 0);
	assert_int_equal(lab.notes, 1);
	assert_int_equal(lab.result.found[CHECK_MENDABLE], 1);
	assert_int_equal(lab.result.numbers.blocks_read, 0);
	rig_fini(&lab.v.p);
}

/* Bad sectors in a block of data, and in the table: told one by one, and everything else is looked at. */
static void what_cannot_be_read_is_told(void **state)
{
	struct disk_fault_rule rule = {.kind = DISK_FAULT_ERROR,
				       .ops = 1u << BLK_READ,
				       .length = 512,
				       .probability = 1,
				       .error = -EIO};
	struct blk_dev *disk, *faulty;
	struct lab lab;
	uint64_t at;
	uint32_t id;

	lab_init(&lab, true);
	at = offset_of(&lab, "s", 6 * CLUSTER + 8192);
	leave(&lab, true);
	assert_int_equal(check(&lab, false), CHECK_EXIT_CLEAN);
	disk = lab.v.p.dev;
	assert_int_equal(disk_fault_new(&(struct disk_fault_opts){.name = "bad", .base = disk},
					&faulty, NULL),
			 0);
	lab.v.p.dev = faulty;
	rule.offset = at;
	assert_int_equal(disk_fault_add(faulty, &rule, &id, NULL), 0);
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 1);
	assert_int_equal(lab.place, at / LAYOUT_PAGE);
	assert_non_null(strstr(lab.text, "cannot be read"));
	assert_int_equal(lab.result.numbers.blocks_compared, BLOCKS - 1);
	assert_int_equal(disk_fault_remove(faulty, id, NULL), 0);
	rule.offset = table_of(&lab, at);
	assert_int_equal(disk_fault_add(faulty, &rule, &id, NULL), 0);
	assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.wrong, 1);
	assert_int_equal(lab.place, rule.offset / LAYOUT_PAGE);
	assert_string_equal(lab.kind, "sums");
	assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.result.numbers.blocks_read, BLOCKS);
	assert_true(lab.result.numbers.blocks_compared < BLOCKS);
	faulty->ops->destroy(faulty);
	sim_run_for(lab.v.p.w.sim, NSEC_PER_MSEC);
	lab.v.p.dev = disk;
	assert_int_equal(check(&lab, true), CHECK_EXIT_CLEAN);
	rig_fini(&lab.v.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_pools_are_clean),
		cmocka_unit_test(rot_is_told_with_its_place_and_volumes),
		cmocka_unit_test(what_nobody_reads_is_no_damage),
		cmocka_unit_test(a_damaged_table_is_seen_without_reading_data),
		cmocka_unit_test(a_flipped_sum_is_told),
		cmocka_unit_test(after_a_crash_only_what_was_closed_is_compared),
		cmocka_unit_test(what_cannot_be_read_is_told),
		cmocka_unit_test(a_damaged_pool_is_to_be_mended_first),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("check-data", tests, NULL, NULL);
}
