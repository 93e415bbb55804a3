/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   READ --> (BLOCKS, when it cannot be read) --> (MEND or ZERO, then READ again, when metadata is bad) --> WAIT --> READ of the next ... --> SAVE --> STOPPED
 *
 * Invariants: 1. At most one I/O, timer, checkpoint or superblock change of the scrub is under way. 2. It ends at the next step after pool_scrub_stop(). 3. A slot is only
 * judged by bytes that were read while no checkpoint was writing.
 */
#include "pool/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "layout/sums.h"
#include "pool/scrub_priv.h"

#define HEAD_PARTS    ((uint32_t)(LAYOUT_HEAD / LAYOUT_CLUSTER))
#define SAVE_CLUSTERS 4096u /* read since the place was saved */
#define RETRY_NS      (50 * NSEC_PER_MSEC)

static const char *const step_name[] = {
	[SCRUB_STOPPED] = "stopped", [SCRUB_READ] = "running", [SCRUB_SUMS] = "running",
	[SCRUB_BLOCKS] = "running",  [SCRUB_MEND] = "mending", [SCRUB_ZERO] = "mending",
	[SCRUB_WAIT] = "running",    [SCRUB_SAVE] = "running",
};

static void read_next(struct pool_scrub *s);
static void save(struct pool_scrub *s);

void scrub_tell(struct pool_scrub *s, uint64_t offset, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->found++;
	log_error("pool.scrub", "pool=%s offset=%" PRIu64 " problem=\"%s\"",
		  s->pool->super.now.name, offset, text);
	if (json_array_size(s->problems) < SCRUB_PROBLEMS)
		json_array_append_new(s->problems, json_pack("{s:I, s:s}", "offset",
							     (json_int_t)offset, "problem", text));
}

/* ---- where it is ---- */

static bool in_head(const struct pool_scrub *s)
{
	return s->head_part < HEAD_PARTS;
}

/* The next cluster that holds something; the head comes first. False: none is left. */
static bool advance(struct pool_scrub *s)
{
	const struct superblock *sb = &s->pool->super.now;
	size_t next;

	if (in_head(s)) {
		s->head_part++;
		if (in_head(s))
			return true;
		s->cluster = MAX(s->cluster, sb->first_cluster) - 1;
	}
	next = bitmap_next_set(&s->pool->space.used, s->cluster + 1);
	if (next == BITMAP_NONE || next >= sb->end_cluster)
		return false;
	s->cluster = next;
	return true;
}

/* ---- the end ---- */

static void stopped(struct pool_scrub *s)
{
	void (*fn)(void *ctx) = s->stopped;

	s->step = SCRUB_STOPPED;
	s->stopping = false;
	s->stopped = NULL;
	free(s->buf);
	s->buf = NULL;
	log_info("pool.scrub",
		 "pool=%s complete=%d clusters=%" PRIu64 " found=%" PRIu64 " mended=%" PRIu64
		 " unreadable=%" PRIu64,
		 s->pool->super.now.name, s->complete, s->clusters_read, s->found, s->mended,
		 s->unreadable);
	if (fn)
		fn(s->stopped_ctx);
}

static void edit(struct super_change *change, struct superblock *next)
{
	const struct pool_scrub *s = container_of(change, struct pool_scrub, change);

	next->scrub_cluster = s->complete ? 0 : s->cluster;
}

static void saved(struct super_change *change, int res)
{
	struct pool_scrub *s = container_of(change, struct pool_scrub, change);

	if (res)
		pool_flush_failed(s->pool, res, "writing the superblock");
	s->unsaved = 0;
	if (res || s->stopping || s->complete)
		stopped(s);
	else
		read_next(s);
}

static void save(struct pool_scrub *s)
{
	if (pool_writable(s->pool) || (!s->unsaved && !s->complete)) {
		stopped(s);
		return;
	}
	s->step = SCRUB_SAVE;
	s->change = (struct super_change){.edit = edit, .done = saved};
	super_change(&s->pool->super, &s->change);
}

/* ---- between two ---- */

