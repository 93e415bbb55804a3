/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in filters, in the order of enum place_filter. All always run: a reservation, or a pool that is asked for, does not skip the rest. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "place/decide.h"

static bool terms_match(const struct place_terms *terms, const struct place_labels *labels)
{
	if (terms->impossible)
		return false;
	for (uint32_t i = 0; i < terms->n; i++)
		if (!place_labels_have(labels, terms->all[i]))
			return false;
	return true;
}

/* Unknown users may be anywhere: only what is known to be local is local. */
static bool would_be_remote(const struct place_ctx *ctx, const struct place_pool *pool)
{
	return ctx->user != pool->node;
}

static bool position_fits(const struct place_ctx *ctx, const struct place_pool *pool)
{
	switch (ctx->request->position) {
	case PLACE_MUST_LOCAL:
		return !would_be_remote(ctx, pool);
	case PLACE_MUST_REMOTE:
		return would_be_remote(ctx, pool);
	case PLACE_ANY:
	case PLACE_PREFER_LOCAL:
	case PLACE_PREFER_REMOTE:
	default:
		return true;
	}
}

static bool source_fits(const struct place_request *request, const struct place_pool *pool)
{
	return (!request->only_pool[0] || !strcmp(request->only_pool, pool->name)) &&
	       (!request->only_node[0] || !strcmp(request->only_node, pool->node->name)) &&
	       (!request->not_pool[0] || strcmp(request->not_pool, pool->name) != 0);
}

static enum place_filter group_check(const struct place_ctx *ctx, const struct place_pool *pool)
{
	if (!ctx->counts[PLACE_LEVEL_NODE])
		return PLACE_PASSED;
	for (int level = 0; level < PLACE_LEVELS; level++) {
		const struct place_domain *domain = pool->node->domain[level];

		if (ctx->group_max[level] && domain->id &&
		    ctx->counts[level][domain->id] >= ctx->group_max[level])
			return (enum place_filter)(PLACE_GROUP_NODE + level);
	}
	return PLACE_PASSED;
}

static enum place_filter space_filter(enum place_space_result result)
{
	switch (result) {
	case PLACE_SPACE_RESERVATION:
		return PLACE_RESERVATION;
	case PLACE_SPACE_COMMIT:
		return PLACE_COMMIT;
	case PLACE_SPACE_REAL:
		return PLACE_REAL_SPACE;
	case PLACE_SPACE_FULL:
		return PLACE_WATERMARK;
	case PLACE_SPACE_OK:
		return PLACE_PASSED;
	}
	UNREACHABLE();
}

static place_sum reserve_of(const struct place_ctx *ctx, const struct place_node *node)
{
	return node->capacity * ctx->config->local_reserve_percent / 100;
}

static enum place_filter remote_check(const struct place_ctx *ctx, const struct place_pool *pool)
{
	const struct place_config *config = ctx->config;
	const struct place_node *node = pool->node;

	if (ctx->request->for_reservation || !would_be_remote(ctx, pool))
		return PLACE_PASSED;
	if (config->remote_volumes_max && node->remote_volumes >= config->remote_volumes_max)
		return PLACE_REMOTE_LIMIT;
	if (config->local_reserve_percent &&
	    node->remote_bytes + ctx->request->size + reserve_of(ctx, node) > node->capacity)
		return PLACE_LOCAL_RESERVE;
	return PLACE_PASSED;
}

static enum place_filter state_check(const struct place_ctx *ctx, const struct place_pool *pool)
{
	if (!pool->node->known || !pool->node->ready || pool->node->deleting)
		return PLACE_NODE_READY;
	if (!pool->ready || pool->deleting || !pool->capacity)
		return PLACE_POOL_READY;
	if (pool->maintenance != PLACE_SCHEDULABLE)
		return PLACE_MAINTAINED;
	if (pool->health != PLACE_HEALTHY &&
	    !(pool->health == PLACE_DEGRADED && ctx->config->allow_degraded))
		return PLACE_HEALTH;
	return PLACE_PASSED;
}

