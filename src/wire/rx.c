/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive machine; see rx.h.
 *
 *	HEADER --> DEST --> PAD --> DATA --> DDGST --> HEADER
 *	   |  (PDU without data: straight back to HEADER)
 *	   +--> FAILED
 *
 * Order of the checks on a PDU, so that every violation has one answer however the bytes were cut:
 * with 8 bytes there, type and direction, then state, then HLEN; with the whole header there, header
 * digest (nothing in a damaged header is to be believed), flags, PDO, PLEN, and last the fields of
 * ICReq and ICResp.
 */
#include "wire/rx.h"

#include "base/check.h"
#include "base/crc32c.h"

static const uint8_t hlen_of[] = {
	[PDU_ICREQ] = sizeof(struct pdu_icreq),     [PDU_ICRESP] = sizeof(struct pdu_icresp),
	[PDU_H2C_TERM] = sizeof(struct pdu_term),   [PDU_C2H_TERM] = sizeof(struct pdu_term),
	[PDU_CAPSULE_CMD] = sizeof(struct pdu_cmd), [PDU_CAPSULE_RESP] = sizeof(struct pdu_resp),
	[PDU_H2C_DATA] = sizeof(struct pdu_data),   [PDU_C2H_DATA] = sizeof(struct pdu_data),
	[PDU_R2T] = sizeof(struct pdu_r2t),
};

#define BIT(n) (1u << (n))
static const uint32_t types_to[] = {
	[WIRE_TARGET] =
		BIT(PDU_ICREQ) | BIT(PDU_H2C_TERM) | BIT(PDU_CAPSULE_CMD) | BIT(PDU_H2C_DATA),
	[WIRE_HOST] = BIT(PDU_ICRESP) | BIT(PDU_C2H_TERM) | BIT(PDU_CAPSULE_RESP) |
		      BIT(PDU_C2H_DATA) | BIT(PDU_R2T),
};
static const uint32_t types_setup = BIT(PDU_ICREQ) | BIT(PDU_ICRESP);
static const uint32_t types_term = BIT(PDU_H2C_TERM) | BIT(PDU_C2H_TERM);

static bool type_in(uint8_t type, uint32_t set)
{
	return type < 32 && (set & BIT(type));
}

void wire_rx_init(struct wire_rx *rx, enum wire_role role, uint32_t data_max)
{
	memset(rx, 0, sizeof(*rx));
	rx->role = role;
	rx->data_max = data_max;
	rx->digest_ok = true;
}

void wire_rx_negotiated(struct wire_rx *rx, bool hdgst, bool ddgst)
{
	ASSERT(!rx->ready);
	rx->ready = true;
	rx->hdgst = hdgst;
	rx->ddgst = ddgst;
}

static bool set_error(struct wire_error *error, uint16_t fes, size_t fei)
{
	error->fes = fes;
	error->fei = (uint32_t)fei;
	return false;
}

static bool bad_field(struct wire_error *error, size_t offset)
{
	return set_error(error, PDU_FES_HEADER_FIELD, offset);
}

static bool type_has_hdgst(const struct wire_rx *rx, uint8_t type)
{
	return rx->hdgst && !type_in(type, types_setup | types_term);
}

/* What can be said from the first 8 bytes. */
static bool check_start(const struct wire_rx *rx, const struct pdu_ch *ch, struct wire_error *error)
{
	if (!type_in(ch->pdu_type, types_to[rx->role]))
		return bad_field(error, offsetof(struct pdu_ch, pdu_type));
	/* Setup comes first and once; a TermReq may come at any time. */
	if (!type_in(ch->pdu_type, types_term) && type_in(ch->pdu_type, types_setup) == rx->ready)
		return set_error(error, PDU_FES_SEQUENCE, 0);
	if (ch->hlen != hlen_of[ch->pdu_type])
		return bad_field(error, offsetof(struct pdu_ch, hlen));
	return true;
}

/* Reserved bits (DGST 7:2) are not looked at, as Base 1.4.5.2 wants; they are not granted in the
 * answer either. */
static bool check_setup(const struct pdu_ch *ch, struct wire_error *error)
{
	const struct pdu_icreq *req = (const struct pdu_icreq *)ch;
	const struct pdu_icresp *resp = (const struct pdu_icresp *)ch;

	/* PFV and HPDA/CPDA are at the same place in both. */
	if (get_le16(&req->pfv) != 0)
		return set_error(error, PDU_FES_UNSUPPORTED, offsetof(struct pdu_icreq, pfv));
	if (req->hpda > PDU_PDA_MAX)
		return bad_field(error, offsetof(struct pdu_icreq, hpda));
	if (ch->pdu_type == PDU_ICRESP && get_le32(&resp->maxh2cdata) < PDU_MAXH2CDATA_MIN)
		return bad_field(error, offsetof(struct pdu_icresp, maxh2cdata));
	return true;
}

