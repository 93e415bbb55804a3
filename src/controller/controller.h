/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller of a process: a client of the API, the loop (control.h) on its threads, and pages for health and metrics. It is a client of the API
 * like any other, also in the process that serves it, over the socket: nothing of it reaches into the store.
 */
#ifndef LITEPOOL_CONTROLLER_CONTROLLER_H
#define LITEPOOL_CONTROLLER_CONTROLLER_H

#include "base/err.h"

struct controller;

struct controller_config {
	const char *api_socket;     /* of the embedded API; NULL: kubeconfig says */
	const char *kubeconfig;     /* a file; NULL: $KUBECONFIG, else the pod's own */
	const char *placement_path; /* NULL: the defaults */
	const char *pages;          /* "unix:PATH" or a loopback "ADDRESS:PORT"; NULL: none */
};

/* Reads what can be read without the API: the placement configuration. */
int controller_check(const struct controller_config *config, struct err *err);
/* Returns at once; what it does it does on threads of its own. Strings are borrowed for its life. */
int controller_start(const struct controller_config *config, struct controller **ret,
		     struct err *err);
/* Placement configuration again; a wrong one is told in the log. */
void controller_reload(struct controller *controller);
/* Waits until nothing of it is under way, and gives the Lease up. NULL is fine. */
void controller_stop(struct controller *controller);

#endif
