/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background work on layers, one slice at a time, each an operation of the pool. What is to be done is in the layer's flags and cursor on the device, so it goes on after a
 * restart; every slice may be repeated.
 *
 *   CLAIM -> READ <-> WRITE (cluster by cluster) --copying--> TXN -> DROP -> next slice
 *                                                --merging--> PUT -> TURN -> TXN -> DROP -> next slice
 *   nothing left: --merging--> VIEWS -> FINISH      --copying--> FINISH -> VIEWS
 *
 * Merging moves clusters of the layer below (source) to the child (target). Invariants:
 *  1. The target has a cluster before the source loses it, and a turn of the gate lies between: no reader finds it in neither.
 *  2. Both records are in one transaction, and the cluster is claimed until it is durable: no round, page or crash sees two owners or none.
 */
#include "volume/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define RETRY_NS 1000000000ull
/* With more layers than these to work on, what they hold for nothing comes in faster than a part of the time gives back. */
#define LAYERS_IN_LINE 2u

static void job_next(struct volume_job *job);

static struct pool *pool_of(const struct volume_job *job)
{
	return job->set->pool;
}

/* ---- the end of a slice ---- */

static void job_free(struct volume_job *job)
{
	struct volumes *set = job->set;
	void (*stopped)(void *ctx) = job->stopped;
	void *ctx = job->stopped_ctx;

	timer_stop(&job->timer);
	set->job = NULL;
	free(job->xfer);
	free(job->buf);
	free(job);
	if (stopped)
		stopped(ctx);
	else
		jobs_kick(set);
}

static void drop_claims(struct volume_job *job)
{
	for (unsigned i = 0; i < job->n; i++)
		if (job->c[i].claim.leaf)
			map_claim_drop(&job->c[i].claim);
	job->n = 0;
}

static void retry(struct timer *timer)
{
	struct volume_job *job = container_of(timer, struct volume_job, timer);

	job->waits_for = NULL;
	job->step = JOB_CLAIM;
	pool_op_start(pool_of(job), &job->op);
}

static bool is_urgent(const struct volume_job *job)
{
	struct volume_work line[LAYERS_IN_LINE + 1];

	return volume_work_list(job->set, line, LAYERS_IN_LINE + 1) > LAYERS_IN_LINE ||
	       pool_fills_up(pool_of(job));
}

/* The ns before the next slice. */
static uint64_t pace(struct volume_job *job)
{
	struct pool *pool = pool_of(job);
	uint64_t entered = pool_entered(pool);
	struct job_slice was = {.took_ns = reactor_now(pool_home(pool)) - job->started_ns,
				.clusters = job->n,
				.copied = job->copies,
				.yields = entered != job->entered && !is_urgent(job)};

	job->entered = entered;
	return job_pace(&job->slice, &was);
}

/* more: another slice follows. */
static void slice_end(struct volume_job *job, bool more, const char *waits_for)
{
	struct pool *pool = pool_of(job);
	uint64_t pause_ns = waits_for ? RETRY_NS : pace(job);

	drop_claims(job);
	pool_txn_fini(&job->txn);
	pool_op_end(pool, &job->op);
	if (!more || job->set->closing) {
		job_free(job);
		return;
	}
	job->waits_for = waits_for;
	job->timer.run = retry;
	job->step = JOB_PAUSED;
	if (!pause_ns ||
	    timer_start(pool_home(pool), &job->timer, reactor_now(pool_home(pool)) + pause_ns))
		retry(&job->timer);
}

/* ---- choosing clusters ---- */

/* First cluster from on that a copy may need: one that some layer below has. */
static uint64_t next_below(const struct volume_job *job, uint64_t from)
{
	uint64_t first = map_next(job->source->map, from);

	for (const struct pool_layer *l = job->source->parent; job->kind == JOB_INFLATE && l;
	     l = l->parent) {
		uint64_t c = map_next(l->map, from);

		first = c < first ? c : first;
	}
	return first;
}

