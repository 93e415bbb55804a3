/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP front share: the server, its fronts (one a listening socket), connections, watches. */
#ifndef LITEPOOL_APISERVER_HTTP_PRIV_H
#define LITEPOOL_APISERVER_HTTP_PRIV_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "apiserver/api.h"
#include "apiserver/http.h"
#include "base/list.h"

struct lock;
struct background;

enum front_kind { FRONT_UNIX, FRONT_TLS, FRONT_TRUSTED };

/* A daemon of libmicrohttpd on a duplicate of a listening socket. A reload starts a new one, then ends the old one. */
struct front {
	struct http *http;
	enum front_kind kind;
	struct MHD_Daemon *daemon;
	bool ending; /* under the lock: no watch is suspended any more */
};

struct http {
	struct http_config config;
	struct api *api;
	struct front *unix_front, *tcp_front;
	int unix_fd, tcp_fd; /* listening; -1: none */
	bool unix_bound;
	uint16_t port;
	_Atomic size_t body_bytes; /* of all requests that are coming in */
	struct lock *lock;         /* protects what follows */
	struct users *users;
	struct list conns;
	struct list suspended;         /* streams */
	uint64_t looked_ms;            /* when closed connections were looked for */
	struct background *background; /* NULL until it runs */
};

/* What a connection is doing; each but the last may last only so long. */
enum conn_state {
	CONN_NEW,       /* nothing has come yet: TLS, or the first request's line */
	CONN_QUIET,     /* between two requests */
	CONN_RECEIVING, /* a request is coming in */
	CONN_ANSWERING,
	CONN_WATCHING,
	CONN_STATES,
};

struct conn {
	struct front *front;
	struct list link; /* in http->conns */
	int fd;
	enum conn_state state; /* under the lock */
	uint64_t since_ms;     /* under the lock */
	bool cut;
	uid_t uid; /* FRONT_UNIX */
	/* FRONT_TLS: the certificate is looked at once. */
	bool looked;
	int cert_rc;
	struct api_user cert_user;
	char why[256]; /* nobody known: why */
};

/* http_conn.c */
void conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		 enum MHD_ConnectionNotificationCode code);
struct conn *conn_of(struct MHD_Connection *connection);
void conn_enter(struct conn *conn, enum conn_state state);
/* Who asks; false: nobody known, why is in conn. */
bool conn_user(struct conn *conn, struct MHD_Connection *connection, struct api_user *ret);
/* With the lock: cuts those that are too slow. */
void conn_cut_slow(struct http *http, uint64_t now_ms);

/* http_watch.c */
struct MHD_Response *watch_response(struct front *front, struct MHD_Connection *connection,
				    struct api_response *rsp);
/* With the lock. Wakes those for which something has changed: not all, so that Leases of many nodes do not wake those who watch volumes. */
void watch_wake_behind(struct http *http);
/* With the lock. Wakes those whose time has come; wall clock. */
void watch_wake(struct http *http, uint64_t wall_ns);
/* With the lock: wakes those of the front, or those whose clients have gone, to their end. */
void watch_end_front(struct front *front);
void watch_end_closed(struct http *http);

/* http_front.c: fd is duplicated. */
int front_start(struct http *http, enum front_kind kind, int fd, const struct tls_files *tls,
		struct front **ret, struct err *err);
void front_stop(struct front *front);

#endif
