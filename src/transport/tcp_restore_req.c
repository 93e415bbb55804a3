/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a connection that came, on the reactor where it will live. Those that began nothing are filled in and wait for tcp_conn_serve() in the order in which the host
 * sent them (c->carried_new; nvme does not know them yet, their state is CAPSULE); those whose data is on the way are put into the state in which they were.
 *
 *  1. A command has the slot that it had: its transfer tag names it.
 *  2. What a command says of its data, the machine says of the PDU under way, and the bytes that came agree, or all is refused: nothing is ever received to beyond a buffer.
 *  3. Buffers are taken here, where a want of them can still be told. Who only waits for one waits again.
 */
#include "transport/tcp_carry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "nvme/carry.h"

#define FUSED_BYTES_MAX ((uint32_t)(64 * KIB)) /* of one half: 16 blocks */

struct command_in {
	struct tcp_carry_head h;
	struct tlv data; /* len 0: none */
	bool arriving;   /* the PDU under way is its */
	struct tcp_req *treq;
};

static int bad(struct err *err, const char *what)
{
	return err_set(err, -EBADMSG, "a command is impossible: %s", what);
}

static int head_decode(const struct tlv *rec, struct tcp_carry_head *h, struct err *err)
{
	const uint8_t *p = rec->value;

	if (rec->len != TCP_CARRY_HEAD_BYTES)
		return bad(err, "the length of its head");
	memcpy(&h->sqe, p, 64);
	h->xfer_len = get_le32(p + 64);
	h->flags = get_le32(p + 68);
	h->kind = get_le16(p + 72);
	h->sgl_status = get_le16(p + 74);
	h->status = get_le16(p + 76);
	h->ttag = get_le16(p + 78);
	h->data_len = get_le32(p + 80);
	h->toff = get_le32(p + 84);
	h->age = get_le32(p + 88);
	h->slot = get_le16(p + 92);
	if (h->kind > TCP_CARRY_R2T || (h->flags & ~TCP_CARRY_COMMAND_FLAGS_ALL))
		return bad(err, "kind or flags");
	return 0;
}

static int command_decode(const struct tlv *nest, struct command_in *in, struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	bool has_head = false;
	int rc;

	tlv_enter(nest, &r);
	while ((rc = tlv_next(&r, &rec)) > 0) {
		int res = 0;

		if (rec.type == TCP_CARRY_COMMAND_HEAD)
			res = head_decode(&rec, &in->h, err);
		else if (rec.type == TCP_CARRY_COMMAND_DATA)
			in->data = rec;
		else
			res = tlv_unknown(&rec, err);
		if (res)
			return res;
		has_head |= rec.type == TCP_CARRY_COMMAND_HEAD;
	}
	if (rc || !has_head)
		return bad(err, "its records");
	return 0;
}

/* --- buffers --- */

static struct iobuf *get_buf(struct tcp_conn *c, enum iobuf_class cls, struct err *err)
{
	struct iobuf *buf = iobuf_get(tcp_pool(c), cls, NULL);

	for (; !buf && cls >= IOBUF_SMALL && cls < IOBUF_LARGE; cls++)
		buf = iobuf_get(tcp_pool(c), (enum iobuf_class)(cls + 1), NULL);
	if (!buf)
		(void)err_set(err, -ENOBUFS,
			      "reactor %s has no data buffer for what waits; give this engine as "
			      "many as the "
			      "running one has",
			      reactor_name(c->tr->reactor));
	return buf;
}

static void put_data(struct iobuf *buf, uint32_t off, const struct tlv *data)
{
	if (data->len)
		memcpy((uint8_t *)buf->data + off, data->value, data->len);
}

/* --- kinds --- */

static int arriving_dest(struct tcp_conn *c, const struct command_in *in, uint32_t room, void *dst,
			 struct err *err)
{
	if (c->carried_rx.drops || c->rx.data_len > room || c->rx.state == WIRE_RX_DEST)
		return bad(err, "the data that arrives for it");
	wire_rx_restore_dest(&c->rx, dst);
	(void)in;
	return 0;
}

