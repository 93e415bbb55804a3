/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real threads on the same clusters of two maps that share their space: readers, first writers, discards, and the pool's thread that collects and trims. Each block
 * of the "disk" carries a stamp of who wrote it and for which block: nobody may ever see a wrong one.
 */
#include <sched.h>

#include "disk/disk.h"
#include "rt/uring.h"
#include "unit/disk/blk_world.h"

#include "pool/map.h"

#define THREADS  3
#define TENANTS  2
#define CLUSTERS 6u
#define PHYS     (TENANTS * CLUSTERS * 40u)
#define ROUNDS   3000u /* of each thread */

struct thread;

struct work {
	struct map_claim claim;
	struct thread *t;
	unsigned tenant;
	bool clear;
};

struct thread { /* a reactor and what is its own */
	struct reactor *r;
	struct shared *s;
	struct msg next, visit;
	struct rng rng;
	struct work work;
	bool visited;
	unsigned rounds;
	uint64_t free[PHYS];
	unsigned n_free;
	uint64_t fresh[PHYS]; /* detached; free when all threads were visited */
	unsigned n_fresh;
	uint64_t quarantine[PHYS];
	unsigned n_quarantine;
	_Atomic unsigned visits; /* that the main thread has seen through */
	unsigned visits_seen;
	_Atomic bool ended;
};

struct shared {
	struct map_shared maps;
	struct map *map[TENANTS];
	_Atomic uint64_t stamp[PHYS + 1][LAYOUT_CLUSTER_BLOCKS];
	_Atomic uint64_t wrong, read, hits;
	struct thread thread[THREADS];
	_Atomic unsigned visited;
	bool first_visit; /* of a pair; changes while nobody is visited */
};

static uint64_t stamp_of(unsigned tenant, uint64_t block)
{
	return (uint64_t)(tenant + 1) << 32 | block;
}

/* What a read does; in one go, so a visit of this thread is behind it. */
static void read_some(struct thread *t)
{
	struct shared *s = t->s;
	unsigned tenant = (unsigned)rng_below(&t->rng, TENANTS);
	uint64_t block = rng_below(&t->rng, CLUSTERS * LAYOUT_CLUSTER_BLOCKS);
	struct map_run run;

	map_find(s->map[tenant], block, 64, &run);
	atomic_fetch_add(&s->read, 1);
	if (run.found != MAP_HERE)
		return;
	atomic_fetch_add(&s->hits, 1);
	for (unsigned i = 0; i < run.blocks; i++) {
		uint64_t place = run.place + i;
		uint64_t have = atomic_load_explicit(&s->stamp[place / 256][place % 256],
						     memory_order_relaxed);

		if (have != stamp_of(tenant, block + i))
			atomic_fetch_add(&s->wrong, 1);
	}
}

static void write_claimed(struct work *work)
{
	struct thread *t = work->t;
	const struct map_claim *c = &work->claim;
	uint64_t phys = map_claim_phys(c), mine = 0;

	if (!phys && t->n_free) {
		mine = t->free[--t->n_free];
		phys = map_attach(c, mine);
		if (phys != mine)
			t->free[t->n_free++] = mine;
	}
	if (!phys)
		return;
	for (unsigned b = c->first; b < c->first + (unsigned)c->count; b++)
		atomic_store_explicit(&t->s->stamp[phys][b],
				      stamp_of(work->tenant, (uint64_t)c->cluster * 256 + b),
				      memory_order_relaxed);
	map_set_valid(c, c->first, c->count);
}

static void clear_claimed(struct work *work)
{
	const struct map_claim *c = &work->claim;
	struct thread *t = work->t;
	int res;
	uint64_t phys = map_clear(c, c->first, c->count, work->tenant == 1, &res);

	if (phys)
		t->fresh[t->n_fresh++] = phys;
}

static void go_on(struct thread *t)
{
	if (++t->rounds == ROUNDS)
		atomic_store(&t->ended, true);
	else
		reactor_post(t->r, &t->next);
}

static void claimed(struct map_claim *claim)
{
	struct work *work = container_of(claim, struct work, claim);

	if (work->clear)
		clear_claimed(work);
	else
		write_claimed(work);
	map_claim_drop(claim);
	go_on(work->t);
}

/* A visit of all threads has begun and ended since they were put in quarantine: nobody reads them any more. */
static void unquarantine(struct thread *t)
{
	unsigned visits = atomic_load(&t->visits);

	if (visits == t->visits_seen)
		return;
	t->visits_seen = visits;
	while (t->n_quarantine)
		t->free[t->n_free++] = t->quarantine[--t->n_quarantine];
}

static void round_begin(struct msg *msg)
{
	struct thread *t = container_of(msg, struct thread, next);
	struct work *work = &t->work;

	unquarantine(t);
	for (unsigned i = 0; i < 16; i++)
		read_some(t);
	memset(work, 0, sizeof(*work));
	work->t = t;
	work->tenant = (unsigned)rng_below(&t->rng, TENANTS);
	work->clear = rng_chance(&t->rng, 0.25);
	work->claim.cluster = (uint32_t)rng_below(&t->rng, CLUSTERS);
	work->claim.first = (uint16_t)(rng_below(&t->rng, 4) * 64);
	work->claim.count = (uint16_t)(1 + rng_below(&t->rng, 256 - work->claim.first));
	if (work->clear && rng_chance(&t->rng, 0.6)) {
		work->claim.first = 0;
		work->claim.count = 256;
		work->claim.no_mask = true;
	}
	work->claim.reactor = t->r;
	work->claim.granted = claimed;
	switch (map_claim_take(t->s->map[work->tenant], &work->claim)) {
	case MAP_CLAIM_HELD:
		claimed(&work->claim);
		break;
	case MAP_CLAIM_WAITS:
		break;
	case MAP_CLAIM_UNPREPARED: /* the main thread prepares all the time */
		reactor_post(t->r, &t->next);
		break;
	}
}

