/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control plane and a host for tests of the CSI services: volumes are sparse files in a folder, their devices are loop devices. It keeps the rules of
 * csi/backend.h, and forgets everything when it ends.
 */
#ifndef LITEPOOL_TEST_CSI_MEM_H
#define LITEPOOL_TEST_CSI_MEM_H

#include "csi/backend.h"
#include "csi/node.h"
#include "rt/lock.h"

#define MEM_MAX      512
#define MEM_ID_SIZE  40
#define MEM_CAPACITY ((uint64_t)1 << 40)

struct mem_volume {
	bool used, readonly; /* readonly: as it is attached to node */
	char id[MEM_ID_SIZE], name[129], node[257], source_id[MEM_ID_SIZE], klass[64];
	enum csi_source_kind source;
	uint64_t capacity;
	struct csi_format format;
	char device[CSI_DEVICE_MAX]; /* "" unless attached here */
};

struct mem_snapshot {
	bool used;
	char id[MEM_ID_SIZE], name[129], volume_id[MEM_ID_SIZE], group[MEM_ID_SIZE];
	uint64_t size, created_ns;
	struct csi_format format;
};

struct mem_group {
	bool used;
	char id[MEM_ID_SIZE], name[129];
	uint64_t created_ns;
};

struct mem {
	struct lock *lock; /* protects all */
	const char *folder, *node_id;
	unsigned next_id;
	struct mem_volume volumes[MEM_MAX];
	struct mem_snapshot snapshots[MEM_MAX];
	struct mem_group groups[MEM_MAX];
	const char *nodes[2];
};

extern const struct csi_backend mem_backend; /* copy it and set ctx */
extern const struct csi_host mem_host;

/* With the lock held; NULL: none. */
struct mem_volume *mem_volume_find(struct mem *mem, const char *id);
void mem_file(const struct mem *mem, const char *id, char path[512]);
/* Copies a file of data. False: failed. */
bool mem_copy(const struct mem *mem, const char *from_id, const char *to_id);

#endif
