/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/control.h"
#include "rt/env.h"

#define PUMP_MAX 100000

/* --- the world: a clock --- */

struct rig_env {
	struct env env;
	struct rig *rig;
};

static uint64_t env_now(struct env *env)
{
	return atomic_load(&container_of(env, struct rig_env, env)->rig->now_ns);
}

static void env_random(struct env *env, void *buf, size_t len)
{
	(void)env;
	memset(buf, 7, len);
}

static int env_thread_init(struct env *env, struct err *err)
{
	(void)env;
	(void)err;
	return 0;
}

static void env_nothing(struct env *env)
{
	(void)env;
}

static unsigned env_poll(struct env *env, int64_t wait_ns)
{
	(void)env;
	if (wait_ns)
		(void)sched_yield(); /* reactors in threads: no real sleep, no real world */
	return 0;
}

static void env_free(struct env *env)
{
	free(container_of(env, struct rig_env, env));
}

static const struct env_ops rig_env_ops = {
	.free = env_free,
	.now_ns = env_now,
	.wall_ns = env_now,
	.random = env_random,
	.thread_init = env_thread_init,
	.thread_fini = env_nothing,
	.poll = env_poll,
	.wake = env_nothing,
};

static void new_reactor(struct rig *rig, unsigned id)
{
	struct rig_env *env = calloc(1, sizeof(*env));
	const struct reactor_opts opts = {.id = id, .name = "rig", .cpu = -1};
	struct err err;

	assert_non_null(env);
	*env = (struct rig_env){.env.ops = &rig_env_ops, .rig = rig};
	assert_int_equal(reactor_new(&opts, &env->env, &rig->reactor[id], &err), 0);
	reactor_set_iobufs(rig->reactor[id], iobuf_arena_pool(rig->arena, id));
}

/* --- the transport: remembers --- */

static struct rig_req *rig_of(struct nvme_req *req)
{
	return container_of(req, struct rig_req, req);
}

static void qp_fetch(struct nvme_req *req)
{
	struct rig_req *r = rig_of(req);

	assert_false(r->q->in_call);
	assert_true(reactor_current() == atomic_load(&req->qp->reactor));
	assert_int_equal(r->completes, 0);
	assert_true(req->data_len <= r->data_size);
	r->fetches++;
	r->fetching = true;
	r->q->owes = r;
	if (r->no_fetch)
		return;
	rig_fetched(r);
}

static void qp_complete(struct nvme_req *req)
{
	struct rig_req *r = rig_of(req);
	struct rig *rig = r->q->rig;

	assert_false(r->q->in_call);
	assert_true(r->started);
	assert_true(reactor_current() == atomic_load(&req->qp->reactor));
	assert_int_equal(r->completes, 0);
	assert_int_equal(req->state, NVME_REQ_DONE);
	r->completes++;
	r->fetching = false;
	r->done_at = ++rig->n_done;
	r->status = get_le16(&req->cqe.status) >> 1;
	assert_int_equal(get_le16(&req->cqe.cid), get_le16(&req->sqe.cid));
	if (!r->status && req->xfer == NVME_XFER_C2H && req->data_len)
		memcpy(r->data, nvme_req_data(req), req->data_len);
	if (!r->no_release)
		nvme_req_release(req);
	if (r->on_done)
		r->on_done(r);
}

static void qp_close(struct nvme_qpair *qp)
{
	container_of(qp, struct rig_qp, qp)->closes++;
}

static struct nvme_req *qp_find(struct nvme_qpair *qp, uint16_t cid)
{
	return NULL;
}

static void qp_cancel_ns(struct nvme_qpair *qp, uint32_t nsid, uint16_t status)
{
	struct rig_req *r = container_of(qp, struct rig_qp, qp)->owes;

	if (r && r->fetching && get_le32(&r->req.sqe.nsid) == nsid)
		(void)nvme_req_cancel(&r->req, status);
}

void nvme_qpair_send(struct nvme_qpair *qp, struct msg *msg, void (*run)(struct msg *msg))
{
	msg->run = run;
	reactor_post(qp->reactor, msg);
}

bool nvme_qpair_follow(struct nvme_qpair *qp, struct msg *msg)
{
	return false;
}

void nvme_qpair_back(struct nvme_qpair *qp)
{
}

static const struct nvme_qpair_ops rig_qp_ops = {
	.fetch = qp_fetch,
	.complete = qp_complete,
	.close = qp_close,
	.find = qp_find,
	.cancel_ns = qp_cancel_ns,
};

/* --- what the control thread's files would do --- */

uint16_t nvme_admin_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	if (req->sqe.opcode == NVME_ADMIN_IDENTIFY) {
		*ret_xfer = NVME_XFER_C2H;
		*ret_len = 4096;
	}
	return 0;
}

