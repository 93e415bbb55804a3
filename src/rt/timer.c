/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap by deadline.
 *
 * Invariants:
 *  1. slots[t->heap_index] == t for each running timer; heap_index is 0 for each idle one.
 *  2. A timer that a callback starts with a deadline already past runs in the next pass, so that one pass ends.
 */
#include "rt/reactor_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

#define TIMERS_FIRST 256

int timer_heap_init(struct timer_heap *heap)
{
	heap->slots = calloc(TIMERS_FIRST + 1, sizeof(struct timer *));
	if (!heap->slots)
		return -ENOMEM;
	heap->capacity = TIMERS_FIRST;
	heap->count = 0;
	heap->firing = false;
	return 0;
}

void timer_heap_fini(struct timer_heap *heap)
{
	for (size_t i = 1; i <= heap->count; i++)
		heap->slots[i]->heap_index = 0;
	free(heap->slots);
	*heap = (struct timer_heap){0};
}

uint64_t timer_heap_next(const struct timer_heap *heap)
{
	return heap->count ? heap->slots[1]->deadline_ns : UINT64_MAX;
}

static void place(struct timer_heap *heap, size_t i, struct timer *t)
{
	heap->slots[i] = t;
	t->heap_index = i;
}

/* Moves t from slot i to where it belongs. */
static void sift(struct timer_heap *heap, size_t i, struct timer *t)
{
	while (i > 1 && t->deadline_ns < heap->slots[i / 2]->deadline_ns) {
		place(heap, i, heap->slots[i / 2]);
		i /= 2;
	}
	for (;;) {
		size_t child = 2 * i;

		if (child > heap->count)
			break;
		if (child < heap->count &&
		    heap->slots[child + 1]->deadline_ns < heap->slots[child]->deadline_ns)
			child++;
		if (t->deadline_ns <= heap->slots[child]->deadline_ns)
			break;
		place(heap, i, heap->slots[child]);
		i = child;
	}
	place(heap, i, t);
}

static int grow(struct timer_heap *heap)
{
	size_t capacity = heap->capacity * 2;
	struct timer **slots = realloc(heap->slots, (capacity + 1) * sizeof(struct timer *));

	if (!slots)
		return -ENOMEM;
	heap->slots = slots;
	heap->capacity = capacity;
	return 0;
}

int timer_start(struct reactor *r, struct timer *timer, uint64_t deadline_ns)
{
	struct timer_heap *heap = &r->timers;

	ASSERT(timer->run);
	ASSERT(!reactor_current() || reactor_current() == r);
	timer_stop(timer);
	if (heap->count == heap->capacity && grow(heap) < 0)
		return -ENOMEM;
	if (heap->firing && deadline_ns <= r->now_ns)
		deadline_ns = r->now_ns + 1;
	timer->deadline_ns = deadline_ns;
	timer->reactor = r;
	heap->count++;
	sift(heap, heap->count, timer);
	return 0;
}

void timer_stop(struct timer *timer)
{
	struct timer_heap *heap;
	struct timer *last;
	size_t i = timer->heap_index;

	if (!i)
		return;
	heap = &timer->reactor->timers;
	ASSERT(!reactor_current() || reactor_current() == timer->reactor);
	ASSERT(i <= heap->count);
	ASSERT(heap->slots[i] == timer);
	last = heap->slots[heap->count--];
	timer->heap_index = 0;
	if (last != timer)
		sift(heap, i, last);
}

unsigned timer_heap_fire(struct reactor *r)
{
	struct timer_heap *heap = &r->timers;
	unsigned fired = 0;

	heap->firing = true;
	while (heap->count && heap->slots[1]->deadline_ns <= r->now_ns) {
		struct timer *t = heap->slots[1];

		timer_stop(t);
		t->run(t);
		fired++;
	}
	heap->firing = false;
	counter_add(&r->stats.timers_fired, fired);
	return fired;
}
