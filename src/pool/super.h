/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the superblock: look whether it is still ours, copies 0 and 2, flush, copies 1 and 3, flush (FORMAT.md §2). One at a time. */
#ifndef LITEPOOL_POOL_SUPER_H
#define LITEPOOL_POOL_SUPER_H

#include "layout/superblock.h"
#include "pool/batch.h"

/* One change of the superblock of an open pool: edit() is called on a copy of what is on the device when its turn has come; then it is written. */
struct super_change {
	void (*edit)(struct super_change *change, struct superblock *next);
	void (*done)(struct super_change *change, int res); /* 0: durable, and ->now */
	struct list link;
};

struct pool_super {
	enum {
		SUPER_IDLE,
		SUPER_LOOK,
		SUPER_FIRST,
		SUPER_FIRST_FLUSH,
		SUPER_SECOND,
		SUPER_SECOND_FLUSH,
	} step;
	int failed;            /* a write has: there are no more */
	bool flush_failed;     /* that was a flush: the device may have lost what it had answered */
	struct superblock now; /* what is on the device */
	struct superblock next;       /* what is being written */
	uint8_t (*page)[LAYOUT_PAGE]; /* four of them: what was read last, then what is written */
	struct batch_xfer xfer[SUPERBLOCK_COPIES];
	struct batch batch;
	struct blk_dev *dev;
	unsigned copy, unread; /* of super_read(): being read, failed */
	void (*done)(struct pool_super *super, int res);
	struct list changes; /* the first is under way */
};

int super_init(struct pool_super *super, struct blk_dev *dev);
void super_fini(struct pool_super *super);
/* Reads the four copies to super->page. One that cannot be read is zeros there; an error only if none can. */
void super_read(struct pool_super *super, void (*done)(struct pool_super *super, int res));
/*
 * Writes super->next with the next generation; on success it is ->now. -ESTALE: somebody else has the pool: nothing was written. skip_look: the first write of an
 * epoch or of a new pool. done is never called inside.
 */
void super_write(struct pool_super *super, bool skip_look,
		 void (*done)(struct pool_super *super, int res));
/* In line behind other changes. done never inside. */
void super_change(struct pool_super *super, struct super_change *change);
/* 0: the copies in super->page are ours, in every place that can be read; -ESTALE. */
int super_check_mine(const struct pool_super *super);

#endif
