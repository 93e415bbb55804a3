/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller says on one queue, PDU by PDU. The machine of wire/rx.h has checked types and
 * lengths; here every field that names a command, an offset or a tag is checked against what we asked
 * for. A lie costs the connection (with an H2CTermReq that says why), never more.
 *
 * Invariants: (1) data is only written into the buffer of a command that awaits data from the
 * controller, in order and within data_len; (2) a command is answered once; (3) after a failure
 * nothing of the queue is touched but q->state; (4) between the header and the end of a payload its
 * command cannot be answered, because no other PDU can come.
 */
#include <errno.h>
#include <stddef.h>

#include "base/check.h"
#include "initiator/hostq.h"

#define RECV_CHUNK  (128 * KIB)
#define RECV_ROUNDS 16 /* receives in a row before the pass goes on */

/* Nothing of it is kept between two receives, so that all queues of a thread share it and it stays in cache. */
static _Thread_local uint8_t recv_chunk[RECV_CHUNK] __attribute__((aligned(64)));

#define FEI(type, field) ((uint32_t)offsetof(struct type, field))

/* Says what is wrong to the controller, as well as a queue can that is about to close, and fails. */
static void rx_fatal(struct nvme_hostq *q, const char *what)
{
	uint8_t head[sizeof(struct pdu_term) + PDU_DIGEST_LEN];
	struct wire_error error = q->rx.error;

	if (q->state == HOSTQ_READY && q->txq.front_sent == 0) {
		size_t len = pdu_build_term(head, true, error.fes, error.fei, q->rx.echo_len);
		struct iovec iov[2] = {{head, len}, {q->rx.buf, q->rx.echo_len}};

		(void)sock_send(q->sock, iov, 2); /* best effort: the connection ends anyway */
	}
	(void)hostq_fail(
		q, -EPROTO,
		"the controller broke the protocol: %s (fes=%u fei=%u); the connection is closed",
		what, error.fes, error.fei);
}

static void rx_refuse(struct nvme_hostq *q, uint16_t fes, uint32_t fei, const char *what)
{
	(void)wire_rx_fail(&q->rx, fes, fei);
	rx_fatal(q, what);
}

/* The slot of a command that is with the controller and not answered, or NULL and the queue has failed. */
static struct hostq_slot *rx_slot(struct nvme_hostq *q, uint16_t cid, uint32_t fei)
{
	struct hostq_slot *slot;

	if (cid >= q->opts.queue_size || !q->slots[cid].cmd || q->slots[cid].answered) {
		rx_refuse(q, PDU_FES_HEADER_FIELD, fei, "a command id that is not in use");
		return NULL;
	}
	slot = &q->slots[cid];
	if (slot->cmd->state != HOSTCMD_SENT) {
		rx_refuse(q, PDU_FES_SEQUENCE, fei, "an answer to a command that was not sent");
		return NULL;
	}
	return slot;
}

static void rx_icresp(struct nvme_hostq *q)
{
	const struct pdu_icresp *pdu = q->rx.icresp;
	uint8_t asked = (q->opts.header_digest ? PDU_DGST_HEADER : 0) |
			(q->opts.data_digest ? PDU_DGST_DATA : 0);
	uint32_t max_h2c = get_le32(&pdu->maxh2cdata);

	if (q->state != HOSTQ_INIT)
		return rx_refuse(q, PDU_FES_SEQUENCE, 0, "a second ICResp");
	if (get_le16(&pdu->pfv) != 0)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_icresp, pfv), "unknown PFV");
	if (pdu->cpda > PDU_PDA_MAX)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_icresp, cpda), "CPDA too large");
	if (max_h2c < PDU_MAXH2CDATA_MIN || max_h2c % 4)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_icresp, maxh2cdata),
				 "MAXH2CDATA below 4096 or not a multiple of 4");
	if ((pdu->dgst & 3) != asked) {
		(void)hostq_fail(q, -EOPNOTSUPP,
				 "the controller does not agree on digests: asked for %u, got %u "
				 "(1 header, 2 data)",
				 asked, pdu->dgst & 3);
		return;
	}
	q->fmt = (struct pdu_format){
		.hdgst = q->opts.header_digest, .ddgst = q->opts.data_digest, .pda = pdu->cpda};
	q->max_h2c_data = max_h2c;
	wire_rx_negotiated(&q->rx, q->fmt.hdgst, q->fmt.ddgst);
	hostq_ready(q);
}

/* Success that leaves bytes unmoved is not one: the caller would take stale memory for data. */
static int rx_status(const struct hostq_slot *slot, uint16_t status)
{
	if (slot->digest_bad)
		return -EILSEQ;
	if (status == 0 && slot->cmd->moved < slot->cmd->data_len)
		return -EPROTO;
	return status;
}

static void rx_resp(struct nvme_hostq *q)
{
	struct nvme_cqe cqe = q->rx.resp->cqe;
	uint16_t status = get_le16(&cqe.status) >> 1;
	uint32_t fei = FEI(pdu_resp, cqe) + (uint32_t)offsetof(struct nvme_cqe, cid);
	struct hostq_slot *slot = rx_slot(q, get_le16(&cqe.cid), fei);

	if (!slot)
		return;
	if (status == 0 && (slot->sending || slot->r2t_off < slot->r2t_end))
		return rx_refuse(q, PDU_FES_SEQUENCE, fei, "success before all data was sent");
	slot->cmd->cqe = cqe;
	hostq_answer(q, slot, rx_status(slot, status));
}

