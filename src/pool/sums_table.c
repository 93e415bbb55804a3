/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is brought up to date with clusters that are closed durably:
 *
 *   IDLE -> READ (the 4 KiB around them) -> WRITE -> FLUSH -> BACK (read back, past caches) -> IDLE
 *
 * It needs no operation of the pool and no room in the journal, so a write that waits for a cluster never waits for others that wait for it.
 */
#include "pool/sums_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"

static void step(struct batch *batch, int res);

static uint64_t place_of(const struct sums *s, const struct sums_cluster *c)
{
	return sums_place(c->phys, s->pool->rules.first_cluster);
}

/* Index of that place among the transfers; t->n: it is none of them. */
static unsigned xfer_of(const struct sums_table *t, uint64_t place)
{
	unsigned i = 0;

	while (i < t->n && t->xfer[i].offset != place * LAYOUT_PAGE)
		i++;
	return i;
}

/* With the lock. In the order in which they became dirty. */
static void choose(struct sums *s)
{
	struct sums_table *t = &s->table;

	t->n = t->n_items = 0;
	list_for_each (it, &s->dirty) {
		struct sums_cluster *c = list_entry(it, struct sums_cluster, dirty_link);
		unsigned i = xfer_of(t, place_of(s, c));

		if (i == SUMS_TABLE)
			return;
		if (i == t->n)
			t->xfer[t->n++] = (struct batch_xfer){place_of(s, c) * LAYOUT_PAGE,
							      LAYOUT_PAGE, t->page[i]};
		c->writing = true;
		t->item[t->n_items++] = c;
	}
}

/* With the lock: is it time? */
static bool wanted(const struct sums *s)
{
	const struct sums_cluster *first = list_first(&s->dirty, struct sums_cluster, dirty_link);

	return !list_empty(&s->dirty) &&
	       (s->closes || s->n_dirty >= s->dirty_max / 2 || !list_empty(&s->starved) ||
		first->dirty_at < s->checkpoint);
}

void sums_table_work(struct sums *s)
{
	struct sums_table *t = &s->table;
	bool go;

	if (t->step != TABLE_IDLE || !s->started || pool_writable(s->pool) ||
	    hold_is_frozen(&s->pool->hold))
		return;
	spin_lock(&s->lock);
	go = wanted(s);
	if (go)
		choose(s);
	spin_unlock(&s->lock);
	if (!go)
		return;
	t->step = TABLE_READ;
	batch_run(&t->batch, s->pool->dev, BLK_READ, 0, t->xfer, t->n, step);
}

/* With the lock. One that was opened meanwhile is left as the table has it: its sums there do not count. */
static void overlay(struct sums *s)
{
	struct sums_table *t = &s->table;

	for (unsigned k = 0; k < t->n_items; k++) {
		const struct sums_cluster *c = t->item[k];
		uint8_t *at = t->page[xfer_of(t, place_of(s, c))] + sums_offset(c->phys);

		if (!c->writing)
			continue;
		for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
			put_le32((le32 *)(void *)(at + (size_t)i * 4), c->sum[i]);
	}
}

/* With the lock. */
static void written(struct sums *s, struct list *woken)
{
	struct sums_table *t = &s->table;

	for (unsigned k = 0; k < t->n_items; k++) {
		struct sums_cluster *c = t->item[k];

		if (!c->writing)
			continue;
		c->writing = c->dirty = false;
		s->n_dirty--;
		list_remove(&c->dirty_link);
		if (c->state == SUMS_CLOSED && !c->locks)
			sums_put_idle(s, c, woken);
	}
	counter_add(&s->table_pages, t->n);
}

static void table_ends(struct sums *s)
{
	struct sums_table *t = &s->table;
	struct pool *pool = s->pool;
	struct list woken;

	for (unsigned i = 0; i < t->n; i++) {
		if (!memcmp(t->page[i], t->back[i], LAYOUT_PAGE))
			continue;
		log_error("pool.lost_write", "pool=%s place=%" PRIu64 " kind=sums",
			  pool->super.now.name, t->xfer[i].offset / LAYOUT_PAGE);
		t->step = TABLE_IDLE;
		pool_fail(pool, -EILSEQ, "the table of sums does not read back as it was written");
		return;
	}
	list_init(&woken);
	spin_lock(&s->lock);
	written(s, &woken);
	t->step = TABLE_IDLE;
	spin_unlock(&s->lock);
	sums_post(&woken);
	sums_work(s);
	hold_poke(pool);
	if (sums_settled(pool))
		checkpoint_sums_settled(pool);
}

static void write_pages(struct sums *s)
{
	struct sums_table *t = &s->table;

	spin_lock(&s->lock);
	overlay(s);
	spin_unlock(&s->lock);
	t->step = TABLE_WRITE;
	batch_run(&t->batch, s->pool->dev, BLK_WRITE, 0, t->xfer, t->n, step);
}

static void read_back(struct sums *s)
{
	struct sums_table *t = &s->table;

	for (unsigned i = 0; i < t->n; i++)
		t->xfer[i].buf = t->back[i];
	t->step = TABLE_BACK;
	batch_run(&t->batch, s->pool->dev, BLK_READ, 0, t->xfer, t->n, step);
}

static void step(struct batch *batch, int res)
{
	struct sums_table *t = container_of(batch, struct sums_table, batch);
	struct sums *s = container_of(t, struct sums, table);

	if (res) {
		if (t->step == TABLE_FLUSH)
			pool_flush_failed(s->pool, res, "flushing the table of sums");
		else
			pool_fail(s->pool, res, "writing the table of sums");
		t->step = TABLE_IDLE;
		sums_work(s);
		return;
	}
	switch (t->step) {
	case TABLE_READ:
		write_pages(s);
		return;
	case TABLE_WRITE:
		t->step = TABLE_FLUSH;
		batch_flush(&t->batch, s->pool->dev, step);
		return;
	case TABLE_FLUSH:
		read_back(s);
		return;
	case TABLE_BACK:
		table_ends(s);
		return;
	case TABLE_IDLE:
		ASSERT(!"no transfer is under way");
	}
}

int sums_table_init(struct sums *s)
{
	struct sums_table *t = &s->table;

	t->page = batch_buffer((size_t)SUMS_TABLE * LAYOUT_PAGE);
	t->back = batch_buffer((size_t)SUMS_TABLE * LAYOUT_PAGE);
	return t->page && t->back ? 0 : -ENOMEM;
}

bool sums_table_busy(const struct pool *pool)
{
	return pool->sums && pool->sums->table.step != TABLE_IDLE;
}

void sums_table_fini(struct sums *s)
{
	free(s->table.page);
	free(s->table.back);
}
