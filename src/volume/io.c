/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a request: lanes with what requests need, the gate, transfers, and the one switch. io.h has the picture. */
#include "volume/io.h"

#include <errno.h>
#include <stdlib.h>

uint8_t vio_zeros[VIO_ZEROS] __attribute__((aligned(4096)));

/* ---- lanes ---- */

static void lane_fill(struct volume_lane *lane)
{
	for (unsigned i = 0; i < LANE_IOS; i++) {
		lane->io[i].lane = lane;
		list_push_back(&lane->idle, &lane->io[i].link);
	}
	for (unsigned i = 0; i < LANE_BOUNCE; i++)
		lane->bounce[lane->n_bounce++] = lane->memory + i * VIO_BOUNCE;
	if (lane->base->caps & BLK_CAP_LOAN)
		for (unsigned i = 0; i < LANE_JOINED; i++)
			lane->joined[lane->n_joined++] =
				lane->memory + LANE_BOUNCE * VIO_BOUNCE + i * VIO_JOINED;
}

static struct volume_lane *lane_new(struct volumes *set, struct pool_slot *slot)
{
	struct volume_lane *lane = calloc(1, sizeof(*lane));
	struct blk_dev *base = pool_data_dev(set->pool);
	size_t bytes = LANE_BOUNCE * VIO_BOUNCE;

	if (base->caps & BLK_CAP_LOAN)
		bytes += LANE_JOINED * VIO_JOINED;
	if (!lane)
		return NULL;
	lane->memory = aligned_alloc(LAYOUT_PAGE, bytes);
	if (!lane->memory) {
		free(lane);
		return NULL;
	}
	lane->slot = slot;
	lane->index = pool_slot_index(slot);
	lane->pool = set->pool;
	lane->base = base;
	list_init(&lane->idle);
	list_init(&lane->parents);
	list_init(&lane->want_bounce);
	list_init(&lane->want_joined);
	lane_fill(lane);
	return lane;
}

void volume_lane_free(struct volume_lane *lane)
{
	if (!lane)
		return;
	free(lane->memory);
	free(lane);
}

static void vio_task(struct task *task)
{
	vio_run(container_of(task, struct volume_io, task));
}

static void vio_later(struct volume_io *vio)
{
	vio->task.run = vio_task;
	reactor_defer(reactor_current(), &vio->task);
}

bool vio_bounce_get(struct volume_io *vio)
{
	struct volume_lane *lane = vio->lane;

	if (vio->bounce)
		return true;
	if (!lane->n_bounce) {
		list_push_back(&lane->want_bounce, &vio->link);
		return false;
	}
	vio->bounce = lane->bounce[--lane->n_bounce];
	return true;
}

void vio_bounce_put(struct volume_io *vio)
{
	struct volume_lane *lane = vio->lane;
	struct list *next = list_pop_front(&lane->want_bounce);

	if (next) {
		struct volume_io *waiter = list_entry(next, struct volume_io, link);

		waiter->bounce = vio->bounce;
		vio_later(waiter);
	} else {
		lane->bounce[lane->n_bounce++] = vio->bounce;
	}
	vio->bounce = NULL;
}

bool vio_joined_get(struct volume_io *vio)
{
	struct volume_lane *lane = vio->lane;

	if (!lane->n_joined) {
		list_push_back(&lane->want_joined, &vio->link);
		return false;
	}
	vio->buf = lane->joined[--lane->n_joined];
	return true;
}

static void joined_put(struct volume_io *vio)
{
	struct volume_lane *lane = vio->lane;
	struct list *next = list_pop_front(&lane->want_joined);

	lane->joined[lane->n_joined++] = vio->buf;
	if (next)
		vio_later(list_entry(next, struct volume_io, link)); /* takes it when it runs */
}

/* ---- begin and end ---- */

static const enum vio_state first_work[BLK_OPS] = {
	[BLK_READ] = VIO_READ,     [BLK_WRITE] = VIO_WRITE,        [BLK_FLUSH] = VIO_FLUSH,
	[BLK_DISCARD] = VIO_CLEAR, [BLK_WRITE_ZEROES] = VIO_CLEAR,
};

static void vio_init(struct volume_io *vio, struct blk_io *parent)
{
	struct volume_dev *vdev = container_of(parent->dev, struct volume_dev, dev);
	struct volume *v = vdev->v;

	vio->v = v;
	vio->port = &v->port[vio->lane->index];
	vio->parent = parent;
	vio->state = VIO_ENTER;
	vio->work = first_work[parent->op];
	vio->pending = 0;
	vio->res = 0;
	vio->inside = false;
	vio->zeroing = vio->work == VIO_CLEAR;
	vio->commit = false;
	vio->refused = false;
	vio->start = vio->at = parent->offset;
	vio->end = parent->offset + parent->length;
	vio->wend = parent->op == BLK_WRITE ? vio->end : vio->at;
	vio->buf = parent->buf;
	vio->bounce = NULL;
	vio->claim.held = false;
	vio->freed.n = 0;
}

