/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking and mending whole pools: real volumes on a simulated disk, then damage of each kind in each block of metadata. What the check says has a place; without
 * repair no byte changes; after repair the pool opens and what was not said to be lost is as it was.
 */
#include "pool/check.h"
#include "unit/volume/volume_rig.h"

#define SIZE    (24 * MIB)
#define BLOCKS  (SIZE / LAYOUT_PAGE)
#define CLUSTER ((uint64_t)LAYOUT_CLUSTER)

struct seen { /* of the first look */
	unsigned n;
	uint64_t place;
	char volumes[128], text[512];
};

struct lab {
	struct volume_rig v;
	uint8_t *whole; /* the disk before the damage */
	uint8_t *now;
	struct check_opts opts;
	struct check_result result;
	struct seen seen[CHECK_SEVERITIES];
};

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	struct lab *lab = ctx;
	struct seen *seen = &lab->seen[f->severity];

	assert_true(f->kind && f->text[0]);
	if (round || seen->n++)
		return;
	seen->place = f->place;
	snprintf(seen->text, sizeof(seen->text), "%s", f->text);
	snprintf(seen->volumes, sizeof(seen->volumes), "%s", f->volumes ? f->volumes : "");
}

static void call_check(struct pool_rig *p)
{
	struct lab *lab = container_of(p, struct lab, v.p);

	pool_check(&p->env, p->dev, &lab->opts, &lab->result, rig_done, p);
}

/* The exit status. */
static int check(struct lab *lab, bool repair)
{
	int res;

	memset(lab->seen, 0, sizeof(lab->seen));
	lab->opts.repair = repair;
	lab->opts.finding = finding;
	lab->opts.ctx = lab;
	res = rig_run(&lab->v.p, call_check);
	return check_exit_code(res, &lab->result);
}

static void peek(struct lab *lab, uint8_t *to)
{
	sim_file_peek(lab->v.p.w.sim, RIG_PATH, 0, to, SIZE);
}

/* Puts every block that differs back. */
static void restore(struct lab *lab)
{
	peek(lab, lab->now);
	for (uint64_t i = 0; i < BLOCKS; i++)
		if (memcmp(lab->now + i * LAYOUT_PAGE, lab->whole + i * LAYOUT_PAGE, LAYOUT_PAGE) !=
		    0)
			rig_write(&lab->v.p, i * LAYOUT_PAGE, lab->whole + i * LAYOUT_PAGE,
				  LAYOUT_PAGE);
}

static void volumes_open(struct lab *lab)
{
	assert_int_equal(rig_open(&lab->v.p), 0);
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_new), 0);
}

static void volumes_close(struct lab *lab)
{
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab->v.p), 0);
}

static void lab_init(struct lab *lab, uint64_t seed)
{
	memset(lab, 0, sizeof(*lab));
	vrig_init(&lab->v, &(struct volume_rig_opts){seed, SIZE, 512, false});
	lab->whole = malloc(SIZE);
	lab->now = malloc(SIZE);
	assert_true(lab->whole && lab->now);
}

static void lab_fini(struct lab *lab)
{
	free(lab->whole);
	free(lab->now);
	rig_fini(&lab->v.p);
}

/* The pool is open before and after. */
static void write_volume(struct lab *lab, const char *name, uint64_t offset, uint64_t length,
			 uint8_t value)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab->v.set, name));

	assert_int_equal(vrig_write(&lab->v, dev, offset, length, value), 0);
	assert_int_equal(vrig_io(&lab->v, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
}

static bool volume_reads(struct lab *lab, const char *name, uint64_t offset, uint64_t length,
			 uint8_t value)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab->v.set, name));
	bool right = vrig_reads(&lab->v, dev, offset, length, value);

	dev->ops->destroy(dev);
	sim_run_for(lab->v.p.w.sim, NSEC_PER_MSEC);
	return right;
}

/* Two volumes, one with a snapshot, with whole and partial clusters, written over several checkpoints so that both slots are in use. */
static void fill(struct lab *lab)
{
	vrig_create(&lab->v, "a", 8 * MIB, 4096, false);
	vrig_create(&lab->v, "b", 8 * MIB, 512, false);
	write_volume(lab, "a", 0, CLUSTER, 1);
	write_volume(lab, "a", 3 * CLUSTER, 4096, 2);
	write_volume(lab, "b", 0, CLUSTER, 3);
	assert_int_equal(rig_checkpoint(&lab->v.p), 0);
	vrig_snapshot(&lab->v, "a", "s");
	write_volume(lab, "a", 8192, 4096, 4);
	assert_int_equal(rig_checkpoint(&lab->v.p), 0);
	write_volume(lab, "a", 5 * CLUSTER, 4096, 5);
	write_volume(lab, "b", 2 * CLUSTER, 8192, 6);
}