/* As it looks now; hosts may change it until the claim is held. */
static bool needs_copy(const struct volume_job *job, uint64_t cluster)
{
	return job->kind != JOB_MERGE ||
	       (cluster < map_clusters(job->target->map) &&
		map_get(job->target->map, (uint32_t)cluster, NULL) & MAP_PARTIAL);
}

static void choose(struct volume_job *job)
{
	uint64_t end = job->kind == JOB_MERGE ? UINT64_MAX : map_clusters(job->target->map);
	uint64_t c = next_below(job, job->cursor);
	unsigned copies = 0;

	job->n = job->at = 0;
	while (job->n < job->slice && c != UINT64_MAX && c < end) {
		copies += needs_copy(job, c);
		if (copies > JOB_CLUSTERS)
			break;
		job->c[job->n++] = (struct job_cluster){
			.claim = {.cluster = (uint32_t)c, .count = LAYOUT_CLUSTER_BLOCKS}};
		c = next_below(job, c + 1);
	}
	job->copies = copies > 0;
	job->next = job->n ? (uint64_t)job->c[job->n - 1].claim.cluster + 1 : job->cursor;
}

/* A layer larger than its child: nobody reads what lies behind the child's end. */
static bool behind_target(const struct volume_job *job, const struct job_cluster *c)
{
	return c->claim.cluster >= map_clusters(job->target->map);
}

/* ---- the transaction ---- */

static void add_entry(struct volume_job *job, const struct pool_layer *layer, uint32_t cluster)
{
	struct record r = {.type = RECORD_MAP_SET,
			   .map_set = {.layer = layer->disk.id, .cluster = cluster}};

	r.map_set.entry = map_get(layer->map, cluster, &r.map_set.mask);
	pool_txn_add(&job->txn, &r);
}

static void add_layer(struct volume_job *job, const struct layer *disk)
{
	struct record r = {.type = RECORD_LAYER_SET, .layer_set = *disk};

	pool_txn_add(&job->txn, &r);
}

static void slice_durable(struct pool_txn *txn, int res)
{
	struct volume_job *job = container_of(txn, struct volume_job, txn);

	job->step = JOB_DROP;
	/* The maps in memory are ahead of the disk: nothing may be written that builds on them. */
	if (res)
		pool_fail(pool_of(job), res, "writing down what background work has moved");
	for (unsigned i = 0; i < job->n && !res; i++)
		if (job->c[i].free_phys)
			pool_free_cluster(pool_of(job), job->c[i].free_phys);
	job->cursor = job->next;
	slice_end(job, !res, NULL);
}

static void write_txn(struct volume_job *job)
{
	struct layer disk;
	struct pool_layer *layer = pool_layer_find(pool_of(job), job->layer);

	job->step = JOB_TXN;
	pool_txn_init(&job->txn, slice_durable);
	for (unsigned i = 0; i < job->n; i++) {
		if (!job->c[i].cleared)
			continue;
		if (!behind_target(job, &job->c[i]))
			add_entry(job, job->target, job->c[i].claim.cluster);
		add_entry(job, job->source, job->c[i].claim.cluster);
	}
	disk = layer->disk;
	disk.cursor = job->next;
	add_layer(job, &disk);
	pool_txn_commit(pool_of(job), &job->txn);
}

/* ---- merging ---- */

static void turn_drained(struct gate_turn *turn)
{
	struct volume_job *job = container_of(turn, struct volume_job, turn);

	for (unsigned i = 0; i < job->n; i++) {
		(void)map_put(job->source->map, job->c[i].claim.cluster, 0,
			      NULL); /* clearing needs no memory */
		job->c[i].cleared = true;
	}
	write_txn(job);
}

