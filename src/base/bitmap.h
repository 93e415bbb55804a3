/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-size bitmaps over caller's or own words. Not thread safe. */
#ifndef LITEPOOL_BASE_BITMAP_H
#define LITEPOOL_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap {
	uint64_t *words;
	size_t bits;
};

#define BITMAP_NONE SIZE_MAX

/* All bits clear. 0 or -ENOMEM. */
int bitmap_init(struct bitmap *map, size_t bits);
void bitmap_fini(struct bitmap *map);
/* More bits, the new ones clear; {0} counts as empty. 0, or -ENOMEM with everything as before. */
int bitmap_resize(struct bitmap *map, size_t bits);

static inline bool bitmap_test(const struct bitmap *map, size_t i)
{
	return map->words[i / 64] >> (i % 64) & 1;
}

static inline void bitmap_set(struct bitmap *map, size_t i)
{
	map->words[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void bitmap_clear(struct bitmap *map, size_t i)
{
	map->words[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* First clear (set) bit at or after from, or BITMAP_NONE. */
size_t bitmap_next_clear(const struct bitmap *map, size_t from);
size_t bitmap_next_set(const struct bitmap *map, size_t from);
size_t bitmap_count(const struct bitmap *map);

#endif
