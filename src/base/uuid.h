/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs (RFC 9562) as 16 bytes in network order, and their usual text. */
#ifndef LITEPOOL_BASE_UUID_H
#define LITEPOOL_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37 /* with the final NUL */

struct uuid {
	uint8_t b[16];
};

/* A version 4 UUID out of 16 random bytes. */
struct uuid uuid_from_random(const uint8_t random[16]);
bool uuid_is_null(const struct uuid *u);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
/* Writes UUID_TEXT_SIZE bytes, lower case; returns text. */
char *uuid_format(const struct uuid *u, char *text);
/* Strict: 8-4-4-4-12 hex digits of any case and nothing else. ret_u is untouched on failure. */
bool uuid_parse(const char *text, struct uuid *ret_u);

#endif