void volume_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct volume *v = container_of(dev, struct volume_dev, dev)->v;
	struct volume_lane *lane = v->set->lane[reactor_id(io->reactor)];
	struct volume_io *vio;

	if (__builtin_expect(!lane, 0)) {
		lane = lane_new(v->set, pool_slot(v->pool));
		if (!lane) {
			blk_complete(io, -ENOMEM);
			return;
		}
		v->set->lane[reactor_id(io->reactor)] = lane;
	}
	if (vio_forward(v, lane, io))
		return;
	if (__builtin_expect(list_empty(&lane->idle), 0)) {
		list_push_back(&lane->parents, &io->task.link);
		return;
	}
	vio = list_entry(list_pop_front(&lane->idle), struct volume_io, link);
	vio_init(vio, io);
	vio_run(vio);
}

/* The request is through: its place is for the next one in line. */
static void vio_recycle(struct volume_io *vio)
{
	struct volume_lane *lane = vio->lane;
	struct list *next = list_pop_front(&lane->parents);

	if (next) {
		vio_init(vio, container_of(next, struct blk_io, task.link));
		vio_later(vio);
	} else {
		list_push_front(&lane->idle, &vio->link);
	}
}

static void lent_over(struct msg *msg)
{
	struct volume_io *vio = container_of(msg, struct volume_io, msg);

	joined_put(vio);
	vio_recycle(vio);
}

void vio_leave(struct volume_io *vio)
{
	if (!vio->inside)
		return;
	vio->inside = false;
	gate_leave(vio->lane->slot, vio->phase);
}

static enum vio_state vio_end(struct volume_io *vio)
{
	struct blk_io *parent = vio->parent;
	bool joined = parent->op == BLK_READ && !parent->buf && vio->buf;
	int res = vio->res;

	if (joined) {
		if (!res)
			parent->loan = vio->buf;
		vio->state = VIO_LENT;
		vio->msg.run = lent_over;
		reactor_post(reactor_current(), &vio->msg); /* the next pass */
	} else {
		vio_recycle(vio);
	}
	blk_complete(parent, res);
	return VIO_WAITS;
}

static enum vio_state vio_finish(struct volume_io *vio)
{
	if (vio->pending)
		return vio_wait(vio, VIO_FINISH);
	if (vio->bounce)
		vio_bounce_put(vio);
	if (vio->claim.held)
		map_claim_drop(&vio->claim);
	if (vio->freed.n)
		return VIO_FREE;
	vio_leave(vio);
	if (vio->commit && !vio->res)
		return VIO_COMMIT;
	return vio_end(vio);
}

/* ---- the gate ---- */

static enum vio_state vio_enter(struct volume_io *vio)
{
	const struct volume_view *view = vio->port->view;
	enum blk_op op = vio->parent->op;
	int refused;

	if (__builtin_expect(vio->port->held, 0)) {
		list_push_back(&vio->port->waiting, &vio->link);
		return vio_wait(vio, VIO_ENTER);
	}
	vio->view = view;
	vio->phase = gate_enter(vio->lane->slot);
	vio->inside = true;
	if (__builtin_expect(vio->end > view->size_bytes, 0))
		return vio_fail(vio, -EIO); /* it was made smaller meanwhile */
	if (op == BLK_READ || op == BLK_FLUSH)
		return vio->work;
	if (!view->writable)
		return vio_fail(vio, -EROFS);
	refused = pool_writable(vio->lane->pool);
	return refused ? vio_fail(vio, refused) : vio->work;
}

void volume_port_release(struct volume_port *port)
{
	struct list waiting;

	port->held = false;
	list_init(&waiting);
	list_splice_back(&waiting, &port->waiting);
	for (struct list *link; (link = list_pop_front(&waiting));)
		vio_run(list_entry(link, struct volume_io, link));
}

bool vio_clean(const struct volume_io *vio)
{
	return map_clean(vio->view->chain[0]) &&
	       !atomic_load_explicit(&vio->v->cut_pending, memory_order_acquire);
}

/* ---- what a request waits for ---- */

static void child_done(struct blk_io *io, int res)
{
	struct vio_child *child = container_of(io, struct vio_child, io);
	struct volume_io *vio = child->vio;

	child->busy = false;
	vio->pending--;
	if (res && !vio->res)
		vio->res = res;
	if (io->loan)
		vio->parent->loan = io->loan;
	vio_run(vio);
}

void vio_child_start(struct volume_io *vio, enum blk_op op, unsigned flags, uint64_t offset,
		     uint64_t length, void *buf)
{
	struct vio_child *child = vio->child;

	while (child->busy)
		child++;
	ASSERT(child < vio->child + VIO_CHILDREN);
	child->vio = vio;
	child->busy = true;
	child->io.op = op;
	child->io.flags = flags;
	child->io.offset = offset;
	child->io.length = length;
	child->io.buf = buf;
	child->io.done = child_done;
	vio->pending++;
	blk_submit(vio->lane->base, &child->io);
}

/*
 * Into the gate again with a claim that had to wait. False: the claim is of a head that is none any more. (The map tells; a new view may lie where the old one was.)
 */
