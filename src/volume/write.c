/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes. What the head has is overwritten in place: a lookup and a transfer. What it does not have is claimed, gets a cluster, is written and only then
 * valid: nobody ever reads what an earlier owner left in a cluster. A part of a 4 KiB block that the head does not have is filled up from the chain first.
 *
 * A write is answered when the map's changes that it stands on outlive the engine, its own first touch and that of others whose block it overwrites: when they are noted (pool/notes.h) or, where that
 * was not possible, durable. A host sees an engine that dies and comes back as a controller that was reset, and a reset loses nothing that was answered: else a block written for the first time would
 * be gone, the host's next flush would find nothing amiss, and its file system would have lost it. FUA wants them durable.
 *
 * One piece at a time of those that need a claim: whole blocks straight from the caller's memory; whole blocks by a bounce buffer where that is not aligned; one
 * block of which a part is written.
 */
#include "volume/io.h"

static enum pool_space space_of(const struct volume_io *vio)
{
	return atomic_load_explicit(&vio->v->thick, memory_order_relaxed) ? POOL_THICK : POOL_THIN;
}

static uint32_t blocks_left(const struct volume_io *vio)
{
	uint64_t n = (vio->wend + LAYOUT_PAGE - 1) / LAYOUT_PAGE - vio_block(vio);

	return n < LAYOUT_CLUSTER_BLOCKS ? (uint32_t)n : LAYOUT_CLUSTER_BLOCKS;
}

/* What the head has from at on, as one transfer; false: nothing. */
static bool find_in_place(const struct volume_io *vio, struct vio_piece *piece)
{
	const struct map *head = vio->view->chain[0];
	uint64_t block = vio_block(vio), n;
	struct map_run run, next;

	map_find(head, block, blocks_left(vio), &run);
	if (run.found != MAP_HERE)
		return false;
	n = run.blocks;
	while ((block + n) * LAYOUT_PAGE < vio->wend) {
		map_find(head, block + n, LAYOUT_CLUSTER_BLOCKS, &next);
		if (next.found != MAP_HERE || next.place != run.place + n)
			break;
		n += next.blocks;
	}
	piece->offset = run.place * LAYOUT_PAGE + vio->at % LAYOUT_PAGE;
	n = n * LAYOUT_PAGE - vio->at % LAYOUT_PAGE;
	piece->length = MIN(n, vio->wend - vio->at);
	return true;
}

/* The flags for data that is valid already. Durable needs a commit too if the blocks' being there is not durable yet. */
static unsigned durably(struct volume_io *vio)
{
	if (vio_fua(vio) && vio_clean(vio))
		return BLK_FUA;
	vio->commit |= vio_fua(vio) || !vio_settled(vio);
	return 0;
}

static enum vio_state write_bounced(struct volume_io *vio, const struct vio_piece *piece)
{
	if (vio->pending || !vio_bounce_get(vio))
		return vio_wait(vio, VIO_WRITE);
	vio->piece = (uint32_t)MIN(piece->length, VIO_BOUNCE);
	memcpy(vio->bounce, vio_data(vio), vio->piece);
	vio_child_start(vio, BLK_WRITE, durably(vio), piece->offset, vio->piece, vio->bounce);
	return vio_wait(vio, VIO_WRITE_COPIED);
}

enum vio_state vio_write_copied(struct volume_io *vio)
{
	if (vio->res)
		return VIO_FINISH;
	vio_bounce_put(vio);
	vio->at += vio->piece;
	return VIO_WRITE;
}

enum vio_state vio_write(struct volume_io *vio)
{
	while (vio->at < vio->wend && !vio->res) {
		struct vio_piece piece;

		if (vio->pending == VIO_CHILDREN)
			return vio_wait(vio, VIO_WRITE);
		if (!find_in_place(vio, &piece))
			return vio->pending ? vio_wait(vio, VIO_WRITE) : VIO_CLAIM;
		if (!vio_data_aligned(vio))
			return write_bounced(vio, &piece);
		if (vio->zeroing)
			piece.length = MIN(piece.length, VIO_ZEROS);
		vio_child_start(vio, BLK_WRITE, durably(vio), piece.offset, piece.length,
				vio_data(vio));
		vio->at += piece.length;
	}
	if (vio->pending)
		return vio_wait(vio, VIO_WRITE);
	return vio->zeroing && !vio->res ? VIO_CLEAR : VIO_FINISH;
}

/* ---- first touch ---- */

/*
 * Until a cut is through, writes that began before it may still be going to other parts of the block below, which would be lost by filling up from there now. A commit ends when the
 * cut has ended; the gate is left meanwhile, as the cut waits for those who are in it.
 */
static enum vio_state wait_for_cut(struct volume_io *vio)
{
	vio_bounce_put(vio);
	map_claim_drop(&vio->claim);
	return vio_wait_for_commit(vio, VIO_ENTER);
}

