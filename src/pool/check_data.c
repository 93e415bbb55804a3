/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What volumes hold, and the table of sums (FORMAT.md §9): cluster by cluster in the order of the device.
 *
 *   HOME (the table of up to 1024 clusters is read) -> SAMPLES (one block of each 4 KiB of the table) ----------> HOME of the next ...
 *                                                  \-> with opts.data CLUSTER (every block that is somebody's) -> CLUSTER ... HOME ...
 *
 * The table has no checksums of its own: only a block tells whether its sum is right. A table that was damaged, lost or written to a wrong place differs in whole blocks of the device,
 * so a sample of each finds it for a thousandth of the reading.
 *
 * Invariants: 1. Nothing is written. 2. What cannot be read is told and ends nothing. 3. A cluster that was open when the engine ended has no sums that count, and is not compared.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "layout/sums.h"
#include "pool/check_priv.h"
#include "pool/sums.h"

#define READ_BYTES (256 * KIB) /* at once at most */

struct owned { /* a cluster of the device that a map has */
	uint64_t phys;
	const struct pool_layer *layer;
	uint32_t cluster; /* of the layer */
};
struct item { /* a block that is read into buf */
	const struct owned *owned;
	unsigned block;
	bool failed;
};

struct check_data {
	struct check *c;
	struct owned *owned; /* ascending by phys */
	size_t n, room, at;
	size_t home_end; /* of the owned clusters whose table is in home */
	uint8_t *home, *buf;
	struct block_mask home_lost; /* blocks of it that cannot be read */

	/* Reading: pieces of several blocks; if one fails each block by itself. */
	uint64_t place[LAYOUT_CLUSTER_BLOCKS];
	struct item item[LAYOUT_CLUSTER_BLOCKS];
	unsigned n_items, single;
	struct batch_xfer xfer[LAYOUT_CLUSTER_BLOCKS];
	struct batch batch;
	uint8_t *to;
	void (*then)(struct check_data *d);
};

static void next(struct check_data *d);

/* ---- who owns what ---- */

static int by_phys(const void *pa, const void *pb)
{
	const struct owned *a = pa, *b = pb;

	return a->phys < b->phys ? -1 : a->phys > b->phys;
}

static void own_layer(struct check_data *d, const struct pool_layer *layer)
{
	for (uint64_t i = map_next(layer->map, 0); i != UINT64_MAX;
	     i = map_next(layer->map, i + 1)) {
		uint64_t phys = map_phys(map_get(layer->map, (uint32_t)i, NULL));

		if (phys && check_room(d->c, (void *)&d->owned, d->n, &d->room, sizeof(*d->owned)))
			d->owned[d->n++] = (struct owned){phys, layer, (uint32_t)i};
	}
}

static void own_all(struct check_data *d)
{
	for (struct pool_layer *l = pool_layer_next(d->c->pool, NULL); l;
	     l = pool_layer_next(d->c->pool, l))
		own_layer(d, l);
	if (d->n)
		qsort(d->owned, d->n, sizeof(*d->owned), by_phys);
}

/* Blocks of the cluster that somebody may read. */
static struct block_mask valid_blocks(const struct owned *o)
{
	struct block_mask mask;

	if (!(map_get(o->layer->map, o->cluster, &mask) & MAP_PARTIAL))
		memset(&mask, 0xff, sizeof(mask));
	return mask;
}

/* ---- reading ---- */

static void single_next(struct check_data *d);

static void single_read(struct batch *batch, int res)
{
	struct check_data *d = container_of(batch, struct check_data, batch);

	d->item[d->single++].failed = res != 0;
	single_next(d);
}

static void single_next(struct check_data *d)
{
	if (d->single == d->n_items) {
		d->then(d);
		return;
	}
	d->xfer[0] = (struct batch_xfer){d->place[d->single] * LAYOUT_PAGE, LAYOUT_PAGE,
					 d->to + (size_t)d->single * LAYOUT_PAGE};
	batch_run(&d->batch, d->c->dev, BLK_READ, 0, d->xfer, 1, single_read);
}

static void items_read(struct batch *batch, int res)
{
	struct check_data *d = container_of(batch, struct check_data, batch);

	if (!res) {
		d->then(d);
		return;
	}
	d->single = 0;
	single_next(d);
}

/* The n_items blocks at place[] to to, one behind the other; neighbours in one piece. */
static void read_items(struct check_data *d, uint8_t *to, void (*then)(struct check_data *d))
{
	unsigned n = 0;

	d->to = to;
	d->then = then;
	for (unsigned i = 0; i < d->n_items; i++) {
		struct batch_xfer *last = n ? &d->xfer[n - 1] : NULL;

		d->item[i].failed = false;
		if (last && last->offset + last->length == d->place[i] * LAYOUT_PAGE &&
		    last->length < READ_BYTES)
			last->length += LAYOUT_PAGE;
		else
			d->xfer[n++] = (struct batch_xfer){d->place[i] * LAYOUT_PAGE, LAYOUT_PAGE,
							   to + (size_t)i * LAYOUT_PAGE};
	}
	batch_run(&d->batch, d->c->dev, BLK_READ, 0, d->xfer, n, items_read);
}

static void add_item(struct check_data *d, const struct owned *o, unsigned block)
{
	d->place[d->n_items] = o->phys * LAYOUT_CLUSTER_BLOCKS + block;
	d->item[d->n_items++] = (struct item){o, block, false};
}

/* ---- the table ---- */

/* Which block of its home has the sums of that cluster. */
static unsigned home_block(const struct owned *o)
{
	return (unsigned)(o->phys % SUMS_GROUP / SUMS_PER_PAGE);
}

/* False: nothing is known of its sums. */
static bool sums_of(const struct check_data *d, const struct owned *o, uint32_t sum[])
{
	const uint8_t *at = d->home + (size_t)home_block(o) * LAYOUT_PAGE + sums_offset(o->phys);

	switch (sums_where(d->c->pool, o->phys, sum)) {
	case SUMS_IN_JOURNAL:
		return true;
	case SUMS_NOT_KNOWN:
		return false;
	case SUMS_IN_TABLE:
		break;
	}
	if (block_mask_has(&d->home_lost, home_block(o)))
		return false;
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		sum[i] = get_le32((const le32 *)(const void *)(at + (size_t)i * 4));
	return true;
}

static void home_read(struct check_data *d)
{
	memset(&d->home_lost, 0, sizeof(d->home_lost));
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++) {
		if (!d->item[i].failed)
			continue;
		d->home_lost.word[i / 64] |= (uint64_t)1 << (i % 64);
		check_tell(d->c, CHECK_WRONG, "sums", d->place[i], NULL, NULL,
			   "the table of sums cannot be read here: data of %u clusters cannot be "
			   "verified, and reading it is an error",
			   (unsigned)SUMS_PER_PAGE);
	}
	next(d);
}

