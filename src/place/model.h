/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inventory from inside, for src/place only. Everything is reached by name through a map, and by pointers between objects; an object that is
 * only named by others is there with known = false, so that sums are right whatever came first.
 */
#ifndef LITEPOOL_PLACE_MODEL_H
#define LITEPOOL_PLACE_MODEL_H

#include "base/list.h"
#include "base/strmap.h"
#include "place/inventory.h"

#define PLACE_SCALE 1000 /* a score, or how full a pool is, is 0..PLACE_SCALE */

/* Sums of sizes that come from outside: 64 bits could wrap. */
__extension__ typedef unsigned __int128 place_sum;

enum place_level {
	PLACE_LEVEL_NODE,
	PLACE_LEVEL_RACK,
	PLACE_LEVEL_ACCESS_POINT,
	PLACE_LEVEL_ZONE,
	PLACE_LEVELS
};

/* A rack, an access point or a zone; at PLACE_LEVEL_NODE a node. Domain 0 of a level is "none": volumes there are not counted. */
struct place_domain {
	char *name;
	uint32_t id;
	struct list nodes; /* place_node.in_domain[level] */
	uint32_t n_nodes;  /* that are known */
};

struct place_domains {
	struct strmap by_name;
	struct place_domain **all; /* by id */
	uint32_t n;
};

/* "key=value", with those that have it. */
struct place_label {
	char *text;
	void **holders; /* place_node or place_pool */
	uint32_t n, cap;
};

struct place_labels {
	struct place_label **all; /* in the order of their addresses */
	uint32_t n;
};

struct place_node {
	char *name;
	bool known, ready, deleting;
	char *why;
	struct place_domain *domain[PLACE_LEVELS];
	struct list in_domain[PLACE_LEVELS];
	struct place_labels labels;
	struct list pools;      /* place_pool.in_node */
	place_sum capacity;     /* of known pools */
	place_sum remote_bytes; /* of its volumes that other nodes use, or that anyone may use */
	uint32_t remote_volumes;
};

struct place_pool {
	char *name;
	uint64_t tie; /* the lower goes first among equals */
	struct place_node *node;
	struct list in_node;
	uint32_t slot; /* in place_inventory.pools */
	bool known, ready, deleting;
	enum place_engine engine;
	enum place_maintenance maintenance;
	enum place_health health;
	char *why;
	struct place_labels labels;
	uint64_t capacity, allocated, committed; /* as reported */
	uint32_t commit_limit_percent, full_percent;

	/* Sums over volumes and reservations; changed by charge.c only. */
	struct list volumes;      /* place_volume.in_pool */
	struct list reservations; /* place_reservation.in_pool */
	uint32_t n_volumes;
	place_sum confirmed;     /* sizes that the API shows, or that come out of a reservation */
	place_sum assumed;       /* sizes that it does not show yet */
	place_sum vol_allocated; /* data of volumes */
	place_sum unbacked;      /* of thick volumes: promised whole, not written yet */
	place_sum reserved;      /* of reservations: not used yet */
	place_sum reserved_new;  /* of reserved: by reservations that are only assumed */

	/* Out of the above, by pool_refresh(). */
	uint64_t limit, promised, real;
	uint16_t fill;     /* 0..PLACE_SCALE: the worse of promised to limit and real to capacity */
	bool indexed;      /* in index[engine].bucket[fill] */
	bool may_be_taken; /* passes every filter that does not depend on the request */
};

struct place_group {
	char *name;
	struct list volumes; /* place_volume.in_group */
};

struct place_reservation {
	char *name;
	bool known;
	struct place_pool *pool;         /* by the API */
	struct place_pool *assumed_pool; /* not yet by the API */
	uint64_t size, assumed_size;
	struct list in_pool;   /* while it is charged */
	struct list volumes;   /* place_volume.in_reservation: all that name it */
	place_sum used;        /* by its volumes on its pool */
	uint64_t charged_size; /* what it has put on charged_pool */
	struct place_pool *charged_pool;
	bool charged_new; /* as one that is only assumed */
};

