/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher against a driver that completes inside submit, or keeps what it gets. */
#include <errno.h>

#include "blk/stats.h"
#include "unit/disk/blk_world.h"

#define SIZE (1 * MIB)

struct fake {
	struct blk_dev dev;
	struct blk_io *kept; /* the last one, when keep is set */
	bool keep;
	unsigned submits;
	int result;
};

static void fake_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct fake *fake = container_of(dev, struct fake, dev);

	fake->submits++;
	if (fake->keep)
		fake->kept = io;
	else
		blk_complete(io, fake->result);
}

static void fake_destroy(struct blk_dev *dev)
{
	blk_dev_fini(dev);
}

static const struct blk_ops fake_ops = {
	.product = "Fake disk",
	.submit = fake_submit,
	.destroy = fake_destroy,
};

struct fixture {
	struct blk_world w;
	struct fake fake;
};

static void setup_caps(struct fixture *f, unsigned caps)
{
	struct uuid uuid = {{1}};

	memset(f, 0, sizeof(*f));
	blk_world_init(&f->w, 1);
	assert_int_equal(
		blk_dev_init(&f->fake.dev, &fake_ops, "fake0", &uuid, SIZE, 4096, caps, NULL), 0);
}

static void setup(struct fixture *f)
{
	setup_caps(f, BLK_CAP_DISCARD | BLK_CAP_WRITE_ZEROES);
}

static void teardown(struct fixture *f)
{
	f->fake.dev.ops->destroy(&f->fake.dev);
	blk_world_fini(&f->w);
}

static void bad_names_and_sizes_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *name;
		uint64_t size;
		uint32_t block;
		const char *why;
	} bad[] = {
		{"", SIZE, 512, "name"},
		{NULL, SIZE, 512, "name"},
		{"a b", SIZE, 512, "blanks"},
		{"a\x01", SIZE, 512, "ASCII"},
		{"\xc3\xa4", SIZE, 512, "ASCII"},
		{"d", SIZE, 1024, "512 or 4096"},
		{"d", SIZE, 0, "512 or 4096"},
		{"d", 0, 512, "multiple"},
		{"d", 4096 + 512, 4096, "multiple"},
		{"d", UINT64_MAX - 511, 512, "multiple"},
	};
	struct uuid uuid = {{0}};
	struct blk_dev dev;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};

		assert_int_equal(blk_dev_init(&dev, &fake_ops, bad[i].name, &uuid, bad[i].size,
					      bad[i].block, 0, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, bad[i].why));
	}
}

static void a_name_of_the_longest_length_is_taken_and_one_more_is_refused(void **state)
{
	char name[BLK_NAME_MAX + 1];
	struct uuid uuid = {{0}};
	struct blk_dev dev;

	memset(name, 'n', sizeof(name));
	name[BLK_NAME_MAX] = '\0';
	assert_int_equal(blk_dev_init(&dev, &fake_ops, name, &uuid, SIZE, 512, 0, NULL), -EINVAL);
	name[BLK_NAME_MAX - 1] = '\0';
	assert_int_equal(blk_dev_init(&dev, &fake_ops, name, &uuid, SIZE, 512, 0, NULL), 0);
	assert_string_equal(dev.name, name);
	blk_dev_fini(&dev);
}

