/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint: brings the pages on the device up to date so that the journal's tail can move.
 *
 *   IDLE -> [ZERO -> ZERO_FLUSH: new segments] -> OP -> ROUND -> WRITE -> FLUSH -> READ --more--> ZERO or OP
 *                                                                              \--nothing left--> [SUMS] -> SUPER -> IDLE
 *
 * A batch is captured at the beginning of a round, while no operation is half done; the round carries the PAGES record and whatever in the images is not yet durable. Then
 * the pages go to the slots that do not count, are flushed, and read back; from then on they count (FORMAT.md §5).
 *
 * Invariants: 1. All effects up to the new tail are in pages that were read back. 2. What changes meanwhile is in a list for the next checkpoint.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/checkpoint.h"
#include "pool/sums.h"

static void next_batch(struct pool *pool);
static void want_op(struct pool *pool);
static void step(struct batch *batch, int res);

static void fail(struct pool *pool, int res, const char *what)
{
	pool_flush_failed(pool, res, what); /* most of its steps end with a flush */
	checkpoint_failed(pool);
}

static void answer(struct list *waiters, int res, const struct err *err)
{
	struct list now; /* who asks again when answered is not among them */

	list_init(&now);
	list_splice_back(&now, waiters);
	for (struct list *link; (link = list_pop_front(&now));) {
		struct checkpoint_waiter *w = list_entry(link, struct checkpoint_waiter, link);

		w->done(w->ctx, res, err);
		free(w);
	}
}

/* ---- beginning ---- */

static void begin(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (hold_is_held(&pool->hold)) /* who waits for it waits for the end of the hold */
		return;
	c->tail = pool->log.durable;
	c->started_ns = reactor_now(pool->home);
	list_splice_back(&c->todo_leaves, &c->leaves);
	list_splice_back(&c->todo_objects, &c->objects);
	for (size_t i = bitmap_next_set(&c->layers, 0); i != BITMAP_NONE;
	     i = bitmap_next_set(&c->layers, i)) {
		bitmap_clear(&c->layers, i);
		bitmap_set(&c->todo_layers, i);
	}
	for (unsigned i = 0; i < sizeof(c->todo_segtab) / sizeof(c->todo_segtab[0]); i++) {
		c->todo_segtab[i] |= c->segments.tab_changed[i];
		c->segments.tab_changed[i] = 0;
	}
	sums_checkpoint_begins(pool);
	next_batch(pool);
}

void checkpoint_start(struct pool *pool, pool_done_fn done, void *ctx)
{
	struct pool_checkpoint *c = pool->checkpoint;
	struct checkpoint_waiter *w;

	if (done) {
		struct err err = {0};

		w = pool_writable(pool) ? NULL : calloc(1, sizeof(*w));
		if (!w) {
			(void)err_set(&err, pool_writable(pool) ? pool_writable(pool) : -ENOMEM,
				      "no checkpoint of pool %s", pool->super.now.name);
			done(ctx, err.code, &err);
			return;
		}
		w->done = done;
		w->ctx = ctx;
		list_push_back(c->step == CHECKPOINT_IDLE ? &c->waiters : &c->later, &w->link);
		c->again |= c->step != CHECKPOINT_IDLE;
	}
	if (c->step == CHECKPOINT_IDLE && !pool_writable(pool))
		begin(pool);
}

bool checkpoint_is_idle(const struct pool *pool)
{
	return pool->checkpoint->step == CHECKPOINT_IDLE;
}

void checkpoint_resume(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (!list_empty(&c->waiters) || log_blocks_used(pool) > pool->rules.journal_blocks / 4)
		checkpoint_start(pool, NULL, NULL);
}

bool checkpoint_clean(const struct pool *pool)
{
	const struct pool_checkpoint *c = pool->checkpoint;

	for (unsigned i = 0; i < sizeof(c->todo_segtab) / sizeof(c->todo_segtab[0]); i++)
		if (c->segments.tab_changed[i])
			return false;
	return c->step == CHECKPOINT_IDLE && sums_clean(pool) && list_empty(&c->leaves) &&
	       list_empty(&c->objects) && bitmap_next_set(&c->layers, 0) == BITMAP_NONE;
}

/* ---- new segments ---- */

static void want_op(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	c->step = CHECKPOINT_OP;
	pool_op_start(pool, &c->op);
}

