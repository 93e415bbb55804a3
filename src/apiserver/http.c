/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd behind one file. */
#include "apiserver/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "apiserver/api.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "kube/text.h"
#include "rt/listen.h"
#include "rt/lock.h"
#include "rt/process.h"

#define THREADS          4
#define CONNECTIONS_MAX  1024
#define CONNECTION_BYTES ((size_t)64 * 1024) /* request line and headers */
#define IDLE_S           120
#define BACKLOG          128
#define DISCARD_MAX                                                                                \
	((size_t)16 * 1024 *                                                                       \
	 1024) /* of a body that is too large, so that its sender reads the answer */
#define TICK_MS 1000
#define CHUNK   ((size_t)32 * 1024)

struct http {
	struct api *api;
	struct MHD_Daemon *unix_daemon, *tcp_daemon;
	char unix_path[108];
	uint16_t port;
	struct lock *lock;     /* protects what follows */
	struct list suspended; /* streams */
	uint64_t seq;          /* of changes: a stream that saw an older one looks again */
	bool ending;
	struct background *background; /* NULL until it runs */
};

/* A request on its way in. */
struct incoming {
	char path[API_PATH_MAX + 2], query[API_QUERY_MAX + 2];
	bool uri_too_long, begun;
	char *body;
	size_t len, size, total;
};

/* A watch on its way out. */
struct stream {
	struct http *http;
	struct MHD_Connection *connection;
	struct api_watch *watch;
	struct list link; /* in http->suspended */
	uint64_t due_ns;
	char *text;
	size_t len, sent;
};

static void random_bytes(void *buf, size_t len)
{
	/* At most 16 bytes are asked for: such a call is never cut short once the kernel's pool is ready. */
	ASSERT(getrandom(buf, len, 0) == (ssize_t)len);
}

/* With the lock: wakes the suspended whose time has come, or all. */
static void wake(struct http *http, uint64_t now_ns)
{
	list_for_each_safe (it, &http->suspended) {
		struct stream *stream = list_entry(it, struct stream, link);

		if (now_ns < stream->due_ns)
			continue;
		list_remove(it);
		MHD_resume_connection(stream->connection);
	}
}

static void http_changed(void *ctx)
{
	struct http *http = ctx;

	struct background *background;

	lock_take(http->lock);
	http->seq++;
	wake(http, UINT64_MAX);
	background = http->background;
	lock_drop(http->lock);
	if (background)
		background_kick(background);
}

static int background_run(void *ctx)
{
	struct http *http = ctx;
	bool more = api_work(http->api);

	lock_take(http->lock);
	wake(http, process_wall_ns());
	lock_drop(http->lock);
	return more ? 0 : TICK_MS;
}

/* ---- watches ---- */

/* True: suspended. False: something changed since seq, look again. */
static bool stream_suspend(struct stream *stream, uint64_t seq)
{
	struct http *http = stream->http;
	bool suspend;

	lock_take(http->lock);
	suspend = http->seq == seq && !http->ending;
	if (suspend) {
		stream->due_ns = api_watch_due(stream->watch);
		list_push_back(&http->suspended, &stream->link);
		MHD_suspend_connection(stream->connection);
	}
	lock_drop(http->lock);
	return suspend;
}

static uint64_t seq_now(struct http *http, bool *ret_ending)
{
	uint64_t seq;

	lock_take(http->lock);
	seq = http->seq;
	*ret_ending = http->ending;
	lock_drop(http->lock);
	return seq;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *stream = cls;
	size_t n;

	while (!stream->text) {
		bool ending;
		uint64_t seq = seq_now(stream->http, &ending);
		enum api_watch_result result =
			ending ? API_WATCH_END
			       : api_watch_next(stream->watch, &stream->text, &stream->len);

		stream->sent = 0;
		if (result == API_WATCH_END)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (result == API_WATCH_IDLE && stream_suspend(stream, seq))
			return 0;
	}
	n = MIN(max, stream->len - stream->sent);
	memcpy(buf, stream->text + stream->sent, n);
	stream->sent += n;
	if (stream->sent == stream->len) {
		free(stream->text);
		stream->text = NULL;
	}
	return (ssize_t)n;
}

