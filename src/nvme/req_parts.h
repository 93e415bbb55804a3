/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the request machine (req.c) share. */
#ifndef LITEPOOL_NVME_REQ_PARTS_H
#define LITEPOOL_NVME_REQ_PARTS_H

#include "base/check.h"
#include "nvme/model.h"

static inline struct reactor *req_reactor(const struct nvme_req *req)
{
	return atomic_load_explicit(&req->qp->reactor, memory_order_relaxed);
}

/* Counts req into the current view of its subsystem. */
static inline void req_enter_view(struct nvme_req *req)
{
	ASSERT(!req->view);
	req->view = view_enter(req->qp->ctrlr->ss, reactor_id(req_reactor(req)));
	req->view_gen = req->view->view->generation;
}

/* req.c */
/* The one switch. inside: within a call of the transport. */
void req_run(struct nvme_req *req, bool inside);
/* All of nvme's own fields as at the beginning; those of the transport are set. */
void req_init(struct nvme_req *req);
void req_set_state(struct nvme_req *req, enum nvme_req_state state);
/* ENDING, by a task of this pass. */
void req_end_soon(struct nvme_req *req, uint16_t status);

/* Second half of a pair whose first is known. */
static inline bool req_is_second(const struct nvme_req *req)
{
	return req->fused && (req->sqe.flags & NVME_SQE_FUSE_MASK) == NVME_SQE_FUSE_SECOND;
}

/* req_pair.c */
/* The first half waits (state FUSED). False: there is no buffer, or no timer, for that. */
bool req_pair_wait(struct nvme_req *first);
/* The second half came: the pair goes on as one. */
void req_pair_start(struct nvme_req *second);
/* Nobody waits for a second half any more: whoever did, or NULL. */
struct nvme_req *req_pair_take_first(struct nvme_qpair *qp);
/* The half that waits, if any, is told that its other half did not come. */
void req_pair_drop_first(struct nvme_qpair *qp);

/* req_check.c: sets xfer and data_len, enters the view of an I/O command; or the status of a refusal. */
uint16_t req_check(struct nvme_req *req);
/* A Disconnect on an I/O queue. */
bool req_is_disconnect(const struct nvme_req *req);

/* req_account.c: once per request, before it leaves its view. */
void req_account(struct nvme_req *req);

#endif
