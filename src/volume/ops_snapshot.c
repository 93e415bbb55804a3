/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of one or several volumes with one cut.
 *
 *   run      new heads' maps, held, and new views; commits wait
 *   hold     every reactor: I/O of these volumes waits at its port          \  the cut lies between the last
 *   turn     every reactor: the new view; what waited goes on to the new head /  hold and the first turn
 *   drained  writes that began before have ended, all in the old heads
 *   durable  old heads' last changes, then SNAPSHOT and the properties, in one round; applied; commits go on
 *
 * Invariants:
 *  1. A write that was answered before the call is in the snapshot; one that was submitted after done is not; in between there is one cut for all reactors and volumes.
 *  2. Nobody is told that a write to a new head is durable before its SNAPSHOT record is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "volume/priv.h"

struct snap {
	uint64_t volume; /* object */
	char name[LAYOUT_NAME_MAX + 2];
	struct uuid uuid;

	struct volume *v;
	struct pool_layer *old;
	uint64_t snapshot, head; /* ids */
	struct map *map;         /* of the new head */
	struct volume_view *view;
};
struct snapshot_op {
	struct volume_op base;
	struct gate_turn turn;
	uint64_t promised;
	bool held; /* space of thick volumes */
	unsigned n;
	struct snap snap[];
};

/* Undoes what run() prepared; not after the cut. */
static void unprepare(struct snapshot_op *op)
{
	struct pool *pool = op->base.set->pool;

	for (unsigned i = 0; i < op->n; i++) {
		struct snap *s = &op->snap[i];

		if (s->map) {
			(void)pool_adopt_map(pool, s->head, NULL);
			map_free(s->map);
		}
		free(s->view);
	}
}

static void release(struct snapshot_op *op)
{
	if (op->held)
		pool_thick_release(op->base.set->pool);
	op->held = false;
}

static void snapshot_end(struct snapshot_op *op, int res)
{
	if (op->promised)
		thick_unpromise(op->base.set, op->promised);
	release(op);
	if (res)
		volume_op_fail(&op->base, res, "snapshot");
	else
		volume_op_end(&op->base);
}

/* ---- what can be known before ---- */

static int check_one(struct snapshot_op *op, struct snap *s)
{
	struct volumes *set = op->base.set;
	struct pool_object *object = pool_object_find(set->pool, s->volume);
	struct err *err = &op->base.err;

	if (!object || !object->layer)
		return err_set(err, -ENOENT, "a volume to snapshot is gone");
	if (pool_object_is_snapshot(object))
		return err_set(err, -EINVAL, "%s is a snapshot itself; clone it", object->name);
	if (object->unusable)
		return err_set(err, -EOPNOTSUPP,
			       "%s has properties that this version does not know", object->name);
	s->v = object->user;
	s->old = object->layer;
	for (const struct snap *o = op->snap; o < s; o++)
		if (o->v == s->v || !strcmp(o->name, s->name) || uuid_equal(&o->uuid, &s->uuid))
			return err_set(err, -EINVAL,
				       "volume %s or name %s stands twice in the request",
				       object->name, s->name);
	return volume_name_check(set, s->name, &s->uuid, err);
}

/*
 * Thick heads are promised their whole size again, since the snapshot keeps what they have: what they have at the cut, which hosts may bring closer to their size until then. No more than
 * is in stock, as no more is granted meanwhile.
 */
static int check_space(struct snapshot_op *op)
{
	uint64_t more = 0, left = 0, stock;
	int rc;

	for (unsigned i = 0; i < op->n; i++)
		op->held |= (op->snap[i].v->object->flags & PROPS_F_THICK) != 0;
	if (!op->held)
		return 0;
	stock = pool_thick_hold(op->base.set->pool);
	for (unsigned i = 0; i < op->n; i++) {
		const struct map *map = op->snap[i].old->map;
		uint64_t mapped = map_mapped(map);

		if (!(op->snap[i].v->object->flags & PROPS_F_THICK))
			continue;
		more += mapped;
		left += map_clusters(map) > mapped ? map_clusters(map) - mapped : 0;
	}
	more += MIN(stock, left);
	if (!more)
		return 0;
	rc = thick_promise(op->base.set, more, &op->base.err);
	if (!rc)
		op->promised = more;
	return rc ? err_prefix(&op->base.err, "snapshot of a thick volume") : 0;
}

static struct volume_view *view_on(struct volume *v, struct map *head)
{
	struct volume_view *below = view_new(v), *view = NULL;
	size_t chain = below ? below->depth * sizeof(struct map *) : 0;

	if (below)
		view = malloc(sizeof(*view) + chain + sizeof(struct map *));
	if (view) {
		*view = *below;
		view->depth++;
		view->chain[0] = head;
		memcpy(view->chain + 1, below->chain, chain);
	}
	free(below);
	return view;
}

static int prepare_one(struct snapshot_op *op, struct snap *s)
{
	struct pool *pool = op->base.set->pool;

	s->snapshot = pool_new_id(pool);
	s->head = pool_new_id(pool);
	s->map = map_new(pool_map_shared(pool), s->head, map_clusters(s->old->map));
	if (!s->map)
		return -ENOMEM;
	map_set_held(s->map, true);
	map_set_thick(s->map, (s->v->object->flags & PROPS_F_THICK) != 0);
	s->view = view_on(s->v, s->map);
	if (!s->view)
		return -ENOMEM;
	return pool_adopt_map(pool, s->head, s->map);
}

