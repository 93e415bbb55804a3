/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be looked at (again), as keys.
 *
 * 1. A key is there once, however often it is added.
 * 2. A key is with one worker at a time; what is added meanwhile comes after workqueue_done().
 * 3. A key that is added is given out at least once afterwards.
 * Any thread. Keys are at most KUBE_KEY_MAX bytes.
 */
#ifndef LITEPOOL_KUBE_WORKQUEUE_H
#define LITEPOOL_KUBE_WORKQUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "kube/clock.h"

#define KUBE_KEY_MAX 511

struct workqueue;

struct workqueue_config {
	const struct kube_clock *clock; /* NULL: the host's */
	uint32_t delay_min_ms,
		delay_max_ms; /* of retries; 0: 5 ms, 300 s. Doubles with each failure. */
};

/* config may be NULL. */
int workqueue_new(const struct workqueue_config *config, struct workqueue **ret);
/* No thread waits in it. */
void workqueue_free(struct workqueue *q);

/* 0, -ENAMETOOLONG or -ENOMEM; then the key is not in the queue. */
int workqueue_add(struct workqueue *q, const char *key);
/* At the earlier of this time and one that is set already. */
int workqueue_add_after(struct workqueue *q, const char *key, uint32_t delay_ms);
/* After a failure: later and later, until workqueue_forget(). */
int workqueue_retry(struct workqueue *q, const char *key);
void workqueue_forget(struct workqueue *q, const char *key);

/*
 * Takes a key out into key (KUBE_KEY_MAX + 1 bytes): the oldest that is due. Waits for one at most timeout_ms (0: not; < 0: for ever).
 * -EAGAIN: none; -ESHUTDOWN. The taker calls workqueue_done() when it is finished with it.
 */
int workqueue_get(struct workqueue *q, char *key, int timeout_ms);
void workqueue_done(struct workqueue *q, const char *key);
/* Wakes all takers: -ESHUTDOWN from now on. */
void workqueue_shut(struct workqueue *q);

/* Keys that are due, and all that are waiting for their time. */
void workqueue_counts(struct workqueue *q, size_t *ret_ready, size_t *ret_delayed);
/* Until the next key is due: 0 now, -1 none. For those who do not wait in workqueue_get(). */
int64_t workqueue_next_ms(struct workqueue *q);

#endif
