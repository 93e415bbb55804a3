/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of an answered request, per queue and per namespace, and the report of its error to the control thread. */
#include "nvme/model.h"
#include "nvme/req_parts.h"

/* More than that takes more than a microsecond to move. */
#define SMALL_BYTES (16 * KIB)

static void error_report(struct msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg_error);
	const struct nvme_error_entry e = qp->error;

	atomic_store_explicit(&qp->error_posted, false, memory_order_release);
	nvme_ctrlr_log_error(qp->ctrlr, &e);
}

/* For the controller's error log. One report of a queue is on its way at a time: a host that fails in a loop costs one message. */
static void report_error(struct nvme_req *req)
{
	struct nvme_qpair *qp = req->qp;

	if (!qp->ctrlr || req->cancelled || NVME_STATUS_SCT(req->status) == 3)
		return;
	if (atomic_load_explicit(&qp->error_posted, memory_order_acquire))
		return;
	qp->error = (struct nvme_error_entry){
		.sqid = qp->qid,
		.cid = get_le16(&req->sqe.cid),
		.status = req->status,
		.lba = req->lba,
		.nsid = req->sqe.opcode == NVME_OPC_FABRICS ? 0 : get_le32(&req->sqe.nsid),
	};
	atomic_store_explicit(&qp->error_posted, true, memory_order_relaxed);
	qp->msg_error.run = error_report;
	reactor_post(qp->target->opts.control, &qp->msg_error);
}

/* What SMART counts: data that could not be read or written, not what a host asked wrongly. */
static bool is_media_error(uint16_t status)
{
	switch (status & ~NVME_STATUS_DNR) {
	case NVME_SC_WRITE_FAULT:
	case NVME_SC_READ_ERROR:
	case NVME_SC_GUARD_CHECK:
		return true;
	default:
		return false;
	}
}

static void account_ns(struct nvme_req *req, bool read, bool write, uint64_t took_ns)
{
	struct ns_stats *s = req->nsv->ns->stats[reactor_id(req_reactor(req))];

	counter_add(read ? &s->reads : write ? &s->writes : &s->others, 1);
	if (read) {
		counter_add(&s->read_bytes, req->data_len);
		hist_add(&s->read_latency, took_ns);
	} else if (write) {
		counter_add(&s->write_bytes, req->data_len);
		hist_add(&s->write_latency, took_ns);
	}
	if (req->status)
		counter_add(&s->errors, 1);
	if (is_media_error(req->status))
		counter_add(&s->media_errors, 1);
}

/*
 * Start is the time of the pass that received the command, the end is now: within a pass a disk in RAM would else take no time. The clock is not looked at for each of many
 * small ones.
 */
void req_account(struct nvme_req *req)
{
	struct nvme_qpair_stats *s = &req->qp->stats;
	const bool read = !req->is_admin && req->sqe.opcode == NVME_IO_READ;
	const bool write = !req->is_admin && req->sqe.opcode == NVME_IO_WRITE;

	counter_add(read ? &s->reads : write ? &s->writes : &s->others, 1);
	if (req->status) {
		counter_add(&s->errors, 1);
		report_error(req);
	}
	if (req->is_admin)
		return;

	const bool small = (read || write) && req->data_len <= SMALL_BYTES;
	const uint64_t took_ns = reactor_now_near(req_reactor(req), !small) - req->start_ns;

	hist_add(&s->latency, took_ns);
	if (read)
		counter_add(&s->read_bytes, req->data_len);
	if (write)
		counter_add(&s->write_bytes, req->data_len);
	if (req->nsv)
		account_ns(req, read, write, took_ns);
}