/* One cluster becomes the target's, or what the target hides is noted. */
static int put_one(struct volume_job *job, struct job_cluster *c)
{
	struct block_mask mask, above;
	uint64_t below_entry = map_get(job->source->map, c->claim.cluster, &mask);
	uint64_t entry;
	int rc = 0;

	c->free_phys = map_phys(below_entry);
	if (behind_target(job, c))
		return 0;
	entry = map_get(job->target->map, c->claim.cluster, &above);
	if (!entry) {
		c->free_phys = 0;
		return map_put(job->target->map, c->claim.cluster, below_entry, &mask);
	}
	if (below_entry & MAP_HIDE && entry & MAP_PARTIAL && !(entry & MAP_HIDE)) {
		rc = map_put(job->target->map, c->claim.cluster, entry | MAP_HIDE, &above);
		map_touch(job->target->map, c->claim.cluster);
	}
	return rc;
}

static void put_all(struct volume_job *job)
{
	int rc = 0;

	job->step = JOB_PUT;
	for (unsigned i = 0; i < job->n && !rc; i++)
		rc = put_one(job, &job->c[i]);
	ASSERT(!rc); /* map_prepare() made the memory */
	job->step = JOB_TURN;
	job->turn = (struct gate_turn){.drained = turn_drained};
	gate_turn(pool_of(job), &job->turn);
}

/* ---- copying ---- */

/*
 * What the source hides of the layers below it the target hides from now on, since it may come to stand on those: decoupling ends so, and inflating turns into decoupling when a snapshot is
 * made of the volume meanwhile. All blocks that the source has are in the target by now.
 */
static void hide_one(struct volume_job *job, struct job_cluster *c)
{
	struct block_mask mask;
	uint64_t entry;
	int rc;

	if (job->kind == JOB_MERGE || behind_target(job, c) ||
	    !(map_get(job->source->map, c->claim.cluster, NULL) & MAP_HIDE))
		return;
	entry = map_get(job->target->map, c->claim.cluster, &mask);
	if (entry & MAP_HIDE || (entry && !(entry & MAP_PARTIAL)))
		return;
	rc = map_put(job->target->map, c->claim.cluster, entry | MAP_HIDE, &mask);
	ASSERT(!rc); /* map_prepare() made the memory */
	map_touch(job->target->map, c->claim.cluster);
}

static void job_io(struct batch *batch, int res);

static void write_copy(struct volume_job *job)
{
	unsigned n;
	int rc = job_plan_write(job, &n);

	if (rc) { /* the slice is begun again when there is space; what was copied is kept */
		slice_end(job, true, rc == -ENOSPC ? "space" : "memory");
		return;
	}
	job->step = JOB_WRITE;
	batch_run(&job->batch, pool_data_dev(pool_of(job)), BLK_WRITE, 0, job->xfer, n, job_io);
}

static void job_io(struct batch *batch, int res)
{
	struct volume_job *job = container_of(batch, struct volume_job, batch);

	if (res) { /* a bad block below: tell, and try again later */
		slice_end(job, true, "the device, which reported an error");
		return;
	}
	if (job->step == JOB_READ) {
		write_copy(job);
		return;
	}
	job_copied(job);
	hide_one(job, &job->c[job->at]);
	job->at++;
	job_next(job);
}

/* The next cluster that has to be copied; then what follows. */
static void job_next(struct volume_job *job)
{
	job->step = JOB_READ;
	for (; job->at < job->n; job->at++) {
		struct job_cluster *c = &job->c[job->at];
		unsigned n;

		if (behind_target(job, c) || (job->kind == JOB_MERGE && !map_claim_phys(&c->claim)))
			continue;
		n = job_plan_read(job);
		if (!n) {
			hide_one(job, c);
			continue;
		}
		batch_run(&job->batch, pool_data_dev(pool_of(job)), BLK_READ, 0, job->xfer, n,
			  job_io);
		return;
	}
	if (job->kind == JOB_MERGE)
		put_all(job);
	else
		write_txn(job);
}

/* ---- claims ---- */

static void claim_next(struct volume_job *job);

static void claim_granted(struct map_claim *claim)
{
	struct job_cluster *c = container_of(claim, struct job_cluster, claim);
	struct volume_job *job = c->claim.user;

	job->at++;
	claim_next(job);
}

