/* SPDX-License-Identifier: Apache-2.0 */
/* A CSI driver from its services to its end by a signal; for the driver itself and for the tests' driver. Main thread. */
#ifndef LITEPOOL_CSI_SERVE_H
#define LITEPOOL_CSI_SERVE_H

#include "csi/options.h"

/* service: services, driver_name and holds are filled in here. Returns main()'s status. */
int csi_serve(const struct csi_opts *opts, struct csi_service *service);

#endif
