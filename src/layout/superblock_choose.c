/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the four copies counts, who may write, and what the next opening looks like.
 *
 * 1. The highest (epoch, generation) wins, alone or not: everything that a superblock relies on is durable
 *    before its first copy is written.
 * 2. Two different contents under one (epoch, generation), or two pools, are never resolved by guess.
 */
#include "layout/superblock.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"

struct candidates {
	struct superblock sb[SUPERBLOCK_COPIES];
	bool counts[SUPERBLOCK_COPIES];
};

static bool newer(const struct superblock *a, const struct superblock *b)
{
	return a->epoch != b->epoch ? a->epoch > b->epoch : a->generation > b->generation;
}

/* Both came from superblock_decode(), which clears padding. */
static bool same(const struct superblock *a, const struct superblock *b)
{
	uint8_t x[LAYOUT_PAGE], y[LAYOUT_PAGE];

	superblock_encode(a, 0, x);
	superblock_encode(b, 0, y);
	return memcmp(x, y, sizeof(x)) == 0;
}

/* Why there is no winner: the most telling of the four outcomes. */
static int no_winner(const struct candidates *c, const struct superblock_pick *pick,
		     const struct uuid *pool, struct err *err)
{
	unsigned seen[SUPERBLOCK_UNSUPPORTED + 1] = {0}, other = 0;
	char uuid[UUID_TEXT_SIZE];

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		seen[pick->found[i]]++;
		if (pick->found[i] == SUPERBLOCK_GOOD)
			other = i;
	}
	if (seen[SUPERBLOCK_UNSUPPORTED])
		return err_set(err, -EOPNOTSUPP,
			       "the pool has a newer format than this program; use a newer one");
	if (seen[SUPERBLOCK_GOOD] && pool)
		return err_set(err, -ENOENT,
			       "the device holds another pool than the one asked for: %s (%s)",
			       c->sb[other].name, uuid_format(&c->sb[other].pool, uuid));
	if (seen[SUPERBLOCK_TORN] || seen[SUPERBLOCK_BAD])
		return err_set(err, -EUCLEAN,
			       "the device holds a pool, but none of its four superblocks is "
			       "readable; see 'litepool pool check'");
	return err_set(err, -ENOENT, "the device holds no pool");
}

/* Then the good ones are what a newer program left behind when it was cut, and not to be gone on with. */
static bool has_newer_version(const struct superblock_pick *pick)
{
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		if (pick->found[i] == SUPERBLOCK_UNSUPPORTED)
			return true;
	}
	return false;
}

static int check_rivals(const struct candidates *c, int winner, struct err *err)
{
	for (int i = 0; i < (int)SUPERBLOCK_COPIES; i++) {
		if (!c->counts[i] || i == winner)
			continue;
		if (!uuid_equal(&c->sb[i].pool, &c->sb[winner].pool))
			return err_set(
				err, -ESTALE,
				"superblock copies %d and %d are of different pools; name the "
				"pool's UUID to choose",
				i, winner);
		if (!newer(&c->sb[winner], &c->sb[i]) && !same(&c->sb[winner], &c->sb[i]))
			return err_set(err, -ESTALE,
				       "superblock copies %d and %d differ under epoch %" PRIu64
				       ", generation %" PRIu64 ": two engines wrote at once",
				       i, winner, c->sb[i].epoch, c->sb[i].generation);
	}
	return 0;
}

int superblock_choose(const uint8_t *const copies[SUPERBLOCK_COPIES], const struct uuid *pool,
		      struct superblock *ret_sb, struct superblock_pick *ret_pick, struct err *err)
{
	struct superblock_pick pick = {.winner = -1};
	struct candidates c = {0};
	int rc;

	for (int i = 0; i < (int)SUPERBLOCK_COPIES; i++) {
		pick.found[i] = superblock_decode(copies[i], (unsigned)i, &c.sb[i], NULL);
		c.counts[i] = pick.found[i] == SUPERBLOCK_GOOD &&
			      (!pool || uuid_equal(pool, &c.sb[i].pool));
		pick.good += c.counts[i];
		if (c.counts[i] && (pick.winner < 0 || newer(&c.sb[i], &c.sb[pick.winner])))
			pick.winner = i;
	}
	*ret_pick = pick;
	if (pick.winner < 0 || has_newer_version(&pick))
		return no_winner(&c, &pick, pool, err);
	rc = check_rivals(&c, pick.winner, err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		ret_pick->repair |= !c.counts[i] || newer(&c.sb[pick.winner], &c.sb[i]);
	*ret_sb = c.sb[pick.winner];
	return 0;
}

enum superblock_access superblock_access(const struct superblock *sb, struct err *err)
{
	uint64_t incompat = sb->incompat & ~LAYOUT_INCOMPAT_KNOWN;
	uint64_t ro_compat = sb->ro_compat & ~LAYOUT_RO_COMPAT_KNOWN;

	if (incompat) {
		(void)err_set(err, -EOPNOTSUPP,
			      "pool %s uses features 0x%" PRIx64
			      " that this program does not know; use a newer one",
			      sb->name, incompat);
		return SUPERBLOCK_REFUSED;
	}
	if (ro_compat) {
		(void)err_set(
			err, -EROFS,
			"pool %s uses features 0x%" PRIx64
			" that this program may not write; open it read-only or use a newer one",
			sb->name, ro_compat);
		return SUPERBLOCK_READ_ONLY;
	}
	return SUPERBLOCK_READ_WRITE;
}

bool superblock_is_mine(const struct superblock *mine, const struct superblock *on_disk)
{
	return uuid_equal(&mine->pool, &on_disk->pool) && mine->epoch == on_disk->epoch &&
	       uuid_equal(&mine->writer, &on_disk->writer) &&
	       mine->generation >= on_disk->generation;
}

void superblock_next_epoch(struct superblock *sb, const struct uuid *writer, uint64_t epoch_lsn)
{
	ASSERT(!uuid_is_null(writer));
	ASSERT(epoch_lsn >= sb->tail_lsn);
	sb->epoch++;
	sb->generation = 1;
	sb->state = SUPERBLOCK_OPEN;
	sb->writer = *writer;
	sb->epoch_lsn = epoch_lsn;
}

void superblock_rules(const struct superblock *sb, struct layout_rules *ret_rules)
{
	*ret_rules = (struct layout_rules){
		.pool = sb->pool,
		.epoch = sb->epoch,
		.epoch_lsn = sb->epoch_lsn,
		.first_cluster = sb->first_cluster,
		.end_cluster = sb->end_cluster,
		.tail_lsn = sb->tail_lsn,
		.tail_prev_epoch = sb->tail_prev_epoch,
		.tail_prev_crc = sb->tail_prev_crc,
		.journal_blocks = sb->journal_blocks,
	};
}
