/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on the device of a pool, for people: nothing is judged (check.h does that), nothing is written, damage is shown as what it is. Threads: the reactor of env->home.
 */
#ifndef LITEPOOL_POOL_DUMP_H
#define LITEPOOL_POOL_DUMP_H

#include "pool/pool.h"

enum {                   /* besides superblocks, segments, layers and objects */
       DUMP_JOURNAL = 1, /* each record that replay would apply */
       DUMP_PAGES = 2,   /* each slot that is not blank */
       DUMP_MAPS = 4,    /* each run of map entries, after replay */
};
/*
 * Fills into (an object; borrowed until done). An error of opening is no error here: it is into's "error", and what could be read is there. Negative: the device cannot be read, or no
 * memory. done is never called inside.
 */
void pool_dump(const struct pool_env *env, struct blk_dev *dev, unsigned what, json_t *into,
	       pool_done_fn done, void *ctx);

#endif
