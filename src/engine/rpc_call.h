/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the RPC methods share. A method that changes the state begins a struct change, does its work, and ends it once: the client hears of success only
 * when the new configuration is durable. Calls that replay makes are not saved one by one. Control thread.
 */
#ifndef LITEPOOL_ENGINE_RPC_CALL_H
#define LITEPOOL_ENGINE_RPC_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "engine/saver.h"
#include "engine/store.h"
#include "rpc/rpc.h"

struct engine;

struct change {
	struct engine *e;
	struct rpc_call *call;
	bool from_replay;
	json_t *result; /* NULL: JSON true */
	struct store_sync sync;
	struct saver_wait wait;
};

/* NULL: no memory, and the call was answered. */
struct change *change_begin(struct engine *e, struct rpc_call *call);
/* Saves, on the disks of volumes and in the state directory, then answers with result (taken; NULL: true). */
void change_commit(struct change *change, json_t *result);
/* Nothing was changed. */
void change_fail(struct change *change, const struct err *err);
/* An nvme_done_fn: commits with change->result, or fails. */
void change_done(void *ctx, int res);

/* Decodes or answers the call with the error; false: it was answered. */
bool rpc_params(struct rpc_call *call, const json_t *params, const struct json_field *fields,
		size_t n_fields, void *out);
#define RPC_PARAMS(call, params, fields, out)                                                      \
	rpc_params(call, params, fields, sizeof(fields) / sizeof((fields)[0]), out)
/* True; else the call was answered: it takes no parameters. */
bool rpc_no_params(struct rpc_call *call, const json_t *params);
/* result NULL: answered with "out of memory". Takes result. */
void rpc_reply_json(struct rpc_call *call, json_t *result);

/* rpc_bdev.c: who uses a device, for a person who wants to delete it. */
struct bdev;
void rpc_bdev_user_text(struct engine *e, const struct bdev *bdev, char *text, size_t size);

/* rpc_framework.c: the configuration is carried out; answers framework_start_init and framework_wait_init. */
void rpc_init_done(struct engine *e);
/* rpc_nvmf.c: reservations of the target are kept in e->resv. */
void rpc_resv_attach(struct engine *e);
/* rpc_listener.c: what engine_free() finds. */
void rpc_listeners_free(struct engine *e);

