/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot upgrade in the engine: the old side (handover_old.c), the new side (handover_new.c), and the link to the supervisor that starts and watches engines (link.c).
 * ARCHITECTURE.md, "Hot upgrade", draws it; src/handover/FORMAT.md says what goes over the sockets. All on the control thread.
 *
 * The rule that everything serves: until GO was sent the old engine can go on as if nothing had been asked; from then on it never touches a disk, a pool or a socket, and
 * before it was received the new one never does.
 */
#ifndef LITEPOOL_ENGINE_HANDOVER_H
#define LITEPOOL_ENGINE_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "handover/peer.h"
#include "rpc/rpc.h"
#include "rt/hurry.h"
#include "rt/proc.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct engine;

#define HANDOVER_SOCKET          "handover.sock" /* in the state directory */
#define HANDOVER_DEADLINE_MS     50u             /* nobody said one: at least this, and */
#define HANDOVER_DEADLINE_TIMES  4u              /* so many times what the stop is likely to take */
#define HANDOVER_DEADLINE_AUTO   UINT32_MAX
#define HANDOVER_DEADLINE_MS_MAX 60000u

/* ---- a connection to another process, on the control reactor (handover_wire.c) ---- */

struct handover_wire {
	struct reactor *r;
	struct sock *sock; /* NULL: none */
	pid_t pid;         /* of the other process */
	struct handover_bag bags[HANDOVER_BAGS];
	struct handover_message msg; /* the one under way */
	/* msg has come; its text and numbers are checked, their meaning is not. */
	void (*got)(struct handover_wire *wire);
	/* It has ended: res 0, or the peer does not keep to the protocol. The wire is closed already. */
	void (*ended)(struct handover_wire *wire, int res, const struct err *err);
};
/* Takes fd, also on errors. */
int handover_wire_open(struct handover_wire *wire, struct reactor *r, int fd, pid_t pid,
		       struct err *err);
/* Also when it is not open. Bags are kept. */
void handover_wire_close(struct handover_wire *wire);
int handover_wire_fd(const struct handover_wire *wire);
/* Takes the messages that are there already, before something else is said of the peer; its end is told later, as always. */
void handover_wire_drain(struct handover_wire *wire);
/* One message of which only the type, code, step and text matter; a peer that does not take it will be found gone. */
__attribute__((format(printf, 5, 6))) void handover_say(struct handover_wire *wire,
							enum handover_type type, int code,
							const char *step, const char *fmt, ...);

/* ---- fail points, for tests (handover_fail.c) ---- */

/* "old:freeze:kill": refused (-EPERM) unless the environment has LITEPOOL_FAILPOINTS=1. kinds: kill, hang, exit, refuse, kill-supervisor, stop (SIGSTOP). */
int handover_fail_set(struct engine *e, const char *text, struct err *err);
/* Reaches a step: false when it is to be refused. Does not come back from kill, hang and exit. */
bool handover_fail_pass(struct engine *e, const char *side, const char *step);

/* ---- what is told of an upgrade ---- */

struct handover_report {
	struct proc_cpu cpu; /* of this engine's threads */
	struct hurry hurry;  /* ... which no other keeps from a core in the stop */
	json_t *json; /* {state, step, error, binary, from, to, dry_run, steps: {name: ms}, stop_ms, stop_us: {part: us}, stop_cpu_us: {side: us}, stop_priority: {side: how}, ...}; NULL: there was none */
	uint64_t step_ns; /* when the present step began */
};
void handover_report_begin(struct engine *e, const char *binary, bool dry_run);
/* A step has ended: how long it took, into the report and the log; in_stop: also as a part of the stop. */
void handover_report_step(struct engine *e, const char *step, bool in_stop);
/* A part of the stop, by either side: its parts together are the stop. */
void handover_report_part(struct engine *e, const char *part, uint64_t ns);
/* CPU time that one side ("old", "new") has spent in the stop, all threads. */
void handover_report_cpu(struct engine *e, const char *side, uint64_t ns);
/* ns of the parts that are told already. */
uint64_t handover_report_parts(struct engine *e);
/* How one side's threads came before those of others in the stop. */
void handover_report_priority(struct engine *e, const char *side, enum hurry_means means);
/* What the successor says it has built. */
void handover_report_counts(struct engine *e, const struct handover_message *warmed);
/* ms that the stop is likely to take, besides the slowest command under way. */
double handover_estimate_ms(struct engine *e);
/* The deadline of a stop for which nobody gave one. */
uint32_t handover_deadline_ms(struct engine *e);
/* For a dry run: what would be carried and how long the stop is likely to be. */
void handover_estimate(struct engine *e, char *text, size_t size);
/* state: "done", "aborted", "dry-run". */
void handover_report_end(struct engine *e, const char *state, const char *step, const char *error);

/* ---- the old side ---- */

struct handover_start {
	const char *binary;   /* "": the one that runs */
	uint32_t deadline_ms; /* HANDOVER_DEADLINE_AUTO: as many connections need */
	bool dry_run;
	const char *fail_at; /* NULL: nowhere */
};

