/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's loop: keeps promises of space, and states what it sees, by the objects of the API.
 *
 *   FOLLOWING -our Lease-> TAKING_OVER -all is listed, what was under way misses-> ACTING
 *   any -our Lease has run out-> FOLLOWING
 *
 * 1. No volume has a pool without its space set aside there: one thread decides, assumes (place/assume.h), writes, and looks at the answer before it
 *    decides again.
 * 2. Nothing is kept here that the API does not have, so a controller may die at any step.
 * 3. Nothing is written without leader_is(). What a former leader still has on its way misses: before its first decision a new leader touches every object
 *    about which a promise may be under way, so that a write decided on an older version is a conflict (takeover.c).
 * 4. A write whose answer was lost keeps its space until the object has been touched and read again.
 *
 * Threads: control_start() runs it on background threads; tests and the simulator call control_turn() instead.
 */
#ifndef LITEPOOL_CONTROLLER_CONTROL_H
#define LITEPOOL_CONTROLLER_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "controller/objects.h"
#include "kube/clock.h"

#define CONTROL_LEASE "litepool-controller" /* in KUBE_NS_SYSTEM */

struct control;
struct kube_client;

struct control_config {
	struct kube_client *client;     /* borrowed, outlives the loop */
	const struct kube_clock *clock; /* NULL: the host's */
	const char *identity;           /* of the Lease: unique, also among restarts */
	const char *placement_path;     /* NULL: the defaults */
	uint32_t lease_ms;              /* 0: leader.h's */
	uint64_t seed;                  /* of jitter and of the order of equal pools */
};

enum control_state { CONTROL_FOLLOWING, CONTROL_TAKING_OVER, CONTROL_ACTING };

/* Counters only grow; gauges say so. Any thread. */
struct control_stats {
	_Atomic uint64_t reconciles[OBJECT_KINDS], failures[OBJECT_KINDS];
	_Atomic uint64_t writes, conflicts, unknown, refused, placed, unplaced, takeovers, touched;
	_Atomic uint64_t reloads, reload_failures, extender_calls, extender_failures;
	_Atomic uint64_t objects[OBJECT_KINDS], waiting, queued, delayed; /* gauges */
	_Atomic uint64_t turned_ms; /* gauge: when the loop last came around, monotonic */
	_Atomic int state;          /* gauge: enum control_state */
};

/* -EINVAL: the placement configuration is wrong. */
int control_new(const struct control_config *config, struct control **ret, struct err *err);
/* Ends the threads; nothing is written any more. The Lease is not given up: control_release() before it does. */
void control_free(struct control *c);

int control_start(struct control *c, struct err *err);
/* Ends the threads and lets the next leader begin at once. */
void control_release(struct control *c);
/* Reads the placement configuration again: any thread; a wrong one is told in the log, and the old one stays. */
void control_reload(struct control *c);

/* One round without threads: election, watches, news, at most so many keys. True: there was something to do. */
bool control_turn(struct control *c, unsigned keys_max);
/* When the next round has something to do, ms from now; -1: with the next news. */
int64_t control_next_ms(struct control *c);

const struct control_stats *control_stats(const struct control *c);
/* All kinds have been listed once. */
bool control_synced(struct control *c);

#endif
