/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream sockets (TCP and unix) by readiness: the reactor says "may be readable", the owner receives straight
 * to where the bytes belong. A socket belongs to the reactor it is attached to.
 *
 * Why readiness and not completion (multishot receive): payload lands in its final, aligned buffer with no copy;
 * not receiving is the whole of back-pressure; nothing is in flight in a ring when a connection moves to another
 * reactor or to another process. A reactor that spins calls recv() on its few hot sockets directly.
 */
#ifndef LITEPOOL_RT_SOCK_H
#define LITEPOOL_RT_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct reactor;
struct sock;

enum {
	SOCK_EV_READ =
		1, /* data, end of stream, an error, or (listener) a connection may be there */
	SOCK_EV_WRITE =
		2, /* asked for by sock_want_write(), or the connect finished: see sock_error() */
};

struct sock_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};
#define SOCK_ADDR_TEXT 128

/*
 * The congestion control that NVMe/TCP's connections have unless told otherwise, where the host has it. Measured on loopback with bbr as the host's default: 128 KiB reads
 * 10.0 GB/s with cubic, 6.7 with bbr; writes 3.4 and 2.3, and, where the hypervisor takes a third of the processors' time, 3.1 and 1.0. At 4 KiB they are alike.
 */
#define SOCK_CONGESTION_DEFAULT "cubic"

struct sock_opts {
	const char *congestion; /* TCP congestion control by name; NULL: the host's default */
	int backlog;            /* listeners; 0: 1024 */
	int sndbuf, rcvbuf;     /* bytes; 0: the kernel's autotuning */
	bool reuse_port;
	/*
	 * TCP: a peer that says nothing for so long, in seconds, is dead: keep-alive probes from half of it on when idle (SO_KEEPALIVE), and
	 * no longer for sent data to be acknowledged (TCP_USER_TIMEOUT), for which the kernel alone would wait 15 minutes. The connection
	 * then ends with -ETIMEDOUT. Accepted sockets inherit it. 0: for ever; else at least 6.
	 */
	int dead_peer_s;
};

/* events is a mask of SOCK_EV_*. READ is repeated until a receive came back short or with -EAGAIN. */
typedef void (*sock_event_fn)(void *ctx, unsigned events);

/* host: IPv4 or IPv6 address, no names. -EINVAL. */
int sock_addr_ip(const char *host, uint16_t port, struct sock_addr *ret);
/* Path of a unix socket. -ENAMETOOLONG. */
int sock_addr_unix(const char *path, struct sock_addr *ret);
/* "192.0.2.1:4420", "[2001:db8::1]:4420", "unix:/path"; text holds SOCK_ADDR_TEXT bytes; returns text. */
char *sock_addr_format(const struct sock_addr *addr, char *text);
/* Address alone without port, as NVMe's TRADDR wants it, and the port; false for unix sockets. */
bool sock_addr_host(const struct sock_addr *addr, char *text, uint16_t *ret_port);
/* The address alone in network order, 4 or 16 bytes into buf; how many; 0 for unix sockets. */
size_t sock_addr_bytes(const struct sock_addr *addr, unsigned char *buf);

/* Binds and listens, attached to r. A unix path that a dead server left behind is replaced; a live one's gives -EADDRINUSE. Unix sockets are made with mode 0600. */
int sock_listen(struct reactor *r, const struct sock_addr *addr, const struct sock_opts *opts,
		sock_event_fn fn, void *ctx, struct sock **ret, struct err *err);
/*
 * Next waiting connection, not attached yet (TCP_NODELAY set); -EAGAIN when there is none. After another error, such as
 * -EMFILE, the connection still waits and no event tells of it again: call sock_want_read() when there is hope.
 */
int sock_accept(struct sock *listener, struct sock **ret, struct sock_addr *ret_peer);
/* Starts to connect, attached to r; SOCK_EV_WRITE when it is decided. */
int sock_connect(struct reactor *r, const struct sock_addr *addr, const struct sock_opts *opts,
		 sock_event_fn fn, void *ctx, struct sock **ret, struct err *err);
/* 0, or the negative errno that the connect or the connection ended with. */
int sock_error(struct sock *s);

/* Begins (again) to deliver events on r, whose thread calls it. A READ event comes if anything may be there. */
int sock_attach(struct sock *s, struct reactor *r, sock_event_fn fn, void *ctx);
/* No more events; the socket may then be attached to another reactor, or closed. */
void sock_detach(struct sock *s);

/* Bytes, 0 = end of stream (recv), -EAGAIN, or another negative errno. At most IOV_MAX entries. */
ssize_t sock_recv(struct sock *s, const struct iovec *iov, int n);
ssize_t sock_send(struct sock *s, const struct iovec *iov, int n);
/* One SOCK_EV_WRITE when there is room again. */
void sock_want_write(struct sock *s);
/* The owner stopped before it saw -EAGAIN and wants another READ event in the next pass. */
void sock_want_read(struct sock *s);
void sock_shutdown_write(struct sock *s);
/* Detaches if need be and frees. NULL: nothing. */
void sock_close(struct sock *s);

int sock_local_addr(struct sock *s, struct sock_addr *ret);
int sock_peer_addr(struct sock *s, struct sock_addr *ret);
int sock_fd(struct sock *s); /* -1 in the simulator */

/*
 * Hand-over to another process (or, in the simulator, another engine of the same world). sock_export(): a descriptor that can be passed; the
 * kernel's stays the socket's (the message makes a copy), which goes on as before. sock_import(): a socket (a stream, or packets in order for rt/fdpass.h) or listener, of a descriptor that came; takes fd, also on errors; not
 * attached. From then on there are two of the same connection, and closing one of them says nothing to the peer: it is for the owners to see
 * that only one receives and sends. *ret_is_listener tells what came.
 */
int sock_export(struct sock *s);
int sock_import(struct reactor *r, int fd, struct sock **ret, bool *ret_is_listener,
		struct err *err);
/* Closes a descriptor that came by sock_export() from another engine and was not imported. */
void sock_export_close(struct reactor *r, int fd);

#endif