enum place_filter place_filter_check(const struct place_ctx *ctx, const struct place_pool *pool)
{
	const struct place_request *request = ctx->request;
	enum place_filter filter = pool->may_be_taken && pool->health == PLACE_HEALTHY
					   ? PLACE_PASSED
					   : state_check(ctx, pool);

	if (filter != PLACE_PASSED)
		return filter;
	if (!request->any_engine && pool->engine != request->engine)
		return PLACE_ENGINE;
	if (!source_fits(request, pool))
		return PLACE_SOURCE;
	if (!position_fits(ctx, pool))
		return PLACE_POSITION;
	if (!terms_match(&ctx->node_terms, &pool->node->labels))
		return PLACE_NODE_SELECTOR;
	if (!terms_match(&ctx->pool_terms, &pool->labels))
		return PLACE_POOL_SELECTOR;
	filter = group_check(ctx, pool);
	if (filter == PLACE_PASSED)
		filter = space_filter(place_space_check(&ctx->need, pool));
	return filter != PLACE_PASSED ? filter : remote_check(ctx, pool);
}

/* In words */

static void why_terms(const struct place_terms *terms, const struct place_labels *labels,
		      const char *whose, char *buf, size_t size)
{
	for (uint32_t i = 0; i < terms->n; i++) {
		if (!place_labels_have(labels, terms->all[i])) {
			(void)snprintf(buf, size, "the %s has no label %s", whose,
				       terms->all[i]->text);
			return;
		}
	}
	(void)snprintf(buf, size, "no %s has all labels that are asked for", whose);
}

static void why_source(const struct place_request *request, const struct place_pool *pool,
		       char *buf, size_t size)
{
	if (!strcmp(request->not_pool, pool->name))
		(void)snprintf(buf, size, "the volume moves away from here");
	else if (request->only_pool[0] && strcmp(request->only_pool, pool->name) != 0)
		(void)snprintf(buf, size, "it must be on pool %s", request->only_pool);
	else
		(void)snprintf(buf, size, "it must be on node %s", request->only_node);
}

static void why_group(const struct place_ctx *ctx, const struct place_pool *pool,
		      enum place_level level, char *buf, size_t size)
{
	static const char *const names[] = {"node", "rack", "access point", "zone"};
	const struct place_domain *domain = pool->node->domain[level];

	(void)snprintf(buf, size, "group %s has %u on %s %s, %u at most", ctx->request->group,
		       ctx->counts[level][domain->id], names[level], domain->name,
		       ctx->group_max[level]);
}

static void why_reserve(const struct place_ctx *ctx, const struct place_pool *pool, char *buf,
			size_t size)
{
	char a[32], b[32];

	(void)snprintf(buf, size,
		       "%s on node %s are of remote volumes; %u %% of %s are kept for local ones",
		       str_size((uint64_t)pool->node->remote_bytes, a, sizeof(a)), pool->node->name,
		       ctx->config->local_reserve_percent,
		       str_size((uint64_t)pool->node->capacity, b, sizeof(b)));
}

static void why_state(const struct place_pool *pool, enum place_filter filter, char *buf,
		      size_t size)
{
	static const char *const maintenance[] = {"schedulable", "cordoned", "draining"};
	static const char *const health[] = {"healthy", "degraded", "failed", "of unknown health"};
	const char *why = pool->why ? pool->why : "", *sep = why[0] ? ": " : "";
	const struct place_node *node = pool->node;

	if (filter == PLACE_NODE_READY && !node->known)
		(void)snprintf(buf, size, "there is no StorageNode %s", node->name);
	else if (filter == PLACE_NODE_READY)
		(void)snprintf(buf, size, "node %s is %s%s%s", node->name,
			       node->deleting ? "being deleted" : "not ready",
			       node->why && node->why[0] ? ": " : "", node->why ? node->why : "");
	else if (filter == PLACE_POOL_READY)
		(void)snprintf(buf, size, "the pool %s%s%s",
			       pool->deleting    ? "is being deleted"
			       : !pool->capacity ? "has not reported its capacity"
						 : "is not ready",
			       sep, why);
	else if (filter == PLACE_MAINTAINED)
		(void)snprintf(buf, size, "the pool is %s", maintenance[pool->maintenance]);
	else
		(void)snprintf(buf, size, "the pool is %s%s%s", health[pool->health], sep, why);
}

