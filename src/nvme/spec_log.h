/* SPDX-License-Identifier: Apache-2.0 */
/* Log pages (Base 2.0c 5.16.1). Wire layout only. */
#ifndef LITEPOOL_NVME_SPEC_LOG_H
#define LITEPOOL_NVME_SPEC_LOG_H

#include <assert.h>
#include <stddef.h>

#include "nvme/spec.h"

struct nvme_log_error_entry { /* 01h */
	le64 count;
	le16 sqid, cid;
	le16 status; /* status field at 15:1 */
	le16 param_location;
	le64 lba;
	le32 nsid;
	uint8_t vs, trtype;
	uint8_t rsvd30[2];
	le64 cmd_specific;
	le16 tr_specific;
	uint8_t rsvd42[22];
};
static_assert(sizeof(struct nvme_log_error_entry) == 64, "error log entry");

struct nvme_log_smart { /* 02h */
	uint8_t critical_warning;
	uint8_t temperature[2]; /* Kelvin */
	uint8_t spare, spare_threshold, percent_used, endurance_warning;
	uint8_t rsvd7[25];
	le64 data_units_read[2], data_units_written[2]; /* thousands of 512 bytes, rounded up */
	le64 host_reads[2], host_writes[2];
	le64 busy_minutes[2], power_cycles[2], power_on_hours[2], unsafe_shutdowns[2];
	le64 media_errors[2], error_entries[2];
	uint8_t rsvd192[320];
};
static_assert(sizeof(struct nvme_log_smart) == 512, "SMART log");
static_assert(offsetof(struct nvme_log_smart, error_entries) == 176, "error entries");

struct nvme_log_firmware { /* 03h */
	uint8_t afi;
	uint8_t rsvd1[7];
	char revision[7][8];
	uint8_t rsvd64[448];
};
static_assert(sizeof(struct nvme_log_firmware) == 512, "firmware log");

struct nvme_log_effects { /* 05h */
	le32 admin[256], io[256];
	uint8_t rsvd2048[2048];
};
static_assert(sizeof(struct nvme_log_effects) == 4096, "effects log");
#define NVME_EFFECT_SUPPORTED 0x1u
#define NVME_EFFECT_CONTENT   0x2u /* logical block content may change */

struct nvme_log_ana { /* 0Ch, header */
	le64 change_count;
	le16 n_groups;
	uint8_t rsvd10[6];
};
static_assert(sizeof(struct nvme_log_ana) == 16, "ANA log header");

struct nvme_log_ana_group { /* then n_nsids le32 */
	le32 group, n_nsids;
	le64 change_count;
	uint8_t state;
	uint8_t rsvd17[15];
};
static_assert(sizeof(struct nvme_log_ana_group) == 32, "ANA group descriptor");
#define NVME_LOG_ANA_RGO 0x1

struct nvme_log_discovery { /* 70h, header */
	le64 genctr, numrec;
	le16 recfmt;
	uint8_t rsvd18[1006];
};
static_assert(sizeof(struct nvme_log_discovery) == 1024, "discovery log header");

struct nvme_log_discovery_entry {
	uint8_t trtype, adrfam, subtype, treq;
	le16 portid, cntlid, asqsz, eflags;
	uint8_t rsvd12[20];
	char trsvcid[32];
	uint8_t rsvd64[192];
	char subnqn[256];
	char traddr[256];
	uint8_t tsas[256];
};
static_assert(sizeof(struct nvme_log_discovery_entry) == 1024, "discovery log entry");
static_assert(offsetof(struct nvme_log_discovery_entry, subnqn) == 256, "SUBNQN");
static_assert(offsetof(struct nvme_log_discovery_entry, tsas) == 768, "TSAS");

#define NVME_TRTYPE_RDMA               1
#define NVME_TRTYPE_FC                 2
#define NVME_TRTYPE_TCP                3
#define NVME_TRTYPE_INTRA_HOST         254
#define NVME_ADRFAM_IPV4               1
#define NVME_ADRFAM_IPV6               2
#define NVME_SUBTYPE_NVM               2
#define NVME_SUBTYPE_DISCOVERY_CURRENT 3
#define NVME_TREQ_SQFC_DISABLE         0x04
#define NVME_EFLAGS_PERSISTENT         0x02 /* EPCSD */

#endif
