/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to the engine from many threads: each takes a connection of its own out of a few that are kept. A connection that the engine had closed meanwhile (it was
 * restarted) is replaced and the call made once more, so every call must be one that may be made twice.
 */
#ifndef LITEPOOL_AGENT_LINK_H
#define LITEPOOL_AGENT_LINK_H

#include <jansson.h>

#include "base/err.h"

struct link;

/* How the engine is reached; NULL of link_new(): JSON-RPC over its socket (rpc/rpc.h). Tests and the simulator have their own. Any thread, a connection on one at a time. */
struct link_ops {
	/* -ENOENT, -ECONNREFUSED: nobody is there; another negative errno. timeout_ms: of opening, and of each call. */
	int (*open)(void *ctx, int timeout_ms, void **ret_connection, struct err *err);
	/* 0 with *ret_result (may be NULL), which is the caller's, or the error's code. params is borrowed, and may be NULL. -EPIPE: it had ended. */
	int (*call)(void *connection, const char *method, const json_t *params, json_t **ret_result,
		    struct err *err);
	void (*close)(void *connection); /* NULL: nothing */
};

/* socket, ops and ctx are borrowed for the link's life. With ops the socket is not looked at. */
int link_new(const char *socket, const struct link_ops *ops, void *ctx, struct link **ret,
	     struct err *err);
void link_free(struct link *link);
/*
 * params is taken; NULL: none. *ret_result (may be NULL) is the caller's. 0 or the error's code: a negative errno, -32601 (the engine is older and lacks the
 * method), or another of rpc.h. Blocks, at most timeout_ms (0: 60 s, which is longer than the engine needs to cut a host that hangs).
 */
int link_call(struct link *link, const char *method, json_t *params, int timeout_ms,
	      json_t **ret_result, struct err *err);

#endif
