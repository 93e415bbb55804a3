/* SPDX-License-Identifier: Apache-2.0 */
/* The association against a small controller: coming up, staying up, coming back, going in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fake_ctrl.h"

struct up {
	struct fake_ctrl *ctrl;
	struct fake *f;
	struct nvme_host *h;
	struct nvme_host_opts opts;
	unsigned readies, losses, events, closed;
	int state; /* last told; 1: none yet */
	uint32_t event;
	char text[512];
	bool close_on_loss;
};

struct io {
	struct nvme_hostcmd cmd;
	unsigned done;
	int status;
};

static void on_closed(void *ctx)
{
	struct up *up = ctx;

	up->closed++;
}

static void on_state(struct nvme_host *h, int state, const struct err *err, void *ctx)
{
	struct up *up = ctx;

	up->state = state;
	if (state == 0) {
		up->readies++;
		return;
	}
	up->losses++;
	(void)str_copy(up->text, sizeof(up->text), err->text);
	if (up->close_on_loss)
		nvme_host_close(h, on_closed, up);
}

static void on_event(struct nvme_host *h, uint32_t dw0, void *ctx)
{
	struct up *up = ctx;

	up->events++;
	up->event = dw0;
}

static void on_done(struct nvme_hostcmd *cmd, int status)
{
	struct io *io = cmd->ctx;

	io->done++;
	io->status = status;
}

static struct up *up_new(void)
{
	struct up *up = calloc(1, sizeof(*up));

	up->ctrl = ctrl_new();
	up->f = up->ctrl->f;
	up->state = 1;
	up->opts = nvme_host_opts_default();
	up->opts.addr = up->f->addr;
	up->opts.subnqn = "nqn.2026-01.io.litepool:test";
	up->opts.reconnect_ms = 1;
	up->opts.on_state = on_state;
	up->opts.ctx = up;
	return up;
}

