/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing of views (view.h).
 *
 *   control                               each reactor (data and control)
 *   view_publish: builds view, posts ---> slot_install: current = new; the old one is retired
 *                                         view_leave / slot_install at inflight 0: posts the old slot back
 *   slot_drained (last of n) <----------
 *   frees the old view, runs the callbacks, begins the next publish
 *
 * Invariants:
 *  1. A reactor's current slot is written by that reactor alone (and by view_init, before any message). Other threads never read it.
 *  2. A slot is counted, retired and emptied by its reactor; only an empty, retired slot is posted, once, and then belongs to the
 *     control thread, which frees it. So nothing that a request can reach is ever freed under it.
 *  3. Messages of one sender arrive in order, so every reactor sees the views of a subsystem in the order of their generations, each of them.
 *  4. A view's memory lives from its publish until all its slots have come back, which is when the next publish is drained.
 *  5. A publish does not wait for the one before it: a disk that hangs holds back the end of what was published before, never a new
 *     state (a path that is closed because of that disk!). Publishes end in order, for a command may have seen a state before the last.
 *     VIEWS_MAX bounds the memory of old views; only beyond that are publishes joined into the next.
 */
#include "nvme/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "nvme/model.h"

#define CACHE_LINE  64
#define VIEWS_MAX   16 /* publishes of a subsystem under way */

#define PATIENCE_NS (10 * NSEC_PER_SEC)

struct view_publish {
	struct list link; /* of ss->publishing, the oldest first */
	struct nvme_subsystem *ss;
	struct list callbacks;  /* struct nvme_done */
	unsigned slots_missing; /* not drained yet */
	struct subsys_view *old;
	struct timer patience; /* says in the log that a disk keeps the end waiting */
};

/*
 * A change of the model that hosts wait for cannot be taken back half way. Want of a few KiB on the control thread ends the process with
 * a report; the supervisor starts it anew with known state.
 */
static void *must_alloc(size_t size)
{
	void *p = aligned_alloc(CACHE_LINE, align_up(size, CACHE_LINE));

	ASSERT(p);
	memset(p, 0, size);
	return p;
}

static unsigned n_reactors(const struct nvme_target *t)
{
	return t->opts.n_data + 1;
}

static struct reactor *nth_reactor(const struct nvme_target *t, unsigned i)
{
	return i < t->opts.n_data ? t->opts.data[i] : t->opts.control;
}

static void ns_view_fill(struct ns_view *v, struct nvme_ns *ns)
{
	v->ns = ns;
	v->dev = ns->dev;
	v->qos = ns->qos;
	v->nsid = ns->nsid;
	v->block_shift = (uint32_t)__builtin_ctz(ns->dev->block_size);
	v->anagrpid = ns->anagrpid;
	v->read_only = ns->dev->caps & BLK_CAP_READ_ONLY;
	nvme_resv_to_view(&ns->resv, &v->resv);
}

static unsigned ns_count(const struct nvme_subsystem *ss)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < ss->nn; i++)
		n += ss->ns[i] && !ss->ns[i]->removing;
	return n;
}

/* One piece of memory: the head, the namespaces, the pointers to them, the ANA states. */
static struct subsys_view *view_build(struct nvme_subsystem *ss)
{
	const size_t n_ns = ns_count(ss), row = ss->nn + 1;
	const size_t head = align_up(sizeof(struct subsys_view), CACHE_LINE);
	const size_t bytes = head + n_ns * sizeof(struct ns_view) +
			     ss->nn * sizeof(struct ns_view *) + NVME_PORTS_MAX * row;
	uint8_t *mem = must_alloc(bytes);
	struct subsys_view *view = (struct subsys_view *)(void *)mem;
	struct ns_view *next = (struct ns_view *)(void *)(mem + head);

	view->generation = ++ss->view_generation;
	view->nn = ss->nn;
	view->n_ports = NVME_PORTS_MAX;
	view->ns = (struct ns_view **)(void *)(next + n_ns);
	view->ana = (uint8_t *)(view->ns + ss->nn);
	for (uint32_t i = 0; i < ss->nn; i++) {
		if (!ss->ns[i] || ss->ns[i]->removing)
			continue;
		ns_view_fill(next, ss->ns[i]);
		view->ns[i] = next++;
	}
	list_for_each (it, &ss->listeners) {
		const struct nvme_listener *l = list_entry(it, struct nvme_listener, link);

		memcpy(view->ana + l->port->index * row, l->ana, row);
	}
	ASSERT(view->ana + NVME_PORTS_MAX * row == mem + bytes);
	return view;
}

int view_init(struct nvme_subsystem *ss)
{
	ss->slots = calloc(REACTORS_MAX + 1, sizeof(*ss->slots));
	if (!ss->slots)
		return -ENOMEM;
	struct subsys_view *view = view_build(ss);

	ss->published = view;
	list_init(&ss->publishing);
	for (unsigned i = 0; i < n_reactors(ss->target); i++) {
		struct view_slot *slot = must_alloc(sizeof(*slot));

		slot->view = view;
		atomic_store(&ss->slots[reactor_id(nth_reactor(ss->target, i))], slot);
	}
	return 0;
}

