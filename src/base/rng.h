/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded pseudo-random numbers (xoshiro256**) for simulation, fault injection and tests; not for secrets. */
#ifndef LITEPOOL_BASE_RNG_H
#define LITEPOOL_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* True with probability p (0..1). */
bool rng_chance(struct rng *rng, double p);
void rng_fill(struct rng *rng, void *buf, size_t len);

#endif
