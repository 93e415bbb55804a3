/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A successor: the pool as pool_open() has loaded it, and the tail of the journal that another process goes on writing.
 *
 *   IDLE -> READ -> (apply group by group) -> READ ... -> IDLE                         pool_follow()
 *   IDLE -> WRITE (look, superblock of the next epoch) -> BACK (read back) -> gone      pool_take_over()
 *
 * Invariants:
 *  1. Only whole groups are applied, in order, by pool_apply() as in the process that wrote them; so tables, maps and what the next checkpoint has to write are what they are there.
 *  2. Space is kept per group: within one a cluster may leave one map and enter another in any order, at its end it has one owner or none. A cluster that lost its owner is free
 *     at once: what the old process still does before it grants it again is over when it has frozen.
 *  3. Sums of data are followed, too, and nothing is read or written for them before the pool is taken over: the table changes under a successor.
 *  4. There is no page and no segment in the tail: the old process does not checkpoint. If there is, this successor is out of date.
 */
#include "pool/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "pool/scrub.h"
#include "pool/sums.h"

#define FOLLOW_BLOCKS (2 * JOURNAL_GROUP_BLOCKS) /* read at once at most; a group and more */
#define FOLLOW_FIRST  32u                        /* where nobody says how many there are */

struct owner_note {
	uint64_t phys;
	int delta;
};

struct pool_follow {
	enum follow_step {
		FOLLOW_IDLE,
		FOLLOW_READ,
		FOLLOW_WRITE,
		FOLLOW_BACK,
		FOLLOW_BROKEN, /* had an error: only closing is left */
	} step;
	struct pool *pool;
	struct layout_rules rules; /* the old process's; the pool's become ours meanwhile */
	struct journal_scan scan;  /* at the last complete group when nothing is under way */
	bool exact;                /* up to target */
	bool followed;             /* the last one was exact, and got there */
	struct pool_position target;
	uint8_t *buf;
	uint32_t n, more; /* blocks in buf, behind scan.commit; how many to read next */
	struct batch batch;
	struct batch_xfer xfer[2];
	struct owner_note *note;
	size_t n_notes, capacity;
	uint64_t blocks; /* applied */
	struct err err;
	pool_done_fn ready, done;
	void *ctx;
	struct msg msg;
};

static void read_more(struct pool_follow *f);

/* ---- who owns what ---- */

static int note_add(struct pool_follow *f, uint64_t phys, int delta)
{
	if (f->n_notes == f->capacity) {
		size_t capacity = f->capacity ? f->capacity * 2 : 256;
		struct owner_note *p = reallocarray(f->note, capacity, sizeof(*p));

		if (!p)
			return -ENOMEM;
		f->note = p;
		f->capacity = capacity;
	}
	f->note[f->n_notes++] = (struct owner_note){phys, delta};
	return 0;
}

int follow_note(struct pool *pool, uint64_t old_entry, uint64_t new_entry)
{
	uint64_t before = map_phys(old_entry), after = map_phys(new_entry);
	int rc = 0;

	if (before == after)
		return 0;
	if (before)
		rc = note_add(pool->follow, before, -1);
	return !rc && after ? note_add(pool->follow, after, 1) : rc;
}

int follow_note_layer(struct pool *pool, const struct pool_layer *layer)
{
	int rc = 0;

	for (uint64_t c = map_next(layer->map, 0); c != UINT64_MAX && !rc;
	     c = map_next(layer->map, c + 1))
		rc = follow_note(pool, map_get(layer->map, (uint32_t)c, NULL), 0);
	return rc;
}

static int by_phys(const void *a, const void *b)
{
	uint64_t x = ((const struct owner_note *)a)->phys, y = ((const struct owner_note *)b)->phys;

	return (x > y) - (x < y);
}

static int settle_one(struct pool_follow *f, uint64_t phys, int delta)
{
	struct pool *pool = f->pool;
	int owners = (phys < pool->space.used.bits && bitmap_test(&pool->space.used, phys)) + delta;

	if (phys < pool->rules.first_cluster || phys >= pool->rules.end_cluster || owners < 0 ||
	    owners > 1)
		return err_set(&f->err, -EUCLEAN,
			       "pool %s: journal block %" PRIu64 " gives cluster %" PRIu64
			       " %d owners",
			       pool->super.now.name, f->scan.commit.lsn - 1, phys, owners);
	if (delta > 0)
		(void)space_own(pool, phys);
	else if (delta < 0)
		space_put(pool, phys);
	return 0;
}

