/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness of sockets: multishot polls in the ring, and direct receives on a few hot sockets.
 *
 * Why no wake-up is lost. Call a socket drained at the moment a receive says that nothing is left (-EAGAIN, or short on
 * a TCP stream that has not ended).
 *  1. While a multishot poll is armed, whatever arrives after the drain wakes the poll, and a completion is posted
 *     after it; a completion makes the socket ready; a ready socket keeps the reactor from sleeping. An edge that a hot
 *     receive consumed before its completion was reaped costs one empty receive, no more.
 *  2. Arming looks at the socket as it is and completes at once when something is there already. So a poll may be
 *     absent for a while, provided that it is armed before the reactor sleeps: hot sockets go without a poll, since
 *     each arrival would wake it for nothing, and uhot_rearm() arms it as part of going to sleep. Nobody sleeps while
 *     u->arm is not empty.
 *  3. A poll that ended (no F_MORE) puts its socket on u->arm, as 2. requires.
 *  4. A short receive does not show the end of the stream that may follow it. Its wake-up comes after the state has changed
 *     and reports POLLRDHUP, which sets hup; from then on short receives do not drain.
 *
 * Polls and sockets. A poll whose socket left (detach, close) or that is not wanted any more is orphaned: sock = NULL, a cancel is
 * queued, and its memory is used again only after its last completion. A cancel can only hit the poll it was meant
 * for, because the ring takes entries in order and a poll that uses the memory again is queued after the cancel; a poll that
 * ends before its cancel was queued takes the cancel off the list.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "rt/reactor_priv.h"
#include "rt/uring_priv.h"

/* After so many receives with data and no sleep, a hot socket's poll is taken out of the ring. */
#define HOT_DISARM_HITS 16
/* A hot socket without data for so long is watched by its poll alone. */
#define HOT_IDLE_NS NSEC_PER_MSEC
/* A socket with data takes the place of a hot one that had none for so long. */
#define HOT_STEAL_NS (100 * NSEC_PER_USEC)

static struct upoll *poll_new(struct uenv *u, struct usock *s, bool for_write)
{
	struct upoll *p = u->free_polls;

	if (p)
		u->free_polls = p->next_free;
	else
		p = malloc(sizeof(*p));
	if (p)
		*p = (struct upoll){.sock = s, .for_write = for_write};
	return p;
}

static void poll_release(struct uenv *u, struct upoll *p)
{
	ASSERT(u->polls_live > 0);
	u->polls_live--;
	list_remove(&p->cancel_link);
	p->next_free = u->free_polls;
	u->free_polls = p;
}

void upoll_free_all(struct uenv *u)
{
	while (u->free_polls) {
		struct upoll *p = u->free_polls;

		u->free_polls = p->next_free;
		free(p);
	}
}

static void orphan(struct uenv *u, struct upoll **p)
{
	if (!*p)
		return;
	(*p)->sock = NULL;
	list_push_back(&u->cancels, &(*p)->cancel_link);
	*p = NULL;
}

void upoll_orphan_all(struct usock *s)
{
	orphan(s->u, &s->rpoll);
	orphan(s->u, &s->wpoll);
	s->want_read_poll = false;
	s->want_write_poll = false;
	list_remove(&s->arm_link);
}

static bool arm_one(struct uenv *u, struct usock *s, struct upoll **slot, bool for_write)
{
	struct io_uring_sqe *sqe;
	struct upoll *p;

	p = poll_new(u, s, for_write);
	if (!p)
		return false;
	sqe = uring_sqe(u);
	u->polls_live++;
	if (!sqe) {
		poll_release(u, p);
		return false;
	}
	if (for_write)
		io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
	else
		io_uring_prep_poll_multishot(sqe, s->fd, POLLIN | POLLRDHUP);
	io_uring_sqe_set_data64(sqe, user_data(p, TAG_POLL));
	*slot = p;
	return true;
}

static bool queue_cancels(struct uenv *u)
{
	while (!list_empty(&u->cancels)) {
		struct upoll *p = list_first(&u->cancels, struct upoll, cancel_link);
		struct io_uring_sqe *sqe = uring_sqe(u);

		if (!sqe)
			return false;
		list_remove(&p->cancel_link);
		io_uring_prep_cancel64(sqe, user_data(p, TAG_POLL), 0);
		io_uring_sqe_set_data64(sqe, TAG_IGNORE);
	}
	return true;
}

bool upoll_queue(struct uenv *u)
{
	if (!queue_cancels(u))
		return false;
	while (!list_empty(&u->arm)) {
		struct usock *s = list_first(&u->arm, struct usock, arm_link);

		if (s->want_read_poll && !s->rpoll && !arm_one(u, s, &s->rpoll, false))
			return false;
		s->want_read_poll = false;
		if (s->want_write_poll && !s->wpoll && !arm_one(u, s, &s->wpoll, true))
			return false;
		s->want_write_poll = false;
		list_remove(&s->arm_link);
	}
	return true;
}

static void want_read_poll(struct usock *s)
{
	s->want_read_poll = true;
	if (!list_linked(&s->arm_link))
		list_push_back(&s->u->arm, &s->arm_link);
}

