/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a watch, cut anywhere, and answers that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/text.h"
#include "kube/watch_stream.h"

#define EVENT(type, name)                                                                          \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name "\"}}}\n"

struct seen {
	int events, ends;
	char names[64];
	enum kube_event last;
	int code;
	enum kube_retry retry;
};

static void on_event(void *ctx, enum kube_event type, json_t *obj)
{
	struct seen *seen = ctx;

	assert_int_equal(seen->ends, 0);
	seen->events++;
	seen->last = type;
	(void)snprintf(seen->names + strlen(seen->names), 8, "%s", kube_str(obj, "metadata.name"));
}

static void on_ended(void *ctx, const struct kube_error *error)
{
	struct seen *seen = ctx;

	seen->ends++;
	seen->code = error ? error->err.code : 0;
	seen->retry = error ? error->retry : KUBE_RETRY_NO;
}

/* In pieces of that size. */
static bool feed(struct seen *seen, int http, const char *text, size_t piece, int rc)
{
	const struct kube_sink sink = {on_event, on_ended, seen};
	struct watch_stream ws;
	size_t len = strlen(text);
	bool more = true;

	*seen = (struct seen){0};
	watch_stream_init(&ws, &sink);
	for (size_t at = 0; at < len && more; at += piece)
		more = watch_stream_feed(&ws, http, text + at, len - at < piece ? len - at : piece);
	watch_stream_end(&ws, http, 0, rc, "cut");
	watch_stream_end(&ws, http, 0, rc, "cut");
	assert_int_equal(seen->ends, 1);
	watch_stream_fini(&ws);
	return more;
}

static void lines_are_events_however_they_are_cut(void **state)
{
	static const char text[] =
		EVENT("ADDED", "a") "\r\n\n" EVENT("MODIFIED", "b") EVENT("DELETED", "c")
			EVENT("BOOKMARK", "") "{\"type\":\"DELETED\",\"object\":{\"met";
	struct seen seen;

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		assert_true(feed(&seen, 200, text, piece, 0));
		assert_int_equal(seen.events, 4);
		assert_string_equal(seen.names, "abc");
		assert_int_equal(seen.last, KUBE_BOOKMARK);
		assert_int_equal(seen.code, 0);
	}
}

static void an_error_event_ends_it(void **state)
{
	static const char text[] = EVENT(
		"ADDED", "a") "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
			      "\"reason\":\"Expired\",\"message\":\"old\"}}\n" EVENT("ADDED", "b");
	struct seen seen;

	assert_false(feed(&seen, 200, text, 1000, 0));
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.code, -ESTALE);
	assert_int_equal(seen.retry, KUBE_RETRY_RELIST);
}

static void what_is_no_event_ends_it(void **state)
{
	static const char *const texts[] = {"nonsense\n", "[]\n", "{\"type\":\"ADDED\"}\n",
					    "{\"type\":\"NEW\",\"object\":{}}\n",
					    "{\"type\":\"ADDED\",\"object\":3}\n"};
	struct seen seen;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(feed(&seen, 200, texts[i], 3, 0));
		assert_int_equal(seen.events, 0);
		assert_int_equal(seen.code, -EPROTO);
	}
}

static void a_refusal_is_an_error(void **state)
{
	struct seen seen;

	(void)feed(&seen, 410, "{\"kind\":\"Status\",\"reason\":\"Gone\",\"code\":410}", 5, 0);
	assert_int_equal(seen.retry, KUBE_RETRY_RELIST);
	(void)feed(&seen, 502, "<html>", 5, 0);
	assert_int_equal(seen.retry, KUBE_RETRY_LATER);
	(void)feed(&seen, 403, "", 5, 0);
	assert_int_equal(seen.retry, KUBE_RETRY_NO);
	(void)feed(&seen, 0, "", 5, -ECONNREFUSED);
	assert_int_equal(seen.code, -ECONNREFUSED);
	(void)feed(
		&seen, 504,
		"{\"kind\":\"Status\",\"reason\":\"Timeout\",\"code\":504,\"details\":{\"causes\":"
		"[{\"reason\":\"ResourceVersionTooLarge\"}]}}",
		500, 0);
	assert_int_equal(seen.retry, KUBE_RETRY_RELIST);
}

static void a_line_without_end_is_refused(void **state)
{
	size_t len = KUBE_WATCH_LINE_MAX + 2;
	char *text = malloc(len);
	struct seen seen;

	assert_non_null(text);
	memset(text, ' ', len);
	text[len - 1] = 0;
	assert_false(feed(&seen, 200, text, 100000, 0));
	assert_int_equal(seen.code, -EPROTO);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_events_however_they_are_cut),
		cmocka_unit_test(an_error_event_ends_it),
		cmocka_unit_test(what_is_no_event_ends_it),
		cmocka_unit_test(a_refusal_is_an_error),
		cmocka_unit_test(a_line_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
