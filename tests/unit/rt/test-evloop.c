/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/command.h"
#include "rt/evloop.h"

static atomic_uint runs;

static void count(struct evloop_task *task)
{
	(void)atomic_fetch_add(&runs, 1);
}

/* The wake of the end may be read together with that of the task: the loop must not wait then. */
static void the_end_runs_what_was_posted_and_comes(void **state)
{
	struct evloop *loop;
	struct err err;

	atomic_store(&runs, 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct evloop_task tasks[3] = {{.run = count}, {.run = count}, {.run = count}};

		assert_int_equal(evloop_new("test", &loop, &err), 0);
		for (unsigned j = 0; j < i % 4; j++)
			evloop_post(loop, &tasks[j]);
		evloop_free(loop);
	}
	assert_int_equal(atomic_load(&runs), 250 * (0 + 1 + 2 + 3));
}

struct echo {
	struct evloop *loop;
	struct evloop_fd watch;
	struct evloop_task begin;
	struct evloop_timer timer;
	int peer;
};

static void fired(struct evloop_timer *timer)
{
	struct echo *echo = container_of(timer, struct echo, timer);

	assert_int_equal(evloop_send(echo->watch.fd, "t", 1), 1);
}

static void ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct echo *echo = container_of(watch, struct echo, watch);
	char c;

	if (evloop_recv(watch->fd, &c, 1) != 1)
		return;
	if (c == 'u')
		evloop_unwatch(echo->loop, watch);
	else
		evloop_timer_set(echo->loop, &echo->timer, evloop_now_ns());
}

static void begin(struct evloop_task *task)
{
	struct echo *echo = container_of(task, struct echo, begin);

	assert_int_equal(evloop_watch(echo->loop, &echo->watch, true, false), 0);
}

static void a_socket_wakes_it_and_a_timer_answers(void **state)
{
	struct echo echo = {.watch.ready = ready, .timer.fire = fired, .begin.run = begin};
	struct err err;
	int fds[2];
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	echo.watch.fd = fds[0];
	assert_int_equal(evloop_new("test", &echo.loop, &err), 0);
	evloop_post(echo.loop, &echo.begin);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(read(fds[1], &c, 1), 1);
		assert_int_equal(c, 't');
	}
	assert_int_equal(write(fds[1], "u", 1), 1);
	evloop_free(echo.loop);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void a_command_tells_its_status_and_its_last_words(void **state)
{
	const char *const ok[] = {"true", NULL};
	const char *const bad[] = {"sh", "-c", "echo one; echo two >&2; exit 7", NULL};
	const char *const none[] = {"litepool-no-such-program", NULL};
	const char *const slow[] = {"sleep", "1000", NULL};
	struct command_result result;
	struct err err;

	assert_int_equal(command_run(ok, -1, &result, &err), 0);
	assert_int_equal(result.status, 0);
	assert_int_equal(command_run(bad, 60000, &result, &err), 0);
	assert_int_equal(result.status, 7);
	assert_string_equal(result.output, "one two ");
	assert_int_equal(command_run(none, -1, &result, &err), -ENOENT);
	assert_int_equal(command_run(slow, 10, &result, &err), -ETIMEDOUT);
}

static void a_command_is_read_whole_and_its_complaints_apart(void **state)
{
	const char *const both[] = {"sh", "-c", "echo out; echo wrong >&2; seq 20000; exit 3",
				    NULL};
	const char *const endless[] = {"yes", NULL};
	const char *const slow[] = {"sh", "-c", "echo begun; exec sleep 1000", NULL};
	struct command_result result;
	char *text = NULL;
	struct err err;

	assert_int_equal(command_read(both, 60000, 1 << 20, &text, &result, &err), 0);
	assert_int_equal(result.status, 3);
	assert_string_equal(result.output, "wrong ");
	assert_memory_equal(text, "out\n1\n2\n", 8);
	assert_int_equal(strlen(text), 4 + 108894);
	free(text);
	assert_int_equal(command_read(endless, 60000, 100000, &text, &result, &err), -EMSGSIZE);
	assert_int_equal(command_read(slow, 100, 100000, &text, &result, &err), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_runs_what_was_posted_and_comes),
		cmocka_unit_test(a_socket_wakes_it_and_a_timer_answers),
		cmocka_unit_test(a_command_tells_its_status_and_its_last_words),
		cmocka_unit_test(a_command_is_read_whole_and_its_complaints_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
