/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers as JSON. */
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
#include "rpc/request.h"
#include "rpc/rpc.h"

static json_t *parse(const char *text)
{
	struct err err = {0};
	json_t *json = rpc_request_parse(text, strlen(text), &err);

	assert_non_null(json);
	return json;
}

static void full_request_is_decoded(void **state)
{
	_cleanup_json_ json_t *json =
		parse("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\"a\":1},\"id\":\"x\"}");
	struct rpc_request r;

	assert_int_equal(rpc_request_decode(json, &r, NULL), 0);
	assert_string_equal(r.method, "m");
	assert_true(json_is_object(r.params));
	assert_string_equal(json_string_value(r.id), "x");
}

static void absent_id_is_a_notification_and_null_is_not(void **state)
{
	_cleanup_json_ json_t *absent = parse("{\"method\":\"m\",\"params\":null}");
	_cleanup_json_ json_t *null = parse("{\"method\":\"m\",\"id\":null}");
	struct rpc_request r;

	assert_int_equal(rpc_request_decode(absent, &r, NULL), 0);
	assert_null(r.id);
	assert_null(r.params);
	assert_int_equal(rpc_request_decode(null, &r, NULL), 0);
	assert_true(json_is_null(r.id));
}

static void invalid_requests_say_why_and_keep_a_valid_id(void **state)
{
	static const struct {
		const char *text, *why, *id;
	} cases[] = {
		{"[]", "Invalid request: expected an object", "null"},
		{"{}", "Invalid request: method must be a string", "null"},
		{"{\"method\":1,\"id\":5}", "Invalid request: method must be a string", "5"},
		{"{\"method\":\"m\",\"id\":5,\"jsonrpc\":\"1.0\"}",
		 "Invalid request: jsonrpc must be \"2.0\"", "5"},
		{"{\"method\":\"m\",\"id\":5,\"jsonrpc\":2.0}",
		 "Invalid request: jsonrpc must be \"2.0\"", "5"},
		{"{\"method\":\"m\",\"id\":{},\"params\":[]}",
		 "Invalid request: id must be a string, a number or null", "null"},
		{"{\"method\":\"m\",\"id\":\"a\",\"params\":7}",
		 "Invalid request: params must be an object or an array", "\"a\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ json_t *json = parse(cases[i].text);
		_cleanup_free_ char *id = NULL;
		struct err err = {0};
		struct rpc_request r;

		assert_int_equal(rpc_request_decode(json, &r, &err), RPC_ERR_INVALID_REQUEST);
		assert_string_equal(err.text, cases[i].why);
		id = json_text(r.id);
		assert_string_equal(id, cases[i].id);
	}
}

static void bad_json_says_where(void **state)
{
	static const char *const bad[] = {"{\"a\":]",
					  "{\"a\":1,\"a\":2}",
					  "{\"a\":\"\\u0000\"}",
					  "{\"a\":\"\xff\"}",
					  "{} {}",
					  "7",
					  ""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};

		assert_null(rpc_request_parse(bad[i], strlen(bad[i]), &err));
		assert_int_equal(err.code, RPC_ERR_PARSE);
		assert_memory_equal(err.text, "Parse error: ", 13);
		assert_non_null(strstr(err.text, "line 1"));
	}
}

static void answers_have_the_shape_of_the_specification(void **state)
{
	_cleanup_json_ json_t *id = json_integer(7);
	_cleanup_json_ json_t *result = rpc_response_result(id, json_true());
	_cleanup_json_ json_t *error = rpc_response_error(NULL, RPC_ERR_PARSE, "no");
	_cleanup_free_ char *result_text = json_text(result);
	_cleanup_free_ char *error_text = json_text(error);

	assert_string_equal(result_text, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":true}");
	assert_string_equal(error_text, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":"
					"{\"code\":-32700,\"message\":\"no\"}}");
}

static void message_that_is_not_utf8_is_sent_as_ascii(void **state)
{
	_cleanup_json_ json_t *error = rpc_response_error(NULL, -EIO, "disk \xc3 bad");

	assert_string_equal(
		json_string_value(json_object_get(json_object_get(error, "error"), "message")),
		"disk ? bad");
}

static void clients_understand_answers(void **state)
{
	_cleanup_json_ json_t *result = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1]}");
	_cleanup_json_ json_t *error =
		parse("{\"id\":1,\"error\":{\"code\":-19,\"message\":\"no device\"}}");
	struct err err = {0};

	assert_int_equal(json_array_size(rpc_response_decode(result, &err)), 1);
	assert_null(rpc_response_decode(error, &err));
	assert_int_equal(err.code, -ENODEV);
	assert_string_equal(err.text, "no device");
}

static void answers_that_are_none_are_protocol_errors(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"error\":7}",
		"{\"error\":{\"code\":0,\"message\":\"x\"}}",
		"{\"error\":{\"code\":-99999999999,\"message\":\"x\"}}",
		"{\"error\":{\"code\":-1}}",
		"{\"error\":{\"code\":-1,\"message\":7},\"result\":1}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_json_ json_t *json = parse(bad[i]);
		struct err err = {0};

		assert_null(rpc_response_decode(json, &err));
		assert_int_equal(err.code, -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_request_is_decoded),
		cmocka_unit_test(absent_id_is_a_notification_and_null_is_not),
		cmocka_unit_test(invalid_requests_say_why_and_keep_a_valid_id),
		cmocka_unit_test(bad_json_says_where),
		cmocka_unit_test(answers_have_the_shape_of_the_specification),
		cmocka_unit_test(message_that_is_not_utf8_is_sent_as_ascii),
		cmocka_unit_test(clients_understand_answers),
		cmocka_unit_test(answers_that_are_none_are_protocol_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
