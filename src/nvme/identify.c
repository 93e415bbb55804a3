/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identify (Base 5.17). What is claimed here is what the other files do; a bit that is not set is not supported.
 *
 *  1. An nsid beyond NN is an error; one within NN that has no namespace gives zeroes where the specification says so.
 *  2. Every buffer is zeroed before it is filled (req.c), so a reserved field is 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"
#include "nvme/control.h"
#include "nvme/spec_identify.h"

#define LIST_MAX      1024u /* le32 entries of a namespace list */
#define CTRL_LIST_MAX 2047u
#define RTD3E_US      60000000u /* shutdown flushes every namespace: hosts should wait that long */
#define CSI_NVM       0

struct identify {
	struct nvme_req *req;
	struct nvme_ctrlr *c;
	struct nvme_subsystem *ss;
	uint32_t nsid;
	uint16_t cntid;
	uint8_t cns, csi;
	void *buf;
};

static uint16_t invalid_field(void)
{
	return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
}

static uint16_t invalid_ns(void)
{
	return NVME_ADMIN_DNR(NVME_SC_INVALID_NS);
}

uint16_t nvme_identify_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	*ret_xfer = NVME_XFER_C2H;
	*ret_len = NVME_IDENTIFY_SIZE;
	return 0;
}

static uint8_t mdts_of(uint32_t bytes)
{
	return (uint8_t)(__builtin_ctz(bytes) - 12); /* in units of CAP.MPSMIN, 4 KiB */
}

static void ctrl_fill_common(const struct nvme_ctrlr *c, struct nvme_id_ctrl *id)
{
	const struct nvme_target_opts *o = &c->ss->target->opts;

	str_pad(id->sn, sizeof(id->sn), c->ss->serial);
	str_pad(id->mn, sizeof(id->mn), c->ss->model);
	str_pad(id->fr, sizeof(id->fr), NVME_FIRMWARE_REVISION);
	id->mdts = mdts_of(o->mdts_bytes);
	id->cntlid = htole16(c->cntlid);
	id->ver = htole32(NVME_VS_1_4);
	id->oaes = htole32(nvme_aer_config_supported(c));
	id->ctratt = htole32(NVME_CTRATT_HOSTID_128 | NVME_CTRATT_TBKAS);
	id->acl = NVME_ABORTS_MAX - 1;
	id->aerl = (uint8_t)(o->aer_max - 1);
	id->frmw = 1 << 1 | 1; /* one slot, read only */
	id->elpe = NVME_ERROR_LOG_ENTRIES - 1;
	id->kas = htole16(NVME_KATO_GRANULARITY_MS / 100);
	id->maxcmd = htole16(o->queue_entries_max);
	id->sgls = htole32(NVME_SGLS_SUPPORTED | NVME_SGLS_OFFSET | NVME_SGLS_TRANSPORT);
	(void)str_copy(id->subnqn, sizeof(id->subnqn), c->ss->nqn);
}

static void ctrl_fill_ana(const struct nvme_ctrlr *c, struct nvme_id_ctrl *id)
{
	if (!c->ss->ana_reporting)
		return;
	id->cmic |= NVME_CMIC_ANA;
	id->anatt = NVME_ANATT_S;
	/* All five states; ANAGRPID of a namespace does not change while it is there, and is not 0. */
	id->anacap = 0x1f | 1 << 6 | 1 << 7;
	id->anagrpmax = htole32(c->ss->nn);
	id->nanagrpid = htole32(c->ss->nn);
}

static void ctrl_fill_io(const struct nvme_ctrlr *c, struct nvme_id_ctrl *id)
{
	const struct nvme_target_opts *o = &c->ss->target->opts;

	id->cntrltype = NVME_CNTRLTYPE_IO;
	id->cmic = NVME_CMIC_MULTI_PORT | NVME_CMIC_MULTI_CTRLR;
	id->rtd3e = htole32(RTD3E_US);
	id->lpa = NVME_LPA_SMART_PER_NS | NVME_LPA_EFFECTS | NVME_LPA_EXTENDED;
	id->sqes = 6 << 4 | 6;
	id->cqes = 4 << 4 | 4;
	id->nn = htole32(c->ss->nn);
	id->mnan = htole32(c->ss->nn);
	id->oncs = htole16(NVME_ONCS_COMPARE | NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES |
			   NVME_ONCS_SELECT | NVME_ONCS_RESERVATIONS | NVME_ONCS_VERIFY);
	id->fuses = htole16(NVME_FUSES_COMPARE_WRITE);
	id->acwu = htole16(NVME_FUSED_BLOCKS_MAX - 1);
	id->vwc = NVME_VWC_PRESENT | NVME_VWC_FLUSH_ALL_YES;
	id->ioccsz = htole32((sizeof(struct nvme_sqe) + o->in_capsule_bytes) / 16);
	id->iorcsz = htole32(sizeof(struct nvme_cqe) / 16);
	id->msdbd = 1;
	id->ofcs = htole16(1); /* Disconnect of an I/O queue */
	ctrl_fill_ana(c, id);
}

