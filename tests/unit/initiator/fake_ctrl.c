/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_ctrl.h"

#include <stdlib.h>
#include <string.h>

static void ctrl_property(struct fake_ctrl *ctrl, struct fake_conn *c, const struct nvme_sqe *sqe)
{
	const struct nvme_property_cmd *prop = (const void *)sqe;
	uint16_t cid = get_le16(&sqe->cid);
	uint64_t value = get_le64(&prop->value);
	uint32_t offset = get_le32(&prop->ofst);

	if (prop->fctype == NVME_FABRICS_PROPERTY_SET) {
		ctrl->shutdowns += (value & NVME_CC_SHN_MASK) == NVME_CC_SHN_NORMAL;
		fake_resp(c, cid, 0, 0);
	} else if (offset == NVME_PROP_CAP) {
		fake_resp(c, cid, 0, ctrl->mqes);
	} else {
		/* Ready at the second look only, and shut down at once. */
		bool ready = ctrl->csts_reads++ > 0 && !ctrl->never_ready;
		uint32_t shst = ctrl->shutdowns && !ctrl->no_shutdown ? NVME_CSTS_SHST_COMPLETE : 0;

		fake_resp(c, cid, 0, (ready ? NVME_CSTS_RDY : 0) | shst);
	}
}

static void ctrl_connect(struct fake_ctrl *ctrl, struct fake_conn *c, const struct fake_pdu *pdu)
{
	struct nvme_sqe sqe = pdu->cmd.sqe;
	const struct nvme_connect_cmd *cmd = (const void *)&sqe;
	const struct nvme_connect_data *data = (const void *)pdu->payload;
	uint16_t cid = get_le16(&cmd->cid);

	assert_int_equal(pdu->data_len, sizeof(*data));
	if (get_le16(&cmd->qid) == 0) {
		ctrl->admin_connects++;
		ctrl->admin = c;
		ctrl->n_aers = 0;
		ctrl->csts_reads = 0;
		fake_resp(c, cid, ctrl->connect_status, 0x21);
		return;
	}
	c->ctx = ctrl; /* an I/O queue */
	ctrl->io_connects++;
	ctrl->io_sqsize = get_le16(&cmd->sqsize);
	ctrl->io_cntlid = get_le16(&data->cntlid);
	fake_resp(c, cid, 0, 0x21);
}

static void ctrl_identify(struct fake_ctrl *ctrl, struct fake_conn *c, uint16_t cid)
{
	uint8_t id[4096] = {0};

	id[77] = 5;  /* MDTS: 128 KiB */
	id[259] = 1; /* AERL: two */
	put_le32(id + 92, ctrl->oaes);
	put_le32(id + 1792, (64 + 8192) / 16);
	fake_c2h(c,
		 &(struct pdu_data_fields){
			 .cccid = cid, .datal = sizeof(id), .flags = PDU_F_LAST | PDU_F_SUCCESS},
		 id);
}

static void ctrl_admin(struct fake_ctrl *ctrl, struct fake_conn *c, const struct fake_pdu *pdu)
{
	struct nvme_sqe copy = pdu->cmd.sqe;
	const struct nvme_sqe *sqe = &copy;
	uint16_t cid = get_le16(&sqe->cid);

	switch (sqe->opcode) {
	case NVME_OPC_FABRICS:
		if (((const struct nvme_fabrics_cmd *)(const void *)sqe)->fctype ==
		    NVME_FABRICS_CONNECT)
			ctrl_connect(ctrl, c, pdu);
		else
			ctrl_property(ctrl, c, sqe);
		break;
	case NVME_ADMIN_IDENTIFY:
		ctrl_identify(ctrl, c, cid);
		break;
	case NVME_ADMIN_SET_FEATURES:
		ctrl->features++;
		if ((get_le32(&sqe->cdw10) & 0xff) == NVME_FEAT_ASYNC_EVENT)
			ctrl->aen_mask = get_le32(&sqe->cdw11);
		fake_resp(c, cid, 0, (ctrl->queues - 1) | (ctrl->queues - 1) << 16);
		break;
	case NVME_ADMIN_KEEP_ALIVE:
		ctrl->keep_alives++;
		if (!ctrl->no_keep_alive)
			fake_resp(c, cid, 0, 0);
		break;
	case NVME_ADMIN_ASYNC_EVENT:
		assert_true(ctrl->n_aers < CTRL_HELD);
		ctrl->aer[ctrl->n_aers++] = cid;
		break;
	default:
		fake_resp(c, cid, NVME_SC_INVALID_OPCODE, 0);
	}
}

static void ctrl_io(struct fake_ctrl *ctrl, struct fake_conn *c, const struct fake_pdu *pdu)
{
	struct nvme_sqe copy = pdu->cmd.sqe;
	const struct nvme_sqe *sqe = &copy;
	uint16_t cid = get_le16(&sqe->cid);
	uint32_t len = ((get_le32(&sqe->cdw12) & 0xffff) + 1) * 512;
	uint64_t at = get_le64(&sqe->cdw10) * 512;

	if (ctrl->hold_io) {
		ctrl->held++;
		return;
	}
	if (!range_within(at, len, sizeof(ctrl->data))) {
		fake_resp(c, cid, NVME_SC_LBA_RANGE, 0);
	} else if (sqe->opcode == NVME_IO_WRITE) {
		ctrl->writes++;
		assert_int_equal(pdu->data_len, len);
		memcpy(ctrl->data + at, pdu->payload, len);
		fake_resp(c, cid, 0, 0);
	} else {
		ctrl->reads++;
		fake_c2h(c,
			 &(struct pdu_data_fields){
				 .cccid = cid, .datal = len, .flags = PDU_F_LAST | PDU_F_SUCCESS},
			 ctrl->data + at);
	}
}

static void ctrl_pdu(struct fake_conn *c, struct fake_pdu *pdu)
{
	struct fake_ctrl *ctrl = c->fake->ctx;

	if (pdu->ch.pdu_type == PDU_ICREQ)
		fake_icresp(c, 8192);
	else if (c->ctx)
		ctrl_io(ctrl, c, pdu);
	else
		ctrl_admin(ctrl, c, pdu);
}

struct fake_ctrl *ctrl_new(void)
{
	struct fake_ctrl *ctrl = calloc(1, sizeof(*ctrl));

	ctrl->f = fake_new();
	ctrl->f->ctx = ctrl;
	ctrl->f->on_pdu = ctrl_pdu;
	ctrl->queues = 8;
	ctrl->mqes = 127;
	return ctrl;
}

void ctrl_free(struct fake_ctrl *ctrl)
{
	fake_free(ctrl->f);
	free(ctrl);
}

void ctrl_event(struct fake_ctrl *ctrl, uint32_t dw0)
{
	assert_true(ctrl->n_aers > 0);
	fake_resp(ctrl->admin, ctrl->aer[--ctrl->n_aers], 0, dw0);
}

void ctrl_crash(struct fake_ctrl *ctrl)
{
	for (unsigned i = 0; i < ctrl->f->n_conns; i++)
		fake_drop(ctrl->f->conn[i]);
}
