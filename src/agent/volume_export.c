/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reaches a volume: a subsystem of its own with one namespace, listeners on the node's addresses, and the hosts of the nodes that shall have it.
 *
 * Fencing: a host that is not wanted is removed before one is added, and the engine answers a removal only when that host's connections are cut and nothing of it can land any
 * more. If a removal fails nobody is added. status.attachedNodes is what the engine allows after that.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/volume.h"
#include "base/json.h"
#include "kube/meta.h"
#include "kube/text.h"

/* Stable for the life of the volume, wherever it is served. */
static void serial_of(const char *uid, char serial[21])
{
	size_t n = 2;

	memcpy(serial, "LP", 3);
	for (; *uid && n < 20; uid++)
		if (*uid != '-')
			serial[n++] = *uid;
	serial[n] = '\0';
}

static void nguid_of(const char *uid, char nguid[33])
{
	size_t n = 0;

	for (; *uid && n < 32; uid++)
		if (*uid != '-')
			nguid[n++] = *uid;
	nguid[n] = '\0';
}

static int look(struct volume_work *w)
{
	json_decref(w->subsystem);
	w->subsystem = NULL;
	return engine_subsystem(w->a, w->nqn, &w->subsystem, &w->err);
}

/* Each node starts its transport when its first volume needs it. */
static int transport(struct volume_work *w)
{
	_cleanup_json_ json_t *list = NULL;
	int rc = engine_call(w->a, "nvmf_get_transports", NULL, &list, &w->err);

	if (rc || json_array_size(list))
		return rc;
	rc = engine_do(w->a, "nvmf_create_transport", json_pack("{s:s}", "trtype", "TCP"), &w->err);
	return rc == -EEXIST ? 0 : rc;
}

static int subsystem(struct volume_work *w)
{
	char serial[21];
	int rc = look(w);

	if (rc != -ENODEV)
		return rc;
	serial_of(w->uid, serial);
	rc = engine_do(w->a, "nvmf_create_subsystem",
		       json_pack("{s:s, s:s, s:s, s:b, s:b}", "nqn", w->nqn, "serial_number",
				 serial, "model_number", "LitePool volume", "allow_any_host", false,
				 "ana_reporting", true),
		       &w->err);
	return rc && rc != -EEXIST ? rc : look(w);
}

static int namespace(struct volume_work *w)
{
	const json_t *ns = json_array_get(json_object_get(w->subsystem, "namespaces"), 0);
	char nguid[33];
	int rc;

	if (ns && !strcmp(kube_str(ns, "uuid"), w->uid) &&
	    json_integer_value(json_object_get(ns, "nsid")) == 1)
		return 0;
	if (ns)
		return err_set(
			&w->err, -EEXIST,
			"%s has namespace %lld of volume %s; remove it with litepool engine ns "
			"remove",
			w->nqn, (long long)json_integer_value(json_object_get(ns, "nsid")),
			kube_str(ns, "uuid"));
	nguid_of(w->uid, nguid);
	rc = engine_do(w->a, "nvmf_subsystem_add_ns",
		       json_pack("{s:s, s:{s:s, s:i, s:s, s:s}}", "nqn", w->nqn, "namespace",
				 "bdev_name", w->uid, "nsid", 1, "uuid", w->uid, "nguid", nguid),
		       &w->err);
	return rc ? rc : look(w);
}

static int only_listed_hosts(struct volume_work *w)
{
	if (!json_is_true(json_object_get(w->subsystem, "allow_any_host")))
		return 0;
	return engine_do(w->a, "nvmf_subsystem_allow_any_host",
			 json_pack("{s:s, s:b}", "nqn", w->nqn, "allow_any_host", false), &w->err);
}

/* ---- listeners ---- */

static const json_t *listener_at(const struct volume_work *w, const char *address)
{
	const json_t *list = json_object_get(w->subsystem, "listen_addresses"), *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (!strcmp(kube_str(one, "traddr"), address))
			return one;
	return NULL;
}

