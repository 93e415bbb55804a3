/* SPDX-License-Identifier: Apache-2.0 */
/* Between the messages of csi.proto and the structs of backend.h. Results live in the arena or share the request's memory. For src/csi alone. */
#ifndef LITEPOOL_CSI_CONVERT_H
#define LITEPOOL_CSI_CONVERT_H

#include "csi/backend.h"
#include "csi/csi.pb-c.h"

/* Every map<string,string> of csi.proto has entries of this shape under a name of its own. */
typedef struct csi_map_entry {
	ProtobufCMessage base;
	char *key, *value;
} csi_map_entry;

/* False everywhere: no memory. */
bool csi_map_from(struct arena *arena, size_t n, const void *entries, struct csi_map *ret);
bool csi_map_to(struct arena *arena, const struct csi_map *map,
		const ProtobufCMessageDescriptor *entry, size_t *ret_n, void *ret_entries);
void csi_capability_from(const Csi__V1__VolumeCapability *from, struct csi_capability *ret);
bool csi_capabilities_from(struct arena *arena, size_t n, Csi__V1__VolumeCapability **from,
			   struct csi_capabilities *ret);
bool csi_topology_from(struct arena *arena, size_t n, Csi__V1__Topology **from,
		       struct csi_topology *ret);
bool csi_topology_to(struct arena *arena, const struct csi_map *segments, Csi__V1__Topology **ret);
struct csi_range csi_range_from(const Csi__V1__CapacityRange *from);
struct csi_strings csi_strings_from(size_t n, char **from);
char **csi_strings_to(const struct csi_strings *from);
/* NULL: no memory. */
Csi__V1__Volume *csi_volume_to(struct arena *arena, const struct csi_volume *from);
Csi__V1__VolumeCondition *csi_condition_to(struct arena *arena, bool abnormal, const char *text);
Csi__V1__Snapshot *csi_snapshot_to(struct arena *arena, const struct csi_snapshot *from);
Csi__V1__VolumeGroupSnapshot *csi_group_to(struct arena *arena, const struct csi_group *from);
char *csi_text(const char *text);

/* A message in the arena, initialised: NEW(arena, Csi__V1__Volume, csi__v1__volume). */
#define CSI_NEW(arena, type, prefix)                                                               \
	({                                                                                         \
		type *new_ = arena_zalloc(arena, sizeof(type));                                    \
		if (new_)                                                                          \
			prefix##__init(new_);                                                      \
		new_;                                                                              \
	})

#endif
