/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This machine as an NVMe/TCP host: the kernel's controllers and namespaces as sysfs shows them. This folder alone knows
 * /dev/nvme-fabrics and sysfs. Everything blocks: for worker threads and programs, never for a reactor. Functions may be called by many
 * threads at once, each with its own arguments.
 */
#ifndef LITEPOOL_HOST_HOST_H
#define LITEPOOL_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define HOST_NQN_SIZE   224 /* NVMe base specification, 4.5: at most 223 bytes */
#define HOST_CTRLS_MAX  16  /* of one subsystem; paths above that are not looked at */
#define HOST_ADDR_SIZE  64
#define HOST_STATE_SIZE 24

/* The kernel's side, so that tests can stand in for it. Members that are NULL: the real one. */
struct host_kernel {
	void *ctx;
	/* Writes options to /dev/nvme-fabrics. The number of the new controller, or a negative errno. err: what the kernel's log says, if anything. */
	int (*connect)(void *ctx, const char *options, struct err *err);
	/* Deletes a controller ("nvme3") and waits for its end. Negative errno. */
	int (*disconnect)(void *ctx, const char *ctrl);
	/* Whether an NVMe/TCP target answers there: 0, or as fabrics_probe() of fabrics.h. */
	int (*probe)(void *ctx, const char *traddr, uint16_t port, const char *iface,
		     int64_t deadline);
	/* A datagram descriptor that hears uevents, as uevent_open(). */
	int (*uevents)(void *ctx, struct err *err);
};

/* Where this host is. All borrowed. A zeroed one with cancel_fd = -1 is the machine itself. */
struct host_env {
	const char *root; /* in front of /sys, /dev, /proc, /run and /etc; NULL: nothing */
	int cancel_fd;    /* readable: give up, with -ECANCELED; -1: none */
	const struct host_kernel *kernel;
};

enum host_id_kind { HOST_ID_NONE, HOST_ID_NGUID, HOST_ID_UUID, HOST_ID_NSID };

/* Which namespace. By NSID alone it is only known together with a subsystem. */
struct host_id {
	enum host_id_kind kind;
	uint8_t b[16]; /* NGUID or UUID, as on the wire */
	uint32_t nsid;
};

struct host_ctrl {
	char name[16]; /* "nvme3" */
	unsigned instance;
	char traddr[HOST_ADDR_SIZE], trsvcid[16], iface[16];
	char hostnqn[HOST_NQN_SIZE];
	char state[HOST_STATE_SIZE]; /* "live", "connecting", "deleting", ... as the kernel says */
	char ana_state[HOST_STATE_SIZE]; /* of a device's path; "" when the kernel says none */
};

struct host_ctrls {
	unsigned n;
	struct host_ctrl at[HOST_CTRLS_MAX];
};

/* A namespace that has a block device. */
struct host_device {
	char name[32]; /* "nvme0n1"; with native multipath the one device for all paths */
	char path[40]; /* "/dev/nvme0n1" */
	char nqn[HOST_NQN_SIZE], model[48], nguid[40], uuid[40];
	uint32_t nsid, block_size;
	uint64_t size_bytes;
	struct host_ctrls ctrls; /* its paths */
};

/* An NGUID of 32 hex digits or either in the shape of a UUID. False: neither. */
bool host_id_parse(enum host_id_kind kind, const char *text, struct host_id *ret);
/* "NGUID 5f0a..." into text (at least 64 bytes); returns text. */
const char *host_id_format(const struct host_id *id, char *text);
bool host_id_matches(const struct host_id *id, const struct host_device *device);
/* 0, or -EINVAL with err: too long, or with characters that the kernel's option text cannot carry. */
int host_nqn_check(const char *nqn, struct err *err);

/* Controllers of a subsystem that are not going away: one pass over /sys/class/nvme. */
void host_ctrls_read(const struct host_env *env, const char *nqn, struct host_ctrls *ret);
/* By name; without ctrls unless paths is set. False: no such namespace (any more). */
bool host_device_read(const struct host_env *env, const char *name, bool paths,
		      struct host_device *ret);
/*
 * One pass over /sys/block. nqn NULL: of any subsystem. False: none. Without native multipath one namespace can have several devices: one whose controller is
 * live is preferred.
 */
bool host_device_find(const struct host_env *env, const char *nqn, const struct host_id *id,
		      struct host_device *ret);
/* For each namespace, until fn returns false. */
void host_device_each(const struct host_env *env, bool paths,
		      bool (*fn)(void *ctx, const struct host_device *device), void *ctx);
/* Whether the kernel makes one device of several paths. */
bool host_multipath(const struct host_env *env);

#endif
