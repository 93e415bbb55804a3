/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving the payload of commands that have not come yet into their buffers. A queue that writes blocks of one size sends header, payload,
 * header, payload, all of the same lengths. After some such commands a connection receives by that pattern: headers side by side,
 * payloads into in-capsule buffers, many pairs in one system call. When the guess was right nothing is copied.
 *
 *	heads:    lead |         gap |         gap |            lead: from here to the first payload
 *	buffers:        buf[0]        buf[1]        buf[2]     gap:  data digest, header, header digest, padding
 *
 * Invariants:
 *  1. The parser sees the bytes of the stream in order: c->in is the part between two payloads, and what follows it is counted in left.
 *  2. A payload is left in its buffer only if the parser stands exactly before it, with a command that has a payload of exactly that
 *     length (tcp_ahead_take()). At anything else, and at a stall, what is left is copied to the chunk as a plain receive had put it there
 *     (flatten()). So a wrong guess costs a copy, and the rest of the transport does not know that there was one.
 *  3. The buffers are held from one receive to the end of its parsing, in which nothing waits, and are given back before the connection
 *     asks for a buffer like others do: no line is longer for them. Together with those of its commands they are within its share.
 *  4. All of it belongs to one connection at a time; so it is the reactor's, and an idle connection costs nothing.
 */
#include "base/check.h"
#include "transport/tcp_priv.h"

/* So many commands in a row with the same layout are a pattern. */
#define PATTERN_RUN 4
/* A shallow queue gains nothing: the copy of one payload that is in the cache costs what its entries would. */
#define PAIRS_MIN 3u
/* Smaller payloads are cheaper to copy than to have entries of their own. */
#define PAYLOAD_MIN 2048u

void tcp_ahead_learn(struct tcp_conn *c, bool in_capsule)
{
	struct tcp_pattern *p = &c->pattern;
	const uint8_t pdo = in_capsule ? c->rx.hdr->pdo : 0;
	const uint32_t len = c->rx.data_len;

	if (!in_capsule || pdo != p->header || len != p->payload) {
		*p = (struct tcp_pattern){.header = pdo, .payload = len, .pairs = 1, .came = 1};
		return;
	}
	if (p->run < PATTERN_RUN)
		p->run++;
	if (p->came < TCP_AHEAD_MAX)
		p->came++;
}

/* Pairs to ask for: as the last receives suggest, no more than a chunk holds (for a wrong guess), within the connection's share of buffers. */
static uint32_t pairs_wanted(const struct tcp_conn *c, size_t lead, size_t gap)
{
	const struct tcp_pattern *p = &c->pattern;
	const uint32_t share = tcp_capsule_share(c);
	const size_t room = iobuf_class_size[IOBUF_RX] - lead + gap;
	uint32_t n = MIN((uint32_t)p->pairs, TCP_AHEAD_MAX);

	n = (uint32_t)MIN((size_t)n, room / (gap + p->payload));
	return MIN(n, share > c->capsules ? share - c->capsules : 0);
}

/* Bytes from what is received next in the chunk to the payload of the next command. 0: no guess, or no need of one: from the chunk it goes to the disk without a copy. */
static size_t pattern_lead(const struct tcp_conn *c)
{
	const struct tcp_pattern *p = &c->pattern;
	int to_next, lead;

	if (c->state != TCP_CONN_READY || c->lends || p->run < PATTERN_RUN || c->r2ts ||
	    p->payload < PAYLOAD_MIN || p->payload > iobuf_class_size[IOBUF_CAPSULE])
		return 0;
	if (!wire_rx_next_pdu(&c->rx, &to_next))
		return 0;
	lead = to_next + p->header;
	return lead > 0 ? (size_t)lead : 0;
}

/* A receive asks for more pairs than the last one that brought commands if that was filled, for fewer if it brought few. */
static void adapt(struct tcp_pattern *p)
{
	const uint32_t fewer = p->pairs - (p->pairs + 3u) / 4;
	const uint32_t came = p->came + 1u;

	if (!p->came)
		return;
	p->pairs = (uint8_t)MIN(p->filled ? 2u * p->pairs : MAX(came, fewer), TCP_AHEAD_MAX);
	p->came = 0;
	p->filled = false;
}

