/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on purpose: a layer over any disk that fails, delays, loses, tears, holds or corrupts I/O
 * by rule. A test layer: unlike the rest of the data path it allocates at run time (one fault_io
 * for each I/O under way, kept for reuse).
 *
 *   fault_submit() --no rule---------------------------------> base
 *        | ERROR: ends   DROP: ends with success   TEAR: a shorter write --> base
 *        | CORRUPT: base, then one bit is flipped
 *        | DELAY, HANG: held --timer, or its rule is gone--> base
 *
 * Invariants:
 *   1. The rules that reactors see are one immutable array behind an atomic pointer
 *      (fault_rules.c). A reactor that reads it names it in its hazard slot; the control thread
 *      frees an array only when no slot names it.
 *   2. An I/O held by a rule goes on after the rule is removed: a reactor shows itself (slot->home)
 *      before it reads the rules, and the control thread changes the rules before it looks for
 *      reactors to wake. One of the two sees the other.
 *   3. All random choices of a reactor come from its own generator, made from the seed and its id:
 *      one thread, one history.
 *   4. A destroyed device does not touch its base again: what it still holds ends with -ECANCELED.
 */
#include "disk/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"

struct fault_io {
	struct blk_io child;
	struct blk_io *parent;
	struct fault_slot *slot;
	struct timer timer;
	struct list link; /* of slot->held while held, else of slot->idle */
	uint32_t rule_id; /* what holds it */
	bool corrupt;
	int tear_error;
};

static struct fault_slot *slot_of(struct disk_fault *disk, struct reactor *r)
{
	struct fault_slot *slot = &disk->slot[reactor_id(r)];

	if (!slot->ready) {
		rng_seed(&slot->rng, disk->seed ^ (uint64_t)reactor_id(r) * 0x9e3779b97f4a7c15u);
		list_init(&slot->held);
		list_init(&slot->idle);
		slot->disk = disk;
		slot->ready = true;
		atomic_store(&slot->home, r);
	}
	return slot;
}

static struct fault_io *fault_io_get(struct fault_slot *slot, struct blk_io *parent)
{
	struct list *node = list_pop_front(&slot->idle);
	struct fault_io *fio =
		node ? list_entry(node, struct fault_io, link) : malloc(sizeof(*fio));

	if (!fio)
		return NULL;
	memset(fio, 0, sizeof(*fio));
	fio->parent = parent;
	fio->slot = slot;
	return fio;
}

static void fault_io_end(struct fault_io *fio, int res)
{
	struct blk_io *parent = fio->parent;

	list_push_back(&fio->slot->idle, &fio->link);
	blk_complete(parent, res);
}

static void flip_bit(struct fault_io *fio)
{
	uint64_t bit = rng_below(&fio->slot->rng, fio->parent->length * 8);

	((uint8_t *)fio->parent->buf)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void base_done(struct blk_io *child, int res)
{
	struct fault_io *fio = container_of(child, struct fault_io, child);

	if (res == 0 && fio->corrupt)
		flip_bit(fio);
	fault_io_end(fio, res ? res : fio->tear_error);
}

/* On to the base, the first length bytes of it. */
static void fault_forward(struct fault_io *fio, uint64_t length)
{
	struct blk_io *parent = fio->parent;

	fio->child = (struct blk_io){
		.op = parent->op,
		.flags = parent->flags & ~BLK_LOAN_OK,
		.offset = parent->offset,
		.length = length,
		.buf = parent->buf,
		.done = base_done,
	};
	blk_submit(fio->slot->disk->base, &fio->child);
}

/* Ends the hold. */
static void fault_release(struct fault_io *fio)
{
	list_remove(&fio->link);
	timer_stop(&fio->timer);
	if (atomic_load(&fio->slot->disk->dying))
		fault_io_end(fio, -ECANCELED);
	else
		fault_forward(fio, fio->parent->length);
}

static void hold_timer(struct timer *timer)
{
	fault_release(container_of(timer, struct fault_io, timer));
}

static void fault_hold(struct fault_io *fio, const struct fault_rule *rule)
{
	struct reactor *r = fio->parent->reactor;

	fio->rule_id = rule->id;
	list_push_back(&fio->slot->held, &fio->link);
	fio->timer.run = hold_timer;
	if (rule->spec.kind == DISK_FAULT_DELAY &&
	    timer_start(r, &fio->timer, reactor_now_exact(r) + rule->spec.delay_ns))
		fault_release(fio); /* no memory for a timer: the I/O is not late */
}

static void fault_act(struct fault_io *fio, const struct fault_rule *rule)
{
	uint64_t length = fio->parent->length;

	switch (rule->spec.kind) {
	case DISK_FAULT_ERROR:
		fault_io_end(fio, rule->spec.error);
		return;
	case DISK_FAULT_DROP:
		fault_io_end(fio, 0);
		return;
	case DISK_FAULT_TEAR:
		fio->tear_error = rule->spec.error;
		if (rule->spec.tear_bytes == 0)
			fault_io_end(fio, fio->tear_error);
		else
			fault_forward(fio, MIN(length, rule->spec.tear_bytes));
		return;
	case DISK_FAULT_CORRUPT:
		fio->corrupt = true;
		fault_forward(fio, length);
		return;
	case DISK_FAULT_DELAY:
	case DISK_FAULT_HANG:
		fault_hold(fio, rule);
		return;
	case DISK_FAULT_KINDS:
		break;
	}
	UNREACHABLE();
}

static void fault_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct disk_fault *disk = container_of(dev, struct disk_fault, dev);
	struct fault_slot *slot = slot_of(disk, io->reactor);
	struct fault_io *fio = fault_io_get(slot, io);
	const struct fault_rules *rules;
	const struct fault_rule *rule;

	if (!fio) {
		blk_complete(io, -ENOMEM);
		return;
	}
	rules = fault_rules_enter(disk, slot);
	rule = fault_rules_match(rules, io, &slot->rng);
	if (rule)
		fault_act(fio, rule);
	else
		fault_forward(fio, io->length);
	fault_rules_leave(slot);
}

