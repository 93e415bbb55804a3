/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool-supervisor: starts the engine, starts it again when it ends, starts the successor of a hot upgrade (an engine never starts another), and ends an engine of which
 * a thread is stuck.
 *
 *            lock is free                      runs                        ended
 *   LOOK ------------------> (start) ---> RUN ------------------> PAUSE ------------> LOOK
 *     |   lock is held, and signed         ^     |  a successor runs: it is the engine now
 *     +------------- (adopt) --------------+<----+
 *
 * 1. Who holds the lock of the state directory is the engine, whoever started it: a supervisor that was itself ended finds it there, and never starts a second one.
 * 2. What ends is seen by pidfd, so also what is no child; a process is known by its pid and the time when it began.
 * 3. The supervisor reads and writes no data and has one thread for all this (evloop): it has nothing that hangs.
 */
#ifndef LITEPOOL_SUPERVISOR_SUPERVISOR_H
#define LITEPOOL_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/log.h"
#include "handover/peer.h"
#include "rt/child.h"
#include "rt/evloop.h"

#define SUPERVISOR_LINKS 4
#define SUPERVISOR_ARGS  64

struct supervisor_opts {
	const char *engine; /* program */
	const char *state_dir;
	uint32_t stuck_s; /* 0: nothing is looked for */
	enum log_level log_level;
	bool version, help;
	char **args; /* the engine's own, ended by NULL */
};
#define SUPERVISOR_ENGINE    "litepool-engine"
#define SUPERVISOR_STATE_DIR "/var/lib/litepool/engine"

enum supervisor_state { SUPERVISOR_LOOK, SUPERVISOR_RUN, SUPERVISOR_PAUSE, SUPERVISOR_STOPPING };

struct process {                /* pid 0: none */
	struct evloop_fd watch; /* of its pidfd */
	struct supervisor *s;
	struct child child; /* pid 0: somebody else's child */
	pid_t pid;
	uint64_t since_ns;
	char binary[256];
};

struct supervisor_link {
	struct evloop_fd watch;
	struct supervisor *s;
	bool open;
	pid_t pid;
	uint64_t heard_ns; /* its last beat */
	struct handover_bag bags[HANDOVER_BAGS];
	struct handover_message msg;
	uint16_t n_beats; /* of the last beat */
	struct handover_beat beats[HANDOVER_BEATS_MAX];
};

struct supervisor {
	const struct supervisor_opts *opts;
	struct evloop *loop;
	enum supervisor_state state;
	struct process engine, successor;
	struct supervisor_link link[SUPERVISOR_LINKS];
	struct evloop_fd listener;
	struct evloop_timer timer, watchdog;
	struct evloop_task begin, stop;
	char served[256]; /* the program that has served last: what a restart starts */
	bool leave;       /* stop without ending the engine */
	bool ending;      /* the successor is not wanted any more */
	bool waiting;     /* ... and another is, of next_binary */
	char next_binary[256];
	bool stuck; /* it has been told to write its stack, and is killed next if it is stuck still */
	bool killed;       /* by the watchdog: last_end says why */
	uint64_t pause_ms; /* before the next start */
	uint32_t restarts;
	char last_end[256];
	char lock_path[320], link_path[320], handover_path[320];
};

int supervisor_new(const struct supervisor_opts *opts, struct supervisor **ret, struct err *err);
/* Any thread but the loop's, once: ends the engine first, or leaves it (leave). process_end() follows. */
void supervisor_stop(struct supervisor *s, bool leave);
void supervisor_free(struct supervisor *s);

/* ---- process.c ---- */
int process_start(struct process *p, const char *binary, bool successor, struct err *err);
/* Watches a process that runs already. -ESRCH: it does not. */
int process_adopt(struct process *p, pid_t pid);
/* The other's place is taken; to becomes what from was. */
void process_move(struct process *to, struct process *from);
void process_kill(struct process *p, int signo);
/* supervisor.c: called when p has ended; p is empty already. */
void supervisor_process_ended(struct supervisor *s, struct process *p, pid_t pid, const char *how);

/* ---- link.c ---- */
int links_open(struct supervisor *s, struct err *err);
void links_close(struct supervisor *s);
struct supervisor_link *link_of(struct supervisor *s, pid_t pid);
/* That process has ended. Its socket may stay open for seconds: until the kernel has taken its ring down, with the disk I/O in it. */
void links_forget(struct supervisor *s, pid_t pid);
void link_say(struct supervisor_link *link, enum handover_type type, pid_t pid, int code,
	      const char *text);
/* supervisor.c: an engine said who it is, or asks for something. */
void supervisor_linked(struct supervisor *s, struct supervisor_link *link);
void supervisor_asked(struct supervisor *s, struct supervisor_link *link);

/* ---- watchdog.c ---- */
void watchdog_start(struct supervisor *s);

#endif
