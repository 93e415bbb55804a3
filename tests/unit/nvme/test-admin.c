/* SPDX-License-Identifier: Apache-2.0 */
/* Identify, log pages, features, events and Abort, as nvme-cli and a Linux host ask for them. */
#include <string.h>

#include "lab.h"

static struct lab *lab;
static struct conn *admin;

static int setup(void **state)
{
	lab = lab_new();
	admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	return 0;
}

static int teardown(void **state)
{
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
	return 0;
}

static uint16_t identify_status(uint8_t cns, uint32_t nsid, uint32_t cdw11)
{
	struct cmd *cmd = identify(admin, cns, nsid, cdw11);
	uint16_t status = cmd->status;

	cmd_free(cmd);
	return status;
}

static void controller_data_is_truthful(void **state)
{
	struct cmd *cmd = identify(admin, NVME_CNS_CTRL, 0, 0);
	const struct nvme_id_ctrl *id = (const void *)cmd->data;

	assert_int_equal(cmd->status, 0);
	assert_int_equal(le16toh(id->cntlid), 1);
	assert_int_equal(id->mdts, 7); /* 512 KiB */
	assert_int_equal(id->cntrltype, NVME_CNTRLTYPE_IO);
	assert_int_equal(id->cmic, NVME_CMIC_MULTI_PORT | NVME_CMIC_MULTI_CTRLR | NVME_CMIC_ANA);
	assert_int_equal(le32toh(id->oaes), NVME_AEN_NS_ATTRIBUTE | NVME_AEN_ANA);
	assert_int_equal(le32toh(id->nn), 64);
	assert_int_equal(le32toh(id->mnan), 64); /* Linux refuses ANA when this is 0 */
	assert_int_equal(le32toh(id->sgls), 0x300001);
	assert_int_equal(le32toh(id->ioccsz), (64 + 16384) / 16);
	assert_int_equal(le32toh(id->iorcsz), 1);
	assert_int_equal(le16toh(id->icdoff), 0);
	assert_int_equal(id->sqes, 0x66);
	assert_int_equal(id->cqes, 0x44);
	assert_int_equal(id->vwc & 1, 1);
	assert_int_equal(le16toh(id->kas), 10);
	assert_string_equal(id->subnqn, LAB_NQN);
	assert_memory_equal(id->sn, "LP", 2);
	assert_memory_equal(id->mn, "LitePool Volume     ", 20);
	cmd_free(cmd);
}

static void namespace_identity_is_stable_and_consistent(void **state)
{
	struct cmd *ns = identify(admin, NVME_CNS_NS, 1, 0),
		   *desc = identify(admin, NVME_CNS_NS_DESC_LIST, 1, 0);
	const struct nvme_id_ns *id = (const void *)ns->data;
	const uint8_t *d = desc->data;

	assert_int_equal(ns->status, 0);
	assert_int_equal(le64toh(id->nsze), (1 << 20) / 4096);
	assert_int_equal(id->lbaf[0].lbads, 12);
	assert_int_equal(id->nmic, 1);
	assert_int_equal(le32toh(id->anagrpid), 1);
	assert_memory_equal(id->nguid, lab->dev->dev.uuid.b, 16);
	assert_int_equal(id->eui64[0] & 3, 2);
	assert_int_equal(desc->status, 0);
	assert_int_equal(d[0], NVME_NIDT_EUI64);
	assert_memory_equal(d + 4, id->eui64, 8);
	assert_int_equal(d[12], NVME_NIDT_NGUID);
	assert_memory_equal(d + 16, id->nguid, 16);
	assert_int_equal(d[32], NVME_NIDT_UUID);
	assert_memory_equal(d + 36, lab->dev->dev.uuid.b, 16);
	assert_int_equal(d[52], NVME_NIDT_CSI);
	assert_int_equal(d[57], 0);
	cmd_free(ns);
	cmd_free(desc);
}

