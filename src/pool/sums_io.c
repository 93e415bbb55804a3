/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests for data, cluster by cluster:
 *
 *   read   admit -> READ -> compare --fits--> next piece
 *                               \--does not--> admit again with the blocks locked -> READ -> compare: now it counts
 *   write  admit (locks) -> [FILL: parts of blocks] -> WRITE -> release -> next piece
 *
 * A read that does not lock may see a write of the same blocks half done; so the first mismatch says nothing yet. What is not whole blocks in aligned memory goes
 * through the request's bounce buffer.
 */
#include "pool/sums_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

static void sio_next(struct sums_io *r);
static void sio_admit(struct sums_io *r);

static struct sums *sums_of(const struct sums_io *r)
{
	return r->lane->sums;
}

static uint64_t piece_place(const struct sums_io *r)
{
	return r->phys * LAYOUT_CLUSTER_BLOCKS + r->first;
}

static uint8_t *piece_data(const struct sums_io *r)
{
	return r->bounced ? r->bounce : r->buf + (r->at - r->start);
}

static bool piece_has_parts(const struct sums_io *r)
{
	return r->at % LAYOUT_PAGE || r->bytes % LAYOUT_PAGE;
}

static void plan(struct sums_io *r)
{
	uint64_t cluster_end = (r->at / LAYOUT_CLUSTER + 1) * LAYOUT_CLUSTER;
	uint64_t max = MIN(r->end, cluster_end) - r->at;
	unsigned skip = (unsigned)(r->at % LAYOUT_PAGE);

	r->bounced = skip || max < LAYOUT_PAGE || (r->at - r->start) % LAYOUT_PAGE;
	r->bytes = (uint32_t)(r->bounced ? MIN(max, SUMS_BOUNCE - skip)
					 : align_down(max, LAYOUT_PAGE));
	r->phys = r->at / LAYOUT_CLUSTER;
	r->first = (unsigned)(r->at / LAYOUT_PAGE % LAYOUT_CLUSTER_BLOCKS);
	r->count = (skip + r->bytes + LAYOUT_PAGE - 1) / LAYOUT_PAGE;
	r->locking = r->write || r->check;
}

/* ---- the end ---- */

static void sio_init(struct sums_io *r, struct blk_io *parent)
{
	r->parent = parent;
	r->check = NULL;
	r->write = parent->op == BLK_WRITE;
	r->start = r->at = parent->offset;
	r->end = parent->offset + parent->length;
	r->buf = parent->buf;
}

static void sio_woken(struct msg *msg)
{
	struct sums_io *r = container_of(msg, struct sums_io, msg);

	sio_admit(r);
}

static void begin(struct sums_io *r);

static void begin_later(struct msg *msg)
{
	struct sums_io *r = container_of(msg, struct sums_io, msg);

	r->msg.run = sio_woken;
	begin(r);
}

static void sio_end(struct sums_io *r, int res)
{
	struct blk_io *parent = r->parent;
	struct sums_lane *lane = r->lane;
	struct list *next;

	if (r->check) {
		r->check->done(r->check, res);
		return;
	}
	next = list_pop_front(&lane->parents);
	if (next) {
		sio_init(r, container_of(next, struct blk_io, task.link));
		r->msg.run = begin_later;
		reactor_post(lane->reactor, &r->msg);
	} else {
		list_push_front(&lane->idle, &r->link);
	}
	blk_complete(parent, res);
}

static void piece_fails(struct sums_io *r, int res)
{
	if (r->locked)
		sums_release(sums_of(r), r, r->step == SIO_WRITE ? res : 0);
	sio_end(r, res);
}

static void piece_ends(struct sums_io *r)
{
	if (r->locked)
		sums_release(sums_of(r), r, 0);
	r->at += r->bytes;
	sio_next(r);
}

/* ---- transfers ---- */

