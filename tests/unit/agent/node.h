/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node in one process: the agent of src/agent without threads, the model of an engine, a clock, a folder that is its root file system and has its pools' files. The agent's
 * process can end in any call to the engine or write to the API: nothing of it gets through from then on, and it is taken away when it is not on the stack any more.
 */
#ifndef LITEPOOL_TESTS_AGENT_NODE_H
#define LITEPOOL_TESTS_AGENT_NODE_H

#include "agent/options.h"
#include "chaos.h"
#include "kube/clock.h"
#include "model.h"

#define NODE_PATH 160

struct agent; /* of src/agent */

struct node {
	char name[32], dir[NODE_PATH], root[NODE_PATH + 16], state_dir[NODE_PATH + 16], address[32];
	char host_nqn[80];
	struct api *api;
	struct model model;
	struct agent_opts opts;
	struct agent *agent;                       /* NULL: its process has ended */
	struct kube_client *client, *lease_client; /* of the agent */
	struct chaos *chaos, *lease_chaos;         /* valid while there is one */
	int64_t calls_left;     /* to the engine, then the agent's process ends; < 0: no limit */
	bool dead;              /* it has ended, and is still on the stack */
	unsigned depth, births; /* of agent_turn() */
	uint64_t seed;
	struct rng rng;
	uint64_t trace; /* a digest of the calls to its engine and their outcomes */
	/* The node's clock: the world's monotonic ms times rate_percent, from when that was set on; and how wrong its wall clock is. */
	struct kube_clock clock;
	uint64_t (*world_ms)(void);
	uint64_t rate_percent, from_world_ms, from_ms;
	int64_t wall_off_ms;
	/* Before each call to the engine: others may act. May be NULL. */
	void (*between)(void *ctx, struct node *node);
	void *ctx;
};

/* In a folder that is there; number: 1, 2, ... */
void node_open(struct node *n, struct api *api, const char *dir, unsigned number, uint64_t seed,
	       uint64_t (*world_ms)(void));
void node_close(struct node *n);
/* A new process of the agent, without faults. */
void node_start(struct node *n);
/* It ends: now, or as soon as it is not on the stack. */
void node_kill(struct node *n);
/* Watches are delivered and the agent has one round. True: there was something to do. */
bool node_turn(struct node *n, unsigned keys_max);
void node_clock_rate(struct node *n, uint64_t percent);
/* It was suspended for so long. */
void node_clock_skip(struct node *n, uint64_t ms);

#endif
