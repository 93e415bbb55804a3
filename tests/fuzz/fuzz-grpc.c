/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a client's bytes through HTTP/2, gRPC framing and protobuf to a handler and back. The first byte says in how large pieces the rest is
 * fed. Handlers run at once; what they post is done between two pieces, as the loop would.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "echo.h"
#include "grpc/conn.h"

#include "fuzz.h"

#define OUT_MAX ((size_t)1 << 24)

static struct list woken; /* grpc_call.task.link */

static void run(void *owner, struct grpc_call *call)
{
	call_run(call);
}

static void wake(void *owner, struct grpc_call *call)
{
	list_push_back(&woken, &call->task.link);
}

static void arm(void *owner, struct grpc_call *call)
{
	/* A deadline of zero is over at once. */
	if (call->deadline_ns <= call->start_ns)
		conn_call_expired(call);
}

static void run_woken(void)
{
	struct list *node;

	while ((node = list_pop_front(&woken))) {
		struct grpc_call *call = list_entry(node, struct grpc_call, task.link);

		conn_call_progress(call);
		call_unref(call);
	}
}

static size_t take_output(struct grpc_conn *conn)
{
	const uint8_t *data;
	size_t sum = 0;
	ssize_t n;

	while ((n = conn_output(conn, &data)) > 0 && sum < OUT_MAX)
		sum += (size_t)n;
	return sum;
}

/* The methods that end by themselves; Stream's answers are bounded by what a handler may be ahead, so it is left out: it would wait. */
static size_t usable_methods(struct grpc_method *methods)
{
	size_t n = 0;

	for (size_t i = 0; i < echo_n_methods; i++)
		if (!echo_methods[i].streaming && i != 5)
			methods[n++] = echo_methods[i];
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct grpc_method methods[16];
	struct echo echo = {.release = true};
	struct grpc_server_config config = {.methods = methods,
					    .n_methods = usable_methods(methods),
					    .ctx = &echo,
					    .message_max = 65536,
					    .buffered_max = 131072,
					    .unpacked_max = 1 << 20,
					    .streams_max = 16};
	struct call_env env = {.config = &config, .run = run, .wake = wake, .arm = arm};
	struct grpc_conn *conn;
	size_t piece, at = 1;

	if (size < 1 || conn_new(&env, NULL, &conn) < 0)
		return 0;
	piece = data[0] ? data[0] : size;
	list_init(&woken);
	while (at < size) {
		size_t n = MIN(piece, size - at);

		if (conn_feed(conn, data + at, n) < 0)
			break;
		at += n;
		run_woken();
		(void)take_output(conn);
		ASSERT(conn->buffered <= config.buffered_max);
		if (conn_done(conn))
			break;
	}
	if (data[0] & 1)
		conn_shutdown(conn);
	(void)take_output(conn);
	conn_free(conn);
	run_woken();
	return 0;
}
