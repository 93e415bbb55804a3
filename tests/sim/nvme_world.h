/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole engine's data path and its hosts in the simulated world: the real target, transport, disks and initiator.
 * nvme_target_side.c builds and breaks the target, nvme_client.c is a host that reads and writes against the model,
 * sim-nvme.c drives both.
 */
#ifndef LITEPOOL_TESTS_SIM_NVME_WORLD_H
#define LITEPOOL_TESTS_SIM_NVME_WORLD_H

#include "blk/blk.h"
#include "initiator/initiator.h"
#include "nvme/target.h"
#include "rt/iobuf.h"
#include "sim/env_sim.h"
#include "sim/nvme_model.h"
#include "transport/tcp.h"

#define N_DATA_MAX      4
#define N_HOST_REACTORS 2
#define N_CLIENTS_MAX   5
#define N_PORTS         2
#define N_NS            3
#define OPS_MAX         24
#define OP_BYTES_MAX    ((uint32_t)256 << 10)
#define SUBNQN          "nqn.2026-01.io.litepool:sim"
#define SIM_DISK        "sim:/disk"

struct nvme_world;
struct client;

enum op_kind { OP_READ, OP_WRITE, OP_FLUSH, OP_ZEROES, OP_COMPARE, OP_DSM, OP_FUSED, OP_KINDS };

struct op { /* a command of a client, used again and again */
	struct client *client;
	struct nvme_hostcmd cmd, second; /* second: the write of a fused pair */
	int first_status, second_status;
	unsigned halves; /* of a pair that have not ended */
	enum op_kind kind;
	bool busy, locked, must_match;
	unsigned breaks; /* the client's, when it began */
	struct model *model;
	uint64_t lba, version, start_ns;
	uint32_t n;
	uint8_t *data;
};

enum client_state { CLIENT_DOWN, CLIENT_CONNECTING, CLIENT_UP, CLIENT_CLOSING };

struct client {
	struct nvme_world *w;
	unsigned id;
	struct reactor *r;
	struct nvme_host *host;
	enum client_state state;
	bool reconnects, kill, gone_for_good;
	unsigned
		burst; /* writes of one size on one queue that are still to come, which targets may predict */
	unsigned burst_ns;  /* index of their namespace */
	uint32_t burst_len; /* bytes of each */
	struct uuid hostid;
	char hostnqn[NVME_NQN_FIELD];
	unsigned n_ops, n_busy, n_queues, queue_size;
	unsigned breaks; /* times the connection was lost */
	struct op op[OPS_MAX];
	struct nvme_hostcmd abort;
	bool abort_busy;
	struct timer retry;
	struct msg msg; /* of the driver */
	bool msg_busy;
};

struct sim_ns {
	struct blk_dev *dev;
	struct model model;
	bool present;
};

enum handover_state { HANDOVER_NONE, HANDOVER_FREEZING, HANDOVER_FROZEN };

struct engine_side { /* what one engine has for itself; disks and limits are common */
	struct reactor *control, **data;
	unsigned n_data;
	struct iobuf_arena *arena;
	struct nvme_target *target;
	struct tcp_transport *transport;
	struct tcp_listener *listener[N_PORTS];
	struct nvme_subsystem *ss;
};

struct nvme_world {
	struct sim_world *sim;
	uint64_t seed;
	struct engine_side other; /* where the next engine will be */
	struct nvme_target_opts topts;
	struct tcp_transport_opts tcp;
	struct reactor *control, **data, *host_r[N_HOST_REACTORS];
	struct reactor *data_of[2][N_DATA_MAX]; /* data of the two sides */
	unsigned n_data;
	struct iobuf_arena *arena;
	struct nvme_target *target;
	struct tcp_transport *transport;
	struct tcp_listener *listener[N_PORTS];
	struct sock_addr addr[N_PORTS];
	struct nvme_subsystem *ss;
	struct nvme_qos *qos;
	struct blk_dev *fault, *fault_base;
	struct sim_ns ns[N_NS];
	uint64_t version;
	bool stopping;     /* clients begin nothing new */
	unsigned changing; /* control operations that have not ended */
	bool host_banned[N_CLIENTS_MAX];
	struct client client[N_CLIENTS_MAX];
	unsigned n_clients;
	enum handover_state handover;
	uint64_t freezes, thaws, handovers, refused;
	uint64_t ops_done, ops_ok, reads_checked, breaks;
	int64_t ahead_taken, ahead_copied; /* of the transport, at the end */
};

/* Prints what is wrong and how to replay it, and ends the process. */
__attribute__((noreturn, format(printf, 1, 2))) void sim_fail(const char *fmt, ...);

/* Runs fn(arg) on r and steps until it has run. */
void world_call(struct nvme_world *w, struct reactor *r, void (*fn)(void *arg), void *arg);
/* Steps until cond(w); fails the run with what when it does not come within virtual seconds. */
void world_wait(struct nvme_world *w, bool (*cond)(void *arg), void *arg, uint64_t seconds,
		const char *what);

/* nvme_target_side.c */
void target_start(struct nvme_world *w);
/* A random change of the target, on the control reactor. */
void target_chaos(struct nvme_world *w);
/* Everything back to good: namespaces, hosts, paths, limits, rules. */
void target_heal(struct nvme_world *w);
bool target_disks_quiet(void *arg); /* of struct nvme_world */
void target_stop(struct nvme_world *w);
/* Buffers and counters, to stderr. */
void target_print(const struct nvme_world *w);

/* nvme_handover.c: a step of a hand-over, or its end; not inside of anything else. */
void handover_chaos(struct nvme_world *w);
/* None is under way. */
void handover_settle(struct nvme_world *w);

/* A target like the present one on the other side: namespaces, hosts; listeners take the sockets fd[N_PORTS]. Listens to nobody yet. */
void target_successor(struct nvme_world *w, const int *fd);
/* The present side and the other one change places. */
void target_swap(struct nvme_world *w);
/* The other side's target ends: it has no connection and no listener that anybody uses. */
void target_stop_other(struct nvme_world *w);

/* nvme_client.c */
void client_init(struct nvme_world *w, unsigned id);
void client_chaos(struct client *c);
/* Begins what it may begin (again). */
void client_pump(struct client *c);
void client_leave(struct client *c); /* closes for good */
bool client_is_quiet(const struct client *c);
void client_fini(struct client *c);
/* What it waits for, to stderr. */
void client_print(const struct client *c);

#endif
