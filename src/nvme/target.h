/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe target of an engine: subsystems, namespaces, hosts, ports, and what the control plane may do with them.
 * Everything here is called on the control reactor. Calls that take done are finished when it runs (on the control
 * reactor, never inside the call): by then every reactor works with the new state and every command that started
 * under the old one has ended (nvme/view.h).
 */
#ifndef LITEPOOL_NVME_TARGET_H
#define LITEPOOL_NVME_TARGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "blk/blk.h"
#include "nvme/spec.h"
#include "rt/reactor.h"

struct nvme_ns;
struct nvme_port;
struct nvme_qos;
struct nvme_subsystem;
struct nvme_target;

typedef void (*nvme_done_fn)(void *ctx, int res);

#define NVME_QUEUE_MIN 16
#define NVME_QUEUE_MAX 4096
#define NVME_QUEUE_ADMIN                                                                           \
	128 /* entries that an admin queue may have, however short those for I/O are to be: hosts have a fixed number (Linux 32) */

struct nvme_target_opts {
	struct reactor *control;
	struct reactor **data; /* borrowed for life */
	unsigned n_data;
	uint32_t mdts_bytes;       /* power of two times 4 KiB, at most 1 MiB */
	uint32_t in_capsule_bytes; /* for IOCCSZ: multiple of 16, 8 KiB .. 16 KiB */
	uint16_t
		queue_entries_max; /* of an I/O queue: MQES + 1; NVME_QUEUE_MIN .. NVME_QUEUE_MAX */
	uint16_t io_queues_max;    /* per controller */
	uint32_t aer_max;          /* held Async Event Requests per controller */
	uint32_t kato_max_ms;
};
struct nvme_target_opts nvme_target_opts_default(void);
uint16_t nvme_target_queue_max(const struct nvme_target *t, uint16_t qid); /* entries */

int nvme_target_new(const struct nvme_target_opts *opts, struct nvme_target **ret, struct err *err);
/* Closes every controller, then done; nvme_target_free() after that. */
void nvme_target_stop(struct nvme_target *t, nvme_done_fn done, void *ctx);
void nvme_target_free(struct nvme_target *t);
const struct nvme_target_opts *nvme_target_opts(const struct nvme_target *t);
/* Takes over the numbers of opts (not the reactors); -EINVAL with the reason, -EBUSY once there is a port. */
int nvme_target_set_limits(struct nvme_target *t, const struct nvme_target_opts *opts,
			   struct err *err);
struct nvme_target *nvme_target_of(struct nvme_subsystem *ss);

/* A place where hosts can come in. The transport makes one per listening socket and keeps it until the socket and its connections are gone. */
struct nvme_port_addr {
	char trtype[16]; /* "TCP" */
	char adrfam[16]; /* "IPv4", "IPv6" */
	char traddr[256];
	char trsvcid[32];
};
struct nvme_port *
nvme_port_get(struct nvme_target *t,
	      const struct nvme_port_addr *addr); /* finds or makes; a reference */
void nvme_port_put(struct nvme_port *port);
const struct nvme_port_addr *nvme_port_addr(const struct nvme_port *port);

/* Subsystems. */
struct nvme_subsystem_opts {
	const char *nqn;
	const char *serial;              /* at most 20; NULL or "": made from the NQN, stable */
	const char *model;               /* at most 40; NULL: "LitePool Volume" */
	uint32_t max_namespaces;         /* default 32, at most 1024 */
	uint16_t min_cntlid, max_cntlid; /* 0: 1 .. NVME_CNTLID_MAX */
	bool allow_any_host;
	bool ana_reporting;
};
int nvme_subsystem_new(struct nvme_target *t, const struct nvme_subsystem_opts *opts,
		       struct nvme_subsystem **ret, struct err *err);
void nvme_subsystem_delete(struct nvme_subsystem *ss, nvme_done_fn done, void *ctx);
struct nvme_subsystem *nvme_subsystem_find(struct nvme_target *t, const char *nqn);
const char *nvme_subsystem_nqn(const struct nvme_subsystem *ss);

/* Hosts. Default: nobody. Removing a host closes its controllers before done. */
int nvme_subsystem_add_host(struct nvme_subsystem *ss, const char *hostnqn, struct err *err);
int nvme_subsystem_remove_host(struct nvme_subsystem *ss, const char *hostnqn, nvme_done_fn done,
			       void *ctx, struct err *err);
/* false closes the controllers of hosts that are not on the list. */
void nvme_subsystem_allow_any_host(struct nvme_subsystem *ss, bool allow, nvme_done_fn done,
				   void *ctx);

