/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects come, change and go. What needs memory is got before anything changes, so that -ENOMEM leaves the inventory as it was but for names that
 * nothing uses.
 */
#include "place/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "place/model.h"

static const char *text_or_empty(const char *s)
{
	return s ? s : "";
}

struct place_inventory *place_inventory_new(uint64_t seed)
{
	struct place_inventory *inv = calloc(1, sizeof(*inv));

	if (!inv)
		return NULL;
	inv->seed = seed;
	for (int level = 0; level < PLACE_LEVELS; level++) {
		if (!place_domain_get(inv, level, "")) { /* id 0: none */
			place_inventory_free(inv);
			return NULL;
		}
	}
	return inv;
}

static void domains_free(struct place_domains *domains)
{
	for (uint32_t i = 0; i < domains->n; i++) {
		free(domains->all[i]->name);
		free(domains->all[i]);
	}
	free(domains->all);
	strmap_fini(&domains->by_name);
}

static void named_free(struct strmap *map)
{
	struct strmap_iter it = {0};

	/* The name is the first member of each. */
	while (strmap_next(map, &it)) {
		free(*(char **)it.value);
		free(it.value);
	}
	strmap_fini(map);
}

void place_inventory_free(struct place_inventory *inv)
{
	struct strmap_iter it = {0};

	if (!inv)
		return;
	for (uint32_t i = 0; i < inv->n_pools; i++) {
		place_labels_clear(&inv->pool_labels, &inv->pools[i]->labels, inv->pools[i]);
		free(inv->pools[i]->why);
	}
	while (strmap_next(&inv->nodes, &it)) {
		struct place_node *node = it.value;

		place_labels_clear(&inv->node_labels, &node->labels, node);
		free(node->why);
	}
	named_free(&inv->pools_by_name);
	named_free(&inv->nodes);
	named_free(&inv->volumes);
	named_free(&inv->reservations);
	named_free(&inv->groups);
	strmap_fini(&inv->node_labels);
	strmap_fini(&inv->pool_labels);
	for (int level = 0; level < PLACE_LEVELS; level++)
		domains_free(&inv->domains[level]);
	for (int engine = 0; engine < PLACE_ENGINES; engine++)
		place_index_fini(&inv->index[engine]);
	free(inv->pools);
	free(inv);
}

/* Nodes */

static void node_enter(struct place_node *node, enum place_level level, struct place_domain *domain)
{
	if (list_linked(&node->in_domain[level])) {
		list_remove(&node->in_domain[level]);
		node->domain[level]->n_nodes--;
	}
	node->domain[level] = domain;
	list_push_back(&domain->nodes, &node->in_domain[level]);
	domain->n_nodes++;
}

int place_inventory_put_node(struct place_inventory *inv, const struct place_node_info *info)
{
	struct place_node *node = place_node_get(inv, info->name);
	struct place_domain *domain[PLACE_LEVELS] = {
		[PLACE_LEVEL_NODE] = node ? node->domain[PLACE_LEVEL_NODE] : NULL,
		[PLACE_LEVEL_RACK] =
			place_domain_get(inv, PLACE_LEVEL_RACK, text_or_empty(info->rack)),
		[PLACE_LEVEL_ACCESS_POINT] = place_domain_get(inv, PLACE_LEVEL_ACCESS_POINT,
							      text_or_empty(info->access_point)),
		[PLACE_LEVEL_ZONE] =
			place_domain_get(inv, PLACE_LEVEL_ZONE, text_or_empty(info->zone)),
	};
	_cleanup_free_ char *why = strdup(text_or_empty(info->why));

	for (int level = 0; level < PLACE_LEVELS; level++)
		if (!domain[level])
			return -ENOMEM;
	if (!node || !why ||
	    place_labels_set(&inv->node_labels, &node->labels, node, info->labels) < 0)
		return -ENOMEM;
	inv->known_nodes += !node->known;
	node->known = true;
	node->ready = info->ready;
	node->deleting = info->deleting;
	free(node->why);
	node->why = TAKE_PTR(why);
	for (int level = 0; level < PLACE_LEVELS; level++)
		node_enter(node, level, domain[level]);
	place_node_refresh(inv, node);
	return 0;
}

