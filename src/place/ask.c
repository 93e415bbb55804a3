/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins and extenders, asked and believed only as far as their answers are within what they may say. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "place/decide.h"
#include "place/extender.h"

#define LABELS_MAX 64 /* of a node or pool that plugins see */

/* What plugins are asked about. */
struct asked {
	struct litepool_place_request request;
	struct litepool_place_pool pool;
	const char *labels[LABELS_MAX], *node_labels[LABELS_MAX];
};

bool place_plugins_score(const struct place_hooks *hooks)
{
	for (uint32_t i = 0; hooks && i < hooks->n_plugins; i++)
		if (hooks->plugins[i].weight && hooks->plugins[i].ops->score)
			return true;
	return false;
}

static size_t label_texts(const struct place_labels *labels, const char *texts[LABELS_MAX])
{
	size_t n = 0;

	for (; n < labels->n && n < LABELS_MAX; n++)
		texts[n] = labels->all[n]->text;
	return n;
}

static int failed(const struct place_ctx *ctx, const struct place_hook *hook, const char *why)
{
	if (hook->ignore)
		return 0;
	return err_set(ctx->err, -EAGAIN, "placement plugin %s failed%s%s", hook->ops->name,
		       why[0] ? ": " : "", why);
}

/* 0, 1: refused with why, or negative. */
static int ask_filter(const struct place_ctx *ctx, const struct place_hook *hook,
		      const struct asked *asked, char *why, size_t size)
{
	int res;

	why[0] = '\0';
	if (!hook->filter || !hook->ops->filter)
		return 0;
	res = hook->ops->filter(hook->ctx, &asked->request, &asked->pool, why, size);
	why[size - 1] = '\0';
	return res < 0 ? failed(ctx, hook, why) : res > 0;
}

static int ask_score(const struct place_ctx *ctx, const struct place_hook *hook,
		     const struct asked *asked, uint16_t *part)
{
	uint32_t score = 0;
	int res;

	*part = 0;
	if (!hook->weight || !hook->ops->score)
		return 0;
	res = hook->ops->score(hook->ctx, &asked->request, &asked->pool, &score);
	if (res < 0 || score > LITEPOOL_SCORE_MAX)
		return failed(ctx, hook, res < 0 ? "no score" : "its score is above 1000");
	*part = (uint16_t)score;
	return 0;
}

static void asked_init(struct asked *asked, const struct place_request *request,
		       const struct place_pool *pool)
{
	const struct place_node *node = pool->node;

	asked->request = (struct litepool_place_request){
		.struct_size = sizeof(asked->request),
		.name = request->name,
		.node = request->node,
		.group = request->group,
		.size_bytes = request->size,
		.thick = request->thick,
	};
	asked->pool = (struct litepool_place_pool){
		.struct_size = sizeof(asked->pool),
		.name = pool->name,
		.node = node->name,
		.rack = node->domain[PLACE_LEVEL_RACK]->name,
		.access_point = node->domain[PLACE_LEVEL_ACCESS_POINT]->name,
		.zone = node->domain[PLACE_LEVEL_ZONE]->name,
		.capacity_bytes = pool->capacity,
		.free_bytes = place_pool_free(pool),
		.real_bytes = pool->real,
		.volumes = pool->n_volumes,
		.labels = asked->labels,
		.node_labels = asked->node_labels,
		.labels_count = label_texts(&pool->labels, asked->labels),
		.node_labels_count = label_texts(&node->labels, asked->node_labels),
	};
}

int place_ask_plugins(const struct place_ctx *ctx, const struct place_pool *pool,
		      uint16_t part[PLACE_PARTS_MAX], uint64_t *score, bool *ret_refused, char *why,
		      size_t size)
{
	struct asked asked;

	if (!ctx->hooks || !ctx->hooks->n_plugins)
		return 0;
	asked_init(&asked, ctx->request, pool);
	for (uint32_t i = 0; i < ctx->hooks->n_plugins; i++) {
		const struct place_hook *hook = &ctx->hooks->plugins[i];
		uint16_t *at = &part[PLACE_PRIORITIES + i];
		int res = ask_filter(ctx, hook, &asked, why, size);

		*ret_refused = res > 0;
		if (res == 0)
			res = ask_score(ctx, hook, &asked, at);
		if (res != 0)
			return res < 0 ? res : 0;
		*score += (uint64_t)hook->weight * *at;
	}
	return 0;
}

/* The answer about the first n candidates; those behind them are refused, as the extender did not see them. */
static void extender_apply(const struct place_extender_config *extender, uint32_t part,
			   struct place_candidate *candidates, size_t n, size_t passed,
			   const struct place_extender_answer *answer)
{
	for (size_t i = 0; i < passed; i++) {
		const char *why = i < n ? place_extender_refused(answer, candidates[i].pool)
					: "the extender was not asked: others scored higher";
		uint32_t score = i < n ? place_extender_score(answer, candidates[i].pool) : 0;

		candidates[i].part[part] = (uint16_t)score;
		candidates[i].score += (uint64_t)extender->weight * score;
		if (!why)
			continue;
		candidates[i].filter = PLACE_HOOK;
		free(candidates[i].why);
		candidates[i].why = strdup(why);
	}
}

static int extender_call(const struct place_ctx *ctx, const struct place_extender_config *extender,
			 const char *body, struct place_extender_answer *answer, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int res;

	if (!ctx->hooks || !ctx->hooks->call)
		return err_set(err, -EAGAIN, "there is no HTTP client to ask it with");
	res = ctx->hooks->call(ctx->hooks->call_ctx, extender, body, strlen(body), &text, &len,
			       err);
	return res < 0 ? res : place_extender_decode(text, len, answer, err);
}

static size_t passed_count(const struct place_candidate *candidates, size_t n)
{
	size_t passed = 0;

	while (passed < n && candidates[passed].filter == PLACE_PASSED)
		passed++;
	return passed;
}

int place_ask_extender(const struct place_ctx *ctx, uint32_t i, struct place_candidate *candidates,
		       size_t n)
{
	const struct place_extender_config *extender = &ctx->config->extenders[i];
	uint32_t part = PLACE_PRIORITIES + (ctx->hooks ? ctx->hooks->n_plugins : 0) + i;
	_cleanup_(place_extender_answer_fini) struct place_extender_answer answer = {0};
	size_t passed = passed_count(candidates, n);
	size_t asked = MIN(passed, extender->candidates_max);
	_cleanup_free_ char *body = place_extender_encode(ctx->request, candidates, asked);
	struct err why = {0};
	int res;

	if (!passed)
		return 0;
	if (!body)
		return err_set(ctx->err, -ENOMEM, "out of memory");
	res = extender_call(ctx, extender, body, &answer, &why);
	if (res < 0 && extender->ignore)
		return 0;
	if (res < 0)
		return err_set(ctx->err, -EAGAIN, "placement extender %s failed: %s",
			       extender->name, why.text[0] ? why.text : strerror(-res));
	extender_apply(extender, part, candidates, asked, passed, &answer);
	return 0;
}