void nvme_admin_execute(struct nvme_req *req)
{
	if (req->sqe.opcode == NVME_ADMIN_ASYNC_EVENT) {
		req->state = NVME_REQ_HELD;
		container_of(req->qp, struct rig_qp, qp)->rig->held = req;
		return;
	}
	nvme_req_done(req, req->sqe.opcode == NVME_ADMIN_IDENTIFY ? 0 : NVME_SC_INVALID_OPCODE);
}

void nvme_fabrics_execute(struct nvme_req *req)
{
	nvme_req_done(req, 0);
}

void nvme_aer_cancel(struct nvme_req *req)
{
	container_of(req->qp, struct rig_qp, qp)->rig->held = NULL;
}

static struct rig *rig_of_ctrlr(struct nvme_ctrlr *c)
{
	return container_of(c->ss, struct rig, ss);
}

void nvme_ctrlr_log_error(struct nvme_ctrlr *c, const struct nvme_error_entry *e)
{
	assert_int_not_equal(e->status, 0);
	rig_of_ctrlr(c)->errors_logged++;
}

void nvme_aer_resv_log(struct nvme_ctrlr *c)
{
	rig_of_ctrlr(c)->resv_events++;
}

/* --- the model --- */

static void new_disk(struct rig *rig, unsigned i)
{
	char name[16] = "ram0", fault[16] = "disk0";
	struct err err;

	name[3] = (char)('0' + i);
	fault[4] = (char)('0' + i);
	assert_int_equal(disk_ram_new(&(struct disk_ram_opts){.name = name,
							      .size_bytes = RIG_BLOCK * RIG_BLOCKS,
							      .block_size = RIG_BLOCK},
				      &rig->ram[i], &err),
			 0);
	assert_int_equal(
		disk_fault_new(
			&(struct disk_fault_opts){.name = fault, .base = rig->ram[i], .seed = 1},
			&rig->disk[i], &err),
		0);
}

static void new_ns(struct rig *rig, unsigned i)
{
	struct nvme_ns *ns = &rig->ns[i];

	new_disk(rig, i);
	ns->ss = &rig->ss;
	ns->nsid = i + 1;
	ns->anagrpid = i + 1;
	ns->dev = rig->disk[i];
	ns->resv.holder = -1;
	list_init(&ns->resv_queue);
	for (unsigned r = 0; r <= RIG_DATA; r++) {
		ns->stats[r] = calloc(1, sizeof(*ns->stats[r]));
		assert_non_null(ns->stats[r]);
	}
	rig->ss.ns[i] = ns;
}

static void new_qp(struct rig *rig, struct rig_qp *q, struct nvme_ctrlr *c, uint16_t qid,
		   struct reactor *r)
{
	q->rig = rig;
	q->qp.ops = &rig_qp_ops;
	q->qp.target = &rig->target;
	q->qp.port = &rig->port;
	atomic_store(&q->qp.reactor, r);
	q->qp.state = NVME_QP_READY;
	q->qp.ctrlr = c;
	q->qp.qid = qid;
	q->qp.qsize = 128;
}

static void new_host(struct rig *rig, unsigned h)
{
	struct nvme_ctrlr *c = &rig->ctrlr[h];

	c->ss = &rig->ss;
	c->cntlid = (uint16_t)(h + 1);
	memset(c->hostid, (int)(0xa0 + h), 16);
	atomic_store(&c->cc, NVME_CC_EN);
	atomic_store(&c->csts, NVME_CSTS_RDY);
	list_push_back(&rig->ss.ctrlrs, &c->link);
	list_init(&c->qpairs);
	for (unsigned i = 0; i < RIG_DATA; i++) {
		new_qp(rig, &rig->qp[h][i], c, (uint16_t)(i + 1), rig->reactor[i]);
		list_push_back(&c->qpairs, &rig->qp[h][i].qp.link);
	}
}

static void new_subsystem(struct rig *rig)
{
	struct nvme_subsystem *ss = &rig->ss;

	rig->port.target = &rig->target;
	ss->target = &rig->target;
	ss->nn = 4;
	ss->ns = calloc(ss->nn, sizeof(struct nvme_ns *));
	list_init(&ss->hosts);
	list_init(&ss->listeners);
	list_init(&ss->ctrlrs);
	rig->listener.port = &rig->port;
	rig->listener.ana = calloc(1, ss->nn + 1);
	memset(rig->listener.ana, NVME_ANA_OPTIMIZED, ss->nn + 1);
	list_push_back(&ss->listeners, &rig->listener.link);
	for (unsigned i = 0; i < RIG_NS; i++)
		new_ns(rig, i);
	assert_int_equal(view_init(ss), 0);
}

