/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "rt/env.h"

#define PUMP_MAX 10000

struct lab_env {
	struct env env;
	struct lab *lab;
};

/* --- the world: a clock --- */

static uint64_t env_now(struct env *env)
{
	return container_of(env, struct lab_env, env)->lab->now_ns;
}

static uint64_t env_wall(struct env *env)
{
	const struct lab *lab = container_of(env, struct lab_env, env)->lab;

	return lab->now_ns - lab->wall_behind_ns;
}

static void env_random(struct env *env, void *buf, size_t len)
{
	memset(buf, 7, len);
}

static int env_thread_init(struct env *env, struct err *err)
{
	return 0;
}

static void env_nothing(struct env *env)
{
}

static unsigned env_poll(struct env *env, int64_t wait_ns)
{
	return 0;
}

static void env_free(struct env *env)
{
	free(container_of(env, struct lab_env, env));
}

static const struct env_ops lab_env_ops = {
	.free = env_free,
	.now_ns = env_now,
	.wall_ns = env_wall,
	.random = env_random,
	.thread_init = env_thread_init,
	.thread_fini = env_nothing,
	.poll = env_poll,
	.wake = env_nothing,
};

static void reactor_make(struct lab *lab, unsigned id)
{
	struct lab_env *env = calloc(1, sizeof(*env));
	struct err err;

	assert_non_null(env);
	env->env.ops = &lab_env_ops;
	env->lab = lab;
	assert_int_equal(reactor_new(&(struct reactor_opts){.id = id, .name = "lab", .cpu = -1},
				     &env->env, &lab->reactor[id], &err),
			 0);
	reactor_set_iobufs(lab->reactor[id], iobuf_arena_pool(lab->arena, id));
}

void lab_pump(struct lab *lab)
{
	unsigned idle = 0;

	if (lab->ragged) {
		for (uint64_t n = rng_below(lab->ragged, 6); n; n--)
			(void)reactor_pass(lab->reactor[rng_below(lab->ragged, LAB_DATA + 1)], 0);
		return;
	}
	for (unsigned i = 0; idle < 3; i++) {
		bool work = false;

		assert_true(i < PUMP_MAX);
		for (unsigned r = 0; r <= LAB_DATA; r++)
			work |= reactor_pass(lab->reactor[r], 0);
		idle = work ? 0 : idle + 1;
	}
}

void lab_advance(struct lab *lab, uint64_t ms)
{
	lab->now_ns += ms * 1000000;
	lab_pump(lab);
}

void lab_done(void *ctx, int res)
{
	(*(unsigned *)ctx)++;
}

/* --- the transport --- */

static struct cmd *cmd_of(struct nvme_req *req)
{
	return container_of(req, struct cmd, req);
}

static void conn_gone(struct nvme_qpair *qp)
{
	struct conn *conn = container_of(qp, struct conn, qp);

	assert_true(reactor_current() == conn->lab->reactor[LAB_DATA]);
	assert_false(conn->gone);
	conn->gone = true;
	conn->lab->n_conns--;
}

static void conn_maybe_disconnect(struct conn *conn)
{
	if (!conn->closing || conn->disconnected || !list_empty(&conn->cmds))
		return;
	conn->disconnected = true;
	nvme_qpair_disconnect(&conn->qp, conn_gone);
}

static void qp_close(struct nvme_qpair *qp)
{
	struct conn *conn = container_of(qp, struct conn, qp);

	assert_true(reactor_current() == qp->reactor);
	if (conn->closing)
		return;
	conn->closing = true;
	list_for_each_safe (it, &conn->cmds)
		(void)nvme_req_cancel(&list_entry(it, struct cmd, req.tlink)->req,
				      NVME_SC_ABORT_QUEUE);
	conn_maybe_disconnect(conn);
}

static void fetch_run(struct msg *msg)
{
	nvme_req_fetched(&container_of(msg, struct cmd, msg_fetch)->req);
}

static void qp_fetch(struct nvme_req *req)
{
	struct cmd *cmd = cmd_of(req);

	assert_true(req->data_len <= sizeof(cmd->data));
	memcpy(nvme_req_buf(req), cmd->data, req->data_len);
	cmd->msg_fetch.run = fetch_run;
	reactor_post(req->qp->reactor, &cmd->msg_fetch);
}

