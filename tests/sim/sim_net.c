/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream sockets of the simulated world. A connection has two ends; each end has a ring of bytes that have arrived and a count
 * of bytes that are under way to it. What a sender may have outstanding is bounded by the pipe's size.
 *
 * Invariants:
 *   1. Bytes, and the end of a stream after them, arrive in the order in which they were sent; a break may overtake them.
 *   2. The guarantees are the weakest that rt/sock.h allows: receives are short although more is there (it "arrives" a moment
 *      later, with its own event), sends are cut, readiness comes late.
 *   3. A connection lives until both ends are closed and no event names it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "sim/sim_int.h"

struct sim_end {
	struct sim_sock *sock; /* NULL: closed */
	struct sock_addr addr;
	uint8_t *ring; /* pipe_bytes */
	uint32_t head, len, in_flight;
	uint64_t last_arrive_ns, stall_until_ns;
	bool up;         /* the connect is decided for this end */
	bool shut;       /* sends no more */
	bool eof;        /* the other's last byte has arrived */
	bool hold;       /* the rest of the ring counts as not arrived yet */
	bool want_write; /* and its owner waits for it */
	int error;
};

struct sim_conn {
	struct list link;
	struct sim_world *world;
	unsigned refs;
	bool broken;           /* nothing arrives any more */
	struct sim_end end[2]; /* 0: who connected */
};

struct sim_sock {
	struct sock sock;
	struct sim_world *world;
	struct sim_env *env; /* NULL: detached */
	struct list ready;   /* of env->ready_socks while pending */
	unsigned pending;
	bool called, drained;  /* while an event is delivered: the owner received; it saw the end */
	struct sim_conn *conn; /* NULL: a listener */
	unsigned side;
	/* Listener. */
	struct list link, queue; /* queue: accepted ones, by their link */
	struct sock_addr addr;
	unsigned queued, backlog;
};

enum conn_event_kind {
	EV_CONNECT,
	EV_UP,
	EV_DATA,
	EV_EOF,
	EV_BREAK,
	EV_UNHOLD,
	EV_WRITABLE,
};

struct conn_event {
	struct sim_event ev;
	struct sim_conn *conn;
	unsigned side; /* whom it reaches */
	enum conn_event_kind kind;
	uint32_t len;
	uint8_t data[];
};

static struct sim_sock *sim_sock_of(struct sock *s)
{
	return container_of(s, struct sim_sock, sock);
}

static struct sim_end *end_of(const struct sim_sock *s)
{
	return &s->conn->end[s->side];
}

static void conn_unref(struct sim_conn *conn)
{
	if (--conn->refs)
		return;
	list_remove(&conn->link);
	free(conn->end[0].ring);
	free(conn->end[1].ring);
	free(conn);
}

static void mark(struct sim_sock *s, unsigned events)
{
	if (!s || !s->env)
		return;
	s->pending |= events;
	if (!list_linked(&s->ready))
		list_push_back(&s->env->ready_socks, &s->ready);
}

static uint64_t latency(struct sim_world *w)
{
	uint64_t ns = sim_between(w, w->opts.net_latency_min_ns, w->opts.net_latency_max_ns);

	return rng_chance(&w->rng, w->opts.net_spike) ? 100 * ns : ns;
}

static void conn_event_run(struct sim_world *w, struct sim_event *base);

static void conn_event_post(struct sim_conn *conn, unsigned side, enum conn_event_kind kind,
			    uint64_t delay_ns, const struct iovec *iov, uint32_t len)
{
	struct conn_event *ev = sim_alloc(sizeof(*ev) + len);

	ev->conn = conn;
	ev->side = side;
	ev->kind = kind;
	for (uint32_t n = 0; n < len; iov++) {
		uint32_t part = (uint32_t)MIN(iov->iov_len, (size_t)(len - n));

		memcpy(ev->data + n, iov->iov_base, part);
		n += part;
	}
	ev->len = len;
	conn->refs++;
	sim_event_at(conn->world, &ev->ev, delay_ns, conn_event_run);
}

/* When what is sent now reaches side: after all that was sent before it. */
static uint64_t arrival_delay(struct sim_conn *conn, unsigned side)
{
	struct sim_end *to = &conn->end[side];
	uint64_t at = conn->world->now_ns + latency(conn->world);

	at = MAX(MAX(at, to->last_arrive_ns), to->stall_until_ns);
	to->last_arrive_ns = at;
	return at - conn->world->now_ns;
}

static uint32_t room_to(const struct sim_conn *conn, unsigned side)
{
	const struct sim_end *to = &conn->end[side];

	return conn->world->opts.pipe_bytes - to->in_flight - to->len;
}

