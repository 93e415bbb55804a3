/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to requests. A connection receives into two places at once: the rest of the payload under way goes straight into its buffer,
 * what follows into a chunk (IOBUF_RX) that is borrowed for the turn. Everything in the chunk is parsed before the next receive.
 *
 * A stalled connection (enum tcp_stall) neither parses nor receives; its unparsed bytes stay in its chunk, the rest in the kernel, where
 * the TCP window stops the host. Why no set of stalled connections waits for ever:
 *
 *  1. Chunks. Nobody waits for one: without, a connection receives exactly the header (at most 132 bytes), then its payload directly
 *     ("careful"). So a chunk kept by a stalled connection costs others speed, never progress.
 *  2. In-capsule buffers (IOBUF_CAPSULE) are the only thing that parsing waits for. Their holders are (a) commands with nvme, which wait
 *     for QoS tokens, the disk or a scratch buffer, never for the host, nor for another buffer of the host's data; (b) one command per
 *     connection whose data is still arriving: for a bounded time (tcp_stall.c), which runs against the host and not while we do not read.
 *     Hence one is always given back some time, and the line for them is first come, first served.
 *  3. Data buffers (IOBUF_SMALL ... LARGE) are held by commands that may wait for their host's H2CData, which may be behind a capsule in
 *     the stream of a stalled connection. That is no cycle: the capsule waits only for (2).
 *  4. No connection holds more in-capsule buffers than its share, so a throttled namespace stops its own connections only.
 *  5. Answers that the host does not read hold their buffers until a timeout ends the connection (tcp_stall.c).
 *
 * Fairness: a turn ends after the receive in which batch_commands or batch_bytes was reached. It may pass them by what one chunk holds:
 * a cut in the middle of a chunk would keep the chunk and halve the batches of a lone deep queue.
 */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

static void resume_run(struct task *task);
static void capsule_ready(struct iobuf_waiter *waiter, struct iobuf *buf);
static void on_data(struct tcp_conn *c);

void tcp_rx_init(struct tcp_conn *c)
{
	wire_rx_init(&c->rx, WIRE_TARGET, TCP_CAPSULE_DATA_MAX);
	c->resume.run = resume_run;
	c->capsule_wait.ready = capsule_ready;
}

bool tcp_rx_in_payload(const struct tcp_conn *c)
{
	return c->rx.state == WIRE_RX_PAD || c->rx.state == WIRE_RX_DATA ||
	       c->rx.state == WIRE_RX_DDGST;
}

void tcp_rx_release_chunk(struct tcp_conn *c)
{
	iobuf_put(c->chunk);
	c->chunk = NULL;
	free(c->stash);
	c->stash = NULL;
	c->stash_len = 0;
	c->in = (struct wire_in){0};
}

static void fatal(struct tcp_conn *c, uint16_t fes, size_t fei)
{
	(void)wire_rx_fail(&c->rx, fes, (uint32_t)fei);
	tcp_conn_fatal(c);
}

/* --- headers --- */

static void on_icreq(struct tcp_conn *c)
{
	const struct tcp_transport_opts *opts = &c->transport->opts;
	const struct pdu_icreq *pdu = c->rx.icreq;
	bool hdgst = (pdu->dgst & PDU_DGST_HEADER) && opts->header_digest;
	bool ddgst = (pdu->dgst & PDU_DGST_DATA) && opts->data_digest;

	/* MAXR2T is at least one R2T per command: all that we ever have outstanding. */
	c->fmt = (struct pdu_format){.hdgst = hdgst, .ddgst = ddgst, .pda = pdu->hpda};
	wire_rx_negotiated(&c->rx, hdgst, ddgst);
	c->state = TCP_CONN_CONNECT;
	tcp_tx_ic(c, (hdgst ? PDU_DGST_HEADER : 0) | (ddgst ? PDU_DGST_DATA : 0));
}

/* The request goes to nvme: all that came with its capsule is here. */
static void start(struct tcp_conn *c, struct tcp_req *treq, bool digest_ok)
{
	treq->state = TCP_REQ_NVME;
	c->turn_commands++;
	counter_add(&c->tr->stats.commands, 1);
	if (c->state == TCP_CONN_CONNECT)
		c->stall = TCP_STALL_CONNECT;
	if (digest_ok || !treq->req.in_capsule)
		nvme_req_start(&treq->req);
	else
		nvme_req_fail(&treq->req, NVME_SC_TRANSIENT_TRANSPORT);
	if (treq->req.in_capsule && treq->req.sqe.opcode == NVME_IO_WRITE)
		c->lends = treq->req.takes;
}