/* The group is complete. */
static int settle_owners(struct pool_follow *f)
{
	int rc = 0;

	if (f->n_notes > 1)
		qsort(f->note, f->n_notes, sizeof(*f->note), by_phys);
	for (size_t i = 0, end; i < f->n_notes && !rc; i = end) {
		int delta = 0;

		for (end = i; end < f->n_notes && f->note[end].phys == f->note[i].phys; end++)
			delta += f->note[end].delta;
		rc = settle_one(f, f->note[i].phys, delta);
	}
	f->n_notes = 0;
	return rc;
}

/* ---- applying ---- */

static bool object_is_busy(const struct pool *pool, uint64_t id)
{
	const struct pool_object *object = pool_object_find(pool, id);

	for (unsigned i = 0; object && i < pool->n_listeners; i++)
		if (pool->listener[i].object_busy &&
		    pool->listener[i].object_busy(pool->listener[i].ctx, object))
			return true;
	return false;
}

static int apply(struct pool_follow *f, const struct record *r)
{
	struct pool *pool = f->pool;
	struct err why = {0};
	int rc;

	if (r->type == RECORD_PAGES || r->type == RECORD_SEGMENT_SET)
		return err_set(&f->err, -ESTALE,
			       "pool %s: the old engine made a checkpoint while this one followed "
			       "its journal",
			       pool->super.now.name);
	if (r->type == RECORD_PROPS_DELETE && object_is_busy(pool, r->props_delete.object))
		return err_set(&f->err, -ESTALE,
			       "pool %s: a volume was deleted during the hand-over",
			       pool->super.now.name);
	rc = pool_apply(pool, r, true, &why);
	return rc ? err_set(&f->err, rc, "pool %s: following a record %s: %s", pool->super.now.name,
			    record_type_name(r->type), why.text)
		  : 0;
}

static int apply_block(struct pool_follow *f, const uint8_t *block)
{
	struct journal_cursor c;
	struct record r;
	int rc = 0;

	journal_cursor_init(&c, block);
	while (!rc && journal_cursor_next(&c, &f->rules, &r))
		rc = apply(f, &r);
	return rc;
}

/* Whether the end of the scan is one that a growing journal has. Blocks that are being written look torn. */
static int judge_end(struct pool_follow *f)
{
	const struct journal_scan *s = &f->scan;

	if (s->end == JOURNAL_BLANK || s->end == JOURNAL_TORN || s->end == JOURNAL_FOREIGN ||
	    s->end == JOURNAL_STALE)
		return 0;
	return err_set(&f->err, s->end == JOURNAL_BAD ? -EUCLEAN : -ESTALE,
		       "pool %s: journal block %" PRIu64 " cannot be followed: %s",
		       f->pool->super.now.name, s->end_lsn, journal_found_name(s->end));
}

/* Takes what was read, up to the last complete group. 1: there may be more behind it. */
static int take_blocks(struct pool_follow *f)
{
	struct journal_scan before = f->scan;
	uint32_t applied = 0;
	int rc = 0;

	for (uint32_t i = 0; i < f->n && !rc && !f->scan.ended; i++) {
		if (journal_scan_block(&f->scan, f->buf + (size_t)i * LAYOUT_PAGE) !=
		    JOURNAL_COMMIT)
			continue;
		for (; applied <= i && !rc; applied++)
			rc = apply_block(f, f->buf + (size_t)applied * LAYOUT_PAGE);
		if (!rc)
			rc = settle_owners(f);
		before = f->scan;
		f->blocks = f->scan.commit.lsn;
	}
	if (!rc && f->scan.ended)
		rc = judge_end(f);
	if (rc)
		return rc;
	rc = !f->scan.ended;
	f->more = applied ? FOLLOW_FIRST : f->more * 2;
	f->scan = before; /* a group that is not complete is read again */
	return rc;
}

/* ---- reading ---- */

static void answer(struct msg *msg)
{
	struct pool_follow *f = container_of(msg, struct pool_follow, msg);
	pool_done_fn done = f->done;
	struct err err = f->err;

	f->step = err.code ? FOLLOW_BROKEN : FOLLOW_IDLE;
	done(f->ctx, err.code, err.code ? &err : NULL);
}

