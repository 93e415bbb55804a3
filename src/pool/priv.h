/* SPDX-License-Identifier: Apache-2.0 */
/* struct pool, for src/pool alone. Everything belongs to the pool's reactor unless it says otherwise. */
#ifndef LITEPOOL_POOL_PRIV_H
#define LITEPOOL_POOL_PRIV_H

#include "base/bitmap.h"
#include "base/counter.h"
#include "layout/journal.h"
#include "pool/hold.h"
#include "pool/notes.h"
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

/* ---- space.c, free.c ---- */
#define SPACE_TRIMS 64u /* discards of the device after one turn at most */
struct pool_room {
	struct bitmap used; /* by device cluster; below first_cluster set */
	uint64_t free;      /* clear bits */
	uint64_t cursor;    /* where the search goes on */
	int64_t thick_total; /* clusters of all thick volumes; atomic in map_shared: what they have mapped */
	/* Detached clusters: since the last collection; in the round under way; durable, waiting for a turn of the gate. */
	struct cluster_vec {
		uint64_t *phys;
		size_t n, capacity;
	} freed, in_round, in_turn;
	struct cluster_vec durable; /* waiting for the next turn */
	bool turning, recalling;
	bool thick_held;       /* pool_thick_hold() */
	struct gate_turn turn; /* after which in_turn is free */
	struct list wants;     /* struct pool_want that wait for space to come back */
	uint8_t level;         /* watermarks that are exceeded */
	bool full;             /* somebody was refused, and there is not much more now */
	struct batch trim;     /* in_turn on its way to the device */
	void (*when_idle)(struct pool *pool); /* closing: no turn and no trim is left */
	size_t trim_at, trim_end;             /* of in_turn: under way */
	struct batch_xfer trim_xfer[SPACE_TRIMS];
	struct gate_turn recall;
	struct pool_want *recalled_from; /* one per slot; only n and granted are used */
	counter want_count, refused, trim_errors;
};
int space_init(struct pool *pool);
void space_fini(struct pool *pool);
/* Mount: the cluster has an owner. -EEXIST: it already had one. */
int space_own(struct pool *pool, uint64_t phys);
/* The round: collection begins (what was freed until now is in it); the round is durable. */
void space_round_begins(struct pool *pool);
void space_round_durable(struct pool *pool);
int space_grow(struct pool *pool, uint64_t end_cluster);
void space_put(struct pool *pool, uint64_t phys); /* is free */
void space_serve(struct pool *pool);              /* space may have come: looks at who waits */
void space_watch(struct pool *pool);              /* watermarks */
int space_alloc_metadata(struct pool *pool, uint64_t *ret_phys); /* beyond what others may have */
void space_failed(struct pool *pool); /* the pool takes no writes any more */
void space_resume(struct pool *pool); /* discards that a freeze has interrupted go on */

/* ---- reap.c ---- */
void reap_init(struct pool *pool);
/* The layer is durably gone and in no table: its clusters are freed slice by slice, then its memory. */
void reap_layer(struct pool *pool, struct pool_layer *layer);
void reap_fini(struct pool *pool);

