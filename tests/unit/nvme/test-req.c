/* SPDX-License-Identifier: Apache-2.0 */
/* The request machine: every way through the states answers once, gives everything back, and can be cancelled where it waits. */
#include <errno.h>
#include <string.h>

#include "rig.h"

#define DNR NVME_STATUS_DNR

static void a_write_is_read_back(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 3, 4);
	struct rig_req *r = rig_rw(&rig->qp[1][1], NVME_IO_READ, 1, 3, 4);

	(void)state;
	rig_fill(w, 0x5a);
	assert_status(rig_run(w), 0);
	assert_int_equal(w->fetches, 1);
	assert_status(rig_run(r), 0);
	assert_memory_equal(w->data, r->data, r->data_size);
	rig_req_free(w);
	rig_req_free(r);
	rig_free(rig);
}

static void in_capsule_data_is_not_fetched(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 2);

	(void)state;
	w->capsule = true;
	rig_fill(w, 0x11);
	assert_status(rig_run(w), 0);
	assert_int_equal(w->fetches, 0);
	rig_req_free(w);
	rig_free(rig);
}

static void a_lent_read_takes_no_buffer_and_holds_the_view(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	unsigned done = 0;

	(void)state;
	rig->ns[0].dev = rig->ram[0];
	rig_publish(rig, NULL);
	rig_pump(rig);
	r->req.loan_ok = true;
	r->no_release = true;
	assert_status(rig_run(r), 0);
	assert_int_equal(rig_buffers_out(rig), 0);
	assert_non_null(r->req.loan);
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 0);
	rig_release(r);
	rig_pump(rig);
	assert_int_equal(done, 1);
	rig_req_free(r);
	rig_free(rig);
}

static void an_unsent_answer_does_not_hold_up_a_publish(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
	unsigned done = 0;

	(void)state;
	r->no_release = true;
	assert_status(rig_run(r), 0);
	assert_int_equal(rig_buffers_out(rig), 1);
	rig_publish(rig, &done);
	rig_pump(rig);
	assert_int_equal(done, 1);
	rig_release(r);
	rig_pump(rig);
	rig_req_free(r);
	rig_free(rig);
}

static void cancel_while_the_host_owes_data(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 8);

	(void)state;
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	assert_int_equal(w->req.state, NVME_REQ_FETCH);
	rig_cancel(w, NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_true(w->caught);
	assert_int_equal(w->completes, 1);
	assert_status(w->status, NVME_SC_ABORT_REQ);
	rig_req_free(w);
	rig_free(rig);
}

/* Cancel comes in the same pass as the start: fetch was decided but not yet asked for. */
static void cancel_before_fetch_is_asked_for(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 8);

	(void)state;
	rig_start(w);
	rig_cancel(w, NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_true(w->caught);
	assert_int_equal(w->fetches, 0);
	assert_int_equal(w->completes, 1);
	rig_req_free(w);
	rig_free(rig);
}

static void cancel_in_the_line_for_a_buffer(void **state)
{
	const struct iobuf_counts one = {.n = {3, 3, 3, 3, 3, 3}};
	struct rig *rig = rig_new(&one);
	struct rig_req *a = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 1);
	struct rig_req *b = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 1, 1);
	struct rig_req *c = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 2, 1);

	(void)state;
	a->no_fetch = true;
	rig_start(a);
	rig_start(b);
	rig_start(c);
	rig_pump(rig);
	assert_int_equal(b->req.state, NVME_REQ_BUFFER);
	assert_int_equal(c->req.state, NVME_REQ_BUFFER);
	rig_cancel(b, NVME_SC_ABORT_QUEUE);
	rig_pump(rig);
	assert_true(b->caught);
	assert_status(b->status, NVME_SC_ABORT_QUEUE);
	assert_int_equal(c->completes, 0);
	rig_fetched(a);
	rig_pump(rig);
	assert_status(a->status, 0);
	assert_int_equal(c->completes, 1);
	assert_status(c->status, 0);
	rig_req_free(a);
	rig_req_free(b);
	rig_req_free(c);
	rig_free(rig);
}

