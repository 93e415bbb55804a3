/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For folders that are called from many threads and are no part of the data path (the API store): a lock, and a thread that does
 * what can be done later. Lock order: none; no code holds two of these.
 */
#ifndef LITEPOOL_RT_LOCK_H
#define LITEPOOL_RT_LOCK_H

#include "base/err.h"

struct lock;

int lock_new(struct lock **ret);
void lock_free(struct lock *lock);
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);
/* With the lock held: gives it up until lock_wake() or, when timeout_ms is not negative, that long; then has it again. May also return for no reason. */
void lock_wait(struct lock *lock, int timeout_ms);
/* Wakes all that wait. */
void lock_wake(struct lock *lock);

struct background;

/* Runs on its own thread; returns after how many milliseconds it wants to run again, without being asked (< 0: only when asked). */
typedef int (*background_fn)(void *ctx);

int background_new(background_fn fn, void *ctx, struct background **ret, struct err *err);
/* Any thread: run soon. A run that is under way is followed by another. */
void background_kick(struct background *bg);
/* Waits for the run under way. */
void background_free(struct background *bg);

#endif
