/* SPDX-License-Identifier: Apache-2.0 */
/* Page heads, what a slot holds, and which slot of a pair counts. page_body.c has the contents. */
#include "layout/page.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"
#include "layout/page_body.h"

#define F_AT(field, offset)                                                                        \
	static_assert(offsetof(struct page_format, field) == (offset), "page " #field)
static_assert(sizeof(struct page_format) == LAYOUT_PAGE, "page");
F_AT(crc, 4);
F_AT(pool, 8);
F_AT(owner, 24);
F_AT(index, 32);
F_AT(lsn, 40);
F_AT(epoch, 48);
F_AT(place_low, 56);
F_AT(place_high, 60);
F_AT(kind, 62);
F_AT(body, PAGE_HEAD);

static const char *const kind_names[PAGE_KINDS] = {
	[PAGE_MAP] = "MAP",     [PAGE_MASK] = "MASK",         [PAGE_LAYER] = "LAYER",
	[PAGE_PROPS] = "PROPS", [PAGE_SEGMENTS] = "SEGMENTS",
};

static const char *const found_names[] = {
	[PAGE_GOOD] = "good",
	[PAGE_BLANK] = "blank",
	[PAGE_TORN] = "wrong checksum",
	[PAGE_FOREIGN] = "another pool's",
	[PAGE_MISPLACED] = "written for another place",
	[PAGE_FENCED] = "of a writer that was fenced",
	[PAGE_BAD] = "impossible content",
};

const char *page_kind_name(unsigned kind)
{
	return kind < PAGE_KINDS && kind_names[kind] ? kind_names[kind] : "?";
}

const char *page_found_name(enum page_found found)
{
	return (unsigned)found < ARRAY_LEN(found_names) ? found_names[found] : "?";
}

bool page_id_equal(const struct page_id *a, const struct page_id *b)
{
	return a->kind == b->kind && a->owner == b->owner && a->index == b->index;
}

static bool in_head(uint64_t place)
{
	return place < LAYOUT_HEAD / LAYOUT_PAGE;
}

/* Whether such a page can be: bounds keep index arithmetic free of overflow. */
static const char *id_fault(const struct page_id *id, uint64_t place,
			    const struct layout_rules *rules)
{
	bool owned = id->kind == PAGE_MAP || id->kind == PAGE_MASK || id->kind == PAGE_PROPS;
	uint64_t clusters = LAYER_BYTES_MAX / LAYOUT_CLUSTER, max;

	switch (id->kind) {
	case PAGE_MAP:
		max = clusters / PAGE_ENTRIES;
		break;
	case PAGE_MASK:
		max = clusters / PAGE_MASKS;
		break;
	case PAGE_LAYER:
		max = UINT32_MAX;
		break;
	case PAGE_PROPS:
		max = PROPS_CHUNKS - 1;
		break;
	case PAGE_SEGMENTS:
		max = SEGTAB_PAIRS - 1;
		break;
	case PAGE_KINDS:
	default:
		return "its kind is unknown";
	}
	if (owned != (id->owner != 0))
		return "its owner is not possible";
	if (id->index > max)
		return "its index is not possible";
	if (in_head(place) != (id->kind == PAGE_SEGMENTS))
		return "its kind does not belong at this place";
	return NULL;
}

void page_clear(uint8_t page[LAYOUT_PAGE])
{
	memset(page, 0, LAYOUT_PAGE);
}

void page_seal(uint8_t page[LAYOUT_PAGE], const struct layout_rules *rules,
	       const struct page_info *info, uint64_t place)
{
	struct page_format *f = (struct page_format *)page;

	ASSERT(!id_fault(&info->id, place, rules));
	ASSERT(info->lsn > 0);
	put_le32(&f->magic, PAGE_MAGIC);
	memcpy(f->pool, rules->pool.b, sizeof(f->pool));
	put_le64(&f->owner, info->id.owner);
	put_le64(&f->index, info->id.index);
	put_le64(&f->lsn, info->lsn);
	put_le64(&f->epoch, info->epoch);
	put_le32(&f->place_low, (uint32_t)place);
	put_le16(&f->place_high, (uint16_t)(place >> 32));
	put_le16(&f->kind, (uint16_t)info->id.kind);
	put_le32(&f->crc, layout_page_crc(page, offsetof(struct page_format, crc)));
}

static enum page_found check_head(const struct page_format *f, const struct layout_rules *rules,
				  uint64_t place)
{
	uint64_t written_for = get_le32(&f->place_low) | (uint64_t)get_le16(&f->place_high) << 32;

	if (get_le32(&f->magic) != PAGE_MAGIC)
		return layout_is_zero(f, sizeof(*f)) ? PAGE_BLANK : PAGE_TORN;
	if (get_le32(&f->crc) != layout_page_crc(f, offsetof(struct page_format, crc)))
		return PAGE_TORN;
	if (memcmp(f->pool, rules->pool.b, sizeof(f->pool)) != 0)
		return PAGE_FOREIGN;
	if (written_for != place)
		return PAGE_MISPLACED;
	if (get_le64(&f->epoch) < rules->epoch && get_le64(&f->lsn) >= rules->epoch_lsn)
		return PAGE_FENCED;
	return PAGE_GOOD;
}

enum page_found page_open(const uint8_t page[LAYOUT_PAGE], const struct layout_rules *rules,
			  uint64_t place, struct page_info *ret_info, struct err *err)
{
	const struct page_format *f = (const struct page_format *)page;
	enum page_found found = check_head(f, rules, place);
	struct page_info info;
	const char *fault;

	if (found != PAGE_GOOD)
		return found;
	info = (struct page_info){
		.id = {(enum page_kind)get_le16(&f->kind), get_le64(&f->owner),
		       get_le64(&f->index)},
		.lsn = get_le64(&f->lsn),
		.epoch = get_le64(&f->epoch),
	};
	fault = id_fault(&info.id, place, rules);
	if (!fault && (info.lsn == 0 || info.epoch == 0 || info.epoch > rules->epoch))
		fault = "its LSN or epoch is not possible";
	if (!fault)
		fault = page_body_fault(page, &info.id, rules);
	if (fault) {
		(void)err_set(err, -EUCLEAN,
			      "page at %" PRIu64 " (%s %" PRIu64 "/%" PRIu64 ") is refused: %s",
			      place, page_kind_name(info.id.kind), info.id.owner, info.id.index,
			      fault);
		return PAGE_BAD;
	}
	*ret_info = info;
	return PAGE_GOOD;
}

enum page_winner page_choose(const struct page_slot *a, const struct page_slot *b)
{
	const struct page_format *x, *y;

	if (a->found != PAGE_GOOD)
		return b->found == PAGE_GOOD ? PAGE_WINNER_B : PAGE_WINNER_NONE;
	if (b->found != PAGE_GOOD || a->info.lsn > b->info.lsn)
		return PAGE_WINNER_A;
	if (a->info.lsn < b->info.lsn)
		return PAGE_WINNER_B;
	x = (const struct page_format *)a->page;
	y = (const struct page_format *)b->page;
	if (!page_id_equal(&a->info.id, &b->info.id) || a->info.epoch != b->info.epoch ||
	    memcmp(x->body, y->body, PAGE_ROOM) != 0)
		return PAGE_WINNER_CONFLICT;
	return PAGE_WINNER_A;
}
