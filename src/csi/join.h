/* SPDX-License-Identifier: Apache-2.0 */
/* litepool-csi and what it stands on: the API, its StorageNode, the backend, the host. Main thread. */
#ifndef LITEPOOL_CSI_JOIN_H
#define LITEPOOL_CSI_JOIN_H

#include "csi/options.h"

struct csi_join;

/*
 * Fills in service (backend and node; what its services need). Waits for the StorageNode of this node, which the agent makes, as long as no signal
 * comes. 0; -ECANCELED: a signal came; or another negative errno with err.
 */
int csi_join(const struct csi_opts *opts, struct csi_service *service, struct csi_join **ret,
	     struct err *err);
/* After the service has ended. NULL is fine. */
void csi_part(struct csi_join *join);

#endif
