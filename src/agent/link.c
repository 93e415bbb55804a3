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
	struct lock *lock; /* protects what follows */
	struct rpc_client *idle[KEEP];
	unsigned n_idle;
};

int link_new(const char *socket, struct link **ret, struct err *err)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link || lock_new(&link->lock) < 0) {
		free(link);
		return err_set(err, -ENOMEM, "out of memory");
	}
	link->socket = socket;
	*ret = link;
	return 0;
}

void link_free(struct link *link)
{
	if (!link)
		return;
	for (unsigned i = 0; i < link->n_idle; i++)
		rpc_client_close(link->idle[i]);
	lock_free(link->lock);
	free(link);
}

static struct rpc_client *take(struct link *link)
{
	struct rpc_client *client;

	lock_take(link->lock);
	client = link->n_idle ? link->idle[--link->n_idle] : NULL;
	lock_drop(link->lock);
	return client;
}

static void give(struct link *link, struct rpc_client *client)
{
	lock_take(link->lock);
	if (link->n_idle < KEEP) {
		link->idle[link->n_idle++] = client;
		client = NULL;
	}
	lock_drop(link->lock);
	rpc_client_close(client);
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
	struct rpc_client *client = timeout_ms == TIMEOUT_MS ? take(link) : NULL;
	bool kept = client != NULL;
	int rc = client ? 0 : rpc_client_open(link->socket, timeout_ms, &client, err);

	*ret_stale = false;
	if (rc)
		return rc;
	rc = rpc_client_call(client, method, params, ret_result, err);
	*ret_stale = kept && rc == -EPIPE;
	if (is_broken(rc) || timeout_ms != TIMEOUT_MS)
		rpc_client_close(client);
	else
		give(link, client);
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
