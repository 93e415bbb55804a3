/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c against known values, a bit-by-bit reference, and splits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/rng.h"

static uint32_t reference(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void known_values_hold(void **state)
{
	uint8_t buf[32];

	/* RFC 3720 B.4. */
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)i;
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x46dd794e);
	assert_int_equal(crc32c(buf, 0), 0);
}

static void every_length_and_alignment_equals_the_reference(void **state)
{
	static uint8_t buf[600];
	struct rng rng;

	rng_seed(&rng, 1);
	rng_fill(&rng, buf, sizeof(buf));
	for (size_t off = 0; off < 9; off++)
		for (size_t len = 0; len + off <= 300; len++)
			assert_int_equal(crc32c(buf + off, len), reference(buf + off, len));
	assert_int_equal(crc32c(buf, sizeof(buf)), reference(buf, sizeof(buf)));
}

static void any_split_gives_the_same(void **state)
{
	static uint8_t buf[4096];
	struct rng rng;
	uint32_t whole;

	rng_seed(&rng, 2);
	rng_fill(&rng, buf, sizeof(buf));
	whole = crc32c(buf, sizeof(buf));
	for (int i = 0; i < 500; i++) {
		size_t a = rng_below(&rng, sizeof(buf) + 1);
		size_t b = a + rng_below(&rng, sizeof(buf) - a + 1);
		uint32_t crc = crc32c_extend(0, buf, a);

		crc = crc32c_extend(crc, buf + a, b - a);
		crc = crc32c_extend(crc, buf + b, sizeof(buf) - b);
		assert_int_equal(crc, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values_hold),
		cmocka_unit_test(every_length_and_alignment_equals_the_reference),
		cmocka_unit_test(any_split_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
