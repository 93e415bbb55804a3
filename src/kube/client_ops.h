/* SPDX-License-Identifier: Apache-2.0 */
/* What an implementation of a client provides: requests and watches by target (path and query), nothing about objects. */
#ifndef LITEPOOL_KUBE_CLIENT_OPS_H
#define LITEPOOL_KUBE_CLIENT_OPS_H

#include "kube/client.h"

struct kube_call {
	const char *method, *target;
	const char *content_type; /* NULL without a body */
	const char *body;
	size_t body_len;
	int timeout_ms; /* 0: the client's */
};

struct kube_answer {
	int http;
	char *body; /* malloc'ed or NULL; at most KUBE_ANSWER_MAX bytes */
	size_t body_len;
	uint32_t retry_after_s;
};

struct kube_client_ops {
	/* 0: there is an answer, whatever it says. Else a negative errno and err. */
	int (*call)(struct kube_client *client, const struct kube_call *call,
		    struct kube_answer *ret, struct err *err);
	int (*watch)(struct kube_client *client, const char *target, uint32_t timeout_s,
		     const struct kube_sink *sink, struct kube_watch **ret, struct err *err);
	void (*unwatch)(struct kube_client *client, struct kube_watch *watch);
	void (*free)(struct kube_client *client);
};

/* An implementation's struct begins with it. */
struct kube_client {
	const struct kube_client_ops *ops;
};

#endif
