/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where an errno becomes an NVMe status, and the words for each status.
 *
 * Do Not Retry is set when the same command on the same data would fail again (the kernel below has already tried the medium again),
 * and left out where time or a person may help: no space in a thin pool, a timeout, a busy device.
 */
#include <errno.h>
#include <stddef.h>

#include "nvme/model.h"

static const struct {
	int error;
	uint16_t read, other; /* what a read says; what all others say */
} errno_table[] = {
	{EIO, NVME_SC_READ_ERROR | NVME_STATUS_DNR, NVME_SC_WRITE_FAULT | NVME_STATUS_DNR},
	/* Not End-to-end Guard Check: that is of protection information, which no namespace here has. */
	{EILSEQ, NVME_SC_READ_ERROR | NVME_STATUS_DNR, NVME_SC_WRITE_FAULT | NVME_STATUS_DNR},
	{ENOSPC, NVME_SC_CAP_EXCEEDED, NVME_SC_CAP_EXCEEDED},
	{EDQUOT, NVME_SC_CAP_EXCEEDED, NVME_SC_CAP_EXCEEDED},
	{EROFS, NVME_SC_NS_WRITE_PROTECTED | NVME_STATUS_DNR,
	 NVME_SC_NS_WRITE_PROTECTED | NVME_STATUS_DNR},
	{EPERM, NVME_SC_ACCESS_DENIED | NVME_STATUS_DNR, NVME_SC_ACCESS_DENIED | NVME_STATUS_DNR},
	{EACCES, NVME_SC_ACCESS_DENIED | NVME_STATUS_DNR, NVME_SC_ACCESS_DENIED | NVME_STATUS_DNR},
	{EOPNOTSUPP, NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR,
	 NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR},
	{EINVAL, NVME_SC_INVALID_FIELD | NVME_STATUS_DNR, NVME_SC_INVALID_FIELD | NVME_STATUS_DNR},
	{ENODEV, NVME_SC_NS_NOT_READY | NVME_STATUS_DNR, NVME_SC_NS_NOT_READY | NVME_STATUS_DNR},
	{ENXIO, NVME_SC_NS_NOT_READY | NVME_STATUS_DNR, NVME_SC_NS_NOT_READY | NVME_STATUS_DNR},
	{ECANCELED, NVME_SC_ABORT_REQ, NVME_SC_ABORT_REQ},
	{ETIMEDOUT, NVME_SC_INTERRUPTED, NVME_SC_INTERRUPTED},
	{EAGAIN, NVME_SC_INTERRUPTED, NVME_SC_INTERRUPTED},
	{EBUSY, NVME_SC_INTERRUPTED, NVME_SC_INTERRUPTED},
	{ENOMEM, NVME_SC_INTERRUPTED, NVME_SC_INTERRUPTED},
};

uint16_t nvme_status_from_errno(int res, enum blk_op op)
{
	if (res >= 0)
		return NVME_SC_SUCCESS;
	for (size_t i = 0; i < ARRAY_LEN(errno_table); i++) {
		if (errno_table[i].error == -res)
			return op == BLK_READ ? errno_table[i].read : errno_table[i].other;
	}
	return NVME_SC_INTERNAL;
}

