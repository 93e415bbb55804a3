/* SPDX-License-Identifier: Apache-2.0 */
/* Names that driver, agent and controller agree on, and ids out of them. Pure. */
#ifndef LITEPOOL_CSI_PLANE_NAMES_H
#define LITEPOOL_CSI_PLANE_NAMES_H

#include <stdbool.h>

#include "base/uuid.h"

#define PLANE_NAME_SIZE             64  /* an object's name of ours: a DNS label */
#define PLANE_ID_SIZE               101 /* NAME:UID */
#define PLANE_NQN_SIZE              80
#define PLANE_NQN_PREFIX            "nqn.2026-11.io.litepool:volume:"

#define PLANE_TOPOLOGY_NODE         "topology.litepool.io/node"
#define PLANE_TOPOLOGY_RACK         "topology.litepool.io/rack"
#define PLANE_TOPOLOGY_ACCESS_POINT "topology.litepool.io/access-point"
#define PLANE_TOPOLOGY_ZONE         "topology.litepool.io/zone"

/* Keys of the publish context. */
#define PLANE_CONTEXT_NQN     "nqn"
#define PLANE_CONTEXT_NGUID   "nguid"
#define PLANE_CONTEXT_NSID    "nsid"
#define PLANE_CONTEXT_TARGETS "targets" /* "192.0.2.1:4420,[2001:db8::1]:4420" */
/* Alone: the node has the volume as this device, and there is nothing to connect to. */
#define PLANE_CONTEXT_DEVICE "devicePath"

struct plane_id {
	char name[PLANE_NAME_SIZE];
	struct uuid uid;
};

/* False: not one of ours, so it names nothing. */
bool plane_id_parse(const char *text, struct plane_id *ret);
/* The subsystem that the agent makes for a volume. */
const char *plane_volume_nqn(const struct uuid *uid, char nqn[PLANE_NQN_SIZE]);
/*
 * The object's name for a name that a client of CSI chose. One that is fit is taken as it is, so that people find "pvc-..." again; others, which can be 128 bytes
 * of anything, become "csi-" and a hash. Names that begin with "csi-" are hashed, too, so that no name can be chosen to meet another's hash.
 */
void plane_object_name(const char *chosen, char name[PLANE_NAME_SIZE]);

#endif
