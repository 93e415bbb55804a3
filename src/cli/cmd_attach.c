/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: says in the API that a node shall have the volume, waits until the engine lets it in, then connects this machine. detach: the reverse, so that the
 * engine throws out nobody who still writes. Who is not in status.attachedNodes is fenced: nothing of it can land any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/progress.h"
#include "host/attach.h"
#include "host/identity.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/blocking.h"

#define TRIES_MAX 10

struct node_choice {
	char name[KUBE_NAME_MAX + 1];
	bool here; /* it is this machine */
};

static bool list_has(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), name))
			return true;
	return false;
}

/* The StorageNode whose host NQN is this machine's, or the one that --node names (may_be_gone: also when it is deleted). */
static int node_choose(struct cli *cli, bool may_be_gone, struct node_choice *ret)
{
	const struct host_env env = {.cancel_fd = -1};
	const char *given = cli_text(cli, "node");
	struct host_identity id = {0};
	_cleanup_json_ json_t *nodes = NULL;
	const json_t *one;
	struct err why = {0};
	size_t i;
	int res = api_list(cli, "StorageNode", NULL, NULL, &nodes);

	if (res < 0)
		return res;
	/* A machine without a name of its own is none of the nodes. */
	if (host_identity_get(&env, &id, &why) < 0)
		id.nqn[0] = '\0';
	*ret = (struct node_choice){{0}};
	json_array_foreach (nodes, i, one) {
		bool here = id.nqn[0] && !strcmp(kube_str(one, "spec.hostNQN"), id.nqn);

		if (given ? strcmp(kube_name(one), given) != 0 : !here)
			continue;
		ret->here = here;
		(void)str_copy(ret->name, sizeof(ret->name), kube_name(one));
		return 0;
	}
	if (given && may_be_gone && str_copy(ret->name, sizeof(ret->name), given))
		return 0;
	if (given)
		return err_set(&cli->err, -ENOENT, "there is no node %s; see: litepool node list",
			       given);
	return err_set(&cli->err, -ENOENT,
		       "this machine (%s) is no node of this system: start litepool-agent here "
		       "(litepool up), or say which node with --node",
		       id.nqn[0] ? id.nqn : why.text);
}

/* Changes spec.attachedNodes on the version that was seen; a conflict means: look again. */
static int nodes_write(struct cli *cli, const char *volume, const json_t *seen, const json_t *nodes)
{
	_cleanup_json_ json_t *patch = json_pack(
		"{s:{s:s}, s:{s:O}}", "metadata", "resourceVersion",
		kube_str(seen, "metadata.resourceVersion"), "spec", "attachedNodes", nodes);

	return api_merge(cli, "StorageVolume", volume, patch, NULL);
}

static json_t *nodes_without(const json_t *nodes, const char *name)
{
	json_t *left = json_array();
	json_t *one;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)nodes, i, one)
		if (strcmp(json_string_value(one), name) != 0)
			(void)json_array_append(left, one);
	return left;
}

/* What spec.attachedNodes shall be for an attach; NULL with cli->err. */
static json_t *nodes_with(struct cli *cli, const json_t *volume, const char *node)
{
	const json_t *now = kube_at(volume, "spec.attachedNodes");
	const json_t *allowed = kube_at(volume, "spec.allowedNodes");
	json_t *nodes;

	if (json_array_size(allowed) > 0 && !list_has(allowed, node)) {
		(void)err_set(&cli->err, -EACCES,
			      "volume %s may not be attached to %s: it is not in its allowedNodes. "
			      "To allow it: litepool volume set %s --allow NODE,...",
			      kube_name(volume), node, kube_name(volume));
		return NULL;
	}
	nodes = nodes_without(now, node);
	if (json_array_size(nodes) > 0 && cli_given(cli, "move"))
		(void)json_array_clear(nodes);
	if (json_array_size(nodes) > 0 && !cli_given(cli, "shared")) {
		(void)err_set(
			&cli->err, -EBUSY,
			"volume %s is attached to %s. To take it from there (its I/O there is "
			"cut): --move; to use it on both, with a file system that is made "
			"for that: --shared",
			kube_name(volume), json_string_value(json_array_get(nodes, 0)));
		json_decref(nodes);
		return NULL;
	}
	(void)json_array_append_new(nodes, json_string(node));
	return nodes;
}

/*
 * Whoever has the device may write anything to it, and nothing of it need be known to a probe: the volume's record (csi/node_format.c) says so before it is handed out, lest
 * Kubernetes takes it for empty one day and formats it.
 */