/* The data of its capsule is arriving, or waits for a buffer, or is dropped. */
static int build_capsule(struct tcp_conn *c, struct command_in *in, struct err *err)
{
	struct nvme_req *req = &in->treq->req;
	const bool wanted = in->h.flags & TCP_CARRY_IN_CAPSULE;

	if (!in->arriving || in->data.len != (c->carried_rx.drops ? 0 : c->rx.data_done))
		return bad(err, "its capsule does not arrive");
	c->rx_req = in->treq;
	req->in_capsule = wanted;
	if (wanted &&
	    (req->xfer_len != c->rx.data_len || req->xfer_len > iobuf_class_size[IOBUF_CAPSULE]))
		return bad(err, "the length of its capsule");
	if (c->rx.state ==
	    WIRE_RX_DEST) { /* tcp_conn_serve() places it; what is not wanted has a destination at once */
		return wanted ? 0 : bad(err, "a capsule that nobody wants waits for a buffer");
	}
	if (!wanted)
		return c->carried_rx.drops ? 0 : bad(err, "a capsule that nobody wants");
	req->buf = get_buf(c, IOBUF_CAPSULE, err);
	if (!req->buf)
		return -ENOBUFS;
	in->treq->capsule = true;
	c->capsules++;
	put_data(req->buf, 0, &in->data);
	return arriving_dest(c, in, (uint32_t)iobuf_class_size[IOBUF_CAPSULE], req->buf->data, err);
}

/* Begins anew, with all of its data. */
static int build_new(struct tcp_conn *c, struct command_in *in, struct err *err)
{
	struct nvme_req *req = &in->treq->req;
	const bool capsule = (in->h.flags & TCP_CARRY_IN_CAPSULE) &&
			     in->data.len <= iobuf_class_size[IOBUF_CAPSULE];

	if (in->arriving || in->data.len > IOBUF_MAX_SIZE)
		return bad(err, "data arrives for what has all of it");
	if ((req->sqe.flags & NVME_SQE_FUSE_MASK) && in->data.len > FUSED_BYTES_MAX)
		return bad(err, "the data of half a pair");
	if (!in->data.len)
		return 0;
	req->buf = get_buf(c, capsule ? IOBUF_CAPSULE : iobuf_class_for(in->data.len), err);
	if (!req->buf)
		return -ENOBUFS;
	put_data(req->buf, 0, &in->data);
	req->in_capsule = true; /* as if it had come with it */
	req->xfer_len = in->data.len;
	if (capsule) {
		in->treq->capsule = true;
		c->capsules++;
	}
	return 0;
}

/* What R2T and H2CData say of it agrees; *ret_have bytes came. */
static int check_r2t(const struct tcp_conn *c, const struct command_in *in, struct err *err)
{
	const struct tcp_carry_head *h = &in->h;
	const uint32_t slot_mask = (1u << c->reqs.slot_bits) - 1;
	const bool drops = h->flags & TCP_CARRY_ANSWER_DUE;
	const uint32_t part = in->arriving ? c->rx.data_done : 0;

	if (!h->data_len || h->data_len > IOBUF_MAX_SIZE || h->toff >= h->data_len ||
	    h->data_len > h->xfer_len || (h->ttag & slot_mask) != h->slot)
		return bad(err, "its transfer");
	if (in->arriving &&
	    (c->rx.state == WIRE_RX_DEST || c->rx.data_len > h->data_len - h->toff ||
	     c->carried_rx.drops != drops))
		return bad(err, "the data that arrives for it");
	if (in->data.len != (drops ? 0 : h->toff + part))
		return bad(err, "the data that came for it");
	return 0;
}

static void r2t_begin(struct tcp_conn *c, struct command_in *in)
{
	struct tcp_req *treq = in->treq;

	treq->state = TCP_REQ_R2T;
	treq->r2t_len = in->h.data_len;
	treq->req.toff = in->h.toff;
	treq->req.ttag = in->h.ttag;
	treq->digest_bad = in->h.flags & TCP_CARRY_DIGEST_BAD;
	c->r2ts++;
	if (in->arriving)
		c->rx_req = treq;
}

