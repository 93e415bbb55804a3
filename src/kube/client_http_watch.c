/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All watches of a client on one background thread, by curl's multi interface.
 *
 * 1. Only the thread touches the multi handle and the watches' handles; others hand over by the lists `opening` and `closing`.
 * 2. A sink is called by the thread alone, with no lock held; when watcher_close() has returned, it is not called any more.
 *
 *   watcher_open -> opening -> (thread) active -> ended, or asked to close -> (thread) closed -> watcher_close frees
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "kube/client_curl.h"
#include "kube/watch_stream.h"
#include "rt/lock.h"

#define POLL_MS  1000
#define GRACE_MS 30000 /* how long the server may be late in ending a watch */

enum watch_state { WATCH_OPENING, WATCH_ACTIVE, WATCH_ENDED, WATCH_CLOSED };

struct kube_watch {
	struct list link;       /* opening, or closing */
	enum watch_state state; /* under the lock */
	bool close_wanted;      /* under the lock */
	/* The thread's own. */
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char detail[CURL_ERROR_SIZE];
	char *target;
	uint32_t timeout_s;
	struct watch_stream stream;
};

struct watcher {
	struct curl_server *server;
	CURLM *multi;
	struct background *background;
	struct lock *lock; /* protects what follows */
	struct list opening, closing;
	unsigned active;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct kube_watch *w = ctx;
	long http = 0;

	(void)curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http);
	return watch_stream_feed(&w->stream, (int)http, data, size * n) ? size * n : 0;
}

/* Gives up the connection's part; the stream is told the end unless nobody wants to hear it. */
static void finish(struct watcher *watcher, struct kube_watch *w, CURLcode code, int rc,
		   const char *why)
{
	struct err err = {0};
	long http = 0;

	if (w->easy) {
		(void)curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http);
		if (!rc && code)
			rc = curl_failed(watcher->server, code, w->detail, &err);
		watch_stream_end(&w->stream, (int)http, curl_retry_after_s(w->easy), rc,
				 why ? why : err.text);
		(void)curl_multi_remove_handle(watcher->multi, w->easy);
		curl_easy_cleanup(w->easy);
		w->easy = NULL;
	} else {
		watch_stream_end(&w->stream, 0, 0, rc, why);
	}
	curl_slist_free_all(w->headers);
	curl_slist_free_all(w->connect_to);
	w->headers = w->connect_to = NULL;
	lock_take(watcher->lock);
	if (w->state == WATCH_ACTIVE)
		watcher->active--;
	w->state = WATCH_ENDED;
	lock_drop(watcher->lock);
}

static int begin(struct watcher *watcher, struct kube_watch *w, struct err *err)
{
	struct kube_call call = {.method = "GET", .target = w->target};
	int rc;

	w->easy = curl_easy_init();
	if (!w->easy)
		return err_set(err, -ENOMEM, "no memory for a watch");
	rc = curl_prepare(watcher->server, w->easy, &call, false, &w->headers, err);
	if (rc)
		return rc;
	(void)curl_easy_getinfo(w->easy, CURLINFO_PRIVATE, &w->connect_to);
	(void)curl_easy_setopt(w->easy, CURLOPT_PRIVATE, w);
	(void)curl_easy_setopt(w->easy, CURLOPT_ERRORBUFFER, w->detail);
	(void)curl_easy_setopt(w->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(w->easy, CURLOPT_WRITEDATA, w);
	/*
	 * Better to wait for the connection of another watch than to open one more; only where TLS tells at once whether it can be shared. Over plain HTTP that is known by
	 * the first answer alone, which may be hours away: a watch that has nothing to tell says nothing.
	 */
	(void)curl_easy_setopt(w->easy, CURLOPT_PIPEWAIT,
			       strncmp(watcher->server->base, "https:", 6) == 0 ? 1L : 0L);
	(void)curl_easy_setopt(w->easy, CURLOPT_TIMEOUT_MS, (long)w->timeout_s * 1000 + GRACE_MS);
	return curl_multi_add_handle(watcher->multi, w->easy)
		       ? err_set(err, -ENOMEM, "libcurl takes no more watches")
		       : 0;
}

static struct kube_watch *pop(struct watcher *watcher, struct list *list, enum watch_state state)
{
	struct list *link;

	lock_take(watcher->lock);
	link = list_pop_front(list);
	if (link) {
		container_of(link, struct kube_watch, link)->state = state;
		watcher->active += state == WATCH_ACTIVE;
	}
	lock_drop(watcher->lock);
	return link ? container_of(link, struct kube_watch, link) : NULL;
}

static void take_opening(struct watcher *watcher)
{
	struct kube_watch *w;

	while ((w = pop(watcher, &watcher->opening, WATCH_ACTIVE))) {
		struct err err = {0};
		int rc = begin(watcher, w, &err);

		if (rc)
			finish(watcher, w, CURLE_OK, rc, err.text);
	}
}

static void take_closing(struct watcher *watcher)
{
	for (;;) {
		struct list *link;
		struct kube_watch *w;

		lock_take(watcher->lock);
		link = list_pop_front(&watcher->closing);
		lock_drop(watcher->lock);
		if (!link)
			return;
		w = container_of(link, struct kube_watch, link);
		w->stream.done = true; /* nobody wants to hear of the end */
		if (w->state != WATCH_ENDED)
			finish(watcher, w, CURLE_OK, 0, NULL);
		lock_take(watcher->lock);
		w->state = WATCH_CLOSED;
		lock_wake(watcher->lock);
		lock_drop(watcher->lock);
	}
}

static void take_ended(struct watcher *watcher)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(watcher->multi, &left))) {
		struct kube_watch *w = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&w);
		finish(watcher, w, msg->data.result, 0, NULL);
	}
}

