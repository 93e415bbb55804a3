/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests from message to answer. A call is answered once, to one of: a local caller, a batch, a client, or nobody (a
 * notification, or a client that went away).
 *
 * A batch collects the text of its answers, in the order in which they come, and is sent when the last is there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "rpc/request.h"
#include "rpc/server_priv.h"

struct batch {
	uint32_t waiting; /* answers to come, and one while requests are still being started */
	int rc;           /* why an answer could not be added */
	struct bytebuf text;
};

struct rpc_call {
	const struct rpc_method *method;
	json_t *params, *id; /* owned; NULL: none */
	struct conn *conn;   /* NULL: went away, or local */
	struct list link;    /* of conn's calls */
	struct batch *batch;
	void (*done)(void *ctx, const json_t *result, const struct err *err); /* local */
	void *ctx;
};

static json_t *hold(const json_t *json)
{
	return json_incref((json_t *)(uintptr_t)json);
}

static void batch_add(struct batch *b, const struct conn *c, const json_t *response)
{
	size_t max = c->server->opts.output_max;

	if (!response)
		b->rc = -ENOMEM;
	if (b->rc == 0)
		b->rc = bytebuf_append(&b->text, b->text.len ? "," : "[", 1, max);
	if (b->rc == 0)
		b->rc = bytebuf_append_json(&b->text, response, max);
}

/* One answer, or the starter of the requests, less. Sends when it was the last. c: NULL when it went away. */
static void batch_release(struct batch *b, struct conn *c)
{
	if (--b->waiting)
		return;
	if (b->rc == 0 && b->text.len)
		b->rc = bytebuf_append(&b->text, "]", 1, SIZE_MAX / 8);
	if (c && b->rc)
		conn_refuse(c, RPC_ERR_INTERNAL,
			    b->rc == -ENOBUFS ? "Internal error: the batch's answers are too large"
					      : "Internal error: out of memory");
	else if (c && b->text.len)
		conn_answer_text(c, bytebuf_head(&b->text), b->text.len);
	bytebuf_fini(&b->text);
	free(b);
}

static void call_free(struct rpc_call *call)
{
	json_decref(call->params);
	json_decref(call->id);
	free(call);
}

/* Sends response (taken; NULL for notifications and without memory) where it belongs, and ends the call. */
static void call_end(struct rpc_call *call, json_t *response)
{
	struct conn *c = call->conn;

	if (c && call->id && call->batch)
		batch_add(call->batch, c, response);
	else if (c && call->id)
		conn_answer(c, response);
	if (call->batch)
		batch_release(call->batch, c);
	if (c) {
		list_remove(&call->link);
		conn_call_ended(c);
	}
	json_decref(response);
	call_free(call);
}

void rpc_reply(struct rpc_call *call, json_t *result)
{
	if (!result)
		result = json_true();
	if (call->done) {
		call->done(call->ctx, result, NULL);
		json_decref(result);
		call_free(call);
		return;
	}
	if (call->id && call->conn) {
		call_end(call, rpc_response_result(call->id, result));
		return;
	}
	json_decref(result);
	call_end(call, NULL);
}

static void fail_text(struct rpc_call *call, int code, const char *text)
{
	struct err err = {0};

	ASSERT(code < 0);
	if (call->done) {
		(void)err_set(&err, code, "%s", text);
		call->done(call->ctx, NULL, &err);
		call_free(call);
		return;
	}
	call_end(call, call->id && call->conn ? rpc_response_error(call->id, code, text) : NULL);
}

