/* SPDX-License-Identifier: Apache-2.0 */
/* Thick volumes: what the pool has promised to them, kept as one sum that is counted anew after every change. */
#include <errno.h>

#include "volume/priv.h"

uint64_t volume_clusters(uint64_t size_bytes)
{
	return (size_bytes + LAYOUT_CLUSTER - 1) / LAYOUT_CLUSTER;
}

void thick_update(struct volumes *set)
{
	int64_t promised = set->thick_pending;

	list_for_each (it, pool_objects(set->pool)) {
		const struct pool_object *object = list_entry(it, struct pool_object, link);
		bool thick = object->flags & PROPS_F_THICK && !pool_object_is_snapshot(object);

		if (!object->layer)
			continue;
		map_set_thick(object->layer->map, thick);
		if (thick)
			promised += (int64_t)volume_clusters(object->layer->disk.size_bytes);
	}
	pool_thick_total(set->pool, promised - set->thick_told);
	set->thick_told = promised;
}

int thick_promise(struct volumes *set, uint64_t clusters, struct err *err)
{
	int rc = pool_thick_check(set->pool, clusters, err);

	if (rc)
		return rc;
	set->thick_pending += (int64_t)clusters;
	thick_update(set);
	return 0;
}

void thick_unpromise(struct volumes *set, uint64_t clusters)
{
	set->thick_pending -= (int64_t)clusters;
	thick_update(set);
}
