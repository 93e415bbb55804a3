/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of the RPC socket.
 *
 *   event READ  --> receive --> process --> call_message --+            (answers come now or later)
 *   event WRITE --> flush                                  +--> conn_answer --> late task: flush
 *   each of them, and the timer, ends with settle: resume, close, or wait
 *
 * 1. Input is bounded by message_max, output by output_max. Input pauses while CALLS_MAX calls are unanswered or
 *    OUT_PAUSE bytes unread, so that a client that only sends fills its own socket and nothing else.
 * 2. A request must be whole idle_ms after its first byte; unsent output must move once in idle_ms.
 * 3. A client that has closed its sending side gets all its answers before it is closed.
 * 4. A stream that cannot be followed is answered with an error and not read further.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "rpc/request.h"
#include "rpc/server_priv.h"

#define CALLS_MAX    64
#define OUT_PAUSE    ((size_t)1 << 20)
#define RECEIVE_SIZE ((size_t)65536)

static void conn_event(void *ctx, unsigned events);
static void conn_flush_task(struct task *task);
static void conn_timeout(struct timer *timer);
static void conn_settle(struct conn *c);

int conn_new(struct rpc_server *s, struct sock *sock, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		sock_close(sock);
		return -ENOMEM;
	}
	c->server = s;
	c->sock = sock;
	c->id = ++s->conns_seen;
	rpc_frame_init(&c->frame, s->opts.message_max);
	list_init(&c->calls);
	c->task.run = conn_flush_task;
	c->timer.run = conn_timeout;
	rc = s->frozen ? 0 : sock_attach(sock, s->r, conn_event, c);
	if (rc < 0) {
		sock_close(sock);
		free(c);
		return rc;
	}
	list_push_back(&s->conns, &c->link);
	s->n_conns++;
	*ret = c;
	return 0;
}

static void conn_free(struct conn *c)
{
	call_orphan_all(c);
	task_cancel(&c->task);
	timer_stop(&c->timer);
	sock_close(c->sock);
	list_remove(&c->link);
	c->server->n_conns--;
	bytebuf_fini(&c->in);
	bytebuf_fini(&c->out);
	free(c);
}

static void conn_break(struct conn *c, const char *reason)
{
	if (!c->broken)
		log_limited(LOG_LEVEL_WARN, "rpc.client.closed", "client=%" PRIu64 " reason=\"%s\"",
			    c->id, reason);
	c->broken = true;
	reactor_defer_late(c->server->r, &c->task);
}

static uint64_t idle_ns(const struct conn *c)
{
	return c->server->opts.idle_ms * NSEC_PER_MSEC;
}

static void conn_send(struct conn *c)
{
	while (c->out.len && !c->broken) {
		const struct iovec iov = {.iov_base = bytebuf_head(&c->out), .iov_len = c->out.len};
		ssize_t n = sock_send(c->sock, &iov, 1);

		if (n == -EAGAIN) {
			sock_want_write(c->sock);
			return;
		}
		if (n < 0) {
			/* The client went away, which it may do at any time. */
			c->broken = true;
			return;
		}
		c->out_since = reactor_now(c->server->r);
		bytebuf_consume(&c->out, (size_t)n);
	}
}

void conn_drop(struct conn *c)
{
	conn_send(c);
	conn_free(c);
}

/* Output has been added to, or could not be. */
static void conn_appended(struct conn *c, size_t before, int rc)
{
	if (rc == -ENOBUFS)
		conn_break(c, "it does not read its answers, or one was too large");
	else if (rc < 0)
		conn_break(c, "out of memory");
	if (before == 0)
		c->out_since = reactor_now(c->server->r);
	reactor_defer_late(c->server->r, &c->task);
}

void conn_answer_text(struct conn *c, const char *text, size_t len)
{
	size_t before = c->out.len;
	int rc = bytebuf_append(&c->out, text, len, c->server->opts.output_max);

	conn_appended(c, before, rc ? rc : bytebuf_append(&c->out, "\n", 1, SIZE_MAX / 8));
}

void conn_answer(struct conn *c, const json_t *response)
{
	size_t before = c->out.len;
	int rc = -ENOMEM;

	if (response)
		rc = bytebuf_append_json(&c->out, response, c->server->opts.output_max);
	conn_appended(c, before, rc ? rc : bytebuf_append(&c->out, "\n", 1, SIZE_MAX / 8));
}

__attribute__((format(printf, 3, 0))) static void answer_error(struct conn *c, int code,
							       const char *fmt, va_list ap)
{
	_cleanup_json_ json_t *response = NULL;
	char text[256];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	response = rpc_response_error(NULL, code, text);
	conn_answer(c, response);
	log_limited(LOG_LEVEL_WARN, "rpc.client.refused", "client=%" PRIu64 " reason=\"%s\"", c->id,
		    text);
}

void conn_answer_error(struct conn *c, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_error(c, code, fmt, ap);
	va_end(ap);
}

void conn_refuse(struct conn *c, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_error(c, code, fmt, ap);
	va_end(ap);
	c->ended = true;
}

void conn_call_ended(struct conn *c)
{
	c->n_calls--;
	reactor_defer_late(c->server->r, &c->task);
}

static bool must_pause(const struct conn *c)
{
	return c->held || c->server->frozen || c->n_calls >= CALLS_MAX || c->out.len >= OUT_PAUSE;
}

