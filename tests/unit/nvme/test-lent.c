/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes whose data the transport lends for the length of one call: a disk that takes them at once has them from there, in every other case they are in the command's
 * buffer when the call returns. After it the lent memory is overwritten, as the next receive does it.
 */
#include <string.h>

#include "nvme/carry.h"
#include "nvme/freeze.h"
#include "rig.h"

#define BLOCKS 3u
#define LBA    5u

static struct rig *rig;
static uint8_t wire[72 + BLOCKS * RIG_BLOCK]; /* data lies behind a header, at no alignment */

/* Namespace 1 is the RAM disk itself. */
static void use_ram(void)
{
	rig->ns[0].dev = rig->ram[0];
	rig_publish(rig, NULL);
	rig_pump(rig);
}

static void lend_run(struct msg *msg)
{
	struct rig_req *r = container_of(msg, struct rig_req, msg);
	struct iobuf_pool *pool = reactor_iobufs(atomic_load(&r->q->qp.reactor));

	r->req.buf = iobuf_get(pool, IOBUF_CAPSULE, NULL);
	assert_non_null(r->req.buf);
	memset(r->req.buf->data, 0xbb, r->data_size);
	memcpy(wire + 72, r->data, r->data_size);
	r->req.in_capsule = true;
	r->req.lent = wire + 72;
	r->started = r->q->in_call = true;
	if (r->bad_digest)
		nvme_req_fail(&r->req, r->bad_digest);
	else
		nvme_req_start(&r->req);
	r->q->in_call = false;
	assert_null(r->req.lent);
	memset(wire, 0xee, sizeof(wire));
}

static struct rig_req *lend(uint64_t lba)
{
	struct rig_req *r = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, lba, BLOCKS);

	rig_fill(r, 0x5a);
	r->msg.run = lend_run;
	reactor_post(rig->reactor[0], &r->msg);
	rig_pump(rig);
	return r;
}

static void assert_written(uint8_t byte)
{
	uint8_t block[RIG_BLOCK], want[RIG_BLOCK];

	memset(want, byte, sizeof(want));
	for (unsigned i = 0; i < BLOCKS; i++) {
		rig_peek(rig, 0, LBA + i, block);
		assert_memory_equal(block, want, sizeof(want));
	}
}

static int setup(void **state)
{
	(void)state;
	rig = rig_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_unhang(rig, 0);
	rig_free(rig);
	return 0;
}

static void a_disk_that_takes_data_at_once_has_it(void **state)
{
	struct rig_req *r;

	(void)state;
	use_ram();
	r = lend(LBA);
	assert_int_equal(r->completes, 1);
	assert_status(r->req.status, 0);
	assert_true(r->req.takes);
	assert_written(0x5a);
	rig_req_free(r);
}

static void a_slow_disk_writes_what_was_lent(void **state)
{
	struct rig_req *r;

	(void)state;
	(void)rig_hang(rig, 0, 1u << BLK_WRITE);
	r = lend(LBA);
	assert_int_equal(r->completes, 0);
	assert_false(r->req.takes);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(r->completes, 1);
	assert_written(0x5a);
	rig_req_free(r);
}

static void who_waits_for_tokens_keeps_the_data(void **state)
{
	const struct nvme_qos_limits limits = {.w_bytes_per_sec = RIG_BLOCK, .burst_ms = 1};
	struct nvme_qos *qos = nvme_qos_new();
	struct rig_req *first, *r;

	(void)state;
	assert_non_null(qos);
	rig->ns[0].qos = qos;
	use_ram();
	nvme_qos_set(qos, &limits);
	first = lend(RIG_BLOCKS - BLOCKS); /* takes more than there is */
	r = lend(LBA);
	assert_int_equal(first->completes, 1);
	assert_int_equal(r->completes, 0);
	assert_false(r->req.takes);
	for (unsigned i = 0; i < 100 && !r->completes; i++)
		rig_advance(rig, NSEC_PER_SEC);
	assert_int_equal(r->completes, 1);
	assert_written(0x5a);
	rig_req_free(first);
	rig_req_free(r);
	rig->ns[0].qos = NULL;
	rig_publish(rig, NULL);
	rig_pump(rig);
	nvme_qos_free(qos);
}

static void drained(void *ctx)
{
	++*(unsigned *)ctx;
}

static void thaw_run(struct msg *msg)
{
	nvme_thaw(&rig->target, rig->reactor[0]);
}

static void who_is_parked_keeps_the_data(void **state)
{
	struct msg thaw = {.run = thaw_run};
	struct nvme_req_carry carry;
	unsigned n = 0;
	struct rig_req *r;

	(void)state;
	use_ram();
	assert_true(nvme_freeze(&rig->target, rig->reactor[0], drained, &n));
	r = lend(LBA);
	assert_int_equal(r->req.state, NVME_REQ_PARKED);
	nvme_req_save(&r->req, &carry);
	assert_int_equal(carry.have, r->data_size);
	assert_memory_equal(carry.data, r->data, r->data_size);
	reactor_post(rig->reactor[0], &thaw);
	rig_pump(rig);
	assert_int_equal(r->completes, 1);
	assert_written(0x5a);
	rig_req_free(r);
}

static void what_is_refused_lends_nothing_on(void **state)
{
	struct rig_req *r;

	(void)state;
	use_ram();
	r = lend(RIG_BLOCKS - 1);
	assert_status(r->req.status, NVME_SC_LBA_RANGE | NVME_STATUS_DNR);
	assert_false(r->req.takes);
	rig_req_free(r);
	r = rig_rw(&rig->qp[0][0], NVME_IO_WRITE, 1, LBA, BLOCKS);
	r->bad_digest = NVME_SC_TRANSIENT_TRANSPORT;
	r->msg.run = lend_run;
	reactor_post(rig->reactor[0], &r->msg);
	rig_pump(rig);
	assert_status(r->req.status, NVME_SC_TRANSIENT_TRANSPORT);
	assert_written(0);
	rig_req_free(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_disk_that_takes_data_at_once_has_it), T(a_slow_disk_writes_what_was_lent),
		T(who_waits_for_tokens_keeps_the_data),   T(who_is_parked_keeps_the_data),
		T(what_is_refused_lends_nothing_on),
	};

	return cmocka_run_group_tests_name("nvme-lent", tests, NULL, NULL);
}
