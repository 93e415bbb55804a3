/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs as text and from random bytes. */
#include "base/uuid.h"

#include <string.h>

#include "base/hex.h"

struct uuid uuid_from_random(const uint8_t random[16])
{
	struct uuid u;

	memcpy(u.b, random, sizeof(u.b));
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40); /* version 4 */
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80); /* variant 10 */
	return u;
}

bool uuid_is_null(const struct uuid *u)
{
	static const struct uuid null;

	return uuid_equal(u, &null);
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static bool dash_at(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

char *uuid_format(const struct uuid *u, char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(u->b); i++) {
		if (dash_at(at))
			text[at++] = '-';
		text[at++] = digits[u->b[i] >> 4];
		text[at++] = digits[u->b[i] & 15];
	}
	text[at] = '\0';
	return text;
}

bool uuid_parse(const char *text, struct uuid *ret_u)
{
	char hex[2 * sizeof(ret_u->b) + 1];
	size_t n = 0;

	for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
		if (!text[i] || (text[i] == '-') != dash_at(i))
			return false;
		if (!dash_at(i))
			hex[n++] = text[i];
	}
	hex[n] = '\0';
	return !text[UUID_TEXT_SIZE - 1] && hex_parse(hex, ret_u->b, sizeof(ret_u->b));
}