static void rx_r2t(struct nvme_hostq *q)
{
	const struct pdu_r2t *pdu = q->rx.r2t;
	uint32_t off = get_le32(&pdu->r2to), len = get_le32(&pdu->r2tl);
	struct hostq_slot *slot = rx_slot(q, get_le16(&pdu->cccid), FEI(pdu_r2t, cccid));

	if (!slot)
		return;
	if (slot->cmd->to_host || slot->cmd->data_len == 0)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_r2t, cccid),
				 "R2T for a command without data to send");
	if (slot->sending || slot->r2t_off < slot->r2t_end)
		return rx_refuse(q, PDU_FES_LIMIT_EXCEEDED, 0, "a second R2T for one command");
	if (off != slot->cmd->moved)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_r2t, r2to), "R2T out of order");
	if (len == 0 || !range_within(off, len, slot->cmd->data_len))
		return rx_refuse(q, PDU_FES_OUT_OF_RANGE, FEI(pdu_r2t, r2tl),
				 "R2T beyond the command's data");
	slot->ttag = get_le16(&pdu->ttag);
	slot->r2t_off = off;
	slot->r2t_end = off + len;
	hostq_push_data(q, slot);
}

static void rx_data(struct nvme_hostq *q)
{
	const struct pdu_data *pdu = q->rx.data;
	uint32_t off = get_le32(&pdu->datao), len = get_le32(&pdu->datal);
	uint8_t flags = pdu->ch.flags;
	struct hostq_slot *slot = rx_slot(q, get_le16(&pdu->cccid), FEI(pdu_data, cccid));

	if (!slot)
		return;
	if (!slot->cmd->to_host || slot->last || slot->sending)
		return rx_refuse(q, PDU_FES_SEQUENCE, FEI(pdu_data, cccid),
				 "data for a command that awaits none");
	if (off != slot->cmd->moved)
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_data, datao),
				 "data out of order");
	if (len == 0 || len != q->rx.data_len || !range_within(off, len, slot->cmd->data_len))
		return rx_refuse(q, PDU_FES_OUT_OF_RANGE, FEI(pdu_data, datal),
				 "data beyond the command's buffer");
	if (flags & PDU_F_SUCCESS && !(flags & PDU_F_LAST))
		return rx_refuse(q, PDU_FES_HEADER_FIELD, FEI(pdu_ch, flags),
				 "SUCCESS without LAST");
	slot->last = flags & PDU_F_LAST;
	q->data_cid = slot->cmd->cid;
	q->data_success = flags & PDU_F_SUCCESS;
	wire_rx_dest(&q->rx, (uint8_t *)slot->cmd->data + off);
}

static void rx_data_done(struct nvme_hostq *q)
{
	struct hostq_slot *slot = &q->slots[q->data_cid];

	ASSERT(slot->cmd);
	slot->cmd->moved += q->rx.data_len;
	if (!q->rx.digest_ok)
		slot->digest_bad = true;
	if (!q->data_success)
		return;
	memset(&slot->cmd->cqe, 0, sizeof(slot->cmd->cqe));
	put_le16(&slot->cmd->cqe.cid, q->data_cid);
	hostq_answer(q, slot, rx_status(slot, 0));
}

static void rx_term(struct nvme_hostq *q)
{
	const struct pdu_term *pdu = q->rx.term;

	(void)hostq_fail(q, -EPROTO, "the controller ended the connection: fes=%u fei=%u",
			 get_le16(&pdu->fes), get_le32(pdu->fei));
}

static void rx_header(struct nvme_hostq *q)
{
	switch (q->rx.hdr->pdu_type) {
	case PDU_ICRESP:
		return rx_icresp(q);
	case PDU_CAPSULE_RESP:
		return rx_resp(q);
	case PDU_C2H_DATA:
		return rx_data(q);
	case PDU_R2T:
		return rx_r2t(q);
	case PDU_C2H_TERM:
		return rx_term(q);
	default:
		return rx_refuse(q, PDU_FES_HEADER_FIELD, 0, "a PDU that only hosts send");
	}
}

/* False: the queue is dead. */
static bool rx_parse(struct nvme_hostq *q, struct wire_in *in)
{
	for (;;) {
		switch (wire_rx_step(&q->rx, in)) {
		case WIRE_EV_MORE:
			return true;
		case WIRE_EV_HEADER:
			rx_header(q);
			break;
		case WIRE_EV_DATA:
			rx_data_done(q);
			break;
		case WIRE_EV_ERROR:
			rx_fatal(q, "a malformed PDU");
			break;
		}
		if (q->state == HOSTQ_DEAD)
			return false;
	}
}

static bool rx_take(struct nvme_hostq *q, size_t n)
{
	struct wire_in in;

	if (q->opts.on_bytes) {
		q->opts.on_bytes(q, recv_chunk, n, q->opts.ctx);
		return q->state != HOSTQ_DEAD;
	}
	n -= wire_rx_received(&q->rx, n);
	in = (struct wire_in){recv_chunk, recv_chunk + n};
	return rx_parse(q, &in);
}

void hostq_readable(struct nvme_hostq *q)
{
	for (int round = 0; round < RECV_ROUNDS; round++) {
		struct iovec iov[2];
		size_t room = RECV_CHUNK;
		int n_iov = 0;
		ssize_t n;

		if (!q->opts.on_bytes && wire_rx_want(&q->rx, &iov[0]))
			room += iov[n_iov++].iov_len;
		iov[n_iov++] = (struct iovec){recv_chunk, RECV_CHUNK};
		n = sock_recv(q->sock, iov, n_iov);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			if (q->opts.on_bytes)
				q->opts.on_bytes(q, recv_chunk, 0, q->opts.ctx);
			(void)hostq_fail(q, n < 0 ? (int)n : -ECONNRESET,
					 "the connection to the controller ended: %s",
					 n < 0 ? strerror((int)-n) : "closed by the other side");
			return;
		}
		if (!rx_take(q, (size_t)n) || (size_t)n < room)
			return;
	}
	sock_want_read(q->sock);
}
