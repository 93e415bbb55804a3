/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: what is common to all pools first, then the scan or the search (search.c), then words. */
#include "place/place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "place/decide.h"
#include "place/search.h"

struct placer *placer_new(void)
{
	return calloc(1, sizeof(struct placer));
}

void placer_free(struct placer *placer)
{
	if (!placer)
		return;
	for (int level = 0; level < PLACE_LEVELS; level++)
		free(placer->counts[level].of);
	free(placer);
}

void placer_use(struct placer *placer, const struct place_hooks *hooks)
{
	placer->hooks = hooks;
}

/* Between two decisions all counts are 0: clearing costs what the group is large, not what the cluster is. */
static int counts_fit(struct placer *placer, const struct place_inventory *inv)
{
	for (int level = 0; level < PLACE_LEVELS; level++) {
		struct place_counts *counts = &placer->counts[level];
		uint32_t n = inv->domains[level].n, *of;

		if (counts->n >= n)
			continue;
		of = realloc(counts->of, n * sizeof(uint32_t));
		if (!of)
			return -ENOMEM;
		memset(of + counts->n, 0, (n - counts->n) * sizeof(uint32_t));
		counts->of = of;
		counts->n = n;
	}
	return 0;
}

static void counts_add(struct placer *placer, const struct place_group *group, const char *self,
		       int by)
{
	list_for_each (it, &group->volumes) {
		const struct place_volume *volume = list_entry(it, struct place_volume, in_group);
		const struct place_node *node =
			volume->charged_pool ? volume->charged_pool->node : NULL;

		/* A volume that moves does not stand in its own way. */
		if (!node || !strcmp(volume->name, self))
			continue;
		for (int level = 0; level < PLACE_LEVELS; level++)
			placer->counts[level].of[node->domain[level]->id] += (uint32_t)by;
	}
}

static int terms_fill(struct place_terms *terms, const struct strmap *by_text,
		      const json_t *selector, const char *what, struct err *err)
{
	const char *key;
	json_t *value;

	terms->n = 0;
	terms->impossible = false;
	json_object_foreach ((json_t *)(uintptr_t)selector, key, value) {
		struct place_label *label;

		if (!json_is_string(value))
			return err_set(err, -EINVAL, "spec.%s.%s: expected a string", what, key);
		if (terms->n == PLACE_TERMS_MAX)
			return err_set(err, -EINVAL, "spec.%s: at most %d labels", what,
				       PLACE_TERMS_MAX);
		label = place_label_find(by_text, key, json_string_value(value));
		if (label)
			terms->all[terms->n++] = label;
		else
			terms->impossible = true;
	}
	return 0;
}

static int ctx_init(struct place_ctx *ctx, struct placer *placer)
{
	const struct place_request *request = ctx->request;
	const struct place_group_limits *max = &ctx->config->group_max;
	const struct place_group *group = strmap_get(&ctx->inv->groups, request->group);
	int res = terms_fill(&ctx->node_terms, &ctx->inv->node_labels, request->node_selector,
			     "nodeSelector", ctx->err);

	if (res == 0)
		res = terms_fill(&ctx->pool_terms, &ctx->inv->pool_labels, request->pool_selector,
				 "poolSelector", ctx->err);
	if (res < 0)
		return res;
	if (!request->size)
		return err_set(ctx->err, -EINVAL,
			       "spec.size: a volume of 0 bytes cannot be placed");
	if (request->position >= PLACE_MUST_LOCAL && !request->node[0])
		return err_set(ctx->err, -EINVAL,
			       "spec.nodeName: position %s is relative to a node",
			       place_position_text(request->position));
	ctx->user = request->node[0] ? strmap_get(&ctx->inv->nodes, request->node) : NULL;
	ctx->need = (struct place_space_need){
		.size = request->size,
		.thick = request->thick,
		.reserved = request->reservation[0] != '\0',
		.reservation = strmap_get(&ctx->inv->reservations, request->reservation),
	};
	ctx->group_max[PLACE_LEVEL_NODE] = max->node;
	ctx->group_max[PLACE_LEVEL_RACK] = max->rack;
	ctx->group_max[PLACE_LEVEL_ACCESS_POINT] = max->access_point;
	ctx->group_max[PLACE_LEVEL_ZONE] = max->zone;
	if (!group)
		return 0;
	if (counts_fit(placer, ctx->inv) < 0)
		return err_set(ctx->err, -ENOMEM, "out of memory");
	counts_add(placer, group, request->name, 1);
	for (int level = 0; level < PLACE_LEVELS; level++)
		ctx->counts[level] = placer->counts[level].of;
	return 0;
}