static void due(struct timer *timer)
{
	struct pool_scrub *s = container_of(timer, struct pool_scrub, timer);

	if (s->stopping)
		save(s);
	else
		read_next(s);
}

static void wait_until(struct pool_scrub *s, uint64_t ns)
{
	s->step = SCRUB_WAIT;
	s->timer.run = due;
	if (timer_start(s->pool->home, &s->timer, ns)) { /* no memory: it stops, and says where */
		s->stopping = true;
		save(s);
	}
}

static void cluster_done(struct pool_scrub *s)
{
	uint64_t ns = s->bytes_per_s == UINT64_MAX
			      ? 0
			      : LAYOUT_CLUSTER * NSEC_PER_SEC / MAX(s->bytes_per_s, 1u);

	s->clusters_read++;
	s->unsaved++;
	s->tries = 0;
	s->complete = !advance(s);
	s->passes += s->complete;
	if (s->complete || s->stopping || s->unsaved >= SAVE_CLUSTERS)
		save(s);
	else
		wait_until(s, s->read_at_ns + ns);
}

/* The same once more, unless it does not help. */
static void look_again(struct pool_scrub *s, uint64_t delay_ns)
{
	if (++s->tries >= SCRUB_TRIES)
		cluster_done(s);
	else
		wait_until(s, reactor_now(s->pool->home) + delay_ns);
}

/* ---- mending ---- */

static void mended(void *ctx, int res, const struct err *err)
{
	struct pool_scrub *s = ctx;

	s->mended += !res;
	if (res)
		cluster_done(s);
	else
		look_again(s, 0);
}

static void zeroed(struct batch *batch, int res)
{
	struct pool_scrub *s = container_of(batch, struct pool_scrub, batch);

	if (s->step == SCRUB_ZERO && !res) {
		s->step = SCRUB_MEND; /* the flush */
		batch_flush(&s->batch, s->pool->dev, zeroed);
		return;
	}
	if (s->step == SCRUB_MEND && res)
		pool_flush_failed(s->pool, res, "flushing after the scrub has mended");
	pair_free(&s->pool->checkpoint->segments, s->zero_pair);
	s->mended += !res;
	s->tries -= s->tries && !res; /* each slot of its own */
	look_again(s, 0);
}

static void zero_slot(struct pool_scrub *s)
{
	memset(s->buf, 0, LAYOUT_PAGE);
	s->step = SCRUB_ZERO;
	s->xfer.length = LAYOUT_PAGE;
	s->xfer.buf = s->buf;
	batch_run(&s->batch, s->pool->dev, BLK_WRITE, 0, &s->xfer, 1, zeroed);
}

static void judge(struct pool_scrub *s)
{
	uint32_t segment = in_head(s) ? UINT32_MAX : scrub_segment_at(s->pool, s->cluster);
	enum scrub_verdict verdict = SCRUB_GOOD;

	if (in_head(s))
		verdict = scrub_head(s);
	else if (segment != UINT32_MAX)
		verdict = scrub_segment(s, segment);
	switch (verdict) {
	case SCRUB_GOOD:
		cluster_done(s);
		return;
	case SCRUB_AGAIN: /* a busy pool is no reason to give up: only mending counts as a try */
		if (s->stopping)
			save(s);
		else
			wait_until(s, reactor_now(s->pool->home) + RETRY_NS);
		return;
	case SCRUB_DIRTIED:
		s->step = SCRUB_MEND;
		checkpoint_start(s->pool, mended, s);
		return;
	case SCRUB_ZERO_ONE:
		zero_slot(s);
		return;
	default:
		UNREACHABLE();
	}
}

/* ---- reading ---- */

static void read_block(struct pool_scrub *s);

static void block_read(struct batch *batch, int res)
{
	struct pool_scrub *s = container_of(batch, struct pool_scrub, batch);
	char owner[128];

	if (res) {
		s->unreadable++;
		scrub_owner(s->pool, s->cluster, owner, sizeof(owner));
		scrub_tell(s, s->xfer.offset,
			   "block %u of the device's cluster %" PRIu64
			   " cannot be read: %s; it is of %s",
			   s->block, in_head(s) ? s->head_part : s->cluster, strerror(-res),
			   in_head(s) ? "the head" : owner);
	}
	s->block++;
	read_block(s);
}

