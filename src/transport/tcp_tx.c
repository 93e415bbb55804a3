/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From answers to bytes. What the commands of a pass have to say is queued, and one late task per connection gathers all of
 * it into one sendmsg() (as many as IOV_MAX makes necessary). Batching decides the IOPS.
 *
 *  1. Queued data stays where it is until the kernel has taken it: a request is released only after that.
 *  2. Data that a disk lends (req->loan) is the disk's memory: later writes change it. A block is never torn by that:
 *       - A sendmsg() takes what it takes of a block at one moment: no other code of the reactor runs meanwhile. (Between
 *         reactors, sending from lent memory is what copying from it would be.)
 *       - What a full socket left over is copied into buffers of ours before the pass ends, and the request leaves the
 *         namespace's view. For want of a buffer alone a loan is kept until there is one (the connection stands in line). Then
 *         own_block() has copied the rest of the one block that is partly sent into memory of the connection, which is always
 *         there: one message at most is partly sent, and while that copy is unsent it is (in) the first message.
 *       - So all other blocks of a kept loan are unsent as a whole. They are sent as they are then: the read is not answered
 *         before its last byte is sent, so whatever the block holds at that moment is a right answer. The request counts
 *         in the view until then, so the memory is there.
 *  3. With data digests nothing is lent (fill_req() in tcp_rx.c), for the digest is computed before the send.
 *  4. A full socket is asked for one SOCK_EV_WRITE; until then nothing is sent, but loans are still copied. Too much unsent
 *     stops reading (TCP_STALL_SEND).
 */
#include "transport/tcp_priv.h"

#include <errno.h>

#include "base/check.h"
#include "base/crc32c.h"

static void flush_run(struct task *task);
static void loan_ready(struct iobuf_waiter *waiter, struct iobuf *buf);

void tcp_tx_init(struct tcp_conn *c)
{
	wire_txq_init(&c->txq);
	c->late.run = flush_run;
	c->loan_wait.ready = loan_ready;
}

void tcp_tx_push(struct tcp_conn *c, struct wire_tx *tx)
{
	wire_txq_push(&c->txq, tx);
	reactor_defer_late(c->tr->reactor, &c->late);
}

void tcp_tx_ic(struct tcp_conn *c, uint8_t dgst)
{
	size_t len = pdu_build_icresp(c->ic_pdu, 0, dgst, c->transport->opts.max_h2c_data);

	c->ic_tx.head = c->ic_pdu;
	c->ic_tx.head_len = (uint8_t)len;
	tcp_tx_push(c, &c->ic_tx);
}

void tcp_tx_term(struct tcp_conn *c)
{
	const struct wire_rx *rx = &c->rx;
	size_t len = pdu_build_term(c->term_pdu, false, rx->error.fes, rx->error.fei, rx->echo_len);

	memcpy(c->term_pdu + len, rx->buf, rx->echo_len);
	c->term_tx.head = c->term_pdu;
	c->term_tx.head_len = (uint8_t)(len + rx->echo_len);
	counter_add(&c->tr->stats.term_sent, 1);
	tcp_tx_push(c, &c->term_tx);
}

void tcp_tx_r2t(struct tcp_conn *c, struct tcp_req *treq)
{
	treq->tx = (struct wire_tx){.head = treq->head};
	treq->tx.head_len = (uint8_t)pdu_build_r2t(treq->head, &c->fmt, treq->cid, treq->req.ttag,
						   0, treq->r2t_len);
	tcp_tx_push(c, &treq->tx);
}

bool tcp_tx_recall(struct tcp_conn *c, struct tcp_req *treq)
{
	return list_linked(&treq->tx.link) && wire_txq_remove(&c->txq, &treq->tx);
}

/* C2HData with all of the data; the response in its flags where that is allowed (flow control off, nothing to say), else behind it. */
static void build_data(struct tcp_conn *c, struct tcp_req *treq)
{
	struct nvme_req *req = &treq->req;
	struct wire_tx *tx = &treq->tx;
	bool short_answer = c->qp.sqfc_disabled && req->cqe.result == 0;
	struct pdu_data_fields f = {.cccid = treq->cid, .datal = req->data_len};
	size_t tail = 0;

	f.flags = PDU_F_LAST | (short_answer ? PDU_F_SUCCESS : 0);
	tx->head_len = (uint8_t)pdu_build_c2h_data(treq->head, &c->fmt, &f, &tx->pad_len);
	tx->data = nvme_req_data(req);
	tx->data_len = req->data_len;
	if (c->fmt.ddgst) {
		pdu_put_digest(treq->tail, crc32c(tx->data, tx->data_len));
		tail = PDU_DIGEST_LEN;
	}
	if (!short_answer)
		tail += pdu_build_resp(treq->tail + tail, &c->fmt, &req->cqe);
	tx->tail = treq->tail;
	tx->tail_len = (uint8_t)tail;
	if (req->loan)
		c->loans++;
	counter_add(&c->tr->stats.data_out, req->data_len);
}