void tcp_rx_start(struct tcp_conn *c, struct tcp_req *treq)
{
	start(c, treq, true);
}

/* A quarter of the reactor's pool, known once the pool is there. */
uint32_t tcp_capsule_share(const struct tcp_conn *c)
{
	struct tcp_reactor *tr = c->tr;

	if (!tr->capsule_share)
		tr->capsule_share =
			MAX(TCP_CAPSULES_MIN, iobuf_usage(tcp_pool(c), IOBUF_CAPSULE).total / 4);
	return tr->capsule_share;
}

static void take_capsule(struct tcp_conn *c, struct iobuf *buf)
{
	struct tcp_req *treq = c->rx_req;

	treq->req.buf = buf;
	treq->capsule = true;
	treq->looks = c->looks;
	c->capsules++;
}

static void set_capsule(struct tcp_conn *c, struct iobuf *buf)
{
	take_capsule(c, buf);
	wire_rx_dest(&c->rx, buf->data);
}

/* Gives the in-capsule data of rx_req a place, or stalls. */
static void place_capsule(struct tcp_conn *c)
{
	struct iobuf *buf = tcp_ahead_take(c);

	c->stall = TCP_STALL_NONE;
	if (buf) {
		set_capsule(c, buf);
	} else if (c->capsules >= tcp_capsule_share(c)) {
		c->stall = TCP_STALL_SHARE;
	} else {
		buf = iobuf_get(tcp_pool(c), IOBUF_CAPSULE, &c->capsule_wait);
		if (buf)
			set_capsule(c, buf);
		else
			c->stall = TCP_STALL_BUFFER;
	}
	if (c->stall)
		counter_add(&c->tr->stats.stalls, 1);
}

/*
 * The write before went to a disk that takes data at once, and all of this one's payload is in the chunk: then it goes from there to the disk, begun here and now. The
 * buffer is for the case that the guess is wrong or the command has to wait, and is not touched otherwise.
 */
static bool can_lend(const struct tcp_conn *c)
{
	const struct nvme_sqe *sqe = &c->rx_req->req.sqe;
	const size_t rest = (size_t)c->rx.pad_left + c->rx.data_len +
			    (c->fmt.ddgst ? (size_t)PDU_DIGEST_LEN : 0);

	return c->lends && !c->tr->ahead.n && sqe->opcode == NVME_IO_WRITE &&
	       !(sqe->flags & NVME_SQE_FUSE_MASK) && (size_t)(c->in.end - c->in.p) >= rest &&
	       c->capsules < tcp_capsule_share(c);
}

/* False: for want of a buffer. */
static bool lend_capsule(struct tcp_conn *c)
{
	struct iobuf *buf = iobuf_get(tcp_pool(c), IOBUF_CAPSULE, NULL);
	enum wire_event event;

	if (!buf)
		return false;
	take_capsule(c, buf);
	c->rx_req->req.lent = c->in.p + c->rx.pad_left;
	counter_add(&c->tr->stats.capsules_lent, 1);
	wire_rx_dest(&c->rx, NULL); /* passed over, but for its digest */
	event = wire_rx_step(&c->rx, &c->in);
	ASSERT(event == WIRE_EV_DATA);
	on_data(c);
	return true;
}

/* What the transport has to say of a command, before nvme sees it. */
static void fill_req(struct tcp_conn *c, struct tcp_req *treq, const struct wire_xfer *xfer)
{
	struct nvme_req *req = &treq->req;
	uint16_t cid = le16toh(req->sqe.cid);

	req->qp = &c->qp;
	req->xfer_len = xfer->len;
	req->in_capsule = xfer->in_capsule;
	req->sgl_bad = xfer->sgl_status != 0;
	req->sgl_status = xfer->sgl_status;
	/* A digest is computed before the send: the data must not change between. A full socket would only make us copy. */
	req->loan_ok = !c->fmt.ddgst && !c->tx_blocked;
	req->buf = NULL;
	req->buf_off = 0;
	req->loan = NULL;
	req->lent = NULL;
	req->toff = 0;
	if (!tcp_reqs_find(&c->reqs, cid)) {
		tcp_reqs_hash(&c->reqs, treq, cid);
		return;
	}
	/* The first command of that id goes on; the second has this answer, of the same id. The host has to sort it out. */
	counter_add(&c->tr->stats.cid_conflicts, 1);
	treq->cid = cid;
	req->in_capsule = false;
	req->sgl_bad = true;
	req->sgl_status = NVME_SC_CMDID_CONFLICT | NVME_STATUS_DNR;
}

