/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of uevents, parsed. For src/host alone. */
#ifndef LITEPOOL_HOST_WATCH_H
#define LITEPOOL_HOST_WATCH_H

#include "host/host.h"
#include "host/uevent.h"

/* The next event: 0. 1: events were lost, look for yourself. -ETIMEDOUT, -ECANCELED or another negative errno. */
int watch_next(const struct host_env *env, int fd, int64_t deadline, struct uevent *ret);

#endif
