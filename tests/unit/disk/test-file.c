/* SPDX-License-Identifier: Apache-2.0 */
/* The file disk: options and errors on real files, flush and power cuts on simulated ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/disk.h"
#include "rt/uring.h"
#include "unit/disk/blk_world.h"

#define SIM_PATH "sim:/disk"
#define SIZE     (1 * MIB)
#define SEEDS    10

struct fixture {
	struct blk_world w;
	struct blk_dev *dev;
};

static int open_sim(struct fixture *f, uint32_t block_size, bool read_only, struct err *err)
{
	struct disk_file_opts opts = {.name = "file0",
				      .path = SIM_PATH,
				      .block_size = block_size,
				      .read_only = read_only};

	return disk_file_new(reactor_env(f->w.r[0]), &opts, &f->dev, err);
}

static void setup(struct fixture *f, uint64_t seed, uint64_t size, uint32_t file_block)
{
	memset(f, 0, sizeof(*f));
	blk_world_init(&f->w, seed);
	sim_file_create(f->w.sim, SIM_PATH, size, file_block);
}

static void teardown(struct fixture *f)
{
	if (f->dev)
		f->dev->ops->destroy(f->dev);
	blk_world_fini(&f->w);
}

static void the_block_size_is_the_file_s_unless_given(void **state)
{
	struct fixture f;

	setup(&f, 1, SIZE, 512);
	assert_int_equal(open_sim(&f, 0, false, NULL), 0);
	assert_int_equal(f.dev->block_size, 512);
	f.dev->ops->destroy(f.dev);
	assert_int_equal(open_sim(&f, 4096, false, NULL), 0);
	assert_int_equal(f.dev->block_size, 4096);
	assert_true(atomic_load(&f.dev->size_bytes) == SIZE);
	teardown(&f);
}

static void blocks_smaller_than_the_file_takes_are_refused_with_the_way_out(void **state)
{
	struct fixture f;
	struct err err = {0};

	setup(&f, 1, SIZE, 4096);
	assert_int_equal(open_sim(&f, 512, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "use block_size 4096, or ask for buffered I/O"));
	assert_int_equal(open_sim(&f, 1024, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "512 or 4096"));
	sim_file_is_device(f.w.sim, SIM_PATH); /* what buffered I/O would not help */
	assert_int_equal(open_sim(&f, 512, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "use block_size 4096"));
	assert_null(strstr(err.text, "buffered"));
	teardown(&f);
}

static void blocks_that_no_volume_has_are_refused_with_the_way_out(void **state)
{
	struct fixture f;
	struct err err = {0};

	setup(&f, 1, SIZE, 16384);
	for (uint32_t block_size = 0; block_size <= 4096; block_size += 4096) {
		assert_int_equal(open_sim(&f, block_size, false, &err), -EINVAL);
		assert_non_null(strstr(err.text, "ask for buffered I/O"));
	}
	sim_file_is_device(f.w.sim, SIM_PATH);
	assert_int_equal(open_sim(&f, 4096, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "put a file system on it"));
	teardown(&f);
}

static void a_size_that_is_not_whole_blocks_is_refused(void **state)
{
	struct fixture f;
	struct err err = {0};

	setup(&f, 1, SIZE + 512, 512);
	assert_int_equal(open_sim(&f, 4096, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "multiple"));
	teardown(&f);
}

static void every_operation_reaches_the_file(void **state)
{
	struct fixture f;

	setup(&f, 2, SIZE, 512);
	assert_int_equal(open_sim(&f, 0, false, NULL), 0);
	world_fill(&f.w, f.dev, 4096, 8192, 5);
	assert_true(world_reads(&f.w, f.dev, 4096, 8192, 5));
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE_ZEROES, 0, 4096, 4096), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_DISCARD, 0, 8192, 512), 0);
	assert_true(world_reads(&f.w, f.dev, 4096, 4096 + 512, 0));
	assert_true(world_reads(&f.w, f.dev, 8192 + 512, 512, 5));
	assert_int_equal(world_op(&f.w, f.dev, BLK_FLUSH, 0, 0, 0), 0);
	teardown(&f);
}

