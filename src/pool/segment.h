/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pages lie: metadata segments, and the pairs of slots in them. Used by the checkpoint alone.
 *
 * A pair is named by pair_id(), 0 is none. Its winner is the slot that holds the page which counts; the next page goes into the other one, also when the pair has a new
 * owner: until that write is whole, what the last owner left stands, and nobody asks for it.
 */
#ifndef LITEPOOL_POOL_SEGMENT_H
#define LITEPOOL_POOL_SEGMENT_H

#include "base/bitmap.h"
#include "layout/page.h"

struct pool;

struct segments {
	uint64_t *cluster; /* by index in the segment table; 0: none */
	uint32_t n, capacity;
	uint32_t in_use;
	struct bitmap used, winner; /* by pair */
	uint64_t free_pairs, cursor;
	uint64_t tab_winner[(SEGTAB_PAIRS + 63) / 64], tab_changed[(SEGTAB_PAIRS + 63) / 64];
};

void segments_init(struct segments *s);
void segments_fini(struct segments *s);
/* Index of the first free entry of the table; UINT32_MAX: the table is full. */
uint32_t segments_free_index(const struct segments *s);
/* The entry is that cluster; all of its pairs are free. -ENOMEM. */
int segments_set(struct segments *s, uint32_t index, uint64_t cluster);
/* A free pair, now used; 0: none. */
uint64_t pair_take(struct segments *s);
void pair_free(struct segments *s, uint64_t pair);
/* Mount: the pair is used, or not; its winner. */
void pair_found(struct segments *s, uint64_t pair, bool used, unsigned winner);
/* Place of the slot that is to be written next. */
uint64_t pair_place(const struct segments *s, uint64_t pair);
/* It was written, flushed, and read back. */
void pair_flip(struct segments *s, uint64_t pair);

#endif
