/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few threads for calls that block (open, stat, fsync of configuration, ioctl). done() runs as a message on the reactor that asked.
 */
#ifndef LITEPOOL_RT_WORKER_H
#define LITEPOOL_RT_WORKER_H

#include "base/err.h"
#include "rt/reactor.h"

struct worker_pool;

struct work {
	void (*run)(struct work *work);  /* on a worker thread, may block */
	void (*done)(struct work *work); /* on the reactor that asked */
	/* The pool's own. */
	struct msg msg;
	struct reactor *reactor;
	struct list link;
};

/* n_threads 0: work runs at once in the calling thread (the simulator); done() still comes as a message. */
int worker_pool_new(unsigned n_threads, struct worker_pool **ret, struct err *err);
/* Waits for what is under way. */
void worker_pool_free(struct worker_pool *pool);
/* Owned by the pool until done(). Reactor threads only. */
void worker_submit(struct worker_pool *pool, struct work *work);
/* The same without done(): run() is the last touch of work and may free it. Any thread; the pool must have threads. */
void worker_submit_alone(struct worker_pool *pool, struct work *work);

#endif
