/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums that RAM has not: read from the table; or, when the table does not count (the cluster was open when the power went, or a write of it failed), made of what the
 * blocks are now, one cluster after the other.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "pool/sums_priv.h"

/* ---- out of the table ---- */

static void load_done(struct blk_io *io, int res)
{
	struct sums_load *load = container_of(io, struct sums_load, io);
	struct sums *s = load->sums;
	struct sums_cluster *c = TAKE_PTR(load->cluster);
	const uint8_t *sums = load->buf + sums_offset(c->phys);
	struct list woken;

	list_init(&woken);
	spin_lock(&s->lock);
	counter_add(&s->loads, 1);
	sums_wake(&c->waiters, res, &woken);
	if (res) {
		sums_forget(s, c);
		sums_wake(&s->starved, 0, &woken);
	} else {
		for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
			c->sum[i] = get_le32((const le32 *)(const void *)(sums + (size_t)i * 4));
		c->fresh = true;
		sums_put_idle(s, c, &woken);
	}
	spin_unlock(&s->lock);
	sums_post(&woken);
	sums_work(s);
}

static void load_start(struct sums_load *load, uint64_t phys)
{
	struct pool *pool = load->sums->pool;

	load->io.op = BLK_READ;
	load->io.flags = 0;
	load->io.offset = sums_place(phys, pool->rules.first_cluster) * LAYOUT_PAGE;
	load->io.length = LAYOUT_PAGE;
	load->io.buf = load->buf;
	load->io.done = load_done;
	blk_submit(pool->dev, &load->io);
}

/* The first of the list, unless it has to have somebody who waits and has not. */
static struct sums_cluster *next_of(struct sums *s, struct list *list, enum sums_state state,
				    bool any)
{
	struct sums_cluster *c = NULL;

	spin_lock(&s->lock);
	if (!list_empty(list))
		c = list_first(list, struct sums_cluster, queue);
	if (c && !any && list_empty(&c->waiters))
		c = NULL;
	if (c)
		sums_move(c, state, NULL);
	spin_unlock(&s->lock);
	return c;
}

enum sums_known sums_where(struct pool *pool, uint64_t phys, uint32_t sum[LAYOUT_CLUSTER_BLOCKS])
{
	struct sums *s = pool->sums;
	enum sums_known known = SUMS_IN_TABLE;
	const struct sums_cluster *c;

	spin_lock(&s->lock);
	c = sums_find(s, phys);
	if (c) {
		known = c->state == SUMS_CLOSED ? SUMS_IN_JOURNAL : SUMS_NOT_KNOWN;
		memcpy(sum, c->sum, sizeof(c->sum));
	}
	spin_unlock(&s->lock);
	return known;
}

/* ---- summing anew ---- */

static void again_next(struct sums *s);

static void again_end(struct sums *s)
{
	struct sums_cluster *c = TAKE_PTR(s->again.cluster);
	struct list woken;

	list_init(&woken);
	spin_lock(&s->lock);
	counter_add(&s->summed_again, 1);
	c->again = false;
	sums_move(c, SUMS_OPEN, &s->open);
	sums_wake(&c->waiters, 0, &woken);
	spin_unlock(&s->lock);
	sums_post(&woken);
	sums_work(s);
}

/* The state is READING: nobody else touches sum and unsure. */
static void again_take(struct sums_cluster *c, unsigned block, const uint8_t *data)
{
	uint64_t bit = (uint64_t)1 << (block % 64);

	if (!(c->unsure.word[block / 64] & bit))
		return;
	c->sum[block] = layout_block_sum(c->phys * LAYOUT_CLUSTER_BLOCKS + block, data);
	c->unsure.word[block / 64] &= ~bit;
}

static void again_read(struct batch *batch, int res)
{
	struct sums *s = container_of(batch, struct sums, again.batch);

	if (res && !s->again.single) { /* which of them cannot be read? */
		s->again.single = true;
		again_next(s);
		return;
	}
	if (!s->again.single) {
		for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
			again_take(s->again.cluster, i, s->again.buf + (size_t)i * LAYOUT_PAGE);
		again_end(s);
		return;
	}
	if (!res)
		again_take(s->again.cluster, s->again.block, s->again.buf);
	if (++s->again.block == LAYOUT_CLUSTER_BLOCKS)
		again_end(s);
	else
		again_next(s);
}

static void again_next(struct sums *s)
{
	uint64_t at = s->again.cluster->phys * LAYOUT_CLUSTER;

	s->again.xfer = (struct batch_xfer){at, LAYOUT_CLUSTER, s->again.buf};
	if (s->again.single) {
		s->again.xfer.offset += s->again.block * (uint64_t)LAYOUT_PAGE;
		s->again.xfer.length = LAYOUT_PAGE;
	}
	batch_run(&s->again.batch, s->pool->dev, BLK_READ, 0, &s->again.xfer, 1, again_read);
}

void sums_load_work(struct sums *s)
{
	for (unsigned i = 0; i < SUMS_LOADS; i++) {
		struct sums_load *load = &s->load[i];

		if (load->cluster)
			continue;
		load->cluster = next_of(s, &s->loading, SUMS_LOADING, true);
		if (!load->cluster)
			break;
		load_start(load, load->cluster->phys);
	}
	if (s->again.cluster || !s->started || s->closes || s->stopped)
		return;
	s->again.cluster = next_of(s, &s->unknown, SUMS_READING, s->eager);
	if (!s->again.cluster)
		return;
	s->again.block = 0;
	s->again.single = false;
	again_next(s);
}

bool sums_load_busy(const struct sums *s)
{
	bool busy = s->again.cluster != NULL;

	for (unsigned i = 0; i < SUMS_LOADS; i++)
		busy |= s->load[i].cluster != NULL;
	return busy;
}

int sums_load_init(struct sums *s)
{
	s->again.buf = batch_buffer(LAYOUT_CLUSTER);
	for (unsigned i = 0; i < SUMS_LOADS; i++) {
		s->load[i].sums = s;
		s->load[i].buf = batch_buffer(LAYOUT_PAGE);
		if (!s->load[i].buf)
			return -ENOMEM;
	}
	return s->again.buf ? 0 : -ENOMEM;
}

void sums_load_fini(struct sums *s)
{
	for (unsigned i = 0; i < SUMS_LOADS; i++)
		free(s->load[i].buf);
	free(s->again.buf);
}
