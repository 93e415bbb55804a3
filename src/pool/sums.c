/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters whose sums are in RAM, and who may read and write their blocks now.
 *
 * Invariants, under the lock:
 *  1. A cluster's sums in RAM are the newest, but for its unsure blocks and, while a write of it is under way, for that one's (which are busy).
 *  2. Blocks are written only while their cluster is OPEN or CLOSING, by who has locked them; CLOSING takes no new ones.
 *  3. A cluster is forgotten only when it is closed and in the table.
 */
#include "pool/sums_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"

#define CHUNK_MORE 64u /* clusters, when replay needs more than there are */

/* ---- queues and waiters ---- */

void sums_move(struct sums_cluster *c, enum sums_state state, struct list *queue)
{
	list_remove(&c->queue);
	c->state = state;
	if (queue)
		list_push_back(queue, &c->queue);
}

void sums_wake(struct list *waiters, int res, struct list *woken)
{
	for (struct list *link; (link = list_pop_front(waiters));) {
		list_entry(link, struct sums_io, link)->res = res;
		list_push_back(woken, link);
	}
}

void sums_post(struct list *woken)
{
	for (struct list *link; (link = list_pop_front(woken));) {
		struct sums_io *r = list_entry(link, struct sums_io, link);

		reactor_post(r->lane->reactor, &r->msg);
	}
}

bool sums_want_kick(struct sums *s)
{
	bool post = !s->kicked;

	s->kicked = true;
	return post;
}

void sums_post_kick(struct sums *s)
{
	reactor_post(s->pool->home, &s->kick);
}

static void kicked(struct msg *msg)
{
	struct sums *s = container_of(msg, struct sums, kick);

	spin_lock(&s->lock);
	s->kicked = false;
	spin_unlock(&s->lock);
	sums_work(s);
}

/* ---- clusters ---- */

static struct list *bucket_of(struct sums *s, uint64_t phys)
{
	return &s->bucket[phys * 0x9e3779b97f4a7c15u >> 32 & (s->buckets - 1)];
}

struct sums_cluster *sums_find(struct sums *s, uint64_t phys)
{
	list_for_each (it, bucket_of(s, phys)) {
		struct sums_cluster *c = list_entry(it, struct sums_cluster, hash);

		if (c->phys == phys)
			return c;
	}
	return NULL;
}

static struct sums_chunk *chunk_new(size_t n)
{
	struct sums_chunk *chunk = calloc(1, sizeof(*chunk) + n * sizeof(chunk->cluster[0]));

	if (chunk)
		chunk->n = n;
	return chunk;
}

/* With the lock. */
static void chunk_add(struct sums *s, struct sums_chunk *chunk)
{
	chunk->next = s->chunks;
	s->chunks = chunk;
	for (size_t i = 0; i < chunk->n; i++) {
		list_init(&chunk->cluster[i].waiters);
		list_push_back(&s->free, &chunk->cluster[i].queue);
	}
}

void sums_forget(struct sums *s, struct sums_cluster *c)
{
	ASSERT(!c->dirty && !c->locks && list_empty(&c->waiters));
	list_remove(&c->hash);
	sums_move(c, SUMS_FREE, &s->free);
}

void sums_put_idle(struct sums *s, struct sums_cluster *c, struct list *woken)
{
	sums_move(c, SUMS_CLOSED, &s->idle);
	sums_wake(&s->starved, 0, woken);
}

/* What is fresh has to do its work first, lest two that want many clusters go on taking them from each other. */
static void forget_one(struct sums *s)
{
	list_for_each (it, &s->idle) {
		struct sums_cluster *c = list_entry(it, struct sums_cluster, queue);

		if (c->fresh && !pool_writable(s->pool))
			continue;
		sums_forget(s, c);
		return;
	}
}

/* A place for that cluster, in the hash and in no queue; NULL: all are in use. */
static struct sums_cluster *take(struct sums *s, uint64_t phys)
{
	struct sums_cluster *c;

	if (list_empty(&s->free))
		forget_one(s);
	if (list_empty(&s->free))
		return NULL;
	c = list_first(&s->free, struct sums_cluster, queue);
	list_remove(&c->queue);
	c->phys = phys;
	c->again = c->fresh = c->in_round = c->dirty = c->writing = false;
	memset(&c->unsure, 0, sizeof(c->unsure));
	list_push_back(bucket_of(s, phys), &c->hash);
	return c;
}

