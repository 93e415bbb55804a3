/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that came goes on, on its reactor; or it does not, and what was made for it is given back. */
#include "transport/tcp_carry.h"

#include "base/check.h"

/* What the time was when it was frozen does not matter: everything that is waited for is waited for anew. */
static void start_timer(struct tcp_conn *c)
{
	const uint64_t now = reactor_now(c->tr->reactor);

	switch (c->state) {
	case TCP_CONN_ICREQ:
	case TCP_CONN_CONNECT:
		if (!c->connect_ok)
			tcp_conn_deadline(c, now + c->deadline_ns);
		break;
	case TCP_CONN_READY:
		if (!wire_txq_empty(&c->txq) || c->r2ts || tcp_rx_in_payload(c))
			tcp_conn_watch(c);
		break;
	case TCP_CONN_FLUSH:
		tcp_conn_deadline(c, now + TCP_FLUSH_MS * NSEC_PER_MSEC);
		break;
	case TCP_CONN_MOVING:
	case TCP_CONN_DRAIN:
	case TCP_CONN_GONE:
	default:
		UNREACHABLE();
	}
}

static void begin_commands(struct tcp_conn *c)
{
	for (uint32_t i = 0; i < c->n_carried_new; i++)
		tcp_rx_start(c, &c->reqs.slots[c->carried_new[i]]);
	free(c->carried_new);
	c->carried_new = NULL;
	c->n_carried_new = 0;
}

/* A READ event may come before resume does: a stall keeps it from parsing where something else comes first. */
static void begin_receiving(struct tcp_conn *c)
{
	if (c->connect_ok) {
		c->stall = TCP_STALL_CONNECT; /* until the answer is sent */
		if (wire_txq_empty(&c->txq))
			tcp_rx_resume(c);
		return;
	}
	if (c->stall == TCP_STALL_CONNECT) /* until the command that was begun is answered */
		return;
	if (c->rx.state == WIRE_RX_DEST) /* resume finds a place for the capsule's data */
		c->stall = TCP_STALL_SHARE;
	tcp_rx_resume(c);
}

void tcp_conn_serve(struct tcp_conn *c)
{
	const bool flushes = c->state == TCP_CONN_FLUSH;

	if (sock_attach(c->sock, c->tr->reactor, tcp_conn_event, c)) {
		tcp_conn_unrestore(c);
		tcp_conn_close(c, "no memory to watch a socket");
		return;
	}
	c->progress_ns = reactor_now(c->tr->reactor);
	start_timer(c);
	if (!wire_txq_empty(&c->txq))
		reactor_defer_late(c->tr->reactor, &c->late);
	else if (flushes)
		tcp_conn_flushed(c);
	if (flushes)
		return;
	begin_commands(c);
	if (c->flat_closes) {
		tcp_conn_flush_close(c, "the host disconnected");
		return;
	}
	c->in = tcp_conn_stash(c);
	begin_receiving(c);
}

void tcp_conn_unrestore(struct tcp_conn *c)
{
	for (uint32_t i = 0; i < c->reqs.n_fresh; i++) {
		struct tcp_req *treq = &c->reqs.slots[i];

		if (treq->state != TCP_REQ_CAPSULE || treq == c->rx_req)
			continue;
		iobuf_put(treq->req.buf);
		treq->req.buf = NULL;
		tcp_reqs_put(&c->reqs, treq);
	}
	c->n_carried_new = 0;
}