static void on_command(struct tcp_conn *c)
{
	struct tcp_req *treq = tcp_reqs_take(&c->reqs);
	struct wire_error error;
	struct wire_xfer xfer;

	if (!treq) { /* more commands than the queue has entries */
		fatal(c, PDU_FES_SEQUENCE, 0);
		return;
	}
	treq->seq = c->seq++;
	treq->looks = c->looks;
	memcpy(&treq->req.sqe, &c->rx.cmd->sqe, sizeof(treq->req.sqe));
	if (!wire_cmd_check(&treq->req.sqe, c->rx.data_len, c->transport->in_capsule_bytes, &xfer,
			    &error)) {
		tcp_reqs_put(&c->reqs, treq);
		fatal(c, error.fes, error.fei);
		return;
	}
	fill_req(c, treq, &xfer);
	tcp_ahead_learn(c, treq->req.in_capsule);
	if (!c->rx.data_len) {
		start(c, treq, true);
		return;
	}
	c->rx_req = treq;
	if (!treq->req.in_capsule)
		wire_rx_dest(&c->rx, NULL); /* the SGL is refused: its data is read and dropped */
	else if (!can_lend(c) || !lend_capsule(c))
		place_capsule(c);
}

static void on_h2c_data(struct tcp_conn *c)
{
	const struct pdu_data *pdu = c->rx.data;
	struct tcp_req *treq = tcp_reqs_by_ttag(&c->reqs, get_le16(&pdu->ttag));
	struct wire_h2c_expect expect;
	struct wire_error error;

	if (!treq ||
	    list_linked(&treq->tx.link)) { /* no such tag, or the host cannot have seen it yet */
		fatal(c, PDU_FES_HEADER_FIELD, offsetof(struct pdu_data, ttag));
		return;
	}
	expect = (struct wire_h2c_expect){.cccid = treq->cid,
					  .offset = treq->req.toff,
					  .end = treq->r2t_len,
					  .max_h2c_data = c->transport->opts.max_h2c_data};
	if (!wire_h2c_check(pdu, &expect, &error)) {
		fatal(c, error.fes, error.fei);
		return;
	}
	c->rx_req = treq;
	if (treq->answer_due) /* aborted: nvme has taken its buffer back */
		wire_rx_dest(&c->rx, NULL);
	else
		wire_rx_dest(&c->rx, (uint8_t *)nvme_req_buf(&treq->req) + treq->req.toff);
}

static void on_term(struct tcp_conn *c)
{
	const struct pdu_term *pdu = c->rx.term;

	counter_add(&c->tr->stats.term_received, 1);
	log_limited(LOG_LEVEL_WARN, "tcp.conn.h2c_term", "peer=%s fes=%u fei=%u", c->qp.peer,
		    get_le16(&pdu->fes), get_le32(pdu->fei));
	tcp_conn_close(c, "the host sent H2CTermReq");
}

static void on_header(struct tcp_conn *c)
{
	switch (c->rx.hdr->pdu_type) {
	case PDU_ICREQ:
		on_icreq(c);
		break;
	case PDU_CAPSULE_CMD:
		on_command(c);
		break;
	case PDU_H2C_DATA:
		on_h2c_data(c);
		break;
	case PDU_H2C_TERM:
		on_term(c);
		break;
	default:
		UNREACHABLE();
	}
}

/* --- payload --- */

static void fetch_done(struct tcp_conn *c, struct tcp_req *treq)
{
	c->r2ts--;
	if (treq->answer_due) {
		tcp_tx_answer(c, treq);
		return;
	}
	treq->state = TCP_REQ_NVME;
	if (c->state == TCP_CONN_CONNECT)
		c->stall = TCP_STALL_CONNECT;
	if (treq->digest_bad)
		nvme_req_fail(&treq->req, NVME_SC_TRANSIENT_TRANSPORT);
	else
		nvme_req_fetched(&treq->req);
}

