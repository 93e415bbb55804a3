/* SPDX-License-Identifier: Apache-2.0 */
/* Maps against a plain model: lookups, changes under claims, records and page images that give the same map, resize, trim, memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "pool/map.h"

#define CLUSTERS 1100u /* three leaves, the last one short */
#define HOT      24u   /* most of the work is on these */

struct model_cluster {
	uint64_t phys;
	bool hide;
	bool here[LAYOUT_CLUSTER_BLOCKS];
};

struct fixture {
	struct map_shared shared;
	struct map *map, *copy; /* copy: what the records make */
	bool over_parent;
	uint64_t next_phys;
	struct rng rng;
	struct model_cluster *model;
};

static void setup(struct fixture *f, uint64_t seed, bool over_parent)
{
	memset(f, 0, sizeof(*f));
	f->map = map_new(&f->shared, 7, CLUSTERS);
	f->copy = map_new(&f->shared, 7, CLUSTERS);
	f->model = calloc(CLUSTERS, sizeof(*f->model));
	f->over_parent = over_parent;
	f->next_phys = 100;
	rng_seed(&f->rng, seed);
}

static void teardown(struct fixture *f)
{
	map_free(f->map);
	map_free(f->copy);
	free(f->model);
	assert_int_equal(atomic_load(&f->shared.bytes), 0);
	assert_int_equal(atomic_load(&f->shared.thick_mapped), 0);
	assert_null(atomic_load(&f->shared.dirty));
	assert_int_equal(atomic_load(&f->shared.leaves), 0);
}

static uint32_t some_cluster(struct fixture *f)
{
	static const uint32_t far[] = {0, 503, 504, 1007, 1008, CLUSTERS - 1};
	uint64_t n = rng_below(&f->rng, HOT);

	return n < ARRAY_LEN(far) ? far[n] : (uint32_t)(500 + n);
}

static void some_range(struct fixture *f, unsigned *first, unsigned *count)
{
	bool all = rng_chance(&f->rng, 0.2);

	*first = all ? 0 : (unsigned)rng_below(&f->rng, LAYOUT_CLUSTER_BLOCKS);
	*count = all ? LAYOUT_CLUSTER_BLOCKS
		     : 1 + (unsigned)rng_below(&f->rng, LAYOUT_CLUSTER_BLOCKS - *first);
}

static void take(struct map *map, struct map_claim *claim)
{
	enum map_claim_result got = map_claim_take(map, claim);

	if (got == MAP_CLAIM_UNPREPARED) {
		assert_int_equal(map_prepare(map, claim->cluster), 0);
		got = map_claim_take(map, claim);
	}
	assert_int_equal(got, MAP_CLAIM_HELD);
}

static enum map_found model_find(const struct model_cluster *m, unsigned block)
{
	return m->here[block] ? MAP_HERE : m->hide ? MAP_ZERO : MAP_ABSENT;
}

static void model_write(struct fixture *f, uint32_t cluster, unsigned first, unsigned count)
{
	struct model_cluster *m = &f->model[cluster];
	bool all = true;

	for (unsigned b = first; b < first + count; b++)
		m->here[b] = true;
	for (unsigned b = 0; b < LAYOUT_CLUSTER_BLOCKS; b++)
		all &= m->here[b];
	if (all)
		m->hide = false; /* there is nothing left to hide */
}

static void do_write(struct fixture *f)
{
	struct map_claim claim = {.cluster = some_cluster(f)};
	struct model_cluster *m = &f->model[claim.cluster];
	uint64_t phys = f->next_phys++;
	unsigned first, count;

	some_range(f, &first, &count);
	claim.first = (uint16_t)first;
	claim.count = (uint16_t)count;
	take(f->map, &claim);
	assert_int_equal(map_claim_phys(&claim), m->phys);
	assert_int_equal(map_claim_block(&claim, first), model_find(m, first));
	if (!m->phys)
		m->phys = phys;
	assert_int_equal(map_attach(&claim, phys), m->phys);
	if (rng_chance(&f->rng, 0.9)) { /* else: the write failed, and the cluster stays */
		map_set_valid(&claim, first, count);
		model_write(f, claim.cluster, first, count);
	}
	map_claim_drop(&claim);
}

