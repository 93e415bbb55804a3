/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching to nodes, and fencing. spec.attachedNodes says which nodes shall reach a volume, status.attachedNodes which ones can: the agent that exports it
 * takes a node out of the latter only when the node's connections are cut and nothing of it can land any more. So:
 *
 *  1. A node is let in only when no other is in either list, unless all share (MULTI_NODE_*).
 *  2. An unpublish ends with success only when the node is in neither list, whether the node itself lives or not, and the agent has carried out the spec as it is: it may
 *     have let the node in and died before it said so. Only where that agent's node is lost the lists have to do: whoever is let in next is let in by it, after it has
 *     thrown out all others.
 *  3. Both lists are decided on together: a change carries the resourceVersion that it was decided on.
 */
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/conditions.h"
#include "kube/informer.h"
#include "kube/meta.h"
#include "kube/text.h"

#define WANTED  "spec.attachedNodes"
#define ALLOWED "status.attachedNodes"

/* How it is attached, as it is noted: "1 rw". */
static const char *mode_text(const struct csi_publish *req, char text[8])
{
	(void)snprintf(text, 8, "%d %s", (int)req->capability.mode % 10,
		       req->readonly ? "ro" : "rw");
	return text;
}

/* text NULL: attached by someone else, who does not share. */
static bool mode_shares(const char *text)
{
	return text && text[0] >= '0' + CSI_MULTI_NODE_READER_ONLY &&
	       text[0] <= '0' + CSI_MULTI_NODE_MULTI_WRITER;
}

/* New reference; an empty object when there is no such note, or none of ours. */
static json_t *modes_of(const json_t *volume)
{
	json_t *modes = json_loads(plane_note(volume, PLANE_NOTE_MODES), 0, NULL);

	if (json_is_object(modes))
		return modes;
	json_decref(modes);
	return json_object();
}

static enum grpc_code check_other(struct csi_op *op, const json_t *volume, const json_t *modes,
				  const struct csi_publish *req, const char *other)
{
	char text[8];

	if (strcmp(other, req->node_id) == 0)
		return GRPC_OK;
	if (mode_shares(mode_text(req, text)) &&
	    mode_shares(json_string_value(json_object_get(modes, other))))
		return GRPC_OK;
	if (!plane_lists(volume, WANTED, other))
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"volume %s is being detached from node %s, which still has it: %s",
				kube_name(volume), other, "wait until it is fenced");
	return csi_fail(op, GRPC_FAILED_PRECONDITION,
			"volume %s is attached to node %s; it must be unpublished there first",
			kube_name(volume), other);
}

static enum grpc_code check_others(struct csi_op *op, const json_t *volume, const json_t *modes,
				   const struct csi_publish *req)
{
	const json_t *node;
	enum grpc_code code = GRPC_OK;
	size_t i;

	json_array_foreach (kube_at(volume, WANTED), i, node)
		if (code == GRPC_OK)
			code = check_other(op, volume, modes, req, json_string_value(node));
	json_array_foreach (kube_at(volume, ALLOWED), i, node)
		if (code == GRPC_OK)
			code = check_other(op, volume, modes, req, json_string_value(node));
	return code;
}

/* Room for one more on the node, by what the informer knows: a bound for people's sake, not a promise. */
static enum grpc_code check_count(struct csi_plane *plane, struct csi_op *op, const json_t *node)
{
	_cleanup_json_ json_t *all = informer_list(plane->volumes);
	json_int_t max = json_integer_value(kube_at(node, "spec.maxAttachedVolumes"));
	const json_t *volume;
	json_int_t n = 0;
	size_t i;

	json_array_foreach (all, i, volume)
		if (plane_lists(volume, WANTED, kube_name(node)))
			n++;
	if (max <= 0 || n < max)
		return GRPC_OK;
	return csi_fail(op, GRPC_RESOURCE_EXHAUSTED,
			"node %s has %lld volumes attached, as many as its spec.maxAttachedVolumes "
			"allows",
			kube_name(node), (long long)n);
}

