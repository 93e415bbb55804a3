/* SPDX-License-Identifier: Apache-2.0 */
/* The byte buffer against a plain queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "rpc/bytebuf.h"

static void random_adds_and_takes_keep_the_order(void **state)
{
	struct bytebuf b = {0};
	struct rng rng;
	uint8_t next_in = 0, next_out = 0;
	char piece[5000];

	rng_seed(&rng, 6);
	for (int i = 0; i < 3000; i++) {
		size_t n = rng_below(&rng, rng_chance(&rng, 0.1) ? sizeof(piece) : 50);

		if (rng_chance(&rng, 0.5)) {
			for (size_t k = 0; k < n; k++)
				piece[k] = (char)next_in++;
			assert_int_equal(bytebuf_append(&b, piece, n, SIZE_MAX / 8), 0);
		} else {
			n = n < b.len ? n : b.len;
			for (size_t k = 0; k < n; k++)
				assert_int_equal((uint8_t)bytebuf_head(&b)[k], next_out++);
			bytebuf_consume(&b, n);
		}
		assert_int_equal((uint8_t)(next_in - next_out), (uint8_t)b.len);
	}
	bytebuf_fini(&b);
}

static void limit_is_kept_and_refusal_changes_nothing(void **state)
{
	_cleanup_json_ json_t *json = json_pack("{s:s}", "key", "a long value");
	struct bytebuf b = {0};

	assert_int_equal(bytebuf_append(&b, "1234", 4, 5), 0);
	assert_int_equal(bytebuf_append(&b, "56", 2, 5), -ENOBUFS);
	assert_int_equal(bytebuf_append(&b, "5", 1, 5), 0);
	assert_int_equal(b.len, 5);
	assert_int_equal(bytebuf_append_json(&b, json, 15), -ENOBUFS);
	assert_int_equal(b.len, 5);
	assert_int_equal(bytebuf_append_json(&b, json, 100), 0);
	assert_memory_equal(bytebuf_head(&b), "12345{\"key\":\"a long value\"}", b.len);
	bytebuf_fini(&b);
}

static void large_memory_is_given_back_when_empty(void **state)
{
	struct bytebuf b = {0};

	assert_non_null(bytebuf_reserve(&b, 1 << 20));
	b.len = 1 << 20;
	bytebuf_consume(&b, (1 << 20) - 1);
	assert_true(b.capacity >= 1 << 20);
	bytebuf_consume(&b, 1);
	assert_int_equal(b.capacity, 0);
	bytebuf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_adds_and_takes_keep_the_order),
		cmocka_unit_test(limit_is_kept_and_refusal_changes_nothing),
		cmocka_unit_test(large_memory_is_given_back_when_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