static bool vio_back(struct volume_io *vio)
{
	const struct volume_view *view = vio->port->view;

	if (vio->port->held || !view->writable || vio->end > view->size_bytes ||
	    view->chain[0] != map_leaf_map(vio->claim.leaf))
		return false;
	vio->view = view;
	vio->phase = gate_enter(vio->lane->slot);
	vio->inside = true;
	return true;
}

static void claim_granted(struct map_claim *claim)
{
	struct volume_io *vio = container_of(claim, struct volume_io, claim);

	if (!vio_back(vio)) {
		map_claim_drop(claim);
		vio->state = VIO_ENTER;
	}
	vio_run(vio);
}

enum map_claim_result vio_claim(struct volume_io *vio, uint64_t block, unsigned count, bool whole,
				bool no_mask)
{
	struct map_claim *claim = &vio->claim;
	enum map_claim_result got;

	claim->cluster = (uint32_t)(block / LAYOUT_CLUSTER_BLOCKS);
	claim->first = whole ? 0 : block % LAYOUT_CLUSTER_BLOCKS;
	claim->count = whole ? LAYOUT_CLUSTER_BLOCKS : (uint16_t)count;
	claim->no_mask = no_mask;
	claim->reactor = vio->lane->slot->reactor;
	claim->granted = claim_granted;
	got = map_claim_take(vio->view->chain[0], claim);
	if (got == MAP_CLAIM_WAITS)
		vio_leave(vio); /* its holder may be a merge that waits for a turn */
	return got;
}

static void want_done(struct pool_want *want, int res)
{
	struct volume_io *vio = container_of(want, struct volume_io, want);

	if (res && !vio->res)
		vio->res = res;
	vio_run(vio);
}

enum vio_state vio_want_memory(struct volume_io *vio, uint32_t cluster)
{
	vio->want.map = vio->view->chain[0];
	vio->want.cluster = cluster;
	vio->want.space = POOL_THIN;
	vio->want.space_wanted = false;
	vio->want.done = want_done;
	pool_want(vio->lane->pool, &vio->want);
	return vio_wait(vio, VIO_WANTED);
}

enum vio_state vio_want_space(struct volume_io *vio)
{
	map_claim_drop(&vio->claim);
	vio_leave(vio);
	if (vio->refused) {
		vio->res = -ENOSPC;
		return VIO_FINISH;
	}
	vio->want.map = NULL; /* it may go while nobody is in the gate for it */
	vio->want.cluster = 0;
	vio->want.space = atomic_load(&vio->v->thick) ? POOL_THICK : POOL_THIN;
	vio->want.space_wanted = true;
	vio->want.done = want_done;
	pool_want(vio->lane->pool, &vio->want);
	return vio_wait(vio, VIO_WANTED);
}

/*
 * A refusal counts when the cluster is not there then either: several that write into one cluster at once ask for one each, and the last of a thick volume is
 * granted only once.
 */
static enum vio_state vio_wanted(struct volume_io *vio)
{
	if (vio->res == -ENOSPC && !vio->inside && !vio->refused) {
		vio->refused = true;
		vio->res = 0;
	}
	if (vio->res)
		return VIO_FINISH;
	return vio->inside ? vio->work : VIO_ENTER;
}

/* ---- the switch ---- */

static enum vio_state vio_step(struct volume_io *vio)
{
	switch (vio->state) {
	case VIO_ENTER:
		return vio_enter(vio);
	case VIO_READ:
		return vio_read(vio);
	case VIO_READ_COPY:
		return vio_read_copy(vio);
	case VIO_WRITE:
		return vio_write(vio);
	case VIO_WRITE_COPIED:
		return vio_write_copied(vio);
	case VIO_CLAIM:
		return vio_write_claim(vio);
	case VIO_CLAIMED:
		return vio_write_claimed(vio);
	case VIO_BOUNCE_NEEDED:
		return vio_write_bounce(vio);
	case VIO_FILLED:
		return vio_write_filled(vio);
	case VIO_DATA:
		return vio_write_data(vio);
	case VIO_WANTED:
		return vio_wanted(vio);
	case VIO_CLEAR:
		return vio_clear(vio);
	case VIO_CLEARED:
		return vio_cleared(vio);
	case VIO_FREE:
		return vio_free_clusters(vio);
	case VIO_FREED:
		return vio_freed(vio);
	case VIO_FLUSH:
		return vio_flush(vio);
	case VIO_FLUSHED:
		return vio_flushed(vio);
	case VIO_COMMIT:
		return vio_commit(vio);
	case VIO_FINISH:
		return vio_finish(vio);
	case VIO_LENT:
	case VIO_WAITS:
		break;
	}
	UNREACHABLE();
}

/* From a handler that answers VIO_WAITS on, vio may be gone. */
void vio_run(struct volume_io *vio)
{
	for (;;) {
		enum vio_state next = vio_step(vio);

		if (next == VIO_WAITS)
			return;
		vio->state = next;
	}
}
