/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c: isa-l for bulk, the processor's own instruction for headers, where the call alone would
 * cost as much.
 *
 * isa-l's crc32_iscsi() neither inverts what goes in nor what comes out; both are done here. Its
 * length is an int, so that longer buffers are taken in pieces.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>

#include "base/bytes.h"

#define SHORT_LEN 128
#define PIECE_LEN ((size_t)1 << 30)

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_short(uint32_t crc, const uint8_t *p,
							    size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; p += 8, len -= 8)
		wide = __builtin_ia32_crc32di(wide, get_le64(p));
	crc = (uint32_t)wide;
	for (; len; p++, len--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}

static bool short_usable(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_short(uint32_t crc, const uint8_t *p, size_t len)
{
	return crc32_iscsi((unsigned char *)(uintptr_t)p, (int)len, crc);
}

static bool short_usable(void)
{
	return false;
}
#endif

uint32_t crc32c_extend(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	crc = ~crc;
	if (len <= SHORT_LEN && short_usable())
		return ~crc_short(crc, p, len);
	while (len) {
		size_t n = MIN(len, PIECE_LEN);

		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, crc);
		p += n;
		len -= n;
	}
	return ~crc;
}

uint32_t crc32c(const void *buf, size_t len)
{
	return crc32c_extend(0, buf, len);
}
