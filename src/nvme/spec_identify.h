/* SPDX-License-Identifier: Apache-2.0 */
/* Data structures of Identify (Base 2.0c 5.17, NVM Command Set 1.0c 4.1.5). Wire layout only. */
#ifndef LITEPOOL_NVME_SPEC_IDENTIFY_H
#define LITEPOOL_NVME_SPEC_IDENTIFY_H

#include <assert.h>
#include <stddef.h>

#include "nvme/spec.h"

#define NVME_IDENTIFY_SIZE 4096u

struct nvme_id_ctrl { /* CNS 01h */
	le16 vid, ssvid;
	char sn[20], mn[40], fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic, mdts;
	le16 cntlid;
	le32 ver, rtd3r, rtd3e, oaes, ctratt;
	le16 rrls;
	uint8_t rsvd102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	le16 crdt[3];
	uint8_t rsvd134[122];
	le16 oacs;
	uint8_t acl, aerl, frmw, lpa, elpe, npss, avscc, apsta;
	le16 wctemp, cctemp, mtfa;
	le32 hmpre, hmmin;
	uint8_t tnvmcap[16], unvmcap[16];
	le32 rpmbs;
	le16 edstt;
	uint8_t dsto, fwug;
	le16 kas; /* units of 100 ms */
	le16 hctma, mntmt, mxtmt;
	le32 sanicap, hmminds;
	le16 hmmaxd, nsetidmax, endgidmax;
	uint8_t anatt; /* seconds */
	uint8_t anacap;
	le32 anagrpmax, nanagrpid, pels;
	le16 domainid;
	uint8_t rsvd358[154];
	uint8_t sqes, cqes;
	le16 maxcmd;
	le32 nn;
	le16 oncs, fuses;
	uint8_t fna, vwc;
	le16 awun, awupf;
	uint8_t icsvscc, nwpc;
	le16 acwu, cdfs;
	le32 sgls, mnan;
	uint8_t rsvd544[224];
	char subnqn[256];
	uint8_t rsvd1024[768];
	le32 ioccsz, iorcsz; /* units of 16 bytes */
	le16 icdoff;
	uint8_t fcatt, msdbd;
	le16 ofcs;
	uint8_t dctype;
	uint8_t rsvd1807[241];
	uint8_t psd[32][32];
	uint8_t vs[1024];
};
static_assert(sizeof(struct nvme_id_ctrl) == NVME_IDENTIFY_SIZE, "Identify Controller");
static_assert(offsetof(struct nvme_id_ctrl, cntrltype) == 111, "CNTRLTYPE");
static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "OACS");
static_assert(offsetof(struct nvme_id_ctrl, kas) == 320, "KAS");
static_assert(offsetof(struct nvme_id_ctrl, anatt) == 342, "ANATT");
static_assert(offsetof(struct nvme_id_ctrl, nanagrpid) == 348, "NANAGRPID");
static_assert(offsetof(struct nvme_id_ctrl, sqes) == 512, "SQES");
static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "SGLS");
static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "SUBNQN");
static_assert(offsetof(struct nvme_id_ctrl, ioccsz) == 1792, "IOCCSZ");
static_assert(offsetof(struct nvme_id_ctrl, psd) == 2048, "PSD");

