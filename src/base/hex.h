/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hex digits, for identifiers in configuration and tables. */
#ifndef LITEPOOL_BASE_HEX_H
#define LITEPOOL_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len + 1 bytes, upper case as SPDK prints NGUIDs; returns text. */
char *hex_format(const void *buf, size_t len, char *text);
/* text must be exactly 2 * len hex digits. buf is untouched on failure. */
bool hex_parse(const char *text, void *ret_buf, size_t len);

#endif
