/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data side of nvme/ on a bench: real reactors by reactor_pass() in one thread over an env whose clock the test sets, a model built by
 * hand, fault-over-RAM disks, and a transport that only remembers. The control thread's handlers of admin commands are the test's own.
 */
#ifndef LITEPOOL_TESTS_NVME_RIG_H
#define LITEPOOL_TESTS_NVME_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "disk/disk.h"
#include "nvme/model.h"
#include "nvme/resv.h"

#define RIG_DATA   2 /* data reactors; the control reactor has id RIG_DATA */
#define RIG_HOSTS  3
#define RIG_NS     2
#define RIG_BLOCK  4096u
#define RIG_BLOCKS 256u

struct rig;

struct rig_qp {
	struct nvme_qpair qp;
	struct rig *rig;
	unsigned closes;
	struct rig_req *owes; /* the last whose data the host was asked for */
	bool in_call;         /* a call of the transport into nvme is on the stack */
};

struct rig_req { /* one command and what became of it */
	struct nvme_req req;
	struct rig_qp *q;
	struct msg msg, msg_cancel, msg_fetched;
	void (*on_done)(struct rig_req *r);
	uint8_t *data; /* the host's memory: xfer_len bytes */
	size_t data_size;
	bool capsule;        /* send the data with the command */
	uint16_t bad_digest; /* the in-capsule data came with a wrong digest: this status */
	bool no_fetch;       /* the host never answers a fetch */
	bool no_release;     /* the response stays unsent */
	bool sgl_bad;
	bool started, fetching;
	unsigned completes, fetches;
	unsigned done_at; /* order of completion in the rig, from 1 */
	uint16_t status;
	uint16_t cancel_with;
	bool caught;
};

struct rig {
	_Atomic uint64_t now_ns;
	struct reactor *reactor[RIG_DATA + 1];
	struct iobuf_arena *arena;
	struct nvme_target target;
	struct nvme_port port;
	struct nvme_listener listener;
	struct nvme_subsystem ss;
	struct nvme_ns ns[RIG_NS];
	struct blk_dev *ram[RIG_NS], *disk[RIG_NS]; /* disk: fault over ram */
	struct nvme_ctrlr ctrlr[RIG_HOSTS];
	struct rig_qp qp[RIG_HOSTS][RIG_DATA]; /* one I/O queue of each host on each data reactor */
	struct rig_qp admin;
	_Atomic unsigned n_done;
	unsigned errors_logged, resv_events;
	struct nvme_req *held; /* admin opcode 0x0c */
};

/* NULL counts: plenty. */
struct rig *rig_new(const struct iobuf_counts *counts);
/* Every request has been released; nothing is under way; no buffer is out. */
void rig_free(struct rig *rig);

/* Passes of all reactors until none has anything to do. Virtual time stands still. */
void rig_pump(struct rig *rig);
/* Moves the clock and pumps. */
void rig_advance(struct rig *rig, uint64_t ns);

struct rig_req *rig_req_new(struct rig_qp *q, uint8_t opcode, uint32_t nsid);
struct rig_req *rig_rw(struct rig_qp *q, uint8_t opcode, uint32_t nsid, uint64_t lba,
		       uint32_t blocks);
void rig_req_free(struct rig_req *r);
void rig_cdw(struct rig_req *r, uint32_t cdw10, uint32_t cdw11, uint32_t cdw12);
void rig_data(struct rig_req *r, size_t size); /* host memory, zeroed; xfer_len */
void rig_fill(struct rig_req *r, uint8_t byte);

/* Posts the start to the queue's reactor; nothing runs before a pump. */
void rig_start(struct rig_req *r);
/* Posts a cancel. */
void rig_cancel(struct rig_req *r, uint16_t status);
/* Posts the release of a no_release request. */
void rig_release(struct rig_req *r);
/* Posts the arrival of the data of a no_fetch request. */
void rig_fetched(struct rig_req *r);
/* Start, pump; the command must have ended. Its status. */
uint16_t rig_run(struct rig_req *r);
/* The same and frees it. */
uint16_t rig_run_free(struct rig_req *r);

/* Holds (or fails) I/O of disk i; rule id. */
uint32_t rig_hang(struct rig *rig, unsigned i, unsigned ops);
void rig_unhang(struct rig *rig, unsigned i);
void rig_fail(struct rig *rig, unsigned i, unsigned ops, int error, uint64_t count);
/* Publishes; *done counts. */
void rig_publish(struct rig *rig, unsigned *done);
/* Direct look at the RAM under namespace i. */
void rig_peek(struct rig *rig, unsigned i, uint64_t lba, void *block);
unsigned rig_buffers_out(struct rig *rig);

/* A reservation command as host h. */
uint16_t rig_resv(struct rig *rig, unsigned h, uint8_t opcode, uint32_t cdw10, uint64_t key,
		  uint64_t other_key);

#define assert_status(r, expected)                                                                 \
	assert_string_equal(nvme_status_text(r), nvme_status_text(expected))

#endif
