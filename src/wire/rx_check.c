/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target checks in a command capsule and in H2CData, beyond what every PDU must keep (rx.c).
 * Pure functions.
 *
 * ICDOFF is 0 and one data block descriptor is all that a capsule can hold, so the whole of the SGL
 * rules of TCP 1.0c is here: in-capsule data by "data block, offset", everything else by "transport
 * data block".
 */
#include "wire/rx.h"

static bool fatal(struct wire_error *error, uint16_t fes, size_t fei)
{
	error->fes = fes;
	error->fei = (uint32_t)fei;
	return false;
}

/* The SGL says in-capsule. PLEN and the SGL must say the same length: else one of them is damaged
 * and neither is to be believed. */
static bool check_in_capsule(const struct nvme_sgl *sgl, uint32_t data_len, uint32_t capsule_max,
			     struct wire_xfer *xfer, struct wire_error *error)
{
	if (get_le64(&sgl->addr) != 0) {
		xfer->sgl_status = NVME_SC_SGL_INVALID_OFFSET;
		return true;
	}
	if (get_le32(&sgl->length) != data_len)
		return fatal(error, PDU_FES_HEADER_FIELD, offsetof(struct pdu_ch, plen));
	if (data_len > capsule_max) {
		xfer->sgl_status = NVME_SC_SGL_INVALID_DATA;
		return true;
	}
	xfer->len = data_len;
	xfer->in_capsule = data_len > 0;
	return true;
}

bool wire_cmd_check(const struct nvme_sqe *sqe, uint32_t data_len, uint32_t capsule_max,
		    struct wire_xfer *ret_xfer, struct wire_error *ret_error)
{
	const struct nvme_sgl *sgl = &sqe->sgl;
	bool fabrics = sqe->opcode == NVME_OPC_FABRICS; /* byte 1 is reserved there */

	*ret_xfer = (struct wire_xfer){0};
	if (!fabrics && (sqe->flags & NVME_SQE_PSDT_MASK) != NVME_SQE_PSDT_SGL_MPTR_CONTIG) {
		ret_xfer->sgl_status = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
		return true;
	}
	switch (sgl->type) {
	case NVME_SGL_DATA_OFFSET:
		if (!check_in_capsule(sgl, data_len, capsule_max, ret_xfer, ret_error))
			return false;
		break;
	case NVME_SGL_TRANSPORT_DATA:
		if (data_len)
			return fatal(ret_error, PDU_FES_HEADER_FIELD,
				     offsetof(struct pdu_ch, plen));
		ret_xfer->len = get_le32(&sgl->length);
		break;
	default:
		ret_xfer->sgl_status = NVME_SC_SGL_INVALID_TYPE;
		break;
	}
	if (ret_xfer->sgl_status)
		ret_xfer->sgl_status |= NVME_STATUS_DNR;
	return true;
}

bool wire_h2c_check(const struct pdu_data *pdu, const struct wire_h2c_expect *expect,
		    struct wire_error *ret_error)
{
	uint32_t offset = get_le32(&pdu->datao), length = get_le32(&pdu->datal);
	bool last = pdu->ch.flags & PDU_F_LAST;

	if (get_le16(&pdu->cccid) != expect->cccid)
		return fatal(ret_error, PDU_FES_HEADER_FIELD, offsetof(struct pdu_data, cccid));
	if (length % 4)
		return fatal(ret_error, PDU_FES_HEADER_FIELD, offsetof(struct pdu_data, datal));
	if (length > expect->max_h2c_data)
		return fatal(ret_error, PDU_FES_LIMIT_EXCEEDED, 0);
	if (offset != expect->offset || length > expect->end - offset)
		return fatal(ret_error, PDU_FES_OUT_OF_RANGE, 0);
	if (last != (offset + length == expect->end))
		return fatal(ret_error, PDU_FES_HEADER_FIELD, offsetof(struct pdu_ch, flags));
	return true;
}
