/* SPDX-License-Identifier: Apache-2.0 */
/* Connect, properties, enable, reset, shutdown: what other targets got wrong. */
#include <string.h>

#include "base/str.h"
#include "lab.h"

#define IN_DATA (1u << 16)

static void commands_before_connect_are_refused(void **state)
{
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	uint64_t value;
	struct cmd *cmd = identify(conn, NVME_CNS_CTRL, 0, 0);

	assert_int_equal(cmd->status, LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	cmd_free(cmd);
	assert_int_equal(prop_get(conn, NVME_PROP_CAP, 8, &value), LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static void admin_commands_before_enable_are_refused(void **state)
{
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	struct cmd *cmd;
	uint32_t dw0;

	assert_int_equal(cmd_finish(connect_new(conn, 0, NVME_CNTLID_DYNAMIC), &dw0), 0);
	assert_int_equal(dw0, 1);
	cmd = identify(conn, NVME_CNS_CTRL, 0, 0);
	assert_int_equal(cmd->status, LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	cmd_free(cmd);
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	cmd = identify(conn, NVME_CNS_CTRL, 0, 0);
	assert_int_equal(cmd->status, 0);
	cmd_free(cmd);
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static void second_connect_on_a_queue_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	struct conn *io = host_add_queue(admin, 1);

	assert_int_equal(cmd_finish(connect_new(admin, 0, NVME_CNTLID_DYNAMIC), NULL),
			 LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	assert_int_equal(cmd_finish(connect_new(io, 1, 1), NULL), LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	conn_drop(admin);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

enum spoil {
	SQSIZE_0,
	SQSIZE_LARGE,
	RECFMT,
	SUBNQN_NO_NUL,
	HOSTNQN_NO_NUL,
	HOSTNQN_BAD,
	SUBNQN_UNKNOWN,
	HOST_NOT_ALLOWED,
	SHORT_DATA,
	CNTLID_OUT_OF_RANGE,
	HOSTID_ZERO,
	KATO_LARGE,
};

static const struct {
	enum spoil spoil;
	uint16_t status;
	uint32_t dw0;
} bad_connects[] = {
	{SQSIZE_0, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), 44},
	{SQSIZE_LARGE, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), 44},
	{RECFMT, LAB_DNR(NVME_SC_CONNECT_FORMAT), 0},
	{SUBNQN_NO_NUL, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), IN_DATA | 256},
	{HOSTNQN_NO_NUL, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), IN_DATA | 512},
	{HOSTNQN_BAD, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), IN_DATA | 512},
	{SUBNQN_UNKNOWN, NVME_SC_CONNECT_INVALID_PARAM, IN_DATA | 256},
	{HOST_NOT_ALLOWED, LAB_DNR(NVME_SC_CONNECT_INVALID_HOST), 0},
	{SHORT_DATA, LAB_DNR(NVME_SC_SGL_INVALID_DATA), 0},
	{CNTLID_OUT_OF_RANGE, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), IN_DATA | 16},
	{HOSTID_ZERO, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), IN_DATA | 0},
	{KATO_LARGE, LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM), 48},
};

static void spoil(struct cmd *cmd, enum spoil what)
{
	struct nvme_connect_cmd *c = connect_cmd(cmd);
	struct nvme_connect_data *d = connect_data(cmd);

	switch (what) {
	case SQSIZE_0:
		c->sqsize = 0;
		break;
	case SQSIZE_LARGE:
		c->sqsize = htole16(128); /* 0's based: 129 entries, an admin queue has 128 */
		break;
	case RECFMT:
		c->recfmt = htole16(1);
		break;
	case SUBNQN_NO_NUL:
		memset(d->subnqn, 'n', sizeof(d->subnqn));
		break;
	case HOSTNQN_NO_NUL:
		memset(d->hostnqn, 'n', sizeof(d->hostnqn));
		break;
	case HOSTNQN_BAD:
		(void)str_copy(d->hostnqn, NVME_NQN_FIELD, "not a name at all");
		break;
	case SUBNQN_UNKNOWN:
		(void)str_copy(d->subnqn, NVME_NQN_FIELD, "nqn.2025-01.io.litepool:nobody");
		break;
	case HOST_NOT_ALLOWED:
		(void)str_copy(d->hostnqn, NVME_NQN_FIELD, LAB_OTHER_HOST);
		break;
	case SHORT_DATA:
		cmd->req.xfer_len = 1020;
		break;
	case CNTLID_OUT_OF_RANGE:
		d->cntlid = htole16(0);
		break;
	case HOSTID_ZERO:
		memset(d->hostid, 0, sizeof(d->hostid));
		break;
	case KATO_LARGE:
		c->kato = htole32(UINT32_MAX);
		break;
	}
}

