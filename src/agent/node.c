/* SPDX-License-Identifier: Apache-2.0 */
/* The StorageNode of this node: made at the first start, then its spec belongs to the administrators and its status to us. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/link.h"
#include "agent/watch.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "host/attach.h"
#include "host/identity.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/fs.h"

static json_t *addresses(const struct agent *a)
{
	const char *text = a->opts->addresses ? a->opts->addresses : "";
	json_t *list = json_array();

	while (*text) {
		size_t len = strcspn(text, ",");

		if (len)
			(void)json_array_append_new(list, json_stringn(text, len));
		text += len;
		text += *text == ',';
	}
	return list;
}

static void put(json_t *obj, const char *member, const char *text)
{
	if (text && text[0])
		(void)json_object_set_new(obj, member, json_string(text));
}

static int node_make(struct agent *a, const struct host_identity *identity)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *topology = json_object(), *node = NULL;
	struct kube_ref ref = object_ref("StorageNode", a->node, NULL);
	int rc;

	put(topology, "rack", a->opts->rack);
	put(topology, "zone", a->opts->zone);
	put(topology, "accessPoint", a->opts->access_point);
	node = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:o, s:O}}", "apiVersion",
			 KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageNode", "metadata", "name",
			 a->node, "spec", "hostNQN", identity->nqn, "hostID", identity->id,
			 "addresses", addresses(a), "topology", topology);
	rc = kube_create(a->api, &ref, node, NULL, &error);
	if (rc && rc != -EEXIST)
		log_error("agent.node.not_made", "reason=\"%s\"", error.err.text);
	else if (!rc)
		log_info("agent.node.made", "node=%s nqn=%s", a->node, identity->nqn);
	return rc == -EEXIST ? 0 : rc;
}

static void kernel_version(struct agent *a, char *text, size_t size)
{
	_cleanup_free_ char *file = NULL;
	size_t len;

	text[0] = '\0';
	if (fs_read("/proc/sys/kernel/osrelease", 256, &file, &len, NULL) < 0)
		return;
	(void)snprintf(text, size, "%.*s", (int)strcspn(file, "\n"), file);
}

static void set_identity(struct status *s, const json_t *node, const struct host_identity *identity,
			 const struct err *err)
{
	if (err->code)
		status_condition(s, "HostIdentity", false, "NotKnown", "%s", err->text);
	else if (strcmp(kube_str(node, "spec.hostNQN"), identity->nqn) != 0)
		status_condition(
			s, "HostIdentity", false, "Differs",
			"this host is %s, and volumes are opened to %s, as spec.hostNQN says: set "
			"/etc/nvme/hostnqn to that. To change spec.hostNQN instead, drain the node "
			"first (its connections are cut), and restart its litepool-csi after it",
			identity->nqn, kube_str(node, "spec.hostNQN"));
	else
		status_condition(s, "HostIdentity", true, "Same", "spec.hostNQN is this host's");
}

static int node_tell(struct agent *a, const json_t *node, const struct host_identity *identity,
		     const struct err *err)
{
	_cleanup_json_ json_t *attached = host_list(&a->host, false);
	_cleanup_status_ struct status s = {0};
	struct watch_state engine;
	char kernel[128];

	watch_get(a->watch, &engine);
	kernel_version(a, kernel, sizeof(kernel));
	if (status_begin(a, "StorageNode", node, &s))
		return -ENOMEM;
	if (engine.version[0])
		status_set_text(&s, "engineVersion", engine.version);
	status_set_text(&s, "agentVersion", LITEPOOL_VERSION);
	status_set_text(&s, "kernelVersion", kernel);
	status_set(&s, "attachedVolumes", json_integer((json_int_t)json_array_size(attached)));
	if (engine.up)
		status_condition(&s, "Ready", true, "EngineRuns", "the engine answers");
	else
		status_condition(&s, "Ready", false, "EngineDown", "%s", engine.reason);
	set_identity(&s, node, identity, err);
	return status_commit(&s);
}

int node_reconcile(struct agent *a, const char *name)
{
	_cleanup_json_ json_t *node = informer_get(a->nodes, "", a->node);
	struct host_identity identity = {0};
	struct err err = {0};
	int rc = host_identity_get(&a->host, &identity, &err);

	if (node)
		return node_tell(a, node, &identity, &err);
	if (rc) {
		log_error("agent.node.no_identity", "reason=\"%s\"", err.text);
		return rc;
	}
	return node_make(a, &identity); /* the informer brings it, and with it the status */
}