/* One result of the scanner; value_begin and scanned enclose a value. */
static void take_result(struct conn *c, enum rpc_frame_result result)
{
	switch (result) {
	case RPC_FRAME_MORE:
		break;
	case RPC_FRAME_VALUE:
		if (call_message(c, bytebuf_head(&c->in) + c->value_begin,
				 c->scanned - c->value_begin))
			break;
		/* It will be found again, from its first byte. */
		c->scanned = c->value_begin;
		c->held = true;
		break;
	case RPC_FRAME_NOT_JSON:
		conn_refuse(c, RPC_ERR_PARSE,
			    "Parse error: a request is a JSON object, or an array of them");
		break;
	case RPC_FRAME_TOO_LARGE:
		conn_refuse(c, RPC_ERR_INVALID_REQUEST,
			    "Invalid request: larger than %" PRIu32 " bytes",
			    c->server->opts.message_max);
		break;
	case RPC_FRAME_TOO_DEEP:
		conn_refuse(c, RPC_ERR_PARSE, "Parse error: more than %d brackets are nested",
			    RPC_FRAME_DEPTH_MAX);
		break;
	}
}

/* Carries out what has come whole. */
static void conn_process(struct conn *c)
{
	size_t begin, end, done;

	while (!c->ended && !c->broken && c->scanned < c->in.len) {
		bool fresh = !rpc_frame_inside(&c->frame);
		enum rpc_frame_result result;

		if (fresh && must_pause(c)) {
			c->paused = true;
			break;
		}
		result = rpc_frame_feed(&c->frame, bytebuf_head(&c->in) + c->scanned,
					c->in.len - c->scanned, &begin, &end);
		if (fresh) {
			c->value_begin = c->scanned + begin;
			c->value_since = reactor_now(c->server->r);
		}
		c->scanned += end;
		take_result(c, result);
	}
	done = rpc_frame_inside(&c->frame) && !c->ended ? c->value_begin : c->scanned;
	if (c->ended)
		done = c->in.len;
	bytebuf_consume(&c->in, done);
	c->scanned = c->ended ? 0 : c->scanned - done;
	c->value_begin = 0;
}

static void conn_input_ended(struct conn *c)
{
	if (rpc_frame_inside(&c->frame))
		conn_refuse(c, RPC_ERR_PARSE, "Parse error: the stream ends inside a request");
	c->ended = true;
}

/* Receives once; a client that has more is served again after the others. */
static void conn_receive(struct conn *c)
{
	struct iovec iov = {.iov_len = RECEIVE_SIZE};
	ssize_t n;

	if (c->ended || c->broken || c->paused)
		return;
	iov.iov_base = bytebuf_reserve(&c->in, RECEIVE_SIZE);
	if (!iov.iov_base) {
		conn_break(c, "out of memory");
		return;
	}
	n = sock_recv(c->sock, &iov, 1);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		c->broken = true;
	} else if (n == 0) {
		conn_input_ended(c);
	} else {
		c->in.len += (size_t)n;
		conn_process(c);
		if (!c->paused && !c->ended)
			sock_want_read(c->sock);
	}
}

/* Whether a deadline is pending, and the nearest. */
static bool next_deadline(const struct conn *c, uint64_t *ret_ns)
{
	bool input = rpc_frame_inside(&c->frame) && !c->ended;

	*ret_ns = UINT64_MAX;
	if (input)
		*ret_ns = c->value_since + idle_ns(c);
	if (c->out.len)
		*ret_ns = MIN(*ret_ns, c->out_since + idle_ns(c));
	return input || c->out.len;
}

static void conn_arm_timer(struct conn *c)
{
	uint64_t deadline;

	if (!next_deadline(c, &deadline))
		timer_stop(&c->timer);
	else if (timer_start(c->server->r, &c->timer, deadline) < 0)
		conn_break(c, "out of memory");
}

void conn_resume(struct conn *c)
{
	c->held = false;
	reactor_defer_late(c->server->r, &c->task);
}

void conn_freeze(struct conn *c)
{
	conn_send(c);
	task_cancel(&c->task);
	timer_stop(&c->timer);
	sock_detach(c->sock);
}

void conn_thaw(struct conn *c)
{
	c->paused = c->paused || c->in.len > 0;
	if (sock_attach(c->sock, c->server->r, conn_event, c) < 0)
		conn_break(c, "out of memory");
	conn_resume(c);
}

/* May free c. */
static void conn_settle(struct conn *c)
{
	if (c->paused && !must_pause(c)) {
		c->paused = false;
		conn_process(c);
		if (!c->paused && !c->ended)
			sock_want_read(c->sock);
	}
	conn_arm_timer(c);
	if (c->broken || (c->ended && c->n_calls == 0 && c->out.len == 0))
		conn_free(c);
}

static void conn_event(void *ctx, unsigned events)
{
	struct conn *c = ctx;

	if (events & SOCK_EV_WRITE)
		conn_send(c);
	if (events & SOCK_EV_READ)
		conn_receive(c);
	conn_settle(c);
}

static void conn_flush_task(struct task *task)
{
	struct conn *c = container_of(task, struct conn, task);

	conn_send(c);
	conn_settle(c);
}

static void conn_timeout(struct timer *timer)
{
	struct conn *c = container_of(timer, struct conn, timer);
	uint64_t now = reactor_now(c->server->r);

	if (c->out.len && now >= c->out_since + idle_ns(c))
		conn_break(c, "it does not read its answers");
	else if (rpc_frame_inside(&c->frame) && !c->ended && now >= c->value_since + idle_ns(c))
		conn_refuse(c, RPC_ERR_INVALID_REQUEST,
			    "Invalid request: not whole after %" PRIu32 " ms",
			    c->server->opts.idle_ms);
	conn_settle(c);
}