/* ---- who may ---- */

static struct block_mask piece_mask(const struct sums_io *r)
{
	struct block_mask mask = {{0}};

	for (unsigned i = r->first; i < r->first + r->count; i++)
		mask.word[i / 64] |= (uint64_t)1 << (i % 64);
	return mask;
}

static bool overlaps(const struct block_mask *a, const struct block_mask *b)
{
	return ((a->word[0] & b->word[0]) | (a->word[1] & b->word[1]) | (a->word[2] & b->word[2]) |
		(a->word[3] & b->word[3])) != 0;
}

/* What r has to wait for is set going: true: the pool's thread has to be told. */
static bool ask(struct sums *s, struct sums_cluster *c, const struct sums_io *r)
{
	if (c->state == SUMS_UNKNOWN) {
		list_remove(&c->queue);
		list_push_front(&s->unknown, &c->queue);
		return true;
	}
	if (c->state == SUMS_CLOSED && r->write) {
		sums_move(c, SUMS_OPENING, &s->opening);
		return true;
	}
	return false;
}

static bool may(const struct sums_cluster *c, const struct sums_io *r)
{
	struct block_mask mask;

	if (c->state == SUMS_LOADING || c->state == SUMS_UNKNOWN || c->state == SUMS_READING ||
	    c->again)
		return false;
	if (r->write && c->state != SUMS_OPEN)
		return false;
	mask = piece_mask(r);
	return !r->locking || !overlaps(&c->busy, &mask);
}

static void begin(struct sums *s, struct sums_cluster *c, struct sums_io *r)
{
	struct block_mask mask = piece_mask(r);

	memcpy(r->sum, &c->sum[r->first], r->count * sizeof(r->sum[0]));
	r->unsure = c->unsure;
	if (c->state == SUMS_CLOSED && !c->dirty && !c->locks)
		sums_move(c, SUMS_CLOSED, &s->idle); /* to the end of the line */
	c->fresh = false;
	if (r->write) {
		c->written_ns = reactor_now(r->lane->reactor);
		sums_move(c, SUMS_OPEN, &s->open);
	}
	if (!r->locking)
		return;
	for (unsigned w = 0; w < ARRAY_LEN(mask.word); w++)
		c->busy.word[w] |= mask.word[w];
	c->locks++;
	if (c->state == SUMS_CLOSED)
		list_remove(&c->queue); /* is not to be forgotten meanwhile */
	r->locked = c;
}

enum sums_got sums_admit(struct sums *s, struct sums_io *r)
{
	enum sums_got got = SUMS_WAITS;
	struct sums_cluster *c;
	struct list woken;
	bool kick = false;

	list_init(&woken);
	r->res = r->write ? pool_writable(s->pool) : 0;
	if (r->res)
		return SUMS_REFUSED;
	spin_lock(&s->lock);
	c = sums_find(s, r->phys);
	if (!c) {
		c = take(s, r->phys);
		if (c)
			sums_move(c, SUMS_LOADING, &s->loading);
		kick = true;
	}
	if (c && may(c, r)) {
		begin(s, c, r);
		got = SUMS_GO;
		if (list_linked(&c->queue) && c->state == SUMS_CLOSED) /* may be forgotten now */
			sums_wake(&s->starved, 0, &woken);
	} else {
		list_push_back(c ? &c->waiters : &s->starved, &r->link);
		kick |= c && ask(s, c, r);
	}
	kick = kick && sums_want_kick(s);
	spin_unlock(&s->lock);
	sums_post(&woken);
	if (kick)
		sums_post_kick(s);
	return got;
}

/* The last one that had locked blocks of c has gone. True: the pool's thread has to be told. */
static bool unlocked(struct sums *s, struct sums_cluster *c, struct list *woken)
{
	if (c->again) {
		sums_move(c, SUMS_UNKNOWN, &s->unknown);
		return true;
	}
	if (c->state == SUMS_CLOSED && !c->dirty)
		sums_put_idle(s, c, woken);
	return c->state == SUMS_CLOSING || !list_empty(&s->opening) || !list_empty(&s->starved);
}

