/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the simulated world, shared by sim_net.c (what happens on the way) and sim_sock.c (the calls of rt/sock.c). */
#ifndef LITEPOOL_TESTS_SIM_SIM_NET_H
#define LITEPOOL_TESTS_SIM_SIM_NET_H

#include "sim/sim_int.h"

struct sim_end {
	struct sim_sock *sock; /* whom events reach: the one that was attached last; NULL: closed */
	unsigned
		owners; /* sockets and exported descriptors of this end: it is closed with the last */
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
	struct sim_listen *listen;
	struct list link; /* of the queue it waits in, before it is accepted */
};

struct sim_listen {              /* what the sockets of one listener share */
	struct list link, queue; /* queue: accepted ones, by their link */
	struct sock_addr addr;
	unsigned queued, backlog, owners;
	struct sim_sock *sock; /* whom events reach */
};

struct sim_export { /* a descriptor that is on its way to another engine of this world */
	struct list link;
	int fd;
	struct sim_conn *conn; /* or listen */
	unsigned side;
	struct sim_listen *listen;
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

static inline struct sim_sock *sim_sock_of(struct sock *s)
{
	return container_of(s, struct sim_sock, sock);
}

static inline struct sim_end *end_of(const struct sim_sock *s)
{
	return &s->conn->end[s->side];
}

void conn_unref(struct sim_conn *conn);
/* A new socket; conn NULL: a listener. */
struct sim_sock *sock_new(struct sim_world *w, struct sim_conn *conn, unsigned side);
struct sim_listen *listener_find(struct sim_world *w, const struct sock_addr *addr);
/* events are due at s; NULL and detached: nothing. */
void mark(struct sim_sock *s, unsigned events);
bool readable(const struct sim_sock *s);
/* What side could be sent now, in bytes. */
uint32_t room_to(const struct sim_conn *conn, unsigned side);
uint64_t latency(struct sim_world *w);
/* When what is sent now reaches side: after all that was sent before it. */
uint64_t arrival_delay(struct sim_conn *conn, unsigned side);
/* kind happens at side after delay_ns; len bytes of iov are copied into it. */
void conn_event_post(struct sim_conn *conn, unsigned side, enum conn_event_kind kind,
		     uint64_t delay_ns, const struct iovec *iov, uint32_t len);

#endif
