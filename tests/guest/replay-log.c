/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-replay-log LOG IMAGE OFFSET ENTRIES: applies what dm-log-writes has logged, from OFFSET of LOG on (0: the beginning), of whose entries ENTRIES were applied before, up to and with the next entry that is a flush or was written
 * with FUA: what a disk may have after a power cut right then. Prints "next=OFFSET entries=N left=N mark=NAME"; NAME is the last mark that was passed in this run, or -.
 *
 * The log (Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c of Linux): a superblock in the first sector, then entries, each a
 * sector with the head and then the data; marks and data that fit have them in the head's sector. Numbers are little endian and count sectors of the superblock's size.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/str.h"

#define MAGIC       UINT64_C(0x6a736677736872)
#define VERSION     1u
#define F_FLUSH     1u
#define F_FUA       2u
#define F_DISCARD   4u
#define F_MARK      8u
#define SECTOR_MAX  4096u
#define HEAD_BYTES  32u
#define ENTRY_BYTES (64u << 20) /* more than one request can be */

struct replay {
	int log, image;
	uint64_t at;      /* of the next entry, bytes */
	uint64_t entries; /* in the log */
	uint32_t sector;  /* bytes */
	uint8_t *data;    /* ENTRY_BYTES */
	char mark[64];
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fputs("lp-replay-log: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void get(const struct replay *r, void *buf, size_t len, uint64_t offset)
{
	if (pread(r->log, buf, len, (off_t)offset) != (ssize_t)len)
		die("the log ends at byte %" PRIu64 ", within an entry", offset);
}

static void read_super(struct replay *r)
{
	uint8_t super[28];

	get(r, super, sizeof(super), 0);
	if (get_le64(super) != MAGIC || get_le64(super + 8) != VERSION)
		die("no log of dm-log-writes, version %u", VERSION);
	r->entries = get_le64(super + 16);
	r->sector = get_le32(super + 24);
	if (r->sector < 512 || r->sector > SECTOR_MAX || r->sector & (r->sector - 1))
		die("sectors of %u bytes are not possible", r->sector);
}

static void discard(const struct replay *r, uint64_t offset, uint64_t len)
{
	if (fallocate(r->image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)len))
		die("discard at %" PRIu64 ": %s", offset, strerror(errno));
}

static void apply(struct replay *r, uint64_t offset, uint64_t len)
{
	if (len > ENTRY_BYTES)
		die("an entry of %" PRIu64 " bytes at byte %" PRIu64 " of the log is not possible",
		    len, r->at);
	get(r, r->data, len, r->at);
	if (pwrite(r->image, r->data, len, (off_t)offset) != (ssize_t)len)
		die("write at %" PRIu64 ": %s", offset, strerror(errno));
	r->at += len;
}

/* One entry. Its flags. */
static uint64_t step(struct replay *r)
{
	uint8_t sector[SECTOR_MAX];
	uint64_t offset, len, flags;

	get(r, sector, r->sector, r->at);
	r->at += r->sector;
	offset = get_le64(sector) * r->sector;
	len = get_le64(sector + 8) * r->sector;
	flags = get_le64(sector + 16);
	if (flags & F_MARK)
		(void)str_copy(r->mark, MIN(sizeof(r->mark), get_le64(sector + 24) + 1),
			       (const char *)sector + HEAD_BYTES);
	else if (flags & F_DISCARD)
		discard(r, offset, len);
	else if (len)
		apply(r, offset, len);
	return flags;
}

int main(int argc, char **argv)
{
	struct replay r = {.mark = "-"};
	uint64_t done = 0;

	if (argc != 5 || !str_to_u64(argv[3], 0, INT64_MAX, &r.at) ||
	    !str_to_u64(argv[4], 0, INT64_MAX, &done))
		die("usage: lp-replay-log LOG IMAGE OFFSET ENTRIES (0 0, then what it printed)");
	r.log = open(argv[1], O_RDONLY | O_CLOEXEC);
	r.image = open(argv[2], O_RDWR | O_CLOEXEC);
	r.data = malloc(ENTRY_BYTES);
	if (r.log < 0 || r.image < 0 || !r.data)
		die("%s or %s: %s", argv[1], argv[2], strerror(errno));
	read_super(&r);
	if (!r.at)
		r.at = r.sector;
	while (done < r.entries) {
		done++;
		if (step(&r) & (F_FLUSH | F_FUA))
			break;
	}
	printf("next=%" PRIu64 " entries=%" PRIu64 " left=%" PRIu64 " mark=%s\n", r.at, done,
	       r.entries - done, r.mark);
	free(r.data);
	return 0;
}
