/* SPDX-License-Identifier: Apache-2.0 */
/* Pools with sums of data: each block that is compared is held against its sum too, and the cache of sums is so small that it turns over. */
#include "crash/crash.h"
#include "pool/sums_priv.h"

void sums_squeeze(struct run *run)
{
	struct sums *s = run->pool->sums;
	unsigned keep = 6 + (unsigned)rng_below(&run->rng, 20), n = 0;

	if (!s || rng_below(&run->rng, 3) == 0)
		return;
	s->open_max = 2 + (unsigned)rng_below(&run->rng, 4);
	s->dirty_max = 2 + (unsigned)rng_below(&run->rng, 4);
	list_for_each_safe (it, &s->free) {
		if (n++ >= keep)
			list_remove(it); /* nobody gets these any more */
	}
}

static bool table_sum(const struct seen *seen, uint64_t place, uint32_t *ret_sum)
{
	uint64_t cluster = place / LAYOUT_CLUSTER_BLOCKS;
	const uint8_t *table =
		seen->page(seen->disk, sums_place(cluster, seen->pool->rules.first_cluster));
	size_t at = sums_offset(cluster) + place % LAYOUT_CLUSTER_BLOCKS * 4;

	*ret_sum = table ? get_le32(table + at) : 0;
	return true;
}

/* The sum as the pool knows it; false: it does not. */
static bool known_sum(const struct seen *seen, uint64_t place, uint32_t *ret_sum)
{
	struct sums *s = seen->pool->sums;
	unsigned block = place % LAYOUT_CLUSTER_BLOCKS;
	const struct sums_cluster *c = sums_find(s, place / LAYOUT_CLUSTER_BLOCKS);

	if (!c || c->state == SUMS_LOADING)
		return table_sum(seen, place, ret_sum);
	*ret_sum = c->sum[block];
	return !((c->unsure.word[block / 64] | c->busy.word[block / 64]) >> (block % 64) & 1);
}

bool sums_fit(struct seen *seen, uint64_t place, const uint8_t *page)
{
	static const uint8_t zeros[DISK_PAGE];
	uint32_t sum;

	if (!seen->pool->sums || !known_sum(seen, place, &sum))
		return true;
	seen->summed++;
	return sum == layout_block_sum(place, page ? page : zeros);
}