static void what_the_device_cannot_do_never_reaches_the_driver(void **state)
{
	static const struct {
		enum blk_op op;
		unsigned flags;
		uint64_t offset, length;
		int want;
	} bad[] = {
		{BLK_READ, 0, SIZE, 4096, -EINVAL},
		{BLK_READ, 0, SIZE - 4096, 8192, -EINVAL},
		{BLK_READ, 0, UINT64_MAX - 4095, 4096, -EINVAL},
		{BLK_READ, 0, 4096, UINT64_MAX - 4095, -EINVAL},
		{BLK_READ, 0, 512, 4096, -EINVAL},
		{BLK_READ, 0, 0, 512, -EINVAL},
		{BLK_READ, 0, 0, 0, -EINVAL},
		{BLK_READ, BLK_FUA, 0, 4096, -EINVAL},
		{BLK_WRITE, BLK_LOAN_OK, 0, 4096, -EINVAL},
		{BLK_FLUSH, 0, 4096, 4096, -EINVAL},
		{BLK_DISCARD, 0, SIZE, 4096, -EINVAL},
		{BLK_WRITE_ZEROES, 0, 0, 100, -EINVAL},
		{BLK_OPS, 0, 0, 4096, -EINVAL},
	};
	struct fixture f;

	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(world_op(&f.w, &f.fake.dev, bad[i].op, bad[i].flags, bad[i].offset,
					  bad[i].length),
				 bad[i].want);
	assert_int_equal(f.fake.submits, 0);
	teardown(&f);
}

static void missing_and_unaligned_memory_is_refused(void **state)
{
	struct fixture f;
	struct world_io wio = {.io = {.op = BLK_WRITE, .length = 4096}};

	setup(&f);
	assert_int_equal(world_io_run(&f.w, 0, &f.fake.dev, &wio), -EINVAL);
	wio.n_done = 0;
	wio.io.buf = f.w.buf + 512;
	assert_int_equal(world_io_run(&f.w, 0, &f.fake.dev, &wio), -EINVAL);
	wio.n_done = 0;
	wio.io.op = BLK_READ;
	wio.io.flags = BLK_LOAN_OK; /* of a device that does not lend */
	wio.io.buf = NULL;
	assert_int_equal(world_io_run(&f.w, 0, &f.fake.dev, &wio), -EINVAL);
	assert_int_equal(f.fake.submits, 0);
	teardown(&f);
}

static void lacking_caps_and_read_only_say_so(void **state)
{
	struct fixture f;

	setup_caps(&f, 0);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_DISCARD, 0, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_WRITE_ZEROES, 0, 0, 4096), -EOPNOTSUPP);
	teardown(&f);
	setup_caps(&f, BLK_CAP_READ_ONLY);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_WRITE, 0, 0, 4096), -EROFS);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_DISCARD, 0, 0, 4096), -EROFS);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_READ, 0, 0, 4096), 0);
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_FLUSH, 0, 0, 0), 0);
	teardown(&f);
}

static void a_completion_inside_submit_comes_after_it_in_the_same_pass(void **state)
{
	struct fixture f;
	struct world_io wio = {.io = {.op = BLK_FLUSH}};

	setup(&f);
	/* world_io_done() checks that it does not run inside blk_submit(). */
	assert_int_equal(world_io_run(&f.w, 0, &f.fake.dev, &wio), 0);
	assert_int_equal(f.fake.submits, 1);
	teardown(&f);
}

static void complete_kept(struct msg *msg)
{
	struct world_io *wio = container_of(msg, struct world_io, msg);

	blk_complete(&wio->io, -EIO);
	assert_true(wio->done); /* outside of submit: at once */
}

static void a_completion_outside_submit_comes_at_once(void **state)
{
	struct fixture f;
	struct world_io wio = {.io = {.op = BLK_FLUSH}};
	struct blk_stats *sum = malloc(sizeof(*sum));

	setup(&f);
	f.fake.keep = true;
	world_io_start(&wio, f.w.r[0], &f.fake.dev);
	sim_run_for(f.w.sim, NSEC_PER_MSEC);
	assert_ptr_equal(f.fake.kept, &wio.io);
	assert_false(wio.done);
	blk_stats_sum(&f.fake.dev, sum);
	assert_int_equal(sum->inflight, 1);
	wio.msg.run = complete_kept;
	reactor_post(f.w.r[0], &wio.msg);
	assert_true(sim_run_until(f.w.sim, world_io_is_done, &wio, WORLD_DEADLINE));
	assert_int_equal(wio.result, -EIO);
	free(sum);
	teardown(&f);
}

