/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express: the numbers and structures that every layer shares. Names follow NVM Express Base Specification 2.0c,
 * NVM Command Set 1.0c and NVMe over Fabrics (chapters of Base 2.0c). Wire structs are only parsed and built, never kept as state.
 * Identify data is in spec_identify.h, log pages in spec_log.h.
 */
#ifndef LITEPOOL_NVME_SPEC_H
#define LITEPOOL_NVME_SPEC_H

#include <assert.h>
#include <stdint.h>

#include "base/bytes.h"

#define NVME_NQN_MAX           223 /* bytes without NUL; fields are 256 */
#define NVME_NQN_FIELD         256
#define NVME_DISCOVERY_NQN     "nqn.2014-08.org.nvmexpress.discovery"
#define NVME_NSID_ALL          0xffffffffu
#define NVME_CNTLID_DYNAMIC    0xffffu
#define NVME_CNTLID_ANY_STATIC 0xfffeu
#define NVME_CNTLID_MAX        0xffefu

/* Base 4.1: SGL descriptor. */
struct nvme_sgl {
	le64 addr;
	le32 length;
	uint8_t rsvd[3];
	uint8_t type; /* high nibble type, low nibble subtype */
};
static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");
#define NVME_SGL_DATA_OFFSET    0x01 /* data block, offset into the capsule */
#define NVME_SGL_TRANSPORT_DATA 0x5a /* transport data block, transport specific */

/* Base 3.3.3.1: submission queue entry. */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags; /* bits 1:0 fuse, 7:6 psdt */
	le16 cid;
	le32 nsid;
	le32 cdw2, cdw3;
	le64 mptr;
	struct nvme_sgl sgl;
	le32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "SQE");

#define NVME_SQE_FUSE_MASK            0x03
#define NVME_SQE_FUSE_FIRST           0x01
#define NVME_SQE_FUSE_SECOND          0x02
#define NVME_SQE_PSDT_MASK            0xc0
#define NVME_SQE_PSDT_SGL_MPTR_CONTIG 0x40
#define NVME_SQE_PSDT_SGL_MPTR_SGL    0x80

/* Base 3.3.3.2: completion queue entry. */
struct nvme_cqe {
	union {
		struct {
			le32 dw0, dw1;
		};
		le64 result;
	};
	le16 sqhd;
	le16 sqid;
	le16 cid;
	le16 status; /* bit 0 phase (0 on fabrics), 15:1 status field */
};
static_assert(sizeof(struct nvme_cqe) == 16, "CQE");

/*
 * A status in memory: 15 bits as in CQE status >> 1: SC 7:0, SCT 10:8, CRD 12:11, M 13, DNR 14.
 */
#define NVME_STATUS(sct, sc) ((uint16_t)((sct) << 8 | (sc)))
#define NVME_STATUS_SCT(st)  ((st) >> 8 & 7)
#define NVME_STATUS_SC(st)   ((st) & 0xff)
#define NVME_STATUS_MORE     0x2000u
#define NVME_STATUS_DNR      0x4000u

