/* SPDX-License-Identifier: Apache-2.0 */
/* Notes at opening, one by one: which of them count, and that none of the others harms anybody. What noting is worth as a whole the power-cut harness shows (tests/crash). */
#include <errno.h>

#include "unit/pool/pool_rig.h"

#define RECORDS 8u

static struct pool_rig rig;
static uint8_t memory[NOTE_HEAD + 2 * 3 * RECORDS * sizeof(struct note)]
	__attribute__((aligned(64)));
static struct note_head *const head = (struct note_head *)memory;
static unsigned users, gone;
static int get_result;
static uint64_t layer, frozen;
static const struct block_mask low = {{0xff}}, more = {{0xfff}};

static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	if (get_result)
		return err_set(err, get_result, "no memory for this test");
	users++;
	*ret = memory;
	*ret_size = sizeof(memory);
	return 0;
}

static void put(void *ctx, const struct uuid *pool, void *mem, size_t size, bool removed)
{
	assert_ptr_equal(mem, memory);
	users--;
	gone += removed;
}

static struct pool_memory ops = {.boot = {{7}}, .get = get, .put = put};

/* A volume with clusters 10 and 11, another one, and a snapshot's layer. */
static int setup(void **state)
{
	struct record r = {.type = RECORD_LAYER_SET};

	memset(memory, 0, sizeof(memory));
	users = gone = 0;
	get_result = 0;
	ops.boot.b[0] = 7;
	rig_init(&rig, 1, RIG_SIZE);
	rig.open.memory = &ops;
	assert_int_equal(rig_create(&rig), 0);
	assert_int_equal(rig_open(&rig), 0);
	layer = rig_add_volume(&rig, "v", 600 * MIB);
	frozen = rig_add_volume(&rig, "s", 600 * MIB);
	rig_map(&rig, layer, 3, 20, NULL);
	rig_map(&rig, layer, 4, 21 | MAP_PARTIAL, &low);
	rig_map(&rig, frozen, 3, 22, NULL);
	r.layer_set = pool_layer_find(rig.pool, frozen)->disk;
	r.layer_set.flags = LAYER_READ_ONLY;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	assert_int_equal(rig_commit(&rig), 0);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	assert_int_equal(users, 0);
	return 0;
}

/* As a reactor would: into a generation, at a place, whole. */
static struct note *note(unsigned generation, uint32_t region, uint32_t i, struct note n)
{
	struct note *to = note_at(head, region, generation, i);

	*to = n;
	note_seal(to, atomic_load(&head->generation[generation].number));
	return to;
}

static uint64_t entry_of(uint64_t of, uint32_t cluster, struct block_mask *ret_mask)
{
	return map_get(pool_layer_find(rig.pool, of)->map, cluster, ret_mask);
}

/* The process dies, and the pool is opened again. */
static void die_and_open(void)
{
	uint8_t then[sizeof(memory)];

	memcpy(then, memory, sizeof(then));
	rig_crash(&rig, false);
	memcpy(memory, then, sizeof(then));
	assert_int_equal(rig_open(&rig), 0);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
}

static void expect_nothing_noted(void)
{
	assert_int_equal(entry_of(layer, 3, NULL), 20);
	assert_int_equal(entry_of(layer, 4, NULL), 21 | MAP_PARTIAL);
	assert_int_equal(entry_of(layer, 5, NULL), 0);
	assert_int_equal(entry_of(frozen, 3, NULL), 22);
}

static void what_is_noted_is_there_and_becomes_durable(void **state)
{
	struct block_mask mask;
	struct pool_space_info before, after;

	pool_space_info(rig.pool, &before);
	note(1, 0, 0,
	     (struct note){.layer = layer,
			   .cluster = 4,
			   .seq = 2,
			   .entry = 21 | MAP_PARTIAL,
			   .mask = more});
	note(1, 2, 5, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 30});
	note(1, 1, 0, (struct note){.layer = layer, .cluster = 3, .seq = 7}); /* discarded */
	for (unsigned i = 0; i < 2; i++) {
		die_and_open();
		assert_int_equal(entry_of(layer, 4, &mask), 21 | MAP_PARTIAL);
		assert_memory_equal(&mask, &more, sizeof(mask));
		assert_int_equal(entry_of(layer, 5, NULL), 30);
		assert_int_equal(entry_of(layer, 3, NULL), 0);
		pool_space_info(rig.pool, &after);
		assert_int_equal(after.free, before.free); /* 30 came, 20 went */
		ops.boot.b[0] = 8; /* the machine starts anew: without notes it is the same */
	}
}

