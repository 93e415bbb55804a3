/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder of Events (core v1) about objects. The same again raises the count of the Event that is there; many that differ in their message alone
 * are combined; an object that makes too many is silenced for a while. Recording never waits and never fails: what cannot be
 * sent is dropped in the end and counted.
 */
#ifndef LITEPOOL_KUBE_EVENTS_H
#define LITEPOOL_KUBE_EVENTS_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "kube/clock.h"

struct events;
struct kube_client;

struct events_config {
	struct kube_client *client; /* borrowed */
	const char *component,
		*instance; /* who tells: litepool-controller, the node's name; borrowed for the recorder's life */
	const struct kube_clock *clock; /* NULL: the host's */
	uint32_t burst;                 /* Events an object may have at once; 0: 25 */
	uint32_t refill_ms;             /* one more after each; 0: 300 s */
};

int events_new(const struct events_config *config, struct events **ret, struct err *err);
/* Stops the thread; what was not sent is lost. events_flush() before it sends. */
void events_free(struct events *ev);
/* Sends on a thread of its own from now on. */
int events_start(struct events *ev, struct err *err);

/* Any thread. type: "Normal", "Warning". reason: one word in CamelCase. about needs kind, apiVersion and metadata. */
__attribute__((format(printf, 5, 6))) void events_record(struct events *ev, const json_t *about,
							 const char *type, const char *reason,
							 const char *fmt, ...);
/* Sends one. After how many ms to call it again, < 0: when something is recorded. One thread. */
int events_step(struct events *ev);
/* Steps until nothing is left or something fails. Not while the thread runs. */
void events_flush(struct events *ev);

struct events_stats {
	uint64_t recorded, sent, silenced, dropped;
};
void events_stats(struct events *ev, struct events_stats *ret);

#endif
