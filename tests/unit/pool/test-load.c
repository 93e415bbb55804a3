/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what is damaged, torn, foreign or somebody else's; and that it changes nothing that it should not. */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SIZE  (32 * MIB)
#define PIECE (256 * KIB)

static uint8_t image[SIZE]; /* the disk of a pool that crashed; each test begins with it */

static void save(struct pool_rig *rig)
{
	rig_read(rig, 0, image, SIZE);
}

static void restore(struct pool_rig *rig)
{
	for (uint64_t at = 0; at < SIZE; at += PIECE)
		rig_write(rig, at, image + at, PIECE);
}

/* Two volumes, one with a snapshot; some of it in pages, some in the journal. */
static int make_image(void **state)
{
	struct record r = {.type = RECORD_SNAPSHOT};
	struct block_mask mask = {{1, 2, 3, 4}};
	struct pool_rig rig;
	uint64_t v0, v1;

	rig_init(&rig, 77, SIZE);
	assert_int_equal(rig_create(&rig), 0);
	assert_int_equal(rig_open(&rig), 0);
	v0 = rig_add_volume(&rig, "v0", GIB);
	rig_map(&rig, v0, 0, 20, NULL);
	rig_map(&rig, v0, 1, 21 | MAP_PARTIAL, &mask);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_checkpoint(&rig), 0); /* the segment table too */
	v1 = rig_add_volume(&rig, "v1", GIB);
	rig_map(&rig, v1, 5, 22, NULL);
	r.snapshot.volume = pool_layer_find(rig.pool, v0)->disk.object;
	r.snapshot.snapshot = pool_new_id(rig.pool);
	r.snapshot.old_head = v0;
	r.snapshot.new_head = pool_new_id(rig.pool);
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	{
		struct props *props = calloc(1, sizeof(*props));

		snprintf(props->name, sizeof(props->name), "s0");
		props->uuid.b[3] = 9;
		props->block_size = 4096;
		pool_txn_add_props(&rig.txn, r.snapshot.snapshot, 1, props);
		free(props);
	}
	assert_int_equal(rig_commit(&rig), 0);
	rig_crash(&rig, true);
	save(&rig);
	rig_fini(&rig);
	return 0;
}

static void begin(struct pool_rig *rig)
{
	rig_init(rig, 1, SIZE);
	restore(rig);
}

static void check_state(struct pool_rig *rig)
{
	struct pool_object *v0 = pool_object_by_name(rig->pool, "v0");
	struct pool_object *s0 = pool_object_by_name(rig->pool, "s0");
	struct pool_object *v1 = pool_object_by_name(rig->pool, "v1");
	struct block_mask mask;

	assert_int_equal(pool_object_count(rig->pool), 3);
	assert_true(v0 && v1 && s0);
	assert_true(pool_object_is_snapshot(s0) && !pool_object_is_snapshot(v0));
	assert_ptr_equal(v0->layer->parent, s0->layer);
	assert_int_equal(map_get(s0->layer->map, 0, NULL), 20);
	assert_int_equal(map_get(s0->layer->map, 1, &mask), 21 | MAP_PARTIAL);
	assert_int_equal(mask.word[3], 4);
	assert_int_equal(map_mapped(v0->layer->map), 0);
	assert_int_equal(map_get(v1->layer->map, 5, NULL), 22);
}

static void flip(struct pool_rig *rig, uint64_t offset)
{
	uint8_t block[512];

	rig_read(rig, offset / 512 * 512, block, sizeof(block));
	block[offset % 512] ^= 0x10;
	rig_write(rig, offset / 512 * 512, block, sizeof(block));
}

static void mounting_twice_gives_the_same(void **state)
{
	struct pool_rig rig;

	begin(&rig);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig_open(&rig), 0);
		check_state(&rig);
		rig_crash(&rig, i & 1);
	}
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(rig_open(&rig), 0);
	check_state(&rig);
	rig_fini(&rig);
}

