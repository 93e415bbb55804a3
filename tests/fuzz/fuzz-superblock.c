/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to four superblock copies of any bytes. Byte 0: 1: checksums are made right first. What is taken is possible,
 * and encoding it gives the same bytes again.
 */
#include <stdlib.h>

#include "base/check.h"
#include "layout/superblock.h"

#include "fuzz.h"

static uint8_t copy[SUPERBLOCK_COPIES][LAYOUT_PAGE];

static void check_one(unsigned i)
{
	uint8_t again[LAYOUT_PAGE];
	struct superblock sb;
	struct err err = {0};

	if (superblock_decode(copy[i], i, &sb, &err) != SUPERBLOCK_GOOD) {
		ASSERT(err.code < 0);
		return;
	}
	superblock_encode(&sb, i, again);
	if (superblock_access(&sb, NULL) == SUPERBLOCK_READ_WRITE && !sb.compat)
		ASSERT(memcmp(again, copy[i], LAYOUT_PAGE) == 0);
	ASSERT(superblock_is_mine(&sb, &sb));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *const copies[] = {copy[0], copy[1], copy[2], copy[3]};
	struct superblock_pick pick;
	struct superblock sb;
	struct err err = {0};
	int rc;

	if (size < 1)
		return 0;
	memset(copy, 0, sizeof(copy));
	memcpy(copy, data + 1, MIN(size - 1, sizeof(copy)));
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		if (data[0] & 1)
			put_le32(copy[i] + 8, layout_page_crc(copy[i], 8));
		check_one(i);
	}
	rc = superblock_choose(copies, NULL, &sb, &pick, &err);
	ASSERT((rc == 0) == (err.code == 0));
	if (rc == 0) {
		ASSERT(pick.winner >= 0 && pick.found[pick.winner] == SUPERBLOCK_GOOD);
		ASSERT(superblock_choose(copies, &sb.pool, &sb, &pick, NULL) == 0);
	}
	return 0;
}
