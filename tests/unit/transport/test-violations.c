/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that break the rules: each gets the answer of the specification, and another connection never notices. */
#include "rig.h"

#include <sys/socket.h>
#include <unistd.h>

/* Of the transport with hosts that say nothing, where a test waits for its end: longer than a loaded machine keeps a test that goes on from going on. */
#define PATIENCE_MS 400

static uint8_t data[256 * 1024];

struct world {
	struct rig *rig;
	struct client *admin, *io;          /* the offender */
	struct client *other_admin, *other; /* the witness */
};

static struct world begin(const struct rig_opts *opts, uint8_t dgst, uint16_t sqsize)
{
	struct rig_opts plain = rig_opts_default();
	struct world w = {.rig = rig_new(opts ? opts : &plain)};

	client_pair(w.rig, dgst, sqsize, false, &w.admin, &w.io);
	client_pair(w.rig, 0, 31, false, &w.other_admin, &w.other);
	return w;
}

static void witness(struct world *w)
{
	struct nvme_sqe sqe = client_rw(true, 1, 100, 1, true);

	client_command(w->other, &sqe, data, RIG_BLOCK);
	assert_int_equal(client_answer(w->other, 1), 0);
}

static void end(struct world *w)
{
	witness(w);
	client_free(w->io);
	client_free(w->admin);
	client_free(w->other);
	client_free(w->other_admin);
	rig_free(w->rig);
}

static struct pdu_data_fields begin_write(struct world *w, uint16_t cid, uint32_t blocks)
{
	struct nvme_sqe sqe = client_rw(true, cid, 0, blocks, false);
	struct pdu_r2t r2t;

	client_command(w->io, &sqe, NULL, 0);
	assert_int_equal(client_next(w->io), PDU_R2T);
	memcpy(&r2t, w->io->header, sizeof(r2t));
	return (struct pdu_data_fields){.cccid = cid,
					.ttag = get_le16(&r2t.ttag),
					.datal = blocks * RIG_BLOCK,
					.flags = PDU_F_LAST};
}

static void bad_h2c_data_ends_its_connection_alone(void **state)
{
	static const struct {
		int32_t cccid, ttag, datao, datal;
		uint8_t flags;
		uint16_t fes;
		uint32_t fei;
	} rows[] = {
		{0, 1, 0, 0, 0, PDU_FES_HEADER_FIELD, 10},           /* unknown tag */
		{1, 0, 0, 0, 0, PDU_FES_HEADER_FIELD, 8},            /* another command */
		{0, 0, 4096, -4096, 0, PDU_FES_OUT_OF_RANGE, 0},     /* not in order */
		{0, 0, 0, 4096, 0, PDU_FES_OUT_OF_RANGE, 0},         /* beyond the R2T */
		{0, 0, 0, 128 * 1024, 0, PDU_FES_LIMIT_EXCEEDED, 0}, /* beyond MAXH2CDATA */
		{0, 0, 0, 0, PDU_F_LAST, PDU_FES_HEADER_FIELD, 1},   /* LAST_PDU missing */
		{0, 0, 0, -4096, 0, PDU_FES_HEADER_FIELD, 1},        /* LAST_PDU too early */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w = begin(NULL, 0, 31);
		struct pdu_data_fields f = begin_write(&w, 3, 2);

		f.cccid = (uint16_t)(f.cccid + rows[i].cccid);
		f.ttag = (uint16_t)(f.ttag + rows[i].ttag);
		f.datao += (uint32_t)rows[i].datao;
		f.datal += (uint32_t)rows[i].datal;
		f.flags ^= rows[i].flags;
		client_h2c(w.io, &f, data);
		client_expect_term(w.io, rows[i].fes, rows[i].fei);
		end(&w);
	}
}

static void a_tag_is_good_once(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct pdu_data_fields f = begin_write(&w, 3, 1);

	client_h2c(w.io, &f, data);
	assert_int_equal(client_answer(w.io, 3), 0);
	client_h2c(w.io, &f, data);
	client_expect_term(w.io, PDU_FES_HEADER_FIELD, 10);
	end(&w);
}