static int build_r2t(struct tcp_conn *c, struct command_in *in, struct err *err)
{
	struct tcp_req *treq = in->treq;
	struct iobuf *buf;
	int rc = check_r2t(c, in, err);

	if (rc)
		return rc;
	if (in->h.flags & TCP_CARRY_ANSWER_DUE) {
		nvme_req_restore_done(&treq->req, in->h.status);
		r2t_begin(c, in);
		treq->answer_due = true;
		if (in->arriving)
			wire_rx_restore_dest(&c->rx, NULL);
		return 0;
	}
	buf = get_buf(c, iobuf_class_for(in->h.data_len), err);
	if (!buf)
		return -ENOBUFS;
	put_data(buf, 0, &in->data);
	nvme_req_restore_fetching(&treq->req, buf, in->h.data_len,
				  in->h.flags & TCP_CARRY_ADMITTED);
	r2t_begin(c, in);
	if (in->arriving)
		wire_rx_restore_dest(&c->rx, (uint8_t *)buf->data + in->h.toff);
	return 0;
}

/* Both halves, one of which is R2T. */
static int check_pair(const struct tcp_conn *c, const struct command_in *first,
		      const struct command_in *second, struct err *err)
{
	const struct command_in *half[] = {first, second};

	if ((first->h.sqe.flags & NVME_SQE_FUSE_MASK) != NVME_SQE_FUSE_FIRST ||
	    (second->h.sqe.flags & NVME_SQE_FUSE_MASK) != NVME_SQE_FUSE_SECOND ||
	    !(second->h.flags & TCP_CARRY_PAIRED))
		return bad(err, "half of a pair is missing");
	if ((first->h.kind == TCP_CARRY_R2T) == (second->h.kind == TCP_CARRY_R2T))
		return bad(err, "a pair waits for no half, or for both");
	for (unsigned i = 0; i < ARRAY_LEN(half); i++) {
		const struct tcp_carry_head *h = &half[i]->h;
		int rc = h->kind == TCP_CARRY_R2T ? check_r2t(c, half[i], err) : 0;

		if (rc)
			return rc;
		if (!h->data_len || h->data_len > FUSED_BYTES_MAX || h->kind == TCP_CARRY_CAPSULE ||
		    (h->flags & TCP_CARRY_ANSWER_DUE) ||
		    (h->kind == TCP_CARRY_NEW &&
		     (half[i]->arriving ||
		      (half[i]->data.len && half[i]->data.len != h->data_len))))
			return bad(err, "the data of a pair");
	}
	/* The first one's data is fetched first. */
	if (second->h.kind == TCP_CARRY_R2T && !first->data.len)
		return bad(err, "a pair's second half is fetched before its first");
	return 0;
}

static int build_pair(struct tcp_conn *c, struct command_in *first, struct command_in *second,
		      struct err *err)
{
	const uint32_t off = nvme_pair_second_off(first->h.data_len);
	struct nvme_pair_carry pair = {
		.first_len = first->h.data_len,
		.second_len = second->h.data_len,
		.first_done = first->h.kind == TCP_CARRY_NEW,
		.second_done = second->h.kind == TCP_CARRY_NEW && second->data.len,
		.admitted = first->h.flags & TCP_CARRY_ADMITTED,
	};
	struct command_in *fetching = pair.first_done ? second : first;
	int rc = check_pair(c, first, second, err);

	if (rc)
		return rc;
	pair.buf = get_buf(
		c, iobuf_class_for(off + (size_t)MAX(first->h.data_len, second->h.data_len)), err);
	if (!pair.buf)
		return -ENOBUFS;
	put_data(pair.buf, 0, &first->data);
	put_data(pair.buf, off, &second->data);
	nvme_req_restore_pair(&first->treq->req, &second->treq->req, &pair);
	first->treq->state = second->treq->state = TCP_REQ_NVME;
	r2t_begin(c, fetching);
	if (fetching->arriving)
		wire_rx_restore_dest(&c->rx, (uint8_t *)pair.buf->data + fetching->h.toff +
						     (fetching == second ? off : 0));
	return 0;
}

/* --- all of them --- */

