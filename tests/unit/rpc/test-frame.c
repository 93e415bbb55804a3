/* SPDX-License-Identifier: Apache-2.0 */
/* Framing: what is found does not depend on how the stream is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "rpc/frame.h"

#define VALUES_MAX 64

struct found {
	size_t begin[VALUES_MAX], end[VALUES_MAX], n;
	enum rpc_frame_result last;
	size_t consumed;
};

/* piece_max 0: pieces of random size. */
static void find(const char *text, size_t len, size_t piece_max, struct rng *rng, struct found *ret)
{
	struct rpc_frame frame;
	size_t at = 0, start = 0, begin, end;

	rpc_frame_init(&frame, 256);
	*ret = (struct found){.last = RPC_FRAME_MORE};
	while (at < len && ret->n < VALUES_MAX) {
		size_t piece = piece_max ? piece_max : rng_below(rng, 20);
		bool fresh = !rpc_frame_inside(&frame);

		piece = MIN(piece, len - at);
		ret->last = rpc_frame_feed(&frame, text + at, piece, &begin, &end);
		assert_true(begin <= end && end <= piece);
		if (fresh)
			start = at + begin;
		at += end;
		if (ret->last == RPC_FRAME_VALUE) {
			ret->begin[ret->n] = start;
			ret->end[ret->n++] = at;
			assert_false(rpc_frame_inside(&frame));
		} else if (ret->last != RPC_FRAME_MORE) {
			break;
		} else {
			assert_int_equal(end, piece);
		}
	}
	ret->consumed = at;
}

static void expect_same(const struct found *a, const struct found *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->last, b->last);
	assert_int_equal(a->consumed, b->consumed);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->begin[i], b->begin[i]);
		assert_int_equal(a->end[i], b->end[i]);
	}
}

static const struct {
	const char *text;
	size_t values;
	enum rpc_frame_result last;
} cases[] = {
	{"", 0, RPC_FRAME_MORE},
	{" \t\r\n", 0, RPC_FRAME_MORE},
	{"{}", 1, RPC_FRAME_VALUE},
	{"{}{}[]", 3, RPC_FRAME_VALUE},
	{" {} \n [] ", 2, RPC_FRAME_MORE},
	{"{\"a\":{\"b\":[1,{}]}}{", 1, RPC_FRAME_MORE},
	{"{\"}{\\\"}{\":1}[]", 2, RPC_FRAME_VALUE},
	{"{\"\\\\\"}{}", 2, RPC_FRAME_VALUE},
	{"{\"\\\\\\\"}{}", 0, RPC_FRAME_MORE},
	{"[}", 1, RPC_FRAME_VALUE},
	{"{}x", 1, RPC_FRAME_NOT_JSON},
	{"1", 0, RPC_FRAME_NOT_JSON},
	{"\"{}\"", 0, RPC_FRAME_NOT_JSON},
	{"}", 0, RPC_FRAME_NOT_JSON},
	{"null{}", 0, RPC_FRAME_NOT_JSON},
};

static void values_are_found_between_brackets(void **state)
{
	struct found found;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		find(cases[i].text, strlen(cases[i].text), SIZE_MAX, NULL, &found);
		assert_int_equal(found.n, cases[i].values);
		assert_int_equal(found.last, cases[i].last);
	}
}

static void byte_by_byte_equals_whole(void **state)
{
	struct found whole, bytes;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		find(cases[i].text, strlen(cases[i].text), SIZE_MAX, NULL, &whole);
		find(cases[i].text, strlen(cases[i].text), 1, NULL, &bytes);
		expect_same(&whole, &bytes);
	}
}

static void random_streams_in_random_pieces_equal_whole(void **state)
{
	static const char letters[] = "{}[]{}[]\"\"\\ax \n";
	struct found whole, cut;
	struct rng rng;
	char text[300];

	rng_seed(&rng, 4);
	for (int i = 0; i < 20000; i++) {
		size_t len = 1 + rng_below(&rng, sizeof(text));

		text[0] = rng_chance(&rng, 0.5) ? '{' : '[';
		for (size_t k = 1; k < len; k++)
			text[k] = letters[rng_below(&rng, sizeof(letters) - 1)];
		find(text, len, SIZE_MAX, NULL, &whole);
		find(text, len, 0, &rng, &cut);
		/* An empty last piece says MORE after a value as well. */
		if (cut.last == RPC_FRAME_MORE && cut.consumed == len &&
		    whole.last == RPC_FRAME_VALUE)
			cut.last = RPC_FRAME_VALUE;
		expect_same(&whole, &cut);
	}
}

static void begin_and_end_enclose_the_value(void **state)
{
	struct found found;
	const char *text = "  {\"a\":1} \n[2]";

	find(text, strlen(text), SIZE_MAX, NULL, &found);
	assert_int_equal(found.begin[0], 2);
	assert_int_equal(found.end[0], 9);
	assert_int_equal(found.begin[1], 11);
	assert_int_equal(found.end[1], 14);
}

static void size_is_limited_by_value_not_by_stream(void **state)
{
	char text[600];
	struct found found;

	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	memcpy(text + 400, "[]", 2);
	find(text, sizeof(text), SIZE_MAX, NULL, &found);
	assert_int_equal(found.n, 2);

	memset(text, 'a', sizeof(text));
	text[0] = '[';
	text[255] = ']';
	find(text, 256, 7, NULL, &found);
	assert_int_equal(found.n, 1);
	text[255] = 'a';
	text[256] = ']';
	find(text, 257, 7, NULL, &found);
	assert_int_equal(found.last, RPC_FRAME_TOO_LARGE);
	find(text, sizeof(text), SIZE_MAX, NULL, &found);
	assert_int_equal(found.last, RPC_FRAME_TOO_LARGE);
}

static void depth_is_limited(void **state)
{
	char text[2 * RPC_FRAME_DEPTH_MAX + 2];
	struct found found;

	memset(text, '[', RPC_FRAME_DEPTH_MAX);
	memset(text + RPC_FRAME_DEPTH_MAX, ']', RPC_FRAME_DEPTH_MAX);
	find(text, 2 * (size_t)RPC_FRAME_DEPTH_MAX, 1, NULL, &found);
	assert_int_equal(found.n, 1);
	memset(text, '[', RPC_FRAME_DEPTH_MAX + 1);
	find(text, RPC_FRAME_DEPTH_MAX + 1, 1, NULL, &found);
	assert_int_equal(found.last, RPC_FRAME_TOO_DEEP);
	/* Brackets in a string are not nested. */
	memset(text, '[', sizeof(text));
	text[1] = '"';
	text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = ']';
	find(text, sizeof(text), 1, NULL, &found);
	assert_int_equal(found.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_between_brackets),
		cmocka_unit_test(byte_by_byte_equals_whole),
		cmocka_unit_test(random_streams_in_random_pieces_equal_whole),
		cmocka_unit_test(begin_and_end_enclose_the_value),
		cmocka_unit_test(size_is_limited_by_value_not_by_stream),
		cmocka_unit_test(depth_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
