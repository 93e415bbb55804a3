/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel as a reactor's world: one ring, made on the reactor's own thread, and one loop step over it.
 *
 * Invariants:
 *  1. The ring is entered only to submit, to collect completions that the kernel says are pending (a flag in user
 *     memory), or to sleep. A spinning reactor with nothing to do makes no system call but the receives on hot sockets.
 *  2. The reactor sleeps only when nothing is ready, nothing waits for room in the ring, and each socket's poll is armed.
 *  3. Completions are collected from the ring one by one before their callback runs, so a callback may submit.
 *  4. After thread_fini() the kernel holds nothing of ours: what it held was cancelled or waited for.
 */
#include "rt/uring.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/probes.h"
#include "rt/reactor_priv.h"
#include "rt/uring_priv.h"
#include "rt/uring_setup.h"

/* thread_fini() gives the kernel so many seconds to hand back what it holds. */
#define DRAIN_SECONDS_MAX 30

static struct reactor_stats *stats(struct uenv *u)
{
	return reactor_stats(u->base.reactor);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t uring_now_ns(struct env *env)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t uring_wall_ns(struct env *env)
{
	return clock_ns(CLOCK_REALTIME);
}

static void uring_random(struct env *env, void *buf, size_t len)
{
	char *at = buf;

	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		ASSERT(got > 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			len -= (size_t)got;
		}
	}
}

int uring_env_new(struct iobuf_arena *arena, struct env **ret, struct err *err)
{
	struct uenv *u = calloc(1, sizeof(*u));

	if (!u)
		return err_set(err, -ENOMEM, "no memory for a ring");
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0) {
		free(u);
		return err_set(err, -errno, "cannot create an eventfd: %s", strerror(errno));
	}
	(void)pthread_mutex_init(&u->ioctl_lock, NULL);
	u->base.ops = &uring_ops;
	list_init(&u->attached);
	list_init(&u->arm);
	list_init(&u->ready);
	list_init(&u->cancels);
	list_init(&u->parked);
	list_init(&u->settled);
	list_init(&u->ioctl_done);
	if (arena)
		u->arena = iobuf_arena_base(arena, &u->arena_size, NULL);
	*ret = &u->base;
	return 0;
}

static void uring_free(struct env *env)
{
	struct uenv *u = uenv_of(env);

	ASSERT(!u->up);
	upoll_free_all(u);
	(void)pthread_mutex_destroy(&u->ioctl_lock);
	(void)close(u->wake_fd);
	free(u);
}

static void check_enter(int rc)
{
	/* The rest of them mean that we passed nonsense or lost completions. */
	ASSERT(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
}

struct io_uring_sqe *uring_sqe(struct uenv *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	counter_add(&stats(u)->enters, 1);
	check_enter(io_uring_submit(&u->ring));
	return io_uring_get_sqe(&u->ring);
}

static void arm_wake(struct uenv *u)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	if (!sqe)
		return;
	io_uring_prep_poll_multishot(sqe, u->wake_fd, POLLIN);
	io_uring_sqe_set_data64(sqe, TAG_WAKE);
	u->wake_armed = true;
}

static int uring_thread_init(struct env *env, struct err *err)
{
	struct uenv *u = uenv_of(env);
	int rc;

	ASSERT(!u->up);
	rc = uring_ring_init(u, err);
	if (rc < 0)
		return rc;
	u->up = true;
	u->tid = gettid();
	arm_wake(u);
	list_for_each (it, &u->attached) {
		struct usock *s = list_entry(it, struct usock, attached_link);

		usock_mark_ready(s, SOCK_EV_READ);
		s->want_read_poll = true;
		if (!list_linked(&s->arm_link))
			list_push_back(&u->arm, &s->arm_link);
	}
	return 0;
}

/* Whether all that waits for a place in the ring has one. */
static bool queue_all(struct uenv *u)
{
	if (!u->wake_armed)
		arm_wake(u);
	return ufile_queue_parked(u) && upoll_queue(u) && u->wake_armed;
}

static void handle_cqe(struct uenv *u, uint64_t data, int res, unsigned flags)
{
	void *p = (void *)(uintptr_t)(data & ~(uint64_t)TAG_MASK);

	switch (data & TAG_MASK) {
	case TAG_FILE:
		ufile_cqe(u, p, res);
		return;
	case TAG_POLL:
		upoll_cqe(u, p, res, flags);
		return;
	case TAG_WAKE:
		/*
		 * The eventfd is not read: each write to it wakes the poll, however high it counts, and it cannot
		 * overflow within the life of a process.
		 */
		if (!(flags & IORING_CQE_F_MORE))
			u->wake_armed = false;
		return;
	case TAG_IGNORE:
		return;
	default:
		UNREACHABLE();
	}
}

static void reap(struct uenv *u)
{
	/* A callback may submit and so make more completions: one pass takes a ring's worth at most. */
	for (unsigned budget = CQ_ENTRIES; budget > 0; budget--) {
		struct io_uring_cqe *cqe;
		uint64_t data;
		unsigned flags;
		int res;

		if (io_uring_peek_cqe(&u->ring, &cqe) || !cqe)
			return;
		data = cqe->user_data;
		res = cqe->res;
		flags = cqe->flags;
		io_uring_cqe_seen(&u->ring, cqe);
		handle_cqe(u, data, res, flags);
	}
}