static void read_only_writes_nothing(void **state)
{
	static uint8_t after[SIZE];
	struct pool_rig rig;

	begin(&rig);
	rig.open.read_only = true;
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(pool_state(rig.pool), POOL_READ_ONLY);
	assert_int_equal(pool_writable(rig.pool), -EROFS);
	check_state(&rig);
	assert_int_equal(rig_close(&rig), 0);
	rig_read(&rig, 0, after, SIZE);
	assert_memory_equal(image, after, SIZE);
	rig_fini(&rig);
}

static void any_one_superblock_copy_is_enough(void **state)
{
	for (unsigned bad = 0; bad < 16; bad++) {
		struct pool_rig rig;

		begin(&rig);
		for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
			if (bad >> i & 1)
				flip(&rig, SUPERBLOCK_COPY_OFFSET(i) + 100);
		if (bad == 15) {
			assert_int_equal(rig_open(&rig), -EUCLEAN);
		} else {
			assert_int_equal(rig_open(&rig), 0);
			check_state(&rig);
			assert_int_equal(rig_close(&rig), 0);
			for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
				struct superblock sb;
				uint8_t page[LAYOUT_PAGE];

				rig_read(&rig, SUPERBLOCK_COPY_OFFSET(i), page, sizeof(page));
				assert_int_equal(superblock_decode(page, i, &sb, NULL),
						 SUPERBLOCK_GOOD);
			}
		}
		rig_fini(&rig);
	}
}

static void put_super(struct pool_rig *rig, unsigned copy, const struct superblock *sb)
{
	uint8_t page[LAYOUT_PAGE];

	superblock_encode(sb, copy, page);
	rig_write(rig, SUPERBLOCK_COPY_OFFSET(copy), page, sizeof(page));
}

static void get_super(struct superblock *sb)
{
	assert_int_equal(superblock_decode(image, 0, sb, NULL), SUPERBLOCK_GOOD);
}

/* A medium error under some copies is no reason not to read the pool. */
static void a_superblock_copy_that_cannot_be_read_is_not_needed(void **state)
{
	unsigned opened = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct pool_rig rig;

		rig_init(&rig, seed, SIZE);
		restore(&rig);
		rig.open.read_only = true;
		sim_file_fail(rig.w.sim, RIG_PATH, 1u << FILE_READ, 0.15, -EIO);
		opened += rig_open(&rig) == 0;
		sim_file_fail(rig.w.sim, RIG_PATH, 0, 0, 0);
		if (rig.pool)
			check_state(&rig);
		rig_fini(&rig);
	}
	assert_in_range(opened, 1, 20);
}

static void a_device_without_room_has_no_pool(void **state)
{
	struct pool_rig rig;

	rig_init(&rig, 1, 2 * MIB);
	assert_int_equal(rig_open(&rig), -ENOENT);
	rig_fini(&rig);
}

static void two_pools_need_a_choice(void **state)
{
	struct superblock sb;
	struct uuid mine;
	struct pool_rig rig;

	begin(&rig);
	get_super(&sb);
	mine = sb.pool;
	sb.pool.b[0] ^= 1;
	put_super(&rig, 3, &sb);
	assert_int_equal(rig_open(&rig), -ESTALE);
	rig.open.uuid = &mine;
	assert_int_equal(rig_open(&rig), 0);
	check_state(&rig);
	rig_fini(&rig);

	begin(&rig);
	rig.open.uuid = &(struct uuid){{1}};
	assert_int_equal(rig_open(&rig), -ENOENT);
	assert_non_null(strstr(rig.err.text, "another pool"));
	rig_fini(&rig);
}

static void features_decide_who_may_open(void **state)
{
	static const struct {
		uint64_t incompat, ro_compat;
		int write, read;
	} rows[] = {
		{2, 0, -EOPNOTSUPP, -EOPNOTSUPP},
		{0, 1, 0, 0},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct superblock sb;
		struct pool_rig rig;

		begin(&rig);
		get_super(&sb);
		sb.incompat = rows[i].incompat;
		sb.ro_compat = rows[i].ro_compat;
		for (unsigned k = 0; k < SUPERBLOCK_COPIES; k++)
			put_super(&rig, k, &sb);
		assert_int_equal(rig_open(&rig), rows[i].write);
		if (rig.pool) {
			assert_int_equal(pool_state(rig.pool), POOL_READ_ONLY);
			assert_int_equal(rig_close(&rig), 0);
		}
		rig.open.read_only = true;
		assert_int_equal(rig_open(&rig), rows[i].read);
		rig_fini(&rig);
	}
}

