/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: one 4 KiB page, four copies. Pure; any thread. FORMAT.md §2 has the rules that a
 * writer keeps: two copies, flush, the other two, flush.
 */
#ifndef LITEPOOL_LAYOUT_SUPERBLOCK_H
#define LITEPOOL_LAYOUT_SUPERBLOCK_H

#include "layout/layout.h"

#define SUPERBLOCK_COPIES         4u
#define SUPERBLOCK_COPY_OFFSET(i) ((uint64_t)(i) * LAYOUT_CLUSTER)
#define SUPERBLOCK_MAGIC          "LITEPOOL"

/* Unknown bits: compat: ignored and kept; ro_compat: the pool opens only for reading; incompat: not at all. */
#define LAYOUT_COMPAT_KNOWN    ((uint64_t)0)
#define LAYOUT_RO_COMPAT_KNOWN ((uint64_t)0)
#define LAYOUT_INCOMPAT_SUMS   ((uint64_t)1) /* data blocks have sums in SUMS pages */
#define LAYOUT_INCOMPAT_KNOWN  LAYOUT_INCOMPAT_SUMS

enum superblock_state { SUPERBLOCK_CLEAN = 1, SUPERBLOCK_OPEN = 2 };

struct superblock_format {
	uint8_t magic[8];
	le32 crc;
	le32 version;
	le64 compat, ro_compat, incompat;
	uint8_t pool[16];
	uint8_t writer[16];
	le64 epoch, generation;
	le64 device_bytes;
	le32 cluster_bytes, page_bytes;
	le64 journal_offset;
	le32 journal_blocks;
	le32 copy;
	le64 tail_lsn, tail_prev_epoch;
	le32 tail_prev_crc;
	le32 state;
	le64 epoch_lsn;
	le64 first_cluster, end_cluster;
	le64 next_id;
	le64 reserved_clusters;
	le64 created_s;
	le64 scrub_cluster;
	le32 block_bytes;
	le32 commit_percent;
	uint8_t watermark[4];
	uint8_t rsvd212[4];
	uint8_t name[64];
	le64 pages_lsn;
	uint8_t rsvd288[LAYOUT_PAGE - 288];
} __attribute__((packed));

struct superblock {
	uint64_t compat, ro_compat, incompat;
	struct uuid pool;
	struct uuid writer;         /* random, one per opening for writing */
	uint64_t epoch, generation; /* of the opening; of the write within it */
	uint64_t device_bytes;
	uint64_t journal_offset;
	uint32_t journal_blocks;
	uint32_t block_bytes; /* the device's logical blocks: 512 or 4096 */
	uint64_t tail_lsn, tail_prev_epoch;
	uint32_t tail_prev_crc;
	enum superblock_state state;
	uint64_t epoch_lsn; /* first LSN that this epoch may write */
	uint64_t first_cluster, end_cluster;
	uint64_t next_id;
	uint64_t reserved_clusters; /* kept from thin volumes */
	uint64_t created_s;
	uint64_t scrub_cluster;  /* where an interrupted scrub goes on */
	uint64_t pages_lsn;      /* PAGES records up to it excuse no page any more */
	uint32_t commit_percent; /* sum of volume sizes allowed, of the data space; 0: no limit */
	uint8_t watermark[3];    /* percent, ascending */
	char name[LAYOUT_NAME_MAX + 1];
};

/* Journal place and size and the data space for a device; -EINVAL when it is too small or too large. */
int superblock_geometry(uint64_t device_bytes, struct superblock *sb, struct err *err);

/* Writes copy number copy (0..3). sb must be valid: it is encoded from our own state (ASSERT). */
void superblock_encode(const struct superblock *sb, unsigned copy, uint8_t out[LAYOUT_PAGE]);

enum superblock_found {
	SUPERBLOCK_GOOD,
	SUPERBLOCK_NONE,        /* no magic: not a superblock */
	SUPERBLOCK_TORN,        /* ours by the magic, wrong crc */
	SUPERBLOCK_BAD,         /* right crc, impossible content, or another copy's place */
	SUPERBLOCK_UNSUPPORTED, /* a version that this program does not know */
};
/* Features are not judged here. err (may be NULL) says what is wrong unless GOOD. */
enum superblock_found superblock_decode(const uint8_t in[LAYOUT_PAGE], unsigned copy,
					struct superblock *ret_sb, struct err *err);

struct superblock_pick {
	enum superblock_found found[SUPERBLOCK_COPIES];
	unsigned good; /* copies that are decoded and of the winner's pool */
	int winner;    /* copy */
	bool repair;   /* some copy is not the winner's generation: write all four again */
};
/*
 * Highest (epoch, generation) wins. -ENOENT: no copy is ours; -EUCLEAN: ours, but no copy is readable;
 * -EOPNOTSUPP: some copy has a newer version; -ESTALE: copies of different pools, or two different copies with the same
 * (epoch, generation): somebody else writes here. pool (may be NULL): only copies of that pool count.
 */
int superblock_choose(const uint8_t *const copies[SUPERBLOCK_COPIES], const struct uuid *pool,
		      struct superblock *ret_sb, struct superblock_pick *ret_pick, struct err *err);

enum superblock_access { SUPERBLOCK_READ_WRITE, SUPERBLOCK_READ_ONLY, SUPERBLOCK_REFUSED };
/* By the feature flags; err says which bits, unless READ_WRITE. */
enum superblock_access superblock_access(const struct superblock *sb, struct err *err);

/* Whether on_disk is still what the holder of (epoch, writer) may overwrite. False: fenced; write nothing more. */
bool superblock_is_mine(const struct superblock *mine, const struct superblock *on_disk);

/* sb as the next opening for writing has it: epoch + 1, generation 1, OPEN, first LSN. */
void superblock_next_epoch(struct superblock *sb, const struct uuid *writer, uint64_t epoch_lsn);

void superblock_rules(const struct superblock *sb, struct layout_rules *ret_rules);

#endif
