/* SPDX-License-Identifier: Apache-2.0 */
/* The structures of a pool as JSON, one object for each. Numbers are those of FORMAT.md. */
#include <inttypes.h>
#include <stdio.h>

#include "pool/dump_priv.h"

/* ---- superblocks ---- */

static json_t *super_json(const struct superblock *sb)
{
	char pool[UUID_TEXT_SIZE], writer[UUID_TEXT_SIZE];

	return json_pack(
		"{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"name", sb->name, "pool", uuid_format(&sb->pool, pool), "writer",
		uuid_format(&sb->writer, writer), "epoch", DUMP_U64(sb->epoch), "generation",
		DUMP_U64(sb->generation), "state", sb->state == SUPERBLOCK_CLEAN ? "clean" : "open",
		"device_bytes", DUMP_U64(sb->device_bytes), "journal_blocks",
		DUMP_U64(sb->journal_blocks), "tail_lsn", DUMP_U64(sb->tail_lsn), "epoch_lsn",
		DUMP_U64(sb->epoch_lsn), "pages_lsn", DUMP_U64(sb->pages_lsn), "first_cluster",
		DUMP_U64(sb->first_cluster), "end_cluster", DUMP_U64(sb->end_cluster), "next_id",
		DUMP_U64(sb->next_id), "reserved_clusters", DUMP_U64(sb->reserved_clusters),
		"scrub_cluster", DUMP_U64(sb->scrub_cluster));
}

void dump_super(struct dump *d)
{
	json_t *copies = dump_array(d->into, "superblocks");

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock sb;
		struct err why = {0};
		json_t *copy;

		if (superblock_decode(d->super.page[i], i, &sb, &why) == SUPERBLOCK_GOOD)
			copy = super_json(&sb);
		else
			copy = json_pack("{s:s}", "fault", why.text[0] ? why.text : "none there");
		json_object_set_new(copy, "copy", json_integer(i));
		json_array_append_new(copies, copy);
	}
}

/* ---- journal ---- */

static json_t *map_record(const char *type, uint64_t layer, uint64_t cluster, uint64_t count,
			  uint64_t entry)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:b}", "type", type, "layer",
			 DUMP_U64(layer), "cluster", DUMP_U64(cluster), "count", DUMP_U64(count),
			 "phys", DUMP_U64(map_phys(entry)), "partial", (entry & MAP_PARTIAL) != 0,
			 "hide", (entry & MAP_HIDE) != 0);
}

static json_t *record_json(const struct record *r)
{
	const char *type = record_type_name(r->type);

	switch (r->type) {
	case RECORD_MAP_SET:
		return map_record(type, r->map_set.layer, r->map_set.cluster, 1, r->map_set.entry);
	case RECORD_MAP_RUN:
		return map_record(type, r->map_run.layer, r->map_run.cluster, r->map_run.count,
				  r->map_run.entry);
	case RECORD_LAYER_SET:
		return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "type", type, "layer",
				 DUMP_U64(r->layer_set.id), "parent", DUMP_U64(r->layer_set.parent),
				 "object", DUMP_U64(r->layer_set.object), "size_bytes",
				 DUMP_U64(r->layer_set.size_bytes), "flags",
				 DUMP_U64(r->layer_set.flags));
	case RECORD_LAYER_DELETE:
		return json_pack("{s:s, s:I}", "type", type, "layer",
				 DUMP_U64(r->layer_delete.layer));
	case RECORD_SNAPSHOT:
		return json_pack("{s:s, s:I, s:I, s:I, s:I}", "type", type, "volume",
				 DUMP_U64(r->snapshot.volume), "snapshot",
				 DUMP_U64(r->snapshot.snapshot), "old_head",
				 DUMP_U64(r->snapshot.old_head), "new_head",
				 DUMP_U64(r->snapshot.new_head));
	case RECORD_PROPS_SET:
		return json_pack("{s:s, s:I, s:I, s:I, s:I}", "type", type, "object",
				 DUMP_U64(r->props_set.object), "revision",
				 DUMP_U64(r->props_set.chunk.revision), "chunk",
				 DUMP_U64(r->props_set.chunk.index), "bytes",
				 DUMP_U64(r->props_set.chunk.len));
	case RECORD_PROPS_DELETE:
		return json_pack("{s:s, s:I}", "type", type, "object",
				 DUMP_U64(r->props_delete.object));
	case RECORD_SEGMENT_SET:
		return json_pack("{s:s, s:I, s:I}", "type", type, "segment",
				 DUMP_U64(r->segment_set.index), "cluster",
				 DUMP_U64(r->segment_set.phys));
	case RECORD_PAGES:
		return json_pack("{s:s, s:I, s:I}", "type", type, "count", DUMP_U64(r->pages.count),
				 "first_place", DUMP_U64(get_le64(r->pages.place)));
	default: /* sums: no program writes them yet */
		return json_pack("{s:s}", "type", type);
	}
}

static void dump_block(json_t *records, const uint8_t *block, uint64_t lsn,
		       const struct layout_rules *rules)
{
	struct journal_cursor cursor;
	struct record r;

	journal_cursor_init(&cursor, block);
	while (journal_cursor_next(&cursor, rules, &r)) {
		json_t *record = record_json(&r);

		json_object_set_new(record, "lsn", json_integer(DUMP_U64(lsn)));
		json_array_append_new(records, record);
	}
}

