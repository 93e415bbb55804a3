/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a command: req_run() is the one switch, its states are drawn in req.h.
 *
 * Invariants:
 *  1. ops->complete() is called in answer() alone, on the way from ENDING to DONE, so exactly once for each start.
 *  2. Neither ops->fetch() nor ops->complete() runs inside a call of the transport: there (inside = true) req_run() defers itself.
 *  3. A request that waits for anything but the disk is in no view, or (QoS) is taken out of it when the view changes (view.h).
 *  4. A request holds at most one data buffer. In-capsule buffers never wait for the host: a fused first half in one is copied out.
 *  5. A fused pair is one request to the switch: the first half runs, the second stands in FUSED (or FETCH) and is answered after it.
 *  6. While the reactor is frozen nothing begins to execute: what gets here is parked (freeze.c), with what it has, and goes on later.
 *  7. What is lent is not looked at after the call that began the request: who waits, for whatever, does so with the data in its buffer.
 *  8. A first half that waits alone holds a buffer, which others may be waiting for: it waits for a bounded time (req_pair.c).
 */
#include "nvme/req.h"

#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/probes.h"
#include "nvme/model.h"
#include "nvme/req_parts.h"

const char *const nvme_req_state_name[] = {
	[NVME_REQ_FREE] = "free",       [NVME_REQ_NEW] = "new",       [NVME_REQ_FUSED] = "fused",
	[NVME_REQ_QOS] = "qos",         [NVME_REQ_BUFFER] = "buffer", [NVME_REQ_FETCH] = "fetch",
	[NVME_REQ_EXECUTE] = "execute", [NVME_REQ_HELD] = "held",     [NVME_REQ_ENDING] = "ending",
	[NVME_REQ_DONE] = "done",       [NVME_REQ_PARKED] = "parked",
};

static void req_task(struct task *task)
{
	req_run(container_of(task, struct nvme_req, task), false);
}

static void run_soon(struct nvme_req *req)
{
	req->task.run = req_task;
	reactor_defer(req_reactor(req), &req->task);
}

void req_set_state(struct nvme_req *req, enum nvme_req_state state)
{
	req->state = state;
	probe_req_state(req, req->sqe.opcode, state);
}

void req_end_soon(struct nvme_req *req, uint16_t status)
{
	req->status = status;
	req_set_state(req, NVME_REQ_ENDING);
	run_soon(req);
}

/* --- the view --- */

static void leave_view(struct nvme_req *req)
{
	struct view_slot *slot = req->view;

	req->view = NULL;
	req->nsv = NULL;
	if (req->fused)
		req->fused->nsv = NULL;
	if (slot)
		view_leave(slot);
}

/* The buffer is as large as the first check said: a namespace that came with other blocks meanwhile must not ask for more. */
static uint16_t check_anew(struct nvme_req *req)
{
	const uint32_t len = req->data_len;
	const uint32_t second_len = req->fused ? req->fused->data_len : 0;
	uint16_t status = req_check(req);

	if (!status && (req->data_len > len || (req->fused && req->fused->data_len > second_len)))
		status = NVME_SC_NS_NOT_READY;
	return status;
}

/* The view that the checks saw may be gone: enters the current one, and checks again if it is another. */
static uint16_t check_again(struct nvme_req *req)
{
	const uint64_t seen = req->view_gen;

	if (req->carried && req->is_admin)
		return check_anew(req);
	if (req->is_admin || req->view || req->sqe.opcode == NVME_OPC_FABRICS)
		return NVME_SC_SUCCESS;
	req_enter_view(req);
	if (req->view_gen != seen || req->fused)
		return check_anew(req);
	/* NSID_ALL is beyond nn and finds none, as before. */
	if (get_le32(&req->sqe.nsid) <= req->view->view->nn)
		req->nsv = req->view->view->ns[get_le32(&req->sqe.nsid) - 1];
	return NVME_SC_SUCCESS;
}

/* --- QoS, buffer, host data --- */

static bool admit(struct nvme_req *req)
{
	const uint8_t op = req->sqe.opcode;
	const bool reads = !req->fused &&
			   (op == NVME_IO_READ || op == NVME_IO_COMPARE || op == NVME_IO_VERIFY);

	if (!req->admitted && req->nsv && req->nsv->qos && req->qos_cost != NVME_QOS_FREE &&
	    !nvme_qos_admit(req->nsv->qos, req, !reads, req->qos_cost))
		return false;
	req->admitted = true;
	return true;
}

void nvme_req_resume(struct nvme_req *req)
{
	ASSERT(req->state == NVME_REQ_QOS);
	req->admitted = true;
	req_run(req, false);
}

