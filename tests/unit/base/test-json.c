/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding JSON objects, and what is said of those that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"

struct params {
	const char *name;
	uint64_t blocks;
	uint32_t size;
	int64_t offset;
	bool read_only;
	double rate;
	json_t *object, *array, *any;
};

static const struct json_field fields[] = {
	{"name", JSON_KIND_STRING, offsetof(struct params, name), .required = true},
	{"blocks", JSON_KIND_U64, offsetof(struct params, blocks), .min = 1, .max = 1000},
	{"size", JSON_KIND_U32, offsetof(struct params, size)},
	{"offset", JSON_KIND_I64, offsetof(struct params, offset)},
	{"read_only", JSON_KIND_BOOL, offsetof(struct params, read_only)},
	{"rate", JSON_KIND_DOUBLE, offsetof(struct params, rate)},
	{"object", JSON_KIND_OBJECT, offsetof(struct params, object)},
	{"array", JSON_KIND_ARRAY, offsetof(struct params, array)},
	{"any", JSON_KIND_ANY, offsetof(struct params, any)},
};

static void every_kind_is_stored(void **state)
{
	_cleanup_json_ json_t *json = json_loads(
		"{\"name\":\"d0\",\"blocks\":1000,\"size\":4294967295,\"offset\":-5,"
		"\"read_only\":true,\"rate\":3,\"object\":{},\"array\":[1],\"any\":null}",
		JSON_ALLOW_NUL, NULL);
	struct params p = {0};
	struct err err = {0};

	assert_int_equal(json_decode(json, fields, ARRAY_LEN(fields), &p, &err), 0);
	assert_string_equal(p.name, "d0");
	assert_int_equal(p.blocks, 1000);
	assert_true(p.size == UINT32_MAX);
	assert_true(p.offset == -5);
	assert_true(p.read_only);
	assert_true(p.rate == 3.0);
	assert_true(json_is_object(p.object));
	assert_int_equal(json_array_size(p.array), 1);
	assert_true(json_is_null(p.any));
}

static void absent_and_null_keep_the_defaults(void **state)
{
	_cleanup_json_ json_t *json = json_loads("{\"name\":\"x\",\"blocks\":null}", 0, NULL);
	struct params p = {.blocks = 77, .size = 512};

	assert_int_equal(json_decode(json, fields, ARRAY_LEN(fields), &p, NULL), 0);
	assert_int_equal(p.blocks, 77);
	assert_int_equal(p.size, 512);
	assert_null(p.any);
}

static void no_params_suffice_when_nothing_is_required(void **state)
{
	struct params p = {.size = 5};
	struct err err = {0};

	assert_int_equal(json_decode(NULL, fields + 1, ARRAY_LEN(fields) - 1, &p, &err), 0);
	assert_int_equal(json_decode(json_null(), NULL, 0, &p, &err), 0);
	assert_int_equal(p.size, 5);
	assert_int_equal(json_decode(NULL, fields, ARRAY_LEN(fields), &p, &err), -EINVAL);
	assert_string_equal(err.text, "name is required (a string)");
}

static void refusals_name_member_expectation_and_value(void **state)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{"[1]", "expected an object with named members, got an array"},
		{"{}", "name is required (a string)"},
		{"{\"name\":null}", "name: expected a string, got null"},
		{"{\"name\":7}", "name: expected a string, got 7"},
		{"{\"name\":\"a\\u0000b\"}", "name: a string may not contain \\u0000"},
		{"{\"name\":\"a\",\"blocks\":0}",
		 "blocks: expected an integer from 1 to 1000, got 0"},
		{"{\"name\":\"a\",\"blocks\":1001}",
		 "blocks: expected an integer from 1 to 1000, got 1001"},
		{"{\"name\":\"a\",\"blocks\":1.5}", "blocks: expected an integer, got 1.5"},
		{"{\"name\":\"a\",\"blocks\":\"12\"}", "blocks: expected an integer, got 12"},
		{"{\"name\":\"a\",\"size\":4294967296}",
		 "size: expected an integer from 0 to 4294967295, got 4294967296"},
		{"{\"name\":\"a\",\"size\":-1}",
		 "size: expected an integer from 0 to 4294967295, got -1"},
		{"{\"name\":\"a\",\"read_only\":1}", "read_only: expected true or false, got 1"},
		{"{\"name\":\"a\",\"rate\":true}", "rate: expected a number, got true"},
		{"{\"name\":\"a\",\"object\":[]}", "object: expected an object, got an array"},
		{"{\"name\":\"a\",\"array\":{}}", "array: expected an array, got an object"},
		{"{\"name\":\"a\",\"nmae x\":1}",
		 "unknown member \"nmae x\"; known are: name, blocks, size, offset, read_only, "
		 "rate, object, array, any"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ json_t *json = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);
		struct params p = {.blocks = 3};
		struct err err = {0};

		assert_non_null(json);
		assert_int_equal(json_decode(json, fields, ARRAY_LEN(fields), &p, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].text);
		assert_null(p.name);
		assert_int_equal(p.blocks, 3);
	}
}

static void text_is_compact(void **state)
{
	_cleanup_json_ json_t *json = json_loads("{ \"a\" : [ 1, true ] }", 0, NULL);
	_cleanup_free_ char *text = json_text(json);
	_cleanup_free_ char *one = json_text(json_true());

	assert_string_equal(text, "{\"a\":[1,true]}");
	assert_string_equal(one, "true");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_stored),
		cmocka_unit_test(absent_and_null_keep_the_defaults),
		cmocka_unit_test(no_params_suffice_when_nothing_is_required),
		cmocka_unit_test(refusals_name_member_expectation_and_value),
		cmocka_unit_test(text_is_compact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