bool place_inventory_remove_node(struct place_inventory *inv, const char *name)
{
	struct place_node *node = strmap_get(&inv->nodes, name);

	if (!node || !node->known)
		return false;
	node->known = false;
	inv->known_nodes--;
	place_labels_clear(&inv->node_labels, &node->labels, node);
	for (int level = 0; level < PLACE_LEVELS; level++) {
		list_remove(&node->in_domain[level]);
		node->domain[level]->n_nodes--;
		if (level != PLACE_LEVEL_NODE)
			node->domain[level] = inv->domains[level].all[0];
	}
	place_node_refresh(inv, node);
	return true;
}

/* Pools */

/* The volumes of a pool count for its node: they follow when it moves. */
static void pool_to_node(struct place_inventory *inv, struct place_pool *pool,
			 struct place_node *node, uint64_t capacity)
{
	struct list moved;

	list_init(&moved);
	list_for_each_safe (it, &pool->volumes) {
		struct place_volume *volume = list_entry(it, struct place_volume, in_pool);

		place_volume_uncharge(inv, volume);
		list_push_back(&moved, &volume->in_pool);
	}
	if (pool->node) {
		pool->node->capacity -= pool->capacity;
		list_remove(&pool->in_node);
	}
	pool->node = node;
	pool->capacity = capacity;
	if (node) {
		list_push_back(&node->pools, &pool->in_node);
		node->capacity += capacity;
	}
	for (struct list *it = list_pop_front(&moved); it; it = list_pop_front(&moved))
		place_volume_charge(inv, list_entry(it, struct place_volume, in_pool));
}

int place_inventory_put_pool(struct place_inventory *inv, const struct place_pool_info *info)
{
	struct place_pool *pool = place_pool_get(inv, info->name);
	struct place_node *node = place_node_get(inv, text_or_empty(info->node));
	_cleanup_free_ char *why = strdup(text_or_empty(info->why));

	if (!pool)
		return -ENOMEM;
	if (!node || !why ||
	    place_labels_set(&inv->pool_labels, &pool->labels, pool, info->labels) < 0) {
		place_pool_drop(inv, pool);
		return -ENOMEM;
	}
	if (pool->indexed)
		place_index_remove(&inv->index[pool->engine], pool);
	inv->known_pools += !pool->known;
	pool->known = true;
	pool->ready = info->ready;
	pool->deleting = info->deleting;
	pool->engine = info->engine;
	pool->maintenance = info->maintenance;
	pool->health = info->health;
	pool->allocated = info->allocated;
	pool->committed = info->committed;
	pool->commit_limit_percent = info->commit_limit_percent;
	pool->full_percent = info->full_percent;
	free(pool->why);
	pool->why = TAKE_PTR(why);
	if (pool->node != node) {
		pool_to_node(inv, pool, node, info->capacity);
	} else {
		node->capacity = node->capacity - pool->capacity + info->capacity;
		pool->capacity = info->capacity;
	}
	place_pool_refresh(inv, pool);
	return 0;
}

bool place_inventory_remove_pool(struct place_inventory *inv, const char *name)
{
	struct place_pool *pool = strmap_get(&inv->pools_by_name, name);

	if (!pool || !pool->known)
		return false;
	if (pool->indexed)
		place_index_remove(&inv->index[pool->engine], pool);
	pool->known = false;
	pool->allocated = pool->committed = 0;
	inv->known_pools--;
	place_labels_clear(&inv->pool_labels, &pool->labels, pool);
	pool_to_node(inv, pool, NULL, 0);
	place_pool_refresh(inv, pool);
	place_pool_drop(inv, pool);
	return true;
}

/* Volumes */

