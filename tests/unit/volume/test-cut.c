/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cut of a snapshot, looked at after every pass of every reactor: power cuts and reads see of it only what happens to fall into its few microseconds. The rules are those of
 * src/volume/ops_snapshot.c.
 */
#include "unit/volume/volume_rig.h"

#define SEEDS  20u
#define WRITES ((size_t)64)

struct cut {
	struct volume_rig rig;
	struct blk_dev *dev;
	struct volume *v[2];
	const struct volume_view *before[2]; /* the cut */
	struct world_io *io;
	uint8_t *buf;
	unsigned begun;
	bool seen_held, seen_pending, flushing;
	struct world_io flush;
};

static void cut_init(struct cut *c, uint64_t seed)
{
	struct volume_rig_opts opts = {.seed = seed, .size = 32 * MIB, .block_size = 512};

	memset(c, 0, sizeof(*c));
	vrig_init(&c->rig, &opts);
	c->v[0] = vrig_create(&c->rig, "v", 8 * MIB, 4096, false);
	c->v[1] = vrig_create(&c->rig, "w", 8 * MIB, 4096, false);
	c->dev = vrig_dev(c->v[0]);
	c->io = calloc(WRITES, sizeof(*c->io));
	c->buf = aligned_alloc(LAYOUT_PAGE, WRITES * LAYOUT_PAGE);
	assert_true(c->io && c->buf);
	memset(c->buf, 1, WRITES * LAYOUT_PAGE);
	for (unsigned i = 0; i < 2; i++)
		c->before[i] = c->v[i]->view;
}

static void cut_fini(struct cut *c)
{
	for (unsigned i = 0; i < c->begun; i++)
		assert_true(
			sim_run_until(c->rig.p.w.sim, world_io_is_done, &c->io[i], WORLD_DEADLINE));
	if (c->flushing)
		assert_true(
			sim_run_until(c->rig.p.w.sim, world_io_is_done, &c->flush, WORLD_DEADLINE));
	c->dev->ops->destroy(c->dev);
	vrig_fini(&c->rig);
	free(c->io);
	free(c->buf);
}

static bool is_old(const struct cut *c, unsigned i, unsigned port)
{
	return c->v[i]->port[port].view == c->before[i];
}

/*
 * Once a reactor works with a new head, none works with an old one, of no volume of the group: a write that the one has answered would not be in the snapshot, and a later one
 * of the other would.
 */
static void look_at_ports(struct cut *c)
{
	unsigned old = 0, new = 0;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned port = 0; port < c->rig.set->n_slots; port++) {
			if (c->v[i]->port[port].held)
				c->seen_held = true;
			else if (is_old(c, i, port))
				old++;
			else
				new ++;
		}
	assert_true(!old || !new);
}

/* A new head that no record has made yet: its changes are kept out of rounds and notes, and who flushes waits. */
static void look_at_head(struct cut *c)
{
	for (unsigned i = 0; i < 2; i++) {
		bool turned = !is_old(c, i, 0) || !is_old(c, i, 1);
		const struct pool_layer *head = c->v[i]->object->layer;

		if (!turned || head->map == c->v[i]->port[!is_old(c, i, 1)].view->chain[0])
			continue; /* not cut yet, or the record is applied */
		c->seen_pending = true;
		assert_true(map_held(c->v[i]->port[!is_old(c, i, 1)].view->chain[0]));
		assert_true(atomic_load(&c->v[i]->cut_pending));
		assert_true(c->rig.p.pool->log.commit_holds > 0);
	}
}

/* First writes on both reactors; at the first sight of a new head a flush, which must not be answered before the record is durable. */
static void write_more(struct cut *c)
{
	if (c->begun < WRITES) {
		struct world_io *io = &c->io[c->begun];

		*io = (struct world_io){.io = {.op = BLK_WRITE,
					       .offset = c->begun * (uint64_t)LAYOUT_PAGE,
					       .length = LAYOUT_PAGE,
					       .buf = c->buf + c->begun * (size_t)LAYOUT_PAGE}};
		world_io_start(io, c->rig.p.w.r[1 + c->begun % 2], c->dev);
		c->begun++;
	}
	if (c->flushing || is_old(c, 0, 0))
		return;
	c->flushing = true;
	c->flush = (struct world_io){.io = {.op = BLK_FLUSH}};
	world_io_start(&c->flush, c->rig.p.w.r[1], c->dev);
}

static void call_group(struct pool_rig *p)
{
	struct cut *c = container_of(container_of(p, struct volume_rig, p), struct cut, rig);
	struct volume_snapshot_spec specs[2] = {{.volume = c->v[0], .name = "s"},
						{.volume = c->v[1], .name = "t"}};

	volume_snapshot(c->rig.set, specs, 2, vrig_done, &c->rig);
}

static void nobody_is_on_both_sides_of_a_cut(void **state)
{
	unsigned held = 0, pending = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		static struct cut c;

		cut_init(&c, seed);
		c.rig.p.done = false;
		c.rig.p.call = call_group;
		c.rig.p.msg.run = rig_arrives;
		reactor_post(c.rig.p.env.home, &c.rig.p.msg);
		while (!c.rig.p.done) {
			assert_true(sim_step(c.rig.p.w.sim));
			look_at_ports(&c);
			look_at_head(&c);
			write_more(&c);
			assert_true(!c.flushing || !c.flush.done ||
				    c.v[0]->object->layer->map == c.v[0]->view->chain[0]);
		}
		assert_int_equal(c.rig.p.res, 0);
		held += c.seen_held;
		pending += c.seen_pending;
		cut_fini(&c);
	}
	assert_int_equal(held, SEEDS);
	assert_int_equal(pending, SEEDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_on_both_sides_of_a_cut),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}