static json_t *publish_patch(const json_t *volume, json_t *modes, const char *node,
			     const char *mode)
{
	_cleanup_free_ char *text = NULL;
	json_t *patch = plane_patch_of(volume), *wanted = json_deep_copy(kube_at(volume, WANTED));

	if (!wanted)
		wanted = json_array();
	if (!plane_lists(volume, WANTED, node))
		(void)json_array_append_new(wanted, json_string(node));
	(void)json_object_set_new(modes, node, json_string(mode));
	text = json_text(modes);
	(void)json_object_set_new(json_object_get(patch, "metadata"), "annotations",
				  json_pack("{s:s}", PLANE_NOTE_MODES, text ? text : ""));
	(void)json_object_set_new(patch, "spec", json_pack("{s:o}", "attachedNodes", wanted));
	return patch;
}

/* One try; GRPC_ABORTED when the volume has changed meanwhile. */
static enum grpc_code want(struct csi_plane *plane, struct csi_op *op,
			   const struct csi_publish *req, const json_t *volume, const json_t *node)
{
	_cleanup_json_ json_t *modes = modes_of(volume), *patch = NULL;
	bool there = plane_lists(volume, WANTED, req->node_id);
	const char *noted = json_string_value(json_object_get(modes, req->node_id));
	char mode[8];
	enum grpc_code code;

	(void)mode_text(req, mode);
	if (there && noted && strcmp(noted, mode) != 0)
		return csi_fail(op, GRPC_ALREADY_EXISTS,
				"volume %s is attached to node %s in another way (access mode %s, "
				"asked for %s)",
				kube_name(volume), req->node_id, noted, mode);
	code = check_others(op, volume, modes, req);
	if (code == GRPC_OK && !there)
		code = check_count(plane, op, node);
	if (code != GRPC_OK || (there && noted))
		return code;
	patch = publish_patch(volume, modes, req->node_id, mode);
	return plane_patch(plane, op, plane->volume, kube_name(volume), NULL, patch, NULL);
}

static enum grpc_code check_allowed(struct csi_op *op, const json_t *volume, const char *node)
{
	if (!json_array_size(kube_at(volume, "spec.allowedNodes")) ||
	    plane_lists(volume, "spec.allowedNodes", node))
		return GRPC_OK;
	return csi_fail(op, GRPC_FAILED_PRECONDITION,
			"volume %s may not be attached to node %s: its spec.allowedNodes does not "
			"list it",
			kube_name(volume), node);
}

/* "192.0.2.1:4420,[2001:db8::1]:4420" */
static const char *targets_text(struct csi_op *op, const json_t *targets)
{
	const json_t *target;
	const char *text = "";
	size_t i;

	json_array_foreach (targets, i, target) {
		const char *address = kube_str(target, "address");
		bool six = strchr(address, ':');

		text = arena_printf(op->arena, "%s%s%s%s%s:%lld", text, i ? "," : "",
				    six ? "[" : "", address, six ? "]" : "",
				    (long long)json_integer_value(json_object_get(target, "port")));
		if (!text)
			return NULL;
	}
	return text;
}

static enum grpc_code show_context(struct csi_op *op, const json_t *volume, struct csi_map *ret)
{
	const json_t *targets = kube_at(volume, "status.targets");
	const json_t *first = json_array_get(targets, 0);
	json_int_t nsid = json_integer_value(json_object_get(first, "nsid"));
	struct csi_pair *pairs = arena_zalloc(op->arena, 4 * sizeof(*pairs));
	const char *text = targets_text(op, targets);

