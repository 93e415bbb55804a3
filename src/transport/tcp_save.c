/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections as records, each reactor its own, while all stands still. Nothing is changed and nothing allocated: a thaw goes on as if nothing had been asked.
 *
 * What becomes of a command:
 *	CAPSULE                            kind CAPSULE, with the data that came
 *	NVME   (waits, held, parked)       kind NEW, with its data if all of it is here
 *	R2T                                kind R2T, with the data that came
 *	ANSWER (queued)                    bytes, with all else that is unsent
 */
#include "transport/tcp_carry.h"

#include <errno.h>

#include "base/check.h"
#include "nvme/carry.h"
#include "rt/carry.h"

#define M TLV_MANDATORY

const uint16_t *tcp_transport_carry_types(size_t *ret_n)
{
	static uint16_t types[16];
	size_t n = 0;

	ASSERT(nvme_carry_mandatory_n + 2 <= ARRAY_LEN(types));
	for (size_t i = 0; i < nvme_carry_mandatory_n; i++)
		types[n++] = nvme_carry_mandatory[i];
	types[n++] = TCP_CARRY_CONN;
	types[n++] = TCP_CARRY_COMMAND;
	*ret_n = n;
	return types;
}

/* --- commands --- */

static void put_head(struct tlv_writer *w, const struct tcp_carry_head *h)
{
	uint8_t *at = tlv_reserve(w, TCP_CARRY_COMMAND_HEAD, 0, TCP_CARRY_HEAD_BYTES);

	if (!at)
		return;
	memset(at, 0, TCP_CARRY_HEAD_BYTES);
	memcpy(at, &h->sqe, 64);
	put_le32(at + 64, h->xfer_len);
	put_le32(at + 68, h->flags);
	put_le16(at + 72, h->kind);
	put_le16(at + 74, h->sgl_status);
	put_le16(at + 76, h->status);
	put_le16(at + 78, h->ttag);
	put_le32(at + 80, h->data_len);
	put_le32(at + 84, h->toff);
	put_le32(at + 88, h->age);
	put_le16(at + 92, h->slot);
}

struct data { /* what came of a command's data */
	const void *p;
	uint32_t len;
};

/* Data that is arriving for treq now, in a PDU that is not whole: bytes. */
static uint32_t arriving(const struct tcp_conn *c, const struct tcp_req *treq)
{
	return c->rx_req == treq && c->rx.dst ? c->rx.data_done : 0;
}

static void fill_capsule(const struct tcp_conn *c, const struct tcp_req *treq,
			 struct tcp_carry_head *h, struct data *data)
{
	h->kind = TCP_CARRY_CAPSULE;
	h->flags |= treq->req.in_capsule ? TCP_CARRY_IN_CAPSULE : 0;
	*data = (struct data){c->rx.dst, arriving(c, treq)};
}

static void fill_nvme(struct tcp_req *treq, struct tcp_carry_head *h, struct data *data)
{
	struct nvme_req_carry req;

	nvme_req_save(&treq->req, &req);
	h->kind = TCP_CARRY_NEW;
	h->flags |= (treq->capsule && req.have ? TCP_CARRY_IN_CAPSULE : 0) |
		    (req.admitted ? TCP_CARRY_ADMITTED : 0) | (req.paired ? TCP_CARRY_PAIRED : 0);
	h->data_len = req.paired ? req.data_len : req.have;
	*data = (struct data){req.data, req.have};
}

static void fill_r2t(const struct tcp_conn *c, struct tcp_req *treq, struct tcp_carry_head *h,
		     struct data *data)
{
	struct nvme_req_carry req;

	h->kind = TCP_CARRY_R2T;
	h->ttag = treq->req.ttag;
	h->toff = treq->req.toff;
	h->data_len = treq->r2t_len;
	h->flags |= treq->digest_bad ? TCP_CARRY_DIGEST_BAD : 0;
	if (treq->answer_due) {
		h->flags |= TCP_CARRY_ANSWER_DUE;
		h->status = treq->req.status;
		return;
	}
	nvme_req_save(&treq->req, &req);
	h->flags |= (req.admitted ? TCP_CARRY_ADMITTED : 0) | (req.paired ? TCP_CARRY_PAIRED : 0);
	*data = (struct data){req.data, treq->req.toff + arriving(c, treq)};
}

