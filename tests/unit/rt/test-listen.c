/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets the path of a unix socket: what was left behind is taken over, what somebody has is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt/listen.h"

static char dir[64], path[96];
static struct sock_addr addr;
static struct err err;

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/litepool-listen.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/a socket", dir); /* names may have blanks */
	err = (struct err){0};
	return sock_addr_unix(path, &addr);
}

static int teardown(void **state)
{
	(void)unlink(path);
	return rmdir(dir);
}

static int bound(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr.ss, addr.len), 0);
	return fd;
}

/* The file is that one, still. */
static void is_refused_and_stays(void)
{
	struct stat before, after;
	int fd = -1;

	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(listen_open(&addr, 4, &fd, &err), -EADDRINUSE);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.text, "another process"));
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
}

static void what_was_left_behind_is_taken_over(void **state)
{
	int fd = -1;

	assert_int_equal(close(bound(SOCK_STREAM)), 0);
	assert_int_equal(listen_open(&addr, 4, &fd, &err), 0);
	is_refused_and_stays(); /* it is somebody's now */
	assert_int_equal(close(fd), 0);
	assert_int_equal(listen_open(&addr, 4, &fd, &err), 0);
	assert_int_equal(close(fd), 0);
}

static void a_socket_that_is_bound_and_does_not_listen_yet_is_not_taken_away(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

	for (unsigned i = 0; i < 2; i++) {
		int fd = bound(types[i]);

		is_refused_and_stays();
		assert_int_equal(listen(fd, 4), 0);
		is_refused_and_stays();
		assert_int_equal(close(fd), 0);
		assert_int_equal(unlink(path), 0);
	}
}

/* As when a server is killed and its client has not noticed: accepted sockets have the path, too. */
static void an_accepted_socket_does_not_keep_the_path(void **state)
{
	int server = bound(SOCK_STREAM), fd = -1, accepted;
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(listen(server, 4), 0);
	assert_int_equal(connect(client, (const struct sockaddr *)&addr.ss, addr.len), 0);
	accepted = accept(server, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(close(server), 0);
	assert_int_equal(listen_open(&addr, 4, &fd, &err), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(client), 0); /* and with its peer gone */
	assert_int_equal(listen_open(&addr, 4, &fd, &err), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(accepted), 0);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	is_refused_and_stays();
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(what_was_left_behind_is_taken_over),
		ONE(a_socket_that_is_bound_and_does_not_listen_yet_is_not_taken_away),
		ONE(an_accepted_socket_does_not_keep_the_path),
		ONE(a_file_that_is_no_socket_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
