/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from untrusted bytes. A decoder gets the body and its exact length, and returns what is wrong or
 * NULL. What a field means for other structures (does the layer exist?) is for the pool.
 */
#include <errno.h>
#include <inttypes.h>

#include "layout/record_format.h"

struct body {
	const uint8_t *p;
	uint32_t len; /* a multiple of 8 */
	uint32_t arg;
	const struct layout_rules *rules;
};

static const char bad_size[] = "its size is wrong";
static const char bad_rsvd[] = "reserved bytes are not zero";
static const char bad_id[] = "an id is 0";
static const char bad_phys[] = "a cluster is outside of the data space";

static bool phys_valid(uint64_t phys, const struct layout_rules *rules)
{
	return phys >= rules->first_cluster && phys < rules->end_cluster;
}

static void mask_get(const uint8_t *in, struct block_mask *mask)
{
	for (unsigned i = 0; i < ARRAY_LEN(mask->word); i++)
		mask->word[i] = get_le64(in + 8 * (size_t)i);
}

static const char *get_map_set(const struct body *b, struct record *r)
{
	const struct map_set_format *f = (const struct map_set_format *)b->p;
	bool partial;

	if (b->len < sizeof(*f))
		return bad_size;
	r->map_set.layer = get_le64(&f->layer);
	r->map_set.entry = get_le64(&f->entry);
	r->map_set.cluster = b->arg;
	partial = r->map_set.entry & MAP_PARTIAL;
	if (b->len != sizeof(*f) + (partial ? sizeof(struct block_mask) : 0))
		return bad_size;
	if (r->map_set.layer == 0)
		return bad_id;
	if (!map_entry_valid(r->map_set.entry, b->rules))
		return "the map entry is not possible";
	memset(&r->map_set.mask, 0, sizeof(r->map_set.mask));
	if (partial)
		mask_get(b->p + sizeof(*f), &r->map_set.mask);
	return NULL;
}

static const char *get_map_run(const struct body *b, struct record *r)
{
	const struct map_run_format *f = (const struct map_run_format *)b->p;
	uint64_t entry, phys;

	if (b->len != sizeof(*f))
		return bad_size;
	entry = get_le64(&f->entry);
	phys = map_phys(entry);
	r->map_run.layer = get_le64(&f->layer);
	r->map_run.entry = entry;
	r->map_run.cluster = b->arg;
	r->map_run.count = get_le32(&f->count);
	if (r->map_run.layer == 0)
		return bad_id;
	if (!layout_is_zero(f->rsvd20, sizeof(f->rsvd20)))
		return bad_rsvd;
	if (r->map_run.count == 0 || r->map_run.count - 1 > UINT32_MAX - b->arg)
		return "the run is empty or too long";
	if ((entry & MAP_PARTIAL) || !map_entry_valid(entry, b->rules))
		return "the map entry is not possible";
	if (phys && r->map_run.count > b->rules->end_cluster - phys)
		return bad_phys;
	return NULL;
}

static const char *get_layer_set(const struct body *b, struct record *r)
{
	if (b->len != LAYER_SIZE || b->arg)
		return bad_size;
	return layer_decode(b->p, &r->layer_set, NULL) ? "the layer is not possible" : NULL;
}

static const char *get_id(const struct body *b, uint64_t *ret_id)
{
	if (b->len != sizeof(struct id_format) || b->arg)
		return bad_size;
	*ret_id = get_le64(b->p);
	return *ret_id == 0 ? bad_id : NULL;
}

static const char *get_layer_delete(const struct body *b, struct record *r)
{
	return get_id(b, &r->layer_delete.layer);
}

static const char *get_props_delete(const struct body *b, struct record *r)
{
	return get_id(b, &r->props_delete.object);
}

static const char *get_sums_open(const struct body *b, struct record *r)
{
	const char *fault = get_id(b, &r->sums_open.phys);

	if (fault)
		return fault;
	return phys_valid(r->sums_open.phys, b->rules) ? NULL : bad_phys;
}

static const char *get_snapshot(const struct body *b, struct record *r)
{
	const struct snapshot_format *f = (const struct snapshot_format *)b->p;

	if (b->len != sizeof(*f) || b->arg)
		return bad_size;
	r->snapshot.volume = get_le64(&f->volume);
	r->snapshot.snapshot = get_le64(&f->snapshot);
	r->snapshot.old_head = get_le64(&f->old_head);
	r->snapshot.new_head = get_le64(&f->new_head);
	r->snapshot.created_s = get_le64(&f->created_s);
	if (!r->snapshot.volume || !r->snapshot.snapshot || !r->snapshot.old_head ||
	    !r->snapshot.new_head)
		return bad_id;
	if (r->snapshot.volume == r->snapshot.snapshot || /* layers and objects share their ids */
	    r->snapshot.volume == r->snapshot.old_head ||
	    r->snapshot.volume == r->snapshot.new_head ||
	    r->snapshot.snapshot == r->snapshot.old_head ||
	    r->snapshot.snapshot == r->snapshot.new_head ||
	    r->snapshot.old_head == r->snapshot.new_head)
		return "two ids are the same";
	return NULL;
}

