/* SPDX-License-Identifier: Apache-2.0 */
/* What a reactor is made of; for src/rt alone. */
#ifndef LITEPOOL_RT_REACTOR_PRIV_H
#define LITEPOOL_RT_REACTOR_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "rt/reactor.h"

/* Binary heap of timers by deadline; slot 0 is unused, so that heap_index 0 can mean idle. */
struct timer_heap {
	struct timer **slots;
	size_t count, capacity;
	bool firing; /* inside timer_heap_fire() */
};

int timer_heap_init(struct timer_heap *heap);
void timer_heap_fini(struct timer_heap *heap);
/* Earliest deadline, or UINT64_MAX. */
uint64_t timer_heap_next(const struct timer_heap *heap);
/* Runs what is due at r's now; returns how many. */
unsigned timer_heap_fire(struct reactor *r);

/* Many producers, one consumer. Producers push on a stack; the consumer takes all of it and turns it round. */
struct msg_queue {
	_Atomic(struct msg *) top;
};

void msg_queue_push(struct msg_queue *q, struct msg *m);
bool msg_queue_empty(struct msg_queue *q);
/* All that is there, oldest first, linked by next. */
struct msg *msg_queue_take(struct msg_queue *q);

struct reactor {
	/* Touched by posting threads. */
	struct msg_queue inbox;
	_Atomic bool sleeping; /* a poster has to wake the reactor */
	_Atomic bool stop;
	_Atomic int64_t poll_us;

	/* The reactor's own thread only. */
	_Alignas(64) struct env *env;
	uint64_t now_ns, last_work_ns;
	uint64_t near_ns; /* reactor_now_near(): what it gives near_left times more in this pass */
	unsigned near_left;
	uint32_t files_under_way; /* file I/O that was submitted and is not done */
	struct list tasks, late_tasks;
	struct timer_heap timers;
	struct iobuf_pool *iobufs;
	bool prepared;

	struct reactor_stats stats;
	unsigned id;
	int cpu;
	char name[16];

	/* reactor_start() and reactor_join(). */
	pthread_t thread;
	bool thread_running;
};

int reactor_cpu(const struct reactor *r);

#endif
