/* SPDX-License-Identifier: Apache-2.0 */
/* Views of volumes: built on the pool's thread, published by a turn of the gate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume/priv.h"

struct volume_view *view_new(struct volume *v)
{
	struct pool_layer *layer = v->object->layer;
	struct volume_view *view;
	unsigned depth = 0;

	for (struct pool_layer *l = layer; l; l = l->parent)
		depth += !l->emptied;
	view = calloc(1, sizeof(*view) + depth * sizeof(struct map *));
	if (!view)
		return NULL;
	view->size_bytes = layer->disk.size_bytes;
	view->blocks = (view->size_bytes + LAYOUT_PAGE - 1) / LAYOUT_PAGE;
	view->writable = !(layer->disk.flags & LAYER_READ_ONLY);
	for (struct pool_layer *l = layer; l; l = l->parent)
		if (!l->emptied)
			view->chain[view->depth++] = l->map;
	return view;
}

/* ---- publishing ---- */

static struct volume_port *port_of(const struct view_publish *publish, unsigned i,
				   const struct pool_slot *slot)
{
	return &publish->change[i].v->port[slot - publish->set->slots];
}

static void publish_turn(struct gate_turn *turn, struct pool_slot *slot)
{
	struct view_publish *publish = container_of(turn, struct view_publish, turn);

	for (unsigned i = 0; i < publish->n; i++)
		port_of(publish, i, slot)->view = publish->change[i].now;
}

static void publish_drained(struct gate_turn *turn)
{
	struct view_publish *publish = container_of(turn, struct view_publish, turn);

	for (unsigned i = 0; i < publish->n; i++)
		free(publish->change[i].old);
	free(publish->change);
	publish->done(publish, 0);
}

static void publish_failed(struct task *task)
{
	struct view_publish *publish = container_of(task, struct view_publish, task);
	int res = publish->res;

	for (unsigned i = 0; i < publish->n; i++)
		free(publish->change[i].now);
	free(publish->change);
	publish->done(publish, res);
}

static void publish_add(struct view_publish *publish, struct volume *v, struct volume_view *view)
{
	struct view_change *more =
		view ? reallocarray(publish->change, publish->n + 1, sizeof(*more)) : NULL;

	if (!more) {
		free(view);
		publish->res = -ENOMEM;
		return;
	}
	publish->change = more;
	publish->change[publish->n++] = (struct view_change){.v = v, .now = view};
}

static void publish_start(struct view_publish *publish)
{
	if (publish->res) {
		publish->task = (struct task){.run = publish_failed};
		reactor_defer(reactor_current(), &publish->task);
		return;
	}
	for (unsigned i = 0; i < publish->n; i++) {
		struct view_change *change = &publish->change[i];

		change->old = change->v->view;
		change->v->view = change->now;
	}
	publish->turn = (struct gate_turn){.turn = publish_turn, .drained = publish_drained};
	gate_turn(publish->set->pool, &publish->turn);
}

bool layer_in_chain(const struct pool_layer *head, const struct pool_layer *layer)
{
	while (head && head != layer)
		head = head->parent;
	return head != NULL;
}

void volume_views_publish(struct volumes *set, struct pool_layer *layer, struct volume *v,
			  struct view_publish *publish)
{
	publish->set = set;
	publish->change = NULL;
	publish->n = 0;
	publish->res = 0;
	list_for_each (node, &set->list) {
		struct volume *it = list_entry(node, struct volume, link);

		if (layer ? layer_in_chain(it->object->layer, layer) : it == v)
			publish_add(publish, it, view_new(it));
	}
	publish_start(publish);
}
