/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `litepool pool check` and `litepool pool dump` do: a pool on a device that no engine has open, in this process, on a reactor of its own. Blocking; the main thread.
 */
#ifndef LITEPOOL_FSCK_FSCK_H
#define LITEPOOL_FSCK_FSCK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct fsck_check_opts {
	const char *path;   /* a file or block device */
	const char *socket; /* an engine's, beside which its notes are */
	bool repair;
	bool data; /* every block of data is read, and held against its sum */
	/* How many bytes of the data are read; total 0: lines are about to be printed. May be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	const char *const *accept; /* volumes and snapshots whose loss is accepted */
	unsigned n_accept;
	bool json;
};
/* What was found goes to out as it is found, or as one JSON object at the end. Returns the exit status, as fsck(8) has it; 8 with err. */
int fsck_check(FILE *out, const struct fsck_check_opts *opts, struct err *err);

struct fsck_dump_opts {
	const char *path;
	bool journal, pages, maps; /* besides what is short */
	bool json;
};
/* What is on the device, damaged or not, to out. 0 or negative with err. */
int fsck_dump(FILE *out, const struct fsck_dump_opts *opts, struct err *err);

#endif
