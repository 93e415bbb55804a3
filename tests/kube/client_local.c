/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as calls of api_handle(), with the faults that tests want. */
#include "client_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "kube/client_ops.h"
#include "kube/watch_stream.h"

struct client_local {
	struct kube_client client;
	struct api *api;
	enum local_fault fault;
	uint64_t calls;
	struct list watches;
};

struct kube_watch {
	struct list link;
	struct api_watch *watch; /* NULL: it was refused, or has ended */
	int http;
	struct watch_stream stream;
};

static struct client_local *local(struct kube_client *client)
{
	return (struct client_local *)client;
}

static int down(struct err *err)
{
	return err_set(err, -ECONNREFUSED, "API server: connection refused");
}

static void handle(struct client_local *c, const struct kube_call *call, struct api_response *rsp)
{
	size_t path_len = strcspn(call->target, "?");
	_cleanup_free_ char *path = strndup(call->target, path_len);
	static const struct api_user user = {.name = "tester", .role = API_ROLE_ADMIN};
	struct api_request req = {
		.user = &user,
		.method = call->method,
		.path = path,
		.query = call->target[path_len] ? call->target + path_len + 1 : NULL,
		.accept = "application/json",
		.content_type = call->content_type,
		.body = call->body,
		.body_len = call->body_len,
	};

	api_handle(c->api, &req, rsp);
}

static int local_call(struct kube_client *client, const struct kube_call *call,
		      struct kube_answer *ret, struct err *err)
{
	struct client_local *c = local(client);
	struct api_response rsp = {0};

	c->calls++;
	switch (c->fault) {
	case LOCAL_DOWN:
		return down(err);
	case LOCAL_BUSY:
		*ret = (struct kube_answer){.http = 429, .retry_after_s = 7};
		return 0;
	case LOCAL_BROKEN:
		*ret = (struct kube_answer){.http = 500, .body = strdup("<html>"), .body_len = 6};
		return 0;
	case LOCAL_OK:
	case LOCAL_NO_ANSWER:
		break;
	}
	handle(c, call, &rsp);
	if (c->fault == LOCAL_NO_ANSWER) {
		api_response_fini(&rsp);
		return err_set(err, -ETIMEDOUT, "API server: no answer");
	}
	*ret = (struct kube_answer){.http = rsp.code,
				    .body = TAKE_PTR(rsp.body),
				    .body_len = rsp.body_len,
				    .retry_after_s = rsp.retry_after_s};
	api_response_fini(&rsp);
	return 0;
}

static int local_watch(struct kube_client *client, const char *target, uint32_t timeout_s,
		       const struct kube_sink *sink, struct kube_watch **ret, struct err *err)
{
	struct client_local *c = local(client);
	struct kube_call call = {.method = "GET", .target = target};
	struct api_response rsp = {0};
	struct kube_watch *w;

	if (c->fault != LOCAL_OK)
		return down(err);
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "no memory");
	watch_stream_init(&w->stream, sink);
	handle(c, &call, &rsp);
	w->http = rsp.code;
	w->watch = TAKE_PTR(rsp.watch);
	if (rsp.body)
		(void)watch_stream_feed(&w->stream, rsp.code, rsp.body, rsp.body_len);
	api_response_fini(&rsp);
	list_push_back(&c->watches, &w->link);
	*ret = w;
	return 0;
}

static void local_unwatch(struct kube_client *client, struct kube_watch *w)
{
	list_remove(&w->link);
	api_watch_free(w->watch);
	watch_stream_fini(&w->stream);
	free(w);
}

static void end(struct kube_watch *w, int rc)
{
	api_watch_free(w->watch);
	w->watch = NULL;
	watch_stream_end(&w->stream, w->http, 0, rc, "the connection was lost");
}

static bool pump(struct kube_watch *w)
{
	enum api_watch_result result = API_WATCH_END;
	char *text = NULL;
	size_t len = 0;
	bool more = true;

	if (w->stream.done)
		return false;
	if (w->watch)
		result = api_watch_next(w->watch, &text, &len);
	if (result == API_WATCH_IDLE)
		return false;
	if (result == API_WATCH_TEXT)
		more = watch_stream_feed(&w->stream, w->http, text, len);
	free(text);
	if (result == API_WATCH_END || !more)
		end(w, 0);
	return true;
}

bool client_local_pump(struct kube_client *client)
{
	struct client_local *c = local(client);
	bool any = false, again = true;

	while (again) {
		again = false;
		for (struct list *l = c->watches.next; l != &c->watches; l = l->next)
			again |= pump(container_of(l, struct kube_watch, link));
		any |= again;
	}
	return any;
}

void client_local_cut(struct kube_client *client, bool broken)
{
	static const char half[] = "{\"type\":\"DELETED\",\"obj";
	struct client_local *c = local(client);

	for (struct list *l = c->watches.next; l != &c->watches; l = l->next) {
		struct kube_watch *w = container_of(l, struct kube_watch, link);

		if (broken)
			(void)watch_stream_feed(&w->stream, w->http, half, sizeof(half) - 1);
		end(w, broken ? -ECONNRESET : 0);
	}
}

void client_local_fault(struct kube_client *client, enum local_fault fault)
{
	local(client)->fault = fault;
}

uint64_t client_local_calls(const struct kube_client *client)
{
	return ((const struct client_local *)client)->calls;
}

void client_local_api(struct kube_client *client, struct api *api)
{
	local(client)->api = api;
}

static void local_free(struct kube_client *client)
{
	free(client);
}

int client_local_new(struct api *api, struct kube_client **ret)
{
	static const struct kube_client_ops ops = {.call = local_call,
						   .watch = local_watch,
						   .unwatch = local_unwatch,
						   .free = local_free};
	struct client_local *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->client.ops = &ops;
	c->api = api;
	list_init(&c->watches);
	*ret = &c->client;
	return 0;
}
