/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal hears of sums (FORMAT.md §9): clusters are opened and closed by rounds, and told of again before a checkpoint moves the tail over their record.
 *
 * Invariants: 1. A cluster is in at most one round at a time, and says OPEN or CLOSED only when that is durable. 2. In a round a cluster has one record at most.
 */
#include "pool/sums_priv.h"

#include <errno.h>

#include "base/log.h"

#define STARVED_CLOSES 8u

/* c will not be opened now; with the lock. Who waits to write hears res, or asks again. */
static void do_not_open(struct sums *s, struct sums_cluster *c, int res, struct list *woken)
{
	for (struct list *link; (link = list_pop_front(&c->waiters));) {
		struct sums_io *r = list_entry(link, struct sums_io, link);

		r->res = r->write ? res : 0;
		list_push_back(woken, link);
	}
	sums_move(c, SUMS_CLOSED, NULL);
	if (!c->dirty && !c->locks)
		sums_put_idle(s, c, woken);
}

/* ---- which are to be closed ---- */

/* Those that were not written for the longest time and not since that moment; with the lock. */
static void close_some(struct sums *s, unsigned n, uint64_t before_ns, bool fresh)
{
	list_for_each_safe (it, &s->open) {
		struct sums_cluster *c = list_entry(it, struct sums_cluster, queue);

		if (!n || c->written_ns > before_ns)
			return;
		if ((c->fresh && !fresh) || mask_any(&c->unsure))
			continue;
		sums_move(c, SUMS_CLOSING, &s->closing);
		n--;
	}
}

static unsigned length(const struct list *list, unsigned max)
{
	unsigned n = 0;

	for (const struct list *it = list->next; it != list && n < max; it = it->next)
		n++;
	return n;
}

/* With the lock. */
static void choose_closes(struct sums *s)
{
	unsigned wanted = length(&s->opening, SUMS_CLOSES);
	unsigned closing = length(&s->closing, SUMS_CLOSES);

	s->eager |= s->n_open >= s->open_max && (wanted || !list_empty(&s->starved));
	if (s->closes)
		close_some(s, UINT32_MAX, UINT64_MAX, true);
	else if (s->n_open + wanted > s->open_max + closing)
		close_some(s, s->n_open + wanted - s->open_max - closing, UINT64_MAX, false);
	else if (!list_empty(&s->starved) && !closing && list_empty(&s->dirty))
		close_some(s, STARVED_CLOSES, UINT64_MAX, false);
}

/*
 * Does each that is open have blocks that cannot be read, so that it is not closed before they are overwritten, while others are to be opened? Those would wait for ever.
 * With the lock; the pool's thread.
 */
static bool is_stuck(struct sums *s)
{
	if (list_empty(&s->opening) || s->n_open < s->open_max || s->again.cluster)
		return false;
	if (!list_empty(&s->unknown) || !list_empty(&s->closing) || !list_empty(&s->in_round))
		return false;
	list_for_each (it, &s->open) {
		const struct sums_cluster *c = list_entry(it, struct sums_cluster, queue);

		if (c->fresh || c->locks || !mask_any(&c->unsure))
			return false;
	}
	return true;
}

/* Those are refused; and one of the open ones is read anew, the longest not tried first, for the disk may have come to its senses. */
static void refuse_opens(struct sums *s)
{
	struct list woken;
	bool stuck;

	list_init(&woken);
	spin_lock(&s->lock);
	stuck = is_stuck(s);
	while (stuck && !list_empty(&s->opening))
		do_not_open(s, list_first(&s->opening, struct sums_cluster, queue), -EIO, &woken);
	if (stuck && !list_empty(&s->open))
		sums_move(list_first(&s->open, struct sums_cluster, queue), SUMS_UNKNOWN,
			  &s->unknown);
	spin_unlock(&s->lock);
	sums_post(&woken);
	if (stuck)
		log_limited(LOG_LEVEL_ERROR, "pool.sums.unreadable",
			    "pool=%s clusters=%u problem=\"so many have blocks that cannot be read "
			    "that no other can be opened for writing\" remedy=\"replace the disk\"",
			    s->pool->super.now.name, s->n_open);
}

static void tick(struct timer *timer)
{
	struct sums *s = container_of(timer, struct sums, timer);
	uint64_t now = reactor_now(s->pool->home);

	s->eager = true;
	spin_lock(&s->lock);
	if (now > SUMS_IDLE_NS)
		close_some(s, SUMS_IDLE_MAX, now - SUMS_IDLE_NS, true);
	spin_unlock(&s->lock);
	sums_work(s);
}

/* ---- the pool's thread has something to do ---- */

/* Is a record wanted that a round can take? With the lock. */
static bool round_wanted(struct sums *s)
{
	if (s->blocked || s->pool->state == POOL_READ_ONLY)
		return false;
	if (s->announcing || (!list_empty(&s->opening) && s->n_open < s->open_max))
		return true;
	list_for_each (it, &s->closing) {
		const struct sums_cluster *c = list_entry(it, struct sums_cluster, queue);

		if (!c->locks && s->n_dirty < s->dirty_max)
			return true;
	}
	return false;
}

