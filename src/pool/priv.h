/* SPDX-License-Identifier: Apache-2.0 */
/* struct pool, for src/pool alone. Everything belongs to the pool's reactor unless it says otherwise. */
#ifndef LITEPOOL_POOL_PRIV_H
#define LITEPOOL_POOL_PRIV_H

#include "base/bitmap.h"
#include "layout/journal.h"
#include "pool/pool.h"
#include "pool/super.h"

/* ---- gate.c ---- */
struct gate_visit { /* one per slot: the message that goes there and back */
	struct msg msg;
	struct pool *pool;
	struct pool_slot *slot;
};
struct pool_gate {
	struct list turns; /* struct gate_turn; the first is under way */
	enum { GATE_IDLE, GATE_HOLD, GATE_TURN, GATE_DRAIN } step;
	unsigned visiting, draining; /* slots that have not answered */
	struct gate_visit *visit;    /* n_slots, there */
	struct gate_visit *drained;  /* n_slots, the second answer of a turn */
	struct task task;
};
int gate_init(struct pool *pool);
void gate_fini(struct pool *pool);

/* ---- space.c ---- */
struct pool_room {
	struct bitmap used; /* by device cluster; below first_cluster set */
	uint64_t free;      /* clear bits */
	uint64_t cursor;    /* where the search goes on */
	uint64_t segments;
	int64_t thick_total; /* clusters of all thick volumes; atomic in map_shared: what they have mapped */
	/* Detached clusters: since the last collection; in the round under way; durable, waiting for a turn of the gate. */
	struct cluster_vec {
		uint64_t *phys;
		size_t n, capacity;
	} freed, in_round, in_turn;
	bool turning, recalling;
	struct gate_turn turn; /* after which in_turn is free */
	struct list wants;     /* struct pool_want that wait for space to come back */
	uint8_t level;         /* watermarks that are exceeded */
	struct gate_turn recall;
	counter want_count, refused;
};
int space_init(struct pool *pool);
void space_fini(struct pool *pool);
/* Mount: the cluster has an owner. -EEXIST: it already had one. */
int space_own(struct pool *pool, uint64_t phys);
/* The round: collection begins (what was freed until now is in it); the round is durable. */
void space_round_begins(struct pool *pool);
void space_round_durable(struct pool *pool);
void space_grow(struct pool *pool, uint64_t end_cluster);

/* ---- log.c ---- */
#define LOG_ROUND_BLOCKS 1024u /* of a round at most; what is left goes into the next one */
struct pool_log {
	enum { LOG_IDLE, LOG_FLUSH_DATA, LOG_WRITE, LOG_FLUSH } step;
	struct journal_builder builder;
	void *blocks;
	struct batch_xfer xfer[2]; /* the ring wraps */
	struct batch batch;
	uint64_t first_lsn;   /* of the round under way */
	uint64_t durable_lsn; /* last block that is durable */
	uint64_t tail_lsn;    /* first block that replay needs */
	struct journal_link
		tail_prev; /* chain before the block that follows the last applied one, see log_position() */
	struct list commits, commits_in_round; /* struct pool_commit */
	struct list txns, txns_in_round;       /* struct pool_txn */
	struct map_leaf *leaves;               /* taken, did not fit into the round under way */
	bool all_collected; /* every leaf that was dirty when the round began is in it */
	unsigned commit_holds;
	bool wanted;
	struct task task;
	struct timer timer; /* what nobody asked for is committed now and then */
	struct list marks;  /* maps with changes in the round under way: see log.c */
	counter n_rounds, n_blocks, n_records;
	uint64_t checkpoint_at; /* blocks in use that start a checkpoint */
};
int log_init(struct pool *pool, const struct journal_link *link);
void log_fini(struct pool *pool);
void log_kick(struct pool *pool); /* a round soon */
uint64_t log_blocks_used(const struct pool *pool);

/* ---- checkpoint.c ---- */
struct pool_checkpoint;
int checkpoint_init(struct pool *pool);
void checkpoint_fini(struct pool *pool);
/* Begins one unless it is under way; done (may be NULL) when one that began after the call has moved the tail. */
void checkpoint_start(struct pool *pool, pool_done_fn done, void *ctx);
/* A record that was made durable or replayed changed these: their pages are to be written. */
void checkpoint_leaf_changed(struct pool *pool, struct map_leaf *leaf);
void checkpoint_layer_changed(struct pool *pool, uint32_t slot);
void checkpoint_object_changed(struct pool *pool, struct pool_object *object);
void checkpoint_layer_gone(struct pool *pool,
			   struct pool_layer *layer); /* its pairs are free once durable */
void checkpoint_object_gone(struct pool *pool, struct pool_object *object);
/* Mount: the winner page of that pair, decoded and valid, is what the pool has. torn: the loser slot is to be written again. */
void checkpoint_found_page(struct pool *pool, const struct page_info *info, uint64_t pair,
			   unsigned winner);
int checkpoint_found_segment(struct pool *pool, uint32_t index, uint64_t phys);
uint64_t checkpoint_segments(const struct pool *pool);

/* ---- table.c, apply.c ---- */
#define POOL_HASH 1024u
struct pool_tables {
	struct list layer_hash[POOL_HASH], object_hash[POOL_HASH], name_hash[POOL_HASH],
		uuid_hash[POOL_HASH];
	struct list roots, objects;
	unsigned n_layers, n_objects;
	struct pool_layer **by_slot; /* entry in the LAYER pages; NULL: free */
	uint32_t n_slots;
	struct list adopted; /* maps made before their layer */
};
int table_init(struct pool *pool);
void table_fini(struct pool *pool);
/*
 * Makes what the record states true in RAM: the one function for replay and for what was just made durable. live: maps are in use by reactors (MAP records of a live
 * transaction put entries under claims that the op holds). -ENOMEM; -EUCLEAN when it contradicts what is there.
 */
int pool_apply(struct pool *pool, const struct record *r, bool live, struct err *err);

struct pool {
	struct blk_dev *dev;
	struct reactor *home;
	struct pool_slot *slots; /* by index of users */
	unsigned n_slots;
	uint8_t slot_of[REACTORS_MAX + 1]; /* reactor id -> index + 1; 0: none */
	_Atomic int write_error;           /* pool_writable() */
	enum pool_state state;
	struct err fail_err;
	struct pool_super super;
	struct layout_rules rules;
	uint64_t next_id;
	struct map_shared maps;
	struct pool_tables tables;
	struct pool_gate gate;
	struct pool_room space;
	struct pool_log log;
	struct pool_checkpoint *checkpoint;
	struct list ops[2]; /* urgent, background */
	struct pool_op *op; /* that runs */
	struct task op_task;
	struct pool_listener listener[4];
	unsigned n_listeners;
	struct pool_opening *opening;
	struct pool_closing *closing;
};

#endif
