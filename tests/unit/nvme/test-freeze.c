/* SPDX-License-Identifier: Apache-2.0 */
/* A frozen reactor: what executes ends, nothing else begins, and after the thaw everything goes on; and how what stands still is saved. */
#include <string.h>

#include "nvme/carry.h"
#include "nvme/freeze.h"
#include "rig.h"

static void count_drained(void *ctx)
{
	++*(unsigned *)ctx;
}

static bool freeze(struct rig *rig, unsigned *drained)
{
	return nvme_freeze(&rig->target, rig->reactor[0], count_drained, drained);
}

struct thaw {
	struct msg msg;
	struct rig *rig;
};

static void thaw_run(struct msg *msg)
{
	struct rig *rig = container_of(msg, struct thaw, msg)->rig;

	nvme_thaw(&rig->target, rig->reactor[0]);
}

/* On its reactor, as the transport does. */
static void thaw(struct rig *rig)
{
	struct thaw t = {.msg = {.run = thaw_run}, .rig = rig};

	reactor_post(rig->reactor[0], &t.msg);
	rig_pump(rig);
}

static void what_executes_is_waited_for(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	unsigned drained = 0;

	(void)state;
	(void)rig_hang(rig, 0, 1u << BLK_READ);
	rig_start(r);
	rig_pump(rig);
	assert_false(freeze(rig, &drained));
	assert_int_equal(nvme_freeze_executing(&rig->target, rig->reactor[0]), 1);
	assert_int_equal(drained, 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(r->completes, 1);
	assert_int_equal(drained, 1);
	thaw(rig);
	rig_req_free(r);
	rig_free(rig);
}

static void what_would_begin_is_parked_and_goes_on(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 3, 4);
	struct nvme_req_carry carry;
	unsigned drained = 0;

	(void)state;
	rig_fill(w, 0x5a);
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	assert_true(freeze(rig, &drained)); /* its data is with the host: nothing executes */
	rig_fetched(w);
	rig_pump(rig);
	assert_int_equal(w->req.state, NVME_REQ_PARKED);
	assert_null(w->req.view);
	nvme_req_save(&w->req, &carry);
	assert_int_equal(carry.have, w->data_size);
	assert_memory_equal(carry.data, w->data, w->data_size);
	assert_false(carry.paired);
	assert_int_equal(w->completes, 0);
	thaw(rig);
	assert_int_equal(w->completes, 1);
	assert_int_equal(w->req.status, 0);
	rig_req_free(w);
	rig_free(rig);
}

static void a_parked_command_can_be_aborted(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 3, 4);
	unsigned drained = 0;

	(void)state;
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	(void)freeze(rig, &drained);
	rig_fetched(w);
	rig_pump(rig);
	rig_cancel(w, NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_int_equal(w->completes, 1);
	assert_int_equal(w->req.status, NVME_SC_ABORT_REQ);
	thaw(rig);
	assert_int_equal(w->completes, 1);
	rig_req_free(w);
	rig_free(rig);
}

static void a_publish_does_not_wait_for_what_is_parked(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 3, 4);
	unsigned drained = 0, done = 0;

	(void)state;
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	(void)freeze(rig, &drained);
	rig_fetched(w);
	rig_pump(rig);
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 1);
	thaw(rig);
	assert_int_equal(w->completes, 1);
	rig_req_free(w);
	rig_free(rig);
}

/* A thaw that comes while something executes still: what was parked goes on, the rest as ever. */
static void thaw_may_come_at_any_moment(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 3, 4);
	unsigned drained = 0;

	(void)state;
	(void)rig_hang(rig, 0, 1u << BLK_READ);
	rig_start(r);
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	(void)freeze(rig, &drained);
	rig_fetched(w);
	rig_pump(rig);
	thaw(rig);
	assert_int_equal(w->completes, 1);
	assert_int_equal(r->completes, 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(r->completes, 1);
	assert_int_equal(drained, 0);
	rig_req_free(r);
	rig_req_free(w);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_executes_is_waited_for),
		cmocka_unit_test(what_would_begin_is_parked_and_goes_on),
		cmocka_unit_test(a_parked_command_can_be_aborted),
		cmocka_unit_test(a_publish_does_not_wait_for_what_is_parked),
		cmocka_unit_test(thaw_may_come_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