static void zero_segments(struct pool *pool, uint64_t missing)
{
	struct pool_checkpoint *c = pool->checkpoint;
	uint64_t n = (missing + SEGMENT_PAIRS - 1) / SEGMENT_PAIRS;
	int res = 0;

	if (n > sizeof(c->new_cluster) / sizeof(c->new_cluster[0]))
		n = sizeof(c->new_cluster) / sizeof(c->new_cluster[0]);
	c->zeros = batch_alloc(LAYOUT_CLUSTER);
	c->n_new = 0;
	while (c->zeros && !res && c->n_new < n) {
		res = space_alloc_metadata(pool, &c->new_cluster[c->n_new]);
		if (!res) {
			c->xfer[c->n_new] =
				(struct batch_xfer){c->new_cluster[c->n_new] * LAYOUT_CLUSTER,
						    LAYOUT_CLUSTER, c->zeros};
			c->n_new++;
		}
	}
	if (!c->n_new) {
		fail(pool, c->zeros ? -ENOSPC : -ENOMEM, "making room for metadata pages");
		return;
	}
	c->step = CHECKPOINT_ZERO;
	batch_run(&c->batch, pool->dev, BLK_WRITE, 0, c->xfer, c->n_new, step);
}

static void next_batch(struct pool *pool)
{
	uint64_t missing = checkpoint_missing(pool);

	if (missing)
		zero_segments(pool, missing);
	else
		want_op(pool);
}

/* ---- the round that announces a batch ---- */

static void op_run(struct pool_op *op)
{
	struct pool_checkpoint *c = container_of(op, struct pool_checkpoint, op);
	struct pool *pool = c->pool;

	if (c->step == CHECKPOINT_OP)
		log_kick(pool); /* checkpoint_capture() follows */
	else
		pool_op_end(pool, op); /* the pool has failed meanwhile */
}

/* Reads only what is decoded from our own journal: cannot fail but for room, which a round keeps for it. */
static void add_record(struct pool *pool, const struct record *r)
{
	int res;

	journal_txn_begin(&pool->log.builder);
	res = journal_add(&pool->log.builder, r);
	ASSERT(!res);
	journal_txn_end(&pool->log.builder);
}

static void announce_segments(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;
	uint32_t index = segments_free_index(&c->segments);

	for (unsigned i = 0; i < c->n_new; i++) {
		struct record r = {.type = RECORD_SEGMENT_SET,
				   .segment_set = {.index = index, .phys = c->new_cluster[i]}};

		add_record(pool, &r);
		do
			index++;
		while (index < c->segments.n && c->segments.cluster[index]);
	}
}

static void announce_pages(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;
	uint8_t place[CHECKPOINT_PAGES * 8];
	struct record r = {.type = RECORD_PAGES, .pages = {.count = c->n, .place = place}};

	for (unsigned i = 0; i < c->n; i++)
		put_le64((le64 *)(void *)(place + (size_t)i * 8), c->page[i].place);
	if (c->n)
		add_record(pool, &r);
}

void checkpoint_capture(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (c->step != CHECKPOINT_OP || pool->op != &c->op)
		return;
	c->step = CHECKPOINT_ROUND;
	c->n = 0;
	if (c->n_new) {
		announce_segments(pool);
	} else {
		checkpoint_fill(pool);
		announce_pages(pool);
	}
	pool_op_end(pool, &c->op);
}

static int take_segments(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;
	int res = 0;

	for (unsigned i = 0; i < c->n_new && !res; i++)
		res = segments_set(&c->segments, segments_free_index(&c->segments),
				   c->new_cluster[i]);
	c->n_new = 0;
	return res;
}

static void write_pages(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	for (unsigned i = 0; i < c->n; i++) {
		struct page_info info = {c->page[i].id, pool->log.durable.lsn - 1,
					 pool->rules.epoch};

		page_seal(c->image[i], &pool->rules, &info, c->page[i].place);
		c->xfer[i] = (struct batch_xfer){c->page[i].place * LAYOUT_PAGE, LAYOUT_PAGE,
						 c->image[i]};
	}
	c->step = CHECKPOINT_WRITE;
	batch_run(&c->batch, pool->dev, BLK_WRITE, 0, c->xfer, c->n, step);
}

/* ---- the end ---- */

static void edit_super(struct super_change *change, struct superblock *next)
{
	struct pool_checkpoint *c = container_of(change, struct pool_checkpoint, super);

	next->tail_lsn = c->tail.lsn;
	next->tail_prev_epoch = c->tail.prev_epoch;
	next->tail_prev_crc = c->tail.prev_crc;
	next->next_id = c->pool->next_id;
	next->pages_lsn = c->pool->log.durable.lsn - 1; /* no batch is under way */
}

static void super_done(struct super_change *change, int res)
{
	struct pool_checkpoint *c = container_of(change, struct pool_checkpoint, super);
	struct pool *pool = c->pool;

	if (res) {
		fail(pool, res, "writing the superblock");
		return;
	}
	pool->log.tail_lsn = c->tail.lsn;
	c->step = CHECKPOINT_IDLE;
	counter_add(&c->checkpoints, 1);
	answer(&c->waiters, 0, NULL);
	log_kick(pool); /* who waited for room in the ring */
	if (c->again && c->step == CHECKPOINT_IDLE) {
		c->again = false;
		list_splice_back(&c->waiters, &c->later);
		begin(pool);
	}
}

