/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, from libmicrohttpd's callbacks to api_handle() and back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apiserver/http_priv.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "kube/text.h"

#define THREADS          4
#define CONNECTIONS_MAX  10000
#define PER_ADDRESS_MAX  2000
#define CONNECTION_BYTES ((size_t)32 * 1024) /* request line and headers */
#define IDLE_S           120
#define BODIES_MAX       ((size_t)64 * 1024 * 1024) /* of all requests that come in at once */
/* Of a body that is too large, so that its sender reads the answer. */
#define DISCARD_MAX ((size_t)16 * 1024 * 1024)

/* A request on its way in. */
struct incoming {
	struct http *http;
	struct conn *conn;
	char path[API_PATH_MAX + 2], query[API_QUERY_MAX + 2];
	bool uri_too_long, begun, known, no_room;
	struct api_user user;
	char *body;
	size_t len, size, total;
};

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct incoming *in = calloc(1, sizeof(*in));
	struct conn *conn = conn_of(connection);
	struct front *front = cls;
	size_t path_len = strcspn(uri, "?");

	if (!in || !conn) {
		free(in);
		return NULL;
	}
	in->http = front->http;
	in->conn = conn;
	conn_enter(conn, CONN_RECEIVING);
	in->uri_too_long = path_len > API_PATH_MAX || strlen(uri + path_len) > API_QUERY_MAX + 1;
	if (in->uri_too_long)
		return in;
	memcpy(in->path, uri, path_len);
	in->path[path_len] = 0;
	(void)str_copy(in->query, sizeof(in->query), uri + path_len + (uri[path_len] == '?'));
	return in;
}

static void drop_body(struct incoming *in)
{
	atomic_fetch_sub(&in->http->body_bytes, in->size);
	free(in->body);
	in->body = NULL;
	in->len = 0;
	in->size = 0;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct incoming *in = *con_cls;

	if (!in)
		return;
	conn_enter(in->conn, CONN_QUIET);
	drop_body(in);
	free(in);
	*con_cls = NULL;
}

/* False: no memory, or too much of it is in use by all together. */
static bool grow_body(struct incoming *in, size_t needed)
{
	size_t size = MIN(needed * 2, KUBE_BODY_MAX + 1), more = size - in->size;
	char *body;

	if (atomic_fetch_add(&in->http->body_bytes, more) + more > BODIES_MAX) {
		atomic_fetch_sub(&in->http->body_bytes, more);
		return false;
	}
	body = realloc(in->body, size);
	if (!body) {
		atomic_fetch_sub(&in->http->body_bytes, more);
		return false;
	}
	in->body = body;
	in->size = size;
	return true;
}

/* What exceeds the limit by a byte is kept, so that the parser sees it and says so. */
static enum MHD_Result take_body(struct incoming *in, const char *data, size_t *size)
{
	size_t len = *size, room = KUBE_BODY_MAX + 1 - in->len;

	*size = 0;
	in->total += len;
	if (in->total > DISCARD_MAX)
		return MHD_NO;
	len = MIN(len, room);
	if (!in->no_room && in->len + len > in->size && !grow_body(in, in->len + len)) {
		drop_body(in);
		in->no_room = true;
	}
	if (in->no_room)
		return MHD_YES;
	memcpy(in->body + in->len, data, len);
	in->len += len;
	return MHD_YES;
}

static void add_warning(struct MHD_Response *response, const char *warning)
{
	char text[1200];
	size_t n = (size_t)snprintf(text, sizeof(text), "299 - \"");

	/* A quoted string: quotes and backslashes escaped, nothing that is no plain text. */
	for (const char *p = warning; *p && n + 4 < sizeof(text); p++) {
		if (*p == '"' || *p == '\\')
			text[n++] = '\\';
		text[n] = *p;
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			text[n] = '?';
		n++;
	}
	text[n++] = '"';
	text[n] = 0;
	(void)MHD_add_response_header(response, "Warning", text);
}

