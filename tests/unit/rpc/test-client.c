/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking client against a server in a thread of its own, and against nobody. */
#include "server_fixture.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

static struct msg start_msg, stop_msg;
static int pipe_fds[2];

static void tell(void)
{
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
}

static void await(void)
{
	char c;

	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
}

static void start_on_reactor(struct msg *msg)
{
	fixture_start();
	tell();
}

static void stop_on_reactor(struct msg *msg)
{
	rpc_server_free(fix.server);
	fix.server = NULL;
	release_held();
	tell();
}

static int threaded_setup(void **state)
{
	struct err err = {0};

	fixture_new(false);
	assert_int_equal(pipe(pipe_fds), 0);
	start_msg.run = start_on_reactor;
	stop_msg.run = stop_on_reactor;
	reactor_post(fix.r, &start_msg);
	assert_int_equal(reactor_start(fix.r, &err), 0);
	await();
	return 0;
}

static void stop_server(void)
{
	reactor_post(fix.r, &stop_msg);
	await();
}

static int threaded_teardown(void **state)
{
	stop_server();
	reactor_stop(fix.r);
	reactor_join(fix.r);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	fixture_free();
	return 0;
}

static struct rpc_client *client_open(int timeout_ms)
{
	struct rpc_client *c = NULL;
	struct err err = {0};

	assert_int_equal(rpc_client_open(fix.path, timeout_ms, &c, &err), 0);
	return c;
}

static void calls_give_results(void **state)
{
	struct rpc_client *c = client_open(60000);
	_cleanup_json_ json_t *params = json_pack("{s:s}", "a", "b");
	json_t *result = NULL;
	struct err err = {0};

	for (int i = 0; i < 3; i++) {
		assert_int_equal(rpc_client_call(c, "echo", params, &result, &err), 0);
		assert_true(json_equal(result, params));
		json_decref(result);
	}
	assert_int_equal(rpc_client_call(c, "echo", NULL, NULL, NULL), 0);
	rpc_client_close(c);
}

static void failures_give_code_and_text(void **state)
{
	struct rpc_client *c = client_open(60000);
	struct err err = {0};

	assert_int_equal(rpc_client_call(c, "fail", NULL, NULL, &err), -ENODEV);
	assert_string_equal(err.text, "no device d0");
	assert_int_equal(rpc_client_call(c, "nothing", NULL, NULL, NULL), RPC_ERR_METHOD_NOT_FOUND);
	assert_int_equal(rpc_client_call(c, "echo", NULL, NULL, &err), 0);
	rpc_client_close(c);
}

static void large_answers_arrive_whole(void **state)
{
	struct rpc_client *c = client_open(60000);
	_cleanup_json_ json_t *params = json_pack("[i]", 5000000);
	_cleanup_json_ json_t *result = NULL;
	struct err err = {0};

	assert_int_equal(rpc_client_call(c, "big", params, &result, &err), 0);
	assert_int_equal(json_string_length(result), 5000000);
	rpc_client_close(c);
}

static void silence_ends_with_the_timeout_and_the_client(void **state)
{
	struct rpc_client *c = client_open(50);
	struct err err = {0};

	assert_int_equal(rpc_client_call(c, "hold", NULL, NULL, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "no answer within 50 ms"));
	assert_int_equal(rpc_client_call(c, "echo", NULL, NULL, &err), -ETIMEDOUT);
	rpc_client_close(c);
}

static void server_that_ends_is_noticed(void **state)
{
	struct rpc_client *c = client_open(60000);
	struct err err = {0};

	assert_int_equal(rpc_client_call(c, "echo", NULL, NULL, &err), 0);
	stop_server();
	assert_int_equal(rpc_client_call(c, "echo", NULL, NULL, &err), -EPIPE);
	assert_non_null(strstr(err.text, "closed the connection"));
	rpc_client_close(c);
}

static void client_too_many_hears_why(void **state)
{
	struct rpc_client *clients[65];
	struct err err = {0};

	for (size_t i = 0; i < 65; i++)
		clients[i] = client_open(60000);
	assert_int_equal(rpc_client_call(clients[63], "echo", NULL, NULL, &err), 0);
	assert_int_equal(rpc_client_call(clients[64], "echo", NULL, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.text, "64 clients"));
	for (size_t i = 0; i < 65; i++)
		rpc_client_close(clients[i]);
}

static void absent_server_is_explained(void **state)
{
	struct rpc_client *c = NULL;
	struct err err = {0};
	char long_path[300];

	assert_int_equal(rpc_client_open("/nonexistent/rpc.sock", 100, &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, "is the engine running"));
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(rpc_client_open(long_path, 100, &c, &err), -ENAMETOOLONG);
	assert_null(c);
	rpc_client_close(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, threaded_setup, threaded_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_give_results),
		TEST(failures_give_code_and_text),
		TEST(large_answers_arrive_whole),
		TEST(silence_ends_with_the_timeout_and_the_client),
		TEST(server_that_ends_is_noticed),
		TEST(client_too_many_hears_why),
		cmocka_unit_test(absent_server_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
