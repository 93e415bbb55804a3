/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volumes of a pool that another process still has (pool/handover.h). They have their devices, and I/O waits at their ports as during a cut; views follow what the journal says. When
 * the pool has been taken over, one turn of the gate gives every reactor the newest views and lets go what waits.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "volume/priv.h"

static int renew_view(struct volume *v)
{
	struct volume_view *view = view_new(v);

	if (!view)
		return -ENOMEM;
	free(v->view); /* no reactor has looked into it: the port is held */
	v->view = view;
	return 0;
}

/* A change of layers or objects may concern any chain: they are few, and seldom. */
static int followed(void *ctx)
{
	struct volumes *set = ctx;
	int rc = 0;

	if (!set->stale)
		return 0;
	list_for_each (it, &set->list)
		if (!rc)
			rc = renew_view(list_entry(it, struct volume, link));
	thick_update(set);
	set->stale = rc != 0;
	return rc;
}

static bool object_busy(void *ctx, const struct pool_object *object)
{
	const struct volume *v = object->user;

	return v && v->dev;
}

static void state_changed(void *ctx, enum pool_state state)
{
	if (state == POOL_OPEN)
		jobs_kick(ctx); /* what the old process had begun */
}

static void layer_gone(void *ctx, struct pool_layer *layer)
{
	((struct volumes *)ctx)->stale = true;
}

void successor_init(struct volumes *set)
{
	set->held = pool_is_successor(set->pool);
	if (set->held)
		pool_listen(set->pool, &(struct pool_listener){.layer_gone = layer_gone,
							       .state = state_changed,
							       .followed = followed,
							       .object_busy = object_busy,
							       .ctx = set});
}

/* ---- letting go ---- */

struct release {
	struct gate_turn turn;
	struct volumes *set;
	struct volume **volume;
	size_t n;
	void (*done)(void *ctx);
	void *ctx;
};

static void release_turn(struct gate_turn *turn, struct pool_slot *slot)
{
	struct release *r = container_of(turn, struct release, turn);

	for (size_t i = 0; i < r->n; i++) {
		struct volume_port *port = &r->volume[i]->port[slot - r->set->slots];

		port->view = r->volume[i]->view;
		volume_port_release(port);
	}
}

static void release_turned(struct gate_turn *turn)
{
	struct release *r = container_of(turn, struct release, turn);

	r->done(r->ctx);
}

static void release_drained(struct gate_turn *turn)
{
	struct release *r = container_of(turn, struct release, turn);

	free(r->volume);
	free(r);
}

int volumes_release(struct volumes *set, void (*done)(void *ctx), void *ctx)
{
	struct release *r = calloc(1, sizeof(*r));
	size_t n = 0;

	ASSERT(set->held);
	list_for_each (it, &set->list)
		n++;
	if (r)
		r->volume = calloc(n + 1, sizeof(*r->volume));
	if (!r || !r->volume) {
		free(r);
		return -ENOMEM;
	}
	list_for_each (it, &set->list)
		r->volume[r->n++] = list_entry(it, struct volume, link);
	set->held = false;
	r->set = set;
	r->done = done;
	r->ctx = ctx;
	r->turn = (struct gate_turn){
		.turn = release_turn, .turned = release_turned, .drained = release_drained};
	gate_turn(set->pool, &r->turn);
	return 0;
}
