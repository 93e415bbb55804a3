/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/ask.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "grpc/frame.h"
#include "rt/blocking.h"

struct ask {
	size_t sent; /* of the empty message's head */
	bool answered, ended;
	uint64_t code;
};

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t size,
		       uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct ask *ask = ctx;
	uint8_t head[GRPC_FRAME_HEAD];
	size_t n = MIN(sizeof(head) - ask->sent, size);

	grpc_frame_put_head(head, 0);
	memcpy(buf, head + ask->sent, n);
	ask->sent += n;
	if (ask->sent == sizeof(head))
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 wants these parameters */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct ask *ask = ctx;

	if (strcmp((const char *)name, "grpc-status") == 0)
		ask->answered =
			str_to_u64((const char *)value, 0, GRPC_UNAUTHENTICATED, &ask->code);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *ctx)
{
	((struct ask *)ctx)->ended = true;
	return 0;
}

#define NV(n, v)                                                                                   \
	{.name = (uint8_t *)(uintptr_t)(n),                                                        \
	 .value = (uint8_t *)(uintptr_t)(v),                                                       \
	 .namelen = sizeof(n) - 1,                                                                 \
	 .valuelen = strlen(v)}

static int submit(nghttp2_session *session, const char *method)
{
	const nghttp2_nv head[] = {NV(":method", "POST"), NV(":scheme", "http"),
				   NV(":path", method),   NV(":authority", "localhost"),
				   NV("te", "trailers"),  NV("content-type", "application/grpc")};
	const nghttp2_data_provider body = {.read_callback = on_body};
	int rc = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);

	if (!rc)
		rc = nghttp2_submit_request(session, NULL, head, ARRAY_LEN(head), &body, NULL);
	return rc < 0 ? -ENOMEM : 0;
}

/* What the session has to send. */
static int flush(nghttp2_session *session, int fd, int64_t deadline)
{
	const uint8_t *data;
	ssize_t n;
	int rc = 0;

	while (!rc && (n = nghttp2_session_mem_send(session, &data)) > 0)
		rc = blocking_send(fd, data, (size_t)n, deadline);
	return rc ? rc : n < 0 ? -EPROTO : 0;
}

static int talk(nghttp2_session *session, const struct ask *ask, int fd, int64_t deadline)
{
	uint8_t buf[4096];

	while (!ask->ended) {
		int rc = flush(session, fd, deadline);
		ssize_t n = rc ? rc : blocking_recv(fd, buf, sizeof(buf), deadline);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		if (nghttp2_session_mem_recv(session, buf, (size_t)n) < 0)
			return -EPROTO;
	}
	return ask->answered ? 0 : -EPROTO;
}

static int session_new(struct ask *ask, nghttp2_session **ret)
{
	nghttp2_session_callbacks *callbacks = NULL;
	int rc;

	if (nghttp2_session_callbacks_new(&callbacks) < 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	rc = nghttp2_session_client_new(ret, callbacks, ask);
	nghttp2_session_callbacks_del(callbacks);
	return rc < 0 ? -ENOMEM : 0;
}

int grpc_ask(const char *socket_path, const char *method, int timeout_ms, enum grpc_code *ret,
	     struct err *err)
{
	int64_t deadline = blocking_deadline(timeout_ms);
	nghttp2_session *session = NULL;
	_cleanup_close_ int fd = -1;
	struct ask ask = {.sent = 0};
	int rc;

	fd = blocking_connect_unix(socket_path, deadline);
	if (fd < 0)
		return err_set(err, fd, "nobody serves %s: %s", socket_path, strerror(-fd));
	rc = session_new(&ask, &session);
	if (!rc)
		rc = submit(session, method);
	if (!rc)
		rc = talk(session, &ask, fd, deadline);
	nghttp2_session_del(session);
	if (rc)
		return err_set(err, rc, "%s gives no answer to %s: %s", socket_path, method,
			       strerror(-rc));
	*ret = (enum grpc_code)ask.code;
	return 0;
}
