/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes that their own node uses as a device of its own, without the engine: those of lvm pools with the label litepool.io/local-path (docs/agent.md), "/dev/litepool-POOL/vol-UID".
 *
 * That one is taken into use here is a symbolic link in /run/litepool/local/, named by the volume's UID, to the device: it outlives the driver and ends with the boot, as the kernel's connections do.
 * That nobody else is let in while the device is open is the agent's care.
 */
#ifndef LITEPOOL_CSI_LOCAL_H
#define LITEPOOL_CSI_LOCAL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/uuid.h"
#include "csi/node.h"

/* Pure. Whether path is where the agent has this volume: it comes out of an object that others may write, and no other device is ever used. */
bool local_path_valid(const char *path, const struct uuid *uid);

/* root: of the machine; NULL: "". All block for file system calls only; each may be repeated. Any thread, one call at a time for a volume. */

/* 0; -EINVAL: not a path of this volume; -ENOENT: the device is not there; -ENOTBLK: it is something else; each with err. */
int local_attach(const char *root, const struct uuid *uid, const char *path, struct err *err);
/* False: not in use here, or its device has gone. */
bool local_find(const char *root, const struct uuid *uid, char device[CSI_DEVICE_MAX]);
/* Not in use is 0. Its mounts must have ended. */
int local_detach(const char *root, const struct uuid *uid, struct err *err);

#endif
