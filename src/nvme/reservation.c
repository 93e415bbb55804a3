/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservation commands: from the data reactor to the control thread and back.
 *
 *   data reactor                     control thread, one command of a namespace at a time
 *   nvme_resv_execute -------------> arrived: queue (Report: at once)
 *                                    begin: next = rules(state, command)          resv_rules.c
 *                                    save: durable, if the namespace can persist
 *                                    commit: state = next, published to all reactors
 *                                    published: whatever saw the old state has ended; hosts are told
 *                                    Preempt and Abort: what waits of those hosts ends  resv_abort.c
 *   nvme_req_end <------------------ answer
 *
 * Invariants:
 *  1. The state changes in commit alone, after it is durable; a command that fails changes nothing.
 *  2. Success is told when no command that the new state would refuse is under way any more: a preempted host's writes are drained.
 *  3. The request is in no view meanwhile (req.c), so a publish never waits for it; ns lives until nvme_resv_close() is done.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "nvme/resv.h"

#define DNR                   NVME_STATUS_DNR
#define CDW10_IEKEY           0x8u
#define CDW11_EDS             0x1u
#define ACQUIRE_PREEMPT_ABORT 2
#define REPORT_HEAD           64 /* extended data structure */
#define REPORT_ENTRY          64
#define CNTLID_NONE           0xffffu /* the registered host has no controller now */

static void queue_run(struct nvme_ns *ns);

/* --- data reactor --- */

static unsigned action_of(const struct nvme_req *req)
{
	return get_le32(&req->sqe.cdw10) & 7;
}

static uint8_t type_of(const struct nvme_req *req)
{
	return get_le32(&req->sqe.cdw10) >> 8 & 0xff;
}

static uint16_t prepare_register(const struct nvme_req *req)
{
	const unsigned cptpl = get_le32(&req->sqe.cdw10) >> 30;

	if (action_of(req) > 2 || cptpl == 1)
		return NVME_SC_INVALID_FIELD | DNR;
	if (cptpl == RESV_CPTPL_SET && !req->nsv->ns->ptpl_capable)
		return NVME_SC_INVALID_FIELD | DNR;
	return NVME_SC_SUCCESS;
}

static uint16_t prepare_acquire(const struct nvme_req *req)
{
	const uint8_t type = type_of(req);

	if (action_of(req) > 2 || type < NVME_RESV_WRITE_EXCL || type > NVME_RESV_EXCL_ACCESS_ALL ||
	    (get_le32(&req->sqe.cdw10) & CDW10_IEKEY))
		return NVME_SC_INVALID_FIELD | DNR;
	return NVME_SC_SUCCESS;
}

static uint16_t prepare_release(const struct nvme_req *req)
{
	if (action_of(req) > 1 || type_of(req) > NVME_RESV_EXCL_ACCESS_ALL ||
	    (get_le32(&req->sqe.cdw10) & CDW10_IEKEY))
		return NVME_SC_INVALID_FIELD | DNR;
	return NVME_SC_SUCCESS;
}

/* A host on fabrics has a 128-bit identifier, which only the extended structure can hold. */
static uint16_t prepare_report(const struct nvme_req *req, uint32_t *ret_len)
{
	const uint64_t len = ((uint64_t)get_le32(&req->sqe.cdw10) + 1) * 4;

	if (!(get_le32(&req->sqe.cdw11) & CDW11_EDS))
		return NVME_SC_HOSTID_INCONSISTENT | DNR;
	if (len > req->qp->target->opts.mdts_bytes)
		return NVME_SC_INVALID_FIELD | DNR;
	*ret_len = (uint32_t)len;
	return NVME_SC_SUCCESS;
}

uint16_t nvme_resv_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	uint16_t status = NVME_SC_SUCCESS;

	*ret_xfer = NVME_XFER_H2C;
	switch (req->sqe.opcode) {
	case NVME_IO_RESV_REGISTER:
		*ret_len = 16;
		status = prepare_register(req);
		break;
	case NVME_IO_RESV_ACQUIRE:
		*ret_len = 16;
		status = prepare_acquire(req);
		break;
	case NVME_IO_RESV_RELEASE:
		*ret_len = 8;
		status = prepare_release(req);
		break;
	case NVME_IO_RESV_REPORT:
		*ret_xfer = NVME_XFER_C2H;
		status = prepare_report(req, ret_len);
		break;
	default:
		UNREACHABLE();
	}
	if (!status && req->xfer_len < *ret_len)
		status = NVME_SC_SGL_INVALID_DATA | DNR;
	return status;
}

static void answered(struct msg *msg)
{
	struct nvme_req *req = container_of(msg, struct nvme_req, msg);

	nvme_req_end(req, req->status);
}

/* Control thread: back to the reactor of the request. */
static void answer(struct nvme_req *req, uint16_t status)
{
	req->status = status;
	req->msg.run = answered;
	reactor_post(atomic_load_explicit(&req->qp->reactor, memory_order_relaxed), &req->msg);
}

/* --- control thread: Report --- */

struct report {
	uint8_t *buf;
	size_t len; /* what lies beyond is cut */
	unsigned entries;
};

