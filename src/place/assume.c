/* SPDX-License-Identifier: Apache-2.0 */
/* Promises that the API does not show yet; see assume.h. */
#include "place/assume.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"
#include "base/str.h"
#include "place/model.h"
#include "place/space.h"

static int pool_find(struct place_inventory *inv, const char *name, struct place_pool **ret,
		     struct err *err)
{
	struct place_pool *pool = strmap_get(&inv->pools_by_name, name);

	if (!pool || !pool->known)
		return err_set(err, -ENOENT, "there is no pool %s any more", name);
	*ret = pool;
	return 0;
}

static int no_space(const struct place_space_need *need, const struct place_pool *pool,
		    struct err *err)
{
	char why[PLACE_WHY_MAX];

	switch (place_space_check(need, pool)) {
	case PLACE_SPACE_OK:
		return 0;
	case PLACE_SPACE_RESERVATION:
	case PLACE_SPACE_COMMIT:
	case PLACE_SPACE_REAL:
	case PLACE_SPACE_FULL:
	default:
		place_space_why(need, pool, why, sizeof(why));
		return err_set(err, -ENOSPC, "pool %s: %s", pool->name, why);
	}
}

static int volume_names(struct place_inventory *inv, const struct place_request *request,
			struct place_volume *volume)
{
	struct place_group *group = request->group[0] ? place_group_get(inv, request->group) : NULL;
	struct place_reservation *reservation =
		request->reservation[0] ? place_reservation_get(inv, request->reservation) : NULL;
	struct place_node *user = request->node[0] ? place_node_get(inv, request->node) : NULL;

	if ((request->group[0] && !group) || (request->reservation[0] && !reservation) ||
	    (request->node[0] && !user)) {
		if (group)
			place_group_drop(inv, group);
		if (reservation)
			place_reservation_drop(inv, reservation);
		return -ENOMEM;
	}
	/* A volume that the API has shown keeps what it said there. */
	if (volume->known || volume->assumed_pool) {
		if (group)
			place_group_drop(inv, group);
		if (reservation)
			place_reservation_drop(inv, reservation);
		return 0;
	}
	volume->thick = request->thick;
	volume->user = user;
	volume->group = group;
	volume->reservation = reservation;
	if (group)
		list_push_back(&group->volumes, &volume->in_group);
	if (reservation)
		list_push_back(&reservation->volumes, &volume->in_reservation);
	return 0;
}

int place_assume_volume(struct place_inventory *inv, const struct place_request *request,
			const char *pool_name, struct err *err)
{
	struct place_volume *volume = strmap_get(&inv->volumes, request->name);
	struct place_space_need need = {.size = request->size, .thick = request->thick};
	struct place_pool *pool = NULL;
	int res = pool_find(inv, pool_name, &pool, err);

	if (res < 0)
		return res;
	if (volume && volume->charged_pool) {
		if (volume->charged_pool == pool)
			return place_assume_grow(inv, request->name, request->size, err);
		return err_set(err, -EEXIST, "volume %s is on pool %s already", request->name,
			       volume->charged_pool->name);
	}
	need.reservation = request->reservation[0]
				   ? strmap_get(&inv->reservations, request->reservation)
				   : NULL;
	need.reserved = request->reservation[0] != '\0';
	res = no_space(&need, pool, err);
	if (res < 0)
		return res;
	volume = place_volume_get(inv, request->name);
	if (!volume || volume_names(inv, request, volume) < 0) {
		if (volume)
			place_volume_drop(inv, volume);
		return err_set(err, -ENOMEM, "out of memory");
	}
	volume->assumed_pool = pool;
	volume->assumed_size = request->size;
	inv->n_assumed++;
	place_volume_charge(inv, volume);
	return 0;
}

int place_assume_grow(struct place_inventory *inv, const char *volume_name, uint64_t size,
		      struct err *err)
{
	struct place_volume *volume = strmap_get(&inv->volumes, volume_name);
	struct place_space_need need = {0};
	struct place_pool *pool = volume ? volume->charged_pool : NULL;
	char have[32], want[32];
	uint64_t now;
	int res;