static void end_break(struct sim_end *end, int error)
{
	if (end->error)
		return;
	end->error = error;
	end->want_write = false;
	mark(end->sock, SOCK_EV_READ | SOCK_EV_WRITE);
}

static void conn_break(struct sim_conn *conn)
{
	conn->broken = true;
	end_break(&conn->end[0], -ECONNRESET);
	end_break(&conn->end[1], -ECONNRESET);
}

static bool addr_matches(const struct sock_addr *listening, const struct sock_addr *wanted)
{
	const struct sockaddr_in *l4 = (const void *)&listening->ss,
				 *w4 = (const void *)&wanted->ss;

	if (listening->len == wanted->len && !memcmp(&listening->ss, &wanted->ss, wanted->len))
		return true;
	return l4->sin_family == AF_INET && w4->sin_family == AF_INET &&
	       l4->sin_port == w4->sin_port && l4->sin_addr.s_addr == htonl(INADDR_ANY);
}

static struct sim_sock *listener_find(struct sim_world *w, const struct sock_addr *addr)
{
	list_for_each (node, &w->listeners) {
		struct sim_sock *s = list_entry(node, struct sim_sock, link);

		if (addr_matches(&s->addr, addr))
			return s;
	}
	return NULL;
}

static struct sim_sock *sock_new(struct sim_world *w, struct sim_conn *conn, unsigned side)
{
	struct sim_sock *s = sim_alloc(sizeof(*s));

	s->sock.ops = &sim_env_ops;
	s->world = w;
	s->conn = conn;
	s->side = side;
	list_init(&s->queue);
	if (conn) {
		conn->end[side].sock = s;
		conn->end[side].ring = sim_alloc(w->opts.pipe_bytes);
		conn->refs++;
	}
	return s;
}

/* The connect reaches the other host. */
static void connect_arrives(struct sim_world *w, struct sim_conn *conn)
{
	struct sim_sock *l = w->refuse ? NULL : listener_find(w, &conn->end[1].addr);
	struct sim_sock *s;

	if (!conn->end[0].sock)
		return;
	if (!l || l->queued >= l->backlog) {
		conn->broken = true;
		end_break(&conn->end[0], -ECONNREFUSED);
		return;
	}
	s = sock_new(w, conn, 1);
	conn->end[1].up = true;
	list_push_back(&l->queue, &s->link);
	l->queued++;
	mark(l, SOCK_EV_READ);
	conn_event_post(conn, 0, EV_UP, arrival_delay(conn, 0), NULL, 0);
}

static void data_arrives(struct sim_conn *conn, unsigned side, const uint8_t *data, uint32_t len)
{
	struct sim_end *to = &conn->end[side];
	uint32_t size = conn->world->opts.pipe_bytes;

	to->in_flight -= len;
	if (conn->broken)
		return;
	if (!to->sock) { /* nobody there: the sender learns it */
		conn_event_post(conn, !side, EV_BREAK, latency(conn->world), NULL, 0);
		return;
	}
	for (uint32_t n = 0; n < len;) {
		uint32_t at = (to->head + to->len) % size, part = MIN(len - n, size - at);

		memcpy(to->ring + at, data + n, part);
		to->len += part;
		n += part;
	}
	sim_trace(conn->world, "data", len, crc32c(data, len));
	mark(to->sock, SOCK_EV_READ);
}

static bool readable(const struct sim_sock *s)
{
	const struct sim_end *end;

	if (!s->conn)
		return s->queued > 0;
	end = end_of(s);
	return (end->len > 0 && !end->hold) || end->eof || end->error;
}

static void conn_event_run(struct sim_world *w, struct sim_event *base)
{
	struct conn_event *ev = container_of(base, struct conn_event, ev);
	struct sim_end *end = &ev->conn->end[ev->side];

	switch (ev->kind) {
	case EV_CONNECT:
		connect_arrives(w, ev->conn);
		break;
	case EV_UP:
		end->up = true;
		if (!ev->conn->broken)
			mark(end->sock, SOCK_EV_WRITE);
		break;
	case EV_DATA:
		data_arrives(ev->conn, ev->side, ev->data, ev->len);
		break;
	case EV_EOF:
		end->eof = true;
		mark(end->sock, SOCK_EV_READ);
		break;
	case EV_BREAK:
		end_break(end, -ECONNRESET);
		break;
	case EV_UNHOLD:
		end->hold = false;
		mark(end->sock, SOCK_EV_READ);
		break;
	case EV_WRITABLE:
		if (end->want_write && room_to(ev->conn, !ev->side) > 0) {
			end->want_write = false;
			mark(end->sock, SOCK_EV_WRITE);
		}
		break;
	}
	conn_unref(ev->conn);
	free(ev);
}

