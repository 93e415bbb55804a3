/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O that the disk has for long. It was sent to a cluster that is freed meanwhile, in each way in which clusters are freed, while another volume asks for all space there is. A late read shows
 * what its own volume had, a late write lands in nobody else's data: the cluster is free only when a turn of the gate has ended (pool/free.c), which waits for both.
 *
 * Deleting a volume is not in the list: it is refused while the volume has a device, and nobody but the volume reads its head. So are going back and shrinking, of which the rule is
 * shown all the same, by taking the device from the volume's record.
 */
#include "unit/volume/volume_rig.h"

#define POOL_BYTES      (64 * MIB)
#define CLUSTERS        (POOL_BYTES / MIB)
#define VOLUME_CLUSTERS 4u
#define OLD             0xa1 /* what is in the cluster that is freed */
#define NEW             0xc3 /* what its volume writes later */
#define OTHER           0xb2

struct late_rig {
	struct volume_rig v;
	struct blk_dev *base;
	struct blk_dev *dev, *other; /* volumes "v" and "o" */
	uint64_t phys;               /* the cluster of v's that is freed */
	struct world_io late;
	struct world_io free;          /* a request that frees it, if one has to wait */
	uint8_t *late_buf, *other_buf; /* a cluster each */
	struct world_io fill[CLUSTERS];
};

static struct late_rig the_rig;

enum late_where {
	IN_HEAD,
	IN_SNAPSHOT, /* "s", on which the head stands */
	IN_HEAD_OF_SNAPSHOT,
};

struct late_kind {
	const char *name;
	enum late_where where; /* is the cluster that is freed */
	uint32_t cluster;      /* of v */
	void (*free)(
		struct late_rig *r); /* frees it, or begins what will when the late I/O has ended */
};

static void *cluster_of(uint8_t value)
{
	uint8_t *buf = aligned_alloc(LAYOUT_PAGE, MIB);

	assert_non_null(buf);
	memset(buf, value, MIB);
	return buf;
}

static uint64_t phys_of(struct late_rig *rig, const char *volume, uint32_t cluster)
{
	struct volume *v = volume_find(rig->v.set, volume);

	return map_phys(map_get(v->object->layer->map, cluster, NULL));
}

static void late_init(struct late_rig *rig, const struct late_kind *kind)
{
	struct volume_rig_opts opts = {.seed = 7, .size = POOL_BYTES, .block_size = 512};
	struct disk_fault_opts fault = {.name = "late0", .seed = 1};

	memset(rig, 0, sizeof(*rig));
	blk_world_init(&rig->v.p.w, opts.seed);
	vrig_disk(&rig->v, &opts);
	rig->base = fault.base = rig->v.p.dev;
	assert_int_equal(disk_fault_new(&fault, &rig->v.p.dev, NULL), 0);
	rig->v.p.env = (struct pool_env){rig->v.p.w.r[0], &rig->v.p.w.r[1], WORLD_REACTORS - 1};
	assert_int_equal(rig_create(&rig->v.p), 0);
	assert_int_equal(rig_open(&rig->v.p), 0);
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_new), 0);
	rig->dev = vrig_dev(vrig_create(&rig->v, "v", VOLUME_CLUSTERS * MIB, 512, false));
	rig->other = vrig_dev(vrig_create(&rig->v, "o", POOL_BYTES, 4096, false));
	rig->late_buf = cluster_of(NEW);
	rig->other_buf = cluster_of(OTHER);
	if (kind->where == IN_HEAD_OF_SNAPSHOT)
		(void)vrig_snapshot(&rig->v, "v", "s");
	assert_int_equal(vrig_write(&rig->v, rig->dev, kind->cluster * MIB, MIB, OLD), 0);
	rig->phys = phys_of(rig, "v", kind->cluster);
	assert_int_not_equal(rig->phys, 0);
	if (kind->where == IN_SNAPSHOT)
		(void)vrig_snapshot(&rig->v, "v", "s");
	assert_int_equal(vrig_io(&rig->v, rig->dev, BLK_FLUSH, 0, 0, 0), 0);
}

static void late_fini(struct late_rig *rig)
{
	rig->dev->ops->destroy(rig->dev);
	rig->other->ops->destroy(rig->other);
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&rig->v.p), 0);
	rig->v.p.dev->ops->destroy(rig->v.p.dev);
	rig->base->ops->destroy(rig->base);
	blk_world_fini(&rig->v.p.w);
	free(rig->late_buf);
	free(rig->other_buf);
}

static void settle(struct late_rig *rig)
{
	sim_run_for(rig->v.p.w.sim, 10 * NSEC_PER_SEC);
}

