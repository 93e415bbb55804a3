/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discard and write zeroes: both read back as zeros. Whole clusters go back to the pool; of others the blocks are cleared in the mask, where that does not bring
 * the parent's back to light; what is left (parts of blocks, blocks over a parent, BLK_KEEP_ALLOC) is written with zeros.
 *
 * A request may be of any size: after a slice it leaves the gate and goes on in the next pass of the reactor.
 */
#include <errno.h>

#include "volume/io.h"

#define SLICE_CLUSTERS 256u

static void slice_next(struct msg *msg)
{
	vio_run(container_of(msg, struct volume_io, msg));
}

static enum vio_state slice_over(struct volume_io *vio)
{
	vio_leave(vio);
	vio->msg.run = slice_next;
	reactor_post(reactor_current(), &vio->msg);
	return vio_wait(vio, VIO_ENTER);
}

static bool keep_alloc(const struct volume_io *vio)
{
	return vio->parent->flags & BLK_KEEP_ALLOC;
}

/* From at until stop by writing; VIO_CLEAR goes on behind it. */
static enum vio_state write_zeros(struct volume_io *vio, uint64_t stop)
{
	vio->wend = stop;
	return VIO_WRITE;
}

/* The cluster's part from at until stop is to be cleared; blocks there are that do not read as zeros. */
static enum vio_state clear_claim(struct volume_io *vio, uint64_t stop)
{
	bool whole = stop - vio->at == LAYOUT_CLUSTER;

	vio->piece = (uint32_t)(stop - vio->at);
	/* A part is cleared under a claim of all, so that a cluster that becomes empty can go. */
	switch (vio_claim(vio, vio_block(vio), 0, true, whole)) {
	case MAP_CLAIM_HELD:
		return VIO_CLEARED;
	case MAP_CLAIM_WAITS:
		return vio_wait(vio, VIO_CLEARED);
	case MAP_CLAIM_UNPREPARED:
		return vio_want_memory(vio, vio->claim.cluster);
	}
	UNREACHABLE();
}

enum vio_state vio_cleared(struct volume_io *vio)
{
	uint64_t detached;
	int res;

	detached = map_clear(&vio->claim, (unsigned)(vio_block(vio) % LAYOUT_CLUSTER_BLOCKS),
			     vio->piece / LAYOUT_PAGE, vio->view->depth > 1, &res);
	map_claim_drop(&vio->claim);
	if (res == -EOPNOTSUPP)
		return write_zeros(vio, vio->at + vio->piece);
	vio->at += vio->piece;
	vio->wend = vio->at;
	vio->commit |= vio_fua(vio) || !vio_settled(vio); /* as a first write: see write.c */
	if (detached)
		vio->freed.phys[vio->freed.n++] = detached;
	return vio->freed.n == POOL_FREE_MAX ? VIO_FREE : VIO_CLEAR;
}

/* Has the head a cluster here that must stay? */
static bool head_has(const struct volume_io *vio, uint32_t blocks)
{
	struct map_run run;

	map_find(vio->view->chain[0], vio_block(vio), blocks, &run);
	return run.found == MAP_HERE || run.blocks < blocks;
}

/* From at on, for at most a cluster. VIO_CLEAR: go on. */
static enum vio_state clear_some(struct volume_io *vio)
{
	uint64_t in_cluster = (vio->at / LAYOUT_CLUSTER + 1) * LAYOUT_CLUSTER;
	uint64_t next_block = (vio_block(vio) + 1) * LAYOUT_PAGE;
	bool part = vio->at % LAYOUT_PAGE || vio->end - vio->at < LAYOUT_PAGE;
	uint64_t stop = part ? MIN(next_block, vio->end)
			     : MIN(in_cluster, align_down(vio->end, LAYOUT_PAGE));
	uint32_t blocks = part ? 1 : (uint32_t)((stop - vio->at) / LAYOUT_PAGE);
	bool whole = blocks == LAYOUT_CLUSTER_BLOCKS;
	struct map_run run;

	chain_run(vio->view, 0, vio_block(vio), blocks, &run);
	if (run.found == MAP_ZERO && (run.blocks == blocks || !whole)) {
		/* What made them zeros may be in RAM alone. */
		vio->commit |= vio_fua(vio) ? !vio_clean(vio) : !vio_settled(vio);
		vio->at = part ? stop : vio->at + run.blocks * (uint64_t)LAYOUT_PAGE;
		vio->wend = vio->at;
		return VIO_CLEAR;
	}
	if (part)
		return write_zeros(vio, stop);
	if (keep_alloc(vio) && !(whole && !head_has(vio, blocks)))
		return write_zeros(vio, stop);
	return clear_claim(vio, stop);
}

enum vio_state vio_clear(struct volume_io *vio)
{
	unsigned budget = SLICE_CLUSTERS;
	enum vio_state next = VIO_CLEAR;

	if (vio->at < vio->wend)
		return VIO_WRITE; /* entered again in the middle of it */
	while (vio->at < vio->end && next == VIO_CLEAR) {
		if (!budget--)
			return slice_over(vio);
		next = clear_some(vio);
	}
	return next == VIO_CLEAR ? VIO_FINISH : next;
}

static void free_done(struct pool_free *req)
{
	vio_run(container_of(req, struct volume_io, freed));
}

enum vio_state vio_free_clusters(struct volume_io *vio)
{
	vio->freed.done = free_done;
	pool_free_clusters(vio->lane->pool, &vio->freed);
	return vio_wait(vio, VIO_FREED);
}

enum vio_state vio_freed(struct volume_io *vio)
{
	vio->freed.n = 0;
	return vio->res || vio->at == vio->end ? VIO_FINISH : VIO_CLEAR;
}
