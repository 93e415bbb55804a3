/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants:
 *  1. Nothing is written, and whoever holds the device keeps it: it is only opened for reading.
 *  2. What is found with a wrong checksum counts: a damaged file system is somebody's, too.
 */
#include "rt/foreign.h"

#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"

/* Of blkid_do_safeprobe(). */
#define PROBE_FOUND      0
#define PROBE_NOTHING    1
#define PROBE_AMBIVALENT (-2)

static void words_of(blkid_probe probe, char words[FOREIGN_WORDS])
{
	const char *type = NULL, *usage = NULL, *table = NULL;

	(void)blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	(void)blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
	(void)blkid_probe_lookup_value(probe, "PTTYPE", &table, NULL);
	if (type)
		(void)snprintf(words, FOREIGN_WORDS, "%s (%s)", type, usage ? usage : "data");
	else
		(void)snprintf(words, FOREIGN_WORDS, "a partition table (%s)",
			       table ? table : "of unknown kind");
}

static int probe_run(blkid_probe probe, int fd, bool *ret_found, char words[FOREIGN_WORDS])
{
	if (blkid_probe_set_device(probe, fd, 0, 0) < 0)
		return -EIO;
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
							       BLKID_SUBLKS_BADCSUM);
	(void)blkid_probe_enable_partitions(probe, 1);
	switch (blkid_do_safeprobe(probe)) {
	case PROBE_FOUND:
		words_of(probe, words);
		*ret_found = true;
		return 0;
	case PROBE_AMBIVALENT:
		(void)snprintf(words, FOREIGN_WORDS, "signatures of several kinds at once");
		*ret_found = true;
		return 0;
	case PROBE_NOTHING:
		*ret_found = false;
		return 0;
	default:
		return -EIO;
	}
}

/* libblkid's buffers are not aligned as direct I/O wants them. */
static int open_plain(int fd)
{
	char path[64];
	int plain;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	plain = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return plain < 0 ? -errno : plain;
}

int foreign_find(int fd, bool *ret_found, char words[FOREIGN_WORDS])
{
	_cleanup_close_ int plain = -1;
	int flags = fcntl(fd, F_GETFL), rc;
	blkid_probe probe;

	if (flags < 0)
		return -errno;
	if (flags & O_DIRECT) {
		plain = open_plain(fd);
		if (plain < 0)
			return plain;
	}
	probe = blkid_new_probe();
	if (!probe)
		return -ENOMEM;
	rc = probe_run(probe, plain >= 0 ? plain : fd, ret_found, words);
	blkid_free_probe(probe);
	return rc;
}
