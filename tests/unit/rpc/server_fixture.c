/* SPDX-License-Identifier: Apache-2.0 */
#include "server_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "rt/blocking.h"
#include "rt/uring.h"

#define PASSES_MAX   20000
#define PASS_WAIT_NS NSEC_PER_MSEC

struct fixture fix;

static void method_echo(struct rpc_call *call, const json_t *params, void *ctx)
{
	rpc_reply(call, params ? json_incref((json_t *)(uintptr_t)params) : NULL);
}

static void method_count(struct rpc_call *call, const json_t *params, void *ctx)
{
	fix.counted++;
	rpc_reply(call, json_integer(fix.counted));
}

static void method_fail(struct rpc_call *call, const json_t *params, void *ctx)
{
	rpc_fail(call, -ENODEV, "no device %s", "d0");
}

static void method_refuse(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct err err = {0};

	(void)err_set(&err, -EINVAL, "name is required");
	rpc_fail_err(call, &err);
}

static void method_hold(struct rpc_call *call, const json_t *params, void *ctx)
{
	assert_true(fix.n_held < HELD_MAX);
	assert_string_equal(rpc_call_method(call), "hold");
	fix.held[fix.n_held++] = call;
}

static void method_release(struct rpc_call *call, const json_t *params, void *ctx)
{
	release_held();
	rpc_reply(call, NULL);
}

/* A string of params[0] bytes. */
static void method_big(struct rpc_call *call, const json_t *params, void *ctx)
{
	size_t n = (size_t)json_integer_value(json_array_get(params, 0));
	_cleanup_free_ char *text = malloc(n);

	assert_non_null(text);
	memset(text, 'x', n);
	rpc_reply(call, json_stringn(text, n));
}

const struct rpc_method fixture_methods[] = {
	{"echo", RPC_STARTUP | RPC_RUNTIME, method_echo, ""},
	{"count", RPC_STARTUP | RPC_RUNTIME, method_count, ""},
	{"fail", RPC_STARTUP | RPC_RUNTIME, method_fail, ""},
	{"refuse", RPC_STARTUP | RPC_RUNTIME, method_refuse, ""},
	{"hold", RPC_STARTUP | RPC_RUNTIME, method_hold, ""},
	{"release", RPC_STARTUP | RPC_RUNTIME, method_release, ""},
	{"big", RPC_STARTUP | RPC_RUNTIME, method_big, ""},
	{"early", RPC_STARTUP, method_echo, ""},
	{"normal", RPC_RUNTIME, method_echo, ""},
	{NULL, 0, NULL, NULL},
};

static void no_log(const char *line, size_t len)
{
}

void fixture_new(bool driven)
{
	const struct reactor_opts opts = {.name = "test", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct err err = {0};
	struct env *env;

	memset(&fix, 0, sizeof(fix));
	log_set_sink(no_log);
	(void)snprintf(fix.dir, sizeof(fix.dir), "/tmp/litepool-test-XXXXXX");
	assert_non_null(mkdtemp(fix.dir));
	(void)snprintf(fix.path, sizeof(fix.path), "%s/rpc.sock", fix.dir);
	assert_int_equal(uring_env_new(NULL, &env, &err), 0);
	assert_int_equal(reactor_new(&opts, env, &fix.r, &err), 0);
	if (driven)
		(void)reactor_pass(fix.r, 0);
	fix.opts = rpc_server_opts_default();
	fix.opts.path = fix.path;
	fix.opts.methods = fixture_methods;
}

int fixture_setup(void **state)
{
	fixture_new(true);
	return 0;
}

int fixture_teardown(void **state)
{
	rpc_server_free(fix.server);
	release_held();
	pump_some();
	fixture_free();
	return 0;
}

void fixture_free(void)
{
	reactor_free(fix.r);
	assert_int_equal(access(fix.path, F_OK), -1);
	assert_int_equal(rmdir(fix.dir), 0);
}

void fixture_start(void)
{
	struct err err = {0};

	if (rpc_server_new(fix.r, &fix.opts, &fix.server, &err))
		fail_msg("%s", err.text);
}

void pump_until(bool (*done)(void *ctx), void *ctx)
{
	for (int i = 0; i < PASSES_MAX; i++) {
		if (done(ctx))
			return;
		(void)reactor_pass(fix.r, PASS_WAIT_NS);
	}
	fail_msg("what the test waits for does not come");
}

void pump_some(void)
{
	for (int i = 0; i < 20; i++)
		(void)reactor_pass(fix.r, 0);
}

void release_held(void)
{
	while (fix.n_held)
		rpc_reply(fix.held[--fix.n_held], json_string("held"));
}

void raw_open(struct raw *c)
{
	c->len = 0;
	c->ended = false;
	c->fd = blocking_connect_unix(fix.path, blocking_deadline(60000));
	assert_true(c->fd >= 0);
	pump_some();
}

void raw_close(struct raw *c)
{
	assert_int_equal(close(c->fd), 0);
	pump_some();
}

void raw_send(struct raw *c, const char *text, size_t len)
{
	int passes = 0;

	while (len) {
		ssize_t n = send(c->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN)
			return; /* The server closed; what it said comes first. */
		assert_true(passes++ < PASSES_MAX);
		(void)reactor_pass(fix.r, PASS_WAIT_NS);
	}
}

void raw_say(struct raw *c, const char *text)
{
	raw_send(c, text, strlen(text));
}

static void raw_receive(struct raw *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, sizeof(c->in) - c->len, MSG_DONTWAIT);

	if (n > 0)
		c->len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		c->ended = true;
}

static bool line_is_there(void *ctx)
{
	struct raw *c = ctx;

	raw_receive(c);
	return memchr(c->in, '\n', c->len) || c->ended;
}

void raw_line(struct raw *c, char *text, size_t size)
{
	const char *end;
	size_t n;

	pump_until(line_is_there, c);
	end = memchr(c->in, '\n', c->len);
	assert_non_null(end);
	n = (size_t)(end - c->in);
	assert_true(n < size);
	memcpy(text, c->in, n);
	text[n] = '\0';
	c->len -= n + 1;
	memmove(c->in, end + 1, c->len);
}

void raw_expect(struct raw *c, const char *line)
{
	char text[4096];

	raw_line(c, text, sizeof(text));
	assert_string_equal(text, line);
}

void raw_expect_error(struct raw *c, int code, const char *id)
{
	char text[4096];
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *got_id = NULL;

	raw_line(c, text, sizeof(text));
	json = json_loads(text, 0, NULL);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "error"), "code")), code);
	got_id = json_text(json_object_get(json, "id"));
	assert_string_equal(got_id, id);
}

static bool stream_has_ended(void *ctx)
{
	struct raw *c = ctx;

	c->len = 0;
	raw_receive(c);
	return c->ended;
}

void raw_expect_end(struct raw *c)
{
	assert_int_equal(c->len, 0);
	pump_until(stream_has_ended, c);
	assert_int_equal(c->len, 0);
}
