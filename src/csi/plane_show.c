/* SPDX-License-Identifier: Apache-2.0 */
/* What there is: volumes as CSI sees them, and pages of lists. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

static bool show_source(struct csi_op *op, const json_t *volume, struct csi_source *ret)
{
	const char *id = plane_note(volume, PLANE_NOTE_SOURCE);

	*ret = (struct csi_source){.kind = CSI_SOURCE_NONE, .id = ""};
	if (!id[0])
		return true;
	ret->kind = kube_str(volume, "spec.source.snapshotName")[0] ? CSI_SOURCE_SNAPSHOT
								    : CSI_SOURCE_VOLUME;
	ret->id = arena_strdup(op->arena, id);
	return ret->id;
}

/* None: from everywhere. */
static bool show_topology(struct csi_op *op, const json_t *volume, struct csi_topology *ret)
{
	struct csi_pair *pair;
	struct csi_map *map;

	if (strcmp(plane_note(volume, PLANE_NOTE_ACCESS), "node") != 0)
		return true;
	pair = arena_zalloc(op->arena, sizeof(*pair));
	map = arena_zalloc(op->arena, sizeof(*map));
	if (!pair || !map)
		return false;
	*pair = (struct csi_pair){PLANE_TOPOLOGY_NODE,
				  arena_strdup(op->arena, kube_str(volume, "status.nodeName"))};
	*map = (struct csi_map){pair, 1};
	*ret = (struct csi_topology){map, 1};
	return pair->value;
}

static bool show_nodes(struct csi_op *op, const json_t *nodes, struct csi_strings *ret)
{
	const json_t *node;
	size_t i;

	ret->items = arena_zalloc(op->arena, (json_array_size(nodes) + 1) * sizeof(char *));
	if (!ret->items)
		return false;
	json_array_foreach (nodes, i, node)
		ret->items[ret->n++] = arena_strdup(op->arena, json_string_value(node));
	return true;
}

static void show_condition(struct csi_op *op, const json_t *volume, struct csi_volume *ret)
{
	ret->abnormal = kube_deleting(volume) ||
			strcmp(kube_str(volume, "status.phase"), "Ready") != 0 ||
			kube_condition_is(volume, "DataLost", "True") ||
			kube_condition_is(volume, "DataLost", "Unknown") ||
			kube_condition_is(volume, "Ready", "False") ||
			kube_condition_is(volume, "Ready", "Unknown");
	if (ret->abnormal)
		ret->condition = arena_strdup(op->arena, kube_deleting(volume)
								 ? "the volume is being deleted"
								 : plane_trouble(volume));
}

enum grpc_code plane_show_volume(struct csi_op *op, const json_t *volume, struct csi_volume *ret)
{
	uint64_t size = plane_size(volume, "status.size");

	*ret = (struct csi_volume){.id = plane_id_of(op, volume),
				   .capacity = size ? size : plane_size(volume, "spec.size")};
	if (!ret->id || !show_source(op, volume, &ret->source) ||
	    !show_topology(op, volume, &ret->topology) ||
	    !show_nodes(op, kube_at(volume, "status.attachedNodes"), &ret->nodes))
		return plane_no_memory(op);
	show_condition(op, volume, ret);
	return GRPC_OK;
}

enum grpc_code plane_get_volume(void *ctx, struct csi_op *op, const char *id,
				struct csi_volume *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code = plane_find(plane, op, plane->volume, id, &volume);

	return code == GRPC_OK ? plane_show_volume(op, volume, ret) : code;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(kube_name(*(json_t *const *)a), kube_name(*(json_t *const *)b));
}

/*
 * A token is "after:NAME". So what is made or deleted between two pages moves nothing, and a token never grows old.
 */
enum grpc_code plane_page(struct csi_op *op, const struct csi_page *page, json_t *objects,
			  json_t **ret, const char **ret_next)
{
	size_t n = json_array_size(objects), i = 0;
	const char *after = page->token;
	_cleanup_free_ json_t **sorted = malloc((n + 1) * sizeof(*sorted));
	_cleanup_json_ json_t *items = json_array();

	if (!sorted || !items)
		return plane_no_memory(op);
	if (after[0] && (strncmp(after, "after:", 6) != 0 || !kube_name_valid(after + 6)))
		return csi_fail(op, GRPC_ABORTED,
				"the starting token is not one of ours; begin without one");
	for (i = 0; i < n; i++)
		sorted[i] = json_array_get(objects, i);
	qsort(sorted, n, sizeof(*sorted), by_name);
	*ret_next = NULL;
	for (i = 0; i < n; i++) {
		if (after[0] && strcmp(kube_name(sorted[i]), after + 6) <= 0)
			continue;
		if (page->max && json_array_size(items) == page->max) {
			*ret_next = arena_printf(op->arena, "after:%s", kube_name(sorted[i - 1]));
			break;
		}
		if (json_array_append(items, sorted[i]) < 0)
			return plane_no_memory(op);
	}
	*ret = TAKE_PTR(items);
	return GRPC_OK;
}

enum grpc_code plane_list_volumes(void *ctx, struct csi_op *op, const struct csi_page *page,
				  struct csi_volumes *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *all = NULL, *items = NULL;
	json_t *volume;
	size_t i;
	enum grpc_code code = plane_list(plane, op, plane->volume, NULL, &all);

	if (code == GRPC_OK)
		code = plane_page(op, page, all, &items, &ret->next_token);
	if (code != GRPC_OK)
		return code;
	ret->items = arena_zalloc(op->arena, (json_array_size(items) + 1) * sizeof(*ret->items));
	if (!ret->items)
		return plane_no_memory(op);
	json_array_foreach (items, i, volume) {
		code = plane_show_volume(op, volume, &ret->items[ret->n++]);
		if (code != GRPC_OK)
			return code;
	}
	return GRPC_OK;
}
