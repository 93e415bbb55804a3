/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state as the pages have it: layers, properties, maps. Replay brings it up to date.
 *
 * What is in a page may be gone or not yet there in the other pages, since each was written at its own time: a map page of a layer that no LAYER page has, entries behind the
 * end of a layer, a PARTIAL entry without its mask. Every such case is set right by the records from the tail on; what is not is found by load_check.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pool/load.h"

#define SLICE_PAGES 32u /* map pages that are put in a pass; 504 entries each */

static int no_memory(struct pool_opening *o)
{
	return err_set(&o->err, -ENOMEM, "no memory for the maps of pool %s",
		       o->pool->super.now.name);
}

/* ---- layers ---- */

static int add_layer(struct pool_opening *o, const struct load_page *page, const struct layer *disk,
		     uint32_t slot)
{
	if (pool_layer_find(o->pool, disk->id))
		return load_problem(o, POOL_DAMAGE, "layer", page->place,
				    "layer %" PRIu64
				    " is there twice; once in the page at %" PRIu64,
				    disk->id, page->place);
	return table_layer_new(o->pool, disk, slot) ? 0 : no_memory(o);
}

static int take_layers(struct pool_opening *o, const struct load_page *page)
{
	int rc = 0;

	if (page->info.id.index >= POOL_LAYER_PAGES)
		return load_problem(o, POOL_DAMAGE, "layer", page->place,
				    "layer page %" PRIu64 ": this program handles %u of them",
				    page->info.id.index, POOL_LAYER_PAGES);
	for (unsigned i = 0; i < PAGE_LAYERS && !rc; i++) {
		struct layer disk;

		if (page_layer(page->page, i, &disk))
			rc = add_layer(o, page, &disk,
				       (uint32_t)page->info.id.index * PAGE_LAYERS + i);
	}
	return rc;
}

/* ---- properties ---- */