void nvme_req_unpark(struct nvme_req *req)
{
	ASSERT(req->state == NVME_REQ_PARKED);
	req_set_state(req, req->parked_state);
	req_run(req, false);
}

void nvme_req_recheck(struct nvme_req *req)
{
	ASSERT(req->state == NVME_REQ_QOS);
	leave_view(req);
	req_set_state(req, NVME_REQ_NEW);
	req_run(req, false);
}

/* Bytes of buffer that req must have, 0: none. */
static size_t buffer_bytes(const struct nvme_req *req)
{
	const bool lends = req->nsv && (req->nsv->dev->caps & BLK_CAP_LOAN) && req->loan_ok;

	if (req->buf)
		return 0;
	if (req->fused)
		return align_up(req->data_len, 4 * KIB) + req->data_len;
	if (req->sqe.opcode == NVME_IO_READ && !req->is_admin && lends)
		return 0;
	return req->xfer == NVME_XFER_NONE ? req->aux_len : req->data_len;
}

/* The second half's data lies behind the first's, at the next page: disks want their memory aligned. */
static void share_fused_buffer(struct nvme_req *first)
{
	struct nvme_req *second = first->fused;
	struct iobuf *capsule = second->in_capsule ? second->buf : NULL;
	const void *data = capsule ? nvme_req_buf(second) : NULL;

	second->buf = first->buf;
	second->buf_off = (uint32_t)align_up(first->data_len, 4 * KIB);
	if (capsule) {
		memcpy(nvme_req_buf(second), data, second->data_len);
		iobuf_put(capsule);
		second->in_capsule = false;
		second->fetched = true;
	}
}

static void got_buffer(struct nvme_req *req, struct iobuf *buf)
{
	if (buf)
		req->buf = buf;
	/* What an admin handler leaves out of its page must not be another's data. */
	if (buf && req->is_admin)
		memset(buf->data, 0, req->data_len);
	if (req->fused)
		share_fused_buffer(req);
	req_set_state(req, NVME_REQ_FETCH);
}

static void buffer_ready(struct iobuf_waiter *waiter, struct iobuf *buf)
{
	struct nvme_req *req = container_of(waiter, struct nvme_req, waiter);

	if (req->state != NVME_REQ_BUFFER) { /* cancelled since */
		iobuf_put(buf);
		return;
	}
	got_buffer(req, buf);
	req_run(req, false);
}

/* True: state FETCH or ENDING. False: stands in line. */
static bool get_buffer(struct nvme_req *req)
{
	const size_t bytes = buffer_bytes(req);
	struct iobuf_pool *pool = reactor_iobufs(req_reactor(req));
	struct iobuf *buf = NULL;

	if (bytes) {
		const enum iobuf_class cls = iobuf_class_for(bytes);
		const bool capsule_waits = req->fused && req->fused->in_capsule;

		req->waiter.ready = buffer_ready;
		buf = iobuf_get(pool, cls, capsule_waits ? NULL : &req->waiter);
		if (!buf && capsule_waits) {
			/* Rule 4: a capsule buffer must not wait for buffers that wait for hosts. The host tries again. */
			req->status = NVME_SC_INTERRUPTED;
			req_set_state(req, NVME_REQ_ENDING);
			return true;
		}
		if (!buf) {
			leave_view(req);
			return false;
		}
	}
	got_buffer(req, buf);
	return true;
}

/* Whose data is still with the host; NULL: none. */
static struct nvme_req *next_to_fetch(struct nvme_req *req)
{
	if (req->xfer == NVME_XFER_H2C && !req->fetched)
		return req;
	if (req->fused && !req->fused->fetched)
		return req->fused;
	return NULL;
}

void nvme_req_fetched(struct nvme_req *req)
{
	struct nvme_req *leader = req_is_second(req) ? req->fused : req;

	if (req->state != NVME_REQ_FETCH &&
	    req->cancelled) /* it ends in this pass; the data came before it did */
		return;
	ASSERT(req->state == NVME_REQ_FETCH);
	ASSERT(!req->fetched);
	req->fetched = true;
	if (leader != req)
		req_set_state(req, NVME_REQ_FUSED);
	req_run(leader, true);
}

void nvme_req_fail(struct nvme_req *req, uint16_t status)
{
	if (req->state == NVME_REQ_FREE) {
		req->sgl_bad = true;
		req->sgl_status = status;
		nvme_req_start(req);
		return;
	}
	if (req->state != NVME_REQ_FETCH && req->cancelled)
		return;
	ASSERT(req->state == NVME_REQ_FETCH);
	if (!req_is_second(req)) {
		req_end_soon(req, status);
		return;
	}
	req->status = status;
	req_set_state(req, NVME_REQ_FUSED);
	req_end_soon(req->fused, NVME_SC_FUSED_FAIL);
}

