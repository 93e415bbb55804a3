/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal ring: 4 KiB blocks in order of their LSN; the block of LSN n is at ring position n modulo the
 * number of blocks. Pure; one thread per builder or scan. FORMAT.md §3.
 *
 * Writing: begin, add records, end a transaction, as often as there is something to write; then finish
 * gives the blocks of one round (group commit) to write, in order, and flush.
 * Reading: feed the scan with the blocks from the tail on; when it ends, the blocks tail .. commit_lsn - 1
 * are what counts; feed a few (best: all) blocks behind the end to journal_scan_behind(), ask for the
 * verdict, then walk the records of the blocks that count.
 */
#ifndef LITEPOOL_LAYOUT_JOURNAL_H
#define LITEPOOL_LAYOUT_JOURNAL_H

#include "layout/layout.h"
#include "layout/record.h"

#define JOURNAL_MAGIC        0x424a504cu /* "LPJB" */
#define JOURNAL_HEAD         72u
#define JOURNAL_ROOM         (LAYOUT_PAGE - JOURNAL_HEAD) /* for records */
#define JOURNAL_GROUP_BLOCKS 256u                         /* of one transaction at most */
#define JOURNAL_END          1u                           /* flag: the group ends with this block */

struct journal_format {
	le32 magic;
	le32 crc;
	uint8_t pool[16];
	le64 lsn, epoch;
	le64 prev_epoch;
	le64 durable_lsn;
	le32 prev_crc;
	le32 group; /* blocks of the group before this one */
	le16 used;  /* bytes of records */
	le16 count; /* records */
	le32 flags;
	uint8_t records[JOURNAL_ROOM];
} __attribute__((packed));

/* The place in the chain where the next block goes. */
struct journal_link {
	uint64_t lsn;
	uint64_t prev_epoch; /* 0 and 0 before LSN 1 */
	uint32_t prev_crc;
};

struct journal_builder {
	struct uuid pool;
	uint64_t epoch;
	struct journal_link link;
	uint8_t *blocks;
	uint32_t capacity; /* blocks */
	uint32_t block;    /* being filled */
	bool in_txn;
	bool finished; /* the blocks are the caller's until the next transaction begins */
	uint32_t txn_block, txn_used, txn_count; /* where the transaction began */
};

/* blocks: capacity * 4096 bytes of the caller's, kept until the builder is used no more. */
void journal_builder_init(struct journal_builder *b, const struct layout_rules *rules,
			  const struct journal_link *link, void *blocks, uint32_t capacity);
void journal_txn_begin(struct journal_builder *b);
/*
 * 0; -ENOSPC: the buffers are full: abort, finish the round, begin again; -E2BIG: more than a transaction
 * can hold, even alone. After an error only journal_txn_abort() is allowed.
 */
int journal_add(struct journal_builder *b, const struct record *r);
void journal_txn_end(struct journal_builder *b);
/* Leaves everything as before journal_txn_begin(). */
void journal_txn_abort(struct journal_builder *b);
/* LSN behind the blocks that have something. Later transactions do not move what is in them. */
uint64_t journal_next_lsn(const struct journal_builder *b);
/* Number of blocks to write, from b->link.lsn on as it was before the call; 0: nothing. Empties the builder with the
 * next journal_txn_begin(). durable_lsn: every block up to it is known to be durable. */
uint32_t journal_finish(struct journal_builder *b, uint64_t durable_lsn);
/* Byte offset of a block on the device. */
static inline uint64_t journal_offset(const struct layout_rules *rules, uint64_t lsn)
{
	return LAYOUT_HEAD + lsn % rules->journal_blocks * LAYOUT_PAGE;
}

enum journal_found {
	JOURNAL_NEXT,   /* taken; the group goes on */
	JOURNAL_COMMIT, /* taken; the group is complete */
	/* All that follows ends the scan. The first four are how a journal usually ends. */
	JOURNAL_BLANK,   /* no block of ours */
	JOURNAL_TORN,    /* ours by the magic, wrong crc */
	JOURNAL_FOREIGN, /* another pool's */
	JOURNAL_STALE,   /* an older lap of the ring, or of an epoch that has ended */
	JOURNAL_CHAIN,   /* does not follow the block before it */
	JOURNAL_AHEAD,   /* newer than the superblock allows: the superblock is old */
	JOURNAL_BAD,     /* right crc, impossible content */
	JOURNAL_FULL,    /* the whole ring was taken */
};
const char *journal_found_name(enum journal_found found);

struct journal_scan {
	const struct layout_rules *rules;
	struct journal_link link;   /* the block wanted next */
	struct journal_link commit; /* behind the last complete group: where a new writer goes on */
	uint32_t group;
	uint64_t end_lsn;       /* where the scan ended */
	enum journal_found end; /* why; valid once ended */
	bool ended;
	uint64_t claimed_lsn; /* highest LSN that some block says is durable */
	struct err err;       /* of JOURNAL_BAD */
};

/* rules is kept. */
void journal_scan_init(struct journal_scan *s, const struct layout_rules *rules);
/* The block at s->link.lsn. */
enum journal_found journal_scan_block(struct journal_scan *s, const uint8_t block[LAYOUT_PAGE]);
/* A block of the ring position of lsn, behind the end: it may prove that the end was once durable. */
void journal_scan_behind(struct journal_scan *s, uint64_t lsn, const uint8_t block[LAYOUT_PAGE]);
/*
 * 0: the journal ends where a crash can have ended it, and s->commit is the truth. -EUCLEAN: something durable
 * is damaged or missing, or the superblock is older than the journal; err says where. -EOPNOTSUPP: unknown records.
 */
int journal_scan_verdict(const struct journal_scan *s, struct err *err);

/* The records of a block that the scan has taken, one after the other. */
struct journal_cursor {
	const uint8_t *p;
	uint32_t left;
	uint64_t lsn;
};
void journal_cursor_init(struct journal_cursor *c, const uint8_t block[LAYOUT_PAGE]);
/* True: the next one is in ret. Ignorable unknown records are left out. */
bool journal_cursor_next(struct journal_cursor *c, const struct layout_rules *rules,
			 struct record *ret);

#endif
