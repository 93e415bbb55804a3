/* SPDX-License-Identifier: Apache-2.0 */
/* Builders of PDUs; see pdu.h. */
#include "wire/pdu.h"

#include "base/check.h"
#include "base/crc32c.h"

void pdu_put_digest(void *out, uint32_t crc)
{
	put_le32(out, crc);
}

/* Fills the common header; plen is completed by the caller when data follows. */
static void fill_ch(struct pdu_ch *ch, uint8_t type, uint8_t flags, size_t hlen, uint32_t plen)
{
	ch->pdu_type = type;
	ch->flags = flags;
	ch->hlen = (uint8_t)hlen;
	ch->pdo = 0;
	put_le32(&ch->plen, plen);
}

/* Header digest behind the finished header. Returns the bytes of both. */
static size_t finish(uint8_t *out, size_t hlen, bool hdgst)
{
	if (!hdgst)
		return hlen;
	pdu_put_digest(out + hlen, crc32c(out, hlen));
	return hlen + PDU_DIGEST_LEN;
}

/* Header of a PDU that carries no data. */
static void fill_plain(struct pdu_ch *ch, const struct pdu_format *fmt, uint8_t type, size_t hlen)
{
	size_t plen = hlen + (fmt->hdgst ? PDU_DIGEST_LEN : 0);

	fill_ch(ch, type, fmt->hdgst ? PDU_F_HDGST : 0, hlen, (uint32_t)plen);
}

/* Header of a PDU with data_len bytes of data. Returns the padding before them. */
static uint8_t fill_with_data(struct pdu_ch *ch, const struct pdu_format *fmt, uint8_t type,
			      uint8_t flags, size_t hlen, uint32_t data_len)
{
	uint32_t end = (uint32_t)hlen + (fmt->hdgst ? PDU_DIGEST_LEN : 0);
	uint32_t step = (fmt->pda + 1u) * 4;
	uint32_t pdo = (end + step - 1) / step * step;

	ASSERT(fmt->pda <= PDU_PDA_MAX);
	ASSERT(pdo <= UINT8_MAX);
	flags |= (fmt->hdgst ? PDU_F_HDGST : 0) | (fmt->ddgst ? PDU_F_DDGST : 0);
	fill_ch(ch, type, flags, hlen, pdo + data_len + (fmt->ddgst ? PDU_DIGEST_LEN : 0));
	ch->pdo = (uint8_t)pdo;
	return (uint8_t)(pdo - end);
}

size_t pdu_build_icreq(void *out, uint8_t hpda, uint8_t dgst, uint32_t maxr2t)
{
	struct pdu_icreq pdu = {.hpda = hpda, .dgst = dgst};

	fill_ch(&pdu.ch, PDU_ICREQ, 0, sizeof(pdu), sizeof(pdu));
	put_le32(&pdu.maxr2t, maxr2t);
	memcpy(out, &pdu, sizeof(pdu));
	return sizeof(pdu);
}

size_t pdu_build_icresp(void *out, uint8_t cpda, uint8_t dgst, uint32_t maxh2cdata)
{
	struct pdu_icresp pdu = {.cpda = cpda, .dgst = dgst};

	fill_ch(&pdu.ch, PDU_ICRESP, 0, sizeof(pdu), sizeof(pdu));
	put_le32(&pdu.maxh2cdata, maxh2cdata);
	memcpy(out, &pdu, sizeof(pdu));
	return sizeof(pdu);
}

size_t pdu_build_term(void *out, bool h2c, uint16_t fes, uint32_t fei, uint32_t echo_len)
{
	struct pdu_term pdu = {0};

	ASSERT(echo_len <= PDU_TERM_DATA_MAX);
	fill_ch(&pdu.ch, h2c ? PDU_H2C_TERM : PDU_C2H_TERM, 0, sizeof(pdu),
		(uint32_t)sizeof(pdu) + echo_len);
	put_le16(&pdu.fes, fes);
	put_le32(pdu.fei, fei);
	memcpy(out, &pdu, sizeof(pdu));
	return sizeof(pdu);
}

