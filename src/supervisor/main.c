/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-supervisor [OPTION]... [-- ENGINE-OPTION...]
 *
 *   SIGTERM, SIGINT   ends the engine in order, then this
 *   SIGHUP            ends this alone; the engine serves on, and the next supervisor adopts it
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "config.h"
#include "rt/options.h"
#include "rt/process.h"
#include "supervisor/supervisor.h"

#define AT(member) offsetof(struct supervisor_opts, member)

static const struct option table[] = {
	{"engine", "PATH", OPT_TEXT, AT(engine), 0, 0,
	 "the engine's program [" SUPERVISOR_ENGINE " in PATH]"},
	{"state-dir", "DIR", OPT_TEXT, AT(state_dir), 0, 0,
	 "the engine's state directory [" SUPERVISOR_STATE_DIR "]"},
	{"stuck", "SECONDS", OPT_U32, AT(stuck_s), 0, 3600,
	 "an engine of which a thread is stuck for so long is killed and started again; 0: never "
	 "[15]"},
	{"log-level", "LEVEL", OPT_LEVEL, AT(log_level), 0, 0, "error, warn, info or debug [info]"},
	{"version", NULL, OPT_FLAG, AT(version), 0, 0, "print the version and end"},
	{"help", NULL, OPT_FLAG, AT(help), 0, 0, "print this and end"},
};

static void help(void)
{
	(void)puts("Usage: litepool-supervisor [OPTION]... [-- ENGINE-OPTION...]\n"
		   "Runs the LitePool storage engine: starts it again when it ends, and starts the "
		   "successor of a hot upgrade.\n");
	options_help(table, ARRAY_LEN(table), stdout);
	(void)puts("\nWhat follows -- are options of litepool-engine(8).\n\nExample:\n"
		   "  litepool-supervisor --state-dir ./state -- --rpc-socket ./engine.sock "
		   "--cores 2\n"
		   "\nSIGTERM or SIGINT end the engine, too; SIGHUP ends the supervisor alone. See "
		   "litepool-supervisor(8).");
}

static int parse(int argc, char **argv, struct supervisor_opts *opts, struct err *err)
{
	int own = 1;

	while (own < argc && strcmp(argv[own], "--") != 0)
		own++;
	opts->args = argv + MIN(own + 1, argc);
	if (argc - own > SUPERVISOR_ARGS)
		return err_set(err, -E2BIG, "more than %d options of the engine", SUPERVISOR_ARGS);
	for (char **arg = opts->args; *arg; arg++)
		if (strncmp(*arg, "--state-dir", 11) == 0)
			return err_set(err, -EINVAL,
				       "--state-dir is the supervisor's own option: write it "
				       "before --");
	return options_parse(table, ARRAY_LEN(table), "litepool-supervisor", own, argv, opts, err);
}

static int run(const struct supervisor_opts *opts)
{
	struct supervisor *s = NULL;
	struct err err = {0};
	int signo;

	if (supervisor_new(opts, &s, &err) < 0) {
		log_error("supervisor.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	signo = process_wait(-1);
	log_info("supervisor.signal", "signal=%d", signo);
	if (signo != SIGHUP)
		(void)process_notify("STOPPING=1");
	supervisor_stop(s, signo == SIGHUP);
	/* A second signal does not hurry it: the engine's end has its own limit. */
	while (process_wait(-1) != 0)
		;
	supervisor_free(s);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct supervisor_opts opts = {.engine = SUPERVISOR_ENGINE,
				       .state_dir = SUPERVISOR_STATE_DIR,
				       .stuck_s = 15,
				       .log_level = LOG_LEVEL_INFO};
	struct err err = {0};

	process_streams_keep();
	if (parse(argc, argv, &opts, &err) < 0) {
		(void)fprintf(stderr, "litepool-supervisor: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		help();
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		(void)puts("litepool-supervisor " LITEPOOL_VERSION);
		return EXIT_SUCCESS;
	}
	check_install_crash_handler("litepool-supervisor");
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	if (process_signals_take(&err) < 0 || process_signals_take_hup(&err) < 0) {
		log_error("supervisor.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
