/* SPDX-License-Identifier: Apache-2.0 */
/* What store_handover.c, store_successor.c and store_disks.c share. Control thread, but for what says otherwise. */
#ifndef LITEPOOL_ENGINE_STORE_HANDOVER_PRIV_H
#define LITEPOOL_ENGINE_STORE_HANDOVER_PRIV_H

#include "engine/engine.h"
#include "engine/store_handover.h"
#include "pool/handover.h"

/* One step of all pools: a job in the line of each, so that what was begun before has ended. */
struct store_round {
	unsigned left;          /* jobs under way, and one for the loop that starts them */
	struct err err;         /* the first */
	store_handover_fn done; /* NULL: nobody is told any more */
	void *ctx;
	json_t *result;                          /* owned */
	uint64_t turn, hold;                     /* of the old engine's steps: as it began */
	void (*over)(struct store_round *round); /* before done; optional */
	struct msg msg;
	struct engine *e;
};

struct store_handover {
	/* The old engine's. */
	enum {
		STORE_FREE,
		STORE_HOLDING,
		STORE_HELD,
		STORE_FREEZING,
		STORE_FROZEN,
		STORE_RETIRED
	} step;
	store_handover_fn broken;
	void *broken_ctx;
	uint64_t turn; /* counts how often we went back from hold or freeze */
	uint64_t hold; /* counts holds */

	/* The new engine's. */
	bool successor;
	json_t *plan;
	struct list disks; /* struct passed_disk */
};

/* NULL: no memory. */
struct store_handover *store_handover_get(struct engine *e);

struct store_round *store_round_new(struct engine *e, store_handover_fn done, void *ctx);
void store_round_error(struct store_round *round, const struct err *err);
/* One job less; the last one tells, in a pass of its own. */
void store_round_leave(struct store_round *round);

#endif
