/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving payloads by the pattern of the last commands (transport/tcp_ahead.c), and writes that go to a disk straight from where they were received (lend_capsule() in
 * tcp_rx.c): right guesses, wrong ones at every place, streams cut anywhere, too few buffers, the end of the connection in the middle. What counts is that the commands
 * and their data are the same however they were received. Namespace 1 takes data at once, namespace 2 does not.
 */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/rng.h"

#define OPS_MAX    126u
#define OP_BLOCKS  8u /* each command has a range of its own of so many blocks */
#define STREAM_MAX ((size_t)OPS_MAX * (4 * RIG_BLOCK + 256))
#define DATA_BYTES ((size_t)OPS_MAX * OP_BLOCKS * RIG_BLOCK)

enum { TAKES = 1, ALIGNED = 2 }; /* namespaces */

enum op_kind { OP_WRITE, OP_READ, OP_FLUSH, OP_BAD_NS, OP_BAD_DIGEST, OP_R2T, OP_KINDS };

struct op {
	enum op_kind kind;
	uint32_t blocks;
	uint32_t nsid;
	bool answered;
};

/* Commands of one connection as the bytes that its host sends. */
struct script {
	struct op op[OPS_MAX];
	unsigned n;
	size_t len;
	uint8_t *stream, *data;
	unsigned lba_base;
	uint32_t nsid; /* of the next commands */
};

static void script_init(struct script *s, uint32_t seed)
{
	struct rng rng;

	*s = (struct script){.stream = malloc(STREAM_MAX), .nsid = ALIGNED};
	s->data = malloc(DATA_BYTES);
	assert_non_null(s->stream);
	assert_non_null(s->data);
	rng_seed(&rng, seed);
	rng_fill(&rng, s->data, DATA_BYTES);
}

static void script_fini(struct script *s)
{
	free(s->stream);
	free(s->data);
}

static uint8_t *op_data(struct script *s, unsigned i)
{
	return s->data + (size_t)i * OP_BLOCKS * RIG_BLOCK;
}

static uint32_t op_lba(const struct script *s, unsigned i)
{
	return (s->lba_base + i) * OP_BLOCKS;
}

static void append(struct script *s, const void *bytes, size_t len)
{
	assert_true(s->len + len <= STREAM_MAX);
	memcpy(s->stream + s->len, bytes, len);
	s->len += len;
}

static void append_op(struct script *s, const struct pdu_format *fmt, enum op_kind kind,
		      uint32_t blocks)
{
	const unsigned i = s->n++;
	const bool capsule = kind == OP_WRITE || kind == OP_BAD_NS || kind == OP_BAD_DIGEST;
	const uint32_t len = capsule ? blocks * RIG_BLOCK : 0;
	struct nvme_sqe sqe =
		client_rw(kind != OP_READ, (uint16_t)i, op_lba(s, i), blocks, capsule);
	uint8_t head[sizeof(struct pdu_cmd) + PDU_DIGEST_LEN], zero[128] = {0}, pad = 0;
	uint8_t digest[PDU_DIGEST_LEN];

	assert_true(i < OPS_MAX);
	s->op[i] = (struct op){.kind = kind, .blocks = blocks, .nsid = s->nsid};
	put_le32(&sqe.nsid, s->nsid);
	if (kind == OP_BAD_NS)
		put_le32(&sqe.nsid, 99);
	if (kind == OP_FLUSH) {
		sqe.opcode = NVME_IO_FLUSH;
		put_le32(&sqe.sgl.length, 0);
		put_le32(&sqe.cdw10, 0);
		put_le32(&sqe.cdw12, 0);
	}
	append(s, head, pdu_build_cmd(head, fmt, &sqe, len, &pad));
	append(s, zero, pad);
	append(s, op_data(s, i), len);
	pdu_put_digest(digest, crc32c(op_data(s, i), len));
	if (kind == OP_BAD_DIGEST)
		digest[0] ^= 1;
	if (len && fmt->ddgst)
		append(s, digest, sizeof(digest));
}