static void bad_connect_says_which_field(void **state)
{
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	uint32_t dw0;

	for (size_t i = 0; i < ARRAY_LEN(bad_connects); i++) {
		struct cmd *cmd = connect_new(conn, 0, NVME_CNTLID_DYNAMIC);

		spoil(cmd, bad_connects[i].spoil);
		assert_int_equal(cmd_finish(cmd, &dw0), bad_connects[i].status);
		assert_int_equal(dw0, bad_connects[i].dw0);
	}
	/* After all of that the connection is as good as new, and the largest queue is allowed. */
	struct cmd *cmd = connect_new(conn, 0, NVME_CNTLID_DYNAMIC);

	connect_cmd(cmd)->sqsize = htole16(127);
	assert_int_equal(cmd_finish(cmd, NULL), 0);
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static uint16_t try_io(struct conn *conn, uint16_t qid, uint16_t cntlid, const char *hostnqn,
		       uint8_t hostid, uint32_t *dw0)
{
	struct cmd *cmd = connect_new(conn, qid, cntlid);

	(void)str_copy(connect_data(cmd)->hostnqn, NVME_NQN_FIELD, hostnqn);
	memset(connect_data(cmd)->hostid, hostid, 16);
	return cmd_finish(cmd, dw0);
}

static void io_connect_keeps_to_its_association(void **state)
{
	/* Without DNR: the admin queue may have been connected to an engine that was killed since, and Linux must try again. */
	const uint16_t invalid = NVME_SC_CONNECT_INVALID_PARAM;
	struct lab *lab = lab_new();
	struct conn *admin = conn_new(lab), *conn = conn_new(lab), *io;
	struct err err;
	uint32_t dw0;

	assert_int_equal(nvme_subsystem_add_host(lab->ss, LAB_OTHER_HOST, &err), 0);
	assert_int_equal(cmd_finish(connect_new(admin, 0, NVME_CNTLID_DYNAMIC), NULL), 0);
	assert_int_equal(try_io(conn, 1, 1, LAB_HOST, 0x42, &dw0), invalid); /* not enabled */
	assert_int_equal(dw0, 42);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	assert_int_equal(set_feature(admin, NVME_FEAT_NUM_QUEUES, 3 << 16 | 3, &dw0), 0);
	assert_int_equal(dw0, 3 << 16 | 3);
	assert_int_equal(try_io(conn, 1, 77, LAB_HOST, 0x42, &dw0), invalid);
	assert_int_equal(dw0, IN_DATA | 16);
	assert_int_equal(try_io(conn, 1, 1, LAB_OTHER_HOST, 0x42, &dw0), invalid);
	assert_int_equal(dw0, IN_DATA | 512);
	assert_int_equal(try_io(conn, 1, 1, LAB_HOST, 0x43, &dw0), invalid);
	assert_int_equal(dw0, IN_DATA | 0);
	assert_int_equal(try_io(conn, 5, 1, LAB_HOST, 0x42, &dw0), invalid); /* 4 were granted */
	assert_int_equal(dw0, 42);
	assert_int_equal(try_io(conn, 900, 1, LAB_HOST, 0x42, &dw0), LAB_DNR(invalid));
	io = host_add_queue(admin, 1);
	assert_int_equal(try_io(conn, 1, 1, LAB_HOST, 0x42, &dw0), NVME_SC_QID_INVALID);
	assert_int_equal(try_io(conn, 4, 1, LAB_HOST, 0x42, &dw0), 0);
	assert_int_equal(dw0, 1);
	assert_int_equal(set_feature(admin, NVME_FEAT_NUM_QUEUES, 7 << 16 | 7, &dw0),
			 LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	conn_drop(admin);
	conn_free(admin);
	conn_free(conn);
	conn_free(io);
	lab_free(lab);
}

static void io_connect_to_another_subsystem_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0), *conn = conn_new(lab);
	struct cmd *cmd = connect_new(conn, 1, 1);
	uint32_t dw0;

	(void)lab_subsystem(lab, "nqn.2025-01.io.litepool:vol2", true);
	(void)str_copy(connect_data(cmd)->subnqn, NVME_NQN_FIELD, "nqn.2025-01.io.litepool:vol2");
	assert_int_equal(cmd_finish(cmd, &dw0), NVME_SC_CONNECT_INVALID_PARAM);
	assert_int_equal(dw0, IN_DATA | 16);
	conn_drop(conn);
	conn_drop(admin);
	conn_free(conn);
	conn_free(admin);
	lab_free(lab);
}

