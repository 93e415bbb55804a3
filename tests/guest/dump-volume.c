/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-dump-volume DEVICE VOLUME FILE: what a volume or snapshot of a pool that nobody has open reads as. The pool is opened for reading only, so the device does not change, whatever
 * a crash has left there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "disk/disk.h"
#include "rt/uring.h"
#include "volume/volume.h"

#define PIECE ((uint64_t)MIB)

static struct reactor *home;
static struct blk_dev *disk;
static struct pool *pool;
static struct blk_io io;
static struct msg start_msg;
static bool done;
static int result;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "lp-dump-volume: %s: %s\n", what, why);
	exit(1);
}

static void opened(void *ctx, int res, const struct err *err)
{
	if (res)
		die("the pool", err->text);
	done = true;
}

static void open_run(struct msg *msg)
{
	static struct pool_env env;
	struct pool_open_opts opts = {.read_only = true};

	env = (struct pool_env){home, &home, 1};
	pool_open(&env, disk, &opts, &pool, opened, NULL);
}

static void read_done(struct blk_io *finished, int res)
{
	result = res;
	done = true;
}

static struct blk_dev *volume;

static void read_run(struct msg *msg)
{
	blk_submit(volume, &io);
}

static struct volume *wanted;
static const char *wanted_name;

static void find_run(struct msg *msg)
{
	struct volumes *set;
	struct err err = {0};

	if (volumes_new(pool, &set, &err))
		die("the volumes", err.text);
	wanted = volume_find(set, wanted_name);
	done = true;
}

static void on_home(void (*run)(struct msg *msg))
{
	done = false;
	start_msg.run = run;
	reactor_post(home, &start_msg);
	while (!done)
		(void)reactor_pass(home, NSEC_PER_SEC);
}

static void copy_out(int fd)
{
	uint64_t size = atomic_load(&volume->size_bytes);
	uint8_t *buf = aligned_alloc(4096, PIECE);

	ASSERT(buf);
	for (uint64_t at = 0; at < size; at += PIECE) {
		io = (struct blk_io){.op = BLK_READ,
				     .offset = at,
				     .length = MIN(PIECE, size - at),
				     .buf = buf,
				     .done = read_done};
		on_home(read_run);
		if (result)
			die("read", strerror(-result));
		if (buf[0] == 0 && memcmp(buf, buf + 1, io.length - 1) == 0)
			continue; /* stays a hole */
		if (pwrite(fd, buf, io.length, (off_t)at) != (ssize_t)io.length)
			die("write", strerror(errno));
	}
	if (ftruncate(fd, (off_t)size))
		die("truncate", strerror(errno));
	free(buf);
}

int main(int argc, char **argv)
{
	struct reactor_opts ropts = {.id = 0, .name = "dump", .cpu = -1, .poll_us = 0};
	struct disk_file_opts opts = {.name = "disk", .read_only = true};
	struct env *kernel;
	struct err err = {0};
	int fd;

	if (argc != 4)
		die("usage", "lp-dump-volume DEVICE VOLUME FILE");
	log_set_level(LOG_LEVEL_WARN);
	opts.path = argv[1];
	wanted_name = argv[2];
	if (uring_env_new(NULL, &kernel, &err) || reactor_new(&ropts, kernel, &home, &err) ||
	    reactor_prepare(home, &err) || disk_file_new(reactor_env(home), &opts, &disk, &err))
		die(argv[1], err.text);
	on_home(open_run);
	on_home(find_run);
	if (!wanted)
		die(wanted_name, "there is no such volume");
	if (volume_dev_new(wanted, wanted_name, &volume, &err))
		die(wanted_name, err.text);
	fd = open(argv[3], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		die(argv[3], strerror(errno));
	copy_out(fd);
	return 0; /* opened for reading only: there is nothing to close in order */
}