void rpc_fail(struct rpc_call *call, int code, const char *fmt, ...)
{
	char text[sizeof(((struct err *)NULL)->text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fail_text(call, code, text);
}

void rpc_fail_err(struct rpc_call *call, const struct err *err)
{
	int code = err->code < 0 ? err->code : RPC_ERR_INTERNAL;

	fail_text(call, code == -EINVAL ? RPC_ERR_INVALID_PARAMS : code, err->text);
}

const char *rpc_call_method(const struct rpc_call *call)
{
	return call->method->name;
}

/* Why request cannot be carried out now: 0 with *ret, or a code. */
static int find_method(const struct rpc_server *s, const char *name, const struct rpc_method **ret,
		       struct err *err)
{
	const struct rpc_method *m = server_method(s, name);
	char shown[128];

	if (!m)
		return err_set(err, RPC_ERR_METHOD_NOT_FOUND,
			       "Method not found: %s; rpc_get_methods lists what there is",
			       log_quote(name, shown, sizeof(shown)));
	*ret = m;
	return 0;
}

static int check_state(const struct rpc_server *s, const struct rpc_method *m, struct err *err)
{
	if (m->states & s->state)
		return 0;
	return err_set(err, RPC_ERR_INVALID_STATE, "Method %s may only be called %s", m->name,
		       m->states & RPC_RUNTIME
			       ? "after framework_start_init has ended; framework_wait_init waits "
				 "for that"
			       : "before framework_start_init");
}

/* What is refused before there is a call is answered through one all the same. */
static void refused_method(struct rpc_call *call, const json_t *params, void *ctx)
{
	UNREACHABLE();
}

static const struct rpc_method refused = {.name = "", .call = refused_method};

static struct rpc_call *call_new(struct conn *c, struct batch *b, const struct rpc_request *request)
{
	struct rpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->conn = c;
	call->batch = b;
	call->id = hold(request->id);
	call->params = hold(request->params);
	call->method = &refused;
	list_push_back(&c->calls, &call->link);
	c->n_calls++;
	if (b)
		b->waiting++;
	return call;
}

static void start_request(struct conn *c, struct batch *b, const json_t *json)
{
	const struct rpc_server *s = c->server;
	struct rpc_request request;
	struct err err = {0};
	int rc = rpc_request_decode(json, &request, &err);
	struct rpc_call *call = call_new(c, b, &request);

	if (!call) {
		conn_refuse(c, RPC_ERR_INTERNAL, "Internal error: out of memory");
		return;
	}
	if (rc == 0)
		rc = find_method(s, request.method, &call->method, &err);
	if (rc == 0)
		rc = check_state(s, call->method, &err);
	if (rc)
		fail_text(call, rc, err.text);
	else
		call->method->call(call, call->params, s->opts.ctx);
}

static void start_batch(struct conn *c, const json_t *array)
{
	size_t n = json_array_size(array);
	struct batch *b;

	if (n == 0 || n > RPC_BATCH_MAX) {
		conn_answer_error(c, RPC_ERR_INVALID_REQUEST,
				  "Invalid request: a batch has 1 to %d requests, this one has %zu",
				  RPC_BATCH_MAX, n);
		return;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		conn_refuse(c, RPC_ERR_INTERNAL, "Internal error: out of memory");
		return;
	}
	b->waiting = 1;
	for (size_t i = 0; i < n; i++)
		start_request(c, b, json_array_get(array, i));
	batch_release(b, c);
}

/* Whether the hold is about that request. What is no request is answered at once. */
static bool is_held(const struct rpc_server *s, const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "method"));
	const struct rpc_method *m = name ? server_method(s, name) : NULL;

	if (s->hold == RPC_HOLD_ALL)
		return true;
	return s->hold == RPC_HOLD_CHANGES && m && !(m->states & RPC_QUIET);
}

static bool message_is_held(const struct rpc_server *s, const json_t *json)
{
	if (!json_is_array(json))
		return is_held(s, json);
	for (size_t i = 0; i < json_array_size(json); i++)
		if (is_held(s, json_array_get(json, i)))
			return true;
	return false;
}

bool call_message(struct conn *c, const char *text, size_t len)
{
	struct err err = {0};
	_cleanup_json_ json_t *json = rpc_request_parse(text, len, &err);

	if (!json) {
		conn_refuse(c, RPC_ERR_PARSE, "%s", err.text);
		return true;
	}
	if (c->server->hold && message_is_held(c->server, json))
		return false;
	if (json_is_array(json))
		start_batch(c, json);
	else
		start_request(c, NULL, json);
	return true;
}

unsigned call_count(const struct conn *c, enum rpc_hold hold, const char **ret_method)
{
	unsigned n = 0;

	list_for_each (it, &c->calls) {
		const struct rpc_method *m = list_entry(it, struct rpc_call, link)->method;

		if (hold != RPC_HOLD_ALL && (m->states & RPC_QUIET))
			continue;
		*ret_method = m->name;
		n++;
	}
	return n;
}

void call_orphan_all(struct conn *c)
{
	struct list *node;

	while ((node = list_pop_front(&c->calls)))
		list_entry(node, struct rpc_call, link)->conn = NULL;
	c->n_calls = 0;
}

void rpc_call_local(struct rpc_server *s, const char *method, const json_t *params,
		    void (*done)(void *ctx, const json_t *result, const struct err *err), void *ctx)
{
	const struct rpc_method *m = NULL;
	struct rpc_call *call;
	struct err err = {0};

	if (find_method(s, method, &m, &err)) {
		done(ctx, NULL, &err);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		(void)err_set(&err, RPC_ERR_INTERNAL, "out of memory");
		done(ctx, NULL, &err);
		return;
	}
	call->method = m;
	call->params = hold(params);
	call->done = done;
	call->ctx = ctx;
	m->call(call, call->params, s->opts.ctx);
}