static void stream_free(void *cls)
{
	struct stream *stream = cls;

	lock_take(stream->http->lock);
	list_remove(&stream->link);
	lock_drop(stream->http->lock);
	api_watch_free(stream->watch);
	free(stream->text);
	free(stream);
}

static struct MHD_Response *watch_response(struct http *http, struct MHD_Connection *connection,
					   struct api_response *rsp)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct MHD_Response *response;

	if (!stream)
		return NULL;
	stream->http = http;
	stream->connection = connection;
	stream->watch = TAKE_PTR(rsp->watch);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK, stream_read, stream,
						     stream_free);
	if (!response)
		stream_free(stream);
	return response;
}

/* ---- requests ---- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct incoming *in = calloc(1, sizeof(*in));
	size_t path_len = strcspn(uri, "?");

	if (!in)
		return NULL;
	in->uri_too_long = path_len > API_PATH_MAX || strlen(uri + path_len) > API_QUERY_MAX + 1;
	if (in->uri_too_long)
		return in;
	memcpy(in->path, uri, path_len);
	in->path[path_len] = 0;
	(void)str_copy(in->query, sizeof(in->query), uri + path_len + (uri[path_len] == '?'));
	return in;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct incoming *in = *con_cls;

	if (!in)
		return;
	free(in->body);
	free(in);
	*con_cls = NULL;
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
	if (in->len + len > in->size) {
		size_t grown = MIN((in->len + len) * 2, KUBE_BODY_MAX + 1);
		char *body = realloc(in->body, grown);

		if (!body)
			return MHD_NO;
		in->body = body;
		in->size = grown;
	}
	memcpy(in->body + in->len, data, len);
	in->len += len;
	return MHD_YES;
}

static void add_headers(struct MHD_Response *response, const struct api_response *rsp)
{
	char text[1200];

	(void)MHD_add_response_header(response, "Content-Type", rsp->content_type);
	(void)MHD_add_response_header(response, "Cache-Control", "no-cache, private");
	if (rsp->retry_after_s) {
		(void)snprintf(text, sizeof(text), "%u", rsp->retry_after_s);
		(void)MHD_add_response_header(response, "Retry-After", text);
	}
	if (rsp->warning[0]) {
		size_t n = (size_t)snprintf(text, sizeof(text), "299 - \"");

		/* A quoted string: quotes and backslashes escaped, nothing that is no plain text. */
		for (const char *p = rsp->warning; *p && n + 4 < sizeof(text); p++) {
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
}

static enum MHD_Result send_response(struct http *http, struct MHD_Connection *connection,
				     struct api_response *rsp)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (rsp->watch)
		response = watch_response(http, connection, rsp);
	else
		response = MHD_create_response_from_buffer(rsp->body_len, rsp->body,
							   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		api_response_fini(rsp);
		return MHD_NO;
	}
	rsp->body = NULL;
	add_headers(response, rsp);
	result = MHD_queue_response(connection, (unsigned)rsp->code, response);
	MHD_destroy_response(response);
	return result;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are libmicrohttpd's */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct http *http = cls;
	struct incoming *in = *con_cls;
	struct api_response rsp;
	struct api_request req;

	if (!in)
		return MHD_NO;
	/* The first call comes with the headers alone: then "100 Continue" is sent and the body follows. */
	if (!in->begun) {
		in->begun = true;
		return MHD_YES;
	}
	if (*size)
		return take_body(in, data, size);
	req = (struct api_request){
		.method = method,
		.path = in->uri_too_long ? "/" : in->path,
		.query = in->query,
		.accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
		.content_type =
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type"),
		.body = in->body,
		.body_len = in->len,
	};
	api_handle(http->api, &req, &rsp);
	return send_response(http, connection, &rsp);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list args)
{
	char text[256], quoted[300];

	(void)vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = 0;
	log_debug("api.http", "text=%s", log_quote(text, quoted, sizeof(quoted)));
}