static const struct {
	uint16_t status;
	const char *text;
} text_table[] = {
	{NVME_SC_SUCCESS, "success"},
	{NVME_SC_INVALID_OPCODE, "invalid command opcode"},
	{NVME_SC_INVALID_FIELD, "invalid field in command"},
	{NVME_SC_CMDID_CONFLICT, "command id conflict"},
	{NVME_SC_DATA_XFER_ERROR, "data transfer error"},
	{NVME_SC_INTERNAL, "internal error"},
	{NVME_SC_ABORT_REQ, "command abort requested"},
	{NVME_SC_ABORTED_PREEMPT, "command aborted by a reservation's Preempt and Abort"},
	{NVME_SC_ABORT_QUEUE, "command aborted, its queue was deleted"},
	{NVME_SC_FUSED_FAIL, "command aborted, the other fused command failed"},
	{NVME_SC_FUSED_MISSING, "command aborted, the other fused command is missing"},
	{NVME_SC_INVALID_NS, "invalid namespace or format"},
	{NVME_SC_CMD_SEQ_ERROR, "command sequence error"},
	{NVME_SC_SGL_INVALID_LAST, "invalid SGL segment descriptor"},
	{NVME_SC_SGL_INVALID_COUNT, "invalid number of SGL descriptors"},
	{NVME_SC_SGL_INVALID_DATA, "data SGL length invalid"},
	{NVME_SC_SGL_INVALID_METADATA, "metadata SGL length invalid"},
	{NVME_SC_SGL_INVALID_TYPE, "SGL descriptor type invalid"},
	{NVME_SC_ATOMIC_WRITE_EXCEEDED, "atomic write unit exceeded"},
	{NVME_SC_SGL_INVALID_OFFSET, "SGL offset invalid"},
	{NVME_SC_HOSTID_INCONSISTENT, "host identifier inconsistent format"},
	{NVME_SC_KATO_EXPIRED, "keep alive timer expired"},
	{NVME_SC_KATO_INVALID, "keep alive timeout invalid"},
	{NVME_SC_NS_WRITE_PROTECTED, "namespace is write protected"},
	{NVME_SC_INTERRUPTED, "command interrupted"},
	{NVME_SC_TRANSIENT_TRANSPORT, "transient transport error"},
	{NVME_SC_ADMIN_ONLY_MEDIA_NOT_READY, "admin command media not ready"},
	{NVME_SC_LBA_RANGE, "LBA out of range"},
	{NVME_SC_CAP_EXCEEDED, "capacity exceeded"},
	{NVME_SC_NS_NOT_READY, "namespace not ready"},
	{NVME_SC_RESERVATION_CONFLICT, "reservation conflict"},
	{NVME_SC_CQ_INVALID, "completion queue invalid"},
	{NVME_SC_QID_INVALID, "invalid queue identifier"},
	{NVME_SC_QUEUE_SIZE, "invalid queue size"},
	{NVME_SC_ABORT_LIMIT, "abort command limit exceeded"},
	{NVME_SC_AER_LIMIT, "asynchronous event request limit exceeded"},
	{NVME_SC_INVALID_LOG_PAGE, "invalid log page"},
	{NVME_SC_FEATURE_NOT_SAVEABLE, "feature identifier not saveable"},
	{NVME_SC_FEATURE_NOT_CHANGEABLE, "feature not changeable"},
	{NVME_SC_FEATURE_NOT_PER_NS, "feature not namespace specific"},
	{NVME_SC_CONNECT_FORMAT, "incompatible Connect format"},
	{NVME_SC_CONNECT_CTRL_BUSY, "controller busy"},
	{NVME_SC_CONNECT_INVALID_PARAM, "Connect invalid parameters"},
	{NVME_SC_CONNECT_RESTART_DISCOVERY, "Connect restart discovery"},
	{NVME_SC_CONNECT_INVALID_HOST, "Connect invalid host"},
	{NVME_SC_INVALID_QUEUE_TYPE, "invalid queue type"},
	{NVME_SC_DISCOVERY_RESTART, "discovery information changed"},
	{NVME_SC_AUTH_REQUIRED, "authentication required"},
	{NVME_SC_WRITE_FAULT, "write fault"},
	{NVME_SC_READ_ERROR, "unrecovered read error"},
	{NVME_SC_GUARD_CHECK, "end-to-end guard check error"},
	{NVME_SC_COMPARE_FAILED, "compare failure"},
	{NVME_SC_ACCESS_DENIED, "access denied"},
	{NVME_SC_PATH_INTERNAL, "internal path error"},
	{NVME_SC_ANA_PERSISTENT_LOSS, "asymmetric access persistent loss"},
	{NVME_SC_ANA_INACCESSIBLE, "asymmetric access inaccessible"},
	{NVME_SC_ANA_TRANSITION, "asymmetric access transition"},
	{NVME_SC_HOST_PATH_ERROR, "host path error"},
	{NVME_SC_HOST_ABORTED, "command aborted by the host"},
};

const char *nvme_status_text(uint16_t status)
{
	const uint16_t code = status & 0x7ff; /* without CRD, More and Do Not Retry */

	for (size_t i = 0; i < ARRAY_LEN(text_table); i++) {
		if (text_table[i].status == code)
			return text_table[i].text;
	}
	return "unknown status";
}