static int listener_add(struct volume_work *w, const char *address)
{
	char port[8];
	int rc;

	(void)snprintf(port, sizeof(port), "%u", w->a->opts->target_port);
	rc = engine_do(w->a, "nvmf_subsystem_add_listener",
		       json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "nqn", w->nqn, "listen_address",
				 "trtype", "TCP", "adrfam", strchr(address, ':') ? "IPv6" : "IPv4",
				 "traddr", address, "trsvcid", port),
		       &w->err);
	return rc == -EEXIST ? 0 : rc;
}

static int listeners_remove(struct volume_work *w, const json_t *addresses)
{
	_cleanup_json_ json_t *list =
		json_deep_copy(json_object_get(w->subsystem, "listen_addresses"));
	json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach (list, i, one) {
		if (rc || json_lists(addresses, kube_str(one, "traddr")))
			continue;
		rc = engine_do(w->a, "nvmf_subsystem_remove_listener",
			       json_pack("{s:s, s:O}", "nqn", w->nqn, "listen_address", one),
			       &w->err);
	}
	return rc;
}

static void targets(struct volume_work *w, const json_t *addresses)
{
	char nguid[33];
	json_t *one;
	size_t i;

	nguid_of(w->uid, nguid);
	w->targets = json_array();
	json_array_foreach ((json_t *)(uintptr_t)addresses, i, one) {
		const json_t *at = listener_at(w, json_string_value(one));

		if (at)
			(void)json_array_append_new(
				w->targets,
				json_pack("{s:O, s:I, s:s, s:i, s:s}", "address", one, "port",
					  (json_int_t)strtol(kube_str(at, "trsvcid"), NULL, 10),
					  "nqn", w->nqn, "nsid", 1, "nguid", nguid));
	}
}

static int listeners(struct volume_work *w)
{
	_cleanup_json_ json_t *node = informer_get(w->a->nodes, "", w->a->node);
	json_t *addresses = kube_at(node, "spec.addresses"), *one;
	int rc = 0;
	size_t i;

	w->reason = "NoAddress";
	if (!json_array_size(addresses))
		return err_set(
			&w->err, -EDESTADDRREQ,
			"StorageNode %s has no spec.addresses: nobody could reach the volume",
			w->a->node);
	w->reason = "ListenFailed";
	json_array_foreach (addresses, i, one)
		if (!rc && !listener_at(w, json_string_value(one)))
			rc = listener_add(w, json_string_value(one));
	if (!rc)
		rc = listeners_remove(w, addresses);
	if (!rc)
		rc = look(w);
	if (!rc)
		targets(w, addresses);
	return rc;
}

int volume_export(struct volume_work *w)
{
	int rc;

	w->reason = "ExportFailed";
	rc = transport(w);
	if (!rc)
		rc = subsystem(w);
	if (!rc)
		rc = only_listed_hosts(w);
	if (!rc)
		rc = namespace(w);
	return rc ? rc : listeners(w);
}

/* ---- hosts ---- */

/* The host's name of a node; NULL when it is not known. New reference in *ret_node. */
static const char *host_of(struct volume_work *w, const char *node, json_t **ret_node)
{
	*ret_node = informer_get(w->a->nodes, "", node);
	return *ret_node ? kube_str(*ret_node, "spec.hostNQN") : NULL;
}

/* Hosts that shall be allowed; names of nodes that cannot be are told by w->reason and w->err. */
static json_t *wanted_hosts(struct volume_work *w)
{
	const json_t *nodes = kube_at(w->volume, "spec.attachedNodes"), *one;
	const json_t *allowed = kube_at(w->volume, "spec.allowedNodes");
	json_t *hosts = json_array();
	size_t i;

	json_array_foreach (nodes, i, one) {
		const char *name = json_string_value(one), *nqn;
		_cleanup_json_ json_t *node = NULL;

		nqn = host_of(w, name, &node);
		if (json_array_size(allowed) && !json_lists(allowed, name)) {
			w->reason = "NodeNotAllowed";
			(void)err_set(&w->err, -EACCES, "node %s is not in spec.allowedNodes",
				      name);
		} else if (!nqn || !nqn[0]) {
			w->reason = "NodeUnknown";
			(void)err_set(&w->err, -ENOENT,
				      "there is no StorageNode %s, so its host's name is not known",
				      name);
		} else if (!json_lists(hosts, nqn)) {
			(void)json_array_append_new(hosts, json_string(nqn));
		}
	}
	return hosts;
}