static void what_is_with_the_disk_ends_in_its_time(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);

	(void)state;
	(void)rig_hang(rig, 0, 1u << BLK_READ);
	rig_start(r);
	rig_pump(rig);
	rig_cancel(r, NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_false(r->caught);
	assert_int_equal(r->completes, 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(r->completes, 1);
	assert_status(r->status, 0);
	rig_req_free(r);
	rig_free(rig);
}

static void a_held_event_request_is_cancelled(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_req_new(&rig->admin, NVME_ADMIN_ASYNC_EVENT, 0);

	(void)state;
	rig_start(r);
	rig_pump(rig);
	assert_int_equal(r->req.state, NVME_REQ_HELD);
	assert_ptr_equal(rig->held, &r->req);
	rig_cancel(r, NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_null(rig->held);
	assert_int_equal(r->completes, 1);
	rig_req_free(r);
	rig_free(rig);
}

static void a_failed_fetch_ends_with_its_status(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 1);

	(void)state;
	w->no_fetch = true;
	rig_start(w);
	rig_pump(rig);
	nvme_req_fail(&w->req, NVME_SC_TRANSIENT_TRANSPORT);
	assert_int_equal(w->completes, 0);
	rig_pump(rig);
	assert_status(w->status, NVME_SC_TRANSIENT_TRANSPORT);
	rig_req_free(w);
	rig_free(rig);
}

static void what_the_transport_refuses_is_answered(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 1);

	(void)state;
	w->capsule = true;
	w->sgl_bad = true;
	w->req.sgl_status = NVME_SC_CMDID_CONFLICT;
	assert_status(rig_run(w), NVME_SC_CMDID_CONFLICT);
	rig_req_free(w);
	rig_free(rig);
}

static void a_bad_digest_in_the_capsule_is_answered_and_can_be_sent_again(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *w = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, 0, 1);

	(void)state;
	w->capsule = true;
	w->bad_digest = NVME_SC_TRANSIENT_TRANSPORT;
	assert_int_equal(rig_run(w), NVME_SC_TRANSIENT_TRANSPORT);
	w->bad_digest = 0;
	assert_status(rig_run(w), 0);
	rig_req_free(w);
	rig_free(rig);
}

static void queue_rules(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_qp *q = &rig->qp[0][0];
	struct rig_req *r;

	(void)state;
	q->qp.state = NVME_QP_NEW;
	assert_status(rig_run_free(rig_rw(q, NVME_IO_READ, 1, 0, 1)), NVME_SC_CMD_SEQ_ERROR);
	q->qp.state = NVME_QP_CLOSING;
	assert_status(rig_run_free(rig_rw(q, NVME_IO_READ, 1, 0, 1)), NVME_SC_ABORT_QUEUE);
	q->qp.state = NVME_QP_READY;
	r = rig_req_new(q, NVME_OPC_FABRICS, 0);
	((struct nvme_fabrics_cmd *)&r->req.sqe)->fctype = NVME_FABRICS_CONNECT;
	assert_status(rig_run_free(r), NVME_SC_CMD_SEQ_ERROR);
	r = rig_req_new(q, NVME_OPC_FABRICS, 0);
	((struct nvme_fabrics_cmd *)&r->req.sqe)->fctype = NVME_FABRICS_DISCONNECT;
	assert_status(rig_run_free(r), 0);
	assert_int_equal(q->closes, 1);
	atomic_store(&rig->ctrlr[0].csts, 0);
	assert_status(rig_run_free(rig_rw(q, NVME_IO_READ, 1, 0, 1)), NVME_SC_CMD_SEQ_ERROR);
	atomic_store(&rig->ctrlr[0].csts, NVME_CSTS_RDY);
	atomic_store(&rig->ctrlr[0].cc, 0);
	assert_status(rig_run_free(rig_rw(q, NVME_IO_READ, 1, 0, 1)), NVME_SC_CMD_SEQ_ERROR);
	atomic_store(&rig->ctrlr[0].cc, NVME_CC_EN);
	r = rig_rw(q, NVME_IO_READ, 1, 0, 1);
	r->req.sqe.flags = 0;
	assert_status(rig_run_free(r), NVME_SC_INVALID_FIELD);
	rig_free(rig);
}

