/* SPDX-License-Identifier: Apache-2.0 */
/* Which ways of using a volume there are. Pure. */
#ifndef LITEPOOL_CSI_CAPABILITY_H
#define LITEPOOL_CSI_CAPABILITY_H

#include "csi/backend.h"

#define CSI_FS_DEFAULT "ext4"

/* NULL: supported; else why not, for people. */
const char *csi_capability_trouble(const struct csi_capability *cap);
/* The file system to be used: "" is the default. NULL: not one of ours. */
const char *csi_fs_name(const char *fs_type);
/* Nothing may be written: by the access mode, or by the mount option "ro" (mountOptions of a StorageClass or a PersistentVolume). */
bool csi_reads_only(const struct csi_capability *cap);

#endif
