/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hex digits. */
#include "base/hex.h"

#include <string.h>

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *hex_format(const void *buf, size_t len, char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

bool hex_parse(const char *text, void *ret_buf, size_t len)
{
	uint8_t *out = ret_buf;

	/* Everything is looked at before anything is written. The NUL is not a digit and ends the
	 * first loop. */
	for (size_t i = 0; i < 2 * len; i++)
		if (digit_value(text[i]) < 0)
			return false;
	if (text[2 * len])
		return false;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]));
	return true;
}
