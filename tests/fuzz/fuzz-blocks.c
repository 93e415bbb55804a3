/* SPDX-License-Identifier: Apache-2.0 */
/* The list of blocks that an agent tells the CSI driver by the API. Input: the list. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "csi/plane_priv.h"
#include "fuzz.h"

#define MAX  32
#define SIZE (UINT64_C(1) << 40)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csi_extent items[MAX];
	struct csi_extents e = {.items = items};
	char *list = calloc(1, size + 1);
	uint64_t at = 0;

	ASSERT(list);
	memcpy(list, data, size);
	if (plane_blocks_parse(list, 0, SIZE, MAX, &e)) {
		ASSERT(e.n <= MAX);
		for (size_t i = 0; i < e.n; i++) {
			ASSERT(items[i].offset >= at && items[i].len);
			at = items[i].offset + items[i].len;
			ASSERT(at <= SIZE);
		}
	}
	free(list);
	return 0;
}