	if (!pairs || !text)
		return plane_no_memory(op);
	pairs[0] = (struct csi_pair){PLANE_CONTEXT_NQN,
				     arena_strdup(op->arena, kube_str(first, "nqn"))};
	pairs[1] = (struct csi_pair){PLANE_CONTEXT_NGUID,
				     arena_strdup(op->arena, kube_str(first, "nguid"))};
	pairs[2] = (struct csi_pair){PLANE_CONTEXT_NSID,
				     arena_printf(op->arena, "%lld", (long long)(nsid ? nsid : 1))};
	pairs[3] = (struct csi_pair){PLANE_CONTEXT_TARGETS, text};
	for (size_t i = 0; i < 4; i++)
		if (!pairs[i].value)
			return plane_no_memory(op);
	*ret = (struct csi_map){pairs, 4};
	return GRPC_OK;
}

/* The agent has taken the export away: its own node uses the device itself (docs/agent.md, local-path). */
static bool is_local(const json_t *volume, const char *node)
{
	return kube_str(volume, "status.devicePath")[0] &&
	       strcmp(kube_str(volume, "status.nodeName"), node) == 0;
}

static enum grpc_code show_local(struct csi_op *op, const json_t *volume, struct csi_map *ret)
{
	struct csi_pair *pair = arena_zalloc(op->arena, sizeof(*pair));
	const char *path = arena_strdup(op->arena, kube_str(volume, "status.devicePath"));

	if (!pair || !path)
		return plane_no_memory(op);
	*pair = (struct csi_pair){PLANE_CONTEXT_DEVICE, path};
	*ret = (struct csi_map){pair, 1};
	return GRPC_OK;
}

/* The node that serves the volume is deleted, or its Lease is over. */
static bool server_is_lost(struct csi_plane *plane, struct csi_op *op, const json_t *volume)
{
	_cleanup_json_ json_t *node = NULL;
	enum grpc_code code =
		plane_get(plane, op, plane->node, kube_str(volume, "status.nodeName"), &node);

	return code == GRPC_NOT_FOUND ||
	       (code == GRPC_OK && kube_condition_is(node, "Ready", "Unknown"));
}

/* Whom nobody waits for: a call that did would keep others from being served for as long as it may last. */
static enum grpc_code check_server(struct csi_plane *plane, struct csi_op *op, const json_t *volume,
				   const char *what)
{
	if (!kube_str(volume, "status.nodeName")[0] || !server_is_lost(plane, op, volume))
		return GRPC_OK;
	return csi_fail(op, GRPC_UNAVAILABLE,
			"node %s, which serves volume %s, is lost: %s; it goes on as soon as that "
			"node is back",
			kube_str(volume, "status.nodeName"), kube_name(volume), what);
}

enum grpc_code plane_publish(void *ctx, struct csi_op *op, const struct csi_publish *req,
			     struct csi_map *ret_context)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *node = NULL;
	struct plane_id id = {.name = ""};
	struct plane_wait wait;
	enum grpc_code code = GRPC_OK;

	(void)plane_id_parse(req->volume_id, &id);
	plane_wait_init(plane, op, &wait, id.name);
	for (;;) {
		_cleanup_json_ json_t *volume = NULL;

		plane_wait_look(plane, &wait);
		code = plane_find(plane, op, plane->volume, req->volume_id, &volume);
		if (code == GRPC_OK && !node)
			code = kube_name_valid(req->node_id)
				       ? plane_get(plane, op, plane->node, req->node_id, &node)
				       : csi_fail(op, GRPC_NOT_FOUND, "there is no node %s",
						  req->node_id);
		if (code == GRPC_OK && kube_deleting(volume))
			code = csi_fail(op, GRPC_FAILED_PRECONDITION, "volume %s is being deleted",
					kube_name(volume));
		if (code == GRPC_OK)
			code = check_allowed(op, volume, req->node_id);
		if (code == GRPC_OK)
			code = want(plane, op, req, volume, node);
		if (code != GRPC_OK && code != GRPC_ABORTED)
			return code;
		if (code == GRPC_OK && plane_lists(volume, ALLOWED, req->node_id)) {
			if (is_local(volume, req->node_id))
				return show_local(op, volume, ret_context);
			if (json_array_size(kube_at(volume, "status.targets")))
				return show_context(op, volume, ret_context);
		}
		if (code == GRPC_OK)
			code = check_server(plane, op, volume, "nobody can be let in");
		if (code == GRPC_UNAVAILABLE)
			return code;
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(op, GRPC_DEADLINE_EXCEEDED,
					"node %s has not been let in to volume %s yet: %s",
					req->node_id, kube_name(volume), plane_trouble(volume));
	}
}

