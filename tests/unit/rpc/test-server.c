/* SPDX-License-Identifier: Apache-2.0 */
/* The server with well-behaved clients: requests, batches, notifications, states, local calls. */
#include "server_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/json.h"

#define OK(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"

static struct raw a;

static void request_is_answered(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"x\":[1]},\"id\":7}");
	raw_expect(&a, OK("7", "{\"x\":[1]}"));
	raw_say(&a, "{\"method\":\"echo\",\"id\":\"s\"}");
	raw_expect(&a, OK("\"s\"", "true"));
	raw_close(&a);
}

static void request_may_come_byte_by_byte(void **state)
{
	static const char *const text = "{\"method\":\"echo\",\"params\":[\"}{\\\"\"],\"id\":1}";

	fixture_start();
	raw_open(&a);
	for (size_t i = 0; i < strlen(text); i++) {
		raw_send(&a, text + i, 1);
		(void)reactor_pass(fix.r, 0);
	}
	raw_expect(&a, OK("1", "[\"}{\\\"\"]"));
	raw_close(&a);
}

static void requests_in_one_write_are_answered_in_order(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "{\"method\":\"count\",\"id\":1}{\"method\":\"count\",\"id\":2}\n"
		    "{\"method\":\"count\",\"id\":3} ");
	raw_expect(&a, OK("1", "1"));
	raw_expect(&a, OK("2", "2"));
	raw_expect(&a, OK("3", "3"));
	raw_close(&a);
}

static void answers_may_come_later_and_in_any_order(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "{\"method\":\"hold\",\"id\":1}{\"method\":\"echo\",\"id\":2}");
	raw_expect(&a, OK("2", "true"));
	raw_say(&a, "{\"method\":\"release\",\"id\":3}");
	raw_expect(&a, OK("1", "\"held\""));
	raw_expect(&a, OK("3", "true"));
	raw_close(&a);
}

static void failures_carry_code_and_reason(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "{\"method\":\"fail\",\"id\":1}");
	raw_expect(&a, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-19,"
		       "\"message\":\"no device d0\"}}");
	raw_say(&a, "{\"method\":\"refuse\",\"id\":2}");
	raw_expect(&a, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32602,"
		       "\"message\":\"name is required\"}}");
	raw_say(&a, "{\"method\":\"nothing\",\"id\":3}");
	raw_expect_error(&a, RPC_ERR_METHOD_NOT_FOUND, "3");
	raw_say(&a, "{\"method\":7,\"id\":4}");
	raw_expect_error(&a, RPC_ERR_INVALID_REQUEST, "4");
	raw_say(&a, "{\"method\":\"echo\",\"id\":5}");
	raw_expect(&a, OK("5", "true"));
	raw_close(&a);
}

static void methods_have_their_state(void **state)
{
	fixture_start();
	raw_open(&a);
	assert_int_equal(rpc_server_state(fix.server), RPC_STARTUP);
	raw_say(&a, "{\"method\":\"early\",\"id\":1}{\"method\":\"normal\",\"id\":2}");
	raw_expect(&a, OK("1", "true"));
	raw_expect_error(&a, RPC_ERR_INVALID_STATE, "2");
	rpc_server_set_state(fix.server, RPC_RUNTIME);
	raw_say(&a, "{\"method\":\"early\",\"id\":3}{\"method\":\"normal\",\"id\":4}");
	raw_expect_error(&a, RPC_ERR_INVALID_STATE, "3");
	raw_expect(&a, OK("4", "true"));
	raw_close(&a);
}

static void notifications_are_carried_out_and_not_answered(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "{\"method\":\"count\"}{\"method\":\"nothing\"}{\"method\":\"fail\"}"
		    "{\"method\":\"count\",\"id\":null}");
	raw_expect(&a, OK("null", "2"));
	raw_close(&a);
}

static void batch_is_answered_when_all_of_it_is(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a, "[{\"method\":\"hold\",\"id\":1},{\"method\":\"echo\",\"id\":2},"
		    "{\"method\":\"count\"},5,{\"method\":\"nothing\",\"id\":3}]");
	raw_say(&a, "{\"method\":\"echo\",\"id\":4}");
	raw_expect(&a, OK("4", "true"));
	assert_int_equal(fix.counted, 1);
	release_held();
	raw_expect(&a, "[" OK("2", "true") ","
					   "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-"
					   "32600,\"message\":"
					   "\"Invalid request: expected an object\"}},"
					   "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-"
					   "32601,\"message\":"
					   "\"Method not found: nothing; rpc_get_methods lists "
					   "what there is\"}}," OK("1", "\"held\"") "]");
	raw_close(&a);
}

