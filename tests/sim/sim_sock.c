/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of rt/sock.c in the simulated world. They move bytes between the caller and the rings; sim_net.c moves them between hosts. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "sim/sim_net.h"

int sim_sock_listen(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		    struct sock **ret, struct err *err)
{
	struct sim_env *e = sim_env_of(env);
	struct sock_addr bound = *addr;
	struct sockaddr_in *in = (void *)&bound.ss; /* the port is at the same place in IPv6 */
	struct sim_sock *s;

	if ((in->sin_family == AF_INET || in->sin_family == AF_INET6) && in->sin_port == 0)
		in->sin_port = htons(e->world->port_next++);
	if (listener_find(e->world, &bound))
		return err_set(err, -EADDRINUSE, "the address is in use");
	s = sock_new(e->world, NULL, 0);
	s->listen = sim_alloc(sizeof(*s->listen));
	list_init(&s->listen->queue);
	s->listen->owners = 1;
	s->listen->sock = s;
	s->listen->addr = bound;
	s->listen->backlog = opts && opts->backlog > 0 ? (unsigned)opts->backlog : 1024;
	list_push_back(&e->world->listeners, &s->listen->link);
	*ret = &s->sock;
	return 0;
}

int sim_sock_connect(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		     struct sock **ret, struct err *err)
{
	struct sim_env *e = sim_env_of(env);
	struct sim_conn *conn = sim_alloc(sizeof(*conn));
	struct sim_sock *s;

	conn->world = e->world;
	conn->end[1].addr = *addr;
	if (sock_addr_ip(addr->ss.ss_family == AF_INET6 ? "fd00::1" : "10.1.0.1",
			 e->world->port_next++, &conn->end[0].addr))
		UNREACHABLE();
	s = sock_new(e->world, conn, 0);
	list_push_back(&e->world->conns, &conn->link);
	conn_event_post(conn, 1, EV_CONNECT, latency(e->world), NULL, 0);
	*ret = &s->sock;
	return 0;
}

int sim_sock_accept(struct sock *listener, struct sock **ret, struct sock_addr *ret_peer)
{
	struct sim_sock *l = sim_sock_of(listener);
	struct list *node = list_pop_front(&l->listen->queue);
	struct sim_sock *s;

	l->called = true;
	if (!node) {
		l->drained = true;
		return -EAGAIN;
	}
	l->listen->queued--;
	s = list_entry(node, struct sim_sock, link);
	sim_trace(s->world, "accept",
		  ntohs(((struct sockaddr_in *)&s->conn->end[0].addr.ss)->sin_port), 0);
	if (ret_peer)
		*ret_peer = s->conn->end[0].addr;
	*ret = &s->sock;
	return 0;
}

int sim_sock_error(struct sock *sock)
{
	const struct sim_sock *s = sim_sock_of(sock);

	return s->conn ? end_of(s)->error : 0;
}

int sim_sock_attach(struct sock *sock, struct env *env)
{
	struct sim_sock *s = sim_sock_of(sock);

	ASSERT(!s->env);
	s->env = sim_env_of(env);
	if (s->conn)
		end_of(s)->sock = s;
	else
		s->listen->sock = s;
	if (readable(s))
		mark(s, SOCK_EV_READ);
	return 0;
}

void sim_sock_detach(struct sock *sock)
{
	struct sim_sock *s = sim_sock_of(sock);

	list_remove(&s->ready);
	s->pending = 0;
	s->env = NULL;
}