static void qp_complete(struct nvme_req *req)
{
	struct cmd *cmd = cmd_of(req);
	struct conn *conn = cmd->conn;

	assert_true(reactor_current() == conn->qp.reactor);
	assert_int_equal(cmd->done, 0);
	cmd->done++;
	nvme_qpair_fill_sqhd(&conn->qp, &req->cqe);
	cmd->status = le16toh(req->cqe.status) >> 1;
	cmd->dw0 = le32toh(req->cqe.dw0);
	cmd->dw1 = le32toh(req->cqe.dw1);
	cmd->sqhd = le16toh(req->cqe.sqhd);
	cmd->sqid = le16toh(req->cqe.sqid);
	if (!cmd->status && req->xfer == NVME_XFER_C2H)
		memcpy(cmd->data, nvme_req_data(req), req->data_len);
	list_remove(&req->tlink);
	conn->connecting = false;
	nvme_req_release(req);
	if (conn->qp.home && conn->qp.reactor != conn->qp.home)
		conn->qp.reactor = conn->qp.home;
	conn_maybe_disconnect(conn);
}

static struct nvme_req *qp_find(struct nvme_qpair *qp, uint16_t cid)
{
	struct conn *conn = container_of(qp, struct conn, qp);

	list_for_each (it, &conn->cmds) {
		struct nvme_req *req = list_entry(it, struct nvme_req, tlink);

		if (le16toh(req->sqe.cid) == cid)
			return req;
	}
	return NULL;
}

static void qp_cancel_ns(struct nvme_qpair *qp, uint32_t nsid, uint16_t status)
{
	list_for_each_safe (it, &container_of(qp, struct conn, qp)->cmds) {
		struct nvme_req *req = list_entry(it, struct nvme_req, tlink);

		if (le32toh(req->sqe.nsid) == nsid)
			(void)nvme_req_cancel(req, status);
	}
}

static const struct nvme_qpair_ops lab_qp_ops = {qp_fetch, qp_complete, qp_close, qp_find,
						 qp_cancel_ns};

struct conn *conn_new(struct lab *lab)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	assert_non_null(conn);
	conn->lab = lab;
	list_init(&conn->cmds);
	nvme_qpair_init(&conn->qp, &lab_qp_ops, lab->t, lab->port, lab->reactor[LAB_DATA]);
	(void)str_copy(conn->qp.peer, sizeof(conn->qp.peer), "lab");
	lab->n_conns++;
	return conn;
}

static void drop_run(struct msg *msg)
{
	struct conn *conn = container_of(msg, struct conn, msg);

	if (conn->gone)
		return;
	if (conn->qp.reactor != reactor_current())
		reactor_post(conn->qp.reactor, msg);
	else
		qp_close(&conn->qp);
}

void conn_drop(struct conn *conn)
{
	if (!conn->gone) {
		conn->msg.run = drop_run;
		reactor_post(conn->qp.reactor, &conn->msg);
	}
	lab_pump(conn->lab);
}

void conn_free(struct conn *conn)
{
	assert_true(conn->gone);
	free(conn);
}

/* --- commands --- */

struct cmd *cmd_new(struct conn *conn, uint8_t opcode)
{
	static uint16_t next_cid;
	struct cmd *cmd = calloc(1, sizeof(*cmd));

	assert_non_null(cmd);
	cmd->conn = conn;
	cmd->req.qp = &conn->qp;
	cmd->req.sqe.opcode = opcode;
	cmd->req.sqe.flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG;
	cmd->req.sqe.cid = htole16(++next_cid);
	cmd->req.xfer_len = sizeof(cmd->data);
	return cmd;
}

void cmd_cdw(struct cmd *cmd, uint32_t cdw10, uint32_t cdw11, uint32_t cdw12, uint32_t cdw13)
{
	cmd->req.sqe.cdw10 = htole32(cdw10);
	cmd->req.sqe.cdw11 = htole32(cdw11);
	cmd->req.sqe.cdw12 = htole32(cdw12);
	cmd->req.sqe.cdw13 = htole32(cdw13);
}

static void start_run(struct msg *msg)
{
	struct cmd *cmd = container_of(msg, struct cmd, msg);

	/* The queue has moved, or perhaps will: what follows a Connect is not read before its answer. */
	if (cmd->conn->qp.reactor != reactor_current() || cmd->conn->connecting) {
		reactor_post(cmd->conn->qp.reactor, msg);
		return;
	}
	cmd->posted = false;
	if (cmd->conn->closing) { /* the wire is cut: it never reaches the target */
		cmd->done++;
		cmd->status = NVME_SC_HOST_ABORTED;
		return;
	}
	list_push_back(&cmd->conn->cmds, &cmd->req.tlink);
	cmd->conn->connecting = cmd->conn->qp.state == NVME_QP_NEW;
	nvme_req_start(&cmd->req);
}

void cmd_post(struct cmd *cmd)
{
	cmd->posted = true;
	cmd->msg.run = start_run;
	reactor_post(cmd->conn->qp.reactor, &cmd->msg);
}

