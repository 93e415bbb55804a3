/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-csi. Answers Identity, the forms of all other requests, and the kubelet's registration. What stands on the control plane's API (backend.h) and on
 * the kernel's NVMe host (struct csi_host) is joined on here; until then those methods answer UNAVAILABLE and say so.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config.h"
#include "csi/serve.h"
#include "rt/process.h"

#define NO_BACKEND "this build of litepool-csi is not connected to the LitePool API yet"

static enum grpc_code no_find(void *ctx, struct csi_op *op, const char *volume_id,
			      char device[CSI_DEVICE_MAX])
{
	return GRPC_NOT_FOUND; /* what was never attached is not there */
}

static enum grpc_code no_attach(void *ctx, struct csi_op *op, const char *volume_id,
				const struct csi_map *publish_context,
				const struct csi_map *volume_context, char device[CSI_DEVICE_MAX])
{
	return csi_fail(op, GRPC_UNAVAILABLE, NO_BACKEND);
}

static enum grpc_code no_detach(void *ctx, struct csi_op *op, const char *volume_id)
{
	return GRPC_OK;
}

static enum grpc_code no_format_get(void *ctx, struct csi_op *op, const char *volume_id,
				    const struct csi_map *volume_context, struct csi_format *ret)
{
	return csi_fail(op, GRPC_UNAVAILABLE, NO_BACKEND);
}

static enum grpc_code no_format_set(void *ctx, struct csi_op *op, const char *volume_id,
				    const struct csi_format *format)
{
	return csi_fail(op, GRPC_UNAVAILABLE, NO_BACKEND);
}

static const struct csi_host no_host = {.attach = no_attach,
					.find = no_find,
					.detach = no_detach,
					.format_get = no_format_get,
					.format_set = no_format_set};

static int run(const struct csi_opts *opts)
{
	struct csi_node_config node = {
		.node_id = opts->node_id, .max_volumes = opts->max_volumes, .host = &no_host};
	struct csi_service service = {.backend_missing = NO_BACKEND};
	struct err err = {0};
	int status;

	if (csi_node_new(&node, &service.node, &err) < 0) {
		log_error("csi.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	log_warn("csi.no_backend", "reason=\"" NO_BACKEND "\"");
	status = csi_serve(opts, &service);
	csi_node_free(service.node);
	return status;
}

int main(int argc, char **argv)
{
	struct csi_opts opts;
	struct err err = {0};

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
	check_install_crash_handler("litepool-csi");
	log_set_clock(process_wall_ns);
	log_set_level(opts.log_level);
	if (process_signals_take(&err) < 0) {
		log_error("csi.start_failed", "reason=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	return run(&opts);
}
