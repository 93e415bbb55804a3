/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void segments_init(struct segments *s)
{
	memset(s, 0, sizeof(*s));
	memset(s->tab_winner, 0xff, sizeof(s->tab_winner)); /* slot A is written first */
}

void segments_fini(struct segments *s)
{
	free(s->cluster);
	bitmap_fini(&s->used);
	bitmap_fini(&s->winner);
	s->cluster = NULL;
}

uint32_t segments_free_index(const struct segments *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!s->cluster[i])
			return i;
	return s->n < SEGMENTS_MAX ? s->n : UINT32_MAX;
}

static int make_room(struct segments *s, uint32_t index)
{
	uint32_t capacity = s->capacity ? s->capacity : 16;
	uint64_t *cluster;

	if (index < s->capacity)
		return 0;
	while (capacity <= index)
		capacity *= 2;
	cluster = reallocarray(s->cluster, capacity, sizeof(*cluster));
	if (!cluster)
		return -ENOMEM;
	memset(cluster + s->capacity, 0, (capacity - s->capacity) * sizeof(*cluster));
	s->cluster = cluster;
	if (bitmap_resize(&s->used, (size_t)capacity * SEGMENT_PAIRS) ||
	    bitmap_resize(&s->winner, (size_t)capacity * SEGMENT_PAIRS))
		return -ENOMEM;
	for (size_t i = (size_t)s->capacity * SEGMENT_PAIRS; i < s->used.bits; i++)
		bitmap_set(&s->used, i); /* nobody's while there is no segment */
	s->capacity = capacity;
	return 0;
}

int segments_set(struct segments *s, uint32_t index, uint64_t cluster)
{
	size_t first = (size_t)index * SEGMENT_PAIRS;

	if (make_room(s, index))
		return -ENOMEM;
	ASSERT(!s->cluster[index] != !cluster);
	s->cluster[index] = cluster;
	if (index >= s->n)
		s->n = index + 1;
	s->in_use += cluster ? 1 : -1;
	for (size_t i = first; i < first + SEGMENT_PAIRS; i++) {
		ASSERT(bitmap_test(&s->used, i) == (cluster != 0));
		bitmap_set(&s->winner, i); /* slot A is written first */
		if (cluster)
			bitmap_clear(&s->used, i);
		else
			bitmap_set(&s->used, i);
	}
	if (cluster)
		s->free_pairs += SEGMENT_PAIRS;
	else
		s->free_pairs -= SEGMENT_PAIRS;
	s->tab_changed[index / SEGTAB_SLOTS / 64] |= (uint64_t)1 << (index / SEGTAB_SLOTS % 64);
	return 0;
}

uint64_t pair_take(struct segments *s)
{
	size_t end = (size_t)s->n * SEGMENT_PAIRS;
	size_t bit;

	if (!s->free_pairs)
		return 0;
	bit = bitmap_next_clear(&s->used, s->cursor);
	if (bit == BITMAP_NONE || bit >= end)
		bit = bitmap_next_clear(&s->used, 0);
	ASSERT(bit < end);
	bitmap_set(&s->used, bit);
	s->cursor = bit + 1;
	s->free_pairs--;
	return bit + 1;
}

void pair_free(struct segments *s, uint64_t pair)
{
	ASSERT(bitmap_test(&s->used, pair - 1));
	bitmap_clear(&s->used, pair - 1);
	s->free_pairs++;
}

void pair_found(struct segments *s, uint64_t pair, bool used, unsigned winner)
{
	if (winner)
		bitmap_set(&s->winner, pair - 1);
	else
		bitmap_clear(&s->winner, pair - 1);
	if (used && !bitmap_test(&s->used, pair - 1)) {
		bitmap_set(&s->used, pair - 1);
		s->free_pairs--;
	}
}

uint64_t pair_place(const struct segments *s, uint64_t pair)
{
	uint64_t index = (pair - 1) / SEGMENT_PAIRS;

	return segment_place(s->cluster[index], (unsigned)((pair - 1) % SEGMENT_PAIRS),
			     !bitmap_test(&s->winner, pair - 1));
}

void pair_flip(struct segments *s, uint64_t pair)
{
	if (bitmap_test(&s->winner, pair - 1))
		bitmap_clear(&s->winner, pair - 1);
	else
		bitmap_set(&s->winner, pair - 1);
}
