/* SPDX-License-Identifier: Apache-2.0 */
/* The world of the controllers' tests with real agents, and engines that are models; see fleet.c for what has to hold. Everything asserts. */
#ifndef LITEPOOL_TESTS_AGENT_FLEET_H
#define LITEPOOL_TESTS_AGENT_FLEET_H

#include "node.h"
#include "world.h"

#define FLEET_NODES 3
#define FLEET_DIR   64

struct fleet {
	struct world w;
	struct node nodes[FLEET_NODES];
	char dir[FLEET_DIR];
	json_t *allowed; /* uid of a volume -> what users ever wanted: arrays of host names */
	json_t *kept; /* uids of volumes that were deleted while attached, and not detached since */
	json_t *told; /* uid of a volume -> resourceVersion at which its status was looked at */
	unsigned births[FLEET_NODES]; /* of the engines, when that was */
	unsigned inside;              /* calls of fleet_between() on the stack */
	unsigned between_percent;     /* of calls to engines in which others act */
	struct rng rng;
};

/* Three nodes n1, n2, n3 with an agent, and a pool n1-p, ... each; controllers run. */
void fleet_open(struct fleet *f, uint64_t seed);
void fleet_close(struct fleet *f);

/* Time passes, in steps, and what has to hold at any time is looked at. */
void fleet_run(struct fleet *f, uint64_t ms);
/* Patches spec.attachedNodes; nodes: bits, 1 is n1. allowed: of spec.allowedNodes, 0: any. */
void fleet_attach(struct fleet *f, const char *volume, unsigned nodes, unsigned allowed);
/* As a user does. */
void fleet_delete(struct fleet *f, const char *kind, const char *name);
/* Desired is actual; NULL, or what is not, in static memory. */
const char *fleet_differs(struct fleet *f);
/* The same, of what the agents' next sweep clears away: snapshots that only clones in the making needed. */
const char *fleet_leaks(struct fleet *f);

#endif
