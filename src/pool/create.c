/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making an empty pool:
 *
 *   LOOK (is anything there?) -> WIPE (the superblock copies of whatever was there) -> WIPE_FLUSH -> CLEAR (segment table, journal ring; the end
 *   too, where something was found) -> CLEAR_FLUSH -> SUPER
 *
 * Invariants:
 *  1. A cut in between leaves no pool, never half of an old one (FORMAT.md "Creating").
 *  2. The ring is cleared too: the caller may give a pool the UUID of an earlier one on the same device, whose blocks would count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "pool/priv.h"
#include "pool/signature.h"

#define PIECE LAYOUT_CLUSTER /* bytes of a transfer */

struct creating {
	enum {
		CREATE_REFUSED,
		CREATE_LOOK,
		CREATE_WIPE,
		CREATE_WIPE_FLUSH,
		CREATE_CLEAR,
		CREATE_CLEAR_FLUSH,
		CREATE_SUPER
	} step;
	struct blk_dev *dev;
	struct reactor *home;
	struct pool_super super;
	struct batch batch;
	struct batch_xfer *xfer;
	unsigned n_xfer;
	uint8_t *head, *tail; /* what is there; then head is zeroed and is what is written */
	uint64_t tail_offset, tail_bytes;
	const char *foreign;
	bool force, clear_tail; /* several formats have copies at both ends */
	struct err err;
	struct task task;
	pool_done_fn done;
	void *ctx;
};

static void create_end(struct creating *c, int res)
{
	pool_done_fn done = c->done;
	void *ctx = c->ctx;
	struct err err = c->err;

	if (res && !err.code)
		(void)err_set(&err, res, "%s: creating a pool failed: %s", c->dev->name,
			      strerror(-res));
	super_fini(&c->super);
	free(c->xfer);
	free(c->head);
	free(c->tail);
	free(c);
	done(ctx, res, &err);
}

static void add_xfer(struct creating *c, uint64_t offset, uint64_t length, void *buf)
{
	c->xfer[c->n_xfer++] = (struct batch_xfer){offset, (uint32_t)length, buf};
}

/* The last SIGNATURE_TAIL bytes. A pool needs more than that. */
static void plan_look(struct creating *c)
{
	uint64_t size = atomic_load(&c->dev->size_bytes);

	c->tail_bytes = SIGNATURE_TAIL;
	c->tail_offset = align_down(size, 4096) - SIGNATURE_TAIL;
	if (size % 4096) /* up to the last sector, which has a GPT's second header */
		c->tail_bytes += size % 4096;
	for (uint64_t at = 0; at < SIGNATURE_HEAD; at += PIECE)
		add_xfer(c, at, PIECE, c->head + at);
	add_xfer(c, c->tail_offset, c->tail_bytes, c->tail);
}

static int look(struct creating *c)
{
	const char *what =
		signature_find(c->head, c->tail, c->tail_offset, c->tail_offset + c->tail_bytes);

	if (!what)
		what = c->foreign;
	if (what && !c->force)
		return err_set(&c->err, -EEXIST,
			       "%s holds %s; creating a pool destroys it: to do that, force it by "
			       "this exact name (--force %s)",
			       c->dev->name, what, c->dev->name);
	c->clear_tail = what != NULL;
	memset(c->head, 0, SIGNATURE_HEAD);
	memset(c->tail, 0, c->tail_bytes);
	return 0;
}

static void plan_wipe(struct creating *c)
{
	c->n_xfer = 0;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		add_xfer(c, SUPERBLOCK_COPY_OFFSET(i), LAYOUT_PAGE, c->head);
}

static void plan_clear(struct creating *c)
{
	uint64_t end = c->super.next.first_cluster * LAYOUT_CLUSTER;

	c->n_xfer = 0;
	for (uint64_t at = 0; at < LAYOUT_HEAD; at += PIECE)
		add_xfer(c, at + LAYOUT_PAGE, PIECE - LAYOUT_PAGE, c->head);
	for (uint64_t at = LAYOUT_HEAD; at < end; at += PIECE)
		add_xfer(c, at, PIECE, c->head);
	if (c->clear_tail)
		add_xfer(c, c->tail_offset, c->tail_bytes, c->tail);
}

static void super_done(struct pool_super *super, int res)
{
	create_end(container_of(super, struct creating, super), res);
}

static void step_done(struct batch *batch, int res)
{
	struct creating *c = container_of(batch, struct creating, batch);

	if (!res && c->step == CREATE_LOOK)
		res = look(c);
	if (res) {
		create_end(c, res);
		return;
	}
	c->step++;
	switch (c->step) {
	case CREATE_WIPE:
		plan_wipe(c);
		batch_run(batch, c->dev, BLK_WRITE, 0, c->xfer, c->n_xfer, step_done);
		return;
	case CREATE_CLEAR:
		plan_clear(c);
		batch_run(batch, c->dev, BLK_WRITE, 0, c->xfer, c->n_xfer, step_done);
		return;
	case CREATE_WIPE_FLUSH:
	case CREATE_CLEAR_FLUSH:
		batch_flush(batch, c->dev, step_done);
		return;
	case CREATE_SUPER:
		super_write(&c->super, true, super_done);
		return;
	case CREATE_REFUSED:
	case CREATE_LOOK:
	default:
		UNREACHABLE();
	}
}

