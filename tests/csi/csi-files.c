/* SPDX-License-Identifier: Apache-2.0 */
/*
 * csi-files FOLDER OPTION...: litepool-csi with its real backend on the API; only the node's devices are loop devices, over the files that standin.py
 * keeps in FOLDER under the volumes' UIDs. For machines whose kernel has no nvme-tcp.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "csi/join.h"
#include "csi/nvme_host.h"
#include "csi/plane_names.h"
#include "csi/serve.h"
#include "kube/client_http.h"
#include "loop.h"
#include "rt/process.h"

struct files {
	const char *folder;
	struct kube_client *client;
};

static bool path_of(const struct files *files, const char *volume_id, char path[512])
{
	struct plane_id id;
	char uid[UUID_TEXT_SIZE];

	if (!plane_id_parse(volume_id, &id))
		return false;
	(void)snprintf(path, 512, "%s/%s", files->folder, uuid_format(&id.uid, uid));
	return true;
}

/* "/dev/loop3: [0046]:123 (/path)" */
static enum grpc_code find(void *ctx, struct csi_op *op, const char *volume_id,
			   char device[CSI_DEVICE_MAX])
{
	struct command_result result;
	char path[512];

	if (!path_of(ctx, volume_id, path) || !losetup("-j", path, NULL, &result) ||
	    strncmp(result.output, "/dev/loop", 9) != 0)
		return csi_fail(op, GRPC_NOT_FOUND, "not attached");
	result.output[strcspn(result.output, ":")] = '\0';
	(void)str_copy(device, CSI_DEVICE_MAX, result.output);
	return GRPC_OK;
}

/* As a namespace, it has grown when its host has heard of it, and not before. */
static enum grpc_code grown(void *ctx, struct csi_op *op, const char *volume_id, const char *device,
			    uint64_t bytes)
{
	struct command_result result;

	(void)losetup("-c", device, NULL, &result);
	return GRPC_OK;
}

static enum grpc_code attach(void *ctx, struct csi_op *op, const char *volume_id,
			     const struct csi_map *publish_context,
			     const struct csi_map *volume_context, char device[CSI_DEVICE_MAX])
{
	char path[512];

	if (!csi_map_get(publish_context, PLANE_CONTEXT_TARGETS))
		return csi_fail(op, GRPC_INVALID_ARGUMENT, "no targets in publish_context");
	if (find(ctx, op, volume_id, device) == GRPC_OK)
		return GRPC_OK;
	if (!path_of(ctx, volume_id, path))
		return csi_fail(op, GRPC_INTERNAL, "%s is no volume's id", volume_id);
	return loop_attach(op, path, device);
}

static enum grpc_code detach(void *ctx, struct csi_op *op, const char *volume_id)
{
	struct command_result result;
	char device[CSI_DEVICE_MAX];

	if (find(ctx, op, volume_id, device) == GRPC_OK)
		(void)losetup("-d", device, NULL, &result);
	return GRPC_OK;
}

static enum grpc_code format_get(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_map *volume_context, struct csi_format *ret)
{
	return record_get(((struct files *)ctx)->client, op, volume_id, ret);
}

static enum grpc_code format_set(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_format *format)
{
	return record_set(((struct files *)ctx)->client, op, volume_id, format);
}

int main(int argc, char **argv)
{
	struct files files = {.folder = argc > 1 ? argv[1] : ""};
	struct csi_host host = {.ctx = &files,
				.attach = attach,
				.find = find,
				.grown = grown,
				.detach = detach,
				.format_get = format_get,
				.format_set = format_set};
	struct csi_service service = {.backend = NULL};
	struct csi_node_config node;
	struct kube_config config = {.server = NULL};
	struct csi_join *join = NULL;
	struct csi_opts opts;
	struct err err = {0};
	int status;

	if (argc < 2 || csi_opts_parse(argc - 1, argv + 1, &opts, &err) < 0 ||
	    process_signals_take(&err) < 0 || csi_join(&opts, &service, &join, &err) < 0 ||
	    kube_config_find(opts.server, opts.kubeconfig, &config, &err) < 0 ||
	    kube_client_http_new(&config, NULL, &files.client, &err) < 0) {
		fprintf(stderr, "csi-files: %s\n", err.text);
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
	kube_client_free(files.client);
	return status;
}
