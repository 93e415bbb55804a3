/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get Log Page (Base 5.16). Every page is produced from its start through a window (control.h), so any offset and length within MDTS
 * works on any page.
 *
 *  1. Reading beyond the end of a page gives zeroes; an offset beyond it is an error.
 *  2. A page whose reading takes something away (changed namespaces, reservation notifications) takes it only when it succeeds, and
 *     the list of changed namespaces only without RAE.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"
#include "nvme/control.h"
#include "nvme/spec_log.h"

struct log_read {
	struct nvme_req *req;
	struct nvme_ctrlr *c;
	uint32_t nsid;
	uint8_t lid, lsp;
	bool rae;
	struct nvme_log_window win;
};

void nvme_log_put(struct nvme_log_window *win, const void *data, uint64_t len)
{
	uint64_t begin = MAX(win->pos, win->off);
	uint64_t end = MIN(win->pos + len, win->off + win->len);

	if (begin < end)
		memcpy(win->buf + (begin - win->off), (const uint8_t *)data + (begin - win->pos),
		       end - begin);
	win->pos += len;
}

uint16_t nvme_log_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	uint64_t numd =
		(uint64_t)(le32toh(req->sqe.cdw11) & 0xffff) << 16 | le32toh(req->sqe.cdw10) >> 16;
	uint64_t len = (numd + 1) * 4;

	if (len > req->qp->target->opts.mdts_bytes)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	*ret_xfer = NVME_XFER_C2H;
	*ret_len = (uint32_t)len;
	return 0;
}

static void log_errors(struct log_read *r)
{
	const struct nvme_ctrlr *c = r->c;

	for (uint64_t i = 0; i < NVME_ERROR_LOG_ENTRIES; i++) {
		struct nvme_log_error_entry e = {0};

		if (i < c->error_count) { /* newest first */
			uint64_t at = (c->error_count - 1 - i) % NVME_ERROR_LOG_ENTRIES;
			const struct nvme_error_entry *from = &c->errors[at];

			e.count = htole64(from->count);
			e.sqid = htole16(from->sqid);
			e.cid = htole16(from->cid);
			e.status = htole16((uint16_t)(from->status << 1));
			e.param_location = htole16(0xffff); /* not told */
			e.lba = htole64(from->lba);
			e.nsid = htole32(from->nsid);
			e.trtype = NVME_TRTYPE_TCP;
		}
		nvme_log_put(&r->win, &e, sizeof(e));
	}
}

struct smart_sums {
	uint64_t reads, writes, read_bytes, write_bytes, media_errors;
};

static void smart_add(const struct nvme_ns *ns, struct smart_sums *sum)
{
	for (unsigned i = 0; i < ARRAY_LEN(ns->stats); i++) {
		const struct ns_stats *s = ns->stats[i];

		if (!s)
			continue;
		sum->reads += counter_get(&s->reads);
		sum->writes += counter_get(&s->writes);
		sum->read_bytes += counter_get(&s->read_bytes);
		sum->write_bytes += counter_get(&s->write_bytes);
		sum->media_errors += counter_get(&s->media_errors);
	}
}

static uint64_t smart_units(uint64_t bytes)
{
	return (bytes + 512000 - 1) / 512000;
}

static void log_smart(struct log_read *r)
{
	const struct nvme_ctrlr *c = r->c;
	struct nvme_log_smart smart = {.spare = 100};
	struct smart_sums sum = {0};
	const uint64_t wall_ns = reactor_wall_ns(c->ss->target->opts.control);
	/* The clock may have been set back since. */
	const uint64_t age_ns = wall_ns > c->connected_wall_ns ? wall_ns - c->connected_wall_ns : 0;

	for (uint32_t nsid = 1; nsid <= c->ss->nn; nsid++) {
		const struct nvme_ns *ns = nvme_ns_find(c->ss, nsid);

		if (ns && (r->nsid == 0 || r->nsid == NVME_NSID_ALL || r->nsid == nsid))
			smart_add(ns, &sum);
	}
	smart.data_units_read[0] = htole64(smart_units(sum.read_bytes));
	smart.data_units_written[0] = htole64(smart_units(sum.write_bytes));
	smart.host_reads[0] = htole64(sum.reads);
	smart.host_writes[0] = htole64(sum.writes);
	smart.media_errors[0] = htole64(sum.media_errors);
	smart.power_on_hours[0] = htole64(age_ns / NSEC_PER_SEC / 3600);
	smart.error_entries[0] = htole64(c->error_count);
	nvme_log_put(&r->win, &smart, sizeof(smart));
}

static void log_firmware(struct log_read *r)
{
	struct nvme_log_firmware fw = {.afi = 1};

	str_pad(fw.revision[0], sizeof(fw.revision[0]), NVME_FIRMWARE_REVISION);
	nvme_log_put(&r->win, &fw, sizeof(fw));
}

static void log_changed_ns(struct log_read *r)
{
	/* There is room for all of a subsystem, so never FFFFFFFFh for "more than fit". */
	le32 list[1024] = {0};
	static_assert(NVME_NAMESPACES_MAX <= ARRAY_LEN(list), "the page has 1024 entries");
	const struct nvme_ctrlr *c = r->c;
	unsigned n = 0;

	for (uint32_t i = 0; i < c->ss->nn; i++)
		if (c->changed_ns[i / 32] >> i % 32 & 1)
			list[n++] = htole32(i + 1);
	nvme_log_put(&r->win, list, sizeof(list));
}

