/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrubbing: reads in the background what an open pool has on its device, so that rot is found while it can still be mended.
 *
 *   metadata   all four superblock copies, both slots of each page: checked against what RAM knows; a bad one is written anew from RAM
 *   data       every mapped cluster is read: a block that the device cannot read is reported with the volume that has it, and in a pool with sums one that does not match
 *              its sum. (Without sums what the device reads without an error is believed.)
 *
 * One cluster at a time, so much a second. What is done is kept in the superblock (scrub_cluster) when it is stopped and every few GiB, and the next one goes on there.
 *
 * Threads: the pool's reactor.
 */
#ifndef LITEPOOL_POOL_SCRUB_H
#define LITEPOOL_POOL_SCRUB_H

#include "pool/pool.h"

#define SCRUB_RATE_DEFAULT ((uint64_t)64 << 20)

struct pool_scrub_opts {
	uint64_t bytes_per_s; /* 0: SCRUB_RATE_DEFAULT; UINT64_MAX: no limit */
	bool restart;         /* from the beginning, not where the last one stopped */
};
/* Starts, or goes on after a pause; a running one gets the new rate. -ENOMEM, -EIO (the pool has failed), -EBUSY (closing). */
int pool_scrub_start(struct pool *pool, const struct pool_scrub_opts *opts, struct err *err);
/* A running one (not yet stopped with done) reads nothing more; the place is kept in RAM, and in the superblock. done (may be NULL) when nothing is under way; never inside. */
void pool_scrub_stop(struct pool *pool, void (*done)(void *ctx), void *ctx);
/* State, place, counters and the first problems, as a new object. */
json_t *pool_scrub_json(const struct pool *pool);

bool scrub_running(const struct pool *pool);
/* For hold.c: a running one stops soon; its rate (0: none is running), with which it is started again. */
uint64_t scrub_pause(struct pool *pool);
/* For close.c and open.c. */
void scrub_fini(struct pool *pool); /* nothing is under way */

#endif
