/* SPDX-License-Identifier: Apache-2.0 */
/* What does not happen every day: no space, held ports, read-only devices, shrunk volumes, failed disks, huge discards, what devices say of themselves. */
#include "unit/volume/volume_rig.h"

static const struct volume_rig_opts small = {.seed = 1, .size = 32 * MIB, .block_size = 512};

static uint64_t mapped(struct volume_rig *rig, const char *name)
{
	return map_mapped(volume_find(rig->set, name)->object->layer->map);
}

static uint64_t unused(struct volume_rig *rig)
{
	struct pool_space_info info;

	sim_run_for(rig->p.w.sim, 3 * NSEC_PER_SEC); /* what was freed comes back */
	pool_space_info(rig->p.pool, &info);
	return info.free + info.stocked;
}

static void a_full_pool_refuses_and_goes_on_when_there_is_space_again(void **state)
{
	struct volume_rig rig;
	struct blk_dev *a, *b;
	uint64_t n = 0;
	int res;

	vrig_init(&rig, &small);
	a = vrig_dev(vrig_create(&rig, "a", 64 * MIB, 4096, false));
	b = vrig_dev(vrig_create(&rig, "b", 64 * MIB, 4096, false));
	assert_int_equal(vrig_write(&rig, b, 0, 4096, 7), 0);
	while ((res = vrig_write(&rig, a, n * MIB, 4096, (uint8_t)n)) == 0)
		n++;
	assert_int_equal(res, -ENOSPC);
	assert_true(n > 8 && n < 32);
	/* What is there is there, for reading and for writing, in both volumes. */
	for (uint64_t i = 0; i < n; i++)
		assert_true(vrig_reads(&rig, a, i * MIB, 4096, (uint8_t)i));
	assert_int_equal(vrig_write(&rig, a, 0, 8192, 99), 0);
	assert_int_equal(vrig_write(&rig, b, 4096, 4096, 8), 0);
	assert_int_equal(vrig_write(&rig, b, MIB, 4096, 8), -ENOSPC);
	assert_int_equal(vrig_io(&rig, b, BLK_FLUSH, 0, 0, 0), 0);
	assert_true(vrig_reads(&rig, b, MIB, 4096, 0));
	/* Space that a discard gave back is found by the next write, without a flush in between. */
	assert_int_equal(vrig_io(&rig, a, BLK_DISCARD, 0, 0, 2 * MIB), 0);
	assert_true(vrig_reads(&rig, a, 0, 8192, 0));
	assert_int_equal(vrig_write(&rig, b, MIB, 4096, 8), 0);
	assert_true(vrig_reads(&rig, b, MIB, 4096, 8));
	a->ops->destroy(a);
	b->ops->destroy(b);
	vrig_fini(&rig);
}