/* The other engine opened behind our back: the next write of the superblock notices, and no more is written. */
static void who_was_fenced_writes_nothing(void **state)
{
	struct superblock theirs;
	struct pool_rig rig;
	uint8_t page[LAYOUT_PAGE];

	begin(&rig);
	assert_int_equal(rig_open(&rig), 0);
	theirs = *pool_superblock(rig.pool);
	theirs.epoch++;
	theirs.generation = 1;
	theirs.writer.b[0] ^= 1;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		put_super(&rig, i, &theirs);
	assert_int_equal(rig_close(&rig), -ESTALE);
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock sb;

		rig_read(&rig, SUPERBLOCK_COPY_OFFSET(i), page, sizeof(page));
		assert_int_equal(superblock_decode(page, i, &sb, NULL), SUPERBLOCK_GOOD);
		assert_int_equal(sb.epoch, theirs.epoch);
		assert_true(uuid_equal(&sb.writer, &theirs.writer));
	}
	rig_fini(&rig);
}

/* ---- damage ---- */

struct problems {
	unsigned notes, damages;
	char first[600];
	uint64_t place;
};

static void take_problem(void *ctx, const struct pool_problem *p)
{
	struct problems *seen = ctx;

	assert_non_null(p->kind);
	if (p->severity == POOL_NOTE) {
		seen->notes++;
		return;
	}
	if (!seen->damages++) {
		snprintf(seen->first, sizeof(seen->first), "%s: %s", p->kind, p->text);
		seen->place = p->place;
	}
}

/* Opening refuses and names it; who asks for all problems gets it with its place and may look at the rest. */
static void expect_damage(struct pool_rig *rig, const char *what, uint64_t place)
{
	struct problems seen = {0};

	assert_int_equal(rig_open(rig), -EUCLEAN);
	if (!strstr(rig->err.text, what) || !strstr(rig->err.text, "pool check"))
		fail_msg("expected %s: %s", what, rig->err.text);
	rig->open.problem = take_problem;
	rig->open.problem_ctx = &seen;
	assert_int_equal(rig_open(rig), 0);
	if (!strstr(seen.first, what))
		fail_msg("expected %s: %s", what, seen.first);
	if (place)
		assert_int_equal(seen.place, place);
	assert_int_equal(rig_close(rig), 0);
	rig_fini(rig);
}

static bool is_page(uint64_t place, enum page_kind kind, struct page_info *info)
{
	struct layout_rules rules;
	struct superblock sb;

	get_super(&sb);
	superblock_rules(&sb, &rules);
	return page_open(image + place * LAYOUT_PAGE, &rules, place, info, NULL) == PAGE_GOOD &&
	       info->id.kind == kind;
}

/* The newest page of the kind. */
static uint64_t find_page(enum page_kind kind)
{
	uint64_t found = 0, lsn = 0;
	struct page_info info;

	for (uint64_t place = 1; place < SIZE / LAYOUT_PAGE; place++) {
		if (is_page(place, kind, &info) && info.lsn >= lsn) {
			found = place;
			lsn = info.lsn;
		}
	}
	assert_true(found);
	return found;
}

static void a_flipped_bit_in_a_page_is_named(void **state)
{
	static const enum page_kind kinds[] = {PAGE_MAP, PAGE_MASK, PAGE_LAYER, PAGE_PROPS,
					       PAGE_SEGMENTS};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		uint64_t place = find_page(kinds[i]);
		char text[64];
		struct pool_rig rig;

		begin(&rig);
		flip(&rig, place * LAYOUT_PAGE + 1000);
		snprintf(text, sizeof(text), "page at %llu ", (unsigned long long)place);
		expect_damage(&rig, text, place);
	}
}

