/* SPDX-License-Identifier: Apache-2.0 */
/* Fused Compare and Write: the rules of the pair, and its atomicity against every write of the namespace on all reactors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define DNR NVME_STATUS_DNR

struct pair {
	struct rig_req *compare, *write;
};

static struct pair pair_new(struct rig_qp *q, uint64_t lba, uint32_t blocks, uint8_t expect,
			    uint8_t put)
{
	struct pair p = {rig_rw(q, NVME_IO_COMPARE, 1, lba, blocks),
			 rig_rw(q, NVME_IO_WRITE, 1, lba, blocks)};

	p.compare->req.sqe.flags |= NVME_SQE_FUSE_FIRST;
	p.write->req.sqe.flags |= NVME_SQE_FUSE_SECOND;
	rig_fill(p.compare, expect);
	rig_fill(p.write, put);
	return p;
}

static void pair_start(struct pair p)
{
	rig_start(p.compare);
	rig_start(p.write);
}

static void pair_expect(struct pair p, uint16_t compare, uint16_t write)
{
	assert_int_equal(p.compare->completes, 1);
	assert_int_equal(p.write->completes, 1);
	assert_int_equal(p.compare->status, compare);
	assert_int_equal(p.write->status, write);
	assert_true(p.compare->done_at < p.write->done_at);
	rig_req_free(p.compare);
	rig_req_free(p.write);
}

static void assert_block(struct rig *rig, uint64_t lba, uint8_t byte)
{
	uint8_t block[RIG_BLOCK], want[RIG_BLOCK];

	memset(want, byte, sizeof(want));
	rig_peek(rig, 0, lba, block);
	assert_memory_equal(block, want, sizeof(want));
}

static void a_pair_swaps_what_it_expects_and_nothing_else(void **state)
{
	struct rig *rig = rig_new(NULL);

	(void)state;
	for (int capsule = 0; capsule < 4; capsule++) { /* which halves come in the capsule */
		struct pair p =
			pair_new(&rig->qp[0][0], 4, 2, (uint8_t)capsule, (uint8_t)(capsule + 1));

		p.compare->capsule = capsule & 1;
		p.write->capsule = capsule & 2;
		pair_start(p);
		rig_pump(rig);
		pair_expect(p, 0, 0);
		assert_block(rig, 4, (uint8_t)(capsule + 1));
		assert_block(rig, 5, (uint8_t)(capsule + 1));

		p = pair_new(&rig->qp[0][0], 4, 2, 0xee, 0xdd);
		pair_start(p);
		rig_pump(rig);
		pair_expect(p, NVME_SC_COMPARE_FAILED | DNR, NVME_SC_FUSED_FAIL);
		assert_block(rig, 4, (uint8_t)(capsule + 1));
	}
	rig_free(rig);
}

static void a_half_without_the_other_is_told_so(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_qp *q = &rig->qp[0][0];
	struct pair p = pair_new(q, 0, 1, 0, 1);
	struct rig_req *r;

	(void)state;
	assert_int_equal(rig_run(p.write), NVME_SC_FUSED_MISSING | DNR);
	p.compare->capsule = true;
	rig_start(p.compare);
	rig_pump(rig);
	assert_int_equal(p.compare->completes, 0);
	r = rig_rw(q, NVME_IO_READ, 1, 0, 1);
	assert_status(rig_run_free(r), 0);
	assert_int_equal(p.compare->status, NVME_SC_FUSED_MISSING | DNR);

	/* A first half replaces a first half. */
	r = rig_rw(q, NVME_IO_COMPARE, 1, 0, 1);
	r->req.sqe.flags |= NVME_SQE_FUSE_FIRST;
	rig_start(p.compare);
	rig_start(r);
	rig_pump(rig);
	assert_int_equal(p.compare->status, NVME_SC_FUSED_MISSING | DNR);
	assert_int_equal(r->completes, 0);

	/* The queue closes. */
	rig_cancel(r, NVME_SC_ABORT_QUEUE);
	rig_pump(rig);
	assert_int_equal(r->status, NVME_SC_ABORT_QUEUE);
	rig_req_free(r);

	r = rig_rw(q, NVME_IO_READ, 1, 0, 1);
	r->req.sqe.flags |= NVME_SQE_FUSE_MASK;
	assert_int_equal(rig_run_free(r), NVME_SC_INVALID_FIELD | DNR);
	rig_req_free(p.compare);
	rig_req_free(p.write);
	rig_free(rig);
}