/* ---- the I/O that is late, and those who want its cluster ---- */

/* A request to v, of which the disk's part "held", in v's cluster or anywhere, does not end. */
static void late_begins(struct late_rig *rig, const struct blk_io *io, enum blk_op held,
			bool anywhere)
{
	struct disk_fault_rule rule = {
		.kind = DISK_FAULT_HANG, .ops = 1u << held, .probability = 1, .count = 1};
	uint32_t id;

	if (!anywhere) {
		rule.offset = rig->phys * LAYOUT_CLUSTER;
		rule.length = LAYOUT_CLUSTER;
	}
	assert_int_equal(disk_fault_add(rig->v.p.dev, &rule, &id, NULL), 0);
	rig->late.io = *io;
	world_io_start(&rig->late, rig->v.p.w.r[1], rig->dev);
	settle(rig);
	assert_false(rig->late.done);
}

/* The next cluster that is granted is v's, if it is free. */
static void point_at_it(struct late_rig *rig)
{
	rig->v.p.pool->space.cursor = rig->phys;
}

static void late_ends(struct late_rig *rig)
{
	assert_false(rig->late.done);
	point_at_it(rig);
	assert_int_equal(disk_fault_remove(rig->v.p.dev, 0, NULL), 0);
	settle(rig);
	assert_true(rig->late.done);
	assert_int_equal(rig->late.n_done, 1);
	assert_int_equal(rig->late.result, 0);
}

/* The other volume writes to each of its clusters that it has not written yet. What is freed later may be waited for. */
static void fill(struct late_rig *rig)
{
	point_at_it(rig);
	for (uint64_t i = 0; i < CLUSTERS; i++) {
		struct world_io *wio = &rig->fill[i];

		if (wio->n_done ? wio->result == 0 : wio->dev != NULL)
			continue;
		memset(wio, 0, sizeof(*wio));
		wio->io = (struct blk_io){
			.op = BLK_WRITE, .offset = i * MIB, .length = MIB, .buf = rig->other_buf};
		world_io_start(wio, rig->v.p.w.r[2], rig->other);
	}
	settle(rig);
}

static bool other_has(struct late_rig *rig, uint64_t phys)
{
	for (uint32_t c = 0; c < CLUSTERS; c++)
		if (phys_of(rig, "o", c) == phys)
			return true;
	return false;
}

static void check_other(struct late_rig *rig)
{
	for (uint64_t i = 0; i < CLUSTERS; i++) {
		assert_true(rig->fill[i].done);
		if (!rig->fill[i].result)
			assert_true(vrig_reads(&rig->v, rig->other, i * MIB, MIB, OTHER));
		else
			assert_int_equal(rig->fill[i].result, -ENOSPC);
	}
}

/* ---- ways in which clusters are freed ---- */

static void clear(struct late_rig *rig, enum blk_op op, uint64_t offset, uint64_t length)
{
	struct world_io wio = {.io = {.op = op, .offset = offset, .length = length}};

	assert_int_equal(world_io_run(&rig->v.p.w, 2, rig->dev, &wio), 0);
}

static void flush(struct late_rig *rig)
{
	assert_int_equal(vrig_io(&rig->v, rig->dev, BLK_FLUSH, 0, 0, 0), 0);
	settle(rig);
}

static void by_discard(struct late_rig *rig)
{
	clear(rig, BLK_DISCARD, 0, MIB);
	flush(rig);
}

static void by_zeroes(struct late_rig *rig)
{
	clear(rig, BLK_WRITE_ZEROES, 0, 2 * MIB);
	flush(rig);
}

/* The last part takes the cluster with it. */
static void by_discard_in_parts(struct late_rig *rig)
{
	for (uint64_t at = 0; at < MIB; at += MIB / 8)
		clear(rig, BLK_DISCARD, at, MIB / 8);
	flush(rig);
}

static void call_delete_snapshot(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_delete(volume_find(rig->set, "s"), vrig_done, rig);
}

static void delete_snapshot(struct late_rig *rig)
{
	assert_int_equal(rig_run(&rig->v.p, call_delete_snapshot), 0);
	settle(rig);
}

static void by_merging_what_was_overwritten(struct late_rig *rig)
{
	assert_int_equal(vrig_write(&rig->v, rig->dev, 0, MIB, NEW), 0);
	flush(rig);
	delete_snapshot(rig);
}

static void by_merging_what_was_discarded(struct late_rig *rig)
{
	clear(rig, BLK_DISCARD, 0, MIB);
	flush(rig);
	delete_snapshot(rig);
}