/* What clearing must do; false: it may not. */
static bool model_clear(struct fixture *f, struct model_cluster *m, unsigned first, unsigned count,
			bool whole_claim)
{
	bool left = false;

	for (unsigned b = 0; b < LAYOUT_CLUSTER_BLOCKS; b++)
		if ((b < first || b >= first + count) && !m->here[b] && f->over_parent && !m->hide)
			return false;
	for (unsigned b = first; b < first + count; b++)
		m->here[b] = false;
	for (unsigned b = 0; b < LAYOUT_CLUSTER_BLOCKS; b++)
		left |= m->here[b];
	m->hide |= f->over_parent;
	if (!left && whole_claim)
		m->phys = 0;
	return true;
}

static void do_clear(struct fixture *f)
{
	struct map_claim claim = {.cluster = some_cluster(f)};
	struct model_cluster *m = &f->model[claim.cluster];
	uint64_t had = m->phys, detached;
	unsigned first, count;
	int res;

	some_range(f, &first, &count);
	claim.first = (uint16_t)first;
	claim.count = (uint16_t)count;
	claim.no_mask = count == LAYOUT_CLUSTER_BLOCKS;
	if (rng_chance(&f->rng, 0.5)) {
		claim.first = 0;
		claim.count = LAYOUT_CLUSTER_BLOCKS;
	}
	take(f->map, &claim);
	detached = map_clear(&claim, first, count, f->over_parent, &res);
	if (model_clear(f, m, first, count, claim.count == LAYOUT_CLUSTER_BLOCKS)) {
		assert_int_equal(res, 0);
		assert_int_equal(detached, m->phys ? 0 : had);
	} else {
		assert_int_equal(res, -EOPNOTSUPP);
		assert_int_equal(detached, 0);
	}
	map_claim_drop(&claim);
}

static void check_cluster(const struct fixture *f, const struct map *map, uint32_t cluster)
{
	const struct model_cluster *m = &f->model[cluster];
	uint64_t base = (uint64_t)cluster * LAYOUT_CLUSTER_BLOCKS;
	unsigned b = 0;

	while (b < LAYOUT_CLUSTER_BLOCKS) {
		struct map_run run;

		map_find(map, base + b, UINT32_MAX, &run);
		assert_in_range(run.blocks, 1, LAYOUT_CLUSTER_BLOCKS - b);
		for (unsigned i = 0; i < run.blocks; i++)
			assert_int_equal(model_find(m, b + i), run.found);
		if (run.found == MAP_HERE)
			assert_int_equal(run.place, m->phys * LAYOUT_CLUSTER_BLOCKS + b);
		b += run.blocks;
		if (b < LAYOUT_CLUSTER_BLOCKS) /* runs are as long as they can be */
			assert_int_not_equal(model_find(m, b), run.found);
	}
}

static void replay(void *ctx, const struct map_change *change)
{
	struct fixture *f = ctx;

	assert_true(change->count > 0);
	assert_true(change->count == 1 || !(change->entry & MAP_PARTIAL));
	for (uint32_t i = 0; i < change->count; i++) {
		uint64_t entry = map_phys(change->entry) ? change->entry + i : change->entry;

		assert_int_equal(map_put(f->copy, change->cluster + i, entry, &change->mask), 0);
	}
}

static void check_images(struct fixture *f, struct map_leaf *leaf, uint8_t (*image)[LAYOUT_PAGE])
{
	for (unsigned i = 0; i < MAP_LEAF_CLUSTERS; i++) {
		uint32_t cluster = map_leaf_index(leaf) * MAP_LEAF_CLUSTERS + i;
		struct block_mask mask, have;
		uint64_t entry = map_get(f->map, cluster, &mask);

		if (entry & MAP_PARTIAL && layout_is_zero(&mask, sizeof(mask)))
			entry &= MAP_HIDE; /* attached, no data yet: in no page */
		assert_int_equal(page_entry(image[0], i), entry);
		if (!(entry & MAP_PARTIAL))
			continue;
		have = page_mask(image[1 + i / MAP_MASK_CLUSTERS], i % MAP_MASK_CLUSTERS);
		assert_memory_equal(&have, &mask, sizeof(mask));
	}
}

