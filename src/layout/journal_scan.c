/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the journal: which blocks count, and whether it ends where a crash can have ended it.
 *
 * 1. A block is taken only if everything in it is possible and it is the one that its predecessor's writer
 *    went on with: (epoch, LSN) is written once, so prev_epoch and prev_crc name one block.
 * 2. Blocks of an epoch that has ended, from the LSN on where the next one began, never count: how much of the
 *    journal counted was decided, and made durable, at that opening.
 * 3. An end is believed only if nothing shows that the block at the end was durable once.
 */
#include "layout/journal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"

static const char *const found_names[] = {
	[JOURNAL_NEXT] = "taken",
	[JOURNAL_COMMIT] = "taken",
	[JOURNAL_BLANK] = "blank",
	[JOURNAL_TORN] = "wrong checksum",
	[JOURNAL_FOREIGN] = "another pool's",
	[JOURNAL_STALE] = "of an earlier time",
	[JOURNAL_CHAIN] = "does not follow the block before it",
	[JOURNAL_AHEAD] = "newer than the superblock",
	[JOURNAL_BAD] = "impossible content",
	[JOURNAL_FULL] = "the whole ring is in use",
};

const char *journal_found_name(enum journal_found found)
{
	return (unsigned)found < ARRAY_LEN(found_names) ? found_names[found] : "?";
}

void journal_scan_init(struct journal_scan *s, const struct layout_rules *rules)
{
	*s = (struct journal_scan){
		.rules = rules,
		.link = {rules->tail_lsn, rules->tail_prev_epoch, rules->tail_prev_crc},
	};
	s->commit = s->link;
}

static enum journal_found check_origin(const struct layout_rules *rules,
				       const struct journal_format *f)
{
	if (get_le32(&f->magic) != JOURNAL_MAGIC)
		return JOURNAL_BLANK;
	if (get_le32(&f->crc) != layout_page_crc(f, offsetof(struct journal_format, crc)))
		return JOURNAL_TORN;
	if (memcmp(f->pool, rules->pool.b, sizeof(f->pool)) != 0)
		return JOURNAL_FOREIGN;
	return JOURNAL_NEXT;
}

static enum journal_found check_time(const struct layout_rules *rules, uint64_t want_lsn,
				     const struct journal_format *f)
{
	uint64_t lsn = get_le64(&f->lsn), epoch = get_le64(&f->epoch);

	if (lsn < want_lsn)
		return JOURNAL_STALE;
	if (lsn > want_lsn || epoch > rules->epoch)
		return JOURNAL_AHEAD;
	if (lsn >= rules->epoch_lsn && epoch < rules->epoch)
		return JOURNAL_STALE;
	return JOURNAL_NEXT;
}

static bool follows(const struct journal_scan *s, const struct journal_format *f)
{
	return get_le64(&f->prev_epoch) == s->link.prev_epoch &&
	       get_le32(&f->prev_crc) == s->link.prev_crc &&
	       get_le64(&f->epoch) >= s->link.prev_epoch && get_le32(&f->group) == s->group;
}

static const char *head_fault(const struct layout_rules *rules, const struct journal_format *f)
{
	uint32_t flags = get_le32(&f->flags), group = get_le32(&f->group);
	uint16_t used = get_le16(&f->used);

	if (get_le64(&f->epoch) == 0 ||
	    (get_le64(&f->lsn) < rules->epoch_lsn && get_le64(&f->epoch) >= rules->epoch))
		return "its epoch had not begun";
	if (get_le64(&f->durable_lsn) >= get_le64(&f->lsn))
		return "it calls itself durable";
	if (flags & ~JOURNAL_END)
		return "it has unknown flags";
	if (group >= JOURNAL_GROUP_BLOCKS || (group + 1 == JOURNAL_GROUP_BLOCKS && !flags))
		return "its group is too long";
	if (used == 0 || used > JOURNAL_ROOM)
		return "its size is not possible";
	if (!layout_is_zero(f->records + used, JOURNAL_ROOM - used))
		return "the bytes behind its records are not zero";
	return NULL;
}

static int check_records(const struct layout_rules *rules, const struct journal_format *f,
			 struct err *err)
{
	uint32_t used = get_le16(&f->used), at = 0, n = 0, size;
	struct record r;
	int rc;

	for (; at < used; at += size, n++) {
		rc = record_decode(f->records + at, used - at, rules, &r, &size, err);
		if (rc)
			return rc;
	}
	if (n != get_le16(&f->count))
		return err_set(err, -EUCLEAN, "it says %u records and has %u", get_le16(&f->count),
			       n);
	return 0;
}

