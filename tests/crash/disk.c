/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_int.h"

/* Some requests take far longer than others, so that much can happen meanwhile. */
#define SLOW_ONE_IN 16u
#define SLOW_TIMES  20u

struct disk_io { /* a request under way */
	struct sim_event ev;
	struct msg msg;
	struct list link; /* under_way */
	struct crash_disk *disk;
	struct blk_io *io;
	uint32_t seq; /* flush: of the newest write that had ended when it was asked for */
	int res;
};

/* ---- pages ---- */

struct free_page {
	struct free_page *next;
};
static struct free_page *free_pages;

static uint8_t *page_new(const uint8_t *from)
{
	struct free_page *p = free_pages;

	if (p)
		free_pages = p->next;
	else
		p = malloc(DISK_PAGE);
	ASSERT(p);
	if (from)
		memcpy(p, from, DISK_PAGE);
	else
		memset(p, 0, DISK_PAGE);
	return (uint8_t *)p;
}

static void page_free(uint8_t *page)
{
	struct free_page *p = (struct free_page *)page;

	if (!p)
		return;
	p->next = free_pages;
	free_pages = p;
}

static void pages_write(uint8_t **table, uint64_t offset, const uint8_t *data, uint64_t length)
{
	while (length) {
		uint64_t in = offset % DISK_PAGE, part = MIN(length, DISK_PAGE - in);
		uint8_t **page = &table[offset / DISK_PAGE];

		if (!*page)
			*page = page_new(NULL);
		memcpy(*page + in, data, part);
		offset += part;
		data += part;
		length -= part;
	}
}

static void pages_read(uint8_t **table, uint64_t offset, uint8_t *data, uint64_t length)
{
	while (length) {
		uint64_t in = offset % DISK_PAGE, part = MIN(length, DISK_PAGE - in);
		const uint8_t *page = table[offset / DISK_PAGE];

		if (page)
			memcpy(data, page + in, part);
		else
			memset(data, 0, part);
		offset += part;
		data += part;
		length -= part;
	}
}

/* ---- the cache ---- */

static void write_free(struct disk_write *w)
{
	list_remove(&w->link);
	free(w->data);
	free(w->then);
	free(w);
}

static struct disk_write *write_new(struct list *list, const struct blk_io *io, uint32_t seq)
{
	struct disk_write *w = calloc(1, sizeof(*w));

	ASSERT(w);
	w->offset = io->offset;
	w->length = io->length;
	w->seq = seq;
	w->flush = io->op == BLK_FLUSH;
	if (!w->flush) {
		w->data = malloc(io->length);
		ASSERT(w->data);
		if (io->op == BLK_WRITE)
			memcpy(w->data, io->buf, io->length);
		else /* what discarded space reads as is nobody's promise */
			memset(w->data, io->offset / DISK_PAGE / 256 % 2 ? 0xdd : 0, io->length);
	}
	list_push_back(list, &w->link);
	return w;
}

static void settle(struct crash_disk *d, const struct disk_write *w)
{
	for (uint64_t n = 0; n < w->length; n += DISK_SECTOR) {
		uint32_t *seq = &d->durable_seq[(w->offset + n) / DISK_SECTOR];

		if (*seq > w->seq)
			continue;
		*seq = w->seq;
		pages_write(d->durable, w->offset + n, w->data + n, DISK_SECTOR);
	}
}

static void do_flush(struct crash_disk *d, uint32_t upto)
{
	list_for_each_safe (it, &d->cached) {
		struct disk_write *w = list_entry(it, struct disk_write, link);

		if (w->seq > upto)
			continue;
		settle(d, w);
		write_free(w);
	}
}

static bool lost(struct crash_disk *d, const struct blk_io *io)
{
	if (!d->lose_page || io->op != BLK_WRITE || get_le32(io->buf) != DISK_PAGE_MAGIC)
		return false;
	d->lose_page = false;
	return true;
}

