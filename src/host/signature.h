/* SPDX-License-Identifier: Apache-2.0 */
/* What the first bytes of a disk say it holds. */
#ifndef LITEPOOL_HOST_SIGNATURE_H
#define LITEPOOL_HOST_SIGNATURE_H

#include <stddef.h>

enum signature { SIGNATURE_NONE, SIGNATURE_POOL, SIGNATURE_KNOWN, SIGNATURE_UNKNOWN };

/*
 * NONE: nothing is known and the first MiB is zeros; POOL: of ours; KNOWN: words has what ("ext4 file system"); UNKNOWN: there are
 * bytes that nobody knows. Negative errno: it cannot be read.
 */
int signature_read(const char *path, char *words, size_t size);

#endif