void usock_mark_ready(struct usock *s, unsigned events)
{
	s->events |= events;
	if (!list_linked(&s->ready_link))
		list_push_back(&s->u->ready, &s->ready_link);
}

void usock_clear_read(struct usock *s)
{
	s->events &= ~(unsigned)SOCK_EV_READ;
	if (!s->events)
		list_remove(&s->ready_link);
}

void upoll_cqe(struct uenv *u, struct upoll *p, int res, unsigned flags)
{
	struct usock *s = p->sock;

	if (!(flags & IORING_CQE_F_MORE)) {
		if (s && p->for_write)
			s->wpoll = NULL;
		else if (s)
			s->rpoll = NULL;
		poll_release(u, p);
		if (s && !p->for_write && !(s->hot && s->hits >= HOT_DISARM_HITS))
			want_read_poll(s);
	}
	if (!s)
		return;
	if (res > 0 && (res & (POLLRDHUP | POLLHUP | POLLERR)))
		s->hup = true;
	usock_mark_ready(s, p->for_write ? SOCK_EV_WRITE : SOCK_EV_READ);
}

int usock_attach(struct sock *base, struct env *env)
{
	struct usock *s = (struct usock *)base;

	s->u = uenv_of(env);
	s->seq = 0;
	list_push_back(&s->u->attached, &s->attached_link);
	want_read_poll(s);
	return 0;
}

void usock_detach(struct sock *base)
{
	struct usock *s = (struct usock *)base;

	if (s->hot)
		usock_leave_hot(s);
	upoll_orphan_all(s);
	list_remove(&s->ready_link);
	list_remove(&s->attached_link);
	s->events = 0;
	s->u = NULL;
}

void usock_want_write(struct sock *base)
{
	struct usock *s = (struct usock *)base;

	if (s->wpoll)
		return;
	s->want_write_poll = true;
	if (!list_linked(&s->arm_link))
		list_push_back(&s->u->arm, &s->arm_link);
}

void usock_want_read(struct sock *base)
{
	usock_mark_ready((struct usock *)base, SOCK_EV_READ);
}

void usock_leave_hot(struct usock *s)
{
	struct uenv *u = s->u;

	for (unsigned i = 0; i < u->n_hot; i++) {
		if (u->hot[i] != s)
			continue;
		u->hot[i] = u->hot[--u->n_hot];
		break;
	}
	s->hot = false;
	s->hits = 0;
	if (!s->rpoll)
		want_read_poll(s);
}

/* A place among the hot ones, or false. */
static bool hot_make_room(struct uenv *u, uint64_t now_ns)
{
	if (u->n_hot < HOT_MAX)
		return true;
	for (unsigned i = 0; i < u->n_hot; i++) {
		if (now_ns - u->hot[i]->last_data_ns < HOT_STEAL_NS)
			continue;
		usock_leave_hot(u->hot[i]);
		return true;
	}
	return false;
}

void usock_had_data(struct usock *s)
{
	struct uenv *u = s->u;
	struct reactor *r = u->base.reactor;

	s->last_data_ns = r->now_ns;
	u->hot_hits++;
	if (s->hot) {
		if (s->hits == HOT_DISARM_HITS)
			return;
		s->hits++;
		if (s->hits == HOT_DISARM_HITS)
			orphan(u, &s->rpoll);
		return;
	}
	if (atomic_load_explicit(&r->poll_us, memory_order_relaxed) == POLL_US_NEVER)
		return;
	if (!hot_make_room(u, r->now_ns))
		return;
	s->hot = true;
	s->hits = 0;
	u->hot[u->n_hot++] = s;
}

void uhot_rearm(struct uenv *u)
{
	for (unsigned i = 0; i < u->n_hot; i++) {
		struct usock *s = u->hot[i];

		s->hits = 0;
		if (!s->rpoll)
			want_read_poll(s);
	}
}

/* The callback may close any socket: a socket is not touched after its own was called. */
static void deliver(struct uenv *u, struct usock *s, unsigned events)
{
	s->seq = u->seq;
	s->base.fn(s->base.ctx, events);
}

unsigned usock_deliver_ready(struct uenv *u)
{
	struct list batch, *node;
	unsigned n = 0;

	/* What becomes ready meanwhile is for the next pass. */
	list_init(&batch);
	list_splice_back(&batch, &u->ready);
	while ((node = list_pop_front(&batch))) {
		struct usock *s = list_entry(node, struct usock, ready_link);
		unsigned events = s->events;

		s->events = 0;
		deliver(u, s, events);
		n++;
	}
	return n;
}

unsigned usock_deliver_hot(struct uenv *u)
{
	uint64_t now_ns = u->base.reactor->now_ns;
	unsigned i = 0;

	u->hot_hits = 0;
	while (i < u->n_hot) {
		struct usock *s = u->hot[i];

		if (now_ns - s->last_data_ns > HOT_IDLE_NS) {
			usock_leave_hot(s);
			continue;
		}
		if (s->seq != u->seq)
			deliver(u, s, SOCK_EV_READ);
		if (i < u->n_hot && u->hot[i] == s)
			i++;
	}
	return u->hot_hits;
}
