/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "rt/evloop.h"

extern char **environ;

static int spawn(const char *const argv[], int out_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char **args;
	int rc;

	memcpy(&args, &argv, sizeof(args)); /* posix_spawn only reads it */
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, 2);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(ret_pid, args[0], &actions, &attr, args, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Keeps the end of what comes. */
static void keep(struct command_result *result, const char *text, size_t len)
{
	size_t have = strlen(result->output), room = sizeof(result->output) - 1;

	if (len > room) {
		text += len - room;
		len = room;
	}
	if (have + len > room) {
		memmove(result->output, result->output + (have + len - room), room - len);
		have = room - len;
	}
	for (size_t i = 0; i < len; i++)
		result->output[have + i] = (char)((unsigned char)text[i] < ' ' ? ' ' : text[i]);
	result->output[have + len] = '\0';
}

/* Until the program has closed its output. False: the time is over. */
static bool collect(int fd, uint64_t end_ns, struct command_result *result)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char buf[512];

	for (;;) {
		uint64_t now = evloop_now_ns();
		int wait = end_ns == UINT64_MAX ? -1
			   : end_ns <= now
				   ? 0
				   : (int)MIN((end_ns - now) / NSEC_PER_MSEC + 1, (uint64_t)60000);
		int n = poll(&poll_fd, 1, wait);
		ssize_t got;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && evloop_now_ns() >= end_ns)
			return false;
		if (n <= 0)
			continue;
		got = read(fd, buf, sizeof(buf));
		if (got <= 0)
			return true;
		keep(result, buf, (size_t)got);
	}
}

int command_run(const char *const argv[], int timeout_ms, struct command_result *ret,
		struct err *err)
{
	uint64_t end_ns = timeout_ms < 0 ? UINT64_MAX
					 : evloop_now_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	_cleanup_close_ int read_fd = -1;
	int fds[2], status = 0, rc;
	bool in_time;
	pid_t pid;

	*ret = (struct command_result){0};
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot run %s: %s", argv[0], strerror(errno));
	read_fd = fds[0];
	rc = spawn(argv, fds[1], &pid);
	(void)close(fds[1]);
	if (rc == -ENOENT)
		return err_set(err, rc, "%s is not installed", argv[0]);
	if (rc < 0)
		return err_set(err, rc, "cannot run %s: %s", argv[0], strerror(-rc));
	in_time = collect(read_fd, end_ns, ret);
	if (!in_time)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		ASSERT(errno == EINTR);
	if (!in_time)
		return err_set(err, -ETIMEDOUT, "%s did not end within %d ms and was killed",
			       argv[0], timeout_ms);
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}
