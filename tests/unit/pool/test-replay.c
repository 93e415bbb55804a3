/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random transactions on layers, objects and maps, with checkpoints and crashes at random: what is opened is what was live, and a failing seed is printed. Clusters are
 * given out and taken back by the test itself, so that each has one owner.
 */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SEEDS   40
#define STEPS   60
#define SIZE    (48 * MIB)
#define LAYERS  64
#define CLUSTER 1100 /* of a volume at most: three leaves */

struct state { /* as text, line by line in order of ids */
	char *text;
	size_t len, capacity;
};

static struct pool_rig rig;
static struct rng *rng;
static uint64_t seed;
static uint64_t names;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("seed %llu: %s: %s", (unsigned long long)seed, #cond,             \
				 rig.err.text);                                                    \
	} while (0)

__attribute__((format(printf, 2, 3))) static void say(struct state *s, const char *fmt, ...)
{
	va_list ap;

	if (s->capacity - s->len < 512) {
		s->capacity = s->capacity * 2 + 65536;
		s->text = realloc(s->text, s->capacity);
		assert_non_null(s->text);
	}
	va_start(ap, fmt);
	s->len += (size_t)vsnprintf(s->text + s->len, s->capacity - s->len, fmt, ap);
	va_end(ap);
}

static void say_layer(struct state *s, const struct pool_layer *l)
{
	say(s, "layer %llu parent %llu/%llu object %llu/%llu size %llu flags %u\n",
	    (unsigned long long)l->disk.id, (unsigned long long)l->disk.parent,
	    (unsigned long long)(l->parent ? l->parent->disk.id : 0),
	    (unsigned long long)l->disk.object, (unsigned long long)(l->object ? l->object->id : 0),
	    (unsigned long long)l->disk.size_bytes, l->disk.flags);
	for (uint64_t i = map_next(l->map, 0); i != UINT64_MAX; i = map_next(l->map, i + 1)) {
		struct block_mask mask = {{0}};
		uint64_t entry = map_get(l->map, (uint32_t)i, &mask);

		say(s, " %llu: %llx %llx %llx\n", (unsigned long long)i, (unsigned long long)entry,
		    (unsigned long long)mask.word[0], (unsigned long long)mask.word[3]);
	}
}

static struct state dump(void)
{
	struct state s = {0};

	for (uint64_t id = 1; id < rig.pool->next_id; id++) {
		const struct pool_layer *l = pool_layer_find(rig.pool, id);
		const struct pool_object *o = pool_object_find(rig.pool, id);

		if (l)
			say_layer(&s, l);
		if (o)
			say(&s, "object %llu revision %llu name %s layer %llu flags %u\n",
			    (unsigned long long)id, (unsigned long long)o->revision, o->name,
			    (unsigned long long)(o->layer ? o->layer->disk.id : 0), o->flags);
	}
	return s;
}

/* ---- what may be done ---- */

static struct pool_layer *random_layer(bool (*fits)(const struct pool_layer *l))
{
	struct pool_layer *pick = NULL;
	unsigned n = 0;

	for (uint32_t i = 0; i < rig.pool->tables.n_slots; i++) {
		struct pool_layer *l = rig.pool->tables.by_slot[i];

		if (l && fits(l) && !rng_below(rng, ++n))
			pick = l;
	}
	return pick;
}

static bool is_head(const struct pool_layer *l)
{
	return l->object && !(l->disk.flags & LAYER_READ_ONLY);
}

static bool is_leaf(const struct pool_layer *l)
{
	return list_empty(&l->children);
}

static bool is_any_object(const struct pool_layer *l)
{
	return l->object;
}

static void add_props(uint64_t object, uint64_t revision)
{
	struct props *props = calloc(1, sizeof(*props));

	assert_non_null(props);
	snprintf(props->name, sizeof(props->name), "n%llu", (unsigned long long)++names);
	put_le64(props->uuid.b, object);
	props->block_size = 4096;
	props->flags = rng_chance(rng, 0.3) ? PROPS_F_FORMATTED : 0;
	props->n_labels = (unsigned)rng_below(rng, PROPS_LABELS_MAX); /* one chunk or several */
	for (unsigned i = 0; i < props->n_labels; i++) {
		snprintf(props->label[i].key, sizeof(props->label[i].key), "k%u", i);
		memset(props->label[i].value, 'v', PROPS_VALUE_MAX);
	}
	pool_txn_add_props(&rig.txn, object, revision, props);
	free(props);
}

