/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: who is at the other end, and how long each may take. libmicrohttpd's own limit is that of silence; a client that sends
 * a byte a minute is found here.
 *
 *   NEW -> RECEIVING (request line came) -> ANSWERING | WATCHING -> QUIET -> RECEIVING ...
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apiserver/http_priv.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "rt/listen.h"
#include "rt/lock.h"
#include "rt/process.h"

#define BEARER "Bearer "

/* Seconds in a state; 0: no limit. */
static const unsigned limit_s[CONN_STATES] = {
	[CONN_NEW] = 20,        [CONN_QUIET] = 120,  [CONN_RECEIVING] = 60,
	[CONN_ANSWERING] = 300, [CONN_WATCHING] = 0,
};

static struct conn *conn_new(struct front *front, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *conn = info ? calloc(1, sizeof(*conn)) : NULL;

	if (!conn)
		return NULL;
	conn->front = front;
	conn->fd = info->connect_fd;
	conn->since_ms = process_boot_ms();
	conn->uid = (uid_t)-1;
	if (front->kind == FRONT_UNIX)
		(void)listen_peer_uid(conn->fd, &conn->uid); /* -1 is nobody */
	lock_take(front->http->lock);
	list_push_back(&front->http->conns, &conn->link);
	lock_drop(front->http->lock);
	return conn;
}

/* Closed is told while the descriptor is still open, so none of the list is ever another's. */
void conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		 enum MHD_ConnectionNotificationCode code)
{
	struct front *front = cls;
	struct conn *conn = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = conn_new(front, connection);
		return;
	}
	if (!conn)
		return;
	lock_take(front->http->lock);
	list_remove(&conn->link);
	lock_drop(front->http->lock);
	free(conn);
	*socket_context = NULL;
}

struct conn *conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void conn_enter(struct conn *conn, enum conn_state state)
{
	lock_take(conn->front->http->lock);
	conn->state = state;
	conn->since_ms = process_boot_ms();
	lock_drop(conn->front->http->lock);
}

void conn_cut_slow(struct http *http, uint64_t now_ms)
{
	list_for_each_safe (it, &http->conns) {
		struct conn *conn = list_entry(it, struct conn, link);
		uint64_t limit_ms = (uint64_t)limit_s[conn->state] * 1000;

		if (!limit_ms || conn->cut || now_ms < conn->since_ms + limit_ms)
			continue;
		conn->cut = true;
		listen_cut(conn->fd);
	}
}

/* ---- who asks ---- */

static bool by_token(struct conn *conn, const char *header, struct api_user *ret)
{
	struct http *http = conn->front->http;
	bool found = false;

	if (!strncasecmp(header, BEARER, strlen(BEARER))) {
		const char *token = header + strlen(BEARER);

		token += strspn(token, " ");
		lock_take(http->lock);
		found = users_by_token(http->users, token, strlen(token), ret);
		lock_drop(http->lock);
	}
	if (!found)
		(void)str_copy(conn->why, sizeof(conn->why),
			       "the Authorization header has no bearer token of a user known here");
	return found;
}

static bool by_uid(struct conn *conn, struct api_user *ret)
{
	struct http *http = conn->front->http;
	bool found;

	if (conn->uid == 0)
		return api_user_set(ret, "root", "admin");
	if (conn->uid == geteuid())
		return api_user_set(ret, "owner", "admin");
	lock_take(http->lock);
	found = users_by_uid(http->users, conn->uid, ret);
	lock_drop(http->lock);
	if (!found)
		(void)snprintf(conn->why, sizeof(conn->why),
			       "the users file has no user for uid %u", (unsigned)conn->uid);
	return found;
}

static bool by_cert(struct conn *conn, struct MHD_Connection *connection, struct api_user *ret)
{
	const union MHD_ConnectionInfo *info;
	struct err err = {0};

	if (!conn->looked) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
		conn->cert_rc = info && conn->front->http->config.tls->client_ca
					? tls_peer(info->tls_session, &conn->cert_user, &err)
					: -ENOENT;
		if (conn->cert_rc == -ENOENT)
			(void)str_copy(err.text, sizeof(err.text),
				       "neither a bearer token nor a client certificate came");
		(void)snprintf(conn->why, sizeof(conn->why), "%.255s", err.text);
		conn->looked = true;
	}
	if (!conn->cert_rc)
		*ret = conn->cert_user;
	return !conn->cert_rc;
}

bool conn_user(struct conn *conn, struct MHD_Connection *connection, struct api_user *ret)
{
	const char *header =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	bool known = false;

	if (header)
		known = by_token(conn, header, ret);
	else if (conn->front->kind == FRONT_UNIX)
		known = by_uid(conn, ret);
	else if (conn->front->kind == FRONT_TLS)
		known = by_cert(conn, connection, ret);
	else
		known = api_user_set(ret, "loopback", "admin");
	if (!known)
		log_limited(LOG_LEVEL_WARN, "api.unauthorized", "front=%s reason=\"%s\"",
			    conn->front->kind == FRONT_UNIX ? "unix" : "tcp", conn->why);
	return known;
}
