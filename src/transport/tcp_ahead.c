/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving the payload of commands that have not come yet into their buffers. A queue that writes blocks of one size sends header, payload,
 * header, payload, all of the same lengths. After some such commands a connection receives by that pattern: headers into the chunk,
 * payloads into in-capsule buffers, many pairs in one system call. When the guess was right nothing is copied.
 *
 * The image. In the chunk each header lies where it would lie had everything been received there, and between two headers is a hole as
 * large as a payload. Copying the payloads into their holes (flatten()) makes the chunk what a plain receive had made it.
 *
 *	chunk:    lead | hole 0 | gap | hole 1 | gap | hole 2       lead: from here to the first payload
 *	                   ^              ^              ^          gap:  data digest, header, header digest, padding
 *	buffers:        buf[0]         buf[1]         buf[2]
 *
 * Invariants:
 *  1. The parser sees the bytes of the stream in order, and never a hole: c->in ends before it.
 *  2. A payload is left in its buffer only if the parser stands exactly before it, with a command that has a payload of exactly that
 *     length (tcp_ahead_take()). At anything else, at a stall and when the parser has what there is, the image is flattened. So a
 *     wrong guess costs a copy, and the rest of the transport does not know that there was one.
 *  3. The buffers are held from one receive to the end of its parsing, in which nothing waits, and are given back before the connection
 *     asks for a buffer like others do: no line is longer for them. Together with those of its commands they are within its share.
 *  4. All of it belongs to one connection at a time; so it is the reactor's, and an idle connection costs nothing.
 */
#include "base/check.h"
#include "transport/tcp_priv.h"

/* So many commands in a row with the same layout are a pattern. */
#define PATTERN_RUN 4
/* Smaller payloads are cheaper to copy than to have entries of their own. */
#define PAYLOAD_MIN 2048u

void tcp_ahead_learn(struct tcp_conn *c, bool in_capsule)
{
	struct tcp_pattern *p = &c->pattern;
	const uint8_t pdo = in_capsule ? c->rx.hdr->pdo : 0;
	const uint32_t len = c->rx.data_len;

	if (!in_capsule || pdo != p->header || len != p->payload) {
		*p = (struct tcp_pattern){.header = pdo, .payload = len, .pairs = 1};
		return;
	}
	if (p->run < PATTERN_RUN)
		p->run++;
}

/* Pairs to ask for: what the last receives brought and one more, in one chunk, within the connection's share of buffers. */
static uint32_t pairs_wanted(const struct tcp_conn *c, size_t lead, size_t gap)
{
	const struct tcp_pattern *p = &c->pattern;
	const uint32_t share = tcp_capsule_share(c);
	const size_t room = iobuf_class_size[IOBUF_RX] - lead + gap;
	uint32_t n = MIN((uint32_t)p->pairs, TCP_AHEAD_MAX);

	n = (uint32_t)MIN((size_t)n, room / (gap + p->payload));
	return MIN(n, share > c->capsules ? share - c->capsules : 0);
}

/* Bytes from what is received next in the chunk to the payload of the next command. 0: no guess. */
static size_t pattern_lead(const struct tcp_conn *c)
{
	const struct tcp_pattern *p = &c->pattern;
	int to_next;

	if (c->state != TCP_CONN_READY || p->run < PATTERN_RUN || c->r2ts ||
	    p->payload < PAYLOAD_MIN || p->payload > iobuf_class_size[IOBUF_CAPSULE])
		return 0;
	if (!wire_rx_next_pdu(&c->rx, &to_next) || to_next + p->header <= 0)
		return 0;
	return (size_t)(to_next + p->header);
}