/* One pass; waits in curl, which watcher_open() and watcher_close() wake. */
static int watcher_run(void *ctx)
{
	struct watcher *watcher = ctx;
	bool more;
	int running;

	take_closing(watcher);
	take_opening(watcher);
	(void)curl_multi_perform(watcher->multi, &running);
	take_ended(watcher);
	lock_take(watcher->lock);
	more = watcher->active || !list_empty(&watcher->opening) || !list_empty(&watcher->closing);
	lock_drop(watcher->lock);
	if (more)
		(void)curl_multi_poll(watcher->multi, NULL, 0, POLL_MS, NULL);
	return more ? 0 : -1;
}

int watcher_open(struct watcher *watcher, const char *target, uint32_t timeout_s,
		 const struct kube_sink *sink, struct kube_watch **ret, struct err *err)
{
	struct kube_watch *w = calloc(1, sizeof(*w));

	if (w)
		w->target = strdup(target);
	if (!w || !w->target) {
		free(w);
		return err_set(err, -ENOMEM, "no memory for a watch");
	}
	w->timeout_s = timeout_s;
	watch_stream_init(&w->stream, sink);
	lock_take(watcher->lock);
	list_push_back(&watcher->opening, &w->link);
	lock_drop(watcher->lock);
	background_kick(watcher->background);
	(void)curl_multi_wakeup(watcher->multi);
	*ret = w;
	return 0;
}

void watcher_close(struct watcher *watcher, struct kube_watch *w)
{
	lock_take(watcher->lock);
	ASSERT(!w->close_wanted);
	w->close_wanted = true;
	if (list_linked(&w->link)) /* still opening */
		list_remove(&w->link);
	list_push_back(&watcher->closing, &w->link);
	background_kick(watcher->background);
	(void)curl_multi_wakeup(watcher->multi);
	while (w->state != WATCH_CLOSED)
		lock_wait(watcher->lock, -1);
	lock_drop(watcher->lock);
	watch_stream_fini(&w->stream);
	free(w->target);
	free(w);
}

int watcher_new(struct curl_server *server, struct watcher **ret, struct err *err)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int rc = 0;

	if (!watcher)
		return err_set(err, -ENOMEM, "no memory for an API client");
	watcher->server = server;
	list_init(&watcher->opening);
	list_init(&watcher->closing);
	watcher->multi = curl_multi_init();
	if (!watcher->multi || lock_new(&watcher->lock))
		rc = err_set(err, -ENOMEM, "no memory for an API client");
	if (!rc)
		rc = background_new(watcher_run, watcher, &watcher->background, err);
	if (rc)
		watcher_free(watcher);
	else
		*ret = watcher;
	return rc;
}

void watcher_free(struct watcher *watcher)
{
	if (!watcher)
		return;
	if (watcher->multi)
		(void)curl_multi_wakeup(watcher->multi);
	background_free(watcher->background);
	ASSERT(!watcher->active);
	if (watcher->multi)
		(void)curl_multi_cleanup(watcher->multi);
	lock_free(watcher->lock);
	free(watcher);
}
