/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every violation of a host in one table: which bytes, and the answer. Each row is fed whole, byte by byte, and in two halves at every
 * place. Fatal: FES, FEI and the header that the C2HTermReq echoes. Not fatal: the status of the command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "wire/rx.h"

#define CAPSULE_MAX 8192u
#define DATA_MAX    65536u

enum setup { FRESH, PLAIN, HDGST, DDGST };

struct bytes {
	uint8_t p[DATA_MAX + 1024];
	size_t len;
};

static struct bytes pdu;
static uint8_t sink[DATA_MAX];

static struct pdu_format format_of(enum setup setup)
{
	return (struct pdu_format){.hdgst = setup == HDGST, .ddgst = setup == DDGST};
}

/* --- what a good host would have sent --- */

static void good_icreq(enum setup setup)
{
	pdu.len = pdu_build_icreq(pdu.p, 0, PDU_DGST_HEADER | PDU_DGST_DATA, 0);
}

static void command(enum setup setup, uint8_t sgl_type, uint32_t sgl_len, uint32_t data_len)
{
	struct pdu_format fmt = format_of(setup);
	struct nvme_sqe sqe = {.opcode = NVME_IO_WRITE, .flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG};
	uint8_t pad;

	put_le16(&sqe.cid, 7);
	put_le32(&sqe.sgl.length, sgl_len);
	sqe.sgl.type = sgl_type;
	pdu.len = pdu_build_cmd(pdu.p, &fmt, &sqe, data_len, &pad);
	memset(pdu.p + pdu.len, 0x5a, data_len);
	if (data_len && fmt.ddgst) {
		pdu_put_digest(pdu.p + pdu.len + data_len, crc32c(pdu.p + pdu.len, data_len));
		pdu.len += PDU_DIGEST_LEN;
	}
	pdu.len += data_len;
}

static void good_command(enum setup setup)
{
	command(setup, NVME_SGL_TRANSPORT_DATA, 4096, 0);
}

static void good_write(enum setup setup)
{
	command(setup, NVME_SGL_DATA_OFFSET, 512, 512);
}

static void h2c_data(enum setup setup, uint32_t offset, uint32_t len, uint8_t flags)
{
	struct pdu_format fmt = format_of(setup);
	struct pdu_data_fields f = {
		.cccid = 7, .ttag = 9, .datao = offset, .datal = len, .flags = flags};
	uint8_t pad;

	pdu.len = pdu_build_h2c_data(pdu.p, &fmt, &f, &pad);
	memset(pdu.p + pdu.len, 0xa5, len);
	pdu.len += len;
}

/* --- what is wrong with it --- */

static void good_h2c(enum setup setup)
{
	h2c_data(setup, 0, 4096, PDU_F_LAST);
}

static void type_c2h_data(enum setup setup)
{
	good_h2c(setup);
	pdu.p[0] = PDU_C2H_DATA;
}

static void type_unknown(enum setup setup)
{
	good_command(setup);
	pdu.p[0] = 0x08;
}

static void type_high(enum setup setup)
{
	good_command(setup);
	pdu.p[0] = 0xff;
}

static void hlen_icreq(enum setup setup)
{
	good_icreq(setup);
	pdu.p[2] = 127;
}

static void hlen_command_long(enum setup setup)
{
	good_command(setup);
	pdu.p[2] = 76;
}

static void hlen_data_zero(enum setup setup)
{
	good_h2c(setup);
	pdu.p[2] = 0;
}

static void pdo_misaligned(enum setup setup)
{
	good_write(setup);
	pdu.p[3] = 74;
}

static void pdo_in_header(enum setup setup)
{
	good_write(setup);
	pdu.p[3] = 68;
}

static void pdo_in_digest(enum setup setup)
{
	struct pdu_ch *ch = (struct pdu_ch *)pdu.p;

	good_write(setup);
	ch->pdo = 72;
	pdu_put_digest(pdu.p + 72, crc32c(pdu.p, 72));
}

static void set_plen(uint32_t plen)
{
	put_le32(pdu.p + 4, plen);
}

static void plen_short(enum setup setup)
{
	good_command(setup);
	set_plen(71);
}

static void plen_zero(enum setup setup)
{
	good_command(setup);
	set_plen(0);
}

static void plen_no_data(enum setup setup)
{
	good_write(setup);
	pdu.p[3] = 100;
	set_plen(80);
}