void sums_release(struct sums *s, struct sums_io *r, int res)
{
	struct sums_cluster *c = TAKE_PTR(r->locked);
	struct block_mask mask = piece_mask(r);
	struct list woken;
	bool kick = false;

	list_init(&woken);
	spin_lock(&s->lock);
	for (unsigned w = 0; w < ARRAY_LEN(mask.word); w++) {
		c->busy.word[w] &= ~mask.word[w];
		c->unsure.word[w] |= r->write && res ? mask.word[w] : 0;
		c->unsure.word[w] &= r->write && !res ? ~mask.word[w] : UINT64_MAX;
	}
	c->again |= r->write && res;
	if (r->write && !res)
		memcpy(&c->sum[r->first], r->sum, r->count * sizeof(r->sum[0]));
	if (--c->locks == 0)
		kick = unlocked(s, c, &woken) && sums_want_kick(s);
	sums_wake(&c->waiters, 0, &woken);
	spin_unlock(&s->lock);
	sums_post(&woken);
	if (kick)
		sums_post_kick(s);
}

void sums_wrong(struct sums *s, uint64_t place, const char *what)
{
	spin_lock(&s->lock);
	counter_add(&s->wrong, 1);
	spin_unlock(&s->lock);
	log_limited(
		LOG_LEVEL_ERROR, "pool.sum",
		"pool=%s dev=%s offset=%" PRIu64 " while=\"%s\" problem=\"the block does not "
		"match its sum\" remedy=\"restore it; 'litepool pool scrub' tells whose it is\"",
		s->pool->super.now.name, s->pool->dev->name, place * LAYOUT_PAGE, what);
}

/* ---- replay ---- */

static struct sums_cluster *replay_cluster(struct sums *s, uint64_t phys)
{
	struct sums_cluster *c = sums_find(s, phys);

	if (c)
		return c;
	if (list_empty(&s->free)) {
		struct sums_chunk *chunk = chunk_new(CHUNK_MORE);

		if (!chunk)
			return NULL;
		chunk_add(s, chunk);
	}
	return take(s, phys);
}

static void undirty(struct sums *s, struct sums_cluster *c)
{
	s->n_dirty -= c->dirty;
	c->dirty = false;
	list_remove(&c->dirty_link);
}

int sums_replay_open(struct pool *pool, uint64_t phys)
{
	struct sums *s = pool->sums;
	struct sums_cluster *c = s ? replay_cluster(s, phys) : NULL;

	if (!c)
		return s ? -ENOMEM : -EUCLEAN;
	undirty(s, c);
	if (!sums_is_open(c))
		s->n_open++;
	memset(&c->unsure, 0xff, sizeof(c->unsure));
	sums_move(c, SUMS_UNKNOWN, &s->unknown);
	return 0;
}

int sums_replay_set(struct pool *pool, uint64_t phys, const uint8_t *sums)
{
	struct sums *s = pool->sums;
	struct sums_cluster *c = s ? replay_cluster(s, phys) : NULL;

	if (!c)
		return s ? -ENOMEM : -EUCLEAN;
	if (sums_is_open(c))
		s->n_open--;
	undirty(s, c);
	memset(&c->unsure, 0, sizeof(c->unsure));
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		c->sum[i] = get_le32((const le32 *)(const void *)(sums + (size_t)i * 4));
	sums_move(c, SUMS_CLOSED, NULL);
	c->dirty = true;
	s->n_dirty++;
	list_push_back(&s->dirty, &c->dirty_link);
	return 0;
}

/* ---- life ---- */

void sums_relieve(struct sums *s)
{
	struct sums_chunk *chunk;
	struct list woken;
	bool needed;

	if (!pool_writable(s->pool) || sums_load_busy(s))
		return;
	spin_lock(&s->lock);
	needed = !list_empty(&s->starved) && list_empty(&s->free) && list_empty(&s->idle);
	spin_unlock(&s->lock);
	if (!needed)
		return;
	list_init(&woken);
	chunk = chunk_new(CHUNK_MORE);
	spin_lock(&s->lock);
	if (chunk)
		chunk_add(s, chunk);
	sums_wake(&s->starved, chunk ? 0 : -ENOMEM, &woken);
	spin_unlock(&s->lock);
	sums_post(&woken);
}

static void reserve(struct pool *pool, uint64_t from, uint64_t end)
{
	uint64_t first = pool->rules.first_cluster;

	for (uint64_t c = from; c < end; c = c - c % SUMS_GROUP + SUMS_GROUP) {
		if (!sums_is_home(c, first))
			continue;
		(void)space_own(pool, c); /* the first to do so */
		pool->sums->homes++;
	}
}