static void flushed_and_fua_data_survives_a_power_cut(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct fixture f;

		setup(&f, seed, SIZE, 512);
		assert_int_equal(open_sim(&f, 4096, false, NULL), 0);
		assert_true(f.dev->caps & BLK_CAP_VOLATILE_CACHE);
		world_fill(&f.w, f.dev, 0, 65536, 1);
		assert_int_equal(world_op(&f.w, f.dev, BLK_FLUSH, 0, 0, 0), 0);
		memset(f.w.buf, 2, 4096);
		assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, BLK_FUA, 65536, 4096), 0);
		assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE_ZEROES, BLK_FUA, 0, 4096), 0);
		sim_file_power_cut(f.w.sim, SIM_PATH);
		assert_true(world_reads(&f.w, f.dev, 0, 4096, 0));
		assert_true(world_reads(&f.w, f.dev, 4096, 65536 - 4096, 1));
		assert_true(world_reads(&f.w, f.dev, 65536, 4096, 2));
		teardown(&f);
	}
}

static void the_disk_s_errors_are_passed_on(void **state)
{
	struct fixture f;

	setup(&f, 3, SIZE, 512);
	assert_int_equal(open_sim(&f, 0, false, NULL), 0);
	sim_file_fail(f.w.sim, SIM_PATH, 1u << FILE_WRITE | 1u << FILE_SYNC, 1, -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 4096), -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 4096), 0);
	teardown(&f);
}

static void rescan_sees_a_grown_file(void **state)
{
	struct fixture f;
	uint64_t size = 0;

	setup(&f, 4, SIZE, 512);
	assert_int_equal(open_sim(&f, 4096, false, NULL), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, SIZE, 4096), -EINVAL);
	sim_file_resize(f.w.sim, SIM_PATH, SIZE + 8192);
	assert_int_equal(f.dev->ops->rescan(f.dev, &size, NULL), 0);
	assert_true(size == SIZE + 8192);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, SIZE, 8192), 0);
	teardown(&f);
}

static void rescan_refuses_a_size_that_is_not_whole_blocks(void **state)
{
	struct fixture f;
	struct err err = {0};
	uint64_t size = 0;

	setup(&f, 4, SIZE, 512);
	assert_int_equal(open_sim(&f, 4096, false, NULL), 0);
	sim_file_resize(f.w.sim, SIM_PATH, SIZE + 512);
	assert_int_equal(f.dev->ops->rescan(f.dev, &size, &err), -EINVAL);
	assert_non_null(strstr(err.text, "multiple"));
	assert_true(atomic_load(&f.dev->size_bytes) == SIZE);
	teardown(&f);
}

static void read_only_refuses_writes_and_describe_has_spdk_s_shape(void **state)
{
	struct fixture f;
	json_t *json;
	const char *path;
	int block_size_override, readonly, fallocate_ok;

	setup(&f, 5, SIZE, 512);
	assert_int_equal(open_sim(&f, 512, true, NULL), 0);
	assert_int_equal(world_op(&f.w, f.dev, BLK_WRITE, 0, 0, 512), -EROFS);
	assert_int_equal(world_op(&f.w, f.dev, BLK_READ, 0, 0, 512), 0);
	json = f.dev->ops->describe(f.dev);
	assert_int_equal(json_unpack(json, "{s:{s:s, s:b, s:b, s:b !} !}", "aio", "filename", &path,
				     "block_size_override", &block_size_override, "readonly",
				     &readonly, "fallocate", &fallocate_ok),
			 0);
	assert_string_equal(path, SIM_PATH);
	assert_true(block_size_override && readonly && !fallocate_ok);
	json_decref(json);
	teardown(&f);
}

/* --- a real file --- */

struct real {
	char dir[64], path[80];
	struct reactor *r;
	struct blk_dev *dev;
	uint8_t *buf;
};

