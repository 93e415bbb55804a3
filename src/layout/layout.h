/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The on-disk format of the volume store as pure code: bytes to structs and back. No I/O, no clock,
 * no allocation: the caller brings every buffer. FORMAT.md documents each byte and why a crash at any
 * moment is survived; this is the way in.
 *
 *   byte 0      4 MiB            4 MiB + journal           end_cluster * 1 MiB
 *   | head      | journal ring   | clusters of 1 MiB: data, and metadata segments |
 *
 * superblock.h  four copies at 0, 1, 2, 3 MiB: identity, geometry, epoch, where the journal starts
 * journal.h     4 KiB blocks chained by crc and epoch: builder and scan; record.h: what is in them
 * page.h        4 KiB pages in A/B slots: maps, masks, layers, properties, sums, segment table
 * props.h       what a volume is called and how it is exported, as TLVs
 *
 * Words: block = 4096 bytes, the grain of validity; cluster = 1 MiB = 256 blocks, counted from byte 0
 * of the device, so that cluster 0 never holds data and 0 means none; layer = sparse map with an
 * optional parent; object = a volume or a snapshot: what has a name; place = device offset / 4096.
 *
 * Invariants of this folder:
 *  1. Whatever the bytes, decoding ends within them and gives an outcome, never an assertion.
 *  2. What is decoded obeys every rule that can be seen in one block: ranges, sizes, padding of zeros.
 *     Rules between pages (one owner per cluster, parents exist) are for the pool.
 *  3. Encoding is deterministic: the same struct gives the same bytes.
 */
#ifndef LITEPOOL_LAYOUT_LAYOUT_H
#define LITEPOOL_LAYOUT_LAYOUT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"

#define LAYOUT_VERSION        1u
#define LAYOUT_PAGE           4096u
#define LAYOUT_CLUSTER        (1u << 20)
#define LAYOUT_CLUSTER_BLOCKS (LAYOUT_CLUSTER / LAYOUT_PAGE)
#define LAYOUT_HEAD           (4u << 20)
#define LAYOUT_CLUSTERS_MAX   ((uint64_t)1 << 40) /* of a device: map entries have 40 bits */
#define LAYOUT_NAME_MAX       63u /* bytes of a pool's or volume's name, without NUL */
/* Of epochs, LSNs, ids and revisions: nobody counts that far, so sums and the next one are free of overflow. */
#define LAYOUT_COUNT_MAX ((uint64_t)1 << 62)

#define SEGMENT_PAIRS    128u /* A/B pairs of pages in a metadata segment, which is one cluster */
#define SEGTAB_PAIRS     510u /* pairs of segment table pages in the head */
#define SEGTAB_SLOTS     504u /* segments per page */
#define SEGMENTS_MAX     (SEGTAB_PAIRS * SEGTAB_SLOTS)

/* What every decoder must know of its pool. superblock_rules() fills it. */
struct layout_rules {
	struct uuid pool;
	uint64_t epoch, epoch_lsn;           /* of the superblock read */
	uint64_t first_cluster, end_cluster; /* data space */
	uint64_t tail_lsn, tail_prev_epoch;  /* where replay starts; epoch of the block before */
	uint32_t tail_prev_crc;
	uint32_t journal_blocks;
};

/* A map entry: 64 bits, atomic in RAM. Bits 42..63 are zero. */
#define MAP_PHYS_MASK (LAYOUT_CLUSTERS_MAX - 1)
#define MAP_PARTIAL   ((uint64_t)1 << 40) /* a mask tells which of the 256 blocks are here */
#define MAP_HIDE                                                                                   \
	((uint64_t)1 << 41) /* blocks that are not here read as zeros, not as the parent's */

static inline uint64_t map_phys(uint64_t entry)
{
	return entry & MAP_PHYS_MASK;
}

/* Empty, HIDE, phys, phys+PARTIAL or phys+PARTIAL+HIDE, and phys within the data space. */
bool map_entry_valid(uint64_t entry, const struct layout_rules *rules);

struct block_mask { /* bit i: block i of the cluster is here */
	uint64_t word[LAYOUT_CLUSTER_BLOCKS / 64];
};
static_assert(sizeof(struct block_mask) == 32, "a mask");

static inline bool block_mask_has(const struct block_mask *mask, unsigned i)
{
	return mask->word[i / 64] >> (i % 64) & 1;
}

/* Layers. */
enum {
	LAYER_READ_ONLY = 1, /* a snapshot's; heads are writable */
	LAYER_DELETING = 2,  /* background work: clusters are being freed up to cursor */
	LAYER_MERGING = 4,   /* background work: clusters move into the layer peer */
	LAYER_INFLATING = 8, /* background work: what the chain below holds is copied here */
};
#define LAYER_FLAGS 15u
#define LAYER_WORK  (LAYER_DELETING | LAYER_MERGING | LAYER_INFLATING)

struct layer {
	uint64_t id;     /* never reused; from the superblock's next_id, shared with objects */
	uint64_t parent; /* layer, 0: none */
	uint64_t object; /* volume or snapshot whose layer it is; 0: kept only for its children */
	uint64_t size_bytes; /* multiple of 512 */
	uint64_t created_s;  /* seconds since 1970 */
	uint64_t cursor;     /* next cluster of the background work; 0 without work */
	uint64_t peer;       /* of LAYER_MERGING, else 0 */
	uint32_t flags;
};
#define LAYER_SIZE      64u
#define LAYER_BYTES_MAX ((uint64_t)1 << 52) /* so that a cluster index has 32 bits */

void layer_encode(const struct layer *layer, uint8_t out[LAYER_SIZE]);
/* -EINVAL with err (may be NULL) when a rule is broken. */
int layer_decode(const uint8_t in[LAYER_SIZE], struct layer *ret_layer, struct err *err);

/*
 * The sum of a data block of a pool with LAYOUT_INCOMPAT_SUMS: crc32c over the block's place (8 bytes)
 * and its 4096 bytes, so that a block read from or written to a wrong place does not match.
 */
uint32_t layout_block_sum(uint64_t place, const void *block);

/* crc32c of a 4 KiB page whose 4 bytes at crc_off count as zero. */
uint32_t layout_page_crc(const void *page, size_t crc_off);
bool layout_is_zero(const void *buf, size_t len);
/* 1..max printable ASCII characters without blank and slash, then zeros up to size. */
bool layout_name_valid(const char *name, size_t size, size_t max);

#endif