static int options_check(const struct pool_create_opts *opts, const struct superblock *sb,
			 struct err *err)
{
	char name[LAYOUT_NAME_MAX + 1] = "";

	if (!opts->name || !str_copy(name, sizeof(name), opts->name) ||
	    !layout_name_valid(name, sizeof(name), LAYOUT_NAME_MAX))
		return err_set(err, -EINVAL,
			       "the name of a pool has 1 to %u characters of printable ASCII, "
			       "without blanks and slashes",
			       LAYOUT_NAME_MAX);
	if (sb->watermark[0] > sb->watermark[1] || sb->watermark[1] > sb->watermark[2] ||
	    sb->watermark[2] > 100)
		return err_set(err, -EINVAL,
			       "watermarks are three percentages that ascend to at most 100");
	if (opts->sums && sb->end_cluster - sb->first_cluster < 3)
		return err_set(err, -EINVAL,
			       "the device is too small for a pool with sums of data");
	if (sb->reserved_clusters > sb->end_cluster - sb->first_cluster)
		return err_set(err, -EINVAL, "more space is to be reserved than the device has");
	return 0;
}

/* The superblock of the new pool to c->super.next. */
static int plan_super(struct creating *c, const struct pool_create_opts *opts)
{
	struct superblock *sb = &c->super.next;
	static const uint8_t usual[3] = {80, 90, 95};
	uint8_t random[2][16];
	bool no_marks = !opts->watermark[0] && !opts->watermark[1] && !opts->watermark[2];
	int rc = superblock_geometry(atomic_load(&c->dev->size_bytes), sb, &c->err);

	if (rc)
		return rc;
	sb->reserved_clusters = opts->reserved_bytes / LAYOUT_CLUSTER +
				(opts->reserved_bytes % LAYOUT_CLUSTER != 0);
	memcpy(sb->watermark, no_marks ? usual : opts->watermark, sizeof(sb->watermark));
	rc = options_check(opts, sb, &c->err);
	if (rc)
		return rc;
	reactor_random(c->home, random, sizeof(random));
	sb->incompat = opts->sums ? LAYOUT_INCOMPAT_SUMS : 0;
	sb->pool = uuid_is_null(&opts->uuid) ? uuid_from_random(random[0]) : opts->uuid;
	sb->writer = uuid_from_random(random[1]);
	sb->epoch = 1;
	sb->block_bytes = c->dev->block_size;
	sb->tail_lsn = 1;
	sb->epoch_lsn = 1;
	sb->state = SUPERBLOCK_CLEAN;
	sb->next_id = 1;
	sb->created_s = reactor_wall_ns(c->home) / NSEC_PER_SEC;
	sb->commit_percent = opts->commit_percent;
	(void)str_copy(sb->name, sizeof(sb->name), opts->name); /* its length was checked */
	return 0;
}

static int plan(struct creating *c, const struct pool_create_opts *opts)
{
	uint64_t n = SIGNATURE_HEAD / PIECE;
	int rc = plan_super(c, opts);

	if (rc)
		return rc;
	if (c->dev->caps & BLK_CAP_READ_ONLY)
		return err_set(&c->err, -EROFS, "%s is read-only", c->dev->name);
	n += c->super.next.first_cluster + 2;
	c->xfer = calloc(n, sizeof(*c->xfer));
	c->head = batch_alloc(SIGNATURE_HEAD);
	c->tail = batch_alloc(SIGNATURE_TAIL + 4096);
	if (!c->xfer || !c->head || !c->tail || super_init(&c->super, c->dev))
		return err_set(&c->err, -ENOMEM, "no memory to create a pool");
	return 0;
}

static void refused(struct task *task)
{
	struct creating *c = container_of(task, struct creating, task);

	create_end(c, c->err.code);
}

void pool_create(const struct pool_env *env, struct blk_dev *dev,
		 const struct pool_create_opts *opts, pool_done_fn done, void *ctx)
{
	struct creating *c = calloc(1, sizeof(*c));

	ASSERT(c); /* a few hundred bytes: without them nobody could be told either */
	c->dev = dev;
	c->home = env->home;
	c->force = opts->force;
	c->foreign = opts->foreign;
	c->done = done;
	c->ctx = ctx;
	if (plan(c, opts)) {
		c->task.run = refused;
		reactor_defer(env->home, &c->task);
		return;
	}
	c->step = CREATE_LOOK;
	plan_look(c);
	batch_run(&c->batch, dev, BLK_READ, 0, c->xfer, c->n_xfer, step_done);
}