/* False: it is not carried, being answered. */
static bool save_command(const struct tcp_conn *c, struct tcp_req *treq, struct tlv_writer *w)
{
	struct tcp_carry_head h = {
		.sqe = treq->req.sqe,
		.xfer_len = treq->req.xfer_len,
		.flags = treq->req.sgl_bad ? TCP_CARRY_SGL_BAD : 0,
		.sgl_status = treq->req.sgl_status,
		.age = c->seq - treq->seq,
		.slot = treq->req.slot,
	};
	struct data data = {0};

	switch (treq->state) {
	case TCP_REQ_CAPSULE:
		fill_capsule(c, treq, &h, &data);
		break;
	case TCP_REQ_NVME:
		fill_nvme(treq, &h, &data);
		break;
	case TCP_REQ_R2T:
		fill_r2t(c, treq, &h, &data);
		break;
	case TCP_REQ_FREE:
	case TCP_REQ_ANSWER:
	default:
		return false;
	}
	tlv_begin(w, TCP_CARRY_COMMAND, M);
	put_head(w, &h);
	if (data.len)
		tlv_put(w, TCP_CARRY_COMMAND_DATA, 0, data.p, data.len);
	tlv_end(w);
	return true;
}

static void save_commands(const struct tcp_conn *c, struct tlv_writer *w)
{
	uint32_t n = 0, left = c->reqs.busy;

	for (uint32_t i = 0; left && i < c->reqs.n_fresh; i++) {
		struct tcp_req *treq = &c->reqs.slots[i];

		if (treq->state == TCP_REQ_FREE)
			continue;
		left--;
		if (treq == c->rx_req)
			tlv_put_u64(w, TCP_CARRY_RX_COMMAND, 0, n);
		n += save_command(c, treq, w);
	}
}

/* --- connections --- */

/* The answer to a Disconnect is among what is unsent: its release would have closed the queue. */
static bool closes(const struct tcp_conn *c)
{
	list_for_each (it, &c->txq.list) {
		struct wire_tx *tx = list_entry(it, struct wire_tx, link);

		if (tx == &c->ic_tx || tx == &c->term_tx || tx == &c->block_tx || tx == &c->flat_tx)
			continue;
		if (nvme_req_ends_queue(&container_of(tx, struct tcp_req, tx)->req))
			return true;
	}
	return c->flat_closes && list_linked(&c->flat_tx.link);
}

static uint64_t flags_of(const struct tcp_conn *c)
{
	return (c->fmt.hdgst ? TCP_CARRY_HDGST : 0) | (c->fmt.ddgst ? TCP_CARRY_DDGST : 0) |
	       (c->rx.ready ? TCP_CARRY_NEGOTIATED : 0) | (c->linger ? TCP_CARRY_LINGER : 0) |
	       (c->connect_ok ? TCP_CARRY_CONNECT_OK : 0) | (closes(c) ? TCP_CARRY_CLOSES : 0);
}

static uint64_t state_of(const struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_CONN_ICREQ:
		return TCP_CARRY_ICREQ;
	case TCP_CONN_CONNECT:
		return TCP_CARRY_CONNECT;
	case TCP_CONN_READY:
		return TCP_CARRY_READY;
	case TCP_CONN_FLUSH:
		return TCP_CARRY_FLUSH;
	case TCP_CONN_MOVING: /* a freeze ends them */
	case TCP_CONN_DRAIN:
	case TCP_CONN_GONE:
	default:
		UNREACHABLE();
	}
}

static void save_received(const struct tcp_conn *c, struct tlv_writer *w)
{
	uint8_t rx[WIRE_RX_SAVED_MAX];

	tlv_put(w, TCP_CARRY_RX, 0, rx, wire_rx_save(&c->rx, rx));
	if (c->in.p < c->in.end)
		tlv_put(w, TCP_CARRY_UNPARSED, 0, c->in.p, (size_t)(c->in.end - c->in.p));
	save_commands(c, w);
}

static void save_unsent(const struct tcp_conn *c, struct tlv_writer *w)
{
	uint8_t *at;

	if (wire_txq_empty(&c->txq))
		return;
	at = tlv_reserve(w, TCP_CARRY_UNSENT, 0, c->txq.bytes);
	if (at)
		wire_txq_flatten(&c->txq, at);
}