static void the_offending_header_comes_back(void **state)
{
	struct world w = begin(NULL, PDU_DGST_HEADER, 31);
	struct nvme_sqe sqe = client_rw(false, 3, 0, 1, false);
	uint8_t pdu[128], pad;
	size_t len = pdu_build_cmd(pdu, &w.io->fmt, &sqe, 0, &pad);

	pdu[len - 1] ^= 1;
	client_send(w.io, pdu, len);
	client_expect_term(w.io, PDU_FES_HEADER_DIGEST, get_le32(pdu + 72));
	assert_int_equal(w.io->payload_len, 72);
	assert_memory_equal(w.io->payload, pdu, 72);
	assert_int_equal(rig_stat(w.rig, "term_sent"), 1);
	end(&w);
}

static void wrong_sgls_fail_the_command_and_the_connection_lives(void **state)
{
	struct world w = begin(NULL, 3, 31);
	struct nvme_sqe sqe = client_rw(true, 3, 0, 1, true);

	put_le64(&sqe.sgl.addr, 16);
	client_command(w.io, &sqe, data, RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 3), NVME_SC_SGL_INVALID_OFFSET | NVME_STATUS_DNR);
	sqe = client_rw(true, 4, 0, 8, true);
	client_command(w.io, &sqe, data, 8 * RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 4), NVME_SC_SGL_INVALID_DATA | NVME_STATUS_DNR);
	sqe = client_rw(true, 5, 0, 1, true);
	sqe.sgl.type = 0x40;
	client_command(w.io, &sqe, data, RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 5), NVME_SC_SGL_INVALID_TYPE | NVME_STATUS_DNR);
	sqe = client_rw(false, 6, 0, 1, false);
	sqe.flags = 0;
	client_command(w.io, &sqe, NULL, 0);
	assert_int_equal(client_answer(w.io, 6), NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	sqe = client_rw(true, 7, 0, 1, true);
	client_command(w.io, &sqe, data, RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 7), 0);
	end(&w);
}

static void an_sgl_that_contradicts_plen_is_fatal(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct nvme_sqe sqe = client_rw(true, 3, 0, 2, true);

	client_command(w.io, &sqe, data, RIG_BLOCK);
	client_expect_term(w.io, PDU_FES_HEADER_FIELD, 4);
	end(&w);
}

static void a_command_id_in_use_is_a_conflict(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct pdu_data_fields f = begin_write(&w, 3, 1);
	struct nvme_sqe sqe = client_rw(false, 3, 0, 1, false);

	client_command(w.io, &sqe, NULL, 0);
	assert_int_equal(client_answer(w.io, 3), NVME_SC_CMDID_CONFLICT | NVME_STATUS_DNR);
	sqe = client_rw(true, 3, 0, 1, true); /* its data is dropped */
	client_command(w.io, &sqe, data, RIG_BLOCK);
	assert_int_equal(client_answer(w.io, 3), NVME_SC_CMDID_CONFLICT | NVME_STATUS_DNR);
	client_h2c(w.io, &f, data); /* the first one goes on */
	assert_int_equal(client_answer(w.io, 3), 0);
	assert_int_equal(rig_stat(w.rig, "cid_conflicts"), 2);
	end(&w);
}

static void more_commands_than_the_queue_has_entries_are_fatal(void **state)
{
	struct world w = begin(NULL, 0, 3);

	for (uint16_t cid = 0; cid < 4; cid++)
		(void)begin_write(&w, cid, 1);
	{
		struct nvme_sqe sqe = client_rw(false, 9, 0, 1, false);

		client_command(w.io, &sqe, NULL, 0);
	}
	client_expect_term(w.io, PDU_FES_SEQUENCE, 0);
	end(&w);
}

static void setup_out_of_order_is_fatal(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct client *c = client_new(w.rig);
	struct nvme_sqe sqe = client_rw(false, 9, 0, 1, false);
	uint8_t pdu[128];

	c->rx.ready = true; /* a C2HTermReq is allowed at any time */
	client_command(c, &sqe, NULL, 0);
	client_expect_term(c, PDU_FES_SEQUENCE, 0);
	client_free(c);
	c = client_new(w.rig);
	client_ic(c, 0, 0);
	client_send(c, pdu, pdu_build_icreq(pdu, 0, 0, 0));
	client_expect_term(c, PDU_FES_SEQUENCE, 0);
	client_free(c);
	c = client_new(w.rig);
	client_send(c, pdu, pdu_build_icreq(pdu, 32, 0, 0));
	client_expect_term(c, PDU_FES_HEADER_FIELD, 10);
	client_free(c);
	end(&w);
}