static void plen_huge(enum setup setup)
{
	good_write(setup);
	set_plen(UINT32_MAX);
}

static void plen_icreq(enum setup setup)
{
	good_icreq(setup);
	set_plen(129);
}

static void plen_not_datal(enum setup setup)
{
	good_h2c(setup);
	set_plen(24 + 4092);
}

static void plen_term(enum setup setup)
{
	pdu.len = pdu_build_term(pdu.p, true, 1, 0, 0);
	set_plen(24 + 129);
}

static void flags_hdgst_unasked(enum setup setup)
{
	good_command(setup);
	pdu.p[1] |= PDU_F_HDGST;
}

static void flags_hdgst_missing(enum setup setup)
{
	good_command(setup);
	pdu.p[1] = 0;
	pdu_put_digest(pdu.p + 72, crc32c(pdu.p, 72));
}

static void flags_ddgst_missing(enum setup setup)
{
	good_write(setup);
	pdu.p[1] = 0;
}

static void flags_ddgst_unasked(enum setup setup)
{
	good_write(setup);
	pdu.p[1] |= PDU_F_DDGST;
}

static void icreq_pfv(enum setup setup)
{
	good_icreq(setup);
	put_le16(pdu.p + 8, 1);
}

static void icreq_hpda(enum setup setup)
{
	good_icreq(setup);
	pdu.p[10] = 32;
}

static void header_digest(enum setup setup)
{
	good_command(setup);
	put_le32(pdu.p + 72, 0x12345678);
}

/* A damaged PLEN under a header digest: the digest is what is reported. */
static void header_digest_first(enum setup setup)
{
	good_command(setup);
	put_le32(pdu.p + 72, 0x12345678);
	set_plen(3);
}

static void sgl_not_plen(enum setup setup)
{
	command(setup, NVME_SGL_DATA_OFFSET, 1024, 512);
}

static void sgl_in_capsule_without_data(enum setup setup)
{
	command(setup, NVME_SGL_DATA_OFFSET, 512, 0);
}

static void sgl_transport_with_data(enum setup setup)
{
	command(setup, NVME_SGL_TRANSPORT_DATA, 512, 512);
}

static void capsule_beyond_all(enum setup setup)
{
	command(setup, NVME_SGL_DATA_OFFSET, DATA_MAX + 4, 0);
	pdu.p[3] = 72;
	set_plen(72 + DATA_MAX + 4);
}

static void h2c_cid(enum setup setup)
{
	good_h2c(setup);
	put_le16(pdu.p + 8, 8);
}

static void h2c_offset(enum setup setup)
{
	h2c_data(setup, 512, 3584, PDU_F_LAST);
}

static void h2c_beyond_r2t(enum setup setup)
{
	h2c_data(setup, 0, 8192, PDU_F_LAST);
}

static void h2c_beyond_limit(enum setup setup)
{
	h2c_data(setup, 0, 16388, PDU_F_LAST);
}

static void h2c_no_last(enum setup setup)
{
	h2c_data(setup, 0, 4096, 0);
}

static void h2c_early_last(enum setup setup)
{
	h2c_data(setup, 0, 2048, PDU_F_LAST);
}

static void h2c_odd(enum setup setup)
{
	h2c_data(setup, 0, 4095, 0);
}

static void h2c_empty(enum setup setup)
{
	h2c_data(setup, 0, 0, 0);
}

struct row {
	const char *name;
	enum setup setup;
	void (*make)(enum setup setup);
	uint16_t fes;
	uint32_t fei;
};

