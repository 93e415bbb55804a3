/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the admin queue: one table says which there are, how much data each moves, and who executes it. All of them run on
 * the control reactor and, but for Abort, held events and reservation features, end within execute.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "nvme/control.h"

struct admin_command {
	uint8_t opcode;
	bool discovery; /* a discovery controller has it, too */
	/* NULL: no data. */
	uint16_t (*prepare)(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
	void (*execute)(struct nvme_req *req);
};

/* The command itself is the traffic that the timer looks for: qpair->commands. */
static void keep_alive_execute(struct nvme_req *req)
{
	nvme_req_done(req, NVME_SC_SUCCESS);
}

static const struct admin_command admin_commands[] = {
	{NVME_ADMIN_GET_LOG_PAGE, true, nvme_log_prepare, nvme_log_execute},
	{NVME_ADMIN_IDENTIFY, true, nvme_identify_prepare, nvme_identify_execute},
	{NVME_ADMIN_ABORT, true, NULL, nvme_abort_execute},
	{NVME_ADMIN_SET_FEATURES, true, nvme_set_features_prepare, nvme_set_features_execute},
	{NVME_ADMIN_GET_FEATURES, true, nvme_get_features_prepare, nvme_get_features_execute},
	{NVME_ADMIN_ASYNC_EVENT, true, NULL, nvme_aer_execute},
	{NVME_ADMIN_KEEP_ALIVE, true, NULL, keep_alive_execute},
};

static const struct admin_command *admin_find(const struct nvme_ctrlr *c, uint8_t opcode)
{
	for (unsigned i = 0; i < ARRAY_LEN(admin_commands); i++)
		if (admin_commands[i].opcode == opcode)
			return !c->ss->is_discovery || admin_commands[i].discovery
				       ? &admin_commands[i]
				       : NULL;
	return NULL;
}

bool nvme_admin_supported(const struct nvme_ctrlr *c, uint8_t opcode)
{
	return admin_find(c, opcode) != NULL;
}

static uint16_t fabrics_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	const struct nvme_fabrics_cmd *cmd = (const void *)&req->sqe;

	switch (cmd->fctype) {
	case NVME_FABRICS_CONNECT:
		if (req->qp->ctrlr)
			return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
		if (req->xfer_len < sizeof(struct nvme_connect_data))
			return NVME_ADMIN_DNR(NVME_SC_SGL_INVALID_DATA);
		*ret_xfer = NVME_XFER_H2C;
		*ret_len = sizeof(struct nvme_connect_data);
		return 0;
	case NVME_FABRICS_PROPERTY_GET:
	case NVME_FABRICS_PROPERTY_SET:
		return req->qp->ctrlr ? 0 : NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	case NVME_FABRICS_DISCONNECT: /* only I/O queues are disconnected one by one */
		return NVME_ADMIN_DNR(NVME_SC_INVALID_QUEUE_TYPE);
	default: /* Authentication Send and Receive, too: AUTHREQ is never set */
		return NVME_ADMIN_DNR(NVME_SC_INVALID_OPCODE);
	}
}

uint16_t nvme_admin_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	const struct nvme_ctrlr *c = req->qp->ctrlr;
	const struct admin_command *cmd;

	*ret_xfer = NVME_XFER_NONE;
	*ret_len = 0;
	if (req->sqe.opcode == NVME_OPC_FABRICS)
		return fabrics_prepare(req, ret_xfer, ret_len);
	if (!c || !nvme_ctrlr_enabled(c))
		return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	cmd = admin_find(c, req->sqe.opcode);
	if (!cmd)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_OPCODE);
	return cmd->prepare ? cmd->prepare(req, ret_xfer, ret_len) : 0;
}

void nvme_fabrics_execute(struct nvme_req *req)
{
	const struct nvme_fabrics_cmd *cmd = (const void *)&req->sqe;

	switch (cmd->fctype) {
	case NVME_FABRICS_CONNECT:
		nvme_connect_execute(req);
		break;
	case NVME_FABRICS_PROPERTY_GET:
		nvme_property_get(req);
		break;
	case NVME_FABRICS_PROPERTY_SET:
		nvme_property_set(req);
		break;
	default:
		UNREACHABLE(); /* fabrics_prepare() lets nothing else through */
	}
}

void nvme_admin_execute(struct nvme_req *req)
{
	const struct nvme_ctrlr *c = req->qp->ctrlr;
	const struct admin_command *cmd = admin_find(c, req->sqe.opcode);

	ASSERT(cmd);
	if (!nvme_ctrlr_enabled(c)) /* disabled while the command waited */
		nvme_req_done(req, NVME_SC_ABORT_REQ);
	else
		cmd->execute(req);
}