void cmd_start(struct cmd *cmd)
{
	assert_false(cmd->conn->closing);
	cmd_post(cmd);
	lab_pump(cmd->conn->lab);
}

void cmd_free(struct cmd *cmd)
{
	assert_int_equal(cmd->done, 1);
	free(cmd);
}

uint16_t cmd_finish(struct cmd *cmd, uint32_t *ret_dw0)
{
	uint16_t status;

	cmd_start(cmd);
	status = cmd->status;
	if (ret_dw0)
		*ret_dw0 = cmd->dw0;
	cmd_free(cmd);
	return status;
}

struct nvme_connect_cmd *connect_cmd(struct cmd *cmd)
{
	return (void *)&cmd->req.sqe;
}

struct nvme_connect_data *connect_data(struct cmd *cmd)
{
	return (void *)cmd->data;
}

struct cmd *connect_new(struct conn *conn, uint16_t qid, uint16_t cntlid)
{
	struct cmd *cmd = cmd_new(conn, NVME_OPC_FABRICS);
	struct nvme_connect_cmd *c = connect_cmd(cmd);
	struct nvme_connect_data *d = connect_data(cmd);

	c->fctype = NVME_FABRICS_CONNECT;
	c->qid = htole16(qid);
	c->sqsize = htole16(31);
	memset(d->hostid, 0x42, sizeof(d->hostid));
	d->cntlid = htole16(cntlid);
	(void)str_copy(d->subnqn, sizeof(d->subnqn), LAB_NQN);
	(void)str_copy(d->hostnqn, sizeof(d->hostnqn), LAB_HOST);
	cmd->req.xfer_len = 1024;
	return cmd;
}

static struct cmd *prop_new(struct conn *conn, uint8_t fctype, uint32_t offset, unsigned size)
{
	struct cmd *cmd = cmd_new(conn, NVME_OPC_FABRICS);
	struct nvme_property_cmd *p = (void *)&cmd->req.sqe;

	p->fctype = fctype;
	p->attrib = size == 8;
	p->ofst = htole32(offset);
	cmd->req.xfer_len = 0;
	return cmd;
}

uint16_t prop_get(struct conn *conn, uint32_t offset, unsigned size, uint64_t *ret)
{
	struct cmd *cmd = prop_new(conn, NVME_FABRICS_PROPERTY_GET, offset, size);
	uint16_t status;

	cmd_start(cmd);
	status = cmd->status;
	*ret = (uint64_t)cmd->dw1 << 32 | cmd->dw0;
	cmd_free(cmd);
	return status;
}

uint16_t prop_set(struct conn *conn, uint32_t offset, unsigned size, uint64_t value)
{
	struct cmd *cmd = prop_new(conn, NVME_FABRICS_PROPERTY_SET, offset, size);

	((struct nvme_property_cmd *)(void *)&cmd->req.sqe)->value = htole64(value);
	return cmd_finish(cmd, NULL);
}

struct conn *host_connect(struct lab *lab, const char *nqn, const char *hostnqn, uint32_t kato_ms)
{
	struct conn *conn = conn_new(lab);
	struct cmd *cmd = connect_new(conn, 0, NVME_CNTLID_DYNAMIC);

	connect_cmd(cmd)->kato = htole32(kato_ms);
	memset(connect_data(cmd)->subnqn, 0, NVME_NQN_FIELD);
	memset(connect_data(cmd)->hostnqn, 0, NVME_NQN_FIELD);
	(void)str_copy(connect_data(cmd)->subnqn, NVME_NQN_FIELD, nqn);
	(void)str_copy(connect_data(cmd)->hostnqn, NVME_NQN_FIELD, hostnqn);
	assert_int_equal(cmd_finish(cmd, NULL), 0);
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	return conn;
}

struct conn *host_add_queue(struct conn *admin, uint16_t qid)
{
	struct conn *conn = conn_new(admin->lab);
	struct cmd *cmd = connect_new(conn, qid, admin->qp.ctrlr->cntlid);

	(void)str_copy(connect_data(cmd)->hostnqn, NVME_NQN_FIELD, admin->qp.ctrlr->hostnqn);
	assert_int_equal(cmd_finish(cmd, NULL), 0);
	assert_true(conn->qp.reactor != admin->lab->reactor[LAB_DATA]);
	return conn;
}

struct cmd *identify(struct conn *conn, uint8_t cns, uint32_t nsid, uint32_t cdw11)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_IDENTIFY);

	cmd->req.sqe.nsid = htole32(nsid);
	cmd_cdw(cmd, cns, cdw11, 0, 0);
	cmd_start(cmd);
	return cmd;
}

