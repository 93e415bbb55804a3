/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cut in the middle of a checkpoint, page by page: pages that are newer than the records that are replayed over them, beside others that are older. Which pages came to the disk is chosen here, by
 * taking back what the checkpoint wrote; test-replay and tests/crash leave it to chance.
 */
#include "pool/checkpoint.h"
#include "unit/pool/pool_rig.h"

#define SIZE   (24 * MIB)
#define VOLUME (600 * MIB)
#define BLOCKS (SIZE / LAYOUT_PAGE)

static struct pool_rig rig;
static uint8_t before[SIZE];

static int setup(void **state)
{
	rig_init(&rig, 1, SIZE);
	assert_int_equal(rig_create(&rig), 0);
	assert_int_equal(rig_open(&rig), 0);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	return 0;
}

/* The head becomes a snapshot with that name; returns the new head's layer. */
static uint64_t cut(uint64_t head, const char *name)
{
	struct pool_layer *old = pool_layer_find(rig.pool, head);
	struct props *props = calloc(1, sizeof(*props));
	struct record r = {.type = RECORD_SNAPSHOT,
			   .snapshot = {.volume = old->disk.object,
					.snapshot = pool_new_id(rig.pool),
					.old_head = head,
					.new_head = pool_new_id(rig.pool)}};

	assert_non_null(props);
	snprintf(props->name, sizeof(props->name), "%s", name);
	put_le64(props->uuid.b, r.snapshot.snapshot);
	props->uuid.b[15] = 1;
	props->block_size = 4096;
	props->flags = PROPS_F_READ_ONLY;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	pool_txn_add_props(&rig.txn, r.snapshot.snapshot, 1, props);
	assert_int_equal(rig_commit(&rig), 0);
	free(props);
	return r.snapshot.new_head;
}

/* A snapshot that nothing stands on but one layer goes, as at the end of a merge. */
static void remove_below(uint64_t id, uint64_t child)
{
	const struct pool_layer *layer = pool_layer_find(rig.pool, id);
	struct record r = {.type = RECORD_LAYER_SET,
			   .layer_set = pool_layer_find(rig.pool, child)->disk};

	r.layer_set.parent = layer->disk.parent;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	r = (struct record){.type = RECORD_PROPS_DELETE, .props_delete.object = layer->disk.object};
	pool_txn_add(&rig.txn, &r);
	r = (struct record){.type = RECORD_LAYER_DELETE, .layer_delete.layer = id};
	pool_txn_add(&rig.txn, &r);
	assert_int_equal(rig_commit(&rig), 0);
}

static bool in_journal(uint64_t place)
{
	uint64_t first = LAYOUT_HEAD / LAYOUT_PAGE;

	return place >= first && place < first + rig.pool->rules.journal_blocks;
}

/* A checkpoint of whose writes outside of the journal only that LAYER page came to the disk. */
static void checkpoint_but_for(uint64_t layer_page)
{
	static const struct page_id none;
	static uint8_t now[LAYOUT_PAGE];
	unsigned kept = 0, undone = 0;

	sim_file_peek(rig.w.sim, RIG_PATH, 0, before, SIZE);
	assert_int_equal(rig_checkpoint(&rig), 0);
	for (uint64_t place = 0; place < BLOCKS; place++) {
		const uint8_t *old = before + place * LAYOUT_PAGE;
		struct page_info info = {.id = none};

		sim_file_peek(rig.w.sim, RIG_PATH, place * LAYOUT_PAGE, now, LAYOUT_PAGE);
		if (in_journal(place) || !memcmp(now, old, LAYOUT_PAGE))
			continue;
		if (page_open(now, &rig.pool->rules, place, &info, NULL) == PAGE_GOOD &&
		    info.id.kind == PAGE_LAYER && info.id.index == layer_page) {
			kept++;
			continue;
		}
		rig_write(&rig, place * LAYOUT_PAGE, old, LAYOUT_PAGE);
		undone++;
	}
	assert_int_equal(kept, 1);
	assert_true(undone >= SUPERBLOCK_COPIES + 1);
}

static uint64_t page_of(uint64_t layer)
{
	return pool_layer_find(rig.pool, layer)->slot / PAGE_LAYERS;
}

/* What is open is as if the checkpoint had not been. */
static void open_after_it(void)
{
	rig_crash(&rig, false);
	assert_int_equal(rig_open(&rig), 0);
}

static uint64_t size_of(uint64_t layer)
{
	const struct pool_layer *l = pool_layer_find(rig.pool, layer);

	return l ? l->disk.size_bytes : 0;
}

/* A volume, and as many others as go into a page with it; in the checkpoint. Its head. */
static uint64_t fill_first_page(void)
{
	uint64_t head = rig_add_volume(&rig, "v", VOLUME);
	char name[16];

	for (unsigned i = 0; i < PAGE_LAYERS - 1; i++) {
		snprintf(name, sizeof(name), "fill%u", i);
		(void)rig_add_volume(&rig, name, MIB);
	}
	assert_int_equal(rig_checkpoint(&rig), 0);
	return head;
}

/* The page without the first old head is there; that of the new heads is not, so only the records tell how large they are. */
static void new_heads_have_the_size_of_an_old_one_that_is_gone(void **state)
{
	uint64_t head[4];
	char name[16];

	head[0] = fill_first_page();
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		head[i + 1] = cut(head[i], name);
		assert_int_equal(page_of(head[i + 1]), 1);
	}
	remove_below(head[0], head[1]);
	checkpoint_but_for(0);
	open_after_it();
	assert_null(pool_layer_find(rig.pool, head[0]));
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(size_of(head[i]), VOLUME);
	assert_int_equal(rig_checkpoint(&rig), 0);
	open_after_it();
	assert_int_equal(size_of(head[3]), VOLUME);
}

/* The other way round: the new heads' page is there, the old head is still in its own. */
static void an_old_head_goes_though_its_page_has_it(void **state)
{
	uint64_t head[2];

	head[0] = fill_first_page();
	head[1] = cut(head[0], "s");
	remove_below(head[0], head[1]);
	checkpoint_but_for(1);
	open_after_it();
	assert_null(pool_layer_find(rig.pool, head[0]));
	assert_int_equal(size_of(head[1]), VOLUME);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(new_heads_have_the_size_of_an_old_one_that_is_gone),
		T(an_old_head_goes_though_its_page_has_it),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("replay-cut", tests, NULL, NULL);
}
