/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools in the engine. A pool lives on the pool reactor; the control thread has a struct store_pool for each, and a block device (struct bdev) for each of its volumes and
 * snapshots: named by its UUID, with the alias "pool/volume", as SPDK does.
 *
 *   control thread                              pool reactor
 *   store_job_start() -> [line of the pool]
 *   prepare()          -----------------------> run() ... store_job_done()
 *   catalog applied    <-----------------------  catalog: what objects there are now
 *   finish(): answers
 *
 * Rules:
 *  1. Jobs that change a pool run one after another (its line), so a struct volume that prepare() found is there when run() uses it.
 *  2. The block devices follow the catalog, which comes with the end of every such job: nothing else makes or removes them, but a job that takes the device of its volume away
 *     first (delete, revert, shrink) and gets it back from the catalog if the volume is still there.
 *  3. Jobs that only read (reads) do not stand in line; they look up what they need on the pool reactor.
 *
 * Threads: control, unless said otherwise.
 */
#ifndef LITEPOOL_ENGINE_STORE_H
#define LITEPOOL_ENGINE_STORE_H

#include <jansson.h>

#include "base/err.h"
#include "engine/bdev.h"
#include "pool/pool.h"
#include "rpc/rpc.h"
#include "volume/volume.h"

struct engine;
struct hand_job;
struct store_handover;
struct store_job;

enum store_state { STORE_OPENING, STORE_OPEN, STORE_CLOSING };

struct store_pool {
	struct list link;
	struct engine *e;
	struct bdev *base; /* claimed */
	enum store_state state;
	struct list line;    /* struct store_job; the first is under way */
	struct pool *pool;   /* pool reactor */
	struct volumes *set; /* pool reactor */
	struct uuid uuid;    /* as of the last catalog, as what follows */
	char uuid_text[UUID_TEXT_SIZE];
	char name[LAYOUT_NAME_MAX + 1];
	char base_name[BLK_NAME_MAX];
	char claim[LAYOUT_NAME_MAX + 16]; /* "pool NAME", for base->dev->claimed_by */
	bool writable;                    /* it was opened so: exports are kept on it */
	bool successor; /* another engine has it, and hands it over to this one (store_handover.h) */
	/* Pool reactor, store_handover.c: the hold that its pool is in, and who asked for it. */
	uint64_t hold;
	struct hand_job *hold_job;
	/* pool_save(), between the freeze and the end of a hand-over; owned. */
	uint8_t *saved;
	size_t saved_bytes;
};

/* A pool that could not be opened. It stays until it is opened, or its block device goes. */
struct store_problem {
	struct list link;
	char bdev[BLK_NAME_MAX];
	int code;
	char *text;
};

struct store {
	struct list pools, problems;
	struct pool_env env;
	struct reactor *users[REACTORS_MAX];
	unsigned opening;     /* openings under way */
	unsigned making;      /* pools that are being made; not in pools yet */
	struct list examined; /* struct store_wait: bdev_wait_for_examine */
	struct list syncs,
		syncing; /* exports.c: changes that wait for the next round of edits, for this one */
	unsigned sync_jobs; /* edits under way */
	struct err sync_err;
	bool closing; /* all pools are being closed */
	void (*closed)(struct engine *e);
	struct task closed_task;
	struct pool_memory memory; /* for notes */
	struct list notes;         /* struct notes_file; pool reactor */
	void (*restored)(struct engine *e, void *ctx);
	void *restored_ctx;
	/* store_handover.c. */
	struct store_handover *handover; /* NULL: never asked for */
	struct list hand_jobs;           /* pool reactor: struct hand_job that waits for its pool */
	uint64_t hand_turn;              /* pool reactor: of store_handover */
};

/* What an object is, as the pool reactor saw it. */
struct store_item {
	struct volume *v;
	struct uuid uuid;
	char name[LAYOUT_NAME_MAX + 1];
	uint64_t size_bytes;
	bool unusable;
	json_t *props; /* NULL: not changed since the last catalog */
};

struct store_job {
	struct list link;
	struct engine *e;
	struct store_pool *sp; /* NULL: of all pools (reads only) */
	struct rpc_call *call; /* NULL: nobody waits */
	json_t *params;        /* kept for what run() borrows from it */
	bool reads;
	bool owns_line;  /* finish says how the line goes on: store_line_next(), or sp is gone */
	bool dropped;    /* for finish: sp goes away before its turn came */
	bool begun;      /* its turn has come */
	bool no_catalog; /* it changes no object */
	/* Control thread, when its turn has come. Negative: the job ends with err. Optional. */
	int (*prepare)(struct store_job *job);
	/* Pool reactor; leads to store_job_done(). */
	void (*run)(struct store_job *job);
	/* Control thread. NULL: answers call with result, or err. */
	void (*finish)(struct store_job *job);

	struct volume *volume; /* for run; set by prepare */
	bool detached;         /* its device was taken away */
	struct err err;        /* code 0: it went well */
	json_t *result;        /* NULL: true */
	struct msg msg;
	struct store_item *items;
	size_t n_items;
	bool has_catalog, pool_writable;
	struct uuid pool_uuid;
	char pool_name[LAYOUT_NAME_MAX + 1];
	struct pool **pools; /* of a job on all pools */
	struct volumes **sets;
	unsigned n_pools;
};

void store_init(struct engine *e);
void store_fini(struct engine *e);

