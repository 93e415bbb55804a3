/* SPDX-License-Identifier: Apache-2.0 */
/* The send queue; see tx.h. */
#include "wire/tx.h"

#include "base/check.h"

static const uint8_t zeroes[128]; /* padding is at most that much */

void wire_txq_init(struct wire_txq *q)
{
	list_init(&q->list);
	q->bytes = 0;
	q->front_sent = 0;
}

void wire_txq_push(struct wire_txq *q, struct wire_tx *tx)
{
	ASSERT(!list_linked(&tx->link));
	ASSERT(wire_tx_len(tx) > 0);
	ASSERT(tx->pad_len <= sizeof(zeroes));
	list_push_back(&q->list, &tx->link);
	q->bytes += wire_tx_len(tx);
}

bool wire_txq_remove(struct wire_txq *q, struct wire_tx *tx)
{
	if (q->list.next == &tx->link && q->front_sent)
		return false;
	list_remove(&tx->link);
	q->bytes -= wire_tx_len(tx);
	return true;
}

void wire_txq_own_unit(struct wire_txq *q, struct wire_tx *part, void *copy, uint32_t unit)
{
	struct wire_tx *tx = list_first(&q->list, struct wire_tx, link);
	const uint32_t before = (uint32_t)tx->head_len + tx->pad_len;
	const uint32_t at = q->front_sent - before; /* of data */
	uint32_t len;

	if (q->front_sent <= before || at >= tx->data_len || at % unit == 0)
		return;
	len = MIN(unit - at % unit, tx->data_len - at);
	memmove(copy, tx->data + at, len); /* it may be the end of an earlier copy */
	tx->data += at + len;
	tx->data_len -= at + len;
	tx->head_len = tx->pad_len = 0;
	q->front_sent = 0;
	if (wire_tx_len(tx) == 0) {
		tx->data = copy;
		tx->data_len = len;
		return;
	}
	ASSERT(!list_linked(&part->link));
	*part = (struct wire_tx){.data = copy, .data_len = len};
	list_push_front(&q->list, &part->link);
}

void wire_gather_init(struct wire_gather *g, struct iovec *iov, int iov_max, void *staging,
		      size_t staging_size)
{
	*g = (struct wire_gather){
		.iov = iov, .iov_max = iov_max, .staging = staging, .staging_size = staging_size};
}

static bool add_entry(struct wire_gather *g, const uint8_t *p, size_t len)
{
	struct iovec *last = &g->iov[g->n - 1];

	if (g->n && (const uint8_t *)last->iov_base + last->iov_len == p) {
		last->iov_len += len;
	} else {
		if (g->n == g->iov_max)
			return false;
		g->iov[g->n].iov_base = (void *)(uintptr_t)p;
		g->iov[g->n].iov_len = len;
		g->n++;
	}
	g->bytes += len;
	return true;
}

/* Copies a small part beside the one before it. */
static bool add_small(struct wire_gather *g, const uint8_t *p, size_t len)
{
	uint8_t *to = g->staging + g->staging_used;

	if (g->staging_size - g->staging_used < len)
		return false;
	memcpy(to, p, len);
	if (!add_entry(g, to, len))
		return false;
	g->staging_used += len;
	return true;
}

/* Adds a message from byte skip on. False when g is full; what was added till then stays. */
static bool add_message(struct wire_gather *g, const struct wire_tx *tx, size_t skip)
{
	const struct {
		const uint8_t *p;
		size_t len;
		bool small;
	} parts[] = {
		{tx->head, tx->head_len, true},
		{zeroes, tx->pad_len, true},
		{tx->data, tx->data_len, false},
		{tx->tail, tx->tail_len, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t len = parts[i].len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len -= skip;
		if (!(parts[i].small ? add_small(g, parts[i].p + skip, len)
				     : add_entry(g, parts[i].p + skip, len)))
			return false;
		skip = 0;
	}
	return true;
}

void wire_txq_gather(const struct wire_txq *q, struct wire_gather *g)
{
	size_t skip = q->front_sent;

	list_for_each (it, &q->list) {
		if (!add_message(g, list_entry(it, struct wire_tx, link), skip))
			return;
		skip = 0;
	}
}

void wire_txq_advance(struct wire_txq *q, size_t sent, struct list *done)
{
	ASSERT(sent <= q->bytes);
	q->bytes -= sent;
	while (sent) {
		struct wire_tx *tx = list_first(&q->list, struct wire_tx, link);
		size_t left = wire_tx_len(tx) - q->front_sent;

		if (sent < left) {
			q->front_sent += (uint32_t)sent;
			return;
		}
		sent -= left;
		q->front_sent = 0;
		list_remove(&tx->link);
		list_push_back(done, &tx->link);
	}
}

static uint8_t *flatten_part(uint8_t *out, const uint8_t *p, size_t len, size_t *skip)
{
	const size_t left_out = MIN(*skip, len);

	*skip -= left_out;
	len -= left_out;
	if (len)
		memcpy(out, p + left_out, len);
	return out + len;
}

void wire_txq_flatten(const struct wire_txq *q, uint8_t *out)
{
	const uint8_t *const begin = out;
	size_t skip = q->front_sent;

	list_for_each (it, &q->list) {
		const struct wire_tx *tx = list_entry(it, struct wire_tx, link);

		out = flatten_part(out, tx->head, tx->head_len, &skip);
		out = flatten_part(out, zeroes, tx->pad_len, &skip);
		out = flatten_part(out, tx->data, tx->data_len, &skip);
		out = flatten_part(out, tx->tail, tx->tail_len, &skip);
		ASSERT(skip == 0);
	}
	ASSERT((size_t)(out - begin) == q->bytes);
}