static void closed_arrives(struct msg *msg)
{
	struct sums *s = container_of(msg, struct sums, closed_msg);

	s->closed(s->pool);
}

/* Nothing is left that could be closed, or the pool takes no writes. */
static void look_closed(struct sums *s)
{
	bool done = true;

	if (!s->closes || !s->closed_wanted)
		return;
	spin_lock(&s->lock);
	list_for_each (it, &s->open)
		done &= mask_any(&list_entry(it, struct sums_cluster, queue)->unsure);
	done = done && list_empty(&s->opening) && list_empty(&s->closing) &&
	       list_empty(&s->in_round) && list_empty(&s->dirty);
	spin_unlock(&s->lock);
	if (s->again.cluster || (!done && !pool_writable(s->pool)))
		return;
	s->closed_wanted = false;
	s->closed_msg.run = closed_arrives;
	reactor_post(s->pool->home, &s->closed_msg);
}

void sums_work(struct sums *s)
{
	struct pool *pool = s->pool;
	bool round;

	spin_lock(&s->lock);
	if (s->started)
		choose_closes(s);
	round = s->started && round_wanted(s);
	spin_unlock(&s->lock);
	if (s->started)
		refuse_opens(s);
	sums_load_work(s);
	sums_table_work(s);
	sums_relieve(s);
	if (!s->started)
		return;
	if (round && !pool_writable(pool))
		log_kick(pool);
	if (s->n_open && !s->timer.heap_index && !s->stopped) {
		s->timer.run = tick;
		(void)timer_start(pool->home, &s->timer,
				  reactor_now(pool->home) + SUMS_TICK_NS); /* else the next time */
	}
	look_closed(s);
}

void sums_start(struct pool *pool)
{
	struct sums *s = pool->sums;

	if (!s)
		return;
	s->started = true;
	log_info("pool.sums", "pool=%s unknown=%u behind=%u", pool->super.now.name, s->n_open,
		 s->n_dirty);
	sums_work(s);
}

void sums_resume(struct pool *pool)
{
	if (pool->sums)
		sums_work(pool->sums);
}

void sums_close(struct pool *pool, void (*done)(struct pool *pool))
{
	struct sums *s = pool->sums;

	ASSERT(s);
	s->closes = s->closed_wanted = true;
	s->closed = done;
	sums_work(s);
}

void sums_stop(struct pool *pool)
{
	if (!pool->sums)
		return;
	pool->sums->stopped = true;
	timer_stop(&pool->sums->timer);
}

/* ---- the round ---- */

static void add(struct pool *pool, const struct record *r)
{
	int res;

	journal_txn_begin(&pool->log.builder);
	res = journal_add(&pool->log.builder, r);
	ASSERT(!res); /* has_room() */
	journal_txn_end(&pool->log.builder);
}

static bool has_room(struct sums *s, enum log_share share)
{
	if (log_room(s->pool, share) >= 2)
		return true;
	s->blocked = true;
	return false;
}

static void add_open(struct sums *s, const struct sums_cluster *c)
{
	add(s->pool, &(struct record){.type = RECORD_SUMS_OPEN, .sums_open.phys = c->phys});
}

static void add_set(struct sums *s, const struct sums_cluster *c)
{
	uint8_t bytes[SUMS_BYTES];
	struct record r = {.type = RECORD_SUMS_SET};

	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		put_le32((le32 *)(void *)(bytes + (size_t)i * 4), c->sum[i]);
	r.sums_set.phys = c->phys;
	r.sums_set.count = LAYOUT_CLUSTER_BLOCKS;
	r.sums_set.close = true;
	r.sums_set.sums = bytes;
	add(s->pool, &r);
}

static void to_round(struct sums *s, struct sums_cluster *c)
{
	c->in_round = true;
	sums_move(c, c->state, &s->in_round);
}

static void collect_opens(struct sums *s)
{
	while (!list_empty(&s->opening) && s->n_open < s->open_max && has_room(s, LOG_URGENT)) {
		struct sums_cluster *c = list_first(&s->opening, struct sums_cluster, queue);

		add_open(s, c);
		to_round(s, c);
		s->n_open++;
	}
}

static void collect_closes(struct sums *s)
{
	unsigned left = SUMS_CLOSES, dirty = s->n_dirty;

	list_for_each_safe (it, &s->closing) {
		struct sums_cluster *c = list_entry(it, struct sums_cluster, queue);

		if (c->locks)
			continue;
		if (!left || dirty >= s->dirty_max || !has_room(s, LOG_URGENT))
			return;
		add_set(s, c);
		to_round(s, c);
		left--;
		dirty++;
	}
}