static void inactive_namespace_is_zeroes_and_invalid_is_an_error(void **state)
{
	static const uint8_t zero[4096];
	const uint16_t invalid = LAB_DNR(NVME_SC_INVALID_NS);
	struct cmd *cmd = identify(admin, NVME_CNS_NS, 2, 0);

	assert_int_equal(cmd->status, 0);
	assert_memory_equal(cmd->data, zero, 4096);
	cmd_free(cmd);
	cmd = identify(admin, NVME_CNS_CSI_INDEPENDENT_NS, 2, 0);
	assert_int_equal(cmd->status, 0);
	assert_memory_equal(cmd->data, zero, 4096);
	cmd_free(cmd);
	assert_int_equal(identify_status(NVME_CNS_NS, 0, 0), invalid);
	assert_int_equal(identify_status(NVME_CNS_NS, 65, 0), invalid);
	assert_int_equal(identify_status(NVME_CNS_NS, NVME_NSID_ALL, 0), invalid);
	assert_int_equal(identify_status(NVME_CNS_NS_DESC_LIST, 2, 0), invalid);
	assert_int_equal(identify_status(NVME_CNS_ACTIVE_NS_LIST, NVME_NSID_ALL, 0), invalid);
}

static void every_cns_that_hosts_ask_for_is_answered(void **state)
{
	static const uint8_t cns[] = {0x00, 0x01, 0x03, 0x05, 0x06, 0x08, 0x11, 0x12, 0x13, 0x1c};
	struct cmd *cmd;

	for (size_t i = 0; i < sizeof(cns); i++)
		assert_int_equal(identify_status(cns[i], 1, 0), 0);
	for (unsigned c = 0; c < 3; c++) {
		cmd = identify(admin, ((uint8_t[]){2, 7, 0x10})[c], 0, 0);
		assert_int_equal(cmd->status, 0);
		assert_int_equal(get_le32(cmd->data), 1);
		assert_int_equal(get_le32(cmd->data + 4), 0);
		cmd_free(cmd);
	}
	assert_int_equal(identify_status(0x05, 1, 2u << 24),
			 LAB_DNR(NVME_SC_INVALID_FIELD)); /* CSI zoned */
	assert_int_equal(identify_status(0x04, 1, 0), LAB_DNR(NVME_SC_INVALID_FIELD));
	cmd = identify(admin, NVME_CNS_CTRL_LIST, 0, 0);
	assert_int_equal(get_le16(cmd->data), 1);
	assert_int_equal(get_le16(cmd->data + 2), 1);
	cmd_free(cmd);
}

static uint16_t log_status(uint8_t lid, uint32_t bytes, uint64_t offset)
{
	struct cmd *cmd = get_log(admin, lid, bytes, offset, 0);
	uint16_t status = cmd->status;

	cmd_free(cmd);
	return status;
}

static void log_offsets_are_checked(void **state)
{
	const uint16_t invalid = LAB_DNR(NVME_SC_INVALID_FIELD);
	struct cmd *cmd;

	assert_int_equal(log_status(NVME_LOG_SMART, 512, 0), 0);
	assert_int_equal(log_status(NVME_LOG_SMART, 512, 2), invalid);
	assert_int_equal(log_status(NVME_LOG_SMART, 512, 512), 0);
	assert_int_equal(log_status(NVME_LOG_SMART, 512, 516), invalid);
	assert_int_equal(log_status(NVME_LOG_SMART, 512, 1ull << 32), invalid);
	assert_int_equal(log_status(NVME_LOG_SMART, 512, UINT64_MAX - 3), invalid);
	assert_int_equal(log_status(0x55, 512, 0), LAB_DNR(NVME_SC_INVALID_LOG_PAGE));
	assert_int_equal(log_status(NVME_LOG_DISCOVERY, 1024, 0),
			 LAB_DNR(NVME_SC_INVALID_LOG_PAGE));
	cmd = cmd_new(admin, NVME_ADMIN_GET_LOG_PAGE); /* 16 GiB: beyond MDTS */
	cmd_cdw(cmd, NVME_LOG_SMART | 0xffffu << 16, 0xffff, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), invalid);
	/* A page in two pieces is the page in one. */
	cmd = get_log(admin, NVME_LOG_EFFECTS, 4096, 0, 0);
	struct cmd *tail = get_log(admin, NVME_LOG_EFFECTS, 3096, 1000, 0);

	assert_int_equal(tail->status, 0);
	assert_memory_equal(cmd->data + 1000, tail->data, 3096);
	assert_int_equal(get_le32(cmd->data + 4 * NVME_ADMIN_IDENTIFY), 1);
	assert_int_equal(get_le32(cmd->data + 1024 + 4 * NVME_IO_WRITE), 3);
	cmd_free(cmd);
	cmd_free(tail);
}

