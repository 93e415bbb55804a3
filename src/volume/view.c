/* SPDX-License-Identifier: Apache-2.0 */
/* Views of volumes: built on the pool's thread, published by a turn of the gate. */
#include "volume/volume.h"

#include <stdlib.h>

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
