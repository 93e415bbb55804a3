/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/fixbit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static int by_change(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b; /* change is the first member */

	return (*x > *y) - (*x < *y);
}

int fixbit_init(struct fixbit *f, size_t crc_off)
{
	uint8_t page[LAYOUT_PAGE] = {0};
	uint32_t none = layout_page_crc(page, crc_off);
	size_t n = 0;

	f->crc_off = crc_off;
	f->table = calloc(FIXBIT_BITS, sizeof(*f->table));
	if (!f->table)
		return -ENOMEM;
	for (uint32_t bit = 0; bit < FIXBIT_BITS; bit++) {
		uint8_t flip = (uint8_t)(1u << bit % 8);

		if (bit / 8 >= crc_off && bit / 8 < crc_off + 4) {
			f->table[n].change = (uint32_t)1 << (bit - crc_off * 8);
		} else { /* a checksum is linear: the change is the same in every page */
			page[bit / 8] ^= flip;
			f->table[n].change = layout_page_crc(page, crc_off) ^ none;
			page[bit / 8] ^= flip;
		}
		f->table[n++].bit = bit;
	}
	qsort(f->table, n, sizeof(*f->table), by_change);
	return 0;
}

void fixbit_fini(struct fixbit *f)
{
	free(f->table);
	f->table = NULL;
}

bool fixbit_page(const struct fixbit *f, uint8_t page[LAYOUT_PAGE], unsigned *ret_bit)
{
	uint32_t have = (uint32_t)page[f->crc_off] | (uint32_t)page[f->crc_off + 1] << 8 |
			(uint32_t)page[f->crc_off + 2] << 16 | (uint32_t)page[f->crc_off + 3] << 24;
	uint32_t change = have ^ layout_page_crc(page, f->crc_off);
	size_t low = 0, high = FIXBIT_BITS;

	if (!change)
		return false;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (f->table[mid].change < change)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == FIXBIT_BITS || f->table[low].change != change)
		return false;
	*ret_bit = f->table[low].bit;
	page[*ret_bit / 8] ^= (uint8_t)(1u << *ret_bit % 8);
	return true;
}
