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
#include <stdint.h>
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

/* Out of the command's arguments; from then on cli asks the API and the engine of that folder. cmd_up.c */
int up_opts_take(struct cli *cli, struct up_opts *opts);

struct up_state {
	char state[64];    /* "active", "not running", "failed", ... */
	pid_t pid;         /* 0: none */
	uint64_t since_ns; /* wall clock; 0: not known */
};

/* The folder's processes (up_local.c). Returns 0 or a negative errno with err. */

/* Makes the folder. */
int up_local_prepare(const struct up_opts *opts, struct err *err);
/* The pid; 0: it does not run. Told apart from a later process of the same number. */
pid_t up_local_pid(const struct up_opts *opts, enum up_part part);
/* The same, and since when. */
void up_local_state(const struct up_opts *opts, enum up_part part, struct up_state *ret);
/* Starts it unless it runs. */
int up_local_start(const struct up_opts *opts, enum up_part part, struct err *err);
/* Ends it in order, by force after a while, and waits for it. Not running is fine. */
int up_local_stop(const struct up_opts *opts, enum up_part part, struct err *err);
/* The end of its log, one line, into text. */
void up_local_log(const struct up_opts *opts, enum up_part part, char *text, size_t size);

/* The units (up_systemd.c). */
int up_systemd_start(const struct up_opts *opts, struct err *err);
int up_systemd_stop(struct err *err);
/* What the service manager says of the part's unit: its main process, "active", "failed", ... */
void up_systemd_state(enum up_part part, struct up_state *ret);

#endif