static void on_data(struct tcp_conn *c)
{
	struct tcp_req *treq = c->rx_req;
	bool ok = c->rx.digest_ok;

	c->rx_req = NULL;
	counter_add(&c->tr->stats.data_in, c->rx.data_len);
	if (!ok)
		counter_add(&c->tr->stats.digest_errors, 1);
	if (treq->state == TCP_REQ_CAPSULE) {
		start(c, treq, ok);
		return;
	}
	/* The host goes on with the R2T, whatever became of a part of it. */
	treq->digest_bad |= !ok;
	treq->req.toff += c->rx.data_len;
	if (treq->req.toff == treq->r2t_len)
		fetch_done(c, treq);
}

/* ops->fetch */
void tcp_rx_fetch(struct nvme_req *req)
{
	struct tcp_req *treq = tcp_req_of(req);
	struct tcp_conn *c = tcp_conn_of(req->qp);

	ASSERT(treq->state == TCP_REQ_NVME);
	ASSERT(req->data_len > 0);
	if (!tcp_conn_open(c)) {
		nvme_req_fail(req, NVME_SC_ABORT_QUEUE);
		return;
	}
	treq->state = TCP_REQ_R2T;
	treq->looks = c->looks;
	treq->r2t_len = req->data_len;
	req->toff = 0;
	tcp_reqs_new_ttag(&c->reqs, treq);
	c->r2ts++;
	counter_add(&c->tr->stats.r2ts, 1);
	tcp_tx_r2t(c, treq);
	if (c->stall == TCP_STALL_CONNECT) /* its data is what we have to read now */
		tcp_rx_resume(c);
}

/* --- turns --- */

/* Takes everything that was received. False: stalled, or closed. */
static bool parse_all(struct tcp_conn *c)
{
	while (tcp_conn_open(c)) {
		if (c->stall == TCP_STALL_NONE &&
		    c->txq.bytes >= c->transport->opts.send_limit_bytes)
			c->stall = TCP_STALL_SEND;
		if (c->stall)
			return false;
		switch (wire_rx_step(&c->rx, &c->in)) {
		case WIRE_EV_MORE:
			if (!tcp_ahead_next(c))
				return true;
			break;
		case WIRE_EV_HEADER:
			on_header(c);
			break;
		case WIRE_EV_DATA:
			on_data(c);
			break;
		case WIRE_EV_ERROR:
		default:
			tcp_conn_fatal(c);
			break;
		}
	}
	return false;
}

static bool parse(struct tcp_conn *c)
{
	bool all = parse_all(c);

	tcp_ahead_end(c);
	return all;
}

/*
 * Where the next bytes go; returns the entries of iov. First the rest of the payload under way, if any (*ret_direct); then what is parsed,
 * in a chunk, or, for want of one, in c->small.
 */
static int receive_where(struct tcp_conn *c, struct iovec *iov, bool *ret_direct)
{
	int n = wire_rx_want(&c->rx, iov) ? 1 : 0, ahead;

	*ret_direct = n;
	if (!c->chunk)
		c->chunk = iobuf_get(tcp_pool(c), IOBUF_RX, NULL);
	if (c->chunk) {
		ahead = tcp_ahead_offer(c, iov + n);
		if (ahead)
			return n + ahead;
		iov[n].iov_base = c->chunk->data;
		iov[n].iov_len = c->r2ts ? TCP_CHUNK_BEHIND_DATA : iobuf_class_size[IOBUF_RX];
		return n + 1;
	}
	counter_add(&c->tr->stats.careful_reads, 1);
	if (n)
		return n;
	iov[0].iov_base = c->small;
	iov[0].iov_len = wire_rx_need(&c->rx);
	ASSERT(iov[0].iov_len > 0);
	return 1;
}

/* What came behind the payload under way: n bytes. */
static void received(struct tcp_conn *c, size_t n)
{
	const uint8_t *at = c->chunk ? c->chunk->data : c->small;

	if (tcp_ahead_offered(c))
		tcp_ahead_received(c, n);
	else
		c->in = (struct wire_in){.p = at, .end = at + n};
}

