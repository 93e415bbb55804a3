/* SPDX-License-Identifier: Apache-2.0 */
/* Files on the ring: direct and buffered, whole, past the end, zeroed, discarded, shared by reactors. */
#include "rt_test.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rt/file.h"
#include "rt/iobuf.h"
#include "rt/uring_priv.h"

#define FILE_BYTES (4 * MIB)

struct fixture {
	struct reactor *r;
	struct iobuf_arena *arena;
	char path[64];
	char *own; /* 1 MiB outside of the arena */
};

static int setup(void **state)
{
	struct iobuf_counts counts = iobuf_counts_default();
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct err err = {0};
	int fd;

	assert_non_null(fx);
	assert_int_equal(iobuf_arena_new(&counts, 1, &fx->arena, &err), 0);
	fx->r = test_reactor(0, 0, fx->arena);
	reactor_set_iobufs(fx->r, iobuf_arena_pool(fx->arena, 0));
	/* Not in the temporary folder of the system, which may be a tmpfs without O_DIRECT. */
	(void)snprintf(fx->path, sizeof(fx->path), "test-rt-file-XXXXXX");
	fd = mkstemp(fx->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	(void)close(fd);
	assert_int_equal(posix_memalign((void **)&fx->own, 4096, MIB), 0);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	reactor_free(fx->r);
	iobuf_arena_free(fx->arena);
	(void)unlink(fx->path);
	free(fx->own);
	free(fx);
	return 0;
}

struct waited {
	struct file_io io;
	bool done;
	int res;
};

static void waited_done(struct file_io *io, int res)
{
	struct waited *w = container_of(io, struct waited, io);

	assert_false(w->done);
	w->done = true;
	w->res = res;
}

static int do_io(struct reactor *r, struct file *f, struct file_io io)
{
	struct waited w = {.io = io};

	w.io.done = waited_done;
	file_submit(r, f, &w.io);
	assert_false(w.done);
	run_until(r, w.done);
	assert_int_equal(w.io.flags, io.flags);
	return w.res;
}

static int rw(struct fixture *fx, struct file *f, enum file_op op, unsigned flags, uint64_t offset,
	      uint64_t length, void *buf)
{
	return do_io(
		fx->r, f,
		(struct file_io){
			.op = op, .flags = flags, .offset = offset, .length = length, .buf = buf});
}

static struct file *open_or_skip(struct fixture *fx, enum file_mode mode)
{
	struct err err = {0};
	struct file *f = NULL;
	int rc = file_open(reactor_env(fx->r), fx->path, mode, false, &f, &err);

	if (rc == -ENOTSUP && mode == FILE_DIRECT) {
		print_message("# skipped: %s\n", err.text);
		skip();
	}
	if (rc < 0)
		fail_msg("%s", err.text);
	return f;
}

static void fill(char *buf, size_t len, unsigned seed)
{
	struct rng rng;

	rng_seed(&rng, seed);
	rng_fill(&rng, buf, len);
}

static bool all_zero(const char *buf, size_t len)
{
	return !buf[0] && !memcmp(buf, buf + 1, len - 1);
}

static void check_round_trip(struct fixture *fx, enum file_mode mode)
{
	struct iobuf *fixed = iobuf_get(reactor_iobufs(fx->r), IOBUF_LARGE, NULL);
	struct file *f = open_or_skip(fx, mode);

	assert_int_equal(file_info(f)->size_bytes, FILE_BYTES);
	assert_false(file_info(f)->is_block_device);
	assert_true(file_info(f)->block_size >= 512);
	assert_true(file_info(f)->block_size <= 4096);
	for (unsigned i = 0; i < 4; i++) {
		char *out = i % 2 ? fx->own : fixed->data;
		char *in = i % 2 ? fixed->data : fx->own;
		size_t len = i < 2 ? MIB : 4096;
		char first[64];

		fill(out, len, i);
		memcpy(first, out, sizeof(first));
		assert_int_equal(rw(fx, f, FILE_WRITE, i ? FILE_FUA : 0, i * MIB, len, out), 0);
		assert_int_equal(rw(fx, f, FILE_SYNC, 0, 0, 0, NULL), 0);
		memset(in, 0, len);
		assert_int_equal(rw(fx, f, FILE_READ, 0, i * MIB, len, in), 0);
		assert_memory_equal(in, out, len);
		assert_memory_equal(in, first, sizeof(first));
	}
	file_close(f);
	iobuf_put(fixed);
}

static void direct_file_gives_back_what_was_written(void **state)
{
	check_round_trip(*state, FILE_DIRECT);
}

static void buffered_file_gives_back_what_was_written(void **state)
{
	check_round_trip(*state, FILE_BUFFERED);
}

static void io_past_the_end_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED);
	uint64_t size = 0;

	assert_int_equal(rw(fx, f, FILE_READ, 0, FILE_BYTES, 4096, fx->own), -EIO);
	assert_int_equal(rw(fx, f, FILE_READ, 0, FILE_BYTES - 512, 4096, fx->own), -EIO);
	assert_int_equal(rw(fx, f, FILE_WRITE, 0, FILE_BYTES - 512, 4096, fx->own), -EIO);
	assert_int_equal(rw(fx, f, FILE_ZERO, 0, UINT64_MAX - 511, 4096, NULL), -EIO);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 0, 0, fx->own), 0);
	/* The file shrank behind our back: the kernel says so. */
	assert_int_equal(truncate(fx->path, 6144), 0);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 8192, 4096, fx->own), -EIO);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 4096, 4096, fx->own), -EIO);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 4096, 2048, fx->own), 0);
	assert_int_equal(truncate(fx->path, 2 * FILE_BYTES), 0);
	assert_int_equal(file_rescan(f, &size), 0);
	assert_int_equal(size, 2 * FILE_BYTES);
	assert_int_equal(file_info(f)->size_bytes, 2 * FILE_BYTES);
	assert_int_equal(rw(fx, f, FILE_READ, 0, FILE_BYTES, 4096, fx->own), 0);
	file_close(f);
}

