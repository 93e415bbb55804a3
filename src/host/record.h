/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which namespaces are wanted on this host, for all processes of it: an empty file /run/litepool/host/NQN/ID for each. And the lock of a subsystem. For src/host alone.
 */
#ifndef LITEPOOL_HOST_RECORD_H
#define LITEPOOL_HOST_RECORD_H

#include "host/host.h"

/* Excludes all others who change this subsystem's controllers; ends with blocking_unlock(). 0 or a negative errno with err. */
int record_lock(const struct host_env *env, const char *nqn, int64_t deadline, int *ret_fd,
		struct err *err);
int record_identity_lock(const struct host_env *env, int *ret_fd, struct err *err);

/* With the lock held. */
/* 1: it is new; 0: was there. */
int record_want(const struct host_env *env, const char *nqn, const struct host_id *id,
		struct err *err);
void record_forget(const struct host_env *env, const char *nqn, const struct host_id *id);
/* Under each name that the device could be wanted by. */
void record_forget_device(const struct host_env *env, const struct host_device *device);
/* How many namespaces of the subsystem are wanted. */
unsigned record_count(const struct host_env *env, const char *nqn);

/* The subsystem in which id is wanted. False: none. */
bool record_find(const struct host_env *env, const struct host_id *id, char nqn[HOST_NQN_SIZE]);

#endif
