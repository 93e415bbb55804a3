/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All stands still, and goes on: the first step of a hot upgrade, and the way back.
 *
 *	control                            each reactor
 *	freeze: order 2n+1, seen at once > READ events are held (tcp_freeze_holds())
 *	        and posted --------------> FREEZING: no READ event is followed, no resume runs, nothing begins to execute (nvme/freeze.h);
 *	                                             answers of what executes are sent as always
 *	                                   look: nothing executes, no task is queued, each socket took what it takes
 *	                                   STILL: nothing is sent any more
 *	check <--------- still for 2n+1 ---
 *	all are, and nothing is under way between them: done. Else the order is repeated: 2n+3
 *	thaw: order 2n+2, posted --------> FLOWING: what was held is asked for again
 *
 *  1. The control reactor accepts and moves nothing from before it posts an order, so a connection that moves has arrived before the order has.
 *  2. What may be under way between threads when all are still: the end of a connection (DRAIN, GONE), a message of the control plane to a queue pair (refs), the
 *     report of an error. Each comes to its end within a few passes; the round is repeated until there is none.
 *  3. Nothing is closed or timed out while it lasts: timers are put off.
 *  4. What is held before the order has arrived goes on with the thaw of that order, or, when the order is overtaken, with the one that overtook it.
 *  5. An order that is overtaken is never answered: reports name the order.
 */
#include "transport/tcp_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "nvme/freeze.h"

#define PUT_OFF_NS (50 * NSEC_PER_MSEC)
/* Sockets that are received from in a pass that is to be short. What such a pass has begun is all that a freeze waits for, besides the disks. */
#define TCP_CALM_TURNS 8u

static void control_check(struct tcp_transport *t);

/* --- a reactor's part --- */

/* Requests whose answer is decided, or that are about to ask for data, end or park with the tasks of this pass. */
static bool reqs_are_still(const struct tcp_reqs *reqs)
{
	for (uint32_t i = 0; reqs->busy && i < reqs->n_fresh; i++) {
		const struct nvme_req *req = &reqs->slots[i].req;

		if (reqs->slots[i].state != TCP_REQ_FREE && list_linked(&req->task.link))
			return false;
	}
	return true;
}

static bool conn_is_still(const struct tcp_conn *c)
{
	return !list_linked(&c->late.link) && !list_linked(&c->drop.link) &&
	       !list_linked(&c->resume.link) && reqs_are_still(&c->reqs);
}

static bool is_still(const struct tcp_reactor *tr)
{
	list_for_each (it, &tr->conns)
		if (!conn_is_still(list_entry(it, struct tcp_conn, here_link)))
			return false;
	return true;
}

static void report_run(struct msg *msg)
{
	struct tcp_reactor *tr = container_of(msg, struct tcp_reactor, report.msg);

	atomic_store(&tr->report.posted, false);
	control_check(tr->transport);
}

static void report(struct tcp_reactor *tr)
{
	atomic_store(&tr->report.still_for, tr->order_no);
	if (atomic_exchange(&tr->report.posted, true))
		return;
	tr->report.msg.run = report_run;
	reactor_post(tr->transport->control, &tr->report.msg);
}

/* A late task: behind the answers of this pass. Comes again as long as tasks are queued, which end. */
static void look_run(struct task *task)
{
	struct tcp_reactor *tr = container_of(task, struct tcp_reactor, look);

	if (tr->flow != TCP_FREEZING ||
	    nvme_freeze_executing(tr->transport->target, tr->reactor)) /* drained() comes */
		return;
	if (!is_still(tr)) {
		reactor_defer_late(tr->reactor, &tr->look);
		return;
	}
	tr->flow = TCP_STILL;
	report(tr);
}

static void drained(void *ctx)
{
	struct tcp_reactor *tr = ctx;

	reactor_defer_late(tr->reactor, &tr->look);
}

static void conn_thaw(struct tcp_conn *c)
{
	if (!c->sock)
		return;
	if (c->read_held)
		sock_want_read(c->sock);
	if (c->resume_held)
		tcp_rx_resume(c);
	c->read_held = c->resume_held = false;
	if (!wire_txq_empty(&c->txq) && !c->tx_blocked)
		reactor_defer_late(c->tr->reactor, &c->late);
}

static void thaw(struct tcp_reactor *tr)
{
	const bool was_frozen = tr->flow != TCP_FLOWING;

	tr->flow = TCP_FLOWING;
	tr->held_early = false;
	list_for_each (it, &tr->conns)
		conn_thaw(list_entry(it, struct tcp_conn, here_link));
	if (was_frozen)
		nvme_thaw(tr->transport->target, tr->reactor);
}