void place_filter_why(const struct place_ctx *ctx, const struct place_pool *pool,
		      enum place_filter filter, char *buf, size_t size)
{
	const struct place_request *request = ctx->request;

	switch (filter) {
	case PLACE_NODE_READY:
	case PLACE_POOL_READY:
	case PLACE_MAINTAINED:
	case PLACE_HEALTH:
		why_state(pool, filter, buf, size);
		break;
	case PLACE_ENGINE:
		(void)snprintf(buf, size, "the pool's engine is %s, %s is asked for",
			       place_engine_text(pool->engine), place_engine_text(request->engine));
		break;
	case PLACE_SOURCE:
		why_source(request, pool, buf, size);
		break;
	case PLACE_POSITION:
		(void)snprintf(buf, size, "%s: node %s will use it",
			       place_position_text(request->position), request->node);
		break;
	case PLACE_NODE_SELECTOR:
		why_terms(&ctx->node_terms, &pool->node->labels, "node", buf, size);
		break;
	case PLACE_POOL_SELECTOR:
		why_terms(&ctx->pool_terms, &pool->labels, "pool", buf, size);
		break;
	case PLACE_GROUP_NODE:
	case PLACE_GROUP_RACK:
	case PLACE_GROUP_ACCESS_POINT:
	case PLACE_GROUP_ZONE:
		why_group(ctx, pool, (enum place_level)(filter - PLACE_GROUP_NODE), buf, size);
		break;
	case PLACE_RESERVATION:
	case PLACE_COMMIT:
	case PLACE_REAL_SPACE:
	case PLACE_WATERMARK:
		place_space_why(&ctx->need, pool, buf, size);
		break;
	case PLACE_REMOTE_LIMIT:
		(void)snprintf(buf, size, "node %s has %u remote volumes, %u at most",
			       pool->node->name, pool->node->remote_volumes,
			       ctx->config->remote_volumes_max);
		break;
	case PLACE_LOCAL_RESERVE:
		why_reserve(ctx, pool, buf, size);
		break;
	case PLACE_PASSED:
	case PLACE_HOOK:
	case PLACE_FILTERS:
	default:
		(void)snprintf(buf, size, "refused");
		break;
	}
}

const char *place_filter_text(enum place_filter filter)
{
	static const char *const texts[PLACE_FILTERS] = {
		[PLACE_PASSED] = "Passed",
		[PLACE_NODE_READY] = "NodeNotReady",
		[PLACE_POOL_READY] = "PoolNotReady",
		[PLACE_MAINTAINED] = "PoolInMaintenance",
		[PLACE_HEALTH] = "PoolUnhealthy",
		[PLACE_ENGINE] = "EngineMismatch",
		[PLACE_SOURCE] = "NotTheAskedPool",
		[PLACE_POSITION] = "PositionMismatch",
		[PLACE_NODE_SELECTOR] = "NodeSelector",
		[PLACE_POOL_SELECTOR] = "PoolSelector",
		[PLACE_GROUP_NODE] = "GroupOnNode",
		[PLACE_GROUP_RACK] = "GroupInRack",
		[PLACE_GROUP_ACCESS_POINT] = "GroupAtAccessPoint",
		[PLACE_GROUP_ZONE] = "GroupInZone",
		[PLACE_RESERVATION] = "Reservation",
		[PLACE_COMMIT] = "CommitLimit",
		[PLACE_REAL_SPACE] = "RealSpace",
		[PLACE_WATERMARK] = "FullWatermark",
		[PLACE_REMOTE_LIMIT] = "RemoteVolumeLimit",
		[PLACE_LOCAL_RESERVE] = "LocalReserve",
		[PLACE_HOOK] = "Plugin",
	};

	return filter < PLACE_FILTERS ? texts[filter] : "?";
}
