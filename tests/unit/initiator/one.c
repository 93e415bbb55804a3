/* SPDX-License-Identifier: Apache-2.0 */
#include "one.h"

#include <stdlib.h>

void one_state(struct nvme_hostq *q, int state, const struct err *err, void *ctx)
{
	struct one *o = ctx;

	o->state = state;
	if (err)
		o->err = *err;
}

static void on_done(struct nvme_hostcmd *cmd, int status)
{
	struct cmd *c = cmd->ctx;

	c->status = status;
	c->done++;
	nvme_hostq_free(c->free_q);
	c->free_q = NULL;
}

struct cmd *cmd_new(void)
{
	struct cmd *c = calloc(1, sizeof(*c));

	c->cmd.done = on_done;
	c->cmd.ctx = c;
	return c;
}

struct one one_begin(void)
{
	return (struct one){.f = fake_new(), .state = 1};
}

void one_open(struct one *o, bool hdgst, bool ddgst, uint8_t hpda)
{
	struct nvme_hostq_opts opts = {.addr = o->f->addr,
				       .queue_size = DEPTH,
				       .header_digest = hdgst,
				       .data_digest = ddgst,
				       .hpda = hpda,
				       .on_state = one_state,
				       .ctx = o};
	struct err err;

	assert_int_equal(nvme_hostq_new(o->f->r, &opts, &o->q, &err), 0);
	run_until(o->f, o->f->n_conns == 1 && o->f->conn[0]->n_pdus == 1);
	o->c = o->f->conn[0];
	assert_int_equal(o->c->pdu[0].ch.pdu_type, PDU_ICREQ);
}

void one_ready(struct one *o, bool hdgst, bool ddgst, size_t split)
{
	*o = one_begin();
	one_open(o, hdgst, ddgst, 0);
	o->f->split = split;
	fake_icresp(o->c, 4096);
	run_until(o->f, o->state <= 0);
	assert_int_equal(o->state, 0);
}

void one_free(struct one *o)
{
	nvme_hostq_free(o->q);
	run_some(o->f);
	fake_free(o->f);
}

void submit_rw(struct one *o, struct cmd *c, bool write, void *data, uint32_t len)
{
	unsigned before = o->c->n_pdus;

	nvme_hostcmd_rw(&c->cmd, write, 1, 0, len / 512, data, len);
	nvme_hostq_submit(o->q, &c->cmd);
	run_until(o->f, o->c->n_pdus > before);
}

void wait_done(struct one *o, struct cmd *c, int status)
{
	run_until(o->f, c->done);
	assert_int_equal(c->done, 1);
	assert_int_equal(c->status, status);
}
