/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One flipped bit. crc32c has distance 4 at the length of a page, so a page with exactly one wrong bit names it: no other page that is one bit away has a right checksum, and
 * no page with two or three wrong bits is one bit away from a right one. A page that is wrong altogether passes for one with a flipped bit once in 130,000 times, so the
 * result is only believed where its content is possible too, and only where no write can have been interrupted. Pure; the table is made at the first use, on one thread.
 */
#ifndef LITEPOOL_POOL_FIXBIT_H
#define LITEPOOL_POOL_FIXBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/layout.h"

#define FIXBIT_BITS ((size_t)LAYOUT_PAGE * 8)

struct fixbit { /* what the checksum changes by when a bit flips; about 1.5 MiB on the heap */
	struct {
		uint32_t change, bit;
	} *table; /* ascending by change */
	size_t crc_off;
};
/* crc_off: where the page keeps its checksum. -ENOMEM. */
int fixbit_init(struct fixbit *f, size_t crc_off);
void fixbit_fini(struct fixbit *f);
/* True: one bit was wrong, and is right in page now; *ret_bit is its number. False: page is as it was. */
bool fixbit_page(const struct fixbit *f, uint8_t page[LAYOUT_PAGE], unsigned *ret_bit);

#endif
