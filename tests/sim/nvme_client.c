/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of sim-nvme: connects, keeps a number of commands under way, checks every answer against the model, and connects again
 * when it is cut off. Everything runs on the host's reactor.
 *
 * Invariants:
 *   1. A command ends exactly once: op->busy is set by its submit and cleared by its done.
 *   2. The blocks of a changing command are locked in the model from before its submit until after its done.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/nvme_world.h"

#define DSM_RANGES_MAX 4u
#define DSM_DEALLOCATE 4u

static void client_set_timer(struct client *c, uint64_t in_ns)
{
	if (timer_start(c->r, &c->retry, reactor_now(c->r) + in_ns))
		sim_fail("no memory for a timer");
}

static uint64_t below(struct client *c, uint64_t n)
{
	return rng_below(sim_rng(c->w->sim), n);
}

/* --- one command --- */

static bool status_is_expected(int status)
{
	if (status <= 0)
		return status == 0 || status == -ECONNRESET || status == -ENOTCONN;
	switch (status & ~(int)(NVME_STATUS_DNR | NVME_STATUS_MORE)) {
	case NVME_SC_INVALID_NS:
	case NVME_SC_NS_NOT_READY:
	case NVME_SC_ABORT_REQ:
	case NVME_SC_ABORT_QUEUE:
	case NVME_SC_WRITE_FAULT:
	case NVME_SC_READ_ERROR:
	case NVME_SC_CAP_EXCEEDED:
	case NVME_SC_COMPARE_FAILED:
	case NVME_SC_FUSED_FAIL:
	case NVME_SC_FUSED_MISSING:
	case NVME_SC_INTERRUPTED:
	case NVME_SC_ANA_PERSISTENT_LOSS:
	case NVME_SC_ANA_INACCESSIBLE:
	case NVME_SC_ANA_TRANSITION:
		return true;
	default:
		return false;
	}
}

static enum model_outcome op_outcome(const struct op *op, int status)
{
	bool repeated = op->breaks != op->client->breaks;

	if (status == -ECONNRESET || (status != 0 && repeated))
		return MODEL_LOST;
	if (status == 0)
		return repeated ? MODEL_DONE_MAYBE_AGAIN : MODEL_DONE;
	return MODEL_UNSURE;
}

static void op_check(struct op *op, int status, uint64_t now_ns)
{
	struct nvme_world *w = op->client->w;
	enum model_outcome outcome = op_outcome(op, status);

	switch (op->kind) {
	case OP_READ:
		if (status == 0 &&
		    !model_check(op->model, op->lba, op->n, op->data, op->start_ns, now_ns))
			sim_fail("client %u read what was never there", op->client->id);
		w->reads_checked += status == 0;
		break;
	case OP_WRITE:
	case OP_ZEROES:
		model_write_end(op->model, op->lba, op->n, op->version, now_ns, outcome);
		break;
	case OP_DSM: /* a hint: done or not, and never more often than that */
		model_write_end(op->model, op->lba, op->n, 0, now_ns,
				outcome == MODEL_DONE               ? MODEL_UNSURE
				: outcome == MODEL_DONE_MAYBE_AGAIN ? MODEL_LOST
								    : outcome);
		break;
	case OP_COMPARE:
		if (op->must_match ? (status & 0x7ff) == NVME_SC_COMPARE_FAILED && status > 0
				   : status == 0)
			sim_fail("client %u: a compare of %s data gave status %x", op->client->id,
				 op->must_match ? "the same" : "other", status);
		break;
	case OP_FUSED:
		model_write_end(op->model, op->lba, op->n, op->version, now_ns, outcome);
		if (status == 0 && op->first_status != 0 && outcome == MODEL_DONE)
			sim_fail("client %u: a fused write was done although the compare gave %x",
				 op->client->id, (unsigned)op->first_status);
		if (op->first_status > 0 && (op->first_status & 0x7ff) == NVME_SC_COMPARE_FAILED &&
		    op->breaks == op->client->breaks)
			sim_fail("client %u: a fused compare of the same data failed",
				 op->client->id);
		break;
	case OP_FLUSH:
	case OP_KINDS:
		break;
	}
}

static void op_done(struct nvme_hostcmd *cmd, int status)
{
	struct op *op = cmd->ctx;
	struct client *c = op->client;

	if (!op->busy)
		sim_fail("client %u: a command ended twice", c->id);
	if (!status_is_expected(status))
		sim_fail("client %u: opcode %02x on nsid %u lba %" PRIu64
			 " + %u ended with status %d (%x)",
			 c->id, cmd->sqe.opcode, le32toh(cmd->sqe.nsid), op->lba, op->n, status,
			 (unsigned)status);
	op_check(op, status, reactor_now_exact(c->r));
	if (op->locked)
		model_unlock(op->model, op->lba, op->n);
	op->locked = false;
	op->busy = false;
	c->n_busy--;
	c->w->ops_done++;
	c->w->ops_ok += status == 0;
	sim_trace(c->w->sim, "op", c->id << 8 | op->kind, (uint64_t)(unsigned)status);
	if (status >= 0)
		client_pump(c);
}

