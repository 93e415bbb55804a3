/* SPDX-License-Identifier: Apache-2.0 */
/* One queue against a scripted controller: what it sends, what it accepts, how it ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "one.h"

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

/* --- what is right --- */

static void icreq_asks_for_what_was_wanted(void **state)
{
	struct one o = one_begin();

	one_open(&o, true, true, 3);
	assert_int_equal(o.c->pdu[0].icreq.dgst, PDU_DGST_HEADER | PDU_DGST_DATA);
	assert_int_equal(o.c->pdu[0].icreq.hpda, 3);
	assert_int_equal(get_le32(&o.c->pdu[0].icreq.maxr2t), 0);
	one_free(&o);
}

static void small_write_travels_in_its_capsule(void **state)
{
	struct one o;
	uint8_t data[8192];
	struct cmd *c = cmd_new();

	one_ready(&o, false, false, 0);
	fill(data, sizeof(data), 1);
	submit_rw(&o, c, true, data, sizeof(data));
	assert_int_equal(o.c->pdu[1].data_len, sizeof(data));
	assert_memory_equal(o.c->pdu[1].payload, data, sizeof(data));
	assert_int_equal(o.c->pdu[1].cmd.sqe.sgl.type, NVME_SGL_DATA_OFFSET);
	assert_int_equal(get_le32(&o.c->pdu[1].cmd.sqe.sgl.length), sizeof(data));
	fake_resp(o.c, get_le16(&o.c->pdu[1].cmd.sqe.cid), 0, 0);
	wait_done(&o, c, 0);
	free(c);
	one_free(&o);
}

static void large_write_follows_r2t_in_pieces_of_maxh2cdata(void **state)
{
	enum { LEN = 24576, FIRST = 10240 };
	struct one o;
	uint8_t *data = malloc(LEN), *got = calloc(1, LEN);
	struct cmd *c = cmd_new();
	uint16_t cid;
	uint32_t at = 0;

	one_ready(&o, true, true, 0);
	fill(data, LEN, 2);
	submit_rw(&o, c, true, data, LEN);
	assert_int_equal(o.c->pdu[1].data_len, 0);
	assert_int_equal(o.c->pdu[1].cmd.sqe.sgl.type, NVME_SGL_TRANSPORT_DATA);
	cid = get_le16(&o.c->pdu[1].cmd.sqe.cid);
	fake_r2t(o.c, cid, 77, 0, FIRST);
	run_until(o.f, o.c->n_pdus == 2 + 3);
	fake_r2t(o.c, cid, 78, FIRST, LEN - FIRST);
	run_until(o.f, o.c->n_pdus == 2 + 3 + 4);
	for (unsigned i = 2; i < o.c->n_pdus; i++) {
		struct fake_pdu *p = &o.c->pdu[i];
		bool last = i == 4 || i == 8;

		assert_int_equal(p->ch.pdu_type, PDU_H2C_DATA);
		assert_true(p->data_len <= 4096);
		assert_true(p->digest_ok);
		assert_int_equal(get_le16(&p->data.ttag), i < 5 ? 77 : 78);
		assert_int_equal(get_le32(&p->data.datao), at);
		assert_int_equal(!!(p->ch.flags & PDU_F_LAST), last);
		memcpy(got + at, p->payload, p->data_len);
		at += p->data_len;
	}
	assert_int_equal(at, LEN);
	assert_memory_equal(got, data, LEN);
	fake_resp(o.c, cid, 0, 0);
	wait_done(&o, c, 0);
	free(c);
	free(data);
	free(got);
	one_free(&o);
}

/* A read in two pieces with a response, and one with SUCCESS; all cuts of the stream give the same. */
static void read_of_any_cut(size_t split, bool digests)
{
	enum { LEN = 6144, CUT = 1536 };
	struct one o;
	uint8_t data[LEN], *got = calloc(1, LEN);
	struct cmd *c = cmd_new();
	uint16_t cid;

	one_ready(&o, digests, digests, split);
	fill(data, LEN, 3);
	submit_rw(&o, c, false, got, LEN);
	cid = get_le16(&o.c->pdu[1].cmd.sqe.cid);
	fake_c2h(o.c, &(struct pdu_data_fields){.cccid = cid, .datal = CUT}, data);
	fake_c2h(o.c,
		 &(struct pdu_data_fields){
			 .cccid = cid, .datao = CUT, .datal = LEN - CUT, .flags = PDU_F_LAST},
		 data + CUT);
	assert_int_equal(c->done, 0);
	fake_resp(o.c, cid, 0, 0x1122334455667788ull);
	wait_done(&o, c, 0);
	assert_memory_equal(got, data, LEN);
	assert_true(get_le64(&c->cmd.cqe.result) == 0x1122334455667788ull);

	memset(got, 0, LEN);
	c->done = 0;
	submit_rw(&o, c, false, got, LEN);
	cid = get_le16(&o.c->pdu[2].cmd.sqe.cid);
	fake_c2h(o.c,
		 &(struct pdu_data_fields){
			 .cccid = cid, .datal = LEN, .flags = PDU_F_LAST | PDU_F_SUCCESS},
		 data);
	wait_done(&o, c, 0);
	assert_memory_equal(got, data, LEN);
	free(c);
	free(got);
	one_free(&o);
}