static void volume_names(struct place_volume *volume, struct place_group *group,
			 struct place_reservation *reservation, struct place_inventory *inv)
{
	struct place_group *old_group = volume->group;
	struct place_reservation *old = volume->reservation;

	if (old_group != group) {
		list_remove(&volume->in_group);
		volume->group = group;
		if (group)
			list_push_back(&group->volumes, &volume->in_group);
		if (old_group)
			place_group_drop(inv, old_group);
	}
	if (old != reservation) {
		list_remove(&volume->in_reservation);
		volume->reservation = reservation;
		if (reservation)
			list_push_back(&reservation->volumes, &volume->in_reservation);
		if (old)
			place_reservation_drop(inv, old);
	}
}

/* What the API shows needs no assumption any more; what it shows elsewhere makes it wrong. */
static void assumption_check(struct place_inventory *inv, struct place_volume *volume)
{
	if (!volume->assumed_pool || !volume->pool)
		return;
	if (volume->assumed_pool == volume->pool && volume->assumed_size > volume->size)
		return;
	volume->assumed_pool = NULL;
	volume->assumed_size = 0;
	inv->n_assumed--;
}

struct named {
	struct place_pool *pool;
	struct place_node *user;
	struct place_group *group;
	struct place_reservation *reservation;
};

static void named_drop(struct place_inventory *inv, const struct named *named)
{
	if (named->pool)
		place_pool_drop(inv, named->pool);
	if (named->group)
		place_group_drop(inv, named->group);
	if (named->reservation)
		place_reservation_drop(inv, named->reservation);
}

static int named_get(struct place_inventory *inv, const struct place_volume_info *info,
		     struct named *ret)
{
	const char *pool = text_or_empty(info->pool), *user = text_or_empty(info->user);
	const char *group = text_or_empty(info->group);
	const char *reservation = text_or_empty(info->reservation);
	struct named named = {
		.pool = pool[0] ? place_pool_get(inv, pool) : NULL,
		.user = user[0] ? place_node_get(inv, user) : NULL,
		.group = group[0] ? place_group_get(inv, group) : NULL,
		.reservation = reservation[0] ? place_reservation_get(inv, reservation) : NULL,
	};

	if ((pool[0] && !named.pool) || (user[0] && !named.user) || (group[0] && !named.group) ||
	    (reservation[0] && !named.reservation)) {
		named_drop(inv, &named);
		return -ENOMEM;
	}
	*ret = named;
	return 0;
}

int place_inventory_put_volume(struct place_inventory *inv, const struct place_volume_info *info)
{
	struct place_volume *volume = place_volume_get(inv, info->name);
	struct place_pool *old_pool;
	struct named named;

	if (!volume)
		return -ENOMEM;
	if (named_get(inv, info, &named) < 0) {
		place_volume_drop(inv, volume);
		return -ENOMEM;
	}
	old_pool = volume->pool;
	place_volume_uncharge(inv, volume);
	inv->known_volumes += !volume->known;
	volume->known = true;
	volume->pool = named.pool;
	volume->user = named.user;
	volume->size = info->size;
	volume->allocated = info->allocated;
	volume->thick = info->thick;
	volume_names(volume, named.group, named.reservation, inv);
	assumption_check(inv, volume);
	place_volume_charge(inv, volume);
	if (old_pool && old_pool != named.pool)
		place_pool_drop(inv, old_pool);
	return 0;
}

bool place_inventory_remove_volume(struct place_inventory *inv, const char *name)
{
	struct place_volume *volume = strmap_get(&inv->volumes, name);
	struct place_pool *pool;

	if (!volume || !volume->known)
		return false;
	pool = volume->charged_pool;
	place_volume_uncharge(inv, volume);
	inv->known_volumes--;
	inv->n_assumed -= volume->assumed_pool != NULL;
	volume->known = false;
	volume->pool = volume->assumed_pool = NULL;
	place_volume_drop(inv, volume);
	if (pool)
		place_pool_drop(inv, pool);
	return true;
}

