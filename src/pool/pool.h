/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: one block device that holds layers (sparse maps of clusters) and objects (volumes and snapshots: what has a name), and keeps them
 * through any power cut. What a volume does with layers is src/volume's; here is what is stored, and when it is true.
 *
 *   volume ops ----> pool_op (one at a time) ----> pool_txn ----\
 *   flush, FUA ----> pool_commit ---------------------------------> round: collect changed maps -> flush device -> journal -> apply, answer
 *   checkpoint ----> pool_op (a batch of pages at a time) ------/
 *
 * Rules:
 *  1. A change of layers and objects is made in RAM by pool_apply() only, from the same records that replay reads, after they are durable.
 *  2. Changes of maps by data reactors are visible at once and durable by the next round.
 *  3. What reads or changes several maps and the journal together (snapshot, merge, checkpoint) is an op; ops never overlap.
 *  4. Any failed write or flush of metadata, or failed flush of data, fails the pool: no more writes, every waiter gets -EIO, reads go on. Opening it again
 *     is the cure. (After a failed flush nobody knows what the device has.)
 *
 * Threads: all functions here belong to the pool's reactor, and their callbacks run there, unless the prototype says otherwise.
 */
#ifndef LITEPOOL_POOL_POOL_H
#define LITEPOOL_POOL_POOL_H

#include <jansson.h>

#include "blk/blk.h"
#include "layout/props.h"
#include "layout/superblock.h"
#include "pool/map.h"
#include "pool/slot.h"

struct pool;

enum pool_state {
	POOL_OPENING,
	POOL_OPEN,      /* takes reads and writes */
	POOL_READ_ONLY, /* opened so, or by feature flags */
	POOL_FAILED,    /* a write of metadata or a flush failed: reads only */
	POOL_CLOSING,
	POOL_CLOSED,
	POOL_SUCCESSOR, /* another process has it open and hands it over to this one (handover.h) */
};
extern const char *const pool_state_name[];

/* ---- Life ---- */

struct pool_create_opts {
	const char *name; /* rules: layout_name_valid() */
	struct uuid uuid; /* null: random */
	uint32_t
		commit_percent; /* allowed sum of volume sizes, percent of the data space; 0: no limit */
	uint8_t watermark[3];    /* percent, ascending; all 0: 80, 90, 95 */
	uint64_t reserved_bytes; /* kept from thin volumes */
	bool force;              /* overwrite the signature that is found on the device */
	const char *
		foreign; /* what the caller has found on it, in words; NULL: nothing. Borrowed until done */
	bool sums; /* of all data, verified at each read (FORMAT.md §9) */
};
typedef void (*pool_done_fn)(void *ctx, int res, const struct err *err);

/* The reactors that will use the pool's volumes and the one that the pool itself lives on (it may be one of them). Borrowed. */
struct pool_env {
	struct reactor *home;
	struct reactor *const *users;
	unsigned n_users;
};

/* Writes an empty pool (FORMAT.md "Creating"). Opens nothing. -EEXIST: something is on the device; err names what and how to force. */
void pool_create(const struct pool_env *env, struct blk_dev *dev,
		 const struct pool_create_opts *opts, pool_done_fn done, void *ctx);

/* What loading found; for `litepool pool check`. */
enum pool_severity {
	POOL_NOTE,   /* what a crash leaves behind and the next opening mends */
	POOL_DAMAGE, /* opening refuses because of it */
};
struct pool_problem {
	enum pool_severity severity;
	const char *
		kind; /* a word: "superblock", "journal", "page", "segment", "layer", "object", "cluster" */
	uint64_t place;      /* device offset / 4096; UINT64_MAX: at no single place */
	const char *text;    /* one sentence; until the call returns */
	struct page_id page; /* that is missing; kind 0: the problem is another one */
};
/*
 * Memory that outlives the process and not the machine, for notes (notes.h). Both on the pool's thread; they may block shortly. get: bytes of it (what the pool can use; less will do), with what it had when it was last put or
 * the process died; a negative errno with err: the pool does without, and first writes wait for rounds. put: gone: what is in it is not needed any more.
 */
