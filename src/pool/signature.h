/* SPDX-License-Identifier: Apache-2.0 */
/* What a device that is about to become a pool may carry already. Pure. */
#ifndef LITEPOOL_POOL_SIGNATURE_H
#define LITEPOOL_POOL_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

/* The parts of a device that are looked at: bytes [0, SIGNATURE_HEAD) and the last SIGNATURE_TAIL, both multiples of 4096. */
#define SIGNATURE_HEAD (4u << 20)
#define SIGNATURE_TAIL (256u << 10)

/*
 * What is there: "an ext2/3/4 file system"; NULL: nothing that is known. head: the first SIGNATURE_HEAD bytes; tail: from tail_offset (at least SIGNATURE_HEAD) to
 * device_bytes. *ret_in_tail: it was found at the end, so overwriting the head would leave it.
 */
const char *signature_find(const uint8_t *head, const uint8_t *tail, uint64_t tail_offset,
			   uint64_t device_bytes, bool *ret_in_tail);

#endif