static void read_arrives_whole(void **state)
{
	read_of_any_cut(0, false);
	read_of_any_cut(0, true);
}

static void read_arrives_byte_by_byte(void **state)
{
	read_of_any_cut(1, true);
}

static void read_arrives_in_odd_cuts(void **state)
{
	read_of_any_cut(7, true);
	read_of_any_cut(97, false);
	read_of_any_cut(4096, true);
}

static void more_commands_than_slots_wait_their_turn(void **state)
{
	struct cmd *c[3 * DEPTH];
	struct one o;

	one_ready(&o, false, false, 0);
	for (unsigned i = 0; i < 3 * DEPTH; i++) {
		c[i] = cmd_new();
		nvme_hostcmd_flush(&c[i]->cmd, i + 1);
		nvme_hostq_submit(o.q, &c[i]->cmd);
	}
	run_until(o.f, o.c->n_pdus == 1 + DEPTH);
	run_some(o.f);
	assert_int_equal(o.c->n_pdus, 1 + DEPTH);
	for (unsigned i = 0; i < 3 * DEPTH; i++) {
		run_until(o.f, o.c->n_pdus > 1 + i);
		assert_int_equal(get_le32(&o.c->pdu[1 + i].cmd.sqe.nsid), i + 1);
		fake_resp(o.c, get_le16(&o.c->pdu[1 + i].cmd.sqe.cid), 0, 0);
		wait_done(&o, c[i], 0);
	}
	for (unsigned i = 0; i < 3 * DEPTH; i++)
		free(c[i]);
	one_free(&o);
}

static void both_halves_of_a_fused_pair_go_out_or_neither(void **state)
{
	struct cmd *c[DEPTH + 2];
	struct one o;

	one_ready(&o, false, false, 0);
	for (unsigned i = 0; i < DEPTH + 2; i++) { /* the pair comes when one slot is free */
		c[i] = cmd_new();
		nvme_hostcmd_flush(&c[i]->cmd, i + 1);
		if (i == DEPTH - 1)
			c[i]->cmd.sqe.flags |= NVME_SQE_FUSE_FIRST;
		if (i == DEPTH)
			c[i]->cmd.sqe.flags |= NVME_SQE_FUSE_SECOND;
		nvme_hostq_submit(o.q, &c[i]->cmd);
	}
	run_some(o.f);
	assert_int_equal(o.c->n_pdus,
			 DEPTH); /* ICReq among them: neither half, and nothing overtakes them */
	fake_resp(o.c, get_le16(&o.c->pdu[1].cmd.sqe.cid), 0, 0);
	wait_done(&o, c[0], 0);
	run_some(o.f);
	assert_int_equal(o.c->n_pdus, DEPTH + 2);
	for (unsigned i = 1; i < DEPTH + 2; i++) {
		run_until(o.f, o.c->n_pdus > 1 + i);
		assert_int_equal(get_le32(&o.c->pdu[1 + i].cmd.sqe.nsid), i + 1);
		fake_resp(o.c, get_le16(&o.c->pdu[1 + i].cmd.sqe.cid), 0, 0);
		wait_done(&o, c[i], 0);
	}
	for (unsigned i = 0; i < DEPTH + 2; i++)
		free(c[i]);
	one_free(&o);
}

static void nvme_status_is_handed_on(void **state)
{
	struct one o;
	uint8_t data[512];
	struct cmd *c = cmd_new();

	one_ready(&o, false, false, 0);
	submit_rw(&o, c, false, data, sizeof(data));
	fake_resp(o.c, get_le16(&o.c->pdu[1].cmd.sqe.cid), NVME_SC_LBA_RANGE | NVME_STATUS_DNR, 0);
	wait_done(&o, c, NVME_SC_LBA_RANGE | NVME_STATUS_DNR);
	free(c);
	one_free(&o);
}

