/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libblkid knows file systems, RAID, LVM, LUKS and partition tables. Two are added: our own pools, and disks that hold bytes of no kind known (a database on the
 * raw device): to take such a disk for empty would be the end of somebody's data.
 */
#include "host/signature.h"

#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define POOL_MAGIC       "LITEPOOL" /* src/layout/FORMAT.md, 2 */
#define POOL_COPIES      4          /* one at the begin of each of the first MiBs */
#define MIB              (1 << 20)
#define CHUNK            (64 << 10)
#define PROBE_FOUND      0
#define PROBE_AMBIVALENT (-2)
#define PROBE_ERROR      (-1)

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

static void words_of(blkid_probe probe, char *words, size_t size)
{
	const char *type = NULL, *usage = NULL, *table = NULL;

	(void)blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	(void)blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
	(void)blkid_probe_lookup_value(probe, "PTTYPE", &table, NULL);
	if (type)
		(void)snprintf(words, size, "%s (%s)", type, usage ? usage : "data");
	else
		(void)snprintf(words, size, "a partition table (%s)",
			       table ? table : "of unknown kind");
}

static int probe(int fd, char *words, size_t size)
{
	blkid_probe probe = blkid_new_probe();
	int res;

	if (!probe)
		return -ENOMEM;
	if (blkid_probe_set_device(probe, fd, 0, 0) < 0) {
		blkid_free_probe(probe);
		return -EIO;
	}
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	(void)blkid_probe_enable_partitions(probe, 1);
	res = blkid_do_safeprobe(probe);
	if (res == PROBE_FOUND)
		words_of(probe, words, size);
	else if (res == PROBE_AMBIVALENT)
		(void)snprintf(words, size, "signatures of several kinds at once");
	blkid_free_probe(probe);
	if (res == PROBE_ERROR)
		return -EIO;
	return res == PROBE_FOUND || res == PROBE_AMBIVALENT ? SIGNATURE_KNOWN : SIGNATURE_NONE;
}

int signature_read(const char *path, char *words, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int res;

	if (fd < 0)
		return -errno;
	if (is_pool(fd))
		return SIGNATURE_POOL;
	res = probe(fd, words, size);
	if (res != SIGNATURE_NONE)
		return res;
	res = is_zero(fd);
	if (res < 0)
		return res;
	return res ? SIGNATURE_NONE : SIGNATURE_UNKNOWN;
}
