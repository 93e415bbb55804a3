/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which namespaces are wanted on this host, for all processes of it: a file /run/litepool/host/NQN/ID for each. And the lock of a subsystem. For src/host alone.
 *
 * The file is empty once the namespace is attached. Before that it lists the controllers that were made for it, and each attach that waits holds a shared flock of it: the last one
 * that gives up takes back what all have made. A lock ends with its process, in whatever PID namespace that is. The folder goes with its last namespace.
 */
#ifndef LITEPOOL_HOST_RECORD_H
#define LITEPOOL_HOST_RECORD_H

#include "host/host.h"

#define RECORD_MADE_MAX 32

/* An attach that is under way. */
struct record_claim {
	int fd; /* of the record, with the shared lock; -1: none */
	unsigned n_made;
	char made[RECORD_MADE_MAX][16]; /* controllers, by all who wait: "nvme3" */
};

/* Excludes all others who change this subsystem's controllers; ends with record_unlock(). 0 or a negative errno with err. */
int record_lock(const struct host_env *env, const char *nqn, int64_t deadline, int *ret_fd,
		struct err *err);
/* Ends the lock; and the folder, when nothing of the subsystem is wanted. fd < 0 does nothing. */
void record_unlock(const struct host_env *env, const char *nqn, int fd);
int record_identity_lock(const struct host_env *env, int *ret_fd, struct err *err);

/* With the lock held. */
/*
 * Notes that it is wanted. 1: this attach waits for it now, and has inherited what others that wait, or died waiting, have made (claim->made); 0: it is attached already.
 * stale: what the record says of an attached one cannot be, since nothing is connected.
 */
int record_want(const struct host_env *env, const char *nqn, const struct host_id *id, bool stale,
		struct record_claim *claim, struct err *err);
/* Notes what was made since. 0 or a negative errno with err. */
int record_update(const struct record_claim *claim, struct err *err);
/* It is attached: nobody takes it back any more. False: it was detached meanwhile. */
bool record_settle(const struct host_env *env, const char *nqn, const struct host_id *id,
		   const struct record_claim *claim);
/* This attach gives up. True: it was the last, and the record is gone: what was made is to be taken back. */
bool record_give_up(const struct host_env *env, const char *nqn, const struct host_id *id,
		    const struct record_claim *claim);
void record_forget(const struct host_env *env, const char *nqn, const struct host_id *id);
/* Under each name that the device could be wanted by. */
void record_forget_device(const struct host_env *env, const struct host_device *device);
/* How many namespaces of the subsystem are wanted. */
unsigned record_count(const struct host_env *env, const char *nqn);

/* The subsystem in which id is wanted. False: none. */
bool record_find(const struct host_env *env, const struct host_id *id, char nqn[HOST_NQN_SIZE]);

#endif
