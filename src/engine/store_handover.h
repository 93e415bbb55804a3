/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pools and disks of the engine through a hot upgrade (pool/handover.h says what happens to one pool). Control thread; callbacks come later, never inside, and each once
 * unless it says otherwise.
 *
 *   old engine                                       new engine
 *   store_hold()      -> plan (JSON)            ->   store_successor(plan)
 *   store_disks()     -> disks (JSON), fds      ->   store_disks_adopt(disks, fds)
 *                                                    the configuration is replayed: bdev_*_create find their descriptors by name, and what store_open() finds
 *                                                    on a device is opened as a successor, if it is in the plan
 *                                                    store_follow(NULL) as often as wished
 *   store_freeze()    -> state (JSON)           ->   store_follow(state)
 *   store_save()      -> records (TLV)          ->   store_restore(), before that
 *   store_retire()    before GO is sent         ->   store_take_over() after GO was received
 *   or store_unhold() at any time before
 *
 * The JSON is for the other side alone; members that a reader does not know are left out of account.
 */
#ifndef LITEPOOL_ENGINE_STORE_HANDOVER_H
#define LITEPOOL_ENGINE_STORE_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct bdev;
struct blk_dev;
struct engine;
struct store_open_opts;
struct tlv;
struct tlv_writer;

/* Records of the state (src/handover/FORMAT.md): what RAM alone has of a pool. Who does not know them reads it anew from the disk. */
#define STORE_TLV_POOL      0x0106 /* a nest: */
#define STORE_TLV_POOL_UUID 0x0107
#define STORE_TLV_POOL_SUMS 0x0108 /* pool_save() */

/* state: borrowed; NULL on errors and where nothing is said about it. */
typedef void (*store_handover_fn)(void *ctx, int res, const json_t *state, const struct err *err);

/* ---- The old engine ---- */

/*
 * Holds every pool: waits until the jobs that have begun have ended, a scrub has stopped, a checkpoint has made room. done: 0 with the plan; -EBUSY: a pool is being opened or closed;
 * -EIO: a pool has failed. With an error nothing is held. broken (may come any time until store_retire() or store_unhold(), once): a hold has ended, err says why (the journal of
 * pool NAME became too full ...): give the upgrade up. Jobs go on meanwhile (reservations that hosts make persist): hold back what clients ask for.
 */
void store_hold(struct engine *e, store_handover_fn done, store_handover_fn broken, void *ctx);
/* Ends hold and freeze of all pools; what waited goes on. No callback of them comes any more. Also when nothing is held. */
void store_unhold(struct engine *e);
/*
 * No I/O of hosts is under way or begins (tcp_transport_freeze()). done: 0 with the state: nothing is written to any pool any more. An error: as it was before, held
 * (store_unhold() follows). A deadline is the caller's: store_unhold() at any time, then done does not come.
 */
void store_freeze(struct engine *e, store_handover_fn done, void *ctx);
/* Frozen: one record for each pool that has something in RAM alone. */
void store_save(struct engine *e, struct tlv_writer *w);
/* Frozen, or about to be: held again, for another try. */
void store_thaw(struct engine *e);
/* Frozen. From here on this process writes to no pool: every write, by whomever, is refused with -ESTALE. Irrevocable. Returns at once; takes effect at once. */
void store_retire(struct engine *e);

/*
 * The descriptors of all disks that have one (files, devices, RAM disks), in fds[0 .. *ret_n - 1], borrowed: they stay the disks'. The result names them by index. -ENOSPC with max
 * too small; as many as there are block devices are enough.
 */
int store_disks(struct engine *e, int *fds, unsigned max, unsigned *ret_n, json_t **ret,
		struct err *err);

/* ---- The new engine ---- */

/* From now on pools are opened as the plan says: successors, read-only ones, or not at all. Before the configuration is replayed. -EBADMSG. */
int store_successor(struct engine *e, const json_t *plan, struct err *err);
/*
 * Takes the descriptors (also on errors: all of them are closed then) for the methods that make disks. A disk whose name is not among them is opened by its path.
 * store_disks_left(): closes what no method asked for and returns how many that were, after the replay.
 */
int store_disks_adopt(struct engine *e, const json_t *disks, int *fds, unsigned n, struct err *err);
unsigned store_disks_left(struct engine *e);
/* A STORE_TLV_POOL of the state, before store_follow(state), which uses it. -EBADMSG, -ESTALE (there is no such pool), -ENOMEM. */
int store_restore(struct engine *e, const struct tlv *rec, struct err *err);
/*
 * After the replay. state NULL: each pool reads what its journal has got. With the state of store_freeze(): exactly up to there, and all pools of the state are here. done: 0, or
 * why this engine cannot take over (err names the pool): refuse, and end.
 */
void store_follow(struct engine *e, const json_t *state, store_handover_fn done, void *ctx);
/*
 * All pools take over, in parallel. I/O on volumes, which waits until then, is served when ready comes: what is there already is read and overwritten, what needs the journal waits
 * for the new epoch, which is written meanwhile. done: that is over; an error: some pool is read-only (the log and err say why), the others are writable. ready: 0, or -ENOMEM.
 */
void store_take_over(struct engine *e, store_handover_fn ready, store_handover_fn done, void *ctx);
/* Whether pools are still to be taken over. Nothing is kept on disks meanwhile (exports, reservations): what the old engine kept is what there is. */
bool store_is_successor(const struct engine *e);

/* ---- for the engine itself ---- */

/* The descriptor that was passed for a disk of that name, now the caller's; -1: none. */
int store_disk_take(struct engine *e, const char *name);
/* The fault rules that the old engine's disk of that name had. 0 or why they cannot be. */
int store_disk_restore(struct engine *e, struct blk_dev *dev, struct err *err);
/* How the plan wants the pool on bdev opened. False: not at all; err is -ENOENT. */
bool store_planned(struct engine *e, const struct bdev *bdev, struct store_open_opts *ret,
		   struct err *err);
void store_handover_fini(struct engine *e);

#endif
