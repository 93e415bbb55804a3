/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools by how full they are: one bucket for each of 0..PLACE_SCALE, sorted within. Sorted arrays rather than trees: 10,000 pools in one bucket (a
 * new cluster) are 80 kB to move, a few microseconds, and a search reads them straight.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "place/model.h"

#define EXACT_MAX 64 /* pools of a bucket whose free_max is summed anew after a removal */

bool place_pool_before(const struct place_pool *a, const struct place_pool *b)
{
	if (a->tie != b->tie)
		return a->tie < b->tie;
	return strcmp(a->name, b->name) < 0;
}

/* Where pool is, or would go. */
static uint32_t position(const struct place_bucket *bucket, const struct place_pool *pool)
{
	uint32_t from = 0, to = bucket->n;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (place_pool_before(bucket->pools[mid], pool))
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

int place_index_add(struct place_index *index, struct place_pool *pool)
{
	struct place_bucket *bucket = &index->bucket[pool->fill];
	uint32_t at;

	ASSERT(!pool->indexed);
	if (bucket->n == bucket->cap) {
		uint32_t cap = bucket->cap ? bucket->cap * 2 : 8;
		struct place_pool **pools =
			realloc(bucket->pools, cap * sizeof(struct place_pool *));

		if (!pools)
			return -ENOMEM;
		bucket->pools = pools;
		bucket->cap = cap;
	}
	at = position(bucket, pool);
	memmove(bucket->pools + at + 1, bucket->pools + at,
		(bucket->n - at) * sizeof(struct place_pool *));
	bucket->pools[at] = pool;
	bucket->n++;
	bucket->free_max = MAX(bucket->free_max, place_pool_free(pool));
	pool->indexed = true;
	return 0;
}

void place_index_remove(struct place_index *index, struct place_pool *pool)
{
	struct place_bucket *bucket = &index->bucket[pool->fill];
	uint32_t at = position(bucket, pool);

	ASSERT(pool->indexed);
	ASSERT(at < bucket->n && bucket->pools[at] == pool);
	bucket->n--;
	memmove(bucket->pools + at, bucket->pools + at + 1,
		(bucket->n - at) * sizeof(struct place_pool *));
	pool->indexed = false;
	if (bucket->n > EXACT_MAX)
		return;
	bucket->free_max = 0;
	for (uint32_t i = 0; i < bucket->n; i++)
		bucket->free_max = MAX(bucket->free_max, place_pool_free(bucket->pools[i]));
}

void place_index_fini(struct place_index *index)
{
	for (size_t i = 0; i <= PLACE_SCALE; i++)
		free(index->bucket[i].pools);
}
