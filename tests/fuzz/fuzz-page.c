/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two page slots of any bytes, or a properties blob. Byte 0: 1: heads are made right first; 2: the rest is a blob. What is taken can be
 * read in every place, and properties encode to what decodes to the same.
 */
#include "base/check.h"
#include "samples.h"

#include "fuzz.h"

static uint8_t page[2][LAYOUT_PAGE];

static void walk(const struct page_slot *slot)
{
	struct props_chunk chunk;
	struct layer layer;

	switch (slot->info.id.kind) {
	case PAGE_LAYER:
		for (unsigned i = 0; i < PAGE_LAYERS; i++) {
			if (page_layer(slot->page, i, &layer))
				ASSERT(layer.id != 0);
		}
		break;
	case PAGE_PROPS:
		page_props(slot->page, &chunk);
		ASSERT(chunk.len == props_chunk_len(chunk.blob_size, chunk.index));
		ASSERT(chunk.data + chunk.len <= slot->page + LAYOUT_PAGE);
		break;
	case PAGE_MAP:
	case PAGE_MASK:
	case PAGE_SEGMENTS:
	case PAGE_KINDS:
	default:
		(void)page_entry(slot->page, PAGE_ENTRIES - 1);
		break;
	}
}

static void check_blob(const uint8_t *data, uint32_t len)
{
	static uint8_t once[PROPS_BLOB_MAX], twice[PROPS_BLOB_MAX];
	static struct props p;
	struct err err = {0};
	uint32_t n;

	if (props_decode(data, len, &p, &err)) {
		ASSERT(err.code < 0);
		return;
	}
	n = props_encode(&p, once);
	ASSERT(props_decode(once, n, &p, NULL) == 0);
	ASSERT(props_encode(&p, twice) == n);
	ASSERT(memcmp(once, twice, n) == 0);
}

static void repair(uint8_t *p, const struct layout_rules *rules, uint64_t place)
{
	struct page_format *f = (struct page_format *)p;

	put_le32(&f->magic, PAGE_MAGIC);
	memcpy(f->pool, rules->pool.b, sizeof(f->pool));
	put_le32(&f->place_low, (uint32_t)place);
	put_le16(&f->place_high, 0);
	put_le32(&f->crc, layout_page_crc(p, offsetof(struct page_format, crc)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct page_slot slot[2];
	struct layout_rules rules;
	enum page_winner winner;

	if (size < 1)
		return 0;
	if (data[0] & 2) {
		check_blob(data + 1, (uint32_t)MIN(size - 1, (size_t)UINT32_MAX));
		return 0;
	}
	sample_rules(&rules);
	memset(page, 0, sizeof(page));
	memcpy(page, data + 1, MIN(size - 1, sizeof(page)));
	for (unsigned i = 0; i < 2; i++) {
		const struct page_format *f = (const struct page_format *)page[i];
		uint64_t place = get_le32(&f->place_low) % (2 * LAYOUT_HEAD / LAYOUT_PAGE);

		if (data[0] & 1)
			repair(page[i], &rules, place);
		slot[i] = (struct page_slot){.page = page[i]};
		slot[i].found = page_open(page[i], &rules, place, &slot[i].info, NULL);
		if (slot[i].found == PAGE_GOOD)
			walk(&slot[i]);
	}
	winner = page_choose(&slot[0], &slot[1]);
	if (winner <= PAGE_WINNER_B)
		ASSERT(slot[winner].found == PAGE_GOOD);
	return 0;
}
