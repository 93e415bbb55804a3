/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "rt/evloop.h"

/* How long a killed program is waited for. */
#define KILLED_TRIES 200
#define KILLED_MS    10

extern char **environ;

static int spawn(const char *const argv[], int out_fd, int err_fd, pid_t *ret_pid)
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
	(void)posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
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

/* What a program writes: stream 0 whole (when text is wanted), else its end; stream 1 its end. */
struct output {
	int fd[2]; /* -1: closed, or none */
	struct command_result *result;
	bool whole;
	char *text;
	size_t len, max;
};

static int take(struct output *out, int stream, const char *buf, size_t n)
{
	char *more;

	if (stream == 1 || !out->whole) {
		keep(out->result, buf, n);
		return 0;
	}
	if (n > out->max - out->len)
		return -EMSGSIZE;
	more = realloc(out->text, out->len + n + 1);
	if (!more)
		return -ENOMEM;
	out->text = more;
	memcpy(more + out->len, buf, n);
	out->len += n;
	more[out->len] = '\0';
	return 0;
}

static int wait_ms(uint64_t end_ns, uint64_t now)
{
	if (end_ns == UINT64_MAX)
		return -1;
	return end_ns <= now ? 0 : (int)MIN((end_ns - now) / NSEC_PER_MSEC + 1, (uint64_t)60000);
}

/* Until the program has closed its output. -ETIMEDOUT: the time is over. */
static int collect(struct output *out, uint64_t end_ns)
{
	char buf[4096];

	while (out->fd[0] >= 0 || out->fd[1] >= 0) {
		struct pollfd fds[2] = {{.fd = out->fd[0], .events = POLLIN},
					{.fd = out->fd[1], .events = POLLIN}};
		int n = poll(fds, 2, wait_ms(end_ns, evloop_now_ns()));

		if (n <= 0 && evloop_now_ns() >= end_ns)
			return -ETIMEDOUT;
		for (int i = 0; i < 2 && n > 0; i++) {
			ssize_t got;
			int rc;

			if (!fds[i].revents)
				continue;
			got = read(fds[i].fd, buf, sizeof(buf));
			rc = got > 0 ? take(out, i, buf, (size_t)got) : 0;
			if (got <= 0)
				out->fd[i] = -1;
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* A killed program ends at once, but for one that hangs in the kernel: then it is left, and takes a place in the process table until it or we end. */
static void wait_killed(pid_t pid)
{
	for (int i = 0; i < KILLED_TRIES; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		(void)poll(NULL, 0, KILLED_MS);
	}
}

static int run(const char *const argv[], int timeout_ms, struct output *out,
	       struct command_result *ret, struct err *err)
{
	uint64_t end_ns = timeout_ms < 0 ? UINT64_MAX
					 : evloop_now_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	_cleanup_close_ int out_fd = -1, err_fd = -1;
	int fds[2], more[2] = {-1, -1}, status = 0, rc;
	pid_t pid;

	*ret = (struct command_result){0};
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot run %s: %s", argv[0], strerror(errno));
	out_fd = fds[0];
	if (out->whole && pipe2(more, O_CLOEXEC) < 0) {
		(void)close(fds[1]);
		return err_set(err, -errno, "cannot run %s: %s", argv[0], strerror(errno));
	}
	err_fd = more[0];
	rc = spawn(argv, fds[1], out->whole ? more[1] : fds[1], &pid);
	(void)close(fds[1]);
	if (more[1] >= 0)
		(void)close(more[1]);
	if (rc == -ENOENT)
		return err_set(err, rc, "%s is not installed", argv[0]);
	if (rc < 0)
		return err_set(err, rc, "cannot run %s: %s", argv[0], strerror(-rc));
	out->fd[0] = out_fd;
	out->fd[1] = err_fd;
	out->result = ret;
	rc = collect(out, end_ns);
	if (rc < 0) {
		(void)kill(pid, SIGKILL);
		wait_killed(pid);
	}
	if (rc == -ETIMEDOUT)
		return err_set(err, rc, "%s did not end within %d ms and was killed", argv[0],
			       timeout_ms);
	if (rc < 0)
		return err_set(err, rc, "%s wrote more than %zu bytes, or memory is short", argv[0],
			       out->max);
	while (waitpid(pid, &status, 0) < 0)
		ASSERT(errno == EINTR);
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int command_run(const char *const argv[], int timeout_ms, struct command_result *ret,
		struct err *err)
{
	struct output out = {.whole = false};

	return run(argv, timeout_ms, &out, ret, err);
}

int command_read(const char *const argv[], int timeout_ms, size_t max_bytes, char **ret_text,
		 struct command_result *ret, struct err *err)
{
	struct output out = {.whole = true, .max = max_bytes, .text = calloc(1, 1)};
	int rc = out.text ? run(argv, timeout_ms, &out, ret, err)
			  : err_set(err, -ENOMEM, "out of memory");

	if (rc)
		free(out.text);
	else
		*ret_text = out.text;
	return rc;
}