/* ---- start and stop ---- */

/* Takes fd. */
static struct MHD_Daemon *start_daemon(struct http *http, int fd)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);

	if (!daemon)
		(void)close(fd);
	return daemon;
}

static int start_unix(struct http *http, const char *path, struct err *err)
{
	struct sock_addr addr;
	int fd, rc;

	if (sock_addr_unix(path, &addr) ||
	    !str_copy(http->unix_path, sizeof(http->unix_path), path))
		return err_set(err, -EINVAL,
			       "'%s' is no path for a unix socket (107 bytes at most)", path);
	rc = listen_open(&addr, BACKLOG, &fd, err);
	if (rc) {
		http->unix_path[0] = 0; /* It is not ours to remove. */
		return rc;
	}
	http->unix_daemon = start_daemon(http, fd);
	return http->unix_daemon ? 0 : err_set(err, -EIO, "libmicrohttpd did not start");
}

static int start_tcp(struct http *http, const char *host, uint16_t port, struct err *err)
{
	struct sock_addr addr;
	char text[SOCK_ADDR_TEXT];
	int fd, rc;

	if (sock_addr_ip(host, port, &addr))
		return err_set(err, -EINVAL, "'%s' is no IP address", host);
	if (!listen_is_loopback(&addr))
		return err_set(err, -EPERM,
			       "the API may listen on TCP only at a loopback address, not %s: this "
			       "version has neither TLS nor authentication; use the unix socket",
			       host);
	rc = listen_open(&addr, BACKLOG, &fd, err);
	if (rc)
		return rc;
	rc = listen_address(fd, &addr);
	(void)sock_addr_host(&addr, text, &http->port);
	http->tcp_daemon = start_daemon(http, fd);
	return http->tcp_daemon ? rc : err_set(err, -EIO, "libmicrohttpd did not start");
}

static int start_background(struct http *http, struct err *err)
{
	struct background *background;
	int rc = background_new(background_run, http, &background, err);

	if (rc)
		return rc;
	lock_take(http->lock);
	http->background = background;
	lock_drop(http->lock);
	return 0;
}

int http_start(const struct http_config *config, struct http **ret, struct err *err)
{
	struct http *http = calloc(1, sizeof(*http));
	struct api_config api = {.store = config->store,
				 .wall_ns = process_wall_ns,
				 .random_bytes = random_bytes,
				 .changed = http_changed,
				 .changed_ctx = http};
	int rc;

	if (!http || lock_new(&http->lock)) {
		free(http);
		return err_set(err, -ENOMEM, "no memory for the API server");
	}
	ASSERT(config->unix_path || config->tcp_host);
	list_init(&http->suspended);
	rc = api_new(&api, &http->api, err);
	if (!rc)
		rc = start_background(http, err);
	if (!rc && config->unix_path)
		rc = start_unix(http, config->unix_path, err);
	if (!rc && config->tcp_host)
		rc = start_tcp(http, config->tcp_host, config->tcp_port, err);
	if (rc) {
		http_stop(http);
		return rc;
	}
	*ret = http;
	return 0;
}

uint16_t http_port(const struct http *http)
{
	return http->port;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	lock_take(http->lock);
	http->ending = true;
	wake(http, UINT64_MAX);
	lock_drop(http->lock);
	if (http->unix_daemon)
		MHD_stop_daemon(http->unix_daemon);
	if (http->tcp_daemon)
		MHD_stop_daemon(http->tcp_daemon);
	background_free(http->background);
	if (http->unix_path[0])
		(void)unlink(http->unix_path);
	api_free(http->api);
	lock_free(http->lock);
	free(http);
}