static void slot_fini(struct fault_slot *slot)
{
	if (!slot->ready)
		return;
	ASSERT(list_empty(&slot->held));
	list_for_each_safe (node, &slot->idle)
		free(list_entry(node, struct fault_io, link));
}

static void fault_unref(struct disk_fault *disk)
{
	if (atomic_fetch_sub(&disk->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(disk->slot); i++)
		slot_fini(&disk->slot[i]);
	fault_rules_free_all(disk);
	blk_dev_fini(&disk->dev);
	free(disk);
}

/* On the slot's reactor: what is held by a rule that is no more goes on. */
static void slot_kicked(struct msg *msg)
{
	struct fault_slot *slot = container_of(msg, struct fault_slot, kick);
	struct disk_fault *disk = slot->disk;
	const struct fault_rules *rules;
	struct list going;

	/* Before the rules are read: a later change kicks again. */
	atomic_store(&slot->kicked, false);
	list_init(&going);
	rules = fault_rules_enter(disk, slot);
	list_for_each_safe (node, &slot->held) {
		const struct fault_io *fio = list_entry(node, struct fault_io, link);

		if (!atomic_load(&disk->dying) && fault_rules_find(rules, fio->rule_id))
			continue;
		list_remove(node);
		list_push_back(&going, node);
	}
	fault_rules_leave(slot);
	while (!list_empty(&going))
		fault_release(list_first(&going, struct fault_io, link));
	fault_unref(disk);
}

void fault_kick_all(struct disk_fault *disk)
{
	for (unsigned i = 0; i < ARRAY_LEN(disk->slot); i++) {
		struct fault_slot *slot = &disk->slot[i];
		struct reactor *home = atomic_load(&slot->home);

		if (!home || atomic_exchange(&slot->kicked, true))
			continue;
		atomic_fetch_add(&disk->refs, 1); /* of the message */
		slot->kick.run = slot_kicked;
		reactor_post(home, &slot->kick);
	}
}

static int fault_rescan(struct blk_dev *dev, uint64_t *ret_size_bytes, struct err *err)
{
	struct disk_fault *disk = container_of(dev, struct disk_fault, dev);
	uint64_t size = atomic_load(&disk->base->size_bytes);
	int rc = disk->base->ops->rescan ? disk->base->ops->rescan(disk->base, &size, err) : 0;

	if (rc)
		return rc;
	atomic_store_explicit(&dev->size_bytes, size, memory_order_release);
	*ret_size_bytes = size;
	return 0;
}

static json_t *fault_describe(const struct blk_dev *dev)
{
	const struct disk_fault *disk = (const void *)dev; /* dev is its first member */

	return json_pack("{s:{s:s, s:I, s:o}}", "fault", "base_bdev_name", disk->base->name, "seed",
			 (json_int_t)disk->seed, "rules", disk_fault_list(dev));
}

static void fault_destroy(struct blk_dev *dev)
{
	struct disk_fault *disk = container_of(dev, struct disk_fault, dev);

	atomic_store(&disk->dying, true);
	fault_kick_all(disk);
	disk->base->claims--;
	fault_unref(disk);
}

const struct blk_ops disk_fault_ops = {
	.product = "Fault disk",
	.submit = fault_submit,
	.rescan = fault_rescan,
	.describe = fault_describe,
	.destroy = fault_destroy,
};

int disk_fault_new(const struct disk_fault_opts *opts, struct blk_dev **ret, struct err *err)
{
	_cleanup_free_ struct disk_fault *disk = calloc(1, sizeof(*disk));
	struct blk_dev *base = opts->base;
	int rc;

	if (!disk)
		return err_set(err, -ENOMEM, "no memory for a fault disk");
	if (!base)
		return err_set(err, -EINVAL, "%s: a fault disk needs a base disk", opts->name);
	/* Memory of the base is not lent: a reader must see what the rules do to its copy. What is delayed or torn is not taken at once. */
	rc = blk_dev_init(&disk->dev, &disk_fault_ops, opts->name, &opts->uuid,
			  atomic_load(&base->size_bytes), base->block_size,
			  base->caps & ~(unsigned)(BLK_CAP_LOAN | BLK_CAP_TAKES), err);
	if (rc)
		return rc;
	disk->rules = fault_rules_none();
	if (!disk->rules)
		return err_set(err, -ENOMEM, "no memory for a fault disk");
	disk->dev.phys_block_size = base->phys_block_size;
	disk->seed = opts->seed;
	disk->base = base;
	atomic_init(&disk->refs, 1);
	base->claims++;
	base->claimed_by = "fault disk";
	*ret = &TAKE_PTR(disk)->dev;
	return 0;
}
