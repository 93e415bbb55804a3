/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each node's Lease last changed, by our own monotonic clock. The times in a Lease are never looked at: an agent with a wrong clock harms
 * nobody. One thread.
 */
#ifndef LITEPOOL_CONTROLLER_HEARTBEAT_H
#define LITEPOOL_CONTROLLER_HEARTBEAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/strmap.h"

#define HEARTBEAT_MS     10000  /* of a Lease that does not say how long it holds */
#define HEARTBEAT_MAX_MS 600000 /* one that says more is not believed */

struct heartbeat {
	char version[64];    /* of the Lease; "" when there is none */
	uint64_t seen_ms;    /* when it was new to us */
	uint32_t holds_ms;   /* what it promises */
	uint64_t accused_ms; /* when it was last told to be lost */
	bool lost;           /* it has run out, and the API has been asked */
};

struct heartbeats {
	struct strmap by_node;
};

void heartbeats_fini(struct heartbeats *hb);
/* Found or made, as seen now; NULL without memory. */
struct heartbeat *heartbeat_of(struct heartbeats *hb, const char *node, uint64_t now_ms);
/* A Lease as it came (NULL: there is none). True: it is another than before, so that the node was alive a moment ago. */
bool heartbeat_see(struct heartbeat *beat, const json_t *lease, uint64_t now_ms);
/* ms until it has run out; 0: it has. */
uint64_t heartbeat_left_ms(const struct heartbeat *beat, uint64_t now_ms);
void heartbeat_drop(struct heartbeats *hb, const char *node);

#endif