static void send_h2c(struct client *c, struct script *s)
{
	struct pdu_r2t r2t;
	struct pdu_data_fields f = {.flags = PDU_F_LAST};

	memcpy(&r2t, c->header, sizeof(r2t));
	f.cccid = get_le16(&r2t.cccid);
	f.ttag = get_le16(&r2t.ttag);
	f.datal = get_le32(&r2t.r2tl);
	client_h2c(c, &f, op_data(s, f.cccid));
}

static void answer(struct client *c, struct script *s, uint16_t cid, uint16_t status)
{
	uint16_t want = 0;

	assert_true(cid < s->n);
	assert_false(s->op[cid].answered);
	s->op[cid].answered = true;
	if (s->op[cid].kind == OP_BAD_NS)
		want = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
	if (s->op[cid].kind == OP_BAD_DIGEST && c->fmt.ddgst)
		want = NVME_SC_TRANSIENT_TRANSPORT;
	assert_int_equal(status, want);
}

/* Until each command has been answered, once. */
static void take_answers(struct client *c, struct script *s)
{
	for (unsigned left = s->n; left > 0;) {
		struct pdu_resp resp;

		switch (client_next(c)) {
		case PDU_CAPSULE_RESP:
			memcpy(&resp, c->header, sizeof(resp));
			answer(c, s, get_le16(&resp.cqe.cid), get_le16(&resp.cqe.status) >> 1);
			left--;
			break;
		case PDU_C2H_DATA:
			answer(c, s, get_le16(c->header + 8), 0);
			left--;
			break;
		case PDU_R2T:
			send_h2c(c, s);
			break;
		default:
			fail_msg("the connection ended or another PDU came");
		}
	}
}

static bool is_written(const struct client *c, const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_R2T ||
	       (op->kind == OP_BAD_DIGEST && !c->fmt.ddgst);
}

static void check_disk(struct client *c, struct script *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct op *op = &s->op[i];
		struct nvme_sqe sqe = client_rw(false, 1, op_lba(s, i), op->blocks, false);

		if (!is_written(c, op))
			continue;
		put_le32(&sqe.nsid, op->nsid);
		client_command(c, &sqe, NULL, 0);
		assert_int_equal(client_next(c), PDU_C2H_DATA);
		assert_int_equal(c->payload_len, op->blocks * RIG_BLOCK);
		assert_memory_equal(c->payload, op_data(s, i), c->payload_len);
	}
}

/* In pieces of up to piece_max bytes (0: whole); after each the target may run. */
static void send_script(struct client *c, struct script *s, struct rng *rng, uint32_t piece_max)
{
	for (size_t at = 0; at < s->len;) {
		size_t n = piece_max ? 1 + rng_below(rng, piece_max) : s->len;

		n = MIN(n, s->len - at);
		client_send(c, s->stream + at, n);
		at += n;
		if (piece_max && rng_below(rng, 2))
			rig_pump(c->rig);
	}
}

/* --- tests --- */

static void equal_writes_go_straight_to_their_buffers(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);

	for (unsigned i = 0; i < 16; i++) {
		uint64_t taken = rig_stat(rig, "ahead_taken");
		struct client *admin, *io;
		struct script s;

		client_pair(rig, i & 3, 127, false, &admin, &io);
		script_init(&s, i);
		for (unsigned n = 0; n < 100; n++)
			append_op(&s, &io->fmt, OP_WRITE, 1 + i / 4);
		send_script(io, &s, NULL, 0);
		take_answers(io, &s);
		check_disk(io, &s);
		assert_true(rig_stat(rig, "ahead_taken") >= taken + 50);
		script_fini(&s);
		client_free(io);
		client_free(admin);
	}
	assert_int_equal(rig_stat(rig, "ahead_copied"), 0);
	rig_free(rig);
}

