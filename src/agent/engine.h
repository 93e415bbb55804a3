/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent asks of the engine, by name. Worker threads. All are idempotent; results are new references. */
#ifndef LITEPOOL_AGENT_ENGINE_H
#define LITEPOOL_AGENT_ENGINE_H

#include "agent/agent.h"

#define ENGINE_NAME_SIZE 64 /* of a volume, snapshot or pool, with the final NUL */

/* As link_call(); params is taken. */
int engine_call(struct agent *a, const char *method, json_t *params, json_t **ret, struct err *err);
/* The same when the answer is of no interest. */
int engine_do(struct agent *a, const char *method, json_t *params, struct err *err);

/* The pool that is open under this UUID; -ENODEV. */
int engine_pool(struct agent *a, const char *uuid, json_t **ret, struct err *err);
/* The volume or snapshot; name: UUID, or "POOL/NAME". -ENODEV. */
int engine_lvol(struct agent *a, const char *name, json_t **ret, struct err *err);
/* -ENODEV. */
int engine_bdev(struct agent *a, const char *name, json_t **ret, struct err *err);
int engine_subsystem(struct agent *a, const char *nqn, json_t **ret, struct err *err);
/* These are done when it is gone already, too. */
int engine_lvol_delete(struct agent *a, const char *uuid, struct err *err);
int engine_subsystem_delete(struct agent *a, const char *nqn, struct err *err);

/* The object's name, or its UID when the name is too long for the disk. */
void engine_name(const json_t *obj, char name[ENGINE_NAME_SIZE]);
/* "nqn.2026-11.io.litepool:volume:UID" */
void engine_nqn(const char *uid, char nqn[224]);

#endif
