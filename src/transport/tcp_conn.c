/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a connection.
 *
 *	ICREQ --ICReq--> CONNECT --Connect, admin queue--------------------> READY
 *	                    |  \---Connect, I/O queue--> MOVING --arrives--> READY
 *	                    v                                                  |
 *	   (protocol error, nvme closes) FLUSH <-------------------------------+
 *	                                   v                                   |
 *	   (host closes, breaks, timeout) DRAIN <------------------------------+
 *	                                   v  (no request is left)
 *	                                  GONE --nvme's gone()--> freed
 *
 *  1. From FLUSH on nothing that the host sends is looked at; waiting requests are cancelled, executing ones are waited for.
 *  2. A request is released exactly once: when its answer was sent (tcp_conn_put_req()), or from the drop task.
 *  3. The connection is freed by gone() on the control reactor, after nvme has forgotten the queue pair.
 *  4. While MOVING no request, unsent byte, buffer, timer or task of the connection exists, and its socket is attached nowhere.
 *  5. Those that have not connected are at most half of conns_max, so that silent ones cannot keep out hosts that come back; when there are
 *     too many, or no room at all, the oldest gives way, once it had a fair part of its time.
 *  6. One timer, started only when there is something to wait for, and moved only when it fires too early: an idle connection has none.
 */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

static void conn_gone(struct nvme_qpair *qp);
static void timer_run(struct timer *timer);
static void drop_run(struct task *task);
static void qpair_close(struct nvme_qpair *qp);
static struct nvme_req *qpair_find(struct nvme_qpair *qp, uint16_t cid);
static void qpair_cancel_ns(struct nvme_qpair *qp, uint32_t nsid, uint16_t status);

static const struct nvme_qpair_ops qpair_ops = {
	.fetch = tcp_rx_fetch,
	.complete = tcp_conn_complete,
	.close = qpair_close,
	.find = qpair_find,
	.cancel_ns = qpair_cancel_ns,
};

static void conn_free(struct tcp_conn *c)
{
	tcp_reqs_fini(&c->reqs);
	sock_close(c->sock);
	iobuf_put(c->chunk);
	free(c->stash);
	free(c->flat);
	free(c->carried_new);
	ASSERT(!c->timer.heap_index);
	free(c);
}

static void conn_init(struct tcp_conn *c, struct tcp_transport *t)
{
	c->transport = t;
	c->tr = t->reactors[reactor_id(t->control)];
	c->state = TCP_CONN_ICREQ;
	tcp_rx_init(c);
	tcp_tx_init(c);
	list_init(&c->dropped);
	c->drop.run = drop_run;
	c->timer.run = timer_run;
	c->progress_ns = reactor_now(t->control);
}

struct tcp_conn *tcp_conn_alloc(struct tcp_transport *t, struct nvme_port *port, struct sock *s)
{
	struct tcp_conn *c = tcp_spare_conn(t);

	if (!c)
		return NULL;
	conn_init(c, t);
	c->sock = s;
	nvme_qpair_init(&c->qp, &qpair_ops, t->target, port, t->control);
	return c;
}

void tcp_conn_addrs(struct tcp_conn *c, const struct sock_addr *peer)
{
	struct sock_addr local;
	uint16_t local_port;

	(void)sock_addr_format(peer, c->qp.peer);
	if (sock_local_addr(c->sock, &local) || !sock_addr_host(&local, c->qp.local, &local_port))
		c->qp.local[0] = 0;
}

void tcp_conn_add(struct tcp_conn *c)
{
	list_push_back(&c->transport->conns, &c->link);
	c->transport->n_conns++;
	list_push_back(&c->tr->conns, &c->here_link);
}

void tcp_conn_stranger(struct tcp_conn *c)
{
	list_push_back(&c->transport->strangers, &c->stranger_link);
	c->transport->n_strangers++;
}

void tcp_conn_deadline(struct tcp_conn *c, uint64_t deadline_ns)
{
	c->deadline_ns = deadline_ns;
	(void)timer_start(c->tr->reactor, &c->timer, deadline_ns);
}

