/* SPDX-License-Identifier: Apache-2.0 */
/* Running another program and waiting for it: mkfs, resize2fs. Blocks; worker threads only. */
#ifndef LITEPOOL_RT_COMMAND_H
#define LITEPOOL_RT_COMMAND_H

#include <stddef.h>

#include "base/err.h"

#define COMMAND_OUTPUT_MAX 400

struct command_result {
	int status; /* of exit(); 128 + the signal that ended it */
	char output
		[COMMAND_OUTPUT_MAX]; /* the end of what it wrote to stdout and stderr, blanks and newlines folded */
};

/*
 * argv[0] is searched in PATH, argv ends with NULL. stdin is empty; no descriptor and no signal mask of ours is inherited. 0: it ran, see *ret; -ETIMEDOUT: it did not
 * end in timeout_ms (< 0: no limit) and was killed (one that hangs in the kernel is left to its fate); -ENOENT: there is no such program.
 */
int command_run(const char *const argv[], int timeout_ms, struct command_result *ret,
		struct err *err);

/*
 * The same; what it writes to stdout goes whole into *ret_text (malloc'ed, ends with NUL), stderr alone into ret->output. -EMSGSIZE: it was more than max_bytes, and the
 * program was killed.
 */
int command_read(const char *const argv[], int timeout_ms, size_t max_bytes, char **ret_text,
		 struct command_result *ret, struct err *err);

#endif
