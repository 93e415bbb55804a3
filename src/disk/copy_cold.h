/* SPDX-License-Identifier: Apache-2.0 */
/* Copying to memory that is not in the cache and will not be read soon, as most of a RAM disk is. */
#ifndef LITEPOOL_DISK_COPY_COLD_H
#define LITEPOOL_DISK_COPY_COLD_H

#include <stddef.h>
#include <string.h>

#include "base/check.h"

#define COPY_COLD_UNIT 64u /* bytes: a line of the cache */

/*
 * As memcpy(). to and len are multiples of COPY_COLD_UNIT, from is any. Where the processor can do it the lines are not read before they are overwritten and push nothing
 * else out of the cache. This thread sees the copy at once; it is ordered like other stores, so that who sees a later one sees the copy, by copy_cold_end() of the same
 * thread, which waits until all copies are in memory: once for many.
 */
#if defined(__SSE2__)
#include <emmintrin.h>

static inline void copy_cold(void *to, const void *from, size_t len)
{
	__m128i *const d = to;
	const __m128i *const s = from;

	ASSERT((uintptr_t)to % COPY_COLD_UNIT == 0 && len % COPY_COLD_UNIT == 0);
	for (size_t i = 0; i < len / sizeof(*s); i += 4) {
		const __m128i p0 = _mm_loadu_si128(s + i), p1 = _mm_loadu_si128(s + i + 1);
		const __m128i p2 = _mm_loadu_si128(s + i + 2), p3 = _mm_loadu_si128(s + i + 3);

		_mm_stream_si128(d + i, p0);
		_mm_stream_si128(d + i + 1, p1);
		_mm_stream_si128(d + i + 2, p2);
		_mm_stream_si128(d + i + 3, p3);
	}
}

static inline void copy_cold_end(void)
{
	_mm_sfence();
}
#else
static inline void copy_cold(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}

static inline void copy_cold_end(void)
{
}
#endif

#endif
