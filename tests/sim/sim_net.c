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
#include "sim/sim_net.h"

struct conn_event {
	struct sim_event ev;
	struct sim_conn *conn;
	unsigned side; /* whom it reaches */
	enum conn_event_kind kind;
	uint32_t len;
	uint8_t data[];
};

void conn_unref(struct sim_conn *conn)
{
	if (--conn->refs)
		return;
	list_remove(&conn->link);
	free(conn->end[0].ring);
	free(conn->end[1].ring);
	free(conn);
}

void mark(struct sim_sock *s, unsigned events)
{
	if (!s || !s->env)
		return;
	s->pending |= events;
	if (!list_linked(&s->ready))
		list_push_back(&s->env->ready_socks, &s->ready);
}

uint64_t latency(struct sim_world *w)
{
	uint64_t ns = sim_between(w, w->opts.net_latency_min_ns, w->opts.net_latency_max_ns);

	return rng_chance(&w->rng, w->opts.net_spike) ? 100 * ns : ns;
}

static void conn_event_run(struct sim_world *w, struct sim_event *base);

void conn_event_post(struct sim_conn *conn, unsigned side, enum conn_event_kind kind,
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

uint64_t arrival_delay(struct sim_conn *conn, unsigned side)
{
	struct sim_end *to = &conn->end[side];
	uint64_t at = conn->world->now_ns + latency(conn->world);

	at = MAX(MAX(at, to->last_arrive_ns), to->stall_until_ns);
	to->last_arrive_ns = at;
	return at - conn->world->now_ns;
}

uint32_t room_to(const struct sim_conn *conn, unsigned side)
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

struct sim_listen *listener_find(struct sim_world *w, const struct sock_addr *addr)
{
	list_for_each (node, &w->listeners) {
		struct sim_listen *l = list_entry(node, struct sim_listen, link);

		if (addr_matches(&l->addr, addr))
			return l;
	}
	return NULL;
}

struct sim_sock *sock_new(struct sim_world *w, struct sim_conn *conn, unsigned side)
{
	struct sim_sock *s = sim_alloc(sizeof(*s));

	s->sock.ops = &sim_env_ops;
	s->world = w;
	s->conn = conn;
	s->side = side;
	if (conn) {
		struct sim_end *end = &conn->end[side];

		if (!end->ring) {
			end->ring = sim_alloc(w->opts.pipe_bytes);
			end->sock = s;
		}
		end->owners++;
		conn->refs++;
	}
	return s;
}

/* The connect reaches the other host. */
static void connect_arrives(struct sim_world *w, struct sim_conn *conn)
{
	struct sim_listen *l = w->refuse ? NULL : listener_find(w, &conn->end[1].addr);
	struct sim_sock *s;

	if (!conn->end[0].owners)
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
	mark(l->sock, SOCK_EV_READ);
	conn_event_post(conn, 0, EV_UP, arrival_delay(conn, 0), NULL, 0);
}

static void data_arrives(struct sim_conn *conn, unsigned side, const uint8_t *data, uint32_t len)
{
	struct sim_end *to = &conn->end[side];
	uint32_t size = conn->world->opts.pipe_bytes;

	to->in_flight -= len;
	if (conn->broken)
		return;
	if (!to->owners) { /* nobody there: the sender learns it */
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

bool readable(const struct sim_sock *s)
{
	const struct sim_end *end;

	if (!s->conn)
		return s->listen->queued > 0;
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

/* --- what tests do to the network --- */

static bool conn_live(const struct sim_conn *conn)
{
	return !conn->broken && conn->end[0].up && (conn->end[0].owners || conn->end[1].owners);
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
	ASSERT(list_empty(&w->exports));
}