static const struct row fatal_rows[] = {
	{"a PDU of the controller's", PLAIN, type_c2h_data, PDU_FES_HEADER_FIELD, 0},
	{"a type that does not exist", PLAIN, type_unknown, PDU_FES_HEADER_FIELD, 0},
	{"type 255", PLAIN, type_high, PDU_FES_HEADER_FIELD, 0},
	{"a command before ICReq", FRESH, good_command, PDU_FES_SEQUENCE, 0},
	{"data before ICReq", FRESH, good_h2c, PDU_FES_SEQUENCE, 0},
	{"a second ICReq", PLAIN, good_icreq, PDU_FES_SEQUENCE, 0},
	{"ICReq HLEN", FRESH, hlen_icreq, PDU_FES_HEADER_FIELD, 2},
	{"command HLEN", PLAIN, hlen_command_long, PDU_FES_HEADER_FIELD, 2},
	{"H2CData HLEN 0", PLAIN, hlen_data_zero, PDU_FES_HEADER_FIELD, 2},
	{"PDO not a multiple of 4", PLAIN, pdo_misaligned, PDU_FES_HEADER_FIELD, 3},
	{"PDO inside the header", PLAIN, pdo_in_header, PDU_FES_HEADER_FIELD, 3},
	{"PDO inside the header digest", HDGST, pdo_in_digest, PDU_FES_HEADER_FIELD, 3},
	{"PLEN shorter than the header", PLAIN, plen_short, PDU_FES_HEADER_FIELD, 4},
	{"PLEN 0", PLAIN, plen_zero, PDU_FES_HEADER_FIELD, 4},
	{"PLEN ends before PDO", PLAIN, plen_no_data, PDU_FES_HEADER_FIELD, 4},
	{"PLEN of 4 GiB", PLAIN, plen_huge, PDU_FES_HEADER_FIELD, 4},
	{"ICReq PLEN", FRESH, plen_icreq, PDU_FES_HEADER_FIELD, 4},
	{"H2CData PLEN and DATAL differ", PLAIN, plen_not_datal, PDU_FES_HEADER_FIELD, 4},
	{"H2CTermReq too long", PLAIN, plen_term, PDU_FES_HEADER_FIELD, 4},
	{"HDGSTF without header digests", PLAIN, flags_hdgst_unasked, PDU_FES_HEADER_FIELD, 1},
	{"HDGSTF missing", HDGST, flags_hdgst_missing, PDU_FES_HEADER_FIELD, 1},
	{"DDGSTF missing", DDGST, flags_ddgst_missing, PDU_FES_HEADER_FIELD, 1},
	{"DDGSTF without data digests", PLAIN, flags_ddgst_unasked, PDU_FES_HEADER_FIELD, 1},
	{"PFV", FRESH, icreq_pfv, PDU_FES_UNSUPPORTED, 8},
	{"HPDA 32", FRESH, icreq_hpda, PDU_FES_HEADER_FIELD, 10},
	{"header digest", HDGST, header_digest, PDU_FES_HEADER_DIGEST, 0x12345678},
	{"header digest before PLEN", HDGST, header_digest_first, PDU_FES_HEADER_DIGEST,
	 0x12345678},
	{"SGL and PLEN differ", PLAIN, sgl_not_plen, PDU_FES_HEADER_FIELD, 4},
	{"SGL in capsule, no data there", PLAIN, sgl_in_capsule_without_data, PDU_FES_HEADER_FIELD,
	 4},
	{"SGL not in capsule, data there", PLAIN, sgl_transport_with_data, PDU_FES_HEADER_FIELD, 4},
	{"more data than any capsule", PLAIN, capsule_beyond_all, PDU_FES_HEADER_FIELD, 4},
	{"H2CData of another command", PLAIN, h2c_cid, PDU_FES_HEADER_FIELD, 8},
	{"H2CData out of order", PLAIN, h2c_offset, PDU_FES_OUT_OF_RANGE, 0},
	{"H2CData beyond the R2T", PLAIN, h2c_beyond_r2t, PDU_FES_OUT_OF_RANGE, 0},
	{"H2CData beyond MAXH2CDATA", PLAIN, h2c_beyond_limit, PDU_FES_LIMIT_EXCEEDED, 0},
	{"H2CData without LAST_PDU", PLAIN, h2c_no_last, PDU_FES_HEADER_FIELD, 1},
	{"LAST_PDU too early", PLAIN, h2c_early_last, PDU_FES_HEADER_FIELD, 1},
	{"H2CData of odd length", PLAIN, h2c_odd, PDU_FES_HEADER_FIELD, 16},
	{"H2CData without data", PLAIN, h2c_empty, PDU_FES_HEADER_FIELD, 4},
};

/* A target of one command, cid 7, ttag 9, that waits for 4096 bytes. */
struct verdict {
	bool failed;
	struct wire_error error;
	struct wire_xfer xfer;
	unsigned commands, digest_errors;
};