static int hosts_remove(struct volume_work *w, const json_t *wanted)
{
	_cleanup_json_ json_t *have = json_deep_copy(json_object_get(w->subsystem, "hosts"));
	json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach (have, i, one) {
		const char *nqn = kube_str(one, "nqn");

		if (!rc && !json_lists(wanted, nqn))
			rc = engine_do(w->a, "nvmf_subsystem_remove_host",
				       json_pack("{s:s, s:s}", "nqn", w->nqn, "host", nqn),
				       &w->err);
	}
	return rc;
}

static bool has_host(const struct volume_work *w, const char *nqn)
{
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(w->subsystem, "hosts"), i, one)
		if (!strcmp(kube_str(one, "nqn"), nqn))
			return true;
	return false;
}

static int hosts_add(struct volume_work *w, const json_t *wanted)
{
	const json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach (wanted, i, one)
		if (!rc && !has_host(w, json_string_value(one)))
			rc = engine_do(w->a, "nvmf_subsystem_add_host",
				       json_pack("{s:s, s:O}", "nqn", w->nqn, "host", one),
				       &w->err);
	return rc;
}

/*
 * Nodes whose host is allowed now: of those that shall be, and of those that were. So of two nodes with the same host name none counts as gone while the name is allowed.
 */
static void attached(struct volume_work *w)
{
	const json_t *lists[] = {kube_at(w->volume, "spec.attachedNodes"),
				 kube_at(w->volume, "status.attachedNodes")};

	w->attached = json_array();
	for (size_t k = 0; k < 2; k++) {
		const json_t *one;
		size_t i;

		json_array_foreach (lists[k], i, one) {
			const char *name = json_string_value(one), *nqn;
			_cleanup_json_ json_t *node = NULL;

			nqn = host_of(w, name, &node);
			if (nqn && has_host(w, nqn) && !json_lists(w->attached, name))
				(void)json_array_append_new(w->attached, json_string(name));
		}
	}
}

int volume_hosts(struct volume_work *w)
{
	_cleanup_json_ json_t *wanted = NULL;
	struct err refused;
	const char *reason;
	int rc;

	w->reason = NULL;
	w->err = (struct err){0};
	wanted = wanted_hosts(w);
	reason = w->reason;
	refused = w->err;
	w->reason = "FenceFailed";
	rc = hosts_remove(w, wanted);
	if (!rc) {
		w->reason = "AllowFailed";
		rc = hosts_add(w, wanted);
	}
	if (!rc)
		rc = look(w);
	if (rc)
		return rc;
	attached(w);
	w->reason = reason;
	w->err = refused;
	return 0;
}

static int fence(struct volume_work *w)
{
	_cleanup_json_ json_t *wanted = wanted_hosts(w);
	int rc = look(w);

	if (rc == -ENODEV) {
		w->attached = json_array();
		return 0;
	}
	if (!rc)
		rc = hosts_remove(w, wanted);
	if (!rc)
		rc = look(w);
	if (!rc)
		attached(w);
	return rc;
}

void volume_fence(struct volume_work *w)
{
	const char *reason = w->reason;
	struct err err = w->err;

	/* One that is used by its path has no export to look at. */
	if (w->attached || kube_str(w->volume, "status.devicePath")[0] || lvm_volume_is_local(w))
		return;
	(void)fence(w); /* the first failure is what is told */
	w->reason = reason;
	w->err = err;
}
