/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that can be checked without keeping it: each 512-byte sector holds where it belongs and which
 * write it is of, then words that follow from both. A sector that is stale, torn, misplaced or of
 * another run is told apart.
 */
#ifndef LITEPOOL_BENCH_PATTERN_H
#define LITEPOOL_BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define PATTERN_SECTOR 512u

struct pattern {
	uint64_t seed;   /* of the run */
	uint64_t offset; /* of the data on the namespace, bytes, multiple of 512 */
};

/* len is a multiple of 512. */
void pattern_fill(const struct pattern *p, uint32_t version, void *buf, size_t len);

enum pattern_verdict {
	PATTERN_OK,
	PATTERN_STALE,   /* a sector of this place, of a version outside min..max */
	PATTERN_FOREIGN, /* a sector of another place or run, or no pattern at all */
	PATTERN_CORRUPT, /* the right head, wrong words behind it */
	PATTERN_TORN,    /* sectors of more than one version where one write was acknowledged */
};
extern const char *const pattern_verdict_name[];

struct pattern_found {
	enum pattern_verdict verdict;
	uint64_t offset;  /* of the first bad sector on the namespace */
	uint32_t version; /* seen there */
};

/* Versions min..max are right; min == max means that all sectors must be of it. */
struct pattern_found pattern_check(const struct pattern *p, uint32_t min, uint32_t max,
				   const void *buf, size_t len);

#endif
