/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of all objects of one kind, kept true by list and watch.
 *
 * 1. Each object that appears, changes or goes is told to changed(), in the order of the server's changes; after a gap the list is compared with
 *    the copy, so that what went meanwhile is told as gone. Changes between may be skipped, the last state never.
 * 2. Objects are shared and never changed: copy before you write.
 * 3. Reading is for any thread. changed() runs on the informer's or the client's watch thread, one call at a time, without a lock: it enqueues keys
 *    and does not wait.
 */
#ifndef LITEPOOL_KUBE_INFORMER_H
#define LITEPOOL_KUBE_INFORMER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kube/clock.h"
#include "kube/resource.h"

struct informer;
struct kube_client;

struct informer_config {
	struct kube_client *client; /* borrowed, freed after the informer */
	const struct kube_resource *res;
	const char *ns, *labels, *fields; /* borrowed for the informer's life; NULL: all */
	/* old NULL: new to us. obj NULL: gone. May be NULL. */
	void (*changed)(void *ctx, const json_t *old, const json_t *obj);
	void *ctx;
	/* The key under which informer_find() finds it, into key; false: none. May be NULL. */
	bool (*index)(const json_t *obj, char *key, size_t size);
	const struct kube_clock *clock; /* NULL: the host's */
	uint64_t seed;                  /* of the jitter */
	uint32_t delay_max_ms;          /* between tries; 0: 30 s */
	uint32_t outage_ms;             /* without the server for so long: list again; 0: 5 min */
};

int informer_new(const struct informer_config *config, struct informer **ret, struct err *err);
void informer_free(struct informer *inf);

/* Runs informer_step() on a thread of its own from now on. */
int informer_start(struct informer *inf, struct err *err);
/*
 * Does what is due; blocks while it lists. After how many ms to call it again, < 0: when the watch has ended (informer_ended()). One thread. For tests and
 * the simulator.
 */
int informer_step(struct informer *inf);
bool informer_ended(struct informer *inf);

/* Whether the first list is in. */
bool informer_synced(struct informer *inf);
/* Waits for it. False: not within timeout_ms. */
bool informer_wait(struct informer *inf, unsigned timeout_ms);

/* New references; ns NULL or "" for kinds without one. NULL: not there. */
json_t *informer_get(struct informer *inf, const char *ns, const char *name);
/* Array of all, in no order; NULL without memory. */
json_t *informer_list(struct informer *inf);
/* Array of those that have this key. */
json_t *informer_find(struct informer *inf, const char *key);
size_t informer_count(struct informer *inf);

struct informer_stats {
	uint64_t lists, watches, events, failures;
	char version[64];
};
void informer_stats(struct informer *inf, struct informer_stats *ret);

/* "ns/name" or "name": the usual key of a work queue. False: it does not fit. */
bool kube_key(const json_t *obj, char *key, size_t size);
/* The parts of such a key; *ret_ns "" without one. */
void kube_key_split(const char *key, char *ret_ns, size_t ns_size, const char **ret_name);

#endif
