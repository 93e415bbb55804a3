/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that the loop decides on: what the watches told, or what our own writes were answered, whichever is later. resourceVersions are
 * compared as numbers, which they are at the embedded server and at kube-apiserver (and which Kubernetes promises from 1.35 on). One thread.
 */
#ifndef LITEPOOL_CONTROLLER_OBJECTS_H
#define LITEPOOL_CONTROLLER_OBJECTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/strmap.h"
#include "kube/resource.h"

enum object_kind {
	OBJECT_NODE,
	OBJECT_POOL,
	OBJECT_VOLUME,
	OBJECT_SNAPSHOT,
	OBJECT_RESERVATION,
	OBJECT_KINDS,
	OBJECT_LEASE = OBJECT_KINDS, /* of nodes; watched, not kept here */
	OBJECT_WATCHED
};

struct objects {
	struct strmap by_name[OBJECT_KINDS];
};

const struct kube_resource *object_resource(enum object_kind kind);

void objects_clear(struct objects *objects);
/* Borrowed until the object changes; NULL. */
json_t *objects_get(const struct objects *objects, enum object_kind kind, const char *name);
/*
 * 0: kept, *ret_old (owned, may be NULL) is what was there. 1: it is not newer than what is there. -ENOMEM: what was there stays, and the next
 * news brings it.
 */
int objects_put(struct objects *objects, enum object_kind kind, json_t *obj, json_t **ret_old);
/* The object of this uid (NULL: any) has gone. What it was (owned), or NULL: it is not here. */
json_t *objects_take(struct objects *objects, enum object_kind kind, const char *name,
		     const char *uid);

#endif
