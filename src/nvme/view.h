/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the data reactors know of a subsystem: an immutable picture (struct subsys_view) that the control thread publishes and each
 * reactor swaps in between two commands. Each request counts itself in the slot of the view that its checks saw, until it is answered
 * (or, when it lends the disk's memory to the transport, released). A reactor acknowledges the swap when the last request of the old
 * view has left, so the end of a publish means: every command that saw the old state has ended.
 *
 * No publish waits for a host: a request that must wait for a buffer, or for the host's data, or for QoS tokens does not stay in an
 * old view; it is checked again under the current one before it goes on; and an answer that a host does not read keeps a copy, not the
 * disk's memory. Only what is with the disk is waited for.
 * Removal of namespaces and hosts, ANA changes, reservation preemption and (later) snapshots all
 * stand on this one rule; nobody takes a lock on the data path.
 */
#ifndef LITEPOOL_NVME_VIEW_H
#define LITEPOOL_NVME_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "nvme/target.h"

struct nvme_ns;

#define RESV_HOSTS_MAX 64

struct resv_view {       /* what a command needs to decide on a conflict */
	uint8_t type;    /* 0: no reservation; else Base 8.19's type 1..6 */
	uint8_t n_hosts; /* registrants */
	int8_t holder;   /* index in host[], -1: none or all registrants */
	uint8_t host[RESV_HOSTS_MAX][16];
};

struct ns_view {
	struct nvme_ns *ns; /* counters; lives while a view names it */
	struct blk_dev *dev;
	struct nvme_qos *qos; /* may be NULL */
	uint32_t nsid;
	uint32_t block_shift;
	uint32_t anagrpid;
	bool read_only;
	struct resv_view resv;
};

struct subsys_view {
	uint64_t generation;
	uint32_t nn;         /* entries of ns[] */
	uint32_t n_ports;    /* rows of ana[], by nvme_port index */
	struct ns_view **ns; /* ns[nsid - 1] or NULL */
	uint8_t *
		ana; /* ana[port * (nn + 1) + anagrpid]: enum nvme_ana_state, 0: port not a listener */
};

/* One per reactor and published view; its reactor's. */
struct view_slot {
	struct subsys_view *view;
	uint32_t inflight;
	bool retired;                 /* a newer one is current; acknowledged at inflight 0 */
	struct view_publish *publish; /* to acknowledge to */
	struct msg ack;
};

/* The reactor's current slot of ss; the caller counts itself in by view_enter(). Data or control reactor. */
struct view_slot *view_enter(struct nvme_subsystem *ss, unsigned reactor_id);
void view_leave(struct view_slot *slot);

/*
 * Control thread: builds the picture of ss as it stands and publishes it, whatever older publishes still wait for; done when it and all
 * before it are drained everywhere. When very many are under way, what comes is joined into the next.
 */
void view_publish(struct nvme_subsystem *ss, nvme_done_fn done, void *ctx);

#endif
