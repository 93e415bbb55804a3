/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c (Castagnoli) as NVMe/TCP digests and our disk records use it: init ~0, reflected, xor out. */
#ifndef LITEPOOL_BASE_CRC32C_H
#define LITEPOOL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc of the whole of buf. */
uint32_t crc32c(const void *buf, size_t len);

/* Continues: crc32c_extend(crc32c(a), b) == crc32c(a ++ b). crc32c_extend(0, b) == crc32c(b). */
uint32_t crc32c_extend(uint32_t crc, const void *buf, size_t len);

#endif
