/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O commands: what is refused and how, and what the disk holds afterwards. */
#include <errno.h>
#include <string.h>

#include "rig.h"

#define DNR NVME_STATUS_DNR

static struct rig *rig;
static struct rig_qp *q;

static int setup(void **state)
{
	(void)state;
	rig = rig_new(NULL);
	q = &rig->qp[0][0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_unhang(rig, 0);
	rig_free(rig);
	return 0;
}

static uint16_t rw(uint8_t op, uint32_t nsid, uint64_t lba, uint32_t blocks)
{
	return rig_run_free(rig_rw(q, op, nsid, lba, blocks));
}

static void write_byte(uint64_t lba, uint32_t blocks, uint8_t byte)
{
	struct rig_req *w = rig_rw(q, NVME_IO_WRITE, 1, lba, blocks);

	rig_fill(w, byte);
	assert_status(rig_run_free(w), 0);
}

static void assert_block(uint64_t lba, uint8_t byte)
{
	uint8_t block[RIG_BLOCK], want[RIG_BLOCK];

	memset(want, byte, sizeof(want));
	rig_peek(rig, 0, lba, block);
	assert_memory_equal(block, want, sizeof(want));
}

static void namespaces_that_are_not_there_are_refused(void **state)
{
	static const uint8_t ops[] = {NVME_IO_READ, NVME_IO_WRITE, NVME_IO_COMPARE, NVME_IO_VERIFY,
				      NVME_IO_WRITE_ZEROES};

	(void)state;
	for (unsigned i = 0; i < sizeof(ops); i++) {
		assert_int_equal(rw(ops[i], 0, 0, 1), NVME_SC_INVALID_NS | DNR);
		assert_int_equal(rw(ops[i], 3, 0, 1), NVME_SC_INVALID_NS | DNR);
		assert_int_equal(rw(ops[i], 5, 0, 1), NVME_SC_INVALID_NS | DNR);
		assert_int_equal(rw(ops[i], NVME_NSID_ALL, 0, 1), NVME_SC_INVALID_NS | DNR);
	}
	assert_int_equal(rig_run_free(rig_req_new(q, NVME_IO_FLUSH, 0)), NVME_SC_INVALID_NS | DNR);
	assert_int_equal(rig_run_free(rig_req_new(q, 0x7e, 1)), NVME_SC_INVALID_OPCODE | DNR);
	assert_int_equal(rig_run_free(rig_req_new(q, 0x04, 1)), NVME_SC_INVALID_OPCODE | DNR);
}

static void ranges_end_at_the_capacity_without_wrapping(void **state)
{
	static const uint8_t ops[] = {NVME_IO_READ, NVME_IO_WRITE, NVME_IO_COMPARE, NVME_IO_VERIFY,
				      NVME_IO_WRITE_ZEROES};

	(void)state;
	assert_status(rw(NVME_IO_READ, 1, RIG_BLOCKS - 1, 1), 0);
	for (unsigned i = 0; i < sizeof(ops); i++) {
		assert_int_equal(rw(ops[i], 1, RIG_BLOCKS, 1), NVME_SC_LBA_RANGE | DNR);
		assert_int_equal(rw(ops[i], 1, RIG_BLOCKS - 1, 2), NVME_SC_LBA_RANGE | DNR);
		assert_int_equal(rw(ops[i], 1, UINT64_MAX, 1), NVME_SC_LBA_RANGE | DNR);
		assert_int_equal(rw(ops[i], 1, UINT64_MAX, 2), NVME_SC_LBA_RANGE | DNR);
		assert_int_equal(rw(ops[i], 1, UINT64_MAX / RIG_BLOCK + 1, 1),
				 NVME_SC_LBA_RANGE | DNR);
	}
}

static void lengths_must_be_exact_and_within_mdts(void **state)
{
	struct rig_req *r = rig_rw(q, NVME_IO_READ, 1, 0, 2);

	(void)state;
	rig_data(r, RIG_BLOCK);
	assert_int_equal(rig_run(r), NVME_SC_SGL_INVALID_DATA | DNR);
	rig_data(r, 3 * RIG_BLOCK);
	assert_int_equal(rig_run(r), NVME_SC_SGL_INVALID_DATA | DNR);
	rig_data(r, 0);
	assert_int_equal(rig_run_free(r), NVME_SC_SGL_INVALID_DATA | DNR);
	assert_status(rw(NVME_IO_READ, 1, 0, 32), 0);
	assert_int_equal(rw(NVME_IO_READ, 1, 0, 33), NVME_SC_INVALID_FIELD | DNR);
	assert_int_equal(rw(NVME_IO_WRITE, 1, 0, 33), NVME_SC_INVALID_FIELD | DNR);
}

static void protection_bits_are_refused_and_hints_ignored(void **state)
{
	struct rig_req *r = rig_rw(q, NVME_IO_READ, 1, 0, 1);

	(void)state;
	rig_cdw(r, 0, 0, 1u << 26);
	assert_int_equal(rig_run(r), NVME_SC_INVALID_FIELD | DNR);
	rig_cdw(r, 0, 0, 1u << 29);
	assert_int_equal(rig_run(r), NVME_SC_INVALID_FIELD | DNR);
	rig_cdw(r, 0, 0, NVME_RW_LR | NVME_RW_FUA);
	put_le32(&r->req.sqe.cdw13, 0x7f);
	assert_status(rig_run_free(r), 0);
}

static void read_with_in_capsule_sgl_is_refused(void **state)
{
	struct rig_req *r = rig_rw(q, NVME_IO_READ, 1, 0, 1);

	(void)state;
	r->capsule = true;
	assert_int_equal(rig_run_free(r), NVME_SC_SGL_INVALID_TYPE | DNR);
}

static void ana_states_answer_with_path_status(void **state)
{
	static const struct {
		uint8_t ana;
		uint16_t status;
	} cases[] = {
		{NVME_ANA_NON_OPTIMIZED, 0},
		{NVME_ANA_INACCESSIBLE, NVME_SC_ANA_INACCESSIBLE},
		{NVME_ANA_PERSISTENT_LOSS, NVME_SC_ANA_PERSISTENT_LOSS},
		{NVME_ANA_CHANGE, NVME_SC_ANA_TRANSITION},
		{0, NVME_SC_PATH_INTERNAL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		rig->listener.ana[1] = cases[i].ana;
		rig_publish(rig, NULL);
		rig_pump(rig);
		assert_int_equal(rw(NVME_IO_READ, 1, 0, 1), cases[i].status);
		assert_int_equal(rw(NVME_IO_WRITE, 1, 0, 1), cases[i].status);
		assert_int_equal(rw(NVME_IO_READ, 2, 0, 1), 0);
	}
}

static void write_zeroes_zeroes(void **state)
{
	(void)state;
	for (int deac = 0; deac < 2; deac++) {
		struct rig_req *r = rig_rw(q, NVME_IO_WRITE_ZEROES, 1, 5, 3);

		write_byte(4, 5, 0x77);
		rig_cdw(r, 5, 0, 2 | (deac ? NVME_WZ_DEAC : NVME_RW_FUA));
		assert_status(rig_run_free(r), 0);
		assert_block(4, 0x77);
		assert_block(5, 0);
		assert_block(7, 0);
		assert_block(8, 0x77);
	}
}

static struct rig_req *dsm(unsigned ranges, uint32_t cdw11)
{
	struct rig_req *r = rig_req_new(q, NVME_IO_DSM, 1);

	rig_data(r, ranges * 16);
	rig_cdw(r, ranges - 1, cdw11, 0);
	return r;
}

static void dsm_range(struct rig_req *r, unsigned i, uint64_t lba, uint32_t blocks)
{
	put_le32(r->data + (size_t)i * 16, 0x12345); /* context attributes: advice */
	put_le32(r->data + (size_t)i * 16 + 4, blocks);
	put_le64(r->data + (size_t)i * 16 + 8, lba);
}

static void deallocate_gives_back_each_range(void **state)
{
	struct rig_req *r = dsm(3, 4);

	(void)state;
	write_byte(0, 16, 0x33);
	dsm_range(r, 0, 2, 1);
	dsm_range(r, 1, 100, 0);
	dsm_range(r, 2, 10, 2);
	assert_status(rig_run_free(r), 0);
	assert_block(1, 0x33);
	assert_block(2, 0);
	assert_block(3, 0x33);
	assert_block(10, 0);
	assert_block(11, 0);
	assert_block(12, 0x33);
}

static void one_bad_range_and_nothing_is_deallocated(void **state)
{
	struct rig_req *r = dsm(2, 4);

	(void)state;
	write_byte(0, 4, 0x33);
	dsm_range(r, 0, 0, 4);
	dsm_range(r, 1, RIG_BLOCKS - 1, 2);
	assert_int_equal(rig_run(r), NVME_SC_LBA_RANGE | DNR);
	dsm_range(r, 1, UINT64_MAX, 1);
	assert_int_equal(rig_run_free(r), NVME_SC_LBA_RANGE | DNR);
	assert_block(0, 0x33);
}

static void a_full_table_with_few_ranges_is_taken(void **state)
{
	struct rig_req *r = dsm(256, 4);

	(void)state;
	write_byte(0, 4, 0x44);
	rig_cdw(r, 0, 4, 0);
	dsm_range(r, 0, 1, 1);
	dsm_range(r, 1, 0, 1); /* not named by NR */
	assert_status(rig_run(r), 0);
	assert_block(0, 0x44);
	assert_block(1, 0);
	rig_cdw(r, 255, 4, 0);
	assert_status(rig_run_free(r), 0);
	r = dsm(2, 4);
	rig_data(r, 16);
	assert_int_equal(rig_run_free(r), NVME_SC_SGL_INVALID_DATA | DNR);
}

static void advice_alone_changes_nothing(void **state)
{
	struct rig_req *r = dsm(1, 3); /* integral read and write, no deallocate */

	(void)state;
	write_byte(0, 1, 0x55);
	dsm_range(r, 0, 0, 1);
	assert_status(rig_run_free(r), 0);
	assert_block(0, 0x55);
}

static void compare_sees_one_byte_anywhere(void **state)
{
	struct rig_req *r = rig_rw(q, NVME_IO_COMPARE, 1, 0, 20);

	(void)state;
	write_byte(0, 20, 0x66);
	rig_fill(r, 0x66);
	assert_status(rig_run(r), 0);
	for (size_t at = 0; at < r->data_size; at += r->data_size - 1) {
		r->data[at] ^= 1;
		assert_int_equal(rig_run(r), NVME_SC_COMPARE_FAILED | DNR);
		r->data[at] ^= 1;
	}
	rig_req_free(r);
	assert_int_equal(counter_get(&rig->ns[0].stats[0]->compares_failed), 2);
}

static void compares_wait_for_scratch_buffers_and_all_end(void **state)
{
	struct rig_req *r[40];
	unsigned equal = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		r[i] = rig_rw(q, NVME_IO_COMPARE, 1, i, 8);
		rig_start(r[i]);
	}
	rig_pump(rig);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		assert_int_equal(r[i]->completes, 1);
		equal += r[i]->status == 0;
		rig_req_free(r[i]);
	}
	assert_int_equal(equal, ARRAY_LEN(r));
}

