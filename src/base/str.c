/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of bounded size, and numbers and sizes as people write them. */
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);

	if (len >= size) {
		if (size)
			dst[0] = '\0';
		return false;
	}
	memcpy(dst, src, len + 1);
	return true;
}

void str_pad(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size);

	memcpy(dst, src, len);
	memset(dst + len, ' ', size - len);
}

/* Reads the digits at *s and moves behind them. False when there are none, or too many. */
static bool take_u64(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

bool str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;

	if (!take_u64(&s, &v) || *s || v < min || v > max)
		return false;
	*ret = v;
	return true;
}

static const char unit_letters[] = "KMGTPE";

/* The shift that a suffix stands for, or -1. */
static int suffix_shift(const char *s)
{
	const char *unit;
	char upper = (char)(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s);

	if (!upper)
		return 0;
	unit = strchr(unit_letters, upper);
	if (!unit || (s[1] && strcmp(s + 1, "iB") != 0))
		return -1;
	return 10 * (int)(unit - unit_letters + 1);
}

bool str_to_size(const char *s, uint64_t *ret_bytes)
{
	uint64_t v;
	int shift;

	if (!take_u64(&s, &v))
		return false;
	shift = suffix_shift(s);
	if (shift < 0 || v > UINT64_MAX >> shift)
		return false;
	*ret_bytes = v << shift;
	return true;
}

char *str_size(uint64_t bytes, char *buf, size_t size)
{
	unsigned unit = 0;

	while (unit < sizeof(unit_letters) - 1 && bytes >> (10 * (unit + 1)))
		unit++;
	if (unit == 0)
		(void)snprintf(buf, size, "%" PRIu64 " B", bytes);
	else if (bytes & (((uint64_t)1 << (10 * unit)) - 1))
		(void)snprintf(buf, size, "%.1f %ciB",
			       (double)bytes / (double)((uint64_t)1 << (10 * unit)),
			       unit_letters[unit - 1]);
	else
		(void)snprintf(buf, size, "%" PRIu64 " %ciB", bytes >> (10 * unit),
			       unit_letters[unit - 1]);
	return buf;
}
