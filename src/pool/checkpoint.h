/* SPDX-License-Identifier: Apache-2.0 */
/* struct pool_checkpoint, for checkpoint*.c alone. */
#ifndef LITEPOOL_POOL_CHECKPOINT_H
#define LITEPOOL_POOL_CHECKPOINT_H

#include "pool/priv.h"
#include "pool/segment.h"

#define CHECKPOINT_PAGES 320u /* of a batch; one PAGES record names them */

enum checkpoint_step {
	CHECKPOINT_IDLE,
	CHECKPOINT_ZERO,       /* new segments are being written with zeros */
	CHECKPOINT_ZERO_FLUSH, /* ... durable before the table names them */
	CHECKPOINT_OP,         /* waits for a round between operations */
	CHECKPOINT_ROUND,      /* captured; what announces the pages is on its way */
	CHECKPOINT_WRITE,
	CHECKPOINT_FLUSH,
	CHECKPOINT_READ, /* back, past caches */
	CHECKPOINT_SUMS, /* those that the tail leaves behind are on their way to the table */
	CHECKPOINT_SUPER,
};

struct checkpoint_page { /* of the batch */
	struct page_id id;
	uint64_t pair;   /* 0: a segment table page */
	unsigned segtab; /* which, then */
	uint64_t place;
};

struct checkpoint_waiter {
	struct list link;
	pool_done_fn done;
	void *ctx;
};

struct pool_checkpoint {
	struct pool *pool;
	struct segments segments;

	/* Changed since their pages were captured. */
	struct list leaves;   /* map_leaf_pages.link */
	struct list objects;  /* pool_object.changed */
	struct bitmap layers; /* by LAYER page */
	uint64_t *layer_pair; /* by LAYER page */
	uint32_t n_layer_pages;

	/* The checkpoint under way: what is still to be captured. */
	enum checkpoint_step step;
	struct list todo_leaves, todo_objects;
	struct bitmap todo_layers;
	uint64_t todo_segtab[(SEGTAB_PAIRS + 63) / 64];
	struct journal_link tail; /* what it makes the tail */
	bool again;               /* somebody asked for one that begins later */
	struct list waiters, later;
	uint64_t started_ns;

	/* The batch. */
	struct pool_op op;
	unsigned n;
	struct checkpoint_page page[CHECKPOINT_PAGES];
	uint8_t (*image)[LAYOUT_PAGE];
	uint8_t (*back)[LAYOUT_PAGE]; /* what was read back */
	struct batch_xfer *xfer;
	struct batch batch;
	uint64_t new_cluster[16]; /* segments that the next round announces */
	unsigned n_new;
	void *zeros; /* a cluster, while needed */
	struct super_change super;

	counter checkpoints, pages;
};

/* checkpoint_page.c: fills the batch from what is to be done. False: nothing was left to capture. */
void checkpoint_fill(struct pool *pool);
bool checkpoint_todo(const struct pool *pool);
/* Pairs that the next batch needs and has not. */
uint64_t checkpoint_missing(const struct pool *pool);
/* checkpoint_state.c: room in the tables for that LAYER page. -ENOMEM. */
int checkpoint_layer_room(struct pool_checkpoint *c, uint32_t page);

#endif