/* The slot, and what the transport says of a command. */
static int take(struct tcp_conn *c, struct command_in *in, struct err *err)
{
	const uint16_t cid = get_le16(&in->h.sqe.cid);
	struct tcp_req *treq = tcp_reqs_take_slot(&c->reqs, in->h.slot);

	if (!treq)
		return bad(err, "its slot");
	in->treq = treq;
	treq->req.qp = &c->qp;
	treq->req.sqe = in->h.sqe;
	treq->req.xfer_len = in->h.xfer_len;
	treq->req.sgl_bad = in->h.flags & TCP_CARRY_SGL_BAD;
	treq->req.sgl_status = in->h.sgl_status;
	treq->req.loan_ok = !c->fmt.ddgst;
	treq->req.ttag = in->h.ttag ? in->h.ttag : in->h.slot;
	treq->cid = cid;
	if (!tcp_reqs_find(&c->reqs, cid))
		tcp_reqs_hash(&c->reqs, treq, cid);
	return 0;
}

static int older_first(const void *a, const void *b)
{
	const uint32_t x = ((const struct command_in *)a)->h.age;
	const uint32_t y = ((const struct command_in *)b)->h.age;

	return x > y ? -1 : x < y;
}

static int build_one(struct tcp_conn *c, struct command_in *in, struct err *err)
{
	switch (in->h.kind) {
	case TCP_CARRY_CAPSULE:
		return build_capsule(c, in, err);
	case TCP_CARRY_R2T:
		return build_r2t(c, in, err);
	default:
		c->carried_new[c->n_carried_new++] = in->h.slot;
		return build_new(c, in, err);
	}
}

static int build_all(struct tcp_conn *c, struct command_in *in, uint32_t n, struct err *err)
{
	uint32_t seq = 0;

	qsort(in, n, sizeof(*in), older_first);
	for (uint32_t i = 0; i < n; i++) {
		int rc;

		in[i].treq->seq = seq++;
		if (in[i].h.flags & TCP_CARRY_PAIRED) {
			if (i + 1 == n)
				return bad(err, "half of a pair is missing");
			in[i + 1].treq->seq = seq++;
			rc = build_pair(c, &in[i], &in[i + 1], err);
			i++;
		} else {
			rc = build_one(c, &in[i], err);
		}
		if (rc)
			return rc;
	}
	c->seq = seq;
	return 0;
}

/* Reads the COMMAND records; in has room for one per slot. */
static int collect(struct tcp_conn *c, struct command_in *in, uint32_t *ret_n, struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	uint32_t n = 0;
	int rc = 0;

	tlv_enter(&c->carried, &r);
	while (!rc && tlv_next(&r, &rec) > 0) {
		if (rec.type != TCP_CARRY_COMMAND)
			continue;
		if (n == c->reqs.n)
			return bad(err, "there are more than its queue has entries");
		in[n] = (struct command_in){.arriving = n == c->carried_rx.command};
		rc = command_decode(&rec, &in[n], err);
		if (!rc)
			rc = take(c, &in[n], err);
		n++;
	}
	*ret_n = n;
	if (!rc && c->carried_rx.is_payload && c->carried_rx.command >= n)
		rc = bad(err, "the one that data arrives for did not come");
	return rc;
}

static uint32_t count(const struct tcp_conn *c)
{
	struct tlv_reader r;
	struct tlv rec;
	uint32_t n = 0;

	tlv_enter(&c->carried, &r);
	while (tlv_next(&r, &rec) > 0)
		n += rec.type == TCP_CARRY_COMMAND;
	return MIN(n, c->reqs.n);
}

int tcp_restore_commands(struct tcp_conn *c, struct err *err)
{
	uint32_t n = count(c);
	struct command_in *in;
	int rc;

	if (!tcp_conn_open(c) || !n)
		return c->carried_rx.is_payload && tcp_conn_open(c)
			       ? bad(err, "the one that data arrives for did not come")
			       : 0;
	in = calloc(n + 1, sizeof(*in));
	c->carried_new = malloc(n * sizeof(*c->carried_new));
	if (!in || !c->carried_new) {
		free(in);
		return err_set(err, -ENOMEM, "no memory for the commands of a connection");
	}
	rc = collect(c, in, &n, err);
	if (!rc)
		rc = build_all(c, in, n, err);
	tcp_reqs_restored(&c->reqs);
	free(in);
	return rc;
}
