/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nghttp2's callbacks and our calls.
 *
 * nghttp2's own check of HTTP rules is off: it resets streams whose :authority is a socket path, which several gRPC clients send. What matters of
 * those rules is checked in conn_request.c. Floods are nghttp2's: limits of outstanding acks and of resets.
 */
#include "grpc/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "grpc/conn_request.h"

#define HEADER_LIST_MAX 16384
#define WINDOW_BYTES    ((int32_t)1 << 20)
#define ACKS_MAX        200

static nghttp2_nv pair(const char *name, const char *value, size_t value_len)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
			    .value = (uint8_t *)(uintptr_t)value,
			    .namelen = strlen(name),
			    .valuelen = value_len,
			    .flags = NGHTTP2_NV_FLAG_NONE};
}

struct status_headers {
	char code[8], message[3 * CALL_MESSAGE_MAX];
};

/* Two headers: grpc-status and grpc-message. */
static void put_status(const struct grpc_call *call, struct status_headers *text, nghttp2_nv nv[2])
{
	size_t len;

	(void)snprintf(text->code, sizeof(text->code), "%d", call->code);
	nv[0] = pair("grpc-status", text->code, strlen(text->code));
	len = grpc_percent_encode(call->message, text->message, sizeof(text->message));
	nv[1] = pair("grpc-message", text->message, len);
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t len,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct grpc_call *call = source->ptr;
	struct status_headers text = {0};
	nghttp2_nv nv[2];
	bool end;
	size_t n = call_take(call, buf, len, &end);

	if (!end)
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	call->state = CALL_ENDING;
	put_status(call, &text, nv);
	if (nghttp2_submit_trailer(session, stream_id, nv, ARRAY_LEN(nv)))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return (ssize_t)n;
}

static int submit_body(struct grpc_call *call)
{
	nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_body};
	nghttp2_nv nv[] = {pair(":status", "200", 3), pair("content-type", "application/grpc", 16),
			   pair("grpc-accept-encoding", "identity", 8)};

	return nghttp2_submit_response(call->conn->session, call->stream_id, nv, ARRAY_LEN(nv),
				       &body);
}

static int submit_status_only(struct grpc_call *call)
{
	struct status_headers text = {0};
	nghttp2_nv nv[5] = {pair(":status", "200", 3), pair("content-type", "application/grpc", 16),
			    pair("grpc-accept-encoding", "identity", 8)};

	put_status(call, &text, nv + 3);
	return nghttp2_submit_response(call->conn->session, call->stream_id, nv, ARRAY_LEN(nv),
				       NULL);
}

static int submit_http_error(struct grpc_call *call)
{
	char status[8];
	nghttp2_nv nv;

	(void)snprintf(status, sizeof(status), "%d", call->http_status);
	nv = pair(":status", status, strlen(status));
	return nghttp2_submit_response(call->conn->session, call->stream_id, &nv, 1, NULL);
}

void conn_call_progress(struct grpc_call *call)
{
	bool any, finished;
	int rc = 0;

	call_peek(call, &any, &finished);
	call->told |= finished;
	if (!call->conn || (!any && !finished))
		return;
	if (call->responded) {
		/* It fails when the stream is not waiting for more: then the rest is read anyway. */
		(void)nghttp2_session_resume_data(call->conn->session, call->stream_id);
		return;
	}
	call->responded = true;
	if (call->http_status)
		rc = submit_http_error(call);
	else if (any || call->code == GRPC_OK)
		rc = submit_body(call);
	else
		rc = submit_status_only(call);
	if (finished && !any)
		call->state = CALL_ENDING;
	if (rc)
		(void)nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE,
						call->stream_id, NGHTTP2_INTERNAL_ERROR);
}

void conn_call_expired(struct grpc_call *call)
{
	atomic_store(&call->cancelled, true);
	call_finish(call, GRPC_DEADLINE_EXCEEDED, "the client's deadline is over");
}

/* The stream is gone: whatever the handler says now is dropped. */
static void call_close(struct grpc_conn *conn, struct grpc_call *call)
{
	evloop_timer_stop(&call->timer);
	list_remove(&call->link);
	conn->buffered -= call->buffered;
	call->conn = NULL;
	call->state = CALL_CLOSED;
	call_cancel(call);
	if (conn->session)
		(void)nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
	call_unref(call);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *conn = user;
	struct grpc_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (call_new(conn->env, &call) < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	call->conn = conn;
	call->stream_id = frame->hd.stream_id;
	list_push_back(&conn->calls, &call->link);
	(void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
	return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 wants these parameters */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (call && call->state == CALL_OPENING)
		request_header(call, (const char *)name, name_len, (const char *)value, value_len);
	return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *conn = user;
	struct grpc_call *call;

	if (frame->hd.type == NGHTTP2_SETTINGS)
		conn->preface_seen = true;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!call)
		return 0;
	if (call->state == CALL_OPENING && frame->hd.type == NGHTTP2_HEADERS)
		request_headers_end(call);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		request_end(call);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t len, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	if (call)
		request_data(call, data, len);
	return 0;
}

/* A client that was answered before it had sent all is told to stop. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
						NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	if (call)
		call_close(user, call);
	return 0;
}

static int make_session(struct grpc_conn *conn)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int rc = nghttp2_session_callbacks_new(&callbacks);

	if (!rc)
		rc = nghttp2_option_new(&option);
	if (!rc) {
		nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
									on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
		nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
		nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
		nghttp2_option_set_no_http_messaging(option, 1);
		nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
		rc = nghttp2_session_server_new2(&conn->session, callbacks, conn, option);
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return rc ? -ENOMEM : 0;
}

int conn_new(const struct call_env *env, void *io, struct grpc_conn **ret)
{
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, env->config->streams_max},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
	};
	struct grpc_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return -ENOMEM;
	conn->env = env;
	conn->io = io;
	list_init(&conn->calls);
	if (make_session(conn) < 0 ||
	    nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
				    ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
						  4 * WINDOW_BYTES)) {
		conn_free(conn);
		return -ENOMEM;
	}
	*ret = conn;
	return 0;
}

void conn_free(struct grpc_conn *conn)
{
	if (!conn)
		return;
	list_for_each_safe (it, &conn->calls)
		call_close(conn, list_entry(it, struct grpc_call, link));
	nghttp2_session_del(conn->session);
	free(conn);
}

int conn_feed(struct grpc_conn *conn, const uint8_t *buf, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(conn->session, buf, len);

	return n < 0 || (size_t)n != len ? -EPROTO : 0;
}

ssize_t conn_output(struct grpc_conn *conn, const uint8_t **ret)
{
	ssize_t n = nghttp2_session_mem_send(conn->session, ret);

	return n < 0 ? -EPROTO : n;
}

bool conn_done(const struct grpc_conn *conn)
{
	return !nghttp2_session_want_read(conn->session) &&
	       !nghttp2_session_want_write(conn->session);
}

void conn_shutdown(struct grpc_conn *conn)
{
	(void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(conn->session),
				    NGHTTP2_NO_ERROR, NULL, 0);
}
