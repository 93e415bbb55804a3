/* SPDX-License-Identifier: Apache-2.0 */
/*
 * csi-bridge OPTION...: litepool-csi, whose devices come from tests/kube/cluster/nvme-hostd.py (its socket: $LITEPOOL_HOSTD) and not from /dev/nvme-fabrics. For
 * machines whose kernel has no nvme-tcp.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "csi/join.h"
#include "csi/nvme_host.h"
#include "csi/plane_names.h"
#include "csi/serve.h"
#include "kube/client_http.h"
#include "rt/process.h"

static struct kube_client *client;

/* One line there, one line back: "ok DEVICE" or "CODE words". */
static enum grpc_code ask(struct csi_op *op, char *text, size_t size, char device[CSI_DEVICE_MAX])
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("LITEPOOL_HOSTD");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n = -1;

	if (fd >= 0 &&
	    str_copy(to.sun_path, sizeof(to.sun_path), path ? path : "/run/litepool/hostd.sock") &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(fd, text, strlen(text), MSG_NOSIGNAL) > 0) {
		while (len + 1 < size && (n = read(fd, text + len, size - 1 - len)) > 0)
			len += (size_t)n;
	}
	if (fd >= 0)
		(void)close(fd);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (n < 0 || !len)
		return csi_fail(op, GRPC_UNAVAILABLE, "the test's host does not answer: %s",
				strerror(errno));
	if (strncmp(text, "ok ", 3) != 0)
		return csi_fail(op, (enum grpc_code)strtol(text, NULL, 10), "%s",
				text + strcspn(text, " "));
	if (device)
		(void)str_copy(device, CSI_DEVICE_MAX, text + 3);
	return GRPC_OK;
}

static bool nqn_of(const char *volume_id, char nqn[PLANE_NQN_SIZE])
{
	struct plane_id id;

	return plane_id_parse(volume_id, &id) && plane_volume_nqn(&id.uid, nqn);
}

static enum grpc_code attach(void *ctx, struct csi_op *op, const char *volume_id,
			     const struct csi_map *publish_context,
			     const struct csi_map *volume_context, char device[CSI_DEVICE_MAX])
{
	const char *targets = csi_map_get(publish_context, PLANE_CONTEXT_TARGETS);
	char text[1024], nqn[PLANE_NQN_SIZE];

	if (!nqn_of(volume_id, nqn) || !targets)
		return csi_fail(op, GRPC_INVALID_ARGUMENT, "no targets in publish_context");
	(void)snprintf(text, sizeof(text), "attach %s %s\n", nqn, targets);
	return ask(op, text, sizeof(text), device);
}

static enum grpc_code find(void *ctx, struct csi_op *op, const char *volume_id,
			   char device[CSI_DEVICE_MAX])
{
	char text[1024], nqn[PLANE_NQN_SIZE];

	if (!nqn_of(volume_id, nqn))
		return csi_fail(op, GRPC_NOT_FOUND, "not attached");
	(void)snprintf(text, sizeof(text), "find %s\n", nqn);
	return ask(op, text, sizeof(text), device);
}

static enum grpc_code detach(void *ctx, struct csi_op *op, const char *volume_id)
{
	char text[1024], nqn[PLANE_NQN_SIZE];

	if (!nqn_of(volume_id, nqn))
		return GRPC_OK;
	(void)snprintf(text, sizeof(text), "detach %s\n", nqn);
	return ask(op, text, sizeof(text), NULL);
}

static enum grpc_code format_get(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_map *volume_context, struct csi_format *ret)
{
	return record_get(client, op, volume_id, ret);
}

static enum grpc_code format_set(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_format *format)
{
	return record_set(client, op, volume_id, format);
}

int main(int argc, char **argv)
{
	static const struct csi_host host = {.attach = attach,
					     .find = find,
					     .detach = detach,
					     .format_get = format_get,
					     .format_set = format_set};
	struct csi_service service = {.backend_missing = "this csi-bridge serves the node only"};
	struct kube_http_options options = {.user_agent = "csi-bridge", .timeout_ms = 15000};
	struct kube_config config = {.server = NULL};
	struct csi_node_config node;
	struct csi_join *join = NULL;
	struct csi_opts opts;
	struct err err = {0};
	int status;

	check_install_crash_handler("csi-bridge");
	log_set_clock(process_wall_ns);
	if (csi_opts_parse(argc, argv, &opts, &err) < 0 || process_signals_take(&err) < 0 ||
	    csi_join(&opts, &service, &join, &err) < 0 ||
	    kube_config_find(opts.server, opts.kubeconfig, &config, &err) < 0 ||
	    kube_client_http_new(&config, &options, &client, &err) < 0) {
		(void)fprintf(stderr, "csi-bridge: %s\n", err.text);
		return 2;
	}
	kube_config_fini(&config);
	node = *csi_node_config(service.node);
	node.host = &host;
	if (csi_node_new(&node, &service.node, &err) < 0)
		return EXIT_FAILURE;
	status = csi_serve(&opts, &service);
	csi_node_free(service.node);
	csi_part(join);
	kube_client_free(client);
	return status;
}
