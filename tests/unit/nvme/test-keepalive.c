/* SPDX-License-Identifier: Apache-2.0 */
/* Keep alive: who is dropped, when, and who is not. */
#include "lab.h"

static struct cmd *read_start(struct conn *io)
{
	struct cmd *cmd = cmd_new(io, NVME_IO_READ);

	cmd->req.sqe.nsid = htole32(1);
	cmd->req.xfer_len = 4096;
	cmd_start(cmd);
	return cmd;
}

static struct cmd *keep_alive(struct conn *conn)
{
	struct cmd *cmd = cmd_new(conn, NVME_ADMIN_KEEP_ALIVE);

	cmd_start(cmd);
	return cmd;
}

static void silent_host_is_dropped_and_a_busy_one_is_not(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 5000),
		    *io = host_add_queue(admin, 1);

	for (unsigned i = 0; i < 6; i++) { /* traffic on the I/O queue alone */
		cmd_free(read_start(io));
		lab_advance(lab, 4000);
		assert_false(admin->gone);
	}
	lab_advance(lab, 5000);
	lab_advance(lab, 5000);
	lab_advance(lab, 5000);
	assert_true(admin->gone);
	assert_true(io->gone);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

/* The process slept: time is long past, and what hosts sent meanwhile has not been read yet when the timers run. */
static void a_late_look_at_the_clock_drops_nobody(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 5000);

	for (unsigned i = 0; i < 3; i++) {
		lab_advance(lab, 5000); /* a look that finds the traffic of before */
		lab_advance(lab, 60000);
		assert_false(admin->gone);
		cmd_free(keep_alive(admin));
	}
	lab_advance(lab, 5000);
	lab_advance(lab, 5000);
	assert_false(admin->gone);
	lab_advance(lab, 1250);
	assert_true(admin->gone);
	conn_free(admin);
	lab_free(lab);
}

static const char *only_ctrlr_state(struct lab *lab, json_t **list)
{
	json_decref(*list);
	*list = nvme_subsystem_controllers_json(lab->ss);
	assert_int_equal(json_array_size(*list), 1);
	return json_string_value(json_object_get(json_array_get(*list, 0), "state"));
}

/* The disk hangs and the host goes silent: the controller waits, says so, and the host comes back under another id. */
static void a_disk_that_hangs_holds_back_no_reconnect(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 5000),
		    *io = host_add_queue(admin, 1), *again;
	struct cmd *read;
	json_t *list = NULL;

	assert_string_equal(only_ctrlr_state(lab, &list), "live");
	lab->dev->hold = true;
	read = read_start(io);
	for (unsigned i = 0; i < 8; i++)
		lab_advance(lab, 5000);
	assert_true(admin->gone);
	assert_false(io->gone);
	assert_string_equal(only_ctrlr_state(lab, &list), "closing");
	again = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	assert_int_equal(again->qp.ctrlr->cntlid, 2);
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_true(io->gone);
	assert_int_equal(read->done, 1);
	assert_string_equal(only_ctrlr_state(lab, &list), "live");
	json_decref(list);
	conn_drop(again);
	cmd_free(read);
	conn_free(again);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

static void kato_zero_is_for_ever_but_not_for_discovery(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	struct conn *disc = host_connect(lab, NVME_DISCOVERY_NQN, LAB_OTHER_HOST, 0);

	for (unsigned i = 0; i < 10; i++)
		lab_advance(lab, 60000);
	assert_false(admin->gone);
	assert_true(disc->gone);
	conn_drop(admin);
	conn_free(admin);
	conn_free(disc);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_host_is_dropped_and_a_busy_one_is_not),
		cmocka_unit_test(a_late_look_at_the_clock_drops_nobody),
		cmocka_unit_test(a_disk_that_hangs_holds_back_no_reconnect),
		cmocka_unit_test(kato_zero_is_for_ever_but_not_for_discovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
