/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend (backend.h) on LitePool's API objects: a volume is a StorageVolume, a snapshot a StorageSnapshot. The driver states what is wanted in
 * their specs and waits until controller and agents have made it so; it keeps nothing of its own, so any instance goes on where another stopped.
 *
 * Ids are "NAME:UID" of the object. The name finds it; the UID is why an object that was deleted and made again under the same name is another
 * volume, and it tells a node the volume's NQN without the API (plane_names.h).
 */
#ifndef LITEPOOL_CSI_PLANE_H
#define LITEPOOL_CSI_PLANE_H

#include "base/err.h"
#include "csi/backend.h"

struct kube_client;
struct csi_plane;

struct csi_plane_config {
	struct kube_client *client; /* borrowed */
	uint32_t wait_ms;           /* the longest that one call waits; 0: 60 s */
};

/* Starts to follow the API on threads of its own; the API need not be there yet. */
int csi_plane_new(const struct csi_plane_config *config, struct csi_plane **ret, struct err *err);
/* After the last call has ended. NULL is fine. */
void csi_plane_free(struct csi_plane *plane);
/* Its ctx is the plane; lives as long. */
const struct csi_backend *csi_plane_backend(const struct csi_plane *plane);

/* Parameters of StorageClasses and VolumeAttributesClasses as rows of a Markdown table, as docs/kubernetes.md has them. */
void csi_plane_parameters_print(void (*line)(void *ctx, const char *text), void *ctx);

#endif