struct rig *rig_new(const struct iobuf_counts *counts)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const struct iobuf_counts plenty = {.n = {8, 64, 64, 8, 8, 4}};
	struct err err;

	assert_non_null(rig);
	rig->now_ns = 1000 * NSEC_PER_SEC;
	counts = counts ? counts : &plenty;
	assert_int_equal(iobuf_arena_new(counts, RIG_DATA + 1, &rig->arena, &err), 0);
	for (unsigned i = 0; i <= RIG_DATA; i++)
		new_reactor(rig, i);
	rig->target.opts = (struct nvme_target_opts){
		.control = rig->reactor[RIG_DATA],
		.data = rig->reactor,
		.n_data = RIG_DATA,
		.mdts_bytes = 128 * 1024,
	};
	assert_int_equal(nvme_freeze_init(&rig->target), 0);
	new_subsystem(rig);
	for (unsigned h = 0; h < RIG_HOSTS; h++)
		new_host(rig, h);
	new_qp(rig, &rig->admin, &rig->ctrlr[0], 0, rig->reactor[RIG_DATA]);
	return rig;
}

void rig_free(struct rig *rig)
{
	rig_pump(rig);
	assert_int_equal(rig_buffers_out(rig), 0);
	view_fini(&rig->ss);
	for (unsigned i = 0; i < RIG_NS; i++) {
		rig->disk[i]->ops->destroy(rig->disk[i]);
		rig_pump(rig); /* it leaves its reactors by message */
		rig->ram[i]->ops->destroy(rig->ram[i]);
		for (unsigned r = 0; r <= RIG_DATA; r++)
			free(rig->ns[i].stats[r]);
	}
	free(rig->ss.ns);
	free(rig->listener.ana);
	nvme_freeze_fini(&rig->target);
	for (unsigned i = 0; i <= RIG_DATA; i++)
		reactor_free(rig->reactor[i]);
	iobuf_arena_free(rig->arena);
	free(rig);
}

void rig_pump(struct rig *rig)
{
	bool work = true;

	for (unsigned n = 0; work; n++) {
		assert_true(n < PUMP_MAX);
		work = false;
		for (unsigned i = 0; i <= RIG_DATA; i++)
			work |= reactor_pass(rig->reactor[i], 0);
	}
}

void rig_advance(struct rig *rig, uint64_t ns)
{
	rig->now_ns += ns;
	rig_pump(rig);
}

unsigned rig_buffers_out(struct rig *rig)
{
	unsigned n = 0;

	for (unsigned i = 0; i <= RIG_DATA; i++) {
		for (enum iobuf_class c = 0; c < IOBUF_CLASSES; c++)
			n += iobuf_usage(reactor_iobufs(rig->reactor[i]), c).in_use;
	}
	return n;
}

/* --- requests --- */

struct rig_req *rig_req_new(struct rig_qp *q, uint8_t opcode, uint32_t nsid)
{
	struct rig_req *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->q = q;
	r->req.qp = &q->qp;
	r->req.sqe.opcode = opcode;
	r->req.sqe.flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG;
	put_le16(&r->req.sqe.cid, 77);
	put_le32(&r->req.sqe.nsid, nsid);
	return r;
}

void rig_cdw(struct rig_req *r, uint32_t cdw10, uint32_t cdw11, uint32_t cdw12)
{
	put_le32(&r->req.sqe.cdw10, cdw10);
	put_le32(&r->req.sqe.cdw11, cdw11);
	put_le32(&r->req.sqe.cdw12, cdw12);
}

void rig_data(struct rig_req *r, size_t size)
{
	free(r->data);
	r->data = calloc(1, size ? size : 1);
	r->data_size = size;
	r->req.xfer_len = (uint32_t)size;
}

void rig_fill(struct rig_req *r, uint8_t byte)
{
	memset(r->data, byte, r->data_size);
}

struct rig_req *rig_rw(struct rig_qp *q, uint8_t opcode, uint32_t nsid, uint64_t lba,
		       uint32_t blocks)
{
	struct rig_req *r = rig_req_new(q, opcode, nsid);
	const bool moves =
		opcode == NVME_IO_READ || opcode == NVME_IO_WRITE || opcode == NVME_IO_COMPARE;

	rig_cdw(r, (uint32_t)lba, (uint32_t)(lba >> 32), blocks - 1);
	rig_data(r, moves ? (size_t)blocks * RIG_BLOCK : 0);
	return r;
}

void rig_req_free(struct rig_req *r)
{
	if (r->q->owes == r)
		r->q->owes = NULL;
	assert_true(!r->started || r->req.state == NVME_REQ_FREE);
	free(r->data);
	free(r);
}

static struct reactor *reactor_of(const struct rig_req *r)
{
	return atomic_load(&r->q->qp.reactor);
}

