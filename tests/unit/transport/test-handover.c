/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot upgrades at chosen moments of a connection: in the middle of the data of an R2T, of a capsule and of a fused pair. Each is done twice over: the hand-over counts, or it is given up
 * and the old engine goes on. The host sends on as if nothing had happened, and everything is answered once.
 */
#include "rig.h"

#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/rng.h"

#define BLOCKS 16u
#define BYTES  (BLOCKS * RIG_BLOCK)

static uint8_t data[BYTES];
static const uint8_t zeros[BYTES];

struct world {
	struct rig *rig;
	struct client *admin, *io;
	bool in_vain;
};

static struct world begin(uint8_t dgst, bool in_vain)
{
	struct rig_opts opts = rig_opts_default();
	struct world w = {.rig = rig_new(&opts), .in_vain = in_vain};
	struct rng rng;

	rng_seed(&rng, 7);
	rng_fill(&rng, data, sizeof(data));
	client_pair(w.rig, dgst, 31, false, &w.admin, &w.io);
	return w;
}

static void end(struct world *w)
{
	client_free(w->io);
	client_free(w->admin);
	rig_free(w->rig);
}

/* What was sent is received, as far as the target takes it, and the other engine serves. */
static void upgrade(struct world *w)
{
	struct client *const clients[] = {w->admin, w->io};

	client_sent_all(w->io);
	client_expect_quiet(w->io);
	if (w->in_vain)
		rig_hand_over_in_vain(w->rig);
	else
		w->rig = rig_hand_over(w->rig, clients, ARRAY_LEN(clients));
}

static void expect_blocks(struct world *w, uint64_t lba, uint32_t blocks, const uint8_t *want)
{
	struct nvme_sqe sqe = client_rw(false, 99, lba, blocks, false);

	client_command(w->io, &sqe, NULL, 0);
	assert_int_equal(client_next(w->io), PDU_C2H_DATA);
	assert_int_equal(w->io->payload_len, blocks * RIG_BLOCK);
	assert_true(w->io->digest_ok);
	assert_memory_equal(w->io->payload, want, blocks * RIG_BLOCK);
}

/* The tag of the R2T for cid, which wants all of it. */
static uint16_t expect_r2t(struct client *c, uint16_t cid, uint32_t len)
{
	struct pdu_r2t pdu;

	assert_int_equal(client_next(c), PDU_R2T);
	memcpy(&pdu, c->header, sizeof(pdu));
	assert_int_equal(get_le16(&pdu.cccid), cid);
	assert_int_equal(get_le32(&pdu.r2tl), len);
	return get_le16(&pdu.ttag);
}

/* The bytes of H2CData PDUs that carry len bytes of from, two blocks each. How many. */
static size_t h2c_bytes(uint8_t *bytes, const struct pdu_format *fmt, uint16_t cid, uint16_t ttag,
			const uint8_t *from, uint32_t len)
{
	const uint32_t piece = 2 * RIG_BLOCK;
	uint8_t *p = bytes, pad;

	for (uint32_t at = 0; at < len; at += piece) {
		struct pdu_data_fields f = {
			.cccid = cid, .ttag = ttag, .datao = at, .datal = MIN(piece, len - at)};

		f.flags = at + f.datal == len ? PDU_F_LAST : 0;
		p += pdu_build_h2c_data(p, fmt, &f, &pad);
		memset(p, 0, pad);
		p += pad;
		memcpy(p, from + at, f.datal);
		p += f.datal;
		if (fmt->ddgst) {
			pdu_put_digest(p, crc32c(from + at, f.datal));
			p += PDU_DIGEST_LEN;
		}
	}
	return (size_t)(p - bytes);
}

/* A write of which the first cut bytes of its H2CData were sent before the hand-over. */
static void cut_r2t(uint8_t dgst, size_t cut, bool in_vain)
{
	static uint8_t bytes[2 * BYTES];
	struct world w = begin(dgst, in_vain);
	struct nvme_sqe sqe = client_rw(true, 5, 40, BLOCKS, false);
	size_t len;

	client_command(w.io, &sqe, NULL, 0);
	len = h2c_bytes(bytes, &w.io->fmt, 5, expect_r2t(w.io, 5, BYTES), data, BYTES);
	assert_true(cut < len);
	client_send(w.io, bytes, cut);
	upgrade(&w);
	client_send(w.io, bytes + cut, len - cut);
	assert_int_equal(client_answer(w.io, 5), 0);
	expect_blocks(&w, 40, BLOCKS, data);
	end(&w);
}

static void data_for_an_r2t_may_be_cut_anywhere(void **state)
{
	const size_t head = sizeof(struct pdu_data), pdu = head + 2 * RIG_BLOCK;
	const size_t with = pdu + 2 * (size_t)PDU_DIGEST_LEN;
	const size_t cuts[] = {0,       7,           head - 1, head,     head + 1, head + RIG_BLOCK,
			       pdu - 1, 3 * pdu / 2, with - 1, 2 * with, 7 * pdu};

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		cut_r2t(0, cuts[i], i & 1);
		cut_r2t(PDU_DGST_HEADER | PDU_DGST_DATA, cuts[i], !(i & 1));
		cut_r2t(PDU_DGST_HEADER | PDU_DGST_DATA, cuts[i], i & 1);
	}
}