enum nvme_status {
	/* generic */
	NVME_SC_SUCCESS = 0x000,
	NVME_SC_INVALID_OPCODE = 0x001,
	NVME_SC_INVALID_FIELD = 0x002,
	NVME_SC_CMDID_CONFLICT = 0x003,
	NVME_SC_DATA_XFER_ERROR = 0x004,
	NVME_SC_INTERNAL = 0x006,
	NVME_SC_ABORT_REQ = 0x007,
	NVME_SC_ABORT_QUEUE = 0x008,
	NVME_SC_ABORTED_PREEMPT = 0x01b,
	NVME_SC_FUSED_FAIL = 0x009,
	NVME_SC_FUSED_MISSING = 0x00a,
	NVME_SC_INVALID_NS = 0x00b,
	NVME_SC_CMD_SEQ_ERROR = 0x00c,
	NVME_SC_SGL_INVALID_LAST = 0x00d,
	NVME_SC_SGL_INVALID_COUNT = 0x00e,
	NVME_SC_SGL_INVALID_DATA = 0x00f, /* Data SGL Length Invalid */
	NVME_SC_SGL_INVALID_METADATA = 0x010,
	NVME_SC_SGL_INVALID_TYPE = 0x011,
	NVME_SC_ATOMIC_WRITE_EXCEEDED = 0x014,
	NVME_SC_SGL_INVALID_OFFSET = 0x016,
	NVME_SC_HOSTID_INCONSISTENT = 0x018,
	NVME_SC_KATO_EXPIRED = 0x019,
	NVME_SC_KATO_INVALID = 0x01a,
	NVME_SC_NS_WRITE_PROTECTED = 0x020,
	NVME_SC_INTERRUPTED = 0x021,
	NVME_SC_TRANSIENT_TRANSPORT = 0x022,
	NVME_SC_ADMIN_ONLY_MEDIA_NOT_READY = 0x024,
	NVME_SC_LBA_RANGE = 0x080,
	NVME_SC_CAP_EXCEEDED = 0x081,
	NVME_SC_NS_NOT_READY = 0x082,
	NVME_SC_RESERVATION_CONFLICT = 0x083,
	/* command specific */
	NVME_SC_CQ_INVALID = 0x100,
	NVME_SC_QID_INVALID = 0x101,
	NVME_SC_QUEUE_SIZE = 0x102,
	NVME_SC_ABORT_LIMIT = 0x103,
	NVME_SC_AER_LIMIT = 0x105,
	NVME_SC_INVALID_LOG_PAGE = 0x109,
	NVME_SC_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_SC_FEATURE_NOT_CHANGEABLE = 0x10e,
	NVME_SC_FEATURE_NOT_PER_NS = 0x10f,
	NVME_SC_CONNECT_FORMAT = 0x180,
	NVME_SC_CONNECT_CTRL_BUSY = 0x181,
	NVME_SC_CONNECT_INVALID_PARAM = 0x182,
	NVME_SC_CONNECT_RESTART_DISCOVERY = 0x183,
	NVME_SC_CONNECT_INVALID_HOST = 0x184,
	NVME_SC_INVALID_QUEUE_TYPE = 0x185,
	NVME_SC_DISCOVERY_RESTART = 0x190,
	NVME_SC_AUTH_REQUIRED = 0x191,
	/* media and data integrity */
	NVME_SC_WRITE_FAULT = 0x280,
	NVME_SC_READ_ERROR = 0x281, /* Unrecovered Read Error */
	NVME_SC_GUARD_CHECK = 0x282,
	NVME_SC_COMPARE_FAILED = 0x285,
	NVME_SC_ACCESS_DENIED = 0x286,
	/* path related */
	NVME_SC_PATH_INTERNAL = 0x300,
	NVME_SC_ANA_PERSISTENT_LOSS = 0x301,
	NVME_SC_ANA_INACCESSIBLE = 0x302,
	NVME_SC_ANA_TRANSITION = 0x303,
	NVME_SC_HOST_PATH_ERROR = 0x370,
	NVME_SC_HOST_ABORTED = 0x371,
};

enum nvme_admin_opcode {
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_KEEP_ALIVE = 0x18,
	NVME_OPC_FABRICS = 0x7f,
};

enum nvme_io_opcode {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DSM = 0x09,
	NVME_IO_VERIFY = 0x0c,
	NVME_IO_RESV_REGISTER = 0x0d,
	NVME_IO_RESV_REPORT = 0x0e,
	NVME_IO_RESV_ACQUIRE = 0x11,
	NVME_IO_RESV_RELEASE = 0x15,
};

enum nvme_fabrics_type {
	NVME_FABRICS_PROPERTY_SET = 0x00,
	NVME_FABRICS_CONNECT = 0x01,
	NVME_FABRICS_PROPERTY_GET = 0x04,
	NVME_FABRICS_AUTH_SEND = 0x05,
	NVME_FABRICS_AUTH_RECV = 0x06,
	NVME_FABRICS_DISCONNECT = 0x08,
};

/* cdw12 bits of Read and Write. */
#define NVME_RW_LR          0x80000000u
#define NVME_RW_FUA         0x40000000u
#define NVME_RW_PRINFO_MASK 0x3c000000u
#define NVME_WZ_DEAC        0x02000000u

/* Fabrics command (Base 6): same 64 bytes, seen otherwise. */
struct nvme_fabrics_cmd {
	uint8_t opcode;
	uint8_t flags;
	le16 cid;
	uint8_t fctype;
	uint8_t rsvd5[19];
	struct nvme_sgl sgl;
	uint8_t specific[24];
};
static_assert(sizeof(struct nvme_fabrics_cmd) == 64, "fabrics command");

struct nvme_connect_cmd { /* specific[] of Connect and what lies before */
	uint8_t opcode, flags;
	le16 cid;
	uint8_t fctype;
	uint8_t rsvd5[19];
	struct nvme_sgl sgl;
	le16 recfmt;
	le16 qid;
	le16 sqsize; /* 0's based */
	uint8_t cattr;
	uint8_t rsvd;
	le32 kato; /* ms */
	uint8_t rsvd52[12];
};
static_assert(sizeof(struct nvme_connect_cmd) == 64, "Connect");
#define NVME_CATTR_DISABLE_SQFC 0x04

