/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of journal records, for record.c and record_decode.c alone. */
#ifndef LITEPOOL_LAYOUT_RECORD_FORMAT_H
#define LITEPOOL_LAYOUT_RECORD_FORMAT_H

#include "layout/record.h"

struct head_format {
	le16 type, size;
	le32 arg;
} __attribute__((packed));
static_assert(sizeof(struct head_format) == RECORD_HEAD, "record head");

struct map_set_format { /* arg: cluster */
	le64 layer, entry;
	/* with MAP_PARTIAL: 32 bytes of mask */
} __attribute__((packed));
static_assert(sizeof(struct map_set_format) == 16, "MAP_SET");

struct map_run_format { /* arg: cluster */
	le64 layer, entry;
	le32 count;
	uint8_t rsvd20[4];
} __attribute__((packed));
static_assert(sizeof(struct map_run_format) == 24, "MAP_RUN");

struct id_format { /* LAYER_DELETE, PROPS_DELETE, SUMS_OPEN (phys), SEGMENT_SET (phys; arg: index) */
	le64 id;
} __attribute__((packed));
static_assert(sizeof(struct id_format) == 8, "records of one id");

struct snapshot_format {
	le64 volume, snapshot, old_head, new_head, created_s;
} __attribute__((packed));
static_assert(sizeof(struct snapshot_format) == 40, "SNAPSHOT");

struct props_format { /* arg: length of the chunk */
	le64 object, revision;
	le32 blob_size;
	le16 index;
	uint8_t rsvd22[10];
	/* arg bytes */
} __attribute__((packed));
static_assert(sizeof(struct props_format) == 32, "PROPS_SET");
static_assert(RECORD_HEAD + sizeof(struct props_format) + PROPS_CHUNK == RECORD_SIZE_MAX,
	      "largest");
static_assert(RECORD_HEAD + PAGES_MAX * 8 <= RECORD_SIZE_MAX, "PAGES");

struct sums_format { /* arg: first block */
	le64 phys;
	le16 count;
	uint8_t close;
	uint8_t rsvd11[5];
	/* count sums of 4 bytes */
} __attribute__((packed));
static_assert(sizeof(struct sums_format) == 16, "SUMS_SET");

#endif
