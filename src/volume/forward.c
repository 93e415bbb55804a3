/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steady path: a read or write of at most a cluster whose blocks lie side by side on the device goes there as it is: one lookup, one transfer, and nothing to remember but
 * the phase of the gate. Everything else (holes, first touches, pieces in several places, a cut under way, writes before the map is settled) is a struct volume_io (io.h).
 *
 * What a request is checked for here and in vio_enter() is the same; what is not as it should be is refused there.
 */
#include "volume/io.h"

/* Where the request lies, if in one place: a read down the chain, a write in the head. */
static bool find_place(const struct volume_view *view, const struct blk_io *io,
		       uint64_t *ret_offset)
{
	uint64_t block = io->offset / LAYOUT_PAGE;
	uint64_t blocks = (io->offset + io->length - 1) / LAYOUT_PAGE - block + 1;
	struct map_run run;

	if (blocks > LAYOUT_CLUSTER_BLOCKS)
		return false;
	if (io->op == BLK_READ)
		chain_run(view, 0, block, (uint32_t)blocks, &run);
	else
		map_find(view->chain[0], block, (uint32_t)blocks, &run);
	if (run.found != MAP_HERE || run.blocks < blocks)
		return false;
	*ret_offset = run.place * LAYOUT_PAGE + io->offset % LAYOUT_PAGE;
	return true;
}

/*
 * May a write to what the lookup showed be answered when the device has it? A block that is here only in the engine's RAM would be gone, with what was written to it, when the engine dies. Ask
 * after the lookup.
 */
static bool settled(const struct volume *v, const struct volume_view *view, unsigned flags)
{
	if (!(flags & BLK_FUA))
		return map_settled(view->chain[0]);
	return map_clean(view->chain[0]) &&
	       !atomic_load_explicit(&v->cut_pending, memory_order_acquire);
}

bool vio_forward(struct volume *v, struct volume_lane *lane, struct blk_io *io)
{
	const struct volume_port *port = &v->port[lane->index];
	const struct volume_view *view = port->view;
	uint64_t offset;

	if ((io->op != BLK_READ && io->op != BLK_WRITE) || port->held ||
	    io->offset + io->length > view->size_bytes)
		return false;
	if (io->op == BLK_WRITE && (!view->writable || pool_writable(lane->pool)))
		return false;
	io->layer_tag = gate_enter(lane->slot);
	if (!find_place(view, io, &offset) ||
	    (io->op == BLK_WRITE && !settled(v, view, io->flags))) {
		gate_leave(lane->slot, io->layer_tag);
		return false;
	}
	blk_forward(io, lane->base, offset);
	return true;
}

void volume_forwarded(struct blk_dev *dev, struct blk_io *io)
{
	struct volume *v = container_of(dev, struct volume_dev, dev)->v;

	gate_leave(v->set->lane[reactor_id(io->reactor)]->slot, io->layer_tag);
}