static const char *get_props_set(const struct body *b, struct record *r)
{
	const struct props_format *f = (const struct props_format *)b->p;
	struct props_chunk *c = &r->props_set.chunk;

	if (b->len < sizeof(*f))
		return bad_size;
	r->props_set.object = get_le64(&f->object);
	c->revision = get_le64(&f->revision);
	c->blob_size = get_le32(&f->blob_size);
	c->index = get_le16(&f->index);
	c->data = b->p + sizeof(*f);
	if (b->arg == 0 || b->arg != props_chunk_len(c->blob_size, c->index))
		return "the chunk's length is wrong";
	c->len = (uint16_t)b->arg;
	if (b->len != align_up(sizeof(*f) + c->len, RECORD_ALIGN))
		return bad_size;
	if (r->props_set.object == 0 || c->revision == 0)
		return bad_id;
	if (c->revision > LAYOUT_COUNT_MAX)
		return "its revision is not possible";
	if (!layout_is_zero(f->rsvd22, sizeof(f->rsvd22)) ||
	    !layout_is_zero(c->data + c->len, b->len - sizeof(*f) - c->len))
		return bad_rsvd;
	return NULL;
}

static const char *get_segment_set(const struct body *b, struct record *r)
{
	if (b->len != sizeof(struct id_format))
		return bad_size;
	r->segment_set.index = b->arg;
	r->segment_set.phys = get_le64(b->p);
	if (b->arg >= SEGMENTS_MAX)
		return "the segment table has no such entry";
	if (r->segment_set.phys && !phys_valid(r->segment_set.phys, b->rules))
		return bad_phys;
	return NULL;
}

static const char *get_pages(const struct body *b, struct record *r)
{
	if (b->arg == 0 || b->arg > PAGES_MAX || b->len != b->arg * 8)
		return bad_size;
	for (uint32_t i = 0; i < b->arg; i++) {
		if (get_le64(b->p + 8 * (size_t)i) / LAYOUT_CLUSTER_BLOCKS >= b->rules->end_cluster)
			return "a place is outside of the device";
	}
	r->pages.count = b->arg;
	r->pages.place = b->p;
	return NULL;
}

static const char *get_sums_set(const struct body *b, struct record *r)
{
	const struct sums_format *f = (const struct sums_format *)b->p;
	uint32_t count, end;

	if (b->len < sizeof(*f))
		return bad_size;
	count = get_le16(&f->count);
	end = (uint32_t)sizeof(*f) + count * 4;
	if (count == 0 || b->arg >= LAYOUT_CLUSTER_BLOCKS || count > LAYOUT_CLUSTER_BLOCKS - b->arg)
		return "the blocks are outside of the cluster";
	if (b->len != align_up(end, RECORD_ALIGN))
		return bad_size;
	if (f->close > 1 || !layout_is_zero(f->rsvd11, sizeof(f->rsvd11)) ||
	    !layout_is_zero(b->p + end, b->len - end))
		return bad_rsvd;
	r->sums_set.phys = get_le64(&f->phys);
	r->sums_set.first = (uint16_t)b->arg;
	r->sums_set.count = (uint16_t)count;
	r->sums_set.close = f->close;
	r->sums_set.sums = b->p + sizeof(*f);
	return phys_valid(r->sums_set.phys, b->rules) ? NULL : bad_phys;
}

static const char *(*const decoders[RECORD_TYPES])(const struct body *b, struct record *r) = {
	[RECORD_MAP_SET] = get_map_set,
	[RECORD_MAP_RUN] = get_map_run,
	[RECORD_LAYER_SET] = get_layer_set,
	[RECORD_LAYER_DELETE] = get_layer_delete,
	[RECORD_SNAPSHOT] = get_snapshot,
	[RECORD_PROPS_SET] = get_props_set,
	[RECORD_PROPS_DELETE] = get_props_delete,
	[RECORD_SEGMENT_SET] = get_segment_set,
	[RECORD_PAGES] = get_pages,
	[RECORD_SUMS_OPEN] = get_sums_open,
	[RECORD_SUMS_SET] = get_sums_set,
};

int record_decode(const uint8_t *in, uint32_t len, const struct layout_rules *rules,
		  struct record *ret, uint32_t *ret_size, struct err *err)
{
	const struct head_format *head = (const struct head_format *)in;
	struct record r = {0};
	struct body body;
	const char *fault;
	uint32_t size;

	if (len < RECORD_HEAD)
		return err_set(err, -EUCLEAN, "a journal record is cut off");
	size = get_le16(&head->size);
	r.type = get_le16(&head->type);
	if (size < RECORD_HEAD || size % RECORD_ALIGN || size > len)
		return err_set(err, -EUCLEAN, "a journal record has the impossible size %u", size);
	body = (struct body){in + RECORD_HEAD, size - RECORD_HEAD, get_le32(&head->arg), rules};
	if (r.type == 0 || r.type >= RECORD_TYPES) {
		if (!(r.type & RECORD_IGNORABLE))
			return err_set(
				err, -EOPNOTSUPP,
				"the journal has records of type %u, which this program does "
				"not know; use a newer one",
				r.type);
	} else {
		fault = decoders[r.type](&body, &r);
		if (fault)
			return err_set(err, -EUCLEAN, "a journal record %s is refused: %s",
				       record_type_name(r.type), fault);
	}
	*ret = r;
	*ret_size = size;
	return 0;
}
