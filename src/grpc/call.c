/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants:
 *  1. The status of a call is set once, by the first of handler, deadline, limit and loss of the stream.
 *  2. out holds whole framed messages; a handler that is CALL_OUT_MAX ahead waits, until there is room or the call is cancelled.
 */
#include "grpc/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/str.h"

int call_new(const struct call_env *env, struct grpc_call **ret)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	if (lock_new(&call->lock) < 0) {
		free(call);
		return -ENOMEM;
	}
	atomic_init(&call->refs, 1);
	atomic_init(&call->cancelled, false);
	call->env = env;
	call->start_ns = evloop_now_ns();
	list_init(&call->out);
	grpc_frame_init(&call->frame, env->config->message_max);
	arena_init(&call->arena, env->config->unpacked_max);
	*ret = call;
	return 0;
}

void call_ref(struct grpc_call *call)
{
	(void)atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

static void drop_out(struct grpc_call *call)
{
	struct list *node;

	while ((node = list_pop_front(&call->out)))
		free(list_entry(node, struct call_chunk, link));
	call->out_bytes = 0;
}

void call_unref(struct grpc_call *call)
{
	if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1)
		return;
	drop_out(call);
	arena_fini(&call->arena);
	grpc_frame_fini(&call->frame);
	lock_free(call->lock);
	free(call);
}

/* With the lock held: one wake at a time is on its way, and it holds a reference. */
static bool wake_needed(struct grpc_call *call)
{
	if (call->posted)
		return false;
	call->posted = true;
	call_ref(call);
	return true;
}

void call_finish(struct grpc_call *call, enum grpc_code code, const char *message)
{
	bool wake = false;

	lock_take(call->lock);
	if (!call->finished) {
		call->finished = true;
		call->code = code;
		(void)snprintf(call->message, sizeof(call->message), "%s", message);
		/* A stream's client gets what was sent before the end; of a unary call nothing has left yet. */
		if (code != GRPC_OK && call->method && !call->method->streaming)
			drop_out(call);
		wake = wake_needed(call);
		lock_wake(call->lock);
	}
	lock_drop(call->lock);
	if (wake)
		call->env->wake(call->env->owner, call);
}

void call_cancel(struct grpc_call *call)
{
	lock_take(call->lock);
	atomic_store(&call->cancelled, true);
	drop_out(call);
	lock_wake(call->lock);
	lock_drop(call->lock);
}

size_t call_take(struct grpc_call *call, uint8_t *buf, size_t max, bool *ret_end)
{
	size_t used = 0;

	lock_take(call->lock);
	while (used < max && !list_empty(&call->out)) {
		struct call_chunk *chunk = list_first(&call->out, struct call_chunk, link);
		size_t n = MIN(max - used, chunk->len - chunk->sent);

		memcpy(buf + used, chunk->data + chunk->sent, n);
		chunk->sent += n;
		used += n;
		call->out_bytes -= n;
		if (chunk->sent == chunk->len) {
			list_remove(&chunk->link);
			free(chunk);
		}
	}
	*ret_end = list_empty(&call->out) && call->finished;
	lock_wake(call->lock);
	lock_drop(call->lock);
	return used;
}

void call_peek(struct grpc_call *call, bool *ret_any, bool *ret_finished)
{
	lock_take(call->lock);
	*ret_any = !list_empty(&call->out);
	*ret_finished = call->finished;
	call->posted = false;
	lock_drop(call->lock);
}

static void run_handler(struct grpc_call *call)
{
	const struct grpc_method *method = call->method;
	ProtobufCMessage *request;
	enum grpc_code code;

	request = protobuf_c_message_unpack(method->request, &call->arena.pb, call->frame.data_len,
					    call->frame.data);
	if (!request) {
		bool full = call->arena.limit_bytes - call->arena.used_bytes < 8192;

		call_finish(call, full ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
			    full ? "the request unpacks to more than the server allows"
				 : "the request is not a valid protobuf message of its type");
		return;
	}
	code = method->handler(call, request, call->env->config->ctx);
	if (code == GRPC_OK && !method->streaming && call->replies != 1)
		call_finish(call, GRPC_INTERNAL,
			    "the response could not be built: the server is short of memory");
	else
		call_finish(call, code, code == GRPC_OK ? "" : call->fail_text);
}

void call_run(struct grpc_call *call)
{
	if (!grpc_cancelled(call))
		run_handler(call);
	else
		call_finish(call, GRPC_CANCELLED, "cancelled before it began");
	call_unref(call);
}

const struct grpc_method *grpc_method_of(const struct grpc_call *call)
{
	return call->method;
}

struct arena *grpc_arena(struct grpc_call *call)
{
	return &call->arena;
}

bool grpc_cancelled(const struct grpc_call *call)
{
	return atomic_load(&call->cancelled);
}

int64_t grpc_remaining_ms(const struct grpc_call *call)
{
	uint64_t now = evloop_now_ns();

	if (!call->deadline_ns)
		return -1;
	return call->deadline_ns <= now ? 0 : (int64_t)((call->deadline_ns - now) / NSEC_PER_MSEC);
}

enum grpc_code grpc_fail(struct grpc_call *call, enum grpc_code code, const char *fmt, ...)
{
	va_list args;

	ASSERT(code != GRPC_OK);
	va_start(args, fmt);
	(void)vsnprintf(call->fail_text, sizeof(call->fail_text), fmt, args);
	va_end(args);
	return code;
}

int grpc_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	struct call_chunk *chunk = malloc(sizeof(*chunk) + GRPC_FRAME_HEAD + len);
	bool wake = false, gone;

	if (!chunk)
		return -ENOMEM;
	*chunk = (struct call_chunk){.len = GRPC_FRAME_HEAD + len};
	grpc_frame_put_head(chunk->data, len);
	(void)protobuf_c_message_pack(message, chunk->data + GRPC_FRAME_HEAD);
	call->replies++;
	lock_take(call->lock);
	while (call->out_bytes > CALL_OUT_MAX && !call->finished && !grpc_cancelled(call))
		lock_wait(call->lock, -1);
	gone = call->finished || grpc_cancelled(call);
	if (!gone) {
		list_push_back(&call->out, &chunk->link);
		call->out_bytes += chunk->len;
		/* A unary answer leaves together with its status. */
		wake = call->method->streaming && wake_needed(call);
	}
	lock_drop(call->lock);
	if (gone)
		free(chunk);
	if (wake)
		call->env->wake(call->env->owner, call);
	return gone ? -ECANCELED : 0;
}