static void order_run(struct msg *msg)
{
	struct tcp_reactor *tr = container_of(msg, struct tcp_reactor, order.msg);

	atomic_store(&tr->order.posted, false);
	tr->order_no = atomic_load(&tr->order.wanted);
	if (tr->order_no % 2 == 0) {
		if (tr->flow != TCP_FLOWING || tr->held_early)
			thaw(tr);
		return;
	}
	tr->flow = TCP_FREEZING;
	(void)nvme_freeze(tr->transport->target, tr->reactor, drained, tr); /* look sees it */
	reactor_defer_late(tr->reactor, &tr->look);
}

void tcp_freeze_init(struct tcp_reactor *tr)
{
	list_init(&tr->conns);
	tr->look.run = look_run;
}

bool tcp_freeze_calms(struct tcp_reactor *tr)
{
	uint64_t pass;

	if (__builtin_expect(!atomic_load_explicit(&tr->calm, memory_order_relaxed), 1))
		return false;
	pass = counter_get(&reactor_stats(tr->reactor)->passes);
	if (pass != tr->calm_pass) {
		tr->calm_pass = pass;
		tr->calm_turns = 0;
	}
	return tr->calm_turns++ >= TCP_CALM_TURNS;
}

bool tcp_freeze_puts_off(struct tcp_conn *c, struct timer *timer)
{
	struct reactor *r = c->tr->reactor;

	if (c->tr->flow == TCP_FLOWING)
		return false;
	(void)timer_start(r, timer,
			  reactor_now(r) + PUT_OFF_NS); /* it was armed: needs no memory */
	return true;
}

/* --- control thread --- */

static void order_all(struct tcp_transport *t, bool still)
{
	t->order_no += t->order_no % 2 == still ? 2 : 1;
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++) {
		struct tcp_reactor *tr = t->reactors[i];

		if (!tr)
			continue;
		atomic_store(&tr->order.wanted, t->order_no);
		if (atomic_exchange(&tr->order.posted, true))
			continue;
		tr->order.msg.run = order_run;
		reactor_post(tr->reactor, &tr->order.msg);
	}
}

static bool all_report(const struct tcp_transport *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		if (t->reactors[i] && atomic_load(&t->reactors[i]->report.still_for) != t->order_no)
			return false;
	return true;
}

/* Invariant 2. All reactors are still: their connections may be looked at. */
static bool something_is_under_way(const struct tcp_transport *t)
{
	list_for_each (it, &t->conns) {
		const struct tcp_conn *c = list_entry(it, struct tcp_conn, link);

		if (c->state == TCP_CONN_MOVING || c->state >= TCP_CONN_DRAIN || c->qp.refs ||
		    atomic_load(&c->qp.error_posted))
			return true;
	}
	return false;
}

static void control_check(struct tcp_transport *t)
{
	if (t->flow != TCP_FREEZING || !all_report(t))
		return;
	if (something_is_under_way(t)) {
		order_all(t, true);
		return;
	}
	t->flow = TCP_STILL;
	t->freeze_done(t->freeze_ctx, 0);
}

void tcp_transport_calm(struct tcp_transport *t, bool on)
{
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		if (t->reactors[i])
			atomic_store(&t->reactors[i]->calm, on);
}

void tcp_transport_freeze(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	ASSERT(t->flow == TCP_FLOWING);
	ASSERT(!t->stopping);
	t->flow = TCP_FREEZING;
	t->freeze_done = done;
	t->freeze_ctx = ctx;
	/* At once: a connection that departed after the order was posted would arrive behind it. */
	t->reactors[reactor_id(t->control)]->flow = TCP_FREEZING;
	order_all(t, true);
}

static int abandon_run(struct tcp_reactor *tr, struct err *err)
{
	(void)err;
	list_for_each_safe (it, &tr->conns)
		tcp_conn_close(list_entry(it, struct tcp_conn, here_link),
			       "another engine goes on with it");
	return 0;
}

void tcp_transport_abandon(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	ASSERT(t->flow == TCP_STILL);
	tcp_listeners_close(t);
	tcp_jobs_run(t, abandon_run, done, ctx);
}

void tcp_transport_thaw(struct tcp_transport *t)
{
	if (t->flow == TCP_FLOWING)
		return;
	t->flow = TCP_FLOWING;
	list_for_each (it, &t->listeners)
		sock_want_read(list_entry(it, struct tcp_listener, link)->sock);
	order_all(t, false);
}
