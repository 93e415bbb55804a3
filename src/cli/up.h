/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine with all of LitePool: controller with its API, engine, agent. Either as systemd units of an installed package, or as plain processes
 * under one folder, for a try and for tests:
 *
 *   DIR/controller, engine, agent   their state      DIR/run   api.sock, engine.sock, NAME.pid
 *   DIR/pools                       files of pools   DIR/log   NAME.log
 */
#ifndef LITEPOOL_CLI_UP_H
#define LITEPOOL_CLI_UP_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/cli.h"

#define UP_PATH_MAX 512

enum up_part { UP_CONTROLLER, UP_ENGINE, UP_AGENT, UP_PARTS };
extern const char *const up_part_names[UP_PARTS]; /* "controller" */

struct up_opts {
	char dir[UP_PATH_MAX]; /* "": systemd */
	char node[256];
	const char *addresses; /* "192.0.2.1,..."; NULL: the agent finds them */
	const char *port;      /* of targets */
};

/* The folder's processes (up_local.c). Returns 0 or a negative errno with err. */

/* Makes the folder. */
int up_local_prepare(const struct up_opts *opts, struct err *err);
/* The pid; 0: it does not run. Told apart from a later process of the same number. */
pid_t up_local_pid(const struct up_opts *opts, enum up_part part);
/* Starts it unless it runs. */
int up_local_start(const struct up_opts *opts, enum up_part part, struct err *err);
/* Ends it in order, by force after a while, and waits for it. Not running is fine. */
int up_local_stop(const struct up_opts *opts, enum up_part part, struct err *err);
/* The end of its log, one line, into text. */
void up_local_log(const struct up_opts *opts, enum up_part part, char *text, size_t size);

/* The units (up_systemd.c). */
int up_systemd_start(const struct up_opts *opts, struct err *err);
int up_systemd_stop(struct err *err);
/* "active", "failed", ... into state. */
void up_systemd_state(enum up_part part, char *state, size_t size);

#endif
