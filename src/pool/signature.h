/* SPDX-License-Identifier: Apache-2.0 */
/* What a device that is about to become a pool may carry already. Pure. */
#ifndef LITEPOOL_POOL_SIGNATURE_H
#define LITEPOOL_POOL_SIGNATURE_H

#include <stdint.h>

/* The parts of a device that are looked at: bytes [0, SIGNATURE_HEAD) and the last SIGNATURE_TAIL, both multiples of 4096. */
#define SIGNATURE_HEAD (4u << 20)
#define SIGNATURE_TAIL (512u << 10)

/*
 * What is there: "an ext2/3/4 file system"; NULL: nothing that is known. head: the first SIGNATURE_HEAD bytes; tail: from tail_offset (at least SIGNATURE_HEAD) to
 * device_bytes, at least SIGNATURE_TAIL.
 */
const char *signature_find(const uint8_t *head, const uint8_t *tail, uint64_t tail_offset,
			   uint64_t device_bytes);

#endif
