/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a node: keeps its engine as the API declares it.
 *
 *   informers --key--> queue --> workers: reconcile_*()  --RPC--> engine
 *   timer, engine up --^                  `--status------------> API
 *
 * 1. A reconcile looks at the object and at the engine as they are now and does what is missing; it can be cut anywhere and be called again. One worker at a time has a key.
 * 2. Absolute state only: a size, a set of hosts, limits. Nothing is counted up.
 * 3. Nothing with data is made anew in the place of what is gone: an object that had its volume, snapshot or pool says so in its status, and then a missing one is a failure
 *    to be told, not to be mended.
 * 4. What nobody declares is removed only when we made it, and the API itself (not our copy) says twice that the object is gone (sweep.c).
 * 5. A status is written under the version that it was computed from.
 */
#ifndef LITEPOOL_AGENT_AGENT_H
#define LITEPOOL_AGENT_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/options.h"
#include "base/str.h"
#include "base/strmap.h"
#include "host/host.h"
#include "kube/client.h"
#include "kube/clock.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/text.h"
#include "kube/workqueue.h"

#define AGENT_FINALIZER_POOL     "litepool.io/pool"
#define AGENT_FINALIZER_VOLUME   "litepool.io/volume"
#define AGENT_FINALIZER_SNAPSHOT "litepool.io/snapshot"
#define AGENT_LABEL_VOLUME       "litepool.io/volume"   /* on an lvol: the object's name */
#define AGENT_LABEL_UID          "litepool.io/uid"      /* and its UID */
#define AGENT_LABEL_SNAPSHOT     "litepool.io/snapshot" /* on a snapshot: the same */
#define AGENT_LABEL_INTERNAL     "litepool.io/internal" /* made by us for ourselves: "clone" */
#define AGENT_LABEL_GROUP        "litepool.io/group"
#define AGENT_NQN_PREFIX         "nqn.2026-11.io.litepool:volume:"
#define AGENT_KEY_MAX            300
#define AGENT_WORKERS_MAX        64
#define AGENT_LVM_LOCKS          16

struct link;
struct link_ops;
struct lock;
struct watch;
struct heartbeat;
struct metrics;

/* What is around an agent besides its options, so that tests and the simulator can stand in for it. Members that are NULL or 0: the real one. */
struct agent_env {
	const struct kube_clock *clock; /* borrowed */
	struct kube_client *api,
		*lease_api;            /* both or none; taken by agent_new(), also when it fails */
	const struct link_ops *engine; /* borrowed; link.h */
	void *engine_ctx;
	uint64_t seed; /* of jitter */
};

/* When agent_turn() next does what threads of their own do otherwise. */
struct agent_due {
	uint64_t heartbeat_ms, watch_ms, tick_ms, events_ms;
	bool inside; /* of one of them, further up on the stack */
};

struct agent {
	const struct agent_opts *opts;
	struct agent_env env; /* clock is never NULL; clients have moved to api and lease_api */
	struct agent_due due;
	char node[KUBE_NAME_MAX + 1];
	char pool_fields[300], volume_fields[300]; /* selectors: what is on this node */
	int lock_fd;
	struct host_env host;
	struct kube_client *api, *lease_api;
	struct events *events;
	struct informer *nodes, *pools, *volumes, *snapshots;
	struct workqueue *queue;
	struct background *worker[AGENT_WORKERS_MAX], *ticker;
	unsigned n_workers;
	struct link *link;
	struct watch *watch;
	struct heartbeat *heartbeat;
	struct metrics *metrics;
	struct lock *lvm_lock[AGENT_LVM_LOCKS]; /* lvm_take() */
	_Atomic bool stopping;                  /* what takes long looks at it */
	_Atomic uint64_t
		ticked_ms; /* when work_tick() last was at its end, monotonic; 0: never. For the pages' thread */
	struct strmap orphans; /* of the sweep, which one worker at a time does */
};

/* opts are borrowed for the agent's life; env may be NULL. Nothing of it runs yet. */
int agent_new(const struct agent_opts *opts, const struct agent_env *env, struct agent **ret,
	      struct err *err);
/* On threads of its own from now on. After a failure only agent_stop() is left to call. */
int agent_start(struct agent *a, struct err *err);
/*
 * Instead of agent_start(): one round on the caller's thread of all that is due, with at most so many keys, which come one after the other as with one worker. True: there was something
 * to do. May be called again from inside of an operation of agent_env, with the meaning of another worker.
 */
bool agent_turn(struct agent *a, unsigned keys_max);
/* Ends what is under way; exports are served on. NULL: nothing. */
void agent_stop(struct agent *agent);

/* Any thread. Looks at it soon; after delay_ms. kind: node, pool, volume, snapshot, sweep, disks. */
void agent_enqueue(struct agent *a, const char *kind, const char *name);
void agent_enqueue_after(struct agent *a, const char *kind, const char *name, uint32_t delay_ms);

/*
 * Each looks at one object. 0: as declared; > 0: look again after so many ms; < 0: failed (told already): again, later and later. Worker threads.
 */
int node_reconcile(struct agent *a, const char *name);
int disks_reconcile(struct agent *a, const char *name);
int pool_reconcile(struct agent *a, const char *name);
int volume_reconcile(struct agent *a, const char *name);
int snapshot_reconcile(struct agent *a, const char *name);
int sweep_reconcile(struct agent *a, const char *name);
void sweep_fini(struct agent *a); /* no worker is left */

/* ---- status.c: what an object says of itself ---- */

/* A status as it is to be. obj is a deep copy, with the version that it was read at. */
struct status {
	struct agent *a;
	const struct kube_resource *res;
	json_t *before, *obj; /* owned */
	bool not_carried_out; /* observedGeneration stays: the spec is not looked at, or not followed */
};
int status_begin(struct agent *a, const char *kind, const json_t *obj, struct status *ret);
void status_fini(struct status *s);
#define _cleanup_status_ __attribute__((cleanup(status_fini)))
/* value is taken; NULL removes the member. */
void status_set(struct status *s, const char *member, json_t *value);
void status_set_text(struct status *s, const char *member, const char *text);
/* Decimal bytes, as a text. */
void status_set_bytes(struct status *s, const char *member, uint64_t bytes);
/*
 * A condition of type; ok is its status. When its status or reason has changed, there is an Event, too, if it says something bad.
 */
__attribute__((format(printf, 5, 6))) void status_condition(struct status *s, const char *type,
							    bool ok, const char *reason,
							    const char *fmt, ...);
void status_condition_remove(struct status *s, const char *type);
/*
 * Writes it when it has changed. observedGeneration of a volume says that its engine allows nobody whom the spec of that generation does not: detach and
 * CSI's unpublish wait for it. 0; -EBUSY: the object has changed meanwhile: look again. */
int status_commit(struct status *s);

/* Takes the finalizer off. 0 also when the object is gone. */
int object_release(struct agent *a, const char *kind, const json_t *obj, const char *finalizer);
/* 1: there, with this UID; 0: the API says it is not (an object of the name with another UID counts as none); < 0: nobody knows. uid "": any. */
int object_exists(struct agent *a, const char *kind, const char *name, const char *uid);
struct kube_ref object_ref(const char *kind, const char *name, const char *sub);
/* Whether the array at path holds the text. */
bool json_lists(const json_t *array, const char *text);

#endif
