/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: who overlaps waits in line, across reactors, and nobody else does. */
#include "base/rng.h"
#include "pool/map.h"
#include "unit/disk/blk_world.h"

#define N 200u

struct one {
	struct map_claim claim;
	struct msg msg;
	struct fixture *f;
	unsigned order; /* of taking */
	bool waits, held, ended;
};

struct fixture {
	struct blk_world w;
	struct map_shared shared;
	struct map *map;
	struct rng rng;
	struct one one[N];
	unsigned taken, ended;
};

static bool overlap(const struct one *a, const struct one *b)
{
	return a->claim.cluster == b->claim.cluster &&
	       a->claim.first < b->claim.first + b->claim.count &&
	       b->claim.first < a->claim.first + a->claim.count;
}

/* The rule: no earlier one that overlaps is still there. */
static bool may_hold(const struct fixture *f, const struct one *me)
{
	for (unsigned i = 0; i < N; i++) {
		const struct one *o = &f->one[i];

		if (o->order && o->order < me->order && !o->ended && overlap(o, me))
			return false;
	}
	return true;
}

static void drop(struct msg *msg)
{
	struct one *one = container_of(msg, struct one, msg);

	one->ended = true;
	one->f->ended++;
	map_claim_drop(&one->claim);
}

/* Held now; dropped some passes later. */
static void hold(struct one *one)
{
	assert_ptr_equal(reactor_current(), one->claim.reactor);
	assert_false(one->held);
	assert_true(may_hold(one->f, one));
	one->held = true;
	one->msg.run = drop;
	reactor_post(one->claim.reactor, &one->msg);
}

static void granted(struct map_claim *claim)
{
	struct one *one = container_of(claim, struct one, claim);

	assert_true(one->waits);
	hold(one);
}

static void begin(struct msg *msg)
{
	struct one *one = container_of(msg, struct one, msg);

	one->order = ++one->f->taken;
	switch (map_claim_take(one->f->map, &one->claim)) {
	case MAP_CLAIM_HELD:
		hold(one);
		break;
	case MAP_CLAIM_WAITS:
		assert_false(may_hold(one->f, one));
		one->waits = true;
		break;
	case MAP_CLAIM_UNPREPARED:
		fail_msg("the cluster was prepared");
	}
}

static void start(struct fixture *f, unsigned i)
{
	struct one *one = &f->one[i];

	one->f = f;
	one->claim.cluster = (uint32_t)rng_below(&f->rng, 2) * 16;
	one->claim.first = (uint16_t)rng_below(&f->rng, 256);
	one->claim.count = (uint16_t)(1 + rng_below(&f->rng, MIN(256u - one->claim.first, 40u)));
	if (rng_chance(&f->rng, 0.1)) {
		one->claim.first = 0;
		one->claim.count = 256;
	}
	one->claim.reactor = f->w.r[i % WORLD_REACTORS];
	one->claim.granted = granted;
	one->msg.run = begin;
	reactor_post(one->claim.reactor, &one->msg);
}

static bool all_ended(void *arg)
{
	return ((struct fixture *)arg)->ended == N;
}

static void run_claims(uint64_t seed)
{
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned waited = 0;

	blk_world_init(&f->w, seed);
	rng_seed(&f->rng, seed);
	f->map = map_new(&f->shared, 1, 32);
	assert_int_equal(map_prepare(f->map, 0), 0);
	for (unsigned i = 0; i < N; i++)
		start(f, i);
	assert_true(sim_run_until(f->w.sim, all_ended, f, WORLD_DEADLINE));
	for (unsigned i = 0; i < N; i++) {
		waited += f->one[i].waits;
		assert_true(f->one[i].held);
	}
	assert_true(waited > N / 4);
	map_free(f->map);
	blk_world_fini(&f->w);
	free(f);
}

static void overlapping_claims_are_served_in_order_across_reactors(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		run_claims(seed);
}

static void a_claim_without_memory_says_so(void **state)
{
	struct map_shared shared = {0};
	struct map *map = map_new(&shared, 1, 600);
	struct map_claim claim = {.cluster = 10, .count = 256};
	struct map_claim look = {.cluster = 10, .count = 256, .no_mask = true};
	void *old[MAP_MASK_PAGES];
	int res;

	assert_int_equal(map_claim_take(map, &look), MAP_CLAIM_UNPREPARED);
	assert_int_equal(map_prepare(map, 10), 0);
	assert_false(map_claimed(map));
	assert_int_equal(map_claim_take(map, &claim), MAP_CLAIM_HELD);
	assert_true(map_claimed(map));
	assert_int_equal(map_leaf_trim(map_leaf_at(map, 0), old), 0); /* somebody may need it */
	map_claim_drop(&claim);
	assert_int_equal(map_leaf_trim(map_leaf_at(map, 0), old), 1);
	map_masks_free(&shared, old, 1);
	assert_int_equal(map_claim_take(map, &claim), MAP_CLAIM_UNPREPARED);
	assert_int_equal(map_claim_take(map, &look), MAP_CLAIM_HELD);
	assert_int_equal(map_clear(&look, 0, 256, true, &res), 0);
	assert_int_equal(res, 0);
	assert_int_equal(map_get(map, 10, NULL), MAP_HIDE);
	map_claim_drop(&look);
	map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlapping_claims_are_served_in_order_across_reactors),
		cmocka_unit_test(a_claim_without_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
