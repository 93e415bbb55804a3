/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each record makes true (FORMAT.md §4). One function a type, the same for replay and for what has just become durable.
 *
 * Replay runs over pages that may be newer than the record: then the state goes back and forth and ends right. So while the pool is loaded a record never
 * contradicts what is there; what is wrong at the end is found by the checks that follow. Live, a contradiction is a bug of the writer or of memory, and ends
 * the pool's writing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "pool/follow.h"
#include "pool/priv.h"
#include "pool/sums.h"

/* ---- telling src/volume ---- */

static void tell_layer_set(struct pool *pool, struct pool_layer *layer, bool is_new)
{
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].layer_set)
			pool->listener[i].layer_set(pool->listener[i].ctx, layer, is_new);
}

static void tell_layer_gone(struct pool *pool, struct pool_layer *layer)
{
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].layer_gone)
			pool->listener[i].layer_gone(pool->listener[i].ctx, layer);
}

static void tell_object_set(struct pool *pool, struct pool_object *object, bool is_new)
{
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].object_set)
			pool->listener[i].object_set(pool->listener[i].ctx, object, is_new);
}

static void tell_object_gone(struct pool *pool, struct pool_object *object)
{
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].object_gone)
			pool->listener[i].object_gone(pool->listener[i].ctx, object);
}

/* ---- maps ---- */

/*
 * While loading, maps only grow: a page or record may be older than the size that the layer has in its own page by now. load_check.c cuts them to size, when nothing is
 * behind it any more.
 */
static int map_reach(struct pool_layer *layer, uint64_t end, bool live, struct err *err)
{
	uint64_t have = map_clusters(layer->map);

	if (end <= have)
		return 0;
	if (live)
		return err_set(err, -EUCLEAN,
			       "a record maps cluster %" PRIu64 " of layer %" PRIu64
			       ", which has %" PRIu64,
			       end - 1, layer->disk.id, have);
	if (table_map_reach(layer, end))
		return err_set(err, -ENOMEM, "no memory for the map of layer %" PRIu64,
			       layer->disk.id);
	return 0;
}

static int put_entry(struct pool *pool, struct pool_layer *layer, uint32_t cluster, uint64_t entry,
		     const struct block_mask *mask, struct err *err)
{
	struct map_leaf *leaf;

	if (pool->follow && follow_note(pool, map_get(layer->map, cluster, NULL), entry))
		return err_set(err, -ENOMEM, "no memory to follow a journal");
	if (map_put(layer->map, cluster, entry, mask))
		return err_set(err, -ENOMEM, "no memory for the map of layer %" PRIu64,
			       layer->disk.id);
	leaf = map_leaf_at(layer->map, cluster / MAP_LEAF_CLUSTERS);
	if (leaf)
		checkpoint_leaf_changed(pool, leaf);
	return 0;
}

static int apply_map_set(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	struct pool_layer *layer = pool_layer_find(pool, r->map_set.layer);
	int rc;

	if (!layer)
		return 0;
	rc = map_reach(layer, (uint64_t)r->map_set.cluster + 1, live, err);
	return rc ? rc
		  : put_entry(pool, layer, r->map_set.cluster, r->map_set.entry, &r->map_set.mask,
			      err);
}

/* Only clusters that have something: a discard may be far larger than what is mapped. */
static int clear_run(struct pool *pool, struct pool_layer *layer, uint64_t first, uint64_t end,
		     struct err *err)
{
	int rc = 0;

	for (uint64_t i = map_next(layer->map, first); i < end && !rc;
	     i = map_next(layer->map, i + 1))
		rc = put_entry(pool, layer, (uint32_t)i, 0, NULL, err);
	return rc;
}

static int apply_map_run(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	struct pool_layer *layer = pool_layer_find(pool, r->map_run.layer);
	uint64_t first = r->map_run.cluster, end = first + r->map_run.count;
	uint64_t entry = r->map_run.entry;
	int rc;

	if (!layer)
		return 0;
	if (!entry)
		return clear_run(pool, layer, first, end, err);
	if (r->map_run.count > MAP_RUN_MAX)
		return err_set(err, -EUCLEAN, "a run of %" PRIu32 " clusters is longer than %u",
			       r->map_run.count, MAP_RUN_MAX);
	rc = map_reach(layer, end, live, err);
	for (uint64_t i = first; i < end && !rc; i++) {
		rc = put_entry(pool, layer, (uint32_t)i, entry, NULL, err);
		entry += map_phys(entry) != 0;
	}
	return rc;
}

