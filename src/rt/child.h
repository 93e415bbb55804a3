/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs beside ours and may outlive us: the engine under its agent. What it prints goes where ours goes. It is in a session of its own, so a signal
 * for our terminal is not for it. For one thread at a time.
 */
#ifndef LITEPOOL_RT_CHILD_H
#define LITEPOOL_RT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid; /* 0: none */
};

/* argv[0] is searched in PATH, argv ends with NULL. stdin is empty; only stdout and stderr are inherited, no signal mask. */
int child_start(struct child *child, const char *const argv[], struct err *err);
/* False: it runs (or there is none). True, once: it has ended; how into text, e.g. "status 1", "signal 9 (Killed)". */
bool child_ended(struct child *child, char *text, size_t size);
/* SIGTERM, and SIGKILL when it has not ended in timeout_ms. Blocks. */
void child_stop(struct child *child, int timeout_ms);

#endif
