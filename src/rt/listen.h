/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets as plain descriptors. listen_open() is for libraries that bring their own loop and take a descriptor; what runs on
 * a reactor uses rt/sock.h.
 */
#ifndef LITEPOOL_RT_LISTEN_H
#define LITEPOOL_RT_LISTEN_H

#include <stdbool.h>

#include "base/err.h"
#include "rt/sock.h"

/*
 * A path that nobody listens to any more is taken over; the file is for its owner alone. -EADDRINUSE: somebody listens there, or has bound it and is about to listen, or it is no
 * socket.
 */
int listen_bind_unix(int fd, const struct sock_addr *addr, struct err *err);
int listen_bind_ip(int fd, const struct sock_addr *addr, struct err *err);

/* Bound and listening, non-blocking, closed on exec. The caller closes it and, for a unix path, removes the file. */
int listen_open(const struct sock_addr *addr, int backlog, int *ret_fd, struct err *err);
/* Where it is bound: tells the port that the kernel chose. */
int listen_address(int fd, struct sock_addr *ret);
bool listen_is_loopback(const struct sock_addr *addr);

/* Accepted TCP connections inherit it: a peer that is silent for dead_s seconds and does not answer probes is gone. */
int listen_probe_peers(int fd, int dead_s);
/* The user at the other end of an accepted unix socket. */
int listen_peer_uid(int fd, uid_t *ret);
/* Ends an accepted connection; whoever reads or writes there finds it ended. The descriptor stays open. */
void listen_cut(int fd);
/* Tells of each accepted connection whether its peer has closed it; does not wait. */
int listen_closed_by_peer(const int *fds, size_t n, bool *ret_closed);

#endif