static int note_use(struct cli *cli, const json_t *volume)
{
	const json_t *record = kube_at(volume, "status.format");
	bool clone = record ? json_is_true(json_object_get(record, "clone"))
			    : kube_at(volume, "spec.source") != NULL;
	_cleanup_json_ json_t *patch = NULL;

	if (strcmp(kube_str(record, "state"), "Done") == 0)
		return 0;
	patch = json_pack("{s:{s:s}, s:{s:{s:s, s:s, s:b}}}", "metadata", "resourceVersion",
			  kube_str(volume, "metadata.resourceVersion"), "status", "format", "state",
			  "Done", "fs", "raw", "clone", (int)clone);
	/* 1: it has another version now */
	return api_merge_status(cli, "StorageVolume", kube_name(volume), patch) < 0 ? cli->err.code
										    : 1;
}

static int attach_declare(struct cli *cli, const char *name, const char *node)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		_cleanup_json_ json_t *volume = NULL, *nodes = NULL;
		int res = api_get(cli, "StorageVolume", name, &volume);

		if (res < 0)
			return res;
		nodes = nodes_with(cli, volume, node);
		if (!nodes)
			return cli->err.code;
		res = note_use(cli, volume);
		if (res == 0 && json_equal(nodes, kube_at(volume, "spec.attachedNodes")))
			return 0;
		if (res == 0)
			res = nodes_write(cli, name, volume, nodes);
		if (res != 1 && res != -EBUSY)
			return res;
	}
	return -EBUSY;
}

static int look_attached(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	const char *node = ctx;
	const json_t *is = kube_at(obj, "status.attachedNodes");

	if (!obj)
		return err_set(&cli->err, -ENOENT, "it was deleted meanwhile");
	if (!list_has(kube_at(obj, "spec.attachedNodes"), node))
		return err_set(&cli->err, -ECANCELED, "somebody detached it meanwhile");
	*why = api_reason(obj);
	/* With --move nobody else may be in there any more. */
	return list_has(is, node) &&
	       json_array_size(is) == json_array_size(kube_at(obj, "spec.attachedNodes")) &&
	       (json_array_size(kube_at(obj, "status.targets")) > 0 ||
		kube_str(obj, "status.devicePath")[0]);
}

/* The node whose engine serves it has no Lease any more, or is deleted: nobody there answers. An API that does not answer is no such thing. */
static bool server_is_lost(struct cli *cli, const json_t *volume)
{
	_cleanup_json_ json_t *node = NULL;
	int res = api_get(cli, "StorageNode", kube_str(volume, "status.nodeName"), &node);

	cli->err = (struct err){0};
	return res == -ENOENT || (res == 0 && kube_condition_is(node, "Ready", "Unknown"));
}

/*
 * The status alone is not enough: an agent may have let the node in and died before it said so. What it says of the spec as it is now, it says after it has thrown out
 * everybody else.
 */
static int look_detached(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	const char *node = ctx, *server = kube_str(obj, "status.nodeName");
	bool told = list_has(kube_at(obj, "status.attachedNodes"), node);

	*why = told ? "its engine has not let it go yet" : "its agent has not looked at it yet";
	if (!obj || (!told && (!server[0] || kube_carried_out(obj))))
		return 1;
	if (!server_is_lost(cli, obj))
		return 0;
	if (!told)
		return 1; /* nothing says that it was in; that it is not, its agent sees to when it is back */
	return err_set(&cli->err, -EHOSTDOWN,
		       "node %s, which serves the volume, is lost: nobody can say that %s does not "
		       "reach it any more. It is declared, and %s is thrown out as soon as node %s "
		       "is back",
		       server, node, node, server);
}

/* The paths and the namespace out of status.targets. */
static int request_make(struct cli *cli, const json_t *volume, struct host_path *paths,
			struct host_attach_req *req)
{
	const json_t *targets = kube_at(volume, "status.targets"), *one;
	size_t i;

	*req = (struct host_attach_req){.paths = paths, .timeout_ms = cli->timeout_ms};
	json_array_foreach (targets, i, one) {
		struct host_path *path = &paths[req->n_paths];

		if (i == 0) {
			const char *nguid = kube_str(one, "nguid");

			req->nqn = kube_str(one, "nqn");
			if (!nguid[0] || !host_id_parse(HOST_ID_NGUID, nguid, &req->id))
				(void)host_id_parse(HOST_ID_UUID, kube_str(volume, "status.uuid"),
						    &req->id);
		}
		if (req->n_paths == HOST_PATHS_MAX || strcmp(kube_str(one, "nqn"), req->nqn) != 0 ||
		    !str_copy(path->traddr, sizeof(path->traddr), kube_str(one, "address")))
			continue;
		(void)snprintf(path->trsvcid, sizeof(path->trsvcid), "%u",
			       (unsigned)json_integer_value(json_object_get(one, "port")) & 0xffff);
		req->n_paths++;
	}
	if (req->n_paths == 0 || req->id.kind == HOST_ID_NONE)
		return err_set(&cli->err, -EIO,
			       "volume %s has no usable target in its status: see litepool volume "
			       "show %s -o yaml",
			       kube_name(volume), kube_name(volume));
	return 0;
}