static void half_done(struct nvme_hostcmd *cmd, int status)
{
	struct op *op = cmd->ctx;

	if (!op->halves)
		sim_fail("client %u: half of a fused pair ended twice", op->client->id);
	if (!status_is_expected(status))
		sim_fail("client %u: half of a fused pair ended with status %x", op->client->id,
			 (unsigned)status);
	if (cmd == &op->second)
		op->second_status = status;
	else
		op->first_status = status;
	if (--op->halves == 0)
		op_done(&op->cmd, op->second_status);
}

/* Whether the command needs its blocks for itself, and has them. */
static bool op_lock(struct op *op)
{
	if (op->kind == OP_READ || op->kind == OP_FLUSH)
		return true;
	op->locked = model_lock(op->model, op->lba, op->n);
	return op->locked;
}

static void dsm_fill(struct op *op)
{
	uint32_t n = op->n >= DSM_RANGES_MAX ? 1 + (uint32_t)below(op->client, DSM_RANGES_MAX) : 1;
	uint32_t done = 0;

	for (uint32_t i = 0; i < n; i++) { /* context attributes, length, start */
		uint32_t len = i + 1 == n ? op->n - done : op->n / n;

		put_le32(op->data + i * 16, 0);
		put_le32(op->data + i * 16 + 4, len);
		put_le64(op->data + i * 16 + 8, op->lba + done);
		done += len;
	}
	op->cmd.sqe.opcode = NVME_IO_DSM;
	op->cmd.sqe.nsid = htole32(op->model->nsid);
	op->cmd.sqe.cdw10 = htole32(n - 1);
	op->cmd.sqe.cdw11 = htole32(DSM_DEALLOCATE);
	op->cmd.data = op->data;
	op->cmd.data_len = n * 16;
	model_write_begin(op->model, op->lba, op->n, 0, op->start_ns);
}

static void compare_fill(struct op *op)
{
	uint32_t bytes = op->n * op->model->block_size;

	op->must_match = model_expect(op->model, op->lba, op->n, op->data) && below(op->client, 2);
	if (!op->must_match) /* no version has this bit */
		op->data[below(op->client, op->n) * op->model->block_size + 7] |= 0x80;
	nvme_hostcmd_rw(&op->cmd, true, op->model->nsid, op->lba, op->n, op->data, bytes);
	op->cmd.sqe.opcode = NVME_IO_COMPARE;
}

/* Compare and write of one block, whose content is known. */
static void fused_fill(struct op *op)
{
	uint8_t *next = op->data + OP_BYTES_MAX / 2;

	op->version = ++op->client->w->version;
	model_write_begin(op->model, op->lba, 1, op->version, op->start_ns);
	model_fill(op->model, op->lba, 1, op->version, next);
	memset(&op->second, 0, sizeof(op->second));
	nvme_hostcmd_rw(&op->cmd, true, op->model->nsid, op->lba, 1, op->data,
			op->model->block_size);
	op->cmd.sqe.opcode = NVME_IO_COMPARE;
	op->cmd.sqe.flags |= NVME_SQE_FUSE_FIRST;
	nvme_hostcmd_rw(&op->second, true, op->model->nsid, op->lba, 1, next,
			op->model->block_size);
	op->second.sqe.flags |= NVME_SQE_FUSE_SECOND;
	op->second.done = half_done;
	op->second.ctx = op;
	op->halves = 2;
}

static void op_fill(struct op *op)
{
	uint32_t bytes = op->n * op->model->block_size;

	memset(&op->cmd, 0, sizeof(op->cmd));
	switch (op->kind) {
	case OP_READ:
		memset(op->data, 0xee, bytes);
		nvme_hostcmd_rw(&op->cmd, false, op->model->nsid, op->lba, op->n, op->data, bytes);
		break;
	case OP_WRITE:
		op->version = ++op->client->w->version;
		model_write_begin(op->model, op->lba, op->n, op->version, op->start_ns);
		model_fill(op->model, op->lba, op->n, op->version, op->data);
		nvme_hostcmd_rw(&op->cmd, true, op->model->nsid, op->lba, op->n, op->data, bytes);
		if (below(op->client, 8) == 0)
			op->cmd.sqe.cdw12 |= htole32(NVME_RW_FUA);
		break;
	case OP_ZEROES:
		op->version = 0;
		model_write_begin(op->model, op->lba, op->n, 0, op->start_ns);
		nvme_hostcmd_rw(&op->cmd, true, op->model->nsid, op->lba, op->n, NULL, 0);
		op->cmd.sqe.opcode = NVME_IO_WRITE_ZEROES;
		if (below(op->client, 2))
			op->cmd.sqe.cdw12 |= htole32(NVME_WZ_DEAC);
		break;
	case OP_COMPARE:
		compare_fill(op);
		break;
	case OP_DSM:
		dsm_fill(op);
		break;
	case OP_FUSED:
		fused_fill(op);
		break;
	case OP_FLUSH:
	case OP_KINDS:
		nvme_hostcmd_flush(&op->cmd, op->model->nsid);
		break;
	}
	op->cmd.done = op->kind == OP_FUSED ? half_done : op_done;
	op->cmd.ctx = op;
}