/* --- execution --- */

static void execute(struct nvme_req *req)
{
	const bool fabrics = req->sqe.opcode == NVME_OPC_FABRICS;

	if (req->is_admin && fabrics) {
		nvme_fabrics_execute(req);
	} else if (req->is_admin) {
		nvme_admin_execute(req);
	} else if (fabrics) {
		nvme_req_done(req, NVME_SC_SUCCESS);
	} else if (nvme_is_reservation(req->sqe.opcode)) {
		/* It waits for the end of views; so it must not be in one. */
		leave_view(req);
		nvme_resv_execute(req);
	} else if (req->fused) {
		nvme_fused_execute(req);
	} else {
		nvme_io_execute(req);
	}
}

void nvme_req_done(struct nvme_req *req, uint16_t status)
{
	ASSERT(req->state == NVME_REQ_EXECUTE || req->state == NVME_REQ_HELD);
	req_end_soon(req, status);
}

void nvme_req_end(struct nvme_req *req, uint16_t status)
{
	ASSERT(req->state == NVME_REQ_EXECUTE);
	req->status = status;
	req_set_state(req, NVME_REQ_ENDING);
	req_run(req, false);
}

/* --- the end --- */

static void answer(struct nvme_req *req)
{
	ASSERT(req->state == NVME_REQ_ENDING);
	if (req->status) {
		req->data_len = 0;
		req->loan = NULL;
	}
	req_account(req);
	if (!(req->xfer == NVME_XFER_C2H && req->data_len)) {
		iobuf_put(req->buf);
		req->buf = NULL;
	}
	iobuf_put(req->aux);
	req->aux = NULL;
	put_le16(&req->cqe.cid, get_le16(&req->sqe.cid));
	put_le16(&req->cqe.status, (uint16_t)(req->status << 1));
	if (!req->loan)
		leave_view(req);
	req_set_state(req, NVME_REQ_DONE);
	nvme_freeze_uncount(req);
	probe_req_complete(req, get_le16(&req->sqe.cid), req->status);
	req->qp->ops->complete(req);
}

/* Both halves of a pair are answered, the first one first. */
static void finish(struct nvme_req *req)
{
	struct nvme_req *second = req->fused;

	if (!second) {
		answer(req);
		return;
	}
	if (second->buf == req->buf)
		second->buf = NULL;
	if (req->status && !second->status)
		second->status = NVME_SC_FUSED_FAIL;
	second->nsv = req->nsv;
	second->view = NULL;
	req->fused = NULL;
	second->fused = NULL;
	req_set_state(second, NVME_REQ_ENDING);
	/* The first leaves the view last: the second's counters are those of its namespace. */
	struct view_slot *slot = req->view;

	req->view = NULL;
	answer(req);
	answer(second);
	if (slot)
		view_leave(slot);
}

void nvme_req_unloan(struct nvme_req *req)
{
	ASSERT(req->state == NVME_REQ_DONE);
	req->loan = NULL;
	leave_view(req);
}

void nvme_req_release(struct nvme_req *req)
{
	struct nvme_qpair *qp = req->qp;
	const bool disconnect = req_is_disconnect(req) && !req->status;

	ASSERT(req->state == NVME_REQ_DONE);
	iobuf_put(req->buf);
	req->buf = NULL;
	req->loan = NULL;
	leave_view(req);
	req_set_state(req, NVME_REQ_FREE);
	if (disconnect)
		qp->ops->close(qp);
}

/* --- the switch --- */

void req_run(struct nvme_req *req, bool inside)
{
	struct nvme_req *next;

	if (req->state != NVME_REQ_ENDING && nvme_freeze_parks(req)) {
		leave_view(req);
		return;
	}
	for (;;) {
		switch (req->state) {
		case NVME_REQ_NEW: /* may leave or enter a view */
			req->status = req_check(req);
			req_set_state(req, req->status ? NVME_REQ_ENDING : NVME_REQ_QOS);
			break;
		case NVME_REQ_QOS:
			if (!admit(req))
				return; /* nvme_req_resume, nvme_req_recheck */
			req_set_state(req, NVME_REQ_BUFFER);
			break;
		case NVME_REQ_BUFFER:
			if (!get_buffer(req))
				return; /* buffer_ready */
			break;
		case NVME_REQ_FETCH:
			next = next_to_fetch(req);
			if (!next) {
				req_set_state(req, NVME_REQ_EXECUTE);
				break;
			}
			leave_view(req);
			if (inside) {
				run_soon(req);
				return;
			}
			req_set_state(next, NVME_REQ_FETCH);
			next->qp->ops->fetch(next);
			return; /* nvme_req_fetched, nvme_req_fail */
		case NVME_REQ_EXECUTE:
			req->status = check_again(req);
			if (!req->status) {
				nvme_freeze_count(req);
				execute(req);
				return; /* nvme_req_done, nvme_req_end */
			}
			req_set_state(req, NVME_REQ_ENDING);
			break;
		case NVME_REQ_ENDING:
			if (inside)
				run_soon(req);
			else
				finish(req);
			return; /* nvme_req_release */
		case NVME_REQ_FREE:
		case NVME_REQ_FUSED:
		case NVME_REQ_HELD:
		case NVME_REQ_DONE:
		case NVME_REQ_PARKED:
			UNREACHABLE();
		}
	}
}