static void the_statistics_of_all_reactors_add_up(void **state)
{
	struct fixture f;
	struct blk_stats *sum = malloc(sizeof(*sum));

	setup(&f);
	for (unsigned i = 0; i < WORLD_REACTORS; i++) {
		struct world_io wio = {.io = {.op = BLK_WRITE, .length = 8192, .buf = f.w.buf}};

		assert_int_equal(world_io_run(&f.w, i, &f.fake.dev, &wio), 0);
	}
	f.fake.result = -EIO;
	assert_int_equal(world_op(&f.w, &f.fake.dev, BLK_WRITE, 0, 0, 4096), -EIO);
	blk_stats_sum(&f.fake.dev, sum);
	assert_int_equal(counter_get(&sum->ops[BLK_WRITE]), WORLD_REACTORS + 1);
	assert_int_equal(counter_get(&sum->bytes[BLK_WRITE]), WORLD_REACTORS * 8192);
	assert_int_equal(counter_get(&sum->errors[BLK_WRITE]), 1);
	assert_int_equal(hist_count(&sum->latency[BLK_WRITE]), WORLD_REACTORS + 1);
	assert_int_equal(counter_get(&sum->ops[BLK_READ]), 0);
	assert_int_equal(sum->inflight, 0);
	free(sum);
	teardown(&f);
}

/* As in a hot upgrade: what one device has counted, another has counted, too. */
static void counters_go_to_another_engine(void **state)
{
	struct blk_stats *stats = calloc(3, sizeof(*stats));
	struct fixture f;
	struct tlv_writer w;
	struct tlv_reader r;
	struct tlv rec;
	struct uuid uuid = {{0}};
	struct err err;

	assert_non_null(stats);
	setup(&f);
	tlv_writer_init(&w);
	blk_stats_save(&f.fake.dev, &w);
	assert_int_equal(w.len, 0); /* nothing was counted */
	counter_add(&stats->ops[BLK_WRITE], 3);
	counter_add(&stats->bytes[BLK_WRITE], 4096);
	counter_add(&stats->errors[BLK_WRITE], 1);
	hist_add(&stats->latency[BLK_WRITE], 1000);
	assert_int_equal(blk_stats_add(&f.fake.dev, f.w.r[0], stats), 0);
	blk_stats_save(&f.fake.dev, &w);
	tlv_reader_init(&r, w.buf, w.len);
	assert_int_equal(tlv_next(&r, &rec), 1);
	assert_int_equal(rec.type, BLK_CARRY_DEV);
	assert_int_equal(blk_stats_read(&rec, &uuid, &stats[1], &err), 0);
	assert_true(uuid_equal(&uuid, &f.fake.dev.uuid));
	assert_memory_equal(&stats[1], &stats[0], sizeof(*stats));
	assert_int_equal(blk_stats_add(&f.fake.dev, f.w.r[0], &stats[1]), 0);
	blk_stats_sum(&f.fake.dev, &stats[2]);
	assert_int_equal(counter_get(&stats[2].ops[BLK_WRITE]), 6);
	assert_int_equal(hist_count(&stats[2].latency[BLK_WRITE]), 2);
	tlv_writer_fini(&w);
	teardown(&f);
	free(stats);
}

static int read_of(void (*fill)(struct tlv_writer *w))
{
	struct blk_stats *stats = calloc(1, sizeof(*stats));
	struct uuid uuid;
	struct tlv_writer w;
	struct tlv_reader r;
	struct tlv rec;
	struct err err = {0};
	int rc;

	assert_non_null(stats);
	tlv_writer_init(&w);
	tlv_begin(&w, BLK_CARRY_DEV, 0);
	fill(&w);
	tlv_end(&w);
	tlv_reader_init(&r, w.buf, w.len);
	assert_int_equal(tlv_next(&r, &rec), 1);
	rc = blk_stats_read(&rec, &uuid, stats, &err);
	assert_true(rc == 0 || err.text[0]);
	tlv_writer_fini(&w);
	free(stats);
	return rc;
}