void view_fini(struct nvme_subsystem *ss)
{
	if (!ss->slots)
		return;
	ASSERT(!ss->n_publishing);
	ASSERT(!ss->publish_next);
	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		struct view_slot *slot = atomic_load(&ss->slots[i]);

		if (!slot)
			continue;
		ASSERT(slot->inflight == 0);
		ASSERT(slot->view == ss->published);
		free(slot);
	}
	free(ss->published);
	ss->published = NULL;
	free(ss->slots);
	ss->slots = NULL;
}

struct view_slot *view_enter(struct nvme_subsystem *ss, unsigned reactor_id_)
{
	struct view_slot *slot =
		atomic_load_explicit(&ss->slots[reactor_id_], memory_order_relaxed);

	slot->inflight++;
	return slot;
}

static void publish_next(struct nvme_subsystem *ss);

static void patience_start(struct view_publish *p);

static void patience_fired(struct timer *timer)
{
	struct view_publish *p = container_of(timer, struct view_publish, patience);

	log_warn("nvme.view.waits",
		 "nqn=%s generation=%" PRIu64 " reactors=%u why=\"the new state is in force; the "
		 "call ends when commands from before it come back from the disk\"",
		 p->ss->nqn, p->old->generation + 1, p->slots_missing);
	patience_start(p);
}

static void patience_start(struct view_publish *p)
{
	struct reactor *control = p->ss->target->opts.control;

	p->patience.run = patience_fired;
	(void)timer_start(control, &p->patience, reactor_now(control) + PATIENCE_NS);
}

static void publish_end(struct view_publish *p)
{
	for (struct list *it; (it = list_pop_front(&p->callbacks));) {
		struct nvme_done *cb = list_entry(it, struct nvme_done, link);

		cb->fn(cb->ctx, 0);
		free(cb);
	}
	free(p);
}

/* Control thread: an old slot came back empty. */
static void slot_drained(struct msg *msg)
{
	struct view_slot *slot = container_of(msg, struct view_slot, ack);
	struct view_publish *p = slot->publish;
	struct nvme_subsystem *ss = p->ss;
	struct list ended, *it;

	ASSERT(slot->inflight == 0);
	ASSERT(slot->view == p->old);
	free(slot);
	if (--p->slots_missing)
		return;
	timer_stop(&p->patience);
	free(p->old);
	list_init(&ended);
	while (!list_empty(&ss->publishing)) {
		p = list_first(&ss->publishing, struct view_publish, link);
		if (p->slots_missing)
			break;
		list_remove(&p->link);
		list_push_back(&ended, &p->link);
		ss->n_publishing--;
	}
	/* The next publish begins before the callbacks run: the last of them may be the end of the subsystem, when nothing is to be published. */
	if (ss->publish_next && ss->n_publishing < VIEWS_MAX)
		publish_next(ss);
	while ((it = list_pop_front(&ended)))
		publish_end(list_entry(it, struct view_publish, link));
}

static void slot_give_back(struct view_slot *slot)
{
	slot->ack.run = slot_drained;
	reactor_post(slot->publish->ss->target->opts.control, &slot->ack);
}

void view_leave(struct view_slot *slot)
{
	ASSERT(slot->inflight > 0);
	if (--slot->inflight == 0 && slot->retired)
		slot_give_back(slot);
}

/* On the slot's reactor: from the next command on, the new view is the truth. */
static void slot_install(struct msg *msg)
{
	struct view_slot *slot = container_of(msg, struct view_slot, ack);
	struct view_publish *p = slot->publish;
	struct reactor *r = reactor_current();
	struct view_slot *_Atomic *current = &p->ss->slots[reactor_id(r)];
	struct view_slot *old = atomic_load_explicit(current, memory_order_relaxed);

	ASSERT(!old->retired);
	slot->publish = NULL;
	atomic_store_explicit(current, slot, memory_order_relaxed);
	old->publish = p;
	/* What stands in a QoS line is looked at again, lest the publish wait for its tokens. Counted in, as the last one may leave here. */
	old->inflight++;
	old->retired = true;
	for (uint32_t i = 0; i < old->view->nn; i++) {
		if (old->view->ns[i] && old->view->ns[i]->qos)
			nvme_qos_kick(old->view->ns[i]->qos, r);
	}
	view_leave(old);
}

static void publish_next(struct nvme_subsystem *ss)
{
	struct view_publish *p = ss->publish_next;
	struct subsys_view *view = view_build(ss);

	ss->publish_next = NULL;
	list_push_back(&ss->publishing, &p->link);
	ss->n_publishing++;
	patience_start(p);
	p->slots_missing = n_reactors(ss->target);
	p->old = ss->published;
	ss->published = view;
	for (unsigned i = 0; i < n_reactors(ss->target); i++) {
		struct view_slot *slot = must_alloc(sizeof(*slot));

		slot->view = view;
		slot->publish = p;
		slot->ack.run = slot_install;
		reactor_post(nth_reactor(ss->target, i), &slot->ack);
	}
}

void view_publish(struct nvme_subsystem *ss, nvme_done_fn done, void *ctx)
{
	struct view_publish *p = ss->publish_next;

	if (!p) {
		p = must_alloc(sizeof(*p));
		p->ss = ss;
		list_init(&p->callbacks);
		ss->publish_next = p;
	}
	if (done) {
		struct nvme_done *cb = must_alloc(sizeof(*cb));

		cb->fn = done;
		cb->ctx = ctx;
		list_push_back(&p->callbacks, &cb->link);
	}
	if (ss->n_publishing < VIEWS_MAX)
		publish_next(ss);
}