static void transfer(struct sums_io *r, enum blk_op op, unsigned flags)
{
	r->io.op = op;
	r->io.flags = flags;
	r->io.offset = piece_place(r) * LAYOUT_PAGE;
	r->io.length = (uint64_t)r->count * LAYOUT_PAGE;
	r->io.buf = piece_data(r);
	blk_submit(sums_of(r)->pool->dev, &r->io);
}

static void write_piece(struct sums_io *r)
{
	const uint8_t *data = piece_data(r);

	for (unsigned i = 0; i < r->count; i++)
		r->sum[i] = layout_block_sum(piece_place(r) + i, data + (size_t)i * LAYOUT_PAGE);
	r->step = SIO_WRITE;
	transfer(r, BLK_WRITE, r->parent->flags & BLK_FUA);
}

static bool block_fits(const struct sums_io *r, unsigned i)
{
	unsigned block = r->first + i;

	if (block_mask_has(&r->unsure, block))
		return true;
	return layout_block_sum(piece_place(r) + i, piece_data(r) + (size_t)i * LAYOUT_PAGE) ==
	       r->sum[i];
}

/* Index of the first block that does not fit; count: none. */
static unsigned compare(const struct sums_io *r)
{
	unsigned i = 0;

	while (i < r->count && block_fits(r, i))
		i++;
	return i;
}

static void note_bad(struct sums_io *r)
{
	for (unsigned i = 0; i < r->count; i++)
		if (!block_fits(r, i))
			r->check->bad.word[(r->first + i) / 64] |= (uint64_t)1
								   << ((r->first + i) % 64);
	piece_ends(r);
}

static void read_done(struct sums_io *r)
{
	unsigned bad;

	if (r->check) {
		note_bad(r);
		return;
	}
	bad = compare(r);
	if (bad < r->count && !r->locking) {
		r->locking = true;
		sio_admit(r);
		return;
	}
	if (bad < r->count) {
		sums_wrong(sums_of(r), piece_place(r) + bad, "read");
		piece_fails(r, -EILSEQ);
		return;
	}
	if (r->bounced)
		memcpy(r->buf + (r->at - r->start), r->bounce + r->at % LAYOUT_PAGE, r->bytes);
	piece_ends(r);
}

/* The blocks of which parts are written are in the bounce buffer; what is around the parts is to be right. Nothing was written: the sums stay. */
static void fill_done(struct sums_io *r)
{
	unsigned bad = compare(r);

	if (bad < r->count) {
		sums_wrong(sums_of(r), piece_place(r) + bad, "write of a part of it");
		r->write = false; /* for the release: nothing has changed */
		piece_fails(r, -EILSEQ);
		return;
	}
	memcpy(r->bounce + r->at % LAYOUT_PAGE, r->buf + (r->at - r->start), r->bytes);
	write_piece(r);
}

static void io_done(struct blk_io *io, int res)
{
	struct sums_io *r = container_of(io, struct sums_io, io);

	if (res && r->step == SIO_FILL)
		r->write = false;
	if (res) {
		piece_fails(r, res);
		return;
	}
	switch (r->step) {
	case SIO_READ:
		read_done(r);
		return;
	case SIO_FILL:
		fill_done(r);
		return;
	case SIO_WRITE:
		piece_ends(r);
		return;
	case SIO_FLUSH:
		sio_end(r, 0);
		return;
	}
}

static void sio_go(struct sums_io *r)
{
	if (!r->write) {
		r->step = SIO_READ;
		transfer(r, BLK_READ, 0);
	} else if (r->bounced && piece_has_parts(r)) {
		r->step = SIO_FILL;
		transfer(r, BLK_READ, 0);
	} else {
		if (r->bounced)
			memcpy(r->bounce, r->buf + (r->at - r->start), r->bytes);
		write_piece(r);
	}
}

static void sio_admit(struct sums_io *r)
{
	int res = r->res;

	r->res = 0;
	if (res) {
		sio_end(r, res);
		return;
	}
	switch (sums_admit(sums_of(r), r)) {
	case SUMS_GO:
		sio_go(r);
		return;
	case SUMS_REFUSED:
		res = r->res;
		r->res = 0;
		sio_end(r, res);
		return;
	case SUMS_WAITS: /* r belongs to who wakes it */
		return;
	}
}

