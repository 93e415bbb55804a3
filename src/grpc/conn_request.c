/* SPDX-License-Identifier: Apache-2.0 */
/* What is checked of a request, and in which order. A request that is refused is answered at once; what still comes of it is dropped. */
#include "grpc/conn_request.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "grpc/conn.h"

#define CONTENT_TYPE "application/grpc"

static bool is(const char *text, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(text, want, len) == 0;
}

/* "application/grpc", "application/grpc+proto", "application/grpc;charset=..." */
static bool content_type_ok(const char *value, size_t len)
{
	size_t n = sizeof(CONTENT_TYPE) - 1;

	if (len < n || memcmp(value, CONTENT_TYPE, n) != 0)
		return false;
	return len == n || value[n] == ';' || is(value + n, len - n, "+proto");
}

static void take_timeout(struct grpc_call *call, const char *value, size_t len)
{
	uint64_t ns;

	if (!grpc_timeout_parse(value, len, &ns)) {
		call->timeout_bad = true;
		return;
	}
	if (__builtin_add_overflow(call->start_ns, ns, &call->deadline_ns))
		call->deadline_ns = 0;
}

void request_header(struct grpc_call *call, const char *name, size_t name_len, const char *value,
		    size_t value_len)
{
	if (is(name, name_len, ":method")) {
		call->post = is(value, value_len, "POST");
	} else if (is(name, name_len, ":path")) {
		call->path_seen = value_len < sizeof(call->path);
		(void)snprintf(call->path, sizeof(call->path), "%.*s", (int)MIN(value_len, 4096),
			       value);
	} else if (is(name, name_len, "content-type")) {
		call->content_type_ok = content_type_ok(value, value_len);
	} else if (is(name, name_len, "grpc-timeout")) {
		take_timeout(call, value, value_len);
	} else if (is(name, name_len, "grpc-encoding")) {
		call->encoding_bad = !is(value, value_len, "identity");
	}
}

static void refuse(struct grpc_call *call, enum grpc_code code, const char *message)
{
	call->state = CALL_ENDING;
	call_finish(call, code, message);
}

static void refuse_http(struct grpc_call *call, int status)
{
	call->http_status = status;
	refuse(call, GRPC_INTERNAL, "not a gRPC request");
}

static const struct grpc_method *find_method(const struct grpc_call *call)
{
	const struct grpc_server_config *config = call->env->config;

	for (size_t i = 0; call->path_seen && i < config->n_methods; i++)
		if (strcmp(config->methods[i].path, call->path) == 0)
			return &config->methods[i];
	return NULL;
}

void request_headers_end(struct grpc_call *call)
{
	call->state = CALL_RECEIVING;
	if (!call->post) {
		refuse_http(call, 405);
		return;
	}
	if (!call->content_type_ok) {
		refuse_http(call, 415);
		return;
	}
	if (call->timeout_bad) {
		refuse(call, GRPC_INTERNAL, "grpc-timeout is malformed");
		return;
	}
	if (call->encoding_bad) {
		refuse(call, GRPC_UNIMPLEMENTED,
		       "compressed requests are not supported; send them as identity");
		return;
	}
	call->method = find_method(call);
	if (!call->method) {
		char text[CALL_PATH_MAX + 64];

		(void)snprintf(text, sizeof(text), "there is no method %s here", call->path);
		refuse(call, GRPC_UNIMPLEMENTED, text);
		return;
	}
	if (call->deadline_ns)
		call->env->arm(call->env->owner, call);
}

static const char *frame_trouble(enum grpc_frame_result result, enum grpc_code *ret_code)
{
	switch (result) {
	case GRPC_FRAME_COMPRESSED:
		*ret_code = GRPC_UNIMPLEMENTED;
		return "compressed messages are not supported; send them as identity";
	case GRPC_FRAME_BAD_FLAG:
		*ret_code = GRPC_INTERNAL;
		return "the message's compression flag is neither 0 nor 1";
	case GRPC_FRAME_TOO_LONG:
		*ret_code = GRPC_RESOURCE_EXHAUSTED;
		return "the request is longer than the server accepts";
	case GRPC_FRAME_NO_MEMORY:
		*ret_code = GRPC_RESOURCE_EXHAUSTED;
		return "the server has no memory for the request";
	case GRPC_FRAME_MORE:
	case GRPC_FRAME_MESSAGE:
		break;
	}
	return NULL;
}

/* Counts the bytes to the connection while they are in memory. False: it has too many. */
static bool account(struct grpc_call *call, size_t len)
{
	struct grpc_conn *conn = call->conn;

	if (conn->buffered + len > call->env->config->buffered_max)
		return false;
	conn->buffered += len;
	call->buffered += len;
	return true;
}

void request_data(struct grpc_call *call, const uint8_t *data, size_t len)
{
	enum grpc_frame_result result;
	enum grpc_code code = GRPC_INTERNAL;
	const char *trouble;
	size_t taken = 0;

	if (call->state != CALL_RECEIVING || len == 0)
		return;
	if (call->whole) {
		refuse(call, GRPC_INTERNAL, "more than one message on a call that takes one");
		return;
	}
	if (!account(call, len)) {
		refuse(call, GRPC_RESOURCE_EXHAUSTED,
		       "the connection has too many bytes of requests in memory; send fewer at "
		       "once");
		return;
	}
	result = grpc_frame_feed(&call->frame, data, len, &taken);
	trouble = frame_trouble(result, &code);
	if (trouble) {
		refuse(call, code, trouble);
		return;
	}
	call->whole = result == GRPC_FRAME_MESSAGE;
	if (taken < len)
		refuse(call, GRPC_INTERNAL, "more than one message on a call that takes one");
}

void request_end(struct grpc_call *call)
{
	if (call->state != CALL_RECEIVING)
		return;
	if (!call->whole) {
		refuse(call, GRPC_INTERNAL,
		       grpc_frame_empty(&call->frame) ? "no message on a call that takes one"
						      : "the message is cut short");
		return;
	}
	call->state = CALL_RUNNING;
	call_ref(call);
	call->env->run(call->env->owner, call);
}