struct nvme_connect_data {
	uint8_t hostid[16];
	le16 cntlid;
	uint8_t rsvd18[238];
	char subnqn[NVME_NQN_FIELD];
	char hostnqn[NVME_NQN_FIELD];
	uint8_t rsvd768[256];
};
static_assert(sizeof(struct nvme_connect_data) == 1024, "Connect data");

struct nvme_property_cmd {
	uint8_t opcode, flags;
	le16 cid;
	uint8_t fctype;
	uint8_t rsvd5[35];
	uint8_t attrib; /* bits 2:0 size: 0 = 4 bytes, 1 = 8 */
	uint8_t rsvd41[3];
	le32 ofst;
	le64 value;
	uint8_t rsvd56[8];
};
static_assert(sizeof(struct nvme_property_cmd) == 64, "Property Get/Set");

#define NVME_PROP_CAP            0x00
#define NVME_PROP_VS             0x08
#define NVME_PROP_CC             0x14
#define NVME_PROP_CSTS           0x1c
#define NVME_PROP_NSSR           0x20

#define NVME_CC_EN               0x1u
#define NVME_CC_SHN_MASK         0xc000u
#define NVME_CC_SHN_NORMAL       0x4000u
#define NVME_CC_SHN_ABRUPT       0x8000u
#define NVME_CSTS_RDY            0x1u
#define NVME_CSTS_CFS            0x2u
#define NVME_CSTS_SHST_MASK      0xcu
#define NVME_CSTS_SHST_OCCURRING 0x4u
#define NVME_CSTS_SHST_COMPLETE  0x8u
#define NVME_VS_1_4              0x00010400u

enum nvme_ana_state {
	NVME_ANA_OPTIMIZED = 1,
	NVME_ANA_NON_OPTIMIZED = 2,
	NVME_ANA_INACCESSIBLE = 3,
	NVME_ANA_PERSISTENT_LOSS = 4,
	NVME_ANA_CHANGE = 0xf,
};

enum nvme_cns {
	NVME_CNS_NS = 0x00,
	NVME_CNS_CTRL = 0x01,
	NVME_CNS_ACTIVE_NS_LIST = 0x02,
	NVME_CNS_NS_DESC_LIST = 0x03,
	NVME_CNS_CSI_NS = 0x05,
	NVME_CNS_CSI_CTRL = 0x06,
	NVME_CNS_CSI_ACTIVE_NS_LIST = 0x07,
	NVME_CNS_CSI_INDEPENDENT_NS = 0x08,
	NVME_CNS_ALLOCATED_NS_LIST = 0x10,
	NVME_CNS_ALLOCATED_NS = 0x11,
	NVME_CNS_NS_CTRL_LIST = 0x12,
	NVME_CNS_CTRL_LIST = 0x13,
	NVME_CNS_IOCS = 0x1c,
};

enum nvme_log_page {
	NVME_LOG_SUPPORTED = 0x00,
	NVME_LOG_ERROR = 0x01,
	NVME_LOG_SMART = 0x02,
	NVME_LOG_FIRMWARE = 0x03,
	NVME_LOG_CHANGED_NS = 0x04,
	NVME_LOG_EFFECTS = 0x05,
	NVME_LOG_ANA = 0x0c,
	NVME_LOG_DISCOVERY = 0x70,
	NVME_LOG_RESERVATION = 0x80,
};

enum nvme_feature {
	NVME_FEAT_ARBITRATION = 0x01,
	NVME_FEAT_POWER = 0x02,
	NVME_FEAT_TEMPERATURE = 0x04,
	NVME_FEAT_ERROR_RECOVERY = 0x05,
	NVME_FEAT_VOLATILE_WC = 0x06,
	NVME_FEAT_NUM_QUEUES = 0x07,
	NVME_FEAT_WRITE_ATOMICITY = 0x0a,
	NVME_FEAT_ASYNC_EVENT = 0x0b,
	NVME_FEAT_KATO = 0x0f,
	NVME_FEAT_HOST_BEHAVIOR = 0x16,
	NVME_FEAT_HOST_ID = 0x81,
	NVME_FEAT_RESV_MASK = 0x82,
	NVME_FEAT_RESV_PERSIST = 0x83,
};

#endif
