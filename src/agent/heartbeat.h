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

/* client and node are borrowed; nobody else uses the client. */
int heartbeat_new(struct kube_client *client, const char *node, uint32_t lease_s,
		  struct heartbeat **ret, struct err *err);
void heartbeat_free(struct heartbeat *hb);

#endif