static void a_command_before_connect_is_refused(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct client *c = client_new(w.rig);
	struct nvme_sqe sqe = client_rw(false, 9, 0, 1, false);

	client_ic(c, 0, 0);
	client_command(c, &sqe, NULL, 0);
	client_command(c, &sqe, NULL, 0);
	assert_int_equal(client_answer(c, 9), NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR);
	assert_int_equal(client_answer(c, 9), NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR);
	client_connect(c, 0, 31, true, NVME_CNTLID_DYNAMIC);
	client_free(c);
	end(&w);
}

static void a_host_that_terminates_is_gone(void **state)
{
	struct world w = begin(NULL, 0, 31);
	uint8_t pdu[64];

	(void)begin_write(&w, 3, 1);
	client_send(w.io, pdu, pdu_build_term(pdu, true, PDU_FES_HEADER_FIELD, 4, 0));
	client_expect_eof(w.io);
	assert_int_equal(rig_stat(w.rig, "term_received"), 1);
	end(&w);
}

static void abort_of(struct client *admin, uint16_t cid, uint16_t sqid, uint16_t victim)
{
	struct nvme_sqe sqe = {.opcode = NVME_ADMIN_ABORT, .flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG};

	put_le16(&sqe.cid, cid);
	put_le32(&sqe.cdw10, (uint32_t)victim << 16 | sqid);
	sqe.sgl.type = NVME_SGL_TRANSPORT_DATA;
	client_command(admin, &sqe, NULL, 0);
	assert_int_equal(client_answer(admin, cid), 0);
}

static void an_aborted_write_is_answered_when_its_data_has_come(void **state)
{
	struct world w = begin(NULL, 0, 31);
	struct pdu_data_fields f = begin_write(&w, 3, 4);
	uint8_t head[64], pad;

	/* Half of the first PDU is here, and the rest of its buffer is nvme's again after the abort. */
	f.datal = 2 * RIG_BLOCK;
	f.flags = 0;
	client_send(w.io, head, pdu_build_h2c_data(head, &w.io->fmt, &f, &pad));
	client_send(w.io, data, RIG_BLOCK);
	for (int i = 0; i < 5; i++)
		rig_pump(w.rig);
	abort_of(w.admin, 40, 1, 3);
	client_expect_quiet(w.io);
	client_send(w.io, data, RIG_BLOCK);
	f.datao = f.datal;
	f.flags = PDU_F_LAST;
	client_h2c(w.io, &f, data);
	assert_int_equal(client_answer(w.io, 3), NVME_SC_ABORT_REQ);
	f = begin_write(&w, 3, 1);
	client_h2c(w.io, &f, data);
	assert_int_equal(client_answer(w.io, 3), 0);
	end(&w);
}

/* The compare has all its data; the write's R2T is with the host when the compare is aborted. */
static void an_aborted_pair_is_answered_when_its_data_has_come(void **state)
{
	struct world w = begin(NULL, 0, 31);

	for (int early = 0; early < 2; early++) { /* some of the data came before the abort */
		struct nvme_sqe first = client_rw(true, 3, 0, 1, false);
		struct nvme_sqe second = client_rw(true, 4, 0, 1, false);
		struct pdu_data_fields f = {.cccid = 3, .datal = RIG_BLOCK, .flags = PDU_F_LAST};
		uint8_t head[64], pad;
		size_t half = early ? RIG_BLOCK / 2 : 0;

		first.opcode = NVME_IO_COMPARE;
		first.flags |= NVME_SQE_FUSE_FIRST;
		second.flags |= NVME_SQE_FUSE_SECOND;
		client_command(w.io, &first, NULL, 0);
		client_command(w.io, &second, NULL, 0);
		assert_int_equal(client_next(w.io), PDU_R2T);
		f.ttag = get_le16(&((struct pdu_r2t *)w.io->header)->ttag);
		client_h2c(w.io, &f, data);
		assert_int_equal(client_next(w.io), PDU_R2T);
		f.ttag = get_le16(&((struct pdu_r2t *)w.io->header)->ttag);
		f.cccid = 4;
		client_send(w.io, head, pdu_build_h2c_data(head, &w.io->fmt, &f, &pad));
		client_send(w.io, data, half);
		for (int i = 0; i < 5; i++)
			rig_pump(w.rig);
		abort_of(w.admin, 40, 1, 3);
		assert_int_equal(client_answer(w.io, 3), NVME_SC_ABORT_REQ);
		client_expect_quiet(w.io);
		client_send(w.io, data, RIG_BLOCK - half);
		assert_int_equal(client_answer(w.io, 4), NVME_SC_FUSED_FAIL);
	}
	end(&w);
}