static void follow_end(struct pool_follow *f)
{
	struct pool *pool = f->pool;

	if (f->exact && !f->err.code)
		(void)sums_restore(pool, f->target.saved, f->target.saved_bytes, &f->err);
	for (unsigned i = 0; i < pool->n_listeners && !f->err.code; i++) {
		int rc = pool->listener[i].followed
				 ? pool->listener[i].followed(pool->listener[i].ctx)
				 : 0;

		if (rc)
			(void)err_set(&f->err, rc, "pool %s: no memory for its volumes",
				      pool->super.now.name);
	}
	f->followed = f->exact && !f->err.code;
	f->msg.run = answer;
	reactor_post(pool->home, &f->msg);
}

/* Why the target is not reached, when there is no more to read. */
static void check_reached(struct pool_follow *f)
{
	if (!f->err.code && f->exact && f->scan.commit.lsn != f->target.lsn)
		(void)err_set(&f->err, -EUCLEAN,
			      "pool %s: its journal ends at block %" PRIu64
			      ", and the old engine has written up to %" PRIu64,
			      f->pool->super.now.name, f->scan.commit.lsn - 1, f->target.lsn - 1);
}

static void read_done(struct batch *batch, int res)
{
	struct pool_follow *f = container_of(batch, struct pool_follow, batch);
	int rc = res;

	if (res)
		(void)err_set(&f->err, res, "pool %s: reading the journal: error %d",
			      f->pool->super.now.name, -res);
	else
		rc = take_blocks(f);
	if (rc > 0 && !(f->exact && f->scan.commit.lsn == f->target.lsn) &&
	    f->more <= FOLLOW_BLOCKS) {
		read_more(f);
		return;
	}
	check_reached(f);
	follow_end(f);
}

static void read_more(struct pool_follow *f)
{
	struct pool *pool = f->pool;
	uint32_t ring = f->rules.journal_blocks;
	uint64_t lsn = f->scan.commit.lsn, left = ring - (lsn - f->rules.tail_lsn);
	uint32_t at = (uint32_t)(lsn % ring), first;

	f->n = (uint32_t)MIN(f->exact ? MIN(f->target.lsn - lsn, (uint64_t)FOLLOW_BLOCKS) : f->more,
			     left);
	first = MIN(f->n, ring - at);
	f->xfer[0] =
		(struct batch_xfer){journal_offset(&f->rules, lsn), first * LAYOUT_PAGE, f->buf};
	f->xfer[1] = (struct batch_xfer){LAYOUT_HEAD, (f->n - first) * LAYOUT_PAGE,
					 f->buf + (size_t)first * LAYOUT_PAGE};
	f->step = FOLLOW_READ;
	batch_run(&f->batch, pool->dev, BLK_READ, 0, f->xfer,
		  !f->n          ? 0
		  : first < f->n ? 2
				 : 1,
		  read_done);
}

/* The superblock that was read at the opening is the one that the old process had when it froze. */
static int check_target(struct pool_follow *f)
{
	const struct superblock *sb = &f->pool->super.now;
	const struct pool_position *t = &f->target;

	if (!uuid_equal(&t->pool, &sb->pool) || !uuid_equal(&t->writer, &sb->writer) ||
	    t->epoch != sb->epoch || t->generation != sb->generation)
		return err_set(&f->err, -ESTALE,
			       "pool %s: its superblock has changed (epoch %" PRIu64
			       ", generation %" PRIu64 ", and the old engine says %" PRIu64
			       " and %" PRIu64 "): this engine has read an older state",
			       sb->name, sb->epoch, sb->generation, t->epoch, t->generation);
	if (t->lsn < f->scan.commit.lsn)
		return err_set(&f->err, -ESTALE,
			       "pool %s: the old engine froze at journal block %" PRIu64
			       ", and blocks up to %" PRIu64 " are here",
			       sb->name, t->lsn - 1, f->scan.commit.lsn - 1);
	return 0;
}

void pool_follow(struct pool *pool, const struct pool_position *target, pool_done_fn done,
		 void *ctx)
{
	struct pool_follow *f = pool->follow;

	ASSERT(f && (f->step == FOLLOW_IDLE || f->step == FOLLOW_BROKEN));
	f->done = done;
	f->ctx = ctx;
	f->exact = target != NULL;
	f->followed = false;
	f->more = FOLLOW_FIRST;
	if (target)
		f->target = *target;
	if (!f->err.code && (!target || !check_target(f)))
		read_more(f);
	else
		follow_end(f);
}