/* Namespaces. The device is claimed. */
struct nvme_ns_opts {
	uint32_t nsid; /* 0: first free one */
	struct blk_dev *dev;
	uint8_t nguid[16];    /* all zero: derived from uuid */
	uint8_t eui64[8];     /* all zero: derived from uuid */
	struct uuid uuid;     /* null: the device's */
	uint32_t anagrpid;    /* 0: nsid */
	struct nvme_qos *qos; /* borrowed, of the device; may be NULL */
	bool ptpl_capable; /* reservations can persist through power loss: resv_save below is set */
};
int nvme_subsystem_add_ns(struct nvme_subsystem *ss, const struct nvme_ns_opts *opts,
			  uint32_t *ret_nsid, nvme_done_fn done, void *ctx, struct err *err);
int nvme_subsystem_remove_ns(struct nvme_subsystem *ss, uint32_t nsid, nvme_done_fn done, void *ctx,
			     struct err *err);
/* The device grew or its identity-visible attributes changed: hosts are told. For every namespace on dev. */
void nvme_target_dev_changed(struct nvme_target *t, struct blk_dev *dev);

/* Listeners of a subsystem: by which ports it may be reached, with an ANA state per group. */
int nvme_subsystem_add_listener(struct nvme_subsystem *ss, struct nvme_port *port,
				nvme_done_fn done, void *ctx, struct err *err);
/* With that state for all groups, so that no host ever sees another there. */
int nvme_subsystem_add_listener_as(struct nvme_subsystem *ss, struct nvme_port *port,
				   enum nvme_ana_state state, nvme_done_fn done, void *ctx,
				   struct err *err);
/* Closes the controllers that came in there. */
int nvme_subsystem_remove_listener(struct nvme_subsystem *ss, struct nvme_port *port,
				   nvme_done_fn done, void *ctx, struct err *err);
/* anagrpid 0: all groups. done: no command that saw the old state is under way. */
int nvme_subsystem_set_ana_state(struct nvme_subsystem *ss, struct nvme_port *port,
				 uint32_t anagrpid, enum nvme_ana_state state, nvme_done_fn done,
				 void *ctx, struct err *err);

/*
 * Reservations that persist: called on every change of a namespace whose ptpl_capable is set; saved must be called (control reactor)
 * when the JSON is durable; the host's command waits for it. restore before the namespace is added takes the same JSON;
 * it is for the next attempt to add that nsid, whether it succeeds or not.
 */
typedef void (*nvme_resv_save_fn)(void *ctx, const char *nqn, uint32_t nsid, const json_t *resv,
				  nvme_done_fn saved, void *saved_ctx);
void nvme_target_set_resv_save(struct nvme_target *t, nvme_resv_save_fn fn, void *ctx);
int nvme_subsystem_restore_resv(struct nvme_subsystem *ss, uint32_t nsid, const json_t *resv,
				struct err *err);

/* For RPC: new JSON in SPDK's shapes. */
json_t *nvme_target_subsystems_json(struct nvme_target *t, const char *nqn_or_null);
json_t *nvme_subsystem_controllers_json(struct nvme_subsystem *ss);
json_t *nvme_subsystem_qpairs_json(struct nvme_subsystem *ss);
/* [{address: {trtype, adrfam, traddr, trsvcid}, ana_states: [{ana_group, ana_state}]}] */
json_t *nvme_subsystem_listeners_json(struct nvme_subsystem *ss);
/* The RPC calls, in order, that make this state again (save_config): array of {method, params}. Without transports. */
json_t *nvme_target_config_json(struct nvme_target *t);
/* Per namespace counters and latency histograms, for metrics. */
json_t *nvme_target_stats_json(struct nvme_target *t);

/* QoS: token buckets of one device or namespace, shared by all reactors; limits change live. */
struct nvme_qos_limits { /* 0: no limit */
	uint64_t rw_ios_per_sec, r_ios_per_sec, w_ios_per_sec;
	uint64_t rw_bytes_per_sec, r_bytes_per_sec, w_bytes_per_sec;
	uint32_t burst_ms; /* a full bucket holds the tokens of that time; 0: 100 */
};
struct nvme_qos *nvme_qos_new(void);
void nvme_qos_free(struct nvme_qos *qos);
void nvme_qos_set(struct nvme_qos *qos,
		  const struct nvme_qos_limits *limits); /* wakes what waits, soon */
struct nvme_qos_limits nvme_qos_get(const struct nvme_qos *qos);

#endif