static void check_space(void)
{
	struct pool_space_info info;
	uint64_t owned = 0;

	for (uint32_t i = 0; i < rig.pool->tables.n_slots; i++)
		if (rig.pool->tables.by_slot[i])
			owned += map_mapped(rig.pool->tables.by_slot[i]->map);
	pool_space_info(rig.pool, &info);
	CHECK(info.free == info.total - owned - info.metadata);
}

static void cut_while(void (*call)(struct pool_rig *rig))
{
	rig.done = false;
	rig.call = call;
	rig.msg.run = rig_arrives;
	reactor_post(rig.env.home, &rig.msg);
	sim_run_for(rig.w.sim, rng_below(rng, 4 * NSEC_PER_MSEC));
	sim_file_power_cut(rig.w.sim, RIG_PATH);
	CHECK(sim_run_until(rig.w.sim, rig_is_done, &rig, WORLD_DEADLINE));
}

/* False: the power went; the transaction counts or not, and the pool is another one. What was answered counts. */
static bool commit(void)
{
	struct state before, after;
	bool answered;

	if (!rng_chance(rng, 0.05)) {
		CHECK(rig_commit(&rig) == 0);
		return true;
	}
	before = dump();
	cut_while(rig_call_commit);
	pool_txn_fini(&rig.txn);
	answered = rig.res == 0;
	if (answered) {
		free(before.text);
		before = dump();
	}
	after = before;
	rig_crash(&rig, false);
	CHECK(rig_open(&rig) == 0);
	check_space();
	before = dump();
	if (answered)
		CHECK(strcmp(before.text ? before.text : "", after.text ? after.text : "") == 0);
	free(before.text);
	free(after.text);
	return false;
}

static void create(void)
{
	struct record r = {.type = RECORD_LAYER_SET};

	if (rig.pool->tables.n_layers > LAYERS)
		return;
	r.layer_set = (struct layer){.id = pool_new_id(rig.pool),
				     .object = pool_new_id(rig.pool),
				     .size_bytes = (1 + rng_below(rng, CLUSTER)) * MIB};
	rig_txn_begin(&rig);
	if (rng_chance(rng, 0.5)) /* both orders are possible */
		pool_txn_add(&rig.txn, &r);
	add_props(r.layer_set.object, 1);
	pool_txn_add(&rig.txn, &r);
	(void)commit();
}

static void snapshot(void)
{
	struct pool_layer *l = random_layer(is_head);
	struct record r = {.type = RECORD_SNAPSHOT};

	if (!l || rig.pool->tables.n_layers > LAYERS)
		return;
	r.snapshot.volume = l->object->id;
	r.snapshot.old_head = l->disk.id;
	r.snapshot.snapshot = pool_new_id(rig.pool);
	r.snapshot.new_head = pool_new_id(rig.pool);
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	add_props(r.snapshot.snapshot, 1);
	(void)commit();
}

static void rename_object(void)
{
	struct pool_layer *l = random_layer(is_any_object);

	if (!l)
		return;
	rig_txn_begin(&rig);
	add_props(l->object->id, l->object->revision + 1);
	(void)commit();
}

static void put(struct pool_layer *l, uint32_t cluster, uint64_t entry)
{
	struct block_mask mask = {{rng_next(rng), 0, 0, rng_next(rng)}};
	struct record r = {.type = RECORD_MAP_SET};
	uint64_t old = map_phys(map_get(l->map, cluster, NULL));

	r.map_set.layer = l->disk.id;
	r.map_set.cluster = cluster;
	r.map_set.entry = entry;
	r.map_set.mask = mask;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	if (commit() && old && old != map_phys(entry))
		pool_free_cluster(rig.pool, old);
}