static uint64_t allocated(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void check_zero(struct fixture *fx, enum file_mode mode, unsigned flags)
{
	struct file *f = open_or_skip(fx, mode);
	uint64_t before;

	assert_true(file_info(f)->can_zero);
	for (unsigned i = 0; i < 4; i++) {
		fill(fx->own, MIB, i);
		assert_int_equal(rw(fx, f, FILE_WRITE, 0, i * MIB, MIB, fx->own), 0);
	}
	assert_int_equal(rw(fx, f, FILE_SYNC, 0, 0, 0, NULL), 0);
	before = allocated(fx->path);
	assert_int_equal(rw(fx, f, FILE_ZERO, flags, MIB - 4096, MIB + 8192, NULL), 0);
	assert_int_equal(rw(fx, f, FILE_READ, 0, MIB - 4096, MIB, fx->own), 0);
	assert_true(all_zero(fx->own, MIB));
	assert_int_equal(rw(fx, f, FILE_READ, 0, 2 * MIB - 4096, 16384, fx->own), 0);
	assert_true(all_zero(fx->own, 8192));
	assert_false(all_zero(fx->own + 8192, 8192));
	assert_int_equal(rw(fx, f, FILE_READ, 0, MIB - 8192, 4096, fx->own), 0);
	assert_false(all_zero(fx->own, 4096));
	if (flags & FILE_KEEP_ALLOC)
		assert_true(allocated(fx->path) >= before);
	assert_int_equal(file_info(f)->size_bytes, FILE_BYTES);
	file_close(f);
}

static void zeroed_range_reads_zeroes_and_nothing_else_does(void **state)
{
	check_zero(*state, FILE_BUFFERED, 0);
	check_zero(*state, FILE_BUFFERED, FILE_FUA);
	check_zero(*state, FILE_BUFFERED, FILE_KEEP_ALLOC | FILE_FUA);
	check_zero(*state, FILE_DIRECT, FILE_KEEP_ALLOC);
}

/* As on a file system or device without these calls. */
static void pretend_to_lack(struct file *f, unsigned what)
{
	atomic_fetch_or(&((struct ufile *)f)->lacks, what);
}

static void zero_falls_back_to_writing_zeroes(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED);

	for (unsigned flags = 0; flags <= FILE_FUA; flags += FILE_FUA) {
		fill(fx->own, MIB, flags);
		assert_int_equal(rw(fx, f, FILE_WRITE, 0, MIB, MIB, fx->own), 0);
		pretend_to_lack(f, UFILE_LACKS_PUNCH | UFILE_LACKS_ZERO_RANGE);
		assert_int_equal(rw(fx, f, FILE_ZERO, flags, MIB + 4096, MIB - 8192, NULL), 0);
		assert_int_equal(rw(fx, f, FILE_READ, 0, MIB, MIB, fx->own), 0);
		assert_false(all_zero(fx->own, 4096));
		assert_true(all_zero(fx->own + 4096, MIB - 8192));
		assert_false(all_zero(fx->own + MIB - 4096, 4096));
	}
	file_close(f);
}

