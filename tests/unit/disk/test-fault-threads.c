/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a fault disk change on one thread while reactors on other threads do I/O. */
#include <errno.h>
#include <sched.h>

#include "disk/disk.h"
#include "rt/uring.h"
#include "unit/disk/blk_world.h"

#define THREADS  2
#define DEPTH    8u
#define IOS      4000u /* of each reactor */
#define SIZE     (1 * MIB)
#define ID_SLOTS 4

struct load;

struct load_io {
	struct blk_io io;
	struct load *load;
};

struct load {
	struct reactor *r;
	struct blk_dev *dev;
	struct msg msg;
	struct load_io lio[DEPTH];
	uint8_t *buf;
	unsigned started;
	_Atomic unsigned ended, odd; /* odd: ended in a way that no rule gives */
};

static void load_next(struct load_io *lio);

static void load_done(struct blk_io *io, int res)
{
	struct load_io *lio = container_of(io, struct load_io, io);
	struct load *load = lio->load;

	if (res != 0 && res != -EIO)
		atomic_fetch_add(&load->odd, 1);
	load_next(lio);
	atomic_fetch_add(&load->ended, 1);
}

static void load_next(struct load_io *lio)
{
	struct load *load = lio->load;
	unsigned n = load->started;

	if (n == IOS)
		return;
	load->started++;
	lio->io = (struct blk_io){
		.op = n % 3 ? BLK_READ : BLK_WRITE,
		.offset = (reactor_id(load->r) * 64 + n % 64) * 4096, /* its own part of the disk */
		.length = 4096,
		.buf = load->buf + (size_t)(lio - load->lio) * 4096,
		.done = load_done,
	};
	blk_submit(load->dev, &lio->io);
}

static void load_begin(struct msg *msg)
{
	struct load *load = container_of(msg, struct load, msg);

	for (unsigned i = 0; i < DEPTH; i++) {
		load->lio[i].load = load;
		load_next(&load->lio[i]);
	}
}

static void load_start(struct load *load, unsigned id, struct blk_dev *dev)
{
	struct reactor_opts opts = {.id = id, .name = "load", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct env *env;

	memset(load, 0, sizeof(*load));
	load->dev = dev;
	load->buf = aligned_alloc(4096, DEPTH * 4096);
	load->msg.run = load_begin;
	assert_int_equal(uring_env_new(NULL, &env, NULL), 0);
	assert_int_equal(reactor_new(&opts, env, &load->r, NULL), 0);
	assert_int_equal(reactor_start(load->r, NULL), 0);
	reactor_post(load->r, &load->msg);
}

static bool loads_ended(struct load *load)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (atomic_load(&load[i].ended) < IOS)
			return false;
	return true;
}

/* One change: the oldest rule goes, a new one comes. */
static void change(struct blk_dev *dev, unsigned n, uint32_t id[ID_SLOTS])
{
	static const enum disk_fault_kind kinds[] = {DISK_FAULT_HANG, DISK_FAULT_ERROR,
						     DISK_FAULT_DELAY, DISK_FAULT_TEAR};
	struct disk_fault_rule rule = {.kind = kinds[n % ARRAY_LEN(kinds)],
				       .probability = 0.2,
				       .error = -EIO,
				       .delay_ns = 3600 * NSEC_PER_SEC,
				       .tear_bytes = 512};
	uint32_t *slot = &id[n % ID_SLOTS];

	if (*slot)
		assert_int_equal(disk_fault_remove(dev, *slot, NULL), 0);
	assert_int_equal(disk_fault_add(dev, &rule, slot, NULL), 0);
}

static void every_io_ends_while_rules_change_on_another_thread(void **state)
{
	struct disk_ram_opts ram = {.name = "Malloc0", .size_bytes = SIZE, .block_size = 512};
	struct disk_fault_opts fault = {.name = "Fault0", .seed = 1};
	struct blk_dev *dev;
	struct load *load = calloc(THREADS, sizeof(*load));
	uint32_t id[ID_SLOTS] = {0};
	struct blk_stats *sum = malloc(sizeof(*sum));

	assert_int_equal(disk_ram_new(&ram, &fault.base, NULL), 0);
	assert_int_equal(disk_fault_new(&fault, &dev, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		load_start(&load[i], i, dev);
	/* Hung I/O goes on only because its rule is removed in its turn: each change is also what makes progress. */
	for (unsigned n = 0; !loads_ended(load); n++) {
		change(dev, n, id);
		json_decref(disk_fault_list(dev));
		(void)sched_yield();
	}
	for (unsigned i = 0; i < THREADS; i++) {
		reactor_stop(load[i].r);
		reactor_join(load[i].r);
		assert_int_equal(atomic_load(&load[i].odd), 0);
	}
	blk_stats_sum(dev, sum);
	assert_int_equal(counter_get(&sum->ops[BLK_READ]) + counter_get(&sum->ops[BLK_WRITE]),
			 THREADS * IOS);
	assert_int_equal(atomic_load(&sum->inflight), 0);
	/* Kicks that were posted and not run yet run now; the device goes with the last of them. */
	dev->ops->destroy(dev);
	for (unsigned i = 0; i < THREADS; i++) {
		(void)reactor_pass(load[i].r, 0);
		reactor_free(load[i].r);
		free(load[i].buf);
	}
	fault.base->ops->destroy(fault.base);
	free(load);
	free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_io_ends_while_rules_change_on_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