static void a_flipped_bit_in_the_journal_is_named(void **state)
{
	struct superblock sb;
	struct pool_rig rig;
	struct layout_rules rules;

	get_super(&sb);
	superblock_rules(&sb, &rules);
	begin(&rig);
	flip(&rig, journal_offset(&rules, sb.tail_lsn) + 100);
	expect_damage(&rig, "journal block", journal_offset(&rules, sb.tail_lsn) / LAYOUT_PAGE);
}

/* A page with right checksums and a wrong entry. */
static void reseal(struct pool_rig *rig, uint64_t place, void (*edit)(uint8_t *page))
{
	static uint8_t page[LAYOUT_PAGE];
	struct layout_rules rules;
	struct superblock sb;
	struct page_info info;

	get_super(&sb);
	superblock_rules(&sb, &rules);
	memcpy(page, image + place * LAYOUT_PAGE, LAYOUT_PAGE);
	assert_int_equal(page_open(page, &rules, place, &info, NULL), PAGE_GOOD);
	edit(page);
	page_seal(page, &rules, &info, place);
	rig_write(rig, place * LAYOUT_PAGE, page, LAYOUT_PAGE);
}

static void edit_two_owners(uint8_t *page)
{
	page_set_entry(page, 9, 20);
}

static void edit_segment_owner(uint8_t *page)
{
	page_set_entry(page, 1, page_entry(page, 0));
}

static void edit_orphan(uint8_t *page)
{
	struct layer layer;

	assert_true(page_layer(page, 0, &layer));
	layer.parent = 999;
	page_set_layer(page, 0, &layer);
}

static void edit_twice(uint8_t *page)
{
	struct layer layer;

	assert_true(page_layer(page, 0, &layer));
	page_set_layer(page, 5, &layer);
}

static void edit_behind(uint8_t *page)
{
	struct layer layer;

	assert_true(page_layer(page, 0, &layer));
	layer.size_bytes = 0;
	page_set_layer(page, 0, &layer);
}

static void what_pages_say_of_each_other_is_checked(void **state)
{
	static const struct {
		enum page_kind kind;
		void (*edit)(uint8_t *page);
		const char *what;
	} rows[] = {
		{PAGE_MAP, edit_two_owners, "has another owner"},
		{PAGE_SEGMENTS, edit_segment_owner, "where another segment is"},
		{PAGE_LAYER, edit_orphan, "stands on layer 999"},
		{PAGE_LAYER, edit_twice, "is there twice"},
		{PAGE_LAYER, edit_behind, "maps cluster"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct pool_rig rig;

		begin(&rig);
		reseal(&rig, find_page(rows[i].kind), rows[i].edit);
		expect_damage(&rig, rows[i].what, 0);
	}
}

/* The newest LAYER page as somebody else or a later time would have written it. */
static void reseal_as(struct pool_rig *rig, uint64_t lsn, uint64_t epoch)
{
	static uint8_t page[LAYOUT_PAGE];
	uint64_t place = find_page(PAGE_LAYER);
	struct layout_rules rules;
	struct superblock sb;
	struct page_info info;

	get_super(&sb);
	superblock_rules(&sb, &rules);
	memcpy(page, image + place * LAYOUT_PAGE, LAYOUT_PAGE);
	assert_int_equal(page_open(page, &rules, place, &info, NULL), PAGE_GOOD);
	info.lsn = lsn;
	info.epoch = epoch;
	page_seal(page, &rules, &info, place);
	rig_write(rig, place * LAYOUT_PAGE, page, LAYOUT_PAGE);
}

static void pages_that_cannot_be_yet_are_damage(void **state)
{
	struct superblock sb;
	struct pool_rig rig;

	get_super(&sb);
	begin(&rig);
	reseal_as(&rig, sb.epoch_lsn, sb.epoch - 1);
	expect_damage(&rig, "an engine that had lost the pool", find_page(PAGE_LAYER));
	begin(&rig);
	reseal_as(&rig, sb.tail_lsn + 500, sb.epoch);
	expect_damage(&rig, "its end is missing", find_page(PAGE_LAYER));
	begin(&rig);
	reseal_as(&rig, 1, sb.epoch + 1);
	expect_damage(&rig, "LSN or epoch", find_page(PAGE_LAYER));
}

static void all_problems_are_reported(void **state)
{
	struct problems seen = {0};
	struct pool_rig rig;

	begin(&rig);
	flip(&rig, find_page(PAGE_MAP) * LAYOUT_PAGE + 1000);
	flip(&rig, find_page(PAGE_PROPS) * LAYOUT_PAGE + 1000);
	flip(&rig, SUPERBLOCK_COPY_OFFSET(2) + 100);
	rig.open.problem = take_problem;
	rig.open.problem_ctx = &seen;
	assert_int_equal(rig_open(&rig), 0);
	assert_in_range(seen.damages, 3, 4); /* two pages, and an object without its properties */
	assert_int_equal(seen.notes, 1);
	assert_non_null(pool_object_by_name(rig.pool, "v1"));
	rig_fini(&rig);
}

/* A wiped slot of the newest page: what it had is gone, and the mask or properties are missed. */
static void a_page_that_is_gone_is_missed(void **state)
{
	static const struct {
		enum page_kind kind;
		const char *what;
	} rows[] = {
		{PAGE_MASK, "the mask of cluster 1"},
		{PAGE_PROPS, "has no (or not all of its) properties"},
	};
	static const uint8_t zeros[LAYOUT_PAGE];

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t place = find_page(rows[i].kind);
		struct pool_rig rig;

		begin(&rig);
		rig_write(&rig, place * LAYOUT_PAGE, zeros, LAYOUT_PAGE);
		expect_damage(&rig, rows[i].what, 0);
	}
}

