/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/objects.h"

#include <errno.h>
#include <string.h>

#include "kube/meta.h"
#include "kube/text.h"

const struct kube_resource *object_resource(enum object_kind kind)
{
	static const char *const kinds[OBJECT_WATCHED] = {
		[OBJECT_NODE] = "StorageNode",
		[OBJECT_POOL] = "StoragePool",
		[OBJECT_VOLUME] = "StorageVolume",
		[OBJECT_SNAPSHOT] = "StorageSnapshot",
		[OBJECT_RESERVATION] = "StorageReservation",
		[OBJECT_LEASE] = "Lease",
	};

	return kube_resource_by_kind(kinds[kind]);
}

void objects_clear(struct objects *objects)
{
	for (int kind = 0; kind < OBJECT_KINDS; kind++) {
		struct strmap_iter it = {0};

		while (strmap_next(&objects->by_name[kind], &it))
			json_decref(it.value);
		strmap_fini(&objects->by_name[kind]);
		strmap_init(&objects->by_name[kind]);
	}
}

json_t *objects_get(const struct objects *objects, enum object_kind kind, const char *name)
{
	return strmap_get(&objects->by_name[kind], name);
}

int objects_put(struct objects *objects, enum object_kind kind, json_t *obj, json_t **ret_old)
{
	json_t *old = objects_get(objects, kind, kube_name(obj));
	uint64_t have = kube_resource_version(old), news = kube_resource_version(obj);
	void *was = NULL;

	if (old && have && news && news <= have)
		return 1;
	if (strmap_set(&objects->by_name[kind], kube_name(obj), obj, &was))
		return -ENOMEM;
	json_incref(obj);
	*ret_old = was;
	return 0;
}

json_t *objects_take(struct objects *objects, enum object_kind kind, const char *name,
		     const char *uid)
{
	json_t *old = objects_get(objects, kind, name);

	if (!old || (uid && strcmp(kube_uid(old), uid) != 0))
		return NULL;
	return strmap_remove(&objects->by_name[kind], name);
}
