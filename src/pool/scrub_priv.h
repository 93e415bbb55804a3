/* SPDX-License-Identifier: Apache-2.0 */
/* A scrub under way, for scrub*.c alone. */
#ifndef LITEPOOL_POOL_SCRUB_PRIV_H
#define LITEPOOL_POOL_SCRUB_PRIV_H

#include "base/check.h"
#include "pool/checkpoint.h"
#include "pool/scrub.h"
#include "pool/sums.h"

#define SCRUB_PROBLEMS 64u /* that are kept with their text */
#define SCRUB_TRIES    8u  /* of a cluster of metadata: writing both slots takes two */

struct pool_scrub {
	enum scrub_step {
		SCRUB_STOPPED,
		SCRUB_READ,   /* a cluster, or the head */
		SCRUB_SUMS,   /* a cluster of data, which has sums */
		SCRUB_BLOCKS, /* one by one: which of them cannot be read */
		SCRUB_MEND,   /* a checkpoint that writes pages anew, or the superblock */
		SCRUB_ZERO,   /* over a slot that nobody uses */
		SCRUB_WAIT,   /* for its turn by the rate */
		SCRUB_SAVE,   /* the place into the superblock */
	} step;
	struct pool *pool;
	bool stopping, complete;
	uint64_t bytes_per_s;
	uint64_t cluster; /* under way; below the first of data: the head */
	unsigned tries;
	uint64_t checkpoints; /* as it was when the read began; UINT64_MAX: one was under way */
	uint64_t generation;  /* of the superblock, likewise */
	uint64_t read_at_ns, unsaved;
	unsigned block;
	uint8_t *buf; /* LAYOUT_CLUSTER */
	uint32_t head_part;
	struct batch batch;
	struct sums_check check;
	struct block_mask
		suspect; /* blocks that did not fit at the first look; all zeros: this is the first */
	struct batch_xfer xfer;
	uint64_t zero_pair; /* whose slot is being zeroed; 0: of nobody's */
	struct super_change change;
	struct timer timer;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	json_t *problems;
	uint64_t clusters_read, bytes_read, pages_checked, found, mended, unreadable, wrong, passes;
};

enum scrub_verdict {
	SCRUB_GOOD,
	SCRUB_AGAIN,    /* a checkpoint wrote meanwhile */
	SCRUB_DIRTIED,  /* pages were marked: a checkpoint writes them */
	SCRUB_ZERO_ONE, /* s->xfer.offset is a bad slot that nobody uses */
};

/* scrub_pages.c */
enum scrub_verdict scrub_segment(struct pool_scrub *s, uint32_t index);
enum scrub_verdict scrub_head(struct pool_scrub *s); /* one MiB of it: copy and pages */
/* Index of the segment at that cluster; UINT32_MAX: none. */
uint32_t scrub_segment_at(const struct pool *pool, uint64_t cluster);
/* Takes out of bad the blocks of the cluster that nobody has written. False: none is left (then bad says nothing). */
bool scrub_somebodys(const struct pool_scrub *s, struct block_mask *bad);
/* Blocks of the cluster that do not match their sums are told. */
void scrub_sums(struct pool_scrub *s, const struct block_mask *bad);
/* "layer 3 (db-0), cluster 17" to text. */
void scrub_owner(const struct pool *pool, uint64_t phys, char *text, size_t size);
/* scrub.c */
__attribute__((format(printf, 3, 4))) void scrub_tell(struct pool_scrub *s, uint64_t offset,
						      const char *fmt, ...);

#endif
