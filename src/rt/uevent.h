/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams of the kernel about devices (kobject uevents), with deadlines, for threads that may block. The text in them is parsed
 * elsewhere (host/uevent.h). Never on a reactor's thread.
 */
#ifndef LITEPOOL_RT_UEVENT_H
#define LITEPOOL_RT_UEVENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* The largest datagram that the kernel makes (UEVENT_BUFFER_SIZE and the header). */
#define UEVENT_MAX 8192

/* A descriptor that hears every uevent from now on; closed with close(). Negative errno with err. */
int uevent_open(struct err *err);
/*
 * The next datagram, as it is: its length; -ETIMEDOUT at the deadline (rt/blocking.h); -ECANCELED when cancel_fd (-1: none) is readable;
 * -ENOBUFS when some were lost, so that the caller must look for itself. Messages that are not the kernel's are dropped.
 */
ssize_t uevent_recv(int fd, int cancel_fd, void *buf, size_t size, int64_t deadline);

#endif
