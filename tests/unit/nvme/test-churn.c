/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded disorder: hosts come, work, abort, reset and vanish while namespaces, hosts and ANA states change under them, and the reactors run in
 * random order. Each command that reached the target ends exactly once, every connection ends, no buffer is lost (lab_free).
 * LITEPOOL_SEED replays one seed.
 */
#include <stdlib.h>

#include "base/str.h"
#include "lab.h"

#define SEEDS  40
#define STEPS  400
#define HOSTS  4
#define QUEUES 3 /* of a host, with the admin queue */
#define CMDS   512

struct churn {
	struct lab *lab;
	struct rng rng;
	struct conn *conn[HOSTS][QUEUES];
	struct conn *old[STEPS];
	unsigned n_old;
	struct cmd *cmd[CMDS];
	unsigned n_cmds;
	unsigned calls, dones; /* of the control plane */
};

static void keep(struct churn *ch, struct cmd *cmd)
{
	if (ch->n_cmds == CMDS) { /* makes room among those that have ended */
		unsigned n = 0;

		for (unsigned i = 0; i < CMDS; i++) {
			if (ch->cmd[i]->done)
				cmd_free(ch->cmd[i]);
			else
				ch->cmd[n++] = ch->cmd[i];
		}
		ch->n_cmds = n;
	}
	assert_true(ch->n_cmds < CMDS);
	ch->cmd[ch->n_cmds++] = cmd;
	cmd_post(cmd);
}

static struct conn **any_conn(struct churn *ch)
{
	return &ch->conn[rng_below(&ch->rng, HOSTS)][rng_below(&ch->rng, QUEUES)];
}

static void act_connect(struct churn *ch)
{
	unsigned h = (unsigned)rng_below(&ch->rng, HOSTS),
		 q = (unsigned)rng_below(&ch->rng, QUEUES);
	const struct conn *admin = ch->conn[h][0];
	struct cmd *cmd;

	if (ch->conn[h][q] || ch->n_old == STEPS)
		return;
	ch->conn[h][q] = conn_new(ch->lab);
	cmd = connect_new(ch->conn[h][q], (uint16_t)q,
			  q && admin && admin->qp.ctrlr ? admin->qp.ctrlr->cntlid
							: NVME_CNTLID_DYNAMIC);
	connect_data(cmd)->hostid[0] = (uint8_t)h;
	connect_cmd(cmd)->kato = htole32(30000);
	keep(ch, cmd);
}

static void act_drop(struct churn *ch)
{
	struct conn **conn = any_conn(ch);

	if (!*conn)
		return;
	conn_drop(*conn);
	ch->old[ch->n_old++] = *conn;
	*conn = NULL;
}

static void act_enable(struct churn *ch)
{
	static const uint32_t cc[] = {LAB_CC_ENABLE, LAB_CC_ENABLE, LAB_CC_ENABLE,
				      LAB_CC_ENABLE & ~NVME_CC_EN,
				      LAB_CC_ENABLE | NVME_CC_SHN_NORMAL};
	struct conn *conn = ch->conn[rng_below(&ch->rng, HOSTS)][0];
	struct nvme_property_cmd *p;
	struct cmd *cmd;

	if (!conn)
		return;
	cmd = cmd_new(conn, NVME_OPC_FABRICS);
	p = (void *)&cmd->req.sqe;
	p->fctype = NVME_FABRICS_PROPERTY_SET;
	p->ofst = htole32(NVME_PROP_CC);
	p->value = htole64(cc[rng_below(&ch->rng, ARRAY_LEN(cc))]);
	cmd->req.xfer_len = 0;
	keep(ch, cmd);
}

static void act_admin(struct churn *ch)
{
	static const uint8_t opcodes[] = {NVME_ADMIN_IDENTIFY, NVME_ADMIN_GET_LOG_PAGE,
					  NVME_ADMIN_ASYNC_EVENT, NVME_ADMIN_KEEP_ALIVE,
					  NVME_ADMIN_SET_FEATURES};
	static const uint32_t cdw10[] = {NVME_CNS_CTRL, NVME_LOG_CHANGED_NS | 1023 << 16, 0, 0,
					 NVME_FEAT_ASYNC_EVENT};
	struct conn *conn = ch->conn[rng_below(&ch->rng, HOSTS)][0];
	unsigned i = (unsigned)rng_below(&ch->rng, ARRAY_LEN(opcodes));
	struct cmd *cmd;

	if (!conn)
		return;
	cmd = cmd_new(conn, opcodes[i]);
	cmd_cdw(cmd, cdw10[i],
		opcodes[i] == NVME_ADMIN_SET_FEATURES ? NVME_AEN_NS_ATTRIBUTE | NVME_AEN_ANA : 0, 0,
		0);
	keep(ch, cmd);
}

