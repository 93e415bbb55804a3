/* SPDX-License-Identifier: Apache-2.0 */
/* The association from inside: host.c (the state machine), host_io.c (commands of the user), host_live.c (keep-alive and events). */
#ifndef LITEPOOL_INITIATOR_HOST_H
#define LITEPOOL_INITIATOR_HOST_H

#include "initiator/hostq.h"

#define HOST_AERS 4u

/* In the order in which they are gone through; host_step() says what each does when its answer has come. */
enum host_state {
	HOST_ADMIN_QUEUE,   /* TCP and ICResp of the admin queue */
	HOST_ADMIN_CONNECT, /* Connect, queue 0 */
	HOST_CAPABILITIES,  /* Property Get CAP */
	HOST_ENABLE,        /* Property Set CC.EN */
	HOST_WAIT_READY,    /* Property Get CSTS until RDY */
	HOST_IDENTIFY,      /* Identify Controller */
	HOST_EVENTS, /* Set Features Asynchronous Event Configuration, when events are wanted */
	HOST_QUEUE_COUNT, /* Set Features Number of Queues; not for discovery */
	HOST_IO_QUEUE,    /* TCP and ICResp of I/O queue n_up */
	HOST_IO_CONNECT,  /* Connect of it */
	HOST_READY,
	HOST_PAUSE,    /* lost; connects again when the pause is over and the old queues are gone */
	HOST_DOWN,     /* lost, and reconnection is not wanted */
	HOST_SHUTDOWN, /* Property Set CC.SHN */
	HOST_WAIT_SHUTDOWN, /* Property Get CSTS until SHST says complete */
	HOST_CLOSING,       /* the queues are being freed; then closed() */
};

struct host_queue {
	struct nvme_host *host;
	struct nvme_hostq *q; /* NULL: none now */
	struct list waiting;  /* commands of the user for the time when it is up again */
};

struct nvme_host {
	struct reactor *reactor;
	struct nvme_host_opts opts; /* its strings are the copies below */
	char subnqn[NVME_NQN_FIELD + 1], hostnqn[NVME_NQN_FIELD + 1];
	enum host_state state;
	struct host_queue admin;
	struct host_queue *io; /* opts.n_io_queues of them */
	unsigned n_io;         /* granted */
	unsigned n_up;         /* I/O queues connected */
	unsigned n_alive;      /* hostqs that are not gone yet */
	bool pause_over;
	bool abrupt; /* nvme_host_kill() */

	uint64_t cap;
	uint16_t cntlid;
	uint32_t mdts_bytes, capsule_bytes, queue_size;
	uint32_t oaes;
	uint8_t aerl;

	struct nvme_hostcmd setup; /* of the state machine; one at a time */
	uint8_t setup_data[4096];
	struct timer timer;    /* polling of CSTS, the pause */
	struct timer deadline; /* of a connect or of a shutdown */

	struct nvme_hostcmd keep_alive;
	bool keep_alive_busy;
	struct timer keep_alive_timer;
	struct nvme_hostcmd aer[HOST_AERS];

	struct list refused; /* commands to end with -ENOTCONN in the next task */
	struct task refuse, finish;
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct err err;
};

/* The association is lost, for the reason given: all queues go; then a pause, or the end. Not inside a call of the user. */
__attribute__((format(printf, 3, 4))) void host_lost(struct nvme_host *h, int code, const char *fmt,
						     ...);

/* host_live.c */
void host_live_start(struct nvme_host *h); /* at READY */
void host_live_stop(struct nvme_host *h);
void host_live_init(struct nvme_host *h);
bool host_live_owns(const struct nvme_host *h, const struct nvme_hostcmd *cmd);
uint32_t host_live_event_mask(const struct nvme_host *h);

/* host_io.c */
void host_io_init(struct nvme_host *h);
/* A command came back with its queue. */
void host_io_lost(struct nvme_hostq *q, struct nvme_hostcmd *cmd, int status);
void host_io_resume(struct nvme_host *h); /* all queues are up: what waits is sent */
void host_io_refuse_waiting(struct nvme_host *h);

#endif