static void discards_give_back_clusters_and_zeroes_keep_them_if_asked(void **state)
{
	struct volume_rig rig;
	struct blk_dev *dev;
	uint64_t before;

	vrig_init(&rig, &small);
	dev = vrig_dev(vrig_create(&rig, "a", 16 * MIB + 4096, 512, false));
	before = unused(&rig);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(vrig_write(&rig, dev, i * MIB, 256 * KIB, 5), 0);
	assert_int_equal(mapped(&rig, "a"), 8);
	assert_int_equal(unused(&rig), before - 8);
	assert_int_equal(vrig_io(&rig, dev, BLK_WRITE_ZEROES, BLK_KEEP_ALLOC, 0, 2 * MIB), 0);
	assert_int_equal(mapped(&rig, "a"), 8);
	assert_true(vrig_reads(&rig, dev, 0, 256 * KIB, 0));
	assert_int_equal(vrig_io(&rig, dev, BLK_WRITE_ZEROES, 0, 0, 2 * MIB), 0);
	assert_int_equal(mapped(&rig, "a"), 6);
	/* All that is in the cluster, by two discards that end within blocks. */
	assert_int_equal(vrig_io(&rig, dev, BLK_DISCARD, 0, 2 * MIB, 100 * KIB + 512), 0);
	assert_int_equal(mapped(&rig, "a"), 6);
	assert_int_equal(vrig_io(&rig, dev, BLK_DISCARD, 0, 2 * MIB + 100 * KIB, 156 * KIB), 0);
	assert_int_equal(mapped(&rig, "a"), 5);
	assert_true(vrig_reads(&rig, dev, 2 * MIB, 256 * KIB, 0));
	assert_int_equal(vrig_io(&rig, dev, BLK_DISCARD, 0, 0, 16 * MIB + 4096), 0);
	assert_int_equal(mapped(&rig, "a"), 0);
	assert_int_equal(unused(&rig), before);
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

static void a_discard_of_many_tib_ends(void **state)
{
	struct volume_rig rig;
	struct blk_dev *dev;
	const uint64_t size = 3 * TIB;

	vrig_init(&rig, &small);
	dev = vrig_dev(vrig_create(&rig, "a", size, 4096, false));
	assert_int_equal(vrig_write(&rig, dev, 0, 4096, 1), 0);
	assert_int_equal(vrig_write(&rig, dev, 2 * TIB, 4096, 2), 0);
	assert_int_equal(vrig_write(&rig, dev, size - 4096, 4096, 3), 0);
	(void)vrig_snapshot(&rig, "a", "s");
	assert_int_equal(vrig_io(&rig, dev, BLK_DISCARD, 0, 0, size), 0);
	assert_true(vrig_reads(&rig, dev, 0, 4096, 0));
	assert_true(vrig_reads(&rig, dev, 2 * TIB, 4096, 0));
	assert_true(vrig_reads(&rig, dev, size - 4096, 4096, 0));
	assert_int_equal(mapped(&rig, "a"), 0);
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

static void snapshots_and_clones_refuse_and_say_what_they_are(void **state)
{
	struct volume_rig rig;
	struct blk_dev *v, *s;
	json_t *told, *lvol;

	vrig_init(&rig, &small);
	v = vrig_dev(vrig_create(&rig, "v", 8 * MIB, 4096, false));
	assert_int_equal(vrig_write(&rig, v, 0, 4096, 1), 0);
	s = vrig_dev(vrig_snapshot(&rig, "v", "s"));
	assert_int_equal(vrig_write(&rig, v, 0, 4096, 2), 0);
	assert_int_equal(vrig_write(&rig, s, 0, 4096, 3), -EROFS);
	assert_int_equal(vrig_io(&rig, s, BLK_DISCARD, 0, 0, 4096), -EROFS);
	assert_int_equal(vrig_io(&rig, s, BLK_FLUSH, 0, 0, 0), 0);
	assert_true(vrig_reads(&rig, s, 0, 4096, 1));
	assert_true(vrig_reads(&rig, v, 0, 4096, 2));

	told = s->ops->describe(s);
	lvol = json_object_get(told, "lvol");
	assert_true(json_is_true(json_object_get(lvol, "snapshot")));
	assert_int_equal(json_array_size(json_object_get(lvol, "clones")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(lvol, "clones"), 0)),
			    "v");
	assert_int_equal(json_integer_value(json_object_get(lvol, "num_allocated_clusters")), 1);
	json_decref(told);
	told = v->ops->describe(v);
	lvol = json_object_get(told, "lvol");
	assert_true(json_is_true(json_object_get(lvol, "clone")));
	assert_true(json_is_true(json_object_get(lvol, "thin_provision")));
	assert_string_equal(json_string_value(json_object_get(lvol, "base_snapshot")), "s");
	assert_string_equal(json_string_value(json_object_get(lvol, "base_bdev")), "disk0");
	json_decref(told);
	v->ops->destroy(v);
	s->ops->destroy(s);
	vrig_fini(&rig);
}

/* ---- held ports ---- */

struct cut {
	struct gate_turn turn;
	struct volume_rig *rig;
	struct volume *v;
	struct msg msg;
	unsigned held;
	bool ended;
};

/* A snapshot's and a clone's properties begin as a copy of their origin's. */
static void names_may_be_shorter_than_their_origins(void **state)
{
	struct volume_rig rig;

	vrig_init(&rig, &(struct volume_rig_opts){1, 64 * MIB, 512, false});
	assert_non_null(vrig_create(&rig, "a-rather-long-name", 4 * MIB, 4096, false));
	assert_non_null(vrig_snapshot(&rig, "a-rather-long-name", "snap"));
	rig.opts = (struct volume_create_opts){.name = "c"};
	rig.name = "snap";
	assert_int_equal(rig_run(&rig.p, vrig_call_clone), 0);
	assert_non_null(volume_find(rig.set, "c"));
	vrig_fini(&rig);
}

static void cut_hold(struct gate_turn *turn, struct pool_slot *slot)
{
	struct cut *cut = container_of(turn, struct cut, turn);

	cut->held++;
	cut->v->port[pool_slot_index(slot)].held = true;
}

static void cut_turn(struct gate_turn *turn, struct pool_slot *slot)
{
	struct cut *cut = container_of(turn, struct cut, turn);

	assert_int_equal(cut->held, 2);
	volume_port_release(&cut->v->port[pool_slot_index(slot)]);
}

static void cut_drained(struct gate_turn *turn)
{
	container_of(turn, struct cut, turn)->ended = true;
}

static void cut_start(struct msg *msg)
{
	struct cut *cut = container_of(msg, struct cut, msg);

	cut->turn = (struct gate_turn){.hold = cut_hold, .turn = cut_turn, .drained = cut_drained};
	gate_turn(cut->rig->p.pool, &cut->turn);
}

static bool cut_ended(void *arg)
{
	return ((struct cut *)arg)->ended;
}

static void io_goes_on_after_each_of_many_turns(void **state)
{
	struct volume_rig rig;
	struct blk_dev *dev;
	struct world_io wio[16];
	struct cut cut = {.rig = &rig, .msg.run = cut_start};

	vrig_init(&rig, &small);
	dev = vrig_dev(cut.v = vrig_create(&rig, "v", 8 * MIB, 4096, false));
	memset(rig.p.w.buf, 9, 4096);
	for (unsigned round = 0; round < 50; round++) {
		cut.held = 0;
		cut.ended = false;
		for (unsigned i = 0; i < ARRAY_LEN(wio); i++) {
			if (i == ARRAY_LEN(wio) / 2)
				reactor_post(rig.p.w.r[0], &cut.msg);
			wio[i] = (struct world_io){.io = {.op = i % 3 ? BLK_WRITE : BLK_DISCARD,
							  .offset = (round + i) * 64 * KIB,
							  .length = 4096}};
			wio[i].io.buf = i % 3 ? rig.p.w.buf : NULL;
			world_io_start(&wio[i], rig.p.w.r[1 + i % 2], dev);
		}
		for (unsigned i = 0; i < ARRAY_LEN(wio); i++) {
			assert_true(sim_run_until(rig.p.w.sim, world_io_is_done, &wio[i],
						  WORLD_DEADLINE));
			assert_int_equal(wio[i].result, 0);
			assert_int_equal(wio[i].n_done, 1);
		}
		assert_true(sim_run_until(rig.p.w.sim, cut_ended, &cut, WORLD_DEADLINE));
	}
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

/* More requests than there are places: they wait in line. */
static void many_requests_at_once_all_end(void **state)
{
	enum { N = 3 * 256 };
	struct volume_rig rig;
	struct blk_dev *dev;
	struct world_io *wio = calloc(N, sizeof(*wio));

	vrig_init(&rig, &small);
	dev = vrig_dev(vrig_create(&rig, "v", 8 * MIB, 512, false));
	memset(rig.p.w.buf, 9, 4096);
	for (unsigned i = 0; i < N; i++) { /* parts of blocks: each wants a bounce buffer */
		wio[i].io = (struct blk_io){.op = BLK_WRITE,
					    .offset = i * 8 * KIB + 512,
					    .length = 1024,
					    .buf = rig.p.w.buf};
		world_io_start(&wio[i], rig.p.w.r[1], dev);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_true(sim_run_until(rig.p.w.sim, world_io_is_done, &wio[i], WORLD_DEADLINE));
		assert_int_equal(wio[i].result, 0);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_true(vrig_reads(&rig, dev, i * 8 * KIB, 512, 0));
		assert_true(vrig_reads(&rig, dev, i * 8 * KIB + 512, 1024, 9));
		assert_true(vrig_reads(&rig, dev, i * 8 * KIB + 1536, 2560, 0));
	}
	dev->ops->destroy(dev);
	free(wio);
	vrig_fini(&rig);
}

/* A write that fails leaves nothing of an earlier owner to be read. */
static void a_failed_first_write_shows_nothing(void **state)
{
	struct volume_rig rig;
	struct blk_dev *a, *b;

	vrig_init(&rig, &small);
	a = vrig_dev(vrig_create(&rig, "a", 20 * MIB, 4096, false));
	b = vrig_dev(vrig_create(&rig, "b", 20 * MIB, 4096, false));
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(vrig_write(&rig, a, i * MIB, 64 * KIB, 0x5a), 0);
	assert_int_equal(vrig_io(&rig, a, BLK_DISCARD, 0, 0, 20 * MIB), 0);
	(void)unused(&rig);
	sim_file_fail(rig.p.w.sim, RIG_PATH, 1u << FILE_WRITE, 1, -EIO);
	assert_int_equal(vrig_write(&rig, b, 0, 4096, 1), -EIO);
	sim_file_fail(rig.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_true(vrig_reads(&rig, b, 0, 64 * KIB, 0));
	b->ops->destroy(b);
	a->ops->destroy(a);
	vrig_fini(&rig);
}

static void a_failed_flush_ends_writing_but_not_reading(void **state)
{
	struct volume_rig rig;
	struct blk_dev *dev;

	vrig_init(&rig, &small);
	dev = vrig_dev(vrig_create(&rig, "a", 8 * MIB, 4096, false));
	assert_int_equal(vrig_write(&rig, dev, 0, 4096, 1), 0);
	assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(vrig_write(&rig, dev, 0, 4096, 2), 0); /* in place: clean */
	sim_file_fail(rig.p.w.sim, RIG_PATH, 1u << FILE_SYNC, 1, -EIO);
	assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), -EIO);
	sim_file_fail(rig.p.w.sim, RIG_PATH, 0, 0, 0);
	assert_int_equal(pool_state(rig.p.pool), POOL_FAILED);
	assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(vrig_write(&rig, dev, 0, 4096, 3), -EIO);
	assert_true(vrig_reads(&rig, dev, 0, 4096, 2));
	dev->ops->destroy(dev);
	vrig_fini(&rig);
}

/*
 * A write that began before a cut ends in the old head, while later ones go to the new head and fill up their blocks from the old one: different parts of one block
 * must not lose each other.
 */
static void parts_of_a_block_around_a_cut(uint64_t seed)
{
	enum { BLOCKS = 16, N = BLOCKS * 8, CUTS = 4 };
	struct volume_rig_opts opts = {.seed = seed, .size = 32 * MIB, .block_size = 512};
	struct world_io *wio = calloc(N, sizeof(*wio));
	uint8_t *buf = aligned_alloc(4096, N * LAYOUT_PAGE);
	struct volume_rig rig;
	struct blk_dev *dev;
	char name[16];

	vrig_init(&rig, &opts);
	dev = vrig_dev(vrig_create(&rig, "v", 8 * MIB, 512, false));
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (unsigned i = 0; i < N; i++) {
			unsigned at = (unsigned)(i * 37) % N; /* neighbours are far apart in time */

			memset(buf + (size_t)i * LAYOUT_PAGE, (int)(cut * 50 + at % 47 + 1), 512);
			wio[i] = (struct world_io){.io = {.op = BLK_WRITE,
							  .offset = at * 512,
							  .length = 512,
							  .buf = buf + (size_t)i * LAYOUT_PAGE}};
			world_io_start(&wio[i], rig.p.w.r[1 + i % 2], dev);
			if (i % 3 == 0)
				sim_run_for(rig.p.w.sim, 20 * NSEC_PER_USEC);
			if (i == N / 2) {
				snprintf(name, sizeof(name), "s%u", cut);
				vrig_snapshot_begin(&rig, "v", name);
			}
		}
		assert_true(sim_run_until(rig.p.w.sim, rig_is_done, &rig.p, WORLD_DEADLINE));
		assert_int_equal(rig.p.res, 0);
		for (unsigned i = 0; i < N; i++) {
			assert_true(sim_run_until(rig.p.w.sim, world_io_is_done, &wio[i],
						  WORLD_DEADLINE));
			assert_int_equal(wio[i].result, 0);
		}
		for (unsigned at = 0; at < N; at++)
			assert_true(vrig_reads(&rig, dev, at * 512, 512,
					       (uint8_t)(cut * 50 + at % 47 + 1)));
	}
	dev->ops->destroy(dev);
	vrig_fini(&rig);
	free(buf);
	free(wio);
}

