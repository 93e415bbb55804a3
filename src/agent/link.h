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

int link_new(const char *socket, struct link **ret, struct err *err);
void link_free(struct link *link);
/*
 * params is taken; NULL: none. *ret_result (may be NULL) is the caller's. 0 or the error's code: a negative errno, -32601 (the engine is older and lacks the
 * method), or another of rpc.h. Blocks, at most timeout_ms (0: 60 s, which is longer than the engine needs to cut a host that hangs).
 */
int link_call(struct link *link, const char *method, json_t *params, int timeout_ms,
	      json_t **ret_result, struct err *err);

#endif
