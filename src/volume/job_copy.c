/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying what a cluster of the target lacks. The claim on the cluster is held: nobody else makes blocks valid or hides them meanwhile; overwrites of
 * blocks that are valid in the target go on, and those blocks are not touched.
 */
#include <string.h>

#include "volume/job.h"

/* Where block is for the target, below the target's own layer; false: nowhere, it is zeros. */
static bool below_find(const struct volume_job *job, uint64_t block, uint64_t *ret_place)
{
	const struct pool_layer *layer = job->source;

	while (layer) {
		struct map_run run;

		map_find(layer->map, block, 1, &run);
		if (run.found == MAP_HERE)
			*ret_place = run.place;
		if (run.found != MAP_ABSENT)
			return run.found == MAP_HERE;
		layer = job->kind == JOB_INFLATE ? layer->parent : NULL;
	}
	return false;
}

unsigned job_plan_read(struct volume_job *job)
{
	const struct map_claim *claim = &job->c[job->at].claim;
	uint64_t first = (uint64_t)claim->cluster * LAYOUT_CLUSTER_BLOCKS;
	unsigned n = 0;

	memset(&job->fill, 0, sizeof(job->fill));
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++) {
		uint64_t place;
		struct batch_xfer *last = n ? &job->xfer[n - 1] : NULL;
		uint8_t *buf = job->buf + (size_t)i * LAYOUT_PAGE;

		if (map_claim_block(claim, i) != MAP_ABSENT || !below_find(job, first + i, &place))
			continue;
		job->fill.word[i / 64] |= (uint64_t)1 << (i % 64);
		if (last && last->offset + last->length == place * LAYOUT_PAGE &&
		    (uint8_t *)last->buf + last->length == buf)
			last->length += LAYOUT_PAGE;
		else
			job->xfer[n++] = (struct batch_xfer){place * LAYOUT_PAGE, LAYOUT_PAGE, buf};
	}
	return n;
}

int job_plan_write(struct volume_job *job, unsigned *ret_n)
{
	const struct map_claim *claim = &job->c[job->at].claim;
	bool thick = job->target->object && job->target->object->flags & PROPS_F_THICK;
	uint64_t phys = map_claim_phys(claim);
	unsigned n = 0;

	if (!phys) {
		int rc = pool_alloc_cluster(job->set->pool, thick ? POOL_THICK : POOL_THIN, &phys);

		if (rc)
			return rc;
		(void)map_attach(claim, phys); /* the whole cluster is claimed: nobody is faster */
	}
	for (unsigned i = 0, end; i < LAYOUT_CLUSTER_BLOCKS; i = end) {
		end = i + 1;
		if (!block_mask_has(&job->fill, i))
			continue;
		while (end < LAYOUT_CLUSTER_BLOCKS && block_mask_has(&job->fill, end))
			end++;
		job->xfer[n++] = (struct batch_xfer){
			(phys * LAYOUT_CLUSTER_BLOCKS + i) * LAYOUT_PAGE, (end - i) * LAYOUT_PAGE,
			job->buf + (size_t)i * LAYOUT_PAGE};
	}
	*ret_n = n;
	return 0;
}

void job_copied(struct volume_job *job)
{
	for (unsigned i = 0, end; i < LAYOUT_CLUSTER_BLOCKS; i = end) {
		end = i + 1;
		if (!block_mask_has(&job->fill, i))
			continue;
		while (end < LAYOUT_CLUSTER_BLOCKS && block_mask_has(&job->fill, end))
			end++;
		map_set_valid(&job->c[job->at].claim, i, end - i);
	}
}