enum handover_old_state {
	OLD_IDLE,       /* no upgrade */
	OLD_SPAWN,      /* the supervisor is starting the successor */
	OLD_CONNECT,    /* it runs; its HELLO is awaited */
	OLD_HOLD_CALLS, /* calls that change something wait; those under way end, files are written */
	OLD_HOLD_POOLS,   /* pools make room in their journals; no checkpoint from here on */
	OLD_PREPARE,      /* bag 0 is being sent: configuration, listeners, disks, locks */
	OLD_WARM,         /* the successor builds all that costs time */
	OLD_HOLD_RPC,     /* no call begins any more; those under way end */
	OLD_CALM,         /* the reactors' passes become short */
	OLD_FREEZE,       /* the stop begins: connections stand still, commands end */
	OLD_FREEZE_POOLS, /* background ends, a last round of the journal */
	OLD_SAVE,         /* connections are written down, on all reactors */
	OLD_STATE,        /* bag 1 is being sent */
	OLD_READY, /* the successor builds connections; this is the last moment to turn back */
	OLD_GO,    /* given away. DONE is awaited, then this process ends */
};

struct handover_old {
	enum handover_old_state state;
	int listen_fd;
	struct sock *listener;
	struct handover_wire wire;
	struct handover_start start;
	char binary[256];
	pid_t successor;
	uint64_t deadline_ns; /* of the state; in the stop, of all of it */
	uint64_t stop_ns;     /* when the stop began */
	uint64_t stop_cpu_ns; /* proc_cpu_ns() then */
	uint64_t saved_ns;    /* when all was written down */
	struct timer timer;
	struct task task;
	bool calmed_net, held_pools, warmed, ready;
	bool saving, stop_wanted; /* SAVE: its memory is in use; the engine is to be stopped then */
	struct err give_up;       /* ... and the upgrade given up; code 0: no */
	json_t *plan;             /* of the pools */
	json_t *pool_state;       /* of the frozen pools */
	struct err broken;        /* a hold of pools has ended by itself */
	int *fds;                 /* a bag that is being sent; borrowed descriptors but the first */
	unsigned n_fds, sent_fds, own_fds;
	uint64_t document_bytes;
};

/* Listens for successors. RUNNING begins. */
void handover_old_open(struct engine *e);
/* Starts an upgrade: 0, and the report tells the rest. -EBUSY, -EOPNOTSUPP (no supervisor), -EPERM. */
int handover_old_start(struct engine *e, const struct handover_start *start, struct err *err);
/* Gives an upgrade up, for that reason. -ENOENT: there is none; -EALREADY: it is given away. */
int handover_old_abort(struct engine *e, const char *reason);
/* The engine stops: no successor is taken any more. False: not now: this process will end by itself, or stop again in a moment. */
bool handover_old_stop(struct engine *e);
/* Words of the supervisor about the successor. */
void handover_old_started(struct engine *e, const struct handover_message *msg);
void handover_old_successor_ended(struct engine *e, const struct handover_message *msg);

/* For the files of the old side alone. */
void handover_old_init(struct engine *e);
/* OLD_CONNECT: the successor has come; takes fd. */
void handover_old_connected(struct engine *e, int fd, pid_t pid);
void handover_old_pools_frozen(void *ctx, int res, const json_t *state, const struct err *err);
void handover_old_saved(struct engine *e, int res, const struct err *err);
__attribute__((noreturn)) void handover_old_leave(struct engine *e);

/* ---- counters that follow the stop (handover_stats.c) ---- */

/* Old side, DONE has come: sends them, or logs why not. */
void handover_stats_send(struct engine *e);
/* New side: counts them, too. Devices and namespaces that are not there are left out. An error: some of them are missing. */
int handover_stats_read(struct engine *e, struct handover_bag *bag, uint64_t bytes,
			struct err *err);

/* ---- the new side ---- */

enum handover_new_state {
	NEW_CONNECT,
	NEW_OFFER,     /* HELLO is sent */
	NEW_PLAN,      /* bag 0 is coming */
	NEW_REPLAY,    /* the configuration is carried out, on descriptors that came */
	NEW_FOLLOW,    /* pools catch up */
	NEW_WARMED,    /* bag 1 is awaited */
	NEW_FOLLOW_TO, /* pools follow to where the old engine stopped */
	NEW_RESTORE,   /* connections are built */
	NEW_READY,     /* the word is awaited */
	NEW_TAKE_OVER, /* pools become ours */
	NEW_STATS,     /* hosts are served; the old engine's counters are awaited */
	NEW_SERVING,
};

struct handover_new {
	enum handover_new_state state;
	struct handover_wire wire;
	int pidfd; /* of the old engine */
	struct timer timer;
	json_t *plan;
	json_t *pool_state;
	unsigned follows;
	uint64_t begin_ns, step_ns, stop_at_ns, restore_ns;
	uint64_t mark_ns; /* where the last part of the stop ended */
	uint64_t cpu_ns;  /* proc_cpu_ns() when the state came */
	double stop_ms;
	enum hurry_means means; /* how it gets to a core in the stop */
	bool stop_wanted;
	bool stats_over; /* they have come, or never will */
	bool old_gone;   /* its process has ended without GO, after STATE */
	char version[32];
	unsigned conns;
	int lock_fd;
};

/* The engine was started with --take-over: instead of loading a configuration. */
void handover_new_start(struct engine *e);
/* SIGTERM. Ends the process unless it has been given everything; false: it stops again when it serves. */
bool handover_new_stop(struct engine *e);

#endif
