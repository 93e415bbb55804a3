/* SPDX-License-Identifier: Apache-2.0 */
/* API, controllers, agents and a clock, all on the test's thread; see world.c for what has to hold at any time. Everything asserts. */
#ifndef LITEPOOL_TESTS_CONTROLLER_WORLD_H
#define LITEPOOL_TESTS_CONTROLLER_WORLD_H

#include "agents.h"
#include "controller/control.h"
#include "fixture.h"

#define WORLD_CONTROLLERS 3
#define WORLD_AGENTS      5
#define TEST_GIB          ((uint64_t)1 << 30)

struct world_controller {
	struct kube_client *client;
	struct chaos *chaos;
	struct control *control; /* NULL: not running */
	char identity[32];
	bool stopped; /* as by SIGSTOP */
};

struct world {
	struct fixture fx;
	struct kube_client *client; /* the user's: no faults */
	struct world_controller controllers[WORLD_CONTROLLERS];
	struct agent agents[WORLD_AGENTS];
	unsigned n_agents, births;
	uint64_t seed;
	const char *placement_path;
	json_t *places; /* uid -> pool where it is or was */
	/* Has a part in each step, and says whether it did anything; NULL: nobody. */
	bool (*more)(void *ctx);
	void *more_ctx;
};

void world_open(struct world *w, uint64_t seed);
void world_close(struct world *w);

void world_start(struct world *w, unsigned i); /* controller i, a new process */
void world_kill(struct world *w, unsigned i);
/* A node with an agent and a pool NAME-p of so many GiB. */
struct agent *world_node(struct world *w, const char *name, uint64_t gib);
void world_pool(struct world *w, const char *name, const char *node);

/* printf style, ' for ". */
__attribute__((format(printf, 3, 4))) void world_make(struct world *w, const char *kind,
						      const char *fmt, ...);
void world_volume(struct world *w, const char *name, uint64_t gib);
/* A merge patch; sub may be NULL. */
__attribute__((format(printf, 5, 6))) void world_patch(struct world *w, const char *kind,
						       const char *name, const char *sub,
						       const char *fmt, ...);
void world_delete(struct world *w, const char *kind, const char *name);
/* New reference; NULL when it is not there. */
json_t *world_get(struct world *w, const char *kind, const char *name);
json_t *world_list(struct world *w, const char *kind);
/* The name of any object of the kind, drawn from rng; false when there is none. */
bool world_any(struct world *w, struct rng *rng, const char *kind, char name[64]);
/* All controllers run, reach the API, and lose nothing. What is held back stays so. */
void world_calm(struct world *w);
/* Out of the environment, for seeds and counts. */
uint64_t world_number(const char *variable, uint64_t otherwise);

/* One round of everybody. True: somebody did something. */
bool world_step(struct world *w);
/* All that is to do at this moment is done. */
void world_settle(struct world *w);
/* Time passes, in steps. */
void world_run(struct world *w, uint64_t ms);
uint64_t world_now_ms(void);

/* What has to hold at any time. */
void world_check(struct world *w);
/* What has to hold when faults have stopped and time has passed. */
void world_check_end(struct world *w);

/* "phase" of an object's status, "" when there is none; static memory. */
const char *world_phase(struct world *w, const char *kind, const char *name);
/* "True/Reason" of a condition, or "". Static memory. */
const char *world_condition(struct world *w, const char *kind, const char *name, const char *type);
bool world_gone(struct world *w, const char *kind, const char *name);
bool world_event(struct world *w, const char *name, const char *reason);

#endif
