/* SPDX-License-Identifier: Apache-2.0 */
/* A small controller on the fake: enough of admin for a host to come up, and a namespace of a few blocks. */
#ifndef LITEPOOL_TESTS_INITIATOR_FAKE_CTRL_H
#define LITEPOOL_TESTS_INITIATOR_FAKE_CTRL_H

#include "fake.h"

#define CTRL_BLOCKS 256
#define CTRL_HELD   16

struct fake_ctrl {
	struct fake *f;
	/* Behaviour. */
	uint16_t connect_status; /* answers admin Connects with it */
	unsigned queues;         /* granted */
	uint16_t mqes;           /* 0's based */
	bool never_ready, no_keep_alive, hold_io, no_shutdown;
	uint32_t oaes;
	/* What happened. */
	unsigned admin_connects, io_connects, keep_alives, reads, writes, shutdowns, features;
	unsigned csts_reads;
	uint16_t io_sqsize, io_cntlid;
	uint32_t aen_mask;
	struct fake_conn *admin;
	uint16_t aer[CTRL_HELD];
	unsigned n_aers;
	unsigned held; /* I/O commands that were not answered */
	uint8_t data[CTRL_BLOCKS * 512];
};

struct fake_ctrl *ctrl_new(void);
void ctrl_free(struct fake_ctrl *ctrl);
/* Answers a held Asynchronous Event Request. */
void ctrl_event(struct fake_ctrl *ctrl, uint32_t dw0);
/* All connections end, as when the target dies. */
void ctrl_crash(struct fake_ctrl *ctrl);

#endif