static void of_nobody(struct tlv_writer *w)
{
	static const uint8_t op[40];

	tlv_put(w, BLK_CARRY_OP, 0, op, sizeof(op));
}

static void with_short_uuid(struct tlv_writer *w)
{
	tlv_put(w, BLK_CARRY_UUID, 0, "uuid", 4);
}

static void with_short_op(struct tlv_writer *w)
{
	static const uint8_t op[31];

	tlv_put(w, BLK_CARRY_UUID, 0, op, 16);
	tlv_put(w, BLK_CARRY_OP, 0, op, sizeof(op));
}

static void with_torn_latency(struct tlv_writer *w)
{
	static const uint8_t op[47];

	tlv_put(w, BLK_CARRY_UUID, 0, op, 16);
	tlv_put(w, BLK_CARRY_OP, 0, op, sizeof(op));
}

static void with_news(struct tlv_writer *w)
{
	static const uint8_t op[40] = {
		99}; /* a kind of request, and a record, of a later version */

	tlv_put(w, BLK_CARRY_UUID, 0, op, 16);
	tlv_put(w, BLK_CARRY_OP, 0, op, sizeof(op));
	tlv_put(w, 0x012f, 0, op, sizeof(op));
}

static void counters_that_are_none_are_refused(void **state)
{
	assert_int_equal(read_of(of_nobody), -EBADMSG);
	assert_int_equal(read_of(with_short_uuid), -EBADMSG);
	assert_int_equal(read_of(with_short_op), -EBADMSG);
	assert_int_equal(read_of(with_torn_latency), -EBADMSG);
	assert_int_equal(read_of(with_news), 0);
}

/* A layer that is the second half of the fake disk. */
struct half {
	struct blk_dev dev;
	struct fake *fake;
	unsigned forwarded;
	uint64_t offset; /* of the request at its end */
	int result;
};

static void half_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct half *half = container_of(dev, struct half, dev);

	io->layer_tag = 7;
	blk_forward(io, &half->fake->dev, SIZE / 2 + io->offset);
}

static void half_forwarded(struct blk_dev *dev, struct blk_io *io)
{
	struct half *half = container_of(dev, struct half, dev);

	assert_ptr_equal(io->dev, dev);
	assert_int_equal(io->layer_tag, 7);
	half->forwarded++;
	half->offset = io->offset;
	half->result = io->result;
}

static const struct blk_ops half_ops = {
	.product = "Half of a disk",
	.submit = half_submit,
	.forwarded = half_forwarded,
	.destroy = fake_destroy,
};

static void half_init(struct half *half, struct fixture *f, uint64_t size)
{
	struct uuid uuid = {{2}};

	memset(half, 0, sizeof(*half));
	assert_int_equal(blk_dev_init(&half->dev, &half_ops, "half0", &uuid, size, 4096,
				      BLK_CAP_DISCARD, NULL),
			 0);
	half->fake = &f->fake;
}

static void assert_counted(const struct blk_dev *dev, uint64_t ops, uint64_t bytes, uint64_t errors)
{
	struct blk_stats *sum = malloc(sizeof(*sum));

	blk_stats_sum(dev, sum);
	assert_int_equal(counter_get(&sum->ops[BLK_WRITE]), ops);
	assert_int_equal(counter_get(&sum->bytes[BLK_WRITE]), bytes);
	assert_int_equal(counter_get(&sum->errors[BLK_WRITE]), errors);
	assert_int_equal(hist_count(&sum->latency[BLK_WRITE]), ops);
	assert_int_equal(sum->inflight, 0);
	free(sum);
}

