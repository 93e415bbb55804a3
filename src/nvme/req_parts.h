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

/* req_check.c: sets xfer and data_len, enters the view of an I/O command; or the status of a refusal. */
uint16_t req_check(struct nvme_req *req);
/* A Disconnect on an I/O queue. */
bool req_is_disconnect(const struct nvme_req *req);

/* req_account.c: once per request, before it leaves its view. */
void req_account(struct nvme_req *req);

#endif