/* A capsule buffer never waits for buffers that wait for hosts: the host is asked to try again. */
static void capsules_do_not_wait_for_the_pool(void **state)
{
	const struct iobuf_counts few = {.n = {12, 3, 3, 3, 3, 3}};
	struct rig *rig = rig_new(&few);
	struct rig_req *owing = rig_rw(&rig->qp[1][0], NVME_IO_WRITE, 1, 9, 1);
	struct pair p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);

	(void)state;
	owing->no_fetch = true;
	rig_start(owing); /* has the only small buffer */
	p.write->capsule = true;
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_INTERRUPTED, NVME_SC_FUSED_FAIL);
	p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);
	p.compare->capsule = true;
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_INTERRUPTED, NVME_SC_FUSED_MISSING | DNR);
	p = pair_new(&rig->qp[0][0], 0, 1, 0, 1); /* without capsules it stands in line */
	pair_start(p);
	rig_pump(rig);
	assert_int_equal(p.compare->completes, 0);
	rig_fetched(owing);
	rig_pump(rig);
	pair_expect(p, 0, 0);
	rig_req_free(owing);
	rig_free(rig);
}

/* It holds a buffer that others wait for. */
static void a_first_half_does_not_wait_for_ever(void **state)
{
	const struct iobuf_counts few = {.n = {12, 3, 3, 3, 3, 3}};
	struct rig *rig = rig_new(&few);
	struct rig_req *other = rig_rw(&rig->qp[1][0], NVME_IO_WRITE, 1, 9, 1);
	struct pair p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);

	(void)state;
	p.compare->capsule = true;
	rig_start(p.compare); /* has the only small buffer */
	rig_pump(rig);
	rig_start(other);
	rig_pump(rig);
	assert_int_equal(other->completes, 0);
	rig_advance(rig, 3 * NSEC_PER_SEC);
	assert_int_equal(p.compare->completes, 1);
	assert_int_equal(p.compare->status, NVME_SC_FUSED_MISSING | DNR);
	assert_int_equal(other->completes, 1);
	assert_int_equal(other->status, 0);

	/* A half that came in time is not hurried by the timer of the one before. */
	rig_start(p.compare);
	rig_pump(rig);
	rig_advance(rig, NSEC_PER_SEC);
	p.write->no_fetch = true;
	rig_start(p.write);
	rig_advance(rig, 3 * NSEC_PER_SEC);
	assert_int_equal(p.compare->completes, 0);
	rig_fetched(p.write);
	rig_pump(rig);
	pair_expect(p, 0, 0);
	rig_req_free(other);
	rig_free(rig);
}

static void a_bad_digest_of_either_half_fails_the_pair(void **state)
{
	struct rig *rig = rig_new(NULL);

	(void)state;
	for (int second = 0; second < 2; second++) {
		struct pair p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);
		struct rig_req *bad = second ? p.write : p.compare;

		bad->capsule = true;
		bad->bad_digest = NVME_SC_TRANSIENT_TRANSPORT;
		pair_start(p);
		rig_pump(rig);
		pair_expect(p, second ? NVME_SC_FUSED_FAIL : NVME_SC_TRANSIENT_TRANSPORT,
			    second ? NVME_SC_TRANSIENT_TRANSPORT : NVME_SC_FUSED_FAIL);
	}
	assert_block(rig, 0, 0);
	rig_free(rig);
}

static void wrong_pairs_are_refused_as_a_whole(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_qp *q = &rig->qp[0][0];
	struct pair p;

	(void)state;
	p = pair_new(q, 0, 1, 0, 1);
	rig_cdw(p.write, 1, 0, 0); /* another range */
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_INVALID_FIELD | DNR, NVME_SC_INVALID_FIELD | DNR);

	p = pair_new(q, 0, 1, 0, 1);
	p.compare->req.sqe.opcode = NVME_IO_WRITE;
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_INVALID_FIELD | DNR, NVME_SC_INVALID_FIELD | DNR);

	p = pair_new(q, RIG_BLOCKS, 1, 0, 1);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_LBA_RANGE | DNR, NVME_SC_FUSED_FAIL);

	p = pair_new(q, 0, 1, 0, 1);
	put_le32(&p.write->req.sqe.nsid, 9);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_FUSED_FAIL, NVME_SC_INVALID_NS | DNR);

	p = pair_new(q, 0, NVME_FUSED_BLOCKS_MAX + 1, 0, 1);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_ATOMIC_WRITE_EXCEEDED | DNR, NVME_SC_ATOMIC_WRITE_EXCEEDED | DNR);

	p = pair_new(q, 0, NVME_FUSED_BLOCKS_MAX, 0, 1);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, 0, 0);
	rig_free(rig);
}

