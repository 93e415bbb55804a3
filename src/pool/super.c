/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock on the device:
 *
 *   IDLE -> LOOK (all four are read: still ours?) -> FIRST (copies 0, 2) -> FIRST_FLUSH -> SECOND (copies 1, 3) -> SECOND_FLUSH -> IDLE
 *
 * Invariants:
 *  1. At every moment two copies are whole, and what they rely on is durable.
 *  2. Who is not the owner any more writes nothing.
 *  3. After an error nothing is written any more: a generation that is half on the device must not come again with other content.
 */
#include "pool/super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

int super_init(struct pool_super *super, struct blk_dev *dev)
{
	super->step = SUPER_IDLE;
	super->dev = dev;
	list_init(&super->changes);
	super->page = batch_alloc((size_t)SUPERBLOCK_COPIES * LAYOUT_PAGE);
	return super->page ? 0 : -ENOMEM;
}

void super_fini(struct pool_super *super)
{
	ASSERT(super->step == SUPER_IDLE);
	free(super->page);
	super->page = NULL;
}

/* Copies first, first + step, ...: n of them. */
static void transfer(struct pool_super *super, enum blk_op op, unsigned first, unsigned step,
		     unsigned n, void (*done)(struct batch *batch, int res))
{
	for (unsigned i = 0; i < n; i++) {
		unsigned copy = first + i * step;

		super->xfer[i] = (struct batch_xfer){SUPERBLOCK_COPY_OFFSET(copy), LAYOUT_PAGE,
						     super->page[copy]};
	}
	batch_run(&super->batch, super->dev, op, 0, super->xfer, n, done);
}

static void read_next(struct batch *batch, int res)
{
	struct pool_super *super = container_of(batch, struct pool_super, batch);
	unsigned copy = super->copy++;

	if (res) {
		memset(super->page[copy], 0, LAYOUT_PAGE);
		super->unread++;
	}
	if (super->copy < SUPERBLOCK_COPIES) {
		transfer(super, BLK_READ, super->copy, 1, 1, read_next);
		return;
	}
	super->step = SUPER_IDLE;
	super->done(super, super->unread == SUPERBLOCK_COPIES ? res : 0);
}

void super_read(struct pool_super *super, void (*done)(struct pool_super *super, int res))
{
	ASSERT(super->step == SUPER_IDLE);
	super->step = SUPER_LOOK;
	super->done = done;
	super->copy = 0;
	super->unread = 0;
	transfer(super, BLK_READ, 0, 1, 1, read_next);
}

/*
 * An older copy of ours is what a lost write leaves behind: no sign of somebody else. One that does not decode is a torn or rotten one, which the next
 * writes mend; but at least one must say that the pool is ours.
 */
int super_check_mine(const struct pool_super *super)
{
	bool mine = false;

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock sb;
		enum superblock_found found = superblock_decode(super->page[i], i, &sb, NULL);

		if (found == SUPERBLOCK_UNSUPPORTED)
			return -ESTALE;
		if (found != SUPERBLOCK_GOOD)
			continue;
		if (superblock_is_mine(&super->now, &sb))
			mine = true;
		else if (!uuid_equal(&sb.pool, &super->now.pool) || sb.epoch >= super->now.epoch)
			return -ESTALE;
	}
	return mine ? 0 : -ESTALE;
}

static void write_end(struct pool_super *super, int res)
{
	super->step = SUPER_IDLE;
	super->failed = res;
	if (!res)
		super->now = super->next;
	super->done(super, res);
}

static void write_next(struct batch *batch, int res);

static void write_first(struct pool_super *super)
{
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		superblock_encode(&super->next, i, super->page[i]);
	super->step = SUPER_FIRST;
	transfer(super, BLK_WRITE, 0, 2, 2, write_next);
}

static void write_next(struct batch *batch, int res)
{
	struct pool_super *super = container_of(batch, struct pool_super, batch);

	if (!res && super->step == SUPER_LOOK)
		res = super->failed ? super->failed : super_check_mine(super);
	if (res) {
		super->flush_failed =
			super->step == SUPER_FIRST_FLUSH || super->step == SUPER_SECOND_FLUSH;
		write_end(super, res);
		return;
	}
	switch (super->step) {
	case SUPER_LOOK:
		write_first(super);
		return;
	case SUPER_FIRST:
		super->step = SUPER_FIRST_FLUSH;
		batch_flush(&super->batch, super->dev, write_next);
		return;
	case SUPER_FIRST_FLUSH:
		super->step = SUPER_SECOND;
		transfer(super, BLK_WRITE, 1, 2, 2, write_next);
		return;
	case SUPER_SECOND:
		super->step = SUPER_SECOND_FLUSH;
		batch_flush(&super->batch, super->dev, write_next);
		return;
	case SUPER_SECOND_FLUSH:
		write_end(super, 0);
		return;
	case SUPER_IDLE:
	default:
		UNREACHABLE();
	}
}

void super_write(struct pool_super *super, bool skip_look,
		 void (*done)(struct pool_super *super, int res))
{
	bool same_epoch = super->next.epoch == super->now.epoch;

	ASSERT(super->step == SUPER_IDLE && !(skip_look && super->failed));
	super->done = done;
	super->next.generation = same_epoch ? super->now.generation + 1 : 1;
	if (skip_look) {
		write_first(super);
		return;
	}
	super->step = SUPER_LOOK;
	transfer(super, BLK_READ, 0, 1, SUPERBLOCK_COPIES, write_next);
}

/* ---- changes, one after the other ---- */

static void change_begin(struct pool_super *super);

static void change_written(struct pool_super *super, int res)
{
	struct super_change *change = list_first(&super->changes, struct super_change, link);

	list_remove(&change->link);
	change->done(change, res); /* may have begun the next one */
	if (!list_empty(&super->changes) && super->step == SUPER_IDLE)
		change_begin(super);
}

static void change_begin(struct pool_super *super)
{
	struct super_change *change = list_first(&super->changes, struct super_change, link);

	super->next = super->now;
	change->edit(change, &super->next);
	super_write(super, false, change_written);
}

void super_change(struct pool_super *super, struct super_change *change)
{
	list_push_back(&super->changes, &change->link);
	if (super->changes.next == &change->link)
		change_begin(super);
}
