/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client over HTTP by libcurl: a unix socket, TCP with TLS (HTTP/2 where the server offers it), loopback TCP without.
 *
 * Calls take a handle from a pool, each with its own connection that is kept; watches share one thread and, with HTTP/2, one connection.
 * A token file is read again every minute, and at once when the server answers 401. Redirects are not followed, proxies not used.
 */
#ifndef LITEPOOL_KUBE_CLIENT_HTTP_H
#define LITEPOOL_KUBE_CLIENT_HTTP_H

#include "kube/client.h"
#include "kube/config.h"

struct kube_http_options {
	const char *user_agent; /* NULL: litepool */
	int timeout_ms;         /* of a call, in all; 0: 30 s */
};

/* config and options are copied. Nothing is sent. options may be NULL. */
int kube_client_http_new(const struct kube_config *config, const struct kube_http_options *options,
			 struct kube_client **ret, struct err *err);

#endif