static void a_silent_host_is_dropped_in_time(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct world w;
	struct client *c;

	opts.tcp.icreq_timeout_ms = PATIENCE_MS;
	opts.tcp.stall_timeout_ms = PATIENCE_MS;
	w = begin(&opts, 0, 31);
	c = client_new(w.rig); /* never says a word */
	client_expect_eof(c);
	client_free(c);
	c = client_new(w.rig); /* never connects */
	client_ic(c, 0, 0);
	client_expect_eof(c);
	client_free(c);
	(void)begin_write(&w, 3, 1); /* never sends its data */
	client_expect_eof(w.io);
	assert_int_equal(rig_stat(w.rig, "timeouts"), 3);
	end(&w); /* and an idle one stays */
}

/* It has the only large buffer and sends nothing, and another host stands in line for it: it has less time than a host alone would have. */
static void a_silent_host_does_not_keep_what_others_wait_for(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct nvme_sqe sqe = client_rw(true, 3, 0, 64, false);
	struct world w;

	opts.tcp.stall_timeout_ms = 6000;
	opts.bufs.n[IOBUF_LARGE] = 2; /* one per reactor */
	w = begin(&opts, 0, 31);
	(void)begin_write(&w, 3, 64);
	client_command(w.other, &sqe, NULL, 0);
	for (int i = 0; i < RIG_PASSES && !rig_stat(w.rig, "timeouts"); i++)
		rig_pump(w.rig);
	assert_int_equal(rig_stat(w.rig, "timeouts"), 1);
	client_expect_eof(w.io);
	assert_int_equal(client_next(w.other), PDU_R2T);
	end(&w);
}

static void a_host_that_stops_inside_a_capsule_is_dropped_in_time(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct nvme_sqe sqe = client_rw(true, 3, 0, 1, true);
	uint8_t head[128], pad;
	struct world w;

	opts.tcp.stall_timeout_ms = PATIENCE_MS;
	w = begin(&opts, 0, 31);
	client_send(w.io, head, pdu_build_cmd(head, &w.io->fmt, &sqe, RIG_BLOCK, &pad));
	client_send(w.io, data, 10);
	client_expect_eof(w.io);
	assert_int_equal(rig_stat(w.rig, "timeouts"), 1);
	end(&w);
}

/* Some bytes now and then: each time the timeout begins anew, but not for ever. What it sends would be enough for much longer. */
static void a_host_that_sends_in_drops_is_dropped_in_time(void **state)
{
	for (int capsule = 0; capsule < 2; capsule++) {
		struct rig_opts opts = rig_opts_default();
		struct nvme_sqe sqe = client_rw(true, 3, 0, 1, true);
		const size_t len = capsule ? RIG_BLOCK : 16 * (size_t)RIG_BLOCK;
		uint8_t head[128], pad;
		struct pdu_data_fields f;
		struct world w;

		opts.tcp.stall_timeout_ms = PATIENCE_MS / 10;
		w = begin(&opts, 0, 31);
		if (capsule) {
			client_send(w.io, head,
				    pdu_build_cmd(head, &w.io->fmt, &sqe, (uint32_t)len, &pad));
		} else {
			f = begin_write(&w, 3, 16);
			client_send(w.io, head, pdu_build_h2c_data(head, &w.io->fmt, &f, &pad));
		}
		for (size_t sent = 0; sent < len && !rig_stat(w.rig, "timeouts"); sent++) {
			client_send(w.io, data, 1);
			for (int i = 0; i < 10; i++)
				rig_pump(w.rig);
		}
		client_expect_eof(w.io);
		assert_int_equal(rig_stat(w.rig, "timeouts"), 1);
		assert_int_equal(rig_bufs_in_use(w.rig), 0);
		end(&w);
	}
}

