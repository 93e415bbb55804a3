/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive machine and the target's checks under any bytes. Byte 0 chooses the end that receives and the digests, byte 1 how the rest
 * is cut; the events must be those of the whole.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "wire/rx.h"

#include "fuzz.h"

#define CAPSULE_MAX 8192u

struct trace {
	unsigned headers, payloads, bad_digests;
	uint32_t crc;
	bool failed;
	struct wire_error error;
};

struct owner {
	struct wire_rx rx;
	bool hdgst, ddgst;
	uint32_t h2c_offset;
	struct trace trace;
	uint8_t payload[CAPSULE_MAX];
};

static void check_command(struct owner *o)
{
	struct wire_error error = {0};
	struct wire_xfer xfer;
	struct nvme_sqe sqe;

	memcpy(&sqe, &o->rx.cmd->sqe, sizeof(sqe));
	if (!wire_cmd_check(&sqe, o->rx.data_len, CAPSULE_MAX, &xfer, &error)) {
		ASSERT(error.fes != 0);
		(void)wire_rx_fail(&o->rx, error.fes, error.fei);
		return;
	}
	if (xfer.in_capsule)
		ASSERT(xfer.len == o->rx.data_len);
	if (xfer.sgl_status)
		ASSERT(!xfer.in_capsule);
}

static void check_h2c(struct owner *o)
{
	struct wire_h2c_expect expect = {
		.offset = o->h2c_offset, .end = 1 << 20, .max_h2c_data = 128 * 1024};
	struct wire_error error;

	expect.cccid = get_le16(&o->rx.data->cccid);
	if (!wire_h2c_check(o->rx.data, &expect, &error)) {
		(void)wire_rx_fail(&o->rx, error.fes, error.fei);
		return;
	}
	ASSERT(o->rx.data_len <= expect.max_h2c_data);
	ASSERT(range_within(o->h2c_offset, o->rx.data_len, expect.end));
	o->h2c_offset = (o->h2c_offset + o->rx.data_len) % expect.end;
}

static void on_header(struct owner *o)
{
	struct wire_rx *rx = &o->rx;

	o->trace.headers++;
	o->trace.crc = crc32c_extend(o->trace.crc, rx->hdr, rx->hdr->hlen);
	if (rx->hdr->pdu_type <= PDU_ICRESP)
		wire_rx_negotiated(rx, o->hdgst, o->ddgst);
	if (rx->hdr->pdu_type == PDU_CAPSULE_CMD)
		check_command(o);
	if (rx->hdr->pdu_type == PDU_H2C_DATA)
		check_h2c(o);
	if (rx->state == WIRE_RX_DEST)
		wire_rx_dest(rx, rx->data_len <= sizeof(o->payload) ? o->payload : NULL);
}

static void parse(struct owner *o, const uint8_t *p, size_t len)
{
	struct wire_in in = {.p = p, .end = p + len};

	for (;;) {
		switch (wire_rx_step(&o->rx, &in)) {
		case WIRE_EV_MORE:
			ASSERT(in.p == in.end);
			return;
		case WIRE_EV_HEADER:
			on_header(o);
			break;
		case WIRE_EV_DATA:
			o->trace.payloads++;
			o->trace.bad_digests += !o->rx.digest_ok;
			break;
		case WIRE_EV_ERROR:
		default:
			ASSERT(o->rx.error.fes != 0);
			ASSERT(o->rx.echo_len <= PDU_TERM_DATA_MAX);
			o->trace.failed = true;
			o->trace.error = o->rx.error;
			return;
		}
	}
}

static struct trace run(const uint8_t *data, size_t size, uint8_t mode, size_t piece)
{
	static struct owner o;

	memset(&o, 0, sizeof(o));
	o.hdgst = mode & 2;
	o.ddgst = mode & 4;
	wire_rx_init(&o.rx, mode & 1 ? WIRE_HOST : WIRE_TARGET, 1 << 20);
	while (size && !o.trace.failed) {
		size_t n = MIN(size, piece), direct;
		struct iovec iov;

		if (wire_rx_want(&o.rx, &iov))
			memcpy(iov.iov_base, data, MIN(n, iov.iov_len));
		direct = wire_rx_received(&o.rx, n);
		parse(&o, data + direct, n - direct);
		data += n;
		size -= n;
	}
	return o.trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace whole, cut;

	if (size < 2)
		return 0;
	whole = run(data + 2, size - 2, data[0], size);
	cut = run(data + 2, size - 2, data[0], 1 + data[1] % 200);
	ASSERT(whole.headers == cut.headers);
	ASSERT(whole.payloads == cut.payloads);
	ASSERT(whole.bad_digests == cut.bad_digests);
	ASSERT(whole.crc == cut.crc);
	ASSERT(whole.failed == cut.failed);
	ASSERT(whole.error.fes == cut.error.fes);
	ASSERT(whole.error.fei == cut.error.fei);
	return 0;
}
