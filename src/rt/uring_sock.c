/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the kernel: made, accepted, read and written with plain calls that never block. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "rt/listen.h"
#include "rt/uring_priv.h"

#define BACKLOG_DEFAULT 1024

static struct usock *usock_new(int fd, int family)
{
	struct usock *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base.ops = &uring_ops;
	s->fd = fd;
	s->is_unix = family == AF_UNIX;
	return s;
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* One line of a file of /proc without its newline; "" when it cannot be read. */
static void read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (!f)
		return;
	if (!fgets(line, (int)size, f))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	(void)fclose(f);
}

static int set_congestion(int fd, const char *name, struct err *err)
{
	char list[256];
	int rc;

	if (!setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)))
		return 0;
	rc = -errno;
	if (rc == -EPERM) {
		read_line("/proc/sys/net/ipv4/tcp_allowed_congestion_control", list, sizeof(list));
		return err_set(err, rc,
			       "TCP congestion control '%.32s' is not allowed to this user; "
			       "allowed are: %s (sysctl "
			       "net.ipv4.tcp_allowed_congestion_control)",
			       name, list);
	}
	read_line("/proc/sys/net/ipv4/tcp_available_congestion_control", list, sizeof(list));
	return err_set(err, rc,
		       "TCP congestion control '%.32s' cannot be used (%s); available are: %s "
		       "(another one may need "
		       "modprobe tcp_%.32s)",
		       name, strerror(-rc), list, name);
}

/* Three probes in the second half of the time. */
static int set_dead_peer(int fd, int seconds)
{
	int rc = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

	if (!rc)
		rc = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds / 2);
	if (!rc)
		rc = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds / 6);
	if (!rc)
		rc = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	if (!rc)
		rc = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
	return rc;
}

static int set_options(int fd, int family, const struct sock_opts *opts, struct err *err)
{
	int rc = 0;

	if (opts->sndbuf)
		rc = set_int(fd, SOL_SOCKET, SO_SNDBUF, opts->sndbuf);
	if (!rc && opts->rcvbuf)
		rc = set_int(fd, SOL_SOCKET, SO_RCVBUF, opts->rcvbuf);
	if (family == AF_UNIX)
		return rc;
	/* Accepted sockets inherit these from their listener. */
	if (!rc)
		rc = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!rc && opts->reuse_port)
		rc = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!rc && opts->dead_peer_s)
		rc = set_dead_peer(fd, opts->dead_peer_s);
	if (!rc && opts->congestion)
		return set_congestion(fd, opts->congestion, err);
	return rc < 0 ? err_set(err, rc, "cannot set a socket option: %s", strerror(-rc)) : 0;
}

static int open_socket(const struct sock_addr *addr, const struct sock_opts *opts, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int family = addr->ss.ss_family;
	int rc;

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	rc = set_options(fd, family, opts, err);
	return rc < 0 ? rc : TAKE_FD(fd);
}

/* The path is ours to remove on close as long as it leads to this listener. */
static int own_unix_path(struct usock *s, const char *path, struct err *err)
{
	struct stat st;

	s->unix_path = strdup(path);
	if (!s->unix_path || stat(path, &st) < 0)
		return err_set(err, -ENOMEM, "no memory for a listener");
	s->unix_dev = st.st_dev;
	s->unix_ino = st.st_ino;
	return 0;
}

static int bind_unix(int fd, const struct sock_addr *addr, struct usock *s, struct err *err)
{
	const char *path = ((const struct sockaddr_un *)&addr->ss)->sun_path;
	int rc = listen_bind_unix(fd, addr, err);

	return rc < 0 ? rc : own_unix_path(s, path, err);
}

int usock_listen(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		 struct sock **ret, struct err *err)
{
	struct usock *s;
	int fd, rc;

	fd = open_socket(addr, opts, err);
	if (fd < 0)
		return fd;
	s = usock_new(fd, addr->ss.ss_family);
	if (!s) {
		(void)close(fd);
		return err_set(err, -ENOMEM, "no memory for a listener");
	}
	s->is_listener = true;
	rc = s->is_unix ? bind_unix(fd, addr, s, err) : listen_bind_ip(fd, addr, err);
	if (!rc && listen(fd, opts->backlog ? opts->backlog : BACKLOG_DEFAULT) < 0)
		rc = err_set(err, -errno, "cannot listen: %s", strerror(errno));
	if (rc < 0) {
		usock_close(&s->base);
		return rc;
	}
	*ret = &s->base;
	return 0;
}

int usock_connect(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		  struct sock **ret, struct err *err)
{
	char text[SOCK_ADDR_TEXT];
	struct usock *s;
	int fd, rc;

	fd = open_socket(addr, opts, err);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0 &&
	    errno != EINPROGRESS) {
		rc = -errno;
		(void)close(fd);
		return err_set(err, rc, "cannot connect to %s: %s", sock_addr_format(addr, text),
			       strerror(-rc));
	}
	s = usock_new(fd, addr->ss.ss_family);
	if (!s) {
		(void)close(fd);
		return err_set(err, -ENOMEM, "no memory for a connection");
	}
	*ret = &s->base;
	return 0;
}

