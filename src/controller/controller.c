/* SPDX-License-Identifier: Apache-2.0 */
/* The place of the controller's loop. What it will run on, the client of src/kube and the placement, is built beside it. */
#include "controller/controller.h"

#include "base/log.h"

int controller_start(const struct controller_config *config, struct controller **ret,
		     struct err *err)
{
	log_warn("controller.not_built",
		 "reason=\"this version serves the API at %s and places no volumes yet\"",
		 config->api_socket);
	*ret = NULL;
	return 0;
}

void controller_stop(struct controller *controller)
{
}
