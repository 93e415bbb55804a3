/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a block device is in use on this host, and by whom. */
#ifndef LITEPOOL_HOST_HOLD_H
#define LITEPOOL_HOST_HOLD_H

#include "host/host.h"

/*
 * name: "nvme0n1". 0: nobody uses it; *ret_claim (may be NULL) is then a descriptor that keeps mounts and the like away until it is closed. -EBUSY with err: who. It looks at
 * the device and its partitions: mounts, swap, what the kernel has put on top (dm, md), and processes that have it open. What the kernel itself says about an
 * exclusive use is believed over the search. -ENOENT: no such device.
 */
int hold_check(const struct host_env *env, const char *name, int *ret_claim, struct err *err);

/* One use in words into text ("mounted at /srv"), without the search through all processes. False: none was found. */
bool hold_quick(const struct host_env *env, const char *name, char *text, size_t size);

#endif
