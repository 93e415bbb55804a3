/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inbox of a reactor.
 *
 * Invariants:
 *  1. Messages come out in the order in which their pushes took effect, so those of one sender are in order.
 *  2. A message is not touched by the queue once it was taken: its owner may free or post it again.
 *  3. No wake-up is lost. The poster pushes, then reads `sleeping`; the reactor sets `sleeping`, then reads the
 *     inbox. All four are sequentially consistent: at least one of the two sees the other's write.
 */
#include "rt/reactor_priv.h"

#include <stddef.h>

#include "base/check.h"
#include "rt/env.h"

void msg_queue_push(struct msg_queue *q, struct msg *m)
{
	struct msg *top = atomic_load_explicit(&q->top, memory_order_relaxed);

	do {
		m->next = top;
	} while (!atomic_compare_exchange_weak(&q->top, &top, m));
}

bool msg_queue_empty(struct msg_queue *q)
{
	return atomic_load(&q->top) == NULL;
}

struct msg *msg_queue_take(struct msg_queue *q)
{
	struct msg *newest, *oldest = NULL;

	if (!atomic_load_explicit(&q->top, memory_order_relaxed))
		return NULL;
	newest = atomic_exchange_explicit(&q->top, NULL, memory_order_acquire);
	while (newest) {
		struct msg *older = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = older;
	}
	return oldest;
}

void reactor_post(struct reactor *r, struct msg *msg)
{
	ASSERT(msg->run);
	msg_queue_push(&r->inbox, msg);
	/* The first poster after the reactor went to sleep wakes it; the rest need not. */
	if (atomic_load(&r->sleeping) && atomic_exchange(&r->sleeping, false))
		r->env->ops->wake(r->env);
}