void dump_journal(struct dump *d)
{
	const struct layout_rules *rules = &d->pool->rules;
	json_t *records = dump_array(d->into, "journal");
	struct journal_scan scan;

	journal_scan_init(&scan, rules);
	while (!scan.ended)
		(void)journal_scan_block(&scan, d->ring + scan.link.lsn % rules->journal_blocks *
								  LAYOUT_PAGE);
	for (uint64_t lsn = rules->tail_lsn; lsn < scan.commit.lsn; lsn++)
		dump_block(records, d->ring + lsn % rules->journal_blocks * LAYOUT_PAGE, lsn,
			   rules);
	json_object_set_new(d->into, "journal_end",
			    json_pack("{s:I, s:s}", "lsn", DUMP_U64(scan.end_lsn), "because",
				      journal_found_name(scan.end)));
}

/* ---- pages ---- */

void dump_slot(struct dump *d, const uint8_t *page, uint64_t place)
{
	struct page_info info;
	enum page_found found = page_open(page, &d->pool->rules, place, &info, NULL);
	json_t *slot;

	if (found == PAGE_BLANK)
		return;
	slot = json_pack("{s:I, s:s}", "place", DUMP_U64(place), "found", page_found_name(found));
	if (found == PAGE_GOOD)
		json_object_update_new(
			slot, json_pack("{s:s, s:I, s:I, s:I, s:I}", "kind",
					page_kind_name(info.id.kind), "owner",
					DUMP_U64(info.id.owner), "index", DUMP_U64(info.id.index),
					"lsn", DUMP_U64(info.lsn), "epoch", DUMP_U64(info.epoch)));
	json_array_append_new(d->pages, slot);
}

/* ---- the state after replay ---- */

static json_t *layer_json(const struct pool_layer *layer)
{
	const struct layer *disk = &layer->disk;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:I, s:I}", "layer",
			 DUMP_U64(disk->id), "parent", DUMP_U64(disk->parent), "object",
			 DUMP_U64(disk->object), "size_bytes", DUMP_U64(disk->size_bytes),
			 "mapped_clusters", DUMP_U64(map_mapped(layer->map)), "read_only",
			 (disk->flags & LAYER_READ_ONLY) != 0, "deleting",
			 (disk->flags & LAYER_DELETING) != 0, "merging",
			 (disk->flags & LAYER_MERGING) != 0, "inflating",
			 (disk->flags & LAYER_INFLATING) != 0, "cursor", DUMP_U64(disk->cursor),
			 "peer", DUMP_U64(disk->peer));
}

static json_t *object_json(const struct pool_object *object)
{
	char uuid[UUID_TEXT_SIZE];

	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:b}", "object",
			 DUMP_U64(object->id), "name", object->name, "kind",
			 pool_object_is_snapshot(object) ? "snapshot" : "volume", "uuid",
			 uuid_format(&object->uuid, uuid), "layer",
			 DUMP_U64(object->layer ? object->layer->disk.id : 0), "revision",
			 DUMP_U64(object->revision), "block_size", DUMP_U64(object->block_size),
			 "thick", (object->flags & PROPS_F_THICK) != 0, "unusable",
			 object->unusable);
}

struct run {
	uint64_t first, count, entry;
};

static bool goes_on(const struct run *run, uint64_t cluster, uint64_t entry)
{
	uint64_t next = map_phys(run->entry) ? run->entry + run->count : run->entry;

	return run->count && cluster == run->first + run->count && entry == next &&
	       !(entry & MAP_PARTIAL);
}

static void put_run(json_t *maps, uint64_t layer, const struct run *run)
{
	if (run->count)
		json_array_append_new(maps, map_record(run->entry & MAP_PARTIAL ? "part" : "run",
						       layer, run->first, run->count, run->entry));
}

static void dump_map(json_t *maps, const struct pool_layer *layer)
{
	struct run run = {0};

	for (uint64_t i = map_next(layer->map, 0); i != UINT64_MAX;
	     i = map_next(layer->map, i + 1)) {
		uint64_t entry = map_get(layer->map, (uint32_t)i, NULL);

		if (goes_on(&run, i, entry)) {
			run.count++;
			continue;
		}
		put_run(maps, layer->disk.id, &run);
		run = (struct run){i, 1, entry};
	}
	put_run(maps, layer->disk.id, &run);
}

static void dump_space(struct dump *d)
{
	struct pool_space_info info;

	pool_space_info(d->pool, &info);
	json_object_set_new(d->into, "space",
			    json_pack("{s:I, s:I, s:I, s:I, s:I}", "clusters", DUMP_U64(info.total),
				      "free", DUMP_U64(info.free), "metadata",
				      DUMP_U64(info.metadata), "reserved", DUMP_U64(info.reserved),
				      "volume_bytes", DUMP_U64(info.volume_bytes)));
}

void dump_state(struct dump *d)
{
	const struct segments *s = &d->pool->checkpoint->segments;
	json_t *segments = dump_array(d->into, "segments");
	json_t *layers = dump_array(d->into, "layers");
	json_t *objects = dump_array(d->into, "objects");
	json_t *maps = d->what & DUMP_MAPS ? dump_array(d->into, "maps") : NULL;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->cluster[i])
			json_array_append_new(segments,
					      json_pack("{s:I, s:I}", "segment", DUMP_U64(i),
							"cluster", DUMP_U64(s->cluster[i])));
	for (struct pool_layer *l = pool_layer_next(d->pool, NULL); l;
	     l = pool_layer_next(d->pool, l)) {
		json_array_append_new(layers, layer_json(l));
		if (maps)
			dump_map(maps, l);
	}
	list_for_each (it, pool_objects(d->pool))
		json_array_append_new(objects,
				      object_json(list_entry(it, struct pool_object, link)));
	dump_space(d);
}
