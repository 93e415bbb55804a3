/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets on a clock that the test moves: rates hold over seconds that take no time. */
#include <string.h>

#include "rig.h"

#define STEP (NSEC_PER_MSEC)

static struct rig *rig;
static struct nvme_qos *qos;

static int setup(void **state)
{
	(void)state;
	rig = rig_new(NULL);
	qos = nvme_qos_new();
	rig->ns[0].qos = qos;
	rig_publish(rig, NULL);
	rig_pump(rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(rig);
	nvme_qos_free(qos);
	return 0;
}

/* A host that keeps depth commands under way on one queue until it is told to stop. */
struct load {
	struct rig_req *req[64];
	unsigned depth;
	uint64_t done;
	bool stop;
};

static void load_next(struct rig_req *r)
{
	struct load *l = r->req.tpriv;

	l->done++;
	if (!l->stop)
		rig_start(r);
}

static void load_start(struct load *l, struct rig_qp *q, uint8_t op, uint32_t blocks,
		       unsigned depth)
{
	*l = (struct load){.depth = depth};
	for (unsigned i = 0; i < depth; i++) {
		l->req[i] = rig_rw(q, op, 1, 0, blocks);
		l->req[i]->req.tpriv = l;
		l->req[i]->on_done = load_next;
		rig_start(l->req[i]);
	}
}

static void run_for(uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += STEP)
		rig_advance(rig, STEP);
}

static void load_stop(struct load *l)
{
	const struct nvme_qos_limits none = {0};

	l->stop = true;
	nvme_qos_set(qos, &none);
	rig_pump(rig);
	for (unsigned i = 0; i < l->depth; i++)
		rig_req_free(l->req[i]);
}

static void ios_per_second_hold(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 1000};
	struct load l;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&l, &rig->qp[0][0], NVME_IO_READ, 1, 32);
	rig_pump(rig);
	assert_in_range(l.done, 100, 101); /* the bucket: 100 ms */
	run_for(10 * NSEC_PER_SEC);
	assert_in_range(l.done, 10000 + 90, 10000 + 102);
	load_stop(&l);
}

static void a_command_larger_than_the_bucket_passes(void **state)
{
	const struct nvme_qos_limits limits = {.w_bytes_per_sec = 1000000, .burst_ms = 1};
	struct load l;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&l, &rig->qp[0][0], NVME_IO_WRITE, 32, 4); /* 131072 bytes, bucket of 1000 */
	run_for(10 * NSEC_PER_SEC);
	assert_in_range(l.done, 75, 78);
	load_stop(&l);
}

static void reads_and_writes_have_their_own_limits(void **state)
{
	const struct nvme_qos_limits limits = {.r_ios_per_sec = 10, .burst_ms = 1};
	struct load l;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&l, &rig->qp[0][0], NVME_IO_READ, 1, 8);
	rig_pump(rig);
	/* A write does not wait for read tokens, but it does not overtake its reactor's line either: on the other reactor it is alone. */
	for (int i = 0; i < 100; i++)
		assert_status(rig_run_free(rig_rw(&rig->qp[0][1], NVME_IO_WRITE, 1, 0, 1)), 0);
	assert_in_range(l.done, 1, 2);
	load_stop(&l);
}

static void flush_is_never_limited(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 1, .burst_ms = 1};
	struct load l;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&l, &rig->qp[0][0], NVME_IO_READ, 1, 8);
	rig_pump(rig);
	for (int i = 0; i < 10; i++)
		assert_status(rig_run_free(rig_req_new(&rig->qp[0][0], NVME_IO_FLUSH, 1)), 0);
	load_stop(&l);
}

static void reactors_share_a_bucket_evenly(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 1000, .burst_ms = 1};
	struct load a, b;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&a, &rig->qp[0][0], NVME_IO_READ, 1, 64);
	load_start(&b, &rig->qp[1][1], NVME_IO_READ, 1, 2);
	run_for(5 * NSEC_PER_SEC);
	assert_in_range(a.done + b.done, 4990, 5010);
	assert_in_range(a.done, 2400, 2600);
	a.stop = true;
	load_stop(&b);
	load_stop(&a);
}

static void a_shallow_queue_gets_its_share(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 1000, .burst_ms = 1};
	struct load deep, shallow;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&deep, &rig->qp[0][0], NVME_IO_READ, 1, 64);
	load_start(&shallow, &rig->qp[1][0], NVME_IO_READ, 1, 1);
	run_for(5 * NSEC_PER_SEC);
	assert_in_range(deep.done + shallow.done, 4990, 5010);
	assert_true(shallow.done > 2000);
	deep.stop = true;
	load_stop(&shallow);
	load_stop(&deep);
}

static void limits_change_live(void **state)
{
	struct nvme_qos_limits limits = {.rw_ios_per_sec = 1, .burst_ms = 1};
	struct load l;

	(void)state;
	nvme_qos_set(qos, &limits);
	load_start(&l, &rig->qp[0][0], NVME_IO_READ, 1, 8);
	run_for(NSEC_PER_SEC / 2);
	assert_in_range(l.done, 1, 2);
	limits.rw_ios_per_sec = 2000;
	limits.burst_ms = 10;
	nvme_qos_set(qos, &limits);
	assert_int_equal(nvme_qos_get(qos).rw_ios_per_sec, 2000);
	run_for(NSEC_PER_SEC);
	assert_in_range(l.done, 2000, 2030);
	load_stop(&l);
}

static void a_cancelled_command_gives_its_tokens_back(void **state)
{
	const struct nvme_qos_limits limits = {.rw_ios_per_sec = 10, .burst_ms = 1};
	struct rig_req *r[4];

	(void)state;
	nvme_qos_set(qos, &limits);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		r[i] = rig_rw(&rig->qp[0][0], NVME_IO_READ, 1, 0, 1);
		rig_start(r[i]);
	}
	rig_pump(rig);
	assert_int_equal(r[0]->completes, 1);
	assert_true(r[1]->req.throttled);
	rig_cancel(r[1], NVME_SC_ABORT_REQ); /* it has paid for the next turn */
	rig_cancel(r[3], NVME_SC_ABORT_REQ);
	rig_pump(rig);
	assert_status(r[1]->status, NVME_SC_ABORT_REQ);
	assert_status(r[3]->status, NVME_SC_ABORT_REQ);
	assert_int_equal(r[2]->completes, 0);
	rig_advance(rig, 110 * NSEC_PER_MSEC);
	assert_int_equal(r[2]->completes, 1);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		rig_req_free(r[i]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ios_per_second_hold),
		T(a_command_larger_than_the_bucket_passes),
		T(reads_and_writes_have_their_own_limits),
		T(flush_is_never_limited),
		T(reactors_share_a_bucket_evenly),
		T(a_shallow_queue_gets_its_share),
		T(limits_change_live),
		T(a_cancelled_command_gives_its_tokens_back),
	};

	return cmocka_run_group_tests_name("nvme/qos", tests, NULL, NULL);
}