static uint16_t identify_ctrl(struct identify *i)
{
	struct nvme_id_ctrl *id = i->buf;

	ctrl_fill_common(i->c, id);
	if (i->ss->is_discovery) {
		id->cntrltype = NVME_CNTRLTYPE_DISCOVERY;
		id->lpa = NVME_LPA_EXTENDED;
	} else {
		ctrl_fill_io(i->c, id);
	}
	return 0;
}

/* The namespace that the command names. *ret NULL with status 0: not active, answer with zeroes. */
static uint16_t find_ns(struct identify *i, struct nvme_ns **ret)
{
	*ret = NULL;
	if (!i->nsid || i->nsid > i->ss->nn)
		return invalid_ns();
	*ret = nvme_ns_find(i->ss, i->nsid);
	return 0;
}

static void ns_fill_sizes(const struct nvme_ns *ns, struct nvme_id_ns *id)
{
	uint64_t size = atomic_load(&ns->dev->size_bytes);
	uint32_t bs = ns->dev->block_size;
	uint64_t blocks = size / bs;
	uint32_t grain = MAX(ns->dev->phys_block_size, bs) / bs;

	id->nsze = htole64(blocks);
	id->ncap = htole64(blocks);
	id->nuse = htole64(blocks);
	put_le64(id->nvmcap, blocks * bs);
	id->lbaf[0].lbads = (uint8_t)__builtin_ctz(bs);
	id->nsfeat = NVME_NSFEAT_OPTPERF;
	id->npwg = htole16((uint16_t)(grain - 1));
	id->npwa = htole16((uint16_t)(grain - 1));
	id->npdg = htole16((uint16_t)(4096 / bs - 1));
	id->npda = htole16((uint16_t)(4096 / bs - 1));
}

static uint16_t identify_ns(struct identify *i)
{
	struct nvme_id_ns *id = i->buf;
	struct nvme_ns *ns;
	uint16_t status = find_ns(i, &ns);

	if (status || !ns)
		return status;
	ns_fill_sizes(ns, id);
	id->nmic = NVME_NMIC_SHARED;
	id->rescap = nvme_resv_rescap(ns);
	id->dlfeat = ns->dev->caps & BLK_CAP_WRITE_ZEROES ? NVME_DLFEAT_WZ_DEALLOCATE : 0;
	id->nsattr = ns->dev->caps & BLK_CAP_READ_ONLY ? NVME_NSATTR_WRITE_PROTECTED : 0;
	id->nacwu = htole16(NVME_FUSED_BLOCKS_MAX - 1);
	id->anagrpid = htole32(i->ss->ana_reporting ? ns->anagrpid : 0);
	memcpy(id->nguid, ns->nguid, sizeof(id->nguid));
	memcpy(id->eui64, ns->eui64, sizeof(id->eui64));
	return 0;
}

static uint16_t identify_ns_independent(struct identify *i)
{
	struct nvme_id_ns_independent *id = i->buf;
	struct nvme_ns *ns;
	uint16_t status = find_ns(i, &ns);

	if (status || !ns)
		return status;
	id->nmic = NVME_NMIC_SHARED;
	id->rescap = nvme_resv_rescap(ns);
	id->nsattr = ns->dev->caps & BLK_CAP_READ_ONLY ? NVME_NSATTR_WRITE_PROTECTED : 0;
	id->anagrpid = htole32(i->ss->ana_reporting ? ns->anagrpid : 0);
	id->nstat = NVME_NSTAT_READY;
	return 0;
}

static uint16_t identify_ns_list(struct identify *i)
{
	uint8_t *out = i->buf;
	uint32_t n = 0;

	if (i->nsid >= NVME_NSID_ALL - 1)
		return invalid_ns();
	for (uint32_t nsid = i->nsid + 1; nsid <= i->ss->nn && n < LIST_MAX; nsid++)
		if (nvme_ns_find(i->ss, nsid))
			put_le32(out + (size_t)4 * n++, nsid);
	return 0;
}

static uint8_t *desc_put(uint8_t *at, enum nvme_nidt type, const void *id, uint8_t len)
{
	at[0] = (uint8_t)type;
	at[1] = len;
	memcpy(at + 4, id, len);
	return at + 4 + len;
}