static void fused_pair_stays_together(void **state)
{
	struct one o;
	struct cmd *a = cmd_new(), *b = cmd_new();

	one_ready(&o, false, false, 0);
	nvme_hostcmd_flush(&a->cmd, 1);
	nvme_hostcmd_flush(&b->cmd, 1);
	a->cmd.sqe.flags = NVME_SQE_FUSE_FIRST;
	b->cmd.sqe.flags = NVME_SQE_FUSE_SECOND;
	nvme_hostq_submit(o.q, &a->cmd);
	nvme_hostq_submit(o.q, &b->cmd);
	run_until(o.f, o.c->n_pdus == 3);
	assert_int_equal(o.c->pdu[1].cmd.sqe.flags & NVME_SQE_FUSE_MASK, NVME_SQE_FUSE_FIRST);
	assert_int_equal(o.c->pdu[2].cmd.sqe.flags & NVME_SQE_FUSE_MASK, NVME_SQE_FUSE_SECOND);
	one_free(&o);
	assert_int_equal(a->status, -ECONNRESET);
	free(a);
	free(b);
}

/* --- failures --- */

static void bad_data_digest_fails_the_command_alone(void **state)
{
	struct one o;
	uint8_t data[512] = {1}, pdu[1024], pad;
	struct cmd *c = cmd_new();
	struct pdu_data_fields fields = {.datal = 512, .flags = PDU_F_LAST | PDU_F_SUCCESS};
	struct pdu_format fmt;
	size_t len;

	one_ready(&o, false, true, 0);
	submit_rw(&o, c, false, data, sizeof(data));
	fields.cccid = get_le16(&o.c->pdu[1].cmd.sqe.cid);
	fmt = fake_format(o.c);
	len = pdu_build_c2h_data(pdu, &fmt, &fields, &pad);
	memset(pdu + len, 0xee, 512);
	put_le32(pdu + len + 512, 0xdeadbeef);
	fake_send(o.c, pdu, len + 512 + 4);
	wait_done(&o, c, -EILSEQ);
	assert_int_equal(o.state, 0);
	free(c);
	one_free(&o);
}

static void success_without_all_data_is_no_success(void **state)
{
	struct one o;
	uint8_t data[1024];
	struct cmd *c = cmd_new();

	one_ready(&o, false, false, 0);
	submit_rw(&o, c, false, data, sizeof(data));
	fake_resp(o.c, get_le16(&o.c->pdu[1].cmd.sqe.cid), 0, 0);
	wait_done(&o, c, -EPROTO);
	assert_int_equal(o.state, 0);
	free(c);
	one_free(&o);
}

static void error_ends_a_write_whose_data_was_asked_for(void **state)
{
	enum { LEN = 1 << 20 };
	struct one o;
	uint8_t *data = calloc(1, LEN);
	struct cmd *c = cmd_new();
	uint16_t cid;

	one_ready(&o, false, false, 0);
	submit_rw(&o, c, true, data, LEN);
	cid = get_le16(&o.c->pdu[1].cmd.sqe.cid);
	fake_r2t(o.c, cid, 1, 0, LEN);
	fake_resp(o.c, cid, NVME_SC_ABORT_REQ, 0);
	wait_done(&o, c, NVME_SC_ABORT_REQ);
	assert_int_equal(o.state, 0);
	free(c);
	free(data);
	one_free(&o);
}

static void lost_connection_tells_what_was_sent(void **state)
{
	struct cmd *c[DEPTH + 1], *late = cmd_new();
	struct one o;

	one_ready(&o, false, false, 0);
	for (unsigned i = 0; i <= DEPTH; i++) {
		c[i] = cmd_new();
		nvme_hostcmd_flush(&c[i]->cmd, 1);
		nvme_hostq_submit(o.q, &c[i]->cmd);
	}
	run_until(o.f, o.c->n_pdus == 1 + DEPTH);
	fake_drop(o.c);
	run_until(o.f, o.state < 0);
	for (unsigned i = 0; i <= DEPTH; i++) {
		assert_int_equal(c[i]->done, 1);
		assert_int_equal(c[i]->status, i < DEPTH ? -ECONNRESET : -ENOTCONN);
		free(c[i]);
	}
	nvme_hostcmd_flush(&late->cmd, 1);
	nvme_hostq_submit(o.q, &late->cmd);
	assert_int_equal(late->done, 0);
	wait_done(&o, late, -ENOTCONN);
	free(late);
	one_free(&o);
}

