/* SPDX-License-Identifier: Apache-2.0 */
/* How the halves of a fused pair find each other: the first waits in its queue pair, alone and not for long, for the command behind it. */
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "nvme/model.h"
#include "nvme/req_parts.h"

/*
 * A host must submit both halves of a pair as one (NVMe Base 3.4.2), so the second is in the same segments or behind one lost packet: TCP
 * repeats that several times in 2 s. Longer waits would let a host keep buffers from others by sending first halves alone.
 */
#define FUSED_WAIT_NS (2 * NSEC_PER_SEC)

/* The half that waits is told that its other half did not come. */
void req_pair_drop_first(struct nvme_qpair *qp)
{
	struct nvme_req *first = req_pair_take_first(qp);

	if (first)
		req_end_soon(first, NVME_SC_FUSED_MISSING | NVME_STATUS_DNR);
}

static void fused_first_is_late(struct timer *timer)
{
	struct nvme_qpair *qp = container_of(timer, struct nvme_qpair, fuse_timer);

	/* While nothing is received its second half may be there. The timer was armed: starting it needs no memory. */
	if (nvme_freeze_is_on(qp->target, timer->reactor))
		(void)timer_start(timer->reactor, timer,
				  reactor_now(timer->reactor) + FUSED_WAIT_NS / 8);
	else
		req_pair_drop_first(qp);
}

/* Nobody waits for a second half any more. */
struct nvme_req *req_pair_take_first(struct nvme_qpair *qp)
{
	timer_stop(&qp->fuse_timer);
	return TAKE_PTR(qp->fuse_first);
}

/*
 * Waits for its second half, in no view and, if its data came in the capsule, no longer in the capsule's buffer (invariant 4).
 * False: there is no buffer, or no timer, for that.
 */
bool req_pair_wait(struct nvme_req *first)
{
	struct reactor *r = req_reactor(first);
	struct nvme_qpair *qp = first->qp;

	if (first->in_capsule && first->sgl_bad) {
		iobuf_put(first->buf);
		first->buf = NULL;
		first->in_capsule = false;
	}
	if (first->in_capsule) {
		const size_t bytes = align_up(first->xfer_len, 4 * KIB) + first->xfer_len;
		struct iobuf *pair = iobuf_get(reactor_iobufs(r), iobuf_class_for(bytes), NULL);

		if (!pair)
			return false;
		memcpy(pair->data, nvme_req_buf(first), first->xfer_len);
		iobuf_put(first->buf);
		first->buf = pair;
		first->buf_off = 0;
		first->in_capsule = false;
	}
	qp->fuse_timer.run = fused_first_is_late;
	if (timer_start(r, &qp->fuse_timer, reactor_now(r) + FUSED_WAIT_NS) < 0)
		return false;
	req_set_state(first, NVME_REQ_FUSED);
	qp->fuse_first = first;
	return true;
}

void req_pair_start(struct nvme_req *second)
{
	struct nvme_req *first = req_pair_take_first(second->qp);

	if (!first) {
		req_end_soon(second, NVME_SC_FUSED_MISSING | NVME_STATUS_DNR);
		return;
	}
	first->fused = second;
	second->fused = first;
	req_set_state(second, NVME_REQ_FUSED);
	req_set_state(first, NVME_REQ_NEW);
	req_run(first, true);
}