static enum op_kind kind_pick(struct client *c)
{
	static const enum op_kind of[16] = {
		OP_READ,  OP_READ,  OP_READ,  OP_READ,  OP_READ,   OP_READ,  OP_WRITE,   OP_WRITE,
		OP_WRITE, OP_WRITE, OP_WRITE, OP_FUSED, OP_ZEROES, OP_FLUSH, OP_COMPARE, OP_DSM,
	};

	return of[below(c, 16)];
}

/* Now and then a host writes like a log: many blocks of one size in a row. True while it does. */
static bool in_burst(struct client *c)
{
	if (!c->burst && below(c, 64) == 0) {
		c->burst = 20 + (unsigned)below(c, 100);
		c->burst_ns = (unsigned)below(c, N_NS);
		c->burst_len = 4096 * (1 + (uint32_t)below(c, 4));
	}
	if (!c->burst)
		return false;
	c->burst--;
	return true;
}

static bool op_start(struct op *op)
{
	struct client *c = op->client;
	const bool burst = in_burst(c);
	struct sim_ns *ns = &c->w->ns[burst ? c->burst_ns : below(c, N_NS)];
	unsigned queue;
	uint32_t max = MIN(MIN(OP_BYTES_MAX, nvme_host_mdts(c->host)) / ns->model.block_size,
			   ns->model.n_blocks);

	op->model = &ns->model;
	op->n = 1 + (uint32_t)below(c, below(c, 10) ? MIN(max, 8u) : max);
	if (burst)
		op->n = MIN(max, c->burst_len / ns->model.block_size);
	op->lba = below(c, ns->model.n_blocks - op->n + 1);
	op->kind = burst ? OP_WRITE : kind_pick(c);
	if (op->kind == OP_FUSED)
		op->n = 1;
	if (!op_lock(op))
		op->kind = OP_READ;
	if (op->kind == OP_FUSED && !model_expect(op->model, op->lba, 1, op->data))
		op->kind = OP_WRITE;
	op->start_ns = reactor_now_exact(c->r);
	op->breaks = c->breaks;
	op_fill(op);
	op->busy = true;
	c->n_busy++;
	queue = burst ? 0 : (unsigned)below(c, c->n_queues);
	nvme_host_io(c->host, queue, &op->cmd);
	if (op->kind == OP_FUSED)
		nvme_host_io(c->host, queue, &op->second);
	return true;
}

void client_pump(struct client *c)
{
	for (unsigned i = 0; i < c->n_ops; i++) {
		if (c->w->stopping || c->state != CLIENT_UP)
			return;
		if (!c->op[i].busy)
			(void)op_start(&c->op[i]);
	}
}

/* --- the connection --- */

static void client_connect(struct client *c);

static void client_closed(void *ctx)
{
	struct client *c = ctx;

	if (c->n_busy || c->abort_busy)
		sim_fail("client %u was closed with %u commands that did not end", c->id,
			 c->n_busy);
	c->host = NULL;
	c->state = CLIENT_DOWN;
	if (!c->gone_for_good)
		client_set_timer(c, (1 + below(c, 50)) * NSEC_PER_MSEC);
}

static void client_close(struct client *c, bool kill)
{
	c->state = CLIENT_CLOSING;
	c->breaks++;
	c->w->breaks++;
	if (kill)
		nvme_host_kill(c->host, client_closed, c);
	else
		nvme_host_close(c->host, client_closed, c);
}

static void client_state_changed(struct nvme_host *h, int state, const struct err *err, void *ctx)
{
	struct client *c = ctx;

	if (c->state == CLIENT_CLOSING)
		return;
	if (state == 0) {
		c->state = CLIENT_UP;
		client_pump(c);
		return;
	}
	c->breaks++;
	c->w->breaks++;
	c->state = CLIENT_CONNECTING;
	if (!c->reconnects) /* this one stays down: close it, outside of its callback */
		client_set_timer(c, 1);
}

static void client_event(struct nvme_host *h, uint32_t dw0, void *ctx)
{
	struct client *c = ctx;

	sim_trace(c->w->sim, "event", c->id, dw0);
}

