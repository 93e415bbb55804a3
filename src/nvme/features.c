/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set and Get Features (Base 5.27, 5.15): one table of what there is. No feature is saveable: "saved" reads as "default", which is also what a
 * controller reset goes back to.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "nvme/control.h"

#define SV                   0x80000000u /* cdw10 of Set Features: save */
#define HOST_BEHAVIOR_SIZE   512u
#define HOST_BEHAVIOR_ACRE   0 /* byte: advanced command retry */
#define HOST_BEHAVIOR_LBAFEE 2 /* byte: LBA format extension */
#define RESV_MASK_BITS       0x0000000eu

enum select { SEL_CURRENT, SEL_DEFAULT, SEL_SAVED, SEL_SUPPORTED };

enum { CAP_SAVEABLE = 1, CAP_PER_NS = 2, CAP_CHANGEABLE = 4 }; /* answer to SEL_SUPPORTED */

struct feature {
	uint8_t fid;
	bool discovery; /* a discovery controller has it, too */
	unsigned caps;
	uint32_t data_len; /* bytes, both ways; 0: none */
	/* *ret: dw0. current or default. */
	uint16_t (*get)(struct nvme_req *req, bool current, uint32_t *ret);
	uint16_t (*set)(struct nvme_req *req, uint32_t value, uint32_t *ret); /* value: cdw11 */
};

static uint16_t invalid_field(void)
{
	return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
}

/* --- plain values: kept and given back --- */

static uint32_t *plain_value(struct nvme_ctrlr *c, uint8_t fid)
{
	switch (fid) {
	case NVME_FEAT_ARBITRATION:
		return &c->feat_arbitration;
	case NVME_FEAT_TEMPERATURE:
		return &c->feat_temperature;
	case NVME_FEAT_ERROR_RECOVERY:
		return &c->feat_error_recovery;
	case NVME_FEAT_WRITE_ATOMICITY:
		return &c->feat_write_atomicity;
	default:
		return &c->resv_mask;
	}
}

static uint8_t fid_of(const struct nvme_req *req)
{
	return (uint8_t)le32toh(req->sqe.cdw10);
}

static uint16_t plain_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	*ret = current ? *plain_value(req->qp->ctrlr, fid_of(req)) : 0;
	return 0;
}

static uint16_t plain_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	*plain_value(req->qp->ctrlr, fid_of(req)) = value;
	return 0;
}

static uint16_t error_recovery_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	if (value & 1u << 16) /* DULBE: no deallocated-block errors here (NSFEAT) */
		return invalid_field();
	return plain_set(req, value, ret);
}

/* --- power, cache --- */

static uint16_t power_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	*ret = 0; /* there is one state */
	return 0;
}

static uint16_t power_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	return value & 0x1f ? invalid_field() : 0;
}

static uint16_t cache_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	*ret = 1;
	return 0;
}

/* The disks' own caches are not ours to switch off: a host that wants durability flushes, or writes with FUA. */
static uint16_t cache_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	return value & 1 ? 0 : NVME_ADMIN_DNR(NVME_SC_FEATURE_NOT_CHANGEABLE);
}

/* --- number of queues --- */

static uint32_t queues_dw0(uint32_t n)
{
	return (n - 1) << 16 | (n - 1);
}

static uint16_t queues_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;

	*ret = queues_dw0(current && c->n_ioq_granted ? c->n_ioq_granted
						      : c->ss->target->opts.io_queues_max);
	return 0;
}

static uint16_t queues_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;
	uint32_t nsqr = value & 0xffff, ncqr = value >> 16;
	uint32_t wanted = MIN(nsqr, ncqr) + 1;

	if (nsqr == 0xffff || ncqr == 0xffff)
		return invalid_field();
	if (c->n_qpairs > 1) /* an I/O queue is there already (Base 5.27.1.5) */
		return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	c->n_ioq_granted = (uint16_t)MIN(wanted, c->ss->target->opts.io_queues_max);
	*ret = queues_dw0(c->n_ioq_granted);
	return 0;
}

/* --- events, keep alive --- */

static uint16_t events_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	*ret = current ? req->qp->ctrlr->aen_config : 0;
	return 0;
}

