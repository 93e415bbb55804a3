/* SPDX-License-Identifier: Apache-2.0 */
/* Calls over HTTP: a handle of the pool, one request, an answer within its limit. */
#include "kube/client_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "kube/client_curl.h"
#include "rt/lock.h"

#define POOL_MAX 16 /* idle handles, and so idle connections */

struct client_http {
	struct kube_client client;
	struct curl_server server;
	struct watcher *watcher;
	struct lock *lock; /* protects the pool */
	CURL *pool[POOL_MAX];
	size_t n_pool;
};

static CURL *pool_get(struct client_http *c)
{
	CURL *easy = NULL;

	lock_take(c->lock);
	if (c->n_pool)
		easy = c->pool[--c->n_pool];
	lock_drop(c->lock);
	return easy ? easy : curl_easy_init();
}

/* The handle forgets its request and keeps its connection. */
static void pool_put(struct client_http *c, CURL *easy)
{
	curl_easy_reset(easy);
	lock_take(c->lock);
	if (c->n_pool < POOL_MAX) {
		c->pool[c->n_pool++] = easy;
		easy = NULL;
	}
	lock_drop(c->lock);
	if (easy)
		curl_easy_cleanup(easy);
}

struct body {
	char *data;
	size_t len, size;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct body *body = ctx;
	size_t len = size * n;

	if (body->len + len > KUBE_ANSWER_MAX)
		return 0;
	if (body->len + len > body->size) {
		size_t want = (body->len + len) * 2;
		char *grown = realloc(body->data, want);

		if (!grown)
			return 0;
		body->data = grown;
		body->size = want;
	}
	memcpy(body->data + body->len, data, len);
	body->len += len;
	return len;
}

/* One try. */
static int exchange(struct client_http *c, CURL *easy, const struct kube_call *call, bool fresh,
		    struct kube_answer *ret, struct err *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	int timeout_ms = call->timeout_ms ? call->timeout_ms : c->server.timeout_ms;
	struct curl_slist *headers, *connect_to = NULL;
	struct body body = {0};
	long http = 0;
	CURLcode code;
	int rc = curl_prepare(&c->server, easy, call, fresh, &headers, err);

	if (rc)
		return rc;
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
	code = curl_easy_perform(easy);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &connect_to);
	*ret = (struct kube_answer){.http = (int)http,
				    .body = body.data,
				    .body_len = body.len,
				    .retry_after_s = curl_retry_after_s(easy)};
	rc = code ? curl_failed(&c->server, code, detail, err) : 0;
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	curl_slist_free_all(connect_to);
	return rc;
}

static int http_call(struct kube_client *client, const struct kube_call *call,
		     struct kube_answer *ret, struct err *err)
{
	struct client_http *c = (struct client_http *)client;
	struct kube_answer answer = {0};
	CURL *easy = pool_get(c);
	int rc;

	if (!easy)
		return err_set(err, -ENOMEM, "no memory for a request");
	rc = exchange(c, easy, call, false, &answer, err);
	/* The token may have been replaced since it was read. */
	if (!rc && answer.http == 401 && c->server.config.token_file) {
		free(answer.body);
		answer = (struct kube_answer){0};
		curl_easy_reset(easy);
		rc = exchange(c, easy, call, true, &answer, err);
	}
	pool_put(c, easy);
	if (rc)
		free(answer.body);
	else
		*ret = answer;
	return rc;
}

static int http_watch(struct kube_client *client, const char *target, uint32_t timeout_s,
		      const struct kube_sink *sink, struct kube_watch **ret, struct err *err)
{
	struct client_http *c = (struct client_http *)client;

	return watcher_open(c->watcher, target, timeout_s, sink, ret, err);
}

static void http_unwatch(struct kube_client *client, struct kube_watch *watch)
{
	struct client_http *c = (struct client_http *)client;

	watcher_close(c->watcher, watch);
}

static void http_free(struct kube_client *client)
{
	struct client_http *c = (struct client_http *)client;

	watcher_free(c->watcher);
	for (size_t i = 0; i < c->n_pool; i++)
		curl_easy_cleanup(c->pool[i]);
	curl_server_fini(&c->server);
	lock_free(c->lock);
	free(c);
	curl_global_cleanup();
}

int kube_client_http_new(const struct kube_config *config, const struct kube_http_options *options,
			 struct kube_client **ret, struct err *err)
{
	static const struct kube_client_ops ops = {
		.call = http_call, .watch = http_watch, .unwatch = http_unwatch, .free = http_free};
	struct client_http *c = calloc(1, sizeof(*c));
	int rc;

	/* Counted by libcurl; safe with threads since 7.84. */
	if (!c || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(c);
		return err_set(err, -ENOMEM, "libcurl does not start");
	}
	c->client.ops = &ops;
	rc = lock_new(&c->lock);
	if (rc)
		rc = err_set(err, rc, "no memory for an API client");
	if (!rc)
		rc = curl_server_init(&c->server, config, options, err);
	if (!rc)
		rc = watcher_new(&c->server, &c->watcher, err);
	if (rc)
		http_free(&c->client);
	else
		*ret = &c->client;
	return rc;
}
