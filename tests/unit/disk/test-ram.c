/* SPDX-License-Identifier: Apache-2.0 */
/* The RAM disk and the null disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/disk.h"
#include "rt/worker.h"
#include "unit/disk/blk_world.h"

#define SIZE (8 * MIB)

static struct blk_dev *ram_new(uint64_t size, uint32_t block_size)
{
	struct disk_ram_opts opts = {
		.name = "Malloc0", .size_bytes = size, .block_size = block_size};
	struct blk_dev *dev = NULL;

	assert_int_equal(disk_ram_new(&opts, &dev, NULL), 0);
	return dev;
}

static void what_is_written_is_read_and_the_rest_is_zero(void **state)
{
	struct blk_world w;
	struct blk_dev *dev = ram_new(SIZE, 512);

	blk_world_init(&w, 1);
	assert_true(world_reads(&w, dev, SIZE - 4096, 4096, 0));
	world_fill(&w, dev, 512, 1024, 7);
	assert_true(world_reads(&w, dev, 0, 512, 0));
	assert_true(world_reads(&w, dev, 512, 1024, 7));
	assert_true(world_reads(&w, dev, 1536, 512, 0));
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

static void every_reactor_sees_what_another_wrote(void **state)
{
	struct blk_world w;
	struct blk_dev *dev = ram_new(SIZE, 4096);

	blk_world_init(&w, 1);
	for (unsigned i = 0; i < WORLD_REACTORS; i++) {
		struct world_io wio = {
			.io = {.op = BLK_WRITE, .offset = i * 4096, .length = 4096, .buf = w.buf}};

		memset(w.buf, (int)i + 1, 4096);
		assert_int_equal(world_io_run(&w, i, dev, &wio), 0);
	}
	for (unsigned i = 0; i < WORLD_REACTORS; i++)
		assert_true(world_reads(&w, dev, i * 4096, 4096, (uint8_t)(i + 1)));
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

static void what_is_written_may_lie_anywhere(void **state)
{
	static uint8_t from[64 + 8 * 512];
	struct blk_world w;
	struct blk_dev *dev = ram_new(SIZE, 512);

	assert_true(dev->caps & BLK_CAP_TAKES);
	blk_world_init(&w, 1);
	for (unsigned shift = 0; shift < 64; shift++) {
		const uint64_t offset = (uint64_t)(1 + shift * 9) * 512;
		const uint64_t length = (uint64_t)(1 + shift % 8) * 512;
		struct world_io out = {.io = {.op = BLK_WRITE,
					      .offset = offset,
					      .length = length,
					      .buf = from + shift}};
		struct world_io in = {.io = {.op = BLK_READ,
					     .flags = BLK_LOAN_OK,
					     .offset = offset,
					     .length = length}};
		const uint8_t *disk;

		for (size_t i = 0; i < sizeof(from); i++)
			from[i] = (uint8_t)(i * 7 + shift);
		assert_int_equal(world_io_run(&w, 0, dev, &out), 0);
		assert_int_equal(world_io_run(&w, 0, dev, &in), 0);
		disk = in.io.loan;
		for (size_t i = 0; i < length; i++)
			assert_int_equal(disk[i], (uint8_t)((i + shift) * 7 + shift));
	}
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

static void a_loan_shows_the_data_where_it_lies(void **state)
{
	struct blk_world w;
	struct blk_dev *dev = ram_new(SIZE, 512);
	struct world_io wio = {
		.io = {.op = BLK_READ, .flags = BLK_LOAN_OK, .offset = 512, .length = 512}};

	blk_world_init(&w, 1);
	world_fill(&w, dev, 512, 512, 9);
	assert_int_equal(world_io_run(&w, 0, dev, &wio), 0);
	assert_non_null(wio.io.loan);
	assert_int_equal(((const uint8_t *)wio.io.loan)[511], 9);
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

/* Pages of the disk that are in memory, by a loan of its first block. */
static size_t resident_pages(struct blk_world *w, struct blk_dev *dev, uint64_t length)
{
	struct world_io wio = {.io = {.op = BLK_READ, .flags = BLK_LOAN_OK, .length = 512}};
	unsigned char vec[SIZE / 4096] = {0};
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	uint8_t *mem;

	assert_int_equal(world_io_run(w, 0, dev, &wio), 0);
	memcpy(&mem, &wio.io.loan, sizeof(mem));
	assert_int_equal(mincore(mem, length, vec), 0);
	for (size_t i = 0; i < length / page; i++)
		n += vec[i] & 1;
	return n;
}

