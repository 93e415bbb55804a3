/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads: down the chain of maps until somebody has the block or hides it. Pieces that lie side by side on the device are one transfer; a few are under way at
 * once. A caller without a buffer is lent the device's memory if one piece covers the read, zeros if it is all zeros, else a buffer of the lane.
 */
#include <errno.h>

#include "volume/io.h"

void chain_run(const struct volume_view *view, unsigned first, uint64_t block, uint32_t max,
	       struct map_run *run)
{
	for (unsigned d = first; d < view->depth; d++) {
		map_find(view->chain[d], block, max, run);
		if (run->found != MAP_ABSENT)
			return;
		max = run->blocks; /* below the rest of it there may be something else */
	}
	run->found = MAP_ZERO;
	run->blocks = max;
}

static uint32_t blocks_until(uint64_t block, uint64_t end)
{
	uint64_t n = (end + LAYOUT_PAGE - 1) / LAYOUT_PAGE - block;

	return n < LAYOUT_CLUSTER_BLOCKS ? (uint32_t)n : LAYOUT_CLUSTER_BLOCKS;
}

static void chain_piece(const struct volume_view *view, uint64_t at, uint64_t end,
			struct vio_piece *piece)
{
	uint64_t block = at / LAYOUT_PAGE, bytes;
	struct map_run run, next;

	chain_run(view, 0, block, blocks_until(block, end), &run);
	piece->zero = run.found == MAP_ZERO;
	piece->offset = run.place * LAYOUT_PAGE + at % LAYOUT_PAGE;
	bytes = run.blocks;
	while ((block + bytes) * LAYOUT_PAGE < end) {
		chain_run(view, 0, block + bytes, blocks_until(block + bytes, end), &next);
		if (next.found != run.found ||
		    (next.found == MAP_HERE && next.place != run.place + bytes))
			break;
		bytes += next.blocks;
	}
	bytes = bytes * LAYOUT_PAGE - at % LAYOUT_PAGE;
	piece->length = MIN(bytes, end - at);
}

/* The first piece of a read whose caller has no buffer. */
static enum vio_state read_lend(struct volume_io *vio, const struct vio_piece *piece)
{
	bool covers = piece->length == vio->end - vio->at;

	if (covers && piece->zero && piece->length <= VIO_ZEROS) {
		vio->parent->loan = vio_zeros;
		return VIO_FINISH;
	}
	if (covers && !piece->zero) {
		vio->at = vio->end;
		vio_child_start(vio, BLK_READ, BLK_LOAN_OK, piece->offset, piece->length, NULL);
		return vio_wait(vio, VIO_READ);
	}
	if (vio->end - vio->start > VIO_JOINED)
		return vio_fail(vio, -EINVAL); /* nobody asks for that much without a buffer */
	return vio_joined_get(vio) ? VIO_READ : vio_wait(vio, VIO_READ);
}

/* The device wants aligned memory, and at is not aligned in the caller's. */
static enum vio_state read_bounced(struct volume_io *vio, const struct vio_piece *piece)
{
	if (vio->pending || !vio_bounce_get(vio))
		return vio_wait(vio, VIO_READ);
	vio->piece = (uint32_t)MIN(piece->length, VIO_BOUNCE);
	vio_child_start(vio, BLK_READ, 0, piece->offset, vio->piece, vio->bounce);
	return vio_wait(vio, VIO_READ_COPY);
}

enum vio_state vio_read_copy(struct volume_io *vio)
{
	if (vio->res)
		return VIO_FINISH;
	memcpy(vio_data(vio), vio->bounce, vio->piece);
	vio_bounce_put(vio);
	vio->at += vio->piece;
	return VIO_READ;
}

enum vio_state vio_read(struct volume_io *vio)
{
	while (vio->at < vio->end && !vio->res) {
		struct vio_piece piece;
		unsigned flags = 0;

		if (vio->pending == VIO_CHILDREN)
			return vio_wait(vio, VIO_READ);
		chain_piece(vio->view, vio->at, vio->end, &piece);
		if (!vio->buf)
			return read_lend(vio, &piece);
		if (piece.zero) {
			memset(vio_data(vio), 0, piece.length);
			vio->at += piece.length;
			continue;
		}
		if (!vio_data_aligned(vio))
			return read_bounced(vio, &piece);
		if (piece.length == vio->end - vio->start && vio->buf == vio->parent->buf)
			flags = vio->parent->flags & BLK_LOAN_OK;
		vio_child_start(vio, BLK_READ, flags, piece.offset, piece.length, vio_data(vio));
		vio->at += piece.length;
	}
	return vio->pending ? vio_wait(vio, VIO_READ) : VIO_FINISH;
}
