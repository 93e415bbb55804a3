/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded API server: state directory, store, HTTP. Main thread. */
#ifndef LITEPOOL_CONTROLLER_SERVE_H
#define LITEPOOL_CONTROLLER_SERVE_H

#include "controller/options.h"

struct serve;

/* Checks what can be checked without a change: addresses, users, certificates. */
int serve_check(const struct controller_opts *opts, struct err *err);
int serve_start(const struct controller_opts *opts, struct serve **ret, struct err *err);
/* Users and certificates again; after a failure all is as before. */
int serve_reload(struct serve *serve, struct err *err);
void serve_stop(struct serve *serve);

#endif
