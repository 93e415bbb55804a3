/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of this node, between pool.c (open, make, leave), pool_device.c (what they stand on) and pool_status.c. */
#ifndef LITEPOOL_AGENT_POOL_H
#define LITEPOOL_AGENT_POOL_H

#include "agent/engine.h"

#define POOL_BDEV_PREFIX "pool." /* of the block devices that we make */

enum pool_found {
	POOL_FOUND_EMPTY, /* provably nothing is on it */
	POOL_FOUND_SOMETHING,
};

struct pool_device {
	char path[4096];
	enum pool_found found;
	char why[400];      /* of SOMETHING: what it is, in words */
	const char *reason; /* of a failure: one word */
};

/*
 * Looks at the declared device; makes a declared file that is not there and never was. Negative with err and ret->reason. in_use: our engine has it open.
 */
int pool_device_find(struct agent *a, const json_t *pool, bool in_use, struct pool_device *ret,
		     struct err *err);
/* Grows a file to spec.size. 1: it is larger than the known bytes; 0. */
int pool_device_grow(const json_t *pool, uint64_t known, struct err *err);

/* The UUID that the pool has, or will have when it is made. */
const char *pool_uuid(const json_t *pool);
void pool_bdev_name(const json_t *pool, char name[ENGINE_NAME_SIZE]);
/* Whether the pool of that object is open; *ret (may be NULL) as engine_pool(). -ENODEV. */
int pool_is_open(struct agent *a, const json_t *pool, json_t **ret, struct err *err);
/* Gives the pool of that UUID up: closed, its block device let go. Nothing on it is changed. */
int pool_leave(struct agent *a, const json_t *lvstore, struct err *err);

/* Writes what the engine says of an open pool. */
int pool_status_open(struct agent *a, const json_t *pool, const json_t *lvstore);
/* Writes why it is not open. */
__attribute__((format(printf, 5, 6))) int pool_status_failed(struct agent *a, const json_t *pool,
							     const char *health, const char *reason,
							     const char *fmt, ...);

#endif
