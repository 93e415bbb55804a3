/* SPDX-License-Identifier: Apache-2.0 */
/* A check under way, for check*.c alone. */
#ifndef LITEPOOL_POOL_CHECK_PRIV_H
#define LITEPOOL_POOL_CHECK_PRIV_H

#include "base/check.h"
#include "pool/check.h"
#include "pool/checkpoint.h"
#include "pool/fixbit.h"
#include "pool/load.h"

#define CHECK_NO_PLACE UINT64_MAX

struct check_problem { /* what the loader said */
	enum pool_severity severity;
	const char *kind;
	uint64_t place;
	struct page_id page; /* kind 0: none */
	char *text;
};

struct check_good { /* a slot with a page */
	struct page_id id;
	uint64_t lsn;
};

struct check_bad { /* a slot that is neither good nor blank nor an excused write */
	uint64_t place, other_place;
	uint64_t pair; /* pair_id(); 0: of the segment table */
	enum page_found found;
	bool read_head;        /* the head can be believed: magic, pool, place and kind are right */
	struct page_info info; /* then */
	enum page_found other; /* of the other slot */
	struct page_info other_info;
	uint8_t *page;
};

struct check_announced { /* by the newest PAGES record in the ring that names the place */
	uint64_t place, lsn, epoch; /* of the record's block */
};

struct check_write { /* what mending puts there */
	uint64_t place;
	uint8_t *page;
};

struct check_data;

struct check {
	enum check_step {
		CHECK_SUPER,
		CHECK_LOAD,
		CHECK_RING,
		CHECK_HEAD,
		CHECK_SEGMENTS, /* one after the other */
		CHECK_JUDGE,
		CHECK_DATA,
		CHECK_CLOSE,
		CHECK_DECIDE,
		CHECK_WRITE, /* what loses nothing */
		CHECK_WRITE_FLUSH,
		CHECK_LOSE, /* open without the lost pages, */
		CHECK_LOSE_CHECKPOINT,
		CHECK_LOSE_CLOSE,
		CHECK_AGAIN, /* the next look */
		CHECK_END,
	} step;
	const struct pool_env *env;
	struct blk_dev *dev;
	struct check_opts opts;
	struct pool_memory memory; /* opts.memory points here */
	struct check_result *result;
	pool_done_fn done;
	void *ctx;
	struct err err;
	struct msg msg;
	unsigned round;

	struct pool_super super;
	struct pool *pool; /* loaded read-only */
	struct batch batch;
	struct batch_xfer *xfer;
	struct fixbit fix_page, fix_super;
	uint8_t *ring, *head, *segment;
	uint32_t next_segment;
	struct journal_scan scan;
	uint64_t oldest;      /* LSN from which on every block of the ring can be read */
	bool journal_damaged; /* its end is not where it was */
	bool layers_doubtful;

	struct check_announced *announced; /* ascending by place */
	size_t n_announced, announced_room;
	struct check_problem *problem;
	size_t n_problems, problems_room;
	struct check_good *good;
	size_t n_good, good_room;
	struct check_bad *bad;
	size_t n_bad, bad_room;
	struct check_write *write;
	size_t n_writes, writes_room;
	struct page_id *lost; /* accepted */
	size_t n_lost, lost_room;
	size_t n_refused;         /* losses that were not */
	struct check_data *data;  /* check_data.c */
	struct load_set reported; /* mask pages whose loss was told: a hash of each */
	bool no_memory;
};

/* Room for one more element in an array; false (and no_memory): none. */
bool check_room(struct check *c, void *array, size_t n, size_t *room, size_t size);
/* Tells and counts. plan, volumes may be NULL. */
__attribute__((format(printf, 7, 8))) void check_tell(struct check *c, enum check_severity severity,
						      const char *kind, uint64_t place,
						      const char *plan, const char *volumes,
						      const char *fmt, ...);
/* Takes a copy of the page. */
void check_add_write(struct check *c, uint64_t place, const uint8_t page[LAYOUT_PAGE]);

/* check_super.c: copies in c->super.page. Negative: the check cannot go on; 1: it can, 0: nothing more can be read now. */
int check_super(struct check *c);
/* check_journal.c: after the ring was read. */
void check_journal(struct check *c);
const uint8_t *check_ring_block(const struct check *c, uint64_t lsn);
/* The newest PAGES record in the ring that names the place; NULL, 0: none from oldest on. */
const struct check_announced *check_find_announced(const struct check *c, uint64_t place);
uint64_t check_announced_lsn(const struct check *c, uint64_t place);
/* check_pages.c: what is in a pair; then, when all were seen, what to do about the bad ones. */
void check_pair(struct check *c, uint64_t pair, const uint8_t *const page[2],
		const uint64_t place[2]);
void check_judge_pages(struct check *c);
/* A MAP or MASK page is lost: tells what that means; if it is accepted it is in c->lost. what: why it is lost. */
void check_lose(struct check *c, uint64_t place, const struct page_id *id, const char *what);
/* check_state.c: what the loader said, and what it does not look at. */
void check_problems(struct check *c);
void check_state(struct check *c);
/* Names of the objects whose chain has the layer, separated by blanks; free(). Empty: none. NULL: no memory. */
char *check_affected(const struct check *c, uint64_t layer);
/* Damage of metadata was found in this look. */
bool check_any_damage(const struct check *c);
/* check_notes.c: what is noted and not in the journal (FORMAT.md §8). */
void check_notes(struct check *c);
/* check_data.c: the table of sums, and data with opts.data; leads to check_data_end() (check.c). */
void check_data(struct check *c);
void check_data_end(struct check *c);
void check_data_free(struct check *c);

#endif
