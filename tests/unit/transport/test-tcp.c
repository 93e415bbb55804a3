/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that keep the rules: set-up, reads and writes of every kind, digests, fused moves between reactors, limits of buffers. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"

static uint8_t data[1 << 20], back[1 << 20];

static void fill(uint32_t seed, size_t len)
{
	struct rng rng;

	rng_seed(&rng, seed);
	rng_fill(&rng, data, len);
}

/* Reads by C2HData; the answer may be in its flags. */
static void read_back(struct client *c, uint16_t cid, uint64_t lba, uint32_t blocks, bool sqfc)
{
	struct nvme_sqe sqe = client_rw(false, cid, lba, blocks, false);
	struct pdu_data pdu;

	client_command(c, &sqe, NULL, 0);
	assert_int_equal(client_next(c), PDU_C2H_DATA);
	memcpy(&pdu, c->header, sizeof(pdu));
	assert_int_equal(get_le16(&pdu.cccid), cid);
	assert_int_equal(get_le32(&pdu.datao), 0);
	assert_int_equal(c->payload_len, blocks * RIG_BLOCK);
	assert_true(c->digest_ok);
	assert_true(pdu.ch.flags & PDU_F_LAST);
	assert_int_equal(!!(pdu.ch.flags & PDU_F_SUCCESS), !sqfc);
	memcpy(back, c->payload, c->payload_len);
	if (sqfc)
		assert_int_equal(client_answer(c, cid), 0);
}

/* The R2T of cid. */
static struct pdu_r2t expect_r2t(struct client *c, uint16_t cid, uint32_t len)
{
	struct pdu_r2t pdu;

	assert_int_equal(client_next(c), PDU_R2T);
	memcpy(&pdu, c->header, sizeof(pdu));
	assert_int_equal(get_le16(&pdu.cccid), cid);
	assert_int_equal(get_le32(&pdu.r2to), 0);
	assert_int_equal(get_le32(&pdu.r2tl), len);
	return pdu;
}

/* Answers an R2T in pieces. */
static void send_pieces(struct client *c, const struct pdu_r2t *r2t, uint32_t piece)
{
	uint32_t len = get_le32(&r2t->r2tl);

	for (uint32_t at = 0; at < len; at += piece) {
		struct pdu_data_fields f = {.cccid = get_le16(&r2t->cccid),
					    .ttag = get_le16(&r2t->ttag),
					    .datao = at,
					    .datal = MIN(piece, len - at)};

		f.flags = at + f.datal == len ? PDU_F_LAST : 0;
		client_h2c(c, &f, data + at);
	}
}

static void io_round(struct client *c, bool sqfc)
{
	struct nvme_sqe sqe = client_rw(true, 5, 0, 2, true);
	struct pdu_r2t r2t;

	fill(1, sizeof(data));
	client_command(c, &sqe, data, 2 * RIG_BLOCK);
	assert_int_equal(client_answer(c, 5), 0);
	read_back(c, 6, 0, 2, sqfc);
	assert_memory_equal(back, data, 2 * RIG_BLOCK);

	fill(2, sizeof(data));
	sqe = client_rw(true, 7, 16, 64, false);
	client_command(c, &sqe, NULL, 0);
	r2t = expect_r2t(c, 7, 64 * RIG_BLOCK);
	send_pieces(c, &r2t, c->maxh2cdata);
	assert_int_equal(client_answer(c, 7), 0);
	read_back(c, 8, 16, 64, sqfc);
	assert_memory_equal(back, data, 64 * RIG_BLOCK);
	read_back(c, 9, 20, 1, sqfc);
	assert_memory_equal(back, data + 4 * RIG_BLOCK, RIG_BLOCK);
}

static void reads_and_writes_work_with_every_digest_and_flow_control(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);

	for (unsigned i = 0; i < 8; i++) {
		struct client *admin, *io;

		client_pair(rig, i & 3, 127, i & 4, &admin, &io);
		assert_int_equal(io->fmt.hdgst, i & 1);
		assert_int_equal(io->fmt.ddgst, !!(i & 2));
		io_round(io, i & 4);
		client_free(io);
		client_free(admin);
	}
	rig_free(rig);
}

