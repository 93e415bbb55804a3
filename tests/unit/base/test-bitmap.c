/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmaps against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/rng.h"

#define BITS_MAX 300

static size_t search(const bool *bits, size_t n, size_t from, bool value)
{
	for (size_t i = from; i < n; i++)
		if (bits[i] == value)
			return i;
	return BITMAP_NONE;
}

static void random_changes_equal_an_array(void **state)
{
	struct bitmap map;
	struct rng rng;
	bool bits[BITS_MAX];

	rng_seed(&rng, 5);
	for (size_t n = 1; n < BITS_MAX; n += 1 + rng_below(&rng, 9)) {
		size_t count = 0;

		memset(bits, 0, sizeof(bits));
		assert_int_equal(bitmap_init(&map, n), 0);
		for (int i = 0; i < 200; i++) {
			size_t at = rng_below(&rng, n), from = rng_below(&rng, n + 2);

			bits[at] = rng_chance(&rng, 0.6);
			if (bits[at])
				bitmap_set(&map, at);
			else
				bitmap_clear(&map, at);
			assert_int_equal(bitmap_test(&map, at), bits[at]);
			assert_true(bitmap_next_set(&map, from) == search(bits, n, from, true));
			assert_true(bitmap_next_clear(&map, from) == search(bits, n, from, false));
		}
		for (size_t i = 0; i < n; i++)
			count += bits[i];
		assert_int_equal(bitmap_count(&map), count);
		bitmap_fini(&map);
	}
}

static void full_map_has_no_clear_bit(void **state)
{
	static const size_t sizes[] = {1, 63, 64, 65, 128};
	struct bitmap map;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		assert_int_equal(bitmap_init(&map, sizes[s]), 0);
		assert_true(bitmap_next_set(&map, 0) == BITMAP_NONE);
		for (size_t i = 0; i < sizes[s]; i++)
			bitmap_set(&map, i);
		assert_true(bitmap_next_clear(&map, 0) == BITMAP_NONE);
		assert_int_equal(bitmap_count(&map), sizes[s]);
		bitmap_fini(&map);
	}
}

static void empty_map_has_nothing(void **state)
{
	struct bitmap map;

	assert_int_equal(bitmap_init(&map, 0), 0);
	assert_true(bitmap_next_clear(&map, 0) == BITMAP_NONE);
	assert_true(bitmap_next_set(&map, 0) == BITMAP_NONE);
	assert_int_equal(bitmap_count(&map), 0);
	bitmap_fini(&map);
	bitmap_fini(&map);
	bitmap_fini(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_equal_an_array),
		cmocka_unit_test(full_map_has_no_clear_bit),
		cmocka_unit_test(empty_map_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