/* It reads a little of its answers now and then. */
static void a_host_that_reads_in_drops_is_dropped_in_time(void **state)
{
	struct rig_opts opts = rig_opts_default();
	const int little = 4096;
	uint8_t some[64];
	struct world w;

	opts.tcp.stall_timeout_ms = PATIENCE_MS / 10;
	w = begin(&opts, 0, 63);
	assert_int_equal(setsockopt(w.io->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
	for (uint16_t cid = 0; cid < 60; cid++) {
		struct nvme_sqe sqe = client_rw(false, cid, 0, 64, false);

		client_command(w.io, &sqe, NULL, 0);
	}
	for (int i = 0; i < 10 * RIG_PASSES && !rig_stat(w.rig, "timeouts"); i++) {
		(void)recv(w.io->fd, some, sizeof(some), MSG_DONTWAIT);
		rig_pump(w.rig);
	}
	assert_int_equal(rig_stat(w.rig, "timeouts"), 1);
	end(&w);
}

static void connections_beyond_the_limit_are_refused(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct client *c;
	struct world w;

	opts.tcp.conns_max = 4;
	w = begin(&opts, 0, 31);
	c = client_new(w.rig);
	client_expect_eof(c);
	client_free(c);
	assert_int_equal(rig_stat(w.rig, "refused"), 1);
	end(&w);
}

/* The answer and the R2T leave in one send: the connection ends between what follows from the one and from the other. */
static void a_write_behind_a_disconnect_leaves_nothing_behind(void **state)
{
	struct nvme_fabrics_cmd disconnect = {.opcode = NVME_OPC_FABRICS,
					      .flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG,
					      .fctype = NVME_FABRICS_DISCONNECT};
	struct rig_opts opts = rig_opts_default();
	uint8_t both[2 * sizeof(struct pdu_cmd)], pad;
	struct nvme_sqe sqe;
	struct world w;
	size_t len;

	opts.tcp.stall_timeout_ms = PATIENCE_MS;
	w = begin(&opts, 0, 31);
	put_le16(&disconnect.cid, 3);
	memcpy(&sqe, &disconnect, sizeof(sqe));
	sqe.sgl.type = NVME_SGL_TRANSPORT_DATA;
	len = pdu_build_cmd(both, &w.io->fmt, &sqe, 0, &pad);
	sqe = client_rw(true, 4, 0, 1, false);
	len += pdu_build_cmd(both + len, &w.io->fmt, &sqe, 0, &pad);
	client_send(w.io, both, len);
	assert_int_equal(client_answer(w.io, 3), 0);
	while (client_next(w.io) >= 0)
		;
	for (int i = 0; rig_conns(w.rig) > 3 && i < RIG_PASSES; i++)
		rig_pump(w.rig);
	assert_int_equal(rig_conns(w.rig), 3);
	/* Longer than the timeout, as a pass without work waits for 100 us: no timer has outlived its connection. */
	for (int i = 0; i < 11 * PATIENCE_MS; i++)
		rig_pump(w.rig);
	assert_int_equal(rig_bufs_in_use(w.rig), 0);
	assert_int_equal(rig_stat(w.rig, "timeouts"), 0);
	end(&w);
}

/* Connections that say nothing fill their half: a host that tries again comes in all the same, long before they time out. */
static void silent_connections_keep_nobody_out(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct client *silent[4], *c = NULL;
	uint8_t icreq[sizeof(struct pdu_icreq)];
	struct world w;

	opts.tcp.conns_max = 8;
	w = begin(&opts, 0, 31);
	for (unsigned i = 0; i < ARRAY_LEN(silent); i++)
		silent[i] = client_new(w.rig);
	for (int i = 0; i < RIG_PASSES; i++) {
		c = client_new(w.rig);
		client_send(c, icreq, pdu_build_icreq(icreq, 0, 0, 0));
		if (client_next(c) == PDU_ICRESP)
			break;
		client_free(c);
		rig_pump(w.rig);
	}
	wire_rx_negotiated(&c->rx, false, false);
	client_connect(c, 0, 31, true, NVME_CNTLID_DYNAMIC);
	assert_true(rig_stat(w.rig, "refused") > 0);
	assert_int_equal(rig_stat(w.rig, "evicted"), 1);
	assert_int_equal(rig_stat(w.rig, "timeouts"), 0);
	client_free(c);
	for (unsigned i = 0; i < ARRAY_LEN(silent); i++)
		client_free(silent[i]);
	end(&w);
}

/* A slow namespace takes no more than a share of the capsule buffers. */
static void a_slow_namespace_stalls_its_own_connection_only(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct disk_fault_rule rule = {.kind = DISK_FAULT_HANG, .probability = 1};
	struct world w;
	uint32_t id;
	struct err err;

	opts.bufs.n[IOBUF_CAPSULE] = 2 * 12; /* a share is 8 */
	w = begin(&opts, 0, 63);
	assert_int_equal(disk_fault_add(w.rig->fault, &rule, &id, &err), 0);
	for (uint16_t cid = 0; cid < 20; cid++) {
		struct nvme_sqe sqe = client_rw(true, cid, cid, 1, true);

		put_le32(&sqe.nsid, 2);
		client_command(w.io, &sqe, data, RIG_BLOCK);
	}
	for (int i = 0; i < 20; i++)
		rig_pump(w.rig);
	assert_int_equal(rig_stat(w.rig, "stalls"), 1);
	for (int i = 0; i < 10; i++)
		witness(&w);
	assert_int_equal(disk_fault_remove(w.rig->fault, 0, &err), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(client_next(w.io), PDU_CAPSULE_RESP);
		assert_int_equal(get_le16(w.io->header + 22), 0);
	}
	end(&w);
}

static void a_connection_cut_at_any_byte_leaves_nothing_behind(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct nvme_sqe sqe = client_rw(true, 3, 0, 1, true);
	struct world w = begin(&opts, 3, 31);
	uint8_t head[128], pad;
	size_t len = pdu_build_cmd(head, &w.io->fmt, &sqe, RIG_BLOCK, &pad);

	for (size_t cut = 0; cut < len + 20; cut += 3) {
		struct client *c = client_new(w.rig);

		client_ic(c, 3, 0);
		client_connect(c, 2, 31, false, w.admin->cntlid ? w.admin->cntlid : 1);
		client_send(c, head, MIN(cut, len));
		if (cut > len)
			client_send(c, data, cut - len);
		rig_pump(w.rig);
		client_free(c);
		for (int i = 0; rig_conns(w.rig) > 4 && i < RIG_PASSES; i++)
			rig_pump(w.rig);
		assert_int_equal(rig_conns(w.rig), 4);
		for (int i = 0; i < 4; i++) /* until the controller has forgotten the queue */
			rig_pump(w.rig);
	}
	assert_int_equal(rig_bufs_in_use(w.rig), 0);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_h2c_data_ends_its_connection_alone),
		cmocka_unit_test(a_tag_is_good_once),
		cmocka_unit_test(the_offending_header_comes_back),
		cmocka_unit_test(wrong_sgls_fail_the_command_and_the_connection_lives),
		cmocka_unit_test(an_sgl_that_contradicts_plen_is_fatal),
		cmocka_unit_test(a_command_id_in_use_is_a_conflict),
		cmocka_unit_test(more_commands_than_the_queue_has_entries_are_fatal),
		cmocka_unit_test(setup_out_of_order_is_fatal),
		cmocka_unit_test(a_command_before_connect_is_refused),
		cmocka_unit_test(a_host_that_terminates_is_gone),
		cmocka_unit_test(an_aborted_write_is_answered_when_its_data_has_come),
		cmocka_unit_test(an_aborted_pair_is_answered_when_its_data_has_come),
		cmocka_unit_test(a_silent_host_is_dropped_in_time),
		cmocka_unit_test(a_silent_host_does_not_keep_what_others_wait_for),
		cmocka_unit_test(a_host_that_stops_inside_a_capsule_is_dropped_in_time),
		cmocka_unit_test(a_write_behind_a_disconnect_leaves_nothing_behind),
		cmocka_unit_test(a_host_that_sends_in_drops_is_dropped_in_time),
		cmocka_unit_test(a_host_that_reads_in_drops_is_dropped_in_time),
		cmocka_unit_test(connections_beyond_the_limit_are_refused),
		cmocka_unit_test(silent_connections_keep_nobody_out),
		cmocka_unit_test(a_slow_namespace_stalls_its_own_connection_only),
		cmocka_unit_test(a_connection_cut_at_any_byte_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("transport-violations", tests, NULL, NULL);
}