static void errors_of_the_disk_reach_their_half(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct pair p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);

	(void)state;
	rig_fail(rig, 0, 1u << BLK_READ, -EIO, 1);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, NVME_SC_READ_ERROR | DNR, NVME_SC_FUSED_FAIL);
	rig_unhang(rig, 0);
	rig_fail(rig, 0, 1u << BLK_WRITE, -EIO, 1);
	p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);
	pair_start(p);
	rig_pump(rig);
	pair_expect(p, 0, NVME_SC_WRITE_FAULT | DNR);
	rig_unhang(rig, 0);
	rig_free(rig);
}

static void either_half_can_be_cancelled_while_data_is_owed(void **state)
{
	(void)state;
	for (int which = 0; which < 4; which++) { /* bit 0: who is cancelled; bit 1: who owes */
		struct rig *rig = rig_new(NULL);
		struct pair p = pair_new(&rig->qp[0][0], 0, 1, 0, 1);

		*(which & 2 ? &p.write->no_fetch : &p.compare->no_fetch) = true;
		pair_start(p);
		rig_pump(rig);
		assert_int_equal(p.compare->completes, 0);
		rig_cancel(which & 1 ? p.write : p.compare, NVME_SC_ABORT_REQ);
		rig_pump(rig);
		pair_expect(p, which & 1 ? NVME_SC_FUSED_FAIL : NVME_SC_ABORT_REQ,
			    which & 1 ? NVME_SC_ABORT_REQ : NVME_SC_FUSED_FAIL);
		rig_free(rig);
	}
}

/* A write that was with the disk before the pair is seen by its compare; one that comes later waits for the pair. */
static void a_pair_is_between_writes_never_among_them(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct rig_req *before = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 8, 1);
	struct rig_req *after = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 8, 1);
	struct rig_req *zero = rig_rw(&rig->qp[2][0], NVME_IO_WRITE_ZEROES, 1, 0, 64);
	struct rig_req *other = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 100, 1);
	struct pair p = pair_new(&rig->qp[0][0], 8, 1, 0x21, 0x22);
	struct disk_fault_rule rule = {.kind = DISK_FAULT_HANG,
				       .ops = 1u << BLK_WRITE | 1u << BLK_WRITE_ZEROES,
				       .offset = 8 * RIG_BLOCK,
				       .length = RIG_BLOCK,
				       .probability = 1};
	uint32_t id;

	(void)state;
	rig_fill(before, 0x21);
	rig_fill(after, 0x23);
	assert_int_equal(disk_fault_add(rig->disk[0], &rule, &id, NULL), 0);
	rig_start(before);
	rig_pump(rig);
	pair_start(p);
	rig_pump(rig);
	rig_start(after);
	rig_start(zero);
	rig_pump(rig);
	assert_int_equal(before->completes + p.compare->completes + after->completes, 0);
	assert_status(rig_run_free(other), 0); /* outside of the range: not held up */
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(before->completes, 1);
	assert_int_equal(after->completes, 1);
	assert_int_equal(zero->completes, 1);
	assert_true(before->done_at < p.compare->done_at);
	pair_expect(p, 0, 0);
	rig_req_free(before);
	rig_req_free(after);
	rig_req_free(zero);
	rig_free(rig);
}

/*
 * Counting by compare and swap from both reactors, in threads. Each worker tries each value once, going up; so each value is swapped by
 * exactly one of them, whoever comes first, and nobody can be left behind: what a worker expects is never above what is there.
 */
#define WORKERS  4 /* one on each reactor for each of two hosts */
#define ATTEMPTS 400

struct worker {
	struct rig_req *compare, *write, *noise;
	unsigned attempts, swapped, ended;
	_Atomic bool done;
};

static void worker_try(struct worker *w)
{
	put_le64(w->compare->data, w->attempts);
	put_le64(w->write->data, w->attempts + 1);
	w->ended = 0;
	rig_start(w->compare);
	rig_start(w->write);
	rig_start(w->noise);
}