static void real_setup(struct real *t)
{
	struct reactor_opts opts = {.name = "test", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct disk_file_opts file = {.name = "file0", .block_size = 4096, .buffered = true};
	struct env *env;
	int fd;

	memset(t, 0, sizeof(*t));
	snprintf(t->dir, sizeof(t->dir), "%s/lp-file-XXXXXX", P_tmpdir);
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/disk", t->dir);
	fd = open(t->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(uring_env_new(NULL, &env, NULL), 0);
	assert_int_equal(reactor_new(&opts, env, &t->r, NULL), 0);
	file.path = t->path;
	assert_int_equal(disk_file_new(env, &file, &t->dev, NULL), 0);
	t->buf = aligned_alloc(4096, 8192);
}

static void real_teardown(struct real *t)
{
	t->dev->ops->destroy(t->dev);
	reactor_free(t->r);
	free(t->buf);
	(void)unlink(t->path);
	(void)rmdir(t->dir);
}

static int real_op(struct real *t, enum blk_op op, uint64_t offset, uint64_t length)
{
	struct world_io wio = {.io = {.op = op,
				      .offset = offset,
				      .length = length,
				      .buf = op == BLK_READ || op == BLK_WRITE ? t->buf : NULL}};

	world_io_start(&wio, t->r, t->dev);
	for (unsigned i = 0; i < 10000 && !wio.done; i++)
		(void)reactor_pass(t->r, 10 * NSEC_PER_MSEC);
	assert_true(wio.done);
	return wio.result;
}

static void a_real_file_keeps_what_was_written_and_forgets_what_was_discarded(void **state)
{
	struct real t;
	struct stat before, after;

	real_setup(&t);
	memset(t.buf, 6, 8192);
	assert_int_equal(real_op(&t, BLK_WRITE, 16384, 8192), 0);
	assert_int_equal(real_op(&t, BLK_FLUSH, 0, 0), 0);
	assert_int_equal(stat(t.path, &before), 0);
	memset(t.buf, 0, 8192);
	assert_int_equal(real_op(&t, BLK_READ, 16384, 8192), 0);
	assert_int_equal(t.buf[0], 6);
	assert_int_equal(t.buf[8191], 6);
	if (t.dev->caps & BLK_CAP_DISCARD) {
		assert_int_equal(real_op(&t, BLK_DISCARD, 16384, 8192), 0);
		assert_int_equal(stat(t.path, &after), 0);
		assert_true(after.st_blocks < before.st_blocks);
		assert_int_equal(real_op(&t, BLK_READ, 16384, 8192), 0);
		assert_int_equal(t.buf[0] | t.buf[8191], 0);
	}
	real_teardown(&t);
}

static void a_real_file_that_grew_or_shrank_is_seen_by_rescan(void **state)
{
	struct real t;
	struct err err = {0};
	uint64_t size = 0;

	real_setup(&t);
	assert_int_equal(truncate(t.path, 2 * SIZE), 0);
	assert_int_equal(t.dev->ops->rescan(t.dev, &size, NULL), 0);
	assert_true(size == 2 * SIZE);
	assert_int_equal(real_op(&t, BLK_READ, 2 * SIZE - 4096, 4096), 0);
	assert_int_equal(truncate(t.path, SIZE), 0);
	assert_int_equal(t.dev->ops->rescan(t.dev, &size, &err), -EINVAL);
	assert_non_null(strstr(err.text, "shrank"));
	assert_int_equal(real_op(&t, BLK_READ, 2 * SIZE - 4096, 4096), -EIO);
	real_teardown(&t);
}

static void a_missing_file_is_refused_by_name(void **state)
{
	struct disk_file_opts opts = {.name = "file0", .path = "/nonexistent/disk"};
	struct real t;
	struct blk_dev *dev;
	struct err err = {0};

	real_setup(&t);
	assert_int_equal(disk_file_new(reactor_env(t.r), &opts, &dev, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/disk"));
	real_teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_block_size_is_the_file_s_unless_given),
		cmocka_unit_test(blocks_that_no_volume_has_are_refused_with_the_way_out),
		cmocka_unit_test(blocks_smaller_than_the_file_takes_are_refused_with_the_way_out),
		cmocka_unit_test(a_size_that_is_not_whole_blocks_is_refused),
		cmocka_unit_test(every_operation_reaches_the_file),
		cmocka_unit_test(flushed_and_fua_data_survives_a_power_cut),
		cmocka_unit_test(the_disk_s_errors_are_passed_on),
		cmocka_unit_test(rescan_sees_a_grown_file),
		cmocka_unit_test(rescan_refuses_a_size_that_is_not_whole_blocks),
		cmocka_unit_test(read_only_refuses_writes_and_describe_has_spdk_s_shape),
		cmocka_unit_test(a_real_file_keeps_what_was_written_and_forgets_what_was_discarded),
		cmocka_unit_test(a_real_file_that_grew_or_shrank_is_seen_by_rescan),
		cmocka_unit_test(a_missing_file_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
