/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What placement knows: nodes, pools, volumes and reservations, kept up to date one object at a time. Made for 10,000 nodes and 100,000
 * volumes: each change costs about a microsecond, and a decision (place.h) does not look at all of it.
 *
 * 1. The state is a function of the last form of each object plus what is assumed: the order in which objects came does not matter, an object may
 *    name one that is not here yet.
 * 2. Space is promised once. What a pool has promised is the larger of what the API's volumes and reservations add up to and what its agent
 *    reports, plus what is assumed. A stale report can make a pool look fuller, never emptier.
 * 3. A volume that is assumed (assume.h) counts until the API shows it on that pool at that size, or until it is forgotten.
 * 4. No I/O, no clock. Not thread safe: one owner. Sizes are bytes; strings given in are borrowed for the call.
 */
#ifndef LITEPOOL_PLACE_INVENTORY_H
#define LITEPOOL_PLACE_INVENTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum place_engine { PLACE_ENGINE_NATIVE, PLACE_ENGINE_LVM, PLACE_ENGINES };
enum place_maintenance { PLACE_SCHEDULABLE, PLACE_CORDONED, PLACE_DRAINING };
enum place_health { PLACE_HEALTHY, PLACE_DEGRADED, PLACE_FAILED, PLACE_HEALTH_UNKNOWN };

struct place_inventory;

/* One object each, as plain values. A NULL string is an empty one; labels is an object of strings, or NULL. */
struct place_node_info {
	const char *name, *rack, *access_point, *zone;
	const json_t *labels;
	bool ready, deleting;
	const char *why; /* it is not ready */
};

struct place_pool_info {
	const char *name, *node;
	const json_t *labels;
	enum place_engine engine;
	enum place_maintenance maintenance;
	enum place_health health;
	bool ready, deleting;
	const char *why;                         /* it is not ready or not healthy */
	uint64_t capacity, allocated, committed; /* as reported; capacity 0: not known yet */
	uint32_t commit_limit_percent;           /* of the capacity, 100: nothing beyond it */
	uint32_t full_percent; /* no new volume when so much of the capacity holds data */
};

struct place_volume_info {
	const char *name, *pool; /* pool "": not placed yet */
	const char *user;        /* the one node that uses it, "" when unknown or several do */
	const char *group, *reservation;
	uint64_t size;      /* what was granted */
	uint64_t allocated; /* holds data */
	bool thick;
};

struct place_reservation_info {
	const char *name, *pool; /* pool "": nothing is held */
	uint64_t size;
};

/* seed: in which order pools with equal scores are taken. NULL without memory. */
struct place_inventory *place_inventory_new(uint64_t seed);
void place_inventory_free(struct place_inventory *inv);

/* Adds or replaces. -ENOMEM. */
int place_inventory_put_node(struct place_inventory *inv, const struct place_node_info *info);
int place_inventory_put_pool(struct place_inventory *inv, const struct place_pool_info *info);
int place_inventory_put_volume(struct place_inventory *inv, const struct place_volume_info *info);
int place_inventory_put_reservation(struct place_inventory *inv,
				    const struct place_reservation_info *info);
/* False: it was not there. Volumes of a pool that goes stay known, and find it again when it comes back. */
bool place_inventory_remove_node(struct place_inventory *inv, const char *name);
bool place_inventory_remove_pool(struct place_inventory *inv, const char *name);
bool place_inventory_remove_volume(struct place_inventory *inv, const char *name);
bool place_inventory_remove_reservation(struct place_inventory *inv, const char *name);

/*
 * The same from API objects (apply.c). Kinds that placement does not look at are taken and left. -EINVAL names the member that is wrong; the
 * inventory is as before then. The object need not have passed its schema.
 */
int place_inventory_apply_object(struct place_inventory *inv, const json_t *object,
				 struct err *err);
/* False: not there, or a kind that is not kept. */
bool place_inventory_remove_object(struct place_inventory *inv, const json_t *object);

struct place_inventory_count {
	size_t nodes, pools, volumes, reservations, assumed;
};
void place_inventory_count(const struct place_inventory *inv, struct place_inventory_count *ret);

/* What a pool has; -ENOENT. */
struct place_space {
	uint64_t capacity, limit; /* limit: what may be promised */
	uint64_t promised;        /* to volumes and reservations, assumed ones too */
	uint64_t real;            /* data, thick volumes and reservations */
	uint64_t reserved;        /* of that: reservations that no volume has used */
	uint32_t volumes;
};
int place_inventory_space(const struct place_inventory *inv, const char *name,
			  struct place_space *ret);
/* What a reservation holds and what of it volumes use, bytes; -ENOENT. */
int place_inventory_reservation(const struct place_inventory *inv, const char *name,
				uint64_t *ret_held, uint64_t *ret_used);
/* Where a volume is, by the API or assumed; "" when nowhere. Borrowed until the next change. */
const char *place_inventory_volume_pool(const struct place_inventory *inv, const char *name);

#endif
