/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `litepool pool check` on notes: what it says will be put is put by the next opening, damage of that memory is told, what is not this pool's is no damage, nothing is changed, and mending with
 * consent keeps what was noted.
 */
#include "pool/check.h"
#include "unit/volume/volume_rig.h"

#define SIZE    (64 * MIB)
#define CLUSTER ((uint64_t)LAYOUT_CLUSTER)

static uint8_t memory[64 * 1024] __attribute__((aligned(4096)));
static struct note_head *const head = (struct note_head *)memory;
static int get_result;
static unsigned users;

static struct lab {
	struct volume_rig v;
	struct check_opts opts;
	struct check_result result;
	unsigned wrong, notes;
	char text[512], note[512];
} lab;

static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	if (get_result)
		return err_set(err, get_result, "not in this test");
	users++;
	*ret = memory;
	*ret_size = sizeof(memory);
	return 0;
}

static void put(void *ctx, const struct uuid *pool, void *mem, size_t size, bool gone)
{
	assert_ptr_equal(mem, memory);
	users--;
}

static struct pool_memory ops = {.boot = {{7}}, .get = get, .put = put};

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	if (strcmp(f->kind, "notes") != 0)
		return;
	if (f->severity == CHECK_WRONG && !lab.wrong++)
		snprintf(lab.text, sizeof(lab.text), "%s", f->text);
	if (f->severity == CHECK_NOTE && !lab.notes++)
		snprintf(lab.note, sizeof(lab.note), "%s", f->text);
}

static void call_check(struct pool_rig *p)
{
	pool_check(&p->env, p->dev, &lab.opts, &lab.result, rig_done, p);
}

static int check_opts(const struct check_opts *opts)
{
	int res;

	lab.wrong = lab.notes = 0;
	lab.opts = *opts;
	lab.opts.finding = finding;
	lab.opts.memory = &ops;
	res = rig_run(&lab.v.p, call_check);
	assert_int_equal(users, 0);
	return check_exit_code(res, &lab.result);
}

/* The exit status. The memory is as it was. */
static int check(void)
{
	static uint8_t before[sizeof(memory)];
	int status;

	memcpy(before, memory, sizeof(memory));
	status = check_opts(&(struct check_opts){.repair = false});
	assert_memory_equal(before, memory, sizeof(memory));
	return status;
}

static void put_at(const char *name, uint64_t offset, uint64_t length, uint8_t value, bool flushed)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab.v.set, name));

	assert_int_equal(vrig_write(&lab.v, dev, offset, length, value), 0);
	if (flushed)
		assert_int_equal(vrig_io(&lab.v, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
}

static bool reads(uint64_t offset, uint64_t length, uint8_t value)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab.v.set, "a"));
	bool right = vrig_reads(&lab.v, dev, offset, length, value);

	dev->ops->destroy(dev);
	return right;
}

static void open_pool(void)
{
	assert_int_equal(rig_open(&lab.v.p), 0);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_new), 0);
}

/* The process ends at once; its memory is as it is now. */
static void die(void)
{
	static uint8_t then[sizeof(memory)];

	memcpy(then, memory, sizeof(then));
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	rig_crash(&lab.v.p, false);
	memcpy(memory, then, sizeof(then));
}

/* Three writes are on the disk, and then three that only notes have: one cluster is new, one got another block, one is in the middle of thin space. */
static int setup(void **state)
{
	memset(&lab, 0, sizeof(lab));
	memset(memory, 0, sizeof(memory));
	get_result = 0;
	ops.boot.b[0] = 7;
	blk_world_init(&lab.v.p.w, 3);
	vrig_disk(&lab.v, &(struct volume_rig_opts){3, SIZE, 512, false});
	lab.v.p.env = (struct pool_env){lab.v.p.w.r[0], &lab.v.p.w.r[1], WORLD_REACTORS - 1};
	lab.v.p.open.memory = &ops;
	assert_int_equal(rig_create(&lab.v.p), 0);
	open_pool();
	vrig_create(&lab.v, "a", 16 * MIB, 4096, false);
	for (unsigned i = 0; i < 3; i++)
		put_at("a", i * CLUSTER, 8192, (uint8_t)(i + 1), true);
	put_at("a", CLUSTER + 8192, 4096, 5, false);
	put_at("a", 4 * CLUSTER, 12288, 6, false);
	put_at("a", 5 * CLUSTER + 4096, 4096, 7, false);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&lab.v.p);
	return users != 0;
}

static void assert_noted_is_there(void)
{
	assert_true(reads(CLUSTER, 8192, 2) && reads(CLUSTER + 8192, 4096, 5));
	assert_true(reads(4 * CLUSTER, 12288, 6) && reads(4 * CLUSTER + 12288, 4096, 0));
	assert_true(reads(5 * CLUSTER + 4096, 4096, 7) && reads(5 * CLUSTER, 4096, 0));
	assert_true(reads(0, 8192, 1) && reads(2 * CLUSTER, 8192, 3));
}

static void volumes_close(void)
{
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab.v.p), 0);
}

/* The notes of a generation that the journal does not cover: the first of them; all are in one region. */
static struct note *first_note(unsigned *ret_n)
{
	for (unsigned g = 0; g < 2; g++)
		for (unsigned r = 0; r < head->regions; r++) {
			uint64_t number = atomic_load(&head->generation[g].number);
			struct note *n = note_at(head, r, g, 0);
			struct layout_rules rules = {.first_cluster = 1, .end_cluster = 64};

			if (atomic_load(&head->generation[g].cover) != NOTE_UNCOVERED ||
			    !note_good(n, number, &rules))
				continue;
			for (*ret_n = 1; note_good(n + *ret_n, number, &rules); ++*ret_n)
				;
			return n;
		}
	fail_msg("nothing is noted");
	return NULL;
}