int usock_accept(struct sock *base, struct sock **ret, struct sock_addr *ret_peer)
{
	struct usock *listener = (struct usock *)base;
	struct sock_addr peer = {.len = sizeof(peer.ss)};
	struct usock *s;
	int fd;

	ASSERT(listener->is_listener);
	do {
		fd = accept4(listener->fd, (struct sockaddr *)&peer.ss, &peer.len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (fd < 0) {
		int rc = -errno;

		if (listener->u)
			usock_clear_read(listener);
		return rc;
	}
	s = usock_new(fd, peer.ss.ss_family);
	if (!s) {
		(void)close(fd);
		return -ENOMEM;
	}
	if (listener->u)
		usock_mark_ready(listener, SOCK_EV_READ);
	if (ret_peer)
		*ret_peer = peer;
	*ret = &s->base;
	return 0;
}

int usock_error(struct sock *base)
{
	struct usock *s = (struct usock *)base;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static size_t iov_total(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* What a receive says of what is left in the socket; see uring_poll.c on drained. */
static void note_received(struct usock *s, ssize_t got, size_t asked)
{
	bool may_be_more = got > 0 && ((size_t)got == asked || s->hup || s->is_unix);

	if (!s->u)
		return;
	if (got >= 0)
		usock_had_data(s);
	if (may_be_more)
		usock_mark_ready(s, SOCK_EV_READ);
	else
		usock_clear_read(s);
}

ssize_t usock_recv(struct sock *base, const struct iovec *iov, int n)
{
	struct usock *s = (struct usock *)base;
	struct msghdr hdr = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	ssize_t got;

	do {
		if (n == 1)
			got = recv(s->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
		else
			got = recvmsg(s->fd, &hdr, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		got = errno == EWOULDBLOCK ? -EAGAIN : -errno;
	note_received(s, got, iov_total(iov, n));
	return got;
}

ssize_t usock_send(struct sock *base, const struct iovec *iov, int n)
{
	struct usock *s = (struct usock *)base;
	struct msghdr hdr = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	ssize_t sent;

	do {
		sent = sendmsg(s->fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

void usock_shutdown_write(struct sock *base)
{
	/* Fails only when the connection is gone already, which the next receive tells. */
	(void)shutdown(((struct usock *)base)->fd, SHUT_WR);
}

/* Unless somebody else put his own socket there. */
static void remove_unix_path(struct usock *s)
{
	struct stat st;

	if (lstat(s->unix_path, &st) == 0 && st.st_dev == s->unix_dev && st.st_ino == s->unix_ino)
		(void)unlink(s->unix_path);
}

void usock_close(struct sock *base)
{
	struct usock *s = (struct usock *)base;

	ASSERT(!s->u);
	if (s->unix_path && s->unix_ino)
		remove_unix_path(s);
	free(s->unix_path);
	(void)close(s->fd);
	free(s);
}

int usock_addr(struct sock *base, bool peer, struct sock_addr *ret)
{
	struct usock *s = (struct usock *)base;
	struct sock_addr addr = {.len = sizeof(addr.ss)};
	struct sockaddr *sa = (struct sockaddr *)&addr.ss;
	int rc = peer ? getpeername(s->fd, sa, &addr.len) : getsockname(s->fd, sa, &addr.len);

	if (rc < 0)
		return -errno;
	*ret = addr;
	return 0;
}

int usock_fd(struct sock *base)
{
	return ((struct usock *)base)->fd;
}

static int get_int(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

/* A TCP socket tells by one call that it is one, and whether it listens: hosts wait while a thousand of them come. */
static bool is_tcp(int fd, int *ret_family, int *ret_listens)
{
	uint8_t state = 0; /* the first member of struct tcp_info */
	socklen_t len = sizeof(state);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) < 0 || len != sizeof(state))
		return false;
	*ret_family = AF_INET; /* or AF_INET6, which is the same to us */
	*ret_listens = state == TCP_LISTEN;
	return true;
}

static int look_at_import(int fd, int *ret_family, int *ret_listens)
{
	int type = 0, rc;

	if (is_tcp(fd, ret_family, ret_listens))
		return 0;
	rc = get_int(fd, SO_TYPE, &type);
	if (!rc)
		rc = get_int(fd, SO_DOMAIN, ret_family);
	if (!rc)
		rc = get_int(fd, SO_ACCEPTCONN, ret_listens);
	if (!rc && type != SOCK_STREAM && type != SOCK_SEQPACKET)
		rc = -EPROTOTYPE;
	return rc;
}

/*
 * Another process's settings of the descriptor do not come along with certainty: they are made again. A TCP connection needs none: it is read and written with MSG_DONTWAIT, and
 * fdpass_recv() has made it close-on-exec.
 */
static int prepare_import(int fd, int *ret_family, int *ret_listens, struct err *err)
{
	int rc = look_at_import(fd, ret_family, ret_listens);

	if (!rc && (*ret_family != AF_INET || *ret_listens) &&
	    (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0))
		rc = -errno;
	return rc ? err_set(err, rc, "what came is not a stream socket: %s", strerror(-rc)) : 0;
}

int usock_import(struct env *env, int fd, struct sock **ret, bool *ret_is_listener, struct err *err)
{
	struct usock *s;
	struct sock_addr addr;
	int family = 0, listens = 0;
	int rc = prepare_import(fd, &family, &listens, err);

	s = rc ? NULL : usock_new(fd, family);
	if (!s) {
		(void)close(fd);
		return rc ? rc : err_set(err, -ENOMEM, "no memory for a socket");
	}
	s->is_listener = listens;
	if (s->is_listener && s->is_unix && usock_addr(&s->base, false, &addr) == 0)
		/* Without its path it still serves; the path is then nobody's to remove. */
		(void)own_unix_path(s, ((const struct sockaddr_un *)&addr.ss)->sun_path, NULL);
	*ret = &s->base;
	*ret_is_listener = listens;
	return 0;
}

void usock_export_close(struct env *env, int fd)
{
	(void)close(fd);
}