int tcp_ahead_offer(struct tcp_conn *c, struct iovec *iov)
{
	struct tcp_ahead *a = &c->tr->ahead;
	const size_t lead = pattern_lead(c);
	const size_t gap = c->pattern.header + (size_t)(c->fmt.ddgst ? PDU_DIGEST_LEN : 0);
	uint8_t *at = a->heads;
	uint32_t wanted;

	ASSERT(a->n == 0);
	adapt(&c->pattern);
	if (!lead || c->pattern.pairs < PAIRS_MIN)
		return 0;
	wanted = pairs_wanted(c, lead, gap);
	while (a->n < wanted) {
		struct iobuf *buf = iobuf_get(tcp_pool(c), IOBUF_CAPSULE, NULL);
		const size_t head = a->n ? gap : lead;

		if (!buf)
			break;
		*iov++ = (struct iovec){at, head};
		*iov++ = (struct iovec){buf->data, c->pattern.payload};
		at += head;
		a->buf[a->n++] = buf;
	}
	a->next = 0;
	a->taken = a->received = false;
	a->payload = c->pattern.payload;
	a->gap = gap;
	a->lead = lead;
	return 2 * (int)a->n;
}

/* The next part of up to len bytes between payloads; returns its length. */
static size_t next_head(struct tcp_ahead *a, size_t len)
{
	len = MIN(len, a->left);
	a->head += len;
	a->left -= len;
	return len;
}

void tcp_ahead_received(struct tcp_conn *c, size_t got)
{
	struct tcp_ahead *a = &c->tr->ahead;

	c->pattern.filled = got == a->lead + a->payload + (a->n - 1) * (a->gap + a->payload);
	a->received = true;
	a->left = got;
	a->head = a->heads;
	(void)next_head(a, a->lead);
	c->in = (struct wire_in){.p = a->heads, .end = a->head};
}

/* The payload in buf[next] belongs to the command that was given that buffer: on to the next header. */
static void pass_payload(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;
	const size_t came = MIN(a->payload, a->left);
	const size_t direct = wire_rx_received(&c->rx, came);

	ASSERT(direct == came);
	counter_add(&c->tr->stats.ahead_taken, 1);
	a->taken = false;
	a->next++;
	a->left -= came;
	c->in.p = a->head;
	(void)next_head(a, a->gap);
	c->in.end = a->head;
}

static uint8_t *copy_part(uint8_t *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

/*
 * What is not parsed yet as a plain receive had made it, in the chunk. A buffer that was taken stays its command's, and the parser fills it
 * again.
 */
static void flatten(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;
	uint8_t *const image = c->chunk->data;
	uint8_t *to = copy_part(image, c->in.p, (size_t)(c->in.end - c->in.p));

	for (; a->next < a->n; a->next++) {
		const size_t came = MIN(a->payload, a->left);
		const uint8_t *head = a->head;

		a->left -= came;
		to = copy_part(to, a->buf[a->next]->data, came);
		to = copy_part(to, head, next_head(a, a->gap));
		counter_add(&c->tr->stats.ahead_copied, came ? 1 : 0);
		if (!a->taken)
			iobuf_put(a->buf[a->next]);
		a->taken = false;
	}
	a->n = 0;
	c->in = (struct wire_in){.p = image, .end = to};
}

struct iobuf *tcp_ahead_take(struct tcp_conn *c)
{
	struct tcp_ahead *a = &c->tr->ahead;

	if (!a->n)
		return NULL;
	ASSERT(!a->taken);
	if (a->next < a->n && a->left && (size_t)(c->in.end - c->in.p) == c->rx.pad_left &&
	    c->rx.data_len == a->payload) {
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
	if (a->received && c->chunk) {
		flatten(c);
		return;
	}
	/* Nothing came, or the connection is closed; a buffer that was taken went with its command. */
	for (a->next += a->taken; a->next < a->n; a->next++)
		iobuf_put(a->buf[a->next]);
	a->n = 0;
}
