/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams, locks and waits for programs and threads that have nothing else to do meanwhile: the command line, worker threads and
 * tests. Never on a reactor's thread. Descriptors are closed with close().
 */
#ifndef LITEPOOL_RT_BLOCKING_H
#define LITEPOOL_RT_BLOCKING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* A point in time that many milliseconds from now; timeout_ms < 0: never. */
int64_t blocking_deadline(int timeout_ms);
/* A descriptor, or a negative errno; -EAGAIN: the listener's queue stayed full until the deadline. */
int blocking_connect_unix(const char *path, int64_t deadline);
/*
 * Connects to an IP address (iface: by this interface; NULL: any). A descriptor, -ETIMEDOUT, -ECANCELED when cancel_fd (-1: none) is
 * readable, or why not (-ECONNREFUSED, -EHOSTUNREACH, ...). -EINVAL: not an address.
 */
int blocking_connect_tcp(const char *host, uint16_t port, const char *iface, int cancel_fd,
			 int64_t deadline);
/* 0 when fd is readable (or in error, which the next call tells); -ETIMEDOUT; -ECANCELED as above. */
int blocking_wait_readable(int fd, int cancel_fd, int64_t deadline);
/*
 * An exclusive lock on the file (made when absent), which ends with the descriptor or the process; *ret_fd is given to blocking_unlock(). Waits for
 * another holder, of any process or thread. 0, -ETIMEDOUT, -ECANCELED, or a negative errno, with err.
 */
int blocking_lock(const char *path, int cancel_fd, int64_t deadline, int *ret_fd, struct err *err);
/* Closes fd too; fd < 0 does nothing. */
void blocking_unlock(int fd);
/* Makes SIGINT and SIGTERM readable at a descriptor instead of ending the process: what cancel_fd wants. Main thread, before others. */
int blocking_signal_fd(struct err *err);
/* 0 when all is handed over, -ETIMEDOUT, or another negative errno. */
int blocking_send(int fd, const void *data, size_t len, int64_t deadline);
/* What there is, at least a byte; 0: end of stream; -ETIMEDOUT, or another negative errno. */
ssize_t blocking_recv(int fd, void *buf, size_t size, int64_t deadline);

#endif