/* ---- log.c ---- */
#define LOG_ROUND_BLOCKS 512u /* of a round at most; what is left goes into the next one */
struct pool_log {
	enum { LOG_IDLE, LOG_FLUSH_DATA, LOG_WRITE } step;
	struct journal_builder builder;
	void *blocks;
	struct batch_xfer xfer[2]; /* the ring wraps */
	struct batch batch;
	uint64_t first_lsn;          /* of the round under way */
	uint32_t n_blocks;           /* of the round under way */
	struct journal_link durable; /* where the chain goes on behind the last durable block */
	uint64_t tail_lsn;           /* first block that replay needs */
	struct list commits, commits_in_round; /* struct pool_commit */
	struct list txns, txns_in_round;       /* struct pool_txn */
	struct map_leaf *leaves;               /* taken, did not fit into the round under way */
	struct list
		maps; /* map_round_join(): all of their leaves are in this round or in earlier ones, but for leaves */
	unsigned commit_holds;
	bool wanted;
	struct task task;
	struct timer timer; /* what nobody asked for is committed now and then */
	counter rounds, blocks_written, flushes;
};
int log_init(struct pool *pool, const struct journal_link *link);
void log_fini(struct pool *pool);
/* Before the first round: the chain goes on there, under pool->rules. */
void log_begin_at(struct pool *pool, const struct journal_link *link);
void log_kick(struct pool *pool);       /* a round soon */
void log_kick_later(struct pool *pool); /* within a second */
/* During a round's collection: blocks that may still be taken by a share of the ring: three quarters, seven eighths, all but some for the records of the checkpoint's batches. */
enum log_share { LOG_ORDINARY, LOG_URGENT, LOG_CHECKPOINT };
uint32_t log_room(const struct pool *pool, enum log_share share);
uint32_t log_blocks_used(const struct pool *pool);
/* During a round's collection: adds the leaf's changes; image as map_leaf_collect(). False: no room, nothing was done. */
bool log_collect_leaf(struct pool *pool, struct map_leaf *leaf, uint8_t (*image)[LAYOUT_PAGE]);
/* The map is going: forgets what of it is waiting to be collected. */
void log_forget_map(struct pool *pool, struct map *map);

/* ---- txn.c, for log.c ---- */
int txn_to_journal(struct pool *pool,
		   const struct pool_txn *txn); /* as one transaction of the round */
int txn_apply(struct pool *pool, const struct pool_txn *txn);

/* ---- state.c ---- */
void pool_set_state(struct pool *pool, enum pool_state state);

/* ---- op.c ---- */
void op_init(struct pool *pool);

/* ---- checkpoint.c, segment.c ---- */
struct pool_checkpoint;
int checkpoint_init(struct pool *pool);
void checkpoint_fini(struct pool *pool);
/* Begins one unless it is under way; done (may be NULL) when one that began after the call has moved the tail. */
void checkpoint_start(struct pool *pool, pool_done_fn done, void *ctx);
/* Nothing has changed since its page was captured, and no checkpoint is under way. */
bool checkpoint_clean(const struct pool *pool);
/* None is under way. */
bool checkpoint_is_idle(const struct pool *pool);
/* The end of a hold: one that was asked for meanwhile, or that the journal needs. */
void checkpoint_resume(struct pool *pool);
/* Transfers of it are under way. */
bool checkpoint_io(const struct pool *pool);
/* A record that was made durable or replayed changed these: their pages are to be written. */
void checkpoint_leaf_changed(struct pool *pool, struct map_leaf *leaf);
int checkpoint_layer_changed(struct pool *pool, uint32_t slot); /* -ENOMEM */
void checkpoint_object_changed(struct pool *pool, struct pool_object *object);
/* Durably gone: its pairs are free. Before the layer's map or the object is freed. */
void checkpoint_layer_gone(struct pool *pool, struct pool_layer *layer);
void checkpoint_object_gone(struct pool *pool, struct pool_object *object);
/* Called by log.c when a round begins (no op is half done): puts a batch of pages into it, if one is waiting. */
void checkpoint_capture(struct pool *pool);
void checkpoint_round_durable(struct pool *pool);
void checkpoint_sums_settled(struct pool *pool); /* sums_settled() may say so now */
void checkpoint_failed(struct pool *pool);
/*
 * Mount, in this order: every segment in use; SEGMENTS pages; then, when everything is replayed, every pair's winner (also those whose owner is gone), which gives the pair to its
 * owner or makes it free. The same page in two pairs: the one with the lower LSN is passed with info NULL. A pair without any good page: info NULL too.
 */
int checkpoint_found_segment(struct pool *pool, uint32_t index,
			     uint64_t phys); /* 0: none at index any more */
void checkpoint_found_segtab(struct pool *pool, unsigned pair, unsigned winner);
int checkpoint_found_page(struct pool *pool, const struct page_info *info, uint64_t pair,
			  unsigned winner);
