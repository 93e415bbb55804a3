/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fits. A volume is promised against the commit limit. A thick one must also be backed: by space in which neither data is nor a thick volume or
 * a reservation will be. What comes out of a reservation was counted when the reservation was made.
 */
#include "place/space.h"

#include <stdio.h>

#include "base/str.h"

static bool on_pool(const struct place_reservation *reservation, const struct place_pool *pool)
{
	return reservation && reservation->charged_pool == pool;
}

static uint64_t full_at(const struct place_pool *pool)
{
	return (uint64_t)((place_sum)pool->capacity * pool->full_percent / 100);
}

enum place_space_result place_space_check(const struct place_space_need *need,
					  const struct place_pool *pool)
{
	if (need->reserved) {
		if (!on_pool(need->reservation, pool) ||
		    need->size > place_reservation_left(need->reservation))
			return PLACE_SPACE_RESERVATION;
		return PLACE_SPACE_OK;
	}
	if (need->size > place_pool_free(pool))
		return PLACE_SPACE_COMMIT;
	if (need->thick &&
	    (pool->real > pool->capacity || need->size > pool->capacity - pool->real))
		return PLACE_SPACE_REAL;
	if (!need->thick && pool->full_percent < 100 && pool->real >= full_at(pool))
		return PLACE_SPACE_FULL;
	return PLACE_SPACE_OK;
}

void place_space_why(const struct place_space_need *need, const struct place_pool *pool, char *buf,
		     size_t size)
{
	char a[32], b[32], c[32];
	const char *want = str_size(need->size, a, sizeof(a));
	uint64_t unused = pool->real < pool->capacity ? pool->capacity - pool->real : 0;

	switch (place_space_check(need, pool)) {
	case PLACE_SPACE_RESERVATION:
		if (!need->reservation || !need->reservation->charged_pool)
			(void)snprintf(buf, size, "the reservation holds no space");
		else if (need->reservation->charged_pool != pool)
			(void)snprintf(buf, size, "the reservation is on pool %s",
				       need->reservation->charged_pool->name);
		else
			(void)snprintf(
				buf, size, "%s asked, the reservation has %s left", want,
				str_size(place_reservation_left(need->reservation), b, sizeof(b)));
		break;
	case PLACE_SPACE_COMMIT:
		(void)snprintf(buf, size, "%s asked, %s of %s may still be promised", want,
			       str_size(place_pool_free(pool), b, sizeof(b)),
			       str_size(pool->limit, c, sizeof(c)));
		break;
	case PLACE_SPACE_REAL:
		(void)snprintf(buf, size, "%s asked as thick, %s of %s is not in use", want,
			       str_size(unused, b, sizeof(b)),
			       str_size(pool->capacity, c, sizeof(c)));
		break;
	case PLACE_SPACE_FULL:
		(void)snprintf(buf, size, "%s of %s is in use, above its full watermark of %u %%",
			       str_size(pool->real, b, sizeof(b)),
			       str_size(pool->capacity, c, sizeof(c)), pool->full_percent);
		break;
	case PLACE_SPACE_OK:
	default:
		(void)snprintf(buf, size, "it fits");
		break;
	}
}
