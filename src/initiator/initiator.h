/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own NVMe/TCP host: a library on the runtime, for tests, benchmarks and, later, remote disks and migration. All calls and callbacks are
 * on one reactor. No callback is run inside the call that asked for it.
 *
 * struct nvme_host is a controller association: an admin queue, then I/O queues, with keep-alive and, if wanted, reconnection for ever.
 * struct nvme_hostq is one queue, for tests that want to send just anything (raw SQEs, no initialisation).
 */
#ifndef LITEPOOL_INITIATOR_INITIATOR_H
#define LITEPOOL_INITIATOR_INITIATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "nvme/spec.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct nvme_host;
struct nvme_hostq;

/* One command. Owned by the library from submit to done. */
struct nvme_hostcmd {
	struct nvme_sqe sqe; /* cid and sgl are filled by the library; all else by the caller */
	void *data; /* data_len bytes to send or room for them; may be NULL with data_len 0 */
	uint32_t data_len;
	bool to_host;        /* direction of data */
	struct nvme_cqe cqe; /* the answer */
	/*
	 * status: the NVMe status (0 = success; 15 bits as in spec.h), or a negative errno: -ECONNRESET the queue is gone and it is not known
	 * whether the command was executed, -ENOTCONN it was never sent, -EILSEQ a digest did not match, -EPROTO success was answered
	 * although less than data_len bytes were moved.
	 */
	void (*done)(struct nvme_hostcmd *cmd, int status);
	void *ctx;
	/* The library's own; moved may be read in done(). */
	struct list link;
	uint32_t moved; /* bytes of data that went over the wire */
	uint16_t cid;
	uint8_t state;
};

struct nvme_host_opts {
	struct sock_addr addr;
	const char *subnqn;   /* NVME_DISCOVERY_NQN for discovery */
	const char *hostnqn;  /* NULL: made from hostid */
	struct uuid hostid;   /* null: random */
	uint32_t queue_size;  /* entries per I/O queue, default 128 */
	uint32_t n_io_queues; /* default 1 */
	uint32_t kato_ms;     /* default 0: none */
	bool header_digest, data_digest;
	/* Of what we send: NULL: SOCK_CONGESTION_DEFAULT where the kernel lets us have it; "": the kernel's default. The caller's, as long as h. */
	const char *congestion;
	bool disable_sqfc; /* default true by nvme_host_opts_default() */
	bool reconnect; /* commands wait over a lost connection and are sent again; else they end with -ECONNRESET */
	uint32_t reconnect_ms; /* pause between attempts, default 200 */
	/* State changes, for people and tests: 0 ready, else why not (err is valid within the call). */
	void (*on_state)(struct nvme_host *h, int state, const struct err *err, void *ctx);
	/* An asynchronous event arrived (AERs are kept posted when this is set). */
	void (*on_event)(struct nvme_host *h, uint32_t dw0, void *ctx);
	void *ctx;
};
struct nvme_host_opts nvme_host_opts_default(void);

/* Starts to connect; on_state tells. */
int nvme_host_new(struct reactor *r, const struct nvme_host_opts *opts, struct nvme_host **ret,
		  struct err *err);
/* Shuts the controller down in order if it is up, closes, ends all commands; closed comes last and h is freed after it. */
void nvme_host_close(struct nvme_host *h, void (*closed)(void *ctx), void *ctx);
/* Drops the connections as a crash would: no shutdown. */
void nvme_host_kill(struct nvme_host *h, void (*closed)(void *ctx), void *ctx);
bool nvme_host_ready(const struct nvme_host *h);
uint16_t nvme_host_cntlid(const struct nvme_host *h);
uint32_t nvme_host_mdts(const struct nvme_host *h); /* bytes, of the controller */

