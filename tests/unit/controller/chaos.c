/* SPDX-License-Identifier: Apache-2.0 */
#include "chaos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/client_ops.h"

struct chaos_client {
	struct kube_client client;
	struct kube_client *inner;
	struct chaos chaos;
	struct kube_call held; /* texts are owned; method NULL: none */
};

static struct chaos_client *of(struct kube_client *client)
{
	return (struct chaos_client *)client;
}

static int no_answer(struct err *err)
{
	return err_set(err, -ETIMEDOUT, "no answer");
}

static bool is_write(const struct kube_call *call)
{
	return strcmp(call->method, "GET") != 0;
}

static bool dead(const struct chaos *x)
{
	return x->cut_off || x->writes_left == 0;
}

static bool by_chance(struct chaos *x)
{
	return x->lost_percent && rng_below(&x->rng, 200) < x->lost_percent;
}

static void drop_held(struct chaos_client *c)
{
	free((char *)(uintptr_t)c->held.method);
	free((char *)(uintptr_t)c->held.target);
	free((char *)(uintptr_t)c->held.content_type);
	free((char *)(uintptr_t)c->held.body);
	c->held = (struct kube_call){0};
}

static void hold(struct chaos_client *c, const struct kube_call *call)
{
	c->chaos.hold_next = false;
	drop_held(c); /* one that was never let go */
	c->held = *call;
	c->held.method = strdup(call->method);
	c->held.target = strdup(call->target);
	c->held.content_type = call->content_type ? strdup(call->content_type) : NULL;
	c->held.body = call->body ? strndup(call->body, call->body_len) : NULL;
}

static int chaos_call(struct kube_client *client, const struct kube_call *call,
		      struct kube_answer *ret, struct err *err)
{
	struct chaos_client *c = of(client);
	struct chaos *x = &c->chaos;
	int rc;

	if (dead(x) || by_chance(x))
		return no_answer(err);
	if (is_write(call) && x->hold_next && strstr(call->target, x->hold_kind)) {
		hold(c, call);
		return no_answer(err);
	}
	if (is_write(call)) {
		x->writes++;
		x->writes_left -= x->writes_left > 0;
	}
	rc = c->inner->ops->call(c->inner, call, ret, err);
	/* The last write of a process that dies is done, and it never learns that. */
	if (!rc && (dead(x) || by_chance(x))) {
		free(ret->body);
		*ret = (struct kube_answer){0};
		return no_answer(err);
	}
	return rc;
}

static int chaos_watch(struct kube_client *client, const char *target, uint32_t timeout_s,
		       const struct kube_sink *sink, struct kube_watch **ret, struct err *err)
{
	struct chaos_client *c = of(client);

	if (dead(&c->chaos) || by_chance(&c->chaos))
		return no_answer(err);
	return c->inner->ops->watch(c->inner, target, timeout_s, sink, ret, err);
}

static void chaos_unwatch(struct kube_client *client, struct kube_watch *watch)
{
	of(client)->inner->ops->unwatch(of(client)->inner, watch);
}

static void chaos_free(struct kube_client *client)
{
	drop_held(of(client));
	kube_client_free(of(client)->inner);
	free(client);
}

int chaos_new(struct api *api, uint64_t seed, struct kube_client **ret, struct chaos **ret_chaos)
{
	static const struct kube_client_ops ops = {.call = chaos_call,
						   .watch = chaos_watch,
						   .unwatch = chaos_unwatch,
						   .free = chaos_free};
	struct chaos_client *c = calloc(1, sizeof(*c));

	if (!c || client_local_new(api, &c->inner)) {
		free(c);
		return -ENOMEM;
	}
	c->client.ops = &ops;
	c->chaos.writes_left = -1;
	rng_seed(&c->chaos.rng, seed);
	*ret = &c->client;
	*ret_chaos = &c->chaos;
	return 0;
}

bool chaos_pump(struct kube_client *client)
{
	struct chaos_client *c = of(client);

	return !dead(&c->chaos) && client_local_pump(c->inner);
}

int chaos_release(struct kube_client *client)
{
	struct chaos_client *c = of(client);
	struct kube_answer answer = {0};
	int http = 0;

	if (!c->held.method)
		return 0;
	if (!c->inner->ops->call(c->inner, &c->held, &answer, NULL))
		http = answer.http;
	free(answer.body);
	drop_held(c);
	return http;
}