struct place_volume {
	char *name;
	bool known;                      /* the API has it */
	struct place_pool *pool;         /* by the API */
	struct place_pool *assumed_pool; /* NULL: nothing is assumed */
	uint64_t size, assumed_size, allocated;
	bool thick;
	struct place_node *user;
	struct place_group *group;
	struct place_reservation *reservation;

	/* What is charged, and where. */
	struct list in_pool, in_group, in_reservation;
	struct place_pool *charged_pool;
	uint64_t charged_confirmed, charged_assumed; /* together: its size */
	uint64_t charged_allocated, charged_unbacked;
	bool charged_remote, charged_reserved;
};

struct place_bucket {
	struct place_pool **pools; /* by tie, then name */
	uint32_t n, cap;
	uint64_t free_max; /* no pool of the bucket has more left to promise; may be too high */
};

/* Pools that may be taken, by how full they are. */
struct place_index {
	struct place_bucket bucket[PLACE_SCALE + 1];
};

struct place_inventory {
	uint64_t seed;
	struct strmap nodes, pools_by_name, volumes, reservations, groups;
	struct place_pool **pools; /* all, known or not */
	uint32_t n_pools, pools_cap;
	struct place_domains domains[PLACE_LEVELS];
	struct strmap node_labels, pool_labels;
	struct place_index index[PLACE_ENGINES];
	bool index_broken; /* no memory for it once: decisions look at every pool */
	size_t known_nodes, known_pools, known_volumes, known_reservations, n_assumed;
};

/* entity.c: finds or makes; NULL without memory. */
struct place_node *place_node_get(struct place_inventory *inv, const char *name);
struct place_pool *place_pool_get(struct place_inventory *inv, const char *name);
struct place_volume *place_volume_get(struct place_inventory *inv, const char *name);
struct place_reservation *place_reservation_get(struct place_inventory *inv, const char *name);
struct place_group *place_group_get(struct place_inventory *inv, const char *name);
struct place_domain *place_domain_get(struct place_inventory *inv, enum place_level level,
				      const char *name);
/* Frees what nothing knows and nothing names any more. */
void place_pool_drop(struct place_inventory *inv, struct place_pool *pool);
void place_volume_drop(struct place_inventory *inv, struct place_volume *volume);
void place_reservation_drop(struct place_inventory *inv, struct place_reservation *reservation);
void place_group_drop(struct place_inventory *inv, struct place_group *group);

/* label.c: json is an object of strings or NULL. -ENOMEM leaves the old ones. */
int place_labels_set(struct strmap *by_text, struct place_labels *labels, void *holder,
		     const json_t *json);
void place_labels_clear(struct strmap *by_text, struct place_labels *labels, void *holder);
/* The label, or NULL when nothing has it. */
struct place_label *place_label_find(const struct strmap *by_text, const char *key,
				     const char *value);
bool place_labels_have(const struct place_labels *labels, const struct place_label *label);

/* charge.c */
void place_volume_uncharge(struct place_inventory *inv, struct place_volume *volume);
void place_volume_charge(struct place_inventory *inv, struct place_volume *volume);
void place_reservation_uncharge(struct place_inventory *inv, struct place_reservation *reservation);
void place_reservation_charge(struct place_inventory *inv, struct place_reservation *reservation);
/* What is left of it for volumes; 0 when nothing is held. */
uint64_t place_reservation_left(const struct place_reservation *reservation);
/* Sums again what is derived, and puts the pool where it belongs in the index. */
void place_pool_refresh(struct place_inventory *inv, struct place_pool *pool);
void place_node_refresh(struct place_inventory *inv, struct place_node *node);
static inline uint64_t place_pool_free(const struct place_pool *pool)
{
	return pool->promised < pool->limit ? pool->limit - pool->promised : 0;
}

/* index.c. -ENOMEM. */
int place_index_add(struct place_index *index, struct place_pool *pool);
void place_index_remove(struct place_index *index, struct place_pool *pool);
bool place_pool_before(const struct place_pool *a, const struct place_pool *b);
void place_index_fini(struct place_index *index);

#endif
