/* SPDX-License-Identifier: Apache-2.0 */
/* The send queue: whatever the socket takes at a time and however small the vector, the bytes come out once and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "wire/tx.h"

#define MESSAGES 64

struct message {
	struct wire_tx tx;
	uint8_t head[32], data[300], tail[40];
};

static struct message messages[MESSAGES];
static uint8_t expected[MESSAGES * 512], got[MESSAGES * 512];

static size_t make(struct wire_txq *q, struct rng *rng)
{
	size_t len = 0;

	wire_txq_init(q);
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct message *m = &messages[i];

		rng_fill(rng, m->head, sizeof(m->head));
		rng_fill(rng, m->data, sizeof(m->data));
		rng_fill(rng, m->tail, sizeof(m->tail));
		m->tx = (struct wire_tx){.head = m->head, .data = m->data, .tail = m->tail};
		m->tx.head_len = (uint8_t)(1 + rng_below(rng, sizeof(m->head)));
		if (rng_chance(rng, 0.5)) {
			m->tx.pad_len = (uint8_t)rng_below(rng, 100);
			m->tx.data_len = (uint32_t)rng_below(rng, sizeof(m->data));
		}
		if (rng_chance(rng, 0.3))
			m->tx.tail_len = (uint8_t)rng_below(rng, sizeof(m->tail));
		wire_txq_push(q, &m->tx);
		memcpy(expected + len, m->head, m->tx.head_len);
		len += m->tx.head_len;
		memset(expected + len, 0, m->tx.pad_len);
		len += m->tx.pad_len;
		memcpy(expected + len, m->data, m->tx.data_len);
		len += m->tx.data_len;
		memcpy(expected + len, m->tail, m->tx.tail_len);
		len += m->tx.tail_len;
	}
	return len;
}

static void copy_out(const struct wire_gather *g, size_t n, uint8_t *to)
{
	for (int i = 0; i < g->n && n; i++) {
		size_t part = MIN(n, g->iov[i].iov_len);

		memcpy(to, g->iov[i].iov_base, part);
		to += part;
		n -= part;
	}
	assert_int_equal(n, 0);
}

static void bytes_come_out_once_and_in_order(void **state)
{
	struct rng rng;

	rng_seed(&rng, 7);
	for (unsigned round = 0; round < 200; round++) {
		struct iovec iov[32];
		uint8_t staging[1024];
		struct wire_gather g;
		struct wire_txq q;
		struct list done;
		size_t len = make(&q, &rng), at = 0, n_done = 0;

		list_init(&done);
		while (!wire_txq_empty(&q)) {
			size_t n;

			assert_int_equal(q.bytes, len - at);
			wire_gather_init(&g, iov, 1 + (int)rng_below(&rng, 32), staging,
					 128 + rng_below(&rng, sizeof(staging) - 128));
			wire_txq_gather(&q, &g);
			assert_true(g.bytes > 0);
			n = 1 + rng_below(&rng, g.bytes);
			copy_out(&g, n, got + at);
			memset(staging, 0xdd, sizeof(staging));
			wire_txq_advance(&q, n, &done);
			at += n;
		}
		assert_int_equal(at, len);
		assert_int_equal(q.bytes, 0);
		assert_memory_equal(got, expected, len);
		for (struct list *it; (it = list_pop_front(&done)); n_done++)
			assert_ptr_equal(it, &messages[n_done].tx.link);
		assert_int_equal(n_done, MESSAGES);
	}
}

static void a_run_of_small_messages_is_one_entry(void **state)
{
	static uint8_t staging[64 * 32];
	struct iovec iov[4];
	struct wire_gather g;
	struct wire_txq q;

	wire_txq_init(&q);
	for (unsigned i = 0; i < MESSAGES; i++) {
		messages[i].tx = (struct wire_tx){.head = messages[i].head, .head_len = 24};
		wire_txq_push(&q, &messages[i].tx);
	}
	wire_gather_init(&g, iov, 4, staging, sizeof(staging));
	wire_txq_gather(&q, &g);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.bytes, MESSAGES * 24);
}

static void a_message_can_be_taken_back_until_it_has_begun(void **state)
{
	struct wire_txq q;
	struct list done;

	list_init(&done);
	wire_txq_init(&q);
	for (unsigned i = 0; i < 3; i++) {
		messages[i].tx = (struct wire_tx){.head = messages[i].head, .head_len = 24};
		wire_txq_push(&q, &messages[i].tx);
	}
	assert_true(wire_txq_remove(&q, &messages[1].tx));
	assert_int_equal(q.bytes, 48);
	wire_txq_advance(&q, 1, &done);
	assert_false(wire_txq_remove(&q, &messages[0].tx));
	assert_true(wire_txq_remove(&q, &messages[2].tx));
	wire_txq_advance(&q, 23, &done);
	assert_true(wire_txq_empty(&q));
	assert_int_equal(q.bytes, 0);
	assert_ptr_equal(done.next, &messages[0].tx.link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_once_and_in_order),
		cmocka_unit_test(a_run_of_small_messages_is_one_entry),
		cmocka_unit_test(a_message_can_be_taken_back_until_it_has_begun),
	};

	return cmocka_run_group_tests_name("wire-tx", tests, NULL, NULL);
}
