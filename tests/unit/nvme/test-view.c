/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: its end means that nothing that saw the old state is under way, and it waits for nothing but the disk. */
#include <string.h>

#include "rig.h"

#define DNR NVME_STATUS_DNR

static void an_idle_publish_ends_and_is_never_done_inside_the_call(void **state)
{
	struct rig *rig = rig_new(NULL);
	unsigned done = 0;

	(void)state;
	rig_publish(rig, &done);
	assert_int_equal(done, 0);
	rig_pump(rig);
	assert_int_equal(done, 1);
	rig_free(rig);
}

static void a_publish_waits_for_what_is_with_the_disk(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][1], NVME_IO_READ, 1, 0, 1);
	unsigned done = 0;

	(void)state;
	(void)rig_hang(rig, 0, 0);
	rig_start(r);
	rig_pump(rig);
	rig->ss.ns[0] = NULL;
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 0);
	/* New commands see the new state though the old is not drained. */
	assert_int_equal(rig_run_free(rig_rw(&rig->qp[0][1], NVME_IO_READ, 1, 0, 1)),
			 NVME_SC_INVALID_NS | DNR);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(done, 1);
	assert_status(r->status, 0);
	rig_req_free(r);
	rig_free(rig);
}

/* A disk hangs, and its namespace is taken away, and another one given: nothing of that waits for the disk, only its end does. */
static void a_new_state_does_not_wait_for_the_end_of_an_older_one(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	struct nvme_ns *first = rig->ss.ns[0], *second = rig->ss.ns[1];
	unsigned done[3] = {0};

	(void)state;
	(void)rig_hang(rig, 0, 0);
	rig_start(r);
	rig_pump(rig);
	rig->ss.ns[1] = NULL;
	rig_publish(rig, &done[0]);
	rig_pump(rig);
	rig->ss.ns[1] = second;
	rig_publish(rig, &done[1]);
	rig_pump(rig);
	assert_status(rig_run_free(rig_rw(&rig->qp[0][1], NVME_IO_READ, 2, 0, 1)), 0);
	rig->ss.ns[0] = NULL;
	rig_publish(rig, &done[2]);
	rig_pump(rig);
	assert_int_equal(rig_run_free(rig_rw(&rig->qp[0][1], NVME_IO_READ, 1, 0, 1)),
			 NVME_SC_INVALID_NS | DNR);
	/* The read that hangs saw the state before all of these. */
	assert_int_equal(done[0] + done[1] + done[2], 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(done[0], 1);
	assert_int_equal(done[1], 1);
	assert_int_equal(done[2], 1);
	rig->ss.ns[0] = first;
	rig_req_free(r);
	rig_free(rig);
}

static void very_many_publishes_are_joined(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	uint64_t generation;
	unsigned done = 0;

	(void)state;
	(void)rig_hang(rig, 0, 0);
	rig_start(r);
	rig_pump(rig);
	generation = rig->ss.view_generation;
	for (int i = 0; i < 50; i++) {
		rig_publish(rig, &done);
		rig_pump(rig);
	}
	assert_int_equal(done, 0);
	assert_int_equal(rig->ss.view_generation, generation + 16);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(done, 50);
	assert_int_equal(rig->ss.view_generation, generation + 17);
	rig_req_free(r);
	rig_free(rig);
}

/* The namespace goes while the host owes data: the write is checked again and refused, nobody waited for it. */
static void no_publish_waits_for_a_host(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 1);
	unsigned done = 0;

	(void)state;
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	assert_true(w->fetching);
	rig->ss.ns[0] = NULL;
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 1);
	rig_fetched(w);
	rig_pump(rig);
	assert_int_equal(w->status, NVME_SC_INVALID_NS | DNR);
	rig_req_free(w);
	rig_free(rig);
}

static void no_publish_waits_for_a_buffer(void **state)
{
	const struct iobuf_counts one = {.n = {3, 3, 3, 3, 3, 3}};
	struct rig *rig = rig_new(&one);
	struct rig_req *a = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 2, 0, 1);
	struct rig_req *b = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	unsigned done = 0;

	(void)state;
	a->no_fetch = true;
	rig_start(a);
	rig_start(b);
	rig_pump(rig);
	assert_int_equal(b->req.state, NVME_REQ_BUFFER);
	rig->ss.ns[0] = NULL;
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 1);
	rig_fetched(a);
	rig_pump(rig);
	assert_status(a->status, 0);
	assert_int_equal(b->status, NVME_SC_INVALID_NS | DNR);
	rig_req_free(a);
	rig_req_free(b);
	rig_free(rig);
}

static void no_publish_waits_for_tokens(void **state)
{
	const struct nvme_qos_limits slow = {.rw_ios_per_sec = 1, .burst_ms = 1};
	struct nvme_qos *qos = nvme_qos_new();
	struct rig *rig = rig_new(NULL);
	struct rig_req *r[3];
	unsigned done = 0;

	(void)state;
	nvme_qos_set(qos, &slow);
	rig->ns[0].qos = qos;
	rig_publish(rig, NULL);
	rig_pump(rig);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		r[i] = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
		rig_start(r[i]);
	}
	rig_pump(rig);
	assert_int_equal(r[0]->completes, 1);
	assert_int_equal(r[2]->req.state, NVME_REQ_QOS);
	rig_publish(rig, &done); /* nothing changed: they stand in line again */
	rig_pump(rig);
	assert_int_equal(done, 1);
	assert_int_equal(r[1]->req.state, NVME_REQ_QOS);
	assert_int_equal(r[2]->req.state, NVME_REQ_QOS);
	rig->ss.ns[0] = NULL;
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 2);
	assert_int_equal(r[1]->status, NVME_SC_INVALID_NS | DNR);
	assert_int_equal(r[2]->status, NVME_SC_INVALID_NS | DNR);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		rig_req_free(r[i]);
	rig_free(rig);
	nvme_qos_free(qos);
}

struct chain {
	struct rig *rig;
	unsigned left;
};

static void publish_again(void *ctx, int res)
{
	struct chain *c = ctx;

	assert_int_equal(res, 0);
	if (c->left-- > 1)
		view_publish(&c->rig->ss, publish_again, c);
}

static void a_callback_may_publish(void **state)
{
	struct chain c = {.rig = rig_new(NULL), .left = 4};

	(void)state;
	view_publish(&c.rig->ss, publish_again, &c);
	rig_pump(c.rig);
	assert_int_equal(c.left, 0);
	rig_free(c.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_publish_ends_and_is_never_done_inside_the_call),
		cmocka_unit_test(a_publish_waits_for_what_is_with_the_disk),
		cmocka_unit_test(a_new_state_does_not_wait_for_the_end_of_an_older_one),
		cmocka_unit_test(very_many_publishes_are_joined),
		cmocka_unit_test(no_publish_waits_for_a_host),
		cmocka_unit_test(no_publish_waits_for_a_buffer),
		cmocka_unit_test(no_publish_waits_for_tokens),
		cmocka_unit_test(a_callback_may_publish),
	};

	return cmocka_run_group_tests_name("nvme/view", tests, NULL, NULL);
}