struct cmd *get_log(struct conn *conn, uint8_t lid, uint32_t bytes, uint64_t offset,
		    uint32_t cdw10_more)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_GET_LOG_PAGE);
	uint32_t numd = bytes / 4 - 1;

	cmd->req.sqe.nsid = htole32(NVME_NSID_ALL);
	cmd_cdw(cmd, lid | cdw10_more | numd << 16, numd >> 16, (uint32_t)offset,
		(uint32_t)(offset >> 32));
	cmd_start(cmd);
	return cmd;
}

uint16_t set_feature(struct conn *conn, uint8_t fid, uint32_t value, uint32_t *ret_dw0)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_SET_FEATURES);

	cmd_cdw(cmd, fid, value, 0, 0);
	return cmd_finish(cmd, ret_dw0);
}

uint16_t get_feature(struct conn *conn, uint8_t fid, unsigned sel, uint32_t *ret_dw0)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_GET_FEATURES);

	cmd_cdw(cmd, fid | sel << 8, 0, 0, 0);
	return cmd_finish(cmd, ret_dw0);
}

struct cmd *aer_start(struct conn *conn)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_ASYNC_EVENT);

	cmd->req.xfer_len = 0;
	cmd_start(cmd);
	return cmd;
}

/* --- the lab --- */

struct nvme_subsystem *lab_subsystem(struct lab *lab, const char *nqn, bool any_host)
{
	struct nvme_subsystem_opts opts = {.nqn = nqn,
					   .max_namespaces = 64,
					   .allow_any_host = any_host,
					   .ana_reporting = true};
	struct nvme_subsystem *ss;
	unsigned done = 0;
	struct err err;

	assert_int_equal(nvme_subsystem_new(lab->t, &opts, &ss, &err), 0);
	assert_int_equal(nvme_subsystem_add_listener(ss, lab->port, lab_done, &done, &err), 0);
	lab_pump(lab);
	assert_int_equal(done, 1);
	return ss;
}

void lab_add_ns(struct lab *lab, struct nvme_subsystem *ss, struct lab_dev *d, uint32_t nsid)
{
	struct nvme_ns_opts opts = {.nsid = nsid, .dev = &d->dev};
	unsigned done = 0;
	struct err err;

	assert_int_equal(nvme_subsystem_add_ns(ss, &opts, NULL, lab_done, &done, &err), 0);
	lab_pump(lab);
	assert_int_equal(done, 1);
}

struct lab *lab_new(void)
{
	static const struct nvme_port_addr addr = {"TCP", "IPv4", "10.0.0.1", "4420"};
	struct iobuf_counts counts = {{48, 48, 12, 3, 12, 3}};
	struct lab *lab = calloc(1, sizeof(*lab));
	struct nvme_target_opts opts = nvme_target_opts_default();
	struct err err;

	assert_non_null(lab);
	lab->now_ns = 1000000000;
	assert_int_equal(iobuf_arena_new(&counts, LAB_DATA + 1, &lab->arena, &err), 0);
	for (unsigned i = 0; i <= LAB_DATA; i++)
		reactor_make(lab, i);
	opts.control = lab->reactor[LAB_DATA];
	opts.data = lab->reactor;
	opts.n_data = LAB_DATA;
	opts.io_queues_max = 8;
	opts.queue_entries_max = 64; /* fewer than an admin queue has */
	assert_int_equal(nvme_target_new(&opts, &lab->t, &err), 0);
	lab->port = nvme_port_get(lab->t, &addr);
	assert_non_null(lab->port);
	lab->ss = lab_subsystem(lab, LAB_NQN, false);
	assert_int_equal(nvme_subsystem_add_host(lab->ss, LAB_HOST, &err), 0);
	lab->dev = lab_dev_new("disk0", 4096, 1 << 20);
	lab_add_ns(lab, lab->ss, lab->dev, 1);
	return lab;
}

void lab_free(struct lab *lab)
{
	unsigned done = 0;

	nvme_target_stop(lab->t, lab_done, &done);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_int_equal(lab->n_conns, 0);
	nvme_port_put(lab->port);
	nvme_target_free(lab->t);
	assert_int_equal(lab->dev->dev.claims, 0);
	lab->dev->dev.ops->destroy(&lab->dev->dev);
	for (unsigned i = 0; i <= LAB_DATA; i++)
		for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++)
			assert_int_equal(
				iobuf_usage(iobuf_arena_pool(lab->arena, i), (enum iobuf_class)cls)
					.in_use,
				0);
	for (unsigned i = 0; i <= LAB_DATA; i++)
		reactor_free(lab->reactor[i]);
	iobuf_arena_free(lab->arena);
	free(lab);
}