struct pool_memory {
	struct uuid boot; /* of the kernel that runs */
	int (*get)(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
		   struct err *err);
	void (*put)(void *ctx, const struct uuid *pool, void *memory, size_t size, bool gone);
	void *ctx;
};
struct pool_open_opts {
	const struct pool_memory *memory; /* NULL: none. Copied */
	const struct uuid *uuid;          /* NULL: whatever pool is there */
	bool read_only;                   /* nothing is written, not even the epoch */
	bool successor; /* another process has it open, and holds it for us (handover.h) */
	/* Not NULL (then read_only too): gets every problem, and loading goes on where it can. What is opened then may lack what is damaged. */
	void (*problem)(void *ctx, const struct pool_problem *problem);
	void *problem_ctx;
	/*
	 * With problem: opened for writing in spite of it, for check.c, which knows that all that is damaged is listed here: pages whose content is given up. What they
	 * had reads as zeros (HIDE), but for what the journal still has; they are written anew by the next checkpoint.
	 */
	bool repair;
	const struct page_id *lost; /* PAGE_MAP and PAGE_MASK; borrowed until done */
	size_t n_lost;
};
/*
 * Mounts: superblock, journal scan, pages, replay, space, epoch. The device is claimed by the caller and stays so until close. *ret is valid at once and
 * usable after done(0); after an error it is freed. -ENOENT: no pool here; -EUCLEAN: damaged, err says where: `litepool pool check`; -ESTALE; -EOPNOTSUPP.
 */
void pool_open(const struct pool_env *env, struct blk_dev *dev, const struct pool_open_opts *opts,
	       struct pool **ret, pool_done_fn done, void *ctx);
/* Volumes are gone, no I/O is under way. Commits, checkpoints, marks the superblock clean (unless failed or read-only), frees. */
void pool_close(struct pool *pool, pool_done_fn done, void *ctx);

struct blk_dev *pool_dev(const struct pool *pool);
/* What data of volumes is read from and written to: the same, or what keeps and checks its sums. No discards. */
struct blk_dev *pool_data_dev(const struct pool *pool);
struct reactor *pool_home(const struct pool *pool); /* any thread */
const struct superblock *pool_superblock(const struct pool *pool);
enum pool_state pool_state(const struct pool *pool);
/* Any thread: 0 or why writes are refused: -EROFS, -EIO. */
int pool_writable(const struct pool *pool);
/* Ends all writing; the log says why. */
void pool_fail(struct pool *pool, int res, const char *what);
/* Likewise after a flush: the device may have lost what was answered, so what only notes know does not count at the next opening. */
void pool_flush_failed(struct pool *pool, int res, const char *what);

/* Name, limits, watermarks, reserved space; takes effect when durable. */
struct pool_options {
	const char *name;                       /* NULL: as it is */
	int64_t commit_percent, reserved_bytes; /* < 0: as it is */
	uint8_t watermark[3];                   /* all 0: as it is */
};
void pool_set_options(struct pool *pool, const struct pool_options *opts, pool_done_fn done,
		      void *ctx);
/* The device has grown (blk_dev.size_bytes): takes the new clusters. */
void pool_grow(struct pool *pool, pool_done_fn done, void *ctx);

/* ---- Layers and objects, as they are durable ---- */

struct pool_layer {
	struct layer disk; /* the record's fields */
	struct pool_layer *parent;
	struct list children,
		sibling; /* sibling: in the parent's children, or in the pool's roots */
	struct list hash;
	struct map *map;
	struct pool_object *object; /* whose it is; NULL: none */
	void *user;                 /* src/volume's */
	bool emptied;               /* merged away: views leave it out */
	uint32_t slot;              /* entry in the LAYER pages: page * PAGE_LAYERS + entry */
	struct gate_turn reap;      /* when it is deleted: its memory goes after this turn */
	struct pool *reaper;        /* while it is reaped */
	uint64_t reap_at;           /* next cluster to free then */
};