/* Enters the ring when there is a reason to. */
static void kick(struct uenv *u)
{
	unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);

	if (!io_uring_sq_ready(&u->ring) && !(flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return;
	counter_add(&stats(u)->enters, 1);
	check_enter(io_uring_submit_and_get_events(&u->ring));
}

static void enter_wait(struct uenv *u, int64_t wait_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = wait_ns / (int64_t)NSEC_PER_SEC,
		.tv_nsec = wait_ns % (int64_t)NSEC_PER_SEC,
	};
	struct io_uring_cqe *cqe;

	counter_add(&stats(u)->enters, 1);
	check_enter(io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, wait_ns < 0 ? NULL : &ts,
						     NULL));
}

static void sleep_in_ring(struct uenv *u, int64_t wait_ns)
{
	struct reactor *r = u->base.reactor;
	uint64_t start_ns = r->now_ns;

	probe_reactor_sleep(r->id, wait_ns);
	enter_wait(u, wait_ns);
	reactor_woke(r, start_ns);
	probe_reactor_wake(r->id, r->now_ns - start_ns);
}

static bool has_ready(struct uenv *u)
{
	return !list_empty(&u->ready) || !list_empty(&u->settled) ||
	       atomic_load_explicit(&u->ioctl_ready, memory_order_acquire);
}

static unsigned uring_poll(struct env *env, int64_t wait_ns)
{
	struct uenv *u = uenv_of(env);
	uint64_t files_before = counter_get(&u->files_done);
	unsigned n;

	u->seq++;
	if (!queue_all(u) || has_ready(u))
		wait_ns = 0;
	if (wait_ns) {
		uhot_rearm(u);
		if (!upoll_queue(u))
			wait_ns = 0;
	}
	if (wait_ns)
		sleep_in_ring(u, wait_ns);
	else
		kick(u);
	reap(u);
	n = (unsigned)(counter_get(&u->files_done) - files_before);
	n += ufile_deliver(u);
	n += usock_deliver_ready(u);
	if (!wait_ns)
		n += usock_deliver_hot(u);
	return n;
}

static void uring_submit(struct env *env)
{
	struct uenv *u = uenv_of(env);

	if (!io_uring_sq_ready(&u->ring))
		return;
	counter_add(&stats(u)->enters, 1);
	check_enter(io_uring_submit(&u->ring));
}

static void uring_wake(struct env *env)
{
	const uint64_t one = 1;
	int saved = errno;

	/* Fails only when the count is at its limit, and then the reader is awake. */
	(void)!write(uenv_of(env)->wake_fd, &one, sizeof(one));
	errno = saved;
}

static bool kernel_holds(struct uenv *u)
{
	return u->polls_live || u->files_live || u->ioctls_live || u->wake_armed ||
	       !list_empty(&u->parked);
}

static void cancel_wake(struct uenv *u)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, TAG_WAKE, 0);
	io_uring_sqe_set_data64(sqe, TAG_IGNORE);
}

static void uring_thread_fini(struct env *env)
{
	struct uenv *u = uenv_of(env);

	list_for_each (it, &u->attached)
		upoll_orphan_all(list_entry(it, struct usock, attached_link));
	if (u->wake_armed)
		cancel_wake(u);
	for (int i = 0; i < DRAIN_SECONDS_MAX && kernel_holds(u); i++) {
		(void)ufile_queue_parked(u);
		(void)upoll_queue(u);
		enter_wait(u, (int64_t)NSEC_PER_SEC);
		reap(u);
		(void)ufile_deliver(u);
	}
	ASSERT(!kernel_holds(u));
	ufile_drop_slots(u);
	io_uring_queue_exit(&u->ring);
	u->up = false;
}

const struct env_ops uring_ops = {
	.free = uring_free,
	.now_ns = uring_now_ns,
	.wall_ns = uring_wall_ns,
	.random = uring_random,
	.thread_init = uring_thread_init,
	.thread_fini = uring_thread_fini,
	.poll = uring_poll,
	.submit = uring_submit,
	.wake = uring_wake,
	.sock_listen = usock_listen,
	.sock_connect = usock_connect,
	.sock_accept = usock_accept,
	.sock_error = usock_error,
	.sock_attach = usock_attach,
	.sock_detach = usock_detach,
	.sock_recv = usock_recv,
	.sock_send = usock_send,
	.sock_want_write = usock_want_write,
	.sock_want_read = usock_want_read,
	.sock_shutdown_write = usock_shutdown_write,
	.sock_close = usock_close,
	.sock_addr = usock_addr,
	.sock_fd = usock_fd,
	.sock_export = usock_fd,
	.sock_import = usock_import,
	.sock_export_close = usock_export_close,
	.file_open = ufile_open,
	.file_export = ufile_export,
	.file_adopt = ufile_adopt,
	.file_close = ufile_close,
	.file_rescan = ufile_rescan,
	.file_submit = ufile_submit,
};