static void supported_pages_are_listed(void **state)
{
	static const uint8_t expected[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0c, 0x80};
	struct cmd *cmd = get_log(admin, NVME_LOG_SUPPORTED, 1024, 0, 0);
	unsigned n = 0;

	for (unsigned lid = 0; lid < 256; lid++)
		n += get_le32(cmd->data + 4 * lid) & 1;
	assert_int_equal(n, sizeof(expected));
	for (size_t i = 0; i < sizeof(expected); i++) {
		assert_int_equal(get_le32(cmd->data + 4 * expected[i]), 1);
		assert_int_equal(log_status(expected[i], 64, 0), 0);
	}
	cmd_free(cmd);
}

/* The wall clock is the host's to set, back too. */
static void a_clock_that_is_set_back_makes_no_controller_old(void **state)
{
	const struct nvme_log_smart *smart;
	struct cmd *cmd;

	lab_advance(lab, 2 * 3600 * 1000);
	cmd = get_log(admin, NVME_LOG_SMART, 512, 0, 0);
	smart = (const void *)cmd->data;
	assert_int_equal(le64toh(smart->power_on_hours[0]), 2);
	cmd_free(cmd);
	lab->wall_behind_ns = lab->now_ns; /* it is 1970 */
	cmd = get_log(admin, NVME_LOG_SMART, 512, 0, 0);
	smart = (const void *)cmd->data;
	assert_int_equal(le64toh(smart->power_on_hours[0]), 0);
	cmd_free(cmd);
}

static void smart_counts_what_was_done(void **state)
{
	struct conn *io = host_add_queue(admin, 1);
	struct cmd *cmd;

	for (unsigned i = 0; i < 3; i++) {
		cmd = cmd_new(io, NVME_IO_READ);
		cmd->req.sqe.nsid = htole32(1);
		cmd->req.xfer_len = 4096;
		assert_int_equal(cmd_finish(cmd, NULL), 0);
	}
	cmd = cmd_new(io, NVME_IO_READ); /* a mistake of the host is no error of the media */
	cmd->req.sqe.nsid = htole32(1);
	cmd->req.xfer_len = 4096;
	cmd_cdw(cmd, 0, 1u << 31, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_LBA_RANGE));
	cmd = get_log(admin, NVME_LOG_SMART, 512, 0, 0);
	const struct nvme_log_smart *smart = (const void *)cmd->data;

	assert_int_equal(le64toh(smart->host_reads[0]), 4);
	assert_int_equal(le64toh(smart->media_errors[0]), 0);
	assert_int_equal(le64toh(smart->error_entries[0]), 1);
	assert_int_equal(le64toh(smart->data_units_read[0]), 1);
	assert_int_equal(le64toh(smart->host_writes[0]), 0);
	cmd_free(cmd);
	cmd = cmd_new(admin, NVME_ADMIN_GET_LOG_PAGE);
	cmd->req.sqe.nsid = htole32(9);
	cmd_cdw(cmd, NVME_LOG_SMART | 127u << 16, 0, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_INVALID_NS));
	conn_drop(io);
	conn_free(io);
}

