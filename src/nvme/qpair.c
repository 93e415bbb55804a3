/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a queue pair as far as threads are concerned.
 *
 *  1. A queue pair is closed by a message to the reactor where it lives; if it has moved meanwhile the message follows it.
 *  2. gone() is called on the control reactor when the transport has disconnected it AND no message of ours is with it (refs == 0). So a
 *     message always finds the queue pair there, and after gone() nothing refers to it.
 *  3. The controller forgets the queue pair before gone() is called.
 */
#include <string.h>

#include "base/check.h"
#include "base/probes.h"
#include "nvme/control.h"

void nvme_qpair_init(struct nvme_qpair *qp, const struct nvme_qpair_ops *ops,
		     struct nvme_target *target, struct nvme_port *port, struct reactor *reactor)
{
	memset(qp, 0, sizeof(*qp));
	qp->ops = ops;
	qp->target = target;
	qp->port = port;
	nvme_port_ref(port);
	qp->reactor = reactor;
	qp->state = NVME_QP_NEW;
}

void nvme_qpair_fill_sqhd(struct nvme_qpair *qp, struct nvme_cqe *cqe)
{
	cqe->sqid = htole16(qp->qid);
	if (qp->sqfc_disabled) {
		/* FFFFh in the answer to Connect says that flow control is off; reserved, 0, in all others. */
		cqe->sqhd = htole16(qp->sqhd);
		qp->sqhd = 0;
		return;
	}
	if (qp->qsize) /* Not before Connect has said it. */
		qp->sqhd = (uint16_t)((qp->sqhd + 1) % qp->qsize);
	cqe->sqhd = htole16(qp->sqhd);
}

struct reactor *nvme_target_pick_home(struct nvme_target *t)
{
	unsigned n = t->opts.n_data;
	unsigned best = t->home_next % n;

	for (unsigned i = 1; i < n; i++) {
		unsigned r = (t->home_next + i) % n;

		if (t->home_load[r] < t->home_load[best])
			best = r;
	}
	t->home_next = (best + 1) % n;
	t->home_load[best]++;
	return t->opts.data[best];
}

struct reactor *nvme_target_take_home(struct nvme_target *t, struct reactor *home)
{
	for (unsigned i = 0; home && i < t->opts.n_data; i++) {
		if (t->opts.data[i] != home)
			continue;
		t->home_load[i]++;
		return home;
	}
	return nvme_target_pick_home(t);
}

static void home_release(struct nvme_qpair *qp)
{
	struct nvme_target *t = qp->target;

	for (unsigned i = 0; qp->home && i < t->opts.n_data; i++) {
		if (t->opts.data[i] != qp->home)
			continue;
		ASSERT(t->home_load[i] > 0);
		t->home_load[i]--;
		qp->home = NULL;
	}
}

static void qpair_maybe_gone(struct nvme_qpair *qp)
{
	struct nvme_ctrlr *c = qp->ctrlr;
	void (*gone)(struct nvme_qpair *qp) = qp->gone;
	struct nvme_port *port = qp->port;

	if (!qp->gone_arrived || qp->refs)
		return;
	probe_qpair_close(c ? c->cntlid : 0, qp->qid);
	home_release(qp);
	qp->ctrlr = NULL;
	qp->port = NULL;
	if (c)
		nvme_ctrlr_qpair_gone(c, qp);
	gone(qp);
	nvme_port_put(port);
}

void nvme_qpair_send(struct nvme_qpair *qp, struct msg *msg, void (*run)(struct msg *msg))
{
	qp->refs++;
	msg->run = run;
	reactor_post(qp->reactor, msg);
}

bool nvme_qpair_follow(struct nvme_qpair *qp, struct msg *msg)
{
	if (qp->reactor == reactor_current())
		return false;
	reactor_post(qp->reactor, msg);
	return true;
}

void nvme_qpair_back(struct nvme_qpair *qp)
{
	ASSERT(qp->refs > 0);
	qp->refs--;
	qpair_maybe_gone(qp);
}

static void close_returned(struct msg *msg)
{
	nvme_qpair_back(container_of(msg, struct nvme_qpair, msg_close));
}

static void close_run(struct msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg_close);

	if (nvme_qpair_follow(qp, msg))
		return;
	if (!qp->gone) { /* Not disconnected yet. */
		qp->state = NVME_QP_CLOSING;
		qp->ops->close(qp);
	}
	msg->run = close_returned;
	reactor_post(qp->target->opts.control, msg);
}

void nvme_qpair_close(struct nvme_qpair *qp)
{
	if (qp->close_posted)
		return;
	qp->close_posted = true;
	nvme_qpair_send(qp, &qp->msg_close, close_run);
}

static void gone_run(struct msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg_gone);

	qp->gone_arrived = true;
	qpair_maybe_gone(qp);
}

void nvme_qpair_disconnect(struct nvme_qpair *qp, void (*gone)(struct nvme_qpair *qp))
{
	ASSERT(!qp->gone);
	qp->state = NVME_QP_CLOSING;
	qp->gone = gone;
	qp->msg_gone.run = gone_run;
	reactor_post(qp->target->opts.control, &qp->msg_gone);
}
