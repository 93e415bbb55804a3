/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's sign of life: its Lease, renewed on a thread of its own over a connection of its own, so that nothing else of the agent can hold it up. Others look at whether the
 * Lease changes, by their own clocks; what time it tells does not matter.
 */
#ifndef LITEPOOL_AGENT_HEARTBEAT_H
#define LITEPOOL_AGENT_HEARTBEAT_H

#include <stdint.h>

#include "base/err.h"

struct heartbeat;
struct kube_client;
struct kube_clock;

/* client, clock and node are borrowed; nobody else uses the client. */
int heartbeat_new(struct kube_client *client, const struct kube_clock *clock, const char *node,
		  uint32_t lease_s, struct heartbeat **ret, struct err *err);
/* Runs heartbeat_step() on a thread of its own from now on. */
int heartbeat_start(struct heartbeat *hb, struct err *err);
/* One renewal; after how many ms to call it again. One thread. For tests and the simulator. */
int heartbeat_step(struct heartbeat *hb);
void heartbeat_free(struct heartbeat *hb);

#endif