static void read_block(struct pool_scrub *s)
{
	uint64_t cluster = in_head(s) ? s->head_part : s->cluster;

	if (s->block == LAYOUT_CLUSTER_BLOCKS) {
		cluster_done(s);
		return;
	}
	if (s->stopping) { /* the next one begins with this cluster */
		save(s);
		return;
	}
	s->step = SCRUB_BLOCKS;
	s->xfer = (struct batch_xfer){cluster * LAYOUT_CLUSTER + s->block * (uint64_t)LAYOUT_PAGE,
				      LAYOUT_PAGE, s->buf};
	batch_run(&s->batch, s->pool->dev, BLK_READ, 0, &s->xfer, 1, block_read);
}

static void cluster_read(struct batch *batch, int res)
{
	struct pool_scrub *s = container_of(batch, struct pool_scrub, batch);

	s->bytes_read += LAYOUT_CLUSTER;
	if (res) {
		s->block = 0;
		read_block(s);
	} else {
		judge(s);
	}
}

static void read_sums(struct pool_scrub *s);

/*
 * A block that nobody had written when it was read, and has now, looked wrong then. So a mismatch counts when the block had been written before it was read once more; meanwhile nobody else can have got the
 * cluster without its blocks being invalid in between.
 */
static void summed(struct sums_check *check, int res)
{
	struct pool_scrub *s = container_of(check, struct pool_scrub, check);
	struct block_mask bad = check->bad, before = s->suspect;
	bool first = layout_is_zero(&before, sizeof(before));

	memset(&s->suspect, 0, sizeof(s->suspect));
	s->bytes_read += LAYOUT_CLUSTER;
	if (res) {
		s->block = 0;
		read_block(s);
		return;
	}
	for (unsigned w = 0; !first && w < ARRAY_LEN(bad.word); w++)
		bad.word[w] &= before.word[w];
	if (!scrub_somebodys(s, &bad)) {
		cluster_done(s);
	} else if (first) {
		s->suspect = bad;
		read_sums(s);
	} else {
		scrub_sums(s, &bad);
		cluster_done(s);
	}
}

static void read_sums(struct pool_scrub *s)
{
	s->step = SCRUB_SUMS;
	s->check.cluster = s->cluster;
	s->check.buf = s->buf;
	s->check.done = summed;
	sums_check(s->pool, &s->check);
}

static bool has_sums(const struct pool_scrub *s)
{
	const struct pool *pool = s->pool;

	return pool->sums && !in_head(s) && scrub_segment_at(pool, s->cluster) == UINT32_MAX &&
	       !sums_is_home(s->cluster, pool->rules.first_cluster);
}

static void read_next(struct pool_scrub *s)
{
	const struct pool_checkpoint *c = s->pool->checkpoint;
	uint64_t cluster = in_head(s) ? s->head_part : s->cluster;

	s->step = SCRUB_READ;
	s->checkpoints = c->step == CHECKPOINT_IDLE ? counter_get(&c->checkpoints) : UINT64_MAX;
	s->generation = s->pool->super.now.generation;
	s->read_at_ns = reactor_now(s->pool->home);
	if (has_sums(s)) {
		read_sums(s);
		return;
	}
	s->xfer = (struct batch_xfer){cluster * LAYOUT_CLUSTER, LAYOUT_CLUSTER, s->buf};
	batch_run(&s->batch, s->pool->dev, BLK_READ, 0, &s->xfer, 1, cluster_read);
}

/* ---- from outside ---- */

bool scrub_running(const struct pool *pool)
{
	return pool->scrub && pool->scrub->step != SCRUB_STOPPED;
}

static int make(struct pool *pool)
{
	struct pool_scrub *s = pool->scrub;

	if (s)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->pool = pool;
	s->cluster = pool->super.now.scrub_cluster;
	s->problems = json_array();
	pool->scrub = s;
	return 0;
}

