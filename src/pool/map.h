/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of one layer in RAM: which of its 4 KiB blocks are here, and where on the device. Data reactors read it without a lock
 * and change it under claims; the pool's thread collects what changed for the journal.
 *
 *   struct map -> leaves of 504 clusters (a MAP page each) -> entries of 64 bits, and masks for clusters that are partly valid
 *
 * Invariants:
 *  1. An entry with a phys is only ever cleared, never given another phys, by somebody who holds a claim on the whole cluster.
 *  2. A block becomes valid (map_set_valid) only when its data is on the device, by the holder of a claim on it. So nobody ever reads
 *     what an earlier owner of the cluster left there.
 *  3. A cluster that was detached is not used again before its freeing is durable and every reader that may have seen it has left
 *     the gate (slot.h). So map_find() needs no lock, and a read or an overwrite in place that is under way harms nobody.
 *  4. Overwrites of valid blocks in place take no claim.
 *
 * Threads: map_find, claims and changes under a claim on any reactor, inside the gate; everything else the pool's thread only.
 */
#ifndef LITEPOOL_POOL_MAP_H
#define LITEPOOL_POOL_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "layout/layout.h"
#include "layout/page.h"
#include "rt/reactor.h"

#define MAP_LEAF_CLUSTERS PAGE_ENTRIES
#define MAP_MASK_CLUSTERS PAGE_MASKS
#define MAP_MASK_PAGES    (MAP_LEAF_CLUSTERS / MAP_MASK_CLUSTERS)
#define MAP_CLAIM_BUCKETS 16u

struct map;
struct map_leaf;

/* ---- Reading ---- */

enum map_found {
	MAP_ABSENT, /* not here: the parent's, and zeros where there is none */
	MAP_ZERO,   /* zeros, whatever the parent has */
	MAP_HERE,   /* at place */
};
struct map_run {
	enum map_found found;
	uint32_t blocks; /* 1 .. max; never crosses a cluster */
	uint64_t place;  /* MAP_HERE: device offset / 4096 */
};
/* What there is from block on, for at most max (> 0) blocks. Blocks behind the layer's size are MAP_ABSENT. */
void map_find(const struct map *map, uint64_t block, uint32_t max, struct map_run *ret);

/* ---- Changing, on a reactor ---- */

/*
 * The right to change blocks first .. first + count - 1 of a cluster: to make blocks valid, to hide them, to detach the cluster. Claims that
 * overlap wait in line. Filled by the caller, owned by the map from take to drop. A holder waits for disks, for space and for the pool's thread, never for
 * another claim of the same map (whoever needs two takes one cluster after the other, ascending, and drops before the next).
 */
struct map_claim {
	uint32_t cluster;
	uint16_t first, count; /* within 0 .. 255 / 1 .. 256 */
	bool no_mask; /* the holder only looks or clears the whole cluster: needs no memory for a mask */
	struct reactor *reactor;
	void (*granted)(struct map_claim *claim); /* on reactor, never inside map_claim_take() */

	void *user; /* the caller's */

	/* The map's own. */
	struct list link;
	struct map_leaf *leaf; /* NULL: neither held nor in line */
	struct msg msg;
	bool held;
};
enum map_claim_result {
	MAP_CLAIM_HELD,
	MAP_CLAIM_WAITS, /* granted() comes */
	MAP_CLAIM_UNPREPARED, /* no memory for this cluster yet: pool_want() first (slot.h), then again */
};
enum map_claim_result map_claim_take(struct map *map, struct map_claim *claim);
/* A held one. Wakes who waited for it. (A claim that waits cannot be taken back: its message may be under way.) */
void map_claim_drop(struct map_claim *claim);

