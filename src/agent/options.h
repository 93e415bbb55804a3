/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of litepool-agent. */
#ifndef LITEPOOL_AGENT_OPTIONS_H
#define LITEPOOL_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

#define AGENT_STATE_DIR     "/var/lib/litepool/agent"
#define AGENT_API_SOCKET    "unix:/run/litepool/api.sock"
#define AGENT_ENGINE_SOCKET "/run/litepool/engine.sock"
#define AGENT_ENGINE_STATE  "/var/lib/litepool/engine"
#define AGENT_ADDRESSES_MAX 16

struct agent_opts {
	const char *node; /* NULL: the host's name */
	const char *server, *kubeconfig;
	const char *state_dir;
	const char *engine; /* text of --engine */
	bool spawn;         /* it says spawn */
	const char *engine_bin, *engine_socket, *engine_state_dir, *engine_options;
	bool stop_engine;
	const char *addresses; /* separated by commas */
	uint32_t target_port;  /* 0: the kernel chooses one for each volume; for tests */
	const char *rack, *zone, *access_point;
	uint32_t workers, poll_s, check_s, lease_s;
	const char *metrics_socket; /* NULL: none */
	const char *metrics_listen; /* "127.0.0.1:9555"; NULL: none */
	const char *probe;          /* a page to ask for, instead of serving; NULL: none */
	const char *root;           /* in front of /sys, /dev and /etc; NULL: nothing. For tests */
	enum log_level log_level;
	bool help, version; /* asked for; nothing else was checked */
};

/* Strings point into argv. -EINVAL with what is wrong and what would be right. */
int agent_opts_parse(int argc, char **argv, struct agent_opts *ret, struct err *err);
void agent_opts_help(FILE *out);

#endif