static void assert_b_whole(struct lab *lab)
{
	assert_true(volume_reads(lab, "b", 0, CLUSTER, 3));
	assert_true(volume_reads(lab, "b", CLUSTER, CLUSTER, 0));
	assert_true(volume_reads(lab, "b", 2 * CLUSTER, 8192, 6));
}

static void assert_all_whole(struct lab *lab)
{
	assert_b_whole(lab);
	assert_true(volume_reads(lab, "a", 0, 8192, 1));
	assert_true(volume_reads(lab, "a", 8192, 4096, 4));
	assert_true(volume_reads(lab, "a", 12288, 4096, 1));
	assert_true(volume_reads(lab, "a", 3 * CLUSTER, 4096, 2));
	assert_true(volume_reads(lab, "a", 5 * CLUSTER, 4096, 5));
	assert_true(volume_reads(lab, "s", 8192, 4096, 1));
	assert_true(volume_reads(lab, "s", 5 * CLUSTER, 4096, 0));
}

static void assert_clean(struct lab *lab)
{
	peek(lab, lab->whole);
	if (check(lab, false))
		fail_msg("not clean: %s %s %s %s", lab->v.p.err.text,
			 lab->seen[CHECK_MENDABLE].text, lab->seen[CHECK_LOSS].text,
			 lab->seen[CHECK_HOPELESS].text);
	assert_true(lab->result.loaded);
	peek(lab, lab->now);
	assert_memory_equal(lab->whole, lab->now, SIZE);
	assert_int_equal(check(lab, true), 0);
	assert_int_equal(lab->result.mended, 0);
	peek(lab, lab->now);
	assert_memory_equal(lab->whole, lab->now, SIZE);
}

/* ---- clean pools ---- */

static void kill_engine(struct lab *lab, bool power)
{
	assert_int_equal(rig_run(&lab->v.p, vrig_volumes_free), 0);
	rig_crash(&lab->v.p, power);
}

static void pools_in_every_state_are_clean(void **state)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct lab lab;

		lab_init(&lab, seed);
		kill_engine(&lab, seed & 1);
		assert_clean(&lab);
		volumes_open(&lab);
		fill(&lab);
		kill_engine(&lab, seed & 1);
		assert_clean(&lab);
		volumes_open(&lab);
		assert_all_whole(&lab);
		volumes_close(&lab);
		assert_clean(&lab);
		assert_int_equal(lab.result.numbers.volumes, 2);
		assert_int_equal(lab.result.numbers.snapshots, 1);
		assert_int_equal(lab.result.numbers.journal_blocks, 0);
		lab_fini(&lab);
	}
}

static void a_full_pool_with_many_snapshots_is_clean(void **state)
{
	struct lab lab;
	char name[16];

	lab_init(&lab, 9);
	vrig_create(&lab.v, "v", 64 * MIB, 4096, false);
	for (unsigned i = 0; i < 40; i++) {
		struct blk_dev *dev = vrig_dev(volume_find(lab.v.set, "v"));

		(void)vrig_write(&lab.v, dev, i * CLUSTER, 4096 * (i % 7 + 1), (uint8_t)i);
		dev->ops->destroy(dev);
		sim_run_for(lab.v.p.w.sim, NSEC_PER_MSEC);
		snprintf(name, sizeof(name), "s%u", i);
		vrig_snapshot(&lab.v, "v", name);
	}
	kill_engine(&lab, true);
	assert_clean(&lab);
	assert_int_equal(lab.result.numbers.snapshots, 40);
	volumes_open(&lab);
	volumes_close(&lab);
	assert_clean(&lab);
	lab_fini(&lab);
}

static void call_delete(struct pool_rig *p)
{
	struct lab *lab = container_of(p, struct lab, v.p);

	volume_delete(volume_find(lab->v.set, "s"), vrig_done, &lab->v);
}