static void claim_next(struct volume_job *job)
{
	job->step = JOB_CLAIM;
	for (; job->at < job->n; job->at++) {
		struct job_cluster *c = &job->c[job->at];
		enum map_claim_result got;

		if (behind_target(job, c))
			continue;
		if (map_prepare(job->target->map, c->claim.cluster)) {
			slice_end(job, true, "memory");
			return;
		}
		c->claim.reactor = pool_home(pool_of(job));
		c->claim.granted = claim_granted;
		c->claim.user = job;
		got = map_claim_take(job->target->map, &c->claim);
		ASSERT(got != MAP_CLAIM_UNPREPARED);
		if (got == MAP_CLAIM_WAITS)
			return;
	}
	job->at = 0;
	job_next(job);
}

/* ---- the end of the work ---- */

static void finish_durable(struct pool_txn *txn, int res);

static void finish_views(struct view_publish *publish, int res)
{
	struct volume_job *job = container_of(publish, struct volume_job, publish);

	if (job->step == JOB_FINISH) { /* copying: all is done */
		slice_end(job, false, NULL);
		return;
	}
	if (res) {
		job->source->emptied = false;
		slice_end(job, true, "memory");
		return;
	}
	job->step = JOB_FINISH;
	pool_txn_init(&job->txn, finish_durable);
	if (job->target) {
		struct layer disk = job->target->disk;

		disk.parent = job->source->disk.parent;
		add_layer(job, &disk);
		if (job->source->parent && job->source->parent->disk.flags & LAYER_MERGING) {
			disk = job->source->parent->disk;
			disk.peer = job->target->disk.id;
			add_layer(job, &disk);
		}
	}
	pool_txn_add(&job->txn, &(struct record){.type = RECORD_LAYER_DELETE,
						 .layer_delete.layer = job->layer});
	pool_txn_commit(pool_of(job), &job->txn);
}

static void finish_durable(struct pool_txn *txn, int res)
{
	struct volume_job *job = container_of(txn, struct volume_job, txn);

	if (res || job->kind == JOB_MERGE) {
		slice_end(job, false, NULL);
		return;
	}
	job->publish.done = finish_views;
	volume_views_publish(job->set, job->target, NULL, &job->publish);
}

static bool decouples(const struct pool_layer *layer)
{
	return layer->disk.flags & LAYER_INFLATING &&
	       !(layer->object && layer->object->flags & PROPS_F_THICK);
}

/* What is copied from a layer would miss what is merged into it later, and it would stand on a layer that goes: first the merge. */
static bool waits_for_merge(const struct pool_layer *layer)
{
	const struct pool_layer *below = layer->parent ? layer->parent->parent : NULL;

	return decouples(layer) && below && below->disk.flags & LAYER_MERGING;
}

static void finish(struct volume_job *job)
{
	struct layer disk;

	if (job->kind == JOB_MERGE) {
		job->step = JOB_VIEWS;
		job->source->emptied = true;
		job->publish.done = finish_views;
		volume_views_publish(job->set, job->source, NULL, &job->publish);
		return;
	}
	if (waits_for_merge(job->target)) { /* begun meanwhile: this job comes again after it */
		slice_end(job, false, NULL);
		return;
	}
	job->step = JOB_FINISH;
	disk = job->target->disk;
	disk.flags &= ~(uint32_t)LAYER_WORK;
	disk.cursor = 0;
	disk.parent = job->kind == JOB_DECOUPLE && job->source ? job->source->disk.parent : 0;
	pool_txn_init(&job->txn, finish_durable);
	add_layer(job, &disk);
	pool_txn_commit(pool_of(job), &job->txn);
}

/* ---- a slice ---- */

/* Between two slices the layer may have got other work: what was being decoupled became a snapshot, and that was deleted. Where the earlier work was says nothing then. */
static void set_kind(struct volume_job *job, enum job_kind kind)
{
	if (job->looked && kind != job->kind)
		job->cursor = 0;
	job->kind = kind;
	job->looked = true;
}

