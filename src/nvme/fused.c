/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fused Compare and Write, atomic against every other write, deallocation and fused pair of the namespace, on all reactors.
 *
 *   pair's reactor            home reactor of the namespace          each data reactor
 *   --------------            -----------------------------          -----------------
 *   lock_wanted ------------> queue; when free: gate_lock ---------> close the gate for the range; begin a new epoch;
 *                             last of n: granted <------------------ when the writes of the old epoch have ended
 *   compare, write <--------- granted
 *   unlock -----------------> gate_unlock -------------------------> open the gate, resume the parked writes
 *   end <-------------------- unlocked; next in the queue <--------- (each)
 *
 * Why this is correct:
 *  1. A gate is touched by its own reactor alone, so for a write the check is a plain load of its own memory (0 in the common case), and
 *     there is no window between "looked" and "counted": no other code of that reactor runs in between.
 *  2. When granted comes, each reactor has handled gate_lock. A write that entered before it was counted in the old epoch, and its end
 *     (blk_io done: its effect is on the device) was waited for. A write that enters after it finds the range locked and parks if it
 *     overlaps. So from granted to unlock no write to the range is with the device, save the pair's own.
 *  3. One owner at a time per namespace (home reactor), so pairs are serial among each other, and two epochs are enough: the next
 *     gate_lock is sent after every reactor answered gate_unlock, and an old epoch was empty before its gate_lock was answered.
 *  4. No deadlock: a counted write waits for nothing but the device; a parked one is not counted; a pair has its data and its buffer
 *     before it asks for the lock, and holds the lock only over device I/O. Writes that never stop cannot starve the lock: those after
 *     gate_lock are counted in the other epoch.
 *  5. The pair is answered after unlocked, and is counted in the view of its namespace until then: the namespace, its gates and its
 *     lock outlive every message here.
 */
#include "base/check.h"
#include "nvme/model.h"

static struct reactor *home_of(const struct nvme_ns *ns)
{
	const struct nvme_target_opts *opts = &ns->ss->target->opts;

	return opts->data[ns->nsid % opts->n_data];
}

static struct nvme_ns *ns_of(const struct nvme_req *req)
{
	return req->nsv->ns;
}

/* --- checks --- */

static uint16_t prepare_half(struct nvme_req *half, struct nvme_req *first)
{
	half->view = first->view;
	const uint16_t status = half->sgl_bad ? half->sgl_status
					      : nvme_io_prepare(half, &half->xfer, &half->data_len);

	if (half != first)
		half->view = NULL;
	return status;
}

/* What only the two together can get wrong: both are refused with the same status. */
static uint16_t check_pair(const struct nvme_req *first, const struct nvme_req *second)
{
	if (first->sqe.opcode != NVME_IO_COMPARE || second->sqe.opcode != NVME_IO_WRITE)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (first->nsv != second->nsv || first->lba != second->lba ||
	    first->blocks != second->blocks)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (first->blocks > NVME_FUSED_BLOCKS_MAX)
		return NVME_SC_ATOMIC_WRITE_EXCEEDED | NVME_STATUS_DNR;
	return NVME_SC_SUCCESS;
}

uint16_t nvme_fused_prepare(struct nvme_req *first)
{
	struct nvme_req *second = first->fused;
	uint16_t status = prepare_half(first, first);

	second->status = NVME_SC_SUCCESS;
	if (status) {
		second->status = NVME_SC_FUSED_FAIL;
		return status;
	}
	second->status = prepare_half(second, first);
	if (second->status)
		return NVME_SC_FUSED_FAIL;
	status = check_pair(first, second);
	second->status = status;
	return status;
}

/* --- the gate of a reactor --- */

static struct ns_gate *gate_of(struct nvme_ns *ns, unsigned reactor)
{
	return &ns->stats[reactor]->gate;
}

static struct ns_gate *my_gate(const struct nvme_req *req)
{
	return gate_of(ns_of(req), reactor_id(reactor_current()));
}

static bool overlaps(const struct ns_gate *gate, const struct nvme_req *req)
{
	/* Dataset Management has many ranges: it waits for any lock. */
	if (req->sqe.opcode == NVME_IO_DSM)
		return true;
	return req->lba < gate->lba + gate->blocks && gate->lba < req->lba + req->blocks;
}

bool nvme_gate_enter(struct nvme_req *req)
{
	struct ns_gate *gate = my_gate(req);

	if (__builtin_expect(gate->locked, 0) && overlaps(gate, req)) {
		list_push_back(&gate->parked, &req->link);
		return false;
	}
	req->gate_epoch = gate->epoch;
	gate->writes[gate->epoch]++;
	return true;
}

static void gate_answered(struct msg *msg);

/* Tells the home reactor that the last command (lock or unlock) has been carried out here. */
static void gate_answer(struct ns_gate *gate)
{
	gate->draining = false;
	gate->msg.run = gate_answered;
	reactor_post(home_of(gate->ns), &gate->msg);
}

void nvme_gate_leave(struct nvme_req *req)
{
	struct ns_gate *gate = my_gate(req);

	ASSERT(gate->writes[req->gate_epoch] > 0);
	gate->writes[req->gate_epoch]--;
	if (gate->draining && gate->writes[!gate->epoch] == 0)
		gate_answer(gate);
}

