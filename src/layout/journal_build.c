/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs records into journal blocks.
 *
 * 1. A transaction lies in one group, a run of blocks of which the last carries JOURNAL_END. It shares a block
 *    with others only if it began there and fits, or as the last block of a group.
 * 2. A transaction that outgrows the block it shares moves to a new block, so that an unfinished group is whole
 *    blocks and a restart writes over all of it.
 * 3. crc, LSN and chain are filled by journal_finish(): only then is the content final.
 */
#include "layout/journal.h"

#include <errno.h>

#include "base/check.h"

#define F_AT(field, offset)                                                                        \
	static_assert(offsetof(struct journal_format, field) == (offset), "journal " #field)
static_assert(sizeof(struct journal_format) == LAYOUT_PAGE, "journal block");
F_AT(crc, 4);
F_AT(pool, 8);
F_AT(lsn, 24);
F_AT(epoch, 32);
F_AT(prev_epoch, 40);
F_AT(durable_lsn, 48);
F_AT(prev_crc, 56);
F_AT(group, 60);
F_AT(used, 64);
F_AT(count, 66);
F_AT(flags, 68);
F_AT(records, JOURNAL_HEAD);
static_assert(RECORD_SIZE_MAX <= JOURNAL_ROOM, "every record fits into an empty block");

static struct journal_format *block_at(const struct journal_builder *b, uint32_t i)
{
	return (struct journal_format *)(b->blocks + (size_t)i * LAYOUT_PAGE);
}

static void block_start(struct journal_builder *b, uint32_t i)
{
	b->block = i;
	memset(block_at(b, i), 0, LAYOUT_PAGE);
}

static void block_append(struct journal_format *f, uint32_t bytes, uint32_t records)
{
	put_le16(&f->used, (uint16_t)(get_le16(&f->used) + bytes));
	put_le16(&f->count, (uint16_t)(get_le16(&f->count) + records));
}

void journal_builder_init(struct journal_builder *b, const struct layout_rules *rules,
			  const struct journal_link *link, void *blocks, uint32_t capacity)
{
	ASSERT(capacity > 0);
	ASSERT(link->lsn > 0);
	*b = (struct journal_builder){
		.pool = rules->pool,
		.epoch = rules->epoch,
		.link = *link,
		.blocks = blocks,
		.capacity = capacity,
	};
	block_start(b, 0);
}

void journal_txn_begin(struct journal_builder *b)
{
	const struct journal_format *f;

	ASSERT(!b->in_txn);
	if (b->finished)
		block_start(b, 0);
	b->finished = false;
	b->in_txn = true;
	f = block_at(b, b->block);
	b->txn_block = b->block;
	b->txn_used = get_le16(&f->used);
	b->txn_count = get_le16(&f->count);
}

/* Cuts the block back to what was there when the transaction began. */
static void block_cut(const struct journal_builder *b)
{
	struct journal_format *f = block_at(b, b->txn_block);

	memset(f->records + b->txn_used, 0, JOURNAL_ROOM - b->txn_used);
	put_le16(&f->used, (uint16_t)b->txn_used);
	put_le16(&f->count, (uint16_t)b->txn_count);
}

/* Moves the transaction, which shares its block with earlier ones, to a block of its own. */
static void txn_move(struct journal_builder *b)
{
	struct journal_format *from = block_at(b, b->txn_block), *to;
	uint32_t bytes = get_le16(&from->used) - b->txn_used;
	uint32_t records = get_le16(&from->count) - b->txn_count;

	block_start(b, b->txn_block + 1);
	to = block_at(b, b->block);
	memcpy(to->records, from->records + b->txn_used, bytes);
	block_append(to, bytes, records);
	block_cut(b);
	put_le32(&from->flags, JOURNAL_END);
	b->txn_block = b->block;
	b->txn_used = 0;
	b->txn_count = 0;
}

static int next_block(struct journal_builder *b)
{
	bool alone = b->txn_block == 0 && b->txn_used == 0;

	if (b->block + 1 == b->capacity)
		return alone ? -E2BIG : -ENOSPC;
	if (b->block == b->txn_block && b->txn_used > 0) {
		txn_move(b);
		return 0;
	}
	if (b->block + 1 - b->txn_block == JOURNAL_GROUP_BLOCKS)
		return -E2BIG;
	block_start(b, b->block + 1);
	return 0;
}

int journal_add(struct journal_builder *b, const struct record *r)
{
	uint32_t size = record_size(r);
	struct journal_format *f = block_at(b, b->block);
	int rc;

	ASSERT(b->in_txn);
	while (size > JOURNAL_ROOM - get_le16(&f->used)) {
		rc = next_block(b);
		if (rc)
			return rc;
		f = block_at(b, b->block);
	}
	record_encode(r, f->records + get_le16(&f->used));
	block_append(f, size, 1);
	return 0;
}

void journal_txn_end(struct journal_builder *b)
{
	ASSERT(b->in_txn);
	b->in_txn = false;
}

void journal_txn_abort(struct journal_builder *b)
{
	ASSERT(b->in_txn);
	b->in_txn = false;
	b->block = b->txn_block;
	block_cut(b);
}

uint64_t journal_next_lsn(const struct journal_builder *b)
{
	ASSERT(!b->in_txn);
	return b->link.lsn +
	       (b->finished ? 0 : b->block + (get_le16(&block_at(b, b->block)->used) > 0));
}

static void block_seal(struct journal_builder *b, struct journal_format *f, uint32_t group,
		       uint64_t durable_lsn)
{
	uint32_t crc;

	put_le32(&f->magic, JOURNAL_MAGIC);
	memcpy(f->pool, b->pool.b, sizeof(f->pool));
	put_le64(&f->lsn, b->link.lsn);
	put_le64(&f->epoch, b->epoch);
	put_le64(&f->prev_epoch, b->link.prev_epoch);
	put_le64(&f->durable_lsn, durable_lsn);
	put_le32(&f->prev_crc, b->link.prev_crc);
	put_le32(&f->group, group);
	crc = layout_page_crc(f, offsetof(struct journal_format, crc));
	put_le32(&f->crc, crc);
	b->link.lsn++;
	b->link.prev_epoch = b->epoch;
	b->link.prev_crc = crc;
}

uint32_t journal_finish(struct journal_builder *b, uint64_t durable_lsn)
{
	struct journal_format *f = block_at(b, b->block);
	uint32_t group = 0, n;

	ASSERT(!b->in_txn);
	ASSERT(durable_lsn < b->link.lsn);
	if (b->finished)
		return 0;
	n = b->block + (get_le16(&f->used) > 0);
	if (get_le16(&f->used) > 0)
		put_le32(&f->flags, JOURNAL_END);
	for (uint32_t i = 0; i < n; i++) {
		f = block_at(b, i);
		block_seal(b, f, group, durable_lsn);
		group = get_le32(&f->flags) & JOURNAL_END ? 0 : group + 1;
	}
	ASSERT(group == 0);
	b->finished = n > 0;
	return n;
}
