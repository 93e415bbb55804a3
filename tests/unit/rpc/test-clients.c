/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are slow, huge, malformed, half closed, gone, or too many: each harms itself, and a good one beside it is served. */
#include "server_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/rng.h"
#include "rt/blocking.h"

#define OK(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"

static struct raw bad, good;

/* Seen without reading. */
static bool server_has_closed(void *ctx)
{
	struct raw *c = ctx;
	struct pollfd p = {.fd = c->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static void start_with_a_good_client(void)
{
	fixture_start();
	raw_open(&good);
}

static void good_client_is_served(void)
{
	raw_say(&good, "{\"method\":\"echo\",\"params\":[\"good\"],\"id\":99}");
	raw_expect(&good, OK("99", "[\"good\"]"));
	raw_close(&good);
}

static void malformed_stream_is_answered_and_closed(void **state)
{
	static const char *const texts[] = {"hello",
					    "{\"method\":]",
					    "]",
					    "{\"a\":1,\"a\":2}",
					    "{\"method\":\"\xff\"}",
					    "\x16\x03\x01 tls"};

	start_with_a_good_client();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		raw_open(&bad);
		raw_say(&bad, texts[i]);
		raw_expect_error(&bad, RPC_ERR_PARSE, "null");
		raw_expect_end(&bad);
		raw_close(&bad);
	}
	good_client_is_served();
}

static void requests_before_a_malformed_one_are_answered(void **state)
{
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"hold\",\"id\":1}{\"method\":\"count\",\"id\":2} oops "
		      "{\"method\":\"count\",\"id\":3}");
	raw_expect(&bad, OK("2", "1"));
	raw_expect_error(&bad, RPC_ERR_PARSE, "null");
	release_held();
	raw_expect(&bad, OK("1", "\"held\""));
	raw_expect_end(&bad);
	assert_int_equal(fix.counted, 1);
	raw_close(&bad);
	good_client_is_served();
}

static void too_large_request_is_answered_and_closed(void **state)
{
	static char text[200000];

	fix.opts.message_max = 100000;
	start_with_a_good_client();
	raw_open(&bad);
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"method\":\"", 11);
	raw_send(&bad, text, sizeof(text));
	raw_expect_error(&bad, RPC_ERR_INVALID_REQUEST, "null");
	raw_expect_end(&bad);
	raw_close(&bad);
	good_client_is_served();
}

static void largest_request_is_served(void **state)
{
	static char text[100000];
	static const char head[] = "{\"method\":\"count\",\"id\":1,\"pad\":\"";

	fix.opts.message_max = sizeof(text);
	start_with_a_good_client();
	memset(text, 'x', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + sizeof(text) - 2, "\"}", 2);
	raw_send(&good, text, sizeof(text));
	raw_expect(&good, OK("1", "1"));
	good_client_is_served();
}

static void too_deep_request_is_answered_and_closed(void **state)
{
	static char text[5000];

	start_with_a_good_client();
	raw_open(&bad);
	memset(text, '[', sizeof(text));
	raw_send(&bad, text, sizeof(text));
	raw_expect_error(&bad, RPC_ERR_PARSE, "null");
	raw_expect_end(&bad);
	raw_close(&bad);
	good_client_is_served();
}

static void half_closed_client_gets_its_answers(void **state)
{
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"hold\",\"id\":1}[{\"method\":\"hold\",\"id\":2}]"
		      "{\"method\":\"echo\",\"id\":3}");
	assert_int_equal(shutdown(bad.fd, SHUT_WR), 0);
	raw_expect(&bad, OK("3", "true"));
	pump_some();
	release_held();
	raw_expect(&bad, "[" OK("2", "\"held\"") "]");
	raw_expect(&bad, OK("1", "\"held\""));
	raw_expect_end(&bad);
	raw_close(&bad);
	good_client_is_served();
}

static void stream_that_ends_inside_a_request_is_told(void **state)
{
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"count\",\"id\":1");
	assert_int_equal(shutdown(bad.fd, SHUT_WR), 0);
	raw_expect_error(&bad, RPC_ERR_PARSE, "null");
	raw_expect_end(&bad);
	assert_int_equal(fix.counted, 0);
	raw_close(&bad);
	good_client_is_served();
}

