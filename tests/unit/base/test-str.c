/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded strings, numbers and sizes as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"

static void copy_is_whole_or_nothing(void **state)
{
	char buf[4] = "xxx";

	assert_true(str_copy(buf, sizeof(buf), "abc"));
	assert_string_equal(buf, "abc");
	assert_false(str_copy(buf, sizeof(buf), "abcd"));
	assert_string_equal(buf, "");
	assert_false(str_copy(buf, 0, ""));
}

static void pad_fills_with_blanks_and_cuts(void **state)
{
	char buf[6] = "######";

	str_pad(buf, 5, "ab");
	assert_memory_equal(buf, "ab   #", 6);
	str_pad(buf, 5, "abcdefgh");
	assert_memory_equal(buf, "abcde#", 6);
	str_pad(buf, 5, "");
	assert_memory_equal(buf, "     #", 6);
}

static void numbers_are_digits_within_limits(void **state)
{
	static const char *const bad[] = {"",
					  " 1",
					  "1 ",
					  "+1",
					  "-1",
					  "0x1",
					  "1.0",
					  "9",
					  "101",
					  "18446744073709551616",
					  "99999999999999999999999"};
	uint64_t v = 5;

	assert_true(str_to_u64("10", 10, 100, &v));
	assert_int_equal(v, 10);
	assert_true(str_to_u64("00100", 10, 100, &v));
	assert_int_equal(v, 100);
	assert_true(str_to_u64("18446744073709551615", 0, UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	v = 5;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(str_to_u64(bad[i], 10, 100, &v));
	assert_int_equal(v, 5);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},          {"4096", 4096},     {"16k", 16 * KIB},
		    {"16K", 16 * KIB}, {"1MiB", MIB},      {"10G", 10 * GIB},
		    {"1TiB", TIB},     {"2P", 2048 * TIB}, {"15E", 15360 * 1024 * TIB}};
	static const char *const bad[] = {"",    "k",    "1 k", "1KB", "1kib",
					  "1Ki", "1.5G", "-1k", "16E", "18446744073709551616"};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(str_to_size(good[i].text, &v));
		assert_true(v == good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(str_to_size(bad[i], &v));
}

static void sizes_are_printed_for_people(void **state)
{
	char buf[16];

	assert_string_equal(str_size(0, buf, sizeof(buf)), "0 B");
	assert_string_equal(str_size(1023, buf, sizeof(buf)), "1023 B");
	assert_string_equal(str_size(4096, buf, sizeof(buf)), "4 KiB");
	assert_string_equal(str_size(3 * GIB / 2, buf, sizeof(buf)), "1.5 GiB");
	assert_string_equal(str_size(MIB, buf, sizeof(buf)), "1 MiB");
	assert_string_equal(str_size(UINT64_MAX, buf, sizeof(buf)), "16.0 EiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_is_whole_or_nothing),
		cmocka_unit_test(pad_fills_with_blanks_and_cuts),
		cmocka_unit_test(numbers_are_digits_within_limits),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(sizes_are_printed_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