/* Bits 7:0 ask for SMART warnings, of which there are none to be raised. */
static uint16_t events_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	if (value & ~(nvme_aer_config_supported(req->qp->ctrlr) | 0xffu))
		return invalid_field();
	req->qp->ctrlr->aen_config = value;
	return 0;
}

static uint16_t kato_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	*ret = current ? req->qp->ctrlr->kato_ms : 0;
	return 0;
}

static uint16_t kato_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	if (!nvme_keepalive_set(req->qp->ctrlr, value))
		return NVME_ADMIN_DNR(NVME_SC_KATO_INVALID);
	return 0;
}

/* --- host behaviour, host identifier --- */

static uint16_t behavior_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	if (current)
		memcpy(nvme_req_buf(req), req->qp->ctrlr->host_behavior, HOST_BEHAVIOR_SIZE);
	return 0;
}

void nvme_host_behavior_apply(struct nvme_ctrlr *c)
{
	c->lbafee = c->host_behavior[HOST_BEHAVIOR_LBAFEE];
}

static uint16_t behavior_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;
	const uint8_t *data = nvme_req_buf(req);

	if (data[HOST_BEHAVIOR_ACRE] > 1 || data[HOST_BEHAVIOR_LBAFEE] > 1)
		return invalid_field();
	c->host_behavior[HOST_BEHAVIOR_ACRE] = data[HOST_BEHAVIOR_ACRE];
	c->host_behavior[HOST_BEHAVIOR_LBAFEE] = data[HOST_BEHAVIOR_LBAFEE];
	nvme_host_behavior_apply(c);
	return 0;
}

static uint16_t host_id_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	if (!(le32toh(req->sqe.cdw11) & 1)) /* EXHID: fabrics hosts have the long form only */
		return invalid_field();
	if (current)
		memcpy(nvme_req_buf(req), req->qp->ctrlr->hostid, sizeof(req->qp->ctrlr->hostid));
	return 0;
}

/* On fabrics Connect says it, once (Base 5.27.1.19). */
static uint16_t host_id_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
}

/* --- reservations --- */

static uint16_t named_ns(const struct nvme_req *req, struct nvme_ns **ret)
{
	uint32_t nsid = le32toh(req->sqe.nsid);

	*ret = nvme_ns_find(req->qp->ctrlr->ss, nsid);
	return *ret ? 0 : NVME_ADMIN_DNR(NVME_SC_INVALID_NS);
}

static uint16_t resv_mask_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	struct nvme_ns *ns;
	uint16_t status = named_ns(req, &ns);

	return status ? status : plain_get(req, current, ret);
}

static uint16_t resv_mask_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	struct nvme_ns *ns;
	uint16_t status = le32toh(req->sqe.nsid) == NVME_NSID_ALL ? 0 : named_ns(req, &ns);

	if (status)
		return status;
	if (value & ~RESV_MASK_BITS)
		return invalid_field();
	return plain_set(req, value, ret);
}

static uint16_t resv_persist_get(struct nvme_req *req, bool current, uint32_t *ret)
{
	struct nvme_ns *ns;
	uint16_t status = named_ns(req, &ns);

	if (!status)
		*ret = current && ns->resv.ptpl;
	return status;
}

/* Persistence is changed by Reservation Register (CPTPL) alone: there it is one step with the registration that it keeps. */
static uint16_t resv_persist_set(struct nvme_req *req, uint32_t value, uint32_t *ret)
{
	struct nvme_ns *ns;
	uint16_t status = named_ns(req, &ns);

	if (status)
		return status;
	return (value & 1) == ns->resv.ptpl ? 0 : NVME_ADMIN_DNR(NVME_SC_FEATURE_NOT_CHANGEABLE);
}

