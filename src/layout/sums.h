/* SPDX-License-Identifier: Apache-2.0 */
/* Where the table of a pool with LAYOUT_INCOMPAT_SUMS has the sums of a cluster (FORMAT.md §9). Pure; any thread. */
#ifndef LITEPOOL_LAYOUT_SUMS_H
#define LITEPOOL_LAYOUT_SUMS_H

#include "layout/layout.h"

#define SUMS_BYTES 1024u                         /* of a cluster */
#define SUMS_GROUP (LAYOUT_CLUSTER / SUMS_BYTES) /* clusters that share a home */
static_assert(SUMS_BYTES == LAYOUT_CLUSTER_BLOCKS * 4, "a sum per block");
static_assert(SUMS_GROUP == 1024, "FORMAT.md");
#define SUMS_PER_PAGE (LAYOUT_PAGE / SUMS_BYTES)

/* The cluster that holds the sums of the group of that one. */
static inline uint64_t sums_home(uint64_t cluster, uint64_t first_cluster)
{
	uint64_t group = cluster - cluster % SUMS_GROUP;

	return group > first_cluster ? group : first_cluster;
}
static inline bool sums_is_home(uint64_t cluster, uint64_t first_cluster)
{
	return sums_home(cluster, first_cluster) == cluster;
}
/* The 4 KiB of the table with the sums of that cluster (device offset / 4096), and where they begin in it, bytes. */
static inline uint64_t sums_place(uint64_t cluster, uint64_t first_cluster)
{
	return sums_home(cluster, first_cluster) * LAYOUT_CLUSTER_BLOCKS +
	       cluster % SUMS_GROUP / SUMS_PER_PAGE;
}
static inline unsigned sums_offset(uint64_t cluster)
{
	return (unsigned)(cluster % SUMS_PER_PAGE * SUMS_BYTES);
}

#endif