/* The engine dies some time after the deletion of a middle snapshot was answered, its clusters on their way into the next one. */
static void a_pool_in_the_midst_of_a_merge_is_clean(void **state)
{
	unsigned merging = 0;

	for (uint64_t i = 0; i < 12; i++) {
		struct lab lab;

		lab_init(&lab, i + 1);
		fill(&lab);
		vrig_snapshot(&lab.v, "a", "s2");
		write_volume(&lab, "a", 4 * CLUSTER, 4096, 8);
		assert_int_equal(rig_run(&lab.v.p, call_delete), 0);
		sim_run_for(lab.v.p.w.sim, i * NSEC_PER_MSEC / 2);
		for (struct pool_layer *l = pool_layer_next(lab.v.p.pool, NULL); l;
		     l = pool_layer_next(lab.v.p.pool, l))
			merging += (l->disk.flags & LAYER_MERGING) != 0;
		peek(&lab, lab.whole);
		kill_engine(&lab, false);
		restore(&lab); /* as it was in the midst of it */
		assert_clean(&lab);
		volumes_open(&lab);
		assert_b_whole(&lab);
		volumes_close(&lab);
		assert_clean(&lab);
		lab_fini(&lab);
	}
	assert_true(merging > 0);
}

/* ---- damage ---- */

enum block_kind { BLOCK_OTHER, BLOCK_SUPER, BLOCK_PAGE, BLOCK_JOURNAL };

static enum block_kind kind_of(const uint8_t *block)
{
	if (!memcmp(block, SUPERBLOCK_MAGIC, 8))
		return BLOCK_SUPER;
	if (get_le32(block) == PAGE_MAGIC)
		return BLOCK_PAGE;
	return get_le32(block) == JOURNAL_MAGIC ? BLOCK_JOURNAL : BLOCK_OTHER;
}

static uint8_t *block_of(struct lab *lab, uint64_t i)
{
	return lab->whole + i * LAYOUT_PAGE;
}

/* Of a filled pool that was closed, or whose engine was killed. */
static void lab_with_pool(struct lab *lab, bool closed)
{
	lab_init(lab, 3);
	fill(lab);
	if (closed)
		volumes_close(lab);
	else
		kill_engine(lab, false);
	peek(lab, lab->whole);
}

static bool in_use(const struct lab *lab, const uint8_t *block)
{
	const struct superblock *sb = &lab->result.sb;
	const struct journal_format *j = (const void *)block;

	return kind_of(block) != BLOCK_JOURNAL ||
	       (get_le64(&j->lsn) >= sb->tail_lsn && get_le64(&j->epoch) == sb->epoch);
}

static unsigned flip_each(struct lab *lab, unsigned bit)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint8_t block[LAYOUT_PAGE];

		if (kind_of(block_of(lab, i)) == BLOCK_OTHER || !in_use(lab, block_of(lab, i)))
			continue;
		memcpy(block, block_of(lab, i), LAYOUT_PAGE);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rig_write(&lab->v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		assert_int_equal(check(lab, false), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab->seen[CHECK_MENDABLE].n, 1);
		assert_int_equal(lab->seen[CHECK_MENDABLE].place, i);
		assert_int_equal(check(lab, true), CHECK_EXIT_MENDED);
		peek(lab, lab->now);
		assert_memory_equal(lab->whole, lab->now, SIZE);
		n++;
	}
	return n;
}

static void flipped_bits_are_turned_back(void **state)
{
	struct lab lab;

	for (unsigned closed = 0; closed < 2; closed++) {
		lab_with_pool(&lab, closed);
		assert_int_equal(check(&lab, false), 0);
		assert_true(flip_each(&lab, 70 * 8 + 3) > 10);
		assert_true(flip_each(&lab, 9 * 8) > 10);
		assert_int_equal(check(&lab, false), 0);
		lab_fini(&lab);
	}
}

/* A block of zeros and ones instead of each page: it does not count, or it does and then the loss has a name. */
static void garbage_is_named(void **state)
{
	static const char *const names[] = {"a", "b", "s"};
	unsigned mended = 0, lost = 0, hopeless = 0;
	struct lab lab;

	lab_with_pool(&lab, true);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint8_t block[LAYOUT_PAGE];
		int status;

		if (kind_of(block_of(&lab, i)) != BLOCK_PAGE)
			continue;
		memcpy(block, block_of(&lab, i), LAYOUT_PAGE);
		memset(block + 512, 0x5a, 1024); /* the head stays */
		rig_write(&lab.v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		lab.opts.n_accept = 0;
		assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
		assert_true(lab.seen[CHECK_MENDABLE].place == i ||
			    lab.seen[CHECK_LOSS].place == i || lab.seen[CHECK_HOPELESS].place == i);
		status = check(&lab, true);
		if (status == CHECK_EXIT_MENDED) {
			mended++;
			volumes_open(&lab);
			assert_all_whole(&lab);
			volumes_close(&lab);
			assert_int_equal(check(&lab, false), 0);
		} else if (lab.seen[CHECK_LOSS].n) {
			lost++;
			peek(&lab, lab.now); /* nothing was written without consent */
			assert_memory_equal(lab.now + i * LAYOUT_PAGE, block, LAYOUT_PAGE);
			assert_int_equal(rig_open(&lab.v.p), -EUCLEAN);
			lab.opts.accept = names;
			lab.opts.n_accept = 3;
			assert_true(lab.seen[CHECK_LOSS].volumes[0]);
			assert_int_equal(check(&lab, true), CHECK_EXIT_MENDED);
			volumes_open(&lab);
			if (!strstr(lab.seen[CHECK_LOSS].volumes, "b"))
				assert_b_whole(&lab);
			volumes_close(&lab);
			lab.opts.n_accept = 0;
			assert_int_equal(check(&lab, false), 0);
		} else {
			assert_int_equal(status, CHECK_EXIT_DAMAGED);
			hopeless++;
		}
		restore(&lab);
	}
	assert_true(mended > 3);
	assert_true(lost > 1);
	assert_true(hopeless > 0);
	lab_fini(&lab);
}

