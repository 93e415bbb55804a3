/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and block devices under asynchronous, aligned I/O. A file is opened and closed by the control thread
 * (these calls block) and may then be used by every reactor.
 */
#ifndef LITEPOOL_RT_FILE_H
#define LITEPOOL_RT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct env;
struct file;
struct reactor;

enum file_op {
	FILE_READ,
	FILE_WRITE, /* FILE_FUA: durable when done (RWF_DSYNC) */
	FILE_SYNC, /* all that completed before is durable (fdatasync, which also flushes the device's cache) */
	FILE_DISCARD, /* punch a hole or BLKDISCARD; what is read afterwards is not defined on a device */
	FILE_ZERO, /* reads zeroes afterwards; deallocates where that is cheap */
};
#define FILE_FUA        1u /* FILE_WRITE, FILE_ZERO */
#define FILE_KEEP_ALLOC 2u /* FILE_ZERO: do not deallocate */

struct file_io {
	enum file_op op;
	unsigned flags;
	uint64_t offset, length; /* bytes; multiples of the file's alignment for read and write */
	void *buf;               /* read and write: aligned to the file's memory alignment */
	/*
	 * res: 0, or a negative errno. A short read or write is continued by the runtime and never seen; reading past the
	 * end is -EIO. Runs on the submitting reactor, never inside file_submit().
	 */
	void (*done)(struct file_io *io, int res);

	/* The runtime's own. */
	struct file *file;
	struct reactor *reactor;
	struct list link;
	uint64_t progress;
};

enum file_mode { FILE_DIRECT, FILE_BUFFERED };

struct file_info {
	uint64_t size_bytes;
	/* smallest aligned unit of I/O: logical block size, or the O_DIRECT alignment */
	uint32_t block_size;
	uint32_t phys_block_size; /* best unit, where the kernel tells; else block_size */
	bool is_block_device;
	bool can_discard, can_zero;
};

/*
 * path must exist and be a regular file or a block device; it is opened for writing unless read_only and locked against
 * a second opener of ours (flock on the file, O_EXCL on the device). FILE_DIRECT that the file system does not have is an
 * error that names the way out. Blocking; control thread.
 */
int file_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
	      struct file **ret, struct err *err);
/*
 * Hand-over to another process. file_export(): the descriptor, to be passed (SCM_RIGHTS makes a copy); it stays the file's, and with it what it holds, the lock (flock) or the
 * claim of the device (O_EXCL), which belong to the open file description and so are never free in between. file_adopt(): a file of a descriptor that came; takes fd, also on
 * errors. path is what messages call it. -EINVAL: it is not open as mode and read_only say; -EBUSY: it came without the lock and somebody else has it.
 */
int file_export(const struct file *f);
int file_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
	       struct file **ret, struct err *err);
/* No I/O may be under way on any reactor. Blocking. */
void file_close(struct file *f);
const struct file_info *file_info(const struct file *f);
/* Reads the size again. 0 or negative errno. Blocking. */
int file_rescan(struct file *f, uint64_t *ret_size_bytes);

/* io is owned by the runtime until done(). Called on r's thread; submitted to the kernel at the end of the pass. */
void file_submit(struct reactor *r, struct file *f, struct file_io *io);

#endif
