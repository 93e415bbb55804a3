/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/convert.h"

#include <string.h>

#include "base/bytes.h"

_Static_assert(sizeof(csi_map_entry) == sizeof(Csi__V1__CreateVolumeRequest__ParametersEntry) &&
		       offsetof(csi_map_entry, value) ==
			       offsetof(Csi__V1__CreateVolumeRequest__ParametersEntry, value),
	       "map entries are alike");

/* protobuf-c wants char * where it only reads. */
char *csi_text(const char *text)
{
	return (char *)(uintptr_t)(text ? text : "");
}

bool csi_map_from(struct arena *arena, size_t n, const void *entries, struct csi_map *ret)
{
	csi_map_entry *const *from = entries;

	*ret = (struct csi_map){.n = n, .items = arena_zalloc(arena, n * sizeof(struct csi_pair))};
	for (size_t i = 0; ret->items && i < n; i++)
		ret->items[i] = (struct csi_pair){from[i]->key, from[i]->value};
	return ret->items != NULL;
}

bool csi_map_to(struct arena *arena, const struct csi_map *map,
		const ProtobufCMessageDescriptor *entry, size_t *ret_n, void *ret_entries)
{
	csi_map_entry **to = arena_zalloc(arena, map->n * sizeof(*to));

	for (size_t i = 0; to && i < map->n; i++) {
		to[i] = arena_zalloc(arena, sizeof(**to));
		if (!to[i])
			return false;
		protobuf_c_message_init(entry, to[i]);
		to[i]->key = csi_text(map->items[i].key);
		to[i]->value = csi_text(map->items[i].value);
	}
	if (!to)
		return false;
	*ret_n = map->n;
	memcpy(ret_entries, &to, sizeof(to));
	return true;
}

void csi_capability_from(const Csi__V1__VolumeCapability *from, struct csi_capability *ret)
{
	*ret = (struct csi_capability){.fs_type = "", .mount_group = ""};
	ret->mode = (enum csi_mode)from->access_mode->mode;
	ret->block = from->access_type_case == CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK;
	if (ret->block || !from->mount)
		return;
	ret->fs_type = from->mount->fs_type;
	ret->mount_group = from->mount->volume_mount_group;
	ret->mount_flags = csi_strings_from(from->mount->n_mount_flags, from->mount->mount_flags);
}

bool csi_capabilities_from(struct arena *arena, size_t n, Csi__V1__VolumeCapability **from,
			   struct csi_capabilities *ret)
{
	*ret = (struct csi_capabilities){.n = n,
					 .items = arena_zalloc(arena, n * sizeof(ret->items[0]))};
	for (size_t i = 0; ret->items && i < n; i++)
		csi_capability_from(from[i], &ret->items[i]);
	return ret->items != NULL;
}

bool csi_topology_from(struct arena *arena, size_t n, Csi__V1__Topology **from,
		       struct csi_topology *ret)
{
	*ret = (struct csi_topology){.n = n,
				     .items = arena_zalloc(arena, n * sizeof(ret->items[0]))};
	for (size_t i = 0; ret->items && i < n; i++)
		if (!csi_map_from(arena, from[i]->n_segments, from[i]->segments, &ret->items[i]))
			return false;
	return ret->items != NULL;
}

bool csi_topology_to(struct arena *arena, const struct csi_map *segments, Csi__V1__Topology **ret)
{
	Csi__V1__Topology *to = CSI_NEW(arena, Csi__V1__Topology, csi__v1__topology);

	if (!to || !csi_map_to(arena, segments, &csi__v1__topology__segments_entry__descriptor,
			       &to->n_segments, &to->segments))
		return false;
	*ret = to;
	return true;
}

struct csi_range csi_range_from(const Csi__V1__CapacityRange *from)
{
	if (!from)
		return (struct csi_range){0};
	return (struct csi_range){(uint64_t)from->required_bytes, (uint64_t)from->limit_bytes};
}

struct csi_strings csi_strings_from(size_t n, char **from)
{
	struct csi_strings ret = {.n = n};

	memcpy(&ret.items, &from, sizeof(from)); /* char ** to const char ** */
	return ret;
}

char **csi_strings_to(const struct csi_strings *from)
{
	char **to;

	memcpy(&to, &from->items, sizeof(to));
	return to;
}

