/* SPDX-License-Identifier: Apache-2.0 */
/* The plain way: every pool through every filter and priority. What an explanation shows, and what the search (search.c) is compared with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "place/search.h"

static int keep(const struct place_ctx *ctx, const struct place_pool *pool, unsigned flags,
		struct place_candidate *candidate)
{
	char why[PLACE_WHY_MAX] = "";
	bool refused = false;
	int res = 0;

	*candidate = (struct place_candidate){
		.pool = pool->name,
		.node = pool->node->name,
		.free = place_pool_free(pool),
		.slot = pool->slot,
		.filter = place_filter_check(ctx, pool),
	};
	if (candidate->filter == PLACE_PASSED) {
		candidate->score = place_score(ctx, pool, candidate->part);
		res = place_ask_plugins(ctx, pool, candidate->part, &candidate->score, &refused,
					why, sizeof(why));
		if (refused)
			candidate->filter = PLACE_HOOK;
	} else if (flags & PLACE_EXPLAIN) {
		place_filter_why(ctx, pool, candidate->filter, why, sizeof(why));
	}
	if (res == 0 && candidate->filter != PLACE_PASSED && flags & PLACE_EXPLAIN) {
		candidate->why = strdup(why);
		res = candidate->why ? 0 : err_set(ctx->err, -ENOMEM, "out of memory");
	}
	return res;
}

/* Passed ones by score and then by the inventory's order; refused ones behind them, by name. */
static int by_rank(const void *va, const void *vb, void *arg)
{
	const struct place_inventory *inv = arg;
	const struct place_candidate *a = va, *b = vb;
	bool a_passed = a->filter == PLACE_PASSED, b_passed = b->filter == PLACE_PASSED;

	if (a_passed != b_passed)
		return a_passed ? -1 : 1;
	if (!a_passed)
		return strcmp(a->pool, b->pool);
	if (a->score != b->score)
		return a->score > b->score ? -1 : 1;
	if (a->slot == b->slot)
		return 0;
	return place_pool_before(inv->pools[a->slot], inv->pools[b->slot]) ? -1 : 1;
}

static void rank(const struct place_ctx *ctx, struct place_candidate *candidates, size_t n)
{
	/* Before the first pool there is no array. */
	if (n)
		qsort_r(candidates, n, sizeof(*candidates), by_rank, (void *)(uintptr_t)ctx->inv);
}

static int all(const struct place_ctx *ctx, unsigned flags, struct place_candidate *candidates,
	       size_t *n)
{
	for (uint32_t i = 0; i < ctx->inv->n_pools; i++) {
		const struct place_pool *pool = ctx->inv->pools[i];
		int res = pool->known ? keep(ctx, pool, flags, &candidates[*n]) : 0;

		*n += pool->known;
		if (res < 0)
			return res;
	}
	rank(ctx, candidates, *n);
	for (uint32_t i = 0; i < ctx->config->n_extenders; i++) {
		int res = place_ask_extender(ctx, i, candidates, *n);

		if (res < 0)
			return res;
		rank(ctx, candidates, *n);
	}
	return 0;
}

int place_scan(const struct place_ctx *ctx, unsigned flags, struct place_decision *decision)
{
	struct place_candidate *candidates = calloc(ctx->inv->n_pools + 1, sizeof(*candidates));
	size_t n = 0;
	int res = candidates ? all(ctx, flags, candidates, &n)
			     : err_set(ctx->err, -ENOMEM, "out of memory");

	decision->candidates = candidates;
	decision->n_candidates = n;
	decision->looked_at += (uint32_t)n;
	if (res < 0)
		return res;
	for (size_t i = 0; i < n; i++)
		decision->refused[candidates[i].filter]++;
	if (n && candidates[0].filter == PLACE_PASSED) {
		decision->pool = candidates[0].pool;
		decision->node = candidates[0].node;
		decision->score = candidates[0].score;
	}
	if (!(flags & PLACE_EXPLAIN))
		place_decision_fini(decision);
	return 0;
}