int tcp_conn_new(struct tcp_transport *t, struct nvme_port *port, struct sock *s,
		 const struct sock_addr *peer)
{
	struct tcp_conn *c = tcp_conn_alloc(t, port, s);
	int res;

	if (!c)
		return -ENOMEM;
	tcp_conn_addrs(c, peer);
	c->deadline_ns = c->progress_ns + t->opts.icreq_timeout_ms * NSEC_PER_MSEC;
	res = tcp_reqs_init(&c->reqs, 1);
	if (!res)
		res = timer_start(t->control, &c->timer, c->deadline_ns);
	if (!res)
		res = sock_attach(s, t->control, tcp_conn_event, c);
	if (res) {
		timer_stop(&c->timer);
		nvme_port_put(port);
		c->sock = NULL;
		conn_free(c);
		return res;
	}
	tcp_conn_add(c);
	tcp_conn_stranger(c);
	counter_add(&c->tr->stats.accepted, 1);
	return 0;
}

/* --- events --- */

/* FLUSH: what still comes is dropped, so that closing does not reset the connection under our last words. */
static void discard(struct tcp_conn *c)
{
	struct iovec iov = {.iov_base = c->tr->staging, .iov_len = sizeof(c->tr->staging)};
	ssize_t n = sock_recv(c->sock, &iov, 1);

	if (n == -EAGAIN)
		return;
	if (n <= 0)
		tcp_conn_close(c, "the host closed the connection");
	else
		sock_want_read(c->sock);
}

void tcp_conn_event(void *ctx, unsigned events)
{
	struct tcp_conn *c = ctx;

	if (events & SOCK_EV_WRITE)
		tcp_tx_writable(c);
	if (!(events & SOCK_EV_READ))
		return;
	c->read_held = tcp_freeze_holds(c->tr);
	if (c->read_held)
		return;
	if (tcp_freeze_calms(c->tr)) {
		sock_want_read(c->sock);
		return;
	}
	if (c->state == TCP_CONN_FLUSH)
		discard(c);
	else if (tcp_conn_open(c))
		tcp_rx_readable(c);
}

static void timer_run(struct timer *timer)
{
	struct tcp_conn *c = container_of(timer, struct tcp_conn, timer);

	if (tcp_freeze_puts_off(c, timer))
		return;
	switch (c->state) {
	case TCP_CONN_ICREQ:
	case TCP_CONN_CONNECT:
		counter_add(&c->tr->stats.timeouts, 1);
		tcp_conn_close(c, "no ICReq and Connect in time");
		break;
	case TCP_CONN_READY:
		tcp_conn_look(c);
		break;
	case TCP_CONN_FLUSH:
		tcp_conn_close(c, "ended");
		break;
	case TCP_CONN_MOVING:
	case TCP_CONN_DRAIN:
	case TCP_CONN_GONE:
	default:
		UNREACHABLE();
	}
}

/* --- requests --- */

/* nvme has given its in-capsule buffer back, or req ends: it no longer counts in the connection's share. */
static void capsule_back(struct tcp_conn *c, struct tcp_req *treq)
{
	if (!treq->capsule)
		return;
	treq->capsule = false;
	c->capsules--;
	if (c->stall == TCP_STALL_SHARE)
		tcp_rx_resume(c);
}

void tcp_conn_complete(struct nvme_req *req)
{
	struct tcp_req *treq = tcp_req_of(req);
	struct tcp_conn *c = tcp_conn_of(req->qp);
	bool r2t = treq->state == TCP_REQ_R2T;

	ASSERT(r2t || treq->state == TCP_REQ_NVME);
	if (!tcp_conn_open(c)) {
		if (r2t && c->state == TCP_CONN_FLUSH && list_linked(&treq->tx.link) &&
		    !tcp_tx_recall(c, treq)) {
			/* Half an R2T is out: it is dropped when the socket is closed. */
			treq->answer_due = true;
			return;
		}
		tcp_conn_drop(c, treq);
		return;
	}
	/* The host may be sending the data already: the tag has to live until all of it came, but its buffer is gone. */
	if (r2t && !tcp_tx_recall(c, treq)) {
		treq->answer_due = true;
		if (c->rx_req == treq)
			wire_rx_drop(&c->rx);
		return;
	}
	if (r2t)
		c->r2ts--;
	if (!req->buf)
		capsule_back(c, treq);
	tcp_tx_answer(c, treq);
}

