/* SPDX-License-Identifier: Apache-2.0 */
/* What a new thick volume holds before anybody sees it: zeroes, or a copy. In pieces, so that the agent can end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/lvm.h"
#include "base/bytes.h"
#include "base/cleanup.h"

#define ZERO_BYTES (64 * MIB)
#define COPY_BYTES (4 * MIB)
#define ALIGN      4096

static int zero(int fd, uint64_t at, uint64_t len)
{
	uint64_t range[2] = {at, len};

	return ioctl(fd, BLKZEROOUT, range) < 0 ? -errno : 0;
}

static int copy(int to, int from, char *buf, uint64_t at, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t got = pread(from, buf, len - done, (off_t)(at + done));

		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		if (pwrite(to, buf, (size_t)got, (off_t)(at + done)) != got)
			return errno ? -errno : -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

int lvm_fill(const struct agent *a, const char *to, const char *from, uint64_t size,
	     struct err *err)
{
	/* Exclusively: nobody may have it yet. */
	_cleanup_close_ int to_fd = open(to, O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC);
	_cleanup_close_ int from_fd = from ? open(from, O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
	_cleanup_free_ char *buf = from ? aligned_alloc(ALIGN, COPY_BYTES) : NULL;
	uint64_t piece = from ? COPY_BYTES : ZERO_BYTES;
	int rc = 0;

	if (to_fd < 0 || (from && from_fd < 0))
		return err_set(err, -errno, "%s cannot be opened: %s", to_fd < 0 ? to : from,
			       strerror(errno));
	if (from && !buf)
		return err_set(err, -ENOMEM, "out of memory");
	for (uint64_t at = 0; !rc && at < size; at += piece) {
		uint64_t len = MIN(piece, size - at);

		if (a->stopping)
			return err_set(err, -ECANCELED, "the agent ends");
		rc = from ? copy(to_fd, from_fd, buf, at, len) : zero(to_fd, at, len);
	}
	if (!rc && fsync(to_fd) < 0)
		rc = -errno;
	return rc ? err_set(err, rc, "%s of %s failed: %s", from ? "copying" : "wiping", to,
			    strerror(-rc))
		  : 0;
}
