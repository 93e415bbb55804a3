/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of litepool-engine behind the operations of the agent's link (agent/link.h): pools, volumes, snapshots, block devices and exports, in memory. It decodes parameters as the
 * engine does and refuses what the engine refuses, with the same codes; a method that it does not know fails the test.
 *
 *   disks        file -> what is on it, durably: a pool with its volumes and their exports; outlives everything
 *   configured   block devices, transport, exports: outlives the process, not a lost state directory
 *   open pools   of a process; a new one opens what is on its block devices
 */
#ifndef LITEPOOL_TESTS_AGENT_MODEL_H
#define LITEPOOL_TESTS_AGENT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/link.h"
#include "base/rng.h"

struct model {
	char name[64];
	struct rng rng;
	/* Faults. */
	bool up;               /* the process runs */
	bool cut_off;          /* nothing gets through to it */
	unsigned lost_percent; /* of calls: some before, some after they were done */
	int64_t calls_left; /* then the process ends, in one half of cases after the call was done; < 0: no limit */
	/* The process. */
	unsigned births; /* its pid */
	json_t *pools;   /* uuid -> what is on its disk; open ones, shared with disks */
	/* Its configuration. */
	json_t *bdevs; /* name -> {"file"} */
	json_t *subsystems; /* nqn -> as nvmf_get_subsystems, shared with disks when there is a namespace */
	bool transport;
	json_t *disks; /* file -> {"uuid", "name", "size_bytes", ..., "lvols": {uuid: lvol}, "exports": {nqn: subsystem}} */
	uint64_t calls, changes;
	/* Of the test, on each change, before it is done. May be NULL. what: "delete", "unexport", "close", "allow"; id: a UUID or NQN, host: of allow. */
	void (*watch)(void *ctx, struct model *m, const char *what, const char *id,
		      const char *host);
	void *ctx;
};

void model_open(struct model *m, const char *name, uint64_t seed);
void model_close(struct model *m);
/* The process ends; connections break. */
void model_kill(struct model *m);
/* A new one: without the configuration of the one before when forget is set. */
void model_start(struct model *m, bool forget);
extern const struct link_ops model_link; /* ctx: the model */

/* Of the open pools; borrowed; NULL. */
json_t *model_lvol(const struct model *m, const char *name, json_t **ret_pool);

/* ---- for the model's files ---- */

typedef int (*model_fn)(struct model *m, const json_t *params, json_t **ret, struct err *err);
struct model_method {
	const char *name;
	model_fn fn;
	bool changes;
};
extern const struct model_method model_store_methods[], model_nvmf_methods[];
extern const struct model_method model_lvol_methods[];
/* Members of objects: "" and 0 when they are not there. */
const char *model_text(const json_t *obj, const char *member);
uint64_t model_number(const json_t *obj, const char *member);
void model_put(json_t *obj, const char *member, uint64_t value);
/* What volumes of a pool are declared with; snapshots are not counted. */
uint64_t model_volume_bytes(const json_t *pool);
json_t *model_pool(struct model *m, const char *uuid, struct err *err); /* NULL with -ENODEV */
#define MODEL_CLUSTER ((uint64_t)1 << 20)
/* As the engine's calls: -EINVAL is Invalid params. */
int model_bad(struct err *err, const char *what);
/* Looks at what is on the device, as the engine does when one is made. */
void model_examine(struct model *m, const char *file);
bool model_claimed(const struct model *m, const char *bdev);
void model_tell(struct model *m, const char *what, const char *id, const char *host);

#endif