/* Those that are open and whose record the checkpoint's tail leaves behind. */
static void collect_announcements(struct sums *s)
{
	s->announcing = false;
	for (struct sums_chunk *chunk = s->chunks; chunk; chunk = chunk->next)
		for (size_t i = 0; i < chunk->n; i++) {
			struct sums_cluster *c = &chunk->cluster[i];

			if (!sums_is_open(c) || c->in_round || c->open_at >= s->checkpoint)
				continue;
			if (!has_room(s, LOG_CHECKPOINT)) {
				s->announcing = true;
				return;
			}
			add_open(s, c);
			list_push_back(&s->announced, &c->announced);
		}
}

void sums_collect(struct pool *pool)
{
	struct sums *s = pool->sums;

	if (!s)
		return;
	spin_lock(&s->lock);
	s->blocked = false;
	s->round_checkpoint = s->checkpoint;
	collect_opens(s);
	collect_closes(s);
	if (s->announcing)
		collect_announcements(s);
	spin_unlock(&s->lock);
}

/* With the lock. */
static void becomes(struct sums *s, struct sums_cluster *c, struct list *woken)
{
	c->in_round = false;
	if (c->state == SUMS_OPENING) {
		counter_add(&s->opened, 1);
		c->open_at = s->round_checkpoint;
		c->fresh = true;
		c->written_ns = reactor_now(s->pool->home);
		s->n_dirty -= c->dirty;
		c->dirty = c->writing = false;
		list_remove(&c->dirty_link);
		sums_move(c, SUMS_OPEN, &s->open);
	} else {
		counter_add(&s->closes_done, 1);
		s->n_open--;
		s->n_dirty++;
		c->dirty = true;
		c->dirty_at = s->round_checkpoint;
		list_push_back(&s->dirty, &c->dirty_link);
		sums_move(c, SUMS_CLOSED, NULL);
	}
	sums_wake(&c->waiters, 0, woken);
}

void sums_round_durable(struct pool *pool)
{
	struct sums *s = pool->sums;
	struct list woken;

	if (!s)
		return;
	list_init(&woken);
	spin_lock(&s->lock);
	if (!list_empty(&s->in_round) || !list_empty(&s->announced))
		s->blocked = false;
	while (!list_empty(&s->in_round))
		becomes(s, list_first(&s->in_round, struct sums_cluster, queue), &woken);
	for (struct list *link; (link = list_pop_front(&s->announced));)
		list_entry(link, struct sums_cluster, announced)->open_at = s->round_checkpoint;
	spin_unlock(&s->lock);
	sums_post(&woken);
	sums_work(s);
	if (sums_settled(pool))
		checkpoint_sums_settled(pool);
}

/* The pool takes no writes any more. Who waits for one hears it when he asks again; what was in the round is as it was before. */
void sums_failed(struct pool *pool)
{
	struct sums *s = pool->sums;
	struct list woken;

	if (!s)
		return;
	list_init(&woken);
	spin_lock(&s->lock);
	while (!list_empty(&s->announced))
		(void)list_pop_front(&s->announced);
	while (!list_empty(&s->in_round)) {
		struct sums_cluster *c = list_first(&s->in_round, struct sums_cluster, queue);

		c->in_round = false;
		s->n_open -= c->state == SUMS_OPENING;
		sums_move(c, c->state, c->state == SUMS_OPENING ? &s->opening : &s->closing);
	}
	while (!list_empty(&s->opening)) /* reads may need its place */
		do_not_open(s, list_first(&s->opening, struct sums_cluster, queue), 0, &woken);
	for (struct sums_chunk *chunk = s->chunks; chunk; chunk = chunk->next)
		for (size_t i = 0; i < chunk->n; i++)
			sums_wake(&chunk->cluster[i].waiters, 0, &woken);
	sums_wake(&s->starved, 0, &woken);
	spin_unlock(&s->lock);
	sums_post(&woken);
	sums_work(s);
}

/* ---- checkpoints ---- */

void sums_checkpoint_begins(struct pool *pool)
{
	struct sums *s = pool->sums;

	if (!s)
		return;
	s->checkpoint++;
	s->announcing = s->n_open > 0;
	sums_work(s);
}

bool sums_settled(struct pool *pool)
{
	struct sums *s = pool->sums;
	bool settled;

	if (!s)
		return true;
	spin_lock(&s->lock);
	settled =
		!s->announcing && list_empty(&s->announced) &&
		(list_empty(&s->dirty) ||
		 list_first(&s->dirty, struct sums_cluster, dirty_link)->dirty_at >= s->checkpoint);
	spin_unlock(&s->lock);
	return settled;
}

bool sums_clean(const struct pool *pool)
{
	const struct sums *s = pool->sums;

	return !s || (list_empty(&s->dirty) && s->table.step == TABLE_IDLE);
}

bool sums_all_closed(const struct pool *pool)
{
	return !pool->sums || !pool->sums->n_open;
}

bool sums_io_under_way(const struct pool *pool)
{
	const struct sums *s = pool->sums;

	return s && (sums_load_busy(s) || s->table.batch.pending);
}
