/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes: which of them count at opening, one by one, and that none of the others harms anybody; and the order of the stores of whoever notes, which the power-cut harness (tests/crash) cannot see,
 * since its processes end between turns of reactors only. A process that ends between two stores is looked at by taking the right to write from the memory: the first store faults.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "pool/load.h"
#include "unit/pool/pool_rig.h"

static struct pool_rig rig;
static uint8_t memory[2 * NOTE_HEAD] __attribute__((aligned(NOTE_HEAD))); /* head, notes */
static struct note_head *const head = (struct note_head *)memory;
static unsigned users, gone;
static int get_result;
static size_t usable; /* of the memory */
static uint64_t layer, frozen;
static const struct block_mask low = {{0xff}}, more = {{0xfff}};

static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	if (get_result)
		return err_set(err, get_result, "no memory for this test");
	users++;
	*ret = memory;
	*ret_size = usable;
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
	usable = sizeof(memory);
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

static bool at_step(void *ctx)
{
	const struct pool *pool = rig.pool;

	return pool && pool->opening && pool->opening->step == *(const enum open_step *)ctx;
}

/* Begins to open, and stands in that step. */
static void open_until(enum open_step step)
{
	rig.done = false;
	rig.call = rig_call_open;
	rig.msg.run = rig_arrives;
	reactor_post(rig.env.home, &rig.msg);
	assert_true(sim_run_until(rig.w.sim, at_step, &step, WORLD_DEADLINE));
}

/* Other regions and records. */
static void note_head_reseal(void)
{
	uint8_t copy[offsetof(struct note_head, claim)];

	memcpy(copy, head, sizeof(copy));
	memset(copy + offsetof(struct note_head, crc), 0, sizeof(head->crc));
	head->crc = crc32c(copy, sizeof(copy));
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

/*
 * A flush that fails may have lost the data that notes point to, and the next one may say that all is well: what an earlier owner left there must never be read. Which flush it is: of what was read, of the
 * new epoch (two), of the round with the notes.
 */
static void a_flush_that_fails_at_the_opening_ends_the_notes(void **state)
{
	static const enum open_step steps[] = {OPEN_FLUSH, OPEN_EPOCH, OPEN_SETTLE};

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		uint8_t then[sizeof(memory)];

		note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
		memcpy(then, memory, sizeof(then));
		rig_crash(&rig, false);
		memcpy(memory, then, sizeof(then));
		open_until(steps[i]);
		sim_file_fail(rig.w.sim, RIG_PATH, 1u << FILE_SYNC, 1, -EIO);
		assert_true(sim_run_until(rig.w.sim, rig_is_done, &rig, WORLD_DEADLINE));
		sim_file_fail(rig.w.sim, RIG_PATH, 0, 0, 0);
		if (rig.res)
			rig.pool = NULL;
		else /* opened, and takes no writes */
			assert_int_equal(rig_close(&rig), -EIO);
		assert_int_equal(head->magic, 0);
		assert_int_equal(rig_open(&rig), 0);
		expect_nothing_noted();
	}
}

/* Any other failure leaves them: they count at the next opening. */
static void a_write_that_fails_at_the_opening_keeps_the_notes(void **state)
{
	uint8_t then[sizeof(memory)];

	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	memcpy(then, memory, sizeof(then));
	rig_crash(&rig, false);
	memcpy(memory, then, sizeof(then));
	sim_file_fail(rig.w.sim, RIG_PATH, 1u << FILE_WRITE, 1, -EIO);
	assert_int_equal(rig_open(&rig), -EIO);
	sim_file_fail(rig.w.sim, RIG_PATH, 0, 0, 0);
	assert_int_equal(head->magic, NOTE_MAGIC);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(entry_of(layer, 5, NULL), 31);
}

