/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of a latency histogram and their JSON. */
#include "lat.h"

static uint64_t bucket_middle(unsigned i)
{
	unsigned shift = i >> LAT_SUB_BITS;
	uint64_t sub = i & ((1u << LAT_SUB_BITS) - 1);

	if (shift <= 1)
		return i;
	shift--;
	return ((sub + (1u << LAT_SUB_BITS)) << shift) + ((uint64_t)1 << (shift - 1));
}

uint64_t lat_quantile(const struct lat *lat, double q)
{
	uint64_t rank = (uint64_t)(q * (double)lat->count), seen = 0;

	for (unsigned i = 0; i < LAT_BUCKETS; i++) {
		seen += lat->bucket[i];
		if (seen > rank)
			return bucket_middle(i);
	}
	return lat->max_ns;
}

static void report_us(json_t *object, const char *key, double ns)
{
	/* Two decimals: the clock does not give more. */
	(void)json_object_set_new(object, key, json_real((double)(int64_t)(ns / 10 + 0.5) / 100));
}

void lat_report(const struct lat *lat, json_t *object)
{
	double mean = lat->count ? (double)lat->sum_ns / (double)lat->count : 0;

	report_us(object, "p50_us", (double)lat_quantile(lat, 0.5));
	report_us(object, "p90_us", (double)lat_quantile(lat, 0.9));
	report_us(object, "p99_us", (double)lat_quantile(lat, 0.99));
	report_us(object, "p999_us", (double)lat_quantile(lat, 0.999));
	report_us(object, "mean_us", mean);
	report_us(object, "max_us", (double)lat->max_ns);
}
