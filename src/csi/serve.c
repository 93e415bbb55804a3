/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/serve.h"

#include <stdlib.h>

#include "csi/registration.h"
#include "rt/process.h"

#define DRAIN_MS 20000

/* Request and response are never logged: they hold secrets. A refusal is the caller's news; only what we did wrong is an error. */
static void call_ended(void *ctx, const struct grpc_call_info *info)
{
	char path[160], message[640];
	bool ours = info->code == GRPC_INTERNAL || info->code == GRPC_UNKNOWN ||
		    info->code == GRPC_DATA_LOSS;

	if (info->code == GRPC_OK)
		log_debug("csi.call", "method=%s ms=%llu", info->path,
			  (unsigned long long)(info->took_ns / 1000000));
	else
		log_write(ours ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "csi.call",
			  "method=%s code=%s ms=%llu reason=%s",
			  log_quote(info->path, path, sizeof(path)), grpc_code_name(info->code),
			  (unsigned long long)(info->took_ns / 1000000),
			  log_quote(info->message, message, sizeof(message)));
}

static int run_until_signal(const struct csi_opts *opts, struct csi_service *service,
			    const struct grpc_method *methods, size_t n_methods, struct err *err)
{
	struct csi_registration registration = {
		.driver_name = service->driver_name,
		.endpoint = opts->kubelet_endpoint ? opts->kubelet_endpoint : opts->socket_path};
	struct grpc_server_config config = {.socket_path = opts->socket_path,
					    .methods = methods,
					    .n_methods = n_methods,
					    .ctx = service,
					    .ended = call_ended,
					    .workers = opts->workers};
	struct grpc_server *server = NULL, *kubelet = NULL;
	int rc = grpc_server_start(&config, &server, err);

	/* The kubelet calls the CSI socket as soon as it has been answered: that one is there first. */
	if (!rc && opts->registration_path)
		rc = csi_registration_start(opts->registration_path, &registration, &kubelet, err);
	if (!rc) {
		log_info("csi.ready", "socket=%s", opts->socket_path);
		(void)process_notify("READY=1");
		rc = process_wait(-1);
		log_info("csi.stopping", "signal=%d", rc);
		(void)process_notify("STOPPING=1");
		rc = 0;
		if (grpc_server_drain(server, DRAIN_MS) < 0)
			log_warn("csi.stop_cut", "reason=\"calls did not end within %d s\"",
				 DRAIN_MS / 1000);
	}
	grpc_server_free(kubelet);
	grpc_server_free(server);
	return rc;
}

int csi_serve(const struct csi_opts *opts, struct csi_service *service)
{
	struct grpc_method *methods = NULL;
	struct err err = {0};
	size_t n_methods;
	int rc;

	service->driver_name = opts->driver_name;
	service->services = opts->services;
	rc = csi_holds_new(&service->holds);
	if (!rc)
		rc = csi_methods(opts->services, &methods, &n_methods);
	if (rc)
		(void)err_set(&err, rc, "no memory to start");
	else
		rc = run_until_signal(opts, service, methods, n_methods, &err);
	if (rc)
		log_error("csi.start_failed", "reason=\"%s\"", err.text);
	free(methods);
	csi_holds_free(service->holds);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
