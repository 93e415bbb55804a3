/* SPDX-License-Identifier: Apache-2.0 */
/* The state as a whole: what the loader found wrong with it, and what it does not look at because nothing depends on it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/check_priv.h"

/* ---- what the loader said ---- */

bool check_any_damage(const struct check *c)
{
	return c->result->found[CHECK_MENDABLE] || c->result->found[CHECK_LOSS] ||
	       c->result->found[CHECK_HOPELESS];
}

static void missing_mask(struct check *c, const struct check_problem *p)
{
	uint64_t key = p->page.owner * 0x9e3779b97f4a7c15u + p->page.index + 1;
	char what[96];

	if (!key || load_set_has(&c->reported, key)) /* one of its other clusters */
		return;
	c->no_memory |= load_set_add(&c->reported, key) != 0;
	(void)snprintf(what, sizeof(what), "page MASK %" PRIu64 "/%" PRIu64 " is missing",
		       p->page.owner, p->page.index);
	check_lose(c, CHECK_NO_PLACE, &p->page, what);
}

/* Superblock copies, single pages and the journal were looked at here, with the same rules and more. */
static bool seen_here(const struct check_problem *p)
{
	return !strcmp(p->kind, "superblock") || !strcmp(p->kind, "journal") ||
	       (!strcmp(p->kind, "page") && p->place != UINT64_MAX);
}

void check_problems(struct check *c)
{
	bool follows = check_any_damage(c);

	for (size_t i = 0; i < c->n_problems; i++) {
		const struct check_problem *p = &c->problem[i];

		if (!p->text || (seen_here(p) && (p->severity == POOL_NOTE || follows)))
			continue;
		if (p->page.kind && !c->n_bad) /* else the page itself was told of */
			missing_mask(c, p);
		else if (follows)
			check_tell(c, CHECK_NOTE, p->kind, p->place, NULL, NULL,
				   "%s (may follow from the damage above: is judged again when "
				   "that is mended)",
				   p->text);
		else
			check_tell(c, p->severity == POOL_NOTE ? CHECK_NOTE : CHECK_HOPELESS,
				   p->kind, p->place, NULL, NULL, "%s", p->text);
	}
}

/* ---- whom a layer's loss meets ---- */

static bool stands_on(const struct pool_layer *layer, uint64_t id)
{
	for (; layer; layer = layer->parent)
		if (layer->disk.id == id)
			return true;
	return false;
}

char *check_affected(const struct check *c, uint64_t layer)
{
	size_t len = 0, room = 0;
	char *names = calloc(1, 1);

	for (struct pool_layer *l = pool_layer_next(c->pool, NULL); l && names;
	     l = pool_layer_next(c->pool, l)) {
		char unnamed[32]; /* what could not be read has its number as a name */
		const char *name = unnamed;
		char *bigger;

		if (!l->disk.object || !stands_on(l, layer))
			continue;
		(void)snprintf(unnamed, sizeof(unnamed), "object-%" PRIu64, l->disk.object);
		if (l->object && l->object->name[0])
			name = l->object->name;
		room = len + strlen(name) + 2;
		bigger = realloc(names, room);
		if (!bigger) {
			free(names);
			return NULL;
		}
		names = bigger;
		len += (size_t)snprintf(names + len, room - len, "%s%s", len ? " " : "", name);
	}
	return names;
}

/* ---- layers ---- */

struct odd {
	uint64_t full, empty; /* PARTIAL entries with such a mask */
};

static void count_odd(const struct pool_layer *layer, struct odd *odd)
{
	for (uint64_t i = map_next(layer->map, 0); i != UINT64_MAX;
	     i = map_next(layer->map, i + 1)) {
		struct block_mask mask;
		uint64_t all = UINT64_MAX, any = 0;

		if (!(map_get(layer->map, (uint32_t)i, &mask) & MAP_PARTIAL))
			continue;
		for (unsigned w = 0; w < LAYOUT_CLUSTER_BLOCKS / 64; w++) {
			all &= mask.word[w];
			any |= mask.word[w];
		}
		odd->full += all == UINT64_MAX;
		odd->empty += !any;
	}
}

