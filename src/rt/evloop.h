/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small event loop on epoll, on a thread of its own, for the sockets of the control plane's servers. The reactor is for the data path and stands on
 * io_uring, which the default seccomp profile of container runtimes refuses: what runs in an ordinary pod uses this.
 *
 * Threads: everything but evloop_post(), evloop_now_ns() and what starts and ends the loop is for the loop's own thread. No callback is run inside
 * the call that asked for it.
 */
#ifndef LITEPOOL_RT_EVLOOP_H
#define LITEPOOL_RT_EVLOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/list.h"

struct evloop;

/* Embedded in its owner, who fills run. Posted at most once at a time. */
struct evloop_task {
	void (*run)(struct evloop_task *task);
	struct list link;
};

/* Embedded in its owner, who fills fire. */
struct evloop_timer {
	void (*fire)(struct evloop_timer *timer);
	uint64_t due_ns; /* of evloop_now_ns() */
	struct list link;
};

/* Embedded in its owner, who fills the first two; the descriptor stays the owner's. */
struct evloop_fd {
	void (*ready)(struct evloop_fd *watch, bool readable, bool writable);
	int fd;
	bool want_read, want_write;
};

/* Starts the thread. */
int evloop_new(const char *name, struct evloop **ret, struct err *err);
/* Any thread but the loop's: runs what was posted before, then ends the thread. What is still watched or timed is forgotten. */
void evloop_free(struct evloop *loop);

/* Any thread: task->run() on the loop's thread, in the order of posting. */
void evloop_post(struct evloop *loop, struct evloop_task *task);
/* Any thread: a monotonic clock. */
uint64_t evloop_now_ns(void);

int evloop_watch(struct evloop *loop, struct evloop_fd *watch, bool want_read, bool want_write);
/* Does nothing when nothing changes. */
void evloop_want(struct evloop *loop, struct evloop_fd *watch, bool want_read, bool want_write);
/* No ready() any more once this has returned. */
void evloop_unwatch(struct evloop *loop, struct evloop_fd *watch);

/* Replaces an earlier setting. */
void evloop_timer_set(struct evloop *loop, struct evloop_timer *timer, uint64_t due_ns);
void evloop_timer_stop(struct evloop_timer *timer);

/*
 * Non-blocking socket calls, any thread. Bytes; 0 from evloop_recv: the peer has ended; -EAGAIN: not now; else a negative errno. No SIGPIPE.
 */
ssize_t evloop_recv(int fd, void *buf, size_t len);
ssize_t evloop_send(int fd, const void *buf, size_t len);
/* The peer reads the end after what was sent; receiving goes on. */
void evloop_end_sending(int fd);
/* A connection, non-blocking and closed on exec; -EAGAIN when none waits. */
int evloop_accept(int listen_fd);

#endif