static inline uint64_t pair_id(uint32_t segment_index, unsigned pair)
{
	return (uint64_t)segment_index * SEGMENT_PAIRS + pair + 1;
}
uint64_t checkpoint_segments(const struct pool *pool);
/* Clusters to keep free so that every page that exists in RAM can be written. */
uint64_t checkpoint_reserve(const struct pool *pool);

/* ---- open.c ---- */
/* super.next is super.now in the next epoch of this process, whose first block is lsn. */
void open_next_epoch(struct pool *pool, uint64_t lsn);
/* super.page was read back: all four are to be ours; an older one would say that a write was lost. Then pool->rules are those of the new epoch. -EIO, -ESTALE. */
int open_fence(struct pool *pool, struct err *err);
/* Frees what pool_open() made, whatever of it is there. No message or I/O of it is under way. */
void pool_free(struct pool *pool);

/* ---- table.c, apply.c ---- */
#define POOL_HASH 1024u
#define POOL_LAYER_PAGES                                                                           \
	65536u /* four million layers; keeps a wrong index from taking all memory */
struct pool_tables {
	struct list layer_hash[POOL_HASH], object_hash[POOL_HASH], name_hash[POOL_HASH],
		uuid_hash[POOL_HASH];
	struct list roots, objects;
	unsigned n_layers, n_objects;
	struct pool_layer **by_slot; /* entry in the LAYER pages; NULL: free */
	uint32_t n_slots;
	struct list adopted; /* maps made before their layer */
	struct list parts;   /* properties of which some chunks are here */
	struct props *props; /* for decoding, too large for a stack */
	/*
	 * While the pool is loaded: layers are no tree yet (all are roots), objects are not decoded and in no hash but that of ids, maps grow as records need
	 * it. table_settle_object() and table_link() come at the end.
	 */
	bool loading;
};
int table_init(struct pool *pool);
void table_fini(struct pool *pool);
static inline uint64_t layer_clusters(const struct layer *layer)
{
	return (layer->size_bytes + LAYOUT_CLUSTER - 1) / LAYOUT_CLUSTER;
}
void table_raise_id(struct pool *pool, uint64_t id); /* is in use */
/* slot: UINT32_MAX: any that is free. NULL: no memory, or (never with UINT32_MAX) the slot is taken. */
struct pool_layer *table_layer_new(struct pool *pool, const struct layer *disk, uint32_t slot);
/* After disk.parent or disk.object changed. -EUCLEAN: there is no such parent, or it stands on the layer itself. */
int table_link(struct pool *pool, struct pool_layer *layer, struct err *err);
void table_bind(struct pool *pool, struct pool_layer *layer);
void table_layer_remove(struct pool *pool, struct pool_layer *layer); /* out of all tables */
void table_layer_free(struct pool_layer *layer);
/* While loading: the map has room for clusters up to end, whatever the layer's size is. -ENOMEM. */
int table_map_reach(struct pool_layer *layer, uint64_t end);
/* Takes one chunk; when all of its revision are there the object has them. 1: so it is; 0: not yet; -ENOMEM, -EUCLEAN. *ret_is_new with 1. */
int table_props_chunk(struct pool *pool, uint64_t object, const struct props_chunk *chunk,
		      bool *ret_is_new, struct err *err);
/* Decodes the blob; name and UUID are found from then on. -EUCLEAN: impossible, or somebody else has them. */
int table_settle_object(struct pool *pool, struct pool_object *object, struct err *err);
void table_object_remove(struct pool *pool, struct pool_object *object); /* and frees it */
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
	struct notes notes;
	struct pool_memory memory; /* get NULL: none */
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
	struct list reaps; /* struct pool_layer.sibling */
	struct timer reap_timer;
	struct pool_scrub *scrub; /* NULL: never started */
	struct pool_hold hold;
	struct pool_follow *follow; /* a successor's; NULL: it is none, or none any more */
	struct sums *sums;          /* NULL: the pool has none of its data */
	struct pool_opening *opening;
	struct pool_closing *closing;
};

#endif