static bool is_connect(const struct nvme_req *req)
{
	const struct nvme_fabrics_cmd *cmd = (const struct nvme_fabrics_cmd *)&req->sqe;

	return cmd->opcode == NVME_OPC_FABRICS && cmd->fctype == NVME_FABRICS_CONNECT;
}

void tcp_tx_answer(struct tcp_conn *c, struct tcp_req *treq)
{
	struct nvme_req *req = &treq->req;
	uint16_t status = le16toh(req->cqe.status) >> 1;

	treq->state = TCP_REQ_ANSWER;
	treq->looks = c->looks;
	treq->tx = (struct wire_tx){.head = treq->head};
	nvme_qpair_fill_sqhd(&c->qp, &req->cqe);
	if (status == 0 && req->xfer == NVME_XFER_C2H && req->data_len) {
		build_data(c, treq);
	} else {
		treq->tx.head_len = (uint8_t)pdu_build_resp(treq->head, &c->fmt, &req->cqe);
		if (status == 0 && c->state == TCP_CONN_CONNECT && is_connect(req))
			c->connect_ok = true;
	}
	tcp_tx_push(c, &treq->tx);
}

static bool is_request(const struct tcp_conn *c, const struct wire_tx *tx)
{
	return tx != &c->ic_tx && tx != &c->term_tx && tx != &c->block_tx && tx != &c->flat_tx;
}

/* Data is still to be sent from the disk's memory. */
static bool holds_loan(const struct tcp_req *treq)
{
	const uintptr_t loan = (uintptr_t)treq->req.loan;

	return treq->state == TCP_REQ_ANSWER && loan && treq->tx.data_len &&
	       (uintptr_t)treq->tx.data - loan < treq->req.data_len;
}

/* The host has the whole R2T, and its turn; or the connection ended meanwhile, perhaps by what was sent just before. */
static void sent_r2t(struct tcp_conn *c, struct tcp_req *treq)
{
	if (tcp_conn_open(c))
		tcp_conn_watch(c);
	else if (treq->answer_due)
		tcp_conn_drop(c, treq);
}

/* tx has been sent whole. */
static void sent(struct tcp_conn *c, struct wire_tx *tx)
{
	struct tcp_req *treq;

	if (tx == &c->flat_tx && c->stall == TCP_STALL_CONNECT && !c->reqs.busy)
		tcp_rx_resume(c); /* the answer to its Connect was in it */
	if (!is_request(c, tx))
		return;
	treq = container_of(tx, struct tcp_req, tx);
	if (treq->state == TCP_REQ_R2T) {
		sent_r2t(c, treq);
		return;
	}
	if (holds_loan(treq) && c->loans)
		c->loans--;
	tcp_conn_put_req(c, treq);
}

static void loan_ends(struct tcp_conn *c, struct tcp_req *treq)
{
	nvme_req_unloan(&treq->req);
	c->loans--;
}

static void own_loan(struct tcp_conn *c, struct tcp_req *treq, struct iobuf *buf)
{
	struct wire_tx *tx = &treq->tx;

	memcpy(buf->data, tx->data, tx->data_len);
	tx->data = buf->data;
	treq->loan_copy = buf;
	loan_ends(c, treq);
	counter_add(&c->tr->stats.loans_copied, 1);
}

/* The pass ends with unsent loans: they become ours. */
static void own_loans(struct tcp_conn *c)
{
	list_for_each (it, &c->txq.list) {
		struct wire_tx *tx = list_entry(it, struct wire_tx, link);
		struct tcp_req *treq = container_of(tx, struct tcp_req, tx);
		struct iobuf *buf;

		if (!c->loans || list_linked(&c->loan_wait.link))
			return;
		if (!is_request(c, tx) || !holds_loan(treq))
			continue;
		buf = iobuf_get(tcp_pool(c), iobuf_class_for(tx->data_len), &c->loan_wait);
		if (buf)
			own_loan(c, treq, buf);
		else
			counter_add(&c->tr->stats.loans_kept, 1);
	}
}

