/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches on their way out. One with nothing to tell is suspended: libmicrohttpd then neither reads nor writes its connection, nor sees
 * that the client has gone, so that is looked for here.
 */
#include <stdlib.h>
#include <string.h>

#include "apiserver/http_priv.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "rt/listen.h"
#include "rt/lock.h"

#define CHUNK ((size_t)16 * 1024)

struct stream {
	struct front *front;
	struct MHD_Connection *connection;
	int fd;
	struct api_watch *watch;
	struct list link; /* in http->suspended */
	uint64_t due_ns;
	bool gone; /* its client; under the lock */
	char *text;
	size_t len, sent;
};

static void resume(struct stream *stream)
{
	list_remove(&stream->link);
	MHD_resume_connection(stream->connection);
}

void watch_wake(struct http *http, uint64_t wall_ns)
{
	list_for_each_safe (it, &http->suspended) {
		struct stream *stream = list_entry(it, struct stream, link);

		if (wall_ns >= stream->due_ns)
			resume(stream);
	}
}

void watch_wake_behind(struct http *http)
{
	list_for_each_safe (it, &http->suspended) {
		struct stream *stream = list_entry(it, struct stream, link);

		if (api_watch_behind(stream->watch))
			resume(stream);
	}
}

void watch_end_front(struct front *front)
{
	front->ending = true;
	list_for_each_safe (it, &front->http->suspended) {
		struct stream *stream = list_entry(it, struct stream, link);

		if (stream->front == front)
			resume(stream);
	}
}

void watch_end_closed(struct http *http)
{
	_cleanup_free_ bool *closed = NULL;
	_cleanup_free_ int *fds = NULL;
	size_t n = 0, i = 0;

	list_for_each_safe (it, &http->suspended)
		n++;
	closed = calloc(n + 1, sizeof(*closed));
	fds = calloc(n + 1, sizeof(*fds));
	if (!closed || !fds)
		return; /* next time */
	list_for_each_safe (it, &http->suspended)
		fds[i++] = list_entry(it, struct stream, link)->fd;
	if (listen_closed_by_peer(fds, n, closed))
		return;
	i = 0;
	list_for_each_safe (it, &http->suspended) {
		struct stream *stream = list_entry(it, struct stream, link);

		if (!closed[i++])
			continue;
		stream->gone = true;
		resume(stream);
	}
}

/*
 * True: suspended. False: something changed, look again. A change is committed before http_changed() takes the lock: either it is seen here,
 * or http_changed() finds the stream in the list.
 */
static bool stream_suspend(struct stream *stream)
{
	struct http *http = stream->front->http;
	bool suspend;

	lock_take(http->lock);
	suspend = !stream->front->ending && !api_watch_behind(stream->watch);
	if (suspend) {
		stream->due_ns = api_watch_due(stream->watch);
		list_push_back(&http->suspended, &stream->link);
		MHD_suspend_connection(stream->connection);
	}
	lock_drop(http->lock);
	return suspend;
}

static bool ending(struct stream *stream, bool *ret_gone)
{
	struct http *http = stream->front->http;
	bool end;

	lock_take(http->lock);
	end = stream->front->ending || stream->gone;
	*ret_gone = stream->gone;
	lock_drop(http->lock);
	return end;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *stream = cls;
	size_t n;

	while (!stream->text) {
		bool gone;
		enum api_watch_result result =
			ending(stream, &gone)
				? API_WATCH_END
				: api_watch_next(stream->watch, &stream->text, &stream->len);

		stream->sent = 0;
		if (gone)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		if (result == API_WATCH_END)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (result == API_WATCH_IDLE && stream_suspend(stream))
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

	lock_take(stream->front->http->lock);
	list_remove(&stream->link);
	lock_drop(stream->front->http->lock);
	api_watch_free(stream->watch);
	free(stream->text);
	free(stream);
}

struct MHD_Response *watch_response(struct front *front, struct MHD_Connection *connection,
				    struct api_response *rsp)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct conn *conn = conn_of(connection);
	struct MHD_Response *response;

	if (!stream || !conn) {
		free(stream);
		return NULL;
	}
	stream->front = front;
	stream->connection = connection;
	stream->fd = conn->fd;
	stream->watch = TAKE_PTR(rsp->watch);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK, stream_read, stream,
						     stream_free);
	if (!response)
		stream_free(stream);
	return response;
}