/* --- begin and cancel --- */

void req_init(struct nvme_req *req)
{
	if (!req->in_capsule) {
		req->buf = NULL;
		req->buf_off = 0;
	}
	req->loan = NULL;
	req->cqe = (struct nvme_cqe){};
	req->is_admin = req->qp->state != NVME_QP_READY || req->qp->qid == 0;
	req->carried = req->takes = false;
	req->cancelled = req->throttled = req->admitted = req->counted = false;
	req->fetched = req->in_capsule;
	req->status = NVME_SC_SUCCESS;
	req->nsv = NULL;
	req->view = NULL;
	req->fused = NULL;
	req->start_ns = reactor_now(req_reactor(req));
	req->qos_cost = NVME_QOS_FREE;
	req->lba = 0;
	req->blocks = 0;
	req->step = 0;
	req->aux_off = req->aux_len = 0;
	req->aux = NULL;
	req->priv = NULL;
}

static void begin(struct nvme_req *req)
{
	struct nvme_qpair *qp = req->qp;
	const unsigned fuse = req->sqe.flags & NVME_SQE_FUSE_MASK;

	ASSERT(req->state == NVME_REQ_FREE);
	ASSERT(!req->in_capsule || req->buf);
	req_init(req);
	atomic_store_explicit(&qp->commands,
			      atomic_load_explicit(&qp->commands, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	req_set_state(req, NVME_REQ_NEW);
	if (!req->is_admin && (fuse || qp->fuse_first)) {
		if (fuse == NVME_SQE_FUSE_SECOND) {
			req_pair_start(req);
			return;
		}
		req_pair_drop_first(qp);
		if (fuse == NVME_SQE_FUSE_FIRST) {
			if (!req_pair_wait(req))
				req_end_soon(req, NVME_SC_INTERRUPTED);
			return;
		}
		if (fuse) {
			req_end_soon(req, NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
			return;
		}
	}
	req_run(req, true);
}

void nvme_req_own(struct nvme_req *req)
{
	if (!req->lent)
		return;
	memcpy(nvme_req_buf(req), req->lent, req->xfer_len);
	req->lent = NULL;
}

void nvme_req_start(struct nvme_req *req)
{
	begin(req);
	nvme_req_own(req);
}

/* The second half of a pair is cancelled: with it the first, if that still waits. */
static bool cancel_second(struct nvme_req *second, uint16_t status)
{
	if (!nvme_req_cancel(second->fused, NVME_SC_FUSED_FAIL))
		return false;
	second->status = status;
	return true;
}

bool nvme_req_cancel(struct nvme_req *req, uint16_t status)
{
	if (req->state != NVME_REQ_FREE && req->state != NVME_REQ_DONE)
		req->cancelled = true;
	if (req_is_second(req) && (req->state == NVME_REQ_FUSED || req->state == NVME_REQ_FETCH))
		return cancel_second(req, status);
	switch (req->state) {
	case NVME_REQ_QOS:
		nvme_qos_cancel(req);
		break;
	case NVME_REQ_BUFFER:
		iobuf_cancel(&req->waiter);
		break;
	case NVME_REQ_FETCH:
		task_cancel(&req->task); /* fetch not asked for yet */
		break;
	case NVME_REQ_HELD:
		nvme_aer_cancel(req);
		break;
	case NVME_REQ_PARKED:
		list_remove(&req->link);
		break;
	case NVME_REQ_FUSED:
		ASSERT(req->qp->fuse_first == req);
		(void)req_pair_take_first(req->qp);
		break;
	case NVME_REQ_FREE:
	case NVME_REQ_NEW:
	case NVME_REQ_EXECUTE:
	case NVME_REQ_ENDING:
	case NVME_REQ_DONE:
		return false;
	}
	req_end_soon(req, status);
	return true;
}
