/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of litepool-controller. */
#ifndef LITEPOOL_CONTROLLER_OPTIONS_H
#define LITEPOOL_CONTROLLER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "apiserver/tls.h"
#include "base/err.h"
#include "base/log.h"

#define CONTROLLER_STATE_DIR "/var/lib/litepool/controller"
#define CONTROLLER_SOCKET    "/run/litepool/api.sock"

struct controller_opts {
	bool embedded, api_only;
	const char *kubeconfig;
	const char *placement; /* file, or NULL */
	const char *metrics;   /* address of the pages, or NULL */
	const char *probe;     /* a page to ask for, instead of serving; or NULL */
	const char *state_dir, *socket, *socket_group;
	const char *listen; /* text of --listen, or NULL */
	char host[64];      /* of --listen */
	uint16_t port;
	struct tls_paths tls;
	const char *users;
	uint64_t store_max_bytes; /* 0: only the disk bounds it */
	uint32_t history;
	bool check_config;
	enum log_level log_level;
	bool help, version; /* asked for; nothing else was checked */
};

/* Strings point into argv. -EINVAL with what is wrong and what would be right. */
int controller_opts_parse(int argc, char **argv, struct controller_opts *ret, struct err *err);
void controller_opts_help(FILE *out);

#endif
