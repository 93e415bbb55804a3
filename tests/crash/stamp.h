/* SPDX-License-Identifier: Apache-2.0 */
/* What a sector of test data says of itself, at its beginning and at its end: whose it is, where it belongs, which write it was. */
#ifndef LITEPOOL_TESTS_CRASH_STAMP_H
#define LITEPOOL_TESTS_CRASH_STAMP_H

#include <string.h>

#include "crash/model.h"

#define STAMP_MAGIC 0x504d5453u
#define STAMP_BAD   UINT32_MAX

struct stamp {
	uint32_t magic, uid, value, check;
	uint64_t sector, sum;
};

static inline struct stamp stamp_make(uint32_t uid, uint64_t sector, uint32_t value)
{
	return (struct stamp){STAMP_MAGIC, uid,    value,
			      ~value,      sector, (uid * 0x9e3779b97f4a7c15u ^ value) + sector};
}

static inline void stamp_fill(uint8_t *data, uint32_t uid, uint64_t sector, uint32_t value)
{
	struct stamp s = stamp_make(uid, sector, value);

	memset(data + sizeof(s), (int)value, DISK_SECTOR - 2 * sizeof(s));
	memcpy(data, &s, sizeof(s));
	memcpy(data + DISK_SECTOR - sizeof(s), &s, sizeof(s));
}

/* 0: zeros; STAMP_BAD: neither zeros nor written by a write that was of that sector. data NULL: zeros. */
static inline uint32_t stamp_value(const struct model *m, const uint8_t *data, uint64_t sector)
{
	static const uint8_t zeros[DISK_SECTOR];
	struct stamp a, b;

	if (!data)
		return 0;
	memcpy(&a, data, sizeof(a));
	if (a.magic != STAMP_MAGIC)
		return memcmp(data, zeros, DISK_SECTOR) == 0 ? 0 : STAMP_BAD;
	memcpy(&b, data + DISK_SECTOR - sizeof(b), sizeof(b));
	if (memcmp(&a, &b, sizeof(a)) != 0 || a.sector != sector || a.value >= m->n_values ||
	    m->value[a.value].uid != a.uid || data[sizeof(a)] != (uint8_t)a.value)
		return STAMP_BAD;
	return a.value;
}

#endif