	if (!pool || !pool->known)
		return err_set(err, -ENOENT,
			       "volume %s is on no pool that is known: place it first",
			       volume_name);
	now = volume->charged_confirmed + volume->charged_assumed;
	if (size == now)
		return 0;
	if (size < now)
		return err_set(err, -EINVAL, "volume %s has %s and cannot shrink to %s",
			       volume_name, str_size(now, have, sizeof(have)),
			       str_size(size, want, sizeof(want)));
	need.size = size - now;
	need.thick = volume->thick;
	need.reserved = volume->charged_reserved;
	need.reservation = volume->charged_reserved ? volume->reservation : NULL;
	res = no_space(&need, pool, err);
	if (res < 0)
		return res;
	place_volume_uncharge(inv, volume);
	inv->n_assumed += volume->assumed_pool == NULL;
	volume->assumed_pool = pool;
	volume->assumed_size = size;
	place_volume_charge(inv, volume);
	return 0;
}

int place_assume_reservation(struct place_inventory *inv, const struct place_request *request,
			     const char *pool_name, struct err *err)
{
	struct place_reservation *reservation = strmap_get(&inv->reservations, request->name);
	struct place_space_need need = {.size = request->size, .thick = true};
	struct place_pool *pool = NULL;
	int res = pool_find(inv, pool_name, &pool, err);

	if (res < 0)
		return res;
	if (reservation && reservation->charged_pool == pool)
		return 0;
	if (reservation && reservation->charged_pool)
		return err_set(err, -EEXIST, "reservation %s is on pool %s already", request->name,
			       reservation->charged_pool->name);
	res = no_space(&need, pool, err);
	if (res < 0)
		return res;
	reservation = place_reservation_get(inv, request->name);
	if (!reservation)
		return err_set(err, -ENOMEM, "out of memory");
	list_for_each (it, &reservation->volumes)
		place_volume_uncharge(inv, list_entry(it, struct place_volume, in_reservation));
	reservation->assumed_pool = pool;
	reservation->assumed_size = request->size;
	inv->n_assumed++;
	place_reservation_charge(inv, reservation);
	list_for_each (it, &reservation->volumes)
		place_volume_charge(inv, list_entry(it, struct place_volume, in_reservation));
	return 0;
}

int place_check_resize(struct place_inventory *inv, const char *reservation_name, uint64_t size,
		       struct err *err)
{
	struct place_reservation *reservation = strmap_get(&inv->reservations, reservation_name);
	struct place_space_need need = {.thick = true};
	char used[32];

	if (!reservation || !reservation->pool || !reservation->pool->known)
		return err_set(err, -ENOENT, "reservation %s holds nothing yet", reservation_name);
	if (size < reservation->used)
		return err_set(err, -EINVAL, "its volumes use %s of it",
			       str_size((uint64_t)reservation->used, used, sizeof(used)));
	if (size <= reservation->size)
		return 0;
	need.size = size - reservation->size;
	return no_space(&need, reservation->pool, err);
}

bool place_confirm_volume(struct place_inventory *inv, const char *name)
{
	struct place_volume *volume = strmap_get(&inv->volumes, name);

	if (!volume || !volume->assumed_pool)
		return false;
	place_volume_uncharge(inv, volume);
	inv->known_volumes += !volume->known;
	volume->known = true;
	volume->pool = volume->assumed_pool;
	volume->size = volume->assumed_size;
	volume->assumed_pool = NULL;
	volume->assumed_size = 0;
	inv->n_assumed--;
	place_volume_charge(inv, volume);
	return true;
}

bool place_forget_volume(struct place_inventory *inv, const char *name)
{
	struct place_volume *volume = strmap_get(&inv->volumes, name);
	struct place_pool *pool = NULL;

	if (!volume || !volume->assumed_pool)
		return false;
	pool = volume->assumed_pool;
	place_volume_uncharge(inv, volume);
	volume->assumed_pool = NULL;
	volume->assumed_size = 0;
	inv->n_assumed--;
	place_volume_charge(inv, volume);
	place_volume_drop(inv, volume);
	place_pool_drop(inv, pool);
	return true;
}

bool place_forget_reservation(struct place_inventory *inv, const char *name)
{
	struct place_reservation *reservation = strmap_get(&inv->reservations, name);
	struct place_pool *pool = NULL;

	if (!reservation || !reservation->assumed_pool)
		return false;
	pool = reservation->assumed_pool;
	list_for_each (it, &reservation->volumes)
		place_volume_uncharge(inv, list_entry(it, struct place_volume, in_reservation));
	place_reservation_uncharge(inv, reservation);
	reservation->assumed_pool = NULL;
	reservation->assumed_size = 0;
	inv->n_assumed--;
	place_reservation_charge(inv, reservation);
	list_for_each (it, &reservation->volumes)
		place_volume_charge(inv, list_entry(it, struct place_volume, in_reservation));
	place_pool_drop(inv, pool);
	place_reservation_drop(inv, reservation);
	return true;
}