static const struct feature features[] = {
	{NVME_FEAT_ARBITRATION, false, CAP_CHANGEABLE, 0, plain_get, plain_set},
	{NVME_FEAT_POWER, false, CAP_CHANGEABLE, 0, power_get, power_set},
	{NVME_FEAT_TEMPERATURE, false, CAP_CHANGEABLE, 0, plain_get, plain_set},
	{NVME_FEAT_ERROR_RECOVERY, false, CAP_CHANGEABLE, 0, plain_get, error_recovery_set},
	{NVME_FEAT_VOLATILE_WC, false, 0, 0, cache_get, cache_set},
	{NVME_FEAT_NUM_QUEUES, false, CAP_CHANGEABLE, 0, queues_get, queues_set},
	{NVME_FEAT_WRITE_ATOMICITY, false, CAP_CHANGEABLE, 0, plain_get, plain_set},
	{NVME_FEAT_ASYNC_EVENT, true, CAP_CHANGEABLE, 0, events_get, events_set},
	{NVME_FEAT_KATO, true, CAP_CHANGEABLE, 0, kato_get, kato_set},
	{NVME_FEAT_HOST_BEHAVIOR, false, CAP_CHANGEABLE, HOST_BEHAVIOR_SIZE, behavior_get,
	 behavior_set},
	{NVME_FEAT_HOST_ID, false, 0, 16, host_id_get, host_id_set},
	{NVME_FEAT_RESV_MASK, false, CAP_CHANGEABLE | CAP_PER_NS, 0, resv_mask_get, resv_mask_set},
	{NVME_FEAT_RESV_PERSIST, false, CAP_PER_NS, 0, resv_persist_get, resv_persist_set},
};

static const struct feature *feature_find(const struct nvme_req *req)
{
	const struct nvme_ctrlr *c = req->qp->ctrlr;

	for (unsigned i = 0; i < ARRAY_LEN(features); i++)
		if (features[i].fid == fid_of(req))
			return c->ss->is_discovery && !features[i].discovery ? NULL : &features[i];
	return NULL;
}

static enum select select_of(const struct nvme_req *req)
{
	return (enum select)(le32toh(req->sqe.cdw10) >> 8 & 7);
}

uint16_t nvme_set_features_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer,
				   uint32_t *ret_len)
{
	const struct feature *f = feature_find(req);

	if (!f)
		return invalid_field();
	if (le32toh(req->sqe.cdw10) & SV)
		return NVME_ADMIN_DNR(NVME_SC_FEATURE_NOT_SAVEABLE);
	if (f->fid == NVME_FEAT_HOST_ID) /* refused without its data */
		return host_id_set(req, 0, NULL);
	if (f->data_len) {
		*ret_xfer = NVME_XFER_H2C;
		*ret_len = f->data_len;
	}
	return 0;
}

uint16_t nvme_get_features_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer,
				   uint32_t *ret_len)
{
	const struct feature *f = feature_find(req);

	if (!f || select_of(req) > SEL_SUPPORTED)
		return invalid_field();
	if (f->data_len && select_of(req) != SEL_SUPPORTED) {
		*ret_xfer = NVME_XFER_C2H;
		*ret_len = f->data_len;
	}
	return 0;
}

/*
 * One that is not of a namespace may be set with nsid 0 or all; a namespace's own number is an error (Base 5.27).
 */
static uint16_t check_scope(const struct nvme_req *req, const struct feature *f)
{
	uint32_t nsid = le32toh(req->sqe.nsid);

	if (f->caps & CAP_PER_NS || !nsid || nsid == NVME_NSID_ALL)
		return 0;
	if (!nvme_ns_find(req->qp->ctrlr->ss, nsid))
		return NVME_ADMIN_DNR(NVME_SC_INVALID_NS);
	return NVME_ADMIN_DNR(NVME_SC_FEATURE_NOT_PER_NS);
}

void nvme_set_features_execute(struct nvme_req *req)
{
	const struct feature *f = feature_find(req);
	uint32_t dw0 = 0;
	uint16_t status;

	ASSERT(f); /* prepare() refused what is not there */
	status = check_scope(req, f);

	if (!status)
		status = f->set(req, le32toh(req->sqe.cdw11), &dw0);
	req->cqe.dw0 = htole32(dw0);
	nvme_req_done(req, status);
}

void nvme_get_features_execute(struct nvme_req *req)
{
	const struct feature *f = feature_find(req);
	uint32_t dw0 = 0;
	uint16_t status = 0;

	ASSERT(f);
	if (select_of(req) == SEL_SUPPORTED)
		dw0 = f->caps;
	else
		status = f->get(req, select_of(req) == SEL_CURRENT, &dw0);
	req->cqe.dw0 = htole32(dw0);
	nvme_req_done(req, status);
}
