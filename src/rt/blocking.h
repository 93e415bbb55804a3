/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream to a unix socket for programs that have nothing else to do meanwhile: the command line and tests. Never on a
 * reactor's thread. Descriptors are closed with close().
 */
#ifndef LITEPOOL_RT_BLOCKING_H
#define LITEPOOL_RT_BLOCKING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A point in time that many milliseconds from now; timeout_ms < 0: never. */
int64_t blocking_deadline(int timeout_ms);
/* A descriptor, or a negative errno; -EAGAIN: the listener's queue stayed full until the deadline. */
int blocking_connect_unix(const char *path, int64_t deadline);
/* 0 when all is handed over, -ETIMEDOUT, or another negative errno. */
int blocking_send(int fd, const void *data, size_t len, int64_t deadline);
/* What there is, at least a byte; 0: end of stream; -ETIMEDOUT, or another negative errno. */
ssize_t blocking_recv(int fd, void *buf, size_t size, int64_t deadline);

#endif
