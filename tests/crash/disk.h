/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk for power cuts: RAM with a volatile write cache, and what a cut at any moment may leave of it.
 *
 *   submit --random time--> event (here the write is in the cache, the flush has flushed) --> hook --> message --> done
 *
 *   durable   what is there whatever happens
 *   cached    writes that have ended since; of each, each sector may be lost; a later one of the same sector never stands below an earlier one
 *   under way writes that have not ended; likewise
 *
 * The image (disk_image_*) is durable with a choice of the others on top, as pages that are taken back afterwards: it costs what it differs by. A second
 * block device (image.dev) reads and writes it at once; what is written there is recorded, so that a cut may follow the cut.
 *
 * Everything runs on one thread.
 */
#ifndef LITEPOOL_TESTS_CRASH_DISK_H
#define LITEPOOL_TESTS_CRASH_DISK_H

#include "base/bytes.h"
#include "blk/blk.h"
#include "sim/env_sim.h"

#define DISK_SECTOR     512u
#define DISK_PAGE       4096u
#define DISK_PAGE_MAGIC 0x4750504cu /* FORMAT.md: LPPG */

struct disk_write { /* ended and not durable; or recorded */
	struct list link;
	uint64_t offset, length;
	uint32_t seq;
	uint8_t *data;
	bool flush;    /* recorded: a flush, no write */
	uint8_t *then; /* recorded: image.snap() before it */
};

enum disk_style {                 /* how a choice is made */
		  STYLE_NOTHING,  /* the cache is lost */
		  STYLE_ALL,      /* all of it, and what was under way, is there */
		  STYLE_WRITES,   /* each write whole or not at all */
		  STYLE_SECTORS,  /* each sector */
		  STYLE_ONE_LOST, /* all but one */
		  STYLE_ONE,      /* only one */
		  STYLE_MOST,     /* most writes, one torn */
		  STYLES,
};

struct disk_undo {
	uint32_t page;
	uint8_t level;
	uint8_t *old;
};

struct disk_image {
	struct blk_dev dev;
	struct crash_disk *disk;
	uint8_t level;  /* of what is written now */
	uint8_t *owned; /* by page: the level that has a copy of its own */
	struct disk_undo *undo;
	size_t n_undo, undo_capacity;
	struct list record; /* struct disk_write */
	bool recording;
	uint8_t *(*snap)(
		void *ctx); /* a copy of what else a process has that begins a write now; malloc'ed. NULL: nothing */
	void *snap_ctx;
};

struct crash_disk {
	struct blk_dev dev;
	struct blk_dev twin;        /* the same disk, for a second process that has it open */
	const struct blk_dev *shut; /* whoever writes by this one is too late; NULL: nobody */
	unsigned late;              /* writes that were */
	struct sim_world *sim;
	struct rng rng;
	uint64_t max_bytes; /* memory is there for so many */
	uint64_t latency_ns[2];
	uint8_t **live, **durable; /* by page; NULL: zeros */
	uint32_t *durable_seq;     /* by sector: the write that it is of */
	uint32_t seq;
	struct list cached, under_way;
	bool dead; /* the power is gone: everything ends with -EIO */
	/* After each change of what a cut can leave, outside of all reactors. */
	void (*hook)(void *ctx, const char *what, uint64_t offset, uint64_t length);
	void *hook_ctx;
	/* Faults: every one_in-th of the ops in mask fails. */
	unsigned fail_mask, fail_one_in;
	bool flush_lost; /* a flush has failed, and what it was for may be gone; all others fail from then on, until this is cleared */
	bool lose_page;  /* the next write of a page of metadata is answered and not done */
	int64_t misdirect; /* or it is done that many bytes beside */
	struct disk_image image;
};

struct crash_disk *disk_new(struct sim_world *sim, uint64_t seed, uint64_t bytes,
			    uint64_t max_bytes, uint32_t block_size);
void disk_free(struct crash_disk *d);
/* The device becomes larger, up to max_bytes. */
void disk_grow(struct crash_disk *d, uint64_t bytes);
unsigned disk_busy(const struct crash_disk *d);                          /* requests under way */
const uint8_t *disk_live(const struct crash_disk *d, uint64_t place);    /* a page; NULL: zeros */
const uint8_t *disk_durable(const struct crash_disk *d, uint64_t place); /* of the image too */

/* A cut now: what stays is drawn from rng. death: of the process alone, so everything that has ended is there. */
void image_cut(struct crash_disk *d, struct rng *rng, enum disk_style style, bool death);
/*
 * What was recorded is taken back to the state of the cut, and a part of it is put there as a second cut would leave it. death: a whole beginning of it is there; *ret_then is what snap() gave
 * for the first write that is not, NULL when all is there.
 */
void image_cut_again(struct crash_disk *d, struct rng *rng, bool death, uint8_t **ret_then);
void image_record(struct crash_disk *d);
/* All of the image is gone. */
void image_drop(struct crash_disk *d);
/* The image becomes the disk: live, and durable or (a process has died, and the machine goes on) in the cache as far as it was not durable before. Nothing is under way. */
void image_keep(struct crash_disk *d, bool cached);

#endif
