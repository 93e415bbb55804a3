/* SPDX-License-Identifier: Apache-2.0 */
/* Filters and priorities that are not ours, as a decision sees them: plugins (plugin.h) one pool at a time, extenders (extender.h) many at once. */
#ifndef LITEPOOL_PLACE_HOOK_H
#define LITEPOOL_PLACE_HOOK_H

#include <litepool/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "place/config.h"

#define PLACE_HOOKS_MAX (PLACE_PLUGINS_MAX + PLACE_EXTENDERS_MAX)

struct place_hook {
	const struct litepool_plugin *ops;
	void *ctx;
	uint32_t weight; /* 0: its priority is not asked */
	bool filter;     /* its filter is asked */
	bool ignore;     /* a failure is as if it were not there */
};

/*
 * One POST of body (JSON) to the extender's url, with its timeout. 0 with *ret_body (malloc'ed, for the caller) of a 2xx answer; negative with
 * err otherwise. The controller gives one that uses its HTTP client.
 */
typedef int (*place_call_fn)(void *ctx, const struct place_extender_config *extender,
			     const char *body, size_t len, char **ret_body, size_t *ret_len,
			     struct err *err);

struct place_hooks {
	struct place_hook plugins[PLACE_PLUGINS_MAX];
	uint32_t n_plugins;
	place_call_fn call; /* NULL: no extender can be asked */
	void *call_ctx;
};

#endif
