/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include <errno.h>
#include <stdlib.h>

#include "rpc/rpc.h"
#include "rt/lock.h"

#define KEEP       8
#define TIMEOUT_MS 60000

struct link {
	const char *socket;
	const struct link_ops *ops;
	void *ctx;
	struct lock *lock; /* protects what follows */
	void *idle[KEEP];
	unsigned n_idle;
};

/* ---- over the engine's socket ---- */

static int socket_open(void *ctx, int timeout_ms, void **ret, struct err *err)
{
	const struct link *link = ctx;
	struct rpc_client *client = NULL;
	int rc = rpc_client_open(link->socket, timeout_ms, &client, err);

	*ret = client;
	return rc;
}

static int socket_call(void *connection, const char *method, const json_t *params,
		       json_t **ret_result, struct err *err)
{
	return rpc_client_call(connection, method, params, ret_result, err);
}

static void socket_close(void *connection)
{
	rpc_client_close(connection);
}

static const struct link_ops socket_ops = {
	.open = socket_open, .call = socket_call, .close = socket_close};

/* ---- */

int link_new(const char *socket, const struct link_ops *ops, void *ctx, struct link **ret,
	     struct err *err)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link || lock_new(&link->lock) < 0) {
		free(link);
		return err_set(err, -ENOMEM, "out of memory");
	}
	link->socket = socket;
	link->ops = ops ? ops : &socket_ops;
	link->ctx = ops ? ctx : link;
	*ret = link;
	return 0;
}

void link_free(struct link *link)
{
	if (!link)
		return;
	for (unsigned i = 0; i < link->n_idle; i++)
		link->ops->close(link->idle[i]);
	lock_free(link->lock);
	free(link);
}

static void *take(struct link *link)
{
	void *connection;

	lock_take(link->lock);
	connection = link->n_idle ? link->idle[--link->n_idle] : NULL;
	lock_drop(link->lock);
	return connection;
}

static void give(struct link *link, void *connection)
{
	lock_take(link->lock);
	if (link->n_idle < KEEP) {
		link->idle[link->n_idle++] = connection;
		connection = NULL;
	}
	lock_drop(link->lock);
	link->ops->close(connection);
}

/* Whether the connection is of no use after this. The engine's own errors come over a good connection. */
static bool is_broken(int rc)
{
	return rc == -EPIPE || rc == -ETIMEDOUT || rc == -EPROTO || rc == -ECONNRESET;
}

/* *ret_stale: the kept connection had ended before the call. */
static int call_once(struct link *link, const char *method, const json_t *params, int timeout_ms,
		     bool *ret_stale, json_t **ret_result, struct err *err)
{
	/* A time limit of its own means a connection of its own. */
	void *connection = timeout_ms == TIMEOUT_MS ? take(link) : NULL;
	bool kept = connection != NULL;
	int rc = connection ? 0 : link->ops->open(link->ctx, timeout_ms, &connection, err);

	*ret_stale = false;
	if (rc)
		return rc;
	rc = link->ops->call(connection, method, params, ret_result, err);
	*ret_stale = kept && rc == -EPIPE;
	if (is_broken(rc) || timeout_ms != TIMEOUT_MS)
		link->ops->close(connection);
	else
		give(link, connection);
	return rc;
}

int link_call(struct link *link, const char *method, json_t *params, int timeout_ms,
	      json_t **ret_result, struct err *err)
{
	struct err own = {0};
	bool stale;
	int rc;

	if (!err)
		err = &own;
	do {
		rc = call_once(link, method, params, timeout_ms ? timeout_ms : TIMEOUT_MS, &stale,
			       ret_result, err);
	} while (stale);
	json_decref(params);
	return rc;
}