static void read_home(struct check_data *d)
{
	uint64_t first = d->c->pool->rules.first_cluster;
	uint64_t home = sums_home(d->owned[d->at].phys, first);

	while (d->home_end < d->n && sums_home(d->owned[d->home_end].phys, first) == home)
		d->home_end++;
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		d->place[i] = home * LAYOUT_CLUSTER_BLOCKS + i;
	d->n_items = LAYOUT_CLUSTER_BLOCKS;
	read_items(d, d->home, home_read);
}

/* ---- judging ---- */

struct verdict { /* of the blocks of one cluster */
	unsigned wrong, unread, first_wrong, first_unread;
};

static void tell(struct check_data *d, const struct owned *o, unsigned n, unsigned first,
		 const char *what)
{
	const struct pool_object *object = o->layer->object;
	char *volumes = check_affected(d->c, o->layer->disk.id);

	d->c->no_memory |= !volumes;
	check_tell(d->c, CHECK_WRONG, "data", o->phys * LAYOUT_CLUSTER_BLOCKS + first, NULL,
		   volumes,
		   "blocks of %s that %s: %u; the first is at its byte %" PRIu64 " (layer %" PRIu64
		   "); shown by: %s",
		   object ? object->name : "a deleted snapshot", what, n,
		   o->cluster * (uint64_t)LAYOUT_CLUSTER + first * (uint64_t)LAYOUT_PAGE,
		   o->layer->disk.id, volumes ? volumes : "");
	free(volumes);
}

