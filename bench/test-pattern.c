/* SPDX-License-Identifier: Apache-2.0 */
/* The verified pattern tells every kind of wrong data apart; latencies fall into the right buckets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lat.h"
#include "pattern.h"

static uint64_t words[1024], other[1024]; /* two blocks of 8 KiB */
static const struct pattern here = {.seed = 7, .offset = 40960};
static const struct pattern there = {.seed = 7, .offset = 49152};
static const struct pattern before = {.seed = 6, .offset = 40960};

static enum pattern_verdict verdict(uint32_t min, uint32_t max)
{
	return pattern_check(&here, min, max, words, sizeof(words)).verdict;
}

static void right_data_is_accepted(void **state)
{
	pattern_fill(&here, 3, words, sizeof(words));
	assert_int_equal(verdict(3, 3), PATTERN_OK);
	assert_int_equal(verdict(2, 4), PATTERN_OK);
}

static void old_data_is_stale(void **state)
{
	pattern_fill(&here, 3, words, sizeof(words));
	assert_int_equal(verdict(4, 4), PATTERN_STALE);
	assert_int_equal(verdict(1, 2), PATTERN_STALE);
}

static void data_of_elsewhere_is_foreign(void **state)
{
	pattern_fill(&there, 3, words, sizeof(words));
	assert_int_equal(verdict(3, 3), PATTERN_FOREIGN);
	pattern_fill(&before, 3, words, sizeof(words));
	assert_int_equal(verdict(3, 3), PATTERN_FOREIGN);
	memset(words, 0, sizeof(words));
	assert_int_equal(verdict(0, UINT32_MAX), PATTERN_FOREIGN);
}

static void every_flipped_bit_is_seen(void **state)
{
	for (size_t bit = 0; bit < sizeof(words) * 8; bit += 61) {
		pattern_fill(&here, 3, words, sizeof(words));
		words[bit / 64] ^= (uint64_t)1 << (bit % 64);
		assert_int_not_equal(verdict(3, 3), PATTERN_OK);
	}
}

static void half_old_half_new_is_torn(void **state)
{
	struct pattern_found found;

	pattern_fill(&here, 4, words, sizeof(words));
	pattern_fill(&here, 3, other, sizeof(other));
	memcpy(words + 512, other + 512, 4096);
	found = pattern_check(&here, 4, 4, words, sizeof(words));
	assert_int_equal(found.verdict, PATTERN_TORN);
	assert_int_equal(found.offset, here.offset + 4096);
	assert_int_equal(found.version, 3);
	/* A write that was not acknowledged may be there in part. */
	assert_int_equal(verdict(3, 4), PATTERN_OK);
}

static void quantiles_are_within_a_bucket(void **state)
{
	static struct lat lat;

	for (uint64_t ns = 1; ns <= 100000; ns++)
		lat_add(&lat, ns);
	assert_in_range(lat_quantile(&lat, 0.5), 49000, 51000);
	assert_in_range(lat_quantile(&lat, 0.99), 97500, 100500);
	lat_add(&lat, UINT64_MAX);
	assert_true(lat.max_ns == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_data_is_accepted),
		cmocka_unit_test(old_data_is_stale),
		cmocka_unit_test(data_of_elsewhere_is_foreign),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(half_old_half_new_is_torn),
		cmocka_unit_test(quantiles_are_within_a_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
