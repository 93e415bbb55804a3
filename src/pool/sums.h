/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of data (FORMAT.md §9), in a pool that was made with them. Volumes do their I/O on pool_data_dev(): without sums the pool's device itself,
 * with them a device on top of it that checks what is read and keeps the sums of what is written.
 *
 *   sums.c        clusters in RAM: who may read and write now       sums_load.c   the table's sums, and summing anew
 *   sums_io.c     requests                                          sums_log.c    opening, closing, rounds, checkpoints
 *   sums_carry.c  hand-overs                                        sums_table.c  closed clusters go to the table
 *
 * Every function here does nothing, or says that nothing is left to do, when the pool has no sums.
 *
 * Threads: the pool's, except requests.
 */
#ifndef LITEPOOL_POOL_SUMS_H
#define LITEPOOL_POOL_SUMS_H

#include "pool/pool.h"

/* ---- Opening a pool: after space_init(); its superblock is known. -ENOMEM. ---- */
int sums_init(struct pool *pool);
void sums_fini(struct pool *pool);
/* Records, in their order. -ENOMEM, -EUCLEAN. */
int sums_replay_open(struct pool *pool, uint64_t phys);
int sums_replay_set(struct pool *pool, uint64_t phys, const uint8_t *sums);
/* The pool takes writes, or at least reads. */
void sums_start(struct pool *pool);
/* The data space ends at end_cluster now: before its clusters are granted. */
void sums_grow(struct pool *pool, uint64_t old_end, uint64_t end_cluster);
/* Clusters of the table. */
uint64_t sums_homes(const struct pool *pool);

/* ---- Rounds: log.c ---- */
void sums_collect(struct pool *pool);
void sums_round_durable(struct pool *pool);
void sums_failed(struct pool *pool);

/* ---- Checkpoints ---- */
/* The tail that it makes was chosen. */
void sums_checkpoint_begins(struct pool *pool);
/* All that is in front of that tail is elsewhere too. False: checkpoint_sums_settled() is called when it may be so. */
bool sums_settled(struct pool *pool);

/* ---- Closing ---- */
/* No I/O is under way, and there will be none: closes all clusters that can be. done never inside. */
void sums_close(struct pool *pool, void (*done)(struct pool *pool));
/* Every cluster is closed and in the table. */
bool sums_clean(const struct pool *pool);
/* No cluster is open. */
bool sums_all_closed(const struct pool *pool);
/* Nothing is begun any more that nobody asked for. */
void sums_stop(struct pool *pool);
bool sums_io_under_way(const struct pool *pool);

/* ---- Hand-over ---- */
/* Frozen: the sums that RAM alone has, for sums_restore(); malloc'ed, NULL: none. -ENOMEM. */
int sums_save(struct pool *pool, uint8_t **ret, size_t *ret_len);
/* A successor that has followed to where the old pool was frozen. -EBADMSG, -EUCLEAN. What is open and is not in there is summed anew. */
int sums_restore(struct pool *pool, const uint8_t *buf, size_t len, struct err *err);
/* A hold or freeze has ended: what waited goes on. */
void sums_resume(struct pool *pool);
/* The table is being written: the pool cannot be frozen now; hold_poke() comes. */
bool sums_table_busy(const struct pool *pool);

/* ---- Scrub ---- */
/*
 * Reads the cluster into buf and compares: ret_bad has the blocks that do not match their sums (which is as it should be for those that were never written). Never
 * inside. res: 0, or why it could not be read. One at a time.
 */
struct sums_check {
	void (*done)(struct sums_check *check, int res);
	uint64_t cluster;
	uint8_t *buf;
	struct block_mask bad;
};
void sums_check(struct pool *pool, struct sums_check *check);

/* ---- Checking a pool that was opened read-only ---- */
/* Where the sums of a cluster are that count, and in the journal: what they are. Not known: it was open when the engine ended. */
enum sums_known { SUMS_IN_TABLE, SUMS_IN_JOURNAL, SUMS_NOT_KNOWN };
enum sums_known sums_where(struct pool *pool, uint64_t phys, uint32_t sum[LAYOUT_CLUSTER_BLOCKS]);

json_t *sums_stats_json(const struct pool *pool); /* NULL: the pool has none */

#endif