int tcp_ahead_offer(struct tcp_conn *c, struct iovec *iov)
{
	struct tcp_ahead *a = &c->tr->ahead;
	const size_t lead = pattern_lead(c);
	const size_t gap = c->pattern.header + (size_t)(c->fmt.ddgst ? PDU_DIGEST_LEN : 0);
	uint8_t *at = c->chunk->data;
	uint32_t wanted;

	ASSERT(a->n == 0);
	if (!lead)
		return 0;
	wanted = pairs_wanted(c, lead, gap);
	while (a->n < wanted) {
		struct iobuf *buf = iobuf_get(tcp_pool(c), IOBUF_CAPSULE, NULL);
		const size_t head = a->n ? gap : lead;

		if (!buf)
			break;
		iov[2 * a->n] = (struct iovec){at, head};
		iov[2 * a->n + 1] = (struct iovec){buf->data, c->pattern.payload};
		at += head + c->pattern.payload;
		a->buf[a->n++] = buf;
	}
	a->next = 0;
	a->taken = false;
	a->end = NULL;
	a->payload = c->pattern.payload;
	a->gap = gap;
	a->lead = lead;
	a->room = (size_t)(at - (uint8_t *)c->chunk->data);
	return 2 * (int)a->n;
}

/* The next receive asks for more if this one was filled, for less if it brought little. */
static void adapt(struct tcp_pattern *p, const struct tcp_ahead *a, size_t got)
{
	const uint32_t came = (uint32_t)(got / (a->gap + a->payload));

	if (got == a->room)
		p->pairs = (uint8_t)MIN(2u * p->pairs, TCP_AHEAD_MAX);
	else
		p->pairs = (uint8_t)MIN(MAX(came + 1, p->pairs - p->pairs / 4u), TCP_AHEAD_MAX);
}

void tcp_ahead_received(struct tcp_conn *c, size_t got)
{
	struct tcp_ahead *a = &c->tr->ahead;
	const uint8_t *image = c->chunk->data;

	adapt(&c->pattern, a, got);
	a->end = image + got;
	a->hole = image + a->lead;
	c->in = (struct wire_in){.p = image, .end = MIN(a->hole, a->end)};
}

/* The payload in buf[next] belongs to the command that was given that buffer: on to the next header. */
static void pass_payload(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;
	const size_t came = MIN(a->payload, (size_t)(a->end - a->hole));

	ASSERT(wire_rx_received(&c->rx, came) == came);
	counter_add(&c->tr->stats.ahead_taken, 1);
	a->taken = false;
	a->next++;
	c->in.p = a->hole + came;
	a->hole = MIN(a->hole + came + a->gap, a->end);
	c->in.end = a->next < a->n ? a->hole : a->end;
}

/* The rest of the image as a plain receive had made it. A buffer that was taken stays its command's, and is filled from its hole again. */
static void flatten(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;
	uint8_t *at = (uint8_t *)c->chunk->data + (a->hole - (const uint8_t *)c->chunk->data);

	for (; a->next < a->n; a->next++) {
		if (at < a->end) {
			memcpy(at, a->buf[a->next]->data, MIN(a->payload, (size_t)(a->end - at)));
			counter_add(&c->tr->stats.ahead_copied, 1);
		}
		if (!a->taken)
			iobuf_put(a->buf[a->next]);
		a->taken = false;
		at += a->payload + a->gap;
	}
	a->n = 0;
	c->in.end = a->end;
}

struct iobuf *tcp_ahead_take(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;

	if (!a->n)
		return NULL;
	ASSERT(!a->taken);
	if (a->next < a->n && c->in.end == a->hole && a->hole < a->end &&
	    (size_t)(c->in.end - c->in.p) == c->rx.pad_left && c->rx.data_len == a->payload) {
		a->taken = true;
		return a->buf[a->next];
	}
	flatten(c);
	return NULL;
}

bool tcp_ahead_next(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;

	if (!a->n)
		return false;
	if (a->taken)
		pass_payload(c);
	else
		flatten(c);
	return c->in.p < c->in.end || c->rx.state == WIRE_RX_DATA;
}

void tcp_ahead_end(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;

	if (!a->n)
		return;
	if (a->end && c->chunk) {
		flatten(c);
		return;
	}
	/* Nothing came, or the connection is closed; a buffer that was taken went with its command. */
	for (a->next += a->taken; a->next < a->n; a->next++)
		iobuf_put(a->buf[a->next]);
	a->n = 0;
}