static uint16_t identify_ns_desc(struct identify *i)
{
	static const uint8_t csi = CSI_NVM;
	uint8_t *at = i->buf;
	struct nvme_ns *ns;
	uint16_t status = find_ns(i, &ns);

	if (status)
		return status;
	if (!ns)
		return invalid_ns();
	at = desc_put(at, NVME_NIDT_EUI64, ns->eui64, sizeof(ns->eui64));
	at = desc_put(at, NVME_NIDT_NGUID, ns->nguid, sizeof(ns->nguid));
	at = desc_put(at, NVME_NIDT_UUID, ns->uuid.b, sizeof(ns->uuid.b));
	(void)desc_put(at, NVME_NIDT_CSI, &csi, sizeof(csi));
	return 0;
}

/* The NVM command set has nothing to add: no protection information, no limits beside MDTS. All zero. */
static uint16_t identify_csi_ns(struct identify *i)
{
	struct nvme_ns *ns;

	return i->csi == CSI_NVM ? find_ns(i, &ns) : invalid_field();
}

static uint16_t identify_csi_ctrl(struct identify *i)
{
	return i->csi == CSI_NVM ? 0 : invalid_field();
}

static uint16_t identify_csi_ns_list(struct identify *i)
{
	return i->csi == CSI_NVM ? identify_ns_list(i) : invalid_field();
}

/* Controllers with at least cntid, in ascending order. */
static uint16_t identify_ctrl_list(struct identify *i)
{
	uint8_t *out = i->buf;
	uint16_t n = 0;

	for (uint32_t id = i->cntid; id <= NVME_CNTLID_MAX && n < CTRL_LIST_MAX;) {
		uint32_t next = UINT32_MAX;

		list_for_each (it, &i->ss->ctrlrs) {
			uint32_t cntlid = list_entry(it, struct nvme_ctrlr, link)->cntlid;

			if (cntlid >= id && cntlid < next)
				next = cntlid;
		}
		if (next == UINT32_MAX)
			break;
		put_le16(out + 2 + (size_t)2 * n++, (uint16_t)next);
		id = next + 1;
	}
	put_le16(out, n);
	return 0;
}

/* Every namespace is attached to every controller. */
static uint16_t identify_ns_ctrl_list(struct identify *i)
{
	struct nvme_ns *ns;
	uint16_t status = find_ns(i, &ns);

	if (status || !ns)
		return status;
	return identify_ctrl_list(i);
}

static uint16_t identify_iocs(struct identify *i)
{
	put_le64(i->buf, 1u << CSI_NVM); /* one combination: NVM alone */
	return 0;
}

static const struct {
	uint8_t cns;
	bool discovery;
	uint16_t (*fill)(struct identify *i);
} pages[] = {
	{NVME_CNS_NS, false, identify_ns},
	{NVME_CNS_CTRL, true, identify_ctrl},
	{NVME_CNS_ACTIVE_NS_LIST, false, identify_ns_list},
	{NVME_CNS_NS_DESC_LIST, false, identify_ns_desc},
	{NVME_CNS_CSI_NS, false, identify_csi_ns},
	{NVME_CNS_CSI_CTRL, false, identify_csi_ctrl},
	{NVME_CNS_CSI_ACTIVE_NS_LIST, false, identify_csi_ns_list},
	{NVME_CNS_CSI_INDEPENDENT_NS, false, identify_ns_independent},
	{NVME_CNS_ALLOCATED_NS_LIST, false, identify_ns_list},
	{NVME_CNS_ALLOCATED_NS, false, identify_ns},
	{NVME_CNS_NS_CTRL_LIST, false, identify_ns_ctrl_list},
	{NVME_CNS_CTRL_LIST, false, identify_ctrl_list},
	{NVME_CNS_IOCS, false, identify_iocs},
};

void nvme_identify_execute(struct nvme_req *req)
{
	uint32_t cdw10 = le32toh(req->sqe.cdw10);
	struct identify i = {
		.req = req,
		.c = req->qp->ctrlr,
		.ss = req->qp->ctrlr->ss,
		.nsid = le32toh(req->sqe.nsid),
		.cns = (uint8_t)cdw10,
		.cntid = (uint16_t)(cdw10 >> 16),
		.csi = (uint8_t)(le32toh(req->sqe.cdw11) >> 24),
		.buf = nvme_req_buf(req),
	};

	for (unsigned p = 0; p < ARRAY_LEN(pages); p++) {
		if (pages[p].cns != i.cns || (i.ss->is_discovery && !pages[p].discovery))
			continue;
		nvme_req_done(req, pages[p].fill(&i));
		return;
	}
	nvme_req_done(req, invalid_field());
}
