/* SPDX-License-Identifier: Apache-2.0 */
/* Binding and listening, for the sockets of reactors and for libraries that bring their own loop. */
#include "rt/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define UNIX_UNCONNECTED 1u /* SS_UNCONNECTED of the kernel */

/* A line of /proc/net/unix: "number: references protocol flags type state inode path". A socket that has the name and neither listens nor was accepted from who did. */
static bool line_is_bound(char *line, const char *path)
{
	unsigned flags = 0, state = 0;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	return sscanf(line, "%*s %*s %*s %x %*s %x %*s %n", &flags, &state, &at) == 2 && at > 0 &&
	       strcmp(line + at, path) == 0 && flags == 0 && state == UNIX_UNCONNECTED;
}

/* Some process has bound path and not begun to listen: connect() tells that no better than a file that was left behind. Only those of our network namespace are seen. */
static bool unix_is_bound(const char *path)
{
	FILE *table = fopen("/proc/net/unix", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	bool bound = false;

	if (!table)
		return false;
	while (!bound && getline(&line, &size, table) > 0)
		bound = line_is_bound(line, path);
	(void)fclose(table); /* it was only read */
	return bound;
}

/* Whether path is a socket that nobody listens to any more, or is about to. */
static bool unix_is_stale(const struct sock_addr *addr, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	return connect(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0 &&
	       errno == ECONNREFUSED && !unix_is_bound(path);
}

int listen_bind_unix(int fd, const struct sock_addr *addr, struct err *err)
{
	const char *path = ((const struct sockaddr_un *)&addr->ss)->sun_path;
	int rc;

	/* The file that bind() makes takes its mode from the socket's: it is never open to others. */
	if (fchmod(fd, 0600) < 0)
		return err_set(err, -errno, "cannot protect the socket %s: %s", path,
			       strerror(errno));
	rc = bind(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0 ? -errno : 0;
	if (rc == -EADDRINUSE && unix_is_stale(addr, path)) {
		(void)unlink(path); /* bind() tells if it is still there */
		rc = bind(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0 ? -errno : 0;
	}
	if (rc == -EADDRINUSE)
		return err_set(err, rc,
			       "%s is in use: another process listens there, or it is not a "
			       "socket; stop that process "
			       "or choose another path",
			       path);
	if (rc < 0)
		return err_set(err, rc, "cannot listen on unix:%s: %s", path, strerror(-rc));
	return 0;
}

int listen_bind_ip(int fd, const struct sock_addr *addr, struct err *err)
{
	char text[SOCK_ADDR_TEXT];
	int one = 1;
	int rc = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ? -errno : 0;

	if (!rc && addr->ss.ss_family == AF_INET6)
		rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0 ? -errno : 0;
	if (!rc && bind(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0)
		rc = -errno;
	if (rc == -EADDRINUSE)
		return err_set(err, rc,
			       "%s is in use by another process (see ss -ltnp); stop it or choose "
			       "another port",
			       sock_addr_format(addr, text));
	if (rc == -EADDRNOTAVAIL)
		return err_set(
			err, rc,
			"cannot listen on %s: this host does not have that address (see ip addr)",
			sock_addr_format(addr, text));
	return rc < 0 ? err_set(err, rc, "cannot listen on %s: %s", sock_addr_format(addr, text),
				strerror(-rc))
		      : 0;
}

bool listen_is_loopback(const struct sock_addr *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->ss;

	if (addr->ss.ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return addr->ss.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

int listen_open(const struct sock_addr *addr, int backlog, int *ret_fd, struct err *err)
{
	int family = addr->ss.ss_family, rc;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	rc = family == AF_UNIX ? listen_bind_unix(fd, addr, err) : listen_bind_ip(fd, addr, err);
	if (rc)
		return rc;
	if (listen(fd, backlog) < 0)
		return err_set(err, -errno, "cannot listen: %s", strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int listen_probe_peers(int fd, int dead_s)
{
	const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, dead_s / 2},
		{IPPROTO_TCP, TCP_KEEPINTVL, dead_s / 6},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, dead_s * 1000},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			       sizeof(options[i].value)) < 0)
			return -errno;
	return 0;
}

int listen_peer_uid(int fd, uid_t *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = cred.uid;
	return 0;
}

void listen_cut(int fd)
{
	(void)shutdown(fd, SHUT_RDWR); /* it fails only when the peer was first */
}

int listen_closed_by_peer(const int *fds, size_t n, bool *ret_closed)
{
	_cleanup_free_ struct pollfd *polled = calloc(n ? n : 1, sizeof(*polled));

	if (!polled)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLRDHUP};
	if (poll(polled, n, 0) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		ret_closed[i] = polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR);
	return 0;
}

int listen_address(int fd, struct sock_addr *ret)
{
	socklen_t len = sizeof(ret->ss);

	if (getsockname(fd, (struct sockaddr *)&ret->ss, &len) < 0)
		return -errno;
	ret->len = len;
	return 0;
}
