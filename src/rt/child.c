/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

extern char **environ;

int child_start(struct child *child, const char *const argv[], struct err *err)
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
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSID);
	rc = posix_spawnp(&child->pid, args[0], &actions, &attr, args, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (!rc)
		return 0;
	child->pid = 0;
	return err_set(err, -rc, "cannot start %s: %s", argv[0], strerror(rc));
}

static void tell(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(text, size, "signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, size, "status %d", WEXITSTATUS(status));
}

bool child_ended(struct child *child, char *text, size_t size)
{
	int status;

	if (!child->pid || waitpid(child->pid, &status, WNOHANG) != child->pid)
		return false;
	child->pid = 0;
	tell(status, text, size);
	return true;
}

void child_stop(struct child *child, int timeout_ms)
{
	_cleanup_close_ int fd = -1;
	struct pollfd poll_fd = {.events = POLLIN};
	int rc;

	if (!child->pid)
		return;
	fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	(void)kill(child->pid, SIGTERM);
	poll_fd.fd = fd;
	do {
		rc = fd < 0 ? 0 : poll(&poll_fd, 1, timeout_ms);
	} while (rc < 0 && errno == EINTR);
	if (rc <= 0)
		(void)kill(child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
}
