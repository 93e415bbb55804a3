/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive machine, for both ends: a stream of random PDUs gives the same events however it is cut and wherever the payload is
 * received (through the chunk or directly), and the builders make what the machine accepts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "wire/rx.h"

#define STREAM_MAX  (256 * 1024)
#define PAYLOAD_MAX 6000

struct stream {
	uint8_t p[STREAM_MAX];
	size_t len;
};

/* What an owner saw, folded. */
struct trace {
	unsigned headers, payloads, bad_digests;
	uint32_t crc;
	bool failed;
	struct wire_error error;
};

static struct stream stream;

static void add_data(const struct pdu_format *fmt, struct rng *rng, uint8_t pad, size_t len,
		     bool spoil)
{
	uint8_t *data;

	memset(stream.p + stream.len, 0, pad);
	stream.len += pad;
	data = stream.p + stream.len;
	rng_fill(rng, data, len);
	stream.len += len;
	if (!fmt->ddgst)
		return;
	pdu_put_digest(data + len, crc32c(data, len) ^ spoil);
	stream.len += PDU_DIGEST_LEN;
}

static void add_to_target(const struct pdu_format *fmt, struct rng *rng)
{
	uint32_t len = (uint32_t)(1 + rng_below(rng, PAYLOAD_MAX / 4)) * 4;
	bool spoil = rng_chance(rng, 0.2);
	struct nvme_sqe sqe;
	uint8_t pad = 0;

	rng_fill(rng, &sqe, sizeof(sqe));
	switch (rng_below(rng, 3)) {
	case 0:
		stream.len += pdu_build_cmd(stream.p + stream.len, fmt, &sqe, 0, &pad);
		break;
	case 1:
		stream.len += pdu_build_cmd(stream.p + stream.len, fmt, &sqe, len, &pad);
		add_data(fmt, rng, pad, len, spoil);
		break;
	default:
		stream.len += pdu_build_h2c_data(stream.p + stream.len, fmt,
						 &(struct pdu_data_fields){.datal = len}, &pad);
		add_data(fmt, rng, pad, len, spoil);
		break;
	}
}

static void add_to_host(const struct pdu_format *fmt, struct rng *rng)
{
	uint32_t len = (uint32_t)(1 + rng_below(rng, PAYLOAD_MAX));
	struct nvme_cqe cqe;
	uint8_t pad = 0;

	rng_fill(rng, &cqe, sizeof(cqe));
	switch (rng_below(rng, 3)) {
	case 0:
		stream.len += pdu_build_resp(stream.p + stream.len, fmt, &cqe);
		break;
	case 1:
		stream.len += pdu_build_r2t(stream.p + stream.len, fmt, 1, 2, 3, 4);
		break;
	default:
		stream.len += pdu_build_c2h_data(stream.p + stream.len, fmt,
						 &(struct pdu_data_fields){.datal = len}, &pad);
		add_data(fmt, rng, pad, len, rng_chance(rng, 0.2));
		break;
	}
}

static void make_stream(enum wire_role role, const struct pdu_format *fmt, struct rng *rng,
			unsigned n)
{
	stream.len = role == WIRE_TARGET ? pdu_build_icreq(stream.p, 0, 3, 0)
					 : pdu_build_icresp(stream.p, 0, 3, 4096);
	for (unsigned i = 0; i < n; i++) {
		if (role == WIRE_TARGET)
			add_to_target(fmt, rng);
		else
			add_to_host(fmt, rng);
	}
	assert_true(stream.len <= sizeof(stream.p));
}

struct owner {
	struct wire_rx rx;
	struct pdu_format fmt;
	struct trace trace;
	uint8_t payload[PAYLOAD_MAX + 64];
	bool drop; /* every payload */
};

static void on_header(struct owner *o)
{
	struct wire_rx *rx = &o->rx;

	o->trace.headers++;
	o->trace.crc = crc32c_extend(o->trace.crc, rx->hdr, rx->hdr->hlen);
	if (rx->hdr->pdu_type <= PDU_ICRESP)
		wire_rx_negotiated(rx, o->fmt.hdgst, o->fmt.ddgst);
	if (rx->data_len)
		wire_rx_dest(rx, o->drop || rx->data_len > PAYLOAD_MAX ? NULL : o->payload);
}

static void parse(struct owner *o, const uint8_t *p, size_t len)
{
	struct wire_in in = {.p = p, .end = p + len};

	for (;;) {
		switch (wire_rx_step(&o->rx, &in)) {
		case WIRE_EV_MORE:
			assert_ptr_equal(in.p, in.end);
			return;
		case WIRE_EV_HEADER:
			on_header(o);
			break;
		case WIRE_EV_DATA:
			o->trace.payloads++;
			o->trace.bad_digests += !o->rx.digest_ok;
			if (!o->drop)
				o->trace.crc =
					crc32c_extend(o->trace.crc, o->payload, o->rx.data_len);
			break;
		case WIRE_EV_ERROR:
		default:
			o->trace.failed = true;
			o->trace.error = o->rx.error;
			return;
		}
	}
}

enum how { WHOLE, BYTES, RANDOM, DIRECT, CAREFUL };

/* One receive of at most n bytes of the stream at *at, as a socket would give them. */
static void receive(struct owner *o, enum how how, struct rng *rng, size_t *at)
{
	uint8_t chunk[9000];
	struct iovec iov = {0};
	size_t n, direct = 0, left = stream.len - *at;
	bool want = (how == DIRECT || how == CAREFUL) && wire_rx_want(&o->rx, &iov);

	n = how == BYTES ? 1 : 1 + rng_below(rng, sizeof(chunk));
	if (how == CAREFUL)
		n = want ? MIN(n, iov.iov_len) : wire_rx_need(&o->rx);
	n = MIN(n, left);
	assert_true(n > 0);
	if (want)
		memcpy(iov.iov_base, stream.p + *at, MIN(n, iov.iov_len));
	if (want)
		direct = wire_rx_received(&o->rx, n);
	memcpy(chunk, stream.p + *at + direct, n - direct);
	parse(o, chunk, n - direct);
	memset(chunk, 0xdd, sizeof(chunk)); /* nothing may point into it any more */
	*at += n;
}

