/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that lack features: what can be done without is said once, with its consequence, and all goes on; else the reason why not. */
#include "rt_test.h"

#include <liburing.h>
#include <sched.h>

#include "base/log.h"
#include "lacks/lacks.h"
#include "rt/file.h"
#include "rt/iobuf.h"

static char said[16 * 1024]; /* by the log since it was cleared */

static void hear(const char *line, size_t len)
{
	const size_t at = strlen(said);

	assert_true(at + len < sizeof(said));
	memcpy(said + at, line, len);
	said[at + len] = '\0';
}

static unsigned times_said(const char *what)
{
	unsigned n = 0;

	for (const char *at = said; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

static bool written;

static void io_done(struct file_io *io, int res)
{
	assert_int_equal(res, 0);
	written = true;
}

static void io(struct reactor *r, struct file *f, enum file_op op, void *buf)
{
	struct file_io one = {.op = op, .length = op == FILE_SYNC ? 0 : 4096, .buf = buf};

	one.done = io_done;
	written = false;
	file_submit(r, f, &one);
	run_until(r, written);
}

static void posted(struct msg *msg)
{
	*(bool *)(void *)(msg + 1) = true;
}

/* A reactor as the engine makes it, pinned: files in and out of the arena, a message, sleep. */
static void all_works(void)
{
	struct reactor_opts opts = {.id = 0, .name = "test", .cpu = sched_getcpu(), .poll_us = 0};
	struct iobuf_counts counts = iobuf_counts_default();
	struct {
		struct msg msg;
		bool came;
	} post = {.msg.run = posted};
	char path[] = "test-rt-lacks-XXXXXX";
	int fd = mkstemp(path);
	struct iobuf_arena *arena;
	struct err err = {0};
	struct env *env;
	struct reactor *r;
	struct iobuf *buf;
	struct file *f = NULL;

	assert_true(fd >= 0 && ftruncate(fd, MIB) == 0);
	(void)close(fd);
	assert_int_equal(iobuf_arena_new(&counts, 1, &arena, &err), 0);
	assert_int_equal(uring_env_new(arena, &env, &err), 0);
	assert_int_equal(reactor_new(&opts, env, &r, &err), 0);
	reactor_set_iobufs(r, iobuf_arena_pool(arena, 0));
	if (reactor_prepare(r, &err) || file_open(env, path, FILE_BUFFERED, false, &f, &err))
		fail_msg("%s", err.text);
	buf = iobuf_get(iobuf_arena_pool(arena, 0), IOBUF_SMALL, NULL);
	memset(buf->data, 0x5a, 4096);
	io(r, f, FILE_WRITE, buf->data);
	io(r, f, FILE_SYNC, NULL);
	memset(buf->data, 0, 4096);
	io(r, f, FILE_READ, buf->data);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(((uint8_t *)buf->data)[i], 0x5a);
	io(r, f, FILE_ZERO, NULL);
	io(r, f, FILE_READ, buf->data);
	assert_int_equal(((uint8_t *)buf->data)[4095], 0);
	reactor_post(r, &post.msg);
	run_until(r, post.came);
	(void)reactor_pass(r, 1000);
	iobuf_put(buf);
	file_close(f);
	reactor_free(r);
	iobuf_arena_free(arena);
	(void)unlink(path);
}

static void what_can_be_done_without_is_said_once(void **state)
{
	static const struct {
		unsigned lacks;
		const char *says[3], *consequence;
	} rows[] = {
		{0, {NULL}, NULL},
		{1u << LACK_DEFER, {"DEFER_TASKRUN (Linux 6.1)"}, "fewer I/Os per second"},
		{1u << LACK_DEFER | 1u << LACK_COOP,
		 {"DEFER_TASKRUN (Linux 6.1)", "COOP_TASKRUN,TASKRUN_FLAG (Linux 5.19)"},
		 "each completion may interrupt"},
		{1u << LACK_FILES, {"sparse table of registered files"}, "looks up its file"},
		{1u << LACK_BUFFERS, {"rt.uring.arena_not_registered"}, "RLIMIT_MEMLOCK"},
		{1u << LACK_RING_FD | 1u << LACK_AFFINITY, {NULL}, NULL}, /* nobody would notice */
		{(1u << LACK_RING) - 1,
		 {"DEFER_TASKRUN (Linux 6.1)", "COOP_TASKRUN", "sparse table"},
		 "fewer I/Os per second"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {0};

		lacks = rows[i].lacks;
		said[0] = '\0';
		if (uring_probe_kernel(&err))
			fail_msg("%s", err.text);
		all_works();
		all_works(); /* as another reactor: nothing is said again */
		for (size_t k = 0; k < ARRAY_LEN(rows[i].says) && rows[i].says[k]; k++)
			assert_int_equal(times_said(rows[i].says[k]), 1);
		if (rows[i].consequence)
			assert_non_null(strstr(said, rows[i].consequence));
		else
			assert_null(strstr(said, "level=warn"));
	}
}

static void refused(unsigned what, const char *why)
{
	struct err err = {0};

	lacks = what;
	assert_true(uring_probe_kernel(&err) < 0);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void what_cannot_be_done_without_is_refused_with_the_reason(void **state)
{
	static const struct {
		unsigned op;
		const char *name;
	} ops[] = {{IORING_OP_READ_FIXED, "lacks READ_FIXED"},
		   {IORING_OP_WRITE_FIXED, "lacks WRITE_FIXED"},
		   {IORING_OP_READ, "lacks READ:"},
		   {IORING_OP_WRITE, "lacks WRITE:"},
		   {IORING_OP_FSYNC, "lacks FSYNC"},
		   {IORING_OP_FALLOCATE, "lacks FALLOCATE"},
		   {IORING_OP_POLL_ADD, "lacks POLL_ADD"},
		   {IORING_OP_ASYNC_CANCEL, "lacks ASYNC_CANCEL"}};

	refused(1u << LACK_RING, "Linux 6.1 or newer is needed");
	refused(1u << LACK_RIGHTS, "kernel.io_uring_disabled=0");
	refused(1u << LACK_MEMORY, "RLIMIT_MEMLOCK");
	refused(1u << LACK_FEATURES, "too old");
	refused(1u << LACK_PROBE, "too old");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		lacks_op = ops[i].op;
		refused(1u << LACK_OP, ops[i].name);
	}
	lacks = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_done_without_is_said_once),
		cmocka_unit_test(what_cannot_be_done_without_is_refused_with_the_reason),
	};

	log_set_sink(hear);
	return cmocka_run_group_tests_name("rt.lacks", tests, NULL, NULL);
}
