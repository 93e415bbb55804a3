/* SPDX-License-Identifier: Apache-2.0 */
/* The string map against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/strmap.h"

#define KEYS 500

static void behaves_as_an_array_does(void **state)
{
	static int values[KEYS];
	bool there[KEYS] = {false};
	struct strmap map = {0};
	struct strmap_iter it = {0};
	struct rng rng;
	size_t n = 0, seen = 0;

	rng_seed(&rng, 7);
	for (int step = 0; step < 20000; step++) {
		size_t i = rng_below(&rng, KEYS);
		char key[32];
		void *old = NULL;

		(void)snprintf(key, sizeof(key), "ns/%zu", i);
		assert_ptr_equal(strmap_get(&map, key), there[i] ? &values[i] : NULL);
		if (rng_chance(&rng, 0.5)) {
			assert_int_equal(strmap_set(&map, key, &values[i], &old), 0);
			assert_ptr_equal(old, there[i] ? &values[i] : NULL);
			n += !there[i];
			there[i] = true;
		} else {
			assert_ptr_equal(strmap_remove(&map, key), there[i] ? &values[i] : NULL);
			n -= there[i];
			there[i] = false;
		}
		assert_int_equal(map.count, n);
	}
	while (strmap_next(&map, &it)) {
		seen++;
		assert_true(there[(int *)it.value - values]);
	}
	assert_int_equal(seen, n);
	strmap_fini(&map);
}

static void the_entry_at_hand_may_be_removed(void **state)
{
	int value = 0;
	struct strmap map = {0};
	struct strmap_iter it = {0};
	char key[16];

	assert_null(strmap_get(&map, "x"));
	assert_null(strmap_remove(&map, "x"));
	assert_int_equal(strmap_next(&map, &it), 0);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(strmap_set(&map, key, &value, NULL), 0);
	}
	it = (struct strmap_iter){0};
	while (strmap_next(&map, &it)) {
		(void)snprintf(key, sizeof(key), "%s", it.key);
		assert_ptr_equal(strmap_remove(&map, key), &value);
	}
	assert_int_equal(map.count, 0);
	strmap_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaves_as_an_array_does),
		cmocka_unit_test(the_entry_at_hand_may_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
