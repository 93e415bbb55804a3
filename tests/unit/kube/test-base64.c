/* SPDX-License-Identifier: Apache-2.0 */
/* The examples of RFC 4648, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/base64.h"

static void decodes_to(const char *text, const char *want)
{
	char *got = kube_base64_decode(text, NULL);

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void the_examples_of_the_rfc(void **state)
{
	decodes_to("", "");
	decodes_to("Zg==", "f");
	decodes_to("Zm8=", "fo");
	decodes_to("Zm9v", "foo");
	decodes_to("Zm9vYmE=", "fooba");
	decodes_to("Zm9vYmE", "fooba");
	decodes_to(" Zm9v\nYmFy\n", "foobar");
}

static void what_is_no_base64_is_refused(void **state)
{
	size_t len;
	char *got;

	assert_null(kube_base64_decode("Z", NULL));
	assert_null(kube_base64_decode("Zm9v!", NULL));
	assert_null(kube_base64_decode("Zg==x", NULL));
	assert_null(kube_base64_decode("AAAA", NULL));
	got = kube_base64_decode("AAAA", &len);
	assert_non_null(got);
	assert_int_equal(len, 3);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc),
		cmocka_unit_test(what_is_no_base64_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
