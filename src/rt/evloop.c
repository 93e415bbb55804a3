/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants:
 *  1. Tasks run in the order of posting, also those posted while the loop ends.
 *  2. ready() is not called for a watch that was taken away, though the kernel had reported it in the same batch: its slot in the batch is cleared.
 *  3. Timers are a list sorted by due time; a loop has few (a call's deadline, a connection's patience), so inserting walks it.
 */
#include "rt/evloop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "rt/thread.h"

#define BATCH 64

struct evloop {
	int epoll_fd, wake_fd;
	pthread_t thread;
	char name[16];
	struct list timers; /* evloop_timer.link */
	struct epoll_event batch[BATCH];
	int n_batch, at; /* batch[at] is being handled */

	pthread_mutex_t lock; /* protects what follows */
	struct list tasks;    /* evloop_task.link */
	bool ending;
};

uint64_t evloop_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void wake(struct evloop *loop)
{
	uint64_t one = 1;
	ssize_t n = write(loop->wake_fd, &one, sizeof(one));

	ASSERT(n == sizeof(one) || errno == EAGAIN);
}

static int wait_ms(const struct evloop *loop)
{
	uint64_t now, due;

	if (list_empty(&loop->timers))
		return -1;
	now = evloop_now_ns();
	due = list_first(&loop->timers, struct evloop_timer, link)->due_ns;
	if (due <= now)
		return 0;
	return (int)MIN((due - now) / NSEC_PER_MSEC + 1, (uint64_t)3600000);
}

static void run_timers(struct evloop *loop)
{
	uint64_t now = evloop_now_ns();

	while (!list_empty(&loop->timers)) {
		struct evloop_timer *timer = list_first(&loop->timers, struct evloop_timer, link);

		if (timer->due_ns > now)
			break;
		list_remove(&timer->link);
		timer->fire(timer);
	}
}

/* Takes what was posted. False: the end was asked for, and nothing was posted before it. */
static bool take_tasks(struct evloop *loop, struct list *taken, bool *ret_ending)
{
	list_init(taken);
	(void)pthread_mutex_lock(&loop->lock);
	list_splice_back(taken, &loop->tasks);
	*ret_ending = loop->ending;
	(void)pthread_mutex_unlock(&loop->lock);
	return !*ret_ending || !list_empty(taken);
}

/* False: the loop is to end. While it ends it does not wait between tasks: the wake that came with the end may have been read with theirs. */
static bool run_tasks(struct evloop *loop)
{
	struct list taken, *node;
	bool ending;

	do {
		if (!take_tasks(loop, &taken, &ending))
			return false;
		while ((node = list_pop_front(&taken))) {
			struct evloop_task *task = list_entry(node, struct evloop_task, link);

			task->run(task);
		}
	} while (ending);
	return true;
}

static void run_events(struct evloop *loop)
{
	for (loop->at = 0; loop->at < loop->n_batch; loop->at++) {
		const struct epoll_event *event = &loop->batch[loop->at];
		struct evloop_fd *watch = event->data.ptr;
		uint32_t bad = EPOLLERR | EPOLLHUP;

		if (watch)
			watch->ready(watch, event->events & (EPOLLIN | EPOLLRDHUP | bad),
				     event->events & (EPOLLOUT | bad));
	}
	loop->n_batch = 0;
}

static void *loop_main(void *arg)
{
	struct evloop *loop = arg;
	uint64_t count;

	(void)pthread_setname_np(pthread_self(), loop->name);
	while (run_tasks(loop)) {
		int n = epoll_wait(loop->epoll_fd, loop->batch, BATCH, wait_ms(loop));

		ASSERT(n >= 0 || errno == EINTR);
		loop->n_batch = n < 0 ? 0 : n;
		/* Emptied before the tasks are looked at: a task that comes after is seen in the next pass. */
		if (read(loop->wake_fd, &count, sizeof(count)) < 0)
			ASSERT(errno == EAGAIN);
		run_events(loop);
		run_timers(loop);
	}
	return NULL;
}

static int open_fds(struct evloop *loop)
{
	struct epoll_event event = {.events = EPOLLIN};

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0)
		return -errno;
	return 0;
}

static void discard(struct evloop *loop)
{
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int evloop_new(const char *name, struct evloop **ret, struct err *err)
{
	struct evloop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return err_set(err, -ENOMEM, "no memory for an event loop");
	loop->epoll_fd = loop->wake_fd = -1;
	memcpy(loop->name, name, strnlen(name, sizeof(loop->name) - 1));
	list_init(&loop->timers);
	list_init(&loop->tasks);
	(void)pthread_mutex_init(&loop->lock, NULL);
	rc = open_fds(loop);
	if (!rc)
		rc = thread_create_quiet(&loop->thread, loop_main, loop);
	if (rc < 0) {
		discard(loop);
		return err_set(err, rc, "cannot start event loop '%s': %s", name, strerror(-rc));
	}
	*ret = loop;
	return 0;
}

void evloop_free(struct evloop *loop)
{
	if (!loop)
		return;
	(void)pthread_mutex_lock(&loop->lock);
	loop->ending = true;
	(void)pthread_mutex_unlock(&loop->lock);
	wake(loop);
	(void)pthread_join(loop->thread, NULL);
	discard(loop);
}

void evloop_post(struct evloop *loop, struct evloop_task *task)
{
	ASSERT(task->run);
	(void)pthread_mutex_lock(&loop->lock);
	list_push_back(&loop->tasks, &task->link);
	(void)pthread_mutex_unlock(&loop->lock);
	wake(loop);
}

static uint32_t events_of(const struct evloop_fd *watch)
{
	return (watch->want_read ? (uint32_t)EPOLLIN | EPOLLRDHUP : 0) |
	       (watch->want_write ? (uint32_t)EPOLLOUT : 0);
}

int evloop_watch(struct evloop *loop, struct evloop_fd *watch, bool want_read, bool want_write)
{
	struct epoll_event event = {.data.ptr = watch};

	ASSERT(watch->ready);
	watch->want_read = want_read;
	watch->want_write = want_write;
	event.events = events_of(watch);
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

void evloop_want(struct evloop *loop, struct evloop_fd *watch, bool want_read, bool want_write)
{
	struct epoll_event event = {.data.ptr = watch};
	int rc;

	if (watch->want_read == want_read && watch->want_write == want_write)
		return;
	watch->want_read = want_read;
	watch->want_write = want_write;
	event.events = events_of(watch);
	rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
	ASSERT(rc == 0);
}

void evloop_unwatch(struct evloop *loop, struct evloop_fd *watch)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	for (int i = loop->at; i < loop->n_batch; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

void evloop_timer_set(struct evloop *loop, struct evloop_timer *timer, uint64_t due_ns)
{
	struct list *at;

	ASSERT(timer->fire);
	list_remove(&timer->link);
	at = loop->timers.prev;
	timer->due_ns = due_ns;
	while (at != &loop->timers && list_entry(at, struct evloop_timer, link)->due_ns > due_ns)
		at = at->prev;
	list_push_after(at, &timer->link);
}

void evloop_timer_stop(struct evloop_timer *timer)
{
	list_remove(&timer->link);
}

ssize_t evloop_recv(int fd, void *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

ssize_t evloop_send(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

void evloop_end_sending(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

int evloop_accept(int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}