static void add_headers(struct MHD_Response *response, const struct api_response *rsp)
{
	char text[16];

	(void)MHD_add_response_header(response, "Content-Type", rsp->content_type);
	(void)MHD_add_response_header(response, "Cache-Control", "no-cache, private");
	if (rsp->code == 401)
		(void)MHD_add_response_header(response, "WWW-Authenticate",
					      "Bearer realm=\"litepool\"");
	if (rsp->retry_after_s) {
		(void)snprintf(text, sizeof(text), "%u", rsp->retry_after_s);
		(void)MHD_add_response_header(response, "Retry-After", text);
	}
	if (rsp->warning[0])
		add_warning(response, rsp->warning);
}

static enum MHD_Result send_response(struct front *front, struct MHD_Connection *connection,
				     struct conn *conn, struct api_response *rsp)
{
	bool watch = rsp->watch != NULL;
	struct MHD_Response *response =
		watch ? watch_response(front, connection, rsp)
		      : MHD_create_response_from_buffer(rsp->body_len, rsp->body,
							MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		api_response_fini(rsp);
		return MHD_NO;
	}
	rsp->body = NULL;
	add_headers(response, rsp);
	conn_enter(conn, watch ? CONN_WATCHING : CONN_ANSWERING);
	result = MHD_queue_response(connection, (unsigned)rsp->code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer(struct front *front, struct MHD_Connection *connection,
			      struct incoming *in, const char *method)
{
	struct api_response rsp;
	struct api_request req = {
		.user = in->known ? &in->user : NULL,
		.unknown_why = in->conn->why[0] ? in->conn->why : NULL,
		.method = method,
		.path = in->uri_too_long ? "/" : in->path,
		.query = in->query,
		.accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
		.content_type =
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type"),
		.body = in->body,
		.body_len = in->len,
	};

	if (in->no_room)
		api_refuse(KUBE_TOO_MANY, "too many requests are coming in at once; try again",
			   &rsp);
	else
		api_handle(front->http->api, &req, &rsp);
	log_debug("api.request", "user=%s method=%s path=%.200s code=%d",
		  in->known ? in->user.name : "-", method, req.path, rsp.code);
	return send_response(front, connection, in->conn, &rsp);
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are libmicrohttpd's */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct incoming *in = *con_cls;

	if (!in)
		return MHD_NO;
	/*
	 * The first call comes with the headers alone: then "100 Continue" is sent and the body follows. Of somebody unknown no body is
	 * taken at all.
	 */
	if (!in->begun) {
		in->begun = true;
		in->known = conn_user(in->conn, connection, &in->user);
		return in->known ? MHD_YES : answer(cls, connection, in, method);
	}
	if (*size)
		return take_body(in, data, size);
	return answer(cls, connection, in, method);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list args)
{
	char text[256], quoted[300];

	(void)vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = 0;
	log_debug("api.http", "text=%s", log_quote(text, quoted, sizeof(quoted)));
}

/* Takes fd. */
static struct MHD_Daemon *start_daemon(struct front *front, int fd, const struct tls_files *tls)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG | (front->kind == FRONT_TLS ? MHD_USE_TLS : 0);
	struct MHD_OptionItem items[8];
	struct MHD_Daemon *daemon;
	size_t n = 0;

	if (front->kind != FRONT_UNIX)
		items[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
						     PER_ADDRESS_MAX, NULL};
	if (front->kind == FRONT_TLS) {
		items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert};
		items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key};
		items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
						     (void *)(uintptr_t)TLS_PRIORITIES};
		if (tls->client_ca)
			items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
							     tls->client_ca};
	}
	items[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, front, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_URI_LOG_CALLBACK, on_uri, front,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		conn_notify, front, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
	if (!daemon)
		(void)close(fd);
	return daemon;
}

int front_start(struct http *http, enum front_kind kind, int fd, const struct tls_files *tls,
		struct front **ret, struct err *err)
{
	struct front *front = calloc(1, sizeof(*front));
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (!front || own < 0) {
		free(front);
		if (own >= 0)
			(void)close(own);
		return err_set(err, -ENOMEM, "no memory or descriptors for the API server");
	}
	front->http = http;
	front->kind = kind;
	front->daemon = start_daemon(front, own, tls);
	if (!front->daemon) {
		free(front);
		return err_set(err, -EIO,
			       kind == FRONT_TLS
				       ? "libmicrohttpd did not start with this certificate and key"
				       : "libmicrohttpd did not start");
	}
	*ret = front;
	return 0;
}