static void the_newest_note_of_a_cluster_counts(void **state)
{
	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	note(1, 1, 0, (struct note){.layer = layer, .cluster = 5, .seq = 10, .entry = 32});
	note(1, 2, 0, (struct note){.layer = layer, .cluster = 5, .seq = 8, .entry = 33});
	die_and_open();
	assert_int_equal(entry_of(layer, 5, NULL), 32);
	assert_false(bitmap_test(&rig.pool->space.used, 31));
}

static void what_the_journal_covers_does_not_count(void **state)
{
	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	atomic_store(&head->generation[1].cover, rig.pool->log.durable.lsn);
	die_and_open();
	expect_nothing_noted();
}

static void what_the_journal_does_not_reach_counts(void **state)
{
	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	atomic_store(&head->generation[1].cover, rig.pool->log.durable.lsn + 1);
	die_and_open();
	assert_int_equal(entry_of(layer, 5, NULL), 31);
}

static void what_does_not_fit_is_left_out(void **state)
{
	unsigned i = 0;

	note(1, 0, i++,
	     (struct note){.layer = 999, .cluster = 5, .seq = 1, .entry = 31});  /* no layer */
	note(1, 0, i++, (struct note){.layer = frozen, .cluster = 3, .seq = 1}); /* a snapshot's */
	note(1, 0, i++,
	     (struct note){
		     .layer = layer, .cluster = 600, .seq = 1, .entry = 31}); /* behind the end */
	note(1, 0, i++,
	     (struct note){.layer = layer, .cluster = 5, .seq = 1, .entry = 22}); /* another's */
	note(1, 0, i++,
	     (struct note){.layer = layer, .cluster = 5, .seq = 2, .entry = 1}); /* no data */
	note(1, 0, i++, (struct note){.layer = layer, .cluster = 5, .seq = 3, .entry = 31})
		->mask.word[3]++; /* torn */
	note(1, 0, i++, (struct note){.layer = layer, .cluster = 5, .seq = 4, .entry = 31})->seq++;
	*note_at(head, 0, 0, 0) =
		*note(1, 0, i, (struct note){.layer = layer, .cluster = 5, .seq = 5, .entry = 31});
	memset(note_at(head, 0, 1, i), 0, sizeof(struct note)); /* of the other generation */
	die_and_open();
	expect_nothing_noted();
}

static void notes_of_another_boot_pool_or_opening_do_not_count(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
		if (i == 0)
			ops.boot.b[0]++;
		else if (i == 1)
			head->pool.b[0]++;
		else if (i == 2)
			head->records = 1u << 30;
		else
			head->owner.epoch++;
		die_and_open();
		expect_nothing_noted();
	}
}

static void a_pool_without_the_memory_works(void **state)
{
	get_result = -ENOSPC;
	die_and_open();
	expect_nothing_noted();
	assert_false(atomic_load(&rig.pool->notes.on));
	rig_map(&rig, layer, 5, 31, NULL);
}

/* The process before us may still be ending. */
static void memory_that_is_busy_is_waited_for(void **state)
{
	struct note_head kept = *head;

	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	rig_crash(&rig, false);
	assert_int_equal(kept.magic, NOTE_MAGIC);
	get_result = -EBUSY;
	rig.done = false;
	rig.call = rig_call_open;
	rig.msg.run = rig_arrives;
	reactor_post(rig.env.home, &rig.msg);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
	assert_false(rig.done);
	get_result = 0;
	assert_true(sim_run_until(rig.w.sim, rig_is_done, &rig, WORLD_DEADLINE));
	assert_int_equal(rig.res, 0);
	assert_int_equal(entry_of(layer, 5, NULL), 31);
}

static void a_clean_end_takes_the_notes_away(void **state)
{
	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(gone, 1);
	assert_int_equal(head->magic, 0);
	assert_int_equal(rig_open(&rig), 0);
	expect_nothing_noted();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_noted_is_there_and_becomes_durable),
		T(the_newest_note_of_a_cluster_counts),
		T(what_the_journal_covers_does_not_count),
		T(what_the_journal_does_not_reach_counts),
		T(what_does_not_fit_is_left_out),
		T(notes_of_another_boot_pool_or_opening_do_not_count),
		T(a_pool_without_the_memory_works),
		T(memory_that_is_busy_is_waited_for),
		T(a_clean_end_takes_the_notes_away),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