/* Many writes have their R2T, and all are in another state of it. */
static void many_r2ts_at_once(void **state)
{
	static uint8_t bytes[8][2 * RIG_BLOCK + 64];
	struct world w = begin(0, false);
	uint16_t ttag[8];
	size_t len = 0;

	for (uint16_t i = 0; i < 8; i++) {
		struct nvme_sqe sqe = client_rw(true, i, 2 * i, 2, false);

		client_command(w.io, &sqe, NULL, 0);
		ttag[i] = expect_r2t(w.io, i, 2 * RIG_BLOCK);
		len = h2c_bytes(bytes[i], &w.io->fmt, i, ttag[i], data + i * RIG_BLOCK,
				2 * RIG_BLOCK);
	}
	client_send(w.io, bytes[3], len);
	assert_int_equal(client_answer(w.io, 3), 0);
	client_send(w.io, bytes[6], len / 2);
	upgrade(&w);
	client_send(w.io, bytes[6] + len / 2, len - len / 2);
	assert_int_equal(client_answer(w.io, 6), 0);
	upgrade(&w);
	for (uint16_t i = 0; i < 8; i++) {
		if (i == 3 || i == 6)
			continue;
		client_send(w.io, bytes[i], len);
		assert_int_equal(client_answer(w.io, i), 0);
	}
	expect_blocks(&w, 14, 2, data + 7 * RIG_BLOCK);
	end(&w);
}

/* ---- fused Compare and Write ---- */

static struct nvme_sqe half(bool write, uint16_t cid, bool in_capsule)
{
	struct nvme_sqe sqe = client_rw(write, cid, 8, 1, in_capsule);

	sqe.opcode = write ? NVME_IO_WRITE : NVME_IO_COMPARE;
	sqe.flags |= write ? NVME_SQE_FUSE_SECOND : NVME_SQE_FUSE_FIRST;
	return sqe;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/*
 * The second half comes after the hand-over. expect: what the first compares with. False: nothing was shown, because this machine was slower than the target waits for a second half (2 s).
 */
static bool pair_in_capsules(const uint8_t *expect, bool in_vain)
{
	struct world w = begin(0, in_vain);
	struct nvme_sqe first = half(false, 1, true), second = half(true, 2, true);
	const uint16_t want = expect == zeros ? 0 : NVME_SC_COMPARE_FAILED | NVME_STATUS_DNR;
	const uint64_t begun = now_ms();
	uint16_t status;
	bool late;

	client_command(w.io, &first, expect, RIG_BLOCK);
	upgrade(&w);
	client_command(w.io, &second, data, RIG_BLOCK);
	status = client_answer(w.io, 1);
	late = status == (NVME_SC_FUSED_MISSING | NVME_STATUS_DNR) && now_ms() - begun >= 2000;
	if (!late) {
		assert_int_equal(status, want);
		assert_int_equal(client_answer(w.io, 2), want ? NVME_SC_FUSED_FAIL : 0);
		expect_blocks(&w, 8, 1, want ? zeros : data);
	}
	end(&w);
	return !late;
}

static void a_fused_pair_may_be_parted(void **state)
{
	const uint8_t *const expect[] = {zeros, data};

	for (int i = 0; i < 4; i++) {
		int tries = 0;

		while (!pair_in_capsules(expect[i & 1], i & 2))
			if (++tries == 10)
				skip();
	}
}

/* The data of both halves come by R2T, one after the other, and each is cut. */
static void pair_by_r2t(bool in_vain)
{
	static uint8_t bytes[2 * RIG_BLOCK];
	struct world w = begin(PDU_DGST_DATA, in_vain);

	for (uint16_t cid = 1; cid <= 2; cid++) {
		struct nvme_sqe sqe = half(cid == 2, cid, false);

		client_command(w.io, &sqe, NULL, 0);
	}
	for (uint16_t cid = 1; cid <= 2; cid++) {
		size_t len = h2c_bytes(bytes, &w.io->fmt, cid, expect_r2t(w.io, cid, RIG_BLOCK),
				       cid == 1 ? zeros : data, RIG_BLOCK);

		client_send(w.io, bytes, len / 2);
		upgrade(&w);
		client_send(w.io, bytes + len / 2, len - len / 2);
	}
	assert_int_equal(client_answer(w.io, 1), 0);
	assert_int_equal(client_answer(w.io, 2), 0);
	expect_blocks(&w, 8, 1, data);
	end(&w);
}

static void a_fused_pair_may_wait_for_its_data(void **state)
{
	pair_by_r2t(false);
	pair_by_r2t(true);
}

/* A half whose other half never comes is told so by the new engine, when another command comes. */
static void a_half_that_stays_alone_is_refused(void **state)
{
	struct world w = begin(0, false);
	struct nvme_sqe first = half(false, 1, true), other = client_rw(true, 2, 0, 1, true);

	client_command(w.io, &first, zeros, RIG_BLOCK);
	upgrade(&w);
	client_command(w.io, &other, data, RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 1), NVME_SC_FUSED_MISSING | NVME_STATUS_DNR);
	assert_int_equal(client_answer(w.io, 2), 0);
	end(&w);
}

