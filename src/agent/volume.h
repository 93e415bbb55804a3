/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of this node, between volume.c (the order of things), volume_lvol.c (data), volume_export.c (who reaches it). */
#ifndef LITEPOOL_AGENT_VOLUME_H
#define LITEPOOL_AGENT_VOLUME_H

#include "agent/engine.h"

/* What is found and made in one reconcile. All borrowed but what says owned. */
struct volume_work {
	struct agent *a;
	const json_t *volume, *pool;
	const char *uid;
	char nqn[224];
	uint64_t size_bytes; /* declared */
	json_t *lvol;        /* owned; as engine_lvol() */
	json_t *subsystem;   /* owned; as engine_subsystem() */
	json_t *targets;     /* owned; as status.targets */
	json_t *attached;    /* owned; as status.attachedNodes */
	const char *reason;  /* of a failure: one word */
	struct err err;
};

/*
 * Each brings one part to what is declared: 0, or a negative errno with w->err and w->reason.
 */
int volume_size(
	struct volume_work *w); /* size_bytes: what is declared, as far as it was promised */
int volume_lvol(struct volume_work *w);   /* there, of its size, with its label */
int volume_limits(struct volume_work *w); /* QoS */
int volume_export(struct volume_work *w); /* subsystem, namespace, listeners */
/* Hosts. What could not be allowed is in w->err with 0 (w->reason set): the rest is done. */
int volume_hosts(struct volume_work *w);
/*
 * After a failure of one of these: throws out who shall not be in, so that a volume that cannot be as it is declared holds up no detach. Sets w->attached
 * when it is known; w->err and w->reason stay.
 */
void volume_fence(struct volume_work *w);

/* The StorageSnapshot that a volume is made of, of any engine: a new reference; NULL: it is not there or not ready, with w->err and w->reason. */
json_t *volume_source_snapshot(struct volume_work *w, const char *name);

/* Export, data, in this order. 0 when nothing is left. */
int volume_remove(struct agent *a, const char *lvs_name, const char *uid, struct err *err);
/* The snapshot that a clone of a volume begins with: "POOL/clone-UID" without the pool. */
void volume_clone_name(const char *uid, char name[ENGINE_NAME_SIZE]);

#endif