/* An owner that receives gets READ again until it saw the end; one that does not has to ask, or wait for new bytes. */
static void repeat_read(struct sim_sock *s)
{
	if (s->called && !s->drained && readable(s))
		mark(s, SOCK_EV_READ);
}

unsigned sim_net_deliver(struct sim_env *env)
{
	struct sim_world *w = env->world;
	struct list batch;
	unsigned n = 0;

	list_init(&batch);
	list_splice_back(&batch, &env->ready_socks);
	while (!list_empty(&batch)) {
		struct sim_sock *s = list_entry(list_pop_front(&batch), struct sim_sock, ready);
		unsigned events = s->pending;

		s->pending = 0;
		s->called = false;
		s->drained = false;
		w->delivering = s;
		s->sock.fn(s->sock.ctx, events);
		if (w->delivering == s && s->env == env && events & SOCK_EV_READ)
			repeat_read(s);
		w->delivering = NULL;
		n++;
	}
	return n;
}

/* --- what rt/sock.c calls --- */

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
	s->addr = bound;
	s->backlog = opts && opts->backlog > 0 ? (unsigned)opts->backlog : 1024;
	list_push_back(&e->world->listeners, &s->link);
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
	struct list *node = list_pop_front(&l->queue);
	struct sim_sock *s;

	l->called = true;
	if (!node) {
		l->drained = true;
		return -EAGAIN;
	}
	l->queued--;
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

static void stream_close(struct sim_sock *s)
{
	struct sim_conn *conn = s->conn;
	struct sim_end *end = end_of(s);

	end->sock = NULL;
	end->want_write = false;
	if (end->up && end->len > 0 &&
	    !conn->broken) /* unread data: the other end learns that it was for nothing */
		conn_event_post(conn, !s->side, EV_BREAK, latency(s->world), NULL, 0);
	else if (end->up)
		send_eof(conn, s->side);
	conn_unref(conn);
}

void sim_sock_close(struct sock *sock)
{
	struct sim_sock *s = sim_sock_of(sock);
	struct list *node;

	if (s->world->delivering == s)
		s->world->delivering = NULL;
	list_remove(&s->ready);
	while ((node = list_pop_front(&s->queue)))
		sim_sock_close(&list_entry(node, struct sim_sock, link)->sock);
	list_remove(&s->link);
	if (s->conn)
		stream_close(s);
	free(s);
}

int sim_sock_addr(struct sock *sock, bool peer, struct sock_addr *ret)
{
	const struct sim_sock *s = sim_sock_of(sock);

	if (!s->conn && peer)
		return -ENOTCONN;
	*ret = !s->conn ? s->addr : s->conn->end[peer ? !s->side : s->side].addr;
	return 0;
}

int sim_sock_fd(struct sock *s)
{
	return -1;
}

/* --- what tests do to the network --- */

static bool conn_live(const struct sim_conn *conn)
{
	return !conn->broken && conn->end[0].up && (conn->end[0].sock || conn->end[1].sock);
}

unsigned sim_net_conns(const struct sim_world *w)
{
	unsigned n = 0;

	list_for_each (node, &w->conns)
		n += conn_live(list_entry(node, struct sim_conn, link));
	return n;
}

static struct sim_conn *conn_pick(struct sim_world *w)
{
	unsigned n = sim_net_conns(w);
	uint64_t k = n ? rng_below(&w->rng, n) : 0;

	list_for_each (node, &w->conns) {
		struct sim_conn *conn = list_entry(node, struct sim_conn, link);

		if (conn_live(conn) && k-- == 0)
			return conn;
	}
	return NULL;
}

bool sim_net_reset_one(struct sim_world *w)
{
	struct sim_conn *conn = conn_pick(w);

	if (!conn)
		return false;
	sim_trace(w, "reset", ntohs(((struct sockaddr_in *)&conn->end[0].addr.ss)->sin_port), 0);
	conn_break(conn);
	return true;
}

bool sim_net_stall_one(struct sim_world *w, uint64_t virtual_ns)
{
	struct sim_conn *conn = conn_pick(w);

	if (!conn)
		return false;
	conn->end[rng_below(&w->rng, 2)].stall_until_ns = w->now_ns + virtual_ns;
	return true;
}

void sim_net_refuse(struct sim_world *w, bool refuse)
{
	w->refuse = refuse;
}

void sim_net_free(struct sim_world *w)
{
	/* What is left in the heap are events of connections that nobody holds, and of I/O that nobody waits for. */
	while (w->n_events) {
		struct sim_event *ev = w->heap[0];

		w->now_ns = MAX(w->now_ns, ev->at_ns);
		w->heap[0] = w->heap[--w->n_events];
		ev->fn(w, ev);
	}
	ASSERT(list_empty(&w->conns));
	ASSERT(list_empty(&w->listeners));
}
