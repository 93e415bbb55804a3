/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-engine. The main thread starts the engine and then only waits: for a signal, or for the engine to end by itself. All work is on the reactors.
 *
 *   SIGTERM, SIGINT   stop in order, within STOP_LIMIT_MS; a second one, or the limit, ends at once
 *   SIGHUP, SIGPIPE   ignored
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "config.h"
#include "engine/engine.h"
#include "rt/process.h"

#define STOP_LIMIT_MS 15000

static void ended(struct engine *e)
{
	process_end();
}

/* False: the engine did not end in time, or somebody could not wait. */
static bool wait_for_end(struct engine *e)
{
	int signo = process_wait(-1);

	if (signo == 0)
		return true;
	log_info("engine.signal", "signal=%d", signo);
	if (!e->opts->supervisor)
		(void)process_notify("STOPPING=1");
	engine_stop(e);
	return process_wait(STOP_LIMIT_MS) == 0;
}

static int run(const struct engine_opts *opts)
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
	if (!wait_for_end(e)) {
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

	process_streams_keep();
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
	check_install_stack_handler();
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	(void)process_raise_nofile(); /* too few is told where a descriptor is wanted */
	if (process_signals_take(&err) < 0) {
		log_error("engine.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
