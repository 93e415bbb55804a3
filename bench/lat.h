/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies of one load generator: log-linear buckets, 64 per power of two, so that two medians can
 * be compared within 1.6 % (base/hist.h, which the engine keeps, is coarser). One thread.
 */
#ifndef LITEPOOL_BENCH_LAT_H
#define LITEPOOL_BENCH_LAT_H

#include <jansson.h>
#include <stdint.h>

#define LAT_SUB_BITS 6
#define LAT_BUCKETS  ((40 - LAT_SUB_BITS) << LAT_SUB_BITS) /* up to 2^40 ns, 18 minutes */

struct lat {
	uint64_t bucket[LAT_BUCKETS];
	uint64_t count, sum_ns, max_ns;
};

static inline unsigned lat_index(uint64_t ns)
{
	unsigned shift, i;

	if (ns < 1u << LAT_SUB_BITS)
		return (unsigned)ns;
	shift = 63 - LAT_SUB_BITS - (unsigned)__builtin_clzll(ns);
	i = ((shift + 1) << LAT_SUB_BITS) + (unsigned)(ns >> shift) - (1u << LAT_SUB_BITS);
	return i < LAT_BUCKETS ? i : LAT_BUCKETS - 1;
}

static inline void lat_add(struct lat *lat, uint64_t ns)
{
	lat->bucket[lat_index(ns)]++;
	lat->count++;
	lat->sum_ns += ns;
	if (ns > lat->max_ns)
		lat->max_ns = ns;
}

/* Middle of the bucket that holds the fraction q (0..1), ns; 0 when empty. */
uint64_t lat_quantile(const struct lat *lat, double q);
/* Adds p50_us, p90_us, p99_us, p999_us, mean_us and max_us to object. */
void lat_report(const struct lat *lat, json_t *object);

#endif