static void discard_and_write_zeroes_give_memory_back_and_read_zero(void **state)
{
	static const enum blk_op ops[] = {BLK_DISCARD, BLK_WRITE_ZEROES};

	for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
		struct blk_world w;
		struct blk_dev *dev = ram_new(SIZE, 512);
		size_t before;

		blk_world_init(&w, 1);
		for (uint64_t off = 0; off < SIZE; off += WORLD_BUF)
			world_fill(&w, dev, off, WORLD_BUF, 3);
		before = resident_pages(&w, dev, SIZE);
		assert_int_equal(before, SIZE / 4096);
		/* Not page aligned at either end. */
		assert_int_equal(world_op(&w, dev, ops[i], 0, 512, SIZE - 1024), 0);
		assert_true(resident_pages(&w, dev, SIZE) <= 2);
		assert_true(world_reads(&w, dev, 0, 512, 3));
		assert_true(world_reads(&w, dev, 512, 65536, 0));
		assert_true(world_reads(&w, dev, SIZE - 65536, 65536 - 512, 0));
		assert_true(world_reads(&w, dev, SIZE - 512, 512, 3));
		dev->ops->destroy(dev);
		blk_world_fini(&w);
	}
}

static void write_zeroes_keeps_the_memory_when_asked_to(void **state)
{
	struct blk_world w;
	struct blk_dev *dev = ram_new(SIZE, 512);

	blk_world_init(&w, 1);
	world_fill(&w, dev, 0, WORLD_BUF, 3);
	assert_int_equal(world_op(&w, dev, BLK_WRITE_ZEROES, BLK_KEEP_ALLOC, 0, WORLD_BUF), 0);
	assert_true(resident_pages(&w, dev, WORLD_BUF) == WORLD_BUF / 4096);
	assert_true(world_reads(&w, dev, 0, WORLD_BUF, 0));
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

/* One that is long takes many passes, in which others begin and end: reads, and long ones that are shorter. */
static void a_long_one_keeps_nobody_waiting(void **state)
{
	static const struct {
		enum blk_op op;
		unsigned flags;
	} kinds[] = {{BLK_DISCARD, 0}, {BLK_WRITE_ZEROES, 0}, {BLK_WRITE_ZEROES, BLK_KEEP_ALLOC}};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		struct world_io all = {.io = {.op = kinds[i].op, .flags = kinds[i].flags}};
		struct world_io some = all;
		struct world_io read = {
			.io = {.op = BLK_READ, .flags = BLK_LOAN_OK, .length = 512}};
		struct blk_dev *dev = ram_new(4 * SIZE, 512);
		struct blk_world w;

		blk_world_init(&w, 1);
		for (uint64_t off = 0; off < 4 * SIZE; off += WORLD_BUF)
			world_fill(&w, dev, off, WORLD_BUF, 3);
		all.io.offset = 512;
		all.io.length = 4 * SIZE - 1024;
		some.io.length = SIZE;
		world_io_start(&all, w.r[0], dev);
		world_io_start(&some, w.r[0], dev);
		world_io_start(&read, w.r[0], dev);
		assert_true(sim_run_until(w.sim, world_io_is_done, &read, WORLD_DEADLINE));
		assert_false(some.done);
		assert_true(sim_run_until(w.sim, world_io_is_done, &some, WORLD_DEADLINE));
		assert_false(all.done);
		assert_true(sim_run_until(w.sim, world_io_is_done, &all, WORLD_DEADLINE));
		assert_int_equal(some.result, 0);
		assert_int_equal(all.result, 0);
		assert_int_equal(all.io.length, 4 * SIZE - 1024);
		for (uint64_t off = 0; off < 4 * SIZE - 512; off += 512)
			assert_true(world_reads(&w, dev, off, 512, 0));
		assert_true(world_reads(&w, dev, 4 * SIZE - 512, 512, 3));
		dev->ops->destroy(dev);
		blk_world_fini(&w);
	}
}