static void judge_item(struct check_data *d, unsigned i, const uint32_t *sum, struct verdict *v)
{
	const struct item *item = &d->item[i];

	if (item->failed) {
		if (!v->unread++)
			v->first_unread = item->block;
		return;
	}
	d->c->result->numbers.blocks_read++;
	if (!sum)
		return;
	d->c->result->numbers.blocks_compared++;
	if (layout_block_sum(d->place[i], d->buf + (size_t)i * LAYOUT_PAGE) == sum[item->block])
		return;
	if (!v->wrong++)
		v->first_wrong = item->block;
}

/* Items of one cluster stand together. */
static void judge_items(struct check_data *d)
{
	uint32_t sum[LAYOUT_CLUSTER_BLOCKS];
	unsigned i = 0;

	while (i < d->n_items) {
		const struct owned *o = d->item[i].owned;
		bool known = d->c->pool->sums && sums_of(d, o, sum);
		struct verdict v = {0};

		for (; i < d->n_items && d->item[i].owned == o; i++)
			judge_item(d, i, known ? sum : NULL, &v);
		if (v.unread)
			tell(d, o, v.unread, v.first_unread, "cannot be read from the device");
		if (v.wrong)
			tell(d, o, v.wrong, v.first_wrong,
			     d->c->opts.data
				     ? "do not match their sums"
				     : "do not match their sums (one block of each four clusters "
				       "was looked at; --data looks at all)");
	}
	if (d->c->opts.data && d->c->opts.progress)
		d->c->opts.progress(d->c->opts.ctx, d->at, d->n);
	next(d);
}

/* One block for each block of the table, of the first cluster in it that can be compared. */
static void read_samples(struct check_data *d)
{
	uint32_t sum[LAYOUT_CLUSTER_BLOCKS];
	unsigned last = UINT32_MAX;

	d->n_items = 0;
	for (; d->at < d->home_end; d->at++) {
		const struct owned *o = &d->owned[d->at];
		struct block_mask valid = valid_blocks(o);
		unsigned block = 0;

		if (home_block(o) == last || !sums_of(d, o, sum))
			continue;
		while (block < LAYOUT_CLUSTER_BLOCKS && !block_mask_has(&valid, block))
			block++;
		if (block == LAYOUT_CLUSTER_BLOCKS)
			continue;
		last = home_block(o);
		add_item(d, o, block);
	}
	read_items(d, d->buf, judge_items);
}

static void read_cluster(struct check_data *d)
{
	const struct owned *o = &d->owned[d->at++];
	struct block_mask valid = valid_blocks(o);

	d->n_items = 0;
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		if (block_mask_has(&valid, i))
			add_item(d, o, i);
	read_items(d, d->buf, judge_items);
}

/* ---- the whole ---- */

static void count_open(struct check_data *d)
{
	uint32_t sum[LAYOUT_CLUSTER_BLOCKS];

	for (size_t i = 0; i < d->n; i++)
		d->c->result->numbers.clusters_open +=
			sums_where(d->c->pool, d->owned[i].phys, sum) == SUMS_NOT_KNOWN;
}

static void next(struct check_data *d)
{
	struct check *c = d->c;

	if (d->at == d->n || c->no_memory)
		check_data_end(c);
	else if (c->pool->sums && d->at == d->home_end)
		read_home(d);
	else if (c->opts.data)
		read_cluster(d);
	else
		read_samples(d);
}

void check_data_free(struct check *c)
{
	struct check_data *d = c->data;

	if (!d)
		return;
	free(d->owned);
	free(d->home);
	free(d->buf);
	free(d);
	c->data = NULL;
}

/* The maps of a damaged pool may say anything. */
static bool wanted(struct check *c)
{
	if (!c->pool->sums && !c->opts.data)
		return false;
	if (check_any_damage(c))
		check_tell(c, CHECK_NOTE, "data", CHECK_NO_PLACE, NULL, NULL,
			   "data was not looked at: it is when the damage above is mended");
	return !check_any_damage(c);
}

void check_data(struct check *c)
{
	struct check_data *d = wanted(c) ? calloc(1, sizeof(*d)) : NULL;

	if (!d) {
		c->no_memory |= c->pool->sums && !check_any_damage(c);
		check_data_end(c);
		return;
	}
	c->data = d;
	d->c = c;
	d->home = batch_buffer(LAYOUT_CLUSTER);
	d->buf = batch_buffer(LAYOUT_CLUSTER);
	c->no_memory |= !d->home || !d->buf;
	own_all(d);
	if (c->pool->sums)
		count_open(d);
	next(d);
}
