/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-engine. The main thread starts the engine and then only waits: for a signal, or for the engine to end by itself. All work is on the reactors.
 *
 *   SIGTERM, SIGINT   stop in order, within STOP_LIMIT_MS; a second one, or the limit, ends at once
 *   SIGHUP, SIGPIPE   ignored
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "config.h"
#include "engine/engine.h"
#include "rt/notify.h"

#define STOP_LIMIT_MS 15000

static int end_fd = -1; /* eventfd: the engine has stopped */

static uint64_t wall_clock_ns(void)
{
	return notify_wall_ns();
}

static void ended(struct engine *e)
{
	uint64_t one = 1;

	if (write(end_fd, &one, sizeof(one)) != sizeof(one))
		check_failed(__FILE__, __LINE__, __func__, "eventfd");
}

/* Before any thread is made: threads inherit the mask, and only this one takes the signals. */
static int signals_open(void)
{
	sigset_t mask;

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	return signalfd(-1, &mask, SFD_CLOEXEC);
}

/* Until the engine has ended: 0; or -ETIMEDOUT: it did not in time. */
static int wait_for_end(struct engine *e, int signal_fd)
{
	struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN},
				{.fd = end_fd, .events = POLLIN}};
	bool stopping = false;

	for (;;) {
		int n = poll(fds, 2, stopping ? STOP_LIMIT_MS : -1);
		struct signalfd_siginfo info;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ETIMEDOUT;
		if (fds[1].revents)
			return 0;
		if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		log_info("engine.signal", "signal=%u from_pid=%u", info.ssi_signo, info.ssi_pid);
		if (stopping)
			return -ETIMEDOUT;
		stopping = true;
		(void)notify_service("STOPPING=1");
		engine_stop(e);
	}
}

static int run(const struct engine_opts *opts, int signal_fd)
{
	struct engine *e = NULL;
	struct err err = {0};
	int status = EXIT_SUCCESS;

	if (engine_new(opts, ended, &e, &err) < 0) {
		log_error("engine.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	if (engine_start(e, &err) < 0) {
		log_error("engine.start_failed", "reason=\"%s\"", err.text);
		engine_free(e);
		return EXIT_FAILURE;
	}
	if (wait_for_end(e, signal_fd) < 0) {
		/* What clients were told is durable already, so ending here loses nothing. */
		log_error("engine.stop_cut", "state=%s", engine_state_name[e->state]);
		_exit(EXIT_FAILURE);
	}
	if (e->end_err.code) {
		log_error("engine.failed", "reason=\"%s\"", e->end_err.text);
		status = EXIT_FAILURE;
	}
	engine_free(e);
	return status;
}

int main(int argc, char **argv)
{
	struct engine_opts opts;
	struct err err = {0};
	int signal_fd;

	if (engine_opts_parse(argc, argv, &opts, &err) < 0) {
		fprintf(stderr, "litepool-engine: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		engine_opts_help(stdout);
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		puts("litepool-engine " LITEPOOL_VERSION);
		return EXIT_SUCCESS;
	}
	check_install_crash_handler("litepool-engine");
	log_set_clock(wall_clock_ns);
	log_set_level(opts.log_level);
	signal_fd = signals_open();
	end_fd = eventfd(0, EFD_CLOEXEC);
	if (signal_fd < 0 || end_fd < 0) {
		log_error("engine.start_failed", "reason=\"no descriptors: %s\"", strerror(errno));
		return EXIT_FAILURE;
	}
	return run(&opts, signal_fd);
}
