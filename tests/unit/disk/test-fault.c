/* SPDX-License-Identifier: Apache-2.0 */
/* The fault disk: every kind, how rules are chosen and refused, and rules that change under I/O. */
#include <errno.h>

#include "disk/disk.h"
#include "unit/disk/blk_world.h"

#define SIZE   (1 * MIB)
#define OP(op) (1u << BLK_##op)

struct fixture {
	struct blk_world w;
	struct blk_dev *ram, *dev;
};

static void setup_seed(struct fixture *f, uint64_t seed)
{
	struct disk_ram_opts ram = {.name = "Malloc0", .size_bytes = SIZE, .block_size = 512};
	struct disk_fault_opts fault = {.name = "Fault0", .seed = seed};

	blk_world_init(&f->w, 1);
	assert_int_equal(disk_ram_new(&ram, &f->ram, NULL), 0);
	fault.base = f->ram;
	assert_int_equal(disk_fault_new(&fault, &f->dev, NULL), 0);
}

static void setup(struct fixture *f)
{
	setup_seed(f, 1);
}

static void teardown(struct fixture *f)
{
	if (f->dev)
		f->dev->ops->destroy(f->dev);
	sim_run_for(f->w.sim, NSEC_PER_MSEC);
	assert_int_equal(f->ram->claims, 0);
	f->ram->ops->destroy(f->ram);
	blk_world_fini(&f->w);
}

static uint32_t rule_add(struct fixture *f, struct disk_fault_rule rule)
{
	uint32_t id = 0;

	if (rule.probability == 0)
		rule.probability = 1;
	assert_int_equal(disk_fault_add(f->dev, &rule, &id, NULL), 0);
	assert_true(id != 0);
	return id;
}

static void without_rules_everything_goes_to_the_base(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(f.ram->claims, 1);
	assert_false(f.dev->caps & BLK_CAP_LOAN);
	world_fill(&f.w, f.dev, 512, 4096, 4);
	assert_true(world_reads(&f.w, f.ram, 512, 4096, 4));
	assert_true(world_reads(&f.w, f.dev, 512, 4096, 4));
	assert_int_equal(world_op(&f.w, f.dev, BLK_DISCARD, 0, 512, 512), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE_ZEROES, 0, 1024, 512), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_FLUSH, 0, 0, 0), 0);
	assert_true(world_reads(&f.w, f.ram, 512, 1024, 0));
	teardown(&f);
}

static void an_error_acts_on_its_ops_and_range_only(void **state)
{
	struct fixture f;

	setup(&f);
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_ERROR,
						    .ops = OP(WRITE),
						    .offset = 4096,
						    .length = 4096,
						    .error = -EIO});
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 4096), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 8192, 512), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 3584, 1024), -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 7680, 512), -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 4096, 4096), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_FLUSH, 0, 0, 0), 0);
	assert_true(world_reads(&f.w, f.ram, 4096, 4096, 0)); /* the disk was not touched */
	teardown(&f);
}

static void skip_and_count_choose_which_ones(void **state)
{
	static const int want[] = {0, 0, -ENOSPC, -ENOSPC, -ENOSPC, 0, 0};
	struct fixture f;
	json_t *list;

	setup(&f);
	(void)rule_add(&f,
		       (struct disk_fault_rule){
			       .kind = DISK_FAULT_ERROR, .skip = 2, .count = 3, .error = -ENOSPC});
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 512), want[i]);
	list = disk_fault_list(f.dev);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "matched")),
			 7);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "acted")), 3);
	json_decref(list);
	teardown(&f);
}