static bool check_header_digest(const struct pdu_ch *ch, struct wire_error *error)
{
	const uint8_t *bytes = (const uint8_t *)ch;
	uint32_t got = get_le32(bytes + ch->hlen);

	if (got != crc32c(bytes, ch->hlen))
		return set_error(error, PDU_FES_HEADER_DIGEST, got);
	return true;
}

/* PDO and PLEN of a PDU that may carry data; finds data_len. */
static bool check_layout(struct wire_rx *rx, const struct pdu_ch *ch, uint32_t end, uint32_t plen)
{
	bool is_cmd = ch->pdu_type == PDU_CAPSULE_CMD;
	uint32_t digest;

	if (is_cmd && plen == end)
		return true; /* no data: PDO is reserved */
	if (is_cmd && plen < end)
		return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
	if (ch->pdo < end || ch->pdo % 4)
		return bad_field(&rx->error, offsetof(struct pdu_ch, pdo));
	if (!(ch->flags & PDU_F_DDGST) != !rx->ddgst)
		return bad_field(&rx->error, offsetof(struct pdu_ch, flags));
	digest = rx->ddgst ? PDU_DIGEST_LEN : 0;
	if (plen <= ch->pdo + digest)
		return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
	rx->data_len = plen - ch->pdo - digest;
	if (is_cmd && rx->data_len > rx->data_max)
		return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
	rx->pad_left = (uint8_t)(ch->pdo - end);
	rx->has_ddgst = rx->ddgst;
	if (!is_cmd && get_le32(&((const struct pdu_data *)ch)->datal) != rx->data_len)
		return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
	return true;
}

/* The whole header and its digest are at ch. */
static bool check_header(struct wire_rx *rx, const struct pdu_ch *ch)
{
	bool hdgst = type_has_hdgst(rx, ch->pdu_type);
	uint32_t end = ch->hlen + (hdgst ? PDU_DIGEST_LEN : 0);
	uint32_t plen = get_le32(&ch->plen);

	rx->data_len = 0;
	rx->pad_left = 0;
	rx->has_ddgst = false;
	if (hdgst && !check_header_digest(ch, &rx->error))
		return false;
	if (type_in(ch->pdu_type,
		    types_term)) { /* its data may be left out of sight: nothing follows */
		if (plen < end || plen > end + PDU_TERM_DATA_MAX)
			return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
		rx->data_len = plen - end;
		return true;
	}
	if (!(ch->flags & PDU_F_HDGST) != !hdgst)
		return bad_field(&rx->error, offsetof(struct pdu_ch, flags));
	if (type_in(ch->pdu_type, BIT(PDU_CAPSULE_CMD) | BIT(PDU_H2C_DATA) | BIT(PDU_C2H_DATA)))
		return check_layout(rx, ch, end, plen);
	if (plen != end)
		return bad_field(&rx->error, offsetof(struct pdu_ch, plen));
	if (type_in(ch->pdu_type, types_setup))
		return check_setup(ch, &rx->error);
	return true;
}

/* have bytes of the header are at ch. */
static enum wire_event fail_at(struct wire_rx *rx, const void *header, size_t have)
{
	size_t echo = MIN(have, PDU_TERM_DATA_MAX);

	if (have >= sizeof(struct pdu_ch)) {
		const struct pdu_ch *ch = header;

		echo = MIN(echo, MAX(ch->hlen, sizeof(*ch)));
	}
	if (header != rx->buf)
		memmove(rx->buf, header, echo);
	rx->echo_len = (uint8_t)echo;
	rx->hdr = (const struct pdu_ch *)rx->buf;
	rx->state = WIRE_RX_FAILED;
	return WIRE_EV_ERROR;
}

enum wire_event wire_rx_fail(struct wire_rx *rx, uint16_t fes, uint32_t fei)
{
	if (rx->state == WIRE_RX_FAILED)
		return WIRE_EV_ERROR;
	set_error(&rx->error, fes, fei);
	return fail_at(rx, rx->hdr, rx->hdr->hlen);
}

/* Bytes of header and digest together; known once the common header is. */
static size_t header_size(const struct wire_rx *rx, const struct pdu_ch *ch)
{
	return ch->hlen + (type_has_hdgst(rx, ch->pdu_type) ? PDU_DIGEST_LEN : 0);
}

/* Moves bytes from in until buf holds want. True when it does. */
static bool collect(struct wire_rx *rx, struct wire_in *in, size_t want)
{
	size_t n = MIN(want - rx->have, (size_t)(in->end - in->p));

	if (n) { /* an empty in may have no pointer */
		memcpy(rx->buf + rx->have, in->p, n);
		rx->have = (uint8_t)(rx->have + n);
		in->p += n;
	}
	return rx->have == want;
}

