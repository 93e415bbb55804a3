/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock copies. What a copy says lies in its first 512 bytes, which a disk writes whole: so a copy is never torn by a power cut, and one that does not decode is
 * damaged. One that is older is what a cut between two pairs leaves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "pool/check_priv.h"

static const char *const found_text[] = {
	[SUPERBLOCK_NONE] = "is gone",
	[SUPERBLOCK_TORN] = "has a wrong checksum",
	[SUPERBLOCK_BAD] = "has impossible content",
	[SUPERBLOCK_UNSUPPORTED] = "is of a newer version",
};

static uint64_t place_of(unsigned copy)
{
	return SUPERBLOCK_COPY_OFFSET(copy) / LAYOUT_PAGE;
}

/* A copy with one flipped bit is what it was before, perhaps the newest of all. */
static bool turn_back(struct check *c, unsigned copy)
{
	uint8_t page[LAYOUT_PAGE];
	struct superblock sb;
	unsigned bit;
	char plan[96];

	memcpy(page, c->super.page[copy], sizeof(page));
	if (!fixbit_page(&c->fix_super, page, &bit) ||
	    superblock_decode(page, copy, &sb, NULL) != SUPERBLOCK_GOOD)
		return false;
	(void)snprintf(plan, sizeof(plan), "turn bit %u of byte %u back", bit % 8, bit / 8);
	check_tell(c, CHECK_MENDABLE, "superblock", place_of(copy), plan, NULL,
		   "superblock copy %u has one flipped bit", copy);
	check_add_write(c, place_of(copy), page);
	return true;
}

static void rewrite(struct check *c, unsigned copy, const struct superblock *winner)
{
	uint8_t page[LAYOUT_PAGE];

	superblock_encode(winner, copy, page);
	check_add_write(c, place_of(copy), page);
}

static void look_copy(struct check *c, unsigned copy, const struct superblock_pick *pick,
		      const struct superblock *winner)
{
	enum superblock_found found = pick->found[copy];
	struct superblock sb;
	char plan[64];

	(void)snprintf(plan, sizeof(plan), "write it again from copy %d", pick->winner);
	if (found != SUPERBLOCK_GOOD) {
		check_tell(c, CHECK_MENDABLE, "superblock", place_of(copy), plan, NULL,
			   "superblock copy %u %s; copy %d counts", copy, found_text[found],
			   pick->winner);
		rewrite(c, copy, winner);
		return;
	}
	(void)superblock_decode(c->super.page[copy], copy, &sb, NULL);
	if (sb.epoch == winner->epoch && sb.generation == winner->generation)
		return;
	check_tell(c, CHECK_NOTE, "superblock", place_of(copy), NULL, NULL,
		   "superblock copy %u is older than copy %d (epoch %" PRIu64
		   ", generation %" PRIu64
		   "); the next writing of the superblock brings it up to date",
		   copy, pick->winner, sb.epoch, sb.generation);
}

int check_super(struct check *c)
{
	const uint8_t *copies[SUPERBLOCK_COPIES];
	struct superblock winner;
	struct superblock_pick pick;
	struct err why = {0};
	bool turned = false;
	int rc;

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		copies[i] = c->super.page[i];
	rc = superblock_choose(copies, NULL, &winner, &pick, &why);
	if (rc == -ENOENT || rc == -EOPNOTSUPP) {
		c->err = why;
		return err_prefix(&c->err, "%s", c->dev->name);
	}
	if (!rc && superblock_access(&winner, &c->err) == SUPERBLOCK_REFUSED)
		return c->err.code;
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		if (pick.found[i] == SUPERBLOCK_TORN && turn_back(c, i)) {
			pick.found[i] = SUPERBLOCK_GOOD; /* told; the next look sees what it says */
			turned = true;
		} else if (!rc) {
			look_copy(c, i, &pick, &winner);
		}
	if (!rc) {
		c->result->sb = winner;
		return 1;
	}
	if (!turned)
		check_tell(c, CHECK_HOPELESS, "superblock", 0, NULL, NULL, "%s", why.text);
	return 0;
}