static void look_layer(struct check *c, const struct pool_layer *layer)
{
	struct odd odd = {0};

	count_odd(layer, &odd);
	if (odd.full || odd.empty)
		check_tell(c, CHECK_NOTE, "layer", CHECK_NO_PLACE, NULL, NULL,
			   "layer %" PRIu64 " has %" PRIu64 " masks that are full and %" PRIu64
			   " that are empty: they cost memory and harm nothing",
			   layer->disk.id, odd.full, odd.empty);
	if (!layer->object && list_empty(&layer->children) && !(layer->disk.flags & LAYER_WORK))
		check_tell(c, CHECK_NOTE, "layer", CHECK_NO_PLACE, NULL, NULL,
			   "layer %" PRIu64 " belongs to nothing and holds %" PRIu64
			   " clusters that nobody can reach",
			   layer->disk.id, map_mapped(layer->map));
	/* block_size 0: its properties could not be read, which the loader has told */
	if (layer->object && layer->object->block_size &&
	    layer->disk.size_bytes % layer->object->block_size)
		check_tell(c, CHECK_NOTE, "layer", CHECK_NO_PLACE, NULL, NULL,
			   "the size of %s, %" PRIu64 " bytes, is not a multiple of its block size",
			   layer->object->name, layer->disk.size_bytes);
	c->result->numbers.layers++;
	c->result->numbers.clusters_mapped += map_mapped(layer->map);
}

/* ---- space ---- */

static void look_space(struct check *c)
{
	struct check_numbers *n = &c->result->numbers;
	const struct superblock *sb = &c->pool->super.now;
	struct pool_space_info info;

	pool_space_info(c->pool, &info);
	n->clusters = sb->end_cluster - sb->first_cluster;
	n->clusters_free = info.free;
	n->volumes = info.volumes;
	n->snapshots = info.snapshots;
	if (!check_any_damage(c) && n->clusters_mapped + info.metadata + info.free != n->clusters)
		check_tell(c, CHECK_HOPELESS, "space", CHECK_NO_PLACE, NULL, NULL,
			   "%" PRIu64 " clusters mapped, %" PRIu64 " of metadata and %" PRIu64
			   " free are not the %" PRIu64 " that there are",
			   n->clusters_mapped, info.metadata, info.free, n->clusters);
	if (sb->commit_percent &&
	    info.volume_bytes / 100 / LAYOUT_CLUSTER > n->clusters * sb->commit_percent / 10000)
		check_tell(c, CHECK_NOTE, "space", CHECK_NO_PLACE, NULL, NULL,
			   "the volumes have more bytes, %" PRIu64
			   ", than the commit limit of %" PRIu32 " percent allows",
			   info.volume_bytes, sb->commit_percent);
}

/* ---- exports ---- */

struct exports {
	struct props *a, *b;
};

static void compare_exports(struct check *c, const struct pool_object *x,
			    const struct pool_object *y, const struct exports *e)
{
	for (unsigned i = 0; i < e->a->n_exports; i++)
		for (unsigned k = 0; k < e->b->n_exports; k++)
			if (e->a->export[i].nsid == e->b->export[k].nsid &&
			    !strcmp(e->a->export[i].nqn, e->b->export[k].nqn))
				check_tell(c, CHECK_NOTE, "export", CHECK_NO_PLACE, NULL, NULL,
					   "%s and %s are both to be namespace %" PRIu32
					   " of %s: only one of them can",
					   x->name, y->name, e->a->export[i].nsid,
					   e->a->export[i].nqn);
}

static bool decode(const struct pool_object *object, struct props *props)
{
	return !object->unusable && !props_decode(object->blob, object->blob_len, props, NULL) &&
	       props->n_exports;
}

static void look_exports(struct check *c)
{
	struct exports e = {malloc(sizeof(*e.a)), malloc(sizeof(*e.b))};

	c->no_memory |= !e.a || !e.b;
	list_for_each (it, pool_objects(c->pool)) {
		const struct pool_object *x = list_entry(it, struct pool_object, link);

		if (c->no_memory || !decode(x, e.a))
			continue;
		for (struct list *at = it->next; at != pool_objects(c->pool); at = at->next) {
			const struct pool_object *y = list_entry(at, struct pool_object, link);

			if (decode(y, e.b))
				compare_exports(c, x, y, &e);
		}
	}
	free(e.a);
	free(e.b);
}

void check_state(struct check *c)
{
	for (struct pool_layer *l = pool_layer_next(c->pool, NULL); l;
	     l = pool_layer_next(c->pool, l))
		look_layer(c, l);
	look_space(c);
	look_exports(c);
}