/* Under a held claim. Clusters are physical ones, 0: none. */
uint64_t map_claim_phys(const struct map_claim *claim);
/* Does block (0 .. 255 of the cluster) count as here, or as hidden, right now? */
enum map_found map_claim_block(const struct map_claim *claim, unsigned block);
/* Gives the cluster phys if it has none yet. Returns what it has now: phys, or what another claim's holder attached before. No block becomes valid by it. */
uint64_t map_attach(const struct map_claim *claim, uint64_t phys);
/* The data of those blocks (within the claim) is on the device: they are here from now on. */
void map_set_valid(const struct map_claim *claim, unsigned first, unsigned count);
/*
 * Those blocks read as zeros from now on. over_parent: the layer has a parent that may hold them. Works for a whole cluster always, and for a part of one only
 * where nothing of the parent would be hidden that shows now (no parent, or the cluster hides it already, or all blocks outside of the part are here); else
 * -EOPNOTSUPP in *ret_res, nothing is changed and the caller writes zeros. If the claim is one of the whole cluster and no valid block is left, its phys is detached
 * and returned: give it to pool_free_clusters(). 0: nothing was detached.
 */
uint64_t map_clear(const struct map_claim *claim, unsigned first, unsigned count, bool over_parent,
		   int *ret_res);

/*
 * map_clean(): all that map_find() may have shown so far is in the journal, so a flush or FUA write needs the device only; else pool_commit(). Two counters
 * stand behind it: a change is counted as begun before anybody can see it, and as ended when it can be collected.
 */
bool map_clean(const struct map *map);
/*
 * All that map_find() may have shown so far is in the journal or noted (notes.h), so a write that rests on it may be answered: it is there when the process dies, though not when the power
 * goes. Ask after the lookup or the change.
 */
bool map_settled(const struct map *map);
/* Physical clusters attached. */
uint64_t map_mapped(const struct map *map);

/* ---- The pool's thread ---- */

/* Shared by the maps of a pool. */
struct notes;
struct map_shared {
	struct notes *notes;           /* NULL: none */
	struct map *_Atomic dirty;     /* stack of maps with changes that are not collected yet */
	_Atomic uint64_t thick_mapped; /* clusters attached to maps that are thick */
	_Atomic uint64_t leaves;       /* of all maps */
	_Atomic uint64_t bytes;        /* RAM of all maps */
};

/* clusters: of the layer's size. NULL: no memory. */
struct map *map_new(struct map_shared *shared, uint64_t layer, uint64_t clusters);
/* Does anybody hold or wait for a claim? */
bool map_claimed(const struct map *map);
/* Nobody is in the gate with it any more or has a claim. It leaves the dirty stack. */
void map_free(struct map *map);
uint64_t map_layer(const struct map *map);
uint64_t map_clusters(const struct map *map);
void map_set_thick(struct map *map, bool thick);
/* Held: its changes are not to be collected yet, and not noted. */
void map_set_held(struct map *map, bool held);
bool map_held(const struct map *map);
/*
 * Changes the size. Growing publishes a larger table of leaves; *ret_old, if not NULL, is freed (free()) by the caller after a turn of the gate.
 * When shrinking nothing may be mapped behind the new end (map_clear or map_put first).
 */
int map_resize(struct map *map, uint64_t clusters, void **ret_old);
/* Memory so that claims on that cluster are possible. -ENOMEM. */
int map_prepare(struct map *map, uint32_t cluster);

/* Entry and mask as they are, for the journal, merging, checking. mask may be NULL; it is filled with PARTIAL only. */
uint64_t map_get(const struct map *map, uint32_t cluster, struct block_mask *ret_mask);
/* Puts what a record says (replay, loading, merging under a claim of the whole cluster). Not marked as a change. -ENOMEM, -ERANGE. */
int map_put(struct map *map, uint32_t cluster, uint64_t entry, const struct block_mask *mask);
/* Opening a pool, nobody else has the map: all entries of a MAP page but those with PARTIAL, into a leaf that has none of them yet. -ENOMEM, -ERANGE. */
int map_load_page(struct map *map, uint32_t index, const uint8_t page[LAYOUT_PAGE]);
/* Likewise: entry i of the leaf. */
uint64_t map_leaf_entry(const struct map_leaf *leaf, unsigned i);
/* Marks the cluster as changed, as map_set_valid() does. */
void map_touch(struct map *map, uint32_t cluster);
/* First cluster at or behind from whose entry is not 0; UINT64_MAX: none. Skips leaves that are not there. */
uint64_t map_next(const struct map *map, uint64_t from);

