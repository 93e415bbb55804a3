/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/uuid.h"

static void text_goes_both_ways(void **state)
{
	static const char *text = "01234567-89ab-cdef-fedc-ba9876543210";
	char back[UUID_TEXT_SIZE];
	struct uuid u;

	assert_true(uuid_parse(text, &u));
	assert_int_equal(u.b[0], 0x01);
	assert_int_equal(u.b[15], 0x10);
	assert_string_equal(uuid_format(&u, back), text);
	assert_true(uuid_parse("01234567-89AB-CDEF-FEDC-BA9876543210", &u));
	assert_string_equal(uuid_format(&u, back), text);
}

static void other_forms_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"01234567",
		"0123456789abcdeffedcba9876543210",
		"01234567-89ab-cdef-fedc-ba987654321",
		"01234567-89ab-cdef-fedc-ba98765432100",
		"01234567-89ab-cdef-fedc-ba987654321g",
		"0123456-789ab-cdef-fedc-ba9876543210",
		"{1234567-89ab-cdef-fedc-ba987654321}",
		"01234567-89ab-cdef-fedc--a9876543210",
		" 1234567-89ab-cdef-fedc-ba9876543210",
	};
	struct uuid u;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&u, 0x5a, sizeof(u));
		assert_false(uuid_parse(bad[i], &u));
		assert_int_equal(u.b[0], 0x5a);
		assert_int_equal(u.b[15], 0x5a);
	}
}

static void random_ones_have_version_and_variant(void **state)
{
	uint8_t bytes[16];
	struct uuid u;

	memset(bytes, 0xff, sizeof(bytes));
	u = uuid_from_random(bytes);
	assert_int_equal(u.b[6], 0x4f);
	assert_int_equal(u.b[8], 0xbf);
	memset(bytes, 0, sizeof(bytes));
	u = uuid_from_random(bytes);
	assert_int_equal(u.b[6], 0x40);
	assert_int_equal(u.b[8], 0x80);
	assert_false(uuid_is_null(&u));
}

static void equality_looks_at_every_byte(void **state)
{
	struct uuid a = {{0}}, b = {{0}};

	assert_true(uuid_is_null(&a));
	assert_true(uuid_equal(&a, &b));
	b.b[15] = 1;
	assert_false(uuid_is_null(&b));
	assert_false(uuid_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_goes_both_ways),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(random_ones_have_version_and_variant),
		cmocka_unit_test(equality_looks_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
