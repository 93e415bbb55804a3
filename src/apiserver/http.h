/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 for the API, by libmicrohttpd: a unix socket, and TCP with TLS.
 *
 * Who asks: a bearer token of the users file where one is sent, and then nothing else; on the unix socket the peer's uid (root and the
 * server's own user are admins, others are looked up in the users file); with TLS the client's certificate. Nobody else is served anything
 * but health. TCP without TLS is for tests: only at a loopback address, where everybody is an admin.
 *
 * Threads: libmicrohttpd's own few read, call api_handle() and write; the store's lock is where they meet. A watch that has nothing to
 * tell is suspended and woken by http_changed() or by its due time, so it costs no thread. One background thread runs api_work().
 * Lock order: the store's lock is never held when the one of this folder's HTTP part is taken.
 *
 * Limits: connections, also of one address; bytes of headers; bytes of bodies of all requests together (then 429); time to send a
 * request and to take an answer. A watch whose client has gone ends within seconds.
 */
#ifndef LITEPOOL_APISERVER_HTTP_H
#define LITEPOOL_APISERVER_HTTP_H

#include <stdint.h>

#include "apiserver/store.h"
#include "apiserver/tls.h"

struct http;

/* Texts are borrowed and outlive the server. */
struct http_config {
	struct store *store;         /* borrowed, outlives the server */
	const char *unix_path;       /* or NULL */
	const char *unix_group;      /* whose members may connect, too; NULL: the owner alone */
	const char *tcp_host;        /* an address, or NULL */
	uint16_t tcp_port;           /* 0: the kernel chooses */
	const struct tls_paths *tls; /* NULL only with a loopback address */
	const char *users_path;      /* or NULL */
};

/* Reads and checks what http_start() would, and listens nowhere. */
int http_check(const struct http_config *config, struct err *err);
/* At least one of the two addresses. -EPERM for TCP that others can reach without TLS. */
int http_start(const struct http_config *config, struct http **ret, struct err *err);
/*
 * Reads users and certificates again. All connections are cut, so that nobody goes on as who he no longer is; the sockets keep listening.
 * After a failure all is as before.
 */
int http_reload(struct http *http, struct err *err);
/* The TCP port; 0 when there is none. */
uint16_t http_port(const struct http *http);
/* Answers what has come in whole, cuts watches: their clients begin again where they were. */
void http_stop(struct http *http);

#endif