static void sio_next(struct sums_io *r)
{
	if (r->at == r->end) {
		sio_end(r, 0);
		return;
	}
	plan(r);
	sio_admit(r);
}

/* ---- the device ---- */

static void begin(struct sums_io *r)
{
	if (r->parent->op != BLK_FLUSH) {
		sio_next(r);
		return;
	}
	r->step = SIO_FLUSH;
	r->io.op = BLK_FLUSH;
	r->io.flags = 0;
	r->io.offset = r->io.length = 0;
	r->io.buf = NULL;
	blk_submit(sums_of(r)->pool->dev, &r->io);
}

static void dev_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct sums *s = container_of(dev, struct sums, dev);
	struct sums_lane *lane = s->lane[reactor_id(io->reactor)];
	struct sums_io *r;

	if (list_empty(&lane->idle)) {
		list_push_back(&lane->parents, &io->task.link);
		return;
	}
	r = list_entry(list_pop_front(&lane->idle), struct sums_io, link);
	sio_init(r, io);
	begin(r);
}

static void dev_destroy(struct blk_dev *dev)
{
	blk_dev_fini(dev);
}

static const struct blk_ops sums_ops = {
	.product = "Sums of data",
	.submit = dev_submit,
	.destroy = dev_destroy,
};

static void io_init(struct sums_io *r, struct sums_lane *lane)
{
	r->lane = lane;
	r->msg.run = sio_woken;
	r->io.done = io_done;
}

static int lane_new(struct sums *s, struct reactor *reactor)
{
	struct sums_lane **at = &s->lane[reactor_id(reactor)], *lane;

	if (*at)
		return 0;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return -ENOMEM;
	*at = lane;
	lane->sums = s;
	lane->reactor = reactor;
	lane->memory = batch_buffer((size_t)SUMS_IOS * SUMS_BOUNCE);
	if (!lane->memory)
		return -ENOMEM;
	list_init(&lane->idle);
	list_init(&lane->parents);
	for (unsigned i = 0; i < SUMS_IOS; i++) {
		io_init(&lane->io[i], lane);
		lane->io[i].bounce = lane->memory + (size_t)i * SUMS_BOUNCE;
		list_push_back(&lane->idle, &lane->io[i].link);
	}
	return 0;
}

int sums_dev_init(struct sums *s)
{
	struct pool *pool = s->pool;
	struct blk_dev *base = pool->dev;
	int rc = lane_new(s, pool->home);

	for (unsigned i = 0; i < pool->n_slots && !rc; i++)
		rc = lane_new(s, pool->slots[i].reactor);
	return rc ? rc
		  : blk_dev_init(&s->dev, &sums_ops, "sums", &pool->super.now.pool,
				 atomic_load(&base->size_bytes), base->block_size,
				 base->caps & (BLK_CAP_VOLATILE_CACHE | BLK_CAP_READ_ONLY), NULL);
}

void sums_dev_fini(struct sums *s)
{
	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		if (s->lane[i])
			free(s->lane[i]->memory);
		free(s->lane[i]);
	}
	if (s->dev.ops)
		blk_dev_fini(&s->dev);
}

/* ---- scrub ---- */

static void check_begins(struct msg *msg)
{
	struct sums_io *r = container_of(msg, struct sums_io, msg);

	r->msg.run = sio_woken;
	sio_next(r);
}

void sums_check(struct pool *pool, struct sums_check *check)
{
	struct sums *s = pool->sums;
	struct sums_io *r = &s->check_io;

	io_init(r, s->lane[reactor_id(pool->home)]);
	memset(&check->bad, 0, sizeof(check->bad));
	r->parent = NULL;
	r->check = check;
	r->write = false;
	r->start = r->at = check->cluster * LAYOUT_CLUSTER;
	r->end = r->at + LAYOUT_CLUSTER;
	r->buf = check->buf;
	r->msg.run = check_begins;
	reactor_post(pool->home, &r->msg);
}