static void worker_next(struct rig_req *r)
{
	struct worker *w = r->req.tpriv;

	if (++w->ended < 3)
		return;
	w->swapped += w->write->status == 0;
	if (++w->attempts == ATTEMPTS)
		atomic_store(&w->done, true);
	else
		worker_try(w);
}

static void worker_init(struct worker *w, struct rig_qp *q, uint64_t noise_lba)
{
	struct pair p = pair_new(q, 0, 1, 0, 0);

	*w = (struct worker){.compare = p.compare,
			     .write = p.write,
			     .noise = rig_rw(q, NVME_IO_WRITE, 1, noise_lba, 1)};
	w->compare->on_done = w->write->on_done = w->noise->on_done = worker_next;
	w->compare->req.tpriv = w->write->req.tpriv = w->noise->req.tpriv = w;
}

static void worker_fini(struct worker *w)
{
	rig_req_free(w->compare);
	rig_req_free(w->write);
	rig_req_free(w->noise);
}

static bool all_done(struct worker *w)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		if (!atomic_load(&w[i].done))
			return false;
	}
	return true;
}

static void each_value_is_swapped_once_by_one_reactor(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct worker w[WORKERS];
	uint8_t block[RIG_BLOCK];
	unsigned swapped = 0;

	(void)state;
	for (unsigned i = 0; i < WORKERS; i++) {
		worker_init(&w[i], &rig->qp[i / RIG_DATA][i % RIG_DATA], 1 + i);
		worker_try(&w[i]);
	}
	for (unsigned i = 0; i < RIG_DATA; i++)
		assert_int_equal(reactor_start(rig->reactor[i], NULL), 0);
	while (!all_done(w)) /* bounded by the attempts of each */
		(void)reactor_pass(rig->reactor[RIG_DATA], -1);
	for (unsigned i = 0; i < RIG_DATA; i++)
		reactor_stop(rig->reactor[i]);
	for (unsigned i = 0; i < RIG_DATA; i++)
		reactor_join(rig->reactor[i]);
	for (unsigned i = 0; i < WORKERS; i++) {
		swapped += w[i].swapped;
		worker_fini(&w[i]);
	}
	assert_int_equal(swapped, ATTEMPTS);
	rig_peek(rig, 0, 0, block);
	assert_int_equal(get_le64(block), ATTEMPTS);
	rig_free(rig);
}

/* Every end of a write starts the next one; the pair gets its turn all the same. */
struct stream {
	struct rig_req *req;
	unsigned left;
};

static void stream_next(struct rig_req *r)
{
	struct stream *s = r->req.tpriv;

	if (s->left && s->left--)
		rig_start(r);
}

static void a_stream_of_writes_does_not_starve_a_pair(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct stream s = {rig_rw(&rig->qp[1][0], NVME_IO_WRITE, 1, 50, 1), 500};
	struct pair p = pair_new(&rig->qp[0][1], 0, 1, 0, 1);

	(void)state;
	s.req->on_done = stream_next;
	s.req->req.tpriv = &s;
	rig_start(s.req);
	pair_start(p);
	for (int i = 0; i < 100 && !p.write->completes; i++) {
		for (unsigned r = 0; r <= RIG_DATA; r++)
			(void)reactor_pass(rig->reactor[r], 0);
	}
	assert_int_equal(p.write->completes, 1);
	assert_true(s.left > 0);
	rig_pump(rig);
	pair_expect(p, 0, 0);
	rig_req_free(s.req);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_swaps_what_it_expects_and_nothing_else),
		cmocka_unit_test(a_half_without_the_other_is_told_so),
		cmocka_unit_test(capsules_do_not_wait_for_the_pool),
		cmocka_unit_test(a_first_half_does_not_wait_for_ever),
		cmocka_unit_test(a_bad_digest_of_either_half_fails_the_pair),
		cmocka_unit_test(wrong_pairs_are_refused_as_a_whole),
		cmocka_unit_test(errors_of_the_disk_reach_their_half),
		cmocka_unit_test(either_half_can_be_cancelled_while_data_is_owed),
		cmocka_unit_test(a_pair_is_between_writes_never_among_them),
		cmocka_unit_test(a_stream_of_writes_does_not_starve_a_pair),
		cmocka_unit_test(each_value_is_swapped_once_by_one_reactor),
	};

	return cmocka_run_group_tests_name("nvme/fused", tests, NULL, NULL);
}
