/* SPDX-License-Identifier: Apache-2.0 */
/* Histogram buckets and quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/counter.h"
#include "base/hist.h"
#include "base/rng.h"

static unsigned only_bucket(const struct hist *h)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		if (counter_get(&h->bucket[i]))
			return i;
	fail();
	return 0;
}

static void floors_rise_and_open_their_own_bucket(void **state)
{
	static struct hist h;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t floor = hist_bucket_floor(i);

		if (i)
			assert_true(floor > hist_bucket_floor(i - 1));
		memset(&h, 0, sizeof(h));
		hist_add(&h, floor);
		assert_int_equal(only_bucket(&h), i);
		memset(&h, 0, sizeof(h));
		hist_add(&h, hist_bucket_floor(i + 1) - 1);
		assert_int_equal(only_bucket(&h), i);
	}
}

static void too_long_counts_into_the_last(void **state)
{
	static struct hist h;

	memset(&h, 0, sizeof(h));
	hist_add(&h, UINT64_MAX);
	assert_int_equal(only_bucket(&h), HIST_BUCKETS - 1);
}

static void quantiles_err_by_an_eighth_at_most(void **state)
{
	static const double q[] = {0.01, 0.5, 0.9, 0.99, 0.999, 1};
	static struct hist h;

	memset(&h, 0, sizeof(h));
	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(&h, v * 10);
	assert_int_equal(hist_count(&h), 100000);
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		double exact = q[i] * 1000000, got = (double)hist_quantile(&h, q[i]);

		assert_true(got >= exact * 0.999 && got <= exact * 1.126);
	}
}

static void empty_histogram_gives_zero(void **state)
{
	static struct hist h;

	memset(&h, 0, sizeof(h));
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	assert_int_equal(hist_count(&h), 0);
}

static void merging_adds_up(void **state)
{
	static struct hist a, b, both;
	struct rng rng;

	rng_seed(&rng, 9);
	for (int i = 0; i < 1000; i++) {
		uint64_t v = rng_next(&rng) >> (30 + rng_below(&rng, 30));

		hist_add(i % 3 ? &a : &b, v);
		hist_add(&both, v);
	}
	hist_merge(&a, &b);
	assert_int_equal(hist_count(&a), 1000);
	assert_true(counter_get(&a.sum_ns) == counter_get(&both.sum_ns));
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		assert_int_equal(counter_get(&a.bucket[i]), counter_get(&both.bucket[i]));
}

static void what_is_packed_comes_back(void **state)
{
	static struct hist h, again, none;
	uint8_t buf[HIST_PACKED_MAX];
	size_t len;

	assert_int_equal(hist_pack(&none, buf), 8);
	assert_true(hist_unpack(&again, buf, 8));
	assert_memory_equal(&again, &none, sizeof(none));
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		for (unsigned k = 0; k < i % 3; k++)
			hist_add(&h, hist_bucket_floor(i));
	len = hist_pack(&h, buf);
	assert_in_range(len, 9, sizeof(buf));
	assert_true(hist_unpack(&again, buf, len));
	assert_memory_equal(&again, &h, sizeof(h));
	assert_true(hist_unpack(&again, buf, len));
	assert_int_equal(hist_count(&again), 2 * hist_count(&h));
}

static void what_nobody_packed_is_refused(void **state)
{
	static struct hist h;
	static uint8_t buf[HIST_PACKED_MAX + 16];

	memset(buf, 0xff, sizeof(buf));
	assert_false(hist_unpack(&h, buf, 0));
	assert_false(hist_unpack(&h, buf, 7));
	assert_false(hist_unpack(&h, buf, 20));
	assert_false(hist_unpack(&h, buf, sizeof(buf)));
	assert_int_equal(hist_count(&h), 0);
	memset(buf, 0, 16);
	buf[8] = buf[9] = 0xff; /* a bucket of a finer histogram */
	buf[16] = 5;
	memset(buf + 17, 0, 7);
	memset(buf + 10, 0, 6);
	assert_true(hist_unpack(&h, buf, 24));
	assert_int_equal(counter_get(&h.bucket[HIST_BUCKETS - 1]), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_back),
		cmocka_unit_test(what_nobody_packed_is_refused),
		cmocka_unit_test(floors_rise_and_open_their_own_bucket),
		cmocka_unit_test(too_long_counts_into_the_last),
		cmocka_unit_test(quantiles_err_by_an_eighth_at_most),
		cmocka_unit_test(empty_histogram_gives_zero),
		cmocka_unit_test(merging_adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