/* False: nothing more for now, or closed. */
static bool receive(struct tcp_conn *c)
{
	struct iovec iov[1 + 2 * TCP_AHEAD_MAX];
	size_t asked = 0;
	bool direct;
	int n_iov = receive_where(c, iov, &direct);
	ssize_t n = sock_recv(c->sock, iov, n_iov);

	if (n <= 0)
		tcp_ahead_end(c);
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		tcp_conn_close(c, n ? "the connection broke" : "the host closed the connection");
		return false;
	}
	for (int i = 0; i < n_iov; i++)
		asked += iov[i].iov_len;
	c->drained = (size_t)n < asked;
	c->turn_bytes += (uint32_t)n;
	c->progress_ns = reactor_now(c->tr->reactor);
	received(c, (size_t)n - (direct ? wire_rx_received(&c->rx, (size_t)n) : 0));
	return true;
}

/* The end of a turn, or of a part of it. */
static void turn_ended(struct tcp_conn *c)
{
	if (!tcp_conn_open(c))
		return;
	if (c->in.p == c->in.end)
		tcp_rx_release_chunk(c);
	if (tcp_rx_in_payload(c))
		tcp_conn_watch(c);
}

/*
 * Goes on with the turn: parses what is there and receives more, until there is none, a stall, or the end of the turn. After a receive that
 * brought commands, what they have started comes first (as tasks of this pass): so the buffers of a chunk's commands are back, and still
 * in the cache, when the next chunk wants some. The answers of all of the turn still leave together, in the late task.
 */
static void turn_go_on(struct tcp_conn *c)
{
	const struct tcp_transport_opts *opts = &c->transport->opts;
	uint32_t commands;

	c->turn_goes_on = false;
	do {
		commands = c->turn_commands;
		if (!parse(c) || c->drained)
			break;
		if (c->turn_commands >= opts->batch_commands ||
		    c->turn_bytes >= opts->batch_bytes) {
			sock_want_read(c->sock);
			break;
		}
		if (c->turn_commands != commands) {
			c->turn_goes_on = true;
			reactor_defer(c->tr->reactor, &c->resume);
			break;
		}
	} while (receive(c));
	turn_ended(c);
}

static void turn(struct tcp_conn *c)
{
	c->turn_commands = 0;
	c->turn_bytes = 0;
	turn_go_on(c);
}

void tcp_rx_readable(struct tcp_conn *c)
{
	if (c->stall) /* resume_run() asks for the event again */
		return;
	c->drained = false;
	turn(c);
}

void tcp_rx_resume(struct tcp_conn *c)
{
	if (tcp_conn_open(c))
		reactor_defer(c->tr->reactor, &c->resume);
}

static void resume_run(struct task *task)
{
	struct tcp_conn *c = container_of(task, struct tcp_conn, resume);

	if (!tcp_conn_open(c) || c->stall == TCP_STALL_BUFFER)
		return;
	c->resume_held = c->tr->flow != TCP_FLOWING;
	if (c->resume_held)
		return;
	if (c->turn_goes_on && !c->stall) {
		turn_go_on(c);
		return;
	}
	c->stall = TCP_STALL_NONE;
	if (c->connect_ok && !tcp_conn_connected(c))
		return;
	if (c->rx.state == WIRE_RX_DEST)
		place_capsule(c);
	c->drained = false;
	turn(c);
}

static void capsule_ready(struct iobuf_waiter *waiter, struct iobuf *buf)
{
	struct tcp_conn *c = container_of(waiter, struct tcp_conn, capsule_wait);

	ASSERT(c->stall == TCP_STALL_BUFFER);
	c->stall = TCP_STALL_NONE;
	set_capsule(c, buf);
	tcp_rx_resume(c);
}

void tcp_rx_stop(struct tcp_conn *c)
{
	struct tcp_req *treq = c->rx_req;

	if (c->stall == TCP_STALL_BUFFER)
		iobuf_cancel(&c->capsule_wait);
	c->stall = TCP_STALL_NONE;
	task_cancel(&c->resume);
	tcp_rx_release_chunk(c);
	c->rx_req = NULL;
	if (!treq || treq->state != TCP_REQ_CAPSULE)
		return;
	iobuf_put(treq->req.buf); /* nvme has never seen it */
	treq->req.buf = NULL;
	tcp_reqs_put(&c->reqs, treq);
}