static void the_host_chooses_the_alignment_of_data(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin = client_new(rig), *io = client_new(rig);

	client_ic(admin, 0, 0);
	client_connect(admin, 0, 31, true, NVME_CNTLID_DYNAMIC);
	client_enable(admin);
	client_ic(io, PDU_DGST_HEADER, PDU_PDA_MAX);
	client_connect(io, 1, 31, true, admin->cntlid ? admin->cntlid : 1);
	io_round(io, true);
	assert_int_equal(io->header[0], PDU_CAPSULE_RESP);
	read_back(io, 1, 0, 1, true);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void digests_that_are_not_allowed_are_not_granted(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig;
	struct client *c;

	opts.tcp.header_digest = false;
	opts.tcp.data_digest = false;
	rig = rig_new(&opts);
	c = client_new(rig);
	client_ic(c, 0xff, 0);
	assert_false(c->fmt.hdgst);
	assert_false(c->fmt.ddgst);
	client_free(c);
	rig_free(rig);
}

static void bytes_behind_a_connect_move_along(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io, *extra;

	client_pair(rig, 0, 31, false, &admin, &io);
	extra = client_new(rig);
	client_ic(extra, 0, 0);
	{ /* Connect and a read in one piece: built by a client that writes into a buffer, sent at once. */
		struct nvme_connect_data cdata = {.hostid = {9}};
		struct nvme_connect_cmd cmd = {.opcode = NVME_OPC_FABRICS,
					       .fctype = NVME_FABRICS_CONNECT,
					       .cattr = NVME_CATTR_DISABLE_SQFC};
		struct nvme_sqe sqe;
		uint8_t pad;
		size_t len;

		put_le16(&cdata.cntlid, 1);
		memcpy(cdata.subnqn, RIG_SUBNQN, sizeof(RIG_SUBNQN));
		memcpy(cdata.hostnqn, RIG_HOSTNQN, sizeof(RIG_HOSTNQN));
		put_le16(&cmd.qid, 2);
		put_le16(&cmd.sqsize, 31);
		cmd.sgl.type = NVME_SGL_DATA_OFFSET;
		put_le32(&cmd.sgl.length, sizeof(cdata));
		memcpy(&sqe, &cmd, sizeof(sqe));
		len = pdu_build_cmd(back, &extra->fmt, &sqe, sizeof(cdata), &pad);
		memcpy(back + len, &cdata, sizeof(cdata));
		len += sizeof(cdata);
		sqe = client_rw(false, 3, 0, 1, false);
		len += pdu_build_cmd(back + len, &extra->fmt, &sqe, 0, &pad);
		client_send(extra, back, len);
	}
	assert_int_equal(client_answer(extra, 0), 0);
	assert_int_equal(client_next(extra), PDU_C2H_DATA);
	assert_int_equal(extra->payload_len, RIG_BLOCK);
	client_free(extra);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void commands_byte_by_byte_are_commands(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;
	struct nvme_sqe sqe = client_rw(true, 1, 0, 1, true);
	uint8_t pad;
	size_t len;

	client_pair(rig, 3, 31, true, &admin, &io);
	fill(3, RIG_BLOCK);
	len = pdu_build_cmd(back, &io->fmt, &sqe, RIG_BLOCK, &pad);
	for (size_t i = 0; i < len; i++) {
		client_send(io, back + i, 1);
		rig_pump(rig);
	}
	client_send(io, data, 1);
	rig_pump(rig);
	client_send(io, data + 1, RIG_BLOCK - 1);
	rig_pump(rig);
	put_le32(back, 0);
	client_send(io, back, 4); /* a wrong digest: the command fails, the connection lives */
	assert_int_equal(client_answer(io, 1), NVME_SC_TRANSIENT_TRANSPORT);
	assert_int_equal(rig_stat(rig, "digest_errors"), 1);
	io_round(io, true);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void a_wrong_digest_in_h2cdata_fails_the_command_when_all_is_there(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;
	struct nvme_sqe sqe = client_rw(true, 1, 0, 8, false);
	struct pdu_data_fields f = {.cccid = 1, .datal = 4 * RIG_BLOCK};
	struct pdu_r2t r2t;
	uint8_t head[64], zero[4] = {0}, pad;

	client_pair(rig, PDU_DGST_DATA, 31, true, &admin, &io);
	fill(4, 8 * RIG_BLOCK);
	client_command(io, &sqe, NULL, 0);
	r2t = expect_r2t(io, 1, 8 * RIG_BLOCK);
	f.ttag = get_le16(&r2t.ttag);
	client_send(io, head, pdu_build_h2c_data(head, &io->fmt, &f, &pad));
	client_send(io, data, f.datal);
	client_send(io, zero, sizeof(zero));
	client_expect_quiet(io);
	f.datao = f.datal;
	f.flags = PDU_F_LAST;
	client_h2c(io, &f, data + f.datao);
	assert_int_equal(client_answer(io, 1), NVME_SC_TRANSIENT_TRANSPORT);
	io_round(io, true);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

/* depth writes in capsules, then depth reads, all sent before an answer is looked at. */
static void pipeline(struct client *io, unsigned depth, unsigned blocks)
{
	fill(5, sizeof(data));
	for (unsigned i = 0; i < depth; i++) {
		struct nvme_sqe sqe = client_rw(true, (uint16_t)i, i * blocks, blocks, true);

		client_command(io, &sqe, data + i * blocks * RIG_BLOCK, blocks * RIG_BLOCK);
	}
	for (unsigned i = 0; i < depth; i++)
		assert_int_equal(client_next(io), PDU_CAPSULE_RESP);
	for (unsigned i = 0; i < depth; i++) {
		struct nvme_sqe sqe = client_rw(false, (uint16_t)i, i * blocks, blocks, false);

		client_command(io, &sqe, NULL, 0);
	}
	for (unsigned i = 0; i < depth; i++) {
		uint16_t cid;

		assert_int_equal(client_next(io), PDU_C2H_DATA);
		cid = get_le16(io->header + 8);
		assert_memory_equal(io->payload, data + cid * blocks * RIG_BLOCK,
				    blocks * RIG_BLOCK);
	}
}

static void deep_queues_work_with_the_fewest_buffers(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig;
	struct client *admin, *io;

	for (int i = 0; i < IOBUF_CLASSES; i++)
		opts.bufs.n[i] = 1;
	rig = rig_new(&opts);
	for (unsigned digests = 0; digests < 4; digests++) {
		client_pair(rig, (uint8_t)digests, 63, false, &admin, &io);
		pipeline(io, 60, 2);
		client_free(io);
		client_free(admin);
	}
	rig_free(rig);
}

static void without_a_chunk_a_connection_reads_carefully(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct iobuf *taken[2][256];
	unsigned n[2] = {0};
	struct client *admin, *io;

	for (unsigned p = 0; p < 2; p++)
		while ((taken[p][n[p]] =
				iobuf_get(iobuf_arena_pool(rig->arena, p), IOBUF_RX, NULL)))
			n[p]++;
	client_pair(rig, 3, 63, false, &admin, &io);
	pipeline(io, 60, 2);
	io_round(io, false);
	assert_true(rig_stat(rig, "careful_reads") > 0);
	client_free(io);
	client_free(admin);
	for (unsigned p = 0; p < 2; p++)
		while (n[p])
			iobuf_put(taken[p][--n[p]]);
	rig_free(rig);
}

static void a_host_that_does_not_read_keeps_its_data_whole(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig;
	struct client *admin, *io;
	unsigned depth = 100, blocks = 64;

	opts.tcp.send_limit_bytes = 1 << 20;
	rig = rig_new(&opts);
	client_pair(rig, 0, 127, false, &admin, &io);
	fill(6, blocks * RIG_BLOCK);
	{
		struct nvme_sqe sqe = client_rw(true, 7, 0, blocks, false);
		struct pdu_r2t r2t;

		client_command(io, &sqe, NULL, 0);
		r2t = expect_r2t(io, 7, blocks * RIG_BLOCK);
		send_pieces(io, &r2t, io->maxh2cdata);
		assert_int_equal(client_answer(io, 7), 0);
	}
	for (unsigned i = 0; i < depth; i++) {
		struct nvme_sqe sqe = client_rw(false, (uint16_t)i, 0, blocks, false);

		client_command(io, &sqe, NULL, 0);
		rig_pump(rig);
	}
	for (unsigned i = 0; i < 50; i++)
		rig_pump(rig);
	assert_true(rig_stat(rig, "sends_partial") > 0);
	assert_true(rig_stat(rig, "loans_copied") + rig_stat(rig, "loans_kept") > 0);
	for (unsigned i = 0; i < depth; i++) {
		assert_int_equal(client_next(io), PDU_C2H_DATA);
		assert_int_equal(io->payload_len, blocks * RIG_BLOCK);
		assert_memory_equal(io->payload, data, io->payload_len);
	}
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void count_done(void *ctx, int res)
{
	assert_int_equal(res, 0);
	++*(unsigned *)ctx;
}

#define LOAN_BUFS 8

/* The namespace goes while its data lies unsent; spare: buffers that are free for the copies of what the disk lent. */
static void remove_under_unread_answers(unsigned spare)
{
	struct rig_opts opts = rig_opts_default();
	struct iobuf *taken[LOAN_BUFS + 1];
	struct client *admin, *io;
	struct iobuf_pool *pool;
	struct rig *rig;
	unsigned n = 0, done = 0, depth = 100, blocks = 64;
	struct err err;

	opts.bufs.n[IOBUF_LARGE] = 2 * LOAN_BUFS;
	rig = rig_new(&opts);
	pool = iobuf_arena_pool(rig->arena, 0);
	client_pair(rig, 0, 127, false, &admin, &io);
	while ((taken[n] = iobuf_get(pool, IOBUF_LARGE, NULL)))
		n++;
	assert_int_equal(n, LOAN_BUFS);
	for (unsigned i = 0; i < spare; i++)
		iobuf_put(taken[--n]);
	for (unsigned i = 0; i < depth; i++) {
		struct nvme_sqe sqe = client_rw(false, (uint16_t)i, 0, blocks, false);

		client_command(io, &sqe, NULL, 0);
		rig_pump(rig);
	}
	assert_true(rig_stat(rig, spare ? "loans_copied" : "loans_kept") > 0);
	assert_int_equal(nvme_subsystem_remove_ns(rig->ss, 1, count_done, &done, &err), 0);
	for (unsigned i = 0; i < 50; i++)
		rig_pump(rig);
	assert_int_equal(done, spare > 0);
	while (n)
		iobuf_put(taken[--n]);
	for (unsigned i = 0; i < 50; i++)
		rig_pump(rig);
	assert_int_equal(done, 1);
	for (unsigned i = 0; i < depth; i++) {
		if (client_next(io) == PDU_CAPSULE_RESP) /* came too late */
			continue;
		assert_int_equal(io->header[0], PDU_C2H_DATA);
		assert_int_equal(io->payload_len, blocks * RIG_BLOCK);
	}
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void no_publish_waits_for_a_host_that_does_not_read(void **state)
{
	remove_under_unread_answers(LOAN_BUFS);
	remove_under_unread_answers(0);
}

/* All buffers but those for capsules. */
static unsigned take_buffers(struct rig *rig, struct iobuf **taken)
{
	static const enum iobuf_class classes[] = {IOBUF_SMALL, IOBUF_MEDIUM, IOBUF_LARGE};
	unsigned n = 0;

	for (unsigned i = 0; i < 2 * ARRAY_LEN(classes); i++) {
		struct iobuf_pool *pool = iobuf_arena_pool(rig->arena, i & 1);

		while ((taken[n] = iobuf_get(pool, classes[i / 2], NULL)))
			n++;
	}
	return n;
}

static void write_version(struct client *c, uint8_t version, uint32_t blocks)
{
	memset(data, version, 4 * RIG_BLOCK);
	for (uint32_t at = 0; at < blocks; at += 4) {
		struct nvme_sqe sqe = client_rw(true, 1, at, 4, true);

		client_command(c, &sqe, data, 4 * RIG_BLOCK);
		assert_int_equal(client_answer(c, 1), 0);
	}
}

static void lent_blocks_are_whole_though_no_buffer_is_free(void **state)
{
	static struct iobuf *taken[1024];
	struct rig_opts opts = rig_opts_default();
	struct client *admin, *io, *other_admin, *other;
	const unsigned depth = 32, blocks = 64;
	struct rig *rig;
	unsigned n;

	opts.tcp.send_limit_bytes = 64 << 20;
	rig = rig_new(&opts);
	client_pair(rig, 0, 127, false, &admin, &io);
	client_pair(rig, 0, 127, false, &other_admin, &other);
	n = take_buffers(rig, taken);
	write_version(other, 1, blocks);
	for (unsigned i = 0; i < depth; i++) { /* all in one pass: later ones would want buffers */
		struct nvme_sqe sqe = client_rw(false, (uint16_t)i, 0, blocks, false);
		client_command(io, &sqe, NULL, 0);
	}
	client_sent_all(io);
	for (unsigned i = 0; i < depth; i++) {
		write_version(other, (uint8_t)(i + 2), blocks);
		assert_int_equal(client_next(io), PDU_C2H_DATA);
		assert_int_equal(io->payload_len, blocks * RIG_BLOCK);
		for (size_t at = 0; at < io->payload_len; at++)
			if (io->payload[at] != io->payload[at / RIG_BLOCK * RIG_BLOCK])
				fail_msg("read %u is torn at byte %zu", i, at);
	}
	assert_true(rig_stat(rig, "sends_partial") > 0);
	assert_true(rig_stat(rig, "loans_kept") > 0);
	while (n)
		iobuf_put(taken[--n]);
	client_free(io);
	client_free(admin);
	client_free(other);
	client_free(other_admin);
	rig_free(rig);
}

static void an_idle_connection_holds_no_buffer(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;

	client_pair(rig, 0, 127, false, &admin, &io);
	io_round(io, false);
	for (int i = 0; i < 10; i++)
		rig_pump(rig);
	assert_int_equal(rig_bufs_in_use(rig), 0);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void a_target_stops_with_commands_in_every_state(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct disk_fault_rule rule = {
		.kind = DISK_FAULT_DELAY, .probability = 1, .delay_ns = 20000000};
	struct client *admin, *io, *half;
	struct nvme_sqe sqe = client_rw(true, 1, 0, 8, false);
	uint32_t id;
	struct err err;

	assert_int_equal(disk_fault_add(rig->fault, &rule, &id, &err), 0);
	client_pair(rig, 0, 31, false, &admin, &io);
	client_command(io, &sqe, NULL, 0); /* waits for its data */
	(void)expect_r2t(io, 1, 8 * RIG_BLOCK);
	sqe = client_rw(false, 2, 0, 1, false);
	put_le32(&sqe.nsid, 2); /* is with the disk */
	client_command(io, &sqe, NULL, 0);
	sqe = client_rw(true, 3, 0, 1, true); /* half of its capsule is here */
	{
		uint8_t head[128], pad;

		client_send(io, head, pdu_build_cmd(head, &io->fmt, &sqe, RIG_BLOCK, &pad));
		client_send(io, data, 100);
	}
	half = client_new(rig);
	client_send(half, "", 1);
	for (int i = 0; i < 5; i++)
		rig_pump(rig);
	rig_free(rig);
	client_free(half);
	client_free(io);
	client_free(admin);
}

static void disconnect_is_answered_before_the_connection_ends(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct nvme_fabrics_cmd cmd = {.opcode = NVME_OPC_FABRICS,
				       .fctype = NVME_FABRICS_DISCONNECT};
	struct client *admin, *io;
	struct nvme_sqe sqe;

	client_pair(rig, 0, 31, true, &admin, &io);
	put_le16(&cmd.cid, 11);
	cmd.sgl.type = NVME_SGL_TRANSPORT_DATA;
	memcpy(&sqe, &cmd, sizeof(sqe));
	client_command(io, &sqe, NULL, 0);
	assert_int_equal(client_answer(io, 11), 0);
	client_expect_eof(io);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

static void listeners_of_one_address_are_shared(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct tcp_listener *again = NULL, *other = NULL;
	struct client *waiting = client_new(rig);
	struct sock_addr addr;
	struct err err = {0};

	client_ic(waiting, 0, 0);
	assert_int_equal(sock_addr_ip("127.0.0.1", rig->port, &addr), 0);
	assert_int_equal(tcp_listen(rig->transport, &addr, NULL, &again, &err), 0);
	assert_ptr_equal(again, rig->listener);
	assert_int_equal(tcp_listen(rig->transport, &addr, "other", &other, &err), -EBUSY);
	assert_non_null(strstr(err.text, "congestion"));
	assert_null(other);
	tcp_unlisten(again); /* the first user is still there */
	client_expect_quiet(waiting);
	tcp_unlisten(rig->listener); /* who has no controller goes with the listener */
	client_expect_eof(waiting);
	client_free(waiting);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_work_with_every_digest_and_flow_control),
		cmocka_unit_test(the_host_chooses_the_alignment_of_data),
		cmocka_unit_test(digests_that_are_not_allowed_are_not_granted),
		cmocka_unit_test(bytes_behind_a_connect_move_along),
		cmocka_unit_test(commands_byte_by_byte_are_commands),
		cmocka_unit_test(a_wrong_digest_in_h2cdata_fails_the_command_when_all_is_there),
		cmocka_unit_test(deep_queues_work_with_the_fewest_buffers),
		cmocka_unit_test(without_a_chunk_a_connection_reads_carefully),
		cmocka_unit_test(a_host_that_does_not_read_keeps_its_data_whole),
		cmocka_unit_test(no_publish_waits_for_a_host_that_does_not_read),
		cmocka_unit_test(lent_blocks_are_whole_though_no_buffer_is_free),
		cmocka_unit_test(an_idle_connection_holds_no_buffer),
		cmocka_unit_test(a_target_stops_with_commands_in_every_state),
		cmocka_unit_test(disconnect_is_answered_before_the_connection_ends),
		cmocka_unit_test(listeners_of_one_address_are_shared),
	};

	return cmocka_run_group_tests_name("transport-tcp", tests, NULL, NULL);
}