struct pool_object {
	struct list link; /* of pool_objects() */
	struct list by_id, by_name, by_uuid;
	uint64_t id, revision;
	uint8_t *blob; /* props, encoded; props_decode() gives all of it */
	uint32_t blob_len;
	char name[LAYOUT_NAME_MAX + 1];
	struct uuid uuid;
	struct uuid snapshot_of;    /* of a snapshot: the volume whose it is; null: not said */
	uint32_t flags, block_size; /* PROPS_F_* */
	struct pool_layer
		*layer; /* head of a volume, or the snapshot's; NULL only while replaying */
	bool unusable; /* has a property that this program does not know: may not be changed or exported */
	void *user; /* src/volume's */

	/* The checkpoint's own. */
	uint64_t pair[PROPS_CHUNKS]; /* where its chunks are; 0: nowhere yet */
	struct list changed;
};

struct pool_layer *pool_layer_find(const struct pool *pool, uint64_t id);
struct pool_object *pool_object_find(const struct pool *pool, uint64_t id);
struct pool_object *pool_object_by_name(const struct pool *pool, const char *name);
struct pool_object *pool_object_by_uuid(const struct pool *pool, const struct uuid *uuid);
bool pool_object_is_snapshot(const struct pool_object *object);
/* Lists of struct pool_object.link and of struct pool_layer without a parent (sibling). */
struct list *pool_objects(struct pool *pool);
struct list *pool_roots(struct pool *pool);
unsigned pool_object_count(const struct pool *pool);
struct map_shared *pool_map_shared(struct pool *pool);

/* All layers in no order: the one behind layer, the first for NULL; NULL: none. No layer may come or go in between. */
struct pool_layer *pool_layer_next(const struct pool *pool, const struct pool_layer *layer);

/* For a new layer or object; never given twice. */
uint64_t pool_new_id(struct pool *pool);

/* Called by pool_apply() when the tables have changed, so that src/volume follows: a layer or object was set, is about to go, a snapshot was cut. */
struct pool_listener {
	void (*layer_set)(void *ctx, struct pool_layer *layer, bool is_new);
	void (*layer_gone)(
		void *ctx,
		struct pool_layer *layer); /* still whole; freed after a turn of the gate */
	void (*object_set)(void *ctx, struct pool_object *object, bool is_new);
	void (*object_gone)(void *ctx, struct pool_object *object);
	void (*space)(void *ctx, unsigned watermark_percent, bool above); /* crossed; 100: full */
	void (*state)(void *ctx, enum pool_state state);
	/* Of a successor: it has followed the journal; negative: it cannot go on. Whether somebody has the object's device: then it must not go. */
	int (*followed)(void *ctx);
	bool (*object_busy)(void *ctx, const struct pool_object *object);
	void *ctx;
};
void pool_listen(struct pool *pool, const struct pool_listener *listener);
void pool_unlisten(struct pool *pool, const void *ctx); /* those with that ctx */

/* ---- Operations and transactions ---- */

/* One at a time per pool; urgent ones (a user waits) before background work. */
struct pool_op {
	void (*run)(struct pool_op *op); /* must lead to pool_op_end() in every case */
	bool background;
	struct list link;
};
void pool_op_start(struct pool *pool, struct pool_op *op);
void pool_op_end(struct pool *pool, struct pool_op *op);

