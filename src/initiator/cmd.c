/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills commands. Every helper clears the whole SQE first, so that a command structure may be used
 * again and again; done and ctx are left alone.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "initiator/hostq.h"

static void cmd_clear(struct nvme_hostcmd *cmd, uint8_t opcode, uint32_t nsid)
{
	memset(&cmd->sqe, 0, sizeof(cmd->sqe));
	cmd->sqe.opcode = opcode;
	put_le32(&cmd->sqe.nsid, nsid);
	cmd->data = NULL;
	cmd->data_len = 0;
	cmd->to_host = false;
}

static void cmd_data(struct nvme_hostcmd *cmd, bool to_host, void *data, uint32_t len)
{
	cmd->data = data;
	cmd->data_len = len;
	cmd->to_host = to_host;
}

void nvme_hostcmd_rw(struct nvme_hostcmd *cmd, bool write, uint32_t nsid, uint64_t lba,
		     uint32_t blocks, void *data, uint32_t data_len)
{
	ASSERT(blocks >= 1 && blocks <= 65536);
	cmd_clear(cmd, write ? NVME_IO_WRITE : NVME_IO_READ, nsid);
	put_le32(&cmd->sqe.cdw10, (uint32_t)lba);
	put_le32(&cmd->sqe.cdw11, (uint32_t)(lba >> 32));
	put_le32(&cmd->sqe.cdw12, blocks - 1);
	cmd_data(cmd, !write, data, data_len);
}

void nvme_hostcmd_flush(struct nvme_hostcmd *cmd, uint32_t nsid)
{
	cmd_clear(cmd, NVME_IO_FLUSH, nsid);
}

void nvme_hostcmd_identify(struct nvme_hostcmd *cmd, uint8_t cns, uint32_t nsid, void *data4096)
{
	cmd_clear(cmd, NVME_ADMIN_IDENTIFY, nsid);
	put_le32(&cmd->sqe.cdw10, cns);
	cmd_data(cmd, true, data4096, 4096);
}

void nvme_hostcmd_log(struct nvme_hostcmd *cmd, uint8_t lid, uint32_t nsid, uint64_t offset,
		      void *data, uint32_t len)
{
	uint32_t numd = len / 4 - 1;

	ASSERT(len >= 4 && len % 4 == 0);
	cmd_clear(cmd, NVME_ADMIN_GET_LOG_PAGE, nsid);
	put_le32(&cmd->sqe.cdw10, lid | (numd & 0xffff) << 16);
	put_le32(&cmd->sqe.cdw11, numd >> 16);
	put_le32(&cmd->sqe.cdw12, (uint32_t)offset);
	put_le32(&cmd->sqe.cdw13, (uint32_t)(offset >> 32));
	cmd_data(cmd, true, data, len);
}

void nvme_hostcmd_set_features(struct nvme_hostcmd *cmd, uint8_t fid, uint32_t cdw11)
{
	cmd_clear(cmd, NVME_ADMIN_SET_FEATURES, 0);
	put_le32(&cmd->sqe.cdw10, fid);
	put_le32(&cmd->sqe.cdw11, cdw11);
}

void nvme_hostcmd_simple(struct nvme_hostcmd *cmd, uint8_t opcode, uint32_t nsid)
{
	cmd_clear(cmd, opcode, nsid);
}

/* NOLINTNEXTLINE(readability-function-size): the fields of a Connect, for tests to get wrong */
void nvme_hostcmd_connect(struct nvme_hostcmd *cmd, struct nvme_connect_data *data, uint16_t qid,
			  uint16_t sqsize, uint32_t kato_ms, uint8_t cattr, uint16_t cntlid,
			  const struct uuid *hostid, const char *subnqn, const char *hostnqn)
{
	struct nvme_connect_cmd *con = (struct nvme_connect_cmd *)(void *)&cmd->sqe;

	cmd_clear(cmd, NVME_OPC_FABRICS, 0);
	con->fctype = NVME_FABRICS_CONNECT;
	put_le16(&con->qid, qid);
	put_le16(&con->sqsize, sqsize);
	con->cattr = cattr;
	put_le32(&con->kato, kato_ms);

	memset(data, 0, sizeof(*data));
	memcpy(data->hostid, hostid->b, sizeof(data->hostid));
	put_le16(&data->cntlid, cntlid);
	/* A name that is too long is sent cut, for the controller to refuse: tests want that. */
	memcpy(data->subnqn, subnqn, MIN(strlen(subnqn), sizeof(data->subnqn)));
	memcpy(data->hostnqn, hostnqn, MIN(strlen(hostnqn), sizeof(data->hostnqn)));
	cmd_data(cmd, false, data, sizeof(*data));
}

static struct nvme_property_cmd *cmd_property(struct nvme_hostcmd *cmd, uint8_t fctype,
					      uint32_t offset)
{
	struct nvme_property_cmd *prop = (struct nvme_property_cmd *)(void *)&cmd->sqe;

	cmd_clear(cmd, NVME_OPC_FABRICS, 0);
	prop->fctype = fctype;
	put_le32(&prop->ofst, offset);
	return prop;
}

void nvme_hostcmd_property_get(struct nvme_hostcmd *cmd, uint32_t offset, bool eight_bytes)
{
	cmd_property(cmd, NVME_FABRICS_PROPERTY_GET, offset)->attrib = eight_bytes;
}

void nvme_hostcmd_property_set(struct nvme_hostcmd *cmd, uint32_t offset, uint64_t value)
{
	struct nvme_property_cmd *prop = cmd_property(cmd, NVME_FABRICS_PROPERTY_SET, offset);

	put_le64(&prop->value, value);
}

static const char *status_reason(unsigned status)
{
	switch (status) {
	case NVME_SC_CONNECT_INVALID_HOST:
		return "this host's NQN is not allowed: add it to the subsystem's hosts";
	case NVME_SC_CONNECT_INVALID_PARAM:
		return "a Connect parameter is not valid: check the subsystem NQN and the "
		       "listener";
	case NVME_SC_CONNECT_CTRL_BUSY:
		return "the controller is busy or has no controller left";
	case NVME_SC_INVALID_FIELD:
		return "invalid field in command";
	case NVME_SC_INVALID_OPCODE:
		return "invalid command opcode";
	case NVME_SC_INVALID_NS:
		return "invalid namespace";
	case NVME_SC_LBA_RANGE:
		return "LBA out of range";
	case NVME_SC_CMD_SEQ_ERROR:
		return "command sequence error";
	case NVME_SC_AUTH_REQUIRED:
		return "authentication required";
	default:
		return "see the specification's status values";
	}
}

char *nvme_hostcmd_status_text(int status, char *text)
{
	unsigned st = (unsigned)status & (NVME_STATUS_DNR - 1) & ~NVME_STATUS_MORE;

	if (status < 0)
		(void)snprintf(text, NVME_HOSTCMD_STATUS_TEXT, "%s", strerror(-status));
	else if (status == 0)
		(void)snprintf(text, NVME_HOSTCMD_STATUS_TEXT, "success");
	else
		(void)snprintf(text, NVME_HOSTCMD_STATUS_TEXT, "status %x/%02x%s (%s)",
			       NVME_STATUS_SCT(st), NVME_STATUS_SC(st),
			       (unsigned)status & NVME_STATUS_DNR ? " do-not-retry" : "",
			       status_reason(st & 0x7ff));
	return text;
}