static void batch_of_notifications_is_not_answered(void **state)
{
	fixture_start();
	raw_open(&a);
	raw_say(&a,
		"[{\"method\":\"count\"},{\"method\":\"count\"}]{\"method\":\"count\",\"id\":1}");
	raw_expect(&a, OK("1", "3"));
	raw_close(&a);
}

static void odd_batches_are_refused_and_the_client_goes_on(void **state)
{
	char text[8192];
	size_t len = 0;

	fixture_start();
	raw_open(&a);
	raw_say(&a, "[]");
	raw_expect_error(&a, RPC_ERR_INVALID_REQUEST, "null");
	text[len++] = '[';
	for (int i = 0; i < 1025; i++) {
		memcpy(text + len, "{},", 3);
		len += 3;
	}
	text[len - 1] = ']';
	raw_send(&a, text, len);
	raw_expect_error(&a, RPC_ERR_INVALID_REQUEST, "null");
	raw_say(&a, "{\"method\":\"echo\",\"id\":1}");
	raw_expect(&a, OK("1", "true"));
	raw_close(&a);
}

struct local {
	unsigned calls;
	int code;
	json_t *result;
};

static void local_done(void *ctx, const json_t *result, const struct err *err)
{
	struct local *l = ctx;

	l->calls++;
	l->code = err ? err->code : 0;
	assert_true(!result != !err);
	json_decref(l->result);
	l->result = json_deep_copy(result);
}

static void local_calls_need_no_client_and_no_state(void **state)
{
	_cleanup_json_ json_t *params = json_pack("[i]", 5);
	struct local l = {0};

	fixture_start();
	rpc_call_local(fix.server, "normal", params, local_done, &l);
	assert_int_equal(l.calls, 1);
	assert_true(json_equal(l.result, params));
	rpc_call_local(fix.server, "fail", NULL, local_done, &l);
	assert_int_equal(l.code, -ENODEV);
	rpc_call_local(fix.server, "refuse", NULL, local_done, &l);
	assert_int_equal(l.code, RPC_ERR_INVALID_PARAMS);
	rpc_call_local(fix.server, "nothing", NULL, local_done, &l);
	assert_int_equal(l.code, RPC_ERR_METHOD_NOT_FOUND);
	rpc_call_local(fix.server, "hold", NULL, local_done, &l);
	assert_int_equal(l.calls, 4);
	rpc_server_free(fix.server);
	fix.server = NULL;
	release_held();
	assert_int_equal(l.calls, 5);
	json_decref(l.result);
}

static void socket_is_for_its_owner_alone(void **state)
{
	struct stat st;

	fixture_start();
	assert_int_equal(stat(fix.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ptr_equal(rpc_server_methods(fix.server), fixture_methods);
}

static void second_server_on_the_path_is_refused(void **state)
{
	struct rpc_server *second = NULL;
	struct err err = {0};

	fixture_start();
	assert_int_equal(rpc_server_new(fix.r, &fix.opts, &second, &err), -EADDRINUSE);
	assert_true(err.text[0]);
	raw_open(&a);
	raw_say(&a, "{\"method\":\"echo\",\"id\":1}");
	raw_expect(&a, OK("1", "true"));
	raw_close(&a);
}

static void senseless_limits_are_refused(void **state)
{
	struct rpc_server *s = NULL;
	struct err err = {0};
	char long_path[200];

	memset(long_path, 'x', sizeof(long_path));
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	fix.opts.path = long_path;
	assert_int_equal(rpc_server_new(fix.r, &fix.opts, &s, &err), -ENAMETOOLONG);
	fix.opts.path = fix.path;
	fix.opts.clients_max = 0;
	assert_int_equal(rpc_server_new(fix.r, &fix.opts, &s, &err), -EINVAL);
	assert_null(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(request_is_answered),
		TEST(request_may_come_byte_by_byte),
		TEST(requests_in_one_write_are_answered_in_order),
		TEST(answers_may_come_later_and_in_any_order),
		TEST(failures_carry_code_and_reason),
		TEST(methods_have_their_state),
		TEST(notifications_are_carried_out_and_not_answered),
		TEST(batch_is_answered_when_all_of_it_is),
		TEST(batch_of_notifications_is_not_answered),
		TEST(odd_batches_are_refused_and_the_client_goes_on),
		TEST(local_calls_need_no_client_and_no_state),
		TEST(socket_is_for_its_owner_alone),
		TEST(second_server_on_the_path_is_refused),
		TEST(senseless_limits_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
