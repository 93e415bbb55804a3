/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows a successful Connect: slots for the commands of the queue, and for an I/O queue the move to the reactor that Connect chose.
 *
 *	control: answer sent, request released -> depart(): nothing is left but the socket and the stash (state MOVING)
 *	home:                                     arrive(): attached again, goes on with the stash (state READY)
 *
 * The stash is what the host sent behind its Connect and we had received already. Messages of the control thread that follow the queue
 * pair come behind ours, for depart() names the new reactor before it posts.
 */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

/* Unparsed bytes into the stash. 0 or -ENOMEM. */
static int pack(struct tcp_conn *c)
{
	size_t len = (size_t)(c->in.end - c->in.p);
	uint8_t *stash = NULL;

	ASSERT(!c->rx_req);
	if (len) {
		stash = malloc(len);
		if (!stash)
			return -ENOMEM;
		memcpy(stash, c->in.p, len);
	}
	tcp_rx_release_chunk(c);
	c->stash = stash;
	c->stash_len = len;
	return 0;
}

static void arrive(struct msg *msg)
{
	struct tcp_conn *c = container_of(msg, struct tcp_conn, move);
	int res;

	c->state = TCP_CONN_READY;
	list_push_back(&c->tr->conns, &c->here_link);
	res = sock_attach(c->sock, c->tr->reactor, tcp_conn_event, c);
	if (res) {
		tcp_conn_close(c, "the socket cannot be attached to its reactor");
		return;
	}
	/* The stash serves as the chunk until it is parsed. */
	c->in = tcp_conn_stash(c);
	tcp_rx_resume(c);
}

/* c is not ours any more when this returns. */
static void depart(struct tcp_conn *c)
{
	struct tcp_transport *t = c->transport;
	struct reactor *home = c->qp.home;

	if (pack(c)) {
		tcp_conn_close(c, "no memory");
		return;
	}
	ASSERT(c->reqs.busy == 0);
	ASSERT(wire_txq_empty(&c->txq));
	task_cancel(&c->late);
	task_cancel(&c->drop);
	sock_detach(c->sock);
	c->tx_blocked = false;
	c->state = TCP_CONN_MOVING;
	list_remove(&c->here_link);
	c->tr = t->reactors[reactor_id(home)];
	c->move.run = arrive;
	/* In this order: a message that follows the queue pair comes behind ours. */
	atomic_store(&c->qp.reactor, home);
	reactor_post(home, &c->move);
}

bool tcp_conn_connected(struct tcp_conn *c)
{
	struct tcp_reqs reqs;

	c->connect_ok = false;
	tcp_conn_no_stranger(c);
	timer_stop(&c->timer);
	counter_add(&c->tr->stats.connects, 1);
	if (tcp_reqs_init(&reqs, c->qp.qsize)) {
		tcp_conn_close(c, "no memory for the commands of the queue");
		return false;
	}
	tcp_reqs_fini(&c->reqs);
	c->reqs = reqs;
	if (c->qp.home && c->qp.home != c->tr->reactor) {
		depart(c);
		return false;
	}
	c->state = TCP_CONN_READY;
	return true;
}
