/* SPDX-License-Identifier: Apache-2.0 */
/* The pace of background work, for job.c and tests. Pure. */
#ifndef LITEPOOL_VOLUME_JOB_PACE_H
#define LITEPOOL_VOLUME_JOB_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define JOB_CLUSTERS     16u  /* of the first slice; of a slice that copies at most */
#define JOB_CLUSTERS_MAX 512u /* of a slice that moves entries */

/* A slice that has ended. */
struct job_slice {
	uint64_t took_ns;
	unsigned clusters;
	bool copied; /* data, for one of them at least; else entries were moved */
	bool yields; /* hosts did I/O on the pool since the slice before, and the work is not urgent */
};

/* Changes *slice, the number of clusters that the next one takes at most, and returns the ns to wait before it begins. */
uint64_t job_pace(unsigned *slice, const struct job_slice *was);

#endif