/* An object is whole in its pages when chunk 0 and all that it asks for have one revision; else the journal has it. */
static int take_props(struct pool_opening *o, const struct load_page *first)
{
	struct props_chunk chunk;
	uint32_t n;
	bool is_new;

	page_props(first->page, &chunk);
	n = (chunk.blob_size + PROPS_CHUNK - 1) / PROPS_CHUNK;
	for (uint32_t i = 0; i < n; i++) {
		const struct load_page *page =
			load_page_find(o, PAGE_PROPS, first->info.id.owner, i);
		struct props_chunk next;
		int rc;

		if (!page || !page->page)
			return 0;
		page_props(page->page, &next);
		if (next.revision != chunk.revision || next.blob_size != chunk.blob_size)
			return 0;
		rc = table_props_chunk(o->pool, first->info.id.owner, &next, &is_new, &o->err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int load_layers(struct pool_opening *o)
{
	int rc = 0;

	reactor_random(o->pool->home, &o->sentinel, sizeof(o->sentinel));
	for (size_t i = 0; i < o->pages.n && !rc; i++) {
		const struct load_page *page = &o->pages.page[i];

		if (!page->page)
			continue;
		if (page->info.id.kind == PAGE_LAYER)
			rc = take_layers(o, page);
		else if (page->info.id.kind == PAGE_PROPS && page->info.id.index == 0)
			rc = take_props(o, page);
	}
	o->next_page = 0;
	return rc ? rc : LOAD_NEXT;
}

/* ---- maps ---- */

static int note_maskless(struct pool_opening *o, uint64_t layer, uint32_t cluster)
{
	if (o->n_maskless == o->maskless_capacity) {
		size_t capacity = o->maskless_capacity ? o->maskless_capacity * 2 : 64;
		struct load_maskless *p = reallocarray(o->maskless, capacity, sizeof(*p));

		if (!p)
			return no_memory(o);
		o->maskless = p;
		o->maskless_capacity = capacity;
	}
	o->maskless[o->n_maskless++] = (struct load_maskless){layer, cluster};
	return 0;
}

/* Given up: open.c's caller has told what that means. */
static bool is_lost(const struct pool_opening *o, enum page_kind kind, uint64_t owner,
		    uint64_t index)
{
	const struct page_id id = {kind, owner, index};

	for (size_t i = 0; i < o->opts.n_lost; i++)
		if (page_id_equal(&o->opts.lost[i], &id))
			return true;
	return false;
}

static int put_partial(struct pool_opening *o, struct pool_layer *layer, uint32_t cluster,
		       uint64_t entry)
{
	const struct load_page *masks =
		load_page_find(o, PAGE_MASK, layer->disk.id, cluster / PAGE_MASKS);
	struct block_mask mask = o->sentinel;
	int rc;

	if (is_lost(o, PAGE_MASK, layer->disk.id, cluster / PAGE_MASKS))
		return map_put(layer->map, cluster, MAP_HIDE, NULL) ? no_memory(o) : 0;
	if (masks && masks->page)
		mask = page_mask(masks->page, cluster % PAGE_MASKS);
	else if ((rc = note_maskless(o, layer->disk.id, cluster)) != 0)
		return rc;
	return map_put(layer->map, cluster, entry, &mask) ? no_memory(o) : 0;
}

static int take_map(struct pool_opening *o, const struct load_page *page)
{
	struct pool_layer *layer = pool_layer_find(o->pool, page->info.id.owner);
	uint64_t first = page->info.id.index * PAGE_ENTRIES, end = first + PAGE_ENTRIES;
	int rc;

	if (!layer) /* gone, or all of it is in the journal */
		return 0;
	if (is_lost(o, PAGE_MAP, layer->disk.id, page->info.id.index))
		return 0;
	while (end > first && !page_entry(page->page, (unsigned)(end - first - 1)))
		end--;
	if (end == first)
		return 0;
	rc = table_map_reach(layer, end) ? no_memory(o) : 0;
	if (!rc && map_load_page(layer->map, (uint32_t)page->info.id.index, page->page))
		rc = no_memory(o);
	for (uint64_t cluster = first; cluster < end && !rc; cluster++) {
		uint64_t entry = page_entry(page->page, (unsigned)(cluster - first));

		if (entry & MAP_PARTIAL)
			rc = put_partial(o, layer, (uint32_t)cluster, entry);
	}
	return rc;
}

static void free_page(struct load_page *page)
{
	free(page->page);
	page->page = NULL;
}

/* What a lost page had reads as zeros: not as what the parent has there, which would be older data in silence. */
static int hide_lost(struct pool_opening *o)
{
	for (size_t i = 0; i < o->opts.n_lost; i++) {
		const struct page_id *id = &o->opts.lost[i];
		struct pool_layer *layer = pool_layer_find(o->pool, id->owner);
		uint64_t leaf =
			id->kind == PAGE_MAP ? id->index : id->index * PAGE_MASKS / PAGE_ENTRIES;
		uint64_t first = leaf * PAGE_ENTRIES, end;

		if (!layer)
			continue;
		end = MIN(first + PAGE_ENTRIES, layer_clusters(&layer->disk));
		if (first >= end)
			continue;
		if (table_map_reach(layer, end))
			return no_memory(o);
		for (uint64_t c = first; id->kind == PAGE_MAP && c < end; c++)
			if (map_put(layer->map, (uint32_t)c, MAP_HIDE, NULL))
				return no_memory(o);
		if (map_leaf_at(layer->map, (uint32_t)leaf))
			checkpoint_leaf_changed(o->pool, map_leaf_at(layer->map, (uint32_t)leaf));
	}
	return 0;
}

int load_maps(struct pool_opening *o)
{
	unsigned left = SLICE_PAGES;

	for (; o->next_page < o->pages.n && left; o->next_page++) {
		struct load_page *page = &o->pages.page[o->next_page];
		int rc;

		if (!page->page || page->info.id.kind != PAGE_MAP)
			continue;
		rc = take_map(o, page);
		if (rc)
			return rc;
		free_page(page);
		left--;
	}
	if (o->next_page < o->pages.n)
		return LOAD_AGAIN;
	for (size_t i = 0; i < o->pages.n; i++)
		free_page(&o->pages.page[i]);
	o->next_page = 0;
	return hide_lost(o) ? o->err.code : LOAD_NEXT;
}
