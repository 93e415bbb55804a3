/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI services on top of a backend (backend.h) and a node (node.h): what they answer, and the checks in front of them. One table of methods
 * (methods.c) names for each what must be there; dispatch.c does for all of them what is the same for all.
 */
#ifndef LITEPOOL_CSI_SERVICE_H
#define LITEPOOL_CSI_SERVICE_H

#include "csi/backend.h"
#include "csi/node.h"
#include "grpc/grpc.h"

#define CSI_DRIVER_NAME "csi.litepool.io"

enum csi_services { CSI_CONTROLLER = 1, CSI_NODE = 2, CSI_ALL = 3 };

struct csi_service {
	const char *driver_name;
	enum csi_services services;
	const struct csi_backend *backend; /* NULL: controller methods answer UNAVAILABLE */
	const char *backend_missing;       /* and say this */
	struct csi_node *node;             /* NULL unless CSI_NODE */
	struct csi_holds *holds;
};

/* What an operation holds, by name: a second one for the same name is turned away. */
int csi_holds_new(struct csi_holds **ret);
void csi_holds_free(struct csi_holds *holds);
/* False: held by another; or without memory. */
bool csi_hold(struct csi_holds *holds, const char *kind, const char *name);
void csi_release(struct csi_holds *holds, const char *kind, const char *name);

/*
 * The methods that a server of these services has, malloc'ed; the caller frees the table after the server. The server's ctx must be the struct
 * csi_service. Identity is always there.
 */
int csi_methods(enum csi_services services, struct grpc_method **ret, size_t *ret_n);

#endif
