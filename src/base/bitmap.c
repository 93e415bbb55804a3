/* SPDX-License-Identifier: Apache-2.0 */
/* Searching bitmaps a word at a time. The bits behind the last one in its word are always clear. */
#include "base/bitmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int bitmap_init(struct bitmap *map, size_t bits)
{
	size_t words = bits / 64 + (bits % 64 != 0);

	map->words = calloc(words ? words : 1, sizeof(*map->words));
	if (!map->words) {
		map->bits = 0;
		return -ENOMEM;
	}
	map->bits = bits;
	return 0;
}

int bitmap_resize(struct bitmap *map, size_t bits)
{
	struct bitmap grown;

	if (bitmap_init(&grown, bits))
		return -ENOMEM;
	if (map->words)
		memcpy(grown.words, map->words, (map->bits + 63) / 64 * sizeof(uint64_t));
	free(map->words);
	*map = grown;
	return 0;
}

void bitmap_fini(struct bitmap *map)
{
	if (!map)
		return;
	free(map->words);
	map->words = NULL;
	map->bits = 0;
}

/* First bit at or after from that is set in words ^ flip. */
static size_t next_bit(const struct bitmap *map, size_t from, uint64_t flip)
{
	uint64_t word;
	size_t i = from / 64;

	if (from >= map->bits)
		return BITMAP_NONE;
	word = (map->words[i] ^ flip) & (~(uint64_t)0 << (from % 64));
	while (!word) {
		i++;
		if (i * 64 >= map->bits)
			return BITMAP_NONE;
		word = map->words[i] ^ flip;
	}
	from = i * 64 + (size_t)__builtin_ctzll(word);
	return from < map->bits ? from : BITMAP_NONE;
}

size_t bitmap_next_clear(const struct bitmap *map, size_t from)
{
	return next_bit(map, from, ~(uint64_t)0);
}

size_t bitmap_next_set(const struct bitmap *map, size_t from)
{
	return next_bit(map, from, 0);
}

size_t bitmap_count(const struct bitmap *map)
{
	size_t count = 0;

	for (size_t i = 0; i * 64 < map->bits; i++)
		count += (size_t)__builtin_popcountll(map->words[i]);
	return count;
}
