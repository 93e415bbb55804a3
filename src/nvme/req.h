/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One NVMe command from capsule to release: an explicit state machine on one reactor.
 *
 *   transport                                nvme (req.c: one switch)
 *   ---------                                ------------------------------------------------------------
 *   fills sqe, xfer_len, in_capsule, buf
 *   nvme_req_start() ----------------------> NEW: queue, opcode, namespace, ANA, reservation, range, length
 *                                            QOS: wait for tokens              (parked in the namespace's line)
 *                                            BUFFER: wait for a data buffer
 *   ops->fetch(req)  <---------------------- FETCH: host data not here yet      (R2T and H2CData)
 *   nvme_req_fetched() --------------------> EXECUTE: the disk, the admin handler, or the control thread
 *   ops->complete(req) <-------------------- DONE: cqe is filled, data (if any) at nvme_req_data()
 *   sends data and response
 *   nvme_req_release() --------------------> FREE: buffer, view and counters go back
 *
 * ops->complete() comes exactly once for each nvme_req_start(), never inside it. A request whose connection died goes through
 * the same states; nvme_req_cancel() only hurries it.
 */
#ifndef LITEPOOL_NVME_REQ_H
#define LITEPOOL_NVME_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/blk.h"
#include "nvme/spec.h"
#include "rt/iobuf.h"
#include "rt/reactor.h"

struct nvme_qpair;
struct ns_view;
struct view_slot;

enum nvme_req_state {
	NVME_REQ_FREE, /* in the transport's pool */
	NVME_REQ_NEW,
	NVME_REQ_FUSED, /* first half, waits for the second */
	NVME_REQ_QOS,
	NVME_REQ_BUFFER,
	NVME_REQ_FETCH,
	NVME_REQ_EXECUTE, /* disk I/O, or a message to the control thread, is under way: cannot be cancelled */
	NVME_REQ_HELD, /* Async Event Request that waits for an event */
	NVME_REQ_ENDING, /* the answer is decided; ops->complete() comes with the tasks of this pass */
	NVME_REQ_DONE, /* with the transport again */
	NVME_REQ_PARKED, /* waits for the end of a freeze, in no view; goes on in parked_state (freeze.c) */
};
extern const char *const nvme_req_state_name[];

enum nvme_xfer { NVME_XFER_NONE, NVME_XFER_H2C, NVME_XFER_C2H };

struct nvme_req {
	/* Filled by the transport before nvme_req_start(). */
	struct nvme_qpair *qp;
	struct nvme_sqe sqe; /* our own copy */
	uint32_t xfer_len;   /* bytes that the command's SGL offers; 0: none */
	bool in_capsule;     /* host data came with the command and is in buf */
	bool sgl_bad; /* the transport refuses the SGL, or the command id is in use: complete with sgl_status */
	uint16_t sgl_status;
	bool loan_ok; /* the transport can send from the disk's memory */
	/*
	 * Of a plain Write in_capsule: its xfer_len bytes lie here, at any alignment, and not in buf yet, until the call that begins the request returns. By then a disk
	 * that takes them at once has done so, or they are in buf; either way it is NULL. NULL: they are in buf.
	 */
	const void *lent;

	/* nvme's; valid for the transport from fetch (buf, data_len) or complete (cqe, data) on. */
	enum nvme_req_state state, parked_state;
	enum nvme_xfer xfer; /* what really moves */
	uint32_t data_len; /* bytes to fetch, or, at complete with status 0, to send to the host */
	/* NULL: none (or, in_capsule, set by the transport: nvme gives it back) */
	struct iobuf *buf;
	uint32_t buf_off; /* data begins there in buf */
	const void *loan; /* data lies there instead of in buf */
	/* cid, status, result; the transport fills sqhd and sqid by nvme_qpair_fill_sqhd() */
	struct nvme_cqe cqe;

	/* nvme's own. */
	bool cancelled,
		throttled;  /* cancelled: nvme_req_cancel() came; throttled: stood in a QoS line */
	bool is_admin;      /* for the control thread's tables: admin queue, or before Connect */
	bool admitted;      /* QoS tokens are paid */
	bool qos_write;     /* counts as a write there */
	bool fetched;       /* host data is in buf */
	bool carried;       /* came from another engine: nothing of it was checked here yet */
	bool counted;       /* as executing, in its reactor's freeze state */
	bool takes;         /* a write to a disk with BLK_CAP_TAKES */
	uint8_t gate_epoch; /* fused.c: where this write is counted */
	uint16_t status;
	struct ns_view *nsv;    /* NULL: admin, or no namespace */
	struct view_slot *view; /* counted in it, see view.h; NULL: not */
	uint64_t view_gen;      /* generation that the checks saw */
	struct nvme_req *fused; /* the other half */
	uint64_t start_ns;
	uint64_t qos_tag;  /* place in the QoS line */
	uint64_t qos_cost; /* bytes that count there */
	uint64_t lba;
	uint32_t blocks;
	uint32_t step; /* handler's own progress (Compare, Deallocate ranges, ...) */
	uint32_t aux_off,
		aux_len; /* aux_len: bytes of buffer wanted though the host gets nothing (Verify) */
	struct iobuf *aux; /* scratch */
	struct list link;  /* in exactly one of: QoS line, parked ones, held AERs, handler's list */
	struct iobuf_waiter waiter;
	struct blk_io io;
	struct task task;
	struct msg msg;
	void *priv;

	/* The transport's own. */
	struct list tlink;
	void *tpriv;
	uint32_t toff; /* bytes of host data received */
	uint16_t ttag;
	uint16_t slot;
	uint32_t tflags;
};

/* Begins. The request belongs to nvme until ops->fetch() or ops->complete(). Qpair's reactor. */
void nvme_req_start(struct nvme_req *req);
/* All data_len bytes are in buf. */
void nvme_req_fetched(struct nvme_req *req);
/*
 * The transport could not fetch (digest error: status TRANSIENT_TRANSPORT): ends with status. State FETCH, or, with in-capsule data,
 * instead of nvme_req_start(): then this call begins the request.
 */
void nvme_req_fail(struct nvme_req *req, uint16_t status);
/* Data to send (C2H) or received. */
static inline void *nvme_req_buf(struct nvme_req *req)
{
	return (uint8_t *)req->buf->data + req->buf_off;
}
static inline const void *nvme_req_data(struct nvme_req *req)
{
	return req->loan ? req->loan : nvme_req_buf(req);
}
/*
 * DONE: the transport has copied what lay in the disk's memory (loan) and will not look there again. From here on the request delays no
 * publish, however long its host takes to read the answer.
 */
void nvme_req_unloan(struct nvme_req *req);
/* After the response is sent, or dropped with its connection. The transport may use req anew. */
void nvme_req_release(struct nvme_req *req);
/*
 * The connection is gone, or the command is to be aborted with status: what waits (QOS, BUFFER, FETCH, HELD, FUSED) completes soon
 * with it (ops->complete() in this pass, never inside this call); what executes completes in its time. True if it was caught.
 */
bool nvme_req_cancel(struct nvme_req *req, uint16_t status);

#endif
