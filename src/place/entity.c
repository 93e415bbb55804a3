/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the inventory by name: found or made, and freed when nothing knows or names them. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "place/model.h"

#define POOLS_MIN 64

struct place_domain *place_domain_get(struct place_inventory *inv, enum place_level level,
				      const char *name)
{
	struct place_domains *domains = &inv->domains[level];
	struct place_domain *domain = strmap_get(&domains->by_name, name), **all;

	if (domain)
		return domain;
	domain = calloc(1, sizeof(*domain));
	all = realloc(domains->all, (domains->n + 1) * sizeof(struct place_domain *));
	if (all)
		domains->all = all;
	if (!domain || !all || !(domain->name = strdup(name)) ||
	    strmap_set(&domains->by_name, domain->name, domain, NULL) < 0) {
		free(domain ? domain->name : NULL);
		free(domain);
		return NULL;
	}
	list_init(&domain->nodes);
	domain->id = domains->n;
	domains->all[domains->n++] = domain;
	return domain;
}

struct place_node *place_node_get(struct place_inventory *inv, const char *name)
{
	struct place_node *node = strmap_get(&inv->nodes, name);
	struct place_domain *self;

	if (node)
		return node;
	self = place_domain_get(inv, PLACE_LEVEL_NODE, name);
	node = calloc(1, sizeof(*node));
	if (!self || !node || !(node->name = strdup(name)) ||
	    strmap_set(&inv->nodes, node->name, node, NULL) < 0) {
		free(node ? node->name : NULL);
		free(node);
		return NULL;
	}
	list_init(&node->pools);
	node->domain[PLACE_LEVEL_NODE] = self;
	for (int level = PLACE_LEVEL_RACK; level < PLACE_LEVELS; level++)
		node->domain[level] = inv->domains[level].all[0];
	return node;
}

static int pools_append(struct place_inventory *inv, struct place_pool *pool)
{
	if (inv->n_pools == inv->pools_cap) {
		uint32_t cap = inv->pools_cap ? inv->pools_cap * 2 : POOLS_MIN;
		struct place_pool **pools = realloc(inv->pools, cap * sizeof(struct place_pool *));

		if (!pools)
			return -1;
		inv->pools = pools;
		inv->pools_cap = cap;
	}
	pool->slot = inv->n_pools;
	inv->pools[inv->n_pools++] = pool;
	return 0;
}

/* FNV-1a, mixed: another seed is another order. */
static uint64_t tie_of(const char *name, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325 ^ seed;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3;
	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93;
	return h ^ (h >> 32);
}

struct place_pool *place_pool_get(struct place_inventory *inv, const char *name)
{
	struct place_pool *pool = strmap_get(&inv->pools_by_name, name);

	if (pool)
		return pool;
	pool = calloc(1, sizeof(*pool));
	if (!pool || !(pool->name = strdup(name)) ||
	    strmap_set(&inv->pools_by_name, pool->name, pool, NULL) < 0) {
		free(pool ? pool->name : NULL);
		free(pool);
		return NULL;
	}
	if (pools_append(inv, pool) < 0) {
		strmap_remove(&inv->pools_by_name, name);
		free(pool->name);
		free(pool);
		return NULL;
	}
	pool->tie = tie_of(name, inv->seed);
	list_init(&pool->volumes);
	list_init(&pool->reservations);
	return pool;
}

void place_pool_drop(struct place_inventory *inv, struct place_pool *pool)
{
	struct place_pool *last;

	if (pool->known || !list_empty(&pool->volumes) || !list_empty(&pool->reservations))
		return;
	ASSERT(!pool->indexed);
	strmap_remove(&inv->pools_by_name, pool->name);
	last = inv->pools[--inv->n_pools];
	inv->pools[pool->slot] = last;
	last->slot = pool->slot;
	list_remove(&pool->in_node);
	free(pool->why);
	free(pool->name);
	free(pool);
}

struct place_volume *place_volume_get(struct place_inventory *inv, const char *name)
{
	struct place_volume *volume = strmap_get(&inv->volumes, name);

	if (volume)
		return volume;
	volume = calloc(1, sizeof(*volume));
	if (!volume || !(volume->name = strdup(name)) ||
	    strmap_set(&inv->volumes, volume->name, volume, NULL) < 0) {
		free(volume ? volume->name : NULL);
		free(volume);
		return NULL;
	}
	return volume;
}

void place_volume_drop(struct place_inventory *inv, struct place_volume *volume)
{
	struct place_reservation *reservation = volume->reservation;
	struct place_group *group = volume->group;

	if (volume->known || volume->assumed_pool)
		return;
	ASSERT(!volume->charged_pool);
	list_remove(&volume->in_group);
	list_remove(&volume->in_reservation);
	strmap_remove(&inv->volumes, volume->name);
	free(volume->name);
	free(volume);
	if (group)
		place_group_drop(inv, group);
	if (reservation)
		place_reservation_drop(inv, reservation);
}

struct place_reservation *place_reservation_get(struct place_inventory *inv, const char *name)
{
	struct place_reservation *reservation = strmap_get(&inv->reservations, name);

	if (reservation)
		return reservation;
	reservation = calloc(1, sizeof(*reservation));
	if (!reservation || !(reservation->name = strdup(name)) ||
	    strmap_set(&inv->reservations, reservation->name, reservation, NULL) < 0) {
		free(reservation ? reservation->name : NULL);
		free(reservation);
		return NULL;
	}
	list_init(&reservation->volumes);
	return reservation;
}

void place_reservation_drop(struct place_inventory *inv, struct place_reservation *reservation)
{
	if (reservation->known || reservation->assumed_pool || !list_empty(&reservation->volumes))
		return;
	ASSERT(!reservation->charged_pool);
	strmap_remove(&inv->reservations, reservation->name);
	free(reservation->name);
	free(reservation);
}

struct place_group *place_group_get(struct place_inventory *inv, const char *name)
{
	struct place_group *group = strmap_get(&inv->groups, name);

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group || !(group->name = strdup(name)) ||
	    strmap_set(&inv->groups, group->name, group, NULL) < 0) {
		free(group ? group->name : NULL);
		free(group);
		return NULL;
	}
	list_init(&group->volumes);
	return group;
}

void place_group_drop(struct place_inventory *inv, struct place_group *group)
{
	if (!list_empty(&group->volumes))
		return;
	strmap_remove(&inv->groups, group->name);
	free(group->name);
	free(group);
}