/* Both slots of each page of the map of that volume's head. */
static unsigned rot_maps_of(struct lab *lab, uint64_t layer)
{
	unsigned n = 0;

	for (uint64_t i = LAYOUT_HEAD / LAYOUT_PAGE; i < BLOCKS; i++) {
		const struct page_format *f = (const void *)block_of(lab, i);
		uint8_t block[LAYOUT_PAGE];

		if (kind_of(block_of(lab, i)) != BLOCK_PAGE || get_le16(&f->kind) != PAGE_MAP ||
		    get_le64(&f->owner) != layer)
			continue;
		memcpy(block, block_of(lab, i), LAYOUT_PAGE);
		memset(block + 512, 0x5a, 1024);
		rig_write(&lab->v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		n++;
	}
	return n;
}

/*
 * Two volumes lose something, and the loss of one is accepted: giving that up alone would open the pool for writing with the other's map missing, as if its clusters were free and what the journal has of
 * it all that there is.
 */
static void a_loss_is_given_up_only_with_all_others(void **state)
{
	static const char *const one[] = {"b"}, *const all[] = {"a", "b", "s"};

	for (unsigned closed = 0; closed < 2; closed++) {
		struct lab lab;
		uint64_t a, b;

		lab_init(&lab, 3);
		fill(&lab);
		a = volume_find(lab.v.set, "a")->object->layer->disk.id;
		b = volume_find(lab.v.set, "b")->object->layer->disk.id;
		closed ? volumes_close(&lab) : kill_engine(&lab, false);
		peek(&lab, lab.whole);
		assert_true(rot_maps_of(&lab, a) && rot_maps_of(&lab, b));
		peek(&lab, lab.whole);
		lab.opts.accept = one;
		lab.opts.n_accept = 1;
		assert_int_equal(check(&lab, true), CHECK_EXIT_DAMAGED);
		assert_true(lab.seen[CHECK_LOSS].n > 1);
		assert_int_equal(lab.result.mended, 0);
		peek(&lab, lab.now);
		assert_memory_equal(lab.whole, lab.now, SIZE);
		lab.opts.accept = all;
		lab.opts.n_accept = ARRAY_LEN(all);
		assert_int_equal(check(&lab, true), CHECK_EXIT_MENDED);
		assert_int_equal(check(&lab, false), 0);
		volumes_open(&lab);
		volumes_close(&lab);
		lab_fini(&lab);
	}
}

/* The two slots of a pair, exchanged. */
static void swapped_slots_are_put_back(void **state)
{
	unsigned n = 0;
	struct lab lab;

	lab_with_pool(&lab, true);
	for (uint64_t i = 0; i + SEGMENT_PAIRS < BLOCKS; i++) {
		uint64_t k = i + SEGMENT_PAIRS;

		if (i < LAYOUT_HEAD / LAYOUT_PAGE || i % LAYOUT_CLUSTER_BLOCKS >= SEGMENT_PAIRS ||
		    kind_of(block_of(&lab, i)) != BLOCK_PAGE ||
		    kind_of(block_of(&lab, k)) != BLOCK_PAGE)
			continue;
		rig_write(&lab.v.p, i * LAYOUT_PAGE, block_of(&lab, k), LAYOUT_PAGE);
		rig_write(&lab.v.p, k * LAYOUT_PAGE, block_of(&lab, i), LAYOUT_PAGE);
		assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab.seen[CHECK_MENDABLE].n, 2);
		assert_int_equal(lab.seen[CHECK_MENDABLE].place, i);
		assert_int_equal(check(&lab, true), CHECK_EXIT_MENDED);
		peek(&lab, lab.now);
		assert_memory_equal(lab.whole, lab.now, SIZE);
		n++;
	}
	assert_true(n > 1);
	lab_fini(&lab);
}

