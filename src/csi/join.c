/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/join.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "csi/nvme_host.h"
#include "csi/plane.h"
#include "csi/plane_names.h"
#include "kube/client_http.h"
#include "kube/text.h"
#include "rt/process.h"

#define LOOK_MS    1000
#define CALL_MS    15000
#define LEVELS_MAX 4

struct csi_join {
	struct kube_client *client;
	struct csi_plane *plane;
	struct nvme_host *host;
	struct csi_node *node;
	json_t *object; /* the StorageNode; lends its strings to those above */
	struct csi_pair levels[LEVELS_MAX];
	size_t n_levels;
};

static int connect_api(const struct csi_opts *opts, struct kube_client **ret, struct err *err)
{
	struct kube_http_options options = {.user_agent = "litepool-csi", .timeout_ms = CALL_MS};
	struct kube_config config = {.server = NULL};
	int rc = kube_config_find(opts->server, opts->kubeconfig, &config, err);

	if (!rc)
		rc = kube_client_http_new(&config, &options, ret, err);
	kube_config_fini(&config);
	return rc;
}

/* Once each for every reason. */
static void say_waiting(const char *name, const struct kube_error *error, enum kube_reason *said)
{
	if (*said == error->reason)
		return;
	*said = error->reason;
	log_warn("csi.waits_for_node",
		 "node=%s reason=\"%s\" remedy=\"the agent of this node makes its StorageNode; see "
		 "whether litepool-agent runs here\"",
		 name, error->err.text);
}

static int wait_node(struct csi_join *join, const char *name, struct err *err)
{
	struct kube_ref ref = {.res = kube_resource_by_kind("StorageNode"), .name = name};
	enum kube_reason said = KUBE_REASON_COUNT;

	for (;;) {
		_cleanup_kube_error_ struct kube_error error = {.causes = NULL};

		if (kube_get(join->client, &ref, &join->object, &error) == 0)
			return 0;
		say_waiting(name, &error, &said);
		if (process_wait(LOOK_MS) != -ETIMEDOUT)
			return err_set(err, -ECANCELED, "told to end while waiting for the node");
	}
}

static void read_levels(struct csi_join *join)
{
	static const struct {
		const char *key, *path;
	} levels[LEVELS_MAX] = {{PLANE_TOPOLOGY_NODE, "metadata.name"},
				{PLANE_TOPOLOGY_RACK, "spec.topology.rack"},
				{PLANE_TOPOLOGY_ACCESS_POINT, "spec.topology.accessPoint"},
				{PLANE_TOPOLOGY_ZONE, "spec.topology.zone"}};

	for (size_t i = 0; i < LEVELS_MAX; i++) {
		const char *value = kube_str(join->object, levels[i].path);

		if (value[0])
			join->levels[join->n_levels++] = (struct csi_pair){levels[i].key, value};
	}
}

static int join_node(struct csi_join *join, const struct csi_opts *opts, struct err *err)
{
	struct nvme_host_config host = {.client = join->client, .node = opts->node_id};
	struct csi_node_config node = {.node_id = opts->node_id};
	json_int_t max;
	int rc = wait_node(join, opts->node_id, err);

	if (rc)
		return rc;
	host.hostnqn = kube_str(join->object, "spec.hostNQN");
	host.hostid = kube_str(join->object, "spec.hostID");
	rc = nvme_host_new(&host, &join->host, err);
	if (rc)
		return rc;
	read_levels(join);
	max = json_integer_value(kube_at(join->object, "spec.maxAttachedVolumes"));
	node.max_volumes = opts->max_volumes ? opts->max_volumes : (uint32_t)max;
	node.topology = (struct csi_map){join->levels, join->n_levels};
	node.host = nvme_host_table(join->host);
	return csi_node_new(&node, &join->node, err);
}

int csi_join(const struct csi_opts *opts, struct csi_service *service, struct csi_join **ret,
	     struct err *err)
{
	struct csi_join *join = calloc(1, sizeof(*join));
	struct csi_plane_config plane = {.client = NULL};
	int rc = join ? connect_api(opts, &join->client, err)
		      : err_set(err, -ENOMEM, "no memory to start");

	if (!rc && opts->services & CSI_NODE)
		rc = join_node(join, opts, err);
	if (!rc && opts->services & CSI_CONTROLLER) {
		plane.client = join->client;
		rc = csi_plane_new(&plane, &join->plane, err);
	}
	if (rc) {
		csi_part(join);
		return rc;
	}
	if (join->plane)
		service->backend = csi_plane_backend(join->plane);
	service->node = join->node;
	*ret = join;
	return 0;
}

void csi_part(struct csi_join *join)
{
	if (!join)
		return;
	csi_plane_free(join->plane);
	csi_node_free(join->node);
	nvme_host_free(join->host);
	json_decref(join->object);
	kube_client_free(join->client);
	free(join);
}