/* Both for a request whose answer was sent and for a dropped one. */
static void release(struct tcp_conn *c, struct tcp_req *treq)
{
	nvme_req_release(&treq->req);
	iobuf_put(treq->loan_copy);
	treq->loan_copy = NULL;
	capsule_back(c, treq);
	tcp_reqs_put(&c->reqs, treq);
}

void tcp_conn_put_req(struct tcp_conn *c, struct tcp_req *treq)
{
	release(c, treq);
	if (c->stall == TCP_STALL_CONNECT && !c->reqs.busy)
		tcp_rx_resume(c);
}

void tcp_conn_drop(struct tcp_conn *c, struct tcp_req *treq)
{
	treq->state = TCP_REQ_ANSWER;
	list_push_back(&c->dropped, &treq->req.tlink);
	reactor_defer(c->tr->reactor, &c->drop);
}

static struct nvme_req *qpair_find(struct nvme_qpair *qp, uint16_t cid)
{
	struct tcp_req *treq = tcp_reqs_find(&tcp_conn_of(qp)->reqs, cid);

	if (!treq || (treq->state != TCP_REQ_NVME && treq->state != TCP_REQ_R2T) ||
	    treq->req.state == NVME_REQ_DONE)
		return NULL;
	return &treq->req;
}

/* --- the end --- */

/* Of one namespace, or NVME_NSID_ALL. */
static void cancel_requests(struct tcp_conn *c, uint32_t nsid, uint16_t status)
{
	for (uint32_t i = 0; i < c->reqs.n_fresh; i++) {
		struct tcp_req *treq = &c->reqs.slots[i];

		if (nsid != NVME_NSID_ALL && get_le32(&treq->req.sqe.nsid) != nsid)
			continue;
		if ((treq->state == TCP_REQ_NVME || treq->state == TCP_REQ_R2T) &&
		    !treq->answer_due)
			(void)nvme_req_cancel(&treq->req, status);
	}
}

static void qpair_cancel_ns(struct nvme_qpair *qp, uint32_t nsid, uint16_t status)
{
	cancel_requests(tcp_conn_of(qp), nsid, status);
}

/* Requests that nvme completed while their data was still coming. */
static void drop_early_answers(struct tcp_conn *c)
{
	for (uint32_t i = 0; i < c->reqs.n_fresh; i++) {
		struct tcp_req *treq = &c->reqs.slots[i];

		if (treq->state == TCP_REQ_R2T && treq->answer_due && !list_linked(&treq->tx.link))
			tcp_conn_drop(c, treq);
	}
}

static void log_end(struct tcp_conn *c, const char *why)
{
	log_debug("tcp.conn.end", "peer=%s qid=%u state=%d requests=%u why=\"%s\"", c->qp.peer,
		  c->qp.qid, c->state, c->reqs.busy, why);
}

void tcp_conn_no_stranger(struct tcp_conn *c)
{
	if (!list_linked(&c->stranger_link))
		return;
	list_remove(&c->stranger_link);
	c->transport->n_strangers--;
}

bool tcp_conns_evict(struct tcp_transport *t)
{
	uint64_t timeout_ns = t->opts.icreq_timeout_ms * NSEC_PER_MSEC;
	struct tcp_conn *c;

	if (list_empty(&t->strangers))
		return false;
	c = list_first(&t->strangers, struct tcp_conn, stranger_link);
	/* deadline_ns is the time of accept and the timeout. */
	if (reactor_now(t->control) + timeout_ns < c->deadline_ns + timeout_ns / 20)
		return false;
	counter_add(&c->tr->stats.evicted, 1);
	tcp_conn_close(c, "gave way to a newer connection before it had connected");
	return true;
}

