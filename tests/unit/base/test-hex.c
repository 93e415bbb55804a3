/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hex digits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/hex.h"

static void digits_go_both_ways(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x9a, 0xff, 0x10};
	uint8_t back[sizeof(bytes)];
	char text[2 * sizeof(bytes) + 1];

	assert_string_equal(hex_format(bytes, sizeof(bytes), text), "009AFF10");
	assert_true(hex_parse(text, back, sizeof(back)));
	assert_memory_equal(back, bytes, sizeof(bytes));
	assert_true(hex_parse("009aFf10", back, sizeof(back)));
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void wrong_text_leaves_the_buffer_alone(void **state)
{
	static const char *const bad[] = {"", "0", "012", "01234", "01 3", "0x12", "012g", "-123"};
	uint8_t buf[2] = {0x5a, 0x5a};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(hex_parse(bad[i], buf, sizeof(buf)));
		assert_int_equal(buf[0], 0x5a);
		assert_int_equal(buf[1], 0x5a);
	}
}

static void nothing_is_the_empty_text(void **state)
{
	char text[1] = {'x'};
	uint8_t none;

	assert_string_equal(hex_format("", 0, text), "");
	assert_true(hex_parse("", &none, 0));
	assert_false(hex_parse("00", &none, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_go_both_ways),
		cmocka_unit_test(wrong_text_leaves_the_buffer_alone),
		cmocka_unit_test(nothing_is_the_empty_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