static void admin_pages_begin_as_zeroes(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *r = rig_req_new(&rig->admin, NVME_ADMIN_IDENTIFY, 0);
	const uint8_t zero[64] = {0};

	(void)state;
	rig_data(r, 4096);
	rig_fill(r, 0xee);
	assert_status(rig_run(r), 0);
	assert_memory_equal(r->data, zero, sizeof(zero));
	rig_data(r, 4095);
	assert_status(rig_run(r), NVME_SC_SGL_INVALID_DATA);
	rig_req_free(r);
	rig_free(rig);
}

static void errors_are_counted_and_reported(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_qp *q = &rig->qp[0][1];

	(void)state;
	rig_fail(rig, 0, 1u << BLK_READ, -EIO, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_run_free(rig_rw(q, NVME_IO_READ, 1, 0, 1)),
				 NVME_SC_READ_ERROR | DNR);
	assert_int_equal(rig->errors_logged, 3);
	assert_int_equal(counter_get(&q->qp.stats.errors), 3);
	assert_int_equal(counter_get(&rig->ns[0].stats[1]->errors), 3);
	assert_int_equal(counter_get(&rig->ns[0].stats[1]->reads), 3);
	assert_int_equal(counter_get(&rig->ns[0].stats[1]->read_bytes), 0);
	assert_int_equal(hist_count(&rig->ns[0].stats[1]->read_latency), 3);
	rig_unhang(rig, 0);
	rig_free(rig);
}

/* --- property: random commands, random cancels, random hangs; each command is answered once and nothing leaks --- */

#define RANDOM_REQS  24
#define RANDOM_STEPS 400

static struct rig_req *random_req(struct rig *rig, struct rng *rng)
{
	static const uint8_t ops[] = {NVME_IO_READ,    NVME_IO_WRITE,        NVME_IO_WRITE,
				      NVME_IO_COMPARE, NVME_IO_WRITE_ZEROES, NVME_IO_VERIFY,
				      NVME_IO_FLUSH};
	struct rig_qp *q = &rig->qp[rng_below(rng, RIG_HOSTS)][rng_below(rng, RIG_DATA)];
	const uint8_t op = ops[rng_below(rng, sizeof(ops))];
	struct rig_req *r = rig_rw(q, op, (uint32_t)rng_below(rng, 4),
				   rng_below(rng, RIG_BLOCKS + 4), 1 + (uint32_t)rng_below(rng, 8));

	if (op == NVME_IO_FLUSH)
		rig_data(r, 0);
	if (op == NVME_IO_WRITE && rng_chance(rng, 0.3))
		r->req.sqe.flags |=
			(uint8_t)(1 + rng_below(rng, 2)); /* second halves, sometimes right */
	if (op == NVME_IO_COMPARE && rng_chance(rng, 0.5))
		r->req.sqe.flags |= NVME_SQE_FUSE_FIRST;
	r->capsule =
		r->data_size && r->data_size <= 8192 && op != NVME_IO_READ && rng_chance(rng, 0.5);
	r->no_fetch = rng_chance(rng, 0.3);
	return r;
}

