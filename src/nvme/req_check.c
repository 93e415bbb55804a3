/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State NEW of a request: everything that can be said of a command before its data is there. The checks of a queue are here, those of
 * one command in its own file (admin.c, io_cmd.c, fused.c, reservation.c).
 */
#include "nvme/model.h"
#include "nvme/req_parts.h"

static bool is_connect(const struct nvme_req *req)
{
	const struct nvme_fabrics_cmd *cmd = (const void *)&req->sqe;

	return req->sqe.opcode == NVME_OPC_FABRICS && cmd->fctype == NVME_FABRICS_CONNECT;
}

bool req_is_disconnect(const struct nvme_req *req)
{
	const struct nvme_fabrics_cmd *cmd = (const void *)&req->sqe;

	return req->sqe.opcode == NVME_OPC_FABRICS && cmd->fctype == NVME_FABRICS_DISCONNECT &&
	       !req->is_admin;
}

static uint16_t check_admin(struct nvme_req *req)
{
	const bool fabrics = req->sqe.opcode == NVME_OPC_FABRICS;

	/* Connect is the first command of a queue, alone, and only that. */
	if (req->qp->state == NVME_QP_READY ? is_connect(req)
					    : req->qp->state != NVME_QP_NEW || !is_connect(req))
		return NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR;
	if (!fabrics && (req->sqe.flags & NVME_SQE_PSDT_MASK) != NVME_SQE_PSDT_SGL_MPTR_CONTIG)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (req->sqe.flags & NVME_SQE_FUSE_MASK)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;

	uint16_t status = nvme_admin_prepare(req, &req->xfer, &req->data_len);

	if (!status && req->data_len > req->xfer_len)
		status = NVME_SC_SGL_INVALID_DATA | NVME_STATUS_DNR;
	return status;
}

/* A Fabrics command on a connected I/O queue: nothing but Disconnect belongs there. */
static uint16_t check_fabrics_on_io_queue(const struct nvme_req *req)
{
	if (is_connect(req))
		return NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR;
	return req_is_disconnect(req) ? NVME_SC_SUCCESS : NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
}

static uint16_t check_io(struct nvme_req *req)
{
	const struct nvme_ctrlr *c = req->qp->ctrlr;

	if (req->sqe.opcode == NVME_OPC_FABRICS)
		return check_fabrics_on_io_queue(req);
	if (!(atomic_load_explicit(&c->cc, memory_order_relaxed) & NVME_CC_EN) ||
	    !(atomic_load_explicit(&c->csts, memory_order_relaxed) & NVME_CSTS_RDY))
		return NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR;
	if (!req->view)
		req_enter_view(req);
	if (req->fused)
		return nvme_fused_prepare(req);
	return nvme_io_prepare(req, &req->xfer, &req->data_len);
}

/* Everything that can be said of a command before its data is there. */
uint16_t req_check(struct nvme_req *req)
{
	uint16_t status;

	req->xfer = NVME_XFER_NONE;
	req->data_len = 0;
	if (req->sgl_bad)
		return req->sgl_status;
	if (req->qp->state == NVME_QP_CLOSING)
		return NVME_SC_ABORT_QUEUE;
	status = req->is_admin ? check_admin(req) : check_io(req);
	/* In-capsule data is the host's to give, not to take. */
	if (!status && req->xfer == NVME_XFER_C2H && req->in_capsule)
		status = NVME_SC_SGL_INVALID_TYPE | NVME_STATUS_DNR;
	return status;
}
