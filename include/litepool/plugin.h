/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters and priorities of your own for LitePool's placement, as a shared object. It exports one function, litepool_plugin_v1(), which returns a
 * table that lives as long as the object. See docs/placement.md and src/place/plugins/example.c.
 *
 * 1. Every struct begins with its size. A newer LitePool may have more members at the end: read only what your size covers, ask for no more.
 * 2. Placement is a pure function: the same question must have the same answer while nothing was configured anew. Calls come from one thread, must not
 *    block and must not keep what they are given: strings are borrowed for the call.
 * 3. Texts are UTF-8, never NULL. Sizes are bytes.
 */
#ifndef LITEPOOL_PLUGIN_H
#define LITEPOOL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITEPOOL_PLUGIN_ABI   1
#define LITEPOOL_SCORE_MAX    1000
#define LITEPOOL_PLUGIN_ENTRY "litepool_plugin_v1"

struct litepool_place_request {
	size_t struct_size;
	const char *name;
	const char *node;  /* that will use it, "" when not known */
	const char *group; /* of anti-affinity, or "" */
	uint64_t size_bytes;
	int thick;
};

struct litepool_place_pool {
	size_t struct_size;
	const char *name, *node, *rack, *access_point, *zone;
	uint64_t capacity_bytes;
	uint64_t free_bytes; /* may still be promised */
	uint64_t real_bytes; /* in use, or backing what is promised as thick */
	uint32_t volumes;
	const char *const *labels;      /* "key=value", labels_count of them */
	const char *const *node_labels; /* "key=value", node_labels_count of them */
	size_t labels_count, node_labels_count;
};

struct litepool_plugin {
	size_t struct_size;
	uint32_t abi;     /* LITEPOOL_PLUGIN_ABI */
	const char *name; /* short, shown by litepool explain */
	/* config: the text of the plugin's entry in the configuration, "" when there is none. 0, or nonzero with a reason in why. May be NULL. */
	int (*open)(const char *config, void **ret_ctx, char *why, size_t why_size);
	void (*close)(void *ctx); /* may be NULL */
	/* 0: the pool may be taken; 1: it may not, with a reason in why; below 0: failed, with a reason. NULL: no filter. */
	int (*filter)(void *ctx, const struct litepool_place_request *request,
		      const struct litepool_place_pool *pool, char *why, size_t why_size);
	/* 0 with 0..LITEPOOL_SCORE_MAX, more is better; below 0: failed. NULL: no priority. */
	int (*score)(void *ctx, const struct litepool_place_request *request,
		     const struct litepool_place_pool *pool, uint32_t *ret_score);
};

const struct litepool_plugin *litepool_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
