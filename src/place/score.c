/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in priorities, 0..PLACE_SCALE each, in whole numbers: no rounding that differs between machines. How full a pool is is taken before
 * the volume, so that it does not depend on the request and pools can be kept in its order.
 */
#include "place/decide.h"

#define SAME_RACK (PLACE_SCALE / 2)

/* What one more volume of the group in the same domain costs; together PLACE_SCALE. The wider the domain, the more fails with it. */
static const uint32_t level_cost[PLACE_LEVELS] = {
	[PLACE_LEVEL_NODE] = 100,
	[PLACE_LEVEL_RACK] = 300,
	[PLACE_LEVEL_ACCESS_POINT] = 200,
	[PLACE_LEVEL_ZONE] = 400,
};

static uint32_t locality(const struct place_ctx *ctx, const struct place_node *node)
{
	const struct place_node *user = ctx->user;

	if (ctx->request->position == PLACE_PREFER_REMOTE)
		return user && node == user ? 0 : PLACE_SCALE;
	if (ctx->request->position != PLACE_PREFER_LOCAL || !user)
		return 0;
	if (node == user)
		return PLACE_SCALE;
	return node->domain[PLACE_LEVEL_RACK]->id &&
			       node->domain[PLACE_LEVEL_RACK] == user->domain[PLACE_LEVEL_RACK]
		       ? SAME_RACK
		       : 0;
}

/* 0, 1/2, 2/3, ... of the level's cost. */
static uint32_t crowd(uint32_t count, enum place_level level)
{
	return (uint32_t)((uint64_t)level_cost[level] * count / ((uint64_t)count + 1));
}

static uint32_t spread(const struct place_ctx *ctx, const struct place_node *node)
{
	uint32_t score = PLACE_SCALE;

	if (!ctx->counts[PLACE_LEVEL_NODE])
		return score;
	for (int level = 0; level < PLACE_LEVELS; level++)
		if (node->domain[level]->id)
			score -= crowd(ctx->counts[level][node->domain[level]->id], level);
	return score;
}

uint64_t place_score_fill(const struct place_ctx *ctx, uint32_t fill)
{
	const struct place_weights *w = &ctx->config->weights;

	return (uint64_t)w->least_allocated * (PLACE_SCALE - fill) + (uint64_t)w->bin_pack * fill;
}

uint64_t place_score(const struct place_ctx *ctx, const struct place_pool *pool,
		     uint16_t part[PLACE_PARTS_MAX])
{
	const struct place_weights *w = &ctx->config->weights;

	part[PLACE_LEAST_ALLOCATED] = (uint16_t)(PLACE_SCALE - pool->fill);
	part[PLACE_BIN_PACK] = pool->fill;
	part[PLACE_LOCALITY] = (uint16_t)locality(ctx, pool->node);
	part[PLACE_SPREAD] = (uint16_t)spread(ctx, pool->node);
	return place_score_fill(ctx, pool->fill) + (uint64_t)w->locality * part[PLACE_LOCALITY] +
	       (uint64_t)w->spread * part[PLACE_SPREAD];
}

/* The fewest volumes of the group that any domain of the level has that pools can be in. */
static uint32_t fewest(const struct place_ctx *ctx, enum place_level level)
{
	const struct place_domains *domains = &ctx->inv->domains[level];
	uint32_t least = UINT32_MAX;

	if (domains->all[0]->n_nodes)
		return 0; /* nodes outside any domain are not counted */
	for (uint32_t id = 1; id < domains->n && least; id++)
		if (domains->all[id]->n_nodes && ctx->counts[level][id] < least)
			least = ctx->counts[level][id];
	return least == UINT32_MAX ? 0 : least;
}

uint64_t place_score_rest_max(const struct place_ctx *ctx)
{
	const struct place_weights *w = &ctx->config->weights;
	uint32_t spread_max = PLACE_SCALE;
	uint32_t local_max = ctx->request->position == PLACE_PREFER_REMOTE ? PLACE_SCALE : 0;

	if (ctx->counts[PLACE_LEVEL_NODE])
		for (int level = 0; level < PLACE_LEVELS; level++)
			spread_max -= crowd(fewest(ctx, level), level);
	return (uint64_t)w->spread * spread_max + (uint64_t)w->locality * local_max;
}

const char *place_priority_text(enum place_priority priority)
{
	static const char *const texts[] = {"leastAllocated", "binPack", "locality", "spread"};

	return texts[priority];
}
