/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-controller. The main thread starts the API server and the controller and then only waits for signals.
 *
 *   SIGTERM, SIGINT   stop in order
 *   SIGHUP            users, certificates and the placement configuration again
 *   SIGPIPE, SIGXFSZ  ignored: the calls fail and tell
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "config.h"
#include "controller/cmd_tls.h"
#include "controller/controller.h"
#include "controller/options.h"
#include "controller/serve.h"
#include "rt/pages.h"
#include "rt/process.h"

#define PROBE_MS 8000

static void reload(struct serve *serve, struct controller *controller)
{
	struct err err = {0};

	controller_reload(controller);
	if (!serve)
		return;
	if (serve_reload(serve, &err) < 0)
		log_error("controller.reload_failed",
			  "reason=\"%s\" kept=\"what was loaded before\"", err.text);
	else
		log_info("controller.reloaded", "connections=cut");
}

static int wait_for_end(struct serve *serve, struct controller *controller)
{
	int signo;

	while ((signo = process_wait(-1)) == SIGHUP)
		reload(serve, controller);
	return signo;
}

static struct controller_config controller_config(const struct controller_opts *opts)
{
	return (struct controller_config){.api_socket = opts->embedded ? opts->socket : NULL,
					  .kubeconfig = opts->kubeconfig,
					  .placement_path = opts->placement,
					  .pages = opts->metrics};
}

static int run(const struct controller_opts *opts)
{
	struct controller_config config = controller_config(opts);
	struct controller *controller = NULL;
	struct serve *serve = NULL;
	struct err err = {0};
	int rc = opts->embedded ? serve_start(opts, &serve, &err) : 0;

	if (!rc && !opts->api_only)
		rc = controller_start(&config, &controller, &err);
	if (rc) {
		log_error("controller.start_failed", "reason=\"%s\"", err.text);
		serve_stop(serve);
		return EXIT_FAILURE;
	}
	(void)process_notify("READY=1"); /* nobody may be listening */
	log_info("controller.signal", "signal=%d", wait_for_end(serve, controller));
	(void)process_notify("STOPPING=1");
	controller_stop(controller);
	serve_stop(serve);
	log_info("controller.stopped", "%s", "status=0");
	return EXIT_SUCCESS;
}

static int check_config(const struct controller_opts *opts)
{
	struct controller_config config = controller_config(opts);
	struct err err = {0};

	if ((opts->embedded && serve_check(opts, &err) < 0) ||
	    controller_check(&config, &err) < 0) {
		(void)fprintf(stderr, "litepool-controller: %s\n", err.text);
		return EXIT_FAILURE;
	}
	(void)puts("the configuration is good");
	return EXIT_SUCCESS;
}

static int probe(const struct controller_opts *opts)
{
	struct err err = {0};
	int rc = pages_ask(opts->metrics, opts->probe, PROBE_MS, stdout, &err);

	if (rc < 0)
		(void)fprintf(stderr, "litepool-controller: %s\n", err.text);
	return rc == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct controller_opts opts;
	struct err err = {0};

	process_streams_keep();
	if (argc > 1 && !strcmp(argv[1], "init-tls"))
		return cmd_init_tls(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "issue"))
		return cmd_issue(argc - 1, argv + 1);
	if (controller_opts_parse(argc, argv, &opts, &err) < 0) {
		(void)fprintf(stderr, "litepool-controller: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		controller_opts_help(stdout);
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		(void)puts("litepool-controller " LITEPOOL_VERSION);
		return EXIT_SUCCESS;
	}
	if (opts.probe)
		return probe(&opts);
	check_install_crash_handler("litepool-controller");
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	if (opts.check_config)
		return check_config(&opts);
	(void)process_raise_nofile(); /* too few is told where a descriptor is wanted */
	if (process_signals_take(&err) < 0 || process_signals_take_hup(&err) < 0) {
		log_error("controller.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
