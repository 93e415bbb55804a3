/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of bounded size. */
#ifndef LITEPOOL_BASE_STR_H
#define LITEPOOL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies with a final NUL. False, and dst empty, when src does not fit whole. */
bool str_copy(char *dst, size_t size, const char *src);
/* Copies into a fixed field without NUL, padded with blanks, as NVMe's ASCII fields are; cuts. */
void str_pad(char *dst, size_t size, const char *src);
/* Decimal digits only, whole string, within min..max. */
bool str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "4096", "16k", "1MiB", "10G", "1TiB": powers of 1024. */
bool str_to_size(const char *s, uint64_t *ret_bytes);
/* "1.5 GiB" into buf (at least 16 bytes); returns buf. */
char *str_size(uint64_t bytes, char *buf, size_t size);

#endif
