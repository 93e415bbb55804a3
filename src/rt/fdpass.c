/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. A descriptor that arrived is handed to the caller or closed: no path forgets one.
 * 2. Nothing blocks, and SIGPIPE is never raised.
 */
#include "rt/fdpass.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rt/listen.h"
#include "rt/sock.h"

#define BACKLOG 4

union control {
	char bytes[CMSG_SPACE(sizeof(int) * FDPASS_FDS_MAX)];
	struct cmsghdr align;
};

static int unix_address(const char *path, struct sock_addr *ret, struct err *err)
{
	int rc = sock_addr_unix(path, ret);

	return rc < 0 ? err_set(err, rc, "%s is too long for the path of a unix socket (107 bytes)",
				path)
		      : 0;
}

/* A socket for the end at path, not bound and not connected yet. */
static int open_for(const char *path, struct sock_addr *ret_addr, int *ret_fd, struct err *err)
{
	int rc = unix_address(path, ret_addr, err);

	if (rc < 0)
		return rc;
	*ret_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*ret_fd < 0)
		return err_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	return 0;
}

int fdpass_listen(const char *path, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct sock_addr addr;
	int rc = open_for(path, &addr, &fd, err);

	if (rc < 0)
		return rc;
	rc = listen_bind_unix(fd, &addr, err);
	if (rc < 0)
		return rc;
	if (listen(fd, BACKLOG) < 0)
		return err_set(err, -errno, "cannot listen on %s: %s", path, strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int fdpass_listen_again(int fd, struct err *err)
{
	return listen(fd, BACKLOG) < 0
		       ? err_set(err, -errno, "cannot listen again: %s", strerror(errno))
		       : 0;
}

static int peer_check(int fd, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.uid != geteuid() && cred.uid != 0)
		return -EPERM;
	*ret_pid = cred.pid;
	return 0;
}

int fdpass_accept(int listener, int *ret_fd, pid_t *ret_pid)
{
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int rc;

	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
	rc = peer_check(fd, ret_pid);
	if (rc < 0)
		return rc;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int fdpass_connect(const char *path, int *ret_fd, pid_t *ret_pid, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct sock_addr addr;
	int rc = open_for(path, &addr, &fd, err);

	if (rc < 0)
		return rc;
	if (connect(fd, (const struct sockaddr *)&addr.ss, addr.len) < 0)
		return err_set(err, -errno, "cannot connect to %s: %s", path, strerror(errno));
	rc = peer_check(fd, ret_pid);
	if (rc == -EPERM)
		return err_set(err, rc, "%s belongs to another user", path);
	if (rc < 0)
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int fdpass_send(int fd, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (len == 0 || len > FDPASS_DATA_MAX || n_fds > FDPASS_FDS_MAX)
		return -EMSGSIZE;
	if (n_fds) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The descriptors that came with msg. */
static unsigned fds_take(struct msghdr *msg, int fds[FDPASS_FDS_MAX])
{
	unsigned n = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && n < FDPASS_FDS_MAX; i++)
			memcpy(&fds[n++], CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
	}
	return n;
}

/* Bytes, 0 at the end, or a negative errno. */
static ssize_t receive(int fd, struct msghdr *msg)
{
	ssize_t n;

	do {
		n = recvmsg(fd, msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t fdpass_recv(int fd, void *data, size_t size, int fds[FDPASS_FDS_MAX], unsigned *ret_n_fds)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};
	union control control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	unsigned n_fds;
	ssize_t n;

	n = receive(fd, &msg);
	/* A peer that went with messages of ours unread: told once, and before its own last ones, which are still there. */
	if (n == -ECONNRESET)
		n = receive(fd, &msg);
	if (n < 0)
		return n == -ECONNRESET ? 0 : n;
	n_fds = fds_take(&msg, fds);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (n_fds)
			(void)close(fds[--n_fds]);
		return -EMSGSIZE;
	}
	*ret_n_fds = n_fds;
	return n;
}

int fdpass_wait(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int rc;

	do {
		rc = poll(&poll_fd, 1, timeout_ms);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc > 0;
}
