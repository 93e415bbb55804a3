/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of litepool-engine: one table makes parsing, --help and the manual page's check. */
#ifndef LITEPOOL_ENGINE_OPTIONS_H
#define LITEPOOL_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "rt/iobuf.h"
#include "rt/reactor.h"

#define ENGINE_STATE_DIR  "/var/lib/litepool/engine"
#define ENGINE_RPC_SOCKET "/run/litepool/engine.sock"
#define ENGINE_DATA_MAX   (REACTORS_MAX - 2) /* one is for control, one for pools */

struct engine_opts {
	const char *config_path; /* NULL: none */
	const char *state_dir;
	const char *rpc_socket;
	const char *cores; /* text of --cores */
	unsigned n_data;
	int data_cpu[ENGINE_DATA_MAX]; /* -1: not pinned */
	int control_cpu;               /* -1: not pinned */
	int64_t poll_us;
	uint32_t iobuf[IOBUF_CLASSES];
	enum log_level log_level;
	bool wait_for_rpc, foreground;
	const char *take_over;  /* socket of the engine to take over from; NULL: none */
	const char *supervisor; /* its socket; NULL: none */
	bool help, version;     /* asked for; nothing else was checked */
};

/* Strings point into argv. -EINVAL with what is wrong and what would be right. */
int engine_opts_parse(int argc, char **argv, struct engine_opts *ret_opts, struct err *err);
/* "3": three cores, not pinned. "0,2-4" or "[3]": these cpus, pinned. */
int engine_cores_parse(const char *text, int *ret_cpu, unsigned *ret_count, struct err *err);
void engine_opts_help(FILE *out);

#endif
