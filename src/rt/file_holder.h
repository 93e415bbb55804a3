/* SPDX-License-Identifier: Apache-2.0 */
/* Who may hold a file that is in use, for error texts; for src/rt alone. */
#ifndef LITEPOOL_RT_FILE_HOLDER_H
#define LITEPOOL_RT_FILE_HOLDER_H

#include <stddef.h>

struct stat;

/* " by ...; what to do", as far as the kernel tells. Return text. */
const char *file_holder_flock(const struct stat *st, char *text, size_t size);
const char *file_holder_device(const struct stat *st, char *text, size_t size);

#endif