/* The block of a kept loan that is partly sent becomes ours (rule 2). */
static void own_block(struct tcp_conn *c)
{
	struct wire_tx *tx = list_first(&c->txq.list, struct wire_tx, link);
	struct tcp_req *treq = container_of(tx, struct tcp_req, tx);

	ASSERT(!wire_txq_empty(&c->txq)); /* there are loans */
	if (!is_request(c, tx) || !holds_loan(treq))
		return;
	wire_txq_own_unit(&c->txq, &c->block_tx, c->block, TCP_LOAN_BLOCK);
	if (!holds_loan(treq))
		loan_ends(c, treq);
}

/* A buffer for a loan that was kept, which may have been sent meanwhile. */
static void loan_ready(struct iobuf_waiter *waiter, struct iobuf *buf)
{
	struct tcp_conn *c = container_of(waiter, struct tcp_conn, loan_wait);

	list_for_each (it, &c->txq.list) {
		struct wire_tx *tx = list_entry(it, struct wire_tx, link);
		struct tcp_req *treq = container_of(tx, struct tcp_req, tx);

		if (!is_request(c, tx) || !holds_loan(treq) ||
		    iobuf_class_for(tx->data_len) != buf->cls)
			continue;
		own_loan(c, treq, buf);
		own_loans(c);
		return;
	}
	iobuf_put(buf);
	own_loans(c);
}

/* One sendmsg. True when all of what was gathered went out. */
static bool send_once(struct tcp_conn *c, struct list *done)
{
	struct tcp_reactor *tr = c->tr;
	struct wire_gather g;
	ssize_t n;

	wire_gather_init(&g, tr->iov, TCP_IOV_MAX, tr->staging, sizeof(tr->staging));
	wire_txq_gather(&c->txq, &g);
	n = sock_send(c->sock, g.iov, g.n);
	counter_add(&tr->stats.sends, 1);
	if (n < 0 && n != -EAGAIN) {
		tcp_conn_close(c, "the connection broke");
		return false;
	}
	c->progress_ns = reactor_now(tr->reactor); /* there was room, or the wait for room begins */
	if (n > 0)
		wire_txq_advance(&c->txq, (size_t)n, done);
	if (n >= 0 && (size_t)n == g.bytes)
		return true;
	counter_add(&tr->stats.sends_partial, 1);
	c->tx_blocked = true;
	sock_want_write(c->sock);
	tcp_conn_watch(c);
	return false;
}

static void flush_run(struct task *task)
{
	struct tcp_conn *c = container_of(task, struct tcp_conn, late);
	struct list done, *node;

	if (c->tr->flow == TCP_STILL) /* the thaw asks again */
		return;
	list_init(&done);
	while (!c->tx_blocked && !wire_txq_empty(&c->txq) && send_once(c, &done))
		;
	while ((node = list_pop_front(&done)))
		sent(c, list_entry(node, struct wire_tx, link));
	if (!c->sock)
		return;
	if (c->loans)
		own_loans(c);
	if (c->loans)
		own_block(c);
	if (c->stall == TCP_STALL_SEND && c->txq.bytes <= c->transport->opts.send_limit_bytes / 2)
		tcp_rx_resume(c);
	if (c->state == TCP_CONN_FLUSH && wire_txq_empty(&c->txq))
		tcp_conn_flushed(c);
}

void tcp_tx_writable(struct tcp_conn *c)
{
	c->tx_blocked = false;
	if (!wire_txq_empty(&c->txq))
		reactor_defer_late(c->tr->reactor, &c->late);
}

void tcp_tx_stop(struct tcp_conn *c)
{
	struct list *node;

	task_cancel(&c->late);
	iobuf_cancel(&c->loan_wait);
	while ((node = list_pop_front(&c->txq.list))) {
		struct wire_tx *tx = list_entry(node, struct wire_tx, link);
		struct tcp_req *treq = container_of(tx, struct tcp_req, tx);

		if (is_request(c, tx) && treq->state == TCP_REQ_ANSWER)
			tcp_conn_drop(c, treq);
	}
	wire_txq_init(&c->txq);
	c->loans = 0;
}
