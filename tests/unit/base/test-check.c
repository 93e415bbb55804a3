/* SPDX-License-Identifier: Apache-2.0 */
/* The crash report, seen from outside: a child process dies and its stderr is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

struct death {
	int status;
	char report[32768];
};

/* Runs fn in a child with the handler installed and collects how it ended. */
static void watch_death(void (*fn)(void), struct death *ret)
{
	int fds[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		check_install_crash_handler("crasher");
		log_info("test.before", "answer=42");
		fn();
		_exit(0);
	}
	(void)close(fds[1]);
	while (len < sizeof(ret->report) - 1 &&
	       (n = read(fds[0], ret->report + len, sizeof(ret->report) - 1 - len)) > 0)
		len += (size_t)n;
	ret->report[len] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &ret->status, 0), pid);
}

static void fail_assertion(void)
{
	volatile int one = 1;

	ASSERT(one == 2);
}

static void raise_segv(void)
{
	(void)raise(SIGSEGV);
}

static void hold_assertion(void)
{
	volatile int one = 1;

	ASSERT(one == 1);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void failed_assertion_reports_and_aborts(void **state)
{
	static struct death d;

	watch_death(fail_assertion, &d);
	assert_true(WIFSIGNALED(d.status));
	assert_int_equal(WTERMSIG(d.status), SIGABRT);
	assert_non_null(strstr(d.report, "crasher: assertion failed at "));
	assert_non_null(strstr(d.report, "in fail_assertion: one == 2"));
	assert_non_null(strstr(d.report, "back-trace:"));
	assert_int_equal(count(d.report, "end of crash report"), 1);
}

static void report_has_the_last_log_lines(void **state)
{
	static struct death d;
	const char *tail;

	watch_death(fail_assertion, &d);
	tail = strstr(d.report, "last log lines:");
	assert_non_null(tail);
	assert_non_null(strstr(tail, "event=test.before answer=42"));
}

static void fatal_signal_reports_and_keeps_its_status(void **state)
{
	static struct death d;

	watch_death(raise_segv, &d);
	assert_true(WIFSIGNALED(d.status));
	assert_int_equal(WTERMSIG(d.status), SIGSEGV);
	assert_non_null(strstr(d.report, "crasher: died of SIGSEGV"));
	assert_int_equal(count(d.report, "end of crash report"), 1);
}

static void assertion_that_holds_does_nothing(void **state)
{
	static struct death d;

	watch_death(hold_assertion, &d);
	assert_true(WIFEXITED(d.status));
	assert_int_equal(WEXITSTATUS(d.status), 0);
	assert_null(strstr(d.report, "crash report"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_assertion_reports_and_aborts),
		cmocka_unit_test(report_has_the_last_log_lines),
		cmocka_unit_test(fatal_signal_reports_and_keeps_its_status),
		cmocka_unit_test(assertion_that_holds_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