static size_t iov_total(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

static uint32_t cut(struct sim_world *w, uint32_t n)
{
	return n > 1 && rng_chance(&w->rng, w->opts.net_partial)
		       ? 1 + (uint32_t)rng_below(&w->rng, n)
		       : n;
}

static void ring_take(struct sim_end *end, uint32_t size, const struct iovec *iov, uint32_t len)
{
	size_t into = 0;

	end->len -= len;
	while (len > 0) {
		uint32_t part = (uint32_t)MIN(MIN(len, size - end->head), iov->iov_len - into);

		memcpy((uint8_t *)iov->iov_base + into, end->ring + end->head, part);
		end->head = (end->head + part) % size;
		len -= part;
		into += part;
		if (into == iov->iov_len) {
			iov++;
			into = 0;
		}
	}
}

ssize_t sim_sock_recv(struct sock *sock, const struct iovec *iov, int n)
{
	struct sim_sock *s = sim_sock_of(sock);
	struct sim_world *w = s->world;
	struct sim_end *end = end_of(s);
	size_t wanted = iov_total(iov, n);
	uint32_t got;

	ASSERT(wanted > 0);
	s->called = true;
	s->drained = true;
	if (end->len == 0 && end->error)
		return end->error;
	if (end->len == 0 && end->eof)
		return 0;
	if (!end->up || end->len == 0 || end->hold)
		return -EAGAIN;
	got = cut(w, (uint32_t)MIN(wanted, (size_t)end->len));
	ring_take(end, w->opts.pipe_bytes, iov, got);
	sim_trace(w, "recv", got, end->len);
	if (s->conn->end[!s->side].want_write)
		conn_event_post(s->conn, !s->side, EV_WRITABLE, latency(w), NULL, 0);
	/* A short receive does not show the end that has arrived behind it. */
	if (got == wanted || (end->len == 0 && (end->eof || end->error))) {
		s->drained = false;
	} else if (end->len > 0) {
		end->hold = true;
		conn_event_post(s->conn, s->side, EV_UNHOLD, sim_between(w, 1, 20 * NSEC_PER_USEC),
				NULL, 0);
	}
	return got;
}

ssize_t sim_sock_send(struct sock *sock, const struct iovec *iov, int n)
{
	struct sim_sock *s = sim_sock_of(sock);
	struct sim_end *end = end_of(s);
	size_t wanted = iov_total(iov, n);
	uint32_t len;

	ASSERT(wanted > 0);
	if (end->error)
		return end->error;
	if (end->shut)
		return -EPIPE;
	len = end->up ? (uint32_t)MIN(wanted, (size_t)room_to(s->conn, !s->side)) : 0;
	if (len == 0)
		return -EAGAIN;
	len = cut(s->world, len);
	s->conn->end[!s->side].in_flight += len;
	conn_event_post(s->conn, !s->side, EV_DATA, arrival_delay(s->conn, !s->side), iov, len);
	sim_trace(s->world, "send", len, wanted);
	return len;
}

void sim_sock_want_write(struct sock *sock)
{
	struct sim_sock *s = sim_sock_of(sock);
	struct sim_end *end = end_of(s);

	if (end->error) {
		mark(s, SOCK_EV_WRITE);
		return;
	}
	if (!end->up) /* the connect tells */
		return;
	end->want_write = true;
	if (room_to(s->conn, !s->side) > 0)
		conn_event_post(s->conn, s->side, EV_WRITABLE,
				sim_between(s->world, 1, 10 * NSEC_PER_USEC), NULL, 0);
}

void sim_sock_want_read(struct sock *sock)
{
	mark(sim_sock_of(sock), SOCK_EV_READ);
}

static void send_eof(struct sim_conn *conn, unsigned side)
{
	if (conn->end[side].shut || conn->broken)
		return;
	conn->end[side].shut = true;
	conn_event_post(conn, !side, EV_EOF, arrival_delay(conn, !side), NULL, 0);
}

void sim_sock_shutdown_write(struct sock *sock)
{
	const struct sim_sock *s = sim_sock_of(sock);

	send_eof(s->conn, s->side);
}

/* The end of a connection has one owner less. */
static void end_put(struct sim_conn *conn, unsigned side)
{
	struct sim_end *end = &conn->end[side];

	if (--end->owners == 0) {
		end->want_write = false;
		/* Unread data: the other end learns that it was for nothing. */
		if (end->up && end->len > 0 && !conn->broken)
			conn_event_post(conn, !side, EV_BREAK, latency(conn->world), NULL, 0);
		else if (end->up)
			send_eof(conn, side);
	}
	conn_unref(conn);
}

static void listen_put(struct sim_listen *l)
{
	struct list *node;

	if (--l->owners)
		return;
	while ((node = list_pop_front(&l->queue)))
		sim_sock_close(&list_entry(node, struct sim_sock, link)->sock);
	list_remove(&l->link);
	free(l);
}

void sim_sock_close(struct sock *sock)
{
	struct sim_sock *s = sim_sock_of(sock);

	if (s->world->delivering == s)
		s->world->delivering = NULL;
	list_remove(&s->ready);
	list_remove(&s->link);
	if (s->conn) {
		if (end_of(s)->sock == s)
			end_of(s)->sock = NULL;
		end_put(s->conn, s->side);
	} else {
		if (s->listen->sock == s)
			s->listen->sock = NULL;
		listen_put(s->listen);
	}
	free(s);
}

/* --- to another engine of the world --- */

int sim_sock_export(struct sock *sock)
{
	struct sim_sock *s = sim_sock_of(sock);
	struct sim_export *e = sim_alloc(sizeof(*e));

	e->fd = s->world->export_next++;
	e->conn = s->conn;
	e->side = s->side;
	e->listen = s->listen;
	if (s->conn) {
		end_of(s)->owners++;
		s->conn->refs++;
	} else {
		s->listen->owners++;
	}
	list_push_back(&s->world->exports, &e->link);
	return e->fd;
}

static struct sim_export *export_take(struct sim_world *w, int fd)
{
	list_for_each (node, &w->exports) {
		struct sim_export *e = list_entry(node, struct sim_export, link);

		if (e->fd != fd)
			continue;
		list_remove(&e->link);
		return e;
	}
	return NULL;
}

void sim_sock_export_close(struct env *env, int fd)
{
	struct sim_export *e = export_take(sim_env_of(env)->world, fd);

	ASSERT(e);
	if (e->conn)
		end_put(e->conn, e->side);
	else
		listen_put(e->listen);
	free(e);
}

int sim_sock_import(struct env *env, int fd, struct sock **ret, bool *ret_is_listener,
		    struct err *err)
{
	struct sim_world *w = sim_env_of(env)->world;
	struct sim_export *e = export_take(w, fd);
	struct sim_sock *s;

	if (!e)
		return err_set(err, -EBADF, "what came is not a stream socket");
	s = sock_new(w, e->conn, e->side);
	if (e->conn)
		end_put(e->conn, e->side);
	s->listen = e->listen; /* the descriptor's share is the socket's now */
	*ret_is_listener = !e->conn;
	*ret = &s->sock;
	free(e);
	return 0;
}

int sim_sock_addr(struct sock *sock, bool peer, struct sock_addr *ret)
{
	const struct sim_sock *s = sim_sock_of(sock);

	if (!s->conn && peer)
		return -ENOTCONN;
	*ret = !s->conn ? s->listen->addr : s->conn->end[peer ? !s->side : s->side].addr;
	return 0;
}

int sim_sock_fd(struct sock *s)
{
	return -1;
}