static void save_conn(const struct tcp_conn *c, struct carry_out *out)
{
	const uint64_t now = reactor_now(c->tr->reactor);
	struct tlv_writer *w = &out->w;

	tlv_begin(w, TCP_CARRY_CONN, M);
	carry_out_fd(out, TCP_CARRY_SOCKET, 0, sock_export(c->sock));
	tlv_put_u64(w, TCP_CARRY_STATE, 0, state_of(c));
	tlv_put_u64(w, TCP_CARRY_FLAGS, 0, flags_of(c));
	tlv_put_u64(w, TCP_CARRY_PDA, 0, c->fmt.pda);
	tlv_put_u64(w, TCP_CARRY_PORT, 0, nvme_port_number(c->qp.port));
	tlv_put_str(w, TCP_CARRY_PEER, 0, c->qp.peer);
	tlv_put_str(w, TCP_CARRY_LOCAL, 0, c->qp.local);
	if (c->qp.ctrlr)
		nvme_qpair_save(&c->qp, w);
	if (c->state == TCP_CONN_ICREQ || (c->state == TCP_CONN_CONNECT && !c->connect_ok))
		tlv_put_u64(w, TCP_CARRY_TIME_LEFT, 0,
			    (c->deadline_ns > now ? c->deadline_ns - now : 0) / NSEC_PER_MSEC);
	if (tcp_conn_open(c))
		save_received(c, w);
	save_unsent(c, w);
	tlv_end(w);
}

static void save_counters(struct tcp_reactor *tr, struct tlv_writer *w)
{
	uint8_t *at = tlv_reserve(w, TCP_CARRY_COUNTERS, 0, (size_t)TCP_STATS * 8);

	for (unsigned i = 0; at && i < TCP_STATS; i++)
		put_le64(at + (size_t)i * 8, counter_get(tcp_stat_of(tr, i)));
}

static int save_run(struct tcp_reactor *tr, struct err *err)
{
	struct carry_out *out = tr->job.out;

	if (tr->reactor == tr->transport->control)
		nvme_target_save(tr->transport->target, &out->w);
	save_counters(tr, &out->w);
	list_for_each (it, &tr->conns) {
		const struct tcp_conn *c = list_entry(it, struct tcp_conn, here_link);

		if (c->state >= TCP_CONN_DRAIN)
			return err_set(err, -EAGAIN, "a connection ended meanwhile");
		save_conn(c, out);
	}
	return tlv_blob_end(&out->w);
}

unsigned tcp_parts_order(struct tcp_transport *t, struct tcp_reactor *ret[REACTORS_MAX + 1])
{
	unsigned n = 0;

	ret[n++] = t->reactors[reactor_id(t->control)];
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		if (t->reactors[i] && t->reactors[i] != ret[0])
			ret[n++] = t->reactors[i];
	return n;
}

unsigned tcp_transport_parts(struct tcp_transport *t)
{
	struct tcp_reactor *order[REACTORS_MAX + 1];

	return tcp_parts_order(t, order);
}

void tcp_transport_save(struct tcp_transport *t, struct carry_out *parts, nvme_done_fn done,
			void *ctx)
{
	struct tcp_reactor *order[REACTORS_MAX + 1];
	unsigned n = tcp_parts_order(t, order);

	ASSERT(t->flow == TCP_STILL);
	nvme_target_number(t->target);
	for (unsigned i = 0; i < n; i++)
		order[i]->job.out = &parts[i];
	tcp_jobs_run(t, save_run, done, ctx);
}

/* What the reactor's buffers hold may all have come for commands that wait. */
static size_t pool_bytes(const struct tcp_reactor *tr)
{
	struct iobuf_pool *pool = reactor_iobufs(tr->reactor);
	size_t bytes = 0;

	for (unsigned cls = 0; pool && cls < IOBUF_CLASSES; cls++)
		bytes += iobuf_class_size[cls] * iobuf_usage(pool, cls).total;
	return bytes;
}

void tcp_transport_save_size(struct tcp_transport *t, size_t *ret_bytes, unsigned *ret_fds)
{
	size_t most = 0;

	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		if (t->reactors[i])
			most = MAX(most, pool_bytes(t->reactors[i]));
	*ret_bytes = most + nvme_target_save_size(t->target) + t->n_conns * (8 * KIB) + MIB;
	*ret_fds = t->n_conns + 16;
}