static void verify_reads_all_and_moves_nothing(void **state)
{
	struct rig_req *r = rig_rw(q, NVME_IO_VERIFY, 1, 0, RIG_BLOCKS);

	(void)state;
	assert_status(rig_run(r), 0);
	rig_fail(rig, 0, 1u << BLK_READ, -EIO, 0);
	assert_int_equal(rig_run_free(r), NVME_SC_READ_ERROR | DNR);
}

static void flush_of_all_flushes_each(void **state)
{
	struct rig_req *r = rig_req_new(q, NVME_IO_FLUSH, NVME_NSID_ALL);
	struct blk_stats s;

	(void)state;
	assert_status(rig_run(r), 0);
	for (unsigned i = 0; i < RIG_NS; i++) {
		blk_stats_sum(rig->disk[i], &s);
		assert_int_equal(counter_get(&s.ops[BLK_FLUSH]), 1);
	}
	rig_fail(rig, 0, 1u << BLK_FLUSH, -EIO, 0);
	assert_int_equal(rig_run_free(r), NVME_SC_WRITE_FAULT | DNR);
	blk_stats_sum(rig->disk[1], &s);
	assert_int_equal(counter_get(&s.ops[BLK_FLUSH]), 2);
}

static void disk_errors_become_the_right_status(void **state)
{
	static const struct {
		int error;
		uint8_t op;
		uint16_t status;
	} cases[] = {
		{-EIO, NVME_IO_READ, NVME_SC_READ_ERROR | DNR},
		{-EIO, NVME_IO_WRITE, NVME_SC_WRITE_FAULT | DNR},
		{-ENOSPC, NVME_IO_WRITE, NVME_SC_CAP_EXCEEDED},
		{-EROFS, NVME_IO_WRITE, NVME_SC_NS_WRITE_PROTECTED | DNR},
		{-EILSEQ, NVME_IO_READ, NVME_SC_READ_ERROR | DNR},
		{-EILSEQ, NVME_IO_WRITE, NVME_SC_WRITE_FAULT | DNR},
		{-EOPNOTSUPP, NVME_IO_WRITE_ZEROES, NVME_SC_INVALID_OPCODE | DNR},
		{-ETIMEDOUT, NVME_IO_READ, NVME_SC_INTERRUPTED},
		{-ENODEV, NVME_IO_READ, NVME_SC_NS_NOT_READY | DNR},
		{-ECANCELED, NVME_IO_WRITE, NVME_SC_ABORT_REQ},
		{-ELOOP, NVME_IO_WRITE, NVME_SC_INTERNAL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		rig_fail(rig, 0, 0, cases[i].error, 1);
		assert_int_equal(rw(cases[i].op, 1, 0, 1), cases[i].status);
		rig_unhang(rig, 0);
		assert_string_not_equal(nvme_status_text(cases[i].status), "unknown status");
	}
	assert_string_equal(nvme_status_text(0x6ff), "unknown status");
}

static void a_grown_disk_can_be_written_at_once(void **state)
{
	(void)state;
	assert_int_equal(rw(NVME_IO_READ, 1, RIG_BLOCKS / 2, 1), 0);
	atomic_store(&rig->disk[0]->size_bytes, RIG_BLOCKS / 2 * RIG_BLOCK);
	assert_int_equal(rw(NVME_IO_READ, 1, RIG_BLOCKS / 2, 1), NVME_SC_LBA_RANGE | DNR);
	atomic_store(&rig->disk[0]->size_bytes, RIG_BLOCKS * RIG_BLOCK);
	assert_int_equal(rw(NVME_IO_READ, 1, RIG_BLOCKS / 2, 1), 0);
}

static void a_read_only_namespace_refuses_changes_alone(void **state)
{
	(void)state;
	rig->disk[0]->caps |= BLK_CAP_READ_ONLY;
	rig_publish(rig, NULL);
	rig_pump(rig);
	assert_int_equal(rw(NVME_IO_WRITE, 1, 0, 1), NVME_SC_NS_WRITE_PROTECTED | DNR);
	assert_int_equal(rw(NVME_IO_WRITE_ZEROES, 1, 0, 1), NVME_SC_NS_WRITE_PROTECTED | DNR);
	assert_int_equal(rig_run_free(dsm(1, 4)), NVME_SC_NS_WRITE_PROTECTED | DNR);
	assert_int_equal(rw(NVME_IO_READ, 1, 0, 1), 0);
	rig->disk[0]->caps &= ~(unsigned)BLK_CAP_READ_ONLY;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(namespaces_that_are_not_there_are_refused),
		T(ranges_end_at_the_capacity_without_wrapping),
		T(lengths_must_be_exact_and_within_mdts),
		T(protection_bits_are_refused_and_hints_ignored),
		T(read_with_in_capsule_sgl_is_refused),
		T(ana_states_answer_with_path_status),
		T(write_zeroes_zeroes),
		T(deallocate_gives_back_each_range),
		T(one_bad_range_and_nothing_is_deallocated),
		T(a_full_table_with_few_ranges_is_taken),
		T(advice_alone_changes_nothing),
		T(compare_sees_one_byte_anywhere),
		T(compares_wait_for_scratch_buffers_and_all_end),
		T(verify_reads_all_and_moves_nothing),
		T(flush_of_all_flushes_each),
		T(disk_errors_become_the_right_status),
		T(a_grown_disk_can_be_written_at_once),
		T(a_read_only_namespace_refuses_changes_alone),
	};

	return cmocka_run_group_tests_name("nvme/io_cmd", tests, NULL, NULL);
}