/* ---- the cut ---- */

static void cut_hold(struct gate_turn *turn, struct pool_slot *slot)
{
	struct snapshot_op *op = container_of(turn, struct snapshot_op, turn);

	for (unsigned i = 0; i < op->n; i++)
		op->snap[i].v->port[pool_slot_index(slot)].held = true;
}

static void cut_turn(struct gate_turn *turn, struct pool_slot *slot)
{
	struct snapshot_op *op = container_of(turn, struct snapshot_op, turn);

	for (unsigned i = 0; i < op->n; i++) {
		struct volume_port *port = &op->snap[i].v->port[pool_slot_index(slot)];

		port->view = op->snap[i].view;
		port->held = false;
		volume_port_release(port);
	}
}

/* ---- the record ---- */

static void snapshot_durable(struct pool_txn *txn, int res)
{
	struct snapshot_op *op = container_of(txn, struct snapshot_op, base.txn);

	for (unsigned i = 0; i < op->n; i++) {
		map_set_held(op->snap[i].map, false);
		atomic_store(&op->snap[i].v->cut_pending, false);
	}
	pool_release_commits(op->base.set->pool);
	if (!res)
		op->base.volume = volume_find(op->base.set, op->snap[0].name);
	snapshot_end(op, res);
}

/* What a snapshot has of its volume's properties: no export, no limits, an identity of its own. */
static int add_props(struct snapshot_op *op, struct snap *s)
{
	struct props *p = volume_props(s->v->object, &op->base.err);

	if (!p)
		return op->base.err.code;
	memset(p->name, 0, sizeof(p->name)); /* nothing of a longer one may stay */
	(void)snprintf(p->name, sizeof(p->name), "%s", s->name);
	p->uuid = s->uuid;
	p->snapshot_of = s->v->object->uuid;
	memset(p->nguid, 0, sizeof(p->nguid));
	memset(p->eui64, 0, sizeof(p->eui64));
	memset(p->serial, 0, sizeof(p->serial));
	memset(&p->qos, 0, sizeof(p->qos));
	p->flags = (p->flags & PROPS_F_FORMATTED) | PROPS_F_READ_ONLY;
	p->n_exports = p->n_hosts = p->n_listeners = p->n_labels = 0;
	p->created_s = volume_now_s(op->base.set);
	pool_txn_add_props(&op->base.txn, s->snapshot, 1, p);
	free(p);
	return 0;
}

static void cut_drained(struct gate_turn *turn)
{
	struct snapshot_op *op = container_of(turn, struct snapshot_op, turn);

	for (unsigned i = 0; i < op->n; i++) { /* nobody is in the old views any more */
		struct volume *v = op->snap[i].v;

		free(v->view);
		v->view = op->snap[i].view;
	}
	release(op);
	pool_txn_commit(op->base.set->pool, &op->base.txn);
}

static int build_txn(struct snapshot_op *op)
{
	int rc = 0;

	pool_txn_init(&op->base.txn, snapshot_durable);
	for (unsigned i = 0; i < op->n && !rc; i++) {
		struct snap *s = &op->snap[i];
		struct record r = {.type = RECORD_SNAPSHOT,
				   .snapshot = {.volume = s->volume,
						.snapshot = s->snapshot,
						.old_head = s->old->disk.id,
						.new_head = s->head,
						.created_s = volume_now_s(op->base.set)}};

		pool_txn_add(&op->base.txn, &r);
		rc = add_props(op, s);
	}
	return rc ? rc : op->base.txn.error;
}

static void snapshot_run(struct pool_op *pool_op)
{
	struct snapshot_op *op = container_of(pool_op, struct snapshot_op, base.op);
	struct pool *pool = op->base.set->pool;
	int rc = pool_writable(pool);

	for (unsigned i = 0; i < op->n && !rc; i++)
		rc = check_one(op, &op->snap[i]);
	if (!rc)
		rc = check_space(op);
	for (unsigned i = 0; i < op->n && !rc; i++)
		rc = prepare_one(op, &op->snap[i]);
	if (!rc)
		rc = build_txn(op); /* all that can fail comes before the cut */
	if (rc) {
		unprepare(op);
		snapshot_end(op, rc);
		return;
	}
	pool_hold_commits(pool);
	for (unsigned i = 0; i < op->n; i++)
		atomic_store(&op->snap[i].v->cut_pending, true);
	op->turn = (struct gate_turn){.hold = cut_hold, .turn = cut_turn, .drained = cut_drained};
	gate_turn(pool, &op->turn);
}

void volume_snapshot(struct volumes *set, const struct volume_snapshot_spec *specs, unsigned n,
		     volume_done_fn done, void *ctx)
{
	struct snapshot_op *op =
		volume_op_new(set, sizeof(*op) + n * sizeof(op->snap[0]), snapshot_run, done, ctx);

	if (!op)
		return;
	op->n = n;
	for (unsigned i = 0; i < n; i++) {
		op->snap[i].volume = specs[i].volume->object->id;
		(void)snprintf(op->snap[i].name, sizeof(op->snap[i].name), "%s", specs[i].name);
		volume_uuid(set, &specs[i].uuid, &op->snap[i].uuid);
	}
	volume_op_start(&op->base);
}