/* The header is whole at ch. */
static enum wire_event take_header(struct wire_rx *rx, const struct pdu_ch *ch)
{
	rx->hdr = ch;
	rx->have = 0;
	if (!check_header(rx, ch))
		return fail_at(rx, ch, header_size(rx, ch));
	rx->data_done = 0;
	rx->dst = NULL;
	rx->crc = 0;
	rx->digest_ok = true;
	rx->state = rx->data_len ? WIRE_RX_DEST : WIRE_RX_HEADER;
	return WIRE_EV_HEADER;
}

static enum wire_event step_header_slow(struct wire_rx *rx, struct wire_in *in)
{
	const struct pdu_ch *ch = (const struct pdu_ch *)rx->buf;

	if (rx->have < sizeof(*ch)) {
		if (!collect(rx, in, sizeof(*ch)))
			return WIRE_EV_MORE;
		if (!check_start(rx, ch, &rx->error))
			return fail_at(rx, rx->buf, rx->have);
	}
	if (!collect(rx, in, header_size(rx, ch)))
		return WIRE_EV_MORE;
	return take_header(rx, ch);
}

static enum wire_event step_header(struct wire_rx *rx, struct wire_in *in)
{
	const struct pdu_ch *ch = (const struct pdu_ch *)in->p;
	size_t left = (size_t)(in->end - in->p), size;

	if (rx->have || left < sizeof(*ch))
		return step_header_slow(rx, in);
	if (!check_start(rx, ch, &rx->error))
		return fail_at(rx, ch, left);
	size = header_size(rx, ch);
	if (left < size) {
		/* The start was checked; the rest is collected behind it. */
		(void)collect(rx, in, size);
		return WIRE_EV_MORE;
	}
	in->p += size;
	return take_header(rx, ch);
}

void wire_rx_dest(struct wire_rx *rx, void *dst)
{
	ASSERT(rx->state == WIRE_RX_DEST);
	rx->dst = dst;
	rx->state = rx->pad_left ? WIRE_RX_PAD : WIRE_RX_DATA;
}

void wire_rx_drop(struct wire_rx *rx)
{
	rx->dst = NULL;
}

/* n bytes more of the payload are there (or dropped, at src). */
static void data_arrived(struct wire_rx *rx, const uint8_t *at, size_t n)
{
	if (rx->has_ddgst)
		rx->crc = crc32c_extend(rx->crc, at, n);
	rx->data_done += (uint32_t)n;
	if (rx->data_done == rx->data_len && rx->has_ddgst)
		rx->state = WIRE_RX_DDGST;
}

bool wire_rx_want(const struct wire_rx *rx, struct iovec *iov)
{
	if (rx->state != WIRE_RX_DATA || !rx->dst || rx->data_done == rx->data_len)
		return false;
	iov->iov_base = rx->dst + rx->data_done;
	iov->iov_len = rx->data_len - rx->data_done;
	return true;
}

size_t wire_rx_received(struct wire_rx *rx, size_t n)
{
	struct iovec iov;

	if (!wire_rx_want(rx, &iov))
		return 0;
	n = MIN(n, iov.iov_len);
	data_arrived(rx, iov.iov_base, n);
	return n;
}

bool wire_rx_next_pdu(const struct wire_rx *rx, int *ret)
{
	switch (rx->state) {
	case WIRE_RX_HEADER:
		*ret = -(int)rx->have;
		return true;
	case WIRE_RX_DATA:
		*ret = rx->has_ddgst ? PDU_DIGEST_LEN : 0;
		return rx->dst;
	case WIRE_RX_DDGST:
		*ret = PDU_DIGEST_LEN - rx->have;
		return true;
	case WIRE_RX_PAD:
	case WIRE_RX_DEST:
	case WIRE_RX_FAILED:
	default:
		return false;
	}
}

/* True when the payload is whole. */
static bool step_data(struct wire_rx *rx, struct wire_in *in)
{
	size_t n = MIN((size_t)(in->end - in->p), rx->data_len - rx->data_done);

	if (n) {
		if (rx->dst)
			memcpy(rx->dst + rx->data_done, in->p, n);
		data_arrived(rx, in->p, n);
		in->p += n;
	}
	return rx->data_done == rx->data_len;
}

static enum wire_event payload_done(struct wire_rx *rx)
{
	rx->have = 0;
	rx->state = WIRE_RX_HEADER;
	return WIRE_EV_DATA;
}

enum wire_event wire_rx_step(struct wire_rx *rx, struct wire_in *in)
{
	size_t n;

