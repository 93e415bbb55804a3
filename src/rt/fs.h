/* SPDX-License-Identifier: Apache-2.0 */
/* Small whole files, blocking: configuration and identities. Control or worker threads only. */
#ifndef LITEPOOL_RT_FS_H
#define LITEPOOL_RT_FS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Reads all of path (at most max bytes, else -EFBIG) into a malloc'ed, NUL-terminated buffer. -ENOENT without err's text. */
int fs_read(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *err);
/* Replaces path whole or not at all, durably: temporary file, fsync, rename, fsync of the folder. */
int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);
/* mkdir -p. */
int fs_make_dir(const char *path, mode_t mode, struct err *err);
/* Takes an exclusive lock that ends with the process; *ret_fd keeps it. -EBUSY when another holds it. */
int fs_lock(const char *path, int *ret_fd, struct err *err);

#endif