static void write_super(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	c->step = CHECKPOINT_SUPER;
	c->super = (struct super_change){.edit = edit_super, .done = super_done};
	super_change(&pool->super, &c->super);
}

void checkpoint_sums_settled(struct pool *pool)
{
	if (pool->checkpoint->step == CHECKPOINT_SUMS && sums_settled(pool))
		write_super(pool);
}

void checkpoint_round_durable(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	if (c->step != CHECKPOINT_ROUND)
		return;
	if (c->n_new) {
		int res = take_segments(pool);

		if (res)
			fail(pool, res, "registering metadata segments");
		else
			next_batch(pool);
	} else if (c->n) {
		write_pages(pool);
	} else if (checkpoint_missing(pool)) {
		next_batch(pool);
	} else if (checkpoint_todo(
			   pool)) { /* ordinary rounds leave a quarter of the ring: cannot be */
		fail(pool, -ENOSPC, "the journal has no room for what the checkpoint announces");
	} else {
		c->step = CHECKPOINT_SUMS;
		checkpoint_sums_settled(pool);
	}
}

/* ---- writing ---- */

static void read_back(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	for (unsigned i = 0; i < c->n; i++)
		c->xfer[i].buf = c->back[i];
	c->step = CHECKPOINT_READ;
	batch_run(&c->batch, pool->dev, BLK_READ, 0, c->xfer, c->n, step);
}

static void batch_ends(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;

	for (unsigned i = 0; i < c->n; i++) {
		unsigned t = c->page[i].segtab;

		if (memcmp(c->image[i], c->back[i], LAYOUT_PAGE) != 0) {
			log_error("pool.lost_write", "pool=%s place=%" PRIu64 " kind=%s",
				  pool->super.now.name, c->page[i].place,
				  page_kind_name(c->page[i].id.kind));
			fail(pool, -EILSEQ, "a metadata page does not read back as it was written");
			return;
		}
		if (c->page[i].pair)
			pair_flip(&c->segments, c->page[i].pair);
		else
			c->segments.tab_winner[t / 64] ^= (uint64_t)1 << (t % 64);
	}
	counter_add(&c->pages, c->n);
	next_batch(pool);
}

static void step(struct batch *batch, int res)
{
	struct pool_checkpoint *c = container_of(batch, struct pool_checkpoint, batch);
	struct pool *pool = c->pool;

	if (res) {
		fail(pool, res, "writing metadata pages");
		return;
	}
	switch (c->step) {
	case CHECKPOINT_ZERO:
		free(c->zeros);
		c->zeros = NULL;
		c->step = CHECKPOINT_ZERO_FLUSH;
		batch_flush(&c->batch, pool->dev, step);
		return;
	case CHECKPOINT_ZERO_FLUSH:
		want_op(pool);
		return;
	case CHECKPOINT_WRITE:
		c->step = CHECKPOINT_FLUSH;
		batch_flush(&c->batch, pool->dev, step);
		return;
	case CHECKPOINT_FLUSH:
		read_back(pool);
		return;
	case CHECKPOINT_READ:
		batch_ends(pool);
		return;
	case CHECKPOINT_IDLE:
	case CHECKPOINT_OP:
	case CHECKPOINT_ROUND:
	case CHECKPOINT_SUMS:
	case CHECKPOINT_SUPER:
		ASSERT(!"no transfer in this step");
	}
}

bool checkpoint_io(const struct pool *pool)
{
	return pool->checkpoint->batch.pending != 0;
}

void checkpoint_failed(struct pool *pool)
{
	struct pool_checkpoint *c = pool->checkpoint;
	const struct err err = {-EIO, "the pool has failed"};

	if (!c)
		return;
	if (c->step == CHECKPOINT_OP && pool->op == &c->op)
		pool_op_end(pool, &c->op);
	answer(&c->waiters, -EIO, &err);
	answer(&c->later, -EIO, &err);
}

int checkpoint_init(struct pool *pool)
{
	struct pool_checkpoint *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pool->checkpoint = c;
	c->pool = pool;
	c->op = (struct pool_op){.run = op_run, .background = true};
	list_init(&c->leaves);
	list_init(&c->objects);
	list_init(&c->todo_leaves);
	list_init(&c->todo_objects);
	list_init(&c->waiters);
	list_init(&c->later);
	segments_init(&c->segments);
	c->image = batch_buffer((size_t)CHECKPOINT_PAGES * LAYOUT_PAGE);
	c->back = batch_buffer((size_t)CHECKPOINT_PAGES * LAYOUT_PAGE);
	c->xfer = calloc(CHECKPOINT_PAGES, sizeof(*c->xfer));
	return c->image && c->back && c->xfer ? checkpoint_layer_room(c, 0) : -ENOMEM;
}