void tcp_conn_close(struct tcp_conn *c, const char *why)
{
	bool was_open = tcp_conn_open(c);

	if (c->state >= TCP_CONN_DRAIN)
		return;
	ASSERT(c->state != TCP_CONN_MOVING);
	log_end(c, why);
	c->state = TCP_CONN_DRAIN;
	tcp_conn_no_stranger(c);
	timer_stop(&c->timer);
	tcp_rx_stop(c);
	tcp_tx_stop(c);
	sock_close(c->sock);
	c->sock = NULL;
	if (was_open)
		cancel_requests(c, NVME_NSID_ALL, NVME_SC_ABORT_QUEUE);
	drop_early_answers(c);
	counter_add(&c->tr->stats.closed, 1);
	reactor_defer(c->tr->reactor, &c->drop);
}

/* Enters FLUSH. */
static void begin_flush(struct tcp_conn *c, bool linger)
{
	c->state = TCP_CONN_FLUSH;
	tcp_conn_no_stranger(c);
	c->linger = linger;
	tcp_rx_stop(c);
	cancel_requests(c, NVME_NSID_ALL, NVME_SC_ABORT_QUEUE);
	drop_early_answers(c);
	(void)timer_start(c->tr->reactor, &c->timer,
			  reactor_now(c->tr->reactor) + TCP_FLUSH_MS * NSEC_PER_MSEC);
	sock_want_read(c->sock);
}

void tcp_conn_fatal(struct tcp_conn *c)
{
	const struct wire_error *error = &c->rx.error;

	if (!tcp_conn_open(c))
		return;
	log_limited(LOG_LEVEL_WARN, "tcp.conn.c2h_term", "peer=%s qid=%u pdu=%s fes=%u fei=%u",
		    c->qp.peer, c->qp.qid, pdu_type_name(c->rx.buf[0]), error->fes, error->fei);
	begin_flush(c, true);
	tcp_tx_term(c);
}

void tcp_conn_flush_close(struct tcp_conn *c, const char *why)
{
	if (!tcp_conn_open(c))
		return;
	if (wire_txq_empty(&c->txq)) {
		tcp_conn_close(c, why);
		return;
	}
	log_end(c, why);
	begin_flush(c, false);
}

void tcp_conn_flushed(struct tcp_conn *c)
{
	if (c->linger)
		sock_shutdown_write(c->sock); /* the host closes, or the timer does */
	else
		tcp_conn_close(c, "ended");
}

static void qpair_close(struct nvme_qpair *qp)
{
	tcp_conn_flush_close(tcp_conn_of(qp), "the controller closed the queue");
}

static void drop_run(struct task *task)
{
	struct tcp_conn *c = container_of(task, struct tcp_conn, drop);
	struct list *node;

	while ((node = list_pop_front(&c->dropped)))
		release(c, container_of(node, struct tcp_req, req.tlink));
	if (c->state != TCP_CONN_DRAIN || c->reqs.busy)
		return;
	c->state = TCP_CONN_GONE;
	list_remove(&c->here_link);
	nvme_qpair_disconnect(&c->qp, conn_gone);
}

static void conn_gone(struct nvme_qpair *qp)
{
	struct tcp_conn *c = tcp_conn_of(qp);
	struct tcp_transport *t = c->transport;

	list_remove(&c->link);
	conn_free(c);
	tcp_transport_conn_gone(t);
}

void tcp_conns_close_unconnected(struct tcp_transport *t, const struct nvme_port *port_or_null)
{
	list_for_each_safe (it, &t->conns) {
		struct tcp_conn *c = list_entry(it, struct tcp_conn, link);

		/* Those that have moved belong to a controller; their state is not ours to read. */
		if (atomic_load(&c->qp.reactor) != t->control || c->state > TCP_CONN_CONNECT)
			continue;
		if (!c->qp.ctrlr && (!port_or_null || c->qp.port == port_or_null))
			tcp_conn_close(c, "the listener is closed");
	}
}