/* Reservations */

/* Its volumes are charged anew around a change: whether their space comes out of it may change. */
static void reservation_change(struct place_inventory *inv, struct place_reservation *reservation,
			       struct place_pool *pool, uint64_t size)
{
	struct place_pool *old = reservation->pool;

	list_for_each (it, &reservation->volumes)
		place_volume_uncharge(inv, list_entry(it, struct place_volume, in_reservation));
	place_reservation_uncharge(inv, reservation);
	ASSERT(reservation->used == 0);
	reservation->pool = pool;
	reservation->size = size;
	if (pool && reservation->assumed_pool) {
		reservation->assumed_pool = NULL;
		reservation->assumed_size = 0;
		inv->n_assumed--;
	}
	place_reservation_charge(inv, reservation);
	list_for_each (it, &reservation->volumes)
		place_volume_charge(inv, list_entry(it, struct place_volume, in_reservation));
	if (old && old != pool)
		place_pool_drop(inv, old);
}

int place_inventory_put_reservation(struct place_inventory *inv,
				    const struct place_reservation_info *info)
{
	struct place_reservation *reservation = place_reservation_get(inv, info->name);
	const char *name = text_or_empty(info->pool);
	struct place_pool *pool = name[0] ? place_pool_get(inv, name) : NULL;

	if (!reservation || (name[0] && !pool)) {
		if (reservation)
			place_reservation_drop(inv, reservation);
		if (pool)
			place_pool_drop(inv, pool);
		return -ENOMEM;
	}
	inv->known_reservations += !reservation->known;
	reservation->known = true;
	reservation_change(inv, reservation, pool, info->size);
	return 0;
}

bool place_inventory_remove_reservation(struct place_inventory *inv, const char *name)
{
	struct place_reservation *reservation = strmap_get(&inv->reservations, name);
	struct place_pool *pool;

	if (!reservation || !reservation->known)
		return false;
	inv->known_reservations--;
	reservation->known = false;
	pool = reservation->assumed_pool;
	inv->n_assumed -= pool != NULL;
	reservation->assumed_pool = NULL;
	reservation_change(inv, reservation, NULL, 0);
	if (pool)
		place_pool_drop(inv, pool);
	place_reservation_drop(inv, reservation);
	return true;
}

/* Reading */

void place_inventory_count(const struct place_inventory *inv, struct place_inventory_count *ret)
{
	*ret = (struct place_inventory_count){
		.nodes = inv->known_nodes,
		.pools = inv->known_pools,
		.volumes = inv->known_volumes,
		.reservations = inv->known_reservations,
		.assumed = inv->n_assumed,
	};
}

int place_inventory_space(const struct place_inventory *inv, const char *name,
			  struct place_space *ret)
{
	const struct place_pool *pool = strmap_get(&inv->pools_by_name, name);

	if (!pool || !pool->known)
		return -ENOENT;
	*ret = (struct place_space){
		.capacity = pool->capacity,
		.limit = pool->limit,
		.promised = pool->promised,
		.real = pool->real,
		.reserved = pool->reserved > UINT64_MAX ? UINT64_MAX : (uint64_t)pool->reserved,
		.volumes = pool->n_volumes,
	};
	return 0;
}

const char *place_inventory_volume_pool(const struct place_inventory *inv, const char *name)
{
	const struct place_volume *volume = strmap_get(&inv->volumes, name);

	return volume && volume->charged_pool ? volume->charged_pool->name : "";
}

int place_inventory_reservation(const struct place_inventory *inv, const char *name,
				uint64_t *ret_held, uint64_t *ret_used)
{
	const struct place_reservation *reservation = strmap_get(&inv->reservations, name);

	if (!reservation)
		return -ENOENT;
	*ret_held = reservation->pool ? reservation->size : reservation->assumed_size;
	*ret_used = (uint64_t)reservation->used;
	return 0;
}
