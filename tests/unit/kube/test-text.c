/* SPDX-License-Identifier: Apache-2.0 */
/* Names, sizes, times, JSON from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/text.h"

static void sizes_are_absolute_bytes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
		    {"1", 1},
		    {"1k", 1000},
		    {"1Ki", 1024},
		    {"1.5Gi", 3 * GIB / 2},
		    {"10G", 10000000000},
		    {"2e9", 2000000000},
		    {"1E", 1000000000000000000},
		    {"7Ei", 7 * GIB * GIB},
		    {"0.5Ki", 512},
		    {"9223372036854775807", INT64_MAX}};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		_cleanup_json_ json_t *v = json_string(good[i].text);
		uint64_t n = 1;

		assert_true(kube_size_parse(v, &n, NULL));
		assert_int_equal(n, good[i].bytes);
	}
}

static void sizes_that_are_no_whole_bytes_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  "-1",
					  "1.5",
					  "1m",
					  "1KiB",
					  "8Ei",
					  "0.3Ki",
					  "1e99",
					  "1e",
					  ".",
					  "1..2",
					  "99999999999999999999",
					  "9223372036854775808",
					  "1 Gi",
					  "+1"};
	_cleanup_json_ json_t *negative = json_integer(-1);
	const char *why = NULL;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_json_ json_t *v = json_string(bad[i]);

		assert_false(kube_size_parse(v, &n, &why));
		assert_non_null(why);
	}
	assert_false(kube_size_parse(negative, &n, NULL));
	assert_false(kube_size_parse(json_null(), &n, NULL));
}

static void times_survive_format_and_parse(void **state)
{
	static const uint64_t seconds[] = {0,          951782400,  951868799, 1709164800,
					   1735689599, 4102444800, 5000000000};
	char text[KUBE_TIME_SIZE];
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		assert_true(kube_time_parse(
			kube_time_format(seconds[i] * NSEC_PER_SEC, false, text, sizeof(text)),
			&ns));
		assert_int_equal(ns, seconds[i] * NSEC_PER_SEC);
	}
	assert_string_equal(
		kube_time_format(951782400 * NSEC_PER_SEC + 5000, true, text, sizeof(text)),
		"2000-02-29T00:00:00.000005Z");
	assert_true(kube_time_parse("2000-02-29T02:00:00.000005+02:00", &ns));
	assert_int_equal(ns, 951782400 * NSEC_PER_SEC + 5000);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "2000",
					  "2001-02-29T00:00:00Z",
					  "2100-02-29T00:00:00Z",
					  "2000-13-01T00:00:00Z",
					  "2000-01-01T24:00:00Z",
					  "2000-01-01T00:00:00",
					  "2000-01-01T00:00:00.Z",
					  "2000-01-01T00:00:00Zx",
					  "1969-12-31T23:59:59Z",
					  "1970-01-01T00:00:00+01:00",
					  "2000-01-01T00:00:00+1:00",
					  "2000-04-31T00:00:00Z"};
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(kube_time_parse(bad[i], &ns));
}

static void names_follow_dns(void **state)
{
	char long_name[260];

	assert_true(kube_name_valid("a.b-c.1"));
	assert_false(kube_name_valid(""));
	assert_false(kube_name_valid("A"));
	assert_false(kube_name_valid("a..b"));
	assert_false(kube_name_valid("-a"));
	assert_false(kube_name_valid("a."));
	memset(long_name, 'a', sizeof(long_name));
	long_name[254] = 0;
	assert_false(kube_name_valid(long_name));
	long_name[253] = 0;
	assert_true(kube_name_valid(long_name));
	assert_true(kube_qualified_valid("litepool.io/Protect_it"));
	assert_false(kube_qualified_valid("a/b/c"));
	assert_false(kube_qualified_valid("/b"));
	assert_true(kube_label_value_valid(""));
	assert_true(kube_nqn_valid("nqn.2014-08.org.nvmexpress:uuid:1"));
	assert_false(kube_nqn_valid("nqn.2014-8.org.x"));
	assert_false(kube_nqn_valid("nqn.2014-08.org a"));
}

static void json_is_bounded(void **state)
{
	_cleanup_fail_ struct kube_fail fail = {0};
	char deep[2 * (KUBE_DEPTH_MAX + 1) + 1];
	json_t *json = NULL;

	memset(deep, '[', KUBE_DEPTH_MAX + 1);
	memset(deep + KUBE_DEPTH_MAX + 1, ']', KUBE_DEPTH_MAX + 1);
	assert_true(kube_json_parse(deep, sizeof(deep) - 1, &json, &fail) < 0);
	assert_int_equal(fail.reason, KUBE_BAD_REQUEST);
	assert_int_equal(kube_json_parse(deep + 1, sizeof(deep) - 3, &json, &fail), 0);
	assert_int_equal(kube_json_depth(json), KUBE_DEPTH_MAX);
	json_decref(json);
	assert_true(kube_json_parse("{}", KUBE_BODY_MAX + 1, &json, &fail) < 0);
	assert_int_equal(fail.reason, KUBE_TOO_LARGE);
	assert_true(kube_json_parse("{\"a\":1,\"a\":2}", 13, &json, &fail) < 0);
	assert_true(kube_json_parse("{\"a\":\"\\u0000\"}", 14, &json, &fail) < 0);
	assert_true(kube_json_parse("{\"a\":\"\xff\"}", 9, &json, &fail) < 0);
	assert_int_equal(kube_json_parse("{\"a\":\"[[\\\"[\"}", 13, &json, &fail), 0);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_absolute_bytes),
		cmocka_unit_test(sizes_that_are_no_whole_bytes_are_refused),
		cmocka_unit_test(times_survive_format_and_parse),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(names_follow_dns),
		cmocka_unit_test(json_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
