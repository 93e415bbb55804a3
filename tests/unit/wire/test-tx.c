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

/* The data is rewritten after each send: what was begun of a unit ends as it began. */
static void a_unit_that_was_begun_is_not_torn(void **state)
{
	enum { HEAD = 24, PAD = 8, DATA = 300, UNIT = 64 };
	uint8_t copy[UNIT];
	struct rng rng;

	rng_seed(&rng, 9);
	for (unsigned round = 0; round < 500; round++) {
		struct message *m = &messages[0];
		struct wire_tx part = {};
		uint8_t staging[256], generation = 1;
		struct wire_gather g;
		struct iovec iov[8];
		struct wire_txq q;
		struct list done;
		size_t at = 0, tail = round % 3 ? 20 : 0;

		list_init(&done);
		wire_txq_init(&q);
		m->tx = (struct wire_tx){.head = m->head, .data = m->data, .tail = m->tail};
		m->tx.head_len = HEAD;
		m->tx.pad_len = PAD;
		m->tx.data_len = DATA;
		m->tx.tail_len = (uint8_t)tail;
		memset(m->data, generation, DATA);
		wire_txq_push(&q, &m->tx);
		while (!wire_txq_empty(&q)) {
			size_t n;

			wire_gather_init(&g, iov, 8, staging, sizeof(staging));
			wire_txq_gather(&q, &g);
			n = 1 + rng_below(&rng, MIN(g.bytes, 90));
			copy_out(&g, n, got + at);
			wire_txq_advance(&q, n, &done);
			at += n;
			assert_int_equal(q.bytes, HEAD + PAD + DATA + tail - at);
			while (!list_empty(&done) && done.next != &m->tx.link)
				assert_ptr_equal(list_pop_front(&done), &part.link);
			if (!wire_txq_empty(&q) && q.list.next != &part.link)
				wire_txq_own_unit(&q, &part, copy, UNIT);
			memset(m->data, ++generation, DATA);
		}
		assert_int_equal(at, HEAD + PAD + DATA + tail);
		assert_memory_equal(got, m->head, HEAD);
		assert_memory_equal(got + HEAD + PAD + DATA, m->tail, tail);
		for (size_t i = 0; i < DATA; i++)
			assert_int_equal(got[HEAD + PAD + i], got[HEAD + PAD + i / UNIT * UNIT]);
		assert_ptr_equal(list_pop_front(&done), &m->tx.link);
		assert_true(list_empty(&done));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_once_and_in_order),
		cmocka_unit_test(a_run_of_small_messages_is_one_entry),
		cmocka_unit_test(a_message_can_be_taken_back_until_it_has_begun),
		cmocka_unit_test(a_unit_that_was_begun_is_not_torn),
	};

	return cmocka_run_group_tests_name("wire-tx", tests, NULL, NULL);
}
