/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors between processes: they arrive, open and whole, or not at all; none is leaked. */
#include "rt/fdpass.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "rt_test.h"

static char dir[64], path[96];

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

struct pair {
	int listener, a, b;
};

static void pair_open(struct pair *p)
{
	struct err err = {0};
	pid_t pid = 0;

	if (fdpass_listen(path, &p->listener, &err) < 0 ||
	    fdpass_connect(path, &p->a, &pid, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(pid, getpid());
	pid = 0;
	assert_int_equal(fdpass_accept(p->listener, &p->b, &pid), 0);
	assert_int_equal(pid, getpid());
}

static void pair_close(struct pair *p)
{
	(void)close(p->listener);
	(void)close(p->a);
	(void)close(p->b);
	(void)unlink(path);
}

static void a_message_brings_its_descriptors(void **state)
{
	int fds[FDPASS_FDS_MAX], sent[FDPASS_FDS_MAX], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	static char big[FDPASS_DATA_MAX], text[FDPASS_DATA_MAX];
	unsigned before, n = 0;
	struct stat st, null_st;
	struct pair p;

	pair_open(&p);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	before = open_fds();
	for (unsigned i = 0; i < FDPASS_FDS_MAX; i++)
		sent[i] = null;
	memset(big, 'x', sizeof(big));
	assert_int_equal(fdpass_wait(p.b, 0), 0);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), -EAGAIN);
	assert_int_equal(fdpass_send(p.a, big, sizeof(big), sent, FDPASS_FDS_MAX), 0);
	assert_int_equal(fdpass_send(p.a, "two", 3, NULL, 0), 0);
	assert_int_equal(fdpass_wait(p.b, 1000), 1);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), (int)sizeof(big));
	assert_int_equal(n, FDPASS_FDS_MAX);
	assert_memory_equal(text, big, sizeof(big));
	assert_int_equal(fstat(null, &null_st), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(fstat(fds[i], &st), 0);
		assert_int_equal(st.st_rdev, null_st.st_rdev);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		(void)close(fds[i]);
	}
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 3);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
	(void)close(null);
	pair_close(&p);
}

static void the_end_of_the_peer_is_seen_after_its_last_message(void **state)
{
	int fds[FDPASS_FDS_MAX];
	unsigned n = 0;
	struct pair p;
	char text[16];

	pair_open(&p);
	assert_int_equal(fdpass_send(p.a, "last", 4, NULL, 0), 0);
	(void)close(p.a);
	p.a = -1;
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 4);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 0);
	assert_int_equal(fdpass_send(p.b, "x", 1, NULL, 0), -EPIPE);
	pair_close(&p);
}

/* The kernel tells of its end first, as an error. */
static void the_last_message_of_a_peer_that_did_not_read_is_seen(void **state)
{
	int fds[FDPASS_FDS_MAX];
	unsigned n = 0;
	struct pair p;
	char text[16];

	pair_open(&p);
	assert_int_equal(fdpass_send(p.b, "unread", 6, NULL, 0), 0);
	assert_int_equal(fdpass_send(p.a, "last", 4, &p.listener, 1), 0);
	(void)close(p.a);
	p.a = -1;
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 4);
	assert_memory_equal(text, "last", 4);
	assert_int_equal(n, 1);
	(void)close(fds[0]);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 0);
	pair_close(&p);
}

static void what_does_not_fit_is_dropped_whole(void **state)
{
	int fds[FDPASS_FDS_MAX], sent[2];
	unsigned before, n = 0;
	struct pair p;
	char text[4];

	pair_open(&p);
	sent[0] = sent[1] = p.listener;
	before = open_fds();
	assert_int_equal(fdpass_send(p.a, "too long", 8, sent, 2), 0);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fdpass_send(p.a, "", 0, NULL, 0), -EMSGSIZE);
	assert_int_equal(fdpass_send(p.a, "x", 1, sent, FDPASS_FDS_MAX + 1), -EMSGSIZE);
	pair_close(&p);
}

static void a_peer_that_does_not_read_is_waited_for(void **state)
{
	int fds[FDPASS_FDS_MAX];
	unsigned sent = 0, got = 0, n = 0;
	struct pair p;
	char text[4096] = "";
	int rc;

	pair_open(&p);
	while ((rc = fdpass_send(p.a, text, sizeof(text), NULL, 0)) == 0)
		assert_true(++sent < 100000);
	assert_int_equal(rc, -EAGAIN);
	while (fdpass_recv(p.b, text, sizeof(text), fds, &n) == (ssize_t)sizeof(text))
		got++;
	assert_int_equal(got, sent);
	assert_int_equal(fdpass_send(p.a, text, sizeof(text), NULL, 0), 0);
	pair_close(&p);
}

static void a_lock_goes_along_with_its_descriptor(void **state)
{
	int fds[FDPASS_FDS_MAX], held, other;
	unsigned n = 0;
	struct pair p;
	char text[16], lock[128];

	(void)snprintf(lock, sizeof(lock), "%s/lock", dir);
	pair_open(&p);
	held = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	other = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(fdpass_send(p.a, "lock", 4, &held, 1), 0);
	(void)close(held);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(fdpass_recv(p.b, text, sizeof(text), fds, &n), 4);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	(void)close(fds[0]);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	(void)close(other);
	(void)unlink(lock);
	pair_close(&p);
}

static void a_path_is_taken_from_the_dead_and_left_to_the_living(void **state)
{
	struct err err = {0};
	struct pair p;
	int fd = -1;
	pid_t pid;

	assert_int_equal(fdpass_connect(path, &fd, &pid, &err), -ENOENT);
	pair_open(&p);
	assert_int_equal(fdpass_listen(path, &fd, &err), -EADDRINUSE);
	(void)close(p.listener);
	assert_int_equal(fdpass_connect(path, &fd, &pid, &err), -ECONNREFUSED);
	assert_int_equal(fdpass_listen(path, &p.listener, &err), 0);
	pair_close(&p);
}

static int make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/lp-fdpass.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_brings_its_descriptors),
		cmocka_unit_test(the_end_of_the_peer_is_seen_after_its_last_message),
		cmocka_unit_test(the_last_message_of_a_peer_that_did_not_read_is_seen),
		cmocka_unit_test(what_does_not_fit_is_dropped_whole),
		cmocka_unit_test(a_peer_that_does_not_read_is_waited_for),
		cmocka_unit_test(a_lock_goes_along_with_its_descriptor),
		cmocka_unit_test(a_path_is_taken_from_the_dead_and_left_to_the_living),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