static void on_header(struct wire_rx *rx, struct verdict *v)
{
	const struct wire_h2c_expect expect = {.cccid = 7, .end = 4096, .max_h2c_data = 16384};
	struct wire_error error;
	struct nvme_sqe sqe;

	switch (rx->hdr->pdu_type) {
	case PDU_ICREQ:
		wire_rx_negotiated(rx, false, false);
		break;
	case PDU_CAPSULE_CMD:
		memcpy(&sqe, &rx->cmd->sqe, sizeof(sqe));
		v->commands++;
		if (!wire_cmd_check(&sqe, rx->data_len, CAPSULE_MAX, &v->xfer, &error))
			(void)wire_rx_fail(rx, error.fes, error.fei);
		break;
	case PDU_H2C_DATA:
		if (!wire_h2c_check(rx->data, &expect, &error))
			(void)wire_rx_fail(rx, error.fes, error.fei);
		break;
	default:
		break;
	}
	if (rx->state == WIRE_RX_DEST)
		wire_rx_dest(rx, rx->data_len <= sizeof(sink) ? sink : NULL);
}

static void feed(struct wire_rx *rx, const uint8_t *p, size_t len, struct verdict *v)
{
	struct wire_in in = {.p = p, .end = p + len};

	for (;;) {
		switch (wire_rx_step(rx, &in)) {
		case WIRE_EV_MORE:
			assert_ptr_equal(in.p, in.end);
			return;
		case WIRE_EV_HEADER:
			on_header(rx, v);
			break;
		case WIRE_EV_DATA:
			v->digest_errors += !rx->digest_ok;
			break;
		case WIRE_EV_ERROR:
		default:
			v->failed = true;
			v->error = rx->error;
			return;
		}
	}
}

/* cut: length of the first piece; 1: all pieces are one byte. */
static struct verdict run(enum setup setup, size_t cut, struct wire_rx *rx)
{
	struct verdict v = {0};

	wire_rx_init(rx, WIRE_TARGET, DATA_MAX);
	if (setup != FRESH)
		wire_rx_negotiated(rx, setup == HDGST, setup == DDGST);
	for (size_t at = 0; at < pdu.len && !v.failed;) {
		size_t n = cut == 1 ? 1 : at ? pdu.len - at : MIN(cut, pdu.len);

		feed(rx, pdu.p + at, n, &v);
		at += n;
	}
	return v;
}

static void each_violation_has_its_answer_however_it_is_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(fatal_rows); i++) {
		const struct row *row = &fatal_rows[i];

		row->make(row->setup);
		for (size_t cut = 1; cut <= MIN(pdu.len, (size_t)140); cut++) {
			struct wire_rx rx;
			struct verdict v = run(row->setup, cut, &rx);

			if (!v.failed || v.error.fes != row->fes || v.error.fei != row->fei)
				fail_msg("%s, cut at %zu: failed=%d fes=%u fei=%u", row->name, cut,
					 v.failed, v.error.fes, v.error.fei);
			assert_in_range(rx.echo_len, 8, PDU_TERM_DATA_MAX);
			assert_memory_equal(rx.buf, pdu.p, rx.echo_len);
		}
	}
}

static void a_failed_machine_stays_failed(void **state)
{
	struct wire_rx rx;
	struct verdict v;

	type_unknown(PLAIN);
	v = run(PLAIN, pdu.len, &rx);
	assert_true(v.failed);
	good_command(PLAIN);
	memset(&v, 0, sizeof(v));
	feed(&rx, pdu.p, pdu.len, &v);
	assert_true(v.failed);
	assert_int_equal(v.commands, 0);
}

static void command_status(uint8_t type, uint64_t addr, uint32_t len, uint32_t data_len,
			   uint8_t flags, uint16_t status)
{
	struct nvme_sqe sqe = {.opcode = NVME_IO_WRITE, .flags = flags};
	struct wire_error error;
	struct wire_xfer xfer;

	put_le64(&sqe.sgl.addr, addr);
	put_le32(&sqe.sgl.length, len);
	sqe.sgl.type = type;
	assert_true(wire_cmd_check(&sqe, data_len, CAPSULE_MAX, &xfer, &error));
	assert_int_equal(xfer.sgl_status, status ? status | NVME_STATUS_DNR : 0);
	if (status)
		assert_int_equal(xfer.len, 0);
}

