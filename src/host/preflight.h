/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this machine fit for LitePool? Each check has a level, what was found, and the command that puts it right. It changes nothing. Blocks; any thread.
 */
#ifndef LITEPOOL_HOST_PREFLIGHT_H
#define LITEPOOL_HOST_PREFLIGHT_H

#include <jansson.h>

#include "host/host.h"

enum preflight_level {
	PREFLIGHT_INFO,
	PREFLIGHT_WARN,  /* it works, with less */
	PREFLIGHT_ERROR, /* it does not */
};

struct preflight_check {
	const char *id; /* "kernel.io_uring": stable, for programs */
	enum preflight_level level;
	char found[240];
	char fix[240]; /* "": nothing to do */
};

/* For each check in the same order each time. env->kernel set: a test; then nothing but files below root is looked at. */
void preflight_each(const struct host_env *env,
		    void (*fn)(void *ctx, const struct preflight_check *check), void *ctx);
const char *preflight_level_name(enum preflight_level level); /* "info", "warn", "error" */

/* {"checks": [...], "devices": [...], "errors": N, "warnings": N}; a new reference. Devices are never errors: nobody has to give them. */
json_t *preflight_json(const struct host_env *env, uint64_t disk_min_bytes);

#endif