static void random_step(struct rig *rig, struct rng *rng, struct rig_req **reqs)
{
	struct rig_req **slot = &reqs[rng_below(rng, RANDOM_REQS)];

	if (*slot && (*slot)->completes) {
		rig_req_free(*slot);
		*slot = NULL;
	}
	if (!*slot) {
		*slot = random_req(rig, rng);
		rig_start(*slot);
	} else if ((*slot)->no_fetch && (*slot)->fetching && rng_chance(rng, 0.5)) {
		rig_fetched(*slot);
	} else if (rng_chance(rng, 0.5)) {
		rig_cancel(*slot, NVME_SC_ABORT_REQ);
	}
	if (rng_chance(rng, 0.05))
		(void)rig_hang(rig, 0, 0);
	if (rng_chance(rng, 0.1))
		rig_unhang(rig, 0);
	if (rng_chance(rng, 0.05))
		rig_publish(rig, NULL);
	for (unsigned i = 0; i <= RIG_DATA; i++) {
		if (rng_chance(rng, 0.6))
			(void)reactor_pass(rig->reactor[i], 0);
	}
	rig->now_ns += rng_below(rng, 3 * NSEC_PER_MSEC);
	/* The message of this slot must have been taken before the slot is used again. */
	(void)reactor_pass(rig->reactor[0], 0);
	(void)reactor_pass(rig->reactor[1], 0);
}

static void random_life(uint64_t seed, const struct iobuf_counts *counts, struct nvme_qos *qos)
{
	struct rig *rig = rig_new(counts);
	struct rig_req *reqs[RANDOM_REQS] = {NULL};
	struct rng rng;

	rng_seed(&rng, seed);
	rig->ns[0].qos = qos;
	rig_publish(rig, NULL);
	rig_pump(rig);
	for (int i = 0; i < RANDOM_STEPS; i++)
		random_step(rig, &rng, reqs);
	rig_unhang(rig, 0);
	rig_pump(rig);
	for (int i = 0; i < RANDOM_REQS; i++) {
		if (reqs[i])
			rig_cancel(reqs[i], NVME_SC_ABORT_QUEUE);
	}
	rig_pump(rig);
	for (int i = 0; i < RANDOM_REQS; i++) {
		if (!reqs[i])
			continue;
		if (reqs[i]->completes != 1)
			print_message("# seed %llu: slot %d in state %s\n",
				      (unsigned long long)seed, i,
				      nvme_req_state_name[reqs[i]->req.state]);
		assert_int_equal(reqs[i]->completes, 1);
		rig_req_free(reqs[i]);
	}
	rig_free(rig);
}

static void each_command_completes_once_whatever_happens(void **state)
{
	const struct iobuf_counts few = {.n = {24, 6, 4, 3, 3, 3}};

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		random_life(seed, seed % 2 ? &few : NULL, NULL);
}

static void the_same_under_limits(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 2000, .burst_ms = 1};
	struct nvme_qos *qos = nvme_qos_new();

	(void)state;
	nvme_qos_set(qos, &limits);
	for (uint64_t seed = 100; seed < 120; seed++)
		random_life(seed, NULL, qos);
	nvme_qos_free(qos);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_is_read_back),
		cmocka_unit_test(in_capsule_data_is_not_fetched),
		cmocka_unit_test(a_lent_read_takes_no_buffer_and_holds_the_view),
		cmocka_unit_test(an_unsent_answer_does_not_hold_up_a_publish),
		cmocka_unit_test(cancel_while_the_host_owes_data),
		cmocka_unit_test(cancel_before_fetch_is_asked_for),
		cmocka_unit_test(cancel_in_the_line_for_a_buffer),
		cmocka_unit_test(what_is_with_the_disk_ends_in_its_time),
		cmocka_unit_test(a_held_event_request_is_cancelled),
		cmocka_unit_test(a_failed_fetch_ends_with_its_status),
		cmocka_unit_test(what_the_transport_refuses_is_answered),
		cmocka_unit_test(a_bad_digest_in_the_capsule_is_answered_and_can_be_sent_again),
		cmocka_unit_test(queue_rules),
		cmocka_unit_test(admin_pages_begin_as_zeroes),
		cmocka_unit_test(errors_are_counted_and_reported),
		cmocka_unit_test(each_command_completes_once_whatever_happens),
		cmocka_unit_test(the_same_under_limits),
	};

	return cmocka_run_group_tests_name("nvme/req", tests, NULL, NULL);
}