/* ---- layers ---- */

struct reap { /* memory that readers may still look at until the turn has ended */
	struct gate_turn turn;
	void *mem;
};

static void reap_drained(struct gate_turn *turn)
{
	struct reap *reap = container_of(turn, struct reap, turn);

	free(reap->mem);
	free(reap);
}

static int resize_live(struct pool *pool, struct pool_layer *layer, uint64_t clusters,
		       struct err *err)
{
	struct reap *reap;

	if (clusters == map_clusters(layer->map))
		return 0;
	if (map_next(layer->map, clusters) != UINT64_MAX)
		return err_set(err, -EUCLEAN,
			       "layer %" PRIu64 " shrinks and has clusters behind its new end",
			       layer->disk.id);
	reap = calloc(1, sizeof(*reap));
	if (!reap || map_resize(layer->map, clusters, &reap->mem)) {
		free(reap);
		return err_set(err, -ENOMEM, "no memory for the map of layer %" PRIu64,
			       layer->disk.id);
	}
	reap->turn.drained = reap_drained;
	if (reap->mem)
		gate_turn(pool, &reap->turn);
	else
		free(reap);
	return 0;
}

/* One layer as disk says. */
static int set_layer(struct pool *pool, const struct layer *disk, bool live, struct err *err)
{
	struct pool_layer *layer = pool_layer_find(pool, disk->id);
	bool is_new = !layer;
	int rc = 0;

	if (is_new)
		layer = table_layer_new(pool, disk, UINT32_MAX);
	if (!layer)
		return err_set(err, -ENOMEM, "no memory for layer %" PRIu64, disk->id);
	if (live)
		rc = resize_live(pool, layer, layer_clusters(disk), err);
	if (rc)
		return rc;
	layer->disk = *disk;
	rc = table_link(pool, layer, err);
	if (rc)
		return rc;
	table_bind(pool, layer);
	if (checkpoint_layer_changed(pool, layer->slot))
		return err_set(err, -ENOMEM, "no memory for layer %" PRIu64, disk->id);
	tell_layer_set(pool, layer, is_new);
	return 0;
}

/*
 * A head that was made from an old head of unknown size (apply_snapshot()) has none either: it gets the old head's as soon as that is known, and so on up the chain. (An old head's size does
 * not change any more; a head that was resized later gets its size from that record.)
 */
static void sizes_from_parents(struct pool *pool)
{
	for (bool again = true; again;) {
		again = false;
		for (struct pool_layer *l = NULL; (l = pool_layer_next(pool, l));) {
			const struct pool_layer *parent =
				l->disk.size_bytes ? NULL : pool_layer_find(pool, l->disk.parent);

			if (!parent || !parent->disk.size_bytes)
				continue;
			l->disk.size_bytes = parent->disk.size_bytes;
			again = true;
		}
	}
}

static int apply_layer_set(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	const struct pool_layer *before = pool_layer_find(pool, r->layer_set.id);
	bool unknown = !live && before && !before->disk.size_bytes;
	int rc = set_layer(pool, &r->layer_set, live, err);

	if (!rc && unknown)
		sizes_from_parents(pool);
	return rc;
}

static int apply_layer_delete(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	struct pool_layer *layer = pool_layer_find(pool, r->layer_delete.layer);

	if (!layer)
		return 0;
	if (live && !list_empty(&layer->children))
		return err_set(err, -EUCLEAN, "layer %" PRIu64 " is deleted and has children",
			       layer->disk.id);
	if (pool->follow && follow_note_layer(pool, layer))
		return err_set(err, -ENOMEM, "no memory to follow a journal");
	tell_layer_gone(pool, layer);
	(void)checkpoint_layer_changed(pool, layer->slot); /* its page is known */
	checkpoint_layer_gone(pool, layer);
	table_layer_remove(pool, layer);
	if (!live || pool->follow) { /* nobody reads it yet */
		table_layer_free(layer);
		return 0;
	}
	reap_layer(pool, layer);
	return 0;
}