static void more_memory_than_the_machine_has_is_refused(void **state)
{
	struct disk_ram_opts opts = {.name = "huge", .size_bytes = 1u << 20, .block_size = 512};
	struct blk_dev *dev;
	struct err err = {0};

	opts.size_bytes = 512 * TIB;
	assert_int_equal(disk_ram_new(&opts, &dev, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "smaller"));
}

/* As between two processes, both of which have it for a while. */
static void a_passed_disk_has_what_was_written(void **state)
{
	struct disk_ram_opts opts = {
		.name = "Malloc0", .size_bytes = SIZE, .block_size = 512, .adopt = true};
	struct blk_dev *dev = ram_new(SIZE, 512), *next = NULL;
	struct err err = {0};
	struct blk_world w;

	blk_world_init(&w, 1);
	world_fill(&w, dev, 4096, 4096, 9);
	opts.fd = dup(disk_export(dev));
	if (disk_ram_new(&opts, &next, &err))
		fail_msg("%s", err.text);
	assert_true(world_reads(&w, next, 4096, 4096, 9));
	world_fill(&w, dev, 8192, 512, 10);
	assert_true(world_reads(&w, next, 8192, 512, 10));
	dev->ops->destroy(dev);
	assert_true(world_reads(&w, next, 4096, 4096, 9));
	assert_int_equal(world_op(&w, next, BLK_DISCARD, 0, 4096, 4096), 0);
	assert_true(world_reads(&w, next, 4096, 4096, 0));
	next->ops->destroy(next);
	blk_world_fini(&w);
}

static void what_is_no_memory_of_that_size_is_refused(void **state)
{
	struct disk_ram_opts opts = {
		.name = "Malloc0", .size_bytes = SIZE / 2, .block_size = 512, .adopt = true};
	struct blk_dev *dev = ram_new(SIZE, 512), *next = NULL;
	struct err err = {0};

	opts.fd = dup(disk_export(dev));
	assert_int_equal(disk_ram_new(&opts, &next, &err), -EINVAL);
	opts.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(disk_ram_new(&opts, &next, &err), -EINVAL);
	dev->ops->destroy(dev);
}

/* Of the mapping that is at at: KiB of huge pages. */
static unsigned long huge_kib(const void *at)
{
	unsigned long begin, end, kib;
	bool here = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			here = begin <= (uintptr_t)at && (uintptr_t)at < end;
		else if (here && sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			break;
	}
	assert_true(here);
	(void)fclose(f);
	return kib;
}