/* What is left of it is copied into the head's cluster, the late block too. */
static void by_merging_what_was_overwritten_in_part(struct late_rig *rig)
{
	assert_int_equal(vrig_write(&rig->v, rig->dev, 0, MIB / 2, NEW), 0);
	flush(rig);
	delete_snapshot(rig);
}

/* The cluster becomes the head's own. Hosts that discard it then wait for the merge, which waits for the late read. */
static void by_merging_and_discarding(struct late_rig *rig)
{
	delete_snapshot(rig);
	rig->free.io = (struct blk_io){.op = BLK_DISCARD, .length = MIB};
	world_io_start(&rig->free, rig->v.p.w.r[2], rig->dev);
	settle(rig);
}

static void call_shrink(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_resize(volume_find(rig->set, "v"), (VOLUME_CLUSTERS - 1) * MIB, true, vrig_done,
		      rig);
}

static void call_revert(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_revert(volume_find(rig->set, "v"), volume_find(rig->set, "s"), vrig_done, rig);
}

/* Refused as long as there is a device; so the volume forgets it. */
static void without_device(struct late_rig *rig, void (*call)(struct pool_rig *p))
{
	struct volume *v = volume_find(rig->v.set, "v");

	assert_int_equal(rig_run(&rig->v.p, call), -EBUSY);
	v->dev = NULL;
	rig->v.p.done = false;
	rig->v.p.call = call;
	rig->v.p.msg.run = rig_arrives;
	reactor_post(rig->v.p.env.home, &rig->v.p.msg);
	settle(rig);
	v->dev = rig->dev;
}

static void by_shrinking(struct late_rig *rig)
{
	without_device(rig, call_shrink);
}

static void by_reverting(struct late_rig *rig)
{
	without_device(rig, call_revert);
}

static const struct late_kind kinds[] = {
	{"discard", IN_HEAD, 0, by_discard},
	{"zeroes", IN_HEAD, 0, by_zeroes},
	{"discard in parts", IN_HEAD, 0, by_discard_in_parts},
	{"shrink", IN_HEAD, VOLUME_CLUSTERS - 1, by_shrinking},
	{"revert", IN_HEAD_OF_SNAPSHOT, 0, by_reverting},
	{"merge, overwritten", IN_SNAPSHOT, 0, by_merging_what_was_overwritten},
	{"merge, discarded", IN_SNAPSHOT, 0, by_merging_what_was_discarded},
	{"merge, overwritten in part", IN_SNAPSHOT, 0, by_merging_what_was_overwritten_in_part},
	{"merge, moved", IN_SNAPSHOT, 0, by_merging_and_discarding},
};

/* ---- tests ---- */

/* The cluster is wanted while the late I/O is under way, and somebody else's after it. */
static void free_and_fill(struct late_rig *rig, const struct late_kind *kind)
{
	print_message("%s\n", kind->name);
	kind->free(rig);
	fill(rig);
	assert_false(other_has(rig, rig->phys));
	late_ends(rig);
	assert_true(rig->v.p.done);
	assert_true(!rig->free.dev || rig->free.done);
	fill(rig);
	assert_true(other_has(rig, rig->phys));
	check_other(rig);
}

static bool is_all(const uint8_t *buf, uint64_t length, uint8_t value)
{
	for (uint64_t i = 0; i < length; i++)
		if (buf[i] != value)
			return false;
	return true;
}

static void a_late_read_shows_nobody_elses_data(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct late_rig *rig = &the_rig;

		late_init(rig, &kinds[i]);
		late_begins(rig,
			    &(struct blk_io){.op = BLK_READ,
					     .offset = kinds[i].cluster * MIB + MIB / 2,
					     .length = MIB / 2,
					     .buf = rig->late_buf},
			    BLK_READ, false);
		free_and_fill(rig, &kinds[i]);
		assert_true(is_all(rig->late_buf, MIB / 2, OLD));
		late_fini(rig);
	}
}

static void a_late_write_lands_in_nobody_elses_data(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct late_rig *rig = &the_rig;

		if (kinds[i].where == IN_SNAPSHOT)
			continue; /* nobody writes there */
		late_init(rig, &kinds[i]);
		late_begins(rig,
			    &(struct blk_io){.op = BLK_WRITE,
					     .offset = kinds[i].cluster * MIB,
					     .length = MIB / 2,
					     .buf = rig->late_buf},
			    BLK_WRITE, false);
		free_and_fill(rig, &kinds[i]);
		late_fini(rig);
	}
}