static void do_write(struct crash_disk *d, const struct blk_io *io)
{
	struct blk_io moved = *io;
	struct disk_write *w;

	if (lost(d, io)) {
		if (!d->misdirect)
			return;
		moved.offset = (uint64_t)((int64_t)io->offset + d->misdirect);
	}
	w = write_new(&d->cached, &moved, ++d->seq);
	pages_write(d->live, w->offset, w->data, w->length);
	if (io->flags & BLK_FUA) {
		settle(d, w);
		write_free(w);
	}
}

/* What is cached of a sector shows only where nothing newer is durable. */
static void show(struct crash_disk *d, const struct disk_write *w)
{
	for (uint64_t n = 0; n < w->length; n += DISK_SECTOR)
		if (d->durable_seq[(w->offset + n) / DISK_SECTOR] < w->seq)
			pages_write(d->live, w->offset + n, w->data + n, DISK_SECTOR);
}

/* A flush that fails: some of what it was for is gone, whoever reads it and however often it is flushed afterwards. */
static void lose_cached(struct crash_disk *d, uint32_t upto)
{
	d->flush_lost = true;
	list_for_each_safe (it, &d->cached) {
		struct disk_write *w = list_entry(it, struct disk_write, link);

		if (w->seq > upto || rng_below(&d->rng, 2))
			continue;
		pages_read(d->durable, w->offset, w->data, w->length);
		pages_write(d->live, w->offset, w->data, w->length);
		write_free(w);
	}
	list_for_each (it, &d->cached)
		show(d, list_entry(it, struct disk_write, link));
}

static int execute(struct crash_disk *d, struct disk_io *x)
{
	struct blk_io *io = x->io;

	if (d->dead)
		return -EIO;
	if (io->op == BLK_FLUSH && d->flush_lost)
		return -EIO;
	if (d->fail_mask >> io->op & 1 && rng_below(&d->rng, d->fail_one_in) == 0) {
		if (io->op == BLK_WRITE && rng_below(&d->rng, 2))
			do_write(d, io); /* it may be there all the same */
		if (io->op == BLK_FLUSH)
			lose_cached(d, x->seq);
		return -EIO;
	}
	if (io->op == BLK_READ)
		pages_read(d->live, io->offset, io->buf, io->length);
	else if (io->op == BLK_FLUSH)
		do_flush(d, x->seq);
	else
		do_write(d, io);
	return 0;
}

static void returns(struct msg *msg)
{
	struct disk_io *x = container_of(msg, struct disk_io, msg);
	struct blk_io *io = x->io;
	int res = x->res;

	free(x);
	blk_complete(io, res);
}

static void event(struct sim_world *sim, struct sim_event *ev)
{
	struct disk_io *x = container_of(ev, struct disk_io, ev);
	struct crash_disk *d = x->disk;

	list_remove(&x->link);
	x->res = execute(d, x);
	if (d->hook && !x->res && x->io->op != BLK_READ)
		d->hook(d->hook_ctx, x->io->op == BLK_FLUSH ? "flush" : "write", x->io->offset,
			x->io->length);
	x->msg.run = returns;
	reactor_post(x->io->reactor, &x->msg);
}

static void submit_to(struct crash_disk *d, const struct blk_dev *dev, struct blk_io *io)
{
	struct disk_io *x = calloc(1, sizeof(*x));
	uint64_t span = d->latency_ns[1] - d->latency_ns[0], wait;

	ASSERT(x);
	d->late += dev == d->shut && io->op != BLK_READ && io->op != BLK_FLUSH;
	x->disk = d;
	x->io = io;
	x->seq = d->seq;
	list_push_back(&d->under_way, &x->link);
	wait = d->latency_ns[0] + rng_below(&d->rng, span + 1);
	if (rng_below(&d->rng, SLOW_ONE_IN) == 0)
		wait *= SLOW_TIMES;
	sim_event_at(d->sim, &x->ev, wait, event);
}

