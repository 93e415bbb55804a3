/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latency histogram. Values below 8 ns have a bucket each; above, the three bits after the
 * leading one choose among the 8 buckets of their power of two. What is longer than the last bucket
 * counts into it.
 */
#include "base/hist.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/counter.h"

#define SUB_COUNT (1u << HIST_SUB_BITS)

static unsigned bucket_of(uint64_t ns)
{
	unsigned exponent, bucket;

	if (ns < SUB_COUNT)
		return (unsigned)ns;
	exponent = 63 - (unsigned)__builtin_clzll(ns);
	bucket = ((exponent - HIST_SUB_BITS + 1) << HIST_SUB_BITS) +
		 (unsigned)(ns >> (exponent - HIST_SUB_BITS) & (SUB_COUNT - 1));
	return MIN(bucket, (unsigned)HIST_BUCKETS - 1);
}

uint64_t hist_bucket_floor(unsigned i)
{
	unsigned group = i >> HIST_SUB_BITS;
	uint64_t sub = i & (SUB_COUNT - 1);

	if (group == 0)
		return sub;
	return (SUB_COUNT + sub) << (group - 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
	counter_add(&h->bucket[bucket_of(ns)], 1);
	counter_add(&h->sum_ns, ns);
}

void hist_merge(struct hist *dst, const struct hist *src)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		counter_add(&dst->bucket[i], counter_get(&src->bucket[i]));
	counter_add(&dst->sum_ns, counter_get(&src->sum_ns));
}

uint64_t hist_count(const struct hist *h)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		count += counter_get(&h->bucket[i]);
	return count;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t count = hist_count(h), below = 0, in;
	double rank = q * (double)count;
	unsigned i;

	if (count == 0)
		return 0;
	for (i = 0; i < HIST_BUCKETS - 1; i++) {
		in = counter_get(&h->bucket[i]);
		if (in && (double)(below + in) >= rank)
			break;
		below += in;
	}
	/* The upper end of the bucket: the fraction q lies below it for certain. */
	return hist_bucket_floor(i + 1);
}

size_t hist_pack(const struct hist *h, uint8_t *buf)
{
	uint8_t *at = buf + 8;

	put_le64(buf, counter_get(&h->sum_ns));
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t n = counter_get(&h->bucket[i]);

		if (!n)
			continue;
		put_le64(at, i);
		put_le64(at + 8, n);
		at += 16;
	}
	return (size_t)(at - buf);
}

bool hist_unpack(struct hist *h, const uint8_t *buf, size_t len)
{
	if (len < 8 || (len - 8) % 16 || len > HIST_PACKED_MAX)
		return false;
	counter_add(&h->sum_ns, get_le64(buf));
	for (size_t at = 8; at < len; at += 16)
		counter_add(&h->bucket[MIN(get_le64(buf + at), (uint64_t)HIST_BUCKETS - 1)],
			    get_le64(buf + at + 8));
	return true;
}
