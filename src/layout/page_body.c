/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of pages by kind: access and rules. What a kind does not use of its page is zero. */
#include "layout/page_body.h"

#include "base/check.h"

struct props_format {
	le64 revision;
	le32 blob_size;
	le16 len;
	uint8_t rsvd14[18];
	uint8_t data[PROPS_CHUNK];
} __attribute__((packed));
static_assert(sizeof(struct props_format) == 32 + PROPS_CHUNK, "PROPS body");
static_assert(sizeof(struct props_format) <= PAGE_ROOM, "PROPS fits");

static_assert(PAGE_ENTRIES * 8 == PAGE_ROOM, "MAP fills the page");
static_assert(PAGE_MASKS * sizeof(struct block_mask) == PAGE_ROOM, "MASK fills the page");
static_assert(PAGE_LAYERS * LAYER_SIZE == PAGE_ROOM, "LAYER fills the page");

uint64_t page_entry(const uint8_t page[LAYOUT_PAGE], unsigned i)
{
	ASSERT(i < PAGE_ENTRIES);
	return get_le64(page + PAGE_HEAD + 8 * (size_t)i);
}

void page_set_entry(uint8_t page[LAYOUT_PAGE], unsigned i, uint64_t entry)
{
	ASSERT(i < PAGE_ENTRIES);
	put_le64(page + PAGE_HEAD + 8 * (size_t)i, entry);
}

struct block_mask page_mask(const uint8_t page[LAYOUT_PAGE], unsigned i)
{
	const uint8_t *in = page + PAGE_HEAD + sizeof(struct block_mask) * i;
	struct block_mask mask;

	ASSERT(i < PAGE_MASKS);
	for (unsigned w = 0; w < ARRAY_LEN(mask.word); w++)
		mask.word[w] = get_le64(in + 8 * (size_t)w);
	return mask;
}

void page_set_mask(uint8_t page[LAYOUT_PAGE], unsigned i, const struct block_mask *mask)
{
	uint8_t *out = page + PAGE_HEAD + sizeof(struct block_mask) * i;

	ASSERT(i < PAGE_MASKS);
	for (unsigned w = 0; w < ARRAY_LEN(mask->word); w++)
		put_le64(out + 8 * (size_t)w, mask->word[w]);
}

bool page_layer(const uint8_t page[LAYOUT_PAGE], unsigned i, struct layer *ret_layer)
{
	ASSERT(i < PAGE_LAYERS);
	return layer_decode(page + PAGE_HEAD + (size_t)LAYER_SIZE * i, ret_layer, NULL) == 0;
}

void page_set_layer(uint8_t page[LAYOUT_PAGE], unsigned i, const struct layer *layer)
{
	uint8_t *out = page + PAGE_HEAD + (size_t)LAYER_SIZE * i;

	ASSERT(i < PAGE_LAYERS);
	if (layer)
		layer_encode(layer, out);
	else
		memset(out, 0, LAYER_SIZE);
}

void page_props(const uint8_t page[LAYOUT_PAGE], struct props_chunk *ret_chunk)
{
	const struct page_format *head = (const struct page_format *)page;
	const struct props_format *f = (const struct props_format *)head->body;

	*ret_chunk = (struct props_chunk){
		.revision = get_le64(&f->revision),
		.blob_size = get_le32(&f->blob_size),
		.index = (uint16_t)get_le64(&head->index),
		.len = get_le16(&f->len),
		.data = f->data,
	};
}

void page_set_props(uint8_t page[LAYOUT_PAGE], const struct props_chunk *chunk)
{
	struct props_format *f = (struct props_format *)(page + PAGE_HEAD);

	ASSERT(chunk->len > 0 && chunk->len == props_chunk_len(chunk->blob_size, chunk->index));
	put_le64(&f->revision, chunk->revision);
	put_le32(&f->blob_size, chunk->blob_size);
	put_le16(&f->len, chunk->len);
	memset(f->data, 0, sizeof(f->data));
	memcpy(f->data, chunk->data, chunk->len);
}

static const char *map_fault(const uint8_t *page, const struct page_id *id,
			     const struct layout_rules *rules)
{
	for (unsigned i = 0; i < PAGE_ENTRIES; i++) {
		uint64_t entry = page_entry(page, i);

		if (!map_entry_valid(entry, rules))
			return "a map entry is not possible";
		if (entry && id->index * PAGE_ENTRIES + i >= LAYER_BYTES_MAX / LAYOUT_CLUSTER)
			return "it maps clusters that no layer can have";
	}
	return NULL;
}

static const char *segments_fault(const uint8_t *page, const struct layout_rules *rules)
{
	for (unsigned i = 0; i < PAGE_ENTRIES; i++) {
		uint64_t phys = page_entry(page, i);

		if (phys && (phys < rules->first_cluster || phys >= rules->end_cluster))
			return "a segment is outside of the data space";
	}
	return NULL;
}

static const char *layers_fault(const uint8_t *page)
{
	for (unsigned i = 0; i < PAGE_LAYERS; i++) {
		const uint8_t *at = page + PAGE_HEAD + (size_t)LAYER_SIZE * i;
		struct layer layer;

		if (!layout_is_zero(at, LAYER_SIZE) && layer_decode(at, &layer, NULL))
			return "a layer is not possible";
	}
	return NULL;
}

static const char *props_fault(const uint8_t *page, const struct page_id *id)
{
	const struct props_format *f = (const struct props_format *)(page + PAGE_HEAD);
	uint32_t len = get_le16(&f->len);

	if (get_le64(&f->revision) == 0 || get_le64(&f->revision) > LAYOUT_COUNT_MAX)
		return "its revision is not possible";
	if (len == 0 || len != props_chunk_len(get_le32(&f->blob_size), (uint32_t)id->index))
		return "its length is wrong";
	if (!layout_is_zero(f->rsvd14, sizeof(f->rsvd14)) ||
	    !layout_is_zero(f->data + len, PAGE_ROOM - offsetof(struct props_format, data) - len))
		return "unused bytes are not zero";
	return NULL;
}

const char *page_body_fault(const uint8_t page[LAYOUT_PAGE], const struct page_id *id,
			    const struct layout_rules *rules)
{
	switch (id->kind) {
	case PAGE_MAP:
		return map_fault(page, id, rules);
	case PAGE_MASK:
		return NULL;
	case PAGE_LAYER:
		return layers_fault(page);
	case PAGE_PROPS:
		return props_fault(page, id);
	case PAGE_SEGMENTS:
		return segments_fault(page, rules);
	case PAGE_KINDS:
	default:
		return "its kind is unknown";
	}
}
