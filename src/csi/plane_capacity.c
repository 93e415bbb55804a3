/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetCapacity: what could be made now, by the pools' own words and the filters of src/place that do not need to know the other volumes. An upper bound: placement may
 * still refuse (anti-affinity, reservations, limits of remote volumes).
 */
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

struct question {
	const struct plane_class *klass;
	const struct csi_map *segments; /* NULL: anywhere */
	const json_t *nodes;
};

static const json_t *find_node(const json_t *nodes, const char *name)
{
	const json_t *node;
	size_t i;

	json_array_foreach (nodes, i, node)
		if (strcmp(kube_name(node), name) == 0)
			return node;
	return NULL;
}

static bool has_labels(const json_t *object, const json_t *selector)
{
	const json_t *value;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)selector, key, value)
		if (strcmp(plane_label(object, key), json_string_value(value)) != 0)
			return false;
	return true;
}

/* Whether the node is in the segment that is asked about. */
static bool in_segment(const json_t *node, const struct csi_map *segments)
{
	static const struct {
		const char *key, *path;
	} levels[] = {{PLANE_TOPOLOGY_NODE, "metadata.name"},
		      {PLANE_TOPOLOGY_RACK, "spec.topology.rack"},
		      {PLANE_TOPOLOGY_ACCESS_POINT, "spec.topology.accessPoint"},
		      {PLANE_TOPOLOGY_ZONE, "spec.topology.zone"}};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		const char *wanted = csi_map_get(segments, levels[i].key);

		if (wanted && strcmp(wanted, kube_str(node, levels[i].path)) != 0)
			return false;
	}
	return true;
}

/* A segment says where the pod would run. Where the data is matters only to volumes that are bound to it. */
static bool position_fits(const struct question *q, const json_t *node)
{
	const char *position = kube_str(q->klass->spec, "position");

	if (!q->segments)
		return true;
	if (strcmp(position, "MustLocal") == 0)
		return in_segment(node, q->segments);
	if (strcmp(position, "MustRemote") == 0)
		return !csi_map_get(q->segments, PLANE_TOPOLOGY_NODE) ||
		       !in_segment(node, q->segments);
	return true;
}

static bool fits(const struct question *q, const json_t *pool)
{
	const json_t *node = find_node(q->nodes, kube_str(pool, "spec.nodeName"));
	const char *engine = kube_str(q->klass->spec, "engine");
	const char *health = kube_str(pool, "status.health");

	return node && kube_condition_is(node, "Ready", "True") && !kube_deleting(node) &&
	       !kube_deleting(pool) &&
	       strcmp(kube_str(pool, "spec.maintenance"), "Schedulable") == 0 &&
	       strcmp(health, "Healthy") == 0 &&
	       (!kube_condition_get(pool, "Ready") || kube_condition_is(pool, "Ready", "True")) &&
	       strcmp(kube_str(pool, "spec.engine"), engine[0] ? engine : "native") == 0 &&
	       has_labels(node, kube_at(q->klass->spec, "nodeSelector")) &&
	       has_labels(pool, kube_at(q->klass->spec, "poolSelector")) && position_fits(q, node);
}

static uint64_t percent_of(uint64_t bytes, const json_t *percent, uint64_t fallback)
{
	uint64_t n = json_is_integer(percent) ? (uint64_t)json_integer_value(percent) : fallback;

	return bytes / 100 * n + bytes % 100 * n / 100;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Of one pool: what may still be promised; of thick volumes no more than is really free. */
static uint64_t room(const struct question *q, const json_t *pool)
{
	uint64_t capacity = plane_size(pool, "status.capacity");
	uint64_t allocated = plane_size(pool, "status.allocated");
	uint64_t full = percent_of(capacity, kube_at(pool, "spec.watermarks.fullPercent"), 95);
	uint64_t promise = less(percent_of(capacity, kube_at(pool, "spec.commitLimitPercent"), 100),
				plane_size(pool, "status.committed"));

	if (allocated >= full)
		return 0;
	return strcmp(kube_str(q->klass->spec, "provisioning"), "Thick") == 0
		       ? MIN(promise, full - allocated)
		       : promise;
}

enum grpc_code plane_get_capacity(void *ctx, struct csi_op *op,
				  const struct csi_capabilities *capabilities,
				  const struct csi_map *parameters, const struct csi_map *segments,
				  struct csi_capacity *ret)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *pools = NULL, *nodes = NULL;
	_cleanup_class_ struct plane_class klass = {.spec = NULL};
	struct question q = {.klass = &klass, .segments = segments};
	struct csi_capacity sum = {.minimum = (uint64_t)1 << 20};
	const json_t *pool;
	size_t i;
	enum grpc_code code = plane_class_read(op, parameters, false, &klass);

	if (code == GRPC_OK)
		code = plane_list(plane, op, plane->pool, NULL, &pools);
	if (code == GRPC_OK)
		code = plane_list(plane, op, plane->node, NULL, &nodes);
	if (code != GRPC_OK)
		return code;
	q.nodes = nodes;
	json_array_foreach (pools, i, pool) {
		uint64_t bytes = fits(&q, pool) ? room(&q, pool) : 0;

		sum.available =
			bytes > INT64_MAX - sum.available ? INT64_MAX : sum.available + bytes;
		sum.maximum = MAX(sum.maximum, bytes);
	}
	*ret = sum;
	return GRPC_OK;
}