static void submit(struct blk_dev *dev, struct blk_io *io)
{
	submit_to(container_of(dev, struct crash_disk, dev), dev, io);
}

static void twin_submit(struct blk_dev *dev, struct blk_io *io)
{
	submit_to(container_of(dev, struct crash_disk, twin), dev, io);
}

/* ---- the image ---- */

static void image_write(struct disk_image *image, uint64_t offset, const uint8_t *data,
			uint64_t length)
{
	struct crash_disk *d = image->disk;

	while (length) {
		uint64_t in = offset % DISK_PAGE, part = MIN(length, DISK_PAGE - in);
		uint32_t page = (uint32_t)(offset / DISK_PAGE);

		if (image->owned[page] < image->level) {
			if (image->n_undo == image->undo_capacity) {
				image->undo_capacity =
					image->undo_capacity ? 2 * image->undo_capacity : 256;
				image->undo = realloc(image->undo,
						      image->undo_capacity * sizeof(*image->undo));
				ASSERT(image->undo);
			}
			image->undo[image->n_undo++] =
				(struct disk_undo){page, image->owned[page], d->durable[page]};
			d->durable[page] = page_new(d->durable[page]);
			image->owned[page] = image->level;
		}
		memcpy(d->durable[page] + in, data, part);
		offset += part;
		data += part;
		length -= part;
	}
}

static void image_back(struct disk_image *image, unsigned level)
{
	struct crash_disk *d = image->disk;

	while (image->n_undo) {
		const struct disk_undo *u = &image->undo[image->n_undo - 1];

		if (image->owned[u->page] < level)
			break;
		page_free(d->durable[u->page]);
		d->durable[u->page] = u->old;
		image->owned[u->page] = u->level;
		image->n_undo--;
	}
}

static void record_drop(struct disk_image *image)
{
	list_for_each_safe (it, &image->record)
		write_free(list_entry(it, struct disk_write, link));
}

static void image_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct disk_image *image = container_of(dev, struct disk_image, dev);

	if (io->op == BLK_READ)
		pages_read(image->disk->durable, io->offset, io->buf, io->length);
	if (io->op == BLK_WRITE) /* a discard does nothing, which it may */
		image_write(image, io->offset, io->buf, io->length);
	if (image->recording && (io->op == BLK_WRITE || io->op == BLK_FLUSH)) {
		struct disk_write *w = write_new(&image->record, io, 0);

		if (image->snap)
			w->then = image->snap(image->snap_ctx);
		if (io->flags & BLK_FUA)
			(void)write_new(&image->record, &(struct blk_io){.op = BLK_FLUSH}, 0);
	}
	blk_complete(io, 0);
}

/* ---- cuts ---- */

struct pick { /* a choice under way */
	struct rng *rng;
	enum disk_style style;
	unsigned chosen, at; /* of the writes that may be there */
};

static double chance(const struct pick *p)
{
	bool chosen = p->at == p->chosen;

	switch (p->style) {
	case STYLE_ALL:
		return 1;
	case STYLE_WRITES:
		return rng_chance(p->rng, 0.5) ? 1 : 0;
	case STYLE_SECTORS:
		return 0.5;
	case STYLE_ONE_LOST:
		return chosen ? 0 : 1;
	case STYLE_ONE:
		return chosen ? 1 : 0;
	case STYLE_MOST:
		return chosen ? 0.5 : rng_chance(p->rng, 0.8) ? 1 : 0;
	case STYLE_NOTHING:
	case STYLES:
		break;
	}
	return 0;
}

static void pick_write(struct crash_disk *d, struct pick *p, uint64_t offset, uint64_t length,
		       const uint8_t *data, uint32_t seq)
{
	double share = chance(p);

	p->at++;
	if (share <= 0)
		return;
	for (uint64_t n = 0; n < length; n += DISK_SECTOR) {
		if (seq && d->durable_seq[(offset + n) / DISK_SECTOR] > seq)
			continue;
		if (share >= 1 || rng_chance(p->rng, share))
			image_write(&d->image, offset + n, data + n, DISK_SECTOR);
	}
}

