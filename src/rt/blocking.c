/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines over poll(). Milliseconds of the monotonic clock; INT64_MAX stands for never. */
#include "rt/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "rt/sock.h"

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t blocking_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

/* For poll(): milliseconds that are left, -1 for ever. */
static int left_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - now_ms();
	return (int)MIN(MAX(left, (int64_t)0), (int64_t)INT_MAX);
}

/* 0 when fd is ready for events (or in error, which the next call tells). */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int n = poll(&p, 1, left_ms(deadline));

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int blocking_connect_unix(const char *path, int64_t deadline)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int left = left_ms(deadline);
	struct timeval limit = {.tv_sec = left / 1000,
				.tv_usec = (suseconds_t)(left % 1000) * 1000};
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connect() to a full listener waits as long as a send may; a timeout of zero would mean for ever. */
	if (left == 0)
		limit.tv_usec = 1;
	if (left >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int blocking_send(int fd, const void *data, size_t len, int64_t deadline)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		int rc;

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = wait_for(fd, POLLOUT, deadline);
		if (rc < 0)
			return rc;
	}
	return 0;
}

ssize_t blocking_recv(int fd, void *buf, size_t size, int64_t deadline)
{
	for (;;) {
		ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);
		int rc;

		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = wait_for(fd, POLLIN, deadline);
		if (rc < 0)
			return rc;
	}
}

static int wait_ready(int fd, short events, int cancel_fd, int64_t deadline)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = cancel_fd, .events = POLLIN}};

	for (;;) {
		int n = poll(p, cancel_fd < 0 ? 1 : 2, left_ms(deadline));

		if (n > 0)
			return cancel_fd >= 0 && p[1].revents ? -ECANCELED : 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int blocking_wait_readable(int fd, int cancel_fd, int64_t deadline)
{
	return wait_ready(fd, POLLIN, cancel_fd, deadline);
}

int blocking_connect_tcp(const char *host, uint16_t port, const char *iface, int cancel_fd,
			 int64_t deadline)
{
	_cleanup_close_ int fd = -1;
	struct sock_addr addr;
	int res = sock_addr_ip(host, port, &addr), why = 0;
	socklen_t len = sizeof(why);

	if (res < 0)
		return res;
	fd = socket(addr.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (iface &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, iface, (socklen_t)strlen(iface)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr.ss, addr.len) == 0)
		return TAKE_FD(fd);
	if (errno != EINPROGRESS)
		return -errno;
	res = wait_ready(fd, POLLOUT, cancel_fd, deadline);
	if (res < 0)
		return res;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
		return -errno;
	return why ? -why : TAKE_FD(fd);
}

/* A holder that dies is noticed within this time; one that unlocks, at once. */
#define LOCK_LOOK_MS 200

static int lock_wait(int fd, int watch, int cancel_fd, int64_t deadline)
{
	char events[sizeof(struct inotify_event) + NAME_MAX + 1];

	for (;;) {
		int64_t look = blocking_deadline(LOCK_LOOK_MS);
		int res;

		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		res = wait_ready(watch, POLLIN, cancel_fd, MIN(look, deadline));
		if (res == 0)
			(void)!read(watch, events, sizeof(events));
		else if (res != -ETIMEDOUT || now_ms() >= deadline)
			return res;
	}
}

int blocking_lock(const char *path, int cancel_fd, int64_t deadline, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int res;

	if (fd < 0 || watch < 0 || inotify_add_watch(watch, path, IN_CLOSE_WRITE) < 0)
		return err_set(err, -errno, "cannot make the lock file %s: %s", path,
			       strerror(errno));
	res = lock_wait(fd, watch, cancel_fd, deadline);
	if (res == -ETIMEDOUT)
		return err_set(err, res, "another process held the lock %s until the time was over",
			       path);
	if (res < 0)
		return err_set(err, res, "cannot lock %s: %s", path, strerror(-res));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void blocking_unlock(int fd)
{
	if (fd < 0)
		return;
	/* Before the close, whose notification the waiters hear: it would come before the lock is free. */
	(void)flock(fd, LOCK_UN);
	(void)close(fd);
}

int blocking_signal_fd(struct err *err)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return err_set(err, -errno, "cannot hold back signals: %s", strerror(errno));
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set(err, -errno, "cannot make a signal descriptor: %s", strerror(errno))
		      : fd;
}
