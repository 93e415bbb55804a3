/* SPDX-License-Identifier: Apache-2.0 */
/* The one rule of what fits on a pool, for decisions and for promises. For src/place only. */
#ifndef LITEPOOL_PLACE_SPACE_H
#define LITEPOOL_PLACE_SPACE_H

#include "place/model.h"

#define PLACE_WHY_MAX 256

struct place_space_need {
	uint64_t size; /* that is added */
	bool thick;
	bool reserved; /* comes out of a reservation, and out of nothing else */
	const struct place_reservation *reservation; /* NULL: it does not exist */
};

enum place_space_result {
	PLACE_SPACE_OK,
	PLACE_SPACE_RESERVATION, /* on another pool, or too small */
	PLACE_SPACE_COMMIT,      /* more would be promised than the limit allows */
	PLACE_SPACE_REAL,        /* thick, and not so much is really free */
	PLACE_SPACE_FULL,        /* above its watermark */
};

enum place_space_result place_space_check(const struct place_space_need *need,
					  const struct place_pool *pool);
/* In words, for a check that did not pass. */
void place_space_why(const struct place_space_need *need, const struct place_pool *pool, char *buf,
		     size_t size);

#endif