#define RPC_METHODS(X)                                                                             \
	X(spdk_get_version, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET, "the version, in SPDK's shape") \
	X(rpc_get_methods, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET,                                  \
	  "names of the methods; current: callable now")                                           \
	X(framework_start_init, RPC_STARTUP, "loads the configuration (after --wait-for-rpc)")     \
	X(framework_wait_init, RPC_STARTUP | RPC_RUNTIME,                                          \
	  "answers when the configuration is loaded")                                              \
	X(framework_get_subsystems, RPC_RUNTIME | RPC_QUIET,                                       \
	  "names of the parts of the configuration")                                               \
	X(framework_get_config, RPC_RUNTIME | RPC_QUIET,                                           \
	  "the calls that make one part of the configuration")                                     \
	X(framework_get_reactors, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET,                           \
	  "threads of the data path and their load")                                               \
	X(save_config, RPC_RUNTIME, "writes the configuration and returns it")                     \
	X(load_config, RPC_RUNTIME, "carries out a configuration on top of what is there")         \
	X(bdev_get_bdevs, RPC_RUNTIME | RPC_QUIET, "block devices")                                \
	X(bdev_get_iostat, RPC_RUNTIME | RPC_QUIET, "counters of block devices")                   \
	X(bdev_wait_for_examine, RPC_RUNTIME, "answers when all devices were looked at for pools") \
	X(bdev_null_create, RPC_RUNTIME, "a device that stores nothing")                           \
	X(bdev_null_delete, RPC_RUNTIME, "deletes a null device")                                  \
	X(bdev_malloc_create, RPC_RUNTIME, "a device in memory")                                   \
	X(bdev_malloc_delete, RPC_RUNTIME, "deletes a memory device and its data")                 \
	X(bdev_aio_create, RPC_RUNTIME, "a device on a file or block device")                      \
	X(bdev_aio_delete, RPC_RUNTIME, "closes a file device; the file stays")                    \
	X(bdev_aio_rescan, RPC_RUNTIME, "takes on the new size of a file that has grown")          \
	X(bdev_set_qos_limit, RPC_RUNTIME, "limits of a device, changed live; 0: no limit")        \
	X(nvmf_create_transport, RPC_RUNTIME, "the TCP transport")                                 \
	X(nvmf_get_transports, RPC_RUNTIME | RPC_QUIET, "transports and their options")            \
	X(nvmf_create_subsystem, RPC_RUNTIME, "an NVM subsystem")                                  \
	X(nvmf_delete_subsystem, RPC_RUNTIME, "deletes a subsystem; its hosts are disconnected")   \
	X(nvmf_get_subsystems, RPC_RUNTIME | RPC_QUIET,                                            \
	  "subsystems with namespaces, listeners and hosts")                                       \
	X(nvmf_subsystem_add_ns, RPC_RUNTIME, "exports a block device as a namespace")             \
	X(nvmf_subsystem_remove_ns, RPC_RUNTIME, "removes a namespace")                            \
	X(nvmf_subsystem_add_listener, RPC_RUNTIME, "makes a subsystem reachable at an address")   \
	X(nvmf_subsystem_remove_listener, RPC_RUNTIME, "ends that; its connections are closed")    \
	X(nvmf_subsystem_listener_set_ana_state, RPC_RUNTIME, "ANA state of a path")               \
	X(nvmf_subsystem_get_listeners, RPC_RUNTIME | RPC_QUIET,                                   \
	  "addresses of a subsystem and their ANA states")                                         \
	X(nvmf_subsystem_add_host, RPC_RUNTIME, "allows a host")                                   \
	X(nvmf_subsystem_remove_host, RPC_RUNTIME, "disallows a host and disconnects it")          \
	X(nvmf_subsystem_allow_any_host, RPC_RUNTIME,                                              \
	  "allows every host, or only the listed ones")                                            \
	X(nvmf_get_stats, RPC_RUNTIME | RPC_QUIET, "counters of the transport, per reactor")       \
	X(nvmf_subsystem_get_controllers, RPC_RUNTIME | RPC_QUIET,                                 \
	  "connected controllers of a subsystem")                                                  \
	X(nvmf_subsystem_get_qpairs, RPC_RUNTIME | RPC_QUIET, "connected queues of a subsystem")   \
	X(bdev_lvol_create_lvstore, RPC_RUNTIME, "makes a pool on a block device")                 \
	X(bdev_lvol_rename_lvstore, RPC_RUNTIME, "renames a pool")                                 \
	X(bdev_lvol_grow_lvstore, RPC_RUNTIME, "takes on the space of a device that has grown")    \
	X(bdev_lvol_delete_lvstore, RPC_RUNTIME, "destroys a pool with all its volumes")           \
	X(bdev_lvol_get_lvstores, RPC_RUNTIME | RPC_QUIET, "pools and their space")                \
	X(bdev_lvol_create, RPC_RUNTIME, "a volume, thick unless thin_provision")                  \
	X(bdev_lvol_snapshot, RPC_RUNTIME, "a snapshot of a volume, at once")                      \
	X(bdev_lvol_clone, RPC_RUNTIME, "a volume that starts as a snapshot")                      \
	X(bdev_lvol_clone_bdev, RPC_RUNTIME, "not supported: says so")                             \
	X(bdev_lvol_rename, RPC_RUNTIME, "renames a volume or snapshot")                           \
	X(bdev_lvol_resize, RPC_RUNTIME, "to an absolute size; smaller only with force")           \
	X(bdev_lvol_set_read_only, RPC_RUNTIME, "not supported: says so")                          \
	X(bdev_lvol_delete, RPC_RUNTIME, "deletes a volume or snapshot")                           \
	X(bdev_lvol_inflate, RPC_RUNTIME, "copies all that a volume shares, in the background")    \
	X(bdev_lvol_decouple_parent, RPC_RUNTIME, "the same for the snapshot right below")         \
	X(bdev_lvol_get_lvols, RPC_RUNTIME | RPC_QUIET, "volumes and snapshots")                   \
	X(litepool_pool_open, RPC_RUNTIME, "opens the pool on a block device")                     \
	X(litepool_pool_close, RPC_RUNTIME, "closes a pool; its block device is free then")        \
	X(litepool_pool_set, RPC_RUNTIME, "commit limit, reserved space, watermarks")              \
	X(litepool_pool_stats, RPC_RUNTIME | RPC_QUIET, "counters of pools")                       \
	X(litepool_pool_scrub_start, RPC_RUNTIME, "reads a pool in the background for rot")        \
	X(litepool_pool_scrub_stop, RPC_RUNTIME, "stops that; the next start goes on there")       \
	X(litepool_pool_scrub_status, RPC_RUNTIME | RPC_QUIET,                                     \
	  "how far it is and what it has found")                                                   \
	X(litepool_volume_snapshot_group, RPC_RUNTIME, "snapshots of several volumes in one cut")  \
	X(litepool_volume_revert, RPC_RUNTIME, "puts a volume back to a snapshot of its chain")    \
	X(litepool_volume_promote, RPC_RUNTIME, "gives a clone the snapshots it was cloned from")  \
	X(litepool_volume_get_props, RPC_RUNTIME | RPC_QUIET,                                      \
	  "what a volume keeps of itself on its disk")                                             \
	X(litepool_volume_set_props, RPC_RUNTIME, "labels, and whether it was ever formatted")     \
	X(litepool_volume_usage, RPC_RUNTIME | RPC_QUIET,                                          \
	  "own, shared and exclusive space of a volume")                                           \
	X(litepool_volume_extents, RPC_RUNTIME, "allocated ranges, or changed ones since a base")  \
	X(litepool_volume_work, RPC_RUNTIME | RPC_QUIET,                                           \
	  "background work on volumes and its progress")                                           \
	X(notify_get_types, RPC_RUNTIME | RPC_QUIET, "types of events")                            \
	X(notify_get_notifications, RPC_RUNTIME | RPC_QUIET, "events from an id on")               \
	X(litepool_fault_create, RPC_RUNTIME, "a fault layer over a block device")                 \
	X(litepool_fault_delete, RPC_RUNTIME, "deletes a fault layer")                             \
	X(litepool_fault_add, RPC_RUNTIME,                                                         \
	  "adds a rule to a fault layer (not kept over a restart)")                                \
	X(litepool_fault_remove, RPC_RUNTIME, "removes a rule, or all")                            \
	X(litepool_fault_list, RPC_RUNTIME | RPC_QUIET, "rules and how often each acted")          \
	X(litepool_engine_status, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET,                           \
	  "version, state, reactors, buffers")                                                     \
	X(litepool_metrics, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET, "all counters and histograms")  \
	X(litepool_log_set_level, RPC_STARTUP | RPC_RUNTIME | RPC_QUIET,                           \
	  "error, warn, info or debug")                                                            \
	X(litepool_upgrade_start, RPC_RUNTIME,                                                     \
	  "hands over to a new engine, without a pause that hosts notice")                         \
	X(litepool_upgrade_status, RPC_RUNTIME | RPC_QUIET, "the upgrade under way, or the last")  \
	X(litepool_upgrade_abort, RPC_RUNTIME | RPC_QUIET,                                         \
	  "gives the upgrade up; this engine goes on")                                             \
	X(litepool_config_retry, RPC_RUNTIME, "tries again the entries that failed when loaded")   \
	X(litepool_config_forget, RPC_RUNTIME, "takes such an entry out of the configuration")

#define RPC_DECLARE(name, states, summary)                                                         \
	void rpc_##name(struct rpc_call *call, const json_t *params, void *ctx);
RPC_METHODS(RPC_DECLARE)

#endif
