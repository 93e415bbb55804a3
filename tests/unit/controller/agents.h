/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent and its disks as far as the API can tell: it does what ARCHITECTURE.md says of agents, level-triggered, by reading everything again each time.
 * The disks outlive it. What it finds wrong it counts.
 */
#ifndef LITEPOOL_TESTS_CONTROLLER_AGENTS_H
#define LITEPOOL_TESTS_CONTROLLER_AGENTS_H

#include <jansson.h>
#include <stdint.h>

#include "chaos.h"

#define AGENT_POOLS_MAX 4

struct agent_disk {
	char pool[64];
	uint64_t capacity;
	json_t *lvols; /* uid -> {"size", "name"} of volumes */
	json_t *snaps; /* the same of snapshots */
};

struct agent {
	char name[64];
	struct kube_client *client;
	struct chaos *chaos;
	struct agent_disk disks[AGENT_POOLS_MAX];
	unsigned n_disks;
	bool dead;            /* does nothing */
	int64_t clock_off_ms; /* how wrong its wall clock is */
	uint64_t beat_ms, look_ms;
	json_t *suspects; /* uid -> true: gone once */
	unsigned too_full,
		vanished; /* must stay 0: more on a disk than it has; a made volume that was not there */
};

void agent_open(struct agent *agent, struct api *api, const char *name, uint64_t seed);
void agent_close(struct agent *agent);
void agent_disk_add(struct agent *agent, const char *pool, uint64_t capacity);
/* One look, if it is time for one. True: it changed something in the API. */
bool agent_step(struct agent *agent, uint64_t now_ms, uint64_t wall_ns);

#endif
