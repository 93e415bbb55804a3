/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue of the host, from inside: what hostq.c (life, submission, sending) and hostq_rx.c (what
 * the controller says) share, and the hooks by which host.c stands on it.
 */
#ifndef LITEPOOL_INITIATOR_HOSTQ_H
#define LITEPOOL_INITIATOR_HOSTQ_H

#include "initiator/initiator.h"
#include "wire/pdu.h"
#include "wire/rx.h"
#include "wire/tx.h"

/* in-capsule data that every controller takes on its admin queue */
#define HOSTQ_ADMIN_CAPSULE 8192u

enum hostq_state {
	HOSTQ_CONNECT, /* TCP */
	HOSTQ_INIT,    /* ICReq is sent, ICResp is awaited */
	HOSTQ_READY,
	HOSTQ_DEAD, /* the socket is closed; q->err says why */
};

enum hostcmd_state {
	HOSTCMD_IDLE,
	HOSTCMD_WAITING, /* for a slot */
	HOSTCMD_QUEUED,  /* has a slot, no byte of it is sent */
	HOSTCMD_SENT,
	HOSTCMD_ENDED, /* never sent; ends in the next task */
};

/* A command id. */
struct hostq_slot {
	struct nvme_hostcmd *cmd; /* NULL: free */
	struct wire_tx tx;        /* its capsule, then each of its H2CData */
	uint8_t head[sizeof(struct pdu_cmd) + PDU_DIGEST_LEN];
	uint8_t tail[PDU_DIGEST_LEN];
	bool sending;  /* tx is on q->txq */
	bool answered; /* cmd->cqe and status are final; cmd ends as soon as tx is off the queue */
	bool last;     /* C2HData with LAST came */
	bool digest_bad;
	int status;
	uint16_t ttag;
	uint32_t r2t_off, r2t_end; /* asked for by R2T and not yet put into an H2CData */
};

struct nvme_hostq {
	struct reactor *reactor;
	struct nvme_hostq_opts opts;
	enum hostq_state state;
	bool freeing, raw;
	bool reported; /* on_state() was told of the end */
	struct sock *sock;
	struct pdu_format fmt;
	uint32_t capsule_max, max_h2c_data;
	struct wire_rx rx;
	uint16_t data_cid; /* of the C2HData under way */
	bool data_success;
	struct wire_txq txq;
	struct hostq_slot *slots; /* queue_size of them */
	uint16_t *free_cids;
	uint32_t n_free;
	struct list waiting;  /* commands without a slot, in order */
	struct list inflight; /* commands with one, in order of submission */
	struct list ended;
	struct wire_tx init_tx; /* ICReq, or raw bytes */
	uint8_t init_head[sizeof(struct pdu_icreq) + PDU_DIGEST_LEN];
	uint8_t *raw_bytes;
	struct task flush; /* late: the one sendmsg of a pass */
	struct task end;
	struct err err;

	/* Of host.c. lost: takes each command that ends with the queue, instead of done(). gone: q is about to be freed. */
	void (*lost)(struct nvme_hostq *q, struct nvme_hostcmd *cmd, int status);
	void (*gone)(struct nvme_hostq *q);
};

/* Closes the socket and ends the commands (as a task). Does nothing when dead already. Returns code, for tail calls. */
__attribute__((format(printf, 3, 4))) int hostq_fail(struct nvme_hostq *q, int code,
						     const char *fmt, ...);
/* TCP is up and the ICResp, if any, is accepted. */
void hostq_ready(struct nvme_hostq *q);
/* The socket may be readable. */
void hostq_readable(struct nvme_hostq *q);
/* cmd of slot has its final status; calls done() now, or when its data is off the send queue. */
void hostq_answer(struct nvme_hostq *q, struct hostq_slot *slot, int status);
/* Builds and queues the next H2CData of what R2T asked for. */
void hostq_push_data(struct nvme_hostq *q, struct hostq_slot *slot);

#endif
