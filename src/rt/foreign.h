/* SPDX-License-Identifier: Apache-2.0 */
/* What others have put on a disk, as libblkid knows it: file systems, RAID, LVM, LUKS, partition tables. */
#ifndef LITEPOOL_RT_FOREIGN_H
#define LITEPOOL_RT_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#define FOREIGN_WORDS 96

/*
 * 0 with *ret_found and, if there is something, words ("isw_raid_member (raid)"); negative: it cannot be read. fd may be of direct I/O: it is opened anew then. Blocks: no reactor's thread.
 */
int foreign_find(int fd, bool *ret_found, char words[FOREIGN_WORDS]);

#endif
