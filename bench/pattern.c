/* SPDX-License-Identifier: Apache-2.0 */
/* Filling and checking; see pattern.h. A sector: place ^ seed, version, then a xorshift sequence. */
#include "pattern.h"

#include <string.h>

#define SECTOR_WORDS (PATTERN_SECTOR / sizeof(uint64_t))
#define MAGIC        0x6c70617474657231ull

const char *const pattern_verdict_name[] = {
	[PATTERN_OK] = "ok",           [PATTERN_STALE] = "stale", [PATTERN_FOREIGN] = "foreign",
	[PATTERN_CORRUPT] = "corrupt", [PATTERN_TORN] = "torn",
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t sector_tag(const struct pattern *p, uint64_t offset)
{
	return mix(p->seed ^ MAGIC) ^ offset;
}

static uint64_t sector_word(uint64_t state, size_t i)
{
	return state * (2 * i + 1) ^ state >> (i & 31);
}

static void sector_fill(const struct pattern *p, uint64_t offset, uint32_t version, uint64_t *w)
{
	uint64_t state;

	w[0] = sector_tag(p, offset);
	w[1] = version;
	state = mix(w[0] + mix(version));
	for (size_t i = 2; i < SECTOR_WORDS; i++)
		w[i] = sector_word(state, i);
}

void pattern_fill(const struct pattern *p, uint32_t version, void *buf, size_t len)
{
	for (size_t off = 0; off < len; off += PATTERN_SECTOR)
		sector_fill(p, p->offset + off, version, (uint64_t *)(void *)((char *)buf + off));
}

static enum pattern_verdict sector_check(const struct pattern *p, uint64_t offset, uint32_t min,
					 uint32_t max, const uint64_t *w)
{
	uint64_t state, bad = 0;

	if (w[0] != sector_tag(p, offset) || w[1] > UINT32_MAX)
		return PATTERN_FOREIGN;
	if (w[1] < min || w[1] > max)
		return PATTERN_STALE;
	state = mix(w[0] + mix(w[1]));
	for (size_t i = 2; i < SECTOR_WORDS; i++)
		bad |= w[i] ^ sector_word(state, i);
	return bad ? PATTERN_CORRUPT : PATTERN_OK;
}

struct pattern_found pattern_check(const struct pattern *p, uint32_t min, uint32_t max,
				   const void *buf, size_t len)
{
	for (size_t off = 0; off < len; off += PATTERN_SECTOR) {
		const uint64_t *w = (const uint64_t *)(const void *)((const char *)buf + off);
		enum pattern_verdict v = sector_check(p, p->offset + off, min, max, w);

		/* One sector of the right version ahead of it makes a stale one a tear. */
		if (v == PATTERN_STALE && off > 0 && min == max)
			v = PATTERN_TORN;
		if (v != PATTERN_OK)
			return (struct pattern_found){v, p->offset + off, (uint32_t)w[1]};
	}
	return (struct pattern_found){PATTERN_OK, 0, 0};
}
