/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property Get and Set: the controller's registers (Base 3.1.3). Version 1.4 is reported: it is the newest whose mandatory parts are all
 * here, and with it a Linux host asks by Identify 00h..03h, 05h and 06h. From 2.0 on a host may rely on more log pages (feature
 * and command effects by command set) and Linux reads namespaces by CNS 08h only, which 1.4 hosts may still ask for and get.
 */
#include "base/log.h"
#include "nvme/control.h"

#define CAP_CQR      (1ull << 16)
#define CAP_TO_500MS 60ull /* a reset waits for commands that are on the disk */
#define CAP_CSS_NVM  (1ull << 37)

#define CC_CSS       0x00000070u
#define CC_MPS       0x00000780u
#define CC_AMS       0x00003800u
#define CC_IOSQES    0x000f0000u
#define CC_IOCQES    0x00f00000u
#define CC_IOSQES_64 (6u << 16)
#define CC_IOCQES_16 (4u << 20)
#define CC_FIXED                                                                                   \
	(CC_CSS | CC_MPS | CC_AMS | CC_IOSQES | CC_IOCQES) /* may change only while EN is 0 */

enum prop_size { PROP_4 = 0, PROP_8 = 1 };

uint64_t nvme_ctrlr_cap(const struct nvme_ctrlr *c)
{
	return (uint64_t)(c->ss->target->opts.queue_entries_max - 1) | CAP_CQR |
	       CAP_TO_500MS << 24 | CAP_CSS_NVM;
}

static bool prop_read(const struct nvme_ctrlr *c, uint32_t offset, enum prop_size *ret_size,
		      uint64_t *ret_value)
{
	*ret_size = PROP_4;
	switch (offset) {
	case NVME_PROP_CAP:
		*ret_size = PROP_8;
		*ret_value = nvme_ctrlr_cap(c);
		return true;
	case NVME_PROP_VS:
		*ret_value = NVME_VS_1_4;
		return true;
	case NVME_PROP_CC:
		*ret_value = c->cc;
		return true;
	case NVME_PROP_CSTS:
		*ret_value = c->csts;
		return true;
	default: /* reserved, or optional and not here: NSSR as CAP.NSSRS is 0 */
		return false;
	}
}

void nvme_property_get(struct nvme_req *req)
{
	const struct nvme_property_cmd *cmd = (const void *)&req->sqe;
	enum prop_size size;
	uint64_t value;

	if (!prop_read(req->qp->ctrlr, le32toh(cmd->ofst), &size, &value) ||
	    (cmd->attrib & 7) != size) {
		nvme_req_done(req, NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD));
		return;
	}
	put_le64(&req->cqe, value);
	nvme_req_done(req, 0);
}

static bool cc_valid(const struct nvme_ctrlr *c, uint32_t cc)
{
	if (cc & (CC_CSS | CC_MPS | CC_AMS)) /* NVM command set, 4 KiB pages, round robin: all 0 */
		return false;
	if (c->ss->is_discovery) /* has no I/O queues, so their entry sizes mean nothing */
		return true;
	return (cc & CC_IOSQES) == CC_IOSQES_64 && (cc & CC_IOCQES) == CC_IOCQES_16;
}

static uint16_t cc_write(struct nvme_ctrlr *c, uint32_t cc)
{
	uint32_t old = c->cc, shn = cc & NVME_CC_SHN_MASK;

	if (shn == NVME_CC_SHN_MASK)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	if ((cc & NVME_CC_EN) && (c->resetting || (c->csts & NVME_CSTS_CFS)))
		return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	if ((cc & NVME_CC_EN) && !cc_valid(c, cc))
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	if ((old & cc & NVME_CC_EN) && ((old ^ cc) & CC_FIXED))
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	/* Not before the reset, or the shutdown, that is under way has ended: its end would be taken for one of the new life. */
	if ((cc & NVME_CC_EN) && !(old & NVME_CC_EN) &&
	    ((c->csts & NVME_CSTS_RDY) ||
	     (c->csts & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_OCCURRING))
		return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	c->cc = cc;
	if (!(old & NVME_CC_EN) && (cc & NVME_CC_EN))
		c->csts =
			NVME_CSTS_RDY; /* a new life: SHST of an earlier shutdown is cleared, too */
	if (shn && shn != (old & NVME_CC_SHN_MASK))
		nvme_ctrlr_shutdown(c);
	if ((old & NVME_CC_EN) && !(cc & NVME_CC_EN))
		nvme_ctrlr_reset(c);
	return 0;
}

void nvme_property_set(struct nvme_req *req)
{
	const struct nvme_property_cmd *cmd = (const void *)&req->sqe;

	if (le32toh(cmd->ofst) != NVME_PROP_CC || (cmd->attrib & 7) != PROP_4) {
		nvme_req_done(req, NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD));
		return;
	}
	nvme_req_done(req, cc_write(req->qp->ctrlr, (uint32_t)le64toh(cmd->value)));
}
