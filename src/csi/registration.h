/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the kubelet learns of the driver: it calls the socket that it finds in its plugins_registry folder (k8s.io/kubelet/pkg/apis/pluginregistration/v1). No
 * node-driver-registrar is needed.
 */
#ifndef LITEPOOL_CSI_REGISTRATION_H
#define LITEPOOL_CSI_REGISTRATION_H

#include "grpc/grpc.h"

struct csi_registration {
	const char *driver_name;
	const char *endpoint; /* path of the CSI socket, as the kubelet sees it */
};

/* Serves on socket_path until grpc_server_free(). registration must outlive the server. */
int csi_registration_start(const char *socket_path, const struct csi_registration *registration,
			   struct grpc_server **ret, struct err *err);

#endif
