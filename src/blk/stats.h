/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block device has counted, from one engine to the next (src/handover/FORMAT.md, "The counters"). Records 0x0120 to 0x012f are this folder's; numbers are for ever.
 */
#ifndef LITEPOOL_BLK_STATS_H
#define LITEPOOL_BLK_STATS_H

#include "base/tlv.h"
#include "blk/blk.h"

enum blk_carry_type {
	BLK_CARRY_DEV = 0x0120, /* nest: */
	BLK_CARRY_UUID = 0x0121,
	BLK_CARRY_OP =
		0x0122, /* op:64 ops:64 bytes:64 errors:64, then its latency as of hist_pack() */
};

/* One BLK_CARRY_DEV, when something was counted. Any thread; counters go on meanwhile. */
void blk_stats_save(const struct blk_dev *dev, struct tlv_writer *w);
/* What a BLK_CARRY_DEV says of which device. 0; -EBADMSG, -EOPNOTSUPP (a mandatory record that is not known): err says what. Pure. */
int blk_stats_read(const struct tlv *rec, struct uuid *ret_uuid, struct blk_stats *ret,
		   struct err *err);
/* What r's thread counts for dev, made at first use; NULL: no memory. On the reactor r. */
struct blk_stats *blk_stats_own(struct blk_dev *dev, struct reactor *r);
/* Adds the counters and histograms of from; what is under way is not among them. to is the caller's thread's. */
void blk_stats_merge(struct blk_stats *to, const struct blk_stats *from);
/* dev has counted that, too. On the reactor r. -ENOMEM. */
int blk_stats_add(struct blk_dev *dev, struct reactor *r, const struct blk_stats *stats);

#endif