/* A discard that meets it finds nothing to free yet, so it comes before the write. */
static void a_late_first_write_keeps_its_cluster(void **state)
{
	static const struct late_kind kind = {"first write", IN_HEAD, 0, NULL};
	struct late_rig *rig = &the_rig;

	late_init(rig, &kind);
	late_begins(rig,
		    &(struct blk_io){
			    .op = BLK_WRITE, .offset = MIB, .length = MIB, .buf = rig->late_buf},
		    BLK_WRITE, true);
	rig->phys = phys_of(rig, "v", 1);
	assert_int_not_equal(rig->phys, 0);
	clear(rig, BLK_DISCARD, MIB, MIB);
	flush(rig);
	fill(rig);
	late_ends(rig);
	fill(rig);
	assert_false(other_has(rig, rig->phys));
	check_other(rig);
	assert_true(vrig_reads(&rig->v, rig->dev, MIB, MIB, NEW));
	late_fini(rig);
}

/* A part of a block is written, and what the snapshot has of the rest is read first, late. */
static void a_block_that_is_filled_up_late_gets_nobody_elses_data(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct late_rig *rig = &the_rig;

		if (kinds[i].where != IN_SNAPSHOT ||
		    kinds[i].free == by_merging_what_was_overwritten ||
		    kinds[i].free == by_merging_what_was_discarded)
			continue; /* these wait for the late write */
		late_init(rig, &kinds[i]);
		late_begins(rig,
			    &(struct blk_io){.op = BLK_WRITE,
					     .offset = MIB / 2 + 512,
					     .length = 512,
					     .buf = rig->late_buf},
			    BLK_READ, false);
		print_message("%s\n", kinds[i].name);
		kinds[i].free(rig);
		fill(rig);
		assert_false(other_has(rig, rig->phys));
		late_ends(rig);
		fill(rig);
		check_other(rig);
		if (!rig->free.dev) {
			assert_true(vrig_reads(&rig->v, rig->dev, MIB / 2, 512, OLD));
			assert_true(vrig_reads(&rig->v, rig->dev, MIB / 2 + 512, 512, NEW));
			assert_true(vrig_reads(&rig->v, rig->dev, MIB / 2 + 1024, 3072, OLD));
		}
		late_fini(rig);
	}
}

/* Who came before the cluster was the head's may look for it in the snapshot still. */
static void a_merge_leaves_its_clusters_to_those_who_came_before(void **state)
{
	static const struct late_kind kind = {"merge", IN_SNAPSHOT, 0, NULL};
	struct late_rig *rig = &the_rig;
	struct pool_layer *below;

	late_init(rig, &kind);
	below = volume_find(rig->v.set, "s")->object->layer;
	late_begins(
		rig,
		&(struct blk_io){.op = BLK_READ, .offset = 0, .length = MIB, .buf = rig->late_buf},
		BLK_READ, false);
	delete_snapshot(rig);
	assert_int_equal(phys_of(rig, "v", 0), rig->phys);
	assert_int_equal(map_phys(map_get(below->map, 0, NULL)), rig->phys);
	late_ends(rig);
	assert_int_equal(phys_of(rig, "v", 0), rig->phys);
	assert_null(volume_find(rig->v.set, "v")->object->layer->parent);
	assert_true(vrig_reads(&rig->v, rig->dev, 0, MIB, OLD));
	late_fini(rig);
}

/* ---- a disk that is stuck where the journal is ---- */

static void hang_journal(struct late_rig *rig)
{
	struct disk_fault_rule rule = {
		.kind = DISK_FAULT_HANG,
		.ops = 1u << BLK_WRITE,
		.probability = 1,
		.offset = LAYOUT_HEAD,
		.length = rig->v.p.pool->rules.first_cluster * LAYOUT_CLUSTER - LAYOUT_HEAD};
	uint32_t id;

	assert_int_equal(disk_fault_add(rig->v.p.dev, &rule, &id, NULL), 0);
}

