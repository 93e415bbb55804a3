/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of src/rt share: reactors on the real kernel, and waiting for a state with a bound. */
#ifndef LITEPOOL_TESTS_RT_TEST_H
#define LITEPOOL_TESTS_RT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* After the above. */
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "rt/env.h"
#include "rt/reactor.h"
#include "rt/uring.h"

#define TEST_SECONDS_MAX 30

static inline struct reactor *test_reactor(unsigned id, int64_t poll_us, struct iobuf_arena *arena)
{
	struct reactor_opts opts = {.id = id, .name = "test", .cpu = -1, .poll_us = poll_us};
	struct err err = {0};
	struct reactor *r = NULL;
	struct env *env;

	if (uring_env_new(arena, &env, &err) < 0 || reactor_new(&opts, env, &r, &err) < 0)
		fail_msg("%s", err.text);
	return r;
}

static inline void test_start(struct reactor *r)
{
	struct err err = {0};

	if (reactor_start(r, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void test_stop(struct reactor *r)
{
	reactor_stop(r);
	reactor_join(r);
	reactor_free(r);
}

/* Runs passes of r in this thread until cond holds. */
#define run_until(r, cond)                                                                         \
	do {                                                                                       \
		uint64_t end_ = reactor_now_exact(r) + TEST_SECONDS_MAX * NSEC_PER_SEC;            \
		while (!(cond)) {                                                                  \
			if (reactor_now_exact(r) > end_)                                           \
				fail_msg("not within %d s: %s", TEST_SECONDS_MAX, #cond);          \
			(void)reactor_pass(r, (int64_t)(100 * NSEC_PER_MSEC));                     \
		}                                                                                  \
	} while (0)

/* Runs fn(arg) on r's thread and waits until it is over. */
struct test_call {
	struct msg msg;
	void (*fn)(void *arg);
	void *arg;
	int fds[2];
};

static inline void test_call_run(struct msg *msg)
{
	struct test_call *call = container_of(msg, struct test_call, msg);

	call->fn(call->arg);
	assert_int_equal(write(call->fds[1], "x", 1), 1);
}

static inline void test_call(struct reactor *r, void (*fn)(void *arg), void *arg)
{
	struct test_call call = {.msg.run = test_call_run, .fn = fn, .arg = arg};
	char c;

	assert_int_equal(pipe(call.fds), 0);
	reactor_post(r, &call.msg);
	assert_int_equal(read(call.fds[0], &c, 1), 1);
	(void)close(call.fds[0]);
	(void)close(call.fds[1]);
}

#endif