static void the_first_rule_that_acts_decides(void **state)
{
	struct fixture f;
	uint32_t first;

	setup(&f);
	first = rule_add(&f, (struct disk_fault_rule){
				     .kind = DISK_FAULT_ERROR, .ops = OP(READ), .error = -EIO});
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_ERROR, .error = -EILSEQ});
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 512), -EILSEQ);
	assert_int_equal(disk_fault_remove(f.dev, first, NULL), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), -EILSEQ);
	assert_int_equal(disk_fault_remove(f.dev, first, NULL), -ENOENT);
	assert_int_equal(disk_fault_remove(f.dev, 0, NULL), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), 0);
	teardown(&f);
}

static void a_dropped_write_says_success_and_leaves_the_disk(void **state)
{
	struct fixture f;

	setup(&f);
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_DROP});
	world_fill(&f.w, f.dev, 0, 4096, 8);
	assert_true(world_reads(&f.w, f.dev, 0, 4096, 0));
	teardown(&f);
}

static void a_torn_write_leaves_its_first_part(void **state)
{
	struct fixture f;
	uint32_t id;

	setup(&f);
	id = rule_add(&f, (struct disk_fault_rule){
				  .kind = DISK_FAULT_TEAR, .error = -EIO, .tear_bytes = 1024});
	memset(f.w.buf, 7, 4096);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 4096), -EIO);
	assert_true(world_reads(&f.w, f.dev, 0, 1024, 7));
	assert_true(world_reads(&f.w, f.dev, 1024, 3072, 0));
	assert_int_equal(disk_fault_remove(f.dev, id, NULL), 0);
	(void)rule_add(&f, (struct disk_fault_rule){
				   .kind = DISK_FAULT_TEAR}); /* silent, nothing arrives */
	world_fill(&f.w, f.dev, 8192, 4096, 7);
	assert_true(world_reads(&f.w, f.dev, 8192, 4096, 0));
	teardown(&f);
}

static void a_corrupted_read_has_exactly_one_wrong_bit(void **state)
{
	struct fixture f;
	unsigned bits = 0;

	setup(&f);
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_CORRUPT});
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 8192), 0);
	for (unsigned i = 0; i < 8192; i++)
		bits += (unsigned)__builtin_popcount(f.w.buf[i]);
	assert_int_equal(bits, 1);
	assert_true(world_reads(&f.w, f.ram, 0, 8192, 0));
	teardown(&f);
}

static void a_delayed_io_comes_after_the_delay(void **state)
{
	struct fixture f;
	struct world_io wio = {.io = {.op = BLK_FLUSH}};
	uint64_t start;

	setup(&f);
	(void)rule_add(
		&f, (struct disk_fault_rule){.kind = DISK_FAULT_DELAY, .delay_ns = NSEC_PER_SEC});
	start = sim_now(f.w.sim);
	assert_int_equal(world_io_run(&f.w, 0, f.dev, &wio), 0);
	assert_true(wio.done_ns - start >= NSEC_PER_SEC);
	assert_true(wio.done_ns - start < 2 * NSEC_PER_SEC);
	teardown(&f);
}

static void held_io_goes_on_when_its_rule_is_removed(void **state)
{
	struct fixture f;
	struct world_io wio[WORLD_REACTORS] = {0};
	uint32_t hang, delay;

	setup(&f);
	hang = rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_HANG, .ops = OP(WRITE)});
	delay = rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_DELAY,
						      .delay_ns = 3600 * NSEC_PER_SEC});
	for (unsigned i = 0; i < WORLD_REACTORS; i++) {
		wio[i].io = (struct blk_io){.op = i ? BLK_WRITE : BLK_READ,
					    .offset = i * 4096,
					    .length = 4096,
					    .buf = f.w.buf + i * 4096};
		world_io_start(&wio[i], f.w.r[i], f.dev);
	}
	sim_run_for(f.w.sim, NSEC_PER_SEC);
	for (unsigned i = 0; i < WORLD_REACTORS; i++)
		assert_false(wio[i].done);
	assert_int_equal(disk_fault_remove(f.dev, hang, NULL), 0);
	for (unsigned i = 1; i < WORLD_REACTORS; i++)
		assert_true(sim_run_until(f.w.sim, world_io_is_done, &wio[i], NSEC_PER_SEC));
	assert_false(wio[0].done); /* another rule's */
	assert_int_equal(disk_fault_remove(f.dev, delay, NULL), 0);
	assert_true(sim_run_until(f.w.sim, world_io_is_done, &wio[0], NSEC_PER_SEC));
	for (unsigned i = 0; i < WORLD_REACTORS; i++) {
		assert_int_equal(wio[i].n_done, 1);
		assert_int_equal(wio[i].result, 0);
	}
	teardown(&f);
}

