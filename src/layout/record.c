/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records to bytes and back: one row per type in a table. A record is a head (type, size, arg) and a body
 * of fixed fields, for some followed by an array; the whole is a multiple of 8 bytes, padded with zeros.
 */
#include "layout/record.h"

#include "base/check.h"
#include "layout/record_format.h"

static const char *const type_names[RECORD_TYPES] = {
	[RECORD_MAP_SET] = "MAP_SET",
	[RECORD_MAP_RUN] = "MAP_RUN",
	[RECORD_LAYER_SET] = "LAYER_SET",
	[RECORD_LAYER_DELETE] = "LAYER_DELETE",
	[RECORD_SNAPSHOT] = "SNAPSHOT",
	[RECORD_PROPS_SET] = "PROPS_SET",
	[RECORD_PROPS_DELETE] = "PROPS_DELETE",
	[RECORD_SEGMENT_SET] = "SEGMENT_SET",
	[RECORD_PAGES] = "PAGES",
	[RECORD_SUMS_OPEN] = "SUMS_OPEN",
	[RECORD_SUMS_SET] = "SUMS_SET",
};

const char *record_type_name(unsigned type)
{
	return type > 0 && type < RECORD_TYPES ? type_names[type] : "?";
}

uint32_t props_chunk_len(uint32_t blob_size, uint32_t index)
{
	uint32_t before = index * PROPS_CHUNK;

	if (blob_size > PROPS_BLOB_MAX || index >= PROPS_CHUNKS || before >= blob_size)
		return 0;
	return MIN(blob_size - before, PROPS_CHUNK);
}

/* Size of head and body before padding; from the in-memory form. */
static uint32_t raw_size(const struct record *r)
{
	switch (r->type) {
	case RECORD_MAP_SET:
		return sizeof(struct map_set_format) +
		       (r->map_set.entry & MAP_PARTIAL ? (uint32_t)sizeof(struct block_mask) : 0);
	case RECORD_MAP_RUN:
		return sizeof(struct map_run_format);
	case RECORD_LAYER_SET:
		return LAYER_SIZE;
	case RECORD_LAYER_DELETE:
	case RECORD_PROPS_DELETE:
	case RECORD_SEGMENT_SET:
	case RECORD_SUMS_OPEN:
		return sizeof(struct id_format);
	case RECORD_SNAPSHOT:
		return sizeof(struct snapshot_format);
	case RECORD_PROPS_SET:
		return (uint32_t)sizeof(struct props_format) + r->props_set.chunk.len;
	case RECORD_PAGES:
		return r->pages.count * 8;
	case RECORD_SUMS_SET:
		return (uint32_t)sizeof(struct sums_format) + r->sums_set.count * 4u;
	default:
		UNREACHABLE();
	}
}

uint32_t record_size(const struct record *r)
{
	uint32_t size = (uint32_t)align_up(RECORD_HEAD + raw_size(r), RECORD_ALIGN);

	ASSERT(size <= RECORD_SIZE_MAX);
	return size;
}

static void mask_put(uint8_t *out, const struct block_mask *mask)
{
	for (unsigned i = 0; i < ARRAY_LEN(mask->word); i++)
		put_le64(out + 8 * (size_t)i, mask->word[i]);
}

static uint32_t put_map(const struct record *r, uint8_t *body)
{
	struct map_set_format *set = (struct map_set_format *)body;
	struct map_run_format *run = (struct map_run_format *)body;

	if (r->type == RECORD_MAP_SET) {
		put_le64(&set->layer, r->map_set.layer);
		put_le64(&set->entry, r->map_set.entry);
		if (r->map_set.entry & MAP_PARTIAL)
			mask_put(body + sizeof(*set), &r->map_set.mask);
		return r->map_set.cluster;
	}
	put_le64(&run->layer, r->map_run.layer);
	put_le64(&run->entry, r->map_run.entry);
	put_le32(&run->count, r->map_run.count);
	return r->map_run.cluster;
}

static void put_snapshot(const struct record *r, struct snapshot_format *f)
{
	put_le64(&f->volume, r->snapshot.volume);
	put_le64(&f->snapshot, r->snapshot.snapshot);
	put_le64(&f->old_head, r->snapshot.old_head);
	put_le64(&f->new_head, r->snapshot.new_head);
	put_le64(&f->created_s, r->snapshot.created_s);
}

static uint32_t put_props(const struct record *r, uint8_t *body)
{
	const struct props_chunk *c = &r->props_set.chunk;
	struct props_format *f = (struct props_format *)body;

	ASSERT(c->len == props_chunk_len(c->blob_size, c->index) && c->len > 0);
	put_le64(&f->object, r->props_set.object);
	put_le64(&f->revision, c->revision);
	put_le32(&f->blob_size, c->blob_size);
	put_le16(&f->index, c->index);
	memcpy(body + sizeof(*f), c->data, c->len);
	return c->len;
}

static uint32_t put_sums(const struct record *r, uint8_t *body)
{
	struct sums_format *f = (struct sums_format *)body;

	put_le64(&f->phys, r->sums_set.phys);
	put_le16(&f->count, r->sums_set.count);
	f->close = r->sums_set.close;
	memcpy(body + sizeof(*f), r->sums_set.sums, (size_t)r->sums_set.count * 4);
	return r->sums_set.first;
}

/* Returns the head's arg. body is zeroed. */
static uint32_t put_body(const struct record *r, uint8_t *body)
{
	switch (r->type) {
	case RECORD_MAP_SET:
	case RECORD_MAP_RUN:
		return put_map(r, body);
	case RECORD_LAYER_SET:
		layer_encode(&r->layer_set, body);
		return 0;
	case RECORD_LAYER_DELETE:
		put_le64(body, r->layer_delete.layer);
		return 0;
	case RECORD_SNAPSHOT:
		put_snapshot(r, (struct snapshot_format *)body);
		return 0;
	case RECORD_PROPS_SET:
		return put_props(r, body);
	case RECORD_PROPS_DELETE:
		put_le64(body, r->props_delete.object);
		return 0;
	case RECORD_SEGMENT_SET:
		put_le64(body, r->segment_set.phys);
		return r->segment_set.index;
	case RECORD_PAGES:
		memcpy(body, r->pages.place, (size_t)r->pages.count * 8);
		return r->pages.count;
	case RECORD_SUMS_OPEN:
		put_le64(body, r->sums_open.phys);
		return 0;
	case RECORD_SUMS_SET:
		return put_sums(r, body);
	default:
		UNREACHABLE();
	}
}

void record_encode(const struct record *r, uint8_t *out)
{
	struct head_format *head = (struct head_format *)out;
	uint32_t size = record_size(r);

	memset(out, 0, size);
	put_le16(&head->type, (uint16_t)r->type);
	put_le16(&head->size, (uint16_t)size);
	put_le32(&head->arg, put_body(r, out + RECORD_HEAD));
}
