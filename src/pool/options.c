/* SPDX-License-Identifier: Apache-2.0 */
/* What of a pool changes by its superblock alone: name, limits, size. One struct per change, freed at its end. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"
#include "pool/priv.h"

struct options_change {
	struct super_change super;
	struct pool *pool;
	struct superblock want; /* the fields that are set below */
	bool name, commit, reserved, watermark, size;
	struct err err;
	struct task task;
	pool_done_fn done;
	void *ctx;
};

static void change_end(struct options_change *o, int res)
{
	if (res && !o->err.code)
		(void)err_set(&o->err, res, "pool %s: writing the superblock failed: %s",
			      o->pool->super.now.name, strerror(-res));
	o->done(o->ctx, res, res ? &o->err : NULL);
	free(o);
}

static void refused(struct task *task)
{
	struct options_change *o = container_of(task, struct options_change, task);

	change_end(o, o->err.code);
}

static void edit(struct super_change *change, struct superblock *next)
{
	const struct options_change *o = container_of(change, struct options_change, super);
	const struct superblock *want = &o->want;

	if (o->name)
		memcpy(next->name, want->name, sizeof(next->name));
	if (o->commit)
		next->commit_percent = want->commit_percent;
	if (o->reserved)
		next->reserved_clusters = want->reserved_clusters;
	if (o->watermark)
		memcpy(next->watermark, want->watermark, sizeof(next->watermark));
	if (o->size && want->end_cluster > next->end_cluster) {
		next->device_bytes = want->device_bytes;
		next->end_cluster = want->end_cluster;
	}
}

static void written(struct super_change *change, int res)
{
	struct options_change *o = container_of(change, struct options_change, super);
	struct pool *pool = o->pool;

	if (res)
		pool_flush_failed(pool, res, "writing the superblock");
	if (!res && pool->super.now.end_cluster > pool->rules.end_cluster) {
		pool->rules.end_cluster = pool->super.now.end_cluster;
		if (space_grow(pool, pool->rules.end_cluster))
			res = err_set(&o->err, -ENOMEM,
				      "pool %s has grown, but there is no memory for its new "
				      "space now; it comes with the next opening",
				      pool->super.now.name);
	}
	change_end(o, res);
}

static struct options_change *change_new(struct pool *pool, pool_done_fn done, void *ctx)
{
	struct options_change *o = calloc(1, sizeof(*o));

	ASSERT(o);
	o->pool = pool;
	o->done = done;
	o->ctx = ctx;
	o->super = (struct super_change){.edit = edit, .done = written};
	return o;
}

static void change_start(struct options_change *o)
{
	int rc = pool_writable(o->pool);

	if (rc && !o->err.code)
		(void)err_set(&o->err, rc, "pool %s takes no writes (%s)", o->pool->super.now.name,
			      pool_state_name[o->pool->state]);
	if (o->err.code) {
		o->task.run = refused;
		reactor_defer(o->pool->home, &o->task);
		return;
	}
	super_change(&o->pool->super, &o->super);
}

static int take_name(struct options_change *o, const char *name)
{
	o->name = true;
	if (!str_copy(o->want.name, sizeof(o->want.name), name) ||
	    !layout_name_valid(o->want.name, sizeof(o->want.name), LAYOUT_NAME_MAX))
		return err_set(&o->err, -EINVAL,
			       "the name of a pool has 1 to %u characters of printable ASCII, "
			       "without blanks and slashes",
			       LAYOUT_NAME_MAX);
	return 0;
}

static int take_limits(struct options_change *o, const struct pool_options *opts)
{
	const struct superblock *now = &o->pool->super.now;
	const uint8_t *w = opts->watermark;

	o->commit = opts->commit_percent >= 0;
	o->reserved = opts->reserved_bytes >= 0;
	o->watermark = w[0] || w[1] || w[2];
	if (o->commit && opts->commit_percent > UINT32_MAX)
		return err_set(&o->err, -EINVAL, "the commit limit is too large");
	if (o->commit)
		o->want.commit_percent = (uint32_t)opts->commit_percent;
	if (o->reserved)
		o->want.reserved_clusters =
			((uint64_t)opts->reserved_bytes + LAYOUT_CLUSTER - 1) / LAYOUT_CLUSTER;
	if (o->want.reserved_clusters > now->end_cluster - now->first_cluster)
		return err_set(&o->err, -EINVAL, "more space is to be reserved than pool %s has",
			       now->name);
	if (w[0] > w[1] || w[1] > w[2] || w[2] > 100)
		return err_set(&o->err, -EINVAL,
			       "watermarks are three percentages that ascend to at most 100");
	memcpy(o->want.watermark, w, sizeof(o->want.watermark));
	return 0;
}

void pool_set_options(struct pool *pool, const struct pool_options *opts, pool_done_fn done,
		      void *ctx)
{
	struct options_change *o = change_new(pool, done, ctx);

	if (!opts->name || !take_name(o, opts->name))
		(void)take_limits(o, opts); /* its error is in o->err */
	change_start(o);
}

void pool_grow(struct pool *pool, pool_done_fn done, void *ctx)
{
	struct options_change *o = change_new(pool, done, ctx);
	uint64_t bytes = atomic_load(&pool->dev->size_bytes);

	o->size = true;
	o->want.device_bytes = bytes;
	o->want.end_cluster = bytes / LAYOUT_CLUSTER;
	if (bytes < pool->super.now.device_bytes)
		(void)err_set(&o->err, -EINVAL,
			      "%s has %" PRIu64 " bytes, and pool %s uses %" PRIu64
			      " of it: a pool does not shrink",
			      pool->dev->name, bytes, pool->super.now.name,
			      pool->super.now.device_bytes);
	else if (o->want.end_cluster > LAYOUT_CLUSTERS_MAX)
		(void)err_set(&o->err, -EINVAL, "a pool has at most 2^40 clusters of 1 MiB");
	change_start(o);
}
