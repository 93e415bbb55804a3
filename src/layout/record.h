/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal records. Each states what is true after it (absolute values), so that replaying it twice, or
 * over pages that are newer, does no harm. Pure; any thread. FORMAT.md §4 has the crash reasoning of each.
 */
#ifndef LITEPOOL_LAYOUT_RECORD_H
#define LITEPOOL_LAYOUT_RECORD_H

#include "layout/layout.h"

enum record_type {
	RECORD_MAP_SET = 1,  /* one cluster of a layer */
	RECORD_MAP_RUN,      /* a run of clusters: contiguous, or all empty, or all HIDE */
	RECORD_LAYER_SET,    /* a layer is made or changed: its whole entry */
	RECORD_LAYER_DELETE, /* it and all its pages are gone, its clusters free */
	RECORD_SNAPSHOT,     /* a head becomes a snapshot, a new head stands on it */
	RECORD_PROPS_SET, /* one chunk of an object's properties; all chunks in one transaction */
	RECORD_PROPS_DELETE, /* the object is gone */
	RECORD_SEGMENT_SET,  /* an entry of the segment table */
	RECORD_PAGES, /* places that a checkpoint is about to write: a torn one there is no damage */
	RECORD_SUMS_OPEN, /* a cluster's blocks are about to change: its sums may not match */
	RECORD_SUMS_SET,  /* sums of some blocks of a cluster */
	RECORD_TYPES,
};
/* A type with this bit that is unknown is skipped; without, the pool is refused. */
#define RECORD_IGNORABLE 0x8000u

#define RECORD_ALIGN     8u
#define RECORD_HEAD      8u
#define RECORD_SIZE_MAX  3880u /* a PROPS_SET with a full chunk */

/* Clusters of a MAP_RUN whose entry is not 0: they need memory, 16 TiB of them. */
#define MAP_RUN_MAX    (1u << 24)

#define PAGES_MAX      480u  /* places per record */
#define PROPS_CHUNK    3840u /* bytes of properties per PROPS_SET record and per PROPS page */
#define PROPS_CHUNKS   16u
#define PROPS_BLOB_MAX 61440u /* PROPS_CHUNK * PROPS_CHUNKS */
static_assert(PROPS_BLOB_MAX == PROPS_CHUNK * PROPS_CHUNKS, "all chunks");

struct props_chunk {        /* of a record, and of a page */
	uint64_t revision;  /* of the object, counts up with each change; the same in all chunks */
	uint32_t blob_size; /* of all chunks together: 1 .. PROPS_BLOB_MAX */
	uint16_t index;     /* 0 .. ceil(blob_size / PROPS_CHUNK) - 1 */
	uint16_t len;       /* PROPS_CHUNK, the last one: the rest */
	const uint8_t *data;
};
/* Length of chunk index of a blob, 0 when there is no such chunk. */
uint32_t props_chunk_len(uint32_t blob_size, uint32_t index);

struct record {
	unsigned type; /* enum record_type, or ignorable and unknown */
	union {
		struct {
			uint64_t layer, entry;
			uint32_t cluster;       /* of the layer */
			struct block_mask mask; /* with MAP_PARTIAL only */
		} map_set;
		struct {
			/* With a phys, the i-th cluster of the run gets entry + i. Never MAP_PARTIAL. */
			uint64_t layer, entry;
			uint32_t cluster, count;
		} map_run;
		struct layer layer_set;
		struct {
			uint64_t layer;
		} layer_delete;
		struct {
			uint64_t volume, snapshot;   /* objects */
			uint64_t old_head, new_head; /* layers */
			uint64_t created_s;
		} snapshot;
		struct {
			uint64_t object;
			struct props_chunk chunk; /* data lies in the block */
		} props_set;
		struct {
			uint64_t object;
		} props_delete;
		struct {
			uint32_t index; /* in the segment table */
			uint64_t phys;  /* cluster, 0: none any more */
		} segment_set;
		struct {
			uint32_t count;       /* 1 .. PAGES_MAX */
			const uint8_t *place; /* count little-endian 64-bit places, in the block */
		} pages;
		struct {
			uint64_t phys;
		} sums_open;
		struct {
			uint64_t phys;
			uint16_t first, count; /* blocks of the cluster */
			bool close;            /* no change of the cluster is under way any more */
			const uint8_t *sums;   /* count little-endian 32-bit sums, in the block */
		} sums_set;
	};
};

/* Bytes that the record takes, a multiple of RECORD_ALIGN. r must be valid (ASSERT). */
uint32_t record_size(const struct record *r);
/* Writes record_size(r) bytes. */
void record_encode(const struct record *r, uint8_t *out);

/*
 * Decodes the record at in, of which at most len bytes are there; its size to ret_size. Pointers of ret
 * lie in in. 0; -EUCLEAN: not possible; -EOPNOTSUPP: an unknown type that may not be skipped.
 */
int record_decode(const uint8_t *in, uint32_t len, const struct layout_rules *rules,
		  struct record *ret, uint32_t *ret_size, struct err *err);
/* "MAP_SET"; "?" for an unknown type. */
const char *record_type_name(unsigned type);

#endif