static enum journal_found check_block(struct journal_scan *s, const struct journal_format *f)
{
	enum journal_found found = check_origin(s->rules, f);
	const char *fault;

	if (found == JOURNAL_NEXT)
		found = check_time(s->rules, s->link.lsn, f);
	if (found != JOURNAL_NEXT)
		return found;
	fault = head_fault(s->rules, f);
	if (fault) {
		(void)err_set(&s->err, -EUCLEAN, "%s", fault);
		return JOURNAL_BAD;
	}
	if (!follows(s, f))
		return JOURNAL_CHAIN;
	if (check_records(s->rules, f, &s->err))
		return JOURNAL_BAD;
	return get_le32(&f->flags) & JOURNAL_END ? JOURNAL_COMMIT : JOURNAL_NEXT;
}

static enum journal_found scan_end(struct journal_scan *s, enum journal_found why)
{
	s->ended = true;
	s->end = why;
	s->end_lsn = s->link.lsn;
	return why;
}

enum journal_found journal_scan_block(struct journal_scan *s, const uint8_t block[LAYOUT_PAGE])
{
	const struct journal_format *f = (const struct journal_format *)block;
	enum journal_found found;

	if (s->ended)
		return s->end;
	if (s->link.lsn - s->rules->tail_lsn >= s->rules->journal_blocks)
		return scan_end(s, JOURNAL_FULL);
	found = check_block(s, f);
	if (found > JOURNAL_COMMIT)
		return scan_end(s, found);
	s->link = (struct journal_link){s->link.lsn + 1, get_le64(&f->epoch), get_le32(&f->crc)};
	s->group++;
	if (found == JOURNAL_COMMIT) {
		s->group = 0;
		s->commit = s->link;
	}
	return found;
}

void journal_scan_behind(struct journal_scan *s, uint64_t lsn, const uint8_t block[LAYOUT_PAGE])
{
	const struct journal_format *f = (const struct journal_format *)block;

	ASSERT(s->ended);
	ASSERT(lsn >= s->rules->tail_lsn);
	if (lsn <= s->end_lsn || lsn - s->rules->tail_lsn >= s->rules->journal_blocks)
		return;
	if (check_origin(s->rules, f) == JOURNAL_NEXT &&
	    check_time(s->rules, lsn, f) == JOURNAL_NEXT)
		s->claimed_lsn = MAX(s->claimed_lsn, get_le64(&f->durable_lsn));
}

int journal_scan_verdict(const struct journal_scan *s, struct err *err)
{
	const struct layout_rules *rules = s->rules;

	ASSERT(s->ended);
	if (s->end == JOURNAL_BAD)
		return err_set(err, s->err.code, "journal block %" PRIu64 ": %s", s->end_lsn,
			       s->err.text);
	if (s->end == JOURNAL_AHEAD || s->end == JOURNAL_CHAIN)
		return err_set(err, -EUCLEAN,
			       "journal block %" PRIu64
			       " is %s: the superblock is not the newest, or "
			       "somebody else wrote here",
			       s->end_lsn, journal_found_name(s->end));
	if (s->commit.lsn < rules->epoch_lsn)
		return err_set(err, -EUCLEAN,
			       "journal block %" PRIu64 " is damaged (%s): blocks up to %" PRIu64
			       " counted when the pool was opened last",
			       s->end_lsn, journal_found_name(s->end), rules->epoch_lsn - 1);
	if (s->claimed_lsn >= s->end_lsn)
		return err_set(err, -EUCLEAN,
			       "journal block %" PRIu64 " is damaged (%s): a later block says that "
			       "it was durable",
			       s->end_lsn, journal_found_name(s->end));
	return 0;
}

void journal_cursor_init(struct journal_cursor *c, const uint8_t block[LAYOUT_PAGE])
{
	const struct journal_format *f = (const struct journal_format *)block;

	*c = (struct journal_cursor){
		.p = f->records,
		.left = MIN(get_le16(&f->used), JOURNAL_ROOM),
		.lsn = get_le64(&f->lsn),
	};
}

bool journal_cursor_next(struct journal_cursor *c, const struct layout_rules *rules,
			 struct record *ret)
{
	uint32_t size;

	while (c->left) {
		if (record_decode(c->p, c->left, rules, ret, &size, NULL)) {
			c->left = 0;
			return false;
		}
		c->p += size;
		c->left -= size;
		if (ret->type < RECORD_TYPES)
			return true;
	}
	return false;
}