static struct trace run(enum wire_role role, const struct pdu_format *fmt, enum how how, bool drop,
			struct rng *rng)
{
	static struct owner o;
	size_t at = 0;

	memset(&o, 0, sizeof(o));
	o.fmt = *fmt;
	o.drop = drop;
	wire_rx_init(&o.rx, role, PAYLOAD_MAX);
	if (how == WHOLE)
		parse(&o, stream.p, stream.len);
	while (how != WHOLE && at < stream.len && !o.trace.failed)
		receive(&o, how, rng, &at);
	return o.trace;
}

static void assert_same(const struct trace *a, const struct trace *b)
{
	assert_int_equal(a->headers, b->headers);
	assert_int_equal(a->payloads, b->payloads);
	assert_int_equal(a->bad_digests, b->bad_digests);
	assert_int_equal(a->crc, b->crc);
	assert_int_equal(a->failed, b->failed);
	assert_int_equal(a->error.fes, b->error.fes);
	assert_int_equal(a->error.fei, b->error.fei);
}

static void check_cuts(enum wire_role role, const struct pdu_format *fmt, struct rng *rng)
{
	for (int drop = 0; drop < 2; drop++) {
		struct trace whole = run(role, fmt, WHOLE, drop, rng);

		for (enum how how = BYTES; how <= CAREFUL; how++) {
			struct trace cut = run(role, fmt, how, drop, rng);

			assert_same(&whole, &cut);
		}
	}
}

static void a_stream_gives_the_same_events_however_it_is_cut(void **state)
{
	struct rng rng;

	rng_seed(&rng, 42);
	for (unsigned i = 0; i < 24; i++) {
		struct pdu_format fmt = {.hdgst = i & 1,
					 .ddgst = i & 2,
					 .pda = (uint8_t)rng_below(&rng, PDU_PDA_MAX + 1)};
		enum wire_role role = i & 4 ? WIRE_HOST : WIRE_TARGET;
		struct trace whole;

		make_stream(role, &fmt, &rng, 20);
		whole = run(role, &fmt, WHOLE, false, &rng);
		assert_false(whole.failed);
		assert_int_equal(whole.headers, 21);
		check_cuts(role, &fmt, &rng);
	}
}

static void a_damaged_stream_fails_in_the_same_way_however_it_is_cut(void **state)
{
	struct rng rng;

	rng_seed(&rng, 43);
	for (unsigned i = 0; i < 60; i++) {
		struct pdu_format fmt = {.hdgst = i & 1, .ddgst = i & 2};
		enum wire_role role = i & 4 ? WIRE_HOST : WIRE_TARGET;

		make_stream(role, &fmt, &rng, 6);
		stream.p[rng_below(&rng, stream.len)] ^= (uint8_t)(1 + rng_below(&rng, 255));
		check_cuts(role, &fmt, &rng);
	}
}

static void spoiled_data_digests_are_counted_and_live(void **state)
{
	const struct pdu_format fmt = {.ddgst = true};
	struct trace t;
	struct rng rng;

	rng_seed(&rng, 44);
	make_stream(WIRE_TARGET, &fmt, &rng, 30);
	t = run(WIRE_TARGET, &fmt, WHOLE, false, &rng);
	assert_false(t.failed);
	assert_in_range(t.bad_digests, 1, t.payloads);
}

static void a_host_refuses_a_maxh2cdata_below_the_minimum(void **state)
{
	const struct pdu_format fmt = {0};
	struct trace t;
	struct rng rng;

	rng_seed(&rng, 45);
	stream.len = pdu_build_icresp(stream.p, 0, 0, 4092);
	t = run(WIRE_HOST, &fmt, WHOLE, false, &rng);
	assert_true(t.failed);
	assert_int_equal(t.error.fes, PDU_FES_HEADER_FIELD);
	assert_int_equal(t.error.fei, 12);
}

static void pdo_is_aligned_as_the_receiver_asked(void **state)
{
	uint8_t out[PDU_HEADER_MAX], pad;

	for (unsigned pda = 0; pda <= PDU_PDA_MAX; pda++) {
		for (int hdgst = 0; hdgst < 2; hdgst++) {
			struct pdu_format fmt = {.hdgst = hdgst, .pda = (uint8_t)pda};
			struct pdu_data_fields f = {.datal = 100};
			size_t n = pdu_build_c2h_data(out, &fmt, &f, &pad);

			assert_int_equal((n + pad) % ((pda + 1) * 4), 0);
			assert_int_equal(out[3], n + pad);
			assert_int_equal(get_le32(out + 4), n + pad + 100);
			assert_int_equal(out[1], hdgst ? PDU_F_HDGST : 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_gives_the_same_events_however_it_is_cut),
		cmocka_unit_test(a_damaged_stream_fails_in_the_same_way_however_it_is_cut),
		cmocka_unit_test(spoiled_data_digests_are_counted_and_live),
		cmocka_unit_test(a_host_refuses_a_maxh2cdata_below_the_minimum),
		cmocka_unit_test(pdo_is_aligned_as_the_receiver_asked),
	};

	return cmocka_run_group_tests_name("wire-rx", tests, NULL, NULL);
}
