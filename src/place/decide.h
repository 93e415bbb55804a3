/* SPDX-License-Identifier: Apache-2.0 */
/* A decision from inside, for src/place only. */
#ifndef LITEPOOL_PLACE_DECIDE_H
#define LITEPOOL_PLACE_DECIDE_H

#include "place/model.h"
#include "place/place.h"
#include "place/space.h"

struct place_counts {
	uint32_t *of; /* by domain id: volumes of the request's group there */
	uint32_t n;
};

struct placer {
	const struct place_hooks *hooks;
	struct place_counts counts[PLACE_LEVELS];
};

struct place_terms {
	struct place_label *all[PLACE_TERMS_MAX];
	uint32_t n;
	bool impossible; /* nothing has one of them */
};

/* Everything about one request that does not depend on the pool. */
struct place_ctx {
	const struct place_inventory *inv;
	const struct place_config *config;
	const struct place_hooks *hooks;
	const struct place_request *request;
	const uint32_t *counts[PLACE_LEVELS]; /* NULL: no group */
	uint32_t group_max[PLACE_LEVELS];
	const struct place_node *user; /* NULL: not known, or no storage node */
	struct place_terms node_terms, pool_terms;
	struct place_space_need need;
	uint64_t static_max; /* of score_static() over the index */
	struct err *err;
};

/* filter.c: the first filter that refuses. */
enum place_filter place_filter_check(const struct place_ctx *ctx, const struct place_pool *pool);
/* Why it does, in words. */
void place_filter_why(const struct place_ctx *ctx, const struct place_pool *pool,
		      enum place_filter filter, char *buf, size_t size);

/* score.c: part is filled for the built-in priorities; returns the sum. */
uint64_t place_score(const struct place_ctx *ctx, const struct place_pool *pool,
		     uint16_t part[PLACE_PARTS_MAX]);
/* What only depends on how full a pool is. */
uint64_t place_score_fill(const struct place_ctx *ctx, uint32_t fill);
/* The most that the rest can add for a pool outside the user's node and rack. */
uint64_t place_score_rest_max(const struct place_ctx *ctx);

/* ask.c: plugins about one pool. *ret_filter PLACE_HOOK with why when it is refused; adds to the score. -EAGAIN with ctx->err. */
int place_ask_plugins(const struct place_ctx *ctx, const struct place_pool *pool,
		      uint16_t part[PLACE_PARTS_MAX], uint64_t *score, bool *ret_refused, char *why,
		      size_t size);
bool place_plugins_score(const struct place_hooks *hooks);
/* Extender i about the candidates that passed, sorted by score, best first; changes filter, why, part and score. -EAGAIN, -ENOMEM with ctx->err. */
int place_ask_extender(const struct place_ctx *ctx, uint32_t i, struct place_candidate *candidates,
		       size_t n);

/* summary.c */
void place_summarize(const struct place_ctx *ctx, struct place_decision *decision);

#endif