static void what_is_noted_is_told_and_is_put_by_the_opening(void **state)
{
	die();
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 1);
	assert_int_equal(lab.result.numbers.notes, 3);
	assert_non_null(strstr(lab.note, "3 clusters"));
	open_pool();
	assert_noted_is_there();
	volumes_close();
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 0);
	assert_int_equal(lab.result.numbers.notes, 0);
}

static void no_notes_are_no_damage(void **state)
{
	static uint8_t noted[sizeof(memory)];

	die();
	memcpy(noted, memory, sizeof(noted));
	get_result = -ENOENT;
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 0);
	get_result = -EBUSY;
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 1);
	get_result = 0;
	ops.boot.b[0]++; /* the machine was started anew */
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 1);
	assert_int_equal(lab.result.numbers.notes, 0);
	ops.boot.b[0]--;
	note_head_end(head); /* ended, or was being made new */
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.notes, 0);
	memset(memory, 0, sizeof(memory));
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	memcpy(memory, noted, sizeof(noted));
}

/* Bits of what the head says of whose notes these are, and of how many there are. */
static void a_flipped_bit_in_the_head_is_told(void **state)
{
	die();
	for (unsigned bit = 12 * 8; bit < offsetof(struct note_head, claim) * 8; bit += 29) {
		memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(check(), CHECK_EXIT_DAMAGED);
		assert_int_equal(lab.wrong, 1);
		assert_non_null(strstr(lab.text, "head of the notes"));
		memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned g = 0; g < 2; g++)
		for (unsigned bit = 0; bit < 64; bit += 9) {
			uint64_t number = atomic_load(&head->generation[g].number);

			atomic_store(&head->generation[g].number, number ^ (uint64_t)1 << bit);
			assert_int_equal(check(), CHECK_EXIT_DAMAGED);
			atomic_store(&head->generation[g].number, number);
		}
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
}

/* In the notes themselves: bits of all but the last of them; exchanged ones are as good as before. */
static void a_flipped_bit_in_a_note_is_told(void **state)
{
	unsigned n;
	struct note *note, kept;
	uint8_t *bytes;

	die();
	note = first_note(&n);
	assert_true(n >= 3);
	bytes = (uint8_t *)note;
	for (unsigned bit = 0; bit < (n - 1) * sizeof(*note) * 8; bit += 37) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(check(), CHECK_EXIT_DAMAGED);
		assert_non_null(strstr(lab.text, "not whole"));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	kept = note[0];
	note[0] = note[1];
	note[1] = kept;
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	assert_int_equal(lab.result.numbers.notes, 3);
	memset(&note[0], 0x5a, sizeof(note[0]));
	assert_int_equal(check(), CHECK_EXIT_DAMAGED);
}

/* A note that is whole and says what cannot be: of no layer, behind the end of its layer, with a cluster that another one has. */
static void a_note_that_cannot_be_true_is_told(void **state)
{
	struct note *note, kept;
	unsigned n;

	die();
	note = first_note(&n);
	kept = *note;
	for (unsigned how = 0; how < 3; how++) {
		unsigned g = atomic_load(&head->generation[1].cover) == NOTE_UNCOVERED;

		*note = kept;
		if (how == 0)
			note->layer = 999;
		else
			note->cluster = how == 1 ? 1u << 20 : 7; /* cluster 1's */
		note_seal(note, atomic_load(&head->generation[g].number));
		assert_int_equal(check(), CHECK_EXIT_DAMAGED);
		assert_non_null(strstr(lab.text, "cannot be true"));
		assert_int_equal(lab.result.numbers.notes, 2);
	}
}

/* The map of another volume rots, and consent is given: the epoch that mending begins takes the notes along. */
static void mending_keeps_what_was_noted(void **state)
{
	static const char *const names[] = {"b"};
	uint8_t block[LAYOUT_PAGE];
	uint64_t layer, at;

	vrig_create(&lab.v, "b", 8 * MIB, 4096, false);
	layer = volume_find(lab.v.set, "b")->object->layer->disk.id;
	put_at("b", 0, 8192, 9, false);
	assert_int_equal(rig_checkpoint(&lab.v.p), 0);
	assert_int_equal(rig_checkpoint(&lab.v.p), 0);
	put_at("a", 6 * CLUSTER, 4096, 8, false);
	die();
	for (at = 0; at < SIZE; at += LAYOUT_PAGE) {
		rig_read(&lab.v.p, at, block, sizeof(block));
		if (get_le32(block) != PAGE_MAGIC || get_le64(block + 24) != layer)
			continue;
		memset(block + 512, 0x5a, 1024);
		rig_write(&lab.v.p, at, block, sizeof(block));
	}
	assert_int_equal(check(), CHECK_EXIT_DAMAGED);
	assert_int_equal(lab.result.found[CHECK_LOSS] != 0, 1);
	assert_true(lab.result.numbers.notes >= 1);
	assert_int_equal(
		check_opts(&(struct check_opts){.repair = true, .accept = names, .n_accept = 1}),
		CHECK_EXIT_MENDED);
	assert_int_equal(check(), CHECK_EXIT_CLEAN);
	open_pool();
	assert_noted_is_there();
	assert_true(reads(6 * CLUSTER, 4096, 8));
	volumes_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_noted_is_told_and_is_put_by_the_opening,
						setup, teardown),
		cmocka_unit_test_setup_teardown(no_notes_are_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_head_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_in_a_note_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_note_that_cannot_be_true_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(mending_keeps_what_was_noted, setup, teardown),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("check-notes", tests, NULL, NULL);
}