bool pool_is_successor(const struct pool *pool)
{
	return pool->follow != NULL;
}

/* ---- taking over ---- */

static void take_over_end(struct pool_follow *f, int res)
{
	struct pool *pool = f->pool;
	pool_done_fn done = f->done;
	void *ctx = f->ctx;
	struct err err = f->err;

	if (res && !err.code)
		(void)err_set(&err, res, "pool %s: writing the superblock of a new epoch: %s",
			      pool->super.now.name,
			      res == -ESTALE ? "somebody else has opened the pool"
					     : strerror(-res));
	if (!err.code) {
		log_begin_at(pool, &f->scan.commit);
		pool->hold.scrub_bytes_per_s = f->target.scrub_bytes_per_s;
	}
	follow_free(pool);
	pool->hold.step = HOLD_NONE;
	if (err.code)
		pool_fail(pool, err.code, err.text);
	else
		log_info("pool.taken_over", "pool=%s dev=%s epoch=%" PRIu64 " lsn=%" PRIu64,
			 pool->super.now.name, pool->dev->name, pool->super.now.epoch,
			 pool->log.durable.lsn);
	hold_resume(pool);
	if (!err.code)
		notes_start_later(pool);
	done(ctx, err.code, err.code ? &err : NULL);
}

static void back_read(struct pool_super *super, int res)
{
	struct pool *pool = container_of(super, struct pool, super);
	struct pool_follow *f = pool->follow;

	if (!res)
		res = open_fence(pool, &f->err);
	take_over_end(f, res);
}

static void epoch_written(struct pool_super *super, int res)
{
	struct pool *pool = container_of(super, struct pool, super);

	if (res) {
		take_over_end(pool->follow, res);
		return;
	}
	pool->follow->step = FOLLOW_BACK;
	super_read(super, back_read);
}

/* Rounds, operations, discards wait for the epoch: the pool is frozen until then (hold.h). */
static void take_over(struct msg *msg)
{
	struct pool_follow *f = container_of(msg, struct pool_follow, msg);
	struct pool *pool = f->pool;

	f->step = FOLLOW_WRITE;
	open_next_epoch(pool, f->scan.commit.lsn);
	super_write(&pool->super, false, epoch_written);
	atomic_store(&pool->write_error, 0);
	pool_set_state(pool, POOL_OPEN);
	sums_start(pool);
	f->ready(f->ctx, 0, NULL);
}

void pool_take_over(struct pool *pool, pool_done_fn ready, pool_done_fn done, void *ctx)
{
	struct pool_follow *f = pool->follow;

	ASSERT(f && f->step == FOLLOW_IDLE && f->followed);
	f->ready = ready;
	f->done = done;
	f->ctx = ctx;
	f->msg.run = take_over;
	reactor_post(pool->home, &f->msg);
}

/* ---- life ---- */

int follow_new(struct pool *pool, const struct journal_scan *scan, size_t n_torn, struct err *err)
{
	struct pool_follow *f;

	if (n_torn) /* it writes none while it is held, and mended what it found */
		return err_set(err, -EUCLEAN,
			       "pool %s has %zu torn pages under an engine that has it open",
			       pool->super.now.name, n_torn);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(err, -ENOMEM, "no memory to follow a journal");
	pool->follow = f;
	f->pool = pool;
	f->rules = pool->rules;
	f->scan = *scan;
	f->scan.rules = &f->rules;
	f->scan.link = f->scan.commit;
	f->scan.group = 0;
	f->scan.ended = false;
	f->buf = batch_buffer((size_t)FOLLOW_BLOCKS * LAYOUT_PAGE);
	if (!f->buf)
		return err_set(err, -ENOMEM, "no memory to follow a journal");
	pool->hold.step = HOLD_FROZEN;
	atomic_store(&pool->write_error, -EAGAIN);
	return 0;
}

void follow_free(struct pool *pool)
{
	struct pool_follow *f = pool->follow;

	if (!f)
		return;
	pool->follow = NULL;
	free(f->note);
	free(f->buf);
	free(f);
}