enum vio_state vio_write_claim(struct volume_io *vio)
{
	uint64_t left = vio->wend - vio->at, block = vio_block(vio);
	struct map_run run;
	uint32_t n = 1;

	vio->partial = vio->at % LAYOUT_PAGE || left < LAYOUT_PAGE;
	if (!vio->partial) {
		uint64_t whole = left / LAYOUT_PAGE;

		if (!vio_data_aligned(vio))
			whole = MIN(whole, VIO_BOUNCE / LAYOUT_PAGE);
		map_find(vio->view->chain[0], block, (uint32_t)MIN(whole, UINT32_MAX), &run);
		if (run.found == MAP_HERE)
			return VIO_WRITE; /* somebody was faster */
		n = run.blocks;
		vio->piece = n * LAYOUT_PAGE;
	} else {
		vio->piece = (uint32_t)MIN(left, LAYOUT_PAGE - vio->at % LAYOUT_PAGE);
	}
	switch (vio_claim(vio, block, n, false, false)) {
	case MAP_CLAIM_HELD:
		return VIO_CLAIMED;
	case MAP_CLAIM_WAITS:
		return vio_wait(vio, VIO_CLAIMED);
	case MAP_CLAIM_UNPREPARED:
		return vio_want_memory(vio, vio->claim.cluster);
	}
	UNREACHABLE();
}

static uint64_t claimed_offset(const struct volume_io *vio)
{
	return map_claim_phys(&vio->claim) * LAYOUT_CLUSTER +
	       vio->claim.first * (uint64_t)LAYOUT_PAGE;
}

enum vio_state vio_write_claimed(struct volume_io *vio)
{
	struct pool_slot *slot = vio->lane->slot;
	enum pool_space space = space_of(vio);

	if (!map_claim_phys(&vio->claim)) {
		uint64_t phys = pool_take_cluster(slot, space);

		if (!phys)
			return vio_want_space(vio);
		if (map_attach(&vio->claim, phys) != phys)
			pool_return_cluster(slot, space, phys);
	}
	vio->refused = false;
	if (vio->partial || !vio_data_aligned(vio))
		return VIO_BOUNCE_NEEDED;
	vio_child_start(vio, BLK_WRITE, 0, claimed_offset(vio), vio->piece, vio_data(vio));
	return vio_wait(vio, VIO_DATA);
}

/* The block as it reads now goes into the bounce buffer. True: it is there at once. */
static bool fill(struct volume_io *vio, enum map_found found)
{
	struct map_run run = {.found = MAP_ZERO};

	if (found == MAP_ABSENT)
		chain_run(vio->view, 1, vio_block(vio), 1, &run);
	if (run.found == MAP_ZERO) {
		memset(vio->bounce, 0, LAYOUT_PAGE);
		return true;
	}
	vio_child_start(vio, BLK_READ, 0, run.place * LAYOUT_PAGE, LAYOUT_PAGE, vio->bounce);
	return false;
}

enum vio_state vio_write_bounce(struct volume_io *vio)
{
	enum map_found found;

	if (!vio_bounce_get(vio))
		return vio_wait(vio, VIO_BOUNCE_NEEDED);
	if (!vio->partial) {
		memcpy(vio->bounce, vio_data(vio), vio->piece);
		vio_child_start(vio, BLK_WRITE, 0, claimed_offset(vio), vio->piece, vio->bounce);
		return vio_wait(vio, VIO_DATA);
	}
	found = map_claim_block(&vio->claim, vio->claim.first);
	if (found == MAP_ABSENT && atomic_load(&vio->v->cut_pending))
		return wait_for_cut(vio);
	if (found == MAP_HERE) { /* since then; others may be writing the rest of it in place */
		memcpy(vio->bounce, vio_data(vio), vio->piece);
		vio_child_start(vio, BLK_WRITE, 0, claimed_offset(vio) + vio->at % LAYOUT_PAGE,
				vio->piece, vio->bounce);
		return vio_wait(vio, VIO_DATA);
	}
	return fill(vio, found) ? VIO_FILLED : vio_wait(vio, VIO_FILLED);
}

enum vio_state vio_write_filled(struct volume_io *vio)
{
	if (vio->res)
		return VIO_FINISH;
	memcpy(vio->bounce + vio->at % LAYOUT_PAGE, vio_data(vio), vio->piece);
	vio_child_start(vio, BLK_WRITE, 0, claimed_offset(vio), LAYOUT_PAGE, vio->bounce);
	return vio_wait(vio, VIO_DATA);
}

enum vio_state vio_write_data(struct volume_io *vio)
{
	if (vio->res)
		return VIO_FINISH; /* the cluster stays, without these blocks, for the next try */
	map_set_valid(&vio->claim, vio->claim.first, vio->claim.count);
	map_claim_drop(&vio->claim);
	if (vio->bounce)
		vio_bounce_put(vio);
	vio->commit |= vio_fua(vio) || !vio_settled(vio);
	vio->at += vio->piece;
	return VIO_WRITE;
}