/* Two paths of one host, an engine that restarts: the ids of one path's old controller are the other's new ones. */
static void io_connect_by_another_port_is_refused(void **state)
{
	const struct nvme_port_addr addr = {"TCP", "IPv4", "192.0.2.77", "4420"};
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0), *conn = conn_new(lab), *other;
	struct nvme_port *first = lab->port, *second = nvme_port_get(lab->t, &addr);
	struct err err;
	uint32_t dw0;

	assert_int_equal(nvme_subsystem_add_listener(lab->ss, second, NULL, NULL, &err), 0);
	lab_pump(lab);
	lab->port = second;
	other = conn_new(lab);
	lab->port = first;
	assert_int_equal(try_io(other, 1, 1, LAB_HOST, 0x42, &dw0), NVME_SC_CONNECT_INVALID_PARAM);
	assert_int_equal(dw0, IN_DATA | 16);
	assert_int_equal(try_io(conn, 1, 1, LAB_HOST, 0x42, &dw0), 0);
	conn_drop(other);
	conn_drop(admin);
	conn_free(other);
	conn_free(conn);
	conn_free(admin);
	nvme_port_put(second);
	lab_free(lab);
}

static void static_controller_ids_are_given_once(void **state)
{
	struct lab *lab = lab_new();
	struct conn *a = conn_new(lab), *b = conn_new(lab), *c = conn_new(lab);
	uint32_t dw0;

	assert_int_equal(cmd_finish(connect_new(a, 0, 7), &dw0), 0);
	assert_int_equal(dw0, 7);
	assert_int_equal(cmd_finish(connect_new(b, 0, 7), &dw0), NVME_SC_CONNECT_CTRL_BUSY);
	assert_int_equal(cmd_finish(connect_new(b, 0, NVME_CNTLID_ANY_STATIC), &dw0), 0);
	assert_int_equal(dw0, 1);
	assert_int_equal(cmd_finish(connect_new(c, 0, NVME_CNTLID_DYNAMIC), &dw0), 0);
	assert_int_equal(dw0, 2);
	conn_drop(a);
	conn_drop(b);
	conn_drop(c);
	conn_free(a);
	conn_free(b);
	conn_free(c);
	lab_free(lab);
}

