/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: 4 KiB, each in two slots A and B, self-describing. A checkpoint writes the slot that is not the
 * durable winner; FORMAT.md §5 has the rules. Pure; any thread.
 */
#ifndef LITEPOOL_LAYOUT_PAGE_H
#define LITEPOOL_LAYOUT_PAGE_H

#include "layout/layout.h"
#include "layout/record.h"

#define PAGE_MAGIC   0x4750504cu /* "LPPG" */
#define PAGE_HEAD    64u
#define PAGE_ROOM    (LAYOUT_PAGE - PAGE_HEAD)

#define PAGE_ENTRIES 504u /* MAP: entries; SEGMENTS: clusters */
#define PAGE_MASKS   126u
#define PAGE_LAYERS  63u
static_assert(PAGE_ENTRIES == 4 * PAGE_MASKS, "four mask pages go with a map page");
static_assert(PAGE_ENTRIES == SEGTAB_SLOTS, "a segment table page");

enum page_kind {
	PAGE_MAP = 1, /* owner: layer; index i: clusters i * PAGE_ENTRIES ... */
	PAGE_MASK,    /* owner: layer; index i: clusters i * PAGE_MASKS ... */
	PAGE_LAYER,   /* owner: 0; entries in any order */
	PAGE_PROPS,   /* owner: object; index: chunk */
	/* 5 was never written */
	PAGE_SEGMENTS = 6, /* owner: 0; index i: segments i * PAGE_ENTRIES ...; in the head only */
	PAGE_KINDS,
};
const char *page_kind_name(unsigned kind);

struct page_format {
	le32 magic;
	le32 crc;
	uint8_t pool[16];
	le64 owner, index, lsn, epoch;
	le32 place_low;
	le16 place_high;
	le16 kind;
	uint8_t body[PAGE_ROOM];
} __attribute__((packed));

struct page_id { /* what and which */
	enum page_kind kind;
	uint64_t owner, index;
};

struct page_info {
	struct page_id id;
	uint64_t lsn;   /* of the PAGES record that announced this write: higher at each write */
	uint64_t epoch; /* of the writer */
};

/* Bodies are filled in place before page_seal(), and read after page_open() said PAGE_GOOD. */
void page_clear(uint8_t page[LAYOUT_PAGE]);
uint64_t page_entry(const uint8_t page[LAYOUT_PAGE], unsigned i); /* MAP, SEGMENTS */
void page_set_entry(uint8_t page[LAYOUT_PAGE], unsigned i, uint64_t entry);
struct block_mask page_mask(const uint8_t page[LAYOUT_PAGE], unsigned i);
void page_set_mask(uint8_t page[LAYOUT_PAGE], unsigned i, const struct block_mask *mask);
/* False: the entry is free. */
bool page_layer(const uint8_t page[LAYOUT_PAGE], unsigned i, struct layer *ret_layer);
void page_set_layer(uint8_t page[LAYOUT_PAGE], unsigned i,
		    const struct layer *layer); /* NULL: free */
/* data of the chunk lies in the page. */
void page_props(const uint8_t page[LAYOUT_PAGE], struct props_chunk *ret_chunk);
void page_set_props(uint8_t page[LAYOUT_PAGE], const struct props_chunk *chunk);

/* Fills the head. place: where it will be written. */
void page_seal(uint8_t page[LAYOUT_PAGE], const struct layout_rules *rules,
	       const struct page_info *info, uint64_t place);

enum page_found {
	PAGE_GOOD,
	PAGE_BLANK, /* all zeros: never written */
	PAGE_TORN, /* not a whole page of ours: damage, unless a PAGES record since the tail names the place */
	PAGE_FOREIGN,   /* another pool's */
	PAGE_MISPLACED, /* written for another place */
	PAGE_FENCED,    /* by a writer whose epoch had ended: never counts, see FORMAT.md §6 */
	PAGE_BAD,       /* right crc, impossible content */
};
const char *page_found_name(enum page_found found);
/* err (may be NULL) is set for PAGE_BAD only. */
enum page_found page_open(const uint8_t page[LAYOUT_PAGE], const struct layout_rules *rules,
			  uint64_t place, struct page_info *ret_info, struct err *err);

struct page_slot { /* what page_open() said of one slot */
	const uint8_t *page;
	enum page_found found;
	struct page_info info;
};
enum page_winner { PAGE_WINNER_A, PAGE_WINNER_B, PAGE_WINNER_NONE, PAGE_WINNER_CONFLICT };
/* The good one with the higher LSN, whatever the ids. Same LSN and different bytes: CONFLICT. */
enum page_winner page_choose(const struct page_slot *a, const struct page_slot *b);
bool page_id_equal(const struct page_id *a, const struct page_id *b);

/* Places (device offset / 4096) of slot 0 (A) or 1 (B). */
static inline uint64_t segment_place(uint64_t cluster, unsigned pair, unsigned slot)
{
	return cluster * LAYOUT_CLUSTER_BLOCKS + slot * (uint64_t)SEGMENT_PAIRS + pair;
}
/* Pair 0 .. SEGTAB_PAIRS - 1 of the segment table: between the superblock copies. */
static inline uint64_t segtab_place(unsigned pair, unsigned slot)
{
	return 1 + pair + pair / 255 + slot * (uint64_t)(2 * LAYOUT_CLUSTER_BLOCKS);
}

#endif
