/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that stand still, to another engine, see carry.h. A request that has not begun to execute is begun anew there, with the data that came for it; one whose data is on the
 * way goes on in FETCH. What is restored has view_gen 0, which no view has, or is marked as carried: so all checks are made before it executes, and check_anew() refuses
 * what wants more data than came.
 */
#include "base/check.h"
#include "nvme/carry.h"
#include "nvme/model.h"
#include "nvme/req_parts.h"

static const struct nvme_req *leader_of(const struct nvme_req *req)
{
	return req_is_second(req) ? req->fused : req;
}

/* Bytes of host data that came; the buffer holds them all. */
static uint32_t have_bytes(const struct nvme_req *req)
{
	if (!req->fetched || !req->buf)
		return 0;
	/* Half of a pair wants exactly what its SGL says, and may not have been checked yet. */
	if (req->in_capsule || (req->sqe.flags & NVME_SQE_FUSE_MASK))
		return req->xfer_len;
	return req->data_len;
}

void nvme_req_save(struct nvme_req *req, struct nvme_req_carry *ret)
{
	const struct nvme_req *first = leader_of(req);

	*ret = (struct nvme_req_carry){
		.paired = first->fused && first->state == NVME_REQ_FETCH,
		.admitted = first->admitted,
		.data_len = req->data_len,
		.have = have_bytes(req),
		.data = req->buf ? nvme_req_buf(req) : NULL,
	};
}

bool nvme_req_ends_queue(const struct nvme_req *req)
{
	return req->state == NVME_REQ_DONE && req_is_disconnect(req) && !req->status;
}

static void restore(struct nvme_req *req, struct iobuf *buf, uint32_t data_len, bool admitted)
{
	ASSERT(req->state == NVME_REQ_FREE);
	req->in_capsule = false;
	req_init(req);
	req->carried = true;
	req->view_gen = 0;
	req->admitted = admitted;
	req->xfer = NVME_XFER_H2C;
	req->data_len = data_len;
	req->buf = buf;
	req->buf_off = 0;
}

void nvme_req_restore_fetching(struct nvme_req *req, struct iobuf *buf, uint32_t data_len,
			       bool admitted)
{
	restore(req, buf, data_len, admitted);
	req_set_state(req, NVME_REQ_FETCH);
}

uint32_t nvme_pair_second_off(uint32_t first_len)
{
	return (uint32_t)align_up(first_len, 4 * KIB);
}

void nvme_req_restore_pair(struct nvme_req *first, struct nvme_req *second,
			   const struct nvme_pair_carry *pair)
{
	ASSERT(!pair->first_done || !pair->second_done);
	restore(first, pair->buf, pair->first_len, pair->admitted);
	restore(second, pair->buf, pair->second_len, pair->admitted);
	second->buf_off = nvme_pair_second_off(pair->first_len);
	first->fused = second;
	second->fused = first;
	first->fetched = pair->first_done;
	second->fetched = pair->second_done;
	req_set_state(first, NVME_REQ_FETCH);
	req_set_state(second, pair->first_done ? NVME_REQ_FETCH : NVME_REQ_FUSED);
}

void nvme_req_restore_done(struct nvme_req *req, uint16_t status)
{
	restore(req, NULL, 0, true);
	req->status = status;
	put_le16(&req->cqe.cid, get_le16(&req->sqe.cid));
	put_le16(&req->cqe.status, (uint16_t)(status << 1));
	req_set_state(req, NVME_REQ_DONE);
}