/* Records that count whole or not at all. */
struct pool_txn {
	void (*done)(struct pool_txn *txn,
		     int res); /* 0: durable and applied; -EIO: the pool has failed */
	struct list link;
	uint8_t *records;
	uint32_t size, capacity;
	int error; /* of pool_txn_add; pool_txn_commit() then ends with it */
};
void pool_txn_init(struct pool_txn *txn, void (*done)(struct pool_txn *txn, int res));
/* Copies the record. Errors (-ENOMEM, -E2BIG) are kept for pool_txn_commit(). */
void pool_txn_add(struct pool_txn *txn, const struct record *r);
/* All chunks of an object's properties; revision is the object's next. */
void pool_txn_add_props(struct pool_txn *txn, uint64_t object, uint64_t revision,
			const struct props *props);
/*
 * By the next round, behind all map changes that are visible now. done is never called inside. Runs within an op, or for records that depend on nothing
 * (properties of an object).
 */
void pool_txn_commit(struct pool *pool, struct pool_txn *txn);
/* What was not committed. */
void pool_txn_fini(struct pool_txn *txn);

/*
 * The cut of a snapshot. A new head's map is made before its record: pool_adopt_map() gives it to the layer of that id, which pool_apply() will make (or
 * takes it back: NULL). While a map is held (map_set_held) rounds leave its changes out, and pool_commit() waits until pool_release_commits(): nobody is told that a
 * write to the new head is durable before the SNAPSHOT record is. Transactions go on.
 */
int pool_adopt_map(struct pool *pool, uint64_t layer, struct map *map);
void pool_hold_commits(struct pool *pool);
void pool_release_commits(struct pool *pool);

/* Clusters that ops detached: as pool_free_clusters(), without asking. */
void pool_free_cluster(struct pool *pool, uint64_t phys);
/* Clusters for ops (merge, inflate): 0 or -ENOSPC. */
int pool_alloc_cluster(struct pool *pool, enum pool_space space, uint64_t *ret_phys);
void pool_unalloc_cluster(struct pool *pool, uint64_t phys); /* was never in a map */

/* ---- Space ---- */

struct pool_space_info {         /* clusters */
	uint64_t total;          /* data space */
	uint64_t free;           /* not in a map, a segment or a stock */
	uint64_t stocked;        /* handed to reactors, not in a map yet */
	uint64_t freeing;        /* detached, not free yet */
	uint64_t metadata;       /* segments, and the table of sums */
	uint64_t thick_reserved; /* promised to thick volumes, not mapped yet */
	uint64_t reserved;       /* kept from thin volumes by option */
	uint64_t volume_bytes;   /* sum of the sizes of volumes */
	uint64_t snapshots, volumes;
};
void pool_space_info(const struct pool *pool, struct pool_space_info *ret);
/* Above its first watermark, or somebody was refused: what gives back space is urgent. */
bool pool_fills_up(const struct pool *pool);
/* Would that many bytes more of volumes be within the commit limit? 0 or -ENOSPC with err. */
int pool_space_check(const struct pool *pool, uint64_t bytes, struct err *err);
/* Could that many clusters more be promised to thick volumes? 0 or -ENOSPC with err. */
int pool_thick_check(const struct pool *pool, uint64_t clusters, struct err *err);
/* Could that many neighbouring clusters of a map without any get entries? 0 or -ENOSPC with err: the pages would have no room. */
int pool_pages_check(const struct pool *pool, uint64_t clusters, struct err *err);
/* Promised clusters of thick volumes, together with what they have mapped: src/volume tells all changes, also what there is after opening. */
void pool_thick_total(struct pool *pool, int64_t delta_clusters);

/*
 * Until the release no reactor gets clusters for thick volumes beyond what it has; who wants some waits. Returns how many more can be mapped until then at most: what is in the stocks, and one
 * that each reactor may be about to map.
 */
uint64_t pool_thick_hold(struct pool *pool);
void pool_thick_release(struct pool *pool);

/* Counters for metrics: rounds, journal blocks, checkpoints, pages, wants, full, ... as a new object. */
json_t *pool_stats_json(const struct pool *pool);

#endif
