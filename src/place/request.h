/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be placed: a volume, or a reservation. All strings and JSON are borrowed from the object it was made of. */
#ifndef LITEPOOL_PLACE_REQUEST_H
#define LITEPOOL_PLACE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "place/inventory.h"

#define PLACE_TERMS_MAX 64 /* labels of a selector */

enum place_position {
	PLACE_ANY,
	PLACE_PREFER_LOCAL,
	PLACE_PREFER_REMOTE,
	PLACE_MUST_LOCAL,
	PLACE_MUST_REMOTE
};

struct place_request {
	const char *name; /* of the volume or reservation */
	bool for_reservation;
	uint64_t size; /* bytes */
	bool thick;
	bool any_engine; /* a reservation */
	enum place_engine engine;
	enum place_position position;                /* relative to node */
	const char *node;                            /* that will use it; "": not known */
	const json_t *node_selector, *pool_selector; /* objects of strings, or NULL */
	const char *group;                           /* of anti-affinity, or "" */
	const char *reservation;                     /* takes its space out of this one, or "" */
	const char *only_pool; /* where its source is, or the pool that is asked for, or "" */
	const char *only_node; /* the node that is asked for, or "" */
	const char *not_pool;  /* where it moves away from, or "" */
};

/*
 * From a StorageVolume. snapshot_pool: status.poolName of the snapshot it is made from, or NULL; a source volume is looked up in inv. -EINVAL
 * names the member that is wrong; -ENOENT: the source is not placed.
 */
int place_request_volume(const struct place_inventory *inv, const json_t *object,
			 const char *snapshot_pool, struct place_request *ret, struct err *err);
/* From a StorageReservation. */
int place_request_reservation(const json_t *object, struct place_request *ret, struct err *err);

const char *place_position_text(enum place_position position);
const char *place_engine_text(enum place_engine engine);

#endif
