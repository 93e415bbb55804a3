/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that outlives the process: a file that is mapped and never synced. In a tmpfs (/run) it ends with the machine and costs memory alone; on a disk's file system the kernel writes it back now and
 * then, which may hold up who writes to it, and what a power cut leaves of it is not to be trusted.
 */
#ifndef LITEPOOL_RT_MAPPED_H
#define LITEPOOL_RT_MAPPED_H

#include <stddef.h>

#include "base/err.h"
#include "base/uuid.h"

struct mapped {
	void *memory;
	size_t size;
	int fd; /* with the lock */
};

/*
 * Maps path, made when absent, at least bytes long (what is added is zeros) and with its space taken, so that no access faults for want of it; nobody else has it mapped in this way meanwhile.
 * Blocks shortly. -EBUSY: another process has it; another negative errno; with err.
 */
int mapped_open(const char *path, size_t bytes, struct mapped *ret, struct err *err);
/* Maps what is at path as it is: what the caller changes in it stays his own. -ENOENT: nothing; -EBUSY as above. */
int mapped_look(const char *path, struct mapped *ret, struct err *err);
/* remove not NULL: the path, which goes too. */
void mapped_close(struct mapped *m, const char *remove);
/* Of the kernel that runs: another one after each start of the machine. */
int mapped_boot_id(struct uuid *ret, struct err *err);

#endif
