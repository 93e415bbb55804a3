/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-agent. The main thread starts the agent and then only waits for signals.
 *
 *   SIGTERM, SIGINT   stop in order; the engine serves on (without --stop-engine)
 *   SIGHUP, SIGPIPE   ignored
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "base/check.h"
#include "base/log.h"
#include "config.h"
#include "rt/pages.h"
#include "rt/process.h"

#define PROBE_MS 8000

static int probe(const struct agent_opts *opts)
{
	char address[256];
	struct err err = {0};
	int rc;

	(void)snprintf(address, sizeof(address), "unix:%s", opts->metrics_socket);
	rc = pages_ask(address, opts->probe, PROBE_MS, stdout, &err);
	if (rc < 0)
		(void)fprintf(stderr, "litepool-agent: %s\n", err.text);
	return rc == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct agent_opts *opts)
{
	struct agent *agent = NULL;
	struct err err = {0};

	if (agent_new(opts, NULL, &agent, &err) < 0 || agent_start(agent, &err) < 0) {
		log_error("agent.start_failed", "reason=\"%s\"", err.text);
		agent_stop(agent);
		return EXIT_FAILURE;
	}
	(void)process_notify("READY=1"); /* nobody may be listening */
	log_info("agent.signal", "signal=%d", process_wait(-1));
	(void)process_notify("STOPPING=1");
	agent_stop(agent);
	log_info("agent.stopped", "%s", "status=0");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct agent_opts opts;
	struct err err = {0};

	process_streams_keep();
	if (agent_opts_parse(argc, argv, &opts, &err) < 0) {
		(void)fprintf(stderr, "litepool-agent: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		agent_opts_help(stdout);
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		(void)puts("litepool-agent " LITEPOOL_VERSION);
		return EXIT_SUCCESS;
	}
	if (opts.probe)
		return probe(&opts);
	check_install_crash_handler("litepool-agent");
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	(void)process_raise_nofile(); /* too few is told where a descriptor is wanted */
	if (process_signals_take(&err) < 0) {
		log_error("agent.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