/* What the layer's flags ask for now; false: nothing any more. */
static bool look(struct volume_job *job)
{
	struct pool_layer *layer = pool_layer_find(pool_of(job), job->layer);

	if (!layer || pool_writable(pool_of(job)))
		return false;
	if (layer->disk.flags & LAYER_MERGING) {
		set_kind(job, JOB_MERGE);
		job->source = layer;
		job->target = list_empty(&layer->children)
				      ? NULL
				      : list_first(&layer->children, struct pool_layer, sibling);
		return true;
	}
	set_kind(job, layer->object && layer->object->flags & PROPS_F_THICK ? JOB_INFLATE
									    : JOB_DECOUPLE);
	job->source = layer->parent;
	job->target = layer;
	return layer->disk.flags & LAYER_INFLATING;
}

static void slice_run(struct pool_op *op)
{
	struct volume_job *job = container_of(op, struct volume_job, op);

	job->n = 0;
	job->copies = false;
	job->started_ns = reactor_now(pool_home(pool_of(job)));
	if (!look(job) || job->set->closing) {
		slice_end(job, false, NULL);
		return;
	}
	if (!job->source || !job->target) { /* nothing below, or nobody above */
		finish(job);
		return;
	}
	choose(job);
	if (job->n)
		claim_next(job);
	else
		finish(job);
}

/* ---- choosing work ---- */

static bool runnable(const struct pool_layer *layer)
{
	if (layer->disk.flags & LAYER_INFLATING)
		return !waits_for_merge(layer);
	if (!(layer->disk.flags & LAYER_MERGING))
		return false;
	/* The child first, if it is on its way out itself: its child is the one to merge into then. */
	return list_empty(&layer->children) ||
	       !(list_first(&layer->children, struct pool_layer, sibling)->disk.flags &
		 LAYER_MERGING);
}

static void job_start(struct volumes *set, const struct pool_layer *layer)
{
	struct volume_job *job = calloc(1, sizeof(*job));

	if (job) {
		job->xfer = calloc(LAYOUT_CLUSTER_BLOCKS, sizeof(*job->xfer));
		job->buf = batch_alloc(LAYOUT_CLUSTER);
	}
	if (!job || !job->xfer || !job->buf) { /* the next operation kicks again */
		if (job) {
			free(job->xfer);
			free(job->buf);
		}
		free(job);
		return;
	}
	job->set = set;
	job->layer = layer->disk.id;
	/* Decoupling looks at everything again: there may have been a merge meanwhile. What was copied is not copied again. */
	job->cursor = decouples(layer) ? 0 : layer->disk.cursor;
	job->op = (struct pool_op){.run = slice_run, .background = true};
	job->slice = JOB_CLUSTERS;
	job->entered = pool_entered(set->pool);
	set->job = job;
	pool_op_start(set->pool, &job->op);
}

static void jobs_look(struct task *task)
{
	struct volumes *set = container_of(task, struct volumes, job_task);

	if (set->job || set->closing || pool_writable(set->pool))
		return;
	for (struct pool_layer *l = pool_layer_next(set->pool, NULL); l;
	     l = pool_layer_next(set->pool, l))
		if (runnable(l)) {
			job_start(set, l);
			return;
		}
}

void jobs_kick(struct volumes *set)
{
	if (set->job || set->closing)
		return;
	set->job_task.run = jobs_look;
	reactor_defer(pool_home(set->pool), &set->job_task);
}

void jobs_stop(struct volumes *set, void (*done)(void *ctx), void *ctx)
{
	set->closing = true;
	task_cancel(&set->job_task);
	if (!set->job) {
		done(ctx);
		return;
	}
	set->job->stopped = done;
	set->job->stopped_ctx = ctx;
	if (set->job->step == JOB_PAUSED)
		job_free(set->job);
}