static void sq_head_counts_modulo_the_queue_size(void **state)
{
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	struct cmd *cmd = connect_new(conn, 0, NVME_CNTLID_DYNAMIC);

	connect_cmd(cmd)->sqsize = htole16(2); /* three entries */
	cmd_start(cmd);
	assert_int_equal(cmd->sqhd, 1);
	cmd_free(cmd);
	for (unsigned i = 0; i < 7; i++) {
		cmd = cmd_new(conn, NVME_ADMIN_KEEP_ALIVE);
		cmd_start(cmd);
		assert_int_equal(cmd->sqhd, (i + 2) % 3);
		cmd_free(cmd);
	}
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static void flow_control_off_is_confirmed_once(void **state)
{
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	struct cmd *cmd = connect_new(conn, 0, NVME_CNTLID_DYNAMIC);

	connect_cmd(cmd)->cattr = NVME_CATTR_DISABLE_SQFC;
	cmd_start(cmd);
	assert_int_equal(cmd->sqhd, 0xffff);
	cmd_free(cmd);
	cmd = cmd_new(conn, NVME_ADMIN_KEEP_ALIVE);
	cmd_start(cmd);
	assert_int_equal(cmd->sqhd, 0);
	cmd_free(cmd);
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static void properties_check_size_offset_and_direction(void **state)
{
	const uint16_t invalid = LAB_DNR(NVME_SC_INVALID_FIELD);
	struct lab *lab = lab_new();
	struct conn *conn = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	uint64_t v;

	assert_int_equal(prop_get(conn, NVME_PROP_CAP, 8, &v), 0);
	assert_int_equal(v & 0xffff, 63);
	assert_true(v >> 16 & 1);            /* CQR */
	assert_int_equal(v >> 37 & 0xff, 1); /* CSS: NVM */
	assert_int_equal(v >> 36 & 1, 0);    /* NSSRS */
	assert_int_equal(prop_get(conn, NVME_PROP_VS, 4, &v), 0);
	assert_int_equal(v, NVME_VS_1_4);
	assert_int_equal(prop_get(conn, NVME_PROP_CAP, 4, &v), invalid);
	assert_int_equal(prop_get(conn, NVME_PROP_CSTS, 8, &v), invalid);
	assert_int_equal(prop_get(conn, 0x0c, 4, &v), invalid);
	assert_int_equal(prop_get(conn, NVME_PROP_NSSR, 4, &v), invalid);
	assert_int_equal(prop_set(conn, NVME_PROP_CAP, 8, 0), invalid);
	assert_int_equal(prop_set(conn, NVME_PROP_CSTS, 4, 0), invalid);
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 8, LAB_CC_ENABLE), invalid);
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static void enable_with_unsupported_settings_is_refused(void **state)
{
	static const uint32_t bad[] = {
		NVME_CC_EN,                       /* no entry sizes */
		NVME_CC_EN | 5u << 16 | 4u << 20, /* IOSQES */
		NVME_CC_EN | 6u << 16 | 5u << 20, /* IOCQES */
		LAB_CC_ENABLE | 1u << 7,          /* MPS 8 KiB */
		LAB_CC_ENABLE | 1u << 11,         /* AMS weighted */
		LAB_CC_ENABLE | 7u << 4,          /* CSS admin only */
		LAB_CC_ENABLE | NVME_CC_SHN_MASK, /* SHN reserved */
	};
	struct lab *lab = lab_new();
	struct conn *conn = conn_new(lab);
	uint64_t v;

	assert_int_equal(cmd_finish(connect_new(conn, 0, NVME_CNTLID_DYNAMIC), NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, bad[i]),
				 LAB_DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(prop_get(conn, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, 0);
	/* In two steps, as Linux does it. */
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, LAB_CC_ENABLE & ~NVME_CC_EN), 0);
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	assert_int_equal(prop_get(conn, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_RDY);
	assert_int_equal(prop_set(conn, NVME_PROP_CC, 4, LAB_CC_ENABLE | 1u << 7),
			 LAB_DNR(NVME_SC_INVALID_FIELD));
	conn_drop(conn);
	conn_free(conn);
	lab_free(lab);
}

static struct cmd *read_start(struct conn *io)
{
	struct cmd *cmd = cmd_new(io, NVME_IO_READ);

	cmd->req.sqe.nsid = htole32(1);
	cmd->req.xfer_len = 4096;
	cmd_start(cmd);
	return cmd;
}

static void reset_waits_for_io_and_allows_a_new_life(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	struct cmd *aer = aer_start(admin), *read;
	uint64_t v;

	lab->dev->hold = true;
	read = read_start(io);
	assert_int_equal(read->done, 0);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE & ~NVME_CC_EN), 0);
	assert_int_equal(aer->done, 1);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_RDY); /* the read is with the disk */
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE),
			 LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(read->done, 1);
	assert_true(io->gone);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	cmd_free(aer);
	cmd_free(read);
	conn_free(io);
	io = host_add_queue(admin, 1);
	read = read_start(io);
	assert_int_equal(read->status, 0);
	cmd_free(read);
	conn_drop(admin);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

static void shutdown_waits_for_io_and_flushes(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	struct cmd *read;
	uint64_t v;

	lab->dev->hold = true;
	read = read_start(io);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE | NVME_CC_SHN_NORMAL), 0);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_RDY | NVME_CSTS_SHST_OCCURRING);
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(read->done, 1);
	assert_int_equal(lab->dev->n_flushes, 1);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_RDY | NVME_CSTS_SHST_COMPLETE);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE & ~NVME_CC_EN), 0);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, 0);
	cmd_free(read);
	conn_free(io);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