static void report_bytes(struct report *rep, size_t off, const void *src, size_t n)
{
	if (off < rep->len)
		memcpy(rep->buf + off, src, MIN(n, rep->len - off));
}

static void report_entry(struct report *rep, const struct resv *r, unsigned i, uint16_t cntlid)
{
	uint8_t e[REPORT_ENTRY] = {0};

	put_le16(e, cntlid);
	e[2] = resv_holds(r, (int)i);
	put_le64(e + 8, r->reg[i].key);
	memcpy(e + 16, r->reg[i].hostid, 16);
	report_bytes(rep, REPORT_HEAD + (size_t)rep->entries * REPORT_ENTRY, e, sizeof(e));
	rep->entries++;
}

/* One entry for each controller of a registered host, or one without when it has none. */
static void report_registrant(struct report *rep, const struct nvme_ns *ns, unsigned i)
{
	const unsigned before = rep->entries;

	list_for_each (it, &ns->ss->ctrlrs) {
		const struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		if (memcmp(c->hostid, ns->resv.reg[i].hostid, 16) == 0)
			report_entry(rep, &ns->resv, i, c->cntlid);
	}
	if (rep->entries == before)
		report_entry(rep, &ns->resv, i, CNTLID_NONE);
}

static void report_fill(const struct nvme_ns *ns, struct nvme_req *req)
{
	struct report rep = {.buf = nvme_req_buf(req), .len = req->data_len};
	uint8_t head[REPORT_HEAD] = {0};

	memset(rep.buf, 0, rep.len);
	for (unsigned i = 0; i < ns->resv.n; i++)
		report_registrant(&rep, ns, i);
	put_le32(head, ns->resv.generation);
	head[4] = (uint8_t)ns->resv.type;
	put_le16(head + 5, (uint16_t)rep.entries);
	head[9] = ns->resv.ptpl;
	report_bytes(&rep, 0, head, sizeof(head));
}

/* --- control thread: notifications --- */

static void log_add(struct nvme_ctrlr *c, uint32_t nsid, uint8_t type)
{
	struct resv_log *log = &c->resv_log;
	const unsigned at = (log->head + log->n) % RESV_LOG_ENTRIES;

	if (c->resv_mask & 1u << type)
		return;
	if (log->n == RESV_LOG_ENTRIES)
		log->head = (log->head + 1) % RESV_LOG_ENTRIES;
	else
		log->n++;
	log->e[at].count = ++log->count;
	log->e[at].type = type;
	log->e[at].nsid = nsid;
	nvme_aer_resv_log(c);
}

static void tell_hosts(const struct nvme_ns *ns)
{
	for (unsigned i = 0; i < ns->resv_notes.n; i++) {
		list_for_each (it, &ns->ss->ctrlrs) {
			struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

			if (memcmp(c->hostid, ns->resv_notes.note[i].hostid, 16) == 0)
				log_add(c, ns->nsid, ns->resv_notes.note[i].type);
		}
	}
}

void nvme_resv_log_page(struct nvme_ctrlr *c, uint8_t out[64])
{
	struct resv_log *log = &c->resv_log;

	memset(out, 0, 64);
	if (log->n == 0)
		return;
	put_le64(out, log->e[log->head].count);
	out[8] = log->e[log->head].type;
	out[9] = (uint8_t)(log->n - 1); /* more to read */
	put_le32(out + 12, log->e[log->head].nsid);
	log->head = (log->head + 1) % RESV_LOG_ENTRIES;
	log->n--;
}

/* --- control thread: one command --- */

static void parse(struct nvme_req *req, struct resv_cmd *cmd)
{
	const uint32_t cdw10 = get_le32(&req->sqe.cdw10);
	const uint8_t *data = nvme_req_buf(req);
	static const enum resv_action registers[] = {RESV_REGISTER, RESV_UNREGISTER, RESV_REPLACE};
	static const enum resv_action acquires[] = {RESV_ACQUIRE, RESV_PREEMPT, RESV_PREEMPT};
	static const enum resv_action releases[] = {RESV_RELEASE, RESV_CLEAR};

	*cmd = (struct resv_cmd){.ignore_key = cdw10 & CDW10_IEKEY, .type = type_of(req)};
	cmd->key = get_le64(data);
	memcpy(cmd->hostid, req->qp->ctrlr->hostid, 16);
	switch (req->sqe.opcode) {
	case NVME_IO_RESV_REGISTER:
		cmd->action = registers[action_of(req)];
		cmd->cptpl = (enum resv_cptpl)(cdw10 >> 30);
		cmd->other_key = get_le64(data + 8);
		break;
	case NVME_IO_RESV_ACQUIRE:
		cmd->action = acquires[action_of(req)];
		cmd->other_key = get_le64(data + 8);
		break;
	default:
		cmd->action = releases[action_of(req)];
		break;
	}
}

static void closed(struct msg *msg)
{
	struct nvme_ns *ns = container_of(msg, struct nvme_ns, resv_closed_msg);

	ns->resv_closed(ns->resv_closed_ctx, 0);
}