static void start_msg(struct msg *msg)
{
	struct rig_req *r = container_of(msg, struct rig_req, msg);

	if (r->capsule) {
		r->req.buf = iobuf_get(reactor_iobufs(reactor_of(r)), IOBUF_CAPSULE, NULL);
		assert_non_null(r->req.buf);
		r->req.buf_off = 0;
		memcpy(r->req.buf->data, r->data, r->data_size);
	}
	r->req.in_capsule = r->capsule;
	r->req.sgl_bad = r->sgl_bad;
	r->started = true;
	r->q->in_call = true;
	if (r->bad_digest)
		nvme_req_fail(&r->req, r->bad_digest);
	else
		nvme_req_start(&r->req);
	r->q->in_call = false;
}

static void post(struct rig_req *r, struct msg *msg, void (*run)(struct msg *))
{
	msg->run = run;
	reactor_post(reactor_of(r), msg);
}

void rig_start(struct rig_req *r)
{
	r->completes = r->fetches = r->done_at = 0;
	post(r, &r->msg, start_msg);
}

static void cancel_msg(struct msg *msg)
{
	struct rig_req *r = container_of(msg, struct rig_req, msg_cancel);

	r->q->in_call = true;
	r->caught = nvme_req_cancel(&r->req, r->cancel_with);
	r->q->in_call = false;
}

void rig_cancel(struct rig_req *r, uint16_t status)
{
	r->cancel_with = status;
	post(r, &r->msg_cancel, cancel_msg);
}

static void release_msg(struct msg *msg)
{
	nvme_req_release(&container_of(msg, struct rig_req, msg)->req);
}

void rig_release(struct rig_req *r)
{
	post(r, &r->msg, release_msg);
}

static void fetched_msg(struct msg *msg)
{
	struct rig_req *r = container_of(msg, struct rig_req, msg_fetched);

	if (!r->fetching)
		return; /* cancelled since */
	r->fetching = false;
	memcpy(nvme_req_buf(&r->req), r->data, r->req.data_len);
	r->q->in_call = true;
	nvme_req_fetched(&r->req);
	r->q->in_call = false;
}

void rig_fetched(struct rig_req *r)
{
	post(r, &r->msg_fetched, fetched_msg);
}

uint16_t rig_run(struct rig_req *r)
{
	rig_start(r);
	rig_pump(r->q->rig);
	assert_int_equal(r->completes, 1);
	return r->status;
}

uint16_t rig_run_free(struct rig_req *r)
{
	const uint16_t status = rig_run(r);

	rig_req_free(r);
	return status;
}

/* --- faults, publish, looks --- */

static uint32_t add_rule(struct rig *rig, unsigned i, const struct disk_fault_rule *rule)
{
	uint32_t id;
	struct err err;

	assert_int_equal(disk_fault_add(rig->disk[i], rule, &id, &err), 0);
	return id;
}

uint32_t rig_hang(struct rig *rig, unsigned i, unsigned ops)
{
	return add_rule(
		rig, i,
		&(struct disk_fault_rule){.kind = DISK_FAULT_HANG, .ops = ops, .probability = 1});
}

void rig_fail(struct rig *rig, unsigned i, unsigned ops, int error, uint64_t count)
{
	(void)add_rule(rig, i,
		       &(struct disk_fault_rule){.kind = DISK_FAULT_ERROR,
						 .ops = ops,
						 .probability = 1,
						 .error = error,
						 .count = count});
}

void rig_unhang(struct rig *rig, unsigned i)
{
	struct err err;

	assert_int_equal(disk_fault_remove(rig->disk[i], 0, &err), 0);
}

static void count_done(void *ctx, int res)
{
	assert_int_equal(res, 0);
	++*(unsigned *)ctx;
}

void rig_publish(struct rig *rig, unsigned *done)
{
	view_publish(&rig->ss, done ? count_done : NULL, done);
}

/* Reads through a queue of its own reactor: the disk's memory has no other door. */
void rig_peek(struct rig *rig, unsigned i, uint64_t lba, void *block)
{
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, i + 1, lba, 1);

	assert_status(rig_run(r), 0);
	memcpy(block, r->data, RIG_BLOCK);
	rig_req_free(r);
}

uint16_t rig_resv(struct rig *rig, unsigned h, uint8_t opcode, uint32_t cdw10, uint64_t key,
		  uint64_t other_key)
{
	struct rig_req *r = rig_req_new(&rig->qp[h][0], opcode, 1);

	rig_data(r, opcode == NVME_IO_RESV_RELEASE ? 8 : 16);
	put_le64(r->data, key);
	if (r->data_size == 16)
		put_le64(r->data + 8, other_key);
	rig_cdw(r, cdw10, 0, 0);
	return rig_run_free(r);
}