#define NVME_CMIC_MULTI_PORT     0x01
#define NVME_CMIC_MULTI_CTRLR    0x02
#define NVME_CMIC_ANA            0x08
#define NVME_CNTRLTYPE_IO        1
#define NVME_CNTRLTYPE_DISCOVERY 2
#define NVME_CTRATT_HOSTID_128   0x00000001u
#define NVME_CTRATT_TBKAS        0x00000040u
#define NVME_LPA_SMART_PER_NS    0x01
#define NVME_LPA_EFFECTS         0x02
#define NVME_LPA_EXTENDED        0x04
#define NVME_ONCS_COMPARE        0x0001
#define NVME_ONCS_DSM            0x0004
#define NVME_ONCS_WRITE_ZEROES   0x0008
#define NVME_ONCS_SELECT         0x0010
#define NVME_ONCS_RESERVATIONS   0x0020
#define NVME_ONCS_VERIFY         0x0080
#define NVME_FUSES_COMPARE_WRITE 0x0001
/* OAES, and the same bits of Asynchronous Event Configuration. */
#define NVME_AEN_NS_ATTRIBUTE  0x00000100u
#define NVME_AEN_ANA           0x00000800u
#define NVME_AEN_DISCOVERY     0x80000000u
#define NVME_VWC_PRESENT       0x01
#define NVME_VWC_FLUSH_ALL_NO  0x04 /* bits 2:1 = 10b: Flush to NSID FFFFFFFFh is refused */
#define NVME_VWC_FLUSH_ALL_YES 0x06
#define NVME_SGLS_SUPPORTED    0x00000001u
#define NVME_SGLS_OFFSET       0x00100000u /* address field is an offset into the capsule */
#define NVME_SGLS_TRANSPORT    0x00200000u /* Transport SGL Data Block descriptor */

struct nvme_id_ns { /* CNS 00h of the NVM command set */
	le64 nsze, ncap, nuse;
	uint8_t nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap, fpi, dlfeat;
	le16 nawun, nawupf, nacwu, nabsn, nabo, nabspf, noiob;
	uint8_t nvmcap[16];
	le16 npwg, npwa, npdg, npda, nows, mssrl;
	le32 mcl;
	uint8_t msrc;
	uint8_t rsvd81[11];
	le32 anagrpid;
	uint8_t rsvd96[3];
	uint8_t nsattr;
	le16 nvmsetid, endgid;
	uint8_t nguid[16], eui64[8];
	struct {
		le16 ms;
		uint8_t lbads, rp;
	} lbaf[64];
	uint8_t vs[3712];
};
static_assert(sizeof(struct nvme_id_ns) == NVME_IDENTIFY_SIZE, "Identify Namespace");
static_assert(offsetof(struct nvme_id_ns, nvmcap) == 48, "NVMCAP");
static_assert(offsetof(struct nvme_id_ns, anagrpid) == 92, "ANAGRPID");
static_assert(offsetof(struct nvme_id_ns, nsattr) == 99, "NSATTR");
static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "NGUID");
static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "LBAF");

#define NVME_NSFEAT_OPTPERF         0x10
#define NVME_NMIC_SHARED            0x01
#define NVME_NSATTR_WRITE_PROTECTED 0x01
#define NVME_DLFEAT_WZ_DEALLOCATE   0x08

struct nvme_id_ns_independent { /* CNS 08h */
	uint8_t nsfeat, nmic, rescap, fpi;
	le32 anagrpid;
	uint8_t nsattr;
	uint8_t rsvd9;
	le16 nvmsetid, endgid;
	uint8_t nstat;
	uint8_t rsvd15[4081];
};
static_assert(sizeof(struct nvme_id_ns_independent) == NVME_IDENTIFY_SIZE, "CNS 08h");
static_assert(offsetof(struct nvme_id_ns_independent, nstat) == 14, "NSTAT");
#define NVME_NSTAT_READY 0x01

struct nvme_id_ctrl_nvm { /* CNS 06h of the NVM command set */
	uint8_t vsl, wzsl, wusl, dmrl;
	le32 dmrsl;
	le64 dmsl;
	uint8_t rsvd16[4080];
};
static_assert(sizeof(struct nvme_id_ctrl_nvm) == NVME_IDENTIFY_SIZE, "CNS 06h");

enum nvme_nidt { /* Namespace Identification Descriptor, CNS 03h */
		 NVME_NIDT_EUI64 = 1,
		 NVME_NIDT_NGUID = 2,
		 NVME_NIDT_UUID = 3,
		 NVME_NIDT_CSI = 4,
};

#endif
