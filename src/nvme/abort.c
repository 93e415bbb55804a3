/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Abort: finds the command on the reactor of its queue and asks to end it. Best effort, and always answered:
 * dw0 bit 0 is 0 when the command was caught and 1 when it is not there or is with the disk.
 *
 *  1. While the message is out, the victim's queue pair is kept (nvme_qpair_send) and so is the Abort's own, by its request.
 *  2. The victim's answer is on its way before the Abort's is given.
 */
#include "base/bytes.h"
#include "nvme/control.h"

static void abort_finish(struct nvme_req *req, bool caught)
{
	req->qp->ctrlr->n_aborts--;
	req->cqe.dw0 = htole32(caught ? 0 : 1);
	nvme_req_done(req, NVME_SC_SUCCESS);
}

static bool abort_victim(struct nvme_qpair *qp, const struct nvme_req *abort, uint16_t cid)
{
	struct nvme_req *victim = qp->ops->find(qp, cid);

	return victim && victim != abort && nvme_req_cancel(victim, NVME_SC_ABORT_REQ);
}

static void abort_returned(struct msg *msg)
{
	struct nvme_req *req = container_of(msg, struct nvme_req, msg);
	struct nvme_qpair *qp = req->priv;

	abort_finish(req, req->step);
	nvme_qpair_back(qp);
}

/* On the reactor of the victim's queue. */
static void abort_run(struct msg *msg)
{
	struct nvme_req *req = container_of(msg, struct nvme_req, msg);
	struct nvme_qpair *qp = req->priv;

	if (nvme_qpair_follow(qp, msg))
		return;
	req->step = !qp->gone && abort_victim(qp, req, (uint16_t)(le32toh(req->sqe.cdw10) >> 16));
	msg->run = abort_returned;
	reactor_post(qp->target->opts.control, msg);
}

void nvme_abort_execute(struct nvme_req *req)
{
	struct nvme_ctrlr *c = req->qp->ctrlr;
	uint32_t cdw10 = le32toh(req->sqe.cdw10);
	uint16_t sqid = (uint16_t)cdw10;

	if (c->n_aborts >= NVME_ABORTS_MAX) {
		nvme_req_done(req, NVME_SC_ABORT_LIMIT);
		return;
	}
	if (sqid >= ARRAY_LEN(c->ioq) || (sqid && !c->ioq[sqid])) {
		nvme_req_done(req, NVME_ADMIN_DNR(NVME_SC_INVALID_FIELD));
		return;
	}
	c->n_aborts++;
	if (!sqid) {
		abort_finish(req, abort_victim(req->qp, req, (uint16_t)(cdw10 >> 16)));
		return;
	}
	req->priv = c->ioq[sqid];
	nvme_qpair_send(c->ioq[sqid], &req->msg, abort_run);
}
