/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct csi_host (node.h) on this machine: devices by the kernel's nvme-tcp (src/host), or where the publish context says so by the node's own (local.h); volumes' records in status.format of their objects.
 *
 * find and detach need no API: a volume's id tells its NQN, and its UID.
 */
#ifndef LITEPOOL_CSI_NVME_HOST_H
#define LITEPOOL_CSI_NVME_HOST_H

#include "base/err.h"
#include "csi/node.h"

struct kube_client;
struct nvme_host;

struct nvme_host_config {
	struct kube_client *client;   /* borrowed */
	const char *node;             /* the StorageNode's name; borrowed */
	const char *hostnqn, *hostid; /* as the StorageNode says; borrowed. "" : this machine's */
	const char *root;             /* NULL: the machine itself; for tests */
};

int nvme_host_new(const struct nvme_host_config *config, struct nvme_host **ret, struct err *err);
/* After the last call. NULL is fine. */
void nvme_host_free(struct nvme_host *host);
/* Lives as long. */
const struct csi_host *nvme_host_table(const struct nvme_host *host);

/* Whether the node is in status.attachedNodes. */
enum grpc_code record_lets_in(struct kube_client *client, struct csi_op *op, const char *volume_id,
			      const char *node, bool *ret);
/* Also for hosts of tests whose volumes are StorageVolumes. */
enum grpc_code record_get(struct kube_client *client, struct csi_op *op, const char *volume_id,
			  struct csi_format *ret);
enum grpc_code record_set(struct kube_client *client, struct csi_op *op, const char *volume_id,
			  const struct csi_format *format);

#endif