static void write_cluster(void)
{
	struct pool_layer *l = random_layer(is_head);
	uint32_t cluster;
	uint64_t phys;

	if (!l)
		return;
	cluster = (uint32_t)rng_below(rng, layer_clusters(&l->disk));
	phys = map_phys(map_get(l->map, cluster, NULL));
	if (!phys && pool_alloc_cluster(rig.pool, POOL_THIN, &phys))
		return;
	put(l, cluster,
	    phys | (rng_chance(rng, 0.7) ? MAP_PARTIAL | (rng_chance(rng, 0.3) ? MAP_HIDE : 0)
					 : 0));
}

static void discard_cluster(void)
{
	struct pool_layer *l = random_layer(is_head);
	uint64_t cluster;

	if (!l)
		return;
	cluster = map_next(l->map, rng_below(rng, layer_clusters(&l->disk)));
	if (cluster != UINT64_MAX)
		put(l, (uint32_t)cluster, rng_chance(rng, 0.5) ? MAP_HIDE : 0);
}

static void resize(void)
{
	struct pool_layer *l = random_layer(is_head);
	struct record r = {.type = RECORD_LAYER_SET}, run = {.type = RECORD_MAP_RUN};
	uint64_t clusters = 1 + rng_below(rng, CLUSTER), old;

	if (!l)
		return;
	old = layer_clusters(&l->disk);
	for (uint64_t i = map_next(l->map, clusters); i != UINT64_MAX;
	     i = map_next(l->map, i + 1)) {
		uint64_t phys = map_phys(map_get(l->map, (uint32_t)i, NULL));

		if (phys)
			pool_free_cluster(rig.pool, phys);
	}
	r.layer_set = l->disk;
	r.layer_set.size_bytes = clusters * MIB;
	rig_txn_begin(&rig);
	if (clusters < old) {
		run.map_run.layer = l->disk.id;
		run.map_run.cluster = (uint32_t)clusters;
		run.map_run.count = (uint32_t)(old - clusters);
		pool_txn_add(&rig.txn, &run);
	}
	pool_txn_add(&rig.txn, &r);
	(void)commit();
}

static void delete_layer(void)
{
	struct pool_layer *l = random_layer(is_leaf);
	struct record r = {.type = RECORD_LAYER_DELETE}, p = {.type = RECORD_PROPS_DELETE};

	if (!l)
		return;
	r.layer_delete.layer = l->disk.id;
	p.props_delete.object = l->disk.object;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &p);
	pool_txn_add(&rig.txn, &r);
	(void)commit();
}

/* A checkpoint changes nothing that can be seen, however far it came: torn pages, half a segment, an old or a new superblock. */
static void crash_and_compare(bool in_checkpoint)
{
	struct state before = dump(), after;

	if (in_checkpoint)
		cut_while(rig_call_checkpoint);
	rig_crash(&rig, rng_chance(rng, 0.7));
	CHECK(rig_open(&rig) == 0);
	after = dump();
	if (strcmp(before.text ? before.text : "", after.text ? after.text : "") != 0)
		fail_msg("seed %llu:\n%s\nis now\n%s", (unsigned long long)seed, before.text,
			 after.text);
	free(before.text);
	free(after.text);
	check_space();
}

static void step(void)
{
	switch (rng_below(rng, 16)) {
	case 0:
	case 1:
		create();
		break;
	case 2:
		snapshot();
		break;
	case 3:
		rename_object();
		break;
	case 4:
		resize();
		break;
	case 5:
		delete_layer();
		break;
	case 6:
		discard_cluster();
		break;
	case 7:
		CHECK(rig_checkpoint(&rig) == 0);
		break;
	case 8:
		crash_and_compare(rng_chance(rng, 0.6));
		break;
	default:
		write_cluster();
		break;
	}
}

static void what_is_opened_is_what_was_live(void **state)
{
	for (seed = 1; seed <= SEEDS; seed++) {
		rig_init(&rig, seed, SIZE);
		rng = sim_rng(rig.w.sim);
		CHECK(rig_create(&rig) == 0);
		CHECK(rig_open(&rig) == 0);
		for (unsigned i = 0; i < STEPS; i++)
			step();
		crash_and_compare(false);
		CHECK(rig_close(&rig) == 0);
		CHECK(rig_open(&rig) == 0);
		crash_and_compare(false);
		rig_fini(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_opened_is_what_was_live),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
