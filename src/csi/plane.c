/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/plane.h"

#include <errno.h>
#include <stdlib.h>

#include "csi/plane_priv.h"
#include "kube/informer.h"
#include "kube/meta.h"

#define WAIT_MS 60000

static void changed(void *ctx, const json_t *old, const json_t *obj)
{
	plane_wake(ctx, kube_name(obj ? obj : old));
}

static int follow(struct csi_plane *plane, const struct kube_resource *res, struct informer **ret,
		  struct err *err)
{
	struct informer_config config = {
		.client = plane->client, .res = res, .changed = changed, .ctx = plane};
	int rc = informer_new(&config, ret, err);

	return rc ? rc : informer_start(*ret, err);
}

static const struct csi_backend functions = {
	.probe = plane_probe,
	.create_volume = plane_create_volume,
	.delete_volume = plane_delete_volume,
	.get_volume = plane_get_volume,
	.list_volumes = plane_list_volumes,
	.publish = plane_publish,
	.unpublish = plane_unpublish,
	.get_capacity = plane_get_capacity,
	.expand_volume = plane_expand_volume,
	.modify_volume = plane_modify_volume,
	.create_snapshot = plane_create_snapshot,
	.delete_snapshot = plane_delete_snapshot,
	.get_snapshot = plane_get_snapshot,
	.list_snapshots = plane_list_snapshots,
	.create_group = plane_create_group,
	.delete_group = plane_delete_group,
	.get_group = plane_get_group,
	.extents = plane_extents,
};

int csi_plane_new(const struct csi_plane_config *config, struct csi_plane **ret, struct err *err)
{
	struct csi_plane *plane = calloc(1, sizeof(*plane));
	int rc = plane ? lock_new(&plane->lock) : -ENOMEM;

	if (rc) {
		free(plane);
		return err_set(err, rc, "no memory for the controller service");
	}
	plane->backend = functions;
	plane->backend.ctx = plane;
	plane->client = config->client;
	plane->wait_ms = config->wait_ms ? config->wait_ms : WAIT_MS;
	plane->volume = kube_resource_by_kind("StorageVolume");
	plane->snapshot = kube_resource_by_kind("StorageSnapshot");
	plane->node = kube_resource_by_kind("StorageNode");
	plane->pool = kube_resource_by_kind("StoragePool");
	rc = follow(plane, plane->volume, &plane->volumes, err);
	if (!rc)
		rc = follow(plane, plane->snapshot, &plane->snapshots, err);
	if (rc) {
		csi_plane_free(plane);
		return rc;
	}
	*ret = plane;
	return 0;
}

void csi_plane_free(struct csi_plane *plane)
{
	if (!plane)
		return;
	informer_free(plane->volumes);
	informer_free(plane->snapshots);
	lock_free(plane->lock);
	free(plane);
}

const struct csi_backend *csi_plane_backend(const struct csi_plane *plane)
{
	return &plane->backend;
}

/* Ready when the API has answered once; what it does not answer later, each call tells by itself. */
enum grpc_code plane_probe(void *ctx, struct csi_op *op, bool *ret_ready)
{
	struct csi_plane *plane = ctx;

	*ret_ready = informer_synced(plane->volumes) && informer_synced(plane->snapshots);
	return GRPC_OK;
}