	switch (rx->state) {
	case WIRE_RX_HEADER:
		return step_header(rx, in);
	case WIRE_RX_PAD:
		n = MIN((size_t)(in->end - in->p), rx->pad_left);
		in->p += n;
		rx->pad_left = (uint8_t)(rx->pad_left - n);
		if (rx->pad_left)
			return WIRE_EV_MORE;
		rx->state = WIRE_RX_DATA;
		__attribute__((fallthrough));
	case WIRE_RX_DATA:
		if (!step_data(rx, in))
			return WIRE_EV_MORE;
		if (!rx->has_ddgst)
			return payload_done(rx);
		__attribute__((fallthrough));
	case WIRE_RX_DDGST:
		if (!collect(rx, in, PDU_DIGEST_LEN))
			return WIRE_EV_MORE;
		rx->digest_ok = get_le32(rx->buf) == rx->crc;
		return payload_done(rx);
	case WIRE_RX_FAILED:
		return WIRE_EV_ERROR;
	case WIRE_RX_DEST:
	default:
		UNREACHABLE();
	}
}

size_t wire_rx_need(const struct wire_rx *rx)
{
	const struct pdu_ch *ch = (const struct pdu_ch *)rx->buf;

	switch (rx->state) {
	case WIRE_RX_HEADER:
		if (rx->have < sizeof(*ch))
			return sizeof(*ch) - rx->have;
		return header_size(rx, ch) - rx->have;
	case WIRE_RX_PAD:
		return rx->pad_left;
	case WIRE_RX_DATA: /* without a destination: what is to be dropped */
		return rx->dst ? 0 : MIN(rx->data_len - rx->data_done, sizeof(rx->buf));
	case WIRE_RX_DDGST:
		return PDU_DIGEST_LEN - rx->have;
	case WIRE_RX_DEST:
	case WIRE_RX_FAILED:
	default:
		return 0;
	}
}

/* --- to another process --- */

size_t wire_rx_save(const struct wire_rx *rx, uint8_t out[WIRE_RX_SAVED_MAX])
{
	ASSERT(rx->state != WIRE_RX_FAILED);
	out[0] = (uint8_t)rx->state;
	out[1] = rx->has_ddgst;
	out[2] = rx->have;
	out[3] = rx->pad_left;
	put_le32(out + 4, rx->data_len);
	put_le32(out + 8, rx->data_done);
	put_le32(out + 12, rx->crc);
	put_le32(out + 16, !rx->dst);
	memcpy(out + WIRE_RX_SAVED_HEAD, rx->buf, rx->have);
	return WIRE_RX_SAVED_HEAD + rx->have;
}

/* A header of which have bytes came is one that step_header_slow() may go on with. */
static bool saved_header_ok(struct wire_rx *rx)
{
	const struct pdu_ch *ch = (const struct pdu_ch *)rx->buf;

	if (rx->have < sizeof(*ch))
		return true;
	return check_start(rx, ch, &rx->error) && rx->have < header_size(rx, ch);
}

static bool saved_state_ok(struct wire_rx *rx)
{
	switch (rx->state) {
	case WIRE_RX_HEADER:
		return saved_header_ok(rx);
	case WIRE_RX_DEST:
		return !rx->have && rx->data_len && !rx->data_done;
	case WIRE_RX_PAD:
		return !rx->have && rx->data_len && !rx->data_done && rx->pad_left;
	case WIRE_RX_DATA:
		return !rx->have && rx->data_len &&
		       (rx->has_ddgst ? rx->data_done < rx->data_len
				      : rx->data_done <= rx->data_len);
	case WIRE_RX_DDGST:
		return rx->have < PDU_DIGEST_LEN && rx->has_ddgst && rx->data_len &&
		       rx->data_done == rx->data_len;
	case WIRE_RX_FAILED:
	default:
		return false;
	}
}

bool wire_rx_restore(struct wire_rx *rx, const uint8_t *in, size_t len, bool *ret_drops)
{
	if (len < WIRE_RX_SAVED_HEAD || in[0] >= WIRE_RX_FAILED || in[1] > rx->ddgst ||
	    in[2] > sizeof(rx->buf) || len != WIRE_RX_SAVED_HEAD + (size_t)in[2])
		return false;
	rx->state = (enum wire_rx_state)in[0];
	rx->has_ddgst = in[1];
	rx->have = in[2];
	rx->pad_left = in[3];
	rx->data_len = get_le32(in + 4);
	rx->data_done = get_le32(in + 8);
	rx->crc = get_le32(in + 12);
	memcpy(rx->buf, in + WIRE_RX_SAVED_HEAD, rx->have);
	rx->hdr = (const struct pdu_ch *)rx->buf;
	*ret_drops = get_le32(in + 16);
	return saved_state_ok(rx);
}

void wire_rx_restore_dest(struct wire_rx *rx, void *dst)
{
	ASSERT(rx->state == WIRE_RX_PAD || rx->state == WIRE_RX_DATA || rx->state == WIRE_RX_DDGST);
	rx->dst = dst;
}
