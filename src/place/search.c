/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search that looks at few pools.
 *
 * 1. A request that names pools (its node, reservation, source, a label) looks at those only: every other pool is refused by that filter anyway.
 * 2. Otherwise the pools on the user's node and in its rack come first, as locality may favour them. What is left is in buckets by how full it is
 *    (index.c). The score of a pool there is at most score_fill(bucket) + rest_max. Buckets are visited from the highest bound down; when the bound is below
 *    the best found, no pool that is left can win.
 * 3. Within a bucket pools are in the order that decides between equals: with the bound equal to the best score only pools before the best one
 *    matter, and the first that reaches the bound ends the bucket.
 */
#include "place/search.h"

#include "base/bytes.h"
#include "base/check.h"

struct best {
	const struct place_pool *pool;
	uint64_t score;
};

static bool better(const struct best *best, const struct place_pool *pool, uint64_t score)
{
	if (!best->pool || score != best->score)
		return !best->pool || score > best->score;
	return place_pool_before(pool, best->pool);
}

static int look(const struct place_ctx *ctx, const struct place_pool *pool, struct best *best,
		struct place_decision *decision)
{
	uint16_t part[PLACE_PARTS_MAX];
	bool refused = false;
	char why[PLACE_WHY_MAX];
	uint64_t score;
	int res;

	decision->looked_at++;
	if (!pool->known || place_filter_check(ctx, pool) != PLACE_PASSED)
		return 0;
	score = place_score(ctx, pool, part);
	/* Plugins only filter here: asking for a pool that cannot win would change nothing. */
	if (!better(best, pool, score))
		return 0;
	res = place_ask_plugins(ctx, pool, part, &score, &refused, why, sizeof(why));
	if (res < 0 || refused)
		return res;
	*best = (struct best){.pool = pool, .score = score};
	return 0;
}

static int look_node(const struct place_ctx *ctx, const struct place_node *node, struct best *best,
		     struct place_decision *decision)
{
	int res = 0;

	list_for_each (it, &node->pools) {
		res = look(ctx, list_entry(it, struct place_pool, in_node), best, decision);
		if (res < 0)
			break;
	}
	return res;
}

/* The rarest label of both selectors; NULL: no selector, or one that nothing can match. */
static const struct place_label *rarest(const struct place_ctx *ctx, bool *ret_of_nodes)
{
	const struct place_label *label = NULL;

	for (uint32_t i = 0; i < ctx->pool_terms.n; i++) {
		if (!label || ctx->pool_terms.all[i]->n < label->n) {
			label = ctx->pool_terms.all[i];
			*ret_of_nodes = false;
		}
	}
	for (uint32_t i = 0; i < ctx->node_terms.n; i++) {
		if (!label || ctx->node_terms.all[i]->n < label->n) {
			label = ctx->node_terms.all[i];
			*ret_of_nodes = true;
		}
	}
	return label;
}

static int look_label(const struct place_ctx *ctx, const struct place_label *label, bool of_nodes,
		      struct best *best, struct place_decision *decision)
{
	int res = 0;

	for (uint32_t i = 0; i < label->n && res == 0; i++)
		res = of_nodes ? look_node(ctx, label->holders[i], best, decision)
			       : look(ctx, label->holders[i], best, decision);
	return res;
}

/* Where locality may add to the score. */
static int look_near(const struct place_ctx *ctx, struct best *best,
		     struct place_decision *decision)
{
	const struct place_domain *rack;
	int res;

	if (!ctx->user || ctx->request->position != PLACE_PREFER_LOCAL)
		return 0;
	res = look_node(ctx, ctx->user, best, decision);
	rack = ctx->user->domain[PLACE_LEVEL_RACK];
	if (!rack->id || res < 0)
		return res;
	list_for_each (it, &rack->nodes) {
		const struct place_node *node =
			list_entry(it, struct place_node, in_domain[PLACE_LEVEL_RACK]);

		if (node != ctx->user)
			res = look_node(ctx, node, best, decision);
		if (res < 0)
			break;
	}
	return res;
}

static int look_bucket(const struct place_ctx *ctx, const struct place_bucket *bucket,
		       uint64_t bound, struct best *best, struct place_decision *decision)
{
	for (uint32_t i = 0; i < bucket->n; i++) {
		const struct place_pool *pool = bucket->pools[i];
		int res;

		if (best->pool && best->score >= bound && !place_pool_before(pool, best->pool))
			return 0;
		res = look(ctx, pool, best, decision);
		if (res < 0)
			return res;
	}
	return 0;
}

static int look_index(const struct place_ctx *ctx, const struct place_index *index,
		      struct best *best, struct place_decision *decision)
{
	bool fullest_first = ctx->config->weights.bin_pack > ctx->config->weights.least_allocated;
	uint64_t rest = place_score_rest_max(ctx);

	for (uint32_t i = 0; i <= PLACE_SCALE; i++) {
		uint32_t fill = fullest_first ? PLACE_SCALE - i : i;
		uint64_t bound = place_score_fill(ctx, fill) + rest;
		int res;

		if (best->pool && bound < best->score)
			return 0;
		if (!index->bucket[fill].n ||
		    (!ctx->need.reserved && index->bucket[fill].free_max < ctx->need.size))
			continue;
		res = look_bucket(ctx, &index->bucket[fill], bound, best, decision);
		if (res < 0)
			return res;
	}
	return 0;
}

static int look_all(const struct place_ctx *ctx, struct best *best, struct place_decision *decision)
{
	const struct place_request *request = ctx->request;
	const struct place_pool *pool;
	const struct place_label *label;
	bool of_nodes = false;
	int res;

	if (ctx->node_terms.impossible || ctx->pool_terms.impossible)
		return 0;
	if (ctx->need.reserved) {
		pool = ctx->need.reservation ? ctx->need.reservation->charged_pool : NULL;
		return pool ? look(ctx, pool, best, decision) : 0;
	}
	if (request->only_pool[0]) {
		pool = strmap_get(&ctx->inv->pools_by_name, request->only_pool);
		return pool ? look(ctx, pool, best, decision) : 0;
	}
	if (request->only_node[0]) {
		const struct place_node *node = strmap_get(&ctx->inv->nodes, request->only_node);

		return node ? look_node(ctx, node, best, decision) : 0;
	}
	if (request->position == PLACE_MUST_LOCAL)
		return ctx->user ? look_node(ctx, ctx->user, best, decision) : 0;
	label = rarest(ctx, &of_nodes);
	if (label)
		return look_label(ctx, label, of_nodes, best, decision);
	res = look_near(ctx, best, decision);
	for (int engine = 0; engine < PLACE_ENGINES && res == 0; engine++)
		if (request->any_engine || engine == (int)request->engine)
			res = look_index(ctx, &ctx->inv->index[engine], best, decision);
	return res;
}

int place_search(const struct place_ctx *ctx, struct place_decision *decision)
{
	struct best best = {0};
	int res = look_all(ctx, &best, decision);

	if (res < 0 || !best.pool)
		return res;
	decision->pool = best.pool->name;
	decision->node = best.pool->node->name;
	decision->score = best.score;
	return 0;
}
