/* SPDX-License-Identifier: Apache-2.0 */
/* What a process needs of the host around its reactors: the service manager and the wall clock. Any thread. */
#ifndef LITEPOOL_RT_NOTIFY_H
#define LITEPOOL_RT_NOTIFY_H

#include <stdint.h>

/*
 * Tells the service manager, if one listens at $NOTIFY_SOCKET (a plain datagram, as sd_notify(3) describes): "READY=1", "STOPPING=1",
 * "STATUS=...". 0: sent, or nobody listens; else a negative errno.
 */
int notify_service(const char *text);

/* Wall clock, ns since the epoch: for log lines. */
uint64_t notify_wall_ns(void);

#endif