/*
 * While loading, the old head may be gone: its page is newer than the record. The new head is made all the same, because MAP records for it follow; its size
 * comes with the record that took it off the old head, which is why that one could go.
 */
static int apply_snapshot(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	struct pool_layer *old = pool_layer_find(pool, r->snapshot.old_head);
	struct pool_layer *head = pool_layer_find(pool, r->snapshot.new_head);
	struct layer disk = {
		.id = r->snapshot.new_head,
		.parent = r->snapshot.old_head,
		.object = r->snapshot.volume,
		.created_s = r->snapshot.created_s,
		.size_bytes = old    ? old->disk.size_bytes
			      : head ? head->disk.size_bytes
				     : 0,
	};
	struct layer frozen;
	int rc;

	table_raise_id(pool, r->snapshot.snapshot);
	if (live && (!old || head))
		return err_set(err, -EUCLEAN,
			       "a snapshot of layer %" PRIu64 " as %" PRIu64
			       ": the former is not there, or the latter is",
			       r->snapshot.old_head, r->snapshot.new_head);
	rc = set_layer(pool, &disk, live, err);
	if (rc || !old)
		return rc;
	frozen = old->disk;
	frozen.flags |= LAYER_READ_ONLY;
	frozen.object = r->snapshot.snapshot;
	return set_layer(pool, &frozen, live, err);
}

/* ---- objects ---- */

static int apply_props_set(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	bool is_new = false;
	int rc = table_props_chunk(pool, r->props_set.object, &r->props_set.chunk, &is_new, err);
	struct pool_object *object;

	if (rc <= 0)
		return rc;
	object = pool_object_find(pool, r->props_set.object);
	checkpoint_object_changed(pool, object);
	tell_object_set(pool, object, is_new);
	return 0;
}

static int apply_props_delete(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	struct pool_object *object = pool_object_find(pool, r->props_delete.object);

	if (!object)
		return 0;
	tell_object_gone(pool, object);
	checkpoint_object_gone(pool, object);
	table_object_remove(pool, object);
	return 0;
}

/* ---- the rest ---- */

/* While loading the table of segments is complete before any page is looked at (load_journal.c). */
static int apply_segment_set(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	int rc = 0;

	if (live)
		rc = checkpoint_found_segment(pool, r->segment_set.index, r->segment_set.phys);
	return rc ? err_set(err, rc, "segment %" PRIu32 " at cluster %" PRIu64 " is refused",
			    r->segment_set.index, r->segment_set.phys)
		  : 0;
}

static int apply_sums(struct pool *pool, const struct record *r, struct err *err)
{
	bool set = r->type == RECORD_SUMS_SET;
	uint64_t phys = set ? r->sums_set.phys : r->sums_open.phys;
	int rc;

	if (set &&
	    (r->sums_set.first || r->sums_set.count != LAYOUT_CLUSTER_BLOCKS || !r->sums_set.close))
		return err_set(err, -EUCLEAN, "not all sums of cluster %" PRIu64 " are there",
			       phys);
	rc = set ? sums_replay_set(pool, phys, r->sums_set.sums) : sums_replay_open(pool, phys);
	return rc ? err_set(err, rc, "sums of cluster %" PRIu64 ": %s", phys,
			    rc == -ENOMEM ? "no memory" : "the pool has no sums")
		  : 0;
}

int pool_apply(struct pool *pool, const struct record *r, bool live, struct err *err)
{
	switch (r->type) {
	case RECORD_MAP_SET:
		return apply_map_set(pool, r, live, err);
	case RECORD_MAP_RUN:
		return apply_map_run(pool, r, live, err);
	case RECORD_LAYER_SET:
		return apply_layer_set(pool, r, live, err);
	case RECORD_LAYER_DELETE:
		return apply_layer_delete(pool, r, live, err);
	case RECORD_SNAPSHOT:
		return apply_snapshot(pool, r, live, err);
	case RECORD_PROPS_SET:
		return apply_props_set(pool, r, live, err);
	case RECORD_PROPS_DELETE:
		return apply_props_delete(pool, r, live, err);
	case RECORD_SEGMENT_SET:
		return apply_segment_set(pool, r, live, err);
	case RECORD_SUMS_OPEN:
	case RECORD_SUMS_SET:
		return apply_sums(pool, r, err);
	case RECORD_PAGES: /* for the loader alone */
	default:
		return 0;
	}
}