/* A round: afterwards copy is like map. */
static void do_collect(struct fixture *f)
{
	struct map *map = map_take_dirty(&f->shared);
	uint8_t(*image)[LAYOUT_PAGE] = calloc(1 + MAP_MASK_PAGES, LAYOUT_PAGE);

	if (map) {
		struct map_leaf *leaf;

		assert_ptr_equal(map, f->map);
		assert_null(map_dirty_next(map));
		map_collect_begin(map);
		leaf = map_take_leaves(map);
		while (leaf) {
			struct map_leaf *next = map_leaf_next(leaf);
			assert_ptr_equal(map_leaf_map(leaf), f->map);
			assert_ptr_equal(map_leaf_at(f->map, map_leaf_index(leaf)), leaf);
			if (rng_chance(&f->rng, 0.5)) { /* the checkpoint's turn in between */
				map_leaf_collect(leaf, replay, f, image);
				check_images(f, leaf, image);
			}
			map_leaf_collect(leaf, replay, f, NULL);
			leaf = next;
		}
		map_set_durable(f->map);
	}
	free(image);
	assert_true(map_clean(f->map));
	for (unsigned i = 0; i < HOT; i++)
		check_cluster(f, f->copy, some_cluster(f));
}

/* What the checkpoint does, out of turn: the leaf stays where it is. */
static void do_image(struct fixture *f)
{
	struct map_leaf *leaf = map_leaf_at(f->map, (uint32_t)rng_below(&f->rng, 3));
	uint8_t(*image)[LAYOUT_PAGE] = calloc(1 + MAP_MASK_PAGES, LAYOUT_PAGE);

	if (leaf) {
		map_leaf_collect(leaf, replay, f, image);
		check_images(f, leaf, image);
	}
	free(image);
}

static void do_trim(struct fixture *f)
{
	for (uint32_t i = 0; i < 3; i++) {
		struct map_leaf *leaf = map_leaf_at(f->map, i);
		void *old[MAP_MASK_PAGES];

		map_masks_free(&f->shared, old, leaf ? map_leaf_trim(leaf, old) : 0);
	}
}

static uint64_t model_mapped(const struct fixture *f)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < CLUSTERS; i++)
		n += f->model[i].phys != 0;
	return n;
}

static void check_next(const struct fixture *f)
{
	uint64_t at = 0, want;

	for (unsigned i = 0; i < CLUSTERS; i++) {
		if (!f->model[i].phys && !f->model[i].hide)
			continue;
		want = i;
		at = map_next(f->map, at);
		assert_int_equal(at, want);
		at++;
	}
	assert_true(map_next(f->map, at) == UINT64_MAX);
}

static void run_model(uint64_t seed, bool over_parent)
{
	struct fixture f;

	setup(&f, seed, over_parent);
	map_set_thick(f.map, seed % 2);
	for (unsigned step = 0; step < 4000; step++) {
		uint64_t what = rng_below(&f.rng, 100);

		if (what < 50)
			do_write(&f);
		else if (what < 90)
			do_clear(&f);
		else if (what < 94)
			do_collect(&f);
		else if (what < 97)
			do_trim(&f);
		else if (what < 98)
			do_image(&f);
		check_cluster(&f, f.map, some_cluster(&f));
		assert_int_equal(map_mapped(f.map), model_mapped(&f));
		assert_int_equal(atomic_load(&f.shared.thick_mapped),
				 seed % 2 ? model_mapped(&f) : 0);
	}
	check_next(&f);
	teardown(&f);
}

static void a_map_does_what_the_model_does(void **state)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		run_model(seed, false);
		run_model(seed, true);
	}
}

static void a_map_that_grows_and_shrinks_keeps_what_it_has(void **state)
{
	struct map_shared shared = {0};
	struct map *map = map_new(&shared, 1, 10);
	void *old;

	assert_int_equal(map_put(map, 9, 55, NULL), 0);
	assert_int_equal(map_put(map, 10, 56, NULL), -ERANGE);
	assert_int_equal(map_prepare(map, 10), -ERANGE);
	assert_int_equal(map_resize(map, 100000, &old), 0);
	assert_non_null(old);
	free(old);
	assert_int_equal(map_put(map, 99999, 57, NULL), 0);
	assert_int_equal(map_next(map, 0), 9);
	assert_int_equal(map_next(map, 10), 99999);
	assert_int_equal(map_put(map, 99999, 0, NULL), 0);
	assert_int_equal(map_resize(map, 10, &old), 0);
	assert_null(old);
	assert_int_equal(map_get(map, 9, NULL), 55);
	assert_int_equal(map_clusters(map), 10);
	assert_int_equal(map_mapped(map), 1);
	map_free(map);
	assert_int_equal(atomic_load(&shared.bytes), 0);
}