static void what_needs_no_journal_goes_on_while_it_is_stuck(void **state)
{
	static const struct late_kind kind = {"journal", IN_HEAD, 0, NULL};
	static struct world_io flush_io;
	struct late_rig *rig = &the_rig;

	late_init(rig, &kind);
	hang_journal(rig);
	rig->late.io = (struct blk_io){.op = BLK_WRITE,
				       .flags = BLK_FUA,
				       .offset = MIB,
				       .length = MIB,
				       .buf = rig->late_buf};
	world_io_start(&rig->late, rig->v.p.w.r[1], rig->dev);
	memset(&flush_io, 0, sizeof(flush_io));
	flush_io.io = (struct blk_io){.op = BLK_FLUSH};
	settle(rig);
	world_io_start(&flush_io, rig->v.p.w.r[2], rig->dev);
	vrig_snapshot_begin(&rig->v, "v", "s");
	settle(rig);
	assert_false(rig->late.done);
	assert_false(rig->v.p.done);
	assert_true(vrig_reads(&rig->v, rig->dev, 0, MIB, OLD));
	assert_int_equal(pool_state(rig->v.p.pool), POOL_OPEN);
	late_ends(rig);
	assert_true(flush_io.done);
	assert_int_equal(flush_io.result, 0);
	assert_true(rig->v.p.done);
	assert_int_equal(rig->v.p.res, 0);
	assert_non_null(volume_find(rig->v.set, "s"));
	assert_true(vrig_reads(&rig->v, rig->dev, MIB, MIB, NEW));
	late_fini(rig);
}

/*
 * A lookup (map_find) looks at a mask without a lock, within a few instructions: too few to be met by chance. But it is in the gate as long as its I/O is, so the rule shows with an I/O that is
 * there for long: what clusters need no more stays in memory until it has ended.
 */
static void memory_of_masks_stays_as_long_as_somebody_may_look_at_it(void **state)
{
	static const struct late_kind kind = {"masks", IN_HEAD, 0, NULL};
	struct late_rig *rig = &the_rig;
	_Atomic uint64_t *bytes;
	uint64_t before;

	late_init(rig, &kind);
	bytes = &rig->v.p.pool->maps.bytes;
	assert_int_equal(vrig_write(&rig->v, rig->dev, MIB, 4096, NEW), 0);
	assert_int_equal(rig_checkpoint(&rig->v.p), 0);
	settle(rig);
	before = atomic_load(bytes);
	late_begins(rig, &(struct blk_io){.op = BLK_READ, .length = MIB, .buf = rig->late_buf},
		    BLK_READ, false);
	assert_int_equal(vrig_write(&rig->v, rig->dev, MIB + 4096, MIB - 4096, NEW), 0);
	assert_int_equal(rig_checkpoint(&rig->v.p), 0);
	settle(rig);
	assert_int_equal(atomic_load(bytes), before);
	late_ends(rig);
	assert_int_equal(atomic_load(bytes),
			 before - MAP_MASK_CLUSTERS * sizeof(struct block_mask));
	assert_true(is_all(rig->late_buf, MIB, OLD));
	assert_true(vrig_reads(&rig->v, rig->dev, MIB, MIB, NEW));
	late_fini(rig);
}

static void a_pool_is_closed_when_a_stuck_disk_is_back(void **state)
{
	static const struct late_kind kind = {"close", IN_HEAD, 0, NULL};
	struct late_rig *rig = &the_rig;

	late_init(rig, &kind);
	assert_int_equal(vrig_write(&rig->v, rig->dev, 2 * MIB, MIB, NEW), 0);
	rig->dev->ops->destroy(rig->dev);
	rig->other->ops->destroy(rig->other);
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_free), 0);
	hang_journal(rig);
	rig->v.p.done = false;
	rig->v.p.call = rig_call_close;
	rig->v.p.msg.run = rig_arrives;
	reactor_post(rig->v.p.env.home, &rig->v.p.msg);
	settle(rig);
	assert_false(rig->v.p.done);
	assert_int_equal(disk_fault_remove(rig->v.p.dev, 0, NULL), 0);
	settle(rig);
	assert_true(rig->v.p.done);
	assert_int_equal(rig->v.p.res, 0);
	assert_int_equal(rig_open(&rig->v.p), 0);
	assert_int_equal(rig_run(&rig->v.p, vrig_volumes_new), 0);
	rig->dev = vrig_dev(volume_find(rig->v.set, "v"));
	rig->other = vrig_dev(volume_find(rig->v.set, "o"));
	assert_true(vrig_reads(&rig->v, rig->dev, 2 * MIB, MIB, NEW));
	late_fini(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_read_shows_nobody_elses_data),
		cmocka_unit_test(a_late_write_lands_in_nobody_elses_data),
		cmocka_unit_test(a_late_first_write_keeps_its_cluster),
		cmocka_unit_test(a_merge_leaves_its_clusters_to_those_who_came_before),
		cmocka_unit_test(what_needs_no_journal_goes_on_while_it_is_stuck),
		cmocka_unit_test(memory_of_masks_stays_as_long_as_somebody_may_look_at_it),
		cmocka_unit_test(a_pool_is_closed_when_a_stuck_disk_is_back),
		cmocka_unit_test(a_block_that_is_filled_up_late_gets_nobody_elses_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
