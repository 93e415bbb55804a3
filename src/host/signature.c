/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libblkid knows file systems, RAID, LVM, LUKS and partition tables. Two are added: our own pools, and disks that hold bytes of no kind known (a database on the
 * raw device): to take such a disk for empty would be the end of somebody's data.
 */
#include "host/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "rt/foreign.h"

#define POOL_MAGIC  "LITEPOOL" /* src/layout/FORMAT.md, 2 */
#define POOL_COPIES 4          /* one at the begin of each of the first MiBs */
#define MIB         (1 << 20)
#define CHUNK       (64 << 10)

static bool is_pool(int fd)
{
	char magic[sizeof(POOL_MAGIC) - 1];

	for (off_t i = 0; i < POOL_COPIES; i++)
		if (pread(fd, magic, sizeof(magic), i * MIB) == (ssize_t)sizeof(magic) &&
		    memcmp(magic, POOL_MAGIC, sizeof(magic)) == 0)
			return true;
	return false;
}

/* 1: zeros, 0: not. */
static int is_zero(int fd)
{
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);

	if (!buf)
		return -ENOMEM;
	for (off_t at = 0; at < MIB; at += CHUNK) {
		ssize_t n = pread(fd, buf, CHUNK, at);

		if (n < 0)
			return -errno;
		if (n > 0 && (buf[0] != 0 || memcmp(buf, buf + 1, (size_t)n - 1) != 0))
			return 0;
		if (n < CHUNK)
			break;
	}
	return 1;
}

int signature_read(const char *path, char *words, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char what[FOREIGN_WORDS];
	bool found;
	int res;

	if (fd < 0)
		return -errno;
	if (is_pool(fd))
		return SIGNATURE_POOL;
	res = foreign_find(fd, &found, what);
	if (res < 0)
		return res;
	if (found) {
		(void)snprintf(words, size, "%s", what);
		return SIGNATURE_KNOWN;
	}
	res = is_zero(fd);
	if (res < 0)
		return res;
	return res ? SIGNATURE_NONE : SIGNATURE_UNKNOWN;
}