static size_t limits(struct sums *s, const struct layout_rules *rules)
{
	uint64_t total = rules->end_cluster - rules->first_cluster;
	uint64_t n = MIN(MAX(total / 64, SUMS_CACHED_MIN), SUMS_CACHED_MAX);

	s->open_max = (unsigned)(n / 2);
	s->dirty_max = (unsigned)(n / 4);
	return (size_t)MIN(n, total);
}

static void lists_init(struct sums *s)
{
	struct list *const lists[] = {&s->free,    &s->idle,      &s->loading, &s->opening,
				      &s->closing, &s->in_round,  &s->open,    &s->unknown,
				      &s->dirty,   &s->announced, &s->starved};

	for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
		list_init(lists[i]);
}

static int hash_init(struct sums *s, size_t n)
{
	struct sums_chunk *chunk;

	s->buckets = 64;
	while (s->buckets < n)
		s->buckets *= 2;
	s->bucket = calloc(s->buckets, sizeof(*s->bucket));
	if (!s->bucket)
		return -ENOMEM;
	for (size_t i = 0; i < s->buckets; i++)
		list_init(&s->bucket[i]);
	chunk = chunk_new(n);
	if (chunk)
		chunk_add(s, chunk);
	return chunk ? 0 : -ENOMEM;
}

int sums_init(struct pool *pool)
{
	struct sums *s;

	if (!(pool->super.now.incompat & LAYOUT_INCOMPAT_SUMS))
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	pool->sums = s;
	s->pool = pool;
	s->kick.run = kicked;
	lists_init(s);
	if (hash_init(s, limits(s, &pool->rules)) || sums_load_init(s) || sums_table_init(s) ||
	    sums_dev_init(s))
		return -ENOMEM;
	reserve(pool, pool->rules.first_cluster, pool->rules.end_cluster);
	return 0;
}

void sums_fini(struct pool *pool)
{
	struct sums *s = pool->sums;

	if (!s)
		return;
	timer_stop(&s->timer);
	sums_dev_fini(s);
	sums_table_fini(s);
	sums_load_fini(s);
	for (struct sums_chunk *chunk = s->chunks; chunk;) {
		struct sums_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	free(s->bucket);
	free(s);
	pool->sums = NULL;
}

/* More clusters in RAM, for a pool that has grown. Without memory for them it does with what it has. */
static void more(struct sums *s)
{
	size_t n = limits(s, &s->pool->rules), have = 0;
	struct sums_chunk *chunk;

	for (chunk = s->chunks; chunk; chunk = chunk->next)
		have += chunk->n;
	chunk = n > have ? chunk_new(n - have) : NULL;
	if (!chunk)
		return;
	spin_lock(&s->lock);
	chunk_add(s, chunk);
	spin_unlock(&s->lock);
}

void sums_grow(struct pool *pool, uint64_t old_end, uint64_t end_cluster)
{
	if (!pool->sums)
		return;
	reserve(pool, old_end, end_cluster);
	more(pool->sums);
	atomic_store(&pool->sums->dev.size_bytes, atomic_load(&pool->dev->size_bytes));
}

uint64_t sums_homes(const struct pool *pool)
{
	return pool->sums ? pool->sums->homes : 0;
}

struct blk_dev *pool_data_dev(const struct pool *pool)
{
	return pool->sums ? &pool->sums->dev : pool->dev;
}

json_t *sums_stats_json(const struct pool *pool)
{
	struct sums *s = pool->sums;
	json_t *json;

	if (!s)
		return NULL;
	spin_lock(&s->lock);
	json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "wrong_blocks",
			 (json_int_t)counter_get(&s->wrong), "open_clusters", (json_int_t)s->n_open,
			 "dirty_clusters", (json_int_t)s->n_dirty, "opened",
			 (json_int_t)counter_get(&s->opened), "closed",
			 (json_int_t)counter_get(&s->closes_done), "loaded",
			 (json_int_t)counter_get(&s->loads), "summed_again",
			 (json_int_t)counter_get(&s->summed_again), "table_blocks_written",
			 (json_int_t)counter_get(&s->table_pages));
	spin_unlock(&s->lock);
	return json;
}