static unsigned count_writes(const struct crash_disk *d)
{
	unsigned n = 0;

	list_for_each (it, &d->cached)
		n++;
	list_for_each (it, &d->under_way)
		n += list_entry(it, struct disk_io, link)->io->op == BLK_WRITE;
	return n;
}

void image_cut(struct crash_disk *d, struct rng *rng, enum disk_style style, bool death)
{
	unsigned n = count_writes(d);
	struct pick all = {rng, STYLE_ALL, 0, 0},
		    p = {rng, style, n ? (unsigned)rng_below(rng, n) : 0, 0};

	ASSERT(!d->image.n_undo && list_empty(&d->image.record));
	d->image.level = 1;
	d->image.recording = false;
	list_for_each (it, &d->cached) {
		struct disk_write *w = list_entry(it, struct disk_write, link);

		pick_write(d, death ? &all : &p, w->offset, w->length, w->data, w->seq);
	}
	list_for_each (it, &d->under_way) {
		struct blk_io *io = list_entry(it, struct disk_io, link)->io;

		if (io->op == BLK_WRITE)
			pick_write(d, &p, io->offset, io->length, io->buf, 0);
	}
}

void image_record(struct crash_disk *d)
{
	d->image.level = 2;
	d->image.recording = true;
}

void image_cut_again(struct crash_disk *d, struct rng *rng, bool death, uint8_t **ret_then)
{
	struct disk_image *image = &d->image;
	struct pick p = {.rng = rng, .style = (enum disk_style)rng_below(rng, STYLES)};
	unsigned n = 0, flushed = 0, end, i = 0;

	image->recording = false;
	*ret_then = NULL;
	image_back(image, 2);
	list_for_each (it, &image->record)
		n++;
	end = (unsigned)rng_below(rng, n + 1);
	list_for_each (it, &image->record) {
		if (i++ < end && list_entry(it, struct disk_write, link)->flush)
			flushed = i;
	}
	p.chosen = end > flushed ? (unsigned)rng_below(rng, end - flushed) : 0;
	i = 0;
	list_for_each (it, &image->record) {
		struct disk_write *w = list_entry(it, struct disk_write, link);

		if (i >= end) {
			*ret_then = w->then;
			w->then = NULL;
			break;
		}
		if (i++ < flushed || death)
			image_write(image, w->offset, w->data, w->length);
		else
			pick_write(d, &p, w->offset, w->length, w->data, 0);
	}
	record_drop(image);
}

void image_drop(struct crash_disk *d)
{
	image_back(&d->image, 1);
	d->image.recording = false;
	record_drop(&d->image);
}

/* The page of the image is in the cache; durable is what was. */
static void keep_cached(struct crash_disk *d, const struct disk_undo *u)
{
	struct blk_io io = {.op = BLK_WRITE,
			    .offset = (uint64_t)u->page * DISK_PAGE,
			    .length = DISK_PAGE,
			    .buf = d->durable[u->page]};

	(void)write_new(&d->cached, &io, d->seq);
	page_free(d->durable[u->page]);
	d->durable[u->page] = u->old;
}

void image_keep(struct crash_disk *d, bool cached)
{
	struct disk_image *image = &d->image;
	uint64_t pages = d->max_bytes / DISK_PAGE;

	ASSERT(list_empty(&d->under_way));
	list_for_each_safe (it, &d->cached)
		write_free(list_entry(it, struct disk_write, link));
	for (uint64_t i = 0; i < pages; i++) {
		page_free(d->live[i]);
		d->live[i] = d->durable[i] ? page_new(d->durable[i]) : NULL;
	}
	memset(d->durable_seq, 0, d->max_bytes / DISK_SECTOR * sizeof(*d->durable_seq));
	d->seq = 1;
	while (image->n_undo) {
		const struct disk_undo *u = &image->undo[--image->n_undo];

		image->owned[u->page] = 0;
		if (cached)
			keep_cached(d, u);
		else
			page_free(u->old);
	}
	record_drop(image);
	d->dead = false;
}