static void finish(struct nvme_ns *ns, uint16_t status)
{
	struct nvme_req *req = ns->resv_req;

	ns->resv_req = NULL;
	ns->resv_busy = false;
	answer(req, status);
	queue_run(ns);
	if (ns->resv_closed && !ns->resv_busy) {
		ns->resv_closed_msg.run = closed;
		reactor_post(ns->ss->target->opts.control, &ns->resv_closed_msg);
	}
}

static bool is_preempt_and_abort(const struct nvme_req *req)
{
	return req->sqe.opcode == NVME_IO_RESV_ACQUIRE && action_of(req) == ACQUIRE_PREEMPT_ABORT;
}

static void aborted(void *ctx, int res)
{
	(void)res; /* best effort */
	finish(ctx, NVME_SC_SUCCESS);
}

static void published(void *ctx, int res)
{
	struct nvme_ns *ns = ctx;

	(void)res; /* a publish does not fail */
	tell_hosts(ns);
	if (is_preempt_and_abort(ns->resv_req))
		resv_abort_preempted(ns, aborted);
	else
		finish(ns, NVME_SC_SUCCESS);
}

static void commit(struct nvme_ns *ns)
{
	struct resv_view before, after;

	nvme_resv_to_view(&ns->resv, &before);
	nvme_resv_to_view(&ns->resv_next, &after);
	ns->resv = ns->resv_next;
	if (memcmp(&before, &after, sizeof(before)) == 0)
		published(ns, 0); /* keys and the like: no command sees a difference */
	else
		view_publish(ns->ss, published, ns);
}

static void saved(void *ctx, int res)
{
	struct nvme_ns *ns = ctx;

	if (res)
		finish(ns, NVME_SC_INTERNAL); /* not durable, so not done; the host may try again */
	else
		commit(ns);
}

/* What must survive: everything, or with persistence off nothing. */
static void save(struct nvme_ns *ns)
{
	static const struct resv none = {.holder = -1};
	const struct nvme_target *t = ns->ss->target;
	_cleanup_json_ json_t *json =
		nvme_resv_to_json(ns->resv_next.ptpl ? &ns->resv_next : &none);

	if (!json)
		saved(ns, -ENOMEM);
	else
		t->resv_save(t->resv_save_ctx, ns->ss->nqn, ns->nsid, json, saved, ns);
}

static void begin(struct nvme_ns *ns, struct nvme_req *req)
{
	struct resv_cmd cmd;

	ns->resv_busy = true;
	ns->resv_req = req;
	ns->resv_next = ns->resv;
	parse(req, &cmd);

	const uint16_t status = resv_apply(&ns->resv_next, &cmd, &ns->resv_notes);

	if (status)
		finish(ns, status);
	else if (ns->ptpl_capable && ns->ss->target->resv_save)
		save(ns);
	else
		commit(ns);
}

/* Not recursive: a begin() that finishes at once comes back here through finish(), and the loop goes on. */
static void queue_run(struct nvme_ns *ns)
{
	if (ns->resv_running)
		return;
	ns->resv_running = true;
	while (!ns->resv_busy && !list_empty(&ns->resv_queue)) {
		struct nvme_req *req =
			list_entry(list_pop_front(&ns->resv_queue), struct nvme_req, link);

		if (ns->removing)
			answer(req, NVME_SC_INVALID_NS | DNR);
		else
			begin(ns, req);
	}
	ns->resv_running = false;
}

static void arrived(struct msg *msg)
{
	struct nvme_req *req = container_of(msg, struct nvme_req, msg);
	struct nvme_subsystem *ss = req->qp->ctrlr->ss;
	struct nvme_ns *ns = ss->ns[get_le32(&req->sqe.nsid) - 1];

	if (!ns || ns->removing) {
		answer(req, NVME_SC_INVALID_NS | DNR);
		return;
	}
	if (req->sqe.opcode == NVME_IO_RESV_REPORT) {
		report_fill(ns, req);
		answer(req, NVME_SC_SUCCESS);
		return;
	}
	if (!ns->resv_queue.next)
		list_init(&ns->resv_queue);
	list_push_back(&ns->resv_queue, &req->link);
	queue_run(ns);
}

void nvme_resv_execute(struct nvme_req *req)
{
	req->msg.run = arrived;
	reactor_post(req->qp->target->opts.control, &req->msg);
}

void nvme_resv_close(struct nvme_ns *ns, nvme_done_fn done, void *ctx)
{
	ASSERT(ns->removing);
	ASSERT(!ns->resv_closed);
	ns->resv_closed = done;
	ns->resv_closed_ctx = ctx;
	if (!ns->resv_queue.next)
		list_init(&ns->resv_queue);
	queue_run(ns);
	if (ns->resv_busy)
		return; /* finish() does it */
	ns->resv_closed_msg.run = closed;
	reactor_post(ns->ss->target->opts.control, &ns->resv_closed_msg);
}

uint8_t nvme_resv_rescap(const struct nvme_ns *ns)
{
	return 0xfe | (ns->ptpl_capable ? 1 : 0); /* all six types; IEKEY as since 1.3 */
}
