/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second half of Preempt and Abort: what commands of the preempted hosts wait (for tokens, a buffer, the host's data) are cancelled as by
 * Abort. What was with the disk has ended when this begins: the new state was published before, see reservation.c. So when it is done, no
 * command of these hosts that was sent before is under way in the namespace.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "nvme/control.h"
#include "nvme/resv.h"

struct resv_abort { /* one queue's part */
	struct msg msg;
	struct nvme_qpair *qp;
	struct nvme_ns *ns;
};

static void part_done(struct nvme_ns *ns)
{
	ASSERT(ns->resv_aborts > 0);
	if (--ns->resv_aborts == 0)
		ns->resv_aborted(ns, 0);
}

static void returned(struct msg *msg)
{
	struct resv_abort *part = container_of(msg, struct resv_abort, msg);
	struct nvme_ns *ns = part->ns;

	nvme_qpair_back(part->qp);
	free(part);
	part_done(ns);
}

/* On the reactor of the queue. */
static void abort_run(struct msg *msg)
{
	struct resv_abort *part = container_of(msg, struct resv_abort, msg);
	struct nvme_qpair *qp = part->qp;

	if (nvme_qpair_follow(qp, msg))
		return;
	if (!qp->gone)
		qp->ops->cancel_ns(qp, part->ns->nsid, NVME_SC_ABORTED_PREEMPT);
	msg->run = returned;
	reactor_post(qp->target->opts.control, msg);
}

static void abort_queue(struct nvme_ns *ns, struct nvme_qpair *qp)
{
	struct resv_abort *part = calloc(1, sizeof(*part));

	if (!part) /* best effort, as Abort is */
		return;
	part->qp = qp;
	part->ns = ns;
	ns->resv_aborts++;
	nvme_qpair_send(qp, &part->msg, abort_run);
}

static void abort_host(struct nvme_ns *ns, const uint8_t hostid[16])
{
	list_for_each (it, &ns->ss->ctrlrs) {
		struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		if (memcmp(c->hostid, hostid, 16) != 0)
			continue;
		list_for_each (at, &c->qpairs) {
			struct nvme_qpair *qp = list_entry(at, struct nvme_qpair, link);

			if (qp->qid)
				abort_queue(ns, qp);
		}
	}
}

void resv_abort_preempted(struct nvme_ns *ns, nvme_done_fn done)
{
	ASSERT(!ns->resv_aborts);
	ns->resv_aborted = done;
	ns->resv_aborts = 1; /* ours */
	for (unsigned i = 0; i < ns->resv_notes.n; i++)
		if (ns->resv_notes.note[i].type == RESV_NOTE_REGISTRATION_PREEMPTED)
			abort_host(ns, ns->resv_notes.note[i].hostid);
	part_done(ns);
}
