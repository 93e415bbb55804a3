/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue pair as NVMe sees it: one connection of a transport. Until Connect it is nobody's and lives on the control reactor, as admin
 * queues do for ever; an I/O queue is moved by the transport to the reactor that Connect chose.
 */
#ifndef LITEPOOL_NVME_QPAIR_H
#define LITEPOOL_NVME_QPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/hist.h"
#include "nvme/req.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct nvme_ctrlr;
struct nvme_port;
struct nvme_target;

struct nvme_qpair_ops {
	/* Get data_len bytes of host data into nvme_req_buf(req), then nvme_req_fetched(). */
	void (*fetch)(struct nvme_req *req);
	/* Send the data and the response, then nvme_req_release(). */
	void (*complete)(struct nvme_req *req);
	/* Close the connection; nvme_qpair_disconnect() follows when no request is left. Qpair's reactor. Idempotent. */
	void (*close)(struct nvme_qpair *qp);
	/* The request with that command id that is not DONE yet, or NULL. */
	struct nvme_req *(*find)(struct nvme_qpair *qp, uint16_t cid);
	/* nvme_req_cancel() with status for every request whose command names that namespace. Qpair's reactor. */
	void (*cancel_ns)(struct nvme_qpair *qp, uint32_t nsid, uint16_t status);
};

enum nvme_qpair_state {
	NVME_QP_NEW, /* Connect is the only command allowed */
	NVME_QP_READY,
	NVME_QP_CLOSING,
};

struct nvme_qpair_stats { /* writer: the qpair's reactor */
	counter reads, writes, others, read_bytes, write_bytes, errors;
	struct hist latency;
};

struct nvme_error_entry { /* for the error log page */
	uint64_t count;
	uint16_t sqid, cid, status;
	uint64_t lba;
	uint32_t nsid;
};

struct nvme_qpair {
	const struct nvme_qpair_ops *ops;
	struct nvme_target *target;
	struct nvme_port *port;            /* the listener it came in by; outlives it */
	_Atomic(struct reactor *) reactor; /* where it lives now */
	enum nvme_qpair_state state;       /* own reactor */
	struct nvme_ctrlr *ctrlr;          /* NULL until connected; outlives the qpair */
	uint16_t qid, qsize;               /* entries */
	uint16_t sqhd;
	bool sqfc_disabled;
	struct reactor *home;        /* set by a successful Connect of an I/O queue: move there */
	struct nvme_req *fuse_first; /* waits for its second half */
	struct timer fuse_timer;     /* runs while it does */
	_Atomic uint32_t commands;   /* ever started: the traffic that keeps a controller alive */
	struct nvme_qpair_stats stats;
	char peer[SOCK_ADDR_TEXT]; /* for people */
	/* address (no port) that the host came in at, for the discovery log; "": not known */
	char local[SOCK_ADDR_TEXT];

	/* req.c and qos.c, own reactor. At most one error report is on its way to the control thread; what happens meanwhile is only counted. */
	struct msg msg_error;
	struct nvme_error_entry error;
	_Atomic bool error_posted;
	uint64_t qos_tag;

	/* nvme's own, control thread. */
	struct list link; /* of the controller's queues */
	struct msg msg_close, msg_gone;
	bool close_posted;
	unsigned refs;     /* messages of the control thread that are at the qpair's reactor */
	bool gone_arrived; /* the transport is done with it; gone() runs when refs is 0, too */
	void (*gone)(struct nvme_qpair *qp);
};

/* Control reactor. port gets a reference. */
void nvme_qpair_init(struct nvme_qpair *qp, const struct nvme_qpair_ops *ops,
		     struct nvme_target *target, struct nvme_port *port, struct reactor *reactor);
/* Call once for each response as it is built: advances the SQ head, fills sqid, and sqhd (0, reserved, when flow control is off). */
void nvme_qpair_fill_sqhd(struct nvme_qpair *qp, struct nvme_cqe *cqe);
/*
 * The transport has closed the connection and every request was released. gone() comes on the control reactor: nothing refers to qp any
 * more and the transport frees it there. Qpair's reactor, once.
 */
void nvme_qpair_disconnect(struct nvme_qpair *qp, void (*gone)(struct nvme_qpair *qp));

#endif