static void log_effects(struct log_read *r)
{
	static const struct {
		uint8_t opcode;
		uint32_t effect;
	} io[] = {
		{NVME_IO_FLUSH, 0},
		{NVME_IO_WRITE, NVME_EFFECT_CONTENT},
		{NVME_IO_READ, 0},
		{NVME_IO_COMPARE, 0},
		{NVME_IO_WRITE_ZEROES, NVME_EFFECT_CONTENT},
		{NVME_IO_DSM, NVME_EFFECT_CONTENT},
		{NVME_IO_VERIFY, 0},
		{NVME_IO_RESV_REGISTER, 0},
		{NVME_IO_RESV_REPORT, 0},
		{NVME_IO_RESV_ACQUIRE, 0},
		{NVME_IO_RESV_RELEASE, 0},
	};
	struct nvme_log_effects effects = {0};

	for (unsigned op = 0; op < 256; op++)
		if (nvme_admin_supported(r->c, (uint8_t)op) || op == NVME_OPC_FABRICS)
			effects.admin[op] = htole32(NVME_EFFECT_SUPPORTED);
	for (unsigned i = 0; i < ARRAY_LEN(io); i++)
		effects.io[io[i].opcode] = htole32(NVME_EFFECT_SUPPORTED | io[i].effect);
	nvme_log_put(&r->win, &effects, sizeof(effects));
}

static void log_ana(struct log_read *r)
{
	nvme_ana_log(r->c, r->lsp & NVME_LOG_ANA_RGO, &r->win);
}

static void log_discovery(struct log_read *r)
{
	nvme_discovery_log(r->c, &r->win);
}

static void log_reservation(struct log_read *r)
{
	uint8_t page[64];

	nvme_resv_log_page(r->c, page);
	nvme_log_put(&r->win, page, sizeof(page));
}

static void log_supported(struct log_read *r);

enum { FOR_IO = 1, FOR_DISCOVERY = 2, WITH_ANA = 4, OF_NS = 8 /* an nsid may be named */ };

static const struct log_page {
	uint8_t lid;
	unsigned flags;
	/* an offset beyond it is refused before anything is taken away; 0: the size varies */
	uint64_t size_min;
	void (*produce)(struct log_read *r);
} pages[] = {
	{NVME_LOG_SUPPORTED, FOR_IO | FOR_DISCOVERY, 1024, log_supported},
	{NVME_LOG_ERROR, FOR_IO | FOR_DISCOVERY, 0, log_errors},
	{NVME_LOG_SMART, FOR_IO | OF_NS, 0, log_smart},
	{NVME_LOG_FIRMWARE, FOR_IO, 0, log_firmware},
	{NVME_LOG_CHANGED_NS, FOR_IO, 4096, log_changed_ns},
	{NVME_LOG_EFFECTS, FOR_IO, 0, log_effects},
	{NVME_LOG_ANA, FOR_IO | WITH_ANA, 0, log_ana},
	{NVME_LOG_DISCOVERY, FOR_DISCOVERY, 0, log_discovery},
	{NVME_LOG_RESERVATION, FOR_IO, 64, log_reservation},
};

static bool page_here(const struct log_page *p, const struct nvme_ctrlr *c)
{
	if (!(p->flags & (c->ss->is_discovery ? FOR_DISCOVERY : FOR_IO)))
		return false;
	return !(p->flags & WITH_ANA) || c->ss->ana_reporting;
}

static void log_supported(struct log_read *r)
{
	le32 list[256] = {0};

	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		if (page_here(&pages[i], r->c))
			list[pages[i].lid] = htole32(1);
	nvme_log_put(&r->win, list, sizeof(list));
}

static const struct log_page *page_find(const struct nvme_ctrlr *c, uint8_t lid)
{
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		if (pages[i].lid == lid)
			return page_here(&pages[i], c) ? &pages[i] : NULL;
	return NULL;
}

static uint16_t log_check(const struct log_page *p, const struct log_read *r)
{
	const struct nvme_sqe *sqe = &r->req->sqe;

	if (!p)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_LOG_PAGE);
	/* Offset in bytes, a multiple of 4; OT (by index) is not offered. */
	if (r->win.off % 4 || le32toh(sqe->cdw14) & 1u << 23)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	if (p->size_min && r->win.off > p->size_min)
		return NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	if (!(p->flags & OF_NS) || !r->nsid || r->nsid == NVME_NSID_ALL)
		return 0;
	return nvme_ns_find(r->c->ss, r->nsid) ? 0 : NVME_ADMIN_DNR(NVME_SC_INVALID_NS);
}

void nvme_log_execute(struct nvme_req *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	uint32_t cdw10 = le32toh(sqe->cdw10);
	struct log_read r = {
		.req = req,
		.c = req->qp->ctrlr,
		.nsid = le32toh(sqe->nsid),
		.lid = (uint8_t)cdw10,
		.lsp = cdw10 >> 8 & 0x7f,
		.rae = cdw10 >> 15 & 1,
		.win = {.buf = nvme_req_buf(req),
			.off = (uint64_t)le32toh(sqe->cdw13) << 32 | le32toh(sqe->cdw12),
			.len = req->data_len},
	};
	const struct log_page *p = page_find(r.c, r.lid);
	uint16_t status = log_check(p, &r);

	if (!status) {
		p->produce(&r);
		if (r.win.off > r.win.pos)
			status = NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD);
	}
	if (!status && !r.rae) {
		if (r.lid == NVME_LOG_CHANGED_NS)
			memset(r.c->changed_ns, 0, (r.c->ss->nn + 31) / 32 * sizeof(uint32_t));
		nvme_aer_log_read(r.c, r.lid, r.nsid);
	}
	nvme_req_done(req, status);
}