static void wrong_sgls_fail_the_command_alone(void **state)
{
	const uint8_t sgl = NVME_SQE_PSDT_SGL_MPTR_CONTIG;

	command_status(NVME_SGL_DATA_OFFSET, 0, 512, 512, sgl, 0);
	command_status(NVME_SGL_DATA_OFFSET, 0, 0, 0, sgl, 0);
	command_status(NVME_SGL_DATA_OFFSET, 0, CAPSULE_MAX, CAPSULE_MAX, sgl, 0);
	command_status(NVME_SGL_TRANSPORT_DATA, 0, 0, 0, sgl, 0);
	command_status(NVME_SGL_DATA_OFFSET, 4, 512, 512, sgl, NVME_SC_SGL_INVALID_OFFSET);
	command_status(NVME_SGL_DATA_OFFSET, 0, CAPSULE_MAX + 4, CAPSULE_MAX + 4, sgl,
		       NVME_SC_SGL_INVALID_DATA);
	command_status(0x00, 0x1000, 512, 0, sgl, NVME_SC_SGL_INVALID_TYPE);
	command_status(0x40, 0x1000, 512, 512, sgl, NVME_SC_SGL_INVALID_TYPE);
	command_status(0x20, 0, 16, 16, sgl, NVME_SC_SGL_INVALID_TYPE);
	/* PRPs, and metadata by SGL. */
	command_status(NVME_SGL_TRANSPORT_DATA, 0, 512, 0, 0, NVME_SC_INVALID_FIELD);
	command_status(NVME_SGL_DATA_OFFSET, 0, 512, 512, NVME_SQE_PSDT_SGL_MPTR_SGL,
		       NVME_SC_INVALID_FIELD);
}

static void byte_1_of_a_fabrics_command_is_reserved(void **state)
{
	struct nvme_sqe sqe = {.opcode = NVME_OPC_FABRICS};
	struct wire_error error;
	struct wire_xfer xfer;

	put_le32(&sqe.sgl.length, 1024);
	sqe.sgl.type = NVME_SGL_DATA_OFFSET;
	assert_true(wire_cmd_check(&sqe, 1024, CAPSULE_MAX, &xfer, &error));
	assert_int_equal(xfer.sgl_status, 0);
	assert_true(xfer.in_capsule);
	assert_int_equal(xfer.len, 1024);
}

static void a_data_digest_error_is_not_fatal(void **state)
{
	for (size_t cut = 1; cut < 600; cut++) {
		struct wire_rx rx;
		struct verdict v;

		good_write(DDGST);
		pdu.p[pdu.len - 1] ^= 1;
		v = run(DDGST, cut, &rx);
		assert_false(v.failed);
		assert_int_equal(v.digest_errors, 1);
		good_write(DDGST);
		feed(&rx, pdu.p, pdu.len, &v);
		assert_int_equal(v.digest_errors, 1);
		assert_int_equal(v.commands, 2);
	}
}

static void reserved_digest_bits_and_any_maxr2t_are_accepted(void **state)
{
	struct wire_rx rx;
	struct verdict v;

	pdu.len = pdu_build_icreq(pdu.p, 31, 0xff, UINT32_MAX);
	v = run(FRESH, pdu.len, &rx);
	assert_false(v.failed);
	assert_true(rx.ready);
}

static void padding_before_data_is_skipped(void **state)
{
	struct wire_rx rx;
	struct verdict v;

	good_write(PLAIN);
	memmove(pdu.p + 128, pdu.p + 72, 512);
	memset(pdu.p + 72, 0xee, 56);
	pdu.p[3] = 128;
	set_plen(128 + 512);
	pdu.len = 128 + 512;
	for (size_t cut = 1; cut < pdu.len; cut++) {
		memset(sink, 0, sizeof(sink));
		v = run(PLAIN, cut, &rx);
		assert_false(v.failed);
		assert_memory_equal(sink, pdu.p + 128, 512);
		assert_int_equal(sink[512], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_violation_has_its_answer_however_it_is_cut),
		cmocka_unit_test(a_failed_machine_stays_failed),
		cmocka_unit_test(wrong_sgls_fail_the_command_alone),
		cmocka_unit_test(byte_1_of_a_fabrics_command_is_reserved),
		cmocka_unit_test(a_data_digest_error_is_not_fatal),
		cmocka_unit_test(reserved_digest_bits_and_any_maxr2t_are_accepted),
		cmocka_unit_test(padding_before_data_is_skipped),
	};

	return cmocka_run_group_tests_name("wire-bad-pdu", tests, NULL, NULL);
}
