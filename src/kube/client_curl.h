/* SPDX-License-Identifier: Apache-2.0 */
/* What calls and watches of client_http share: the server, the credentials, a handle made ready. For src/kube/client_*.c alone. */
#ifndef LITEPOOL_KUBE_CLIENT_CURL_H
#define LITEPOOL_KUBE_CLIENT_CURL_H

#include <curl/curl.h>

#include "kube/client_http.h"
#include "kube/client_ops.h"

struct lock;

struct curl_server {
	struct kube_config config;
	char *socket_path; /* NULL: TCP */
	char *base;        /* "https://host:port", without a slash at the end */
	char *user_agent;
	int timeout_ms;
	struct lock *lock; /* protects what follows */
	char *token;       /* of the token file */
	uint64_t token_read_ms;
};

int curl_server_init(struct curl_server *server, const struct kube_config *config,
		     const struct kube_http_options *options, struct err *err);
void curl_server_fini(struct curl_server *server);

/*
 * Everything but where the body goes. *ret_headers is to be freed when the handle is done. fresh: reads the token file now. -ENOMEM, or that of a
 * token file that cannot be read.
 */
int curl_prepare(struct curl_server *server, CURL *easy, const struct kube_call *call, bool fresh,
		 struct curl_slist **ret_headers, struct err *err);
/* A negative errno and a sentence out of what curl says. detail: its error buffer. */
int curl_failed(const struct curl_server *server, CURLcode code, const char *detail,
		struct err *err);
uint32_t curl_retry_after_s(CURL *easy);

/* client_http_watch.c: the watch thread. */
struct watcher;
int watcher_new(struct curl_server *server, struct watcher **ret, struct err *err);
void watcher_free(struct watcher *watcher);
int watcher_open(struct watcher *watcher, const char *target, uint32_t timeout_s,
		 const struct kube_sink *sink, struct kube_watch **ret, struct err *err);
void watcher_close(struct watcher *watcher, struct kube_watch *watch);

#endif
