/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: what main() starts and stops, and what the RPC methods work on. Everything here belongs to the control thread once it runs.
 *
 *   main thread                      control reactor
 *   engine_new()   (all that blocks) .
 *   engine_start() ----------------> RPC -> CONFIG -> RUNNING
 *   engine_stop()  ----------------> RPC closed -> saved -> target closed -> transport closed -> disks closed -> STOPPED
 *   on_end() <---------------------- STOPPED
 *   engine_free()
 *
 * With --take-over the first steps are those of handover_new.c: another engine's state takes the place of the files.
 */
#ifndef LITEPOOL_ENGINE_ENGINE_H
#define LITEPOOL_ENGINE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "engine/bdev.h"
#include "engine/configfile.h"
#include "engine/handover.h"
#include "engine/handover_net.h"
#include "engine/link.h"
#include "engine/notify.h"
#include "engine/options.h"
#include "engine/resv_store.h"
#include "engine/saver.h"
#include "engine/store.h"
#include "nvme/target.h"
#include "rpc/rpc.h"
#include "rt/reactor.h"
#include "rt/worker.h"
#include "transport/tcp.h"

struct engine;

#define ENGINE_VERSION_TEXT "LitePool v" LITEPOOL_VERSION

enum engine_state {
	ENGINE_NEW,     /* nothing runs */
	ENGINE_WAITING, /* RPC answers start-up methods; framework_start_init is awaited */
	ENGINE_CONFIG,  /* the configuration is being carried out */
	ENGINE_RUNNING,
	ENGINE_STOP_SAVE,      /* RPC takes no calls; what was changed is being written */
	ENGINE_STOP_TARGET,    /* controllers close */
	ENGINE_STOP_TRANSPORT, /* sockets close */
	ENGINE_STOP_POOLS,     /* pools close */
	ENGINE_STOP_DISKS,     /* block devices close */
	ENGINE_STOPPED,
};
extern const char *const engine_state_name[];

struct engine_listener { /* a subsystem's use of a listening socket */
	struct list link;
	char nqn[NVME_NQN_FIELD];
	struct tcp_listener *tcp;
	bool removing;
};

struct replay {          /* engine/replay.c */
	json_t *entries; /* NULL: none under way */
	size_t index;
	unsigned failed;
	bool stop_at_failure; /* else a failed entry becomes a problem */
	bool from_disks;      /* second pass: what the volumes say of their exports */
	struct err first_err;
	struct task task;
	struct timer timer;   /* pause before an entry is tried again */
	uint64_t patience_ns; /* until then */
	void (*done)(struct engine *e, int res);
	struct rpc_call *call; /* of load_config, for done */
};

struct engine {
	const struct engine_opts *opts;
	enum engine_state state;
	struct err end_err;               /* why it stopped by itself; code 0: it was asked to */
	void (*on_end)(struct engine *e); /* control thread; wakes main */

	struct iobuf_arena *arena;
	struct iobuf_counts iobufs;
	struct reactor *control, *data[ENGINE_DATA_MAX];
	struct reactor *pools; /* where pools live */
	unsigned n_data, n_started;
	bool control_started, pools_started;
	struct worker_pool *workers;
	struct nvme_target *target;
	struct tcp_transport *tcp; /* NULL until nvmf_create_transport */
	json_t *tcp_params;        /* as it works */
	json_t *tcp_config; /* as it was asked for: a newer engine may have better defaults */
	struct rpc_server *rpc;
	int lock_fd;
	uint64_t start_ns;

	struct bdev_registry bdevs;
	struct store store;
	struct notify notify;
	struct list listeners;
	struct saver config;
	struct config_problems problems;
	struct resv_store resv;
	struct replay replay;
	bool in_replay;           /* a method is being entered by replay, not by a client */
	struct list init_waiters; /* framework_wait_init */

	struct saver_wait stop_wait;
	struct store_sync load_sync;
	struct timer start_timer; /* pause before the RPC socket is tried again */
	struct msg start_msg, stop_msg, hop_msg;
	unsigned hops; /* reactors that hop_msg has been sent to */
	bool stopping, rpc_served;

	/* Hot upgrade: handover.h. */
	struct handover_old old;
	struct handover_new successor; /* this engine, while it takes over */
	struct handover_net net;
	struct handover_report upgrade;
	char fail_at[48];
	struct engine_link link;
};

int engine_new(const struct engine_opts *opts, void (*on_end)(struct engine *e),
	       struct engine **ret, struct err *err);
int engine_start(struct engine *e, struct err *err);
/* Any thread, once. on_end() follows. */
void engine_stop(struct engine *e);
/* After on_end(), or never started. NULL: nothing. */
void engine_free(struct engine *e);

/* Control thread. Loads the configuration and goes on to RUNNING. */
void engine_configure(struct engine *e);
/* Ends the process with a reason that main prints. */
void engine_fail(struct engine *e, const struct err *err);

/* It serves: who waits for that is told, successors are listened for, the supervisor is looked for. */
void engine_serves(struct engine *e);
/* Writes this process into the lock file: whose lock it is. */
void engine_lock_sign(struct engine *e);

/* The whole configuration as JSON: what config.json holds. NULL without memory. */
json_t *engine_config_json(struct engine *e);
/* The calls of "bdev" or "nvmf"; NULL: no such subsystem, or no memory. */
json_t *engine_subsystem_config_json(struct engine *e, const char *subsystem);

/* replay.c: takes entries. done runs later; res: 0, or -EINVAL with first_err. */
void engine_replay(struct engine *e, json_t *entries, bool stop_at_failure,
		   void (*done)(struct engine *e, int res));

/* rpc_table.c */
extern const struct rpc_method engine_methods[];

#endif
