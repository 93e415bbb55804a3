/* SPDX-License-Identifier: Apache-2.0 */
/* litepool-csi: the CSI services over LitePool's API and the kernel's NVMe host. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config.h"
#include "csi/join.h"
#include "csi/plane.h"
#include "csi/serve.h"
#include "grpc/ask.h"
#include "rt/process.h"

#define PROBE_MS 8000

static int run(const struct csi_opts *opts)
{
	struct csi_service service = {
		.backend_missing = "this litepool-csi serves the node only (--mode=node)"};
	struct csi_join *join = NULL;
	struct err err = {0};
	int rc = csi_join(opts, &service, &join, &err), status;

	if (rc == -ECANCELED) {
		log_info("csi.stopping", "reason=\"%s\"", err.text);
		return EXIT_SUCCESS;
	}
	if (rc) {
		log_error("csi.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	status = csi_serve(opts, &service);
	csi_part(join);
	return status;
}

/* Answered by the thread that all calls come in on, whatever the others wait for: who does not answer this serves nobody. */
static int probe(const struct csi_opts *opts)
{
	struct err err = {0};
	enum grpc_code code = GRPC_UNKNOWN;

	if (grpc_ask(opts->socket_path, "/csi.v1.Identity/GetPluginInfo", PROBE_MS, &code, &err) <
	    0) {
		fprintf(stderr, "litepool-csi: %s\n", err.text);
		return EXIT_FAILURE;
	}
	puts(grpc_code_name(code));
	return code == GRPC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_line(void *ctx, const char *text)
{
	(void)fprintf(ctx, "%s\n", text);
}

int main(int argc, char **argv)
{
	struct csi_opts opts;
	struct err err = {0};

	process_streams_keep();
	if (csi_opts_parse(argc, argv, &opts, &err) < 0) {
		fprintf(stderr, "litepool-csi: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		csi_opts_help(stdout);
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		puts("litepool-csi " LITEPOOL_VERSION);
		return EXIT_SUCCESS;
	}
	if (opts.parameters) {
		csi_plane_parameters_print(print_line, stdout);
		return EXIT_SUCCESS;
	}
	if (opts.probe)
		return probe(&opts);
	check_install_crash_handler("litepool-csi");
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	if (process_signals_take(&err) < 0) {
		log_error("csi.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