static void up_start(struct up *up)
{
	struct err err;

	if (nvme_host_new(up->f->r, &up->opts, &up->h, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(up->state, 1);
}

static void up_ready(struct up *up)
{
	up_start(up);
	run_until(up->f, up->readies == 1);
}

static void up_end(struct up *up)
{
	if (!up->closed) {
		nvme_host_close(up->h, on_closed, up);
		assert_int_equal(up->closed, 0);
		run_until(up->f, up->closed);
	}
	ctrl_free(up->ctrl);
	free(up);
}

static void io_submit(struct up *up, struct io *io, unsigned queue, bool write, uint64_t lba,
		      void *data, uint32_t len)
{
	memset(io, 0, sizeof(*io));
	io->cmd.done = on_done;
	io->cmd.ctx = io;
	nvme_hostcmd_rw(&io->cmd, write, 1, lba, len / 512, data, len);
	nvme_host_io(up->h, queue, &io->cmd);
	assert_int_equal(io->done, 0);
}

static void comes_up_and_moves_data(void **state)
{
	struct up *up = up_new();
	uint8_t out[4096], in[4096] = {0};
	struct io io;

	memset(out, 0x3c, sizeof(out));
	up->opts.n_io_queues = 2;
	up_ready(up);
	assert_true(nvme_host_ready(up->h));
	assert_int_equal(nvme_host_cntlid(up->h), 0x21);
	assert_int_equal(nvme_host_mdts(up->h), 128 * KIB);
	assert_int_equal(up->ctrl->io_connects, 2);
	assert_int_equal(up->ctrl->io_cntlid, 0x21);
	io_submit(up, &io, 0, true, 8, out, sizeof(out));
	run_until(up->f, io.done);
	assert_int_equal(io.status, 0);
	io_submit(up, &io, 1, false, 8, in, sizeof(in));
	run_until(up->f, io.done);
	assert_int_equal(io.status, 0);
	assert_memory_equal(in, out, sizeof(in));
	up_end(up);
}

static void shuts_down_in_order(void **state)
{
	struct up *up = up_new();

	up_ready(up);
	nvme_host_close(up->h, on_closed, up);
	run_until(up->f, up->closed);
	assert_int_equal(up->ctrl->shutdowns, 1);
	run_some(up->f);
	for (unsigned i = 0; i < up->f->n_conns; i++)
		assert_true(up->f->conn[i]->ended);
	up_end(up);
}

static void kill_says_nothing(void **state)
{
	struct up *up = up_new();

	up_ready(up);
	nvme_host_kill(up->h, on_closed, up);
	run_until(up->f, up->closed);
	assert_int_equal(up->ctrl->shutdowns, 0);
	up_end(up);
}

static void takes_what_is_granted(void **state)
{
	struct up *up = up_new();
	uint8_t data[512];
	struct io io[4];

	up->ctrl->queues = 2;
	up->ctrl->mqes = 15;
	up->opts.n_io_queues = 4;
	up_ready(up);
	assert_int_equal(up->ctrl->io_connects, 2);
	assert_int_equal(up->ctrl->io_sqsize, 15);
	for (unsigned i = 0; i < 4; i++)
		io_submit(up, &io[i], i, false, i, data, sizeof(data));
	for (unsigned i = 0; i < 4; i++)
		run_until(up->f, io[i].done && io[i].status == 0);
	up_end(up);
}

static void refusal_names_the_reason(void **state)
{
	struct up *up = up_new();

	up->ctrl->connect_status = NVME_SC_CONNECT_INVALID_HOST | NVME_STATUS_DNR;
	up_start(up);
	run_until(up->f, up->losses == 1);
	assert_non_null(strstr(up->text, "not allowed"));
	run_some(up->f);
	assert_int_equal(up->ctrl->admin_connects, 1);
	up_end(up);
}

static void commands_before_ready_wait_when_reconnecting(void **state)
{
	struct up *up = up_new();
	uint8_t data[512];
	struct io io;

	up->opts.reconnect = true;
	up_start(up);
	io_submit(up, &io, 0, false, 0, data, sizeof(data));
	run_until(up->f, io.done);
	assert_int_equal(io.status, 0);
	up_end(up);
}

static void commands_when_down_are_refused(void **state)
{
	struct up *up = up_new();
	uint8_t data[512];
	struct io io;

	up_start(up);
	io_submit(up, &io, 0, false, 0, data, sizeof(data));
	run_until(up->f, io.done);
	assert_int_equal(io.status, -ENOTCONN);
	up_end(up);
}

static void lost_commands_are_sent_again(void **state)
{
	enum { N = 40 };
	struct up *up = up_new();
	static uint8_t data[N][512];
	static struct io io[N];

	up->opts.reconnect = true;
	up->opts.n_io_queues = 2;
	up->opts.queue_size = 8;
	up_ready(up);
	up->ctrl->hold_io = true;
	for (unsigned i = 0; i < N; i++) {
		memset(data[i], (int)i + 1, sizeof(data[i]));
		io_submit(up, &io[i], i % 2, true, i, data[i], sizeof(data[i]));
	}
	run_until(up->f, up->ctrl->held == 16);
	fake_unlisten(up->f);
	ctrl_crash(up->ctrl);
	/* Down for a few attempts. */
	run_until(up->f, up->losses >= 3);
	up->ctrl->hold_io = false;
	fake_listen(up->f);
	run_until(up->f, up->readies == 2);
	for (unsigned i = 0; i < N; i++) {
		run_until(up->f, io[i].done);
		assert_int_equal(io[i].done, 1);
		assert_int_equal(io[i].status, 0);
		assert_int_equal(up->ctrl->data[i * 512], i + 1);
	}
	assert_int_equal(up->ctrl->writes, N);
	up_end(up);
}

static void without_reconnection_a_loss_ends_commands(void **state)
{
	struct up *up = up_new();
	uint8_t data[512];
	struct io io;

	up_ready(up);
	up->ctrl->hold_io = true;
	io_submit(up, &io, 0, false, 0, data, sizeof(data));
	run_until(up->f, up->ctrl->held == 1);
	ctrl_crash(up->ctrl);
	run_until(up->f, io.done && up->losses == 1);
	assert_int_equal(io.status, -ECONNRESET);
	assert_false(nvme_host_ready(up->h));
	up_end(up);
}

static void one_lost_queue_brings_all_up_again(void **state)
{
	struct up *up = up_new();

	up->opts.reconnect = true;
	up->opts.n_io_queues = 3;
	up_ready(up);
	fake_drop(up->f->conn[2]);
	run_until(up->f, up->readies == 2);
	assert_int_equal(up->ctrl->admin_connects, 2);
	assert_int_equal(up->ctrl->io_connects, 6);
	up_end(up);
}

static void keep_alive_goes_on_and_silence_is_a_loss(void **state)
{
	struct up *up = up_new();

	up->opts.kato_ms = 20;
	up_ready(up);
	run_until(up->f, up->ctrl->keep_alives >= 3);
	assert_int_equal(up->losses, 0);
	up->ctrl->no_keep_alive = true;
	run_until(up->f, up->losses == 1);
	assert_int_equal(up->state, -ETIMEDOUT);
	up_end(up);
}

static void events_are_told_and_asked_for_again(void **state)
{
	struct up *up = up_new();

	up->ctrl->oaes = 1u << 8 | 1u << 9;
	up->opts.on_event = on_event;
	up_ready(up);
	assert_int_equal(up->ctrl->aen_mask, 1u << 8);
	run_until(up->f, up->ctrl->n_aers == 2);
	for (unsigned i = 1; i <= 5; i++) {
		ctrl_event(up->ctrl, 0x040002 + i);
		run_until(up->f, up->events == i && up->ctrl->n_aers == 2);
		assert_int_equal(up->event, 0x040002 + i);
	}
	up_end(up);
}

static void host_may_be_closed_in_its_callback(void **state)
{
	struct up *up = up_new();

	up->close_on_loss = true;
	up->opts.reconnect = true;
	up_ready(up);
	ctrl_crash(up->ctrl);
	run_until(up->f, up->closed);
	up_end(up);
}

static void close_while_connecting_ends_cleanly(void **state)
{
	/* One more pass each time: every state of the way up is cut once. */
	for (int passes = 0; passes < 30; passes++) {
		struct up *up = up_new();

		up->ctrl->never_ready = passes % 2;
		up_start(up);
		for (int i = 0; i < passes; i++)
			(void)reactor_pass(up->f->r, 1000000);
		up_end(up);
	}
}

static void loss_at_every_step_is_survived(void **state)
{
	for (int passes = 0; passes < 30; passes++) {
		struct up *up = up_new();
		uint8_t data[512];
		struct io io;

		up->opts.reconnect = true;
		up_start(up);
		io_submit(up, &io, 0, false, 0, data, sizeof(data));
		for (int i = 0; i < passes; i++)
			(void)reactor_pass(up->f->r, 1000000);
		ctrl_crash(up->ctrl);
		run_until(up->f, io.done);
		assert_int_equal(io.status, 0);
		up_end(up);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_and_moves_data),
		cmocka_unit_test(shuts_down_in_order),
		cmocka_unit_test(kill_says_nothing),
		cmocka_unit_test(takes_what_is_granted),
		cmocka_unit_test(refusal_names_the_reason),
		cmocka_unit_test(commands_before_ready_wait_when_reconnecting),
		cmocka_unit_test(commands_when_down_are_refused),
		cmocka_unit_test(lost_commands_are_sent_again),
		cmocka_unit_test(without_reconnection_a_loss_ends_commands),
		cmocka_unit_test(one_lost_queue_brings_all_up_again),
		cmocka_unit_test(keep_alive_goes_on_and_silence_is_a_loss),
		cmocka_unit_test(events_are_told_and_asked_for_again),
		cmocka_unit_test(host_may_be_closed_in_its_callback),
		cmocka_unit_test(close_while_connecting_ends_cleanly),
		cmocka_unit_test(loss_at_every_step_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
