/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** 1.0 (Blackman, Vigna 2018), its state filled from the seed by splitmix64, as its
 * authors advise. */
#include "base/rng.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
	for (size_t i = 0; i < ARRAY_LEN(rng->s); i++)
		rng->s[i] = splitmix64(&seed);
}

uint64_t rng_next(struct rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	/* The first 2^64 % bound values would make small results likelier and are drawn again. */
	uint64_t skip, v;

	ASSERT(bound > 0);
	skip = (0 - bound) % bound;
	do
		v = rng_next(rng);
	while (v < skip);
	return v % bound;
}

bool rng_chance(struct rng *rng, double p)
{
	return (double)(rng_next(rng) >> 11) * 0x1p-53 < p;
}

void rng_fill(struct rng *rng, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint8_t word[8];

	while (len) {
		size_t n = MIN(len, sizeof(word));

		put_le64(word, rng_next(rng));
		memcpy(p, word, n);
		p += n;
		len -= n;
	}
}