/* Superblock copies that are gone, foreign, or older. */
static void superblock_copies_are_written_again(void **state)
{
	static const uint8_t zeros[LAYOUT_PAGE];
	struct lab lab;

	lab_with_pool(&lab, true);
	for (unsigned gone = 1; gone < 15; gone++) {
		for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
			if (gone >> i & 1)
				rig_write(&lab.v.p, SUPERBLOCK_COPY_OFFSET(i), zeros, LAYOUT_PAGE);
		assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab.seen[CHECK_MENDABLE].n, __builtin_popcount(gone));
		assert_int_equal(check(&lab, true), CHECK_EXIT_MENDED);
		peek(&lab, lab.now);
		assert_memory_equal(lab.whole, lab.now, SIZE);
	}
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		rig_write(&lab.v.p, SUPERBLOCK_COPY_OFFSET(i), zeros, LAYOUT_PAGE);
	assert_int_equal(check(&lab, true), CHECK_EXIT_FAILED);
	assert_int_equal(lab.v.p.res, -ENOENT);
	restore(&lab);
	lab_fini(&lab);
}

/* The last checkpoint's write of a page vanished: the older page is whole, and opening would not see it. */
static void lost_writes_are_seen(void **state)
{
	unsigned lost = 0;
	struct lab lab;
	uint8_t *before = malloc(SIZE);

	assert_non_null(before);
	lab_init(&lab, 4);
	fill(&lab);
	for (unsigned i = 0; i < 3; i++) {
		write_volume(&lab, "a", 6 * CLUSTER + i * 4096, 4096, 7);
		assert_int_equal(rig_checkpoint(&lab.v.p), 0);
		peek(&lab, i < 2 ? before : lab.whole);
	}
	kill_engine(&lab, false);
	peek(&lab, lab.whole);
	assert_int_equal(check(&lab, false), 0);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		if (kind_of(block_of(&lab, i)) != BLOCK_PAGE ||
		    kind_of(before + i * LAYOUT_PAGE) != BLOCK_PAGE ||
		    !memcmp(block_of(&lab, i), before + i * LAYOUT_PAGE, LAYOUT_PAGE))
			continue;
		rig_write(&lab.v.p, i * LAYOUT_PAGE, before + i * LAYOUT_PAGE, LAYOUT_PAGE);
		assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
		assert_true(lab.seen[CHECK_LOSS].place == i || lab.seen[CHECK_HOPELESS].place == i);
		lost += lab.seen[CHECK_LOSS].n;
		restore(&lab);
	}
	assert_true(lost > 0);
	free(before);
	lab_fini(&lab);
}

/* A flipped bit in each block of the journal that counts, and more than that. */
static void the_journal_is_turned_back(void **state)
{
	unsigned n = 0;
	struct lab lab;

	lab_with_pool(&lab, false);
	assert_int_equal(check(&lab, false), 0);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint8_t block[LAYOUT_PAGE];

		memcpy(block, block_of(&lab, i), LAYOUT_PAGE);
		if (kind_of(block) != BLOCK_JOURNAL || !in_use(&lab, block))
			continue;
		block[100] ^= 0x10;
		rig_write(&lab.v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		assert_int_equal(check(&lab, false), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab.seen[CHECK_MENDABLE].place, i);
		assert_int_equal(check(&lab, true), CHECK_EXIT_MENDED);
		peek(&lab, lab.now);
		assert_memory_equal(lab.whole, lab.now, SIZE);
		memset(block + 200, 0x33, 600);
		rig_write(&lab.v.p, i * LAYOUT_PAGE, block, LAYOUT_PAGE);
		if (check(&lab,
			  true)) { /* else it was the last, and looks like one that was torn */
			assert_int_equal(lab.seen[CHECK_HOPELESS].place, i);
			n++;
		}
		restore(&lab);
	}
	assert_true(n > 0);
	lab_fini(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_in_every_state_are_clean),
		cmocka_unit_test(a_full_pool_with_many_snapshots_is_clean),
		cmocka_unit_test(a_pool_in_the_midst_of_a_merge_is_clean),
		cmocka_unit_test(flipped_bits_are_turned_back),
		cmocka_unit_test(garbage_is_named),
		cmocka_unit_test(a_loss_is_given_up_only_with_all_others),
		cmocka_unit_test(swapped_slots_are_put_back),
		cmocka_unit_test(superblock_copies_are_written_again),
		cmocka_unit_test(lost_writes_are_seen),
		cmocka_unit_test(the_journal_is_turned_back),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