static void client_that_goes_away_leaves_its_calls_to_end(void **state)
{
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"hold\",\"id\":1}[{\"method\":\"hold\",\"id\":2},"
		      "{\"method\":\"count\",\"id\":3}]{\"method\":\"hold\"}");
	pump_some();
	assert_int_equal(fix.n_held, 3);
	raw_close(&bad);
	release_held();
	good_client_is_served();
}

static void half_sent_request_is_dropped_after_a_while(void **state)
{
	fix.opts.idle_ms = 30;
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"cou");
	raw_expect_error(&bad, RPC_ERR_INVALID_REQUEST, "null");
	raw_expect_end(&bad);
	raw_close(&bad);
	/* The good one said nothing in all that time, which it may. */
	good_client_is_served();
}

static void client_that_does_not_read_is_closed_for_its_size(void **state)
{
	fix.opts.output_max = 2 * MIB;
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"big\",\"params\":[900000],\"id\":1}"
		      "{\"method\":\"big\",\"params\":[2000000],\"id\":2}");
	pump_until(server_has_closed, &bad);
	raw_close(&bad);
	good_client_is_served();
}

static void client_that_does_not_read_is_closed_for_its_sloth(void **state)
{
	fix.opts.idle_ms = 30;
	start_with_a_good_client();
	raw_open(&bad);
	raw_say(&bad, "{\"method\":\"big\",\"params\":[4000000],\"id\":1}");
	pump_until(server_has_closed, &bad);
	raw_close(&bad);
	good_client_is_served();
}

static bool all_that_may_are_held(void *ctx)
{
	return fix.n_held == 64;
}

static bool rest_is_held(void *ctx)
{
	return fix.n_held == 36;
}

static void only_so_many_calls_are_under_way(void **state)
{
	char text[64];

	start_with_a_good_client();
	raw_open(&bad);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(text, sizeof(text), "{\"method\":\"hold\",\"id\":%d}", i);
		raw_say(&bad, text);
	}
	pump_until(all_that_may_are_held, NULL);
	pump_some();
	assert_int_equal(fix.n_held, 64);
	release_held();
	pump_until(rest_is_held, NULL);
	release_held();
	for (int i = 0; i < 100; i++)
		raw_line(&bad, text, sizeof(text));
	raw_close(&bad);
	good_client_is_served();
}