static void parts_of_a_block_written_around_a_cut_are_all_there(void **state)
{
	for (uint64_t seed = 1; seed <= 30; seed++)
		parts_of_a_block_around_a_cut(seed);
}

/* The engine dies with the power; another one opens the pool. */
static struct blk_dev *crash(struct volume_rig *rig, struct blk_dev *dev)
{
	dev->ops->destroy(dev);
	assert_int_equal(rig_run(&rig->p, vrig_volumes_free), 0);
	rig_crash(&rig->p, true);
	assert_int_equal(rig_open(&rig->p), 0);
	assert_int_equal(rig_run(&rig->p, vrig_volumes_new), 0);
	return vrig_dev(volume_find(rig->set, "v"));
}

static void what_was_flushed_or_fua_survives_a_power_cut(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct volume_rig_opts opts = {.seed = seed, .size = 32 * MIB, .block_size = 512};
		struct volume_rig rig;
		struct blk_dev *dev;

		vrig_init(&rig, &opts);
		dev = vrig_dev(vrig_create(&rig, "v", 8 * MIB, 512, false));
		assert_int_equal(vrig_write(&rig, dev, 512, 8192, 1), 0);
		assert_int_equal(vrig_write(&rig, dev, MIB, 8192, 1), 0);
		assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
		assert_int_equal(vrig_write(&rig, dev, 512, 4096, 2), 0); /* in place */
		assert_int_equal(vrig_io(&rig, dev, BLK_FLUSH, 0, 0, 0), 0);
		dev = crash(&rig, dev);
		assert_true(vrig_reads(&rig, dev, 0, 512, 0));
		assert_true(vrig_reads(&rig, dev, 512, 4096, 2));
		assert_true(vrig_reads(&rig, dev, 512 + 4096, 4096, 1));

		memset(rig.p.w.buf, 3, 4096);
		assert_int_equal(vrig_io(&rig, dev, BLK_WRITE, BLK_FUA, 512, 4096), 0);
		assert_int_equal(vrig_io(&rig, dev, BLK_WRITE, BLK_FUA, 5 * MIB + 512, 512), 0);
		assert_int_equal(vrig_io(&rig, dev, BLK_WRITE_ZEROES, BLK_FUA, MIB, MIB), 0);
		dev = crash(&rig, dev);
		assert_true(vrig_reads(&rig, dev, 512, 4096, 3));
		assert_true(vrig_reads(&rig, dev, 5 * MIB, 512, 0));
		assert_true(vrig_reads(&rig, dev, 5 * MIB + 512, 512, 3));
		assert_true(vrig_reads(&rig, dev, 5 * MIB + 1024, 4096, 0));
		assert_true(vrig_reads(&rig, dev, MIB, 8192, 0));
		dev->ops->destroy(dev);
		vrig_fini(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_pool_refuses_and_goes_on_when_there_is_space_again),
		cmocka_unit_test(discards_give_back_clusters_and_zeroes_keep_them_if_asked),
		cmocka_unit_test(a_discard_of_many_tib_ends),
		cmocka_unit_test(snapshots_and_clones_refuse_and_say_what_they_are),
		cmocka_unit_test(names_may_be_shorter_than_their_origins),
		cmocka_unit_test(io_goes_on_after_each_of_many_turns),
		cmocka_unit_test(parts_of_a_block_written_around_a_cut_are_all_there),
		cmocka_unit_test(what_was_flushed_or_fua_survives_a_power_cut),
		cmocka_unit_test(many_requests_at_once_all_end),
		cmocka_unit_test(a_failed_first_write_shows_nothing),
		cmocka_unit_test(a_failed_flush_ends_writing_but_not_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
