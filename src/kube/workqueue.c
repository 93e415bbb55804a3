/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key's states, all changes under the lock:
 *
 *   (none) -add-> READY -get-> RUNNING -done-> IDLE, or READY or DELAYED when it was added meanwhile (`again`)
 *   (none) -add_after-> DELAYED -due-> READY
 *   IDLE keys are kept only for the count of their failures.
 */
#include "kube/workqueue.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/strmap.h"
#include "rt/lock.h"

#define DELAY_MIN_MS 5
#define DELAY_MAX_MS 300000
#define SHIFT_MAX    24

enum item_state { ITEM_IDLE, ITEM_READY, ITEM_DELAYED, ITEM_RUNNING };

struct item {
	struct list link; /* ready */
	enum item_state state;
	bool again;      /* RUNNING: is to be given out again, at due_ms */
	uint64_t due_ms; /* DELAYED, again */
	size_t heap_at;  /* DELAYED */
	uint32_t failures;
	char key[];
};

struct workqueue {
	struct workqueue_config config;
	struct lock *lock; /* protects what follows */
	struct strmap items;
	struct list ready;
	size_t n_ready;
	struct item **heap; /* DELAYED, the earliest first; room for every item */
	size_t n_heap, heap_size;
	bool shut;
};

/* ---- the heap ---- */

static void heap_set(struct workqueue *q, size_t i, struct item *item)
{
	q->heap[i] = item;
	item->heap_at = i;
}