/*
 * A new job of size bytes that embeds a store_job first; freed with free() after finish. NULL: no memory, and call was answered. params: a reference is taken.
 */
void *store_job_new(struct engine *e, size_t size, struct store_pool *sp, struct rpc_call *call,
		    const json_t *params);
void store_job_start(struct store_job *job);
/* Pool reactor; any time after run() began. res and err as a pool_done_fn has them. */
void store_job_done(struct store_job *job, int res, const struct err *err);
/* For jobs that own the line: this one is next; the next one; what will never have its turn (err is set). */
void store_job_next(struct store_job *job);
void store_line_next(struct store_pool *sp);
void store_job_drop(struct store_job *job);
/* Answers the call of job by result or err; what finish NULL does. */
void store_job_answer(struct store_job *job);
/* For volume operations: a volume_done_fn whose ctx is the job. */
void store_volume_done(void *ctx, int res, struct volume *v, const struct err *err);
/* A pool_done_fn whose ctx is the job. */
void store_pool_done(void *ctx, int res, const struct err *err);

/* Whether a pool has that block device. */
bool store_stands_on(struct engine *e, const struct bdev *bdev);
/* By name (or UUID in its place), or by UUID: one of the two. NULL with err. */
struct store_pool *store_find(struct engine *e, const char *name, const char *uuid,
			      struct err *err);
/* The bdev of a volume or snapshot. NULL with err. */
struct bdev *store_volume(struct engine *e, const char *name, struct err *err);
/* Takes the volume's device away before run(): -EBUSY when it is in use. For prepare(). */
int store_detach(struct store_job *job, struct bdev *bdev);

/*
 * Opens what is on a block device. done: 0; -ENOENT: there is no pool; else the reason, which is kept as a problem.
 */
const struct pool_env *store_env(struct engine *e);
typedef void (*store_opened_fn)(void *ctx, int res, const struct err *err);
struct store_open_opts {
	const struct uuid *uuid; /* NULL: any */
	bool read_only;
	bool successor; /* store_open() says so itself (store_handover.h) */
};
void store_open(struct engine *e, struct bdev *bdev, const struct store_open_opts *opts,
		store_opened_fn done, void *ctx);
/* A pool is being made on bdev: until the end it is claimed, and the engine does not end. */
void store_making_begin(struct engine *e, struct bdev *bdev);
void store_making_end(struct engine *e, struct bdev *bdev);
/* Closes; the base stays. destroy: overwrites the superblock afterwards. */
void store_close(struct store_pool *sp, bool destroy, struct rpc_call *call);
/* All pools, for the end of the engine; closed runs later, never inside. */
void store_close_all(struct engine *e, void (*closed)(struct engine *e));
/* The block device goes. */
void store_problem_drop(struct engine *e, const char *bdev);
json_t *store_problems_json(struct engine *e);
/* Answers when no opening is under way. */
void store_wait_examined(struct engine *e, struct rpc_call *call);

/* ---- store_notes.c ---- */

void store_notes_init(struct engine *e);

/* ---- store_catalog.c ---- */

/* Pool reactor. */
void store_catalog_take(struct store_job *job);
/* Control thread. */
void store_catalog_apply(struct store_job *job);
void store_catalog_drop(struct store_job *job);
/* The devices of all its volumes go. Nobody has claimed them (ASSERT). */
void store_bdevs_remove(struct store_pool *sp);
/* -EBUSY with who uses one of them. */
int store_bdevs_unused(struct store_pool *sp, struct err *err);

/* ---- store_props.c: properties as JSON; any thread ---- */

/* {nguid, eui64, serial, qos, exports: [...], labels: {...}, formatted, thick, read_only, created_s, snapshot_of (of snapshots: UUID of the volume), revision} */
json_t *store_props_json(const struct props *props);
/* Puts exports and qos as JSON into props; reservations of exports that stay are kept. -EINVAL with err. */
int store_props_set_exports(struct props *props, const json_t *exports, struct err *err);
int store_props_set_reservation(struct props *props, const char *nqn, uint32_t nsid,
				const json_t *resv, struct err *err);

/* ---- exports.c: what is exported, kept with the volumes ---- */

struct store_sync { /* the asker's, until done */
	struct list link;
	void (*done)(struct store_sync *sync, const struct err *err); /* err NULL: durable */
};
/* Makes what the target exports now durable on the disks. done may come inside. */
void store_sync_exports(struct engine *e, struct store_sync *sync);
/* A replay has ended: what waited for it. */
void store_sync_go_on(struct engine *e);
/* A listener was made: drops the problems about it. params: of nvmf_subsystem_add_listener. */
void store_waiting_drop(struct engine *e, const json_t *params);
/* The calls that make exports on disks that are not in effect yet; the volumes count as done. An empty array: none. NULL: no memory. */
json_t *store_export_entries(struct engine *e);
/* Whether a call of the configuration file is left to what the disks say. */
bool store_owns_entry(struct engine *e, const char *method, const json_t *params);
/* Exports of pools that were opened outside of a replay. done comes later or inside. */
void store_restore_exports(struct engine *e, void (*done)(struct engine *e, void *ctx), void *ctx);
/* The reservation that a volume keeps for its namespace, borrowed; NULL: none. */
const json_t *store_reservation(const struct bdev *bdev, const char *nqn, uint32_t nsid);
void store_save_reservation(struct bdev *bdev, const char *nqn, uint32_t nsid, const json_t *resv,
			    nvme_done_fn saved, void *saved_ctx);

#endif
