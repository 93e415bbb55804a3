/* SPDX-License-Identifier: Apache-2.0 */
/* API objects into the inventory. All of an object is read before any of it is used. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "place/inventory.h"
#include "place/read.h"

static const char *const engines[] = {"native", "lvm", NULL};
static const char *const maintenances[] = {"Schedulable", "Cordoned", "Draining", NULL};
static const char *const healths[] = {"Healthy", "Degraded", "Failed", "Unknown", NULL};
static const char *const provisionings[] = {"Thin", "Thick", NULL};

enum kind { KIND_NODE, KIND_POOL, KIND_VOLUME, KIND_RESERVATION, KIND_OTHER };

static enum kind kind_of(const json_t *object)
{
	static const char *const kinds[] = {"StorageNode", "StoragePool", "StorageVolume",
					    "StorageReservation"};
	const char *kind = kube_str(object, "kind");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return (enum kind)i;
	return KIND_OTHER;
}

/* The status of a condition ("True", ...), or "" when there is none; *ret_why gets its message or reason. */
static const char *condition(const json_t *object, const char *type, const char **ret_why)
{
	size_t i;
	json_t *one;

	json_array_foreach (kube_at(object, "status.conditions"), i, one) {
		if (strcmp(kube_str(one, "type"), type) != 0)
			continue;
		*ret_why = kube_str(one, "message")[0] ? kube_str(one, "message")
						       : kube_str(one, "reason");
		return kube_str(one, "status");
	}
	return "";
}

static int apply_node(struct place_inventory *inv, const json_t *object, struct err *err)
{
	const char *why = "its agent has not reported yet";
	struct place_node_info info = {
		.name = kube_name(object),
		.rack = kube_str(object, "spec.topology.rack"),
		.access_point = kube_str(object, "spec.topology.accessPoint"),
		.zone = kube_str(object, "spec.topology.zone"),
		.ready = strcmp(condition(object, "Ready", &why), "True") == 0,
		.deleting = kube_deleting(object),
	};

	info.why = why;
	if (place_read_labels(object, "metadata.labels", &info.labels, err) < 0)
		return -EINVAL;
	if (place_inventory_put_node(inv, &info) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

/* A pool without the condition Ready is as ready as its health and capacity say. */
static int apply_pool(struct place_inventory *inv, const json_t *object, struct err *err)
{
	int engine = 0, maintenance = 0, health = PLACE_HEALTH_UNKNOWN;
	const char *why = kube_str(object, "status.reason"), *ready;
	struct place_pool_info info = {
		.name = kube_name(object),
		.node = kube_str(object, "spec.nodeName"),
		.deleting = kube_deleting(object),
		.commit_limit_percent = 100,
		.full_percent = 95,
	};

	if (!info.node[0])
		return err_set(err, -EINVAL, "spec.nodeName: is missing");
	if (place_read_choice(object, "spec.engine", engines, &engine, err) < 0 ||
	    place_read_choice(object, "spec.maintenance", maintenances, &maintenance, err) < 0 ||
	    place_read_choice(object, "status.health", healths, &health, err) < 0 ||
	    place_read_size(object, "status.capacity", false, &info.capacity, err) < 0 ||
	    place_read_size(object, "status.allocated", false, &info.allocated, err) < 0 ||
	    place_read_size(object, "status.committed", false, &info.committed, err) < 0 ||
	    place_read_number(object, "spec.commitLimitPercent", 100, 10000,
			      &info.commit_limit_percent, err) < 0 ||
	    place_read_number(object, "spec.watermarks.fullPercent", 1, 100, &info.full_percent,
			      err) < 0 ||
	    place_read_labels(object, "metadata.labels", &info.labels, err) < 0)
		return -EINVAL;
	ready = condition(object, "Ready", &why);
	info.ready = !ready[0] || strcmp(ready, "True") == 0;
	info.why = why;
	info.engine = (enum place_engine)engine;
	info.maintenance = (enum place_maintenance)maintenance;
	info.health = (enum place_health)health;
	if (place_inventory_put_pool(inv, &info) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

/* What was granted is in status.promised, what was made in status.size; a larger spec.size is a wish until then. */
static int apply_volume(struct place_inventory *inv, const json_t *object, struct err *err)
{
	struct place_volume_info info = {
		.name = kube_name(object),
		.pool = kube_str(object, "status.poolName"),
		.user = place_read_user(object),
		.group = kube_str(object, "spec.antiAffinityGroup"),
		.reservation = kube_str(object, "spec.reservationName"),
	};
	uint64_t wished, made;
	int thick = 0;

	if (place_read_size(object, "spec.size", true, &wished, err) < 0 ||
	    place_read_size(object, "status.promised", false, &info.size, err) < 0 ||
	    place_read_size(object, "status.size", false, &made, err) < 0 ||
	    place_read_size(object, "status.allocated", false, &info.allocated, err) < 0 ||
	    place_read_choice(object, "spec.provisioning", provisionings, &thick, err) < 0)
		return -EINVAL;
	info.size = MAX(info.size, made);
	info.size = info.size ? info.size : wished;
	info.thick = thick;
	if (place_inventory_put_volume(inv, &info) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int apply_reservation(struct place_inventory *inv, const json_t *object, struct err *err)
{
	bool held = strcmp(kube_str(object, "status.phase"), "Reserved") == 0;
	struct place_reservation_info info = {
		.name = kube_name(object),
		.pool = held ? kube_str(object, "status.poolName") : "",
	};
	uint64_t wished;

	if (place_read_size(object, "spec.size", true, &wished, err) < 0 ||
	    place_read_size(object, "status.reserved", false, &info.size, err) < 0)
		return -EINVAL;
	info.size = info.size ? info.size : wished;
	if (place_inventory_put_reservation(inv, &info) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int place_inventory_apply_object(struct place_inventory *inv, const json_t *object, struct err *err)
{
	enum kind kind = kind_of(object);
	int res = 0;

	if (!json_is_object(object) || !kube_str(object, "kind")[0])
		return err_set(err, -EINVAL, "kind: is missing; this is no API object");
	if (kind != KIND_OTHER && !kube_name(object)[0])
		return err_set(err, -EINVAL, "%s: metadata.name: is missing",
			       kube_str(object, "kind"));
	switch (kind) {
	case KIND_NODE:
		res = apply_node(inv, object, err);
		break;
	case KIND_POOL:
		res = apply_pool(inv, object, err);
		break;
	case KIND_VOLUME:
		res = apply_volume(inv, object, err);
		break;
	case KIND_RESERVATION:
		res = apply_reservation(inv, object, err);
		break;
	case KIND_OTHER:
	default:
		return 0;
	}
	if (res < 0)
		(void)err_prefix(err, "%s %s", kube_str(object, "kind"), kube_name(object));
	return res;
}

bool place_inventory_remove_object(struct place_inventory *inv, const json_t *object)
{
	const char *name = kube_name(object);

	switch (kind_of(object)) {
	case KIND_NODE:
		return place_inventory_remove_node(inv, name);
	case KIND_POOL:
		return place_inventory_remove_pool(inv, name);
	case KIND_VOLUME:
		return place_inventory_remove_volume(inv, name);
	case KIND_RESERVATION:
		return place_inventory_remove_reservation(inv, name);
	case KIND_OTHER:
	default:
		return false;
	}
}
