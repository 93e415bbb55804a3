/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous events. A kind of event is in one of three conditions for a controller:
 *
 *    quiet --- it happens ---> pending --- an AER is there ---> masked --- its log page is read (RAE 0) ---> quiet
 *
 *  1. At most one notice of a kind is on its way or unread; what happens meanwhile is in the log page that the host will read.
 *  2. What the host has not asked for by Asynchronous Event Configuration is never pending.
 *  3. A held request is in c->aer[] exactly as long as its state is HELD.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "nvme/control.h"
#include "nvme/spec_identify.h"

enum aen_kind { AEN_NS, AEN_ANA, AEN_RESV, AEN_DISCOVERY, AEN_KINDS };

#define AEN_TYPE_NOTICE 2u
#define AEN_TYPE_IO     6u

static const struct {
	uint32_t config; /* bit in the feature and in OAES; 0: not switched there */
	uint32_t type, info;
	enum nvme_log_page page;
} aen[AEN_KINDS] = {
	[AEN_NS] = {NVME_AEN_NS_ATTRIBUTE, AEN_TYPE_NOTICE, 0x00, NVME_LOG_CHANGED_NS},
	[AEN_ANA] = {NVME_AEN_ANA, AEN_TYPE_NOTICE, 0x03, NVME_LOG_ANA},
	[AEN_RESV] = {0, AEN_TYPE_IO, 0x00, NVME_LOG_RESERVATION},
	[AEN_DISCOVERY] = {NVME_AEN_DISCOVERY, AEN_TYPE_NOTICE, 0xf0, NVME_LOG_DISCOVERY},
};

uint32_t nvme_aer_config_supported(const struct nvme_ctrlr *c)
{
	if (c->ss->is_discovery)
		return NVME_AEN_DISCOVERY;
	return NVME_AEN_NS_ATTRIBUTE | (c->ss->ana_reporting ? NVME_AEN_ANA : 0);
}

/* Takes request i out; it is EXECUTEd from now on, whoever asked. */
static struct nvme_req *aer_take(struct nvme_ctrlr *c, unsigned i)
{
	struct nvme_req *req = c->aer[i];

	ASSERT(i < c->n_aer);
	c->aer[i] = c->aer[--c->n_aer];
	c->aer[c->n_aer] = NULL;
	return req;
}

static void aer_report(struct nvme_ctrlr *c)
{
	for (unsigned kind = 0; kind < AEN_KINDS; kind++) {
		uint32_t bit = 1u << kind;
		struct nvme_req *req;

		if (!(c->aen_pending & bit) || (c->aen_masked & bit))
			continue;
		if (!c->n_aer)
			return;
		c->aen_pending &= ~bit;
		c->aen_masked |= bit;
		req = aer_take(c, 0);
		req->state = NVME_REQ_EXECUTE;
		req->cqe.dw0 = htole32(aen[kind].type | aen[kind].info << 8 |
				       (uint32_t)aen[kind].page << 16);
		nvme_req_done(req, 0);
	}
}

static void aer_raise(struct nvme_ctrlr *c, enum aen_kind kind)
{
	if (c->state != NVME_CTRLR_LIVE || !nvme_ctrlr_enabled(c))
		return;
	if (aen[kind].config && !(c->aen_config & aen[kind].config))
		return;
	if (c->aen_masked & (1u << kind))
		return; /* The log page that it will read has this, too. */
	c->aen_pending |= 1u << kind;
	aer_report(c);
}

void nvme_aer_ns_changed(struct nvme_subsystem *ss, uint32_t nsid)
{
	ASSERT(nsid && nsid <= ss->nn);
	list_for_each (it, &ss->ctrlrs) {
		struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		c->changed_ns[(nsid - 1) / 32] |= 1u << (nsid - 1) % 32;
		aer_raise(c, AEN_NS);
	}
}

void nvme_aer_ana_changed(struct nvme_subsystem *ss)
{
	list_for_each (it, &ss->ctrlrs)
		aer_raise(list_entry(it, struct nvme_ctrlr, link), AEN_ANA);
}

void nvme_aer_discovery_changed(struct nvme_target *t)
{
	t->discovery_gen++;
	list_for_each (it, &t->discovery->ctrlrs)
		aer_raise(list_entry(it, struct nvme_ctrlr, link), AEN_DISCOVERY);
}

void nvme_aer_resv_log(struct nvme_ctrlr *c)
{
	aer_raise(c, AEN_RESV);
}

void nvme_aer_execute(struct nvme_req *req)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;

	if (c->n_aer >= c->ss->target->opts.aer_max) {
		nvme_req_done(req, NVME_ADMIN_DNR(NVME_SC_AER_LIMIT));
		return;
	}
	req->state = NVME_REQ_HELD;
	nvme_freeze_uncount(req);
	c->aer[c->n_aer++] = req;
	aer_report(c);
}

void nvme_aer_log_read(struct nvme_ctrlr *c, enum nvme_log_page page, uint32_t nsid)
{
	for (unsigned kind = 0; kind < AEN_KINDS; kind++) {
		if (aen[kind].page != page)
			continue;
		c->aen_masked &= ~(1u << kind);
		c->aen_pending &= ~(1u << kind);
	}
	if (page == NVME_LOG_RESERVATION && c->resv_log.n)
		aer_raise(c, AEN_RESV); /* There is another entry to be read. */
}

void nvme_aer_cancel(struct nvme_req *req)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;

	for (unsigned i = 0; i < c->n_aer; i++) {
		if (c->aer[i] != req)
			continue;
		(void)aer_take(c, i);
		return;
	}
	UNREACHABLE();
}

void nvme_aer_flush(struct nvme_ctrlr *c)
{
	while (c->n_aer)
		ASSERT(nvme_req_cancel(c->aer[0], NVME_SC_ABORT_REQ));
}