static void heap_up(struct workqueue *q, struct item *item)
{
	size_t i = item->heap_at;

	while (i && q->heap[(i - 1) / 2]->due_ms > item->due_ms) {
		heap_set(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(q, i, item);
}

static void heap_down(struct workqueue *q, struct item *item)
{
	size_t i = item->heap_at, child;

	while ((child = 2 * i + 1) < q->n_heap) {
		if (child + 1 < q->n_heap && q->heap[child + 1]->due_ms < q->heap[child]->due_ms)
			child++;
		if (q->heap[child]->due_ms >= item->due_ms)
			break;
		heap_set(q, i, q->heap[child]);
		i = child;
	}
	heap_set(q, i, item);
}

static void heap_push(struct workqueue *q, struct item *item)
{
	ASSERT(q->n_heap < q->heap_size);
	item->heap_at = q->n_heap++;
	heap_up(q, item);
}

static void heap_remove(struct workqueue *q, struct item *item)
{
	struct item *last = q->heap[--q->n_heap];

	if (last == item)
		return;
	heap_set(q, item->heap_at, last);
	heap_down(q, last);
	heap_up(q, last);
}

/* ---- states ---- */

static void make_ready(struct workqueue *q, struct item *item)
{
	item->state = ITEM_READY;
	list_push_back(&q->ready, &item->link);
	q->n_ready++;
	lock_wake(q->lock);
}

static void make_delayed(struct workqueue *q, struct item *item, uint64_t due_ms)
{
	item->state = ITEM_DELAYED;
	item->due_ms = due_ms;
	heap_push(q, item);
	lock_wake(q->lock);
}

static void make_idle(struct workqueue *q, struct item *item)
{
	item->state = ITEM_IDLE;
	if (item->failures)
		return;
	(void)strmap_remove(&q->items, item->key);
	free(item);
}

/* The item of the key, made when there is none. The heap has room for it, so that nothing can fail later. */
static struct item *item_of(struct workqueue *q, const char *key)
{
	struct item *item = strmap_get(&q->items, key);
	size_t size = strlen(key) + 1;

	if (item)
		return item;
	if (q->items.count == q->heap_size) {
		size_t want = q->heap_size ? q->heap_size * 2 : 64;
		struct item **heap = reallocarray(q->heap, want, sizeof(struct item *));

		if (!heap)
			return NULL;
		q->heap = heap;
		q->heap_size = want;
	}
	item = calloc(1, sizeof(*item) + size);
	if (!item)
		return NULL;
	memcpy(item->key, key, size);
	if (strmap_set(&q->items, key, item, NULL)) {
		free(item);
		return NULL;
	}
	return item;
}

static void schedule(struct workqueue *q, struct item *item, uint64_t now_ms, uint64_t due_ms)
{
	switch (item->state) {
	case ITEM_READY:
		break;
	case ITEM_RUNNING:
		if (!item->again || due_ms < item->due_ms)
			item->due_ms = due_ms;
		item->again = true;
		break;
	case ITEM_DELAYED:
		if (due_ms >= item->due_ms)
			break;
		heap_remove(q, item);
		__attribute__((fallthrough));
	case ITEM_IDLE:
		if (due_ms <= now_ms)
			make_ready(q, item);
		else
			make_delayed(q, item, due_ms);
		break;
	}
}

/* ---- the interface ---- */

static int add(struct workqueue *q, const char *key, uint64_t delay_ms, bool failed)
{
	uint64_t now_ms = kube_mono_ms(q->config.clock);
	struct item *item;

	if (strlen(key) > KUBE_KEY_MAX)
		return -ENAMETOOLONG;
	lock_take(q->lock);
	item = item_of(q, key);
	if (item && failed) {
		unsigned shift = item->failures < SHIFT_MAX ? item->failures : SHIFT_MAX;

		delay_ms = (uint64_t)q->config.delay_min_ms << shift;
		if (delay_ms > q->config.delay_max_ms)
			delay_ms = q->config.delay_max_ms;
		if (item->failures < UINT32_MAX)
			item->failures++;
	}
	if (item)
		schedule(q, item, now_ms, now_ms + delay_ms);
	lock_drop(q->lock);
	return item ? 0 : -ENOMEM;
}

int workqueue_add(struct workqueue *q, const char *key)
{
	return add(q, key, 0, false);
}

int workqueue_add_after(struct workqueue *q, const char *key, uint32_t delay_ms)
{
	return add(q, key, delay_ms, false);
}

int workqueue_retry(struct workqueue *q, const char *key)
{
	return add(q, key, 0, true);
}

void workqueue_forget(struct workqueue *q, const char *key)
{
	struct item *item;

	lock_take(q->lock);
	item = strmap_get(&q->items, key);
	if (item) {
		item->failures = 0;
		if (item->state == ITEM_IDLE)
			make_idle(q, item);
	}
	lock_drop(q->lock);
}

static void take_due(struct workqueue *q, uint64_t now_ms)
{
	while (q->n_heap && q->heap[0]->due_ms <= now_ms) {
		struct item *item = q->heap[0];

		heap_remove(q, item);
		make_ready(q, item);
	}
}

/* How long to wait: until the next key is due, no longer than left_ms (< 0: no limit). */
static int wait_ms(const struct workqueue *q, uint64_t now_ms, int64_t left_ms)
{
	int64_t wait = q->n_heap ? (int64_t)(q->heap[0]->due_ms - now_ms) : -1;

	if (wait < 0 || (left_ms >= 0 && left_ms < wait))
		wait = left_ms;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

int workqueue_get(struct workqueue *q, char *key, int timeout_ms)
{
	uint64_t now_ms = kube_mono_ms(q->config.clock), end_ms = now_ms + (uint64_t)timeout_ms;
	struct item *item = NULL;
	int rc;

	lock_take(q->lock);
	for (;;) {
		take_due(q, now_ms);
		if (q->shut || q->n_ready || (timeout_ms >= 0 && now_ms >= end_ms))
			break;
		lock_wait(q->lock,
			  wait_ms(q, now_ms, timeout_ms < 0 ? -1 : (int64_t)(end_ms - now_ms)));
		now_ms = kube_mono_ms(q->config.clock);
	}
	rc = q->shut ? -ESHUTDOWN : q->n_ready ? 0 : -EAGAIN;
	if (!rc) {
		item = container_of(q->ready.next, struct item, link);
		list_remove(&item->link);
		q->n_ready--;
		item->state = ITEM_RUNNING;
		memcpy(key, item->key, strlen(item->key) + 1);
	}
	lock_drop(q->lock);
	return rc;
}

void workqueue_done(struct workqueue *q, const char *key)
{
	uint64_t now_ms = kube_mono_ms(q->config.clock);
	struct item *item;
	bool again;

	lock_take(q->lock);
	item = strmap_get(&q->items, key);
	ASSERT(item && item->state == ITEM_RUNNING);
	again = item->again;
	item->again = false;
	item->state = ITEM_IDLE;
	if (again)
		schedule(q, item, now_ms, item->due_ms);
	else
		make_idle(q, item);
	lock_drop(q->lock);
}

void workqueue_shut(struct workqueue *q)
{
	lock_take(q->lock);
	q->shut = true;
	lock_wake(q->lock);
	lock_drop(q->lock);
}

void workqueue_counts(struct workqueue *q, size_t *ret_ready, size_t *ret_delayed)
{
	lock_take(q->lock);
	*ret_ready = q->n_ready;
	*ret_delayed = q->n_heap;
	lock_drop(q->lock);
}

int64_t workqueue_next_ms(struct workqueue *q)
{
	uint64_t now_ms = kube_mono_ms(q->config.clock);
	int64_t wait;

	lock_take(q->lock);
	take_due(q, now_ms);
	wait = q->n_ready ? 0 : q->n_heap ? (int64_t)(q->heap[0]->due_ms - now_ms) : -1;
	lock_drop(q->lock);
	return wait;
}

int workqueue_new(const struct workqueue_config *config, struct workqueue **ret)
{
	struct workqueue *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	if (config)
		q->config = *config;
	if (!q->config.clock)
		q->config.clock = kube_clock_host();
	if (!q->config.delay_min_ms)
		q->config.delay_min_ms = DELAY_MIN_MS;
	if (!q->config.delay_max_ms)
		q->config.delay_max_ms = DELAY_MAX_MS;
	list_init(&q->ready);
	if (lock_new(&q->lock)) {
		workqueue_free(q);
		return -ENOMEM;
	}
	*ret = q;
	return 0;
}

void workqueue_free(struct workqueue *q)
{
	struct strmap_iter it = {0};

	if (!q)
		return;
	while (strmap_next(&q->items, &it))
		free(it.value);
	strmap_fini(&q->items);
	free(q->heap);
	lock_free(q->lock);
	free(q);
}