/* A loop device over the fixture's file, writable whatever its last user made it, or -1 where this user may not make one. */
static int loop_open(struct fixture *fx, char *path, size_t size)
{
	struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(fx->path, O_RDWR | O_CLOEXEC);
	int fd = -1;

	/* Another process may take the same free device first. */
	for (int i = 0; ctl >= 0 && i < 10; i++) {
		(void)snprintf(path, size, "/dev/loop%d", ioctl(ctl, LOOP_CTL_GET_FREE));
		fd = open(path, O_RDWR | O_CLOEXEC);
		config.fd = (unsigned)backing;
		if (fd < 0 || !ioctl(fd, LOOP_CONFIGURE, &config))
			break;
		(void)close(fd);
		fd = -1;
	}
	assert_true(fd < 0 || ioctl(fd, BLKROSET, &(int){0}) == 0);
	if (ctl >= 0)
		(void)close(ctl);
	(void)close(backing);
	return fd;
}

static void check_device_range(struct fixture *fx, struct file *f, enum file_op op, unsigned flags)
{
	fill(fx->own, MIB, op);
	assert_int_equal(rw(fx, f, FILE_WRITE, 0, MIB, MIB, fx->own), 0);
	assert_int_equal(rw(fx, f, op, flags, MIB + 4096, 65536, NULL), 0);
	assert_int_equal(rw(fx, f, FILE_SYNC, 0, 0, 0, NULL), 0);
	memset(fx->own, 1, MIB);
	assert_int_equal(rw(fx, f, FILE_READ, 0, MIB, MIB, fx->own), 0);
	assert_true(op == FILE_DISCARD || all_zero(fx->own + 4096, 65536));
	assert_false(all_zero(fx->own, 4096));
	assert_false(all_zero(fx->own + 4096 + 65536, 4096));
}

static void block_device_is_claimed_discarded_and_zeroed(void **state)
{
	struct fixture *fx = *state;
	struct env *env = reactor_env(fx->r);
	struct err err = {0};
	struct file *f, *g;
	char path[64];
	uint64_t size;
	int fd = loop_open(fx, path, sizeof(path));

	if (fd < 0) {
		print_message("# skipped: no loop device for this user\n");
		skip();
	}
	for (int round = 0; round < 2; round++) {
		if (file_open(env, path, FILE_DIRECT, false, &f, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(file_info(f)->is_block_device);
		assert_int_equal(file_info(f)->size_bytes, FILE_BYTES);
		assert_int_equal(file_info(f)->block_size, 512);
		assert_true(file_info(f)->can_discard);
		assert_int_equal(file_open(env, path, FILE_DIRECT, false, &g, &err), -EBUSY);
		check_device_range(fx, f, FILE_DISCARD, 0);
		check_device_range(fx, f, FILE_ZERO, FILE_FUA);
		check_device_range(fx, f, FILE_ZERO, FILE_KEEP_ALLOC);
		pretend_to_lack(f, UFILE_LACKS_PUNCH);
		check_device_range(fx, f, FILE_DISCARD, 0); /* now by ioctl, on its thread */
		check_device_range(fx, f, FILE_ZERO, 0);
		pretend_to_lack(f, UFILE_LACKS_ZERO_RANGE);
		check_device_range(fx, f, FILE_ZERO, FILE_FUA);
		assert_int_equal(rw(fx, f, FILE_READ, 0, FILE_BYTES, 512, fx->own), -EIO);
		/* At once claimed again in the next round: the ring let go of the device. */
		file_close(f);
	}
	assert_int_equal(file_open(env, path, FILE_DIRECT, false, &f, &err), 0);
	assert_int_equal(truncate(fx->path, 2 * FILE_BYTES), 0);
	assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY, 0), 0);
	assert_int_equal(file_rescan(f, &size), 0);
	assert_int_equal(size, 2 * FILE_BYTES);
	assert_int_equal(rw(fx, f, FILE_READ, 0, FILE_BYTES, 4096, fx->own), 0);
	file_close(f);
	(void)close(fd); /* with the last user the device goes */
}

static void discarded_range_gives_its_space_back(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED);
	uint64_t before;

	if (!file_info(f)->can_discard) {
		assert_int_equal(rw(fx, f, FILE_DISCARD, 0, 0, MIB, NULL), -EOPNOTSUPP);
		file_close(f);
		return;
	}
	fill(fx->own, MIB, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rw(fx, f, FILE_WRITE, FILE_FUA, i * MIB, MIB, fx->own), 0);
	before = allocated(fx->path);
	assert_int_equal(rw(fx, f, FILE_DISCARD, 0, MIB, 2 * MIB, NULL), 0);
	assert_int_equal(rw(fx, f, FILE_SYNC, 0, 0, 0, NULL), 0);
	assert_true(allocated(fx->path) + MIB <= before);
	file_close(f);
}