static void gate_lock(struct msg *msg)
{
	struct ns_gate *gate = container_of(msg, struct ns_gate, msg);
	const struct nvme_req *owner = gate->ns->lock.owner;

	ASSERT(!gate->locked);
	ASSERT(gate->writes[!gate->epoch] == 0);
	list_init(&gate->parked);
	gate->locked = true;
	gate->lba = owner->lba;
	gate->blocks = owner->blocks;
	gate->epoch = !gate->epoch;
	gate->draining = true;
	if (gate->writes[!gate->epoch] == 0)
		gate_answer(gate);
}

static void gate_unlock(struct msg *msg)
{
	struct ns_gate *gate = container_of(msg, struct ns_gate, msg);
	struct list parked;

	ASSERT(gate->locked);
	list_init(&parked);
	list_splice_back(&parked, &gate->parked);
	gate->locked = false;
	/* Each is in a view of its own, so the gate lives on though it is answered first. */
	gate_answer(gate);
	for (struct list *it; (it = list_pop_front(&parked));)
		nvme_io_execute(list_entry(it, struct nvme_req, link));
}

/* --- the lock, on the home reactor --- */

static void granted(struct msg *msg);
static void unlocked(struct msg *msg);
static void lock_next(struct nvme_ns *ns);

static void gates_command(struct nvme_ns *ns, void (*run)(struct msg *msg))
{
	const struct nvme_target_opts *opts = &ns->ss->target->opts;

	ns->lock.acks_missing = opts->n_data;
	for (unsigned i = 0; i < opts->n_data; i++) {
		struct ns_gate *gate = gate_of(ns, reactor_id(opts->data[i]));

		gate->ns = ns;
		gate->msg.run = run;
		reactor_post(opts->data[i], &gate->msg);
	}
}

static void post_to_owner(struct nvme_req *owner, void (*run)(struct msg *msg))
{
	owner->msg.run = run;
	reactor_post(atomic_load_explicit(&owner->qp->reactor, memory_order_relaxed), &owner->msg);
}

/* A reactor has carried out lock or unlock; the last one moves the lock on. */
static void gate_answered(struct msg *msg)
{
	struct ns_gate *gate = container_of(msg, struct ns_gate, msg);
	struct nvme_ns *ns = gate->ns;
	struct nvme_req *owner = ns->lock.owner;

	ASSERT(ns->lock.acks_missing > 0);
	if (--ns->lock.acks_missing)
		return;
	if (!ns->lock.unlocking) {
		post_to_owner(owner, granted);
		return;
	}
	/* A next owner keeps the namespace alive itself; without one ns may be gone after the post below. */
	ns->lock.owner = NULL;
	if (!list_empty(&ns->lock.waiters))
		lock_next(ns);
	post_to_owner(owner, unlocked);
}

static void lock_next(struct nvme_ns *ns)
{
	ns->lock.owner = list_entry(list_pop_front(&ns->lock.waiters), struct nvme_req, link);
	ns->lock.unlocking = false;
	gates_command(ns, gate_lock);
}

static void lock_wanted(struct msg *msg)
{
	struct nvme_req *first = container_of(msg, struct nvme_req, msg);
	struct nvme_ns *ns = ns_of(first);

	if (!ns->lock.waiters.next)
		list_init(&ns->lock.waiters);
	list_push_back(&ns->lock.waiters, &first->link);
	if (!ns->lock.owner)
		lock_next(ns);
}

static void unlock_wanted(struct msg *msg)
{
	struct nvme_req *first = container_of(msg, struct nvme_req, msg);

	ASSERT(ns_of(first)->lock.owner == first);
	ns_of(first)->lock.unlocking = true;
	gates_command(ns_of(first), gate_unlock);
}

/* --- the pair --- */

void nvme_fused_execute(struct nvme_req *first)
{
	first->msg.run = lock_wanted;
	reactor_post(home_of(ns_of(first)), &first->msg);
}

static void granted(struct msg *msg)
{
	nvme_compare_start(container_of(msg, struct nvme_req, msg));
}

static void unlock(struct nvme_req *first, uint16_t status)
{
	first->status = status;
	first->msg.run = unlock_wanted;
	reactor_post(home_of(ns_of(first)), &first->msg);
}

static void unlocked(struct msg *msg)
{
	struct nvme_req *first = container_of(msg, struct nvme_req, msg);

	nvme_req_end(first, first->status);
}

static void write_done(struct blk_io *io, int res)
{
	struct nvme_req *second = container_of(io, struct nvme_req, io);

	second->status = nvme_status_from_errno(res, io->op);
	unlock(second->fused, NVME_SC_SUCCESS);
}

void nvme_fused_compared(struct nvme_req *first, uint16_t status)
{
	struct nvme_req *second = first->fused;

	if (status) {
		unlock(first, status);
		return;
	}
	second->io = (struct blk_io){
		.op = BLK_WRITE,
		.flags = get_le32(&second->sqe.cdw12) & NVME_RW_FUA ? BLK_FUA : 0,
		.offset = second->lba << first->nsv->block_shift,
		.length = second->data_len,
		.buf = nvme_req_buf(second),
		.done = write_done,
	};
	blk_submit(first->nsv->dev, &second->io);
}