void nvme_host_admin(struct nvme_host *h, struct nvme_hostcmd *cmd);
/*
 * queue: 0 .. n_io_queues - 1. More than the queue's depth wait in the library. The halves of a fused pair (NVME_SQE_FUSE_FIRST and _SECOND
 * in sqe.flags) are submitted to the same queue, one right after the other: then both are sent, or neither. They are not sent again
 * after a lost connection.
 */
void nvme_host_io(struct nvme_host *h, unsigned queue, struct nvme_hostcmd *cmd);

/* Helpers that fill sqe, data and direction. */
void nvme_hostcmd_rw(struct nvme_hostcmd *cmd, bool write, uint32_t nsid, uint64_t lba,
		     uint32_t blocks, void *data, uint32_t data_len);
void nvme_hostcmd_flush(struct nvme_hostcmd *cmd, uint32_t nsid);
/* A command of opcode and namespace alone: Keep Alive, Async Event Request, ... */
void nvme_hostcmd_simple(struct nvme_hostcmd *cmd, uint8_t opcode, uint32_t nsid);
void nvme_hostcmd_set_features(struct nvme_hostcmd *cmd, uint8_t fid, uint32_t cdw11);
/* A status as done() gets it, in words; returns text, which holds NVME_HOSTCMD_STATUS_TEXT bytes. */
#define NVME_HOSTCMD_STATUS_TEXT 128
char *nvme_hostcmd_status_text(int status, char *text);
void nvme_hostcmd_identify(struct nvme_hostcmd *cmd, uint8_t cns, uint32_t nsid, void *data4096);
void nvme_hostcmd_log(struct nvme_hostcmd *cmd, uint8_t lid, uint32_t nsid, uint64_t offset,
		      void *data, uint32_t len);

/* One raw queue: connects the socket and does ICReq; what follows is the caller's. */
struct nvme_hostq_opts {
	struct sock_addr addr;
	uint32_t queue_size; /* commands under way at most */
	bool header_digest, data_digest;
	const char *congestion; /* as of nvme_host_opts */
	uint8_t hpda;           /* alignment asked for of the controller's data, 0's based dwords */
	/*
	 * Set, for tests of the wire: no ICReq is sent (state 0 comes when TCP is connected), no commands; all that arrives comes
	 * here, end of stream as len 0. Else what arrives is parsed and checked.
	 */
	void (*on_bytes)(struct nvme_hostq *q, const void *bytes, size_t len, void *ctx);
	void (*on_state)(struct nvme_hostq *q, int state, const struct err *err,
			 void *ctx); /* 0: ICResp is here */
	void *ctx;
};
int nvme_hostq_new(struct reactor *r, const struct nvme_hostq_opts *opts, struct nvme_hostq **ret,
		   struct err *err);
/* Ends all commands (-ECONNRESET, or -ENOTCONN when never sent) as a task, then frees. No on_state after it. */
void nvme_hostq_free(struct nvme_hostq *q);
/* More than queue_size wait in the library. */
void nvme_hostq_submit(struct nvme_hostq *q, struct nvme_hostcmd *cmd);
/* In-capsule data that the controller takes, bytes; 8192 (the admin queue's) until set. */
void nvme_hostq_set_capsule(struct nvme_hostq *q, uint32_t bytes);
/* Fabrics Connect with the given fields. sqsize: 0's based. */
void nvme_hostcmd_connect(struct nvme_hostcmd *cmd, struct nvme_connect_data *data, uint16_t qid,
			  uint16_t sqsize, uint32_t kato_ms, uint8_t cattr, uint16_t cntlid,
			  const struct uuid *hostid, const char *subnqn, const char *hostnqn);
void nvme_hostcmd_property_get(struct nvme_hostcmd *cmd, uint32_t offset, bool eight_bytes);
void nvme_hostcmd_property_set(struct nvme_hostcmd *cmd, uint32_t offset, uint64_t value);
/* Bytes as they are (copied), for tests of bad PDUs. Own the connection from then on: no commands. */
int nvme_hostq_send_raw(struct nvme_hostq *q, const void *bytes, size_t len);

#endif