static void a_read_error_is_an_error(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct pool_rig rig;
		int res;

		rig_init(&rig, seed, SIZE);
		restore(&rig);
		sim_file_fail(rig.w.sim, RIG_PATH, 0xff, 0.03, -EIO);
		res = rig_open(&rig);
		sim_file_fail(rig.w.sim, RIG_PATH, 0, 0, 0);
		if (res == 0) {
			check_state(&rig);
			(void)rig_close(&rig);
		} else {
			assert_true(res == -EIO || res == -EUCLEAN);
			assert_string_not_equal(rig.err.text, "");
		}
		assert_int_equal(rig_open(&rig), 0);
		check_state(&rig);
		rig_fini(&rig);
	}
}

static void a_shrunk_device_is_refused(void **state)
{
	struct superblock sb;
	struct pool_rig rig;

	begin(&rig);
	get_super(&sb);
	sb.device_bytes += MIB;
	sb.end_cluster++;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		put_super(&rig, i, &sb);
	assert_int_equal(rig_open(&rig), -EUCLEAN);
	assert_non_null(strstr(rig.err.text, "shrunk"));
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounting_twice_gives_the_same),
		cmocka_unit_test(read_only_writes_nothing),
		cmocka_unit_test(any_one_superblock_copy_is_enough),
		cmocka_unit_test(a_superblock_copy_that_cannot_be_read_is_not_needed),
		cmocka_unit_test(a_device_without_room_has_no_pool),
		cmocka_unit_test(two_pools_need_a_choice),
		cmocka_unit_test(features_decide_who_may_open),
		cmocka_unit_test(who_was_fenced_writes_nothing),
		cmocka_unit_test(a_flipped_bit_in_a_page_is_named),
		cmocka_unit_test(a_flipped_bit_in_the_journal_is_named),
		cmocka_unit_test(what_pages_say_of_each_other_is_checked),
		cmocka_unit_test(pages_that_cannot_be_yet_are_damage),
		cmocka_unit_test(all_problems_are_reported),
		cmocka_unit_test(a_page_that_is_gone_is_missed),
		cmocka_unit_test(a_read_error_is_an_error),
		cmocka_unit_test(a_shrunk_device_is_refused),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("load", tests, make_image, NULL);
}