/* ---- away ---- */

/* All nodes when node is "". */
static bool concerned(const char *node, const char *listed)
{
	return !node[0] || strcmp(node, listed) == 0;
}

static size_t count_at(const json_t *volume, const char *path, const char *node)
{
	const json_t *listed;
	size_t i, n = 0;

	json_array_foreach (kube_at(volume, path), i, listed)
		if (concerned(node, json_string_value(listed)))
			n++;
	return n;
}

static json_t *unpublish_patch(const json_t *volume, const char *node)
{
	_cleanup_json_ json_t *modes = modes_of(volume);
	_cleanup_free_ char *text = NULL;
	json_t *patch = plane_patch_of(volume), *left = json_array(), *listed, *note;
	size_t i;

	json_array_foreach (kube_at(volume, WANTED), i, listed) {
		if (concerned(node, json_string_value(listed)))
			(void)json_object_del(modes, json_string_value(listed));
		else
			(void)json_array_append(left, listed);
	}
	text = json_text(modes);
	note = json_object_size(modes) && text ? json_string(text) : json_null();
	(void)json_object_set_new(json_object_get(patch, "metadata"), "annotations",
				  json_pack("{s:o}", PLANE_NOTE_MODES, note));
	(void)json_object_set_new(patch, "spec", json_pack("{s:o}", "attachedNodes", left));
	return patch;
}

static bool is_fenced(struct csi_plane *plane, struct csi_op *op, const json_t *volume,
		      const char *node)
{
	if (count_at(volume, ALLOWED, node))
		return false;
	return !kube_str(volume, "status.nodeName")[0] || kube_carried_out(volume) ||
	       server_is_lost(plane, op, volume);
}

enum grpc_code plane_unpublish(void *ctx, struct csi_op *op, const char *volume_id,
			       const char *node_id)
{
	struct csi_plane *plane = ctx;
	struct plane_id id = {.name = ""};
	struct plane_wait wait;
	enum grpc_code code;

	(void)plane_id_parse(volume_id, &id);
	plane_wait_init(plane, op, &wait, id.name);
	for (;;) {
		_cleanup_json_ json_t *volume = NULL, *patch = NULL;

		plane_wait_look(plane, &wait);
		code = plane_find(plane, op, plane->volume, volume_id, &volume);
		if (code == GRPC_NOT_FOUND)
			return GRPC_OK;
		if (code != GRPC_OK)
			return code;
		if (count_at(volume, WANTED, node_id)) {
			patch = unpublish_patch(volume, node_id);
			code = plane_patch(plane, op, plane->volume, kube_name(volume), NULL, patch,
					   NULL);
			if (code != GRPC_OK && code != GRPC_ABORTED)
				return code;
		} else if (is_fenced(plane, op, volume, node_id)) {
			return GRPC_OK;
		} else {
			code = check_server(plane, op, volume,
					    "nobody can say that the node that is to be fenced "
					    "does not reach it any more");
			if (code != GRPC_OK)
				return code;
		}
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(
				op, GRPC_DEADLINE_EXCEEDED,
				"volume %s is not fenced from %s%s yet; the agent of node %s must "
				"answer for that: %s",
				kube_name(volume), node_id[0] ? "node " : "all nodes", node_id,
				kube_str(volume, "status.nodeName"), plane_trouble(volume));
	}
}