static Csi__V1__VolumeContentSource *source_to(struct arena *arena, const struct csi_source *from)
{
	Csi__V1__VolumeContentSource *to =
		CSI_NEW(arena, Csi__V1__VolumeContentSource, csi__v1__volume_content_source);

	if (!to)
		return NULL;
	if (from->kind == CSI_SOURCE_SNAPSHOT) {
		to->type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT;
		to->snapshot = CSI_NEW(arena, Csi__V1__VolumeContentSource__SnapshotSource,
				       csi__v1__volume_content_source__snapshot_source);
		if (to->snapshot)
			to->snapshot->snapshot_id = csi_text(from->id);
		return to->snapshot ? to : NULL;
	}
	to->type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_VOLUME;
	to->volume = CSI_NEW(arena, Csi__V1__VolumeContentSource__VolumeSource,
			     csi__v1__volume_content_source__volume_source);
	if (to->volume)
		to->volume->volume_id = csi_text(from->id);
	return to->volume ? to : NULL;
}

static bool topologies_to(struct arena *arena, const struct csi_topology *from, Csi__V1__Volume *to)
{
	to->accessible_topology = arena_zalloc(arena, from->n * sizeof(Csi__V1__Topology *));
	if (!to->accessible_topology)
		return false;
	for (size_t i = 0; i < from->n; i++)
		if (!csi_topology_to(arena, &from->items[i], &to->accessible_topology[i]))
			return false;
	to->n_accessible_topology = from->n;
	return true;
}

Csi__V1__Volume *csi_volume_to(struct arena *arena, const struct csi_volume *from)
{
	Csi__V1__Volume *to = CSI_NEW(arena, Csi__V1__Volume, csi__v1__volume);

	if (!to)
		return NULL;
	to->capacity_bytes = (int64_t)from->capacity;
	to->volume_id = csi_text(from->id);
	if (!csi_map_to(arena, &from->context, &csi__v1__volume__volume_context_entry__descriptor,
			&to->n_volume_context, &to->volume_context) ||
	    !topologies_to(arena, &from->topology, to))
		return NULL;
	if (from->source.kind != CSI_SOURCE_NONE) {
		to->content_source = source_to(arena, &from->source);
		if (!to->content_source)
			return NULL;
	}
	return to;
}

Csi__V1__VolumeCondition *csi_condition_to(struct arena *arena, bool abnormal, const char *text)
{
	Csi__V1__VolumeCondition *to =
		CSI_NEW(arena, Csi__V1__VolumeCondition, csi__v1__volume_condition);

	if (!to)
		return NULL;
	to->abnormal = abnormal;
	to->message = csi_text(text ? text : "healthy");
	return to;
}

static Google__Protobuf__Timestamp *time_to(struct arena *arena, uint64_t ns)
{
	Google__Protobuf__Timestamp *to =
		CSI_NEW(arena, Google__Protobuf__Timestamp, google__protobuf__timestamp);

	if (!to)
		return NULL;
	to->seconds = (int64_t)(ns / NSEC_PER_SEC);
	to->nanos = (int32_t)(ns % NSEC_PER_SEC);
	return to;
}

Csi__V1__Snapshot *csi_snapshot_to(struct arena *arena, const struct csi_snapshot *from)
{
	Csi__V1__Snapshot *to = CSI_NEW(arena, Csi__V1__Snapshot, csi__v1__snapshot);

	if (!to)
		return NULL;
	to->size_bytes = (int64_t)from->size;
	to->snapshot_id = csi_text(from->id);
	to->source_volume_id = csi_text(from->volume_id);
	to->group_snapshot_id = csi_text(from->group_id);
	to->ready_to_use = from->ready;
	to->creation_time = time_to(arena, from->created_ns);
	return to->creation_time ? to : NULL;
}

Csi__V1__VolumeGroupSnapshot *csi_group_to(struct arena *arena, const struct csi_group *from)
{
	Csi__V1__VolumeGroupSnapshot *to =
		CSI_NEW(arena, Csi__V1__VolumeGroupSnapshot, csi__v1__volume_group_snapshot);

	if (!to)
		return NULL;
	to->group_snapshot_id = csi_text(from->id);
	to->ready_to_use = from->ready;
	to->creation_time = time_to(arena, from->created_ns);
	to->snapshots = arena_zalloc(arena, from->n * sizeof(Csi__V1__Snapshot *));
	if (!to->creation_time || !to->snapshots)
		return NULL;
	for (size_t i = 0; i < from->n; i++) {
		to->snapshots[i] = csi_snapshot_to(arena, &from->snapshots[i]);
		if (!to->snapshots[i])
			return NULL;
	}
	to->n_snapshots = from->n;
	return to;
}