static void held_io_ends_when_the_disk_is_destroyed(void **state)
{
	struct fixture f;
	struct world_io wio = {0};

	setup(&f);
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_HANG});
	wio.io = (struct blk_io){.op = BLK_WRITE, .length = 4096, .buf = f.w.buf};
	world_io_start(&wio, f.w.r[1], f.dev);
	sim_run_for(f.w.sim, NSEC_PER_SEC);
	assert_false(wio.done);
	f.dev->ops->destroy(f.dev);
	f.dev = NULL;
	assert_true(sim_run_until(f.w.sim, world_io_is_done, &wio, NSEC_PER_SEC));
	assert_int_equal(wio.result, -ECANCELED);
	assert_true(world_reads(&f.w, f.ram, 0, 4096, 0));
	teardown(&f);
}

static void bad_rules_are_refused_with_a_reason(void **state)
{
	static const struct {
		struct disk_fault_rule rule;
		const char *why;
	} bad[] = {
		{{.kind = DISK_FAULT_KINDS, .probability = 1}, "kind"},
		{{.kind = DISK_FAULT_ERROR, .probability = 1}, "errno"},
		{{.kind = DISK_FAULT_ERROR, .probability = 1, .error = 5}, "negative"},
		{{.kind = DISK_FAULT_ERROR, .probability = 1, .error = -5000}, "negative"},
		{{.kind = DISK_FAULT_ERROR, .probability = 0, .error = -EIO}, "probability"},
		{{.kind = DISK_FAULT_ERROR, .probability = 1.5, .error = -EIO}, "probability"},
		{{.kind = DISK_FAULT_ERROR, .probability = __builtin_nan(""), .error = -EIO},
		 "probability"},
		{{.kind = DISK_FAULT_ERROR, .probability = 1, .error = -EIO, .ops = 1u << BLK_OPS},
		 "operation"},
		{{.kind = DISK_FAULT_DELAY, .probability = 1}, "delay"},
		{{.kind = DISK_FAULT_DROP, .probability = 1, .ops = OP(READ)}, "read"},
		{{.kind = DISK_FAULT_TEAR, .probability = 1, .ops = OP(FLUSH)}, "torn"},
		{{.kind = DISK_FAULT_TEAR, .probability = 1, .tear_bytes = 100}, "multiple"},
		{{.kind = DISK_FAULT_CORRUPT, .probability = 1, .ops = OP(WRITE)}, "reads"},
		{{.kind = DISK_FAULT_HANG, .probability = 1, .offset = UINT64_MAX, .length = 2},
		 "64 bits"},
	};
	struct fixture f;
	uint32_t id = 0;

	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};

		assert_int_equal(disk_fault_add(f.dev, &bad[i].rule, &id, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i].why));
	}
	assert_int_equal(id, 0);
	assert_int_equal(disk_fault_add(f.ram, &bad[0].rule, &id, NULL), -ENODEV);
	assert_int_equal(disk_fault_remove(f.ram, 0, NULL), -ENODEV);
	teardown(&f);
}

/* Which of 200 reads fail, as a number. */
static uint64_t pattern(uint64_t seed)
{
	struct fixture f;
	uint64_t hash = 0;

	setup_seed(&f, seed);
	(void)rule_add(&f, (struct disk_fault_rule){
				   .kind = DISK_FAULT_ERROR, .probability = 0.3, .error = -EIO});
	for (unsigned i = 0; i < 200; i++)
		hash = hash * 31 + (world_op(&f.w, f.dev, BLK_READ, 0, 0, 512) != 0);
	teardown(&f);
	return hash;
}