static void client_connect(struct client *c)
{
	struct nvme_host_opts opts = nvme_host_opts_default();
	struct err err = {0};

	c->n_queues = 1 + (unsigned)below(c, 3);
	c->reconnects = below(c, 3) == 0;
	opts.addr = c->w->addr[below(c, N_PORTS)];
	opts.subnqn = SUBNQN;
	opts.hostnqn = c->hostnqn;
	opts.hostid = c->hostid;
	c->queue_size = 2 + (unsigned)below(c, 31);
	opts.queue_size = c->queue_size;
	opts.n_io_queues = c->n_queues;
	opts.kato_ms = below(c, 2) ? 0 : 5000;
	opts.header_digest = below(c, 2);
	opts.data_digest = below(c, 2);
	opts.disable_sqfc = below(c, 4);
	opts.reconnect = c->reconnects;
	opts.on_state = client_state_changed;
	opts.on_event = client_event;
	opts.ctx = c;
	c->state = CLIENT_CONNECTING;
	if (nvme_host_new(c->r, &opts, &c->host, &err))
		sim_fail("client %u: %s", c->id, err.text);
}

static void client_retry(struct timer *timer)
{
	struct client *c = container_of(timer, struct client, retry);

	if (c->state == CLIENT_DOWN && !c->gone_for_good)
		client_connect(c);
	else if (c->state == CLIENT_CONNECTING && c->host)
		client_close(c, true);
}

static void abort_done(struct nvme_hostcmd *cmd, int status)
{
	struct client *c = cmd->ctx;

	c->abort_busy = false;
	if (status > 0 && (status & 0x7ff) != NVME_SC_ABORT_LIMIT &&
	    (status & 0x7ff) != NVME_SC_INVALID_FIELD)
		sim_fail("client %u: Abort ended with status %x", c->id, (unsigned)status);
}

static void client_abort(struct client *c)
{
	const struct op *op = &c->op[below(c, c->n_ops)];

	if (c->abort_busy || !op->busy)
		return;
	nvme_hostcmd_simple(&c->abort, NVME_ADMIN_ABORT, 0);
	c->abort.sqe.cdw10 =
		htole32((uint32_t)op->cmd.cid << 16 | (1 + (uint32_t)below(c, c->n_queues)));
	c->abort.done = abort_done;
	c->abort.ctx = c;
	c->abort_busy = true;
	nvme_host_admin(c->host, &c->abort);
}

void client_chaos(struct client *c)
{
	if (c->state == CLIENT_CLOSING || !c->host)
		return;
	if (below(c, 4) == 0)
		client_close(c, below(c, 3) > 0);
	else if (c->state == CLIENT_UP)
		client_abort(c);
}

void client_leave(struct client *c)
{
	c->gone_for_good = true;
	timer_stop(&c->retry);
	if (c->host && c->state != CLIENT_CLOSING)
		client_close(c, below(c, 4) == 0);
}

bool client_is_quiet(const struct client *c)
{
	return c->n_busy == 0 && !c->abort_busy;
}

void client_init(struct nvme_world *w, unsigned id)
{
	struct client *c = &w->client[id];

	c->w = w;
	c->id = id;
	c->r = w->host_r[id % N_HOST_REACTORS];
	c->retry.run = client_retry;
	c->n_ops = 1 + (unsigned)rng_below(sim_rng(w->sim), OPS_MAX);
	c->hostid.b[0] = 0x10;
	c->hostid.b[15] = (uint8_t)(id + 1);
	(void)snprintf(c->hostnqn, sizeof(c->hostnqn), "nqn.2026-01.io.litepool:host%u", id);
	for (unsigned i = 0; i < c->n_ops; i++) {
		c->op[i].client = c;
		c->op[i].data = aligned_alloc(4096, OP_BYTES_MAX);
		ASSERT(c->op[i].data);
		memset(c->op[i].data, 0,
		       OP_BYTES_MAX); /* some commands send what the last left there */
	}
}

void client_fini(struct client *c)
{
	for (unsigned i = 0; i < c->n_ops; i++)
		free(c->op[i].data);
}

void client_print(const struct client *c)
{
	fprintf(stderr,
		"client %u: state %d cntlid %u reconnects %d abort %d commands under way:", c->id,
		c->state, c->host ? nvme_host_cntlid(c->host) : 0, c->reconnects, c->abort_busy);
	for (unsigned i = 0; i < c->n_ops; i++)
		if (c->op[i].busy)
			fprintf(stderr,
				" (kind %d nsid %u lba %" PRIu64 " + %u cid %u since %" PRIu64 ")",
				c->op[i].kind, c->op[i].model->nsid, c->op[i].lba, c->op[i].n,
				c->op[i].cmd.cid, c->op[i].start_ns);
	fprintf(stderr, "\n");
}
