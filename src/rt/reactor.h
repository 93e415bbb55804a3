/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reactor: one thread, one ring, one loop, share-nothing. Everything that belongs to it (sockets, timers,
 * tasks, buffers, requests) is touched by its thread alone; others send it a message.
 *
 * One pass of the loop, in this order:
 *   1. messages from other threads            5. submit what the pass queued to the kernel, reap completions
 *   2. timers that are due                    6. tasks again, until none is left
 *   3. sockets that are readable or writable  7. late tasks: the ONE sendmsg per dirty connection
 *   4. tasks (run soon, same pass)            8. sleep, when nothing came for poll_us
 *
 * The world outside (kernel, clock, random) is behind struct env (rt/env.h): the same reactor runs on
 * io_uring and in the simulator. No callback is ever run inside the call that asked for it.
 */
#ifndef LITEPOOL_RT_REACTOR_H
#define LITEPOOL_RT_REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/err.h"
#include "base/list.h"

struct env;
struct iobuf_pool;
struct reactor;

#define REACTORS_MAX 64

/* Polling: microseconds to go on spinning after the last work; eight times that while file I/O is under way. */
#define POLL_US_NEVER   0
#define POLL_US_ALWAYS  (-1)
#define POLL_US_DEFAULT 50

struct reactor_opts {
	unsigned id;      /* dense, < REACTORS_MAX; the control reactor has the highest */
	const char *name; /* thread name, at most 15 bytes; copied */
	int cpu;          /* core to pin to, -1: none */
	int64_t poll_us;  /* see above */
};

struct reactor_stats {
	counter passes, busy_passes, sleeps;
	counter busy_ns, sleep_ns;
	counter enters; /* system calls into the ring */
	counter recv_calls, send_calls, recv_bytes, send_bytes;
	counter file_ops, messages, timers_fired;
};

/* Takes env (freed with the reactor). The reactor does not run yet. */
int reactor_new(const struct reactor_opts *opts, struct env *env, struct reactor **ret,
		struct err *err);
/*
 * After reactor_join(), or never started. Nobody may be inside reactor_post() to it any more, not even past the point where
 * the message ran: of reactors that post to each other, all are joined before the first is freed.
 */
void reactor_free(struct reactor *r);

/* Runs the loop in a thread of its own until reactor_stop(). */
int reactor_start(struct reactor *r, struct err *err);
/*
 * Binds r to the calling thread, which will run it: its ring is made. Optional before reactor_run() and reactor_pass(), which
 * do it by themselves but end the process when it fails.
 */
int reactor_prepare(struct reactor *r, struct err *err);
/* Runs the loop in the calling thread until reactor_stop(). */
void reactor_run(struct reactor *r);
/* The opposite of reactor_prepare(), on the same thread; reactor_free() does it too. */
void reactor_leave(struct reactor *r);
/* One pass; sleeps at most wait_ns (0: not at all, < 0: no limit). For tests and the simulator. True if there was work. */
bool reactor_pass(struct reactor *r, int64_t wait_ns);
void reactor_stop(struct reactor *r); /* any thread, and async-signal-safe */
void reactor_join(struct reactor *r);

/* The reactor whose loop is running in this thread, or NULL. */
struct reactor *reactor_current(void);

unsigned reactor_id(const struct reactor *r);
const char *reactor_name(const struct reactor *r);
struct env *reactor_env(struct reactor *r);
struct reactor_stats *reactor_stats(struct reactor *r);
struct iobuf_pool *reactor_iobufs(struct reactor *r); /* NULL until reactor_set_iobufs */
void reactor_set_iobufs(struct reactor *r, struct iobuf_pool *pool); /* before it runs; borrowed */
void reactor_set_poll_us(struct reactor *r, int64_t poll_us);        /* any thread */

/* Monotonic time of this pass, ns. Costs nothing; at most a pass old. */
uint64_t reactor_now(const struct reactor *r);
/* Reads the clock now. */
uint64_t reactor_now_exact(struct reactor *r);
/*
 * For what is done very often and takes about a microsecond: a few calls within a pass share a look at the clock, which costs some 25 ns. fresh: looks, because
 * what was done since the last call may have taken long. Never earlier than reactor_now().
 */
uint64_t reactor_now_near(struct reactor *r, bool fresh);
uint64_t reactor_wall_ns(struct reactor *r);
/* Deadline of the earliest timer, ns; UINT64_MAX: none. */
uint64_t reactor_next_timer(const struct reactor *r);
/* Random bytes of cryptographic quality (in the simulator: seeded). */
void reactor_random(struct reactor *r, void *buf, size_t len);

/* A task runs once, later in the same pass. Queueing a queued task does nothing. Zeroed = idle. Own reactor only. */
struct task {
	struct list link;
	void (*run)(struct task *task);
};
void reactor_defer(struct reactor *r, struct task *task);
void reactor_defer_late(struct reactor *r, struct task *task);
void task_cancel(struct task *task); /* idle or queued */

/*
 * A message runs run() on the target's thread. Owned by the receiver from post until run() is entered. Any thread
 * may post (also to itself: then it runs in the next pass). Messages of one sender arrive in order.
 */
struct msg {
	struct msg *next;
	void (*run)(struct msg *msg);
};
void reactor_post(struct reactor *r, struct msg *msg);

/* Timers, own reactor only. Zeroed = idle. run() is called once, at or after deadline_ns. */
struct timer {
	size_t heap_index; /* 1-based; 0 = idle */
	uint64_t deadline_ns;
	struct reactor *reactor;
	void (*run)(struct timer *timer);
};
/* (Re)starts. 0, or -ENOMEM with the timer idle. */
int timer_start(struct reactor *r, struct timer *timer, uint64_t deadline_ns);
void timer_stop(struct timer *timer); /* idle: nothing */

#endif