static void queue_may_be_freed_in_a_callback(void **state)
{
	struct one o;
	struct cmd *a = cmd_new(), *b = cmd_new();
	uint8_t resps[48];
	struct pdu_format fmt;

	one_ready(&o, false, false, 0);
	nvme_hostcmd_flush(&a->cmd, 1);
	nvme_hostcmd_flush(&b->cmd, 1);
	a->free_q = o.q;
	nvme_hostq_submit(o.q, &a->cmd);
	nvme_hostq_submit(o.q, &b->cmd);
	run_until(o.f, o.c->n_pdus == 3);
	fmt = fake_format(o.c);
	for (unsigned i = 0; i < 2; i++) {
		struct nvme_cqe cqe = {.cid = o.c->pdu[1 + i].cmd.sqe.cid};

		(void)pdu_build_resp(resps + 24 * i, &fmt, &cqe);
	}
	fake_send(o.c, resps, sizeof(resps));
	o.q = NULL;
	wait_done(&o, a, 0);
	wait_done(&o, b, -ECONNRESET);
	free(a);
	free(b);
	one_free(&o);
}

static void refused_connect_is_told(void **state)
{
	struct one o = one_begin();
	struct nvme_hostq_opts opts = {
		.addr = o.f->addr, .queue_size = 1, .on_state = one_state, .ctx = &o};
	struct err err;

	fake_unlisten(o.f);
	assert_int_equal(nvme_hostq_new(o.f->r, &opts, &o.q, &err), 0);
	assert_int_equal(o.state, 1);
	run_until(o.f, o.state < 0);
	assert_int_equal(o.state, -ECONNREFUSED);
	assert_non_null(strstr(o.err.text, "127.0.0.1"));
	one_free(&o);
}

static void term_request_of_the_controller_is_told(void **state)
{
	struct one o;
	uint8_t head[64];

	one_ready(&o, false, false, 0);
	fake_send(o.c, head, pdu_build_term(head, false, PDU_FES_UNSUPPORTED, 9, 0));
	run_until(o.f, o.state < 0);
	assert_int_equal(o.state, -EPROTO);
	assert_non_null(strstr(o.err.text, "fes=6 fei=9"));
	one_free(&o);
}

static size_t raw_seen;

static void on_bytes(struct nvme_hostq *q, const void *bytes, size_t len, void *ctx)
{
	raw_seen += len;
}

static void bytes_may_be_sent_and_seen_raw(void **state)
{
	struct one o = one_begin();
	struct nvme_hostq_opts opts = {.addr = o.f->addr,
				       .queue_size = 1,
				       .on_state = one_state,
				       .on_bytes = on_bytes,
				       .ctx = &o};
	struct err err;
	uint8_t icreq[132];

	raw_seen = 0;
	assert_int_equal(nvme_hostq_new(o.f->r, &opts, &o.q, &err), 0);
	run_until(o.f, o.state == 0);
	assert_int_equal(nvme_hostq_send_raw(o.q, icreq, pdu_build_icreq(icreq, 0, 0, 0)), 0);
	run_until(o.f, o.f->n_conns == 1 && o.f->conn[0]->n_pdus == 1);
	fake_icresp(o.f->conn[0], 8192);
	run_until(o.f, raw_seen == 128);
	one_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(icreq_asks_for_what_was_wanted),
		cmocka_unit_test(small_write_travels_in_its_capsule),
		cmocka_unit_test(large_write_follows_r2t_in_pieces_of_maxh2cdata),
		cmocka_unit_test(read_arrives_whole),
		cmocka_unit_test(read_arrives_byte_by_byte),
		cmocka_unit_test(read_arrives_in_odd_cuts),
		cmocka_unit_test(more_commands_than_slots_wait_their_turn),
		cmocka_unit_test(both_halves_of_a_fused_pair_go_out_or_neither),
		cmocka_unit_test(nvme_status_is_handed_on),
		cmocka_unit_test(fused_pair_stays_together),
		cmocka_unit_test(bad_data_digest_fails_the_command_alone),
		cmocka_unit_test(success_without_all_data_is_no_success),
		cmocka_unit_test(error_ends_a_write_whose_data_was_asked_for),
		cmocka_unit_test(lost_connection_tells_what_was_sent),
		cmocka_unit_test(queue_may_be_freed_in_a_callback),
		cmocka_unit_test(refused_connect_is_told),
		cmocka_unit_test(term_request_of_the_controller_is_told),
		cmocka_unit_test(bytes_may_be_sent_and_seen_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
