/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Always-on assertions. An ASSERT means a bug of ours, never bad input: input from disk, wire, user
 * or a shared ring is validated and refused. A failed one prints where, what, a back-trace and the
 * last log lines to stderr, then aborts, so that the supervisor restarts a process with known state.
 */
#ifndef LITEPOOL_BASE_CHECK_H
#define LITEPOOL_BASE_CHECK_H

#include <stdbool.h>

#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			check_failed(__FILE__, __LINE__, __func__, #cond);                         \
	} while (0)

#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

/* Prints the crash report and aborts. */
__attribute__((noreturn, cold)) void check_failed(const char *file, int line, const char *func,
						  const char *what);

/* Makes SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT print the same report. Called once by main(). */
void check_install_crash_handler(const char *program);

/* A thread that gets SIGUSR1 writes its own stack to stderr and goes on: asked for by who finds it stuck. */
void check_install_stack_handler(void);

#endif
