/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching a volume to this host, and taking it away again: by the kernel's nvme-tcp. All functions block until done or until the
 * time is over; they wait for the kernel's events and look again only when it says that some were lost. Any thread but a reactor's.
 *
 * What must be true (also for CSI on top of it):
 * 1. attach is idempotent: a controller that is there, live or reconnecting, is used and not made again.
 * 2. An attach that fails, is cancelled or runs out of time takes back the controllers that it made, unless another attach counts on them.
 * 3. detach never takes a device away that is in use, nor one that another attach on this host wants.
 * 4. Attaches and detaches of one subsystem exclude each other while they change controllers: a lock and a record of each wanted namespace are in
 *    /run/litepool/host/NQN/ (the kernel's controllers end with the same boot as /run).
 *
 * The kernel makes one connection after the other for the whole host, and a write to /dev/nvme-fabrics cannot be interrupted. So an attach first asks the
 * target itself (ICReq) whether it answers, with its deadline; only an engine that stops answering just then holds it past the deadline, until the kernel's own
 * limits (10 to 70 s) are over. The same holds for a detach from an engine that hangs.
 */
#ifndef LITEPOOL_HOST_ATTACH_H
#define LITEPOOL_HOST_ATTACH_H

#include <jansson.h>

#include "host/host.h"

#define HOST_PATHS_MAX 8

struct host_path {
	char traddr[HOST_ADDR_SIZE]; /* IPv4 or IPv6 address */
	char trsvcid[8];             /* TCP port */
	char iface[16];              /* leave by this interface; "": any */
};

/* 0 (and -1 where it says so): the kernel's default. Times are in seconds. */
struct host_attach_opts {
	int ctrl_loss_tmo; /* how long a lost path is tried again; -1: for ever */
	int reconnect_delay, fast_io_fail_tmo, nr_io_queues, keep_alive_tmo;
	bool hdr_digest, data_digest;
};

struct host_attach_req {
	const char *nqn;
	const char *hostnqn, *hostid; /* NULL: of this host, see identity.h */
	struct host_id id;
	const struct host_path *paths;
	unsigned n_paths;
	struct host_attach_opts opts;
	int timeout_ms; /* < 0: no limit */
};

enum host_path_outcome {
	HOST_PATH_UNTRIED,
	HOST_PATH_CONNECTED,
	HOST_PATH_REUSED,
	HOST_PATH_FAILED
};

struct host_attach_result {
	struct host_device device;
	enum host_path_outcome paths[HOST_PATHS_MAX];
	struct err path_err[HOST_PATHS_MAX]; /* of those that failed */
};

/*
 * 0 when the device is there and at least one path was connected or used again. Else a negative errno with err: -ETIMEDOUT, -ECANCELED, -ECONNREFUSED,
 * -EACCES (not on the allow-list), -ENOENT (the namespace is not in the subsystem: it can still arrive until the deadline), -EEXIST (of another subsystem),
 * -ENODEV (no /dev node), -EINVAL, -EOPNOTSUPP (no nvme-tcp), ...
 */
int host_attach(const struct host_env *env, const struct host_attach_req *req,
		struct host_attach_result *ret, struct err *err);

struct host_detach_req {
	const char *nqn;    /* NULL: whatever subsystem it is in */
	const char *device; /* "/dev/nvme0n1" or "nvme0n1"; NULL: by id */
	struct host_id id;
	int timeout_ms;
};

/*
 * 0: gone, or was not there. 1: given up by this caller, and still there, because another wanted or used namespace shares its controllers; it goes with the
 * last of them. -EBUSY with err: in use, and by whom. -ETIMEDOUT, -ECANCELED, -EINVAL.
 */
int host_detach(const struct host_env *env, const struct host_detach_req *req, struct err *err);
/*
 * Ends all controllers of a subsystem, whatever uses its namespaces: what is to be written to them fails now, and never lands. For a subsystem that this host was thrown
 * out of. 0, also when there were none; -ETIMEDOUT (for the lock), or what the kernel says.
 */
int host_abandon(const struct host_env *env, const char *nqn, int timeout_ms, struct err *err);

/* A new array of the attached LitePool devices (all: of every NVMe/TCP device), as `litepool host list -o json` shows. NULL: no memory. */
json_t *host_list(const struct host_env *env, bool all);
/* The same object for one. */
json_t *host_device_json(const struct host_device *device);

/*
 * Waits until the device has at least size_bytes; asks the controllers once to look again. 0 with *ret_size_bytes; -ENOENT: no such device (any more); -ETIMEDOUT;
 * -ECANCELED.
 */
int host_wait_size(const struct host_env *env, const char *device, uint64_t size_bytes,
		   int timeout_ms, uint64_t *ret_size_bytes, struct err *err);

#endif
