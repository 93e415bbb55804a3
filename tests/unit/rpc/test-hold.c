/* SPDX-License-Identifier: Apache-2.0 */
/* Clients while an upgrade is under way: what changes something waits, and what waits goes to the next server with its client. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tlv.h"
#include "server_fixture.h"

#define COUNT "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":1}"

/* The answer of the nth call of count. */
static void expect_count(struct raw *c, int nth)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%d}", nth);
	raw_expect(c, text);
}

static int fds[16];
static unsigned n_fds;

static int take(void *ctx, unsigned k)
{
	return k < n_fds ? dup(fds[k]) : -1;
}

static void a_held_request_is_carried_out_after_the_hold(void **state)
{
	static struct raw c;
	const char *method = NULL;

	fixture_start();
	raw_open(&c);
	rpc_server_hold(fix.server, RPC_HOLD_CHANGES);
	raw_say(&c, COUNT);
	pump_some();
	assert_int_equal(fix.counted, 0);
	assert_int_equal(rpc_server_busy(fix.server, &method), 0);
	rpc_server_hold(fix.server, RPC_HOLD_NONE);
	expect_count(&c, 1);
	assert_int_equal(fix.counted, 1);
	raw_close(&c);
}

static void a_call_under_way_is_named(void **state)
{
	static struct raw c;
	const char *method = NULL;

	fixture_start();
	raw_open(&c);
	raw_say(&c, "{\"jsonrpc\":\"2.0\",\"method\":\"hold\",\"id\":1}");
	pump_some();
	rpc_server_hold(fix.server, RPC_HOLD_CHANGES);
	assert_int_equal(rpc_server_busy(fix.server, &method), 1);
	assert_string_equal(method, "hold");
	release_held();
	assert_int_equal(rpc_server_busy(fix.server, &method), 0);
	raw_close(&c);
}

static void a_frozen_server_thaws(void **state)
{
	static struct raw c;

	fixture_start();
	raw_open(&c);
	pump_some();
	rpc_server_hold(fix.server, RPC_HOLD_ALL);
	raw_say(&c, COUNT);
	pump_some();
	rpc_server_freeze(fix.server);
	pump_some();
	assert_int_equal(fix.counted, 0);
	rpc_server_thaw(fix.server);
	expect_count(&c, 1);
	raw_close(&c);
}

/* One client with a request that waits, one within a request, one with nothing, and one that comes while nobody accepts. */
static void clients_go_to_the_next_server(void **state)
{
	struct rpc_server_opts opts;
	struct rpc_server *next;
	struct tlv_writer w;
	struct tlv_reader r;
	struct tlv rec;
	struct err err = {0};
	static struct raw waits, partial, idle, late;

	fixture_start();
	raw_open(&waits);
	raw_open(&partial);
	raw_open(&idle);
	pump_some();
	rpc_server_hold(fix.server, RPC_HOLD_ALL);
	raw_say(&waits, COUNT);
	raw_send(&partial, COUNT, 20);
	pump_some();
	rpc_server_freeze(fix.server);
	raw_open(&late);
	tlv_writer_init(&w);
	n_fds = 0;
	assert_int_equal(rpc_server_save(fix.server, &w, fds, 16, &n_fds), 0);
	assert_int_equal(n_fds, 3);
	opts = fix.opts;
	opts.listen_fd = dup(rpc_server_listen_fd(fix.server));
	assert_int_equal(rpc_server_new(fix.r, &opts, &next, &err), 0);
	tlv_reader_init(&r, w.buf, w.len);
	while (tlv_next(&r, &rec) == 1)
		assert_int_equal(rpc_server_restore(next, &rec, take, NULL, &err), 0);
	pump_some();
	assert_int_equal(fix.counted, 0);
	rpc_server_set_state(next, RPC_RUNTIME);
	rpc_server_thaw(next);
	expect_count(&waits, 1);
	raw_say(&partial, &COUNT[20]);
	expect_count(&partial, 2);
	raw_say(&idle, COUNT);
	expect_count(&idle, 3);
	raw_say(&late, COUNT);
	expect_count(&late, 4);
	assert_int_equal(fix.counted, 4);
	tlv_writer_fini(&w);
	rpc_server_free(next);
	raw_close(&waits);
	raw_close(&partial);
	raw_close(&idle);
	raw_close(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_held_request_is_carried_out_after_the_hold,
						fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_call_under_way_is_named, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_frozen_server_thaws, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(clients_go_to_the_next_server, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