/* Whether the kernel can do it at all. */
static bool kernel_collapses(void)
{
	const size_t page = 2 * MIB;
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t *at =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *aligned = at + -(uintptr_t)at % page;
	bool can;

	assert_true(at != MAP_FAILED && fd >= 0 && ftruncate(fd, (off_t)page) == 0);
	assert_true(mmap(aligned, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    aligned);
	aligned[0] = 1;
	can = madvise(aligned, page, 25 /* MADV_COLLAPSE */) == 0;
	(void)munmap(at, 2 * page);
	(void)close(fd);
	return can;
}

static const uint8_t *memory_of(struct blk_world *w, struct blk_dev *dev)
{
	struct world_io loan = {.io = {.op = BLK_READ, .flags = BLK_LOAN_OK, .length = 4096}};

	assert_int_equal(world_io_run(w, 0, dev, &loan), 0);
	return loan.io.loan;
}

static void what_is_used_gets_huge_pages(void **state)
{
	struct disk_ram_opts opts = {
		.name = "Malloc0", .size_bytes = 3 * SIZE + 4096, .block_size = 512};
	struct worker_pool *workers;
	const uint8_t *mem;
	struct blk_dev *dev;
	struct blk_world w;

	if (!kernel_collapses())
		skip();
	blk_world_init(&w, 1);
	assert_int_equal(worker_pool_new(2, &workers, NULL), 0);
	opts.workers = workers;
	assert_int_equal(disk_ram_new(&opts, &dev, NULL), 0);
	mem = memory_of(&w, dev);
	for (unsigned i = 0; i < 20000 && !huge_kib(mem);
	     i++) { /* a region may be busy when its turn comes */
		for (uint64_t at = 0; at < 2 * SIZE; at += WORLD_BUF)
			world_fill(&w, dev, at, WORLD_BUF, (uint8_t)(at / WORLD_BUF));
	}
	assert_true(huge_kib(mem) > 0);
	for (uint64_t at = 0; at < 2 * SIZE; at += WORLD_BUF)
		assert_true(world_reads(&w, dev, at, WORLD_BUF, (uint8_t)(at / WORLD_BUF)));
	assert_true(world_reads(&w, dev, 2 * SIZE, WORLD_BUF, 0));
	assert_int_equal(world_op(&w, dev, BLK_DISCARD, 0, 4 * MIB, 2 * MIB), 0);
	assert_true(world_reads(&w, dev, 4 * MIB, WORLD_BUF, 0));
	assert_true(world_reads(&w, dev, 6 * MIB, WORLD_BUF, (uint8_t)(6 * MIB / WORLD_BUF)));
	world_fill(&w, dev, 2 * SIZE, WORLD_BUF, 1); /* goes while a worker may be at it */
	dev->ops->destroy(dev);
	worker_pool_free(workers);
	blk_world_fini(&w);
}

static void the_null_disk_reads_zeroes_and_forgets(void **state)
{
	struct disk_null_opts opts = {.name = "Null0", .size_bytes = 512 * TIB, .block_size = 4096};
	struct world_io loan = {
		.io = {.op = BLK_READ, .flags = BLK_LOAN_OK, .offset = 256 * TIB, .length = MIB}};
	struct blk_dev *dev;
	struct blk_world w;

	blk_world_init(&w, 1);
	assert_int_equal(disk_null_new(&opts, &dev, NULL), 0);
	world_fill(&w, dev, 4096, 8192, 1);
	assert_true(world_reads(&w, dev, 4096, 8192, 0));
	assert_int_equal(world_io_run(&w, 0, dev, &loan), 0);
	assert_int_equal(((const uint8_t *)loan.io.loan)[MIB - 1], 0);
	loan.io.length = 2 * MIB; /* longer than any command: not lent, and there is no buffer */
	loan.n_done = 0;
	assert_int_equal(world_io_run(&w, 0, dev, &loan), -EINVAL);
	assert_int_equal(world_op(&w, dev, BLK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(world_op(&w, dev, BLK_DISCARD, 0, 0, 4096), 0);
	assert_int_equal(world_op(&w, dev, BLK_WRITE_ZEROES, 0, 0, 4096), 0);
	dev->ops->destroy(dev);
	blk_world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_and_the_rest_is_zero),
		cmocka_unit_test(what_is_written_may_lie_anywhere),
		cmocka_unit_test(every_reactor_sees_what_another_wrote),
		cmocka_unit_test(a_loan_shows_the_data_where_it_lies),
		cmocka_unit_test(discard_and_write_zeroes_give_memory_back_and_read_zero),
		cmocka_unit_test(write_zeroes_keeps_the_memory_when_asked_to),
		cmocka_unit_test(a_long_one_keeps_nobody_waiting),
		cmocka_unit_test(more_memory_than_the_machine_has_is_refused),
		cmocka_unit_test(a_passed_disk_has_what_was_written),
		cmocka_unit_test(what_is_no_memory_of_that_size_is_refused),
		cmocka_unit_test(what_is_used_gets_huge_pages),
		cmocka_unit_test(the_null_disk_reads_zeroes_and_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
