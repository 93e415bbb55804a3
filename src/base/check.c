/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash report: what happened, a back-trace and the last log lines, on stderr.
 *
 * 1. It runs in signal handlers: only write(), backtrace() and backtrace_symbols_fd() are called.
 *    The first call of backtrace() loads a library and allocates; check_install_crash_handler()
 *    makes it in advance.
 * 2. It is printed once, also when several threads crash or when printing crashes.
 * 3. The process ends by the signal itself, so that core dumps and exit statuses tell the truth.
 */
#include "base/check.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"

#define FRAMES_MAX 64

static const char *program_name = "litepool";
static atomic_flag reported = ATOMIC_FLAG_INIT;
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void put(const char *s)
{
	ssize_t n = write(STDERR_FILENO, s, strlen(s));

	(void)n; /* There is no other place to complain to. */
}

static void put_number(unsigned long v)
{
	char text[24];
	char *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(p);
}

static void put_report_tail(void)
{
	void *frames[FRAMES_MAX];
	int n;

	put("\nback-trace:\n");
	n = backtrace(frames, FRAMES_MAX);
	backtrace_symbols_fd(frames, n, STDERR_FILENO);
	put("last log lines:\n");
	log_dump_recent(STDERR_FILENO);
	put("end of crash report\n");
}

void check_failed(const char *file, int line, const char *func, const char *what)
{
	if (!atomic_flag_test_and_set(&reported)) {
		put(program_name);
		put(": assertion failed at ");
		put(file);
		put(":");
		put_number((unsigned long)line);
		put(" in ");
		put(func);
		put(": ");
		put(what);
		put_report_tail();
	}
	(void)signal(SIGABRT, SIG_DFL);
	abort();
}

static const char *signal_name(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGILL:
		return "SIGILL";
	case SIGFPE:
		return "SIGFPE";
	default:
		return "SIGABRT";
	}
}

static void crash_handler(int sig)
{
	if (!atomic_flag_test_and_set(&reported)) {
		put(program_name);
		put(": died of ");
		put(signal_name(sig));
		put_report_tail();
	}
	/* SA_RESETHAND has put the default action back. */
	(void)raise(sig);
}

void check_install_crash_handler(const char *program)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	const stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = crash_handler,
			       .sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK};
	void *frame;

	program_name = program;
	(void)backtrace(&frame, 1);
	(void)sigemptyset(&sa.sa_mask);
	/* For an overflow of the main thread's stack; other threads report on their own. */
	(void)sigaltstack(&alt, NULL);
	for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++)
		(void)sigaction(crash_signals[i], &sa, NULL);
}

static void stack_handler(int sig)
{
	void *frames[FRAMES_MAX];
	int n = backtrace(frames, FRAMES_MAX);

	put(program_name);
	put(": stack of the thread that was asked for it:\n");
	backtrace_symbols_fd(frames, n, STDERR_FILENO);
	put("end of stack\n");
}

void check_install_stack_handler(void)
{
	struct sigaction sa = {.sa_handler = stack_handler, .sa_flags = SA_RESTART};

	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGUSR1, &sa, NULL);
}