struct map_leaf *map_leaf_at(const struct map *map, uint32_t index); /* NULL: none */
/* Leaves there may be: also behind the end, of a map that has shrunk. */
uint32_t map_leaf_count(const struct map *map);
struct map *map_leaf_map(const struct map_leaf *leaf);
uint32_t map_leaf_index(const struct map_leaf *leaf);
/*
 * Collecting. A change pushes its leaf on its map's stack, then the map on the shared stack (each once), then counts as ended. So: take the maps; of each, map_collect_begin()
 * first; what ended before that is covered once all of map_take_leaves() are collected and durable: map_set_durable(). What changes meanwhile is pushed again.
 */
struct map *map_take_dirty(struct map_shared *shared); /* linked by map_dirty_next(); NULL: none */
struct map *map_dirty_next(const struct map *map);     /* before map_collect_begin() of it */
void map_redirty(struct map *map);                     /* taken, but not begun: back on the stack */
void map_collect_begin(struct map *map);
struct map_leaf *map_take_leaves(struct map *map);           /* linked by map_leaf_next() */
struct map_leaf *map_leaf_next(const struct map_leaf *leaf); /* before map_leaf_collect() of it */
void map_leaf_set_next(struct map_leaf *leaf, struct map_leaf *next); /* the taker's until then */
void map_set_durable(struct map *map);
/* The maps that rounds under way have leaves of; the log's own. Join: also when it has joined already. Pop: NULL: none is left. */
void map_round_join(struct map *map, struct list *round);
struct map *map_round_pop(struct list *round);
void map_round_leave(struct map *map);
/*
 * Calls fn for what changed in the leaf since it was last collected, and marks it collected: run by run, as MAP_SET and MAP_RUN records state it
 * (count > 1: neither PARTIAL, and entries contiguous or all equal without phys). fn must not fail: it has room for MAP_LEAF_CLUSTERS records.
 * image (may be NULL): the page images as of the same moment: [0] MAP, [1..4] MASK (bodies only; all zero
 * where no entry is PARTIAL). With an image the leaf, if it is on a stack or in a taker's list, stays there; without, it may be pushed again from now on.
 */
struct map_change {
	uint32_t cluster, count;
	uint64_t entry;
	struct block_mask mask; /* with PARTIAL */
};
void map_leaf_collect(struct map_leaf *leaf, void (*fn)(void *ctx, const struct map_change *change),
		      void *ctx, uint8_t (*image)[LAYOUT_PAGE]);
/* Masks that some PARTIAL entry needs: bit i for MASK page i of the leaf. */
unsigned map_leaf_masks(const struct map_leaf *leaf);
/*
 * Mask pages of the leaf that no cluster needs any more are taken out; freed by the caller after a turn of the gate. Returns how many, in ret.
 */
unsigned map_leaf_trim(struct map_leaf *leaf, void *ret[MAP_MASK_PAGES]);
void map_masks_free(struct map_shared *shared, void *const *masks, unsigned n);

/* Where the leaf's pages are on the device; the checkpoint's own. Zeroed with the leaf. */
struct map_leaf_pages {
	uint64_t pair[1 + MAP_MASK_PAGES]; /* of MAP, then MASK; 0: none yet */
	struct list link;                  /* in the checkpoint's list while changed */
};
struct map_leaf_pages *map_leaf_pages(struct map_leaf *leaf);
struct map_leaf *map_leaf_of_pages(struct map_leaf_pages *pages);

#endif
