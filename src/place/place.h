/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a volume goes: (inventory, configuration, request) -> decision. Filters refuse pools, priorities score the rest, the highest sum of score times
 * weight wins, and of equals the first in the inventory's fixed order.
 *
 * 1. Pure: the same input gives the same answer. Plugins and extenders are part of the input.
 * 2. Two ways, one answer: the plain scan of all pools, and a search by index that stops when no pool that is left can win. Tests compare them. The
 *    scan is used to explain, with a priority of a plugin or an extender, and when nothing fits.
 * 3. Every pool is refused by one filter: the first in the order of enum place_filter.
 */
#ifndef LITEPOOL_PLACE_PLACE_H
#define LITEPOOL_PLACE_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "place/config.h"
#include "place/hook.h"
#include "place/inventory.h"
#include "place/request.h"

enum place_filter {
	PLACE_PASSED,
	PLACE_NODE_READY,
	PLACE_POOL_READY,
	PLACE_MAINTAINED,
	PLACE_HEALTH,
	PLACE_ENGINE,
	PLACE_SOURCE, /* must be on another pool: its source is there, or that pool is asked for; or it moves away */
	PLACE_POSITION,
	PLACE_NODE_SELECTOR,
	PLACE_POOL_SELECTOR,
	PLACE_GROUP_NODE,
	PLACE_GROUP_RACK,
	PLACE_GROUP_ACCESS_POINT,
	PLACE_GROUP_ZONE,
	PLACE_RESERVATION,
	PLACE_COMMIT,
	PLACE_REAL_SPACE,
	PLACE_WATERMARK,
	PLACE_REMOTE_LIMIT,
	PLACE_LOCAL_RESERVE,
	PLACE_HOOK, /* a plugin or an extender */
	PLACE_FILTERS
};

enum place_priority {
	PLACE_LEAST_ALLOCATED,
	PLACE_BIN_PACK,
	PLACE_LOCALITY,
	PLACE_SPREAD,
	PLACE_PRIORITIES
};

#define PLACE_PARTS_MAX (PLACE_PRIORITIES + PLACE_HOOKS_MAX)

struct place_candidate {
	const char *pool, *node; /* borrowed of the inventory, until it changes */
	enum place_filter filter;
	char *why;                      /* refused, when it is explained */
	uint16_t part[PLACE_PARTS_MAX]; /* 0..1000 each; the weights are in the decision */
	uint64_t score;                 /* sum of part times weight */
	uint64_t free;                  /* may still be promised, before this volume */
	uint32_t slot;                  /* for src/place */
};

struct place_decision {
	const char *pool, *node; /* NULL: nothing fits; borrowed as above */
	uint64_t score;
	uint32_t looked_at;              /* pools that were checked one by one */
	uint32_t pools;                  /* in the inventory */
	uint32_t refused[PLACE_FILTERS]; /* complete when nothing fits or it is explained */
	char summary[512];               /* one sentence, for a condition or an event */
	struct place_candidate
		*candidates; /* when explained: the best first, then the refused ones by name */
	size_t n_candidates;
	const char *part_name[PLACE_PARTS_MAX];
	uint32_t part_weight[PLACE_PARTS_MAX];
	uint32_t n_parts;
};

enum {
	PLACE_EXPLAIN = 1 << 0, /* fill candidates */
	PLACE_SCAN = 1 << 1,    /* look at every pool */
};

/* Memory that decisions use again and again. One per thread. */
struct placer;
struct placer *placer_new(void);
void placer_free(struct placer *placer);
/* Plugins and the way to extenders that its decisions ask, from now on; kept, not copied. NULL: none. */
void placer_use(struct placer *placer, const struct place_hooks *hooks);

/*
 * 0: placed; 1: nothing fits, the summary says why; -EINVAL: the request itself is wrong, with err; -EAGAIN: an extender or plugin that must
 * answer did not, with err: try again; -ENOMEM. The decision is owned by the caller after 0 and 1: place_decision_fini().
 */
int place_decide(struct placer *placer, const struct place_inventory *inv,
		 const struct place_config *config, const struct place_request *request,
		 unsigned flags, struct place_decision *ret, struct err *err);
void place_decision_fini(struct place_decision *decision);

/* "NodeReady": as conditions and -o json have it. */
const char *place_filter_text(enum place_filter filter);
const char *place_priority_text(enum place_priority priority);

#endif