/* ---- life ---- */

static void destroy(struct blk_dev *dev)
{
	blk_dev_fini(dev);
}

static const struct blk_ops disk_ops = {
	.product = "crash disk", .submit = submit, .destroy = destroy};
static const struct blk_ops twin_ops = {
	.product = "crash disk", .submit = twin_submit, .destroy = destroy};
static const struct blk_ops image_ops = {
	.product = "crash image", .submit = image_submit, .destroy = destroy};

struct crash_disk *disk_new(struct sim_world *sim, uint64_t seed, uint64_t bytes,
			    uint64_t max_bytes, uint32_t block_size)
{
	struct crash_disk *d = calloc(1, sizeof(*d));
	struct uuid uuid = {{0}};

	ASSERT(d);
	d->sim = sim;
	d->max_bytes = max_bytes;
	rng_seed(&d->rng, seed ^ 0xd15c);
	d->latency_ns[0] = 200;
	d->latency_ns[1] = (uint64_t)1000 << rng_below(&d->rng, 11);
	d->live = calloc(max_bytes / DISK_PAGE, sizeof(*d->live));
	d->durable = calloc(max_bytes / DISK_PAGE, sizeof(*d->durable));
	d->durable_seq = calloc(max_bytes / DISK_SECTOR, sizeof(*d->durable_seq));
	d->image.owned = calloc(max_bytes / DISK_PAGE, 1);
	ASSERT(d->live && d->durable && d->durable_seq && d->image.owned);
	list_init(&d->cached);
	list_init(&d->under_way);
	list_init(&d->image.record);
	d->image.disk = d;
	if (blk_dev_init(&d->dev, &disk_ops, "crash", &uuid, bytes, block_size,
			 BLK_CAP_VOLATILE_CACHE | BLK_CAP_DISCARD, NULL) ||
	    blk_dev_init(&d->twin, &twin_ops, "crash2", &uuid, bytes, block_size,
			 BLK_CAP_VOLATILE_CACHE | BLK_CAP_DISCARD, NULL) ||
	    blk_dev_init(&d->image.dev, &image_ops, "image", &uuid, bytes, block_size,
			 BLK_CAP_VOLATILE_CACHE | BLK_CAP_DISCARD, NULL))
		UNREACHABLE();
	return d;
}

void disk_free(struct crash_disk *d)
{
	image_drop(d);
	list_for_each_safe (it, &d->cached)
		write_free(list_entry(it, struct disk_write, link));
	for (uint64_t i = 0; i < d->max_bytes / DISK_PAGE; i++) {
		page_free(d->live[i]);
		page_free(d->durable[i]);
	}
	blk_dev_fini(&d->dev);
	blk_dev_fini(&d->twin);
	blk_dev_fini(&d->image.dev);
	free(d->live);
	free(d->durable);
	free(d->durable_seq);
	free(d->image.owned);
	free(d->image.undo);
	free(d);
}

void disk_grow(struct crash_disk *d, uint64_t bytes)
{
	ASSERT(bytes <= d->max_bytes);
	atomic_store(&d->dev.size_bytes, bytes);
	atomic_store(&d->twin.size_bytes, bytes);
	atomic_store(&d->image.dev.size_bytes, bytes);
}

unsigned disk_busy(const struct crash_disk *d)
{
	unsigned n = 0;

	list_for_each (it, &d->under_way)
		n++;
	return n;
}

const uint8_t *disk_live(const struct crash_disk *d, uint64_t place)
{
	return d->live[place];
}

const uint8_t *disk_durable(const struct crash_disk *d, uint64_t place)
{
	return d->durable[place];
}