static void second_opener_is_told_who_holds_the_file(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED), *g;
	struct env *env = reactor_env(fx->r);
	struct err err = {0};

	assert_int_equal(rw(fx, f, FILE_READ, 0, 0, 4096, fx->own), 0);
	assert_int_equal(file_open(env, fx->path, FILE_BUFFERED, false, &g, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	assert_int_equal(file_open(env, fx->path, FILE_BUFFERED, true, &g, &err), -EBUSY);
	file_close(f);
	/* Though the ring knew the file, nothing holds it any more. */
	if (file_open(env, fx->path, FILE_BUFFERED, true, &f, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(file_open(env, fx->path, FILE_BUFFERED, true, &g, &err), 0);
	assert_int_equal(rw(fx, f, FILE_WRITE, 0, 0, 4096, fx->own), -EROFS);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 0, 4096, fx->own), 0);
	file_close(g);
	file_close(f);
}

/* As between two processes: the descriptor is a copy, the open file description one. */
static void a_passed_file_keeps_its_lock(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED), *g, *h;
	struct env *env = reactor_env(fx->r);
	struct err err = {0};
	char want[4096];

	fill(want, sizeof(want), 7);
	memcpy(fx->own, want, sizeof(want));
	assert_int_equal(rw(fx, f, FILE_WRITE, FILE_FUA, 0, 4096, fx->own), 0);
	if (file_adopt(env, dup(file_export(f)), "passed", FILE_BUFFERED, false, &g, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(file_info(g)->size_bytes, file_info(f)->size_bytes);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 0, 4096, fx->own), 0);
	file_close(f); /* the lock is the other's still */
	assert_int_equal(file_open(env, fx->path, FILE_BUFFERED, false, &h, &err), -EBUSY);
	memset(fx->own, 0, 4096);
	assert_int_equal(rw(fx, g, FILE_READ, 0, 0, 4096, fx->own), 0);
	assert_memory_equal(fx->own, want, sizeof(want));
	file_close(g);
	assert_int_equal(file_open(env, fx->path, FILE_BUFFERED, false, &h, &err), 0);
	file_close(h);
}

static void a_descriptor_that_is_not_open_as_wanted_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct env *env = reactor_env(fx->r);
	struct err err = {0};
	struct file *f;

	assert_int_equal(file_adopt(env, open(fx->path, O_RDONLY | O_CLOEXEC), "passed",
				    FILE_BUFFERED, false, &f, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "writing"));
	assert_int_equal(file_adopt(env, open(fx->path, O_RDWR | O_CLOEXEC), "passed", FILE_DIRECT,
				    false, &f, &err),
			 -EINVAL);
	assert_int_equal(file_adopt(env, open("/dev/null", O_RDWR | O_CLOEXEC), "passed",
				    FILE_BUFFERED, false, &f, &err),
			 -EINVAL);
	assert_int_equal(file_adopt(env, -1, "passed", FILE_BUFFERED, false, &f, &err), -EBADF);
	/* Somebody else has the lock. */
	f = open_or_skip(fx, FILE_BUFFERED);
	assert_int_equal(file_adopt(env, open(fx->path, O_RDWR | O_CLOEXEC), "passed",
				    FILE_BUFFERED, false, &f, &err),
			 -EBUSY);
	file_close(f);
}