static void act_io(struct churn *ch)
{
	static const uint8_t opcodes[] = {NVME_IO_READ, NVME_IO_WRITE, NVME_IO_FLUSH,
					  NVME_IO_COMPARE};
	struct conn *conn = *any_conn(ch);
	struct cmd *cmd;

	if (!conn)
		return;
	cmd = cmd_new(conn, opcodes[rng_below(&ch->rng, ARRAY_LEN(opcodes))]);
	cmd->req.sqe.nsid = htole32(1);
	cmd->req.xfer_len = 4096;
	keep(ch, cmd);
}

static void act_abort(struct churn *ch)
{
	struct conn *conn = ch->conn[rng_below(&ch->rng, HOSTS)][0];
	struct cmd *cmd;

	if (!conn || !ch->n_cmds)
		return;
	cmd = cmd_new(conn, NVME_ADMIN_ABORT);
	cmd_cdw(cmd,
		(uint32_t)rng_below(&ch->rng, QUEUES) |
			(uint32_t)le16toh(ch->cmd[rng_below(&ch->rng, ch->n_cmds)]->req.sqe.cid)
				<< 16,
		0, 0, 0);
	keep(ch, cmd);
}

static void act_disk(struct churn *ch)
{
	if (ch->lab->dev->hold || ch->lab->dev->n_held > 16)
		lab_dev_release(ch->lab->dev);
	else
		ch->lab->dev->hold = true;
}

static void act_manage(struct churn *ch)
{
	struct nvme_subsystem *ss = ch->lab->ss;
	struct nvme_ns_opts opts = {.nsid = 1, .dev = &ch->lab->dev->dev};
	struct err err;
	int res;

	switch (rng_below(&ch->rng, 4)) {
	case 0:
		res = nvme_subsystem_remove_ns(ss, 1, lab_done, &ch->dones, &err);
		break;
	case 1:
		res = nvme_subsystem_add_ns(ss, &opts, NULL, lab_done, &ch->dones, &err);
		break;
	case 2:
		res = nvme_subsystem_set_ana_state(ss, ch->lab->port, 0,
						   rng_chance(&ch->rng, 0.3) ? NVME_ANA_INACCESSIBLE
									     : NVME_ANA_OPTIMIZED,
						   lab_done, &ch->dones, &err);
		break;
	default:
		if (rng_chance(&ch->rng, 0.8))
			return;
		res = nvme_subsystem_remove_host(ss, LAB_HOST, lab_done, &ch->dones, &err);
		assert_int_equal(nvme_subsystem_add_host(ss, LAB_HOST, &err), 0);
	}
	ch->calls += !res;
}

static void churn_step(struct churn *ch)
{
	static void (*const acts[])(struct churn *) = {
		act_connect, act_connect, act_drop, act_enable, act_enable, act_admin, act_admin,
		act_io,      act_io,      act_io,   act_io,     act_abort,  act_disk,  act_manage,
	};

	acts[rng_below(&ch->rng, ARRAY_LEN(acts))](ch);
	if (rng_chance(&ch->rng, 0.02))
		ch->lab->now_ns += 40ull * 1000000000;
	lab_pump(ch->lab);
	for (unsigned i = 0; i < HOSTS * QUEUES; i++) {
		struct conn **conn = &ch->conn[i / QUEUES][i % QUEUES];

		if (*conn && (*conn)->gone && ch->n_old < STEPS) {
			ch->old[ch->n_old++] = *conn;
			*conn = NULL;
		}
	}
}

static void churn_end(struct churn *ch)
{
	ch->lab->ragged = NULL;
	lab_dev_release(ch->lab->dev);
	lab_pump(ch->lab);
	for (unsigned i = 0; i < HOSTS * QUEUES; i++) {
		struct conn *conn = ch->conn[i / QUEUES][i % QUEUES];

		if (!conn)
			continue;
		conn_drop(conn);
		conn_free(conn);
	}
	lab_pump(ch->lab);
	for (unsigned i = 0; i < ch->n_cmds; i++)
		cmd_free(ch->cmd[i]); /* asserts that it ended once */
	for (unsigned i = 0; i < ch->n_old; i++)
		conn_free(ch->old[i]);
	assert_int_equal(ch->calls, ch->dones);
	lab_free(ch->lab);
}

static void churn_seed(uint64_t seed)
{
	struct churn ch = {.lab = lab_new()};

	rng_seed(&ch.rng, seed);
	ch.lab->ragged = &ch.rng;
	print_message("# LITEPOOL_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < STEPS; i++)
		churn_step(&ch);
	churn_end(&ch);
}

static void every_command_ends_once_in_disorder(void **state)
{
	const char *text = getenv("LITEPOOL_SEED");
	uint64_t seed;

	if (text && str_to_u64(text, 0, UINT64_MAX, &seed)) {
		churn_seed(seed);
		return;
	}
	for (seed = 1; seed <= SEEDS; seed++)
		churn_seed(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_command_ends_once_in_disorder)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