/* What was read from a memory that cannot be used is older than all that comes: it must not count again. */
static void notes_that_cannot_begin_leave_none(void **state)
{
	usable = NOTE_HEAD + 2 * sizeof(struct note); /* less than one for each reactor */
	head->records = 1;
	head->regions = 1;
	note_head_reseal();
	note(1, 0, 0, (struct note){.layer = layer, .cluster = 5, .seq = 9, .entry = 31});
	die_and_open();
	assert_int_equal(entry_of(layer, 5, NULL), 31);
	assert_false(atomic_load(&rig.pool->notes.on));
	assert_int_equal(head->magic, 0);
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

/* ---- noting ---- */

/* The first store into a page of the memory, and what there was to be seen before it. */
static struct trap {
	uint8_t *page;
	void (*look)(void);
	volatile unsigned stores;
	volatile uintptr_t first;
	struct sigaction before;
} trap;

static void trapped(int sig, siginfo_t *info, void *ctx)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	if (at - (uintptr_t)trap.page >= NOTE_HEAD || trap.stores++) {
		(void)sigaction(sig, &trap.before, NULL); /* a fault of the test */
		return;
	}
	trap.first = at;
	if (trap.look)
		trap.look();
	(void)mprotect(trap.page, NOTE_HEAD, PROT_READ | PROT_WRITE);
}

