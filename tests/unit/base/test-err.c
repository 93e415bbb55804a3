/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: code and text, prefixes, one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

static void text_and_code_are_kept(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, -ENOENT, "no disk %s at %d", "d0", 7), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no disk d0 at 7");
}

static void null_err_still_gives_the_code(void **state)
{
	assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_prefix(NULL, "x"), 0);
}

static void prefix_goes_in_front(void **state)
{
	struct err err = {0};

	err_set(&err, -EBUSY, "in use");
	assert_int_equal(err_prefix(&err, "disk %u", 3), -EBUSY);
	assert_int_equal(err_prefix(&err, "pool"), -EBUSY);
	assert_string_equal(err.text, "pool: disk 3: in use");
}

static void text_may_quote_itself(void **state)
{
	struct err err = {0};

	err_set(&err, -EIO, "inner");
	err_set(&err, -EPERM, "outer (%s)", err.text);
	assert_string_equal(err.text, "outer (inner)");
}

static void control_characters_become_blanks(void **state)
{
	struct err err = {0};

	err_set(&err, -EINVAL, "a\nb\tc%c", 0x7f);
	assert_string_equal(err.text, "a b c ");
}

static void long_text_is_cut_inside_the_buffer(void **state)
{
	struct err err = {0};
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, -EINVAL, "%s", big);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "front");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "front: xxx", 10);
	err_prefix(&err, "%s", big);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_code_are_kept),
		cmocka_unit_test(null_err_still_gives_the_code),
		cmocka_unit_test(prefix_goes_in_front),
		cmocka_unit_test(text_may_quote_itself),
		cmocka_unit_test(control_characters_become_blanks),
		cmocka_unit_test(long_text_is_cut_inside_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
