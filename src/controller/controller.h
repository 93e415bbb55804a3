/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller: watches the API and acts on it. main() starts it when the API is served (or found), and stops it before. It is a client
 * of the API like any other, also in the same process, over the socket: nothing of it reaches into the store.
 */
#ifndef LITEPOOL_CONTROLLER_CONTROLLER_H
#define LITEPOOL_CONTROLLER_CONTROLLER_H

#include "base/err.h"

struct controller;

struct controller_config {
	const char *api_socket; /* of the embedded API */
};

/* Returns at once; what it does it does on threads of its own. *ret NULL, and a warning in the log: nothing to run in this build. */
int controller_start(const struct controller_config *config, struct controller **ret,
		     struct err *err);
/* Waits until nothing of it is under way. NULL is fine. */
void controller_stop(struct controller *controller);

#endif