/* Runs call on the pool's reactor; the address of its first store into the page. */
static uintptr_t first_store(uint8_t *page, void (*call)(struct pool_rig *rig), void (*look)(void))
{
	struct sigaction act = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};

	if (sysconf(_SC_PAGESIZE) != NOTE_HEAD)
		skip(); /* of a machine with larger pages nothing else can be said */
	trap = (struct trap){.page = page, .look = look};
	assert_int_equal(sigaction(SIGSEGV, &act, &trap.before), 0);
	assert_int_equal(mprotect(page, NOTE_HEAD, PROT_READ), 0);
	(void)rig_run(&rig, call);
	assert_int_equal(mprotect(page, NOTE_HEAD, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(sigaction(SIGSEGV, &trap.before, NULL), 0);
	assert_int_equal(trap.stores, 1);
	return trap.first;
}

static struct map *map_of(uint64_t id)
{
	return pool_layer_find(rig.pool, id)->map;
}

/* Makes blocks 8 to 11 of cluster 4 valid. */
static void call_set_valid(struct pool_rig *p)
{
	struct map_claim claim = {.cluster = 4, .first = 8, .count = 4};

	assert_int_equal(map_prepare(map_of(layer), 4), 0);
	assert_int_equal(map_claim_take(map_of(layer), &claim), MAP_CLAIM_HELD);
	map_set_valid(&claim, 8, 4);
	map_claim_drop(&claim);
	rig_done(p, 0, NULL);
}

static bool block_is_seen(void)
{
	struct map_run run;

	map_find(map_of(layer), 4 * LAYOUT_CLUSTER_BLOCKS + 8, 1, &run);
	return run.found == MAP_HERE;
}

static volatile bool was_seen;
static void look_at_block(void)
{
	was_seen = block_is_seen();
}

static unsigned notes_of_cluster_4(unsigned generation)
{
	unsigned n = 0;

	for (uint32_t r = 0; r < head->regions; r++)
		for (uint32_t i = 0; i < head->records; i++) {
			const struct note *it = note_at(head, r, generation, i);

			n += it->cluster == 4 &&
			     note_good(it, atomic_load(&head->generation[generation].number),
				       &rig.pool->rules);
		}
	return n;
}

static void a_change_is_noted_before_it_is_seen(void **state)
{
	was_seen = true;
	(void)first_store(memory + NOTE_HEAD, call_set_valid, look_at_block);
	assert_false(was_seen);
	assert_true(block_is_seen());
	assert_true(map_settled(map_of(layer)));
	assert_int_equal(notes_of_cluster_4(1), 1);
}

/* A process that ends with the number new and the cover old leaves a generation without notes; the other way round one whose old notes count again. */
static void call_flip(struct pool_rig *p)
{
	notes_flip(p->pool);
	rig_done(p, 0, NULL);
}

static void a_generation_gets_its_number_before_its_cover(void **state)
{
	uint64_t number = atomic_load(&rig.pool->notes.number);
	struct note_generation *next = &head->generation[(number + 1) % 2];

	assert_ptr_equal(first_store(memory, call_flip, NULL), &next->number);
	assert_int_equal(atomic_load(&next->number), number + 1);
	assert_true(atomic_load(&next->cover) == NOTE_UNCOVERED);
}

static void call_end(struct pool_rig *p)
{
	notes_end(p->pool);
	rig_done(p, 0, NULL);
}

static void notes_end_with_their_magic(void **state)
{
	assert_ptr_equal(first_store(memory, call_end, NULL), &head->magic);
	assert_int_equal(head->magic, 0);
}

static void call_start(struct pool_rig *p)
{
	notes_start(p->pool);
	rig_done(p, 0, NULL);
}

/* Made new: what is there must not count with a half of what comes. */
static void notes_begin_without_magic(void **state)
{
	assert_int_equal(head->magic, NOTE_MAGIC);
	free(rig.pool->notes.region);
	assert_ptr_equal(first_store(memory, call_start, NULL), &head->magic);
	assert_int_equal(head->magic, NOTE_MAGIC);
}

/* The snapshot's cut: a note of a layer that no record has made yet would be lost with the process, so the write must wait for the round. */
static void what_is_held_for_a_cut_is_not_noted(void **state)
{
	map_set_held(map_of(layer), true);
	assert_int_equal(rig_run(&rig, call_set_valid), 0);
	assert_false(map_settled(map_of(layer)));
	assert_int_equal(notes_of_cluster_4(1), 0);
	sim_run_for(rig.w.sim, 3 * NSEC_PER_SEC); /* rounds leave it out, too */
	assert_false(map_settled(map_of(layer)));
	map_set_held(map_of(layer), false);
	log_kick(rig.pool);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
	assert_true(map_settled(map_of(layer)));
}

/* The cover is known before the blocks are submitted, and not before it is known which they are. */
static void a_round_covers_before_it_writes(void **state)
{
	uint64_t number = atomic_load(&rig.pool->notes.number);
	const struct note_generation *old = &head->generation[number % 2];

	assert_int_equal(rig_run(&rig, call_set_valid), 0);
	log_kick(rig.pool);
	while (rig.pool->log.step == LOG_IDLE) {
		assert_int_equal(atomic_load(&rig.pool->notes.number), number);
		assert_true(atomic_load(&old->cover) == NOTE_UNCOVERED);
		assert_true(sim_step(rig.w.sim));
	}
	assert_int_equal(rig.pool->log.step, LOG_FLUSH_DATA);
	assert_int_equal(rig.pool->log.n_blocks, 1);
	assert_int_equal(atomic_load(&rig.pool->notes.number), number + 1);
	assert_int_equal(atomic_load(&old->cover), rig.pool->log.first_lsn + 1);
}

struct flipper {
	pthread_t thread;
	atomic_bool changed; /* somebody who was in the middle of a change has queued it */
	bool saw;
};

static void *flip_beside(void *arg)
{
	struct flipper *f = arg;

	notes_flip(rig.pool);
	f->saw = atomic_load(&f->changed);
	return NULL;
}

/* Whoever is between enter and leave is waited for: else the round would collect without his change, and cover his note. */
static void a_flip_waits_for_changes_under_way(void **state)
{
	struct notes *notes = &rig.pool->notes;
	struct notes_region *region = &notes->region[0];
	uint64_t number = atomic_load(&notes->number);
	struct flipper f = {.saw = false};

	atomic_store(&region->busy, true); /* as notes_enter() */
	assert_int_equal(pthread_create(&f.thread, NULL, flip_beside, &f), 0);
	while (atomic_load(&notes->number) == number)
		(void)sched_yield();
	for (unsigned i = 0; i < 1000; i++) /* long enough for one that does not wait */
		(void)sched_yield();
	atomic_store(&f.changed, true);
	notes_leave(region);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	assert_true(f.saw);
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
		T(a_flush_that_fails_at_the_opening_ends_the_notes),
		T(a_write_that_fails_at_the_opening_keeps_the_notes),
		T(notes_that_cannot_begin_leave_none),
		T(a_clean_end_takes_the_notes_away),
		T(a_change_is_noted_before_it_is_seen),
		T(a_generation_gets_its_number_before_its_cover),
		T(notes_end_with_their_magic),
		T(notes_begin_without_magic),
		T(what_is_held_for_a_cut_is_not_noted),
		T(a_round_covers_before_it_writes),
		T(a_flip_waits_for_changes_under_way),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