static void forget_results(struct pool_scrub *s)
{
	json_array_clear(s->problems);
	s->clusters_read = s->bytes_read = s->pages_checked = 0;
	s->found = s->mended = s->unreadable = s->wrong = 0;
}

/* On the way to SCRUB_READ by a timer, so that nothing is called inside. */
int pool_scrub_start(struct pool *pool, const struct pool_scrub_opts *opts, struct err *err)
{
	struct pool_scrub *s;

	if (pool->state != POOL_OPEN && pool->state != POOL_READ_ONLY)
		return err_set(err, pool->state == POOL_FAILED ? -EIO : -EBUSY,
			       "pool %s is %s: nothing can be scrubbed", pool->super.now.name,
			       pool_state_name[pool->state]);
	if (pool->hold.step != HOLD_NONE)
		return err_set(err, -EBUSY, "pool %s is being handed over: scrub it afterwards",
			       pool->super.now.name);
	if (make(pool))
		return err_set(err, -ENOMEM, "no memory to scrub a pool");
	s = pool->scrub;
	s->bytes_per_s = opts->bytes_per_s ? opts->bytes_per_s : SCRUB_RATE_DEFAULT;
	if (s->step != SCRUB_STOPPED) {
		s->stopping = s->stopped != NULL;
		return 0;
	}
	if (opts->restart || s->complete)
		s->cluster = 0;
	if (!s->cluster)
		forget_results(s);
	s->buf = batch_alloc(LAYOUT_CLUSTER);
	if (!s->buf)
		return err_set(err, -ENOMEM, "no memory to scrub a pool");
	s->complete = false;
	s->head_part = 0; /* little: every time */
	s->tries = 0;
	wait_until(s, reactor_now(pool->home));
	return 0;
}

void pool_scrub_stop(struct pool *pool, void (*done)(void *ctx), void *ctx)
{
	struct pool_scrub *s = pool->scrub;

	ASSERT(scrub_running(pool) && !s->stopped);
	s->stopping = true;
	s->stopped = done;
	s->stopped_ctx = ctx;
	if (s->step == SCRUB_WAIT) /* may be long */
		wait_until(s, reactor_now(pool->home));
}

uint64_t scrub_pause(struct pool *pool)
{
	const struct pool_scrub *s = pool->scrub;
	uint64_t rate = scrub_running(pool) && !s->stopping ? s->bytes_per_s : 0;

	if (rate)
		pool_scrub_stop(pool, NULL, NULL);
	return rate;
}

void scrub_fini(struct pool *pool)
{
	struct pool_scrub *s = pool->scrub;

	if (!s)
		return;
	timer_stop(&s->timer);
	json_decref(s->problems);
	free(s->buf);
	free(s);
	pool->scrub = NULL;
}

json_t *pool_scrub_json(const struct pool *pool)
{
	const struct pool_scrub *s = pool->scrub;
	const struct superblock *sb = &pool->super.now;
	uint64_t at = s ? s->cluster : sb->scrub_cluster;

	if (!s)
		return json_pack("{s:s, s:I, s:I, s:I}", "state", "stopped", "cluster",
				 (json_int_t)at, "end_cluster", (json_int_t)sb->end_cluster,
				 "cluster_bytes", (json_int_t)LAYOUT_CLUSTER);
	return json_pack(
		"{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}",
		"state", step_name[s->step], "complete", s->complete, "cluster", (json_int_t)at,
		"end_cluster", (json_int_t)sb->end_cluster, "cluster_bytes",
		(json_int_t)LAYOUT_CLUSTER, "bytes_per_s",
		(json_int_t)(s->bytes_per_s == UINT64_MAX ? 0 : s->bytes_per_s), "clusters_read",
		(json_int_t)s->clusters_read, "bytes_read", (json_int_t)s->bytes_read,
		"pages_checked", (json_int_t)s->pages_checked, "problems_found",
		(json_int_t)s->found, "mended", (json_int_t)s->mended, "unreadable_blocks",
		(json_int_t)s->unreadable, "wrong_blocks", (json_int_t)s->wrong, "passes",
		(json_int_t)s->passes, "problems", s->problems);
}
