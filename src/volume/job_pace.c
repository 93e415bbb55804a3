/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast background work goes: the size of the next slice, and the pause before it.
 *
 * While no host does anything the work takes all of the time. While hosts do I/O on any volume of the pool, which share its disk and the processors, it pauses after each slice for a multiple of what
 * the slice took: so it has a share of the time, whatever a slice costs on this disk and under this load. In a pool that fills up, or when deletions pile up, it does not: space
 * matters more than latency then.
 *
 * A slice costs a turn of the gate and a round whatever it moves. Entries cost next to nothing beside that: such slices grow until they take long. Copying costs by the cluster, and a host that writes
 * a block of one of these clusters for the first time waits for the end of the slice: with hosts such slices are short.
 */
#include "volume/job_pace.h"

#include "base/bytes.h"
#include "rt/reactor.h"

/* A quarter of the time copies. */
#define COPY_PAUSES 3u
/* An eighth moves entries: a whole TiB takes less than two seconds of slices. */
#define MOVE_PAUSES  7u
#define PAUSE_MAX_NS (1 * NSEC_PER_SEC) /* a slice may have waited for a device that hung */

struct limits {
	uint64_t fast_ns; /* of a full slice: the next one may be twice as large */
	uint64_t slow_ns; /* it is to be half as large */
	unsigned least, most;
};

static const struct limits moving = {10 * NSEC_PER_MSEC, 30 * NSEC_PER_MSEC, JOB_CLUSTERS,
				     JOB_CLUSTERS_MAX},
			   copying = {0, 0, JOB_CLUSTERS, JOB_CLUSTERS},
			   copying_beside_hosts = {1 * NSEC_PER_MSEC, 4 * NSEC_PER_MSEC, 1,
						   JOB_CLUSTERS};

uint64_t job_pace(unsigned *slice, const struct job_slice *was)
{
	const struct limits *l = !was->copied  ? &moving
				 : was->yields ? &copying_beside_hosts
					       : &copying;

	if (was->took_ns > l->slow_ns)
		*slice /= 2;
	else if (was->took_ns < l->fast_ns && was->clusters == *slice)
		*slice *= 2;
	*slice = MAX(l->least, MIN(*slice, l->most));
	if (!was->yields)
		return 0;
	return MIN(was->took_ns * (was->copied ? COPY_PAUSES : MOVE_PAUSES), PAUSE_MAX_NS);
}