static void the_same_seed_gives_the_same_faults(void **state)
{
	assert_true(pattern(11) == pattern(11));
	assert_true(pattern(11) != pattern(12));
}

static void describe_names_the_base_and_the_rules(void **state)
{
	struct fixture f;
	json_t *json, *rules;
	const char *base;
	json_int_t seed;

	setup(&f);
	(void)rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_HANG, .ops = OP(FLUSH)});
	json = f.dev->ops->describe(f.dev);
	assert_int_equal(json_unpack(json, "{s:{s:s, s:I, s:o}}", "fault", "base_bdev_name", &base,
				     "seed", &seed, "rules", &rules),
			 0);
	assert_string_equal(base, "Malloc0");
	assert_int_equal(seed, 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rules, 0), "kind")),
			    "hang");
	json_decref(json);
	teardown(&f);
}

/* As in the next process of a hot upgrade: a disk with these rules, their ids and what they have done. */
static void rules_are_restored_with_their_ids_and_counts(void **state)
{
	struct disk_fault_rule rule = {.kind = DISK_FAULT_ERROR,
				       .ops = OP(READ) | OP(WRITE),
				       .length = 4096,
				       .probability = 1,
				       .skip = 1,
				       .count = 2,
				       .error = -EILSEQ};
	struct fixture f, next;
	json_t *was, *is;
	struct err err = {0};
	uint32_t gone, id;

	setup(&f);
	gone = rule_add(&f, (struct disk_fault_rule){.kind = DISK_FAULT_HANG, .ops = OP(FLUSH)});
	id = rule_add(&f, rule);
	assert_int_equal(disk_fault_remove(f.dev, gone, NULL), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), -EILSEQ);
	was = disk_fault_list(f.dev);
	teardown(&f);

	setup(&next);
	if (disk_fault_restore(next.dev, was, &err))
		fail_msg("%s", err.text);
	is = disk_fault_list(next.dev);
	assert_true(json_equal(was, is));
	json_decref(is);
	assert_int_equal(world_op(&next.w, next.dev, BLK_READ, 0, 0, 512), -EILSEQ);
	assert_int_equal(world_op(&next.w, next.dev, BLK_READ, 0, 0, 512), 0);
	assert_true(rule_add(&next, rule) > id);
	(void)json_object_set_new(json_array_get(was, 0), "kind", json_string("no such kind"));
	assert_int_equal(disk_fault_restore(next.dev, was, &err), -EINVAL);
	assert_int_equal(disk_fault_restore(next.ram, was, &err), -EINVAL);
	json_decref(was);
	teardown(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_everything_goes_to_the_base),
		cmocka_unit_test(an_error_acts_on_its_ops_and_range_only),
		cmocka_unit_test(skip_and_count_choose_which_ones),
		cmocka_unit_test(the_first_rule_that_acts_decides),
		cmocka_unit_test(a_dropped_write_says_success_and_leaves_the_disk),
		cmocka_unit_test(a_torn_write_leaves_its_first_part),
		cmocka_unit_test(a_corrupted_read_has_exactly_one_wrong_bit),
		cmocka_unit_test(a_delayed_io_comes_after_the_delay),
		cmocka_unit_test(held_io_goes_on_when_its_rule_is_removed),
		cmocka_unit_test(held_io_ends_when_the_disk_is_destroyed),
		cmocka_unit_test(bad_rules_are_refused_with_a_reason),
		cmocka_unit_test(the_same_seed_gives_the_same_faults),
		cmocka_unit_test(describe_names_the_base_and_the_rules),
		cmocka_unit_test(rules_are_restored_with_their_ids_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
