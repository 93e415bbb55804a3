/* SPDX-License-Identifier: Apache-2.0 */
/* What worker threads wait for with a deadline and can be called back from: locks, probes, uevents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/blocking.h"
#include "rt/listen.h"
#include "rt/uevent.h"

static char path[64];
static struct err err;

static int setup(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/litepool-lock.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	err = (struct err){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static void a_held_lock_is_waited_for_until_the_deadline(void **state)
{
	int first, second;

	(void)state;
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(0), &first, &err), 0);
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(0), &second, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, path));
	blocking_unlock(first);
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(0), &second, &err), 0);
	blocking_unlock(second);
	blocking_unlock(-1);
}

static void waiting_ends_when_cancelled(void **state)
{
	int lock, other, pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(-1), &lock, &err), 0);
	assert_int_equal(blocking_lock(path, pair[0], blocking_deadline(-1), &other, &err),
			 -ECANCELED);
	blocking_unlock(lock);
	assert_int_equal(blocking_wait_readable(pair[0], -1, blocking_deadline(-1)), 0);
	assert_int_equal(blocking_wait_readable(pair[1], pair[0], blocking_deadline(-1)),
			 -ECANCELED);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* A child holds the lock, says so, and unlocks it (or dies with it) when the other end of go is closed. */
static pid_t holder(int go[2], int said[2], bool dies)
{
	pid_t pid;
	char c;
	int lock;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (pid != 0)
		return pid;
	(void)close(go[1]);
	if (blocking_lock(path, -1, blocking_deadline(-1), &lock, NULL) < 0 ||
	    write(said[1], "x", 1) != 1)
		_exit(1);
	(void)!read(go[0], &c, 1);
	if (!dies)
		blocking_unlock(lock);
	_exit(0);
}

static void another_process_is_waited_for(bool dies)
{
	int go[2], said[2], lock;
	pid_t pid = holder(go, said, dies);
	char c;

	assert_true(pid > 0);
	assert_int_equal(read(said[0], &c, 1), 1);
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(0), &lock, &err), -ETIMEDOUT);
	(void)close(go[0]);
	(void)close(go[1]);
	assert_int_equal(blocking_lock(path, -1, blocking_deadline(60000), &lock, &err), 0);
	blocking_unlock(lock);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(said[0]);
	(void)close(said[1]);
}

static void an_unlock_of_another_process_is_noticed(void **state)
{
	(void)state;
	another_process_is_waited_for(false);
}

static void the_end_of_another_process_is_noticed(void **state)
{
	(void)state;
	another_process_is_waited_for(true);
}

static void connecting_tells_who_listens(void **state)
{
	struct sock_addr addr;
	char text[SOCK_ADDR_TEXT];
	uint16_t port;
	int fd, out;

	(void)state;
	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(listen_open(&addr, 4, &fd, &err), 0);
	assert_int_equal(listen_address(fd, &addr), 0);
	assert_true(sock_addr_host(&addr, text, &port));
	out = blocking_connect_tcp("127.0.0.1", port, NULL, -1, blocking_deadline(60000));
	assert_true(out >= 0);
	(void)close(out);
	(void)close(fd);
	assert_int_equal(
		blocking_connect_tcp("127.0.0.1", port, NULL, -1, blocking_deadline(60000)),
		-ECONNREFUSED);
	assert_int_equal(
		blocking_connect_tcp("engine.example", port, NULL, -1, blocking_deadline(60000)),
		-EINVAL);
}

static void uevents_have_a_deadline(void **state)
{
	char buf[UEVENT_MAX];
	int pair[2], fd = uevent_open(&err);

	(void)state;
	if (fd == -EPERM || fd == -EACCES || fd == -EPROTONOSUPPORT)
		skip();
	assert_true(fd >= 0);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_int_equal(uevent_recv(fd, pair[0], buf, sizeof(buf), blocking_deadline(-1)),
			 -ECANCELED);
	(void)close(pair[0]);
	(void)close(pair[1]);
	(void)close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_held_lock_is_waited_for_until_the_deadline),
		TEST(waiting_ends_when_cancelled),
		TEST(an_unlock_of_another_process_is_noticed),
		TEST(the_end_of_another_process_is_noticed),
		TEST(connecting_tells_who_listens),
		TEST(uevents_have_a_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