/* Its end would else be told as the end of the new life: "shut down", while the host is at work. */
static void enable_waits_for_the_end_of_a_shutdown(void **state)
{
	const uint32_t cc = LAB_CC_ENABLE & ~NVME_CC_EN;
	struct lab *lab = lab_new();
	struct conn *admin = conn_new(lab), *io;
	uint64_t v;

	assert_int_equal(cmd_finish(connect_new(admin, 0, NVME_CNTLID_DYNAMIC), NULL), 0);
	lab->dev->hold = true;
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, cc | NVME_CC_SHN_NORMAL), 0);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_SHST_OCCURRING);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE),
			 LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_SHST_COMPLETE);
	assert_int_equal(prop_set(admin, NVME_PROP_CC, 4, LAB_CC_ENABLE), 0);
	assert_int_equal(prop_get(admin, NVME_PROP_CSTS, 4, &v), 0);
	assert_int_equal(v, NVME_CSTS_RDY);
	io = host_add_queue(admin, 1);
	conn_drop(io);
	conn_free(io);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

static void removed_host_is_fenced_before_done(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	unsigned done = 0;
	struct cmd *read;
	struct err err;

	lab->dev->hold = true;
	read = read_start(io);
	assert_int_equal(nvme_subsystem_remove_host(lab->ss, LAB_HOST, lab_done, &done, &err), 0);
	assert_int_equal(done, 0);
	lab_pump(lab);
	assert_int_equal(done, 0);
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_true(admin->gone);
	assert_true(io->gone);
	cmd_free(read);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

static void subsystem_goes_with_hosts_in_it(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	unsigned done = 0;

	nvme_subsystem_delete(lab->ss, lab_done, &done);
	assert_int_equal(done, 0);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_null(nvme_subsystem_find(lab->t, LAB_NQN));
	assert_int_equal(lab->dev->dev.claims, 0);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

/* Else what the caller kept under its name could be taken from a new subsystem of that name. */
static void end_of_a_subsystem_is_told_when_its_name_is_free(void **state)
{
	struct lab *lab = lab_new();
	unsigned done = 0;

	nvme_subsystem_delete(lab->ss, lab_done, &done);
	for (unsigned i = 0; i < 100 * (LAB_DATA + 1); i++) {
		(void)reactor_pass(lab->reactor[i % (LAB_DATA + 1)], 0);
		assert_int_equal(done, nvme_subsystem_find(lab->t, LAB_NQN) ? 0 : 1);
	}
	assert_int_equal(done, 1);
	lab_free(lab);
}

static void disconnect_ends_one_io_queue_only(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	struct cmd *cmd = cmd_new(io, NVME_OPC_FABRICS);

	((struct nvme_fabrics_cmd *)(void *)&cmd->req.sqe)->fctype = NVME_FABRICS_DISCONNECT;
	assert_int_equal(cmd_finish(cmd, NULL), 0);
	assert_true(io->gone);
	assert_false(admin->gone);
	conn_free(io);
	io = host_add_queue(admin, 1);
	cmd = cmd_new(admin, NVME_OPC_FABRICS);
	((struct nvme_fabrics_cmd *)(void *)&cmd->req.sqe)->fctype = NVME_FABRICS_DISCONNECT;
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_INVALID_QUEUE_TYPE));
	conn_drop(io);
	conn_drop(admin);
	conn_free(io);
	conn_free(admin);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_before_connect_are_refused),
		cmocka_unit_test(admin_commands_before_enable_are_refused),
		cmocka_unit_test(second_connect_on_a_queue_is_refused),
		cmocka_unit_test(bad_connect_says_which_field),
		cmocka_unit_test(io_connect_keeps_to_its_association),
		cmocka_unit_test(io_connect_to_another_subsystem_is_refused),
		cmocka_unit_test(io_connect_by_another_port_is_refused),
		cmocka_unit_test(static_controller_ids_are_given_once),
		cmocka_unit_test(sq_head_counts_modulo_the_queue_size),
		cmocka_unit_test(flow_control_off_is_confirmed_once),
		cmocka_unit_test(properties_check_size_offset_and_direction),
		cmocka_unit_test(enable_with_unsupported_settings_is_refused),
		cmocka_unit_test(reset_waits_for_io_and_allows_a_new_life),
		cmocka_unit_test(shutdown_waits_for_io_and_flushes),
		cmocka_unit_test(enable_waits_for_the_end_of_a_shutdown),
		cmocka_unit_test(removed_host_is_fenced_before_done),
		cmocka_unit_test(subsystem_goes_with_hosts_in_it),
		cmocka_unit_test(end_of_a_subsystem_is_told_when_its_name_is_free),
		cmocka_unit_test(disconnect_ends_one_io_queue_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
