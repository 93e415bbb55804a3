/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals become readable descriptors, so that main() waits for everything in one place and no handler ever runs. The service manager's
 * protocol is one datagram; a library for it would be the only reason to link libsystemd.
 */
#include "rt/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"

#define COLUMNS_DEFAULT 80 /* of a terminal that does not know its width, such as a serial line */

static int signal_fd = -1, end_fd = -1; /* of the process, for its whole life */

/* open() takes the lowest number that is free; the wrong direction makes each use fail, as it did when the stream was closed. */
void process_streams_keep(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			abort(); /* there is nobody to tell */
}

int process_signals_take(struct err *err)
{
	sigset_t mask;

	ASSERT(signal_fd < 0);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the write fails with EFBIG */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return err_set(err, -errno, "signals cannot be taken: %s", strerror(errno));
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC);
	end_fd = eventfd(0, EFD_CLOEXEC);
	if (signal_fd < 0 || end_fd < 0)
		return err_set(err, -errno, "no descriptors for signals: %s", strerror(errno));
	return 0;
}

int process_signals_take_hup(struct err *err)
{
	sigset_t mask;

	ASSERT(signal_fd >= 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	/* Blocked first: an ignored signal that comes between would be lost, a blocked one waits. */
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signalfd(signal_fd, &mask, 0) < 0)
		return err_set(err, -errno, "SIGHUP cannot be taken: %s", strerror(errno));
	signal(SIGHUP, SIG_DFL);
	return 0;
}

int process_wait(int timeout_ms)
{
	struct pollfd fds[2] = {{.fd = end_fd, .events = POLLIN},
				{.fd = signal_fd, .events = POLLIN}};
	struct signalfd_siginfo info;
	int n;

	ASSERT(signal_fd >= 0);
	do {
		n = poll(fds, 2, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -ETIMEDOUT;
	if (fds[0].revents)
		return 0;
	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return SIGTERM;
	return (int)info.ssi_signo;
}

void process_end(void)
{
	uint64_t one = 1;

	ASSERT(write(end_fd, &one, sizeof(one)) == sizeof(one));
}

int process_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t len;

	if (!path || !path[0])
		return 0;
	len = strlen(path);
	if (len >= sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0'; /* an abstract address */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return 0;
}

uint64_t process_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* what is in force is read below */
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}

unsigned process_terminal_columns(int fd)
{
	struct winsize size = {0};

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : COLUMNS_DEFAULT;
}

uint64_t process_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t process_boot_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void process_sleep_ms(uint32_t ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}
