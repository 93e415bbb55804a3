/* SPDX-License-Identifier: Apache-2.0 */
/* Options of litepool-csi; each has an environment variable that is used when the option is not given. */
#ifndef LITEPOOL_CSI_OPTIONS_H
#define LITEPOOL_CSI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "csi/service.h"

struct csi_opts {
	enum csi_services services;
	const char *socket_path;         /* of --endpoint */
	const char *registration_path;   /* NULL: the kubelet is not answered */
	const char *kubelet_endpoint;    /* what the kubelet is told; NULL: socket_path */
	const char *node_id;             /* "" unless the node service is served */
	const char *server, *kubeconfig; /* of the API; NULL: see kube_config_find() */
	const char *driver_name;
	uint32_t max_volumes, workers;
	enum log_level log_level;
	bool help, version, parameters;
	bool probe; /* ask who serves socket_path, and end */
};

/* Strings are argv's or the environment's. -EINVAL with err. */
int csi_opts_parse(int argc, char **argv, struct csi_opts *ret, struct err *err);
void csi_opts_help(FILE *out);

#endif
