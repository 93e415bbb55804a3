/* SPDX-License-Identifier: Apache-2.0 */
/* disk_export() of each kind, for src/disk alone; -1: the device is of another kind. */
#ifndef LITEPOOL_DISK_PASS_H
#define LITEPOOL_DISK_PASS_H

#include "blk/blk.h"

int disk_file_export(const struct blk_dev *dev);
int disk_ram_export(const struct blk_dev *dev);

#endif