static void a_fully_valid_tib_fits_into_16_mib(void **state)
{
	struct map_shared shared = {0};
	struct map *map = map_new(&shared, 1, TIB / LAYOUT_CLUSTER);

	for (uint64_t i = 0; i < TIB / LAYOUT_CLUSTER; i++)
		assert_int_equal(map_put(map, (uint32_t)i, 1000 + i, NULL), 0);
	print_message("# %llu bytes\n", (unsigned long long)atomic_load(&shared.bytes));
	assert_true(atomic_load(&shared.bytes) < 16 * MIB);
	map_free(map);
}

static void ignore(void *ctx, const struct map_change *change)
{
	*(unsigned *)ctx += change->count;
}

static unsigned collect(struct map *map)
{
	unsigned n = 0;
	struct map_leaf *leaf;

	map_collect_begin(map);
	leaf = map_take_leaves(map);
	while (leaf) {
		struct map_leaf *next = map_leaf_next(leaf);

		map_leaf_collect(leaf, ignore, &n, NULL);
		leaf = next;
	}
	map_set_durable(map);
	return n;
}

/* What a cut needs: changes of a held map stay, whatever rounds do. */
static void a_map_that_was_given_back_is_collected_later(void **state)
{
	struct map_shared shared = {0};
	struct map *a = map_new(&shared, 1, 600), *b = map_new(&shared, 2, 600), *map;
	unsigned n = 0;

	assert_int_equal(map_put(a, 3, 20, NULL), 0);
	assert_int_equal(map_put(b, 3, 21, NULL), 0);
	map_touch(a, 3);
	map_touch(b, 3);
	map_touch(b, 3);
	map_set_held(a, true);
	assert_false(map_clean(a));
	map = map_take_dirty(&shared);
	while (map) {
		struct map *next = map_dirty_next(map);

		if (map_held(map))
			map_redirty(map);
		else
			n += collect(map);
		map = next;
	}
	assert_int_equal(n, 1);
	assert_true(map_clean(b));
	map_touch(a, 3); /* it is there already */
	map = map_take_dirty(&shared);
	assert_ptr_equal(map, a);
	assert_null(map_dirty_next(map));
	map_redirty(map);
	map_touch(b, 3);
	map_free(a); /* takes itself off and leaves the other */
	map = map_take_dirty(&shared);
	assert_ptr_equal(map, b);
	assert_null(map_dirty_next(map));
	assert_int_equal(collect(b), 1);
	map_free(b);
}

/* A change that is not ended when the round looks is not called durable by it. */
static void changes_behind_the_round_are_not_durable(void **state)
{
	struct map_shared shared = {0};
	struct map *map = map_new(&shared, 1, 600);
	struct map_leaf *leaf;
	unsigned n = 0;

	assert_true(map_clean(map));
	assert_int_equal(map_put(map, 3, 20, NULL), 0);
	assert_true(map_clean(map));
	map_touch(map, 3);
	assert_ptr_equal(map_take_dirty(&shared), map);
	map_collect_begin(map);
	leaf = map_take_leaves(map);
	map_touch(map, 4);
	map_leaf_collect(leaf, ignore, &n, NULL);
	assert_int_equal(n, 2); /* the copy has it all the same */
	map_set_durable(map);
	assert_false(map_clean(map));
	assert_ptr_equal(map_take_dirty(&shared), map); /* it comes again, with nothing new */
	assert_int_equal(collect(map), 0);
	assert_true(map_clean(map));
	map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_does_what_the_model_does),
		cmocka_unit_test(a_map_that_grows_and_shrinks_keeps_what_it_has),
		cmocka_unit_test(a_fully_valid_tib_fits_into_16_mib),
		cmocka_unit_test(a_map_that_was_given_back_is_collected_later),
		cmocka_unit_test(changes_behind_the_round_are_not_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