static void what_a_layer_passes_on_is_counted_by_both_and_ends_once(void **state)
{
	struct fixture f;
	struct half half;
	struct world_io wio = {
		.io = {.op = BLK_WRITE, .offset = 8192, .length = 4096, .buf = NULL}};

	setup(&f);
	half_init(&half, &f, SIZE / 2);
	wio.io.buf = f.w.buf;
	assert_int_equal(world_io_run(&f.w, 1, &half.dev, &wio), 0);
	assert_int_equal(wio.n_done, 1);
	assert_int_equal(half.offset, 8192); /* the caller's again */
	f.fake.result = -EIO;
	wio.n_done = 0;
	assert_int_equal(world_io_run(&f.w, 1, &half.dev, &wio), -EIO);
	assert_int_equal(half.result, -EIO);
	assert_int_equal(half.forwarded, 2);
	assert_int_equal(f.fake.submits, 2);
	assert_counted(&half.dev, 2, 4096, 1);
	assert_counted(&f.fake.dev, 2, 4096, 1);
	half.dev.ops->destroy(&half.dev);
	teardown(&f);
}

static void what_is_passed_on_is_under_way_at_both_and_goes_to_the_place_below(void **state)
{
	struct fixture f;
	struct half half;
	struct world_io wio = {.io = {.op = BLK_WRITE, .offset = 4096, .length = 4096}};
	struct blk_stats *sum = malloc(sizeof(*sum));

	setup(&f);
	half_init(&half, &f, SIZE / 2);
	wio.io.buf = f.w.buf;
	f.fake.keep = true;
	world_io_start(&wio, f.w.r[0], &half.dev);
	sim_run_for(f.w.sim, NSEC_PER_MSEC);
	assert_ptr_equal(f.fake.kept, &wio.io);
	assert_int_equal(wio.io.offset, SIZE / 2 + 4096);
	assert_ptr_equal(wio.io.dev, &f.fake.dev);
	blk_stats_sum(&half.dev, sum);
	assert_int_equal(sum->inflight, 1);
	blk_stats_sum(&f.fake.dev, sum);
	assert_int_equal(sum->inflight, 1);
	wio.msg.run = complete_kept;
	reactor_post(f.w.r[0], &wio.msg);
	assert_true(sim_run_until(f.w.sim, world_io_is_done, &wio, WORLD_DEADLINE));
	assert_int_equal(half.forwarded, 1);
	free(sum);
	half.dev.ops->destroy(&half.dev);
	teardown(&f);
}

static void what_does_not_fit_below_is_refused_and_forwarded_is_told(void **state)
{
	struct fixture f;
	struct half half;
	struct world_io wio = {.io = {.op = BLK_WRITE, .offset = SIZE / 2, .length = 4096}};

	setup(&f);
	half_init(&half, &f, SIZE); /* says that it is larger than it is */
	wio.io.buf = f.w.buf;
	assert_int_equal(world_io_run(&f.w, 0, &half.dev, &wio), -EINVAL);
	assert_int_equal(half.forwarded, 1);
	assert_int_equal(f.fake.submits, 0);
	assert_counted(&half.dev, 1, 0, 1);
	assert_counted(&f.fake.dev, 1, 0, 1);
	half.dev.ops->destroy(&half.dev);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_names_and_sizes_are_refused_with_a_reason),
		cmocka_unit_test(a_name_of_the_longest_length_is_taken_and_one_more_is_refused),
		cmocka_unit_test(what_the_device_cannot_do_never_reaches_the_driver),
		cmocka_unit_test(missing_and_unaligned_memory_is_refused),
		cmocka_unit_test(lacking_caps_and_read_only_say_so),
		cmocka_unit_test(a_completion_inside_submit_comes_after_it_in_the_same_pass),
		cmocka_unit_test(a_completion_outside_submit_comes_at_once),
		cmocka_unit_test(the_statistics_of_all_reactors_add_up),
		cmocka_unit_test(counters_go_to_another_engine),
		cmocka_unit_test(counters_that_are_none_are_refused),
		cmocka_unit_test(what_a_layer_passes_on_is_counted_by_both_and_ends_once),
		cmocka_unit_test(
			what_is_passed_on_is_under_way_at_both_and_goes_to_the_place_below),
		cmocka_unit_test(what_does_not_fit_below_is_refused_and_forwarded_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