static void features_have_current_default_and_capabilities(void **state)
{
	uint32_t v;

	assert_int_equal(set_feature(admin, NVME_FEAT_ARBITRATION, 0x07, &v), 0);
	assert_int_equal(get_feature(admin, NVME_FEAT_ARBITRATION, 0, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(get_feature(admin, NVME_FEAT_ARBITRATION, 1, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(get_feature(admin, NVME_FEAT_ARBITRATION, 2, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(get_feature(admin, NVME_FEAT_ARBITRATION, 3, &v), 0);
	assert_int_equal(v, 4);
	assert_int_equal(get_feature(admin, NVME_FEAT_ARBITRATION, 4, &v),
			 LAB_DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(get_feature(admin, 0x7e, 0, &v), LAB_DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(get_feature(admin, NVME_FEAT_VOLATILE_WC, 0, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(set_feature(admin, NVME_FEAT_VOLATILE_WC, 1, &v), 0);
	assert_int_equal(set_feature(admin, NVME_FEAT_VOLATILE_WC, 0, &v),
			 LAB_DNR(NVME_SC_FEATURE_NOT_CHANGEABLE));
	assert_int_equal(set_feature(admin, NVME_FEAT_KATO, 1500, &v), 0);
	assert_int_equal(get_feature(admin, NVME_FEAT_KATO, 0, &v), 0);
	assert_int_equal(v, 2000); /* rounded up to KAS */
	assert_int_equal(set_feature(admin, NVME_FEAT_KATO, UINT32_MAX, &v),
			 LAB_DNR(NVME_SC_KATO_INVALID));
	assert_int_equal(set_feature(admin, NVME_FEAT_NUM_QUEUES, 0xffff, &v),
			 LAB_DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(set_feature(admin, NVME_FEAT_NUM_QUEUES, 99 << 16 | 99, &v), 0);
	assert_int_equal(v, 7 << 16 | 7);
	assert_int_equal(set_feature(admin, NVME_FEAT_HOST_ID, 1, &v),
			 LAB_DNR(NVME_SC_CMD_SEQ_ERROR));
	assert_int_equal(set_feature(admin, NVME_FEAT_ASYNC_EVENT, NVME_AEN_DISCOVERY, &v),
			 LAB_DNR(NVME_SC_INVALID_FIELD));
}

static void saving_and_per_namespace_setting_are_refused(void **state)
{
	struct cmd *cmd = cmd_new(admin, NVME_ADMIN_SET_FEATURES);

	cmd_cdw(cmd, 1u << 31 | NVME_FEAT_ARBITRATION, 0, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_FEATURE_NOT_SAVEABLE));
	cmd = cmd_new(admin, NVME_ADMIN_SET_FEATURES);
	cmd->req.sqe.nsid = htole32(1);
	cmd_cdw(cmd, NVME_FEAT_ARBITRATION, 0, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_FEATURE_NOT_PER_NS));
	cmd = cmd_new(admin, NVME_ADMIN_GET_FEATURES);
	cmd_cdw(cmd, NVME_FEAT_HOST_ID, 1, 0, 0);
	cmd_start(cmd);
	assert_int_equal(cmd->status, 0);
	assert_int_equal(cmd->data[0], 0x42);
	assert_int_equal(cmd->data[15], 0x42);
	cmd_free(cmd);
}

static void reservation_features_are_of_a_namespace(void **state)
{
	struct cmd *cmd;
	static const struct {
		uint8_t opcode, fid;
		uint32_t nsid, value;
		uint16_t status;
	} cases[] = {
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_MASK, 1, 0x0e, 0},
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_MASK, NVME_NSID_ALL, 0x02, 0},
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_MASK, 1, 0x01,
		 LAB_DNR(NVME_SC_INVALID_FIELD)},
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_MASK, 9, 0, LAB_DNR(NVME_SC_INVALID_NS)},
		{NVME_ADMIN_GET_FEATURES, NVME_FEAT_RESV_MASK, 1, 0, 0},
		{NVME_ADMIN_GET_FEATURES, NVME_FEAT_RESV_PERSIST, 1, 0, 0},
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_PERSIST, 1, 0, 0},
		{NVME_ADMIN_SET_FEATURES, NVME_FEAT_RESV_PERSIST, 1, 1,
		 LAB_DNR(NVME_SC_FEATURE_NOT_CHANGEABLE)},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cmd = cmd_new(admin, cases[i].opcode);
		cmd->req.sqe.nsid = htole32(cases[i].nsid);
		cmd_cdw(cmd, cases[i].fid, cases[i].value, 0, 0);
		assert_int_equal(cmd_finish(cmd, NULL), cases[i].status);
	}
}

static void unknown_opcodes_are_refused(void **state)
{
	assert_int_equal(cmd_finish(cmd_new(admin, 0x00), NULL), LAB_DNR(NVME_SC_INVALID_OPCODE));
	assert_int_equal(cmd_finish(cmd_new(admin, 0x80), NULL), LAB_DNR(NVME_SC_INVALID_OPCODE));
	assert_int_equal(cmd_finish(cmd_new(admin, NVME_OPC_FABRICS), NULL),
			 LAB_DNR(NVME_SC_INVALID_FIELD));
}

static void one_event_more_than_the_limit_is_refused(void **state)
{
	struct cmd *aer[5];

	for (unsigned i = 0; i < 5; i++)
		aer[i] = aer_start(admin);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(aer[i]->done, 0);
	assert_int_equal(aer[4]->status, LAB_DNR(NVME_SC_AER_LIMIT));
	conn_drop(admin);
	for (unsigned i = 0; i < 5; i++)
		cmd_free(aer[i]);
}

static void notice_comes_once_until_its_log_is_read(void **state)
{
	struct cmd *a = aer_start(admin), *b = aer_start(admin), *log;
	uint32_t v;

	nvme_aer_ns_changed(lab->ss, 1);
	lab_pump(lab);
	assert_int_equal(a->done, 0); /* not asked for */
	assert_int_equal(set_feature(admin, NVME_FEAT_ASYNC_EVENT, NVME_AEN_NS_ATTRIBUTE, &v), 0);
	nvme_aer_ns_changed(lab->ss, 2);
	nvme_aer_ns_changed(lab->ss, 3);
	lab_pump(lab);
	assert_int_equal(a->done, 1);
	assert_int_equal(a->dw0, 2 | 0 << 8 | NVME_LOG_CHANGED_NS << 16);
	assert_int_equal(b->done, 0);
	log = get_log(admin, NVME_LOG_CHANGED_NS, 4096, 0, 1u << 15); /* RAE: nothing is taken */
	assert_int_equal(get_le32(log->data), 1);
	cmd_free(log);
	nvme_aer_ns_changed(lab->ss, 4);
	lab_pump(lab);
	assert_int_equal(b->done, 0);
	log = get_log(admin, NVME_LOG_CHANGED_NS, 4096, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(get_le32(log->data + 4 * i), i + 1);
	assert_int_equal(get_le32(log->data + 16), 0);
	cmd_free(log);
	nvme_aer_ns_changed(lab->ss, 5);
	lab_pump(lab);
	assert_int_equal(b->done, 1);
	log = get_log(admin, NVME_LOG_CHANGED_NS, 4096, 0, 0);
	assert_int_equal(get_le32(log->data), 5);
	assert_int_equal(get_le32(log->data + 4), 0);
	cmd_free(log);
	cmd_free(a);
	cmd_free(b);
}

static void event_without_a_request_waits_for_one(void **state)
{
	struct cmd *aer;
	uint32_t v;

	assert_int_equal(set_feature(admin, NVME_FEAT_ASYNC_EVENT, NVME_AEN_ANA, &v), 0);
	nvme_aer_ana_changed(lab->ss);
	aer = aer_start(admin);
	assert_int_equal(aer->done, 1);
	assert_int_equal(aer->dw0, 2 | 3 << 8 | NVME_LOG_ANA << 16);
	cmd_free(aer);
}

static struct cmd *abort_cmd(uint16_t sqid, const struct cmd *victim)
{
	struct cmd *cmd = cmd_new(admin, NVME_ADMIN_ABORT);

	cmd_cdw(cmd, sqid | (uint32_t)le16toh(victim->req.sqe.cid) << 16, 0, 0, 0);
	cmd_start(cmd);
	assert_int_equal(cmd->done, 1);
	assert_int_equal(cmd->status, 0);
	return cmd;
}

static void abort_always_answers(void **state)
{
	struct conn *io = host_add_queue(admin, 1);
	struct cmd *aer = aer_start(admin), *read = cmd_new(io, NVME_IO_READ), *cmd;

	cmd = abort_cmd(0, aer);
	assert_int_equal(cmd->dw0, 0);
	assert_int_equal(aer->status & 0xfff, NVME_SC_ABORT_REQ);
	cmd_free(cmd);
	cmd = abort_cmd(0, aer); /* it is not there any more */
	assert_int_equal(cmd->dw0, 1);
	cmd_free(cmd);
	lab->dev->hold = true;
	read->req.sqe.nsid = htole32(1);
	read->req.xfer_len = 4096;
	cmd_start(read);
	cmd = abort_cmd(1, read); /* with the disk: goes on */
	assert_int_equal(cmd->dw0, 1);
	assert_int_equal(read->done, 0);
	cmd_free(cmd);
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(read->status, 0);
	cmd = cmd_new(admin, NVME_ADMIN_ABORT);
	cmd_cdw(cmd, 77, 0, 0, 0);
	assert_int_equal(cmd_finish(cmd, NULL), LAB_DNR(NVME_SC_INVALID_FIELD));
	cmd_free(aer);
	cmd_free(read);
	conn_drop(io);
	conn_free(io);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* MQES is of I/O queues: a host that makes its admin queue as it always does comes in where they are short. */
static void the_longest_queue_is_mqes_for_io_and_fixed_for_admin(void **state)
{
	struct conn *io = conn_new(lab);
	struct cmd *cmd;
	uint64_t cap;
	uint32_t dw0;

	assert_int_equal(prop_get(admin, NVME_PROP_CAP, 8, &cap), 0);
	assert_int_equal(cap & 0xffff, 63);
	cmd = connect_new(io, 1, 1);
	connect_cmd(cmd)->sqsize = htole16(64);
	assert_int_equal(cmd_finish(cmd, &dw0), LAB_DNR(NVME_SC_CONNECT_INVALID_PARAM));
	assert_int_equal(dw0, 44);
	cmd = connect_new(io, 1, 1);
	connect_cmd(cmd)->sqsize = htole16(63);
	assert_int_equal(cmd_finish(cmd, NULL), 0);
	conn_drop(io);
	conn_free(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(controller_data_is_truthful),
		test(namespace_identity_is_stable_and_consistent),
		test(inactive_namespace_is_zeroes_and_invalid_is_an_error),
		test(every_cns_that_hosts_ask_for_is_answered),
		test(log_offsets_are_checked),
		test(supported_pages_are_listed),
		test(a_clock_that_is_set_back_makes_no_controller_old),
		test(smart_counts_what_was_done),
		test(features_have_current_default_and_capabilities),
		test(saving_and_per_namespace_setting_are_refused),
		test(reservation_features_are_of_a_namespace),
		test(unknown_opcodes_are_refused),
		test(one_event_more_than_the_limit_is_refused),
		test(notice_comes_once_until_its_log_is_read),
		test(event_without_a_request_waits_for_one),
		test(abort_always_answers),
		test(the_longest_queue_is_mqes_for_io_and_fixed_for_admin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