static void ctx_fini(const struct place_ctx *ctx, struct placer *placer)
{
	if (ctx->counts[PLACE_LEVEL_NODE])
		counts_add(placer, strmap_get(&ctx->inv->groups, ctx->request->group),
			   ctx->request->name, -1);
}

static void parts_name(const struct place_ctx *ctx, struct place_decision *decision)
{
	const struct place_config *config = ctx->config;
	const uint32_t weight[PLACE_PRIORITIES] = {
		config->weights.least_allocated,
		config->weights.bin_pack,
		config->weights.locality,
		config->weights.spread,
	};
	uint32_t n = PLACE_PRIORITIES;

	for (int i = 0; i < PLACE_PRIORITIES; i++) {
		decision->part_name[i] = place_priority_text(i);
		decision->part_weight[i] = weight[i];
	}
	for (uint32_t i = 0; ctx->hooks && i < ctx->hooks->n_plugins; i++, n++) {
		decision->part_name[n] = ctx->hooks->plugins[i].ops->name;
		decision->part_weight[n] = ctx->hooks->plugins[i].weight;
	}
	for (uint32_t i = 0; i < config->n_extenders; i++, n++) {
		decision->part_name[n] = config->extenders[i].name;
		decision->part_weight[n] = config->extenders[i].weight;
	}
	decision->n_parts = n;
}

static int decide(const struct place_ctx *ctx, unsigned flags, struct place_decision *decision)
{
	bool must_scan = flags || ctx->inv->index_broken || ctx->config->n_extenders ||
			 place_plugins_score(ctx->hooks);
	int res = 0;

	if (!must_scan) {
		res = place_search(ctx, decision);
		if (res < 0 || decision->pool)
			return res;
		memset(decision->refused, 0, sizeof(decision->refused));
	}
	return place_scan(ctx, flags, decision);
}

int place_decide(struct placer *placer, const struct place_inventory *inv,
		 const struct place_config *config, const struct place_request *request,
		 unsigned flags, struct place_decision *ret, struct err *err)
{
	struct place_ctx ctx = {.inv = inv,
				.config = config,
				.hooks = placer->hooks,
				.request = request,
				.err = err};
	struct place_decision decision = {.pools = (uint32_t)inv->known_pools};
	int res = ctx_init(&ctx, placer);

	if (res == 0) {
		parts_name(&ctx, &decision);
		res = decide(&ctx, flags, &decision);
	}
	if (res == 0)
		place_summarize(&ctx, &decision);
	ctx_fini(&ctx, placer);
	if (res < 0) {
		place_decision_fini(&decision);
		return res;
	}
	*ret = decision;
	return decision.pool ? 0 : 1;
}

void place_decision_fini(struct place_decision *decision)
{
	for (size_t i = 0; i < decision->n_candidates; i++)
		free(decision->candidates[i].why);
	free(decision->candidates);
	decision->candidates = NULL;
	decision->n_candidates = 0;
}

/* Which filters refused how many, the most first: what a person looks at when nothing fits. */
static void summarize_refused(struct place_decision *decision, size_t at)
{
	uint32_t left[PLACE_FILTERS];

	memcpy(left, decision->refused, sizeof(left));
	for (const char *sep = ": ";; sep = ", ") {
		int most = 0, n;

		for (int i = 1; i < PLACE_FILTERS; i++)
			if (left[i] > left[most] || (!most && left[i]))
				most = i;
		if (!most || !left[most])
			return;
		n = snprintf(decision->summary + at, sizeof(decision->summary) - at,
			     "%s%s %" PRIu32, sep, place_filter_text(most), left[most]);
		at += n > 0 ? (size_t)n : 0;
		if (at >= sizeof(decision->summary))
			return;
		left[most] = 0;
	}
}

void place_summarize(const struct place_ctx *ctx, struct place_decision *decision)
{
	int n;

	decision->refused[PLACE_PASSED] = 0;
	if (decision->pool) {
		(void)snprintf(decision->summary, sizeof(decision->summary),
			       "placed on pool %s of node %s", decision->pool, decision->node);
		return;
	}
	if (!decision->pools) {
		(void)snprintf(decision->summary, sizeof(decision->summary),
			       "there are no pools yet: declare a StoragePool");
		return;
	}
	n = snprintf(decision->summary, sizeof(decision->summary), "0 of %" PRIu32 " pools fit",
		     decision->pools);
	summarize_refused(decision, n > 0 ? (size_t)n : 0);
}