/* A volume of an lvm pool that is used on its own node, without the engine. */
static int device_local(struct cli *cli, const char *path)
{
	_cleanup_json_ json_t *json = json_pack("{s:s}", "path", path);

	if (!api_print_raw(cli, json))
		fprintf(cli->out, "%s\n", path);
	return 0;
}

static int device_connect(struct cli *cli, const json_t *volume)
{
	struct host_path paths[HOST_PATHS_MAX] = {0};
	struct host_env env = {.cancel_fd = -1};
	struct host_attach_req req;
	struct host_attach_result result;
	_cleanup_json_ json_t *json = NULL;
	struct progress progress;
	int res;

	if (kube_str(volume, "status.devicePath")[0])
		return device_local(cli, kube_str(volume, "status.devicePath"));
	res = request_make(cli, volume, paths, &req);
	if (res < 0)
		return res;
	env.cancel_fd = blocking_signal_fd(&cli->err);
	if (env.cancel_fd < 0)
		return env.cancel_fd;
	progress_begin(&progress, cli);
	progress_show(&progress, "the device", req.nqn, 0, 0);
	res = host_attach(&env, &req, &result, &cli->err);
	progress_end(&progress);
	(void)close(env.cancel_fd);
	if (res < 0)
		return res;
	json = host_device_json(&result.device);
	if (!api_print_raw(cli, json))
		fprintf(cli->out, "%s\n", result.device.path);
	return 0;
}

int cli_cmd_attach(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *name = cli_text(cli, "VOLUME");
	_cleanup_json_ json_t *volume = NULL;
	struct node_choice node;
	struct api_wait wait = {
		.kind = "StorageVolume", .name = name, .look = look_attached, .ctx = node.name};
	char what[600];
	int res = node_choose(cli, false, &node);

	if (res == 0)
		res = attach_declare(cli, name, node.name);
	if (res < 0)
		return res;
	(void)snprintf(what, sizeof(what), "volume %s to let %s in", name, node.name);
	wait.what = what;
	res = api_wait(cli, &wait, &volume);
	if (res < 0)
		return res;
	if (node.here && !cli_given(cli, "no-device"))
		return device_connect(cli, volume);
	if (!api_print_raw(cli, volume))
		fprintf(cli->out, "volume/%s lets %s in\n", name, node.name);
	return 0;
}

static int device_disconnect(struct cli *cli, const char *name)
{
	struct host_path paths[HOST_PATHS_MAX] = {0};
	const struct host_env env = {.cancel_fd = -1};
	_cleanup_json_ json_t *volume = NULL;
	struct host_attach_req of;
	struct host_detach_req req;
	struct progress progress;
	int res = api_get(cli, "StorageVolume", name, &volume);

	if (res < 0 || json_array_size(kube_at(volume, "status.targets")) == 0)
		return res;
	res = request_make(cli, volume, paths, &of);
	if (res < 0)
		return res;
	req = (struct host_detach_req){.nqn = of.nqn, .id = of.id, .timeout_ms = cli->timeout_ms};
	progress_begin(&progress, cli);
	progress_show(&progress, "the device to be gone", of.nqn, 0, 0);
	res = host_detach(&env, &req, &cli->err);
	progress_end(&progress);
	return res < 0 ? res : 0;
}

static int detach_declare(struct cli *cli, const char *name, const char *node)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		_cleanup_json_ json_t *volume = NULL, *nodes = NULL;
		const json_t *now;
		int res = api_get(cli, "StorageVolume", name, &volume);

		if (res < 0)
			return res;
		now = kube_at(volume, "spec.attachedNodes");
		if (!list_has(now, node))
			return 0;
		nodes = nodes_without(now, node);
		res = nodes_write(cli, name, volume, nodes);
		if (res != -EBUSY)
			return res;
	}
	return -EBUSY;
}

int cli_cmd_detach(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *name = cli_text(cli, "VOLUME");
	struct node_choice node;
	struct api_wait wait = {
		.kind = "StorageVolume", .name = name, .look = look_detached, .ctx = node.name};
	char what[600];
	int res = node_choose(cli, true, &node);

	if (res == 0 && node.here)
		res = device_disconnect(cli, name);
	if (res == 0)
		res = detach_declare(cli, name, node.name);
	if (res < 0)
		return res;
	(void)snprintf(what, sizeof(what), "volume %s to let %s go", name, node.name);
	wait.what = what;
	res = api_wait(cli, &wait, NULL);
	if (res == 0)
		fprintf(cli->out, "volume/%s is detached from %s\n", name, node.name);
	return res;
}
