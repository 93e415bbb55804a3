/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency histogram: log-linear buckets, 8 per power of two (error at most 12.5 %), 1 ns .. ~18 s.
 * One writer; readers on other threads see each counter whole (relaxed atomics), not one instant.
 */
#ifndef LITEPOOL_BASE_HIST_H
#define LITEPOOL_BASE_HIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 3
#define HIST_BUCKETS  ((35 - HIST_SUB_BITS) << HIST_SUB_BITS)

struct hist {
	_Atomic uint64_t bucket[HIST_BUCKETS];
	_Atomic uint64_t sum_ns;
};

void hist_add(struct hist *h, uint64_t ns);
/* Lowest value that falls into bucket i, ns. */
uint64_t hist_bucket_floor(unsigned i);
void hist_merge(struct hist *dst, const struct hist *src);
uint64_t hist_count(const struct hist *h);
/* Value below which the fraction q (0..1) lies, ns; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double q);

/* As bytes, for another process: sum_ns:64, then bucket:64 count:64 of each that is not empty, little-endian. buf has HIST_PACKED_MAX bytes; how many were used. */
#define HIST_PACKED_MAX (8u + 16u * HIST_BUCKETS)
size_t hist_pack(const struct hist *h, uint8_t *buf);
/* Adds what hist_pack() wrote; a bucket beyond the last counts into the last. False: that is not what it wrote, and h may have a part of it. */
bool hist_unpack(struct hist *h, const uint8_t *buf, size_t len);

#endif