size_t pdu_build_cmd(void *out, const struct pdu_format *fmt, const struct nvme_sqe *sqe,
		     uint32_t data_len, uint8_t *ret_pad)
{
	struct pdu_ch ch;

	*ret_pad = 0;
	if (data_len)
		*ret_pad = fill_with_data(&ch, fmt, PDU_CAPSULE_CMD, 0, sizeof(struct pdu_cmd),
					  data_len);
	else
		fill_plain(&ch, fmt, PDU_CAPSULE_CMD, sizeof(struct pdu_cmd));
	memcpy(out, &ch, sizeof(ch));
	memcpy((uint8_t *)out + sizeof(ch), sqe, sizeof(*sqe));
	return finish(out, sizeof(struct pdu_cmd), fmt->hdgst);
}

size_t pdu_build_resp(void *out, const struct pdu_format *fmt, const struct nvme_cqe *cqe)
{
	struct pdu_resp pdu;

	fill_plain(&pdu.ch, fmt, PDU_CAPSULE_RESP, sizeof(pdu));
	pdu.cqe = *cqe;
	memcpy(out, &pdu, sizeof(pdu));
	return finish(out, sizeof(pdu), fmt->hdgst);
}

size_t pdu_build_r2t(void *out, const struct pdu_format *fmt, uint16_t cccid, uint16_t ttag,
		     uint32_t r2to, uint32_t r2tl)
{
	struct pdu_r2t pdu = {0};

	fill_plain(&pdu.ch, fmt, PDU_R2T, sizeof(pdu));
	put_le16(&pdu.cccid, cccid);
	put_le16(&pdu.ttag, ttag);
	put_le32(&pdu.r2to, r2to);
	put_le32(&pdu.r2tl, r2tl);
	memcpy(out, &pdu, sizeof(pdu));
	return finish(out, sizeof(pdu), fmt->hdgst);
}

static size_t build_data(void *out, const struct pdu_format *fmt, uint8_t type,
			 const struct pdu_data_fields *f, uint8_t *ret_pad)
{
	struct pdu_data pdu = {0};

	*ret_pad = fill_with_data(&pdu.ch, fmt, type, f->flags, sizeof(pdu), f->datal);
	put_le16(&pdu.cccid, f->cccid);
	put_le16(&pdu.ttag, f->ttag);
	put_le32(&pdu.datao, f->datao);
	put_le32(&pdu.datal, f->datal);
	memcpy(out, &pdu, sizeof(pdu));
	return finish(out, sizeof(pdu), fmt->hdgst);
}

size_t pdu_build_h2c_data(void *out, const struct pdu_format *fmt, const struct pdu_data_fields *f,
			  uint8_t *ret_pad)
{
	return build_data(out, fmt, PDU_H2C_DATA, f, ret_pad);
}

size_t pdu_build_c2h_data(void *out, const struct pdu_format *fmt, const struct pdu_data_fields *f,
			  uint8_t *ret_pad)
{
	return build_data(out, fmt, PDU_C2H_DATA, f, ret_pad);
}

const char *pdu_type_name(uint8_t type)
{
	switch (type) {
	case PDU_ICREQ:
		return "ICReq";
	case PDU_ICRESP:
		return "ICResp";
	case PDU_H2C_TERM:
		return "H2CTermReq";
	case PDU_C2H_TERM:
		return "C2HTermReq";
	case PDU_CAPSULE_CMD:
		return "CapsuleCmd";
	case PDU_CAPSULE_RESP:
		return "CapsuleResp";
	case PDU_H2C_DATA:
		return "H2CData";
	case PDU_C2H_DATA:
		return "C2HData";
	case PDU_R2T:
		return "R2T";
	default:
		return "?";
	}
}
