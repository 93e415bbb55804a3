/* SPDX-License-Identifier: Apache-2.0 */
/* One queue under test against the fake, and commands that remember how they ended. */
#ifndef LITEPOOL_TESTS_INITIATOR_ONE_H
#define LITEPOOL_TESTS_INITIATOR_ONE_H

#include "fake.h"

#define DEPTH 4

struct one {
	struct fake *f;
	struct fake_conn *c;
	struct nvme_hostq *q;
	int state; /* 1: none told yet */
	struct err err;
};

struct cmd {
	struct nvme_hostcmd cmd;
	int status;
	unsigned done;
	struct nvme_hostq *free_q; /* freed in the callback */
};

struct cmd *cmd_new(void);
/* Before anything is connected. */
struct one one_begin(void);
/* Up to the ICReq. */
void one_open(struct one *o, bool hdgst, bool ddgst, uint8_t hpda);
/* Begun, opened and told that it is ready; split as in struct fake. */
void one_ready(struct one *o, bool hdgst, bool ddgst, size_t split);
void one_free(struct one *o);
void one_state(struct nvme_hostq *q, int state, const struct err *err, void *ctx);
/* Until the capsule has come. */
void submit_rw(struct one *o, struct cmd *c, bool write, void *data, uint32_t len);
void wait_done(struct one *o, struct cmd *c, int status);

#endif