/* On each thread: what it had freed before the last complete visit of all is in quarantine; now the next lot. */
static void visit(struct msg *msg)
{
	struct thread *t = container_of(msg, struct thread, visit);

	unquarantine(t);
	if (t->s->first_visit) {
		assert_int_equal(t->n_quarantine, 0);
		memcpy(t->quarantine, t->fresh, t->n_fresh * sizeof(t->fresh[0]));
		t->n_quarantine = t->n_fresh;
		t->n_fresh = 0;
	}
	atomic_fetch_add(&t->s->visited, 1);
}

static void visit_all(struct shared *s)
{
	atomic_store(&s->visited, 0);
	for (unsigned i = 0; i < THREADS; i++)
		reactor_post(s->thread[i].r, &s->thread[i].visit);
	while (atomic_load(&s->visited) < THREADS)
		(void)sched_yield();
}

static void check_change(void *ctx, const struct map_change *change)
{
	uint64_t phys = map_phys(change->entry);

	assert_true(phys <= PHYS);
	assert_true(change->cluster + change->count <= CLUSTERS);
	(void)ctx;
}

/* What the pool's thread does all the time. */
static void pool_round(struct shared *s, bool trim, uint8_t (*image)[LAYOUT_PAGE])
{
	struct map *map = map_take_dirty(&s->maps);
	void *old[TENANTS * MAP_MASK_PAGES];
	unsigned n = 0;

	while (map) {
		struct map *next_map = map_dirty_next(map);
		struct map_leaf *leaf;

		map_collect_begin(map);
		leaf = map_take_leaves(map);
		while (leaf) {
			struct map_leaf *next = map_leaf_next(leaf);

			map_leaf_collect(leaf, check_change, s, image); /* the checkpoint's turn */
			map_leaf_collect(leaf, check_change, s, NULL);
			leaf = next;
		}
		map_set_durable(map);
		map = next_map;
	}
	/* Not each time: a map that is still empty would never get beyond that. */
	for (unsigned i = 0; trim && i < TENANTS; i++)
		n += map_leaf_trim(map_leaf_at(s->map[i], 0), old + n);
	/* Two visits: what was put into quarantine by the first has been seen through by the second. */
	s->first_visit = true;
	visit_all(s);
	s->first_visit = false;
	visit_all(s);
	for (unsigned i = 0; i < THREADS; i++)
		atomic_fetch_add(&s->thread[i].visits, 1);
	map_masks_free(&s->maps, old, n);
	for (unsigned i = 0; i < TENANTS; i++)
		assert_int_equal(map_prepare(s->map[i], 0), 0);
}

static void thread_start(struct shared *s, unsigned i)
{
	struct reactor_opts opts = {.id = i, .name = "map", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct thread *t = &s->thread[i];
	struct env *env;

	t->s = s;
	t->next.run = round_begin;
	t->visit.run = visit;
	rng_seed(&t->rng, i + 1);
	for (unsigned p = i; p < PHYS; p += THREADS)
		t->free[t->n_free++] = p + 1;
	assert_int_equal(uring_env_new(NULL, &env, NULL), 0);
	assert_int_equal(reactor_new(&opts, env, &t->r, NULL), 0);
	assert_int_equal(reactor_start(t->r, NULL), 0);
}

static bool all_ended(struct shared *s)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (!atomic_load(&s->thread[i].ended))
			return false;
	return true;
}

static void nobody_sees_what_another_wrote(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));
	uint8_t(*image)[LAYOUT_PAGE] = calloc(1 + MAP_MASK_PAGES, LAYOUT_PAGE);

	for (unsigned i = 0; i < TENANTS; i++) {
		s->map[i] = map_new(&s->maps, i + 1, CLUSTERS);
		assert_int_equal(map_prepare(s->map[i], 0), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		thread_start(s, i);
	for (unsigned i = 0; i < THREADS; i++)
		reactor_post(s->thread[i].r, &s->thread[i].next);
	for (unsigned n = 0; !all_ended(s); n++)
		pool_round(s, n % 8 == 7, image);
	pool_round(s, true, image); /* nothing changes any more */
	for (unsigned i = 0; i < TENANTS; i++)
		assert_true(map_clean(s->map[i]));
	for (unsigned i = 0; i < THREADS; i++)
		reactor_stop(s->thread[i].r);
	for (unsigned i = 0; i < THREADS; i++)
		reactor_join(s->thread[i].r);
	for (unsigned i = 0; i < THREADS; i++)
		reactor_free(s->thread[i].r);
	assert_int_equal(atomic_load(&s->wrong), 0);
	assert_true(atomic_load(&s->hits) > 1000);
	print_message("# %llu reads, %llu of them found something\n",
		      (unsigned long long)atomic_load(&s->read),
		      (unsigned long long)atomic_load(&s->hits));
	for (unsigned i = 0; i < TENANTS; i++)
		map_free(s->map[i]);
	free(image);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_sees_what_another_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
