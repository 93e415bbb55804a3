/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An example plugin: pools may hold at most so many volumes, and those with fewer are better. Configuration: the number, as text.
 *
 *     cc -shared -fPIC -o example.so example.c
 */
#include <litepool/plugin.h>
#include <stdio.h>
#include <stdlib.h>

static int example_open(const char *config, void **ret_ctx, char *why, size_t why_size)
{
	char *end;
	unsigned long most = strtoul(config, &end, 10);
	unsigned long *ctx;

	if (!config[0] || *end || !most || most > 1000000) {
		(void)snprintf(why, why_size, "expected a number of volumes from 1 to 1000000");
		return -1;
	}
	ctx = malloc(sizeof(*ctx));
	if (!ctx) {
		(void)snprintf(why, why_size, "out of memory");
		return -1;
	}
	*ctx = most;
	*ret_ctx = ctx;
	return 0;
}

static void example_close(void *ctx)
{
	free(ctx);
}

static int example_filter(void *ctx, const struct litepool_place_request *request,
			  const struct litepool_place_pool *pool, char *why, size_t why_size)
{
	unsigned long most = *(const unsigned long *)ctx;

	(void)request;
	if (pool->volumes < most)
		return 0;
	(void)snprintf(why, why_size, "%u volumes, %lu at most", pool->volumes, most);
	return 1;
}

static int example_score(void *ctx, const struct litepool_place_request *request,
			 const struct litepool_place_pool *pool, uint32_t *ret_score)
{
	unsigned long most = *(const unsigned long *)ctx;

	(void)request;
	*ret_score = (uint32_t)(LITEPOOL_SCORE_MAX * (most - pool->volumes) / most);
	return 0;
}

const struct litepool_plugin *litepool_plugin_v1(void)
{
	static const struct litepool_plugin plugin = {
		.struct_size = sizeof(plugin),
		.abi = LITEPOOL_PLUGIN_ABI,
		.name = "fewVolumes",
		.open = example_open,
		.close = example_close,
		.filter = example_filter,
		.score = example_score,
	};

	return &plugin;
}
