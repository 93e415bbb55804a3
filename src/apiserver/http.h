/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 for the API, by libmicrohttpd: a unix socket (mode 0600: its owner may do everything), and TCP on a loopback address.
 * There is no TLS and no authentication: another TCP address is refused.
 *
 * Threads: libmicrohttpd's own few read, call api_handle() and write; the store's lock is where they meet. A watch that has nothing to
 * tell is suspended and woken by http_changed() or by its due time, so it costs no thread. One background thread runs api_work().
 * Lock order: the store's lock is never held when the one of this file is taken.
 */
#ifndef LITEPOOL_APISERVER_HTTP_H
#define LITEPOOL_APISERVER_HTTP_H

#include <stdint.h>

#include "apiserver/store.h"

struct http;

struct http_config {
	struct store *store;   /* borrowed, outlives the server */
	const char *unix_path; /* or NULL */
	const char *tcp_host;  /* a loopback address, or NULL */
	uint16_t tcp_port;     /* 0: the kernel chooses */
};

/* At least one of the two addresses. -EPERM for a TCP address that others can reach. */
int http_start(const struct http_config *config, struct http **ret, struct err *err);
/* The TCP port; 0 when there is none. */
uint16_t http_port(const struct http *http);
/* Answers what has come in whole, cuts watches: their clients begin again where they were. */
void http_stop(struct http *http);

#endif
