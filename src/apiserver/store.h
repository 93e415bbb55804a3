/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects on SQLite, with one number that every change increases (the resourceVersion), and the history of changes that watches and
 * paged lists read.
 *
 * 1. What was committed is on the disk (WAL, synchronous=FULL); what was not, never happened; a number is never given twice.
 * 2. All is done inside store_begin() and store_end(), which hold the one lock: one writer, and a reader sees no half transaction.
 * 3. History reaches back to store_oldest(): the state at any version from there on can be told, older ones not.
 * 4. Objects are JSON with metadata.resourceVersion in them, as they are served.
 */
#ifndef LITEPOOL_APISERVER_STORE_H
#define LITEPOOL_APISERVER_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kube/resource.h"

struct store;

struct store_config {
	const char *path;
	uint64_t max_bytes;    /* of the file; 0: only the disk bounds it */
	uint32_t history_keep; /* changes kept for watches; 0: 10000 */
	uint64_t (*wall_ns)(void);
};

struct store_key {
	const struct kube_resource *res;
	const char *ns; /* "" when res has none */
	const char *name;
};

int store_open(const struct store_config *config, struct store **ret, struct err *err);
void store_close(struct store *store);

/* Takes the lock and, for a change, begins it. After a failure nothing is held. */
int store_begin(struct store *store, bool change);
/* Commits when keep, drops the lock. -ENOSPC, -EIO: nothing was changed. */
int store_end(struct store *store, bool keep);
const char *store_why(struct store *store);

/* Within begin and end. 0, -ENOENT, or another negative errno. New reference. */
int store_get(struct store *store, const struct store_key *key, json_t **ret);
int store_get_uid(struct store *store, const char *uid, json_t **ret,
		  const struct kube_resource **ret_res);
bool store_has_uid(struct store *store, const char *uid);
/* Makes or replaces; gives obj its new resourceVersion. old is what is there now, or NULL. */
int store_put(struct store *store, const struct store_key *key, const json_t *old, json_t *obj);
/* Gives old the resourceVersion of its removal. */
int store_remove(struct store *store, const struct store_key *key, json_t *old);

uint64_t store_version(struct store *store); /* the latest */
uint64_t store_oldest(struct store *store);

/*
 * Any thread, without begin: the latest version that was committed, and that of the last change of the kind, 0 when there was none since the
 * store was opened. All changes of a kind up to what store_committed() told are told by a later store_kind_changed().
 */
uint64_t store_committed(struct store *store);
uint64_t store_kind_changed(struct store *store, const struct kube_resource *res);

/* > 0 ends the scan early and is returned. obj is borrowed. */
typedef int (*store_scan_fn)(void *ctx, const char *ns, const char *name, json_t *obj);
struct store_scan {
	const struct kube_resource *res;
	const char *ns;                    /* NULL: all */
	const char *after_ns, *after_name; /* begin behind this key; NULL: at the first */
	uint64_t version; /* the state then; 0: now. -ESTALE when history does not reach it */
};
/* In the order of keys. */
int store_scan(struct store *store, const struct store_scan *scan, store_scan_fn fn, void *ctx);

struct store_change {
	uint64_t version;
	const json_t *obj,
		*prev; /* NULL: removed; NULL: was not there. Borrowed. A removed one's prev has the version of the removal. */
};
typedef int (*store_change_fn)(void *ctx, const struct store_change *change);
/* Changes of res after version, oldest first, at most max. -ESTALE when history does not reach it. */
int store_changes(struct store *store, const struct kube_resource *res, uint64_t after,
		  unsigned max, store_change_fn fn, void *ctx);
/* Drops history beyond what is to be kept; part of a change. */
int store_compact(struct store *store, uint32_t keep);
uint32_t store_history_keep(struct store *store);

/* Owners that went away or are going away, until nothing depends on them. Survives a restart. */
enum store_gc { STORE_GC_NONE, STORE_GC_GONE, STORE_GC_FOREGROUND };
int store_gc_add(struct store *store, const char *owner_uid, enum store_gc mode);
int store_gc_drop(struct store *store, const char *owner_uid);
/* The n-th that is noted; uid of 64 bytes at least; STORE_GC_NONE when there are not so many. */
enum store_gc store_gc_next(struct store *store, unsigned n, char *uid, size_t size);
/* An object that names owner_uid as owner; skip so many first. -ENOENT: no more. */
int store_dependent(struct store *store, const char *owner_uid, unsigned skip, json_t **ret,
		    const struct kube_resource **ret_res);
/* An object of res not touched for ttl seconds. -ENOENT: none. */
int store_expired(struct store *store, const struct kube_resource *res, json_t **ret);

#endif
