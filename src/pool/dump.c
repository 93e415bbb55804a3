/* SPDX-License-Identifier: Apache-2.0 */
/* SUPER -> LOAD -> READ_RING -> READ_HEAD -> SEGMENTS -> STATE -> CLOSE; what is not asked for is left out. */
#include "pool/dump.h"

#include <errno.h>
#include <stdlib.h>

#include "pool/dump_priv.h"

static void run(struct dump *d);

json_t *dump_array(json_t *object, const char *name)
{
	json_t *array = json_array();

	json_object_set_new(object, name, array);
	return array;
}

static void end(struct dump *d, int res)
{
	pool_done_fn done = d->done;
	void *ctx = d->ctx;
	struct err err = d->err;

	if (res && !err.code)
		(void)err_set(&err, res, "%s cannot be read: %s", d->dev->name, strerror(-res));
	if (d->super.page)
		super_fini(&d->super);
	free(d->xfer);
	free(d->ring);
	free(d->head);
	free(d->segment);
	free(d);
	done(ctx, res, res ? &err : NULL);
}

static void closed(void *ctx, int res, const struct err *err)
{
	struct dump *d = ctx;

	d->pool = NULL;
	if (res && !d->err.code)
		d->err = *err;
	end(d, d->err.code);
}

static void fail(struct dump *d, int res)
{
	(void)err_set(&d->err, res, "%s cannot be read: %s", d->dev->name, strerror(-res));
	if (d->pool)
		pool_close(d->pool, closed, d);
	else
		end(d, res);
}

static void next(struct dump *d)
{
	d->step++;
	run(d);
}

static void super_done(struct pool_super *super, int res)
{
	struct dump *d = container_of(super, struct dump, super);

	if (res) {
		fail(d, res);
		return;
	}
	dump_super(d);
	next(d);
}

static void problem(void *ctx, const struct pool_problem *p)
{
	struct dump *d = ctx;

	json_array_append_new(json_object_get(d->into, "problems"), json_string(p->text));
}

static void loaded(void *ctx, int res, const struct err *err)
{
	struct dump *d = ctx;

	if (res) {
		d->pool = NULL;
		json_object_set_new(d->into, "error", json_string(err->text));
		end(d, 0);
		return;
	}
	next(d);
}

static void load(struct dump *d)
{
	struct pool_open_opts opts = {.read_only = true, .problem = problem, .problem_ctx = d};

	dump_array(d->into, "problems");
	pool_open(d->env, d->dev, &opts, &d->pool, loaded, d);
}

static void area_read(struct batch *batch, int res)
{
	struct dump *d = container_of(batch, struct dump, batch);

	if (res) {
		fail(d, res);
		return;
	}
	if (d->step == DUMP_READ_RING)
		dump_journal(d);
	next(d);
}

static void read_area(struct dump *d, uint64_t offset, uint64_t bytes, uint8_t **buf)
{
	unsigned n = (unsigned)(bytes / LAYOUT_CLUSTER);

	free(d->xfer);
	*buf = batch_alloc(bytes);
	d->xfer = calloc(n, sizeof(*d->xfer));
	if (!*buf || !d->xfer) {
		fail(d, -ENOMEM);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		d->xfer[i] = (struct batch_xfer){offset + i * (uint64_t)LAYOUT_CLUSTER,
						 LAYOUT_CLUSTER, *buf + (size_t)i * LAYOUT_CLUSTER};
	batch_run(&d->batch, d->dev, BLK_READ, 0, d->xfer, n, area_read);
}

/* ---- pages ---- */

static void read_segment(struct dump *d);

static void segment_read(struct batch *batch, int res)
{
	struct dump *d = container_of(batch, struct dump, batch);
	uint64_t cluster = d->pool->checkpoint->segments.cluster[d->next_segment];

	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS && !res; i++)
		dump_slot(d, d->segment + (size_t)i * LAYOUT_PAGE,
			  cluster * LAYOUT_CLUSTER_BLOCKS + i);
	d->next_segment++;
	read_segment(d);
}

static void read_segment(struct dump *d)
{
	const struct segments *s = &d->pool->checkpoint->segments;

	while (d->next_segment < s->n && !s->cluster[d->next_segment])
		d->next_segment++;
	if (d->next_segment >= s->n) {
		next(d);
		return;
	}
	d->xfer[0] = (struct batch_xfer){s->cluster[d->next_segment] * LAYOUT_CLUSTER,
					 LAYOUT_CLUSTER, d->segment};
	batch_run(&d->batch, d->dev, BLK_READ, 0, d->xfer, 1, segment_read);
}

static void pages(struct dump *d)
{
	d->pages = dump_array(d->into, "pages");
	d->segment = batch_alloc(LAYOUT_CLUSTER);
	if (!d->segment) {
		fail(d, -ENOMEM);
		return;
	}
	for (unsigned i = 0; i < 2 * SEGTAB_PAIRS; i++) {
		uint64_t place = segtab_place(i / 2, i % 2);

		dump_slot(d, d->head + place * LAYOUT_PAGE, place);
	}
	read_segment(d);
}

static void run(struct dump *d)
{
	switch (d->step) {
	case DUMP_SUPER:
		super_read(&d->super, super_done);
		return;
	case DUMP_LOAD:
		load(d);
		return;
	case DUMP_READ_RING:
		if (d->what & DUMP_JOURNAL)
			read_area(d, LAYOUT_HEAD,
				  (uint64_t)d->pool->rules.journal_blocks * LAYOUT_PAGE, &d->ring);
		else
			next(d);
		return;
	case DUMP_READ_HEAD:
		if (d->what & DUMP_PAGES)
			read_area(d, 0, LAYOUT_HEAD, &d->head);
		else
			next(d);
		return;
	case DUMP_SEGMENTS:
		if (d->what & DUMP_PAGES)
			pages(d);
		else
			next(d);
		return;
	case DUMP_STATE:
		dump_state(d);
		next(d);
		return;
	case DUMP_CLOSE:
		pool_close(d->pool, closed, d);
		return;
	case DUMP_END:
	default:
		UNREACHABLE();
	}
}

static void begin(struct msg *msg)
{
	struct dump *d = container_of(msg, struct dump, msg);

	if (super_init(&d->super, d->dev))
		fail(d, -ENOMEM);
	else
		run(d);
}

void pool_dump(const struct pool_env *env, struct blk_dev *dev, unsigned what, json_t *into,
	       pool_done_fn done, void *ctx)
{
	struct dump *d = calloc(1, sizeof(*d));

	ASSERT(d); /* a few hundred bytes: without them nobody could be told either */
	d->env = env;
	d->dev = dev;
	d->what = what;
	d->into = into;
	d->done = done;
	d->ctx = ctx;
	d->msg.run = begin;
	reactor_post(env->home, &d->msg);
}
