/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of block devices from another engine: what is taken can be told again, and is then the same. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "blk/stats.h"

#include "fuzz.h"

static struct blk_stats stats;

static void one(const struct tlv *rec)
{
	struct uuid uuid;
	struct err err = {0};

	if (blk_stats_read(rec, &uuid, &stats, &err) < 0)
		ASSERT(err.code < 0 && err.text[0]);
	for (unsigned op = 0; op < BLK_OPS; op++) {
		uint8_t packed[HIST_PACKED_MAX], again[HIST_PACKED_MAX];
		struct hist copy = {0};
		size_t len = hist_pack(&stats.latency[op], packed);

		ASSERT(hist_unpack(&copy, packed, len));
		ASSERT(hist_pack(&copy, again) == len && memcmp(packed, again, len) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy =
		malloc(size ? size : 1); /* exact, so that the sanitizer sees a read past the end */
	struct tlv_reader r;
	struct tlv rec;

	ASSERT(copy);
	memcpy(copy, data, size);
	tlv_reader_init(&r, copy, size);
	while (tlv_next(&r, &rec) > 0)
		one(&rec);
	return 0;
}
