/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of space. A volume or reservation puts its amounts on a pool (charge) and remembers them, so that taking them off (uncharge) gives
 * back exactly that. Every change of an object is: uncharge, change, charge.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "place/model.h"

static uint64_t clamp(place_sum sum)
{
	return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

static uint16_t part_of(uint64_t used, uint64_t all)
{
	if (used >= all)
		return PLACE_SCALE;
	return (uint16_t)((place_sum)used * PLACE_SCALE / all);
}

static void index_pool(struct place_inventory *inv, struct place_pool *pool)
{
	pool->may_be_taken = pool->known && pool->ready && !pool->deleting && pool->capacity &&
			     pool->maintenance == PLACE_SCHEDULABLE &&
			     pool->health <= PLACE_DEGRADED && pool->node && pool->node->known &&
			     pool->node->ready && !pool->node->deleting;
	if (pool->may_be_taken && place_index_add(&inv->index[pool->engine], pool) < 0)
		inv->index_broken = true;
}

void place_pool_refresh(struct place_inventory *inv, struct place_pool *pool)
{
	place_sum shown = pool->confirmed + pool->reserved - pool->reserved_new;

	if (pool->indexed)
		place_index_remove(&inv->index[pool->engine], pool);
	pool->limit = clamp((place_sum)pool->capacity * pool->commit_limit_percent / 100);
	pool->promised =
		clamp(MAX(shown, (place_sum)pool->committed) + pool->assumed + pool->reserved_new);
	pool->real = clamp(MAX(pool->vol_allocated, (place_sum)pool->allocated) + pool->unbacked +
			   pool->reserved);
	pool->fill = MAX(part_of(pool->promised, pool->limit), part_of(pool->real, pool->capacity));
	index_pool(inv, pool);
}

void place_node_refresh(struct place_inventory *inv, struct place_node *node)
{
	list_for_each (it, &node->pools)
		place_pool_refresh(inv, list_entry(it, struct place_pool, in_node));
}

uint64_t place_reservation_left(const struct place_reservation *reservation)
{
	uint64_t size = reservation->pool ? reservation->size : reservation->assumed_size;

	if (!reservation->pool && !reservation->assumed_pool)
		return 0;
	return reservation->used < size ? size - (uint64_t)reservation->used : 0;
}

void place_reservation_uncharge(struct place_inventory *inv, struct place_reservation *reservation)
{
	struct place_pool *pool = reservation->charged_pool;

	if (!pool)
		return;
	pool->reserved -= reservation->charged_size;
	if (reservation->charged_new)
		pool->reserved_new -= reservation->charged_size;
	list_remove(&reservation->in_pool);
	reservation->charged_pool = NULL;
	place_pool_refresh(inv, pool);
}

void place_reservation_charge(struct place_inventory *inv, struct place_reservation *reservation)
{
	struct place_pool *pool = reservation->pool ? reservation->pool : reservation->assumed_pool;

	ASSERT(!reservation->charged_pool);
	if (!pool)
		return;
	reservation->charged_pool = pool;
	reservation->charged_size = place_reservation_left(reservation);
	reservation->charged_new = !reservation->pool;
	pool->reserved += reservation->charged_size;
	if (reservation->charged_new)
		pool->reserved_new += reservation->charged_size;
	list_push_back(&pool->reservations, &reservation->in_pool);
	place_pool_refresh(inv, pool);
}

static void reservation_use(struct place_inventory *inv, struct place_reservation *reservation,
			    uint64_t size, bool more)
{
	place_reservation_uncharge(inv, reservation);
	if (more)
		reservation->used += size;
	else
		reservation->used -= size;
	place_reservation_charge(inv, reservation);
}

static void node_remote(struct place_volume *volume, bool more)
{
	struct place_node *node = volume->charged_pool->node;
	uint64_t size = volume->charged_confirmed + volume->charged_assumed;

	if (!volume->charged_remote)
		return;
	node->remote_bytes += more ? (place_sum)size : -(place_sum)size;
	node->remote_volumes += more ? 1 : -1U;
}

void place_volume_uncharge(struct place_inventory *inv, struct place_volume *volume)
{
	struct place_pool *pool = volume->charged_pool;

	if (!pool)
		return;
	pool->confirmed -= volume->charged_confirmed;
	pool->assumed -= volume->charged_assumed;
	pool->vol_allocated -= volume->charged_allocated;
	pool->unbacked -= volume->charged_unbacked;
	pool->n_volumes--;
	node_remote(volume, false);
	list_remove(&volume->in_pool);
	volume->charged_pool = NULL;
	if (volume->charged_reserved)
		reservation_use(inv, volume->reservation,
				volume->charged_confirmed + volume->charged_assumed, false);
	place_pool_refresh(inv, pool);
}

/* Space that comes out of a reservation on the same pool was promised before: it is no news to the pool. */
static bool out_of_reservation(const struct place_volume *volume, const struct place_pool *pool)
{
	const struct place_reservation *reservation = volume->reservation;

	return reservation &&
	       (reservation->pool ? reservation->pool : reservation->assumed_pool) == pool;
}

void place_volume_charge(struct place_inventory *inv, struct place_volume *volume)
{
	struct place_pool *pool = volume->pool ? volume->pool : volume->assumed_pool;
	uint64_t size = MAX(volume->pool ? volume->size : 0,
			    volume->assumed_pool ? volume->assumed_size : 0);

	ASSERT(!volume->charged_pool);
	if (!pool)
		return;
	volume->charged_pool = pool;
	volume->charged_reserved = out_of_reservation(volume, pool);
	volume->charged_confirmed = volume->charged_reserved ? size
				    : volume->pool           ? volume->size
							     : 0;
	volume->charged_assumed = size - volume->charged_confirmed;
	volume->charged_allocated = volume->allocated;
	volume->charged_unbacked =
		volume->thick && size > volume->allocated ? size - volume->allocated : 0;
	volume->charged_remote = pool->node && volume->user != pool->node;
	pool->confirmed += volume->charged_confirmed;
	pool->assumed += volume->charged_assumed;
	pool->vol_allocated += volume->charged_allocated;
	pool->unbacked += volume->charged_unbacked;
	pool->n_volumes++;
	list_push_back(&pool->volumes, &volume->in_pool);
	node_remote(volume, true);
	if (volume->charged_reserved)
		reservation_use(inv, volume->reservation, size, true);
	place_pool_refresh(inv, pool);
}