static void writes_to_a_disk_that_takes_them_at_once_are_not_copied(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);

	for (unsigned i = 0; i < 16; i++) {
		uint64_t lent = rig_stat(rig, "capsules_lent");
		struct client *admin, *io;
		struct script s;

		client_pair(rig, i & 3, 127, false, &admin, &io);
		script_init(&s, i);
		s.nsid = TAKES;
		for (unsigned n = 0; n < 100; n++)
			append_op(&s, &io->fmt, OP_WRITE, 1 + i / 4);
		send_script(io, &s, NULL, 0);
		take_answers(io, &s);
		check_disk(io, &s);
		/* those that a chunk ends in are copied */
		assert_true(rig_stat(rig, "capsules_lent") >= lent + 50);
		script_fini(&s);
		client_free(io);
		client_free(admin);
	}
	rig_free(rig);
}

/* A disk that delays its writes has what was sent, not what is received over it meanwhile. */
static void a_disk_that_does_not_take_them_at_once_gets_copies(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;
	struct script s;
	uint64_t lent;

	client_pair(rig, 0, 127, false, &admin, &io);
	script_init(&s, 1);
	for (unsigned n = 0; n < 120; n++) {
		s.nsid = n % 3 ? TAKES : ALIGNED;
		append_op(&s, &io->fmt, OP_WRITE, 1);
	}
	lent = rig_stat(rig, "capsules_lent");
	send_script(io, &s, NULL, 0);
	take_answers(io, &s);
	check_disk(io, &s);
	assert_true(rig_stat(rig, "capsules_lent") > lent);
	script_fini(&s);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

/* Equal writes, then at each place in turn one thing of another kind or size, then equal writes. */
static void a_wrong_guess_at_any_place_changes_nothing(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;

	for (unsigned how = 0; how < 8; how++) {
		client_pair(rig, how & 3, 127, false, &admin, &io);
		for (unsigned place = 0; place < 50; place += how < 4 ? 1 : 7) {
			for (unsigned kind = 0; kind < OP_KINDS; kind++) {
				struct script s;

				script_init(&s, place);
				s.nsid = how < 4 ? ALIGNED : TAKES;
				for (unsigned n = 0; n < 70; n++) {
					bool other = n == 12 + place;

					append_op(&s, &io->fmt, other ? kind : OP_WRITE,
						  other ? 2 : 1);
				}
				send_script(io, &s, NULL, 0);
				take_answers(io, &s);
				check_disk(io, &s);
				script_fini(&s);
			}
		}
		client_free(io);
		client_free(admin);
	}
	assert_true(rig_stat(rig, "ahead_taken") > 1000);
	assert_true(rig_stat(rig, "ahead_copied") > 100);
	rig_free(rig);
}

/* Runs of one kind and size, of any length. */
static void append_random(struct script *s, const struct pdu_format *fmt, struct rng *rng,
			  unsigned n, unsigned kinds)
{
	while (n > 0) {
		enum op_kind kind = rng_below(rng, 3) ? OP_WRITE : rng_below(rng, kinds);
		uint32_t blocks = 1 + (uint32_t)rng_below(rng, 4);
		unsigned run = 1 + (unsigned)rng_below(rng, 25);

		run = MIN(n, run);
		s->nsid = rng_below(rng, 2) ? TAKES : ALIGNED;
		for (unsigned i = 0; i < run; i++)
			append_op(s, fmt, kind, blocks);
		n -= run;
	}
}

/*
 * With ordinary buffers and with as few as there can be, several connections at once, cut anywhere. With few buffers there is no R2T: a host that
 * is not looked at yet would hold what the others wait for.
 */
static void any_stream_cut_anywhere_does_the_same(void **state)
{
	static const uint32_t pieces[] = {0, 300000, 70000, 9000, 4168, 500};

	for (unsigned seed = 1; seed <= 60; seed++) {
		struct rig_opts opts = rig_opts_default();
		struct client *admin[3], *io[3];
		struct script s[3];
		struct rng rng;
		struct rig *rig;

		if (seed % 3 == 0)
			for (int i = 0; i < IOBUF_CLASSES; i++)
				opts.bufs.n[i] = 1 + seed % 7;
		rng_seed(&rng, seed);
		rig = rig_new(&opts);
		for (unsigned i = 0; i < 3; i++) {
			client_pair(rig, (seed + i) & 3, 127, false, &admin[i], &io[i]);
			script_init(&s[i], seed + i);
			s[i].lba_base = i * OPS_MAX;
			append_random(&s[i], &io[i]->fmt, &rng, OPS_MAX,
				      seed % 3 ? OP_KINDS : OP_R2T);
		}
		for (unsigned i = 0; i < 3; i++)
			send_script(io[i], &s[i], &rng, pieces[(seed + i) % ARRAY_LEN(pieces)]);
		for (unsigned i = 0; i < 3; i++)
			take_answers(io[i], &s[i]);
		for (unsigned i = 0; i < 3; i++) {
			check_disk(io[i], &s[i]);
			script_fini(&s[i]);
			client_free(io[i]);
			client_free(admin[i]);
		}
		rig_free(rig);
	}
}

static void a_connection_that_ends_in_a_pattern_leaves_nothing_behind(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;
	struct script s;
	unsigned conns;

	client_pair(rig, 3, 127, false, &admin, &io);
	script_init(&s, 1);
	for (unsigned n = 0; n < 60; n++) {
		s.nsid = n < 30 ? TAKES : ALIGNED;
		append_op(&s, &io->fmt, OP_WRITE, 1);
	}
	conns = rig_conns(rig);
	for (size_t cut = 20000; cut < s.len; cut += 1237) {
		struct client *c = client_new(rig);

		client_ic(c, 3, 0);
		client_connect(c, 2, 127, false, admin->cntlid ? admin->cntlid : 1);
		client_send(c, s.stream, cut);
		if (cut & 1)
			rig_pump(rig);
		client_free(c);
		for (int i = 0; rig_conns(rig) > conns && i < RIG_PASSES; i++)
			rig_pump(rig);
		assert_int_equal(rig_conns(rig), conns);
		for (int i = 0; i < 4; i++) /* until the controller has forgotten the queue */
			rig_pump(rig);
	}
	assert_int_equal(rig_bufs_in_use(rig), 0);
	script_fini(&s);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

/* The bad PDU lies where a header is expected, or a payload, and everything before it is answered as far as it was whole. */
static void a_bad_pdu_in_a_pattern_ends_its_connection_alone(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig = rig_new(&opts);
	struct client *admin, *io;

	client_pair(rig, 0, 127, false, &admin, &io);
	for (unsigned place = 6; place < 50; place++) {
		struct client *c = client_new(rig);
		struct script s;
		int type;

		client_ic(c, place & 3, 0);
		client_connect(c, 2, 127, false, admin->cntlid ? admin->cntlid : 1);
		script_init(&s, place);
		s.nsid = place & 4 ? TAKES : ALIGNED;
		for (unsigned n = 0; n < place; n++)
			append_op(&s, &c->fmt, OP_WRITE, 1);
		append(&s, "\xff\x00\x48\x00\x48\x00\x00\x00", 8);
		memset(s.stream + s.len, 0x5a, 5000);
		s.len += 5000;
		client_send(c, s.stream, s.len);
		while ((type = client_next(c)) == PDU_CAPSULE_RESP)
			;
		assert_int_equal(type, PDU_C2H_TERM);
		client_expect_eof(c);
		script_fini(&s);
		client_free(c);
	}
	for (int i = 0; rig_bufs_in_use(rig) && i < RIG_PASSES; i++)
		rig_pump(rig);
	assert_int_equal(rig_bufs_in_use(rig), 0);
	client_free(io);
	client_free(admin);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_writes_go_straight_to_their_buffers),
		cmocka_unit_test(writes_to_a_disk_that_takes_them_at_once_are_not_copied),
		cmocka_unit_test(a_disk_that_does_not_take_them_at_once_gets_copies),
		cmocka_unit_test(a_wrong_guess_at_any_place_changes_nothing),
		cmocka_unit_test(any_stream_cut_anywhere_does_the_same),
		cmocka_unit_test(a_connection_that_ends_in_a_pattern_leaves_nothing_behind),
		cmocka_unit_test(a_bad_pdu_in_a_pattern_ends_its_connection_alone),
	};

	return cmocka_run_group_tests_name("transport-ahead", tests, NULL, NULL);
}