static void client_that_has_to_wait_costs_nothing_meanwhile(void **state)
{
	start_with_a_good_client();
	raw_open(&bad);
	for (int i = 0; i < 70; i++)
		raw_say(&bad, "{\"method\":\"hold\"}");
	pump_until(all_that_may_are_held, NULL);
	while (send(bad.fd, "{}{}{}{}", 8, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	pump_some();
	for (int i = 0; i < 10; i++)
		assert_false(reactor_pass(fix.r, 0));
	raw_close(&bad);
	good_client_is_served();
}

static void flood_without_reading_fills_only_its_own_socket(void **state)
{
	static const char request[] = "{\"method\":\"big\",\"params\":[10000],\"id\":1}";
	unsigned sent = 0;

	start_with_a_good_client();
	raw_open(&bad);
	/* The server stops to read when a mebibyte of answers waits; then the socket fills up. */
	while (send(bad.fd, request, sizeof(request) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		assert_true(sent++ < 100000);
		pump_some();
	}
	assert_int_equal(errno, EAGAIN);
	raw_close(&bad);
	good_client_is_served();
}

static void one_client_too_many_is_told_and_closed(void **state)
{
	static struct raw clients[64];

	fixture_start();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		raw_open(&clients[i]);
	raw_open(&bad);
	raw_expect_error(&bad, -EBUSY, "null");
	raw_expect_end(&bad);
	raw_close(&bad);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		raw_say(&clients[i], "{\"method\":\"echo\",\"id\":1}");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		raw_expect(&clients[i], OK("1", "true"));
	raw_close(&clients[17]);
	raw_open(&good);
	good_client_is_served();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		if (i != 17)
			raw_close(&clients[i]);
}

static void want_of_descriptors_delays_new_clients(void **state)
{
	struct rlimit before, none;

	start_with_a_good_client();
	bad = (struct raw){.fd = blocking_connect_unix(fix.path, blocking_deadline(60000))};
	assert_true(bad.fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 1, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	pump_some();
	/* The listener stays readable and must not be spun on. */
	assert_false(reactor_pass(fix.r, 0));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	raw_say(&bad, "{\"method\":\"echo\",\"id\":1}");
	raw_expect(&bad, OK("1", "true"));
	raw_close(&bad);
	good_client_is_served();
}

static void end_of_the_server_ends_its_clients(void **state)
{
	start_with_a_good_client();
	raw_say(&good, "{\"method\":\"hold\",\"id\":1}{\"method\":\"echo\",\"id\":2}");
	pump_some();
	rpc_server_free(fix.server);
	fix.server = NULL;
	release_held();
	raw_expect(&good, OK("2", "true"));
	raw_expect_end(&good);
	raw_close(&good);
}

/* Clients in random pieces, order and number of requests; some leave. Those that stay get every answer once, in order. */
static void random_splits_and_departures(void **state)
{
	enum { CLIENTS = 12, ROUNDS = 3000 };
	static struct raw clients[CLIENTS];
	static char stream[CLIENTS][512];
	size_t len[CLIENTS] = {0}, at[CLIENTS] = {0};
	unsigned sent[CLIENTS] = {0}, got[CLIENTS] = {0};
	struct rng rng;
	char want[128];

	fixture_start();
	rng_seed(&rng, 12);
	for (size_t i = 0; i < CLIENTS; i++)
		raw_open(&clients[i]);
	for (int round = 0; round < ROUNDS; round++) {
		size_t i = rng_below(&rng, CLIENTS);
		struct raw *c = &clients[i];

		if (at[i] == len[i]) {
			while (got[i] < sent[i]) {
				(void)snprintf(want, sizeof(want), OK("%u", "[%zu]"), got[i]++, i);
				raw_expect(c, want);
			}
			if (rng_chance(&rng, 0.05)) {
				raw_close(c);
				raw_open(c);
				sent[i] = got[i] = 0;
			}
			len[i] = (size_t)snprintf(stream[i], sizeof(stream[i]),
						  "{\"method\":\"echo\",\"params\":[%zu],\"id\":%u}"
						  " [{\"method\":\"count\"}]\n",
						  i, sent[i]++);
			at[i] = 0;
		}
		if (rng_chance(&rng, 0.01)) {
			raw_close(c);
			raw_open(c);
			sent[i] = got[i] = 0;
			at[i] = len[i] = 0;
			continue;
		}
		size_t n = MIN(1 + rng_below(&rng, 40), len[i] - at[i]);

		raw_send(c, stream[i] + at[i], n);
		at[i] += n;
		if (rng_chance(&rng, 0.5))
			(void)reactor_pass(fix.r, 0);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		raw_close(&clients[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malformed_stream_is_answered_and_closed),
		TEST(requests_before_a_malformed_one_are_answered),
		TEST(too_large_request_is_answered_and_closed),
		TEST(largest_request_is_served),
		TEST(too_deep_request_is_answered_and_closed),
		TEST(half_closed_client_gets_its_answers),
		TEST(stream_that_ends_inside_a_request_is_told),
		TEST(client_that_goes_away_leaves_its_calls_to_end),
		TEST(half_sent_request_is_dropped_after_a_while),
		TEST(client_that_does_not_read_is_closed_for_its_size),
		TEST(client_that_does_not_read_is_closed_for_its_sloth),
		TEST(only_so_many_calls_are_under_way),
		TEST(client_that_has_to_wait_costs_nothing_meanwhile),
		TEST(flood_without_reading_fills_only_its_own_socket),
		TEST(one_client_too_many_is_told_and_closed),
		TEST(want_of_descriptors_delays_new_clients),
		TEST(end_of_the_server_ends_its_clients),
		TEST(random_splits_and_departures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