/* As after kill -9: the process is gone, its ring (here: our descriptor) keeps the lock for a while. */
static void lock_of_a_dead_process_is_busy(void **state)
{
	struct fixture *fx = *state;
	int fd = open(fx->path, O_RDWR | O_CLOEXEC), status;
	struct err err = {0};
	struct file *f;
	pid_t child;

	assert_true(fd >= 0);
	child = fork();
	if (child == 0)
		_exit(flock(fd, LOCK_EX | LOCK_NB) < 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(file_open(reactor_env(fx->r), fx->path, FILE_BUFFERED, false, &f, &err),
			 -EBUSY);
	(void)close(fd);
}

static void what_is_not_a_file_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct env *env = reactor_env(fx->r);
	struct err err = {0};
	struct file *f;

	assert_int_equal(file_open(env, "/nonexistent/x", FILE_DIRECT, false, &f, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_int_equal(file_open(env, "/", FILE_DIRECT, false, &f, &err), -EINVAL);
	assert_int_equal(file_open(env, "/dev/null", FILE_DIRECT, false, &f, &err), -EINVAL);
}

/* More I/Os at once than the ring holds, from one reactor. */
#define FLOOD 6000
static unsigned flood_done;

static void flood_one_done(struct file_io *io, int res)
{
	assert_int_equal(res, 0);
	flood_done++;
}

static void more_io_than_the_ring_holds_completes(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED);
	struct file_io *ios = calloc(FLOOD, sizeof(*ios));

	assert_non_null(ios);
	flood_done = 0;
	for (unsigned i = 0; i < FLOOD; i++) {
		ios[i] = (struct file_io){.op = FILE_READ,
					  .offset = i % 1024 * 4096,
					  .length = 4096,
					  .buf = fx->own + i % 256 * 4096,
					  .done = flood_one_done};
		file_submit(fx->r, f, &ios[i]);
	}
	run_until(fx->r, flood_done == FLOOD);
	assert_int_equal(counter_get(&reactor_stats(fx->r)->file_ops), FLOOD);
	file_close(f);
	free(ios);
}

/* Two reactors in threads of their own work on files that come and go. */
struct client {
	struct reactor *r;
	struct file *f;
	struct file_io io;
	unsigned left;
	char *buf;
	_Atomic bool idle;
};

static void client_step(struct client *c)
{
	c->io = (struct file_io){
		.op = c->left % 2 ? FILE_READ : FILE_WRITE,
		.offset = (c->left % 64) * 4096,
		.length = 4096,
		.buf = c->buf,
		.done = c->io.done,
	};
	file_submit(c->r, c->f, &c->io);
}

static void client_done(struct file_io *io, int res)
{
	struct client *c = container_of(io, struct client, io);

	assert_int_equal(res, 0);
	if (--c->left)
		client_step(c);
	else
		atomic_store(&c->idle, true);
}

static void client_begin(void *arg)
{
	client_step(arg);
}

static void files_come_and_go_while_other_reactors_use_them(void **state)
{
	struct fixture *fx = *state;
	struct client c[2] = {0};

	for (unsigned i = 0; i < 2; i++) {
		c[i].r = test_reactor(i + 1, i ? POLL_US_DEFAULT : 0, fx->arena);
		assert_int_equal(posix_memalign((void **)&c[i].buf, 4096, 4096), 0);
		memset(c[i].buf, 1, 4096);
		test_start(c[i].r);
	}
	for (int round = 0; round < 20; round++) {
		struct file *f = open_or_skip(fx, FILE_BUFFERED);

		for (unsigned i = 0; i < 2; i++) {
			c[i].f = f;
			c[i].left = 50;
			c[i].io.done = client_done;
			atomic_store(&c[i].idle, false);
			test_call(c[i].r, client_begin, &c[i]);
		}
		run_until(fx->r, atomic_load(&c[0].idle) && atomic_load(&c[1].idle));
		file_close(f);
	}
	for (unsigned i = 0; i < 2; i++) {
		test_stop(c[i].r);
		free(c[i].buf);
	}
}

/* A reactor that ends before the file is closed lets go of it. */
static void file_outlives_a_reactor_that_used_it(void **state)
{
	struct fixture *fx = *state;
	struct file *f = open_or_skip(fx, FILE_BUFFERED);
	struct reactor *r = test_reactor(1, 0, fx->arena);

	assert_int_equal(
		do_io(r, f,
		      (struct file_io){
			      .op = FILE_READ, .offset = 0, .length = 4096, .buf = fx->own}),
		0);
	reactor_free(r);
	assert_int_equal(rw(fx, f, FILE_READ, 0, 0, 4096, fx->own), 0);
	file_close(f);
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		FILE_TEST(direct_file_gives_back_what_was_written),
		FILE_TEST(buffered_file_gives_back_what_was_written),
		FILE_TEST(io_past_the_end_is_refused),
		FILE_TEST(zeroed_range_reads_zeroes_and_nothing_else_does),
		FILE_TEST(discarded_range_gives_its_space_back),
		FILE_TEST(zero_falls_back_to_writing_zeroes),
		FILE_TEST(block_device_is_claimed_discarded_and_zeroed),
		FILE_TEST(second_opener_is_told_who_holds_the_file),
		FILE_TEST(a_passed_file_keeps_its_lock),
		FILE_TEST(a_descriptor_that_is_not_open_as_wanted_is_refused),
		FILE_TEST(lock_of_a_dead_process_is_busy),
		FILE_TEST(what_is_not_a_file_is_refused),
		FILE_TEST(more_io_than_the_ring_holds_completes),
		FILE_TEST(files_come_and_go_while_other_reactors_use_them),
		FILE_TEST(file_outlives_a_reactor_that_used_it),
	};

	return cmocka_run_group_tests_name("rt.file", tests, NULL, NULL);
}
