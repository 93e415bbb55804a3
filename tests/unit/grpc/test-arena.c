/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "grpc/arena.h"

static void memory_is_zero_and_aligned(void **state)
{
	static const uint8_t zero[100];
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (size_t len = 0; len < 100; len++) {
		uint8_t *p = arena_zalloc(&arena, len);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_memory_equal(p, zero, len);
		memset(p, 0xff, len);
	}
	arena_fini(&arena);
}

static void over_the_limit_is_null_and_the_rest_stays(void **state)
{
	struct arena arena;
	char *text;

	arena_init(&arena, 16384);
	text = arena_printf(&arena, "%s-%d", "kept", 7);
	assert_null(arena_zalloc(&arena, 16384));
	assert_null(arena_zalloc(&arena, SIZE_MAX));
	assert_string_equal(text, "kept-7");
	assert_string_equal(arena_strdup(&arena, NULL), "");
	assert_string_equal(arena_strdup(&arena, text), text);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_and_aligned),
		cmocka_unit_test(over_the_limit_is_null_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
