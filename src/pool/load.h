/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a pool, for open.c and load_*.c alone. Everything is on the pool's reactor. */
#ifndef LITEPOOL_POOL_LOAD_H
#define LITEPOOL_POOL_LOAD_H

#include "base/check.h"
#include "pool/priv.h"

#define LOAD_READS 8u /* segments being read or waiting to be looked at */

/* What a step says when it returns; negative: opening has failed. */
enum {
	LOAD_NEXT,  /* done: the next step */
	LOAD_AGAIN, /* a slice is done: the same step in the next pass, others first */
	LOAD_WAIT,  /* I/O is under way; the next step follows when it has ended */
	LOAD_STAY,  /* I/O is under way; the same step goes on when some of it has ended */
};

struct load_set { /* of 64-bit values but 0 */
	uint64_t *slot;
	size_t n, capacity; /* a power of two */
};
int load_set_add(struct load_set *set, uint64_t value);
bool load_set_has(const struct load_set *set, uint64_t value);
void load_set_fini(struct load_set *set);

struct load_page {     /* a pair of slots in a segment */
	uint64_t pair; /* pair_id() */
	struct page_info info;
	uint8_t *page;  /* the winner's bytes, while they are needed */
	uint64_t place; /* of the winner */
	uint8_t winner;
	bool counts; /* has a good page, and no other pair has a newer one */
};
struct load_pages {
	struct load_page *page;
	size_t n, capacity;
	uint32_t *bucket; /* index + 1 by id */
	size_t buckets;   /* a power of two */
};

struct load_maskless { /* an entry with PARTIAL whose mask page was not found */
	uint64_t layer;
	uint32_t cluster;
};

struct load_read {
	struct blk_io io;
	struct pool_opening *o;
	uint8_t *buf;
	uint32_t index; /* of the segment */
	int res;
	enum { READ_IDLE, READ_BUSY, READ_READY } state;
};

struct pool_opening {
	enum open_step {
		OPEN_SUPER,     /* the four copies are read */
		OPEN_CHOOSE,    /* the winner, and whether it may be opened */
		OPEN_HEAD,      /* segment table pages are read */
		OPEN_JOURNAL,   /* the whole ring is read */
		OPEN_SCAN,      /* what counts in it, and whether that can be believed */
		OPEN_GATHER,    /* what of it must be known before pages: PAGES, SEGMENT_SET */
		OPEN_SEGTAB,    /* which clusters are segments */
		OPEN_SEGMENTS,  /* all pages are read; winners are kept */
		OPEN_LAYERS,    /* out of pages: layers, properties */
		OPEN_MAPS,      /* out of pages: maps */
		OPEN_REPLAY,    /* every record from the tail on */
		OPEN_HOMES,     /* where each page is, for the checkpoint */
		OPEN_MATCH,     /* objects and their layers */
		OPEN_OBJECTS,   /* properties, names */
		OPEN_CHECK,     /* parents, sizes */
		OPEN_OWNERS,    /* each cluster has one */
		OPEN_NOTES,     /* what was answered since the last round of the engine before us */
		OPEN_FLUSH,     /* what was read is durable (FORMAT.md §2, opening for writing) */
		OPEN_EPOCH,     /* superblock with the next epoch */
		OPEN_READ_BACK, /* is it ours? */
		OPEN_FENCE,
		OPEN_REPAIR, /* torn slots that a PAGES record excuses */
		OPEN_REPAIR_FLUSH,
		OPEN_START,
		OPEN_SETTLE, /* a round, if there were notes */
		OPEN_NOTING, /* from here on changes are noted */
		OPEN_DONE,
	} step;
	struct pool *pool;
	struct pool_open_opts opts;
	struct page_id problem_page; /* of the next load_problem() */
	struct uuid uuid;            /* opts.uuid points here */
	bool read_only;
	pool_done_fn done;
	void *ctx;
	struct err err;
	struct msg msg; /* the next slice */
	bool msg_posted;
	struct batch batch;
	struct batch_xfer *xfer;

	uint8_t *head; /* LAYOUT_HEAD bytes */
	uint8_t *ring; /* the journal */
	struct journal_scan scan;
	uint64_t lsn;                        /* where the scan, the gathering, the replay are */
	struct load_set announced;           /* places of PAGES records */
	uint64_t *segment;                   /* SEGMENTS_MAX: cluster, 0: none */
	uint8_t segtab_winner[SEGTAB_PAIRS]; /* slot + 1; 0: the pair has no page */
	uint32_t segment_end;                /* behind the last one that may not be 0 */
	uint32_t n_segments;                 /* up to the last one in use */

	struct load_read read[LOAD_READS];
	uint32_t next_segment;
	unsigned reading;
	struct load_pages pages;
	struct batch_xfer *torn; /* slots to write again */
	size_t n_torn, torn_capacity;
	uint8_t *zeros;

	size_t next_page; /* where building is */
	struct block_mask sentinel;
	struct load_maskless *maskless;
	size_t n_maskless, maskless_capacity;
	uint32_t next_slot; /* where the owners are */
	uint64_t next_leaf;
	struct list *next_object;

	struct timer timer;
	unsigned notes_tries;
	bool notes_count; /* the memory's head is of this pool and opening */
	size_t noted;     /* clusters that were put as notes say */
	bool unsettled;   /* their round has failed */
	struct pool_commit commit;
};

/*
 * Reports a problem. 0: loading goes on (a note, or somebody wants all of them); else the negative errno to return. place: UINT64_MAX: none.
 */
__attribute__((format(printf, 5, 6))) int load_problem(struct pool_opening *o,
						       enum pool_severity severity,
						       const char *kind, uint64_t place,
						       const char *fmt, ...);

/* load_head.c */
int load_super(struct pool_opening *o);
int load_choose(struct pool_opening *o);
int load_head(struct pool_opening *o);
int load_segtab(struct pool_opening *o);
/* load_journal.c */
int load_journal(struct pool_opening *o);
int load_scan(struct pool_opening *o);
int load_gather(struct pool_opening *o);
int load_replay(struct pool_opening *o);
/* load_pages.c */
int load_segments(struct pool_opening *o);
int load_homes(struct pool_opening *o);
/* Winner of a pair of slots at those places: 0 A, 1 B, 2 none; negative: refused. Torn slots are noted for repair. */
int load_pair(struct pool_opening *o, const uint8_t *const page[2], const uint64_t place[2],
	      struct page_info *ret_info);
struct load_page *load_page_find(struct pool_opening *o, enum page_kind kind, uint64_t owner,
				 uint64_t index);
void load_pages_fini(struct load_pages *pages);
/* load_build.c */
int load_layers(struct pool_opening *o);
int load_maps(struct pool_opening *o);
/* load_check.c */
int load_match(struct pool_opening *o);
int load_objects(struct pool_opening *o);
int load_check(struct pool_opening *o);
int load_owners(struct pool_opening *o);
/* load_notes.c */
int load_notes(struct pool_opening *o);
/* Whether a note that counts can be true of this pool: its layer is there and takes writes, and its cluster has no other owner. */
bool load_note_fits(const struct pool *pool, const struct note *note);
void load_notes_claim(struct pool_opening *o, const struct superblock *next);
int load_settle(struct pool_opening *o);
int load_noting(struct pool_opening *o);
/* open.c: batch callbacks of steps that return LOAD_WAIT; and a slice soon. */
void open_batch_done(struct batch *batch, int res);
void open_soon(struct pool_opening *o);

#endif