/* ---- what the target keeps ---- */

#define REPORT_BYTES 128u

static void resv_command(struct client *c, uint8_t opcode, uint32_t cdw10, uint64_t crkey,
			 uint64_t second_key)
{
	struct nvme_sqe sqe = client_rw(true, 7, cdw10, 1, true);
	uint8_t keys[16];

	sqe.opcode = opcode;
	put_le32(&sqe.cdw12, 0);
	put_le32(&sqe.sgl.length, sizeof(keys));
	put_le64(keys, crkey);
	put_le64(keys + 8, second_key);
	client_command(c, &sqe, keys, sizeof(keys));
	assert_int_equal(client_answer(c, 7), 0);
}

static void resv_report(struct client *c, uint8_t ret[REPORT_BYTES])
{
	struct nvme_sqe sqe = client_rw(false, 8, REPORT_BYTES / 4 - 1, 1, false);

	sqe.opcode = NVME_IO_RESV_REPORT;
	put_le32(&sqe.cdw11, 1); /* extended */
	put_le32(&sqe.sgl.length, REPORT_BYTES);
	client_command(c, &sqe, NULL, 0);
	assert_int_equal(client_next(c), PDU_C2H_DATA);
	assert_int_equal(c->payload_len, REPORT_BYTES);
	memcpy(ret, c->payload, REPORT_BYTES);
}

static void a_reservation_stays_with_its_holder(void **state)
{
	struct world w = begin(0, false);
	uint8_t before[REPORT_BYTES], after[REPORT_BYTES];

	resv_command(w.io, NVME_IO_RESV_REGISTER, 0, 0, 0xabc);
	resv_command(w.io, NVME_IO_RESV_ACQUIRE, 1u << 8, 0xabc, 0); /* write exclusive */
	resv_report(w.io, before);
	assert_int_equal(before[4], 1);
	upgrade(&w);
	resv_report(w.io, after);
	assert_memory_equal(after, before, REPORT_BYTES);
	end(&w);
}

static void counters_go_on(void **state)
{
	static const char *const names[] = {"accepted",      "connects",       "commands",
					    "data_in_bytes", "data_out_bytes", "closed"};
	struct world w = begin(0, false);
	uint64_t before[ARRAY_LEN(names)];

	expect_blocks(&w, 0, 2, zeros);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		before[i] = rig_stat(w.rig, names[i]);
	assert_int_equal(before[0], 2);
	assert_true(before[2] > 0 && before[4] >= 2 * RIG_BLOCK);
	for (unsigned times = 0; times < 2; times++) {
		upgrade(&w);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			assert_int_equal(rig_stat(w.rig, names[i]), before[i]);
	}
	assert_int_equal(rig_conns(w.rig), 2);
	end(&w);
}

#define CALM_HOSTS 20u
#define CALM_TURNS 8u /* as in tcp_freeze.c */

/* Before a stop: a pass receives from a few, nobody is left out, and it ends with a thaw's word. */
static void calm_passes_are_short(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin[CALM_HOSTS], *io[CALM_HOSTS];
	struct nvme_sqe sqe = client_rw(false, 3, 8, 1, false);
	uint64_t before, now = 0, first;

	for (unsigned i = 0; i < CALM_HOSTS; i++)
		client_pair(rig, 0, 31, false, &admin[i], &io[i]);
	first = before = rig_stat(rig, "commands");
	for (unsigned i = 0; i < CALM_HOSTS; i++) {
		client_command(io[i], &sqe, NULL, 0);
		client_sent_all(io[i]);
	}
	tcp_transport_calm(rig->transport, true);
	for (unsigned i = 0; i < RIG_PASSES && now < first + CALM_HOSTS; i++) {
		rig_pump(rig);
		now = rig_stat(rig, "commands");
		assert_in_range(now - before, 0, CALM_TURNS);
		before = now;
	}
	assert_int_equal(now, first + CALM_HOSTS);
	tcp_transport_calm(rig->transport, false);
	for (unsigned i = 0; i < CALM_HOSTS; i++) {
		assert_int_equal(client_next(io[i]), PDU_C2H_DATA);
		client_free(io[i]);
		client_free(admin[i]);
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_for_an_r2t_may_be_cut_anywhere),
		cmocka_unit_test(many_r2ts_at_once),
		cmocka_unit_test(a_fused_pair_may_be_parted),
		cmocka_unit_test(a_fused_pair_may_wait_for_its_data),
		cmocka_unit_test(a_half_that_stays_alone_is_refused),
		cmocka_unit_test(a_reservation_stays_with_its_holder),
		cmocka_unit_test(counters_go_on),
		cmocka_unit_test(calm_passes_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
