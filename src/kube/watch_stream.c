/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON object a line: {"type": ADDED|MODIFIED|DELETED|BOOKMARK|ERROR, "object": ...}. */
#include "kube/watch_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "kube/text.h"

void watch_stream_init(struct watch_stream *ws, const struct kube_sink *sink)
{
	*ws = (struct watch_stream){.sink = *sink};
}

void watch_stream_fini(struct watch_stream *ws)
{
	free(ws->line);
	kube_error_fini(&ws->error);
	*ws = (struct watch_stream){0};
}

static void fail(struct watch_stream *ws, const char *why)
{
	(void)kube_error_local(&ws->error, -EPROTO, "the watch's stream is broken: %s", why);
	ws->error.retry = KUBE_RETRY_LATER;
	ws->failed = true;
}

static bool append(struct watch_stream *ws, const char *data, size_t len)
{
	size_t need = ws->len + len;

	if (need > KUBE_WATCH_LINE_MAX)
		return false;
	if (need > ws->size) {
		size_t size = need * 2 < 4096 ? 4096 : need * 2;
		char *grown = realloc(ws->line, size);

		if (!grown)
			return false;
		ws->line = grown;
		ws->size = size;
	}
	memcpy(ws->line + ws->len, data, len);
	ws->len += len;
	return true;
}

static void tell(struct watch_stream *ws, const json_t *event)
{
	static const char *const types[] = {[KUBE_ADDED] = "ADDED",
					    [KUBE_MODIFIED] = "MODIFIED",
					    [KUBE_DELETED] = "DELETED",
					    [KUBE_BOOKMARK] = "BOOKMARK"};
	const char *type = kube_str(event, "type");
	json_t *object = json_object_get(event, "object");

	if (!json_is_object(object)) {
		fail(ws, "an event without an object");
	} else if (!strcmp(type, "ERROR")) {
		(void)kube_error_status(&ws->error, object);
		ws->failed = true;
	} else {
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			if (!strcmp(type, types[i])) {
				ws->sink.event(ws->sink.ctx, (enum kube_event)i, object);
				return;
			}
		fail(ws, "an event of no known type");
	}
}

static void take_line(struct watch_stream *ws, const char *line, size_t len)
{
	_cleanup_fail_ struct kube_fail why = {0};
	_cleanup_json_ json_t *event = NULL;

	if (len && line[len - 1] == '\r')
		len--;
	if (!len)
		return;
	if (kube_json_parse_up_to(line, len, KUBE_WATCH_LINE_MAX, &event, &why))
		fail(ws, why.message);
	else
		tell(ws, event);
}

static void take_lines(struct watch_stream *ws, const char *data, size_t len)
{
	while (len && !ws->failed) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		if (!end || ws->len) {
			if (!append(ws, data, n)) {
				fail(ws, "a line is too long, or there is no memory for it");
				return;
			}
		}
		if (!end)
			return;
		take_line(ws, ws->len ? ws->line : data, ws->len ? ws->len : n);
		ws->len = 0;
		data += n + 1;
		len -= n + 1;
	}
}

bool watch_stream_feed(struct watch_stream *ws, int http, const char *data, size_t len)
{
	if (ws->failed || ws->done)
		return false;
	if (http == 200) {
		take_lines(ws, data, len);
	} else if (!append(ws, data, len)) {
		ws->len = 0;
		return false;
	}
	return !ws->failed;
}

void watch_stream_end(struct watch_stream *ws, int http, uint32_t retry_after_s, int rc,
		      const char *why)
{
	bool error = ws->failed;

	if (ws->done)
		return;
	ws->done = true;
	if (!error && http && http != 200) {
		_cleanup_fail_ struct kube_fail bad = {0};
		_cleanup_json_ json_t *status = NULL;

		(void)kube_json_parse_up_to(ws->line ? ws->line : "", ws->len, KUBE_WATCH_LINE_MAX,
					    &status, &bad);
		(void)kube_error_answer(&ws->error, http, status, retry_after_s);
		error = true;
	} else if (!error && (!http || rc < 0)) {
		(void)kube_error_local(&ws->error, rc < 0 ? rc : -EIO, "%s", why);
		ws->error.retry = KUBE_RETRY_LATER;
		error = true;
	}
	ws->sink.ended(ws->sink.ctx, error ? &ws->error : NULL);
}
