/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of this node: whether it answers, and, when it is ours to run, that it runs.
 *
 *              answers                 does not answer, or another process answers
 *   DOWN ------------------> UP ----------------------------------------------> DOWN
 *     | spawn, later and later (200 ms .. 5 s; again 200 ms after a minute of good life)
 *
 * 1. An engine that answers is never started over, whoever started it: it outlives agents.
 * 2. An engine that hangs is told, not killed: its I/O may still go on.
 * 3. changed() runs on the watch's own thread, when a state begins and with each new process.
 */
#ifndef LITEPOOL_AGENT_WATCH_H
#define LITEPOOL_AGENT_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/options.h"

struct watch;
struct link;

struct watch_state {
	bool up;
	pid_t pid;        /* of the engine that answers */
	unsigned crashes; /* ends of a spawned engine that nobody asked for */
	char version[64];
	char reason[320]; /* why it is not up; "" */
};

struct watch_config {
	const struct agent_opts *opts; /* borrowed */
	struct link *link;
	void (*changed)(void *ctx, const struct watch_state *state);
	/* The spawned engine has ended: how ("signal 9 (Killed)"). */
	void (*died)(void *ctx, const char *how);
	void *ctx;
};

int watch_new(const struct watch_config *config, struct watch **ret, struct err *err);
/* Runs watch_step() on a thread of its own from now on. */
int watch_start(struct watch *watch, struct err *err);
/* One look at the engine; after how many ms to call it again. One thread. For tests and the simulator. */
int watch_step(struct watch *watch);
/* With --stop-engine ends a spawned engine, too. */
void watch_free(struct watch *watch);
/* Any thread. */
void watch_get(struct watch *watch, struct watch_state *ret);
bool watch_up(struct watch *watch);

#endif
